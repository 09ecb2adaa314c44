//! Facts about this kernel and this run; set before the programs are loaded.

use super::declare::records;

/// Facts about this kernel and this run that the programs branch on; dead branches cost nothing.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Config {
    /// The helper `bpf_get_current_task_btf` exists, and its result may be read directly.
    pub typed_task: u32,
    /// 1 on amd64, 2 on arm64.
    pub arch: u32,
    /// Position in `css_set.subsys[]` of the hierarchy that names containers; [`NO_OFFSET`] for cgroup v2.
    pub cgroup_subsys: u32,
    /// Number of that hierarchy; 0 for cgroup v2.
    pub cgroup_hierarchy: u32,
    /// Label children by descent, not by cgroup.
    pub tree: u32,
    /// Tasks may be preempted in a program: the kernel skips it for the others of the CPU then.
    pub preemptible: u32,
    /// Programs keep other tasks from their CPU, by `bpf_preempt_disable`: where they may be preempted and
    /// the kernel lets them call their own functions meanwhile.
    pub holds_cpu: u32,
    /// Memory of the kernel is read by plain loads: `bpf_rdonly_cast` takes any address, since 6.17.
    pub direct: u32,
    /// Measure how long system calls take.
    pub latency: u32,
    /// Rows of system calls of each CPU.
    pub syscall_rows: u32,
    /// Nanoseconds of a tick of the kernel.
    pub tick_ns: u32,
    /// Inode number of the PID namespace whose process ids the probe's /proc has; 0: the machine's first.
    pub pid_namespace: u32,
}
records! { Config = 48 }

/// Stands in the object for the number of the kernel function `bpf_rdonly_cast`, which differs from
/// kernel to kernel; no helper has this number.
pub const RDONLY_CAST: u32 = 0x7f00_0001;
/// The same for `bpf_preempt_disable`.
pub const PREEMPT_DISABLE: u32 = 0x7f00_0002;
/// The same for `bpf_preempt_enable`.
pub const PREEMPT_ENABLE: u32 = 0x7f00_0003;
/// The same for `bpf_local_irq_save`.
pub const IRQ_SAVE: u32 = 0x7f00_0004;
/// The same for `bpf_local_irq_restore`.
pub const IRQ_RESTORE: u32 = 0x7f00_0005;

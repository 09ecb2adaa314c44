//! `struct task_struct`.

use super::file::KernelFile;
use crate::kernel::memory::read;
use crate::maps::{config, offset};
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf};
use procmon_probe_ebpf::abi::HIDDEN_TGID;

/// `MAX_PID_NS_LEVEL`, include/linux/pid_namespace.h.
const MAX_PID_NS_LEVEL: u32 = 32;

/// Address of the current task.
#[inline(always)]
pub(crate) fn current() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_get_current_task() }
}

/// The x86 status word of the current task, by a typed pointer.
#[inline(always)]
pub(crate) fn status() -> u32 {
    // SAFETY: a typed pointer, which is read without a helper; the verifier checks it.
    unsafe {
        let task = bpf_get_current_task_btf() as *const u8;
        let status = task.add(offset!(task_thread_info_status) as usize);
        core::ptr::read_volatile(status.cast::<u32>())
    }
}

/// Process id, as the probe's /proc has it. A process that is not there has the number of the machine's first
/// PID namespace, with [`HIDDEN_TGID`].
#[inline(always)]
pub(crate) fn tgid(task: u64) -> u32 {
    if config!(pid_namespace) == 0 {
        read(task, offset!(task_tgid))
    } else {
        nested_tgid(task)
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nested_tgid(task: u64) -> u32 {
    let pid: u64 = read(leader(task), offset!(task_thread_pid));
    let level: u32 = read(pid, offset!(pid_level));
    let mut number = pid + u64::from(offset!(pid_numbers));
    for above in 0..=MAX_PID_NS_LEVEL {
        if above > level {
            break;
        }
        let namespace: u64 = read(number, offset!(upid_ns));
        if read::<u32>(namespace, offset!(pid_ns_inum)) == config!(pid_namespace) {
            return read(number, offset!(upid_nr));
        }
        number += u64::from(offset!(upid_size));
    }
    read::<u32>(task, offset!(task_tgid)) | HIDDEN_TGID
}

/// It is the first thread of its process.
#[inline(always)]
pub(crate) fn is_leader(task: u64) -> bool {
    leader(task) == task
}

/// Process id of the parent.
#[inline(always)]
pub(crate) fn parent_tgid(task: u64) -> u32 {
    tgid(read(task, offset!(task_real_parent)))
}

/// The first thread of its process.
#[inline(always)]
pub(crate) fn leader(task: u64) -> u64 {
    read(task, offset!(task_group_leader))
}

/// `PF_KTHREAD`.
#[inline(always)]
pub(crate) fn is_kernel_thread(task: u64) -> bool {
    read::<u32>(task, offset!(task_flags)) & 0x0020_0000 != 0
}

/// The file that the process executes; 0 for kernel threads and tasks that have given up their memory.
#[inline(always)]
pub(crate) fn exe_file(task: u64) -> KernelFile {
    let mm: u64 = read(task, offset!(task_mm));
    KernelFile::at(read(mm, offset!(mm_exe_file)))
}

/// Its table of descriptors, `struct files_struct`.
#[inline(always)]
pub(crate) fn files(task: u64) -> u64 {
    read(task, offset!(task_files))
}

/// No other task has the same table.
#[inline(always)]
pub(crate) fn is_alone(files: u64) -> bool {
    read::<u32>(files, offset!(files_count)) == 1
}

/// The file behind a descriptor of a table; 0 when there is none.
#[inline(always)]
pub(crate) fn file_in(files: u64, descriptor: u32) -> KernelFile {
    let table: u64 = read(files, offset!(files_fdt));
    if table == 0 || descriptor >= read::<u32>(table, offset!(fdt_max_fds)) {
        return KernelFile::at(0);
    }
    let array: u64 = read(table, offset!(fdt_fd));
    KernelFile::at(read(array + u64::from(descriptor) * 8, 0))
}

/// The file behind a descriptor; 0 when there is none.
#[inline(always)]
pub(crate) fn file(task: u64, descriptor: u32) -> KernelFile {
    file_in(files(task), descriptor)
}

/// Its process id was given back: all that is left is to free it.
#[inline(always)]
pub(crate) fn is_released(task: u64) -> bool {
    read::<u64>(task, offset!(task_thread_pid)) == 0
}

/// SIGSYS, which a seccomp filter has made of a call, waits for the task. The kernel's own is never blocked.
#[inline(always)]
pub(crate) fn is_trapped(task: u64) -> bool {
    const SIGSYS: u32 = 31;
    let blocked: u64 = read(task, offset!(task_blocked));
    pending(task) & !blocked & bit(SIGSYS) != 0
}

/// It will return from no call any more.
#[inline(always)]
pub(crate) fn is_killed(task: u64) -> bool {
    const SIGKILL: u32 = 9;
    pending(task) & bit(SIGKILL) != 0
}

/// Signals that wait for this thread, a bit each.
#[inline(always)]
fn pending(task: u64) -> u64 {
    read(task, offset!(task_pending_signal))
}

/// A signal's place in a set.
const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// A seccomp filter looks at its calls.
#[inline(always)]
pub(crate) fn is_filtered(task: u64) -> bool {
    read::<u32>(task, offset!(task_seccomp_mode)) != 0
}

/// Number of threads that have not begun to end.
#[inline(always)]
pub(crate) fn live_threads(task: u64) -> u32 {
    let signal: u64 = read(task, offset!(task_signal));
    read(signal, offset!(signal_live))
}

/// Wait status of an ending process.
#[inline(always)]
pub(crate) fn exit_status(task: u64) -> u32 {
    let signal: u64 = read(task, offset!(task_signal));
    match read::<u32>(signal, offset!(signal_group_exit_code)) {
        0 => read(task, offset!(task_exit_code)),
        status => status,
    }
}

/// Message queues of the current task's IPC namespace.
#[inline(always)]
pub(crate) fn n_queues() -> u32 {
    let proxy: u64 = read(current(), offset!(task_nsproxy));
    let namespace: u64 = read(proxy, offset!(nsproxy_ipc));
    read(namespace, offset!(ipc_ns_mq_queues_count))
}

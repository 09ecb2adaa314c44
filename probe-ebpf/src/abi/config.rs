//! What user space tells the programs: before they are loaded ([`Offsets`], [`Config`], both
//! read-only globals) and while they run ([`State`]).

use super::records;

/// Byte offsets of kernel structure members, taken from the running kernel's BTF.
/// A member that the kernel lacks has [`NO_OFFSET`].
#[repr(C)]
#[derive(Clone, Copy, Default)]
#[expect(
    missing_docs,
    reason = "each field is named struct_member of the kernel"
)]
pub struct Offsets {
    pub task_thread_info_status: u32,
    pub task_flags: u32,
    pub task_comm: u32,
    pub task_tgid: u32,
    pub task_real_parent: u32,
    pub task_group_leader: u32,
    pub task_start_time: u32,
    pub task_exit_code: u32,
    pub task_signal: u32,
    pub task_cred: u32,
    pub task_files: u32,
    pub task_fs: u32,
    pub task_mm: u32,
    pub task_nsproxy: u32,
    pub task_cgroups: u32,
    pub task_atomic_flags: u32,
    pub task_seccomp_mode: u32,
    pub task_thread_pid: u32,
    pub task_pending_signal: u32,
    pub task_blocked: u32,
    pub signal_live: u32,
    pub signal_group_exit_code: u32,
    pub pid_level: u32,
    pub pid_numbers: u32,
    pub upid_nr: u32,
    pub upid_ns: u32,
    pub upid_size: u32,
    pub cred_uid: u32,
    pub cred_gid: u32,
    pub cred_euid: u32,
    pub cred_egid: u32,
    pub cred_cap_effective: u32,
    pub cred_cap_permitted: u32,
    pub cred_cap_bset: u32,
    pub cred_user_ns: u32,
    pub files_count: u32,
    pub files_fdt: u32,
    pub fdt_max_fds: u32,
    pub fdt_fd: u32,
    pub fs_pwd: u32,
    pub fs_root: u32,
    pub mm_exe_file: u32,
    pub mm_arg_start: u32,
    pub mm_arg_end: u32,
    pub nsproxy_uts: u32,
    pub nsproxy_ipc: u32,
    pub nsproxy_mnt: u32,
    pub nsproxy_pid: u32,
    pub nsproxy_net: u32,
    pub nsproxy_cgroup: u32,
    pub uts_ns_inum: u32,
    pub ipc_ns_inum: u32,
    pub ipc_ns_mq_queues_count: u32,
    pub mnt_ns_inum: u32,
    pub pid_ns_inum: u32,
    pub net_ns_inum: u32,
    pub cgroup_ns_inum: u32,
    pub user_ns_inum: u32,
    pub css_set_dfl_cgrp: u32,
    pub css_set_subsys: u32,
    pub css_cgroup: u32,
    pub css_parent: u32,
    pub cgroup_self: u32,
    pub cgroup_kn: u32,
    pub cgroup_root: u32,
    pub cgroup_root_hierarchy_id: u32,
    pub kernfs_node_id: u32,
    pub kernfs_node_name: u32,
    pub file_inode: u32,
    pub file_mode: u32,
    pub file_path: u32,
    pub file_private_data: u32,
    pub path_mnt: u32,
    pub path_dentry: u32,
    pub dentry_parent: u32,
    pub dentry_inode: u32,
    pub dentry_name: u32,
    pub dentry_hash_pprev: u32,
    pub qstr_hash_len: u32,
    pub qstr_name: u32,
    pub inode_mode: u32,
    pub inode_uid: u32,
    pub inode_gid: u32,
    pub inode_ino: u32,
    pub inode_sb: u32,
    pub inode_size: u32,
    pub inode_i_size: u32,
    pub sb_dev: u32,
    pub sb_magic: u32,
    pub vfsmount_root: u32,
    pub mount_mnt: u32,
    pub mount_parent: u32,
    pub mount_mountpoint: u32,
    pub mount_id: u32,
    pub mount_namespace: u32,
    pub mnt_ns_sequence: u32,
    pub filename_name: u32,
    pub module_name: u32,
    pub bprm_file: u32,
    pub bprm_filename: u32,
    pub bprm_interp: u32,
    pub socket_sk: u32,
    pub socket_type: u32,
    pub sk_family: u32,
    pub sk_state: u32,
    pub sk_num: u32,
    pub sk_dport: u32,
    pub sk_daddr: u32,
    pub sk_rcv_saddr: u32,
    pub sk_v6_daddr: u32,
    pub sk_v6_rcv_saddr: u32,
    pub sk_net: u32,
    pub sk_protocol: u32,
    pub sk_type: u32,
    pub sk_err: u32,
    pub sk_userlocks: u32,
    pub sk_userlocks_shift: u32,
    pub sk_bound_dev_if: u32,
    pub inet_sport: u32,
    pub tcp_is_mptcp: u32,
    pub tcp_is_mptcp_shift: u32,
    pub csk_ulp_data: u32,
    pub subflow_conn: u32,
    pub vsock_local: u32,
    pub vsock_remote: u32,
    pub unix_addr: u32,
    pub unix_peer: u32,
    pub unix_address_len: u32,
    pub unix_address_name: u32,
    pub unix_address_refcnt: u32,
    pub req_file: u32,
    pub req_opcode: u32,
    pub req_flags: u32,
    pub req_cqe: u32,
    pub req_task: u32,
    pub req_tctx: u32,
    pub tctx_task: u32,
    pub cqe_res: u32,
    pub io_open_dfd: u32,
    pub io_open_filename: u32,
    pub io_open_file_slot: u32,
    pub io_accept_file_slot: u32,
    pub io_unlink_dfd: u32,
    pub io_unlink_flags: u32,
    pub io_unlink_filename: u32,
    pub io_mkdir_dfd: u32,
    pub io_mkdir_filename: u32,
    pub io_rename_old_dfd: u32,
    pub io_rename_new_dfd: u32,
    pub io_rename_oldpath: u32,
    pub io_rename_newpath: u32,
    pub io_link_new_dfd: u32,
    pub io_link_newpath: u32,
    pub io_sync_mode: u32,
    pub regs_nr: u32,
    pub regs_args: [u32; 8],
    pub regs_compat_args: [u32; 8],
    pub regs_pstate: u32,
}

records! { Offsets = 4 * (N_OFFSETS) }
/// Words in [`Offsets`].
pub const N_OFFSETS: usize = core::mem::size_of::<Offsets>() / 4;

/// The kernel has no such member.
pub const NO_OFFSET: u32 = u32::MAX;

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
    /// Programs keep other tasks from their CPU, by `bpf_preempt_disable`: where they may be preempted and the
    /// kernel lets them call their own functions meanwhile.
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

/// Tasks are labelled, nothing is counted.
pub const NOT_OPEN: u32 = 0;
/// Everything is counted.
pub const OPEN: u32 = 1;
/// Nothing is counted or labelled any more; labels and records stay as they are.
pub const CLOSED: u32 = 2;

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

/// What changes while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct State {
    /// [`NOT_OPEN`], [`OPEN`] or [`CLOSED`].
    pub open: u32,
    /// What the task iterator does: [`SCAN_LIST`] or [`SCAN_LABEL`].
    pub scan: u32,
    /// Changes with every change of a label and of `open`: makes cached labels stale.
    pub epoch: u64,
    /// Changes when a symbolic link may have changed: names lead elsewhere then.
    pub links: u64,
    /// Changes with every rename: makes cached files stale.
    pub renames: u64,
    /// Not 0: no row of a file is free any more.
    pub files_full: u64,
    /// Sockets for datagrams made in the window, each of which has an entry in `LAST_SENT` at first.
    pub sockets_made: u64,
    /// Not 0: the hooks sendmsg4 and sendmsg6 have told where a datagram goes.
    pub told: [u32; 2],
}
records! { State = 56 }

/// The task iterator lists every process with the cgroups above it.
pub const SCAN_LIST: u32 = 0;
/// The task iterator labels every task of the target that has no label yet.
pub const SCAN_LABEL: u32 = 1;

macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of what was lost, by position in the map `LOST`. The probe's losses.rs says what each means.
        #[repr(u32)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Loss {
            $($(#[$doc])* $name,)*
        }

        impl Loss {
            /// Each of them, by position.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

losses! {
    /// Records of processes that found the ring buffer full.
    RingProcess,
    /// Records of files that found the ring buffer full.
    RingFile,
    /// Records of peers that found the ring buffer full.
    RingNetwork,
    /// Records of rare operations that found the ring buffer full.
    RingEvent,
    /// Tasks that found no record.
    Tasks,
    /// Containers that found no slot.
    Containers,
    /// Executables that share the slot of all that found none.
    Exes,
    /// System calls that found no row.
    SyscallRows,
    /// Errors that found no entry.
    Errnos,
    /// Files that found no row, not even that of a folder.
    FileRows,
    /// Peers that found no row, not even that of a prefix.
    NetworkRows,
    /// Sockets whose state found no entry.
    Sockets,
    /// Capabilities that found no row.
    Capabilities,
    /// Rare operations that found no entry.
    Events,
    /// Messages that are not looked at.
    Messages,
    /// Requests of io_uring whose file or peer can't be told.
    Requests,
    /// Files that share the row of their folder, by operation.
    FilesByFolder,
    /// Peers that share the row of their prefix, by operation.
    PeersByPrefix,
    /// Packets with names that found the ring buffer full.
    RingWire,
    /// Connections whose owner found no entry.
    Flows,
    /// Sockets for datagrams that `LAST_SENT` does not know: from before the window, or forgotten.
    Hints,
    /// Descriptors that another thread replaced while a call used them.
    Descriptors,
    /// Calls on many datagrams that went elsewhere than the caller's memory says.
    Destinations,
}

/// Number of [`Loss`] counters.
#[expect(clippy::cast_possible_truncation, reason = "some twenty")]
pub const N_LOSSES: u32 = Loss::ALL.len() as u32;

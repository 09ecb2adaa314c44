//! What each system call does, beyond being counted: one table for every abi, by name.
//!
//! Positions of arguments are those of the manual pages, section 2; they are the same on all abis
//! listed here.

use procmon_probe_ebpf::abi::{
    AT_ENTRY_ACT, AT_ENTRY_KEEP, AT_ENTRY_KEEP_SECOND, CALL_ACCEPT, CALL_BIND, CALL_CONNECT,
    CALL_COPY, CALL_CREDENTIALS, CALL_DESCRIPTOR, CALL_EVENT, CALL_EXEC, CALL_FALLOCATE,
    CALL_IOCTL, CALL_LISTEN, CALL_MAP, CALL_MQ_OPEN, CALL_MQ_SEND, CALL_NAME, CALL_OPEN, CALL_READ,
    CALL_RECVFROM, CALL_RECVMMSG, CALL_RECVMSG, CALL_RENAME, CALL_SENDMMSG, CALL_SENDMSG,
    CALL_SENDTO, CALL_SIGNAL, CALL_SIGRETURN, CALL_SOCKET, CALL_SOCKETCALL, CALL_UNLINKAT,
    CALL_WRITE, CallKind, DENSE_NUMBERS, FileOp, NAMES_FLAGS, NAMES_FOLLOW, NAMES_QUEUE, NO_ARG,
    RARE_BPF, RARE_KEYCTL, RARE_MODULE_LOAD, RARE_MOUNT, RARE_PERF, RARE_PTRACE, RARE_SETNS,
    RARE_UNSHARE, RARE_USERFAULTFD,
};
use procmon_profile::model::Abi;
use procmon_profile::tables::syscall_number;

/// How calls look up their names: those that follow a symbolic link at the end, and those on message queues.
const LOOK_UP: &[(&str, u8)] = &[
    ("chmod", NAMES_FOLLOW),
    ("fchmodat", NAMES_FOLLOW),
    ("fchmodat2", NAMES_FOLLOW | NAMES_FLAGS | 3),
    ("chown", NAMES_FOLLOW),
    ("chown32", NAMES_FOLLOW),
    ("fchownat", NAMES_FOLLOW | NAMES_FLAGS | 4),
    ("truncate", NAMES_FOLLOW),
    ("truncate64", NAMES_FOLLOW),
    ("setxattr", NAMES_FOLLOW),
    ("removexattr", NAMES_FOLLOW),
    ("setxattrat", NAMES_FOLLOW | NAMES_FLAGS | 2),
    ("removexattrat", NAMES_FOLLOW | NAMES_FLAGS | 2),
    ("execveat", NAMES_FLAGS | 4),
    ("mq_open", NAMES_QUEUE),
    ("mq_unlink", NAMES_QUEUE),
];

/// Name, kind, positions a, b, c, file operation.
type Row = (&'static str, u8, u8, u8, u8, FileOp);

const CWD: u8 = NO_ARG;
const NONE: FileOp = FileOp::None;

const ROWS: &[Row] = &[
    ("read", CALL_READ, 0, 0, 0, NONE),
    ("pread64", CALL_READ, 0, 0, 0, NONE),
    ("readv", CALL_READ, 0, 0, 0, NONE),
    ("preadv", CALL_READ, 0, 0, 0, NONE),
    ("preadv2", CALL_READ, 0, 0, 0, NONE),
    ("write", CALL_WRITE, 0, 0, 0, NONE),
    ("pwrite64", CALL_WRITE, 0, 0, 0, NONE),
    ("writev", CALL_WRITE, 0, 0, 0, NONE),
    ("pwritev", CALL_WRITE, 0, 0, 0, NONE),
    ("pwritev2", CALL_WRITE, 0, 0, 0, NONE),
    ("sendfile", CALL_COPY, 0, 1, 0, NONE),
    ("sendfile64", CALL_COPY, 0, 1, 0, NONE),
    ("splice", CALL_COPY, 2, 0, 0, NONE),
    ("copy_file_range", CALL_COPY, 2, 0, 0, NONE),
    ("open", CALL_OPEN, CWD, 0, 0, FileOp::Open),
    ("creat", CALL_OPEN, CWD, 0, 0, FileOp::Open),
    ("openat", CALL_OPEN, 0, 1, 0, FileOp::Open),
    ("openat2", CALL_OPEN, 0, 1, 2, FileOp::Open),
    ("open_by_handle_at", CALL_OPEN, 0, NO_ARG, 0, FileOp::Open),
    ("fchmod", CALL_DESCRIPTOR, 0, 0, 0, FileOp::Chmod),
    ("fchown", CALL_DESCRIPTOR, 0, 0, 0, FileOp::Chown),
    ("fchown32", CALL_DESCRIPTOR, 0, 0, 0, FileOp::Chown),
    ("fallocate", CALL_FALLOCATE, 0, 1, 2, FileOp::Truncate),
    ("ioctl", CALL_IOCTL, 0, 1, 0, FileOp::Truncate),
    ("ftruncate", CALL_DESCRIPTOR, 0, 0, 0, FileOp::Truncate),
    ("ftruncate64", CALL_DESCRIPTOR, 0, 0, 0, FileOp::Truncate),
    ("fsetxattr", CALL_DESCRIPTOR, 0, 0, 0, FileOp::Setxattr),
    ("fremovexattr", CALL_DESCRIPTOR, 0, 0, 0, FileOp::Setxattr),
    ("chmod", CALL_NAME, CWD, 0, 0, FileOp::Chmod),
    ("fchmodat", CALL_NAME, 0, 1, 0, FileOp::Chmod),
    ("fchmodat2", CALL_NAME, 0, 1, 0, FileOp::Chmod),
    ("chown", CALL_NAME, CWD, 0, 0, FileOp::Chown),
    ("chown32", CALL_NAME, CWD, 0, 0, FileOp::Chown),
    ("lchown", CALL_NAME, CWD, 0, 0, FileOp::Chown),
    ("lchown32", CALL_NAME, CWD, 0, 0, FileOp::Chown),
    ("fchownat", CALL_NAME, 0, 1, 0, FileOp::Chown),
    ("truncate", CALL_NAME, CWD, 0, 0, FileOp::Truncate),
    ("truncate64", CALL_NAME, CWD, 0, 0, FileOp::Truncate),
    ("setxattr", CALL_NAME, CWD, 0, 0, FileOp::Setxattr),
    ("lsetxattr", CALL_NAME, CWD, 0, 0, FileOp::Setxattr),
    ("removexattr", CALL_NAME, CWD, 0, 0, FileOp::Setxattr),
    ("lremovexattr", CALL_NAME, CWD, 0, 0, FileOp::Setxattr),
    ("setxattrat", CALL_NAME, 0, 1, 0, FileOp::Setxattr),
    ("removexattrat", CALL_NAME, 0, 1, 0, FileOp::Setxattr),
    ("unlink", CALL_NAME, CWD, 0, 0, FileOp::Unlink),
    ("unlinkat", CALL_UNLINKAT, 0, 1, 2, FileOp::Unlink),
    ("rmdir", CALL_NAME, CWD, 0, 0, FileOp::Rmdir),
    ("mkdir", CALL_NAME, CWD, 0, 0, FileOp::Mkdir),
    ("mkdirat", CALL_NAME, 0, 1, 0, FileOp::Mkdir),
    ("mknod", CALL_NAME, CWD, 0, 0, FileOp::Mknod),
    ("mknodat", CALL_NAME, 0, 1, 0, FileOp::Mknod),
    ("symlink", CALL_NAME, CWD, 1, 0, FileOp::Symlink),
    ("symlinkat", CALL_NAME, 1, 2, 0, FileOp::Symlink),
    ("link", CALL_NAME, CWD, 1, 0, FileOp::Link),
    ("linkat", CALL_NAME, 2, 3, 0, FileOp::Link),
    ("rename", CALL_RENAME, CWD, 0, 1, FileOp::Rename),
    ("renameat", CALL_RENAME, 0, 1, 2, FileOp::Rename),
    ("renameat2", CALL_RENAME, 0, 1, 2, FileOp::Rename),
    ("mmap", CALL_MAP, 4, 2, 3, NONE),
    ("mmap2", CALL_MAP, 4, 2, 3, NONE),
    ("execve", CALL_EXEC, CWD, 0, 0, FileOp::Exec),
    ("execveat", CALL_EXEC, 0, 1, 0, FileOp::Exec),
    ("mq_open", CALL_MQ_OPEN, CWD, 0, 1, FileOp::Open),
    ("mq_unlink", CALL_NAME, CWD, 0, 0, FileOp::Unlink),
    ("mq_timedsend", CALL_MQ_SEND, 0, 2, 0, NONE),
    ("mq_timedsend_time64", CALL_MQ_SEND, 0, 2, 0, NONE),
    ("mq_timedreceive", CALL_READ, 0, 0, 0, NONE),
    ("mq_timedreceive_time64", CALL_READ, 0, 0, 0, NONE),
    ("socketcall", CALL_SOCKETCALL, 0, 0, 0, NONE),
    ("socket", CALL_SOCKET, 0, 0, 0, NONE),
    ("connect", CALL_CONNECT, 0, 1, 2, NONE),
    ("accept", CALL_ACCEPT, 0, 0, 0, NONE),
    ("accept4", CALL_ACCEPT, 0, 0, 0, NONE),
    ("listen", CALL_LISTEN, 0, 0, 0, NONE),
    ("bind", CALL_BIND, 0, 0, 0, NONE),
    ("sendto", CALL_SENDTO, 0, 4, 5, NONE),
    ("recvfrom", CALL_RECVFROM, 0, 4, 3, NONE),
    ("sendmsg", CALL_SENDMSG, 0, 1, 0, NONE),
    ("recvmsg", CALL_RECVMSG, 0, 1, 2, NONE),
    ("sendmmsg", CALL_SENDMMSG, 0, 1, 0, NONE),
    ("recvmmsg", CALL_RECVMMSG, 0, 1, 3, NONE),
];

/// Calls that change credentials.
const CREDENTIALS: &[&str] = &[
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "setuid32",
    "setgid32",
    "setreuid32",
    "setregid32",
    "setresuid32",
    "setresgid32",
    "setfsuid32",
    "setfsgid32",
    "setgroups32",
    "capset",
    "prctl",
    "setns",
    "unshare",
];

/// Rare calls: the event's type, and the positions of the arguments that go into it; the last is a
/// text.
const RARE: &[(&str, u32, u8, u8, u8)] = &[
    ("ptrace", RARE_PTRACE, 0, 1, NO_ARG),
    ("process_vm_readv", RARE_PTRACE, NO_ARG, 0, NO_ARG),
    ("process_vm_writev", RARE_PTRACE, NO_ARG, 0, NO_ARG),
    ("mount", RARE_MOUNT, 0, 3, 2),
    ("umount2", RARE_MOUNT, 0, 1, NO_ARG),
    ("pivot_root", RARE_MOUNT, NO_ARG, NO_ARG, NO_ARG),
    ("move_mount", RARE_MOUNT, 0, 4, NO_ARG),
    ("fsmount", RARE_MOUNT, 0, 1, NO_ARG),
    ("open_tree", RARE_MOUNT, 0, 2, NO_ARG),
    ("setns", RARE_SETNS, 1, 2, NO_ARG),
    ("unshare", RARE_UNSHARE, 0, 1, NO_ARG),
    ("init_module", RARE_MODULE_LOAD, NO_ARG, NO_ARG, NO_ARG),
    ("finit_module", RARE_MODULE_LOAD, NO_ARG, NO_ARG, NO_ARG),
    ("bpf", RARE_BPF, 0, NO_ARG, NO_ARG),
    ("keyctl", RARE_KEYCTL, 0, NO_ARG, NO_ARG),
    ("userfaultfd", RARE_USERFAULTFD, 0, NO_ARG, NO_ARG),
    ("perf_event_open", RARE_PERF, 1, NO_ARG, NO_ARG),
];

/// Calls that go back from a signal's handler.
const SIGRETURNS: &[&str] = &["sigreturn", "rt_sigreturn"];

/// Calls that send signals.
const SIGNALS: &[&str] = &[
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_send_signal",
];

/// Calls in which mapping memory asks for CAP_SYS_ADMIN without need.
const MAPS_MEMORY: &[&str] = &[
    "brk", "mmap", "mmap2", "munmap", "mprotect", "mremap", "clone", "clone3", "fork", "vfork",
    "execve", "execveat", "shmat", "prctl",
];

/// What must be seen before the call runs.
fn at_entry(kind: u8) -> u8 {
    match kind {
        CALL_READ | CALL_WRITE | CALL_DESCRIPTOR | CALL_SENDTO | CALL_RECVFROM | CALL_SENDMSG
        | CALL_RECVMSG | CALL_SENDMMSG | CALL_RECVMMSG | CALL_MQ_SEND => AT_ENTRY_KEEP,
        CALL_COPY => AT_ENTRY_KEEP | AT_ENTRY_KEEP_SECOND,
        CALL_MAP | CALL_CONNECT | CALL_LISTEN | CALL_BIND | CALL_FALLOCATE | CALL_IOCTL
        | CALL_MQ_OPEN => AT_ENTRY_ACT,
        _ => 0,
    }
}

/// The table for one abi, by number.
pub(crate) fn table(abi: Abi) -> Vec<CallKind> {
    let mut kinds = vec![CallKind::default(); DENSE_NUMBERS];
    let number = |name: &str| {
        // i386's own mmap takes its arguments in memory; its C library uses mmap2.
        let known = abi != Abi::I386 || name != "mmap";
        let number = known.then(|| syscall_number(abi, name)).flatten()?;
        Some(number as usize)
    };
    for (name, kind, a, b, c, op) in ROWS {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            *entry = CallKind {
                kind: *kind,
                a: *a,
                b: *b,
                c: *c,
                op: *op as u8,
                at_entry: at_entry(*kind),
                ..CallKind::default()
            };
        }
    }
    for (name, how) in LOOK_UP {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            entry.names = *how;
        }
    }
    for (kind, names) in [
        (CALL_CREDENTIALS, CREDENTIALS),
        (CALL_SIGNAL, SIGNALS),
        (CALL_SIGRETURN, SIGRETURNS),
    ] {
        for name in names {
            if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
                entry.kind = kind;
            }
        }
    }
    for (name, event, a, b, c) in RARE {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            *entry = CallKind {
                kind: CALL_EVENT,
                a: *a,
                b: *b,
                c: *c,
                op: u8::try_from(*event).unwrap_or(0),
                ..CallKind::default()
            };
        }
    }
    for name in MAPS_MEMORY {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            entry.maps_memory = 1;
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_machine_itself() {
        let table = table(Abi::X86_64);
        assert_eq!(table[257].kind, CALL_OPEN);
        assert_eq!((table[257].a, table[257].b), (0, 1));
        assert_eq!(table[82].kind, CALL_RENAME);
        assert_eq!(table[9].maps_memory, 1);
        assert_eq!(table[39].kind, 0);
        assert_eq!(table[15].kind, CALL_SIGRETURN);
    }

    #[test]
    fn the_32_bit_names_of_calls_are_known() {
        let table = table(Abi::I386);
        for (number, kind, op) in [
            (193, CALL_NAME, FileOp::Truncate),
            (194, CALL_DESCRIPTOR, FileOp::Truncate),
            (198, CALL_NAME, FileOp::Chown),
            (207, CALL_DESCRIPTOR, FileOp::Chown),
            (212, CALL_NAME, FileOp::Chown),
        ] {
            assert_eq!((table[number].kind, table[number].op), (kind, op as u8));
        }
        assert_eq!(table[213].kind, CALL_CREDENTIALS);
        assert_eq!(table[102].kind, CALL_SOCKETCALL);
        assert_eq!(table[90].kind, 0);
    }

    /// Calls that change no content of a file and move none between processes or machines. A call that is new to the
    /// tables stands in none of the lists: whoever adds it decides in which it belongs, so that no profile is `complete`
    /// although something was not asked.
    const WITHOUT_CONTENT: &str = "
        _sysctl access add_key adjtimex afs_syscall alarm arch_prctl cachestat capget chdir chroot
        clock_adjtime clock_getres clock_gettime clock_nanosleep clock_settime close close_range
        create_module delete_module dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
        epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 exit exit_group faccessat
        faccessat2 fadvise64 fanotify_init fanotify_mark fchdir fcntl fdatasync fgetxattr file_getattr
        file_setattr flistxattr flock fsconfig fsopen fspick fstat fstatfs fsync futex futex_requeue
        futex_wait futex_waitv futex_wake futimesat get_kernel_syms get_mempolicy get_robust_list
        get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer
        getpeername getpgid getpgrp getpid getpmsg getppid getpriority getrandom getresgid getresuid
        getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
        io_pgetevents io_setup io_uring_register ioperm iopl ioprio_get ioprio_set kcmp kexec_file_load
        kexec_load landlock_add_rule landlock_create_ruleset landlock_restrict_self lgetxattr listmount
        listxattr listxattrat llistxattr lookup_dcookie lseek lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr lstat madvise map_shadow_stack mbind membarrier memfd_create memfd_secret
        migrate_pages mincore mlock mlock2 mlockall modify_ldt mount_setattr move_pages mq_getsetattr
        mq_notify mseal msgctl msgget msync munlock munlockall name_to_handle_at nanosleep newfstatat
        nfsservctl open_tree_attr pause personality pidfd_getfd pidfd_open pipe pipe2 pkey_alloc pkey_free
        pkey_mprotect poll ppoll prlimit64 process_madvise process_mrelease pselect6 putpmsg query_module
        quotactl quotactl_fd readahead readlink readlinkat reboot remap_file_pages request_key
        restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigsuspend rt_sigtimedwait
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
        sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
        sched_setscheduler sched_yield seccomp security select semctl semget semop semtimedop set_mempolicy
        set_mempolicy_home_node set_robust_list set_thread_area set_tid_address setdomainname sethostname
        setitimer setpgid setpriority setrlimit setsid setsockopt settimeofday shmctl shmdt shmget shutdown
        sigaltstack signalfd signalfd4 socketpair stat statfs statmount statx swapoff sync sync_file_range
        syncfs sysfs sysinfo syslog tee time timer_create timer_delete timer_getoverrun timer_gettime
        timer_settime timerfd_create timerfd_gettime timerfd_settime times tuxcall umask uname uprobe
        uretprobe uselib ustat utime utimensat utimes vhangup vserver wait4 waitid";

    #[test]
    fn every_call_is_looked_at_or_named_or_without_content() {
        let without: Vec<&str> = WITHOUT_CONTENT.split_whitespace().collect();
        let unseen = crate::summarize::UNSEEN_CALLS.map(|(name, ..)| name);
        let table = table(Abi::X86_64);
        let mut astray = Vec::new();
        for number in 0..u32::try_from(DENSE_NUMBERS).unwrap_or(0) {
            let name = procmon_profile::tables::syscall_name(Abi::X86_64, number);
            let lists = [
                table[number as usize] != CallKind::default(),
                unseen.contains(&&*name) || crate::summarize::RING_CALLS.contains(&&*name),
                without.contains(&&*name),
            ];
            if syscall_number(Abi::X86_64, &name).is_some() && !lists.contains(&true) {
                astray.push(name);
            }
        }
        assert!(astray.is_empty(), "{astray:?}");
    }
}

//! What each system call does, beyond being counted: one table for every abi, by name.
//!
//! Positions of arguments are those of the manual pages, section 2; they are the same on all abis
//! listed here.

use procmon_probe_ebpf::abi::{
    AT_ENTRY_ACT, AT_ENTRY_FACET, AT_ENTRY_KEEP, AT_ENTRY_KEEP_SECOND, Call, CallKind,
    DENSE_NUMBERS, Facet, FileOp, MAPS_MEMORY, NAMES_FLAGS, NAMES_FOLLOW, NAMES_QUEUE, NO_ARG,
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
type Row = (&'static str, Call, u8, u8, u8, FileOp);

const CWD: u8 = NO_ARG;
const NONE: FileOp = FileOp::None;

const ROWS: &[Row] = &[
    ("read", Call::Read, 0, 0, 0, NONE),
    ("pread64", Call::Read, 0, 0, 0, NONE),
    ("readv", Call::Read, 0, 0, 0, NONE),
    ("preadv", Call::Read, 0, 0, 0, NONE),
    ("preadv2", Call::Read, 0, 0, 0, NONE),
    ("write", Call::Write, 0, 0, 0, NONE),
    ("pwrite64", Call::Write, 0, 0, 0, NONE),
    ("writev", Call::Write, 0, 0, 0, NONE),
    ("pwritev", Call::Write, 0, 0, 0, NONE),
    ("pwritev2", Call::Write, 0, 0, 0, NONE),
    ("sendfile", Call::Copy, 0, 1, 0, NONE),
    ("sendfile64", Call::Copy, 0, 1, 0, NONE),
    ("splice", Call::Copy, 2, 0, 0, NONE),
    ("copy_file_range", Call::Copy, 2, 0, 0, NONE),
    ("open", Call::Open, CWD, 0, 0, FileOp::Open),
    ("creat", Call::Open, CWD, 0, 0, FileOp::Open),
    ("openat", Call::Open, 0, 1, 0, FileOp::Open),
    ("openat2", Call::Open, 0, 1, 2, FileOp::Open),
    ("open_by_handle_at", Call::Open, 0, NO_ARG, 0, FileOp::Open),
    ("fchmod", Call::Descriptor, 0, 0, 0, FileOp::Chmod),
    ("fchown", Call::Descriptor, 0, 0, 0, FileOp::Chown),
    ("fchown32", Call::Descriptor, 0, 0, 0, FileOp::Chown),
    ("fallocate", Call::Fallocate, 0, 1, 2, FileOp::Truncate),
    ("ioctl", Call::Ioctl, 0, 1, 0, FileOp::Truncate),
    ("ftruncate", Call::Descriptor, 0, 0, 0, FileOp::Truncate),
    ("ftruncate64", Call::Descriptor, 0, 0, 0, FileOp::Truncate),
    ("fsetxattr", Call::Descriptor, 0, 0, 0, FileOp::Setxattr),
    ("fremovexattr", Call::Descriptor, 0, 0, 0, FileOp::Setxattr),
    ("chmod", Call::Name, CWD, 0, 0, FileOp::Chmod),
    ("fchmodat", Call::Name, 0, 1, 0, FileOp::Chmod),
    ("fchmodat2", Call::Name, 0, 1, 0, FileOp::Chmod),
    ("chown", Call::Name, CWD, 0, 0, FileOp::Chown),
    ("chown32", Call::Name, CWD, 0, 0, FileOp::Chown),
    ("lchown", Call::Name, CWD, 0, 0, FileOp::Chown),
    ("lchown32", Call::Name, CWD, 0, 0, FileOp::Chown),
    ("fchownat", Call::Name, 0, 1, 0, FileOp::Chown),
    ("truncate", Call::Name, CWD, 0, 0, FileOp::Truncate),
    ("truncate64", Call::Name, CWD, 0, 0, FileOp::Truncate),
    ("setxattr", Call::Name, CWD, 0, 0, FileOp::Setxattr),
    ("lsetxattr", Call::Name, CWD, 0, 0, FileOp::Setxattr),
    ("removexattr", Call::Name, CWD, 0, 0, FileOp::Setxattr),
    ("lremovexattr", Call::Name, CWD, 0, 0, FileOp::Setxattr),
    ("setxattrat", Call::Name, 0, 1, 0, FileOp::Setxattr),
    ("removexattrat", Call::Name, 0, 1, 0, FileOp::Setxattr),
    ("unlink", Call::Name, CWD, 0, 0, FileOp::Unlink),
    ("unlinkat", Call::UnlinkAt, 0, 1, 2, FileOp::Unlink),
    ("rmdir", Call::Name, CWD, 0, 0, FileOp::Rmdir),
    ("mkdir", Call::Name, CWD, 0, 0, FileOp::Mkdir),
    ("mkdirat", Call::Name, 0, 1, 0, FileOp::Mkdir),
    ("mknod", Call::Name, CWD, 0, 0, FileOp::Mknod),
    ("mknodat", Call::Name, 0, 1, 0, FileOp::Mknod),
    ("symlink", Call::Name, CWD, 1, 0, FileOp::Symlink),
    ("symlinkat", Call::Name, 1, 2, 0, FileOp::Symlink),
    ("link", Call::Name, CWD, 1, 0, FileOp::Link),
    ("linkat", Call::Name, 2, 3, 0, FileOp::Link),
    ("rename", Call::Rename, CWD, 0, 1, FileOp::Rename),
    ("renameat", Call::Rename, 0, 1, 2, FileOp::Rename),
    ("renameat2", Call::Rename, 0, 1, 2, FileOp::Rename),
    ("mmap", Call::Map, 4, 2, 3, NONE),
    ("mmap2", Call::Map, 4, 2, 3, NONE),
    ("execve", Call::Exec, CWD, 0, 0, FileOp::Exec),
    ("execveat", Call::Exec, 0, 1, 0, FileOp::Exec),
    ("mq_open", Call::MqOpen, CWD, 0, 1, FileOp::Open),
    ("mq_unlink", Call::Name, CWD, 0, 0, FileOp::Unlink),
    ("mq_timedsend", Call::MqSend, 0, 2, 0, NONE),
    ("mq_timedsend_time64", Call::MqSend, 0, 2, 0, NONE),
    ("mq_timedreceive", Call::Read, 0, 0, 0, NONE),
    ("mq_timedreceive_time64", Call::Read, 0, 0, 0, NONE),
    ("socketcall", Call::SocketCall, 0, 0, 0, NONE),
    ("socket", Call::Socket, 0, 0, 0, NONE),
    ("connect", Call::Connect, 0, 1, 2, NONE),
    ("accept", Call::Accept, 0, 0, 0, NONE),
    ("accept4", Call::Accept, 0, 0, 0, NONE),
    ("listen", Call::Listen, 0, 0, 0, NONE),
    ("bind", Call::Bind, 0, 0, 0, NONE),
    ("sendto", Call::SendTo, 0, 4, 5, NONE),
    ("recvfrom", Call::RecvFrom, 0, 4, 3, NONE),
    ("sendmsg", Call::SendMsg, 0, 1, 0, NONE),
    ("recvmsg", Call::RecvMsg, 0, 1, 2, NONE),
    ("sendmmsg", Call::SendMmsg, 0, 1, 0, NONE),
    ("recvmmsg", Call::RecvMmsg, 0, 1, 3, NONE),
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
const MEMORY_CALLS: &[&str] = &[
    "brk", "mmap", "mmap2", "munmap", "mprotect", "mremap", "clone", "clone3", "fork", "vfork",
    "execve", "execveat", "shmat", "prctl",
];

/// Calls whose arguments are counted by value.
const FACETS: &[(&str, Facet)] = &[
    ("socket", Facet::Socket),
    ("setsockopt", Facet::Option),
    ("socketcall", Facet::SocketCall),
    ("prctl", Facet::First),
    ("personality", Facet::First),
    ("ptrace", Facet::First),
    ("keyctl", Facet::First),
    ("bpf", Facet::First),
    ("seccomp", Facet::First),
    ("unshare", Facet::Namespaces),
    ("setns", Facet::Second),
    ("clone", Facet::Namespaces),
    ("clone3", Facet::NamespacesThere),
    ("ioctl", Facet::Request),
    ("mprotect", Facet::Protection),
    ("pkey_mprotect", Facet::Protection),
    ("mmap", Facet::Mapping),
    ("mmap2", Facet::Mapping),
    ("chmod", Facet::ModeSecond),
    ("fchmod", Facet::ModeSecond),
    ("mknod", Facet::ModeSecond),
    ("fchmodat", Facet::ModeThird),
    ("fchmodat2", Facet::ModeThird),
    ("mknodat", Facet::ModeThird),
];

/// What must be seen before the call runs.
fn at_entry(call: Call) -> u8 {
    match call {
        Call::Read
        | Call::Write
        | Call::Descriptor
        | Call::SendTo
        | Call::RecvFrom
        | Call::SendMsg
        | Call::RecvMsg
        | Call::SendMmsg
        | Call::RecvMmsg
        | Call::MqSend => AT_ENTRY_KEEP,
        Call::Copy => AT_ENTRY_KEEP | AT_ENTRY_KEEP_SECOND,
        Call::Map
        | Call::Connect
        | Call::Listen
        | Call::Bind
        | Call::Fallocate
        | Call::Ioctl
        | Call::MqOpen => AT_ENTRY_ACT,
        Call::Plain
        | Call::Open
        | Call::Name
        | Call::UnlinkAt
        | Call::Rename
        | Call::Exec
        | Call::Accept
        | Call::Credentials
        | Call::Socket
        | Call::SocketCall
        | Call::Signal
        | Call::SigReturn
        | Call::Event => 0,
    }
}

/// Whether arguments of a call are counted by value.
pub(crate) fn counts_arguments(call: &str) -> bool {
    FACETS.iter().any(|(name, _)| *name == call)
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
    for (name, call, a, b, c, op) in ROWS {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            *entry = CallKind {
                kind: call.number(),
                a: *a,
                b: *b,
                c: *c,
                op: *op as u8,
                at_entry: at_entry(*call),
                ..CallKind::default()
            };
        }
    }
    for (name, how) in LOOK_UP {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            entry.names = *how;
        }
    }
    for (call, names) in [
        (Call::Credentials, CREDENTIALS),
        (Call::Signal, SIGNALS),
        (Call::SigReturn, SIGRETURNS),
    ] {
        for name in names {
            if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
                entry.kind = call.number();
            }
        }
    }
    for (name, event, a, b, c) in RARE {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            *entry = CallKind {
                kind: Call::Event.number(),
                a: *a,
                b: *b,
                c: *c,
                op: u8::try_from(*event).unwrap_or(0),
                ..CallKind::default()
            };
        }
    }
    for name in MEMORY_CALLS {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            entry.facet |= MAPS_MEMORY;
        }
    }
    for (name, facet) in FACETS {
        if let Some(entry) = number(name).and_then(|number| kinds.get_mut(number)) {
            entry.facet |= facet.number();
            entry.at_entry |= AT_ENTRY_FACET;
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
        assert_eq!(table[257].call(), Call::Open);
        assert_eq!((table[257].a, table[257].b), (0, 1));
        assert_eq!(table[82].call(), Call::Rename);
        assert_eq!(table[9].facet, MAPS_MEMORY | Facet::Mapping.number());
        assert_eq!(table[39].kind, 0);
        assert_eq!(table[15].call(), Call::SigReturn);
    }

    #[test]
    fn the_32_bit_names_of_calls_are_known() {
        let table = table(Abi::I386);
        for (number, call, op) in [
            (193, Call::Name, FileOp::Truncate),
            (194, Call::Descriptor, FileOp::Truncate),
            (198, Call::Name, FileOp::Chown),
            (207, Call::Descriptor, FileOp::Chown),
            (212, Call::Name, FileOp::Chown),
        ] {
            assert_eq!((table[number].call(), table[number].op), (call, op as u8));
        }
        assert_eq!(table[213].call(), Call::Credentials);
        assert_eq!(table[102].call(), Call::SocketCall);
        assert_eq!(table[90].kind, 0);
    }

    /// Calls that change no content of a file and move none between processes or machines. A call that is
    /// new to the tables stands in none of the lists: whoever adds it decides in which it belongs, so that
    /// no profile is `complete` although something was not asked.
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

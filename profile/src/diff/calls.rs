//! System calls by what they are for, and those that are dangerous in themselves.

use super::Judgement;
use crate::model::Severity;

#[expect(clippy::too_many_lines, reason = "a table")]
/// Kinds of system calls: those of one kind are used together.
pub(super) fn family(name: &str) -> &'static str {
    const FAMILIES: [(&str, &[&str]); 9] = [
        (
            "process",
            &[
                "clone",
                "clone3",
                "fork",
                "vfork",
                "execve",
                "execveat",
                "wait4",
                "waitid",
                "exit",
                "exit_group",
                "kill",
                "tgkill",
                "tkill",
                "setpgid",
                "setsid",
                "getpgid",
                "getpgrp",
                "getsid",
                "prctl",
                "pidfd_open",
                "pidfd_send_signal",
                "set_tid_address",
            ],
        ),
        (
            "network",
            &[
                "socket",
                "socketpair",
                "connect",
                "bind",
                "listen",
                "accept",
                "accept4",
                "sendto",
                "recvfrom",
                "sendmsg",
                "recvmsg",
                "sendmmsg",
                "recvmmsg",
                "shutdown",
                "getsockname",
                "getpeername",
                "setsockopt",
                "getsockopt",
            ],
        ),
        (
            "write",
            &[
                "write",
                "pwrite64",
                "writev",
                "pwritev",
                "pwritev2",
                "ftruncate",
                "truncate",
                "fallocate",
                "fsync",
                "fdatasync",
                "sync_file_range",
                "sync",
                "syncfs",
                "msync",
                "rename",
                "renameat",
                "renameat2",
                "unlink",
                "unlinkat",
                "mkdir",
                "mkdirat",
                "rmdir",
                "link",
                "linkat",
                "symlink",
                "symlinkat",
                "creat",
                "sendfile",
                "splice",
                "tee",
                "copy_file_range",
                "utimensat",
                "utimes",
                "futimesat",
                "flock",
                "mknod",
                "mknodat",
            ],
        ),
        (
            "attributes",
            &[
                "chmod",
                "fchmod",
                "fchmodat",
                "fchmodat2",
                "chown",
                "fchown",
                "lchown",
                "fchownat",
                "setxattr",
                "lsetxattr",
                "fsetxattr",
                "removexattr",
                "lremovexattr",
                "fremovexattr",
            ],
        ),
        (
            "credentials",
            &[
                "setuid",
                "setgid",
                "setreuid",
                "setregid",
                "setresuid",
                "setresgid",
                "setgroups",
                "setfsuid",
                "setfsgid",
                "capset",
            ],
        ),
        (
            "ipc",
            &[
                "shmget",
                "shmat",
                "shmdt",
                "shmctl",
                "semget",
                "semop",
                "semtimedop",
                "semctl",
                "msgget",
                "msgsnd",
                "msgrcv",
                "msgctl",
                "mq_open",
                "mq_unlink",
                "mq_timedsend",
                "mq_timedreceive",
                "mq_notify",
                "mq_getsetattr",
            ],
        ),
        (
            "io_uring",
            &[
                "io_uring_setup",
                "io_uring_enter",
                "io_uring_register",
                "io_setup",
                "io_submit",
                "io_getevents",
                "io_destroy",
                "io_cancel",
                "io_pgetevents",
            ],
        ),
        (
            "watch",
            &[
                "inotify_init",
                "inotify_init1",
                "inotify_add_watch",
                "inotify_rm_watch",
                "fanotify_init",
                "fanotify_mark",
            ],
        ),
        (
            "limits",
            &[
                "setrlimit",
                "prlimit64",
                "setpriority",
                "sched_setscheduler",
                "sched_setattr",
                "sched_setparam",
                "ioprio_set",
                "nice",
            ],
        ),
    ];
    FAMILIES
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map_or("", |(family, _)| family)
}

/// Calls that change what the kernel lets others do.
pub(super) fn danger(name: &str) -> Option<Judgement> {
    Some(match name {
        "init_module" | "finit_module" | "delete_module" | "kexec_load" | "kexec_file_load" => {
            (Severity::Critical, "it changes the kernel")
        }
        "bpf" => (Severity::High, "it reaches into the kernel"),
        "ptrace" | "process_vm_readv" | "process_vm_writev" | "process_madvise" | "pidfd_getfd"
        | "kcmp" => (Severity::High, "it reaches into other processes"),
        "mount" | "umount2" | "move_mount" | "fsopen" | "fsconfig" | "fsmount" | "open_tree"
        | "pivot_root" | "chroot" | "mount_setattr" | "fspick" => {
            (Severity::High, "it changes what is mounted")
        }
        "setns" | "unshare" => (Severity::High, "it changes namespaces"),
        "open_by_handle_at" | "name_to_handle_at" => {
            (Severity::High, "it opens files past their paths")
        }
        "perf_event_open" | "userfaultfd" | "keyctl" | "add_key" | "request_key"
        | "lookup_dcookie" => (Severity::High, "a rare call that attacks on the kernel use"),
        "memfd_create" | "memfd_secret" | "execveat" => {
            (Severity::Medium, "a way to run programs without a file")
        }
        "reboot" | "swapon" | "swapoff" | "sethostname" | "setdomainname" | "iopl" | "ioperm"
        | "acct" | "quotactl" | "settimeofday" | "clock_settime" | "clock_adjtime" | "adjtimex"
        | "syslog" | "vhangup" | "personality" => {
            (Severity::High, "it changes or reads the system as a whole")
        }
        _ => return None,
    })
}

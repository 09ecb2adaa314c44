//! The purposes of system calls, and which calls are dangerous in themselves.

/// The purpose of calls of one kind: they are used together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Processes and signals.
    Process,
    /// Sockets.
    Network,
    /// The content and the names of files.
    Write,
    /// The attributes of files.
    Attributes,
    /// The user, the groups and the capabilities of a process.
    Credentials,
    /// System V and POSIX communication.
    Ipc,
    /// Requests that end later.
    Asynchronous,
    /// Notices of what happens to files.
    Watch,
    /// Limits and priorities.
    Limits,
}

/// Calls by family: the manual's section 2.
const FAMILIES: [(Family, &[&str]); 9] = [
    (
        Family::Process,
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
        Family::Network,
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
        Family::Write,
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
        Family::Attributes,
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
        Family::Credentials,
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
        Family::Ipc,
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
        Family::Asynchronous,
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
        Family::Watch,
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
        Family::Limits,
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

/// The effect of a dangerous call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Danger {
    /// It loads or replaces code of the kernel.
    ChangesKernel,
    /// It loads programs into the kernel.
    ReachesKernel,
    /// It reads or writes other processes.
    ReachesProcesses,
    /// It changes what is mounted.
    ChangesMounts,
    /// It enters or makes namespaces.
    ChangesNamespaces,
    /// It opens files without their paths.
    OpensByHandle,
    /// It leads to rarely used code of the kernel.
    ReachesRareCode,
    /// It runs programs without a file.
    RunsWithoutFile,
    /// It changes or reads the system as a whole.
    ConcernsSystem,
}

/// Calls by danger, with the source.
const DANGERS: [(Danger, &[&str], &str); 9] = [
    (
        Danger::ChangesKernel,
        &[
            "init_module",
            "finit_module",
            "delete_module",
            "kexec_load",
            "kexec_file_load",
        ],
        "MITRE ATT&CK T1547.006; init_module(2), kexec_load(2)",
    ),
    (Danger::ReachesKernel, &["bpf"], "bpf(2)"),
    (
        Danger::ReachesProcesses,
        &[
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "process_madvise",
            "pidfd_getfd",
            "kcmp",
        ],
        "MITRE ATT&CK T1055.008; ptrace(2), process_vm_readv(2)",
    ),
    (
        Danger::ChangesMounts,
        &[
            "mount",
            "umount2",
            "move_mount",
            "fsopen",
            "fsconfig",
            "fsmount",
            "open_tree",
            "pivot_root",
            "chroot",
            "mount_setattr",
            "fspick",
        ],
        "MITRE ATT&CK T1611; mount(2), pivot_root(2)",
    ),
    (
        Danger::ChangesNamespaces,
        &["setns", "unshare"],
        "MITRE ATT&CK T1611; namespaces(7)",
    ),
    (
        Danger::OpensByHandle,
        &["open_by_handle_at", "name_to_handle_at"],
        "open_by_handle_at(2); Docker's default seccomp profile allows it with CAP_DAC_READ_SEARCH only",
    ),
    (
        Danger::ReachesRareCode,
        &[
            "perf_event_open",
            "userfaultfd",
            "keyctl",
            "add_key",
            "request_key",
            "lookup_dcookie",
        ],
        "Docker's default seccomp profile, which refuses them",
    ),
    (
        Danger::RunsWithoutFile,
        &["memfd_create", "memfd_secret", "execveat"],
        "MITRE ATT&CK T1620; memfd_create(2)",
    ),
    (
        Danger::ConcernsSystem,
        &[
            "reboot",
            "swapon",
            "swapoff",
            "sethostname",
            "setdomainname",
            "iopl",
            "ioperm",
            "acct",
            "quotactl",
            "settimeofday",
            "clock_settime",
            "clock_adjtime",
            "adjtimex",
            "syslog",
            "vhangup",
            "personality",
        ],
        "Docker's default seccomp profile, which refuses them",
    ),
];

/// The family of a call; none for ordinary calls of memory, time, signals and reading.
pub(crate) fn family(name: &str) -> Option<Family> {
    let mut families = FAMILIES.iter();
    families
        .find(|(_, names)| names.contains(&name))
        .map(|(family, _)| *family)
}

/// The effect that makes a call dangerous in itself.
pub(crate) fn danger(name: &str) -> Option<Danger> {
    let mut dangers = DANGERS.iter();
    dangers
        .find(|(_, names, _)| names.contains(&name))
        .map(|(danger, _, _)| *danger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Abi;
    use crate::tables::syscall_number;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_a_system_call_and_stands_once() {
        let families = FAMILIES.iter().map(|(_, names)| *names);
        let dangers = DANGERS.iter().map(|(_, names, _)| *names);
        for tables in [families.collect::<Vec<_>>(), dangers.collect()] {
            let mut seen = BTreeSet::new();
            for name in tables.into_iter().flatten() {
                assert!(seen.insert(name), "{name} stands twice");
                let abis = [Abi::X86_64, Abi::I386, Abi::Aarch64];
                assert!(
                    abis.iter().any(|abi| syscall_number(*abi, name).is_some()),
                    "{name}"
                );
            }
        }
    }
}

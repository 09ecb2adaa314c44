//! Processes: records of their beginning, change and end.

use super::FileMeta;
use super::declare::{kinds, records};

/// A process began, by fork or by being found.
pub const EVENT_FORK: u32 = 1;
/// A process executed a program.
pub const EVENT_EXEC: u32 = 2;
/// A process ended.
pub const EVENT_EXIT: u32 = 3;
/// First sight of an executable in a container.
pub const EVENT_EXE: u32 = 4;
/// First sight of a file.
pub const EVENT_FILE: u32 = 5;
/// First sight of a peer.
pub const EVENT_NETWORK: u32 = 6;
/// A rare operation.
pub const EVENT_RARE: u32 = 7;
/// A new container's cgroup.
pub const EVENT_CONTAINER: u32 = 8;

/// In a process id: the process is in no PID namespace that the probe's /proc shows. No id of the kernel has
/// this bit.
pub const HIDDEN_TGID: u32 = 1 << 31;

/// Bytes kept of the arguments of a program.
pub const MAX_ARGV: usize = 4096;
/// Bytes kept of the names of a path.
pub const MAX_PATH: usize = 8192;

/// Identity and privileges of a process at one moment.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Privileges {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Effective capabilities.
    pub effective: u64,
    /// Permitted capabilities.
    pub permitted: u64,
    /// Bounding set.
    pub bounding: u64,
    /// Seccomp mode.
    pub seccomp: u32,
    /// Not 0: no_new_privs.
    pub no_new_privs: u32,
    /// Inode numbers of the namespaces: mnt, pid, net, ipc, uts, user, cgroup; 0: unknown.
    pub namespaces: [u32; 7],
    /// Process id in its own PID namespace.
    pub ns_pid: u32,
}
records! { Privileges = 72 }

kinds! {
    /// The kind of a descriptor, the most telling last: of processes that share a row, the last one is kept.
    Stream: u8 {
        /// Not looked at.
        Unknown = 0,
        /// No descriptor has the number.
        Closed = 1,
        /// None of the others.
        Other = 2,
        /// /dev/null.
        Null = 3,
        /// A file or a directory.
        File = 4,
        /// A terminal.
        Terminal = 5,
        /// A pipe without a name.
        Pipe = 6,
        /// A pipe with a name.
        Fifo = 7,
        /// A Unix socket.
        Unix = 8,
        /// A UDP socket.
        Udp = 9,
        /// A TCP or MPTCP socket.
        Tcp = 10,
    }
}

/// Standard input, output and error of a process.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Streams {
    /// Numbers of [`Stream`].
    pub kinds: [u8; 3],
    /// Padding.
    pub pad: u8,
    /// Inode numbers of pipes and FIFOs; 0: none.
    pub pipes: [u32; 3],
}
records! { Streams = 16 }

/// A process began or was found ([`EVENT_FORK`]), or ended ([`EVENT_EXIT`]).
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ProcessEvent {
    /// One of `EVENT_…`.
    pub kind: u32,
    /// Container slot.
    pub container: u32,
    /// Executable slot.
    pub exe: u32,
    /// Process id.
    pub tgid: u32,
    /// Process id of the parent.
    pub parent_tgid: u32,
    /// Flags `TASK_…`.
    pub flags: u32,
    /// Wait status, at the end.
    pub status: u32,
    /// Padding.
    pub pad: u32,
    /// Its standard streams; not looked at when it was forked.
    pub streams: Streams,
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Privileges now.
    pub privileges: Privileges,
}
records! { ProcessEvent = 128 }

/// A process executed a program: followed by `argv_len` bytes of arguments, each ended by NUL, and
/// `cwd_len` bytes of names of the working directory, the last one first.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ExecEvent {
    /// As of any process.
    pub process: ProcessEvent,
    /// Bytes of arguments that follow.
    pub argv_len: u32,
    /// Bytes of names that follow.
    pub cwd_len: u32,
    /// Bytes of arguments that there were.
    pub argv_full: u32,
    /// Not 0: a script; its name was executed.
    pub script: u32,
    /// Effective user id before.
    pub uid_before: u32,
    /// Effective group id before.
    pub gid_before: u32,
    /// Effective capabilities before.
    pub effective_before: u64,
    /// Permitted capabilities before.
    pub permitted_before: u64,
}
records! { ExecEvent = 168 }

/// First sight of an executable in a container: followed by `path_len` bytes of names, the last one first.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ExeEvent {
    /// [`EVENT_EXE`].
    pub kind: u32,
    /// Executable slot.
    pub exe: u32,
    /// Container slot.
    pub container: u32,
    /// Process that was first.
    pub tgid: u32,
    /// About the file.
    pub meta: FileMeta,
    /// Bytes of names that follow.
    pub path_len: u32,
    /// Padding.
    pub pad: u32,
}
records! { ExeEvent = 64 }

/// The key of an executable.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ExeKey {
    /// Container slot.
    pub container: u32,
    /// Device of the file system.
    pub device: u32,
    /// Inode number.
    pub inode: u64,
    /// Inode number of the parent directory.
    pub parent: u64,
    /// Hash and length of its name.
    pub name: u64,
}
records! { ExeKey = 32 }

/// A cgroup was made below the target's pod.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ContainerEvent {
    /// [`EVENT_CONTAINER`].
    pub kind: u32,
    /// Container slot.
    pub container: u32,
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// The cgroup above it.
    pub pod_cgroup: u64,
    /// Name of its directory, ended by NUL.
    pub name: [u8; super::CGROUP_NAME],
}
records! { ContainerEvent = 24 + super::CGROUP_NAME }

//! Labels: what is known of each task of the target.

use super::declare::records;

/// The container slot of the probe's own sentinel: thrown away before the window opens.
pub const SENTINEL_CONTAINER: u32 = 0;
/// In place of a container slot: the process is no part of the target, whatever its cgroup.
pub const NO_CONTAINER: u32 = 0xffff;
/// Container slots.
pub const MAX_CONTAINERS: u32 = 1024;
/// Slots of tasks, from 1 on: their records take 4 MiB, the most that older kernels let one value have.
pub const MAX_TASKS: u32 = 16_384;
/// Executable slots, each of one executable in one container.
pub const MAX_EXES: u32 = 2048;
/// The executable slot of everything that found no free one.
pub const OTHER_EXE: u32 = 0;
/// Entered from outside the target's tree: by a cgroup move, or by clone into a cgroup.
pub const TASK_ENTERED: u32 = 1;
/// Labelled while it ran: a system call may be under way that nobody saw begin.
pub const TASK_MAY_BE_IN_CALL: u32 = 2;
/// Has not executed a program of the container yet.
pub const TASK_RUNTIME: u32 = 4;
/// Waits to execute the command: nothing is counted before.
pub const TASK_PENDING: u32 = 8;
/// The last call was rolled back, to begin anew when the task goes on; it may be about to end instead.
pub const TASK_ROLLED_BACK: u32 = 16;
/// The call has opened a file by its name, or failed to.
pub const TASK_OPENED: u32 = 32;
/// Has not returned yet from the call that made it.
pub const TASK_NEW: u32 = 64;
/// Made before the window: a system call may be under way, as after `TASK_MAY_BE_IN_CALL`.
pub const TASK_BORN_BEFORE: u32 = 128;

/// One task of the target; lives in a slot, from 1 on, that the map `TASKS` names by `task_struct`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct TaskRecord {
    /// Container slot.
    pub container: u32,
    /// Executable slot.
    pub exe: u32,
    /// Flags `TASK_…`.
    pub flags: u32,
    /// Between entry and return of a system call: `IN_…_CALL`; 0: it is not.
    pub in_call: u32,
    /// Its abi, of `ABI_…`.
    pub abi: u32,
    /// Its row; 0: none was free.
    pub row: u32,
    /// State of the random number generator that picks calls to time.
    pub chance: u32,
    /// Row of the first descriptor's file, or of its peer with [`SOCKET_FIRST`]; 0: none.
    pub first_row: u32,
    /// Row of the second descriptor's file, or of its peer with [`SOCKET_SECOND`]; 0: none.
    pub second_row: u32,
    /// Facts about the call's descriptors beyond that, flags `SOCKET_…` and `DESTINATION_…`.
    pub sockets: u32,
    /// Effective user id when last looked at.
    pub uid: u32,
    /// Effective group id when last looked at.
    pub gid: u32,
    /// Effective capabilities when last looked at.
    pub caps: u64,
    /// Permitted capabilities when last looked at.
    pub permitted: u64,
    /// An errno of this call that is not counted in its row yet.
    pub errno: u32,
    /// The machine word that says which abi the last call had; [`NO_CONVENTION`] when the next one must be
    /// looked at anew: by another executable, or with a flag that it ends.
    pub convention: u32,
    /// The call's number, all of the register. With the same convention, `row` and `kind` are those of the
    /// next one.
    pub id: u64,
    /// `task_struct`.
    pub task: u64,
    /// Its `struct pt_regs`, once it has made a call.
    pub regs: u64,
    /// Address of the machine word that `convention` is taken from.
    pub convention_at: u64,
    /// Returns of this call since it is the last one: not counted in its row yet.
    pub returns: u64,
    /// Returns among them with `errno`.
    pub failures: u64,
    /// The effect of the call, as `CallKind::to_word`.
    pub kind: u64,
    /// `struct sock` of the first descriptor; 0: it is no socket, or the call needs none.
    pub sock: u64,
    /// Inode number of that socket.
    pub sock_number: u64,
    /// The capability that a check under way asks for, as [`super::ASKED`] says; 0: none is.
    pub asked: u32,
    /// Row of the file that the kernel resolved for this call's first name; 0: none.
    pub settled_first: u32,
    /// The same of its second name.
    pub settled_second: u32,
    /// The descriptor of the directory that the name of `opening` is relative to.
    pub opening_at: u32,
    /// `struct filename` of an opening that is under way.
    pub opening: u64,
    /// When the call began, by the monotonic clock, where that is measured.
    pub entered_ns: u64,
    /// `struct sock` by which the task asks a resolver, if it does.
    pub resolver: u64,
    /// `struct file` of the first descriptor when the call began; 0: nobody else could have replaced it
    /// since.
    pub file: u64,
    /// The row that `moves_in` and the following belong to, and [`MOVED_PEER`]; 0: none.
    pub moved: u64,
    /// Reads, not counted in that row yet.
    pub moves_in: u64,
    /// Writes.
    pub moves_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Returns of this call that were not timed since the last one that was.
    pub untimed: u32,
    /// Process id, as the probe's /proc has it.
    pub tgid: u32,
    /// The bucket of that one.
    pub bucket: u32,
    /// Timed returns of this call in a row that were quick.
    pub quick: u32,
    /// `convention` if this call is nothing but counted: when it begins again, there is nothing to find out.
    pub repeats: u32,
    /// Its own slot.
    pub slot: u32,
}
records! { TaskRecord = 256 }

/// Where the datagrams of a task's call go; lives in the task's slot of a table of its own.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Destinations {
    /// Where the kernel sends this call's datagram, as a `struct sockaddr_in` or `sockaddr_in6`.
    pub sent: [u32; 7],
    /// The same as the caller's memory says it.
    pub said: [u32; 7],
    /// One number for all datagrams of this call, by where the kernel sends them.
    pub sent_all: u64,
    /// The same without the last one, which may not have been sent; 0: there was no other.
    pub sent_before: u64,
    /// The same by where the caller's memory says that they go.
    pub said_all: u64,
}
records! { Destinations = 80 }

/// In [`TaskRecord::sockets`]: `first_row` is a peer's.
pub const SOCKET_FIRST: u32 = 1;
/// In [`TaskRecord::sockets`]: `second_row` is a peer's.
pub const SOCKET_SECOND: u32 = 2;
/// In [`TaskRecord::sockets`]: the kernel has said where it sends, in the slot's [`Destinations`].
pub const DESTINATION_SENT: u32 = 4;
/// In [`TaskRecord::sockets`]: the caller's memory has, there.
pub const DESTINATION_SAID: u32 = 8;

/// In [`TaskRecord::moved`]: the row is a peer's, not a file's.
pub const MOVED_PEER: u64 = 1 << 32;

/// In a system call.
pub const IN_CALL: u32 = 1;
/// In a system call that is nothing but counted, as the last one was.
pub const IN_PLAIN_CALL: u32 = 2;
/// In a system call that began at `entered_ns`.
pub const IN_TIMED_CALL: u32 = 4;
/// In a system call that is not timed, and began at the tick `entered_ns`.
pub const IN_UNTIMED_CALL: u32 = 8;

/// No call has such a convention.
pub const NO_CONVENTION: u32 = u32::MAX;

/// The task that ran last on a CPU, and its slot. A task's registers lie at a place of its own stack: their
/// address says which task it is, like its `task_struct`, and a hook on system calls has it at hand.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct CpuCache {
    /// `task_struct`.
    pub task: u64,
    /// Its `struct pt_regs`; 0: not known.
    pub regs: u64,
    /// [`super::State::epoch`] when the slot was found.
    pub epoch: u64,
    /// Its slot; 0: not of the target.
    pub slot: u64,
    /// Where its record is, in bytes from the first; beyond the last: not of the target.
    pub record: u64,
    /// Padding.
    pub pad: [u64; 3],
}
records! { CpuCache = 64 }
/// CPUs that have a cache; those beyond look into the map each time.
pub const CACHED_CPUS: usize = 512;

/// Typed pointers on their way to become numbers: one place for the hooks that run for a task, and
/// one for each that may interrupt them.
pub type Numbers = [u64; 4];

/// A cgroup of the target.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CgroupEntry {
    /// One of `CGROUP_…`.
    pub kind: u32,
    /// Container slot, of a container's cgroup.
    pub container: u32,
}
records! { CgroupEntry = 8 }

/// The cgroup of a pod: every cgroup made right below it is a new container.
pub const CGROUP_POD: u32 = 1;
/// The cgroup of a container.
pub const CGROUP_CONTAINER: u32 = 2;

/// Levels of cgroups looked at above a task.
pub const CGROUP_LEVELS: usize = 12;
/// Bytes kept of a cgroup's name, the terminating NUL included.
pub const CGROUP_NAME: usize = 96;

/// One process, as [`super::SCAN_LIST`] writes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ListedTask {
    /// Process id.
    pub tgid: u32,
    /// Its parent's process id.
    pub parent_tgid: u32,
    /// Number of `cgroups` in use, from the task's own upwards.
    pub n_levels: u32,
    /// Not 0: a kernel thread.
    pub kernel_thread: u32,
    /// The cgroups.
    pub cgroups: [ListedCgroup; CGROUP_LEVELS],
}
records! { ListedTask = 16 + CGROUP_LEVELS * 104 }

/// One cgroup above a listed process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ListedCgroup {
    /// Inode number of its directory.
    pub id: u64,
    /// Name of its directory, ended by NUL.
    pub name: [u8; CGROUP_NAME],
}
records! { ListedCgroup = 104 }

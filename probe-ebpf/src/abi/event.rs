//! Rare and telling operations, and capabilities.

use super::declare::records;

/// User ids, group ids or capabilities changed: values are old uid, old gid, new uid, new gid.
pub const RARE_CREDENTIALS: u32 = 1;
/// ptrace: values are request and target.
pub const RARE_PTRACE: u32 = 2;
/// mount and its kin: values are number of the system call and flags.
pub const RARE_MOUNT: u32 = 3;
/// setns: values are namespace type and number of the system call.
pub const RARE_SETNS: u32 = 4;
/// unshare, or a clone that makes namespaces: value is the flags.
pub const RARE_UNSHARE: u32 = 5;
/// A program without a file was executed.
pub const RARE_MEMFD_EXEC: u32 = 6;
/// A module was loaded: the text is its name, value 3 the number of the system call, if one is under way.
/// With value 2 not 0, the kernel asked for one by that name. Without a text: init_module, finit_module.
pub const RARE_MODULE_LOAD: u32 = 7;
/// bpf: value is the command.
pub const RARE_BPF: u32 = 8;
/// keyctl: value is the operation.
pub const RARE_KEYCTL: u32 = 9;
/// userfaultfd: value is the flags.
pub const RARE_USERFAULTFD: u32 = 10;
/// perf_event_open: value is the process.
pub const RARE_PERF: u32 = 11;
/// A signal to a process outside the target: values are signal and target; the text is its comm.
pub const RARE_SIGNAL: u32 = 12;

/// Bytes kept of a text.
pub const RARE_TEXT: usize = 32;

/// The key of a rare operation.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RareKey {
    /// One of `RARE_…`.
    pub kind: u32,
    /// Process.
    pub tgid: u32,
    /// As `kind` says.
    pub values: [u64; 4],
    /// Type of the file system, of a mount; otherwise as `kind` says.
    pub text: [u8; RARE_TEXT],
}
records! { RareKey = 72 }

/// First sight of a rare operation.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RareEvent {
    /// [`super::EVENT_RARE`].
    pub kind: u32,
    /// Container slot.
    pub container: u32,
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// The key; the count is in the map `EVENTS`.
    pub key: RareKey,
}
records! { RareEvent = 88 }

/// One capability of one executable.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CapabilityKey {
    /// Executable slot.
    pub exe: u32,
    /// Number of the capability.
    pub capability: u32,
}
records! { CapabilityKey = 8 }

/// How checks of a capability ended.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct CapabilityRow {
    /// Granted.
    pub used: u64,
    /// Refused.
    pub denied: u64,
    /// Only asked, without need.
    pub probed: u64,
}
records! { CapabilityRow = 24 }

/// In [`super::TaskRecord::asked`]: a check is under way; the capability is in the lowest byte, its
/// options are in the next.
pub const ASKED: u32 = 1 << 31;

//! The part that changes while the programs run: the switch, and counters that make caches stale.

use super::declare::records;

/// Tasks are labelled, nothing is counted.
pub const NOT_OPEN: u32 = 0;
/// Everything is counted.
pub const OPEN: u32 = 1;
/// Nothing is counted or labelled any more; labels and records stay as they are.
pub const CLOSED: u32 = 2;

/// The part that changes while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct State {
    /// [`NOT_OPEN`], [`OPEN`] or [`CLOSED`].
    pub open: u32,
    /// The work of the task iterator: [`SCAN_LIST`] or [`SCAN_LABEL`].
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

//! Typed reads of kernel structures, one file per structure.
//!
//! Addresses are plain numbers; an address of 0, or one that can't be read, reads as 0. Functions
//! that are not inlined take numbers only and are exported: the verifier then checks each of them
//! once, not once for every call.

pub(crate) mod cgroup;
pub(crate) mod clock;
pub(crate) mod cred;
pub(crate) mod file;
pub(crate) mod hook;
pub(crate) mod memory;
pub(crate) mod path;
pub(crate) mod regs;
pub(crate) mod sock;
pub(crate) mod task;

//! Rare and telling operations.

use super::Time;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One kind of rare operation of one process row, with equal details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// When it was first seen.
    pub time: Time,
    /// The type of the event.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Id of the process row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Text>,
    /// How often.
    pub count: u64,
    /// The details that docs/profile.md lists for the type.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub details: BTreeMap<Text, Text>,
}

/// Types of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventType {
    /// User ids, group ids or capabilities changed.
    Credentials,
    /// One process traced another.
    Ptrace,
    /// A file system was mounted, moved or unmounted.
    Mount,
    /// A namespace was entered.
    Setns,
    /// A namespace was made.
    Unshare,
    /// A kernel module was loaded.
    ModuleLoad,
    /// The bpf system call.
    Bpf,
    /// A program without a file was executed.
    MemfdExec,
    /// A signal left the container.
    Signal,
    /// The kernel's key rings.
    Keyctl,
    /// A userfaultfd was made.
    Userfaultfd,
    /// The perf_event_open system call.
    Perf,
}

//! The Profile document, version 1: `kind: Profile`, one file per part of it.
//!
//! Conventions (docs/profile.md explains every field): an absent field is unknown, 0 is counted
//! and none. Counts and bytes stay below 2^53. Times are RFC 3339 in UTC. Paths are strings whose
//! bytes that are not UTF-8 stand as `\xNN`, and whose backslashes stand as `\\`.

mod baseline;
mod capability;
mod completeness;
mod container;
mod drift;
mod event;
mod file;
mod finding;
mod network;
mod node;
mod process;
mod session;
mod severity;
mod syscall;
mod time;

pub use baseline::{
    Baseline, BaselineContainer, BaselineKind, BaselineMetadata, BaselineWindow, BaselineWorkload,
    CapabilityRow, Coverage, DnsRow, EdgeRow, Enough, EventRow, Explain, ExplainedBy, FileRow,
    ListenRow, NotSeen, PeerRow, Phase, ProcessRow, Seen, Support, SyscallRow, WindowCounts,
};
pub use capability::{CapabilityMethod, CapabilityUse};
pub use completeness::{Completeness, Dimension, DimensionCompleteness, DimensionState};
pub use container::{Container, NotRunning, OwnerReference, SecurityContext, Volume};
pub use drift::{
    Change, Drift, DriftKind, DriftRow, DriftSide, DriftSummary, IncompleteRow, NotComparable,
    RowValue,
};
pub use event::{Event, EventType};
pub use file::{File, FileOperation, Mount, MountKind, NameSource, Owner};
pub use finding::{
    Confidence, Finding, Findings, FindingsKind, Incident, JudgedProfile, Moment, NotJudged,
};
pub use network::{
    Direction, Dns, Endpoint, Network, ObjectName, PathHop, Protocol, Remote, Workload,
};
pub use node::{CgroupVersion, Cost, Hook, HookState, Lost, Node, Tier};
pub use process::{
    CapabilitySets, Layer, NamespaceOwner, Origin, Package, Process, SeccompMode, Stream,
};
pub use session::{LabelMode, Session, Target, Tool};
pub use severity::Severity;
pub use syscall::{Abi, Latency, Syscall};
pub use time::Time;

use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The `apiVersion` of every document this crate writes.
pub const API_VERSION: &str = "procmon/v1";
/// The `schemaVersion` of every document this crate writes.
pub const SCHEMA_VERSION: &str = "1.3";

/// A name to a number of times; a name that is absent was seen 0 times while the dimension is complete.
pub type Counts = BTreeMap<Text, u64>;

/// The `kind` of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Kind {
    /// The facts of one session.
    #[default]
    Profile,
}

/// The facts of one session, from all its nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Profile {
    /// Always `procmon/v1`.
    pub api_version: Text,
    /// Version of the fields: readers accept any minor of the major they know.
    pub schema_version: Text,
    /// Always `Profile`.
    pub kind: Kind,
    /// When, of what and by what.
    pub session: Session,
    /// One row per node that was asked, sorted by name; one that failed says why.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub nodes: Vec<Node>,
    /// One row per container, sorted by namespace, pod, container and id.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub containers: Vec<Container>,
    /// Containers of the target that did not run within the window, sorted by namespace, pod and container.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub not_running: Vec<NotRunning>,
    /// How far the document can be relied on.
    pub completeness: Completeness,
    /// Findings of the built-in rules, the most severe first; `check` tells more. Since schema 1.3.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::rows"
    )]
    pub findings: Vec<Finding>,
}

/// Shows a value by the word that documents have for it: serde's attributes are the only list of words.
macro_rules! show_as_in_documents {
    ($($name:ident),* $(,)?) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.serialize(formatter)
            }
        }
    )*};
}

show_as_in_documents!(
    Abi,
    Change,
    Confidence,
    Dimension,
    DimensionState,
    Direction,
    EventType,
    FileOperation,
    HookState,
    Layer,
    NamespaceOwner,
    Origin,
    Protocol,
    Severity,
    Stream,
    Tier,
);

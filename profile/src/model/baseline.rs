//! The Baseline document: what several windows of one workload showed, generalized.

use super::{Abi, Dimension, Direction, EventType, FileOperation, Layer, Origin, Protocol, Time};
use crate::bounds::MAX_WINDOWS;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The known behaviour of a workload. Equal facts give equal bytes: everything is sorted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Baseline {
    /// Always `procmon/v1`.
    pub api_version: Text,
    /// Version of the fields.
    pub schema_version: Text,
    /// Always `Baseline`.
    pub kind: BaselineKind,
    /// The workload that it belongs to.
    pub metadata: BaselineMetadata,
    /// The windows that it was made from, sorted by container, start, session and instance.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub windows: Vec<BaselineWindow>,
    /// The known behaviour by container name.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub containers: Vec<BaselineContainer>,
}

/// The `kind` of a Baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BaselineKind {
    /// The only one.
    #[default]
    Baseline,
}

/// The workload that a baseline belongs to, and who may change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BaselineMetadata {
    /// Its name.
    pub name: Text,
    /// The workload.
    pub workload: BaselineWorkload,
    /// Architectures of the nodes, in Kubernetes' words.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub architectures: BTreeSet<Text>,
    /// Changes only by force.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Who did what by force, who accepted what.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub notes: BTreeSet<Text>,
}

/// The topmost controller of the pods; on one machine, the program that was begun with.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BaselineWorkload {
    /// `Deployment`, …, `Pod`; `Program` on one machine.
    pub kind: Text,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// Its name; the path of an executable on one machine.
    pub name: Text,
}

/// One window of one instance of one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BaselineWindow {
    /// Name of the container.
    pub container: Text,
    /// When it opened; empty when the profile does not say.
    pub started_at: Time,
    /// The session.
    pub session: Text,
    /// The pod and the container's id, where there are such.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub instance: Text,
    /// Its length.
    #[serde(deserialize_with = "crate::bounds::numbers")]
    pub window_seconds: f64,
    /// The container started within it.
    pub from_start: bool,
    /// The container, or the command, ended within it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_end: bool,
    /// All dimensions that this kernel can show were complete.
    pub complete: bool,
    /// Dimensions that can't be relied on, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub incomplete: BTreeMap<Dimension, Text>,
    /// Dimensions of `incomplete` that the kernel can't show at all; the others are partial. Since
    /// schema 1.2.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub missing: BTreeSet<Dimension>,
    /// Means that were used within the window and that no row can show, by dimension.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub not_looked_at: BTreeMap<Dimension, BTreeSet<Text>>,
}

/// The known behaviour of one container, by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BaselineContainer {
    /// Its name; `local` on one machine.
    pub name: Text,
    /// Digests of the images that it was seen with.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub image_digests: BTreeSet<Text>,
    /// Addresses of the resolvers that answered: what they answer proves the names of peers. At
    /// most 256, the first in their order.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub resolvers: BTreeSet<Text>,
    /// Programs with the shapes of their arguments.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub processes: Vec<ProcessRow>,
    /// Which program executes which.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub edges: Vec<EdgeRow>,
    /// System calls.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub syscalls: Vec<SyscallRow>,
    /// Files.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub files: Vec<FileRow>,
    /// Peers.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub network: Vec<PeerRow>,
    /// Listening sockets.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub listen: Vec<ListenRow>,
    /// Names asked of a resolver.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub dns: Vec<DnsRow>,
    /// Capabilities asked for.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub capabilities: Vec<CapabilityRow>,
    /// Rare and telling operations.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub events: Vec<EventRow>,
    /// Whether the windows were long enough, by dimension.
    #[serde(default)]
    pub coverage: BTreeMap<Dimension, Coverage>,
    /// Aspects that no window saw: coverage tells nothing of them.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub not_seen: BTreeSet<NotSeen>,
}

/// An aspect that the windows of a baseline may all lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NotSeen {
    /// A start of the container.
    Start,
    /// An end of it.
    End,
    /// A minute: all of them together are shorter.
    Minute,
}

impl BaselineContainer {
    /// Number of its rows, of all dimensions.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.processes.len()
            + self.edges.len()
            + self.syscalls.len()
            + self.files.len()
            + self.network.len()
            + self.listen.len()
            + self.dns.len()
            + self.capabilities.len()
            + self.events.len()
    }
}

/// In which windows a row was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Seen {
    /// In how many of how many windows.
    pub support: Support,
    /// Start of the first window that has it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub first_seen: Time,
    /// Start of the last window that has it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub last_seen: Time,
    /// Whether it belongs to the start.
    pub phase: Phase,
    /// Somebody said that it is right; no window shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
    /// The values that its wildcards stand for.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::wildcards"
    )]
    pub explain: Vec<Explain>,
}

/// Windows that have a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Support {
    /// Windows that have the row.
    pub seen: u32,
    /// Windows of the container whose dimension is complete, or that have the row.
    pub of: u32,
    /// How often in each of the container's windows, in their order.
    pub counts: WindowCounts,
}

/// Counts by window of the container, as numbers separated by spaces; those left out at the end are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(with = "String")
)]
pub struct WindowCounts(pub Vec<u64>);

impl From<WindowCounts> for String {
    fn from(counts: WindowCounts) -> Self {
        let words: Vec<String> = counts.0.iter().map(u64::to_string).collect();
        words.join(" ")
    }
}

impl TryFrom<String> for WindowCounts {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let words = || text.split_ascii_whitespace();
        if words().nth(MAX_WINDOWS).is_some() {
            return Err(format!("counts of more than {MAX_WINDOWS} windows"));
        }
        words()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|error| format!("counts that are no numbers: {error}"))
    }
}

/// When in the life of a container something happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Phase {
    /// Only in windows that saw the container start.
    Start,
    /// Only in windows of a container that ran.
    #[default]
    Steady,
    /// In both.
    Both,
}

/// The values that one wildcard stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explain {
    /// Which part of the pattern: of a path, the component counted from 0; of arguments, the argument.
    pub part: u32,
    /// Who made it.
    pub by: ExplainedBy,
    /// Name of the rule, of one that a rule made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Text>,
    /// Up to 10 of the values, the first in their order.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub values: BTreeSet<Text>,
}

/// The reason for a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ExplainedBy {
    /// The windows show that the part varies.
    Learned,
    /// A built-in rule.
    Rule,
}

/// A program with arguments of one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessRow {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Arguments, with `*` for what varies.
    #[serde(deserialize_with = "crate::bounds::arguments")]
    pub argv: Vec<Text>,
    /// Titles that the processes wrote over their arguments, with `*` for what varies.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub titles: BTreeSet<Text>,
    /// Effective user id.
    pub uid: u32,
    /// How it came into the container.
    pub origin: Origin,
    /// Effective capabilities that some of them had.
    #[serde(default)]
    pub capabilities: BTreeSet<Text>,
    /// All of them had `no_new_privs`; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_privs: Option<bool>,
    /// All of them had a seccomp filter; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<bool>,
    /// Where the executable's bytes came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One program executes another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EdgeRow {
    /// Path of the parent's executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub parent: Text,
    /// Path of the child's executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub child: Text,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One system call of one executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyscallRow {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// The calling convention.
    pub abi: Abi,
    /// Its name.
    pub name: Text,
    /// Names of the errnos that it failed with.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub errors: BTreeSet<Text>,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One file, or files of one pattern, as one executable uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileRow {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Path; `*` stands for what varies within a component, `**` for any components, `\*` for a star.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub path: Text,
    /// The operations on it.
    #[serde(default)]
    pub operations: BTreeSet<FileOperation>,
    /// Names of the errnos that calls on it failed with.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub errors: BTreeSet<Text>,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One peer of one executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerRow {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Protocol of the socket.
    pub protocol: Protocol,
    /// Who began.
    pub direction: Direction,
    /// `Deployment/NAMESPACE/NAME`, `service/NAMESPACE/NAME`, `node`, `name/DNS`, an address, a
    /// CIDR, a path; of inbound rows without such a name `loopback`, `private` or `public`. A DNS name
    /// stands there only when a resolver that the baseline knows answered it.
    pub peer: Text,
    /// Port of the service: the remote one of outbound rows, the local one of inbound rows; `*` for
    /// ephemeral ones; empty without ports.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub port: Text,
    /// Connections were made or payload moved.
    pub reached: bool,
    /// Names of the errnos of what failed.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub failures: BTreeSet<Text>,
    /// Names that resolvers answered for it: at most 256, the first in their order.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub names: BTreeSet<Text>,
    /// Names that nothing proves, such as those in TLS greetings: at most 256.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub claimed: BTreeSet<Text>,
    /// Addresses of a peer that has a name: at most 256. Addresses of objects of the cluster are
    /// left out, except public ones.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub addresses: BTreeSet<Text>,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListenRow {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Protocol of the socket.
    pub protocol: Protocol,
    /// Address, or path of a Unix socket; the pod's own address is `pod`.
    pub address: Text,
    /// Port; `*` for ephemeral ones; empty without ports.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub port: Text,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One name asked of a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DnsRow {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// The name; a `*` for a first label that varies.
    pub name: Text,
    /// `A`, `AAAA`, …
    #[serde(rename = "type")]
    pub record_type: Text,
    /// In a Drift, addresses of the resolvers that answered. A baseline keeps those of all names in
    /// one list.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub resolvers: BTreeSet<Text>,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One capability of one executable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapabilityRow {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// `CAP_…`.
    pub name: Text,
    /// A check was granted.
    pub used: bool,
    /// A check was refused.
    pub denied: bool,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// One kind of rare operation of one executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventRow {
    /// Path of the executable; empty when it is not known.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// The type of the event.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The details that matter.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub details: BTreeMap<Text, Text>,
    /// In which windows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// Whether the windows were long enough for one dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Coverage {
    /// The estimated share of what happens that the baseline holds, 0 to 1: the smaller of two
    /// Good–Turing estimates, by observations and by windows.
    #[serde(deserialize_with = "crate::bounds::numbers")]
    pub estimate: f64,
    /// The same after each window more.
    #[serde(deserialize_with = "crate::bounds::numbers")]
    pub trend: Vec<f64>,
    /// Rows that the baseline holds.
    pub rows: u64,
    /// At least so many rows are still unseen: Chao's lower bound.
    #[serde(deserialize_with = "crate::bounds::numbers")]
    pub unseen_rows: f64,
    /// Whether the baseline is long enough. Since schema 1.2.
    #[serde(default)]
    pub enough: Enough,
    /// The same in words: what it lacks, and how much more to record.
    pub verdict: Text,
}

/// Whether a baseline is long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Enough {
    /// It is.
    Yes,
    /// It is for the load that its windows saw, which is not all: one window, no start, or less than a
    /// minute.
    ForWhatWasSeen,
    /// It is not, or that can't be told yet.
    #[default]
    No,
}

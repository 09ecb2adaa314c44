//! The Drift document: how a Profile differs from a Baseline.

use super::{
    BaselineWorkload, CapabilityRow, Dimension, DnsRow, EdgeRow, EventRow, FileRow, ListenRow,
    PeerRow, ProcessRow, Severity, SyscallRow,
};
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The differences between a baseline and a profile: new, gone or changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Drift {
    /// Always `procmon/v1`.
    pub api_version: Text,
    /// Version of the fields.
    pub schema_version: Text,
    /// Always `Drift`.
    pub kind: DriftKind,
    /// The baseline of the comparison.
    pub baseline: DriftSide,
    /// The profile of the comparison.
    pub profile: DriftSide,
    /// Every dimension that one side has could be compared, on every node.
    pub comparable: bool,
    /// Differences: by container, then the most severe first.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub rows: Vec<DriftRow>,
    /// Dimensions that could not be compared as a whole: rows there are true, what is missing is not known.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub not_comparable: Vec<NotComparable>,
    /// Dimensions that neither side has, since no kernel of theirs can show them: nothing is lost.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::rows"
    )]
    pub missing: Vec<NotComparable>,
    /// Nodes that have no part in the profile: it says nothing of what runs there. Since schema 1.2.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::rows"
    )]
    pub incomplete_nodes: Vec<Text>,
    /// Sentences for the reader.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::rows"
    )]
    pub notes: Vec<Text>,
    /// Numbers of rows.
    pub summary: DriftSummary,
}

/// The `kind` of a Drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DriftKind {
    /// The only one.
    #[default]
    Drift,
}

/// One of the two that were compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DriftSide {
    /// File, `cm/NAME` or target, as the user named it.
    pub name: Text,
    /// The workload.
    pub workload: BaselineWorkload,
    /// Sessions that it was made from.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub sessions: Vec<Text>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DriftRow {
    /// 32 hexadecimal digits that name this difference: equal for equal differences. The first 16
    /// are enough for `--row`.
    pub id: Text,
    /// The kind of difference.
    pub change: Change,
    /// The dimension.
    pub dimension: Dimension,
    /// Name of the container.
    pub container: Text,
    /// How severe the difference is.
    pub severity: Severity,
    /// The difference, in words that stay the same.
    pub key: Text,
    /// The row that accepting adds; of a row that is gone, the baseline's. A dimension that is
    /// incomplete is not a row of a baseline: it can't be accepted.
    pub value: RowValue,
    /// Why the baseline does not cover it, and why it matters.
    pub reason: Text,
    /// Key of the baseline's row that comes nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Text>,
    /// JSON pointers into the profile.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub evidence: Vec<Text>,
    /// The command that accepts it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub accept: Text,
}

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Change {
    /// The baseline has no such row.
    New,
    /// The baseline has the row, but not all that it does now.
    Changed,
    /// The baseline saw it in every window, and this profile does not.
    Gone,
}

/// A row of a Baseline, of any dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RowValue {
    /// A row of `processes`.
    Process(ProcessRow),
    /// A row of `edges`.
    Edge(EdgeRow),
    /// A row of `syscalls`.
    Syscall(SyscallRow),
    /// A row of `files`.
    File(FileRow),
    /// A row of `network`.
    Peer(PeerRow),
    /// A row of `listen`.
    Listen(ListenRow),
    /// A row of `dns`.
    Dns(DnsRow),
    /// A row of `capabilities`.
    Capability(CapabilityRow),
    /// A row of `events`.
    Event(EventRow),
    /// A row that is in no list: a dimension that was complete in the baseline is not in the profile.
    Incomplete(IncompleteRow),
}

/// A dimension that the profile does not show as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IncompleteRow {
    /// `partial` or `missing`, and why.
    pub reason: Text,
}

/// A dimension that could not be compared, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotComparable {
    /// Name of the container.
    pub container: Text,
    /// The dimension.
    pub dimension: Dimension,
    /// Why.
    pub reason: Text,
}

/// Numbers of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DriftSummary {
    /// Rows that are new.
    pub new: u64,
    /// Rows that are gone.
    pub gone: u64,
    /// Rows that changed.
    pub changed: u64,
    /// Rows by severity.
    pub by_severity: BTreeMap<Severity, u64>,
}

impl DriftSummary {
    /// Counts rows.
    #[must_use]
    pub fn of(rows: &[DriftRow]) -> Self {
        let mut summary = Self {
            by_severity: Severity::count(rows.iter().map(|row| row.severity)),
            ..Self::default()
        };
        for row in rows {
            match row.change {
                Change::New => summary.new += 1,
                Change::Changed => summary.changed += 1,
                Change::Gone => summary.gone += 1,
            }
        }
        summary
    }
}

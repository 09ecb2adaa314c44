//! How far a profile can be relied on.

use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How far the whole document can be relied on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Completeness {
    /// True when every node answered whole and no dimension is partial. A dimension that is
    /// missing, since this kernel or version cannot show it, says so under `dimensions`.
    pub complete: bool,
    /// The share of the window asked for that was captured, 0 to 1; absent without a fixed window.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::numbers"
    )]
    pub window_covered: Option<f64>,
    /// The state of each dimension.
    pub dimensions: BTreeMap<Dimension, DimensionCompleteness>,
    /// 1 minus the Good–Turing estimate of what is still unseen, by dimension.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::bounds::numbers"
    )]
    pub coverage: BTreeMap<Dimension, f64>,
    /// Sentences for the reader, sorted.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub notes: Vec<Text>,
}

/// A family of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Dimension {
    /// `processes[]`.
    Processes,
    /// `syscalls[]`.
    Syscalls,
    /// `files[]`.
    Files,
    /// `network[]`.
    Network,
    /// `dns[]`.
    Dns,
    /// `capabilities[]`.
    Capabilities,
    /// `events[]`.
    Events,
}

impl Dimension {
    /// Every dimension, in the order of the document.
    pub const ALL: [Self; 7] = [
        Self::Processes,
        Self::Syscalls,
        Self::Files,
        Self::Network,
        Self::Dns,
        Self::Capabilities,
        Self::Events,
    ];
}

/// State of one dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DimensionCompleteness {
    /// How complete it is.
    pub state: DimensionState,
    /// Why it is not complete, sorted.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub reasons: BTreeSet<Text>,
    /// Means that the target used and that no row of the dimension can show, since no hook looks at them,
    /// sorted.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub not_looked_at: BTreeSet<Text>,
}

/// How complete a dimension is. The order is from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DimensionState {
    /// Everything that happened is there.
    #[default]
    Complete,
    /// Something is known to be missing.
    Partial,
    /// Nothing was captured.
    Missing,
}

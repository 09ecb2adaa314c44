//! How severe something is.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How severe something is. The order is from least to most.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Unusual, mostly harmless.
    Low,
    /// To be looked at.
    Medium,
    /// Likely to be harmful.
    High,
    /// Harmful unless somebody knows better.
    Critical,
}

impl Severity {
    /// All of them, the most severe first.
    pub const ALL: [Self; 5] = [
        Self::Critical,
        Self::High,
        Self::Medium,
        Self::Low,
        Self::Info,
    ];

    /// Numbers by severity; each has one, 0 too.
    #[must_use]
    pub fn count(all: impl Iterator<Item = Self>) -> BTreeMap<Self, u64> {
        let mut counts: BTreeMap<Self, u64> = Self::ALL.map(|severity| (severity, 0)).into();
        for severity in all {
            *counts.entry(severity).or_default() += 1;
        }
        counts
    }
}

//! How far a profile can be relied on.

use crate::model::{Dimension, DimensionCompleteness, DimensionState};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Coverage: 1 minus the Good–Turing estimate of the share of what is still unseen.
/// `seen_once` is the number of rows seen once, `observations` the sum of all rows.
///
/// ```
/// use procmon_profile::completeness::coverage;
/// assert_eq!(coverage(0, 10), 1.0);
/// assert_eq!(coverage(5, 10), 0.5);
/// assert_eq!(coverage(0, 0), 0.0);
/// ```
#[must_use]
pub fn coverage(seen_once: u64, observations: u64) -> f64 {
    if observations == 0 {
        return 0.0;
    }
    (1.0 - seen_once as f64 / observations as f64).clamp(0.0, 1.0)
}

/// Worsens a dimension, and says why.
pub fn worsen(
    dimensions: &mut BTreeMap<Dimension, DimensionCompleteness>,
    dimension: Dimension,
    state: DimensionState,
    reason: Text,
) {
    let entry = dimensions
        .entry(dimension)
        .or_insert_with(|| DimensionCompleteness {
            state: DimensionState::Complete,
            reasons: BTreeSet::new(),
        });
    entry.state = entry.state.max(state);
    entry.reasons.insert(reason);
}

/// Reasons in one line.
#[must_use]
pub fn joined(reasons: &BTreeSet<Text>) -> String {
    let reasons: Vec<&str> = reasons.iter().map(Text::as_str).collect();
    reasons.join("; ")
}

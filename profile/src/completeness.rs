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
    let entry = dimensions.entry(dimension).or_default();
    entry.state = entry.state.max(state);
    entry.reasons.insert(reason);
}

/// Reasons that one line has room for, and bytes of each.
const MAX_SAID: (usize, usize) = (16, 1024);

/// Reasons in one line. It is repeated for each container and window, so it has bounds: of very many
/// or very long reasons it says the beginning, and how many there are.
///
/// ```
/// use procmon_profile::completeness::joined;
/// assert_eq!(joined(&["b".into(), "a".into()].into()), "a; b");
/// ```
#[must_use]
pub fn joined(reasons: &BTreeSet<Text>) -> String {
    let said: Vec<&str> = reasons
        .iter()
        .take(MAX_SAID.0)
        .map(|reason| reason.start(MAX_SAID.1))
        .collect();
    let more = reasons.len() - said.len();
    let said = said.join("; ");
    if more > 0 {
        format!("{said}; and {more} more reasons")
    } else {
        said
    }
}

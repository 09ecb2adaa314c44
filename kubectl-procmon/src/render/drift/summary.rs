//! A comparison in one line.

use crate::render::text::severities;
use procmon_profile::model::{Drift, NotComparable};
use std::collections::BTreeSet;

/// The two sides and the result of a comparison, in one line.
pub(crate) struct Summary {
    /// The two sides.
    compared: String,
    /// Numbers of rows, and what could not be compared.
    pub(crate) result: String,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.compared, self.result)
    }
}

pub(crate) fn summary(drift: &Drift) -> Summary {
    let counts = severities(&drift.summary.by_severity);
    // Nothing was found is one thing, nothing is there another.
    let mut result = match (counts.is_empty(), is_whole(drift)) {
        (false, _) => counts,
        (true, true) => "no drift".to_owned(),
        (true, false) => "nothing new in what was compared".to_owned(),
    };
    let rows = &drift.summary;
    if !drift.rows.is_empty() {
        result += &format!(
            " ({} new, {} changed, {} gone)",
            rows.new, rows.changed, rows.gone
        );
    }
    if !drift.not_comparable.is_empty() {
        result += &format!("; NOT comparable: {}", dimensions(&drift.not_comparable));
    } else if !drift.comparable {
        result += "; NOT comparable: what runs on nodes that did not answer";
    }
    if !drift.missing.is_empty() {
        result += &format!("; in neither: {}", dimensions(&drift.missing));
    }
    Summary {
        compared: format!("{} against {}", drift.profile.name, drift.baseline.name),
        result,
    }
}

/// Every dimension was compared.
fn is_whole(drift: &Drift) -> bool {
    drift.comparable && drift.missing.is_empty()
}

/// Each dimension once.
fn dimensions(all: &[NotComparable]) -> String {
    let words: BTreeSet<String> = all.iter().map(|row| row.dimension.to_string()).collect();
    words.into_iter().collect::<Vec<_>>().join(", ")
}

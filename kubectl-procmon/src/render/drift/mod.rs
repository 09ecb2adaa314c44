//! A Drift to text: for a person, for a pull request, for code scanning, for CI, for programs.

mod junit;
mod markdown;
mod sarif;
mod table;

use super::text::severities;
use super::{Format, Style};
use anyhow::Result;
use procmon_profile::model::{Change, Drift, NotComparable};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;

/// Writes drifts for people and for other programs' own formats.
pub(super) fn render(
    drifts: &[Drift],
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> Result<()> {
    match format {
        Format::Markdown => {
            for drift in drifts {
                markdown::render(drift, out)?;
            }
        }
        Format::Sarif => {
            let runs: Vec<_> = drifts.iter().map(sarif::run).collect();
            super::json(&super::sarif::report(&runs)?, out)?;
        }
        Format::Junit => junit::render(drifts, out)?,
        _ => {
            for drift in drifts {
                table::render(drift, style, format == Format::Wide, out)?;
            }
        }
    }
    Ok(())
}

/// One document for programs: of several a list.
pub(super) fn document(drifts: &[Drift]) -> Result<serde_json::Value> {
    Ok(match drifts {
        [one] => serde_json::to_value(one)?,
        several => {
            json!({"apiVersion": "v1", "kind": "List", "items": serde_json::to_value(several)?})
        }
    })
}

/// The two sides and the result of a comparison, in one line.
pub(crate) struct Summary {
    /// The two sides.
    compared: String,
    /// Numbers of rows, and what could not be compared.
    result: String,
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

/// What a person is shown of an id: enough to name a row, not to prove that it is the same.
fn short(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

fn sign(change: Change) -> &'static str {
    match change {
        Change::New => "+",
        Change::Changed => "~",
        Change::Gone => "-",
    }
}

//! For code scanning: one result for each row above info; the rules are the kinds of difference.

use crate::render::sarif::{Item, Run};
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Drift, DriftRow, NotComparable, Severity};
use serde_json::json;

/// The results of one comparison.
pub(super) fn run(drift: &Drift) -> Run {
    let rows = drift.rows.iter();
    Run {
        file: drift.baseline.name.to_string(),
        items: rows
            .filter(|row| row.severity > Severity::Info)
            .map(|row| item(drift, row))
            .collect(),
        successful: drift.comparable,
        notifications: notifications(drift),
    }
}

fn item(drift: &Drift, row: &DriftRow) -> Item {
    let workload = workload_name(&drift.profile.workload);
    Item {
        rule: (
            format!("drift/{}/{}", row.dimension, row.change),
            format!("{} differ from the baseline", row.dimension),
        ),
        help: None,
        severity: row.severity,
        text: format!("{}: {}", row.key, row.reason),
        fingerprint: ("drift/v2", row.id.to_string()),
        place: (
            row.container.to_string(),
            format!("{workload}/{}", row.container),
        ),
        properties: vec![
            ("evidence", json!(row.evidence)),
            ("accept", json!(row.accept)),
        ],
    }
}

/// What the reader of no results has to know: errors for what could not be compared.
fn notifications(drift: &Drift) -> Vec<(&'static str, String)> {
    let of = |row: &NotComparable| format!("{} of {}", row.dimension, row.container);
    let incomplete = drift.not_comparable.iter().map(|row| {
        let text = format!("{} can't be compared as a whole: {}", of(row), row.reason);
        ("error", text)
    });
    let missing = drift.missing.iter().map(|row| {
        let text = format!("{} is in neither document: {}", of(row), row.reason);
        ("note", text)
    });
    // Nodes that did not answer, containers that are not there.
    let level = if drift.comparable { "note" } else { "warning" };
    let notes = drift.notes.iter().map(|note| (level, note.to_string()));
    incomplete.chain(missing).chain(notes).collect()
}

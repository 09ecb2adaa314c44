//! A Drift: its summary, its rows, and what could not be compared.

use super::cells::Kind;
use super::findings::counts;
use super::head::{Fact, some_of};
use super::table::{Column, Table};
use crate::render::drift::summary;
use procmon_profile::model::{Drift, NotComparable, Severity};
use serde::Serialize;

/// The words about one comparison.
#[derive(Serialize)]
pub(super) struct View {
    title: String,
    facts: Vec<Fact>,
    counts: Vec<(Severity, u64)>,
}

/// The words about one comparison.
pub(super) fn view(drift: &Drift) -> View {
    let summary = summary(drift);
    let mut facts = vec![
        Fact::new(
            "compared",
            format!("{} with {}", drift.profile.name, drift.baseline.name),
        ),
        if drift.comparable {
            Fact::new("result", summary.result.as_str())
        } else {
            Fact::warning("result", summary.result.as_str())
        },
    ];
    let row =
        |row: &NotComparable| format!("{} of {}: {}", row.dimension, row.container, row.reason);
    let list = |name: &'static str, rows: &[NotComparable]| {
        let rows = rows.iter().map(|one| Fact::warning(name, row(one)));
        some_of(rows.collect(), "dimensions")
    };
    facts.extend(list("not comparable", &drift.not_comparable));
    facts.extend(list("in neither", &drift.missing));
    let nodes = drift.incomplete_nodes.iter();
    let nodes = nodes.map(|node| Fact::warning("without", format!("node {node}")));
    facts.extend(some_of(nodes.collect(), "nodes"));
    let notes = drift
        .notes
        .iter()
        .map(|note| Fact::new("note", note.as_str()));
    facts.extend(some_of(notes.collect(), "notes"));
    View {
        title: drift.profile.name.to_string(),
        facts,
        counts: counts(&drift.summary.by_severity),
    }
}

/// The rows, the most severe first.
pub(super) fn rows<'a>(id: &str, drift: &'a Drift) -> Table<'a> {
    let mut rows: Vec<_> = drift.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.severity));
    let all = || rows.iter().copied();
    Table::new(
        id,
        "differences",
        vec![
            Column::texts(
                "Severity",
                Kind::Severity,
                all().map(|row| row.severity.to_string()),
            ),
            Column::texts(
                "Change",
                Kind::Text,
                all().map(|row| row.change.to_string()),
            ),
            Column::texts(
                "Dimension",
                Kind::Text,
                all().map(|row| row.dimension.to_string()),
            ),
            Column::texts("Difference", Kind::Name, all().map(|row| row.key.as_str())),
            Column::texts("Reason", Kind::Text, all().map(|row| row.reason.as_str())),
            Column::texts(
                "Container",
                Kind::Name,
                all().map(|row| row.container.as_str()),
            ),
            Column::texts("Accept", Kind::Name, all().map(|row| row.accept.as_str())),
            Column::texts(
                "Nearest",
                Kind::Name,
                all().map(|row| row.nearest.as_deref().unwrap_or("")),
            )
            .in_detail(),
            Column::texts(
                "Evidence",
                Kind::Name,
                all().map(|row| row.evidence.join(" ")),
            )
            .in_detail(),
            Column::texts("Id", Kind::Name, all().map(|row| row.id.as_str())).in_detail(),
        ],
    )
}

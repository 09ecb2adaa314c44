//! For a person: the most severe first.

use super::{short, sign, summary};
use crate::render::{Style, plain};
use anyhow::Result;
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Drift, DriftRow, Severity};
use std::collections::BTreeMap;
use std::io::Write;

/// Rows of info shown before "and more".
const INFO_ROWS: usize = 10;

pub(super) fn render(drift: &Drift, style: Style, wide: bool, out: &mut dyn Write) -> Result<()> {
    header(drift, style, out)?;
    let mut containers: BTreeMap<&str, Vec<&DriftRow>> = BTreeMap::new();
    for row in &drift.rows {
        containers.entry(&row.container).or_default().push(row);
    }
    for (container, rows) in containers {
        writeln!(out, "\n{}", style.bold(container))?;
        section(&rows, style, wide, out)?;
    }
    let next = drift
        .rows
        .iter()
        .find(|row| row.severity > Severity::Info && !row.accept.is_empty());
    if let Some(row) = next {
        writeln!(out, "\nNext\n  {}", row.accept)?;
    }
    Ok(())
}

fn header(drift: &Drift, style: Style, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "\n{}",
        style.bold(&workload_name(&drift.profile.workload))
    )?;
    let line = |out: &mut dyn Write, name: &str, text: &str| writeln!(out, "  {name:<14} {text}");
    line(
        out,
        "compared",
        &format!("{} with {}", drift.profile.name, drift.baseline.name),
    )?;
    line(out, "result", &summary(drift).result)?;
    for row in &drift.not_comparable {
        line(
            out,
            "not comparable",
            &format!("{} of {}: {}", row.dimension, row.container, row.reason),
        )?;
    }
    for row in &drift.missing {
        line(
            out,
            "in neither",
            &format!("{} of {}: {}", row.dimension, row.container, row.reason),
        )?;
    }
    for note in &drift.notes {
        line(out, "note", note)?;
    }
    Ok(())
}

/// Rows of one container.
fn section(rows: &[&DriftRow], style: Style, wide: bool, out: &mut dyn Write) -> Result<()> {
    let (info, telling): (Vec<&DriftRow>, Vec<&DriftRow>) =
        rows.iter().partition(|row| row.severity == Severity::Info);
    let shown = if wide { info.len() } else { INFO_ROWS };
    let mut cells = Vec::new();
    for row in telling.into_iter().chain(info.iter().take(shown).copied()) {
        cells.push(vec![
            short(&row.id).to_owned(),
            style.severity(row.severity, 0),
            sign(row.change).to_owned(),
            row.key.to_string(),
            row.reason.to_string(),
        ]);
        if wide {
            cells.extend(details(row).into_iter().map(|text| {
                let none = String::new;
                vec![none(), none(), none(), text, none()]
            }));
        }
    }
    let width = style.width.filter(|_| !wide);
    let width = width.map(|width| width.saturating_sub(2));
    let header = ["ID", "SEVERITY", "", "WHAT", "WHY"];
    plain::table(&header, cells, width, "  ", out)?;
    if info.len() > shown {
        writeln!(
            out,
            "  … and {} more that are worth knowing only (-o wide)",
            info.len() - shown
        )?;
    }
    Ok(())
}

/// What only the wide form says of a row.
fn details(row: &DriftRow) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(nearest) = &row.nearest {
        all.push(format!("nearest: {nearest}"));
    }
    if !row.evidence.is_empty() {
        all.push(format!("evidence: {}", row.evidence.join(" ")));
    }
    if !row.accept.is_empty() {
        all.push(format!("accept: {}", row.accept));
    }
    all
}

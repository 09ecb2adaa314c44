//! For a person: the most severe first.

use super::{short, sign, summary};
use crate::render::Style;
use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Drift, DriftRow, Severity};
use std::collections::BTreeMap;
use std::io::Write;

/// Rows of info shown before "and more".
const INFO_ROWS: usize = 10;

pub(super) fn render(drift: &Drift, style: Style, wide: bool, out: &mut dyn Write) -> Result<()> {
    let bold = |text: &str| {
        if style.colour {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    };
    header(drift, &bold, out)?;
    let mut containers: BTreeMap<&str, Vec<&DriftRow>> = BTreeMap::new();
    for row in &drift.rows {
        containers.entry(&row.container).or_default().push(row);
    }
    for (container, rows) in containers {
        writeln!(out, "\n{}", bold(container))?;
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

fn header(drift: &Drift, bold: &dyn Fn(&str) -> String, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "\n{}", bold(&workload_name(&drift.profile.workload)))?;
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
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(vec!["ID", "SEVERITY", "", "WHAT", "WHY"]);
    if let Some(width) = style.width.filter(|_| !wide) {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width.saturating_sub(2));
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    let (info, telling): (Vec<&DriftRow>, Vec<&DriftRow>) =
        rows.iter().partition(|row| row.severity == Severity::Info);
    let shown = if wide { info.len() } else { INFO_ROWS };
    for row in telling.into_iter().chain(info.iter().take(shown).copied()) {
        table.add_row(vec![
            short(&row.id).to_owned(),
            colour(row.severity, style),
            sign(row.change).to_owned(),
            row.key.to_string(),
            row.reason.to_string(),
        ]);
        if wide {
            for text in details(row) {
                table.add_row(vec![
                    String::new(),
                    String::new(),
                    String::new(),
                    text,
                    String::new(),
                ]);
            }
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for text in table.lines() {
        writeln!(out, "  {}", text.trim_end())?;
    }
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

/// Words carry the meaning; colours help the eye.
fn colour(severity: Severity, style: Style) -> String {
    let code = match severity {
        Severity::Critical | Severity::High => 31,
        Severity::Medium => 33,
        _ => 0,
    };
    if style.colour && code > 0 {
        format!("\x1b[{code}m{severity}\x1b[0m")
    } else {
        severity.to_string()
    }
}

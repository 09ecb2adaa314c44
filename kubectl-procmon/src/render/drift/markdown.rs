//! For pull requests: Markdown, with names that can't break it.

use super::{change, short, summary, word};
use crate::render::escape;
use anyhow::Result;
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Drift, DriftRow, Severity};
use std::io::Write;

/// A cell of a Markdown table.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for character in escape(text).chars() {
        match character {
            '|' | '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '#' | '@' | '!' => {
                safe.push('\\');
                safe.push(character);
            }
            _ => safe.push(character),
        }
    }
    safe
}

pub(super) fn render(drift: &Drift, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "### Drift of {}\n",
        cell(&workload_name(&drift.profile.workload))
    )?;
    writeln!(out, "{}\n", cell(&summary(drift)))?;
    for row in &drift.not_comparable {
        writeln!(
            out,
            "- **not comparable:** {} of {}: {}",
            word(row.dimension),
            cell(&row.container),
            cell(&row.reason)
        )?;
    }
    for row in &drift.missing {
        writeln!(
            out,
            "- in neither: {} of {}: {}",
            word(row.dimension),
            cell(&row.container),
            cell(&row.reason)
        )?;
    }
    for note in &drift.notes {
        writeln!(out, "- {}", cell(note))?;
    }
    if drift.rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n| severity | | container | what | why | id |\n|---|---|---|---|---|---|"
    )?;
    for row in drift
        .rows
        .iter()
        .filter(|row| row.severity > Severity::Info)
    {
        markdown_row(row, out)?;
    }
    let info: Vec<&DriftRow> = drift
        .rows
        .iter()
        .filter(|row| row.severity == Severity::Info)
        .collect();
    if !info.is_empty() {
        writeln!(
            out,
            "\n<details><summary>{} rows that are worth knowing only</summary>\n",
            info.len()
        )?;
        writeln!(
            out,
            "| severity | | container | what | why | id |\n|---|---|---|---|---|---|"
        )?;
        for row in info {
            markdown_row(row, out)?;
        }
        writeln!(out, "\n</details>")?;
    }
    Ok(())
}

fn markdown_row(row: &DriftRow, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} |",
        row.severity.word(),
        change(row.change),
        cell(&row.container),
        cell(&row.key),
        cell(&row.reason),
        cell(short(&row.id))
    )?;
    Ok(())
}

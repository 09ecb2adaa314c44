//! For pull requests: Markdown, with names that can't break it.

use super::{short, summary};
use crate::render::markdown::cell;
use anyhow::Result;
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Drift, DriftRow, Severity};
use std::io::Write;

pub(super) fn render(drift: &Drift, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "### Drift of {}\n",
        cell(&workload_name(&drift.profile.workload))
    )?;
    writeln!(out, "{}\n", cell(&summary(drift).to_string()))?;
    for row in &drift.not_comparable {
        writeln!(
            out,
            "- **not comparable:** {} of {}: {}",
            row.dimension,
            cell(&row.container),
            cell(&row.reason)
        )?;
    }
    for row in &drift.missing {
        writeln!(
            out,
            "- in neither: {} of {}: {}",
            row.dimension,
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
        row.severity,
        row.change,
        cell(&row.container),
        cell(&row.key),
        cell(&row.reason),
        cell(short(&row.id))
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn nothing_in_a_name_acts() {
        for (name, expected) in [
            (
                "web.yaml: no row covers it, yet",
                "web.yaml: no row covers it, yet",
            ),
            (
                "see :x: http://evil.example",
                "`see :x: http://evil.example`",
            ),
            ("- item", "`- item`"),
            ("a|b", "`a\\|b`"),
            (r"a\\|b", r"`a\\\x7cb`"),
            ("`x`", "`` `x` ``"),
            ("a``b", "```a``b```"),
            ("<img src=x>", "`<img src=x>`"),
            ("[x](http://evil.example)", "`[x](http://evil.example)`"),
            ("www.evil.example", "`www.evil.example`"),
            ("@somebody", "`@somebody`"),
            ("&lt;b&gt;", "`&lt;b&gt;`"),
            (r"two\x0alines", r"`two\x0alines`"),
            ("", ""),
        ] {
            assert_eq!(cell(name), expected);
        }
    }
}

//! A Drift to text: for a person, for a pull request, for code scanning, for CI, for programs.

mod junit;
mod markdown;
mod sarif;
mod table;

use super::Style;
use anyhow::Result;
use procmon_profile::model::{Change, Dimension, Drift, Severity};
use serde_json::json;
use std::io::Write;

/// Form of a Drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For a person
    Table,
    /// With evidence, nearest rows and the commands that accept
    Wide,
    /// The document
    Json,
    /// The document, as YAML
    Yaml,
    /// For pull requests
    Markdown,
    /// For code scanning
    Sarif,
    /// For CI
    Junit,
}

/// Writes drifts in a form. Programs get one document, or a list of several.
pub(crate) fn render(
    drifts: &[Drift],
    form: Form,
    style: Style,
    out: &mut dyn Write,
) -> Result<()> {
    match form {
        Form::Table | Form::Wide => {
            for drift in drifts {
                table::render(drift, style, form == Form::Wide, out)?;
            }
        }
        Form::Json => {
            writeln!(out, "{}", serde_json::to_string_pretty(&document(drifts)?)?)?;
        }
        Form::Yaml => write!(out, "{}", serde_saphyr::to_string(&document(drifts)?)?)?,
        Form::Markdown => {
            for drift in drifts {
                markdown::render(drift, out)?;
            }
        }
        Form::Sarif => {
            serde_json::to_writer_pretty(&mut *out, &sarif::report(drifts)?)?;
            writeln!(out)?;
        }
        Form::Junit => junit::render(drifts, out)?,
    }
    Ok(())
}

fn document(drifts: &[Drift]) -> Result<serde_json::Value> {
    Ok(match drifts {
        [one] => serde_json::to_value(one)?,
        several => {
            json!({"apiVersion": "v1", "kind": "List", "items": serde_json::to_value(several)?})
        }
    })
}

/// One line: what was compared and what came of it.
pub(crate) fn summary(drift: &Drift) -> String {
    let counts: Vec<String> = Severity::ALL
        .iter()
        .filter_map(|severity| {
            let count = drift
                .summary
                .by_severity
                .get(severity)
                .copied()
                .unwrap_or(0);
            (count > 0).then(|| format!("{count} {}", severity.word()))
        })
        .collect();
    let counts = if counts.is_empty() {
        "no drift".to_owned()
    } else {
        counts.join(", ")
    };
    let rows = &drift.summary;
    let mut text = format!(
        "{} against {}: {counts}",
        drift.profile.name, drift.baseline.name
    );
    if !drift.rows.is_empty() {
        text += &format!(
            " ({} new, {} changed, {} gone)",
            rows.new, rows.changed, rows.gone
        );
    }
    if !drift.not_comparable.is_empty() {
        let mut dimensions: Vec<&str> = drift
            .not_comparable
            .iter()
            .map(|row| word(row.dimension))
            .collect();
        dimensions.sort_unstable();
        dimensions.dedup();
        text += &format!("; NOT comparable: {}", dimensions.join(", "));
    }
    text
}

fn word(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Processes => "processes",
        Dimension::Syscalls => "syscalls",
        Dimension::Files => "files",
        Dimension::Network => "network",
        Dimension::Dns => "dns",
        Dimension::Capabilities => "capabilities",
        Dimension::Events => "events",
    }
}

/// A kind of difference, in the document's word.
fn change(change: Change) -> &'static str {
    match change {
        Change::New => "new",
        Change::Changed => "changed",
        Change::Gone => "gone",
    }
}

fn sign(change: Change) -> &'static str {
    match change {
        Change::New => "+",
        Change::Changed => "~",
        Change::Gone => "-",
    }
}

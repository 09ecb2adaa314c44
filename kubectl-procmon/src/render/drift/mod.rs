//! A Drift to text: for a person, for a pull request, for code scanning, for CI, for programs.

mod junit;
mod markdown;
mod sarif;
mod summary;
mod table;

pub(crate) use summary::summary;

use super::{Format, Style};
use anyhow::Result;
use procmon_profile::model::{Change, Drift};
use serde_json::json;
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

//! Findings in any form but JSON and YAML, and what the forms share.

use super::{junit, markdown, sarif, table};
use crate::render::text::{kind_and_name, severities};
use crate::render::{self, Format, Style};
use anyhow::Result;
use procmon_profile::model::Findings;
use std::io::Write;

/// Writes findings for people and for other programs' own formats.
pub(crate) fn render(
    findings: &Findings,
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> Result<()> {
    match format {
        Format::Markdown => markdown::render(findings, out),
        Format::Sarif => render::json(&render::sarif::report(&[sarif::run(findings)])?, out),
        Format::Junit => junit::render(findings, out),
        _ => table::render(findings, style, format == Format::Wide, out),
    }
}

/// Numbers of findings, in one line.
pub(crate) fn summary(findings: &Findings) -> String {
    let counts = severities(&findings.summary);
    let found = if counts.is_empty() {
        "no findings".to_owned()
    } else {
        counts
    };
    match findings.not_judged.len() {
        0 => found,
        1 => format!("{found}; 1 rule could not be judged"),
        rules => format!("{found}; {rules} rules could not be judged"),
    }
}

/// `KIND/NAME` of what was profiled.
pub(super) fn target(findings: &Findings) -> String {
    let target = &findings.profile.target;
    let name = kind_and_name(target);
    match &target.namespace {
        Some(namespace) => format!("{name} in {namespace}"),
        None => name,
    }
}

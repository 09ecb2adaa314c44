//! For pull requests: Markdown.

use super::reasons::not_judged;
use super::view::{summary, target};
use crate::render::markdown::cell;
use anyhow::Result;
use procmon_profile::model::{Findings, Severity};
use std::io::Write;

pub(super) fn render(findings: &Findings, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "### Findings in {}\n", cell(&target(findings)))?;
    writeln!(out, "{}\n", cell(&summary(findings)))?;
    let rows = || {
        let all = findings.findings.iter();
        all.filter(|finding| finding.severity > Severity::Info)
    };
    if rows().next().is_some() {
        writeln!(out, "| severity | what | rule | technique |")?;
        writeln!(out, "|---|---|---|---|")?;
        for finding in rows() {
            writeln!(
                out,
                "| {} | {} | {} | {} |",
                finding.severity,
                cell(&finding.message),
                cell(&finding.rule),
                finding.mitre.join(" ")
            )?;
        }
        writeln!(out)?;
    }
    for (reason, rules) in not_judged(findings) {
        writeln!(
            out,
            "- **not judged:** {} rules: {}",
            rules.len(),
            cell(reason)
        )?;
    }
    Ok(())
}

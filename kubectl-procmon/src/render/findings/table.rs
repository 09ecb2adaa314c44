//! For a person: what is wrong, how bad, where the proof is, what to do next.

use super::reasons::not_judged;
use super::view::{summary, target};
use crate::render::{Style, escape};
use anyhow::Result;
use procmon_profile::model::{Finding, Findings, Severity};
use std::io::Write;

/// Findings at info that are shown before "and more".
const INFO_ROWS: usize = 5;
/// Reasons for rules that were not judged that are shown before "and more".
const REASONS: usize = 4;

pub(super) fn render(
    findings: &Findings,
    style: Style,
    wide: bool,
    out: &mut dyn Write,
) -> Result<()> {
    writeln!(out, "\n{}", style.bold(&target(findings)))?;
    writeln!(out, "  {:<10} {}", "result", summary(findings))?;
    if let Some(baseline) = &findings.profile.baseline {
        writeln!(out, "  {:<10} {baseline}", "baseline")?;
    }
    let reasons = not_judged(findings);
    let shown = if wide { reasons.len() } else { REASONS };
    for (reason, rules) in reasons.iter().take(shown) {
        let rules = match rules.as_slice() {
            [rule] => format!("rule {rule}"),
            several if wide => format!("rules {}", several.join(", ")),
            several => format!("{} rules", several.len()),
        };
        writeln!(out, "  {:<10} {rules}: {}", "not judged", escape(reason))?;
    }
    if reasons.len() > shown {
        let more = reasons.len() - shown;
        writeln!(out, "  {:<10} … and for {more} other reasons (-o wide)", "")?;
    }
    for incident in &findings.incidents {
        writeln!(
            out,
            "\n{}",
            style.bold(&format!(
                "Incident {}: {}",
                incident.id,
                escape(&incident.title)
            ))
        )?;
        for moment in &incident.timeline {
            let time = moment.time.as_ref().map_or("", |time| clock(time));
            writeln!(
                out,
                "  {time:<12} {:<20} {}",
                moment.tactic,
                escape(&moment.message)
            )?;
        }
    }
    let (info, telling): (Vec<&Finding>, Vec<&Finding>) = findings
        .findings
        .iter()
        .partition(|finding| finding.severity == Severity::Info);
    if !findings.findings.is_empty() {
        writeln!(out, "\n{}", style.bold("Findings"))?;
    }
    let rows = if wide { info.len() } else { INFO_ROWS };
    for finding in telling.into_iter().chain(info.iter().take(rows).copied()) {
        one(finding, style, wide, out)?;
    }
    if info.len() > rows {
        writeln!(out, "  … and {} more at info (-o wide)", info.len() - rows)?;
    }
    Ok(())
}

/// One finding.
fn one(finding: &Finding, style: Style, wide: bool, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "  {} {}",
        style.severity(finding.severity, 8),
        escape(&finding.message)
    )?;
    let baselined = if finding.baselined {
        ", known to the baseline"
    } else {
        ""
    };
    writeln!(
        out,
        "           {} ({}){baselined}",
        finding.rule,
        finding.mitre.join(", ")
    )?;
    if wide {
        writeln!(out, "           confidence: {}", finding.confidence)?;
        writeln!(out, "           evidence: {}", finding.evidence.join(" "))?;
        writeln!(out, "           benign: {}", escape(&finding.benign))?;
    }
    if wide || finding.severity >= Severity::High {
        for next in &finding.next {
            writeln!(out, "           next: {}", escape(next))?;
        }
    }
    Ok(())
}

/// The time of day, to milliseconds.
fn clock(time: &str) -> &str {
    time.split_once('T')
        .and_then(|(_, clock)| clock.get(..12))
        .unwrap_or(time)
}

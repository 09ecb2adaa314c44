//! The most severe findings, before anything else.

use super::screen::Screen;
use crate::render::style::Style;
use procmon_profile::model::{Finding, Profile, Severity};
use procmon_profile::text::escape;
use std::io;

/// Findings that are shown before "and more".
const SHOWN: usize = 5;

/// Findings from `low` on; `check` shows all of them, with evidence and next steps.
pub(super) fn findings(screen: &mut Screen<'_>, profile: &Profile, style: Style) -> io::Result<()> {
    let telling = |finding: &&Finding| finding.severity > Severity::Info;
    let all: Vec<&Finding> = profile.findings.iter().filter(telling).collect();
    if all.is_empty() {
        return Ok(());
    }
    screen.heading("Findings")?;
    let shown = if screen.wide { all.len() } else { SHOWN };
    for finding in all.iter().take(shown) {
        writeln!(
            screen.out,
            "  {} {} ({})",
            style.severity(finding.severity, 8),
            escape(&finding.message),
            finding.rule
        )?;
    }
    if all.len() > shown {
        let more = all.len() - shown;
        writeln!(screen.out, "  … and {more} more (-o wide)")?;
    }
    Ok(())
}

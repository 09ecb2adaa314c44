//! The most severe findings, before anything else.

use super::screen::Screen;
use crate::render::style::Style;
use crate::render::text::shorten;
use procmon_profile::model::{Finding, Profile, Severity};
use procmon_profile::text::escape;
use std::io;

/// Findings that are shown before "and more".
const SHOWN: usize = 5;
/// Columns of a severity.
const SEVERITY: usize = 8;
/// A message is not made shorter than this for its rule to stand behind it.
const LEAST: usize = 40;

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
        let text = one(finding, screen.width);
        let severity = style.severity(finding.severity, SEVERITY);
        writeln!(screen.out, "  {severity} {text}")?;
    }
    if all.len() > shown {
        let more = all.len() - shown;
        writeln!(screen.out, "  … and {more} more (-o wide)")?;
    }
    Ok(())
}

/// Message and rule of a finding, as far as there is room.
fn one(finding: &Finding, width: Option<usize>) -> String {
    let message = escape(&finding.message);
    let rule = format!(" ({})", finding.rule);
    let Some(width) = width else {
        return format!("{message}{rule}");
    };
    // Two columns before the severity, one behind it.
    let room = width.saturating_sub(SEVERITY + 3);
    match room.checked_sub(rule.len()).filter(|left| *left >= LEAST) {
        Some(left) => format!("{}{rule}", shorten(&message, left)),
        None => shorten(&message, room).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_too_long() {
        let finding = Finding {
            rule: "a-rule-with-a-long-name".into(),
            message: "`x` (uid 0) reads `/a/very/long/path/that/does/not/fit/into/a/line`".into(),
            severity: Severity::High,
            ..Finding::default()
        };
        for (width, has_rule) in [(40, false), (60, false), (80, true), (200, true)] {
            let text = one(&finding, Some(width));
            assert!(
                text.chars().count() + SEVERITY + 3 <= width,
                "{width}: {text}"
            );
            assert_eq!(text.contains("(a-rule"), has_rule, "{width}: {text}");
        }
        assert!(one(&finding, None).contains("fit/into/a/line` (a-rule"));
    }
}

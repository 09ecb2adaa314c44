//! JUnit's XML: what its reports have in common.

use anyhow::{Context as _, Result};
use procmon_profile::model::Severity;
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use std::io::Write;

/// A case that fails: how bad it is, in a few words why, and a line for each row.
pub(super) fn failure(worst: Severity, message: &str, lines: &[String]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_type(worst.to_string())
        .set_message(message)
        .set_description(lines.join("\n"));
    status
}

/// A case that could not be judged, and why.
pub(super) fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status
}

/// Writes a report.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> Result<()> {
    report
        .serialize(&mut *out)
        .context("cannot write the report")?;
    Ok(writeln!(out)?)
}

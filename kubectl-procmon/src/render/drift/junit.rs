//! For CI: JUnit's XML.

use super::{sign, word};
use anyhow::{Context as _, Result};
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Dimension, Drift, DriftRow, NotComparable, Severity};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::io::Write;

/// One suite for each container, one case for each dimension, which fails with its rows.
pub(super) fn render(drifts: &[Drift], out: &mut dyn Write) -> Result<()> {
    let mut report = Report::new("kubectl procmon diff");
    for drift in drifts {
        let mut containers: BTreeMap<&str, (Vec<&DriftRow>, Vec<&NotComparable>)> = BTreeMap::new();
        for row in &drift.rows {
            containers.entry(&row.container).or_default().0.push(row);
        }
        for row in &drift.not_comparable {
            containers.entry(&row.container).or_default().1.push(row);
        }
        if containers.is_empty() {
            containers.entry("all").or_default();
        }
        for (container, (own_rows, not_comparable)) in containers {
            let mut suite = TestSuite::new(format!(
                "{} {container}",
                workload_name(&drift.profile.workload)
            ));
            for dimension in Dimension::ALL {
                let own =
                    |row: &&&DriftRow| row.dimension == dimension && row.severity > Severity::Info;
                let rows: Vec<&DriftRow> = own_rows.iter().filter(own).copied().collect();
                let skipped = not_comparable.iter().find(|row| row.dimension == dimension);
                let status = if let Some(skipped) = skipped {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(format!("not comparable: {}", skipped.reason));
                    status
                } else if rows.is_empty() {
                    TestCaseStatus::success()
                } else {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    let worst = rows
                        .iter()
                        .map(|row| row.severity)
                        .max()
                        .unwrap_or_default();
                    let lines: Vec<String> = rows
                        .iter()
                        .map(|row| {
                            format!(
                                "{} {} {} ({})",
                                row.severity.word(),
                                sign(row.change),
                                row.key,
                                row.reason
                            )
                        })
                        .collect();
                    status
                        .set_type(worst.word())
                        .set_message(format!("{} rows of drift", rows.len()))
                        .set_description(lines.join("\n"));
                    status
                };
                let mut case = TestCase::new(word(dimension), status);
                case.set_classname(container);
                suite.add_test_case(case);
            }
            report.add_test_suite(suite);
        }
    }
    report
        .serialize(&mut *out)
        .context("cannot write the report")?;
    writeln!(out)?;
    Ok(())
}

//! For CI: JUnit's XML.

use super::sign;
use crate::render::junit::{self, skipped, write};
use anyhow::Result;
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Dimension, Drift, DriftRow, NotComparable, RowValue, Severity};
use procmon_profile::text::Text;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::io::Write;

/// One suite for each container, one case for each dimension, which fails with its rows; what could
/// not be compared is an error.
pub(super) fn render(drifts: &[Drift], out: &mut dyn Write) -> Result<()> {
    let mut report = Report::new("kubectl procmon diff");
    for drift in drifts {
        let workload = workload_name(&drift.profile.workload);
        let mut containers: BTreeMap<&str, Own> = BTreeMap::new();
        for row in &drift.rows {
            containers.entry(&row.container).or_default().rows.push(row);
        }
        for row in &drift.not_comparable {
            let own = containers.entry(&row.container).or_default();
            own.not_comparable.push(row);
        }
        for row in &drift.missing {
            let own = containers.entry(&row.container).or_default();
            own.missing.push(row);
        }
        if containers.is_empty() {
            containers.entry("all").or_default();
        }
        for (container, own) in containers {
            let mut suite = TestSuite::new(format!("{workload} {container}"));
            for dimension in Dimension::ALL {
                for case in cases(&own, container, dimension) {
                    suite.add_test_case(case);
                }
            }
            report.add_test_suite(suite);
        }
        // Of nodes that did not answer, only the notes tell.
        if !drift.comparable && drift.not_comparable.is_empty() {
            let mut suite = TestSuite::new(format!("{workload} nodes"));
            let notes: Vec<&str> = drift.notes.iter().map(Text::as_str).collect();
            let status = error("not every node answered", &notes.join("\n"));
            suite.add_test_case(TestCase::new("nodes", status));
            report.add_test_suite(suite);
        }
    }
    write(&report, out)
}

/// What a drift says of one container.
#[derive(Default)]
struct Own<'a> {
    rows: Vec<&'a DriftRow>,
    not_comparable: Vec<&'a NotComparable>,
    missing: Vec<&'a NotComparable>,
}

/// The case of a dimension; where it has rows and could not be compared as a whole, two cases.
fn cases(own: &Own<'_>, container: &str, dimension: Dimension) -> Vec<TestCase> {
    let of = |list: &[&NotComparable]| {
        list.iter()
            .find(|row| row.dimension == dimension)
            .map(|row| row.reason.clone())
    };
    let is_told = |row: &&&DriftRow| row.dimension == dimension && row.severity > Severity::Info;
    let (incomplete, rows): (Vec<&DriftRow>, Vec<&DriftRow>) = own
        .rows
        .iter()
        .filter(is_told)
        .partition(|row| matches!(row.value, RowValue::Incomplete(_)));
    let name = dimension.to_string();
    let mut all: Vec<(String, TestCaseStatus)> = Vec::new();
    if !rows.is_empty() {
        all.push((name.clone(), failure(&rows)));
    }
    if let Some(reason) = of(&own.not_comparable) {
        let lines: Vec<String> = incomplete.iter().map(|row| line(row)).collect();
        let name = if rows.is_empty() {
            name.clone()
        } else {
            format!("{name} as a whole")
        };
        let status = error(&format!("not comparable: {reason}"), &lines.join("\n"));
        all.push((name, status));
    }
    if all.is_empty() {
        let status = match of(&own.missing) {
            Some(reason) => skipped(&format!("in neither document: {reason}")),
            None => TestCaseStatus::success(),
        };
        all.push((name, status));
    }
    all.into_iter()
        .map(|(name, status)| {
            let mut case = TestCase::new(name, status);
            case.set_classname(container);
            case
        })
        .collect()
}

fn line(row: &DriftRow) -> String {
    format!(
        "{} {} {} ({})",
        row.severity,
        sign(row.change),
        row.key,
        row.reason
    )
}

fn failure(rows: &[&DriftRow]) -> TestCaseStatus {
    let worst = rows
        .iter()
        .map(|row| row.severity)
        .max()
        .unwrap_or_default();
    let lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    junit::failure(worst, &format!("{} rows of drift", rows.len()), &lines)
}

fn error(message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("not comparable").set_message(message);
    if !description.is_empty() {
        status.set_description(description);
    }
    status
}

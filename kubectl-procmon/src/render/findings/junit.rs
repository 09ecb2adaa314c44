//! For CI: JUnit's XML. One suite for each container, one case for each rule that found something.

use super::reasons::not_judged;
use crate::render::junit::{failure, skipped, write};
use anyhow::Result;
use procmon_profile::model::{Finding, Findings, Severity};
use quick_junit::{Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::io::Write;

pub(super) fn render(findings: &Findings, out: &mut dyn Write) -> Result<()> {
    let mut report = Report::new("kubectl procmon check");
    let mut containers: BTreeMap<&str, BTreeMap<&str, Vec<&Finding>>> = BTreeMap::new();
    for finding in &findings.findings {
        let rules = containers.entry(&finding.container).or_default();
        rules.entry(&finding.rule).or_default().push(finding);
    }
    for (container, rules) in containers {
        let mut suite = TestSuite::new(container);
        for (rule, found) in rules {
            let mut case = TestCase::new(rule, status(&found));
            case.set_classname(container);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    let mut suite = TestSuite::new("rules");
    for (reason, rules) in not_judged(findings) {
        for rule in rules {
            suite.add_test_case(TestCase::new(rule, skipped(reason)));
        }
    }
    suite.add_test_case(TestCase::new("all others", TestCaseStatus::success()));
    report.add_test_suite(suite);
    write(&report, out)
}

/// A finding at info is not a failure.
fn status(found: &[&Finding]) -> TestCaseStatus {
    let worst = found.iter().map(|finding| finding.severity).max();
    let worst = worst.unwrap_or_default();
    if worst == Severity::Info {
        return TestCaseStatus::success();
    }
    let lines: Vec<String> = found
        .iter()
        .map(|finding| format!("{} {}", finding.severity, finding.message))
        .collect();
    failure(worst, &found[0].title, &lines)
}

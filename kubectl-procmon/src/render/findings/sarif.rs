//! For code scanning: one result for each finding above info.

use super::reasons::not_judged;
use super::view::target;
use crate::render::sarif::{Item, Run};
use procmon_profile::model::{Finding, Findings, Severity};
use serde_json::json;

/// The results of one check.
pub(super) fn run(findings: &Findings) -> Run {
    let rows = findings.findings.iter();
    Run {
        file: target(findings),
        items: rows
            .filter(|finding| finding.severity > Severity::Info)
            .map(item)
            .collect(),
        successful: true,
        notifications: not_judged(findings)
            .into_iter()
            .map(|(reason, rules)| {
                let text = format!("not judged: {}: {reason}", rules.join(", "));
                ("warning", text)
            })
            .collect(),
    }
}

fn item(finding: &Finding) -> Item {
    let qualified = match (&finding.namespace, &finding.pod) {
        (Some(namespace), Some(pod)) => format!("{namespace}/{pod}/{}", finding.container),
        _ => finding.container.to_string(),
    };
    Item {
        rule: (finding.rule.to_string(), finding.title.to_string()),
        help: Some(finding.benign.to_string()),
        severity: finding.severity,
        text: finding.message.to_string(),
        fingerprint: ("finding/v1", finding.id.to_string()),
        place: (finding.container.to_string(), qualified),
        properties: vec![
            ("evidence", json!(finding.evidence)),
            ("tags", json!(finding.mitre)),
            ("confidence", json!(finding.confidence)),
            ("next", json!(finding.next)),
        ],
    }
}

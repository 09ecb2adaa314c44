//! For code scanning: SARIF 2.1.0.

use anyhow::{Context as _, Result};
use procmon_profile::baseline::workload_name;
use procmon_profile::model::{Drift, DriftRow, NotComparable, Severity};
use serde_json::json;

/// One result for each row above info; the rules are the kinds of difference.
pub(super) fn report(drifts: &[Drift]) -> Result<serde_sarif::sarif::Sarif> {
    let rule = |row: &DriftRow| format!("drift/{}/{}", row.dimension, row.change);
    let runs: Vec<serde_json::Value> = drifts
        .iter()
        .map(|drift| {
            let rows: Vec<&DriftRow> = drift.rows.iter().filter(|row| row.severity > Severity::Info).collect();
            let mut rules: Vec<String> = rows.iter().map(|row| rule(row)).collect();
            rules.sort();
            rules.dedup();
            let results: Vec<serde_json::Value> = rows
                .iter()
                .map(|row| {
                    json!({
                        "ruleId": rule(row),
                        "level": match row.severity {
                            Severity::Critical | Severity::High => "error",
                            Severity::Medium => "warning",
                            _ => "note",
                        },
                        "message": {"text": plain(&format!("{}: {}", row.key, row.reason))},
                        "partialFingerprints": {"drift/v2": row.id},
                        // Code scanning wants a file: what was learned is what is to be changed.
                        "locations": [{
                            "physicalLocation": {"artifactLocation": {"uri": uri(&drift.baseline.name)}, "region": {"startLine": 1}},
                            "logicalLocations": [{"name": row.container, "fullyQualifiedName": format!("{}/{}", workload_name(&drift.profile.workload), row.container), "kind": "module"}],
                        }],
                        "properties": {
                            "security-severity": match row.severity {
                                Severity::Critical => "9.5",
                                Severity::High => "8.0",
                                Severity::Medium => "5.5",
                                _ => "2.0",
                            },
                            "evidence": row.evidence,
                            "accept": row.accept,
                        },
                    })
                })
                .collect();
            json!({
                "tool": {"driver": {
                    "name": "kubectl-procmon",
                    "version": env!("CARGO_PKG_VERSION"),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": rules.iter().map(|id| json!({"id": id, "shortDescription": {"text": format!("{} differ from the baseline", id.split('/').nth(1).unwrap_or_default())}})).collect::<Vec<_>>(),
                }},
                "invocations": [{
                    "executionSuccessful": drift.comparable,
                    "toolExecutionNotifications": notifications(drift),
                }],
                "results": results,
            })
        })
        .collect();
    serde_json::from_value(json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    }))
    .context("the report is no SARIF")
}

/// A message in which `[text](destination)`, which is a link there, stands as it is.
fn plain(text: &str) -> String {
    if text.contains("](") {
        text.replace('[', "\\[").replace(']', "\\]")
    } else {
        text.to_owned()
    }
}

/// What the reader of no results has to know: errors for what could not be compared.
fn notifications(drift: &Drift) -> Vec<serde_json::Value> {
    let notification =
        |level: &str, text: String| json!({"level": level, "message": {"text": plain(&text)}});
    let of = |row: &NotComparable| format!("{} of {}", row.dimension, row.container);
    let incomplete = drift.not_comparable.iter().map(|row| {
        let text = format!("{} can't be compared as a whole: {}", of(row), row.reason);
        notification("error", text)
    });
    let missing = drift.missing.iter().map(|row| {
        let text = format!("{} is in neither document: {}", of(row), row.reason);
        notification("note", text)
    });
    // Nodes that did not answer, containers that are not there.
    let notes = drift.notes.iter().map(|note| {
        notification(
            if drift.comparable { "note" } else { "warning" },
            note.to_string(),
        )
    });
    incomplete.chain(missing).chain(notes).collect()
}

/// A relative reference: what has no place in one is percent-encoded. Two slashes at its beginning
/// would name a host.
fn uri(name: &str) -> String {
    let name = match name.trim_start_matches('/') {
        rest if rest.len() + 1 < name.len() => &name[name.len() - rest.len() - 1..],
        _ => name,
    };
    name.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

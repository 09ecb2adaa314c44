//! For code scanning: SARIF 2.1.0, of whatever can be told as items.

use anyhow::{Context as _, Result};
use procmon_profile::model::Severity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One result: a row of drift, or a finding.
pub(super) struct Item {
    /// Id of the rule, and what it looks for.
    pub(super) rule: (String, String),
    /// The rule's documentation.
    pub(super) help: Option<String>,
    pub(super) severity: Severity,
    /// One sentence.
    pub(super) text: String,
    /// A name that stays, and what kind of name it is.
    pub(super) fingerprint: (&'static str, String),
    /// Name of the container, and with the workload.
    pub(super) place: (String, String),
    /// More for the reader, by name.
    pub(super) properties: Vec<(&'static str, Value)>,
}

/// The results of one comparison or check.
pub(super) struct Run {
    /// The file that results are shown at.
    pub(super) file: String,
    pub(super) items: Vec<Item>,
    /// Nothing kept it from being whole.
    pub(super) successful: bool,
    /// Level and text of what the reader of no results has to know.
    pub(super) notifications: Vec<(&'static str, String)>,
}

/// The report of several runs.
pub(super) fn report(runs: &[Run]) -> Result<serde_sarif::sarif::Sarif> {
    let runs: Vec<Value> = runs.iter().map(run).collect();
    serde_json::from_value(json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    }))
    .context("the report is not SARIF")
}

fn run(run: &Run) -> Value {
    let rules: BTreeMap<&str, &Item> = run
        .items
        .iter()
        .map(|item| (item.rule.0.as_str(), item))
        .collect();
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(id, item)| {
            let mut rule = json!({"id": id, "shortDescription": {"text": item.rule.1}});
            if let Some(help) = &item.help {
                rule["help"] = json!({"text": plain(help)});
            }
            rule
        })
        .collect();
    let notifications: Vec<Value> = run
        .notifications
        .iter()
        .map(|(level, text)| json!({"level": level, "message": {"text": plain(text)}}))
        .collect();
    json!({
        "tool": {"driver": {
            "name": "kubectl-procmon",
            "version": env!("CARGO_PKG_VERSION"),
            "informationUri": env!("CARGO_PKG_REPOSITORY"),
            "rules": rules,
        }},
        "invocations": [{
            "executionSuccessful": run.successful,
            "toolExecutionNotifications": notifications,
        }],
        "results": run.items.iter().map(|item| result(item, &run.file)).collect::<Vec<_>>(),
    })
}

fn result(item: &Item, file: &str) -> Value {
    let (level, score) = match item.severity {
        Severity::Critical => ("error", "9.5"),
        Severity::High => ("error", "8.0"),
        Severity::Medium => ("warning", "5.5"),
        Severity::Low | Severity::Info => ("note", "2.0"),
    };
    let mut properties = json!({"security-severity": score});
    for (name, value) in &item.properties {
        properties[*name] = value.clone();
    }
    let (kind, fingerprint) = &item.fingerprint;
    let (container, qualified) = &item.place;
    json!({
        "ruleId": item.rule.0,
        "level": level,
        "message": {"text": plain(&item.text)},
        "partialFingerprints": {*kind: fingerprint},
        // Code scanning wants a file: what was learned is what is to be changed.
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": {"startLine": 1}},
            "logicalLocations": [{"name": container, "fullyQualifiedName": qualified, "kind": "module"}],
        }],
        "properties": properties,
    })
}

/// A message in which `[text](destination)`, which is a link there, stands as it is.
fn plain(text: &str) -> String {
    if text.contains("](") {
        text.replace('[', "\\[").replace(']', "\\]")
    } else {
        text.to_owned()
    }
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

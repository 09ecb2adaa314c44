//! The result of `kubectl procmon diff` for the documents of a server: rows where nothing changed, and
//! changes that it does not find.

use super::{Group, Kind, Plan, documents};
use crate::document::read;
use crate::plugin;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Severities, the least first.
const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];

/// The result of one server.
#[derive(Debug)]
pub struct Verdict {
    /// The server.
    pub kind: Kind,
    /// Windows in which nothing changed.
    pub windows: u32,
    /// Rows above info in those, by severity.
    pub rows: BTreeMap<String, u32>,
    /// The same rows, one of each, without what differs from run to run, with how many windows have it.
    pub low: BTreeMap<String, u32>,
    /// Rows of medium severity and above in those windows, with their window.
    pub alarms: Vec<String>,
    /// Changes that were injected.
    pub changes: u32,
    /// Changes that were not found as expected, and what was found.
    pub missed: Vec<String>,
    /// The coverage that the baseline states, by dimension.
    pub coverage: BTreeMap<String, f64>,
    /// The share of observations in windows under the same load that the baseline knows, by dimension.
    pub held_out: BTreeMap<String, f64>,
}

/// The drift of a document.
///
/// # Panics
/// When the plugin fails.
#[must_use]
pub fn drift(baseline: &Path, profile: &Path) -> Value {
    let output = Command::new(plugin())
        .args(["diff", "--quiet", "-o", "json"])
        .args([baseline, profile])
        .output()
        .expect("the plugin runs");
    assert!(
        // A window that is not complete is told by a row of its own, where the baseline's are.
        matches!(output.status.code(), Some(0 | 1 | 3)),
        "{}: {}",
        profile.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("a drift")
}

fn rows(drift: &Value) -> impl Iterator<Item = &Value> {
    drift["rows"].as_array().into_iter().flatten()
}

fn rank(severity: &str) -> usize {
    SEVERITIES
        .iter()
        .position(|name| *name == severity)
        .unwrap_or(0)
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// The row tells of the change: where, in which words, and how severe at least.
fn tells(row: &Value, expectation: &Value) -> bool {
    let key = text(row, "key").to_lowercase();
    let whole = row.to_string().to_lowercase();
    let words = |name: &str| {
        expectation[name]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_lowercase)
            .collect::<Vec<_>>()
    };
    row["dimension"] == expectation["dimension"]
        && words("words").iter().all(|word| key.contains(word))
        && words("also").iter().all(|word| whole.contains(word))
        && rank(text(row, "severity")) >= rank(text(expectation, "severity"))
        && !row["evidence"].as_array().is_none_or(Vec::is_empty)
}

/// A key without numbers, so that equal rows of several windows are one.
fn shape(key: &str) -> String {
    let mut shape = String::new();
    for character in key.chars() {
        if character.is_ascii_digit() {
            if !shape.ends_with('N') {
                shape.push('N');
            }
        } else {
            shape.push(character);
        }
    }
    shape
}

/// Runs a server through a plan and judges each of its documents, which go into `folder`.
///
/// # Panics
/// When the server or the plugin fails.
#[must_use]
pub fn judge(kind: Kind, folder: &Path, plan: &Plan) -> Verdict {
    let baseline = folder.join("baseline.yaml");
    let mut windows: Vec<PathBuf> = Vec::new();
    let mut verdict = Verdict {
        kind,
        windows: 0,
        rows: BTreeMap::new(),
        low: BTreeMap::new(),
        alarms: Vec::new(),
        changes: 0,
        missed: Vec::new(),
        coverage: BTreeMap::new(),
        held_out: BTreeMap::new(),
    };
    // Observations in held-out windows, and those of rows that are new, by dimension.
    let mut observed: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    documents(kind, folder, plan, |group, path, expectation| {
        match (group, expectation) {
            (Group::Baseline, _) => windows.push(path.to_owned()),
            (Group::Change, Some(expectation)) => {
                save(&baseline, &windows);
                let drift = drift(&baseline, path);
                verdict.changes += 1;
                if !rows(&drift).any(|row| tells(row, expectation)) {
                    let found: Vec<String> = rows(&drift)
                        .filter(|row| text(row, "severity") != "info")
                        .map(|row| format!("{} {}", text(row, "severity"), text(row, "key")))
                        .collect();
                    verdict.missed.push(format!(
                        "{}: {expectation}; found: {}",
                        path.display(),
                        found.join("; ")
                    ));
                }
            }
            // The agent starts the server again: that is a change of its own.
            (Group::Within, _) => {}
            _ => {
                save(&baseline, &windows);
                let drift = drift(&baseline, path);
                verdict.windows += 1;
                if group == Group::Same {
                    let document = read(path);
                    for dimension in ["files", "syscalls"] {
                        let sums = observed.entry(dimension).or_insert((0, 0));
                        sums.0 += crate::document::rows(&document, dimension)
                            .map(observations)
                            .sum::<u64>();
                        sums.1 += rows(&drift)
                            .filter(|row| row["dimension"] == dimension)
                            .map(new_observations)
                            .sum::<u64>();
                    }
                }
                let mut seen = BTreeSet::new();
                for row in rows(&drift).filter(|row| text(row, "severity") != "info") {
                    *verdict
                        .rows
                        .entry(text(row, "severity").to_owned())
                        .or_insert(0) += 1;
                    seen.insert(format!(
                        "{} {}",
                        text(row, "severity"),
                        shape(text(row, "key"))
                    ));
                    if rank(text(row, "severity")) >= rank("medium") {
                        verdict.alarms.push(format!("{}: {row}", path.display()));
                    }
                }
                for key in seen {
                    *verdict.low.entry(key).or_insert(0) += 1;
                }
            }
        }
    });
    for (dimension, (all, unknown)) in observed {
        let share = 1.0 - unknown as f64 / all.max(1) as f64;
        verdict.held_out.insert(dimension.to_owned(), share);
    }
    for (dimension, coverage) in read_coverage(&baseline) {
        verdict.coverage.insert(dimension, coverage);
    }
    verdict
}

/// How often a row of a profile was observed.
fn observations(row: &Value) -> u64 {
    let sum = |counts: &Value| {
        counts
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_u64())
            .sum::<u64>()
    };
    row["calls"]
        .as_u64()
        .unwrap_or_else(|| sum(&row["operations"]) + sum(&row["errors"]))
}

/// How often what is new was observed.
fn new_observations(row: &Value) -> u64 {
    if row["change"] != "new" {
        return 0;
    }
    let counts = ["file", "syscall"].iter().find_map(|kind| {
        row.pointer(&format!("/value/{kind}/support/counts"))?
            .as_str()
    });
    counts
        .into_iter()
        .flat_map(str::split_ascii_whitespace)
        .filter_map(|count| count.parse::<u64>().ok())
        .sum()
}

/// The baseline of the first windows, made when they are all there.
fn save(baseline: &Path, windows: &[PathBuf]) {
    if baseline.exists() {
        return;
    }
    let mut command = Command::new(plugin());
    command.args(["baseline", "save", "--quiet"]).arg(baseline);
    for window in windows {
        command.arg("--from").arg(window);
    }
    let output = command.output().expect("the plugin runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn read_coverage(baseline: &Path) -> Vec<(String, f64)> {
    let json = baseline.with_extension("json");
    let output = Command::new(plugin())
        .args(["baseline", "export", "--output-file"])
        .args([&json, baseline])
        .output()
        .expect("the plugin runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    read(&json)["containers"][0]["coverage"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, coverage)| Some((name.clone(), coverage["estimate"].as_f64()?)))
        .collect()
}

//! Documents: reading them, and comparing them with what a workload knows of itself.

use jiff::Timestamp;
use procmon_profile::text::Text;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The dimensions that hold rows.
pub const DIMENSIONS: [&str; 7] = [
    "processes",
    "syscalls",
    "files",
    "network",
    "dns",
    "capabilities",
    "events",
];
/// Maps that the truth states whole: nothing may stand beside what it names.
const WHOLE: [&str; 4] = ["operations", "errors", "failures", "exits"];

/// Reads a JSON file.
///
/// # Panics
/// When it can't be read or is not JSON.
#[must_use]
pub fn read(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads what a workload states. It knows bytes: whatever acts on a terminal becomes escaped, as in
/// documents.
///
/// # Panics
/// When it can't be read or is not JSON.
#[must_use]
pub fn read_truth(path: &Path) -> Value {
    as_written(&read(path))
}

/// The same text as documents write it.
#[must_use]
pub fn as_written(truth: &Value) -> Value {
    match truth {
        Value::String(text) => Text::from(text.as_str()).as_str().into(),
        Value::Array(values) => values.iter().map(as_written).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), as_written(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// When the document's window ended.
///
/// # Panics
/// When it does not say so.
#[must_use]
pub fn ended_at(document: &Value) -> Timestamp {
    let text = document["session"]["endedAt"].as_str().expect("a time");
    text.parse().expect("a time")
}

/// Rows of one dimension, of all containers.
pub fn rows<'a>(document: &'a Value, dimension: &'a str) -> impl Iterator<Item = &'a Value> {
    document["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(move |container| container[dimension].as_array().into_iter().flatten())
}

/// `found` says everything that `wanted` says. `null` wants a key to be absent.
#[must_use]
pub fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            let own = found.get(key).unwrap_or(&Value::Null);
            if WHOLE.contains(&key.as_str()) {
                own == value
            } else {
                covers(own, value)
            }
        }),
        _ => found == wanted,
    }
}

/// Every row that the truth states is in the document, number by number. Rows of programs other
/// than the workload's are named by the truth; `exe` stands in where it names none.
///
/// # Panics
/// When one is not; says which rows come near.
pub fn check_truth(document: &Value, truth: &Value, exe: &str) {
    let wrong = differences(document, truth, exe);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rows that the truth states and the document does not.
#[must_use]
pub fn differences(document: &Value, truth: &Value, exe: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for dimension in DIMENSIONS {
        // There may be thousands of files.
        let key = |row: &Value| (dimension == "files").then(|| row["path"].clone());
        let mut by_path: HashMap<Option<Value>, Vec<&Value>> = HashMap::new();
        for row in rows(document, dimension) {
            by_path.entry(key(row)).or_default().push(row);
        }
        for wanted in truth[dimension].as_array().into_iter().flatten() {
            let mut wanted = wanted.clone();
            if matches!(
                dimension,
                "syscalls" | "files" | "network" | "dns" | "capabilities"
            ) && wanted.get("exe").is_none()
            {
                wanted["exe"] = exe.into();
            }
            let mut same_path = by_path.get(&key(&wanted)).into_iter().flatten();
            if !same_path.any(|row| covers(row, &wanted)) {
                let near: Vec<String> = rows(document, dimension)
                    .filter(|row| is_near(row, &wanted))
                    .map(|row| like(row, &wanted).to_string())
                    .collect();
                wrong.push(format!(
                    "{dimension}: no row has\n  {wanted}\nnear it:\n  {}",
                    near.join("\n  ")
                ));
            }
        }
    }
    wrong
}

/// No row counts more than the truth: for a capture that says that it is partial.
///
/// # Panics
/// When one does.
pub fn check_truth_at_most(document: &Value, truth: &Value, exe: &str) {
    for dimension in DIMENSIONS {
        for row in rows(document, dimension) {
            let same = |wanted: &&Value| {
                let own = wanted["exe"].as_str().unwrap_or(exe);
                is_near(row, wanted)
                    && (row["exe"].is_null() || dimension == "processes" || row["exe"] == own)
                    && ["abi", "direction", "local", "remote", "details"]
                        .iter()
                        .all(|key| wanted.get(key).is_none_or(|value| covers(&row[key], value)))
            };
            let all = truth[dimension].as_array().into_iter().flatten();
            let wanted: Vec<&Value> = all.filter(same).collect();
            assert!(
                wanted.is_empty() || wanted.iter().any(|wanted| at_most(row, wanted)),
                "{dimension}: {row}\nis more than\n{wanted:?}"
            );
        }
    }
}

/// Every count of `found` is at most that of `wanted`.
fn at_most(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => found.iter().all(|(key, value)| {
            // A call that begins or ends unseen is unfinished, or denied before it began.
            if matches!(key.as_str(), "unfinished" | "deniedBySeccomp") {
                return true;
            }
            match wanted.get(key) {
                Some(wanted) => at_most(value, wanted),
                None => true,
            }
        }),
        (Value::Number(found), Value::Number(wanted)) => found.as_u64() <= wanted.as_u64(),
        _ => true,
    }
}

/// The row is of the same thing.
fn is_near(row: &Value, wanted: &Value) -> bool {
    ["name", "path", "argv", "protocol", "type"]
        .iter()
        .all(|key| {
            wanted
                .get(key)
                .is_none_or(|value| row.get(key) == Some(value))
        })
}

/// The fields of a row that the truth states.
fn like(row: &Value, wanted: &Value) -> Value {
    let keys = wanted.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.map(|key| (key.clone(), row.get(key).cloned().unwrap_or_default()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Counts fit each other: no call has more outcomes than entries.
///
/// # Panics
/// When one has.
pub fn check_sums(document: &Value) {
    for call in rows(document, "syscalls") {
        let number = |key: &str| {
            call[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{key} of {call}"))
        };
        let errors: u64 = call["errors"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_u64())
            .sum();
        assert!(
            number("calls")
                >= errors + number("restarted") + number("unfinished") + number("noReturn"),
            "{call}"
        );
        assert!(number("deniedBySeccomp") <= number("calls"), "{call}");
    }
}

/// The state of one dimension.
#[must_use]
pub fn state<'a>(document: &'a Value, dimension: &str) -> &'a str {
    document["completeness"]["dimensions"][dimension]["state"]
        .as_str()
        .unwrap_or_default()
}

/// The reasons why one dimension is not complete, as JSON.
#[must_use]
pub fn reasons(document: &Value, dimension: &str) -> String {
    document["completeness"]["dimensions"][dimension]["reasons"].to_string()
}

//! The built-in rules against real programs: attacks are found by the rule of the right technique, benign
//! work stays quiet. `tests/rules/*.cases` hold the programs: `### RULE hit|miss`, then a shell script; `###
//! NAME benign` for work that no rule may call high or critical, and at most one medium.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::sandbox::{self, Case};
use procmon_tests::{has_bpf, plugin, root};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Containers of one window.
const BATCH: usize = 32;

/// A program, and what is expected of its findings.
struct Expected {
    name: String,
    kind: String,
    script: String,
}

/// The cases of a file.
fn cases(file: &str) -> Vec<Expected> {
    let text = std::fs::read_to_string(root().join("tests/rules").join(file)).unwrap();
    let parts = text.split("### ").skip(1);
    let all: Vec<Expected> = parts
        .map(|part| {
            let (head, script) = part.split_once('\n').unwrap();
            let (name, kind) = head.trim().split_once(' ').unwrap();
            Expected {
                name: name.to_owned(),
                kind: kind.to_owned(),
                script: script.to_owned(),
            }
        })
        .collect();
    assert!(!all.is_empty(), "{file} has no cases");
    all
}

/// The findings of a profile.
fn findings(document: &Value, folder: &Path) -> Vec<Value> {
    let path = folder.join("p.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let output = Command::new(plugin())
        .args(["check", "-q", "-o", "json", "--fail-on", "never"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found["findings"].as_array().unwrap().clone()
}

/// The place of the container that a finding is about.
fn container(finding: &Value) -> usize {
    let pointer = finding["evidence"][0].as_str().unwrap();
    pointer.split('/').nth(2).unwrap().parse().unwrap()
}

/// Runs the cases of a file in windows of many, and checks the findings of each.
fn check_all(file: &str, privileged: bool, check: impl Fn(&Expected, &[&Value]) -> Option<String>) {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = root().join("tests/rules/sandbox.sh");
    let mut wrong = Vec::new();
    for batch in cases(file).chunks(BATCH) {
        let programs: Vec<Case> = batch
            .iter()
            .map(|case| Case {
                script: case.script.clone(),
                privileged,
            })
            .collect();
        let (document, places) = sandbox::run(&script, &programs);
        let all = findings(&document, folder.path());
        for (case, place) in batch.iter().zip(places) {
            let own: Vec<&Value> = all
                .iter()
                .filter(|finding| container(finding) == place)
                .collect();
            wrong.extend(check(case, &own));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rules that found something, with severity and message.
fn shown(findings: &[&Value]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!(
                "  {} {}: {}",
                finding["severity"], finding["rule"], finding["message"]
            )
        })
        .collect();
    lines.join("\n")
}

/// Whether the rule of an attack found it.
fn attack(case: &Expected, own: &[&Value]) -> Option<String> {
    let is_found = own
        .iter()
        .any(|finding| finding["rule"] == case.name.as_str());
    let wanted = match case.kind.as_str() {
        "hit" => true,
        "miss" => false,
        other => panic!("{other} is not a kind of case"),
    };
    (is_found != wanted)
        .then(|| format!("{} {}\n{}{}", case.name, case.kind, case.script, shown(own)))
}

#[test]
fn attacks_are_found_by_their_rules() {
    check_all("attacks.cases", false, attack);
}

#[test]
fn attacks_that_need_a_privileged_container_are_found_by_their_rules() {
    check_all("privileged.cases", true, attack);
}

#[test]
fn benign_work_stays_quiet() {
    check_all("benign.cases", false, |case, own| {
        assert_eq!(case.kind, "benign");
        let of = |severity: &str| {
            own.iter()
                .filter(|finding| finding["severity"] == severity)
                .count()
        };
        let is_loud = of("critical") + of("high") > 0 || of("medium") > 1;
        is_loud.then(|| format!("{}\n{}", case.name, shown(own)))
    });
}

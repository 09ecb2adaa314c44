//! The built-in rules against real programs: attacks are found by the rule of the right technique, benign
//! work stays quiet. `tests/rules/*.cases` hold the programs: `### RULE hit|miss [OPTION…]`, then a shell
//! script; `### NAME benign` for work that no rule may call high or critical, and at most one medium.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::sandbox::{self, Case};
use procmon_tests::{has_bpf, plugin, root};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Containers of one window.
const BATCH: usize = 32;
/// Containers of one window whose rows of files have to be complete.
const COMPLETE: usize = 16;
/// Files of cases that are not run as one program each.
const OTHERS: [&str; 3] = ["baseline", "benign", "entry"];

/// A program, and what is expected of its findings.
struct Expected {
    name: String,
    kind: String,
    options: Vec<String>,
    script: String,
}

/// The cases of a file: what stands before the first one is a comment.
fn cases(file: &Path) -> Vec<Expected> {
    let text = format!("\n{}", std::fs::read_to_string(file).unwrap());
    let parts = text.split("\n### ").skip(1);
    let all: Vec<Expected> = parts
        .map(|part| {
            let (head, script) = part.split_once('\n').unwrap();
            let mut words = head.split_whitespace().map(str::to_owned);
            Expected {
                name: words.next().unwrap(),
                kind: words.next().unwrap(),
                options: words.collect(),
                script: format!("{script}\n"),
            }
        })
        .collect();
    assert!(!all.is_empty(), "{} has no cases", file.display());
    all
}

/// The file of cases with this name.
fn file(name: &str) -> PathBuf {
    root().join(format!("tests/rules/{name}.cases"))
}

/// Runs the plugin on documents, and gives what it prints.
fn run(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(plugin()).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The findings about a profile, judged against a baseline if there is one.
fn findings(document: &Value, folder: &Path, baseline: Option<&str>) -> Vec<Value> {
    let path = folder.join("p.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let mut arguments = vec!["check", "-q", "-o", "json", "--fail-on", "never"];
    arguments.extend(
        baseline
            .iter()
            .flat_map(|baseline| ["--baseline", baseline]),
    );
    arguments.push(path.to_str().unwrap());
    let found: Value = serde_json::from_slice(&run(&arguments)).unwrap();
    found["findings"].as_array().unwrap().clone()
}

/// The place of the container that a finding is about.
fn container(finding: &Value) -> usize {
    let pointer = finding["evidence"][0].as_str().unwrap();
    pointer.split('/').nth(2).unwrap().parse().unwrap()
}

/// The programs of cases. `enters`: the part behind `---` enters from outside.
fn programs(cases: &[Expected], enters: bool) -> Vec<Case> {
    let case = |case: &Expected| {
        let parts = case.script.split_once("\n---\n").filter(|_| enters);
        Case {
            script: parts.map_or_else(|| case.script.clone(), |(first, _)| first.to_owned()),
            options: case.options.clone(),
            enters: parts.map(|(_, then)| then.to_owned()),
        }
    };
    cases.iter().map(case).collect()
}

/// Runs cases in windows of many, and checks the findings of each.
fn check_all(
    cases: &[Expected],
    enters: bool,
    check: impl Fn(&Expected, &[&Value]) -> Option<String>,
) {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = root().join("tests/rules/sandbox.sh");
    let mut wrong = Vec::new();
    for batch in cases.chunks(BATCH) {
        let (document, places) = sandbox::run(&script, &programs(batch, enters));
        let all = findings(&document, folder.path(), None);
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

/// Whether the rule of a case found it, or left it alone.
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
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("tests/rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cases")
        })
        .filter(|path| !OTHERS.contains(&path.file_stem().unwrap().to_str().unwrap()))
        .collect();
    files.sort();
    let all: Vec<Expected> = files.iter().flat_map(|file| cases(file)).collect();
    check_all(&all, false, attack);
}

#[test]
fn whoever_enters_a_container_is_found() {
    check_all(&cases(&file("entry")), true, attack);
}

#[test]
fn benign_work_stays_quiet() {
    check_all(&cases(&file("benign")), false, |case, own| {
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

/// The part before `---` makes the baseline by which the part behind it is judged.
#[test]
fn rules_about_what_is_new_ask_a_baseline() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = root().join("tests/rules/sandbox.sh");
    let baseline = folder.path().join("b.yaml");
    let baseline = baseline.to_str().unwrap();
    let learned = folder.path().join("l.json");
    let mut wrong = Vec::new();
    for batch in cases(&file("baseline")).chunks(COMPLETE / 2) {
        let parts = batch.iter().flat_map(|case| {
            let (learned, judged) = case.script.split_once("\n---\n").unwrap();
            [learned, judged].map(|script| Case {
                script: script.to_owned(),
                ..Case::default()
            })
        });
        let (document, places) = sandbox::run(&script, &parts.collect::<Vec<_>>());
        let only = |place: usize| {
            let mut document = document.clone();
            document["containers"] = json!([document["containers"][place]]);
            document
        };
        for (case, places) in batch.iter().zip(places.chunks(2)) {
            std::fs::write(&learned, only(places[0]).to_string()).unwrap();
            let _ = std::fs::remove_file(baseline);
            run(&[
                "baseline",
                "save",
                baseline,
                "--from",
                learned.to_str().unwrap(),
            ]);
            let all = findings(&only(places[1]), folder.path(), Some(baseline));
            let new: Vec<&Value> = all
                .iter()
                .filter(|finding| finding["baselined"] != true)
                .collect();
            wrong.extend(attack(case, &new));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

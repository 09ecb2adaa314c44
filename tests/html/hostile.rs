//! Documents full of names that do something where one of them is not escaped for its place.

use super::{TOUCH, assert_quiet, read, report_of};
use procmon_tests::browser::Browser;
use procmon_tests::golden;
use serde_json::{Value, json};

/// Names that do something where one of them is not escaped for its place.
const HOSTILE: [&str; 8] = [
    "<script>window.hit=1</script>",
    "\"><img src=x onerror=window.hit=1>",
    "</script><script>window.hit=1</script>",
    "<!--<script>window.hit=1",
    "' onmouseover='window.hit=1' x='",
    "{{7*7}}{% raw %}",
    "</title></style></svg><iframe src=javascript:window.hit=1>",
    "left\u{202e}thgir\u{2028}line",
];

/// Puts hostile names into every text that somebody else chose.
fn poison(value: &mut Value, number: &mut usize) {
    const CHOSEN: [&str; 27] = [
        "exe",
        "path",
        "name",
        "argv",
        "titles",
        "cwd",
        "container",
        "pod",
        "image",
        "node",
        "key",
        "reason",
        "message",
        "title",
        "rule",
        "benign",
        "next",
        "mitre",
        "tactic",
        "accept",
        "notes",
        "evidence",
        "reasons",
        "address",
        "names",
        "claimed",
        "nearest",
    ];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if CHOSEN.contains(&name.as_str()) {
                    replace(value, number);
                }
                poison(value, number);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| poison(one, number)),
        _ => {}
    }
}

fn replace(value: &mut Value, number: &mut usize) {
    match value {
        Value::String(text) => {
            *text = format!("{}{text}", HOSTILE[*number % HOSTILE.len()]);
            *number += 1;
        }
        Value::Array(all) => all.iter_mut().for_each(|one| replace(one, number)),
        _ => {}
    }
}

/// A document of each kind, full of hostile names.
fn poisoned() -> Vec<Value> {
    let golden = golden::version("v1.2");
    let mut profile = read(&golden.join("profile.json"));
    let container = &mut profile["containers"][0];
    container["dns"] =
        json!([{"exe": "/a", "name": "n", "type": "A", "answers": ["x"], "count": 1}]);
    let memfd = json!({"time": "2026-11-30T11:05:21.1Z", "type": "memfdExec", "process": "p1", "count": 1,
                       "details": {"name": "x"}});
    container["events"] = json!([memfd]);
    profile["completeness"]["notes"] = json!(["note"]);
    let mut second = profile["containers"][0].clone();
    second["pod"] = "pod".into();
    second["image"] = "image".into();
    profile["containers"].as_array_mut().unwrap().push(second);
    let found = json!({"apiVersion": "procmon/v1", "schemaVersion": "1.3", "kind": "Findings",
        "profile": {"session": "s", "target": {"kind": "Pod", "name": "n"}},
        "findings": [{"id": "f", "rule": "r", "title": "t", "severity": "high", "confidence": "low",
                      "mitre": ["T1"], "message": "m", "container": "c", "evidence": ["/x"], "rows": 1,
                      "benign": "b", "next": ["n"]}],
        "incidents": [{"id": "i1", "title": "t", "severity": "high", "findings": ["f"],
                       "timeline": [{"finding": "f", "tactic": "t", "message": "m"}]}],
        "notJudged": [{"rule": "r", "reason": "x"}], "summary": {"high": 1}});
    let mut all = vec![profile, read(&golden.join("drift.json")), found];
    let mut number = 0;
    for one in &mut all {
        poison(one, &mut number);
    }
    all
}

#[test]
fn hostile_names_are_texts_and_nothing_else() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let documents = poisoned();
    let shown = documents.iter().map(|one| ("show", one));
    for (command, document) in shown.chain([("check", &documents[0])]) {
        let path = report_of(folder.path(), command, document);
        let html = std::fs::read_to_string(&path).unwrap();
        assert!(!html.contains(['\u{202e}', '\u{2028}']));
        browser.open(&path);
        browser.value(TOUCH);
        for selector in [
            "img",
            "iframe",
            "[onerror]",
            "[onmouseover]",
            "script:not([id]) ~ script ~ *",
        ] {
            let found = format!("document.querySelectorAll(\"{selector}\").length");
            assert_eq!(browser.value(&found), json!(0), "{command} {selector}");
        }
        assert_eq!(browser.value("document.scripts.length"), json!(2));
        assert_eq!(browser.value("typeof window.hit"), json!("undefined"));
        let text = browser.value("document.body.innerText");
        for name in [HOSTILE[0], HOSTILE[1], "\\u{202e}", "{{7*7}}"] {
            assert!(text.as_str().unwrap().contains(name), "{command}: {name}");
        }
        assert_quiet(&browser);
    }
}

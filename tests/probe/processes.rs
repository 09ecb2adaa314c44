//! Which process is the parent of which, and to which one an event belongs.

use procmon_tests::document::{read, rows};
use procmon_tests::has_bpf;
use procmon_tests::profiled::{folder, local};
use procmon_tests::workload::{self, Linked};
use serde_json::Value;
use std::process::Stdio;

#[test]
fn an_event_of_a_child_that_executes_belongs_to_a_process() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let status = local(&document, &["--"])
        .arg(workload::path("credentials", Linked::Static))
        .arg("drop")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    let own = rows(&document, "processes")
        .find(|row| row["parent"].is_null())
        .expect("the command has a row");
    let change = rows(&document, "events")
        .find(|event| event["details"]["toUid"] == "65534")
        .expect("a change of credentials");
    assert_eq!(change["process"], own["id"], "{change}");
}

/// The only row of a process with these arguments.
pub(crate) fn process<'a>(document: &'a Value, argv: &[&str]) -> &'a Value {
    let found: Vec<&Value> = rows(document, "processes")
        .filter(|row| row["argv"] == Value::from(argv))
        .collect();
    assert_eq!(found.len(), 1, "{argv:?}: {found:?}");
    found[0]
}

/// Profiles a shell script.
pub(crate) fn script(text: &str) -> Value {
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let status = local(&document, &["--", "/bin/sh", "-c", text])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{text}: {status}");
    read(&document)
}

#[test]
fn a_program_belongs_to_the_shell_that_started_it() {
    if !has_bpf() {
        return;
    }
    // A shell, a part of it that goes on by itself, and a part of that.
    let document =
        script("/bin/echo outer; ( /bin/echo inner; ( /bin/echo deep; true ); true ); true");
    let shells: Vec<&Value> = rows(&document, "processes")
        .filter(|row| row["argv"][0] == "/bin/sh")
        .collect();
    assert_eq!(shells.len(), 2, "{shells:?}");
    let (outer, inner) = if shells[0]["parent"].is_null() {
        (shells[0], shells[1])
    } else {
        (shells[1], shells[0])
    };
    assert_eq!(inner["parent"], outer["id"]);
    assert_eq!(inner["count"], 2);
    for (word, shell) in [("outer", outer), ("inner", inner), ("deep", inner)] {
        let echo = process(&document, &["/bin/echo", word]);
        assert_eq!(echo["parent"], shell["id"], "{echo}");
    }
}

#[test]
fn only_a_signal_out_of_the_tree_is_an_event() {
    if !has_bpf() {
        return;
    }
    // The parent is the probe, which ignores it as the shell does.
    let document = script("kill -URG $PPID; kill -URG $$; ( kill -URG $$ ); kill -URG $PPID; true");
    let signals: Vec<&Value> = rows(&document, "events")
        .filter(|event| event["type"] == "signal")
        .collect();
    assert_eq!(signals.len(), 1, "{signals:?}");
    assert_eq!(signals[0]["count"], 2);
    assert_eq!(signals[0]["details"]["signal"], "SIGURG");
}

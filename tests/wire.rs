//! Names on the wire: who asked what, exactly, and nothing of anybody else.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::document::{check_truth, read, read_truth, rows, state};
use procmon_tests::profiled::{Run, folder, local};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{Running, has_bpf, wait_for};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// Profiles the workload in one of its modes.
fn profile(linked: Linked, mode: &str) -> Run {
    let (_folder, base) = folder();
    let (document, truth) = (base.join("profile.json"), base.join("truth.json"));
    let exe = workload::path("names", linked);
    let status = local(&document, &["--"])
        .arg(&exe)
        .arg(&base)
        .arg(mode)
        .env("PROCMON_TRUTH", &truth)
        .status()
        .unwrap();
    assert!(status.success(), "{mode}: {status}");
    Run::read(&document, &truth, &exe)
}

/// The rows are those of the truth, and no others.
fn check_all(run: &Run) {
    check_truth(&run.document, &run.truth, &run.exe);
    let found: Vec<String> = rows(&run.document, "dns")
        .map(ToString::to_string)
        .collect();
    let expected = run.truth["dns"].as_array().unwrap().len();
    assert_eq!(found.len(), expected, "{}", found.join("\n"));
}

#[test]
fn questions_answers_and_server_names_are_exact() {
    if !has_bpf() {
        return;
    }
    for linked in [Linked::Dynamic, Linked::Static] {
        let run = profile(linked, "everything");
        check_all(&run);
        assert_eq!(
            state(&run.document, "dns"),
            "complete",
            "{:#}",
            run.document["completeness"]
        );
        let hook = run.document["nodes"][0]["hooks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|hook| hook["name"] == "socket_filter")
            .unwrap();
        assert_eq!(hook["state"], "proven", "{hook}");
    }
}

#[test]
fn the_c_librarys_questions_are_seen() {
    if !has_bpf() {
        return;
    }
    check_all(&profile(Linked::Dynamic, "getaddrinfo"));
}

#[test]
fn a_message_that_cannot_be_read_makes_the_names_partial() {
    if !has_bpf() {
        return;
    }
    let run = profile(Linked::Static, "malformed");
    check_all(&run);
    assert_eq!(state(&run.document, "dns"), "partial");
    assert_eq!(
        run.document["completeness"]["dimensions"]["dns"]["reasons"],
        serde_json::json!(["messages at port 53 that could not be read: 1"])
    );
}

#[test]
fn each_executable_has_its_own_questions_and_a_stranger_none() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let (document, truth) = (base.join("profile.json"), base.join("truth.json"));
    let exe = workload::path("names", Linked::Dynamic);
    let profile = Running::start(
        local(&document, &["--"])
            .arg(&exe)
            .arg(&base)
            .arg("hold")
            .env("PROCMON_TRUTH", &truth),
    );
    let holder = wait_for("the holder", SOON, || {
        std::fs::read_to_string(base.join("holder"))
            .ok()
            .filter(|pid| !pid.is_empty())
    });
    let stranger = Running::start(
        Command::new(&exe)
            .arg(&base)
            .args(["stranger", holder.as_str()]),
    );
    assert!(stranger.wait(SOON).success());
    assert!(profile.wait(SOON).success());
    let run = Run {
        document: read(&document),
        truth: read_truth(&truth),
        exe: exe.display().to_string(),
    };
    check_all(&run);
    assert!(!run.document.to_string().contains("stranger.example"));
    assert_eq!(state(&run.document, "dns"), "complete");
}

//! Exact counts of workloads of known behaviour, and nothing beside them.

use crate::harness::{check_document, profile};
use procmon_tests::document::{check_truth, read, read_truth, rows, state};
use procmon_tests::has_bpf;
use procmon_tests::profiled::{folder, local};
use procmon_tests::workload::{self, Linked};
use serde_json::Value;
use std::path::Path;

/// Everything that the workload knows of itself is in the document, number by number.
fn check(name: &str) {
    if !has_bpf() {
        return;
    }
    for linked in [Linked::Dynamic, Linked::Static] {
        let run = profile(name, linked);
        check_document(&run.document);
        check_truth(&run.document, &run.truth, &run.exe);
    }
}

/// A profile with times of calls.
fn timed(command: &[&str], truth: &Path) -> Value {
    let document = truth.with_extension("p.json");
    let status = local(&document, &["-q", "--latency", "--"])
        .args(command)
        .env("PROCMON_TRUTH", truth)
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}: {status}");
    read(&document)
}

#[test]
fn times_of_calls_are_told() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let sleeps = timed(
        &["sh", "-c", "sleep 0.03; sleep 0.06"],
        &base.join("sleeps"),
    );
    let times = |document: &Value, name: &str, exe: &str| {
        let row = rows(document, "syscalls")
            .find(|row| row["name"] == name && row["exe"].as_str().unwrap().ends_with(exe))
            .cloned();
        let row = row.unwrap_or_else(|| panic!("no {name}"));
        ["p50", "p95", "p99", "max"].map(|time| row["latencyNs"][time].as_u64().unwrap())
    };
    let [p50, p95, p99, max] = times(&sleeps, "clock_nanosleep", "/sleep");
    assert!((30_000_000..60_000_000).contains(&p50), "{p50}");
    assert!(
        p95 == max && p99 == max && (60_000_000..500_000_000).contains(&max),
        "{p95} {p99} {max}"
    );
    // Not every one of thousands in a row is timed, every one is counted.
    let exe = workload::path("calls", Linked::Dynamic)
        .display()
        .to_string();
    let calls = timed(&[&exe], &base.join("calls"));
    check_truth(&calls, &read_truth(&base.join("calls")), &exe);
    let [p50, p95, p99, max] = times(&calls, "getppid", "workload-calls");
    assert!(p50 > 0 && p50 < 100_000, "{p50}");
    assert!(
        p50 <= p95 && p95 <= p99 && p99 <= max,
        "{p50} {p95} {p99} {max}"
    );
}

#[test]
fn system_calls_of_one_thread_and_of_eight_are_exact() {
    check("calls");
}

#[test]
fn file_operations_and_bytes_are_exact() {
    check("files");
}

#[test]
fn connections_datagrams_and_bytes_are_exact() {
    check("net");
}

#[test]
fn executions_and_exits_are_exact() {
    check("processes");
}

#[test]
fn privileges_given_up_refused_and_used_are_seen() {
    check("credentials");
}

#[test]
fn a_profile_holds_no_peer_but_those_that_were_there() {
    if !has_bpf() {
        return;
    }
    let run = profile("net", Linked::Static);
    let expected = run.truth["network"].as_array().unwrap().len();
    let found: Vec<String> = rows(&run.document, "network")
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.len(), expected, "{}", found.join("\n"));
}

#[test]
fn an_executed_program_is_a_file_too() {
    if !has_bpf() {
        return;
    }
    let run = profile("processes", Linked::Dynamic);
    let executed = rows(&run.document, "files")
        .find(|row| {
            row["path"].as_str().unwrap().ends_with("/true") && row["exe"] == run.exe.as_str()
        })
        .expect("the program is a file");
    assert_eq!(executed["operations"]["exec"], 24);
}

#[test]
fn a_program_that_is_gone_removed_a_file_where_the_link_led() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    std::fs::create_dir(base.join("real")).unwrap();
    std::fs::write(base.join("real/file"), "").unwrap();
    std::os::unix::fs::symlink("real", base.join("link")).unwrap();
    let document = base.join("p.json");
    let status = local(&document, &["--", "/bin/rm"])
        .arg(base.join("link/file"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    let path = base.join("real/file").display().to_string();
    let removed = rows(&document, "files")
        .find(|row| row["operations"]["unlink"] == 1)
        .expect("a file was removed");
    assert_eq!(removed["path"], path.as_str());
}

#[test]
fn what_is_done_without_being_seen_makes_its_dimensions_partial() {
    if !has_bpf() {
        return;
    }
    for (name, argument, files) in [
        ("files", "asynchronous", true),
        ("calls", "socketcall", false),
    ] {
        let (_folder, base) = folder();
        let document = base.join("p.json");
        let status = local(&document, &["--"])
            .arg(workload::path(name, Linked::Static))
            .arg(argument)
            .status()
            .unwrap();
        // The kernel may not have it.
        if status.code() == Some(3) {
            continue;
        }
        assert!(status.success(), "{argument}: {status}");
        let document = read(&document);
        let of_files = if files { "partial" } else { "complete" };
        assert_eq!(state(&document, "files"), of_files, "{argument}");
        assert_eq!(state(&document, "network"), "partial", "{argument}");
        assert_eq!(document["completeness"]["complete"], false);
    }
}

#[test]
fn nothing_of_other_programs_is_in_the_profile() {
    if !has_bpf() {
        return;
    }
    let run = profile("calls", Linked::Dynamic);
    for dimension in ["syscalls", "files", "network", "processes", "capabilities"] {
        for row in rows(&run.document, dimension) {
            assert_eq!(row["exe"], run.exe.as_str(), "{row}");
        }
    }
}

#[test]
fn every_hook_is_proven_before_the_window_opens_and_the_cost_is_stated() {
    if !has_bpf() {
        return;
    }
    let run = profile("calls", Linked::Dynamic);
    for hook in run.document["nodes"][0]["hooks"].as_array().unwrap() {
        // A hook that this machine lacks, in lockdown say, only adds facts; loading a module would
        // leave traces.
        let is_needed = hook["tier"] == "base" && hook["name"] != "module_load";
        let reason = hook["reason"].as_str().unwrap_or_default();
        assert!(
            hook["state"] == "proven"
                || (!is_needed && (hook["state"] == "missing" || reason.starts_with("not tried"))),
            "{hook}"
        );
        assert_eq!(hook["missed"].as_u64().unwrap_or(0), 0, "{hook}");
    }
    let cost = &run.document["nodes"][0]["cost"];
    assert!(cost["rssBytes"].as_u64().unwrap() < 48 << 20, "{cost}");
    assert!(cost["mapBytes"].as_u64().unwrap() > 0, "{cost}");
    for dimension in ["processes", "syscalls", "files", "network", "events"] {
        assert_eq!(state(&run.document, dimension), "complete", "{dimension}");
    }
}

#[test]
fn the_probe_fits_into_a_config_map() {
    let size = std::fs::metadata(procmon_tests::probe()).unwrap().len();
    assert!(size < 1_040_000, "{size} bytes");
}

#[test]
fn two_windows_at_once_see_only_their_own() {
    if !has_bpf() {
        return;
    }
    let runs =
        ["calls", "files"].map(|name| std::thread::spawn(move || profile(name, Linked::Dynamic)));
    for run in runs {
        let run = run.join().unwrap();
        check_document(&run.document);
        check_truth(&run.document, &run.truth, &run.exe);
        assert!(rows(&run.document, "processes").all(|row| row["exe"] == run.exe.as_str()));
    }
}

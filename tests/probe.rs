//! The built plugin and probe on this kernel: exact counts against workloads of known behaviour.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::{has_bpf, plugin};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Run {
    document: Value,
    truth: Value,
    exe: String,
    folder: tempfile::TempDir,
}

/// Profiles a workload; its folder is its first argument.
fn profile(workload: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let truth = base.join("truth.json");
    let document = base.join("profile.json");
    let exe = workload_path(workload);
    let status = Command::new(plugin())
        .args([
            "profile",
            "--local",
            "--duration",
            "60s",
            "-o",
            "json",
            "--require-complete",
            "--output-file",
        ])
        .arg(&document)
        .arg("--")
        .arg(&exe)
        .arg(&base)
        .env("PROCMON_TRUTH", &truth)
        .status()
        .unwrap();
    assert!(status.success(), "{workload}: {status}");
    Run {
        document: read(&document),
        truth: read(&truth),
        exe: exe.display().to_string(),
        folder,
    }
}

fn workload_path(workload: &str) -> PathBuf {
    let path = match workload {
        "calls" => env!("CARGO_BIN_EXE_workload-calls"),
        "files" => env!("CARGO_BIN_EXE_workload-files"),
        "net" => env!("CARGO_BIN_EXE_workload-net"),
        "processes" => env!("CARGO_BIN_EXE_workload-processes"),
        other => panic!("there is no workload {other}"),
    };
    Path::new(path).canonicalize().unwrap()
}

fn read(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn rows<'a>(document: &'a Value, dimension: &str) -> &'a Vec<Value> {
    document["containers"][0][dimension].as_array().unwrap()
}

/// Every key of `wanted` has the same value in `found`.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|own| covers(own, value))),
        _ => found == wanted,
    }
}

/// Everything that the workload knows of itself is in the document, number by number.
fn check(run: &Run) {
    let document = &run.document;
    for (name, wanted) in run.truth["syscalls"].as_object().into_iter().flatten() {
        let row = rows(document, "syscalls")
            .iter()
            .find(|row| row["name"] == name.as_str() && row["exe"] == run.exe.as_str())
            .unwrap_or_else(|| panic!("no row of {name}"));
        assert_eq!(row["calls"], wanted["calls"], "{name}");
        assert_eq!(row["errors"], wanted["errors"], "{name}");
    }
    for (path, wanted) in run.truth["files"].as_object().into_iter().flatten() {
        let row = rows(document, "files")
            .iter()
            .find(|row| row["path"] == path.as_str() && row["exe"] == run.exe.as_str())
            .unwrap_or_else(|| panic!("no row of {path}"));
        for key in ["operations", "bytesRead", "bytesWritten", "errors"] {
            assert_eq!(row[key], wanted[key], "{path}: {key}");
        }
    }
    for wanted in run.truth["network"].as_array().into_iter().flatten() {
        assert!(
            rows(document, "network")
                .iter()
                .any(|row| covers(row, wanted)),
            "no row like {wanted}\nin {:#}",
            document["containers"][0]["network"]
        );
    }
    for wanted in run.truth["processes"].as_array().into_iter().flatten() {
        let row = rows(document, "processes")
            .iter()
            .find(|row| row["argv"] == wanted["argv"])
            .unwrap_or_else(|| panic!("no row of {}", wanted["argv"]));
        assert_eq!(row["count"], wanted["count"], "{}", wanted["argv"]);
        assert_eq!(row["exits"], wanted["exits"], "{}", wanted["argv"]);
    }
    assert_eq!(document["completeness"]["complete"], true);
    validate(document);
    for call in rows(document, "syscalls") {
        let number = |key: &str| call[key].as_u64().unwrap();
        let errors: u64 = call["errors"]
            .as_object()
            .unwrap()
            .values()
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert!(
            number("calls")
                >= errors + number("restarted") + number("unfinished") + number("noReturn"),
            "{call}"
        );
    }
}

/// The document is as the schema says that the plugin prints.
fn validate(document: &Value) {
    let output = Command::new(plugin()).arg("schema").output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn system_calls_of_one_thread_and_of_eight_are_exact() {
    if has_bpf() {
        check(&profile("calls"));
    }
}

#[test]
fn file_operations_and_bytes_are_exact() {
    if has_bpf() {
        check(&profile("files"));
    }
}

#[test]
fn connections_datagrams_and_bytes_are_exact() {
    if has_bpf() {
        check(&profile("net"));
    }
}

#[test]
fn executions_and_exits_are_exact() {
    if has_bpf() {
        let run = profile("processes");
        check(&run);
        let executed = rows(&run.document, "files")
            .iter()
            .find(|row| {
                row["path"]
                    .as_str()
                    .is_some_and(|path| path.ends_with("/true"))
                    && row["exe"] == run.exe.as_str()
            })
            .expect("the program is a file");
        assert_eq!(executed["operations"]["exec"], 20);
    }
}

#[test]
fn nothing_of_other_programs_is_in_the_profile() {
    if has_bpf() {
        let run = profile("calls");
        for dimension in ["syscalls", "files", "network", "processes"] {
            for row in rows(&run.document, dimension) {
                assert_eq!(row["exe"], run.exe.as_str(), "{row}");
            }
        }
        drop(run.folder);
    }
}

#[test]
fn every_hook_is_proven_before_the_window_opens() {
    if has_bpf() {
        let run = profile("calls");
        for hook in run.document["nodes"][0]["hooks"].as_array().unwrap() {
            assert_eq!(hook["state"], "proven", "{hook}");
            assert_eq!(hook["missed"].as_u64().unwrap_or(0), 0, "{hook}");
        }
        let cost = &run.document["nodes"][0]["cost"];
        assert!(cost["rssBytes"].as_u64().unwrap() < 48 << 20, "{cost}");
        assert!(cost["mapBytes"].as_u64().unwrap() < 64 << 20, "{cost}");
    }
}

#[test]
fn two_windows_at_once_see_only_their_own() {
    if has_bpf() {
        let runs: Vec<_> = ["calls", "files"]
            .map(|workload| std::thread::spawn(move || profile(workload)))
            .into();
        for run in runs {
            check(&run.join().unwrap());
        }
    }
}

#[test]
fn a_running_process_is_followed_until_it_ends_or_somebody_asks() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("p.json");
    let mut target = Command::new("/bin/sh")
        .args(["-c", "while :; do /bin/true; sleep 0.05; done"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut plugin_process = Command::new(plugin())
        .args([
            "profile",
            "--local",
            "--duration",
            "60s",
            "-o",
            "json",
            "--pid",
            &target.id().to_string(),
            "--output-file",
        ])
        .arg(&document)
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let began = Instant::now();
    Command::new("kill")
        .args(["-INT", &plugin_process.id().to_string()])
        .status()
        .unwrap();
    let status = plugin_process.wait().unwrap();
    target.kill().unwrap();
    target.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(5));
    let document = read(&document);
    assert_eq!(document["session"]["endedEarly"], true);
    assert_eq!(
        document["completeness"]["complete"], true,
        "{:#}",
        document["completeness"]
    );
    let shell = rows(&document, "processes")
        .iter()
        .find(|row| row["startedBefore"] == true)
        .unwrap();
    assert_eq!(shell["argv"][1], "-c");
    assert!(
        rows(&document, "processes")
            .iter()
            .any(|row| row["argv"][0] == "/bin/true" && row["count"].as_u64() > Some(5))
    );
}

#[test]
fn the_commands_own_exit_code_and_output_are_passed_on() {
    if !has_bpf() {
        return;
    }
    let output = Command::new(plugin())
        .args([
            "profile",
            "--local",
            "-o",
            "name",
            "--",
            "/bin/sh",
            "-c",
            "echo out; echo err >&2; exit 42",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("command//bin/sh -c"),
        "{output:?}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("out") && errors.contains("err"), "{errors}");
    let output = Command::new(plugin())
        .args([
            "profile",
            "--local",
            "-o",
            "name",
            "--output-file",
            "/dev/null",
            "--",
            "/bin/sh",
            "-c",
            "echo out; kill -9 $$",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(128 + 9));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
}

#[test]
fn a_command_outlives_its_window_and_is_never_killed() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let script = format!("sleep 2; echo done > {}; exit 5", mark.display());
    let status = Command::new(plugin())
        .args([
            "profile",
            "--local",
            "--duration",
            "500ms",
            "-o",
            "json",
            "--output-file",
            "/dev/null",
            "--",
            "/bin/sh",
            "-c",
            &script,
        ])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(5));
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "done\n");
}

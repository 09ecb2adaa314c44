//! The built probe in guests with other kernels: it loads, attaches and counts there.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::model::{FileOperation, HookState};
use procmon_profile::wire::{Decoder, PROTOCOL, Part, Request, TargetSpec, Window};
use procmon_tests::{has, plugin, root};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The probe that the plugin carries.
fn probe(folder: &Path) -> PathBuf {
    let path = std::env::var_os("PROCMON_PROBE").map_or_else(
        || root().join("target/probe/procmon-probe-amd64"),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is missing: run `make build`",
        path.display()
    );
    let copy = folder.join("procmon-probe");
    std::fs::copy(path, &copy).unwrap();
    copy
}

/// Profiles the static workload in a guest; what the probe sent.
fn profile_in_guest(kernel: &str) -> Vec<Part> {
    let _ = plugin();
    let folder = tempfile::tempdir().unwrap();
    let workload = folder.path().join("workload");
    let status = Command::new("musl-gcc")
        .args(["-static", "-O1", "-o"])
        .arg(&workload)
        .arg(root().join("tests/workloads/static.c"))
        .status()
        .unwrap();
    assert!(status.success());
    let request = Request {
        protocol: PROTOCOL.to_owned(),
        session: "kernels".to_owned(),
        node: None,
        target: TargetSpec::Command {
            argv: vec!["/host/workload".to_owned()],
        },
        window: Window { seconds: None },
        deadline_seconds: Some(100.0),
        limits: procmon_profile::wire::Limits::default(),
        frames_fd: None,
        verbose: false,
    };
    let output = Command::new(root().join("tests/vm/run-in-vm.sh"))
        .args(["-m", "1024", "-t", "240", "-f"])
        .arg(&workload)
        .arg(kernel)
        .arg("--")
        .arg(probe(folder.path()))
        .arg(serde_json::to_string(&request).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut decoder = Decoder::default();
    for line in text.lines().filter(|line| line.starts_with("{\"seq\"")) {
        decoder.line(line.as_bytes()).unwrap();
    }
    assert!(decoder.failure().is_none(), "{:?}", decoder.failure());
    assert!(
        decoder.ended(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    decoder.finish().0
}

fn check(kernel: &str) {
    let has_qemu = Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .is_ok();
    if !has("kernels", has_qemu, "needs qemu-system-x86_64") {
        return;
    }
    let parts = profile_in_guest(kernel);
    let mut calls = std::collections::BTreeMap::new();
    let mut written = None;
    let mut exits = 0;
    for part in parts {
        match part {
            Part::Node(node) => {
                assert!(
                    node.kernel
                        .as_deref()
                        .unwrap_or_default()
                        .starts_with(kernel),
                    "{:?}",
                    node.kernel
                );
                for hook in node.hooks.iter().filter(|hook| hook.name != "cap_capable") {
                    assert_eq!(hook.state, HookState::Proven, "{hook:?}");
                }
            }
            Part::Syscalls { rows, .. } => {
                calls.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
            }
            Part::Files { rows, .. } => {
                written = written.or(rows.into_iter().find(|row| row.path == "/tmp/procmon"));
            }
            Part::Processes { rows, .. } => {
                exits += rows
                    .iter()
                    .filter_map(|row| row.exits.get("3"))
                    .sum::<u64>();
            }
            _ => {}
        }
    }
    assert_eq!(calls["getppid"].calls, 321);
    assert_eq!(calls["dup"].errors["EBADF"], 12);
    let written = written.expect("the file has a row");
    assert_eq!(written.operations[&FileOperation::Write], 9);
    assert_eq!(written.bytes_written, 45);
    assert_eq!(exits, 4);
}

#[test]
fn linux_6_1_counts_exactly() {
    check("6.1");
}

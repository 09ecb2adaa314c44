//! The built probe in guests with other kernels: it loads, attaches and counts there.
//! `PROCMON_TEST_KERNELS` names more of those in tests/vm/kernels.txt, separated by commas.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::Session;
use procmon_profile::wire::{Decoder, Limits, PROTOCOL, Request, TargetSpec, Window};
use procmon_tests::document::{check_truth, rows};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{has, probe, root};
use serde_json::Value;
use std::process::Command;

/// What the guest prints before the workload's truth.
const TRUTH: &str = "@truth ";

/// Profiles a static workload in a guest: the document, and the workload's truth.
fn profile_in_guest(kernel: &str, name: &str) -> (Value, Value, String) {
    let exe = workload::path(name, Linked::Static);
    let guest_exe = format!("/host/{}", exe.file_name().unwrap().display());
    let request = Request {
        protocol: PROTOCOL.to_owned(),
        session: "kernels".to_owned(),
        node: Some("guest".to_owned()),
        target: TargetSpec::Command {
            argv: vec![guest_exe.clone(), "/tmp/work".to_owned()],
        },
        window: Window { seconds: None },
        deadline_seconds: Some(200.0),
        limits: Limits::default(),
        frames_fd: None,
        verbose: false,
    };
    let script = format!(
        "mkdir /tmp/work; PROCMON_TRUTH=/tmp/truth /host/probe '{}'; echo; echo \"{TRUTH}$(cat /tmp/truth)\"",
        serde_json::to_string(&request).unwrap()
    );
    let output = Command::new(root().join("tests/vm/run-in-vm.sh"))
        .args(["-m", "1024", "-t", "240", "-f"])
        .arg(&exe)
        .arg("-f")
        .arg(format!("{}:probe", probe().display()))
        .args([kernel, "--", "/bin/sh", "-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut decoder = Decoder::default();
    for line in text.lines().filter(|line| line.starts_with("{\"seq\"")) {
        decoder.line(line.as_bytes()).unwrap();
    }
    assert!(
        decoder.failure().is_none(),
        "{:?}\n{said}",
        decoder.failure()
    );
    assert!(decoder.ended(), "{said}");
    let capture = NodeCapture {
        node: "guest".to_owned(),
        parts: decoder.finish().0,
        fault: None,
        failure: None,
    };
    let document = serde_json::to_value(merge(Session::default(), vec![capture])).unwrap();
    let truth = text
        .lines()
        .find_map(|line| line.strip_prefix(TRUTH))
        .unwrap_or_else(|| panic!("no truth: {said}"));
    (
        document,
        serde_json::from_str(truth).unwrap_or_else(|error| panic!("{error}: {said}")),
        guest_exe,
    )
}

fn check(kernel: &str) {
    let has_qemu = Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .is_ok();
    if !has("kernels", has_qemu, "needs qemu-system-x86_64") {
        return;
    }
    for name in ["calls", "files", "net", "names"] {
        let (document, truth, exe) = profile_in_guest(kernel, name);
        let node = &document["nodes"][0];
        assert!(
            node["kernel"].as_str().unwrap().starts_with(kernel),
            "{}",
            node["kernel"]
        );
        // A hook that this kernel lacks is named; none of the others may stay silent.
        for hook in node["hooks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|hook| hook["state"] != "missing")
        {
            assert_eq!(hook["state"], "proven", "{kernel}: {hook}");
        }
        for dimension in ["processes", "syscalls", "files", "network", "dns"] {
            assert_eq!(
                document["completeness"]["dimensions"][dimension]["state"], "complete",
                "{kernel}: {dimension}"
            );
            assert!(
                rows(&document, dimension).all(|row| row["exe"] == exe.as_str()),
                "{kernel}: {dimension}"
            );
        }
        check_truth(&document, &truth, &exe);
    }
}

#[test]
fn linux_6_1_counts_exactly() {
    check("6.1");
}

#[test]
fn every_other_kernel_that_was_asked_for_counts_exactly() {
    for kernel in std::env::var("PROCMON_TEST_KERNELS")
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
    {
        check(kernel);
    }
}

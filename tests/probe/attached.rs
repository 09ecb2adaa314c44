//! Targets that run before the window: a process, and a cgroup.

use crate::harness::{SOON, check_document};
use procmon_tests::document::{read, rows};
use procmon_tests::profiled::{folder, local};
use procmon_tests::{Running, cgroup_root, has_bpf, wait_for};
use serde_json::Value;
use std::process::{Command, Stdio};

/// A shell that runs /bin/true over and over until the test ends it.
fn busy_shell(prologue: &str) -> Running {
    let script = format!("{prologue}; while :; do /bin/true; sleep 0.02; done");
    Running::start(
        Command::new("/bin/sh")
            .args(["-c", &script])
            .stdout(Stdio::null())
            .process_group_of_its_own(),
    )
}

/// Puts a command into a process group of its own.
trait OwnGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

/// The profile of a busy shell: it ran before, and its children were seen.
fn check_busy_shell(document: &Value, shell: &Running) {
    check_document(document);
    let row = rows(document, "processes")
        .find(|row| row["argv"][1] == "-c")
        .expect("the shell has a row");
    assert_eq!(row["startedBefore"], true);
    assert_eq!(row["pids"][0], shell.id());
    let executed: u64 = rows(document, "processes")
        .filter(|row| row["argv"][0] == "/bin/true")
        .filter_map(|row| row["count"].as_u64())
        .sum();
    assert!(executed > 10, "{executed}");
    for row in rows(document, "processes") {
        assert!(
            ["/bin/sh", "/bin/true", "sleep"]
                .contains(&row["argv"][0].as_str().unwrap_or_default()),
            "{row}"
        );
    }
}

#[test]
fn a_running_process_is_followed_with_its_children() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let shell = busy_shell(":");
    let status = local(
        &document,
        &["--duration", "2s", "--pid", &shell.id().to_string()],
    )
    .status()
    .unwrap();
    assert!(status.success(), "{status}");
    check_busy_shell(&read(&document), &shell);
}

#[test]
fn a_cgroup_is_followed_with_those_below_it() {
    let root = cgroup_root();
    if !has_bpf() || !procmon_tests::has("bpf", root.is_some(), "needs a cgroup2 hierarchy") {
        return;
    }
    let cgroup = root
        .unwrap()
        .join(format!("procmon-test-{}", std::process::id()));
    std::fs::create_dir_all(cgroup.join("below")).unwrap();
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let shell = busy_shell(&format!(
        "echo $$ > {}/below/cgroup.procs",
        cgroup.display()
    ));
    wait_for("the shell to enter", SOON, || {
        std::fs::read_to_string(cgroup.join("below/cgroup.procs"))
            .is_ok_and(|text| !text.is_empty())
            .then_some(())
    });
    let status = local(
        &document,
        &["--duration", "2s", "--cgroup", cgroup.to_str().unwrap()],
    )
    .status()
    .unwrap();
    assert!(status.success(), "{status}");
    check_busy_shell(&read(&document), &shell);
    drop(shell);
    for folder in [cgroup.join("below"), cgroup] {
        wait_for("the cgroup to be empty", SOON, || {
            std::fs::remove_dir(&folder).ok()
        });
    }
}

#[test]
fn a_window_that_timeout_ends_has_a_document() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let shell = busy_shell(":");
    // Signals its child, and then the group that both are in.
    let window = local(
        &document,
        &["--duration", "60s", "--pid", &shell.id().to_string()],
    );
    let mut command = Command::new("timeout");
    command
        .arg("4")
        .arg(window.get_program())
        .args(window.get_args());
    let status = command.status().unwrap();
    assert_eq!(status.code(), Some(124));
    let document = read(&document);
    assert_eq!(document["session"]["endedEarly"], true);
    check_busy_shell(&document, &shell);
}

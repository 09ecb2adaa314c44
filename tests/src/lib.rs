//! The harness: where things are, what a test needs, the probe by itself, profiles by the plugin, workloads
//! and their truth, real servers, a cluster, a browser.

pub mod browser;
pub mod capture;
pub mod cluster;
pub mod document;
pub mod golden;
pub mod liar;
mod process;
pub mod profiled;
pub mod sandbox;
pub mod servers;
pub mod workload;

pub use process::{Running, run_on, signal, wait_for};

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The root of the workspace.
///
/// # Panics
/// Never: the package lies in the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
        .to_owned()
}

/// The project's files that are texts, with their content: those that git tracks, and new ones that it does
/// not ignore.
///
/// # Panics
/// When the folder is not a git checkout.
#[must_use]
pub fn project_files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "the folder is a git checkout");
    let listed = String::from_utf8(listed.stdout).expect("names of files are UTF-8");
    listed
        .split_terminator('\0')
        // A file that was removed is tracked until the removal is committed.
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(path)).ok()?;
            Some((path.to_owned(), text))
        })
        .collect()
}

/// The plugin that `make build` leaves, or the one that `PROCMON_PLUGIN` names.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn plugin() -> PathBuf {
    built("PROCMON_PLUGIN", "target/release/kubectl-procmon")
}

/// Runs the plugin with these arguments and without input.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn run(args: &[&str]) -> Output {
    Command::new(plugin())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the plugin runs")
}

/// The probe that the plugin carries, or the one that `PROCMON_PROBE` names.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn probe() -> PathBuf {
    built("PROCMON_PROBE", "target/probe/procmon-probe-amd64")
}

fn built(variable: &str, usual: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| root().join(usual), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `make build`",
        path.display()
    );
    path
}

/// A test needs something of the machine. Says why it can't run; where `PROCMON_TEST_REQUIRE`
/// lists the need, that is a failure.
///
/// # Panics
/// When the need is demanded and not met.
#[must_use]
#[expect(clippy::print_stderr, reason = "a test that does not run says why")]
pub fn has(need: &str, met: bool, why: &str) -> bool {
    if !met {
        let demanded = std::env::var("PROCMON_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !demanded.split(',').any(|name| name == need),
            "{need}: {why}"
        );
        eprintln!("skipped: {why}");
    }
    met
}

/// This process is root.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: takes no arguments.
    #[expect(unsafe_code, reason = "geteuid")]
    let user = unsafe { libc::geteuid() };
    user == 0
}

/// This process may load eBPF programs.
#[must_use]
pub fn has_bpf() -> bool {
    let has_btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    has(
        "bpf",
        is_root() && has_btf,
        "needs root and a kernel with BTF",
    )
}

/// The root of cgroup v2, where it is mounted.
#[must_use]
pub fn cgroup_root() -> Option<&'static Path> {
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.join("cgroup.procs").is_file())
}

/// Writes what a workload knows of itself into the file that `PROCMON_TRUTH` names: parts of rows,
/// by dimension, with the document's own keys. The last thing that a workload does.
///
/// # Panics
/// When the file can't be written.
pub fn tell(truth: &Value) {
    if let Some(path) = std::env::var_os("PROCMON_TRUTH") {
        let mut truth = truth.clone();
        if let Some(rows) = truth.get_mut("network").and_then(Value::as_array_mut) {
            add_up(rows);
        }
        std::fs::write(path, truth.to_string()).expect("the truth can be written");
    }
}

/// Adds rows of one peer: a port that the kernel chose may be chosen again.
fn add_up(rows: &mut Vec<Value>) {
    let key = |row: &Value| {
        ["exe", "protocol", "direction", "local", "remote"].map(|name| row[name].to_string())
    };
    let mut kept: Vec<Value> = Vec::new();
    for row in rows.drain(..) {
        let same = kept.iter_mut().find(|known| key(known) == key(&row));
        match same {
            Some(known) => add(known, &row),
            None => kept.push(row),
        }
    }
    *rows = kept;
}

/// Adds numbers, and those within.
fn add(kept: &mut Value, more: &Value) {
    match (kept, more) {
        (Value::Number(kept), Value::Number(more)) => {
            let sum = kept
                .as_u64()
                .zip(more.as_u64())
                .map(|(kept, more)| kept + more);
            *kept = sum.expect("counts").into();
        }
        (Value::Object(kept), Value::Object(more)) => {
            for (name, value) in more {
                match kept.get_mut(name) {
                    // Places are equal, and no counts.
                    Some(_) if matches!(name.as_str(), "local" | "remote") => {}
                    Some(known) => add(known, value),
                    None => {
                        kept.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_of_one_peer_are_added() {
        let row = |port: u16, count: u64, failures: Value| {
            json!({"protocol": "tcp", "direction": "outbound", "remote": {"address": "127.0.0.1", "port": port},
                "connections": count, "failures": failures})
        };
        let mut rows = vec![
            row(44_566, 1, json!({})),
            row(80, 2, json!({})),
            row(44_566, 5, json!({"ECONNREFUSED": 2})),
        ];
        add_up(&mut rows);
        assert_eq!(
            rows,
            [
                row(44_566, 6, json!({"ECONNREFUSED": 2})),
                row(80, 2, json!({}))
            ]
        );
    }
}

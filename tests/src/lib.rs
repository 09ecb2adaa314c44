//! The harness: where things are, what a test needs, and how a workload tells its truth.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The plugin that `make build` leaves.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn plugin() -> PathBuf {
    let path = root().join("target/release/kubectl-procmon");
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

/// This process may load eBPF programs.
#[must_use]
pub fn has_bpf() -> bool {
    // SAFETY: takes no arguments.
    #[expect(unsafe_code, reason = "geteuid")]
    let is_root = unsafe { libc::geteuid() } == 0;
    let has_btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    has(
        "bpf",
        is_root && has_btf,
        "needs root and a kernel with BTF",
    )
}

/// Writes what a workload knows of itself into the file that `PROCMON_TRUTH` names.
///
/// # Panics
/// When the file can't be written.
pub fn tell(truth: &Value) {
    if let Some(path) = std::env::var_os("PROCMON_TRUTH") {
        std::fs::write(path, truth.to_string()).expect("the truth can be written");
    }
}

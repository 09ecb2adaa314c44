//! Profiles by the plugin on this machine (`profile --local`), and cases that are known to fail.

use crate::document::{read, read_truth};
use crate::plugin;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The arguments of a local profile that is written as JSON; the path of the document is the next one.
pub const LOCAL: [&str; 5] = ["profile", "--local", "-o", "json", "--output-file"];

/// A profiled workload.
#[derive(Debug)]
pub struct Run {
    /// The profile.
    pub document: Value,
    /// The facts that the workload states about itself.
    pub truth: Value,
    /// Path of the workload's executable, as documents name it.
    pub exe: String,
}

impl Run {
    /// Reads what a run of the workload has left in two files.
    ///
    /// # Panics
    /// When one of them can't be read or is not JSON.
    #[must_use]
    pub fn read(document: &Path, truth: &Path, exe: &Path) -> Self {
        Self {
            document: read(document),
            truth: read_truth(truth),
            exe: exe.display().to_string(),
        }
    }
}

/// A temporary folder, and its resolved path: documents hold resolved paths.
///
/// # Panics
/// When it can't be made.
#[must_use]
pub fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("it was just made");
    (folder, path)
}

/// The plugin, which profiles on this machine and writes the document to this path.
///
/// # Panics
/// When the plugin was not built.
#[must_use]
pub fn local(document: &Path, args: &[&str]) -> Command {
    local_as("json", document, args)
}

/// The same with another format than JSON.
///
/// # Panics
/// When the plugin was not built.
#[must_use]
pub fn local_as(format: &str, output: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(plugin());
    command
        .args(["profile", "--local", "-o", format, "--output-file"])
        .arg(output)
        .args(args)
        .stdin(Stdio::null());
    command
}

/// The document says that nothing is missing.
///
/// # Panics
/// When it does not.
pub fn check_complete(document: &Value) {
    assert_eq!(
        document["completeness"]["complete"], true,
        "{:#}",
        document["completeness"]
    );
}

/// Runs a check of one case. A case that `known` lists is allowed to fail: the reason is printed.
///
/// # Panics
/// When the check fails and the case is not listed.
#[expect(clippy::print_stderr, reason = "a known failure is printed")]
pub fn check_unless_known(known: &[(&str, &str)], case: &str, check: impl FnOnce()) {
    let known = known.iter().find(|(name, _)| *name == case);
    match (known, catch_unwind(AssertUnwindSafe(check))) {
        (None, Ok(())) => {}
        (None, Err(failure)) => std::panic::resume_unwind(failure),
        (Some((_, why)), Err(_)) => eprintln!("known: {case}: {why}"),
        (Some(_), Ok(())) => eprintln!("{case} is right by now: take it from the list"),
    }
}

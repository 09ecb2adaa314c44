//! Profiles of workloads, and checks that several topics share.

use procmon_tests::document::{check_sums, rows};
use procmon_tests::plugin;
use procmon_tests::profiled::{Run, check_complete, folder, local};
use procmon_tests::workload::{self, Linked};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Profiles a workload, whose first argument is a folder.
pub(crate) fn profile(name: &str, linked: Linked) -> Run {
    let (_folder, base) = folder();
    let (document, truth, files) = (
        base.join("profile.json"),
        base.join("truth.json"),
        base.join("files"),
    );
    std::fs::create_dir(&files).unwrap();
    let exe = workload::path(name, linked);
    let status = local(
        &document,
        &["--duration", "60s", "--require-complete", "--"],
    )
    .arg(&exe)
    .arg(&files)
    .env("PROCMON_TRUTH", &truth)
    .status()
    .unwrap();
    assert!(status.success(), "{name}: {status}");
    Run::read(&document, &truth, &exe)
}

/// Checks the facts that hold for every document.
pub(crate) fn check_document(document: &Value) {
    check_complete(document);
    check_sums(document);
    validate(document);
    for row in rows(document, "files") {
        let path = row["path"].as_str().unwrap();
        assert!(
            !path.starts_with("pipe:")
                && !path.starts_with("socket:")
                && !path.starts_with("anon_inode:"),
            "{row}"
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

/// This program is installed.
pub(crate) fn has_program(name: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin".into()])
        .any(|folder| folder.join(name).is_file());
    procmon_tests::has(
        "servers",
        found,
        &format!("needs {name}: tests/setup/packages.sh"),
    )
}

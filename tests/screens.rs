//! Every screen that people read, as snapshots in `tests/snapshots/`: their diff is read like code.
//! `cargo insta review`, or `INSTA_UPDATE=always`, accepts a change.
//!
//! The documents are those of `tests/golden/`, so that equal builds give equal screens.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::{golden, plugin, root};
use std::path::Path;
use std::process::{Command, Stdio};

/// The version of the golden documents that are shown.
const SHOWN: &str = "v1.2";

/// The output of the plugin in a folder: exit code, standard output and standard error.
fn screen(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(plugin())
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        // No cluster and no user's settings.
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    let mut text = format!("$ kubectl procmon {}\n", args.join(" "));
    text.push_str(&String::from_utf8(output.stdout).unwrap());
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    format!("{text}[exit {code}]")
}

/// The same in the folder of the golden documents.
fn shown(args: &[&str]) -> String {
    screen(&golden::version(SHOWN), args)
}

/// Compares a screen with the snapshot of this name.
fn check(name: &str, screen: &str) {
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!(name, screen);
    });
}

#[test]
fn a_profile_in_each_form_for_people() {
    for form in ["table", "wide", "name"] {
        let screen = shown(&["show", "profile.json", "-o", form]);
        check(&format!("profile_{form}"), &screen);
    }
}

#[test]
fn a_drift_in_each_form_for_people() {
    for form in ["table", "wide", "markdown"] {
        let screen = shown(&["show", "drift.json", "-o", form]);
        check(&format!("drift_{form}"), &screen);
    }
}

#[test]
fn a_comparison_without_drift() {
    check(
        "no_drift",
        &shown(&["diff", "baseline.yaml", "profile.json"]),
    );
}

#[test]
fn a_comparison_that_is_not_whole_or_meets_claimed_names() {
    let documents = root().join("tests/documents");
    for (name, folder, profile, form) in [
        ("partial", "partial-hides-drift", "partial.json", "table"),
        ("blinded", "partial-hides-drift", "blinded.json", "table"),
        (
            "blinded_markdown",
            "partial-hides-drift",
            "blinded.json",
            "markdown",
        ),
        ("claimed", "names-are-claims", "spoofed.json", "wide"),
    ] {
        let args = ["diff", "base.json", profile, "-o", form];
        check(
            &format!("comparison_{name}"),
            &screen(&documents.join(folder), &args),
        );
    }
}

#[test]
fn the_baselines_of_a_folder() {
    check("baseline_list", &shown(&["baseline", "list", "."]));
}

#[test]
fn the_error_of_an_old_certificate() {
    let folder = root().join("tests/documents/old-certificate");
    let args = ["profile", "pod/x", "--kubeconfig", "kubeconfig.yaml"];
    check("old_certificate", &screen(&folder, &args));
}

#[test]
fn a_baseline_in_each_form_for_people() {
    for (name, args) in [
        ("table", &["baseline", "show", "baseline.yaml"][..]),
        (
            "explain",
            &["baseline", "show", "baseline.yaml", "--explain"],
        ),
    ] {
        check(&format!("baseline_{name}"), &shown(args));
    }
}

/// Names of the commands that a help lists.
fn commands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A description goes on in lines that are indented further.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// Checks the help of a command and of those below it.
fn check_help(path: &[&str]) {
    let help = shown(&[path, &["--help"]].concat());
    let name = ["help", &path.join("_")].join("_");
    check(name.trim_end_matches('_'), &help);
    for command in commands(&help) {
        check_help(&[path, &[command]].concat());
    }
}

#[test]
fn the_help_of_each_command() {
    check_help(&[]);
}

/// The same text with a word in place of digests and sizes, which differ from build to build.
fn without_numbers(text: &str) -> String {
    text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric())
        .map(|part| {
            let word = part.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
            let end = &part[word.len()..];
            let is_digest = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_size = word.len() > 5 && word.bytes().all(|byte| byte.is_ascii_digit());
            match (is_digest, is_size) {
                (true, _) => format!("DIGEST{end}"),
                (_, true) => format!("SIZE{end}"),
                _ => part.to_owned(),
            }
        })
        .collect()
}

#[test]
fn the_version() {
    let text = without_numbers(&shown(&["version"]));
    // A build of one's own carries the probe of one architecture, a release carries two.
    let other = "probe arm64: SIZE bytes, sha256 DIGEST\n  in a ConfigMap, base64 of binaryData.probe: sha256 DIGEST\n";
    check("version", &text.replace(other, ""));
}

#[test]
fn the_errors_of_wrong_usage() {
    for (name, args) in [
        ("no_command", &[][..]),
        ("unknown_command", &["nonsense"]),
        (
            "duration_zero",
            &["profile", "--local", "--duration", "0", "--", "true"],
        ),
        (
            "duration_negative",
            &["profile", "--local", "--duration", "-5s", "--", "true"],
        ),
        (
            "duration_long",
            &["profile", "--local", "--duration", "25h", "--", "true"],
        ),
        (
            "duration_word",
            &["profile", "--local", "--duration", "soon", "--", "true"],
        ),
        (
            "unknown_form",
            &["profile", "--local", "-o", "xml", "--", "true"],
        ),
        ("no_local_target", &["profile", "--local"]),
        (
            "no_container_id",
            &["profile", "--local", "--container", "xyz"],
        ),
        (
            "cluster_target_and_command",
            &["profile", "pod/web", "--", "true"],
        ),
        ("empty_selector", &["profile", "-l", ""]),
        (
            "output_file",
            &[
                "profile",
                "--local",
                "--output-file",
                "/nonexistent/p.json",
                "--",
                "true",
            ],
        ),
        ("form_of_document", &["show", "profile.json", "-o", "sarif"]),
        (
            "condition",
            &[
                "diff",
                "baseline.yaml",
                "profile.json",
                "--ignore",
                "path +",
            ],
        ),
        (
            "unknown_row",
            &[
                "diff",
                "baseline.yaml",
                "profile.json",
                "--accept",
                "--row",
                "0",
            ],
        ),
        (
            "no_kubeconfig",
            &["profile", "pod/web", "--kubeconfig", "/nonexistent"],
        ),
    ] {
        check(&format!("usage_{name}"), &shown(args));
    }
}

#[test]
fn the_errors_of_bad_documents() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("empty", &b""[..]),
        (
            "truncated",
            br#"{"apiVersion":"procmon/v1","kind":"Profile","#,
        ),
        (
            "other_api",
            br#"{"apiVersion":"procmon/v2","kind":"Profile"}"#,
        ),
        (
            "other_kind",
            br#"{"apiVersion":"procmon/v1","kind":"Response"}"#,
        ),
        ("other_object", br#"{"apiVersion":"v1","kind":"Pod"}"#),
        ("binary", b"\x7fELF\x00\x01"),
        (
            "wrong_type",
            br#"{"apiVersion":"procmon/v1","kind":"Profile","schemaVersion":"1.0","session":7}"#,
        ),
    ] {
        std::fs::write(folder.path().join("document"), content).unwrap();
        check(
            &format!("document_{name}"),
            &screen(folder.path(), &["show", "document"]),
        );
    }
    for (name, path) in [("absent", "absent"), ("folder", ".")] {
        check(
            &format!("document_{name}"),
            &screen(folder.path(), &["show", path]),
        );
    }
    std::fs::write(folder.path().join("stream"), "junk\n").unwrap();
    check(
        "stream_malformed",
        &screen(folder.path(), &["show", "--frames", "stream"]),
    );
}

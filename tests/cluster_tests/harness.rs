//! Objects that the tests create, and checks that several topics share.

use procmon_tests::cluster::{MANAGED, Namespace, pod};
use procmon_tests::document::check_sums;
use procmon_tests::profiled;
use procmon_tests::{Running, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_mins(2);

/// A small image with a shell; every node has it.
pub(crate) fn busybox() -> String {
    std::env::var("PROCMON_TEST_IMAGE").unwrap_or_else(|_| "localhost/busybox:1".to_owned())
}

/// A container that runs a shell script.
pub(crate) fn shell(name: &str, script: &str) -> String {
    format!(
        "- {{name: {name}, image: \"{}\", command: [\"/bin/sh\", \"-c\", {}]}}\n",
        busybox(),
        Value::from(script)
    )
}

/// One pod with one container, `main`, that runs a shell script.
pub(crate) fn shell_pod(name: &str, script: &str) -> String {
    pod(name, &format!("containers:\n{}", shell("main", script)))
}

/// Creates such a pod and waits until it runs.
pub(crate) fn run_shell_pod(namespace: &Namespace<'_>, name: &str, script: &str) {
    namespace.apply(&shell_pod(name, script));
    namespace.wait_ready(&format!("app={name}"));
}

/// A workload of a kind with a pod template, whose container `main` runs a shell script.
pub(crate) fn workload_of(kind: &str, group: &str, name: &str, more: &str, script: &str) -> String {
    let restart = if kind == "Job" {
        "restartPolicy: Never, "
    } else {
        ""
    };
    let selector = if kind == "Job" {
        String::new()
    } else {
        format!("selector: {{matchLabels: {{app: {name}}}}}, ")
    };
    format!(
        "{{apiVersion: {group}/v1, kind: {kind}, metadata: {{name: {name}}}, spec: {{{more}{selector}\
         template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{{restart}terminationGracePeriodSeconds: 0, \
         topologySpreadConstraints: [{{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, \
         labelSelector: {{matchLabels: {{app: {name}}}}}}}], containers: [{{name: main, image: \"{}\", \
         command: [\"/bin/sh\", \"-c\", {}]}}]}}}}}}}}\n",
        busybox(),
        Value::from(script)
    )
}

/// Answers requests on port 8080 with a page.
pub(crate) const SERVE: &str =
    "mkdir -p /www && echo page > /www/index.html && exec httpd -f -p 8080 -h /www";

/// Runs /bin/true for ever.
pub(crate) const BUSY: &str = "while :; do /bin/true; sleep 0.05; done";

pub(crate) fn names<'a>(document: &'a Value, pointer: &str) -> Vec<&'a str> {
    document["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container.pointer(pointer)?.as_str())
        .collect()
}

pub(crate) fn check_complete(document: &Value) {
    profiled::check_complete(document);
    assert!(
        !document["containers"].as_array().unwrap().is_empty(),
        "{document:#}"
    );
    check_sums(document);
}

/// Exit code 2 and an error that says these things; nothing of it is left in the namespace.
pub(crate) fn refused(namespace: &Namespace<'_>, args: &[&str], says: &[&str]) {
    let output = namespace
        .plugin(&[&["profile"], args].concat())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "{args:?}");
    for text in says {
        assert!(
            errors.contains(text),
            "{args:?} does not say `{text}`: {errors}"
        );
    }
    assert!(!errors.contains("panicked"), "{errors}");
    let left: Vec<String> = namespace
        .objects()
        .into_iter()
        .filter(|name| name.contains("procmon-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Nothing is in the cluster that was not there before, but what belongs to other tests.
pub(crate) fn check_nothing_new(namespace: &Namespace<'_>, before: &BTreeSet<String>) {
    let added: Vec<String> = namespace
        .cluster
        .everything()
        .into_iter()
        .filter(|line| !before.contains(line))
        .filter(|line| line.contains(&namespace.name) || !line.contains("procmon-test-"))
        // Services of other tests have addresses.
        .filter(|line| !line.starts_with("ipaddresses."))
        .collect();
    assert!(added.is_empty(), "{added:?}");
}

/// Starts a profile in the background, writing into a file.
pub(crate) fn start(namespace: &Namespace<'_>, document: &Path, args: &[&str]) -> Running {
    Running::start(
        namespace
            .plugin(
                &[
                    &["profile"],
                    args,
                    &["-o", "json", "--output-file", document.to_str().unwrap()],
                ]
                .concat(),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}

/// Waits until the session's window is open: its first frame says so.
pub(crate) fn wait_for_probe(namespace: &Namespace<'_>) {
    wait_for("the probe", SOON, || {
        let output = namespace.cluster.try_kubectl(&[
            "logs",
            "-n",
            &namespace.name,
            "-l",
            MANAGED,
            "--tail=-1",
        ]);
        String::from_utf8_lossy(&output.stdout)
            .contains("hello")
            .then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
}

/// Runs the plugin in a namespace and expects an exit code; what it says on both streams.
pub(crate) fn exits(namespace: &Namespace<'_>, code: i32, args: &[&str]) -> (String, String) {
    let output = namespace.plugin(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), errors)
}

//! Baselines that are kept in the cluster, beside their workload.

use crate::harness::{BUSY, SOON, exits, workload_of};
use procmon_tests::Running;
use procmon_tests::cluster::{Namespace, cluster};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Stdio;

/// Saves a baseline of the workload `busy`, of two windows that are this long.
fn save_two_windows(namespace: &Namespace<'_>, duration: &str) {
    exits(
        namespace,
        0,
        &[
            "baseline",
            "save",
            "cm/busy",
            "deploy/busy",
            "--windows",
            "2",
            "--duration",
            duration,
        ],
    );
}

#[test]
fn parts_of_a_baseline_that_was_never_written_are_deleted_by_its_name() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "orphans");
    // SHA-256 of `unwritten`, cut.
    namespace.apply(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: unwritten-0a1b2c3d-1, labels: {app.kubernetes.io/part-of: kubectl-procmon, \
         procmon/document: baseline-part, procmon/part-of: ecffff50534d4fa88ec2774e2a6dc9d9}}}",
    );
    let (_, errors) = exits(&namespace, 2, &["baseline", "delete", "cm/other"]);
    assert!(errors.contains("there is no `cm/other`"), "{errors}");
    exits(&namespace, 0, &["baseline", "delete", "cm/unwritten"]);
    assert_eq!(namespace.objects(), BTreeSet::new());
}

#[test]
fn a_baseline_is_kept_beside_its_workload_which_is_compared_with_it() {
    let Some(cluster) = cluster() else {
        return;
    };
    let namespace = Namespace::new(cluster, "baseline");
    namespace.apply(&workload_of(
        "Deployment",
        "apps",
        "busy",
        "replicas: 2, ",
        BUSY,
    ));
    namespace.wait_ready("app=busy");
    save_two_windows(&namespace, "2s");
    let (list, _) = exits(&namespace, 0, &["baseline", "list"]);
    assert!(
        list.contains("cm/busy") && list.contains("Deployment/"),
        "{list}"
    );
    let (text, _) = exits(
        &namespace,
        0,
        &[
            "diff",
            "cm/busy",
            "--live",
            "--duration",
            "2s",
            "--require-complete",
            "-o",
            "json",
        ],
    );
    let drift: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(drift["comparable"], true, "{drift:#}");
    // Somebody enters, and reads the token that the pod has.
    let pods = namespace.kubectl(&["get", "pods", "-l", "app=busy", "-o", "name"]);
    let pod = pods.lines().next().unwrap();
    let enter = [
        "exec",
        pod,
        "--",
        "sh",
        "-c",
        "i=0; while [ $i -lt 60 ]; do cat /var/run/secrets/kubernetes.io/serviceaccount/token >/dev/null; sleep 0.1; i=$((i+1)); done",
    ];
    let intruder = Running::start(
        cluster
            .command("kubectl")
            .args(cluster.flags())
            .args(["-n", &namespace.name])
            .args(enter)
            .stdout(Stdio::null()),
    );
    let (text, summary) = exits(
        &namespace,
        1,
        &[
            "diff",
            "cm/busy",
            "deploy/busy",
            "--duration",
            "3s",
            "--fail-on",
            "high",
            "-o",
            "json",
        ],
    );
    drop(intruder);
    let drift: Value = serde_json::from_str(&text).unwrap();
    assert!(
        drift["rows"].as_array().unwrap().iter().any(|row| {
            row["severity"] == "high" && row["key"].as_str().unwrap().ends_with("/token")
        }),
        "{drift:#}"
    );
    assert!(summary.contains("high"), "{summary}");
}

#[test]
fn two_who_merge_at_once_lose_nothing_and_an_edited_baseline_is_refused() {
    let Some(cluster) = cluster() else {
        return;
    };
    let namespace = Namespace::new(cluster, "merge");
    namespace.apply(&workload_of("Deployment", "apps", "busy", "", BUSY));
    namespace.wait_ready("app=busy");
    save_two_windows(&namespace, "1s");
    let folder = tempfile::tempdir().unwrap();
    let profiles: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|name| {
            let path = folder.path().join(format!("{name}.json"));
            let mut document = namespace.profile(&["deploy/busy", "--duration", "1s"]);
            document["session"]["id"] = (*name).into();
            std::fs::write(&path, document.to_string()).unwrap();
            path.display().to_string()
        })
        .collect();
    let merges: Vec<Running> = profiles
        .iter()
        .map(|path| {
            Running::start(&mut namespace.plugin(&["baseline", "merge", "cm/busy", "--from", path]))
        })
        .collect();
    for merge in merges {
        assert!(merge.wait(SOON).success());
    }
    let (text, _) = exits(
        &namespace,
        0,
        &["baseline", "show", "cm/busy", "-o", "json"],
    );
    let baseline: Value = serde_json::from_str(&text).unwrap();
    let sessions: BTreeSet<&str> = baseline["windows"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|window| window["session"].as_str())
        .collect();
    assert_eq!(sessions.len(), 5, "{sessions:?}");
    assert!(
        ["one", "two", "three"]
            .iter()
            .all(|name| sessions.contains(name)),
        "{sessions:?}"
    );
    // Edited by hand.
    let _ = namespace.kubectl(&[
        "patch",
        "configmap",
        "busy",
        "--type=merge",
        "-p",
        "{\"binaryData\":{\"document\":\"AAAA\"}}",
    ]);
    let (_, errors) = exits(&namespace, 2, &["diff", "cm/busy", &profiles[0]]);
    assert!(errors.contains("edited by hand"), "{errors}");
    let (_, errors) = exits(&namespace, 2, &["diff", "cm/none", &profiles[0]]);
    assert!(errors.contains("not found"), "{errors}");
}

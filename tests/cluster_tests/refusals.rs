//! A target, node, image or quota that cannot serve is refused, and the error gives the reason.

use crate::harness::{
    BUSY, SOON, busybox, check_complete, names, refused, run_shell_pod, shell, shell_pod,
    workload_of,
};
use procmon_tests::cluster::{Cluster, Namespace, cluster, pod};
use procmon_tests::document::check_sums;
use procmon_tests::wait_for;
use serde_json::Value;

#[test]
fn a_container_that_has_ended_is_refused_with_its_reason() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "ended");
    namespace.apply(&pod(
        "ended",
        &format!(
            "initContainers:\n{}containers:\n{}{}",
            shell("init", "true"),
            shell("main", BUSY),
            shell("again", "sleep 1; false")
        ),
    ));
    wait_for("the pod", SOON, || {
        (namespace.kubectl(&["get", "pod", "ended", "-o", "jsonpath={.status.phase}"]) == "Running")
            .then_some(())
    });
    refused(
        &namespace,
        &["pod/ended", "-c", "init"],
        &[
            "container `init` is not running (terminated: Completed)",
            "these run: ",
            "main",
        ],
    );
    // One that starts again is waited for.
    let document = namespace.profile(&["pod/ended", "-c", "again", "--duration", "1s"]);
    check_sums(&document);
}

#[test]
fn a_quota_is_explained_and_other_sizes_fit_into_it() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "quota");
    run_shell_pod(&namespace, "quiet", BUSY);
    namespace.apply(
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: small}, spec: {hard: {limits.memory: 150Mi}}}",
    );
    wait_for("the quota", SOON, || {
        (!namespace
            .kubectl(&["get", "quota", "small", "-o", "jsonpath={.status.hard}"])
            .is_empty())
        .then_some(())
    });
    refused(
        &namespace,
        &["pod/quiet"],
        &["exceeded quota", "hint:", "--limits"],
    );
    let document =
        namespace.profile(&["pod/quiet", "--limits", "memory=128Mi", "--duration", "1s"]);
    check_complete(&document);
}

#[test]
fn what_cannot_be_a_target_is_refused_with_its_reason() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "errors");
    refused(
        &namespace,
        &["pod/none"],
        &["cannot find pod `none`", "not found"],
    );
    refused(
        &namespace,
        &["deploy/none"],
        &["cannot find deployment `none`"],
    );
    refused(&namespace, &["node/none"], &["cannot find node `none`"]);
    refused(
        &namespace,
        &["secret/none"],
        &["no kind that can be profiled"],
    );
    refused(
        &namespace,
        &["-l", "app=none"],
        &["no running pod has the labels `app=none`"],
    );
    refused(&namespace, &[], &["nothing to profile is named"]);
    namespace.apply(&workload_of(
        "Deployment",
        "apps",
        "empty",
        "replicas: 0, ",
        BUSY,
    ));
    refused(&namespace, &["deploy/empty"], &["no running pod"]);
    namespace.apply(&pod(
        "done",
        &format!(
            "restartPolicy: Never\ncontainers:\n{}",
            shell("main", "true")
        ),
    ));
    wait_for("the pod's end", SOON, || {
        (namespace.kubectl(&["get", "pod", "done", "-o", "jsonpath={.status.phase}"])
            == "Succeeded")
            .then_some(())
    });
    refused(
        &namespace,
        &["pod/done"],
        &["error: pod `done` is Succeeded, not Running"],
    );
    refused(
        &namespace,
        &["pod/none", "--kubeconfig", "/nonexistent"],
        &["/nonexistent"],
    );
    refused(
        &namespace,
        &["pod/none", "--context", "nowhere"],
        &["nowhere"],
    );
}

/// A node that is only an object.
struct NodeObject<'a>(&'a Cluster, String);

impl<'a> NodeObject<'a> {
    fn new(cluster: &'a Cluster, name: &str, os: &str) -> Self {
        let name = format!("procmon-test-{name}-{}", std::process::id());
        cluster.apply(
            "default",
            &format!(
                "{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{kubernetes.io/os: {os}}}}}, spec: {{taints: [{{key: procmon-test, effect: NoSchedule}}]}}}}"
            ),
        );
        let status = format!(
            r#"{{"status":{{"nodeInfo":{{"operatingSystem":"{os}","architecture":"amd64","bootID":"","containerRuntimeVersion":"","kernelVersion":"","kubeProxyVersion":"","kubeletVersion":"","machineID":"","osImage":"","systemUUID":""}},"conditions":[{{"type":"Ready","status":"False","reason":"None","message":""}}]}}}}"#
        );
        let _ = cluster.kubectl(&[
            "patch",
            "node",
            &name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ]);
        Self(cluster, name)
    }
}

impl Drop for NodeObject<'_> {
    fn drop(&mut self) {
        let _ = self.0.try_kubectl(&["delete", "node", &self.1]);
    }
}

/// A pod that is bound to a node that is only an object, and said to run there.
fn claim_running(namespace: &Namespace<'_>, name: &str, app: &str, node: &str) {
    namespace.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {app}}}}}, spec: {{nodeName: {node}, \
         terminationGracePeriodSeconds: 0, tolerations: [{{operator: Exists}}], containers: [{{name: main, image: \"{}\"}}]}}}}",
        busybox()
    ));
    let _ = namespace.kubectl(&[
        "patch",
        "pod",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"phase":"Running"}}"#,
    ]);
}

#[test]
fn nodes_that_cannot_be_probed_are_rows_with_their_reason() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "mixed");
    let windows = NodeObject::new(cluster, "windows", "windows");
    let lost = NodeObject::new(cluster, "lost", "linux");
    claim_running(&namespace, "on-windows", "only-windows", &windows.1);
    claim_running(&namespace, "on-lost", "mixed", &lost.1);
    namespace.apply(&shell_pod("mixed", BUSY));
    let _ = namespace.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "pod/mixed",
        "--timeout=60s",
    ]);
    refused(&namespace, &["pod/on-windows"], &["windows, not Linux"]);
    let document = namespace.profile(&["-l", "app=mixed", "--duration", "1s"]);
    assert_eq!(document["completeness"]["complete"], false);
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    for node in nodes {
        let error = node["error"].as_str().unwrap_or_default();
        assert_eq!(
            node["name"] == lost.1.as_str(),
            error.contains("not Ready"),
            "{node}"
        );
    }
    assert_eq!(names(&document, "/container"), ["main"]);
    let strict = namespace
        .plugin(&[
            "profile",
            "-l",
            "app=mixed",
            "--duration",
            "1s",
            "--require-complete",
        ])
        .output()
        .unwrap();
    assert_eq!(strict.status.code(), Some(3), "{strict:?}");
    let _ = namespace.kubectl(&[
        "delete",
        "pod",
        "on-lost",
        "on-windows",
        "--force",
        "--grace-period=0",
    ]);
}

#[test]
fn an_image_that_the_node_lacks_is_named_at_once() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "image");
    run_shell_pod(&namespace, "quiet", BUSY);
    refused(
        &namespace,
        &["pod/quiet", "--image", "UPPER CASE", "--duration", "1s"],
        &["InvalidImageName", "--image"],
    );
}

#[test]
fn a_container_that_did_not_run_says_why_and_when_it_starts() {
    let Some(cluster) = cluster() else {
        return;
    };
    let namespace = Namespace::new(cluster, "notrunning");
    namespace.apply(&pod(
        "crashing",
        &format!("containers:\n{}", shell("main", "exit 3")),
    ));
    namespace.apply(&pod(
        "half",
        &format!(
            "restartPolicy: Never\ncontainers:\n{}{}",
            shell("main", BUSY),
            shell("done", "exit 0")
        ),
    ));
    let reason = |pod: &str, container: &str| {
        let path = format!(
            "jsonpath={{.status.containerStatuses[?(@.name==\"{container}\")].state.*.reason}}"
        );
        namespace.kubectl(&["get", "pod", pod, "-o", &path])
    };
    wait_for("a back-off", SOON, || {
        (reason("crashing", "main") == "CrashLoopBackOff").then_some(())
    });
    wait_for("an end", SOON, || {
        (reason("half", "done") == "Completed").then_some(())
    });
    // Now and then a window meets a run, or its very end.
    let row = wait_for("a window between two runs", SOON * 3, || {
        let document = namespace.profile(&["pod/crashing", "--duration", "1s"]);
        let row = document["notRunning"][0].clone();
        (row["reason"] == "CrashLoopBackOff").then_some(row)
    });
    assert_eq!(row["exitCode"], 3);
    assert!(row["startsAt"].as_str() > row["endedAt"].as_str(), "{row}");
    let document = namespace.profile(&["pod/half", "--duration", "1s"]);
    assert_eq!(names(&document, "/container"), ["main"]);
    let row = &document["notRunning"][0];
    assert_eq!(
        (&row["container"], &row["reason"]),
        (&Value::from("done"), &Value::from("Completed"))
    );
    let output = namespace
        .plugin(&["profile", "pod/half", "--duration", "1s"])
        .output()
        .unwrap();
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(screen.contains("half/done: Completed"), "{screen}");
}

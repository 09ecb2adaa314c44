//! Rights of the user and of the probe: what is missing is named, and the least set is enough.

use crate::harness::{
    BUSY, SOON, check_complete, names, refused, run_shell_pod, start, wait_for_probe,
};
use procmon_tests::cluster::{Namespace, cluster, pod};
use procmon_tests::document::rows;
use procmon_tests::wait_for;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_namespace_that_forbids_privileged_pods_says_so_and_another_can_be_used() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "psa");
    let open = Namespace::new(cluster, "open");
    run_shell_pod(&namespace, "quiet", BUSY);
    let _ = cluster.kubectl(&[
        "label",
        "namespace",
        &namespace.name,
        "pod-security.kubernetes.io/enforce=restricted",
    ]);
    refused(
        &namespace,
        &["pod/quiet"],
        &["violates PodSecurity", "hint:", "--probe-namespace"],
    );
    refused(
        &namespace,
        &["pod/quiet", "--dry-run=server"],
        &["violates PodSecurity"],
    );
    let document = namespace.profile(&[
        "pod/quiet",
        "--probe-namespace",
        &open.name,
        "--duration",
        "1s",
    ]);
    check_complete(&document);
    assert_eq!(names(&document, "/namespace"), [namespace.name.as_str()]);
    assert!(open.objects().is_empty(), "{:?}", open.objects());
}

#[test]
fn rights_that_are_missing_are_named_and_the_least_set_is_enough() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "rights");
    run_shell_pod(
        &namespace,
        "quiet",
        "while :; do wget -q -T 1 -O /dev/null http://kubernetes.default/ 2>/dev/null; sleep 0.1; done",
    );
    let user = format!("{}-user", namespace.name);
    refused(
        &namespace,
        &["pod/quiet", "--as", &user],
        &["cannot find pod `quiet`", "hint:", "verbs: [\"get\"]"],
    );
    namespace.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: reads}}, rules: [\
         {{apiGroups: [\"\"], resources: [pods], verbs: [get]}}]}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: reads}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}}, \
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]}}"
    ));
    refused(
        &namespace,
        &["pod/quiet", "--as", &user],
        &["cannot create", "verbs: [\"create\"]"],
    );
    namespace.apply(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reads}, rules: [\
         {apiGroups: [\"\"], resources: [pods], verbs: [get, create, watch]}, \
         {apiGroups: [\"\"], resources: [pods/log], verbs: [get]}, \
         {apiGroups: [\"\"], resources: [configmaps], verbs: [create, get]}, \
         {apiGroups: [batch], resources: [jobs], verbs: [create, delete]}]}",
    );
    let document = namespace.profile(&["pod/quiet", "--as", &user, "--duration", "2s"]);
    check_complete(&document);
    assert!(
        rows(&document, "network").all(|row| row["remote"]["workload"].is_null()),
        "{document:#}"
    );
    let notes = document["completeness"]["notes"].to_string();
    for what in ["pods", "services", "replicasets", "jobs", "nodes"] {
        let note = format!("no right to list {what}");
        assert!(notes.contains(&note), "no `{note}` in {notes}");
    }
    wait_for("the collector", SOON, || {
        (namespace.objects() == ["pod/quiet".to_owned()].into()).then_some(())
    });
}

/// Binds a user of the namespace's own to these rules; its name.
pub(crate) fn user_with(namespace: &Namespace<'_>, name: &str, rules: &str) -> String {
    let user = format!("{}-{name}", namespace.name);
    namespace.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {name}}}, rules: [{rules}]}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {name}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}, \
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]}}"
    ));
    user
}

#[test]
fn a_right_that_lacks_during_a_session_is_named_at_once() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "lacks");
    run_shell_pod(&namespace, "busy", BUSY);
    let rules = |pods: &str, log: &str, jobs: &str| {
        format!(
            "{{apiGroups: [\"\"], resources: [pods], verbs: [{pods}]}}, \
             {{apiGroups: [\"\"], resources: [{log}], verbs: [get]}}, \
             {{apiGroups: [\"\"], resources: [configmaps], verbs: [create, get]}}, \
             {{apiGroups: [batch], resources: [jobs], verbs: [{jobs}]}}"
        )
    };
    let all = "get, create, watch, delete";
    for (name, rules, says) in [
        (
            "watch",
            rules("get, create, delete", "pods/log", "create, delete"),
            "verbs: [\"watch\"]",
        ),
        (
            "log",
            rules(all, "services", "create, delete"),
            "resources: [\"pods/log\"]",
        ),
    ] {
        let user = user_with(&namespace, name, &rules);
        let began = Instant::now();
        refused(
            &namespace,
            &["pod/busy", "--as", &user, "--duration", "2s"],
            &["hint:", says],
        );
        assert!(began.elapsed() < Duration::from_secs(30), "{name}");
    }
    let user = user_with(&namespace, "delete", &rules(all, "pods/log", "create"));
    let began = Instant::now();
    let output = namespace
        .plugin(&["profile", "pod/busy", "--as", &user, "--duration", "2s"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(began.elapsed() < Duration::from_secs(30), "{errors}");
    for text in [
        "by itself at",
        "verbs: [\"delete\"]",
        "resources: [\"jobs\"]",
    ] {
        assert!(errors.contains(text), "no {text} in {errors}");
    }
    // Who may change Jobs lets the anchor's deadline come; who may not change pods deletes them.
    let user = user_with(
        &namespace,
        "patch",
        &rules(all, "pods/log", "create, patch"),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let running = start(
        &namespace,
        &path,
        &["pod/busy", "--as", &user, "--duration", "60s"],
    );
    wait_for_probe(&namespace);
    running.signal(libc::SIGINT);
    assert!(running.wait(SOON).success());
    let document = procmon_tests::document::read(&path);
    check_complete(&document);
    assert_eq!(document["session"]["endedEarly"], true);
}

#[test]
fn without_privileged_the_pods_capabilities_are_enough_and_with_it_the_document_says_so() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "caps");
    run_shell_pod(
        &namespace,
        "busy",
        "while :; do /bin/true; nslookup none.invalid >/dev/null 2>&1; sleep 0.05; done",
    );
    for (more, is_said) in [(&[][..], false), (&["--privileged"][..], true)] {
        let document = namespace.profile(&[&["pod/busy", "--duration", "2s"], more].concat());
        check_complete(&document);
        assert!(
            rows(&document, "processes").any(|row| row["argv"][0] == "/bin/true"),
            "{document:#}"
        );
        // The one dimension that needs rights of its own.
        let dns = &document["completeness"]["dimensions"]["dns"];
        assert_eq!(dns["state"], "complete", "{more:?}: {dns}");
        assert!(rows(&document, "dns").next().is_some(), "{document:#}");
        let notes = document["completeness"]["notes"].to_string();
        assert_eq!(notes.contains("privileged"), is_said, "{notes}");
    }
}

#[test]
fn inside_a_pod_the_service_account_is_used() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_own()) else {
        return;
    };
    let plugin = procmon_tests::plugin().canonicalize().unwrap();
    let loaded = Command::new(procmon_tests::root().join("tests/cluster/cluster.sh"))
        .args(["load-programs", "localhost/procmon-plugin:1"])
        .arg(&plugin)
        .output()
        .unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    let namespace = Namespace::new(cluster, "inside");
    run_shell_pod(&namespace, "busy", BUSY);
    namespace.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: all}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}}, \
         subjects: [{{kind: ServiceAccount, name: default, namespace: {}}}]}}",
        namespace.name
    ));
    namespace.apply(&pod(
        "inside",
        &format!(
            "restartPolicy: Never\ncontainers:\n\
             - {{name: main, image: \"localhost/procmon-plugin:1\", command: [{}, profile, pod/busy, --concurrent, --duration, 1s, -o, json]}}\n",
            plugin.display()
        ),
    ));
    wait_for("the plugin's end", SOON, || {
        ["Succeeded", "Failed"]
            .contains(
                &namespace
                    .kubectl(&["get", "pod", "inside", "-o", "jsonpath={.status.phase}"])
                    .as_str(),
            )
            .then_some(())
    });
    let text = namespace.kubectl(&["logs", "inside"]);
    let document: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    check_complete(&document);
    assert_eq!(names(&document, "/pod"), ["busy"]);
}

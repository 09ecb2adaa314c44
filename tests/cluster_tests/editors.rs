//! A user with the role `edit` in the namespace: reads nothing of a capture and can not change one unnoticed.

use crate::harness::{BUSY, SOON, check_complete, run_shell_pod, start, wait_for_probe};
use crate::rights::user_with;
use procmon_tests::cluster::{Cluster, Namespace, cluster};
use procmon_tests::document::rows;
use procmon_tests::wait_for;
use std::path::Path;
use std::process::{Command, Stdio};

/// A user with the role `edit` in the namespace, as most people have who work there.
fn editor(namespace: &Namespace<'_>) -> String {
    let user = format!("{}-editor", namespace.name);
    namespace.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: editor-of-all}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}}, \
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]}}"
    ));
    user
}

/// A program that does what the probe does, and is another one.
fn other_probe() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let program = [&std::fs::read(procmon_tests::probe()).unwrap()[..], b"\0"].concat();
    std::fs::write(file.path(), program).unwrap();
    file
}

/// Name of the first object of a kind that carries a session's label, once there is one.
fn of_session(namespace: &Namespace<'_>, kind: &str) -> String {
    wait_for(kind, SOON, || {
        let names = namespace.kubectl(&[
            "get",
            kind,
            "-l",
            "procmon/session",
            "--ignore-not-found",
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ]);
        names
            .split(' ')
            .find(|name| !name.is_empty())
            .map(str::to_owned)
    })
}

#[test]
fn who_may_read_logs_reads_nothing_of_the_capture() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "sealed");
    run_shell_pod(
        &namespace,
        "busy",
        "while :; do /bin/true a-word-of-the-target; cat /etc/passwd >/dev/null; sleep 0.05; done",
    );
    let user = editor(&namespace);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let running = start(&namespace, &path, &["pod/busy", "--duration", "4s"]);
    wait_for_probe(&namespace);
    let pod = of_session(&namespace, "pods");
    let image = namespace.kubectl(&[
        "get",
        "pod",
        &pod,
        "-o",
        "jsonpath={.spec.containers[0].image}",
    ]);
    if cluster.is_own() {
        assert_eq!(image, "localhost/pause:1");
    }
    let logs = namespace
        .cluster
        .command("kubectl")
        .args(cluster.flags())
        .args(["-n", &namespace.name, "--as", &user, "logs", "-f", &pod])
        .output()
        .unwrap();
    assert!(running.wait(SOON).success());
    let text = String::from_utf8_lossy(&logs.stdout);
    assert!(
        text.contains("\"sealed\"") && text.contains("\"end\""),
        "{text}"
    );
    for word in ["\"chunk\"", "/bin/true", "a-word-of-the-target", "passwd"] {
        assert!(!text.contains(word), "{word} is in the log:\n{text}");
    }
    let document = procmon_tests::document::read(&path);
    check_complete(&document);
    assert!(rows(&document, "processes").any(|row| row["argv"][1] == "a-word-of-the-target"));
    // The log can't be read as a stream that was kept, either.
    let kept = folder.path().join("kept.ndjson");
    std::fs::write(&kept, &logs.stdout).unwrap();
    let shown = Command::new(procmon_tests::plugin())
        .args(["show", "--frames"])
        .arg(&kept)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(!shown.contains("a-word-of-the-target"), "{shown}");
}

#[test]
fn a_probe_that_an_editor_replaces_ends_the_session() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "swap");
    run_shell_pod(&namespace, "busy", BUSY);
    let user = editor(&namespace);
    let other = other_probe();
    // The editor may come too late, when the probe was mounted and proven: that session is fine.
    for _ in 0..5 {
        let child = namespace
            .plugin(&["profile", "pod/busy", "--duration", "3s", "-o", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let name = of_session(&namespace, "configmaps");
        let kubectl = |args: &[&str]| {
            let all = [&["-n", &namespace.name, "--as", &user], args].concat();
            cluster.try_kubectl(&all)
        };
        let deleted = kubectl(&["delete", "configmap", &name, "--wait=false"]);
        let file = format!("--from-file=probe={}", other.path().display());
        let made = kubectl(&["create", "configmap", &name, &file]);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let _ = kubectl(&["delete", "configmap", &name, "--ignore-not-found"]);
        assert!(
            deleted.status.success() && made.status.success(),
            "{deleted:?} {made:?}"
        );
        if output.status.success() {
            continue;
        }
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("somebody replaced the probe"), "{errors}");
        assert!(output.stdout.is_empty());
        assert_eq!(namespace.objects(), ["pod/busy".to_owned()].into());
        return;
    }
    panic!("the editor came too late five times");
}

/// A manifest of docs/ that holds for one namespace only, until it is dropped.
struct Policy<'a>(&'a Cluster, String);

impl<'a> Policy<'a> {
    fn new(namespace: &Namespace<'a>, file: &str) -> Self {
        let path = procmon_tests::root().join("docs").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let here = format!(
            "validationActions: [Deny]\n  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {}}}}}}}",
            namespace.name
        );
        let mut text = text.replace("validationActions: [Deny]", &here);
        for name in ["procmon-sessions", "procmon-connections", "procmon-probe"] {
            for key in ["  name: ", "  policyName: "] {
                // The name of a parameter stays.
                let own = format!("{key}{name}-{}\n", namespace.name);
                text = text.replace(&format!("\n{key}{name}\n"), &format!("\n{own}"));
            }
        }
        text = text.replace(
            "    namespace: procmon\n",
            &format!("    namespace: {}\n", namespace.name),
        );
        namespace.cluster.apply(&namespace.name, &text);
        Self(namespace.cluster, text)
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &self.1).unwrap();
        let path = file.path().display().to_string();
        let _ = self
            .0
            .try_kubectl(&["delete", "--ignore-not-found", "-f", &path]);
    }
}

#[test]
fn with_the_policy_an_editor_can_neither_change_nor_enter_a_probe() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "policy");
    run_shell_pod(&namespace, "busy", BUSY);
    let editor = editor(&namespace);
    let ephemeral =
        "{apiGroups: [\"\"], resources: [pods/ephemeralcontainers], verbs: [get, patch, update]}";
    assert_eq!(user_with(&namespace, "editor", ephemeral), editor);
    let trusted = user_with(
        &namespace,
        "trusted",
        "{apiGroups: [\"\"], resources: [pods], verbs: [get, create, watch, patch, delete]}, \
         {apiGroups: [\"\"], resources: [pods/log], verbs: [get]}, \
         {apiGroups: [\"\"], resources: [configmaps], verbs: [create, get]}, \
         {apiGroups: [batch], resources: [jobs], verbs: [create, delete]}, \
         {apiGroups: [procmon], resources: [sessions], verbs: [use]}",
    );
    let _policy = Policy::new(&namespace, "admission-policy.yaml");
    let as_editor = |args: &[&str]| {
        let all = [&["-n", &namespace.name, "--as", &editor], args].concat();
        let output = cluster.try_kubectl(&all);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let forged =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: forged, labels: {procmon/session: x}}}";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), forged).unwrap();
    let path = file.path().display().to_string();
    // Policies take a moment to hold.
    wait_for("the policy", SOON, || {
        let (made, _) = as_editor(&["create", "--dry-run=server", "-f", &path]);
        (!made).then_some(())
    });
    let (made, errors) = as_editor(&["create", "-f", &path]);
    assert!(!made && errors.contains("sessions.procmon"), "{errors}");
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("p.json");
    let args = ["pod/busy", "--duration", "15s", "--as", &trusted];
    let running = start(&namespace, &document, &args);
    wait_for_probe(&namespace);
    let (pod, map, job) = (
        of_session(&namespace, "pods"),
        of_session(&namespace, "configmaps"),
        of_session(&namespace, "jobs"),
    );
    for args in [
        &["delete", "configmap", &map][..],
        &["delete", "configmaps", "-l", "procmon/session"],
        &["delete", "pod", &pod],
        &["delete", "job", &job],
        &["label", "pod", &pod, "procmon/session-"],
        &["annotate", "configmap", &map, "a=b"],
        &["exec", &pod, "--", "/procmon/probe"],
        &["attach", &pod],
        &[
            "debug",
            &pod,
            "--image=x",
            "--target=procmon",
            "--profile=general",
        ],
    ] {
        let (done, errors) = as_editor(args);
        assert!(!done, "an editor may {args:?}");
        assert!(errors.contains("procmon session"), "{args:?}: {errors}");
    }
    // Everything else is the editor's as before.
    let (made, errors) = as_editor(&["create", "configmap", "own", "--from-literal=a=b"]);
    assert!(made, "{errors}");
    assert!(running.wait(SOON).success());
    check_complete(&procmon_tests::document::read(&document));
    wait_for("the collector", SOON, || {
        let left = namespace.objects();
        (!left.iter().any(|name| name.contains("procmon"))).then_some(())
    });
}

#[test]
fn with_the_policy_of_the_probe_only_the_known_one_is_admitted() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "pinned");
    run_shell_pod(&namespace, "busy", BUSY);
    let keep = |path: &Path| {
        let file = format!("--from-file=probe={}", path.display());
        let _ = namespace.kubectl(&["delete", "configmap", "procmon-probe", "--ignore-not-found"]);
        let _ = namespace.kubectl(&["create", "configmap", "procmon-probe", &file]);
    };
    let other = other_probe();
    keep(other.path());
    let _policy = Policy::new(&namespace, "admission-policy-probe.yaml");
    let session = || {
        let output = namespace
            .plugin(&["profile", "pod/busy", "--duration", "1s", "-o", "name"])
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    wait_for("the policy", SOON, || {
        let (code, errors) = session();
        (code == Some(2) && errors.contains("not the one that this cluster admits")).then_some(())
    });
    keep(&procmon_tests::probe());
    wait_for("the known probe", SOON, || {
        (session().0 == Some(0)).then_some(())
    });
}

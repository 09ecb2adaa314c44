//! The built plugin against a real cluster: delivery, following, naming, refusals, and that nothing
//! is left. What needs images of its own runs only on tests/cluster's cluster.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::cluster::{Cluster, MANAGED, Namespace, cluster, pod};
use procmon_tests::document::{check_sums, rows};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{Running, plugin, signal, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the anchor allows beyond the window, in seconds.
const ALLOWANCE: u64 = 90;
const SOON: Duration = Duration::from_secs(40);

/// A small image with a shell; every node has it.
fn busybox() -> String {
    std::env::var("PROCMON_TEST_IMAGE").unwrap_or_else(|_| "localhost/busybox:1".to_owned())
}

/// A container that runs a shell script.
fn shell(name: &str, script: &str) -> String {
    format!(
        "- {{name: {name}, image: \"{}\", command: [\"/bin/sh\", \"-c\", {}]}}\n",
        busybox(),
        Value::from(script)
    )
}

/// One pod with one container, `main`, that runs a shell script.
fn shell_pod(name: &str, script: &str) -> String {
    pod(name, &format!("containers:\n{}", shell("main", script)))
}

/// A workload of a kind with a pod template, whose container `main` runs a shell script.
fn workload_of(kind: &str, group: &str, name: &str, more: &str, script: &str) -> String {
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
const SERVE: &str = "mkdir -p /www && echo page > /www/index.html && exec httpd -f -p 8080 -h /www";

/// Runs /bin/true for ever.
const BUSY: &str = "while :; do /bin/true; sleep 0.05; done";

fn names<'a>(document: &'a Value, pointer: &str) -> Vec<&'a str> {
    document["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container.pointer(pointer)?.as_str())
        .collect()
}

fn check_complete(document: &Value) {
    assert_eq!(
        document["completeness"]["complete"], true,
        "{:#}",
        document["completeness"]
    );
    assert!(
        !document["containers"].as_array().unwrap().is_empty(),
        "{document:#}"
    );
    check_sums(document);
}

/// Exit code 2 and an error that says these things; nothing of it is left in the namespace.
fn refused(namespace: &Namespace<'_>, args: &[&str], says: &[&str]) {
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
fn check_nothing_new(namespace: &Namespace<'_>, before: &BTreeSet<String>) {
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

#[test]
fn a_deployment_on_two_nodes_under_load_is_one_profile_with_named_peers() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "web");
    namespace.apply(&workload_of(
        "Deployment",
        "apps",
        "web",
        "replicas: 2, ",
        SERVE,
    ));
    namespace.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}",
    );
    namespace.apply(&workload_of(
        "Deployment",
        "apps",
        "client",
        "replicas: 1, ",
        "while :; do wget -q -O /dev/null http://web/index.html; sleep 0.02; done",
    ));
    namespace.wait_ready("app=web");
    namespace.wait_ready("app=client");
    let before = cluster.everything();
    let began = Instant::now();
    let web = namespace.profile(&["deploy/web", "--duration", "5s", "--require-complete"]);
    let took = began.elapsed();
    check_complete(&web);
    // An idle machine needs 2.3 s; tests run side by side on this one.
    assert!(took < Duration::from_secs(5 + 15), "{took:?}");
    let nodes = web["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), cluster.nodes().len().min(2), "{nodes:?}");
    assert_eq!(names(&web, "/container"), ["main", "main"]);
    assert_eq!(names(&web, "/owner/name"), ["web", "web"]);
    assert_eq!(names(&web, "/owner/kind"), ["Deployment", "Deployment"]);
    assert_eq!(names(&web, "/namespace"), [namespace.name.as_str(); 2]);
    let served: Vec<&Value> = rows(&web, "network")
        .filter(|row| row["direction"] == "inbound" && row["local"]["port"] == 8080)
        .collect();
    assert!(!served.is_empty(), "{web:#}");
    for row in &served {
        let peer = &row["remote"];
        assert_eq!(peer["workload"]["name"], "client", "{row}");
        assert!(row["connections"].as_u64().unwrap() > 0, "{row}");
    }
    let read: u64 = rows(&web, "files")
        .filter(|row| row["path"] == "/www/index.html")
        .filter_map(|row| row["operations"]["open"].as_u64())
        .sum();
    assert!(read > 20, "{read} requests");
    let client = namespace.profile(&["deployment", "client", "--duration", "3s"]);
    check_complete(&client);
    assert!(
        rows(&client, "network")
            .any(|row| row["remote"]["service"]["name"] == "web" && row["direction"] == "outbound"),
        "{client:#}"
    );
    check_nothing_new(&namespace, &before);
}

#[test]
fn every_kind_of_workload_can_be_named_and_selected() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "kinds");
    namespace.apply(&workload_of(
        "StatefulSet",
        "apps",
        "set",
        "serviceName: none, ",
        BUSY,
    ));
    namespace.apply(&workload_of("DaemonSet", "apps", "daemon", "", BUSY));
    namespace.apply(&workload_of("ReplicaSet", "apps", "replica", "", BUSY));
    namespace.apply(&workload_of("Job", "batch", "job", "", BUSY));
    namespace.apply(&shell_pod("single", BUSY));
    for name in ["set", "daemon", "replica", "job", "single"] {
        namespace.wait_ready(&format!("app={name}"));
    }
    for (target, kind, containers) in [
        (vec!["sts/set"], "StatefulSet", 1),
        (
            vec!["daemonset", "daemon"],
            "DaemonSet",
            cluster.nodes().len(),
        ),
        (vec!["rs/replica"], "ReplicaSet", 1),
        (vec!["job/job"], "Job", 1),
        (vec!["single"], "Pod", 1),
        (vec!["-l", "app=daemon"], "DaemonSet", cluster.nodes().len()),
    ] {
        let document = namespace.profile(&[&target[..], &["--duration", "1s"]].concat());
        check_complete(&document);
        // A pod that nobody controls has no owner.
        let owners = if kind == "Pod" {
            vec![]
        } else {
            vec![kind; containers]
        };
        assert_eq!(names(&document, "/owner/kind"), owners, "{target:?}");
        let ran: u64 = rows(&document, "processes")
            .filter(|row| row["argv"][0] == "/bin/true")
            .filter_map(|row| row["count"].as_u64())
            .sum();
        assert!(ran > 2, "{target:?}: {ran} runs of /bin/true");
    }
}

#[test]
fn one_container_of_a_pod_is_told_from_the_others() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "two");
    let containers = [
        shell(
            "reader",
            "while :; do cat /etc/passwd >/dev/null; sleep 0.1; done",
        ),
        shell("writer", "while :; do date > /tmp/now; sleep 0.1; done"),
    ]
    .concat();
    namespace.apply(&pod("pair", &format!("containers:\n{containers}")));
    namespace.wait_ready("app=pair");
    let both = namespace.profile(&["pod/pair", "--duration", "2s"]);
    check_complete(&both);
    assert_eq!(names(&both, "/container"), ["reader", "writer"]);
    for container in both["containers"].as_array().unwrap() {
        let has = |path: &str| {
            container["files"]
                .as_array()
                .unwrap()
                .iter()
                .any(|row| row["path"] == path)
        };
        let reads = container["container"] == "reader";
        assert_eq!(
            (has("/etc/passwd"), has("/tmp/now")),
            (reads, !reads),
            "{container:#}"
        );
    }
    let one = namespace.profile(&["pod/pair", "-c", "writer", "--duration", "2s"]);
    assert_eq!(names(&one, "/container"), ["writer"]);
    refused(
        &namespace,
        &["pod/pair", "-c", "editor"],
        &["no container `editor`", "reader, writer"],
    );
}

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
fn an_image_that_holds_one_program_and_nothing_else_is_enough() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_own()) else {
        return;
    };
    cluster.load_program(
        "localhost/procmon-peer:1",
        &workload::path("peer", Linked::Static),
        "peer",
    );
    let namespace = Namespace::new(cluster, "scratch");
    namespace.apply(&pod(
        "scratch",
        "containers:\n\
         - {name: serve, image: \"localhost/procmon-peer:1\", command: [\"/peer\", serve, \"7000\"]}\n\
         - {name: call, image: \"localhost/procmon-peer:1\", command: [\"/peer\", call, \"127.0.0.1:7000\", \"50\"]}\n",
    ));
    namespace.wait_ready("app=scratch");
    let document = namespace.profile(&["scratch", "--duration", "3s", "--require-complete"]);
    check_complete(&document);
    let exchanged = |direction: &str| {
        let row = rows(&document, "network")
            .find(|row| row["direction"] == direction && row["protocol"] == "tcp")
            .unwrap_or_else(|| panic!("nothing {direction}: {document:#}"));
        [
            &row["connections"],
            &row["bytesSent"],
            &row["bytesReceived"],
        ]
        .map(|value| value.as_u64().unwrap())
    };
    let [calls, asked, answered] = exchanged("outbound");
    let [served, sent, received] = exchanged("inbound");
    assert!(calls > 10, "{calls}");
    // The window may open or close within one conversation.
    for (one, other, each) in [
        (calls, served, 1),
        (asked, received, 100),
        (answered, sent, 1000),
    ] {
        assert!(one.abs_diff(other) <= each, "{one} and {other}");
    }
    assert!(answered.abs_diff(10 * asked) <= 1000, "{asked} {answered}");
}

#[test]
fn a_pod_in_the_hosts_network_is_seen_with_its_listener() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "host");
    let script = "httpd -f -p 18473 & while :; do wget -q -O /dev/null http://127.0.0.1:18473/none; sleep 0.1; done";
    namespace.apply(&pod(
        "host",
        &format!("hostNetwork: true\ncontainers:\n{}", shell("main", script)),
    ));
    namespace.wait_ready("app=host");
    let document = namespace.profile(&["pod", "host", "--duration", "2s"]);
    check_complete(&document);
    assert!(
        rows(&document, "network")
            .any(|row| row["direction"] == "listen" && row["local"]["port"] == 18473),
        "{document:#}"
    );
    assert!(
        rows(&document, "network").any(|row| row["direction"] == "inbound"
            && row["local"]["port"] == 18473
            && row["connections"].as_u64() > Some(3)),
        "{document:#}"
    );
}

#[test]
fn what_a_node_sends_to_a_pod_bears_its_name() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_own()) else {
        return;
    };
    let namespace = Namespace::new(cluster, "gateway");
    namespace.apply(&shell_pod("web", SERVE));
    namespace.wait_ready("app=web");
    let address = namespace.kubectl(&["get", "pod", "web", "-o", "jsonpath={.status.podIP}"]);
    let script = format!(
        "while :; do wget -q -O /dev/null http://{address}:8080/index.html; sleep 0.1; done"
    );
    namespace.apply(
        &workload_of("DaemonSet", "apps", "host", "", &script).replace(
            "containers:",
            "hostNetwork: true, tolerations: [{operator: Exists}], containers:",
        ),
    );
    namespace.wait_ready("app=host");
    let document = namespace.profile(&["pod/web", "--duration", "3s"]);
    let nodes: BTreeSet<&str> = rows(&document, "network")
        .filter(|row| row["direction"] == "inbound")
        .map(|row| row["remote"]["node"].as_str().unwrap_or("unknown"))
        .collect();
    let expected = cluster.nodes();
    assert_eq!(nodes, expected.iter().map(String::as_str).collect());
}

#[test]
fn a_node_is_a_target_with_all_its_containers() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "node");
    namespace.apply(&shell_pod("here", BUSY));
    namespace.wait_ready("app=here");
    let node = namespace.kubectl(&["get", "pod", "here", "-o", "jsonpath={.spec.nodeName}"]);
    let document = namespace.profile(&[&format!("node/{node}"), "--duration", "2s"]);
    check_complete(&document);
    assert!(
        names(&document, "/namespace").contains(&namespace.name.as_str()),
        "{document:#}"
    );
    let nodes: Vec<&str> = names(&document, "/node");
    assert!(nodes.iter().all(|name| *name == node), "{nodes:?}");
}

#[test]
fn a_namespace_that_forbids_privileged_pods_says_so_and_another_can_be_used() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "psa");
    let open = Namespace::new(cluster, "open");
    namespace.apply(&shell_pod("quiet", BUSY));
    namespace.wait_ready("app=quiet");
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
    namespace.apply(&shell_pod(
        "quiet",
        "while :; do wget -q -T 1 -O /dev/null http://kubernetes.default/ 2>/dev/null; sleep 0.1; done",
    ));
    namespace.wait_ready("app=quiet");
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
fn user_with(namespace: &Namespace<'_>, name: &str, rules: &str) -> String {
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
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
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
    namespace.apply(&shell_pod(
        "busy",
        "while :; do /bin/true a-word-of-the-target; cat /etc/passwd >/dev/null; sleep 0.05; done",
    ));
    namespace.wait_ready("app=busy");
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
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
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
                // What a parameter is named stays.
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
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
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
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
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
fn a_quota_is_explained_and_other_sizes_fit_into_it() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "quota");
    namespace.apply(&shell_pod("quiet", BUSY));
    namespace.wait_ready("app=quiet");
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
    namespace.apply(&shell_pod("quiet", BUSY));
    namespace.wait_ready("app=quiet");
    refused(
        &namespace,
        &["pod/quiet", "--image", "UPPER CASE", "--duration", "1s"],
        &["InvalidImageName", "--image"],
    );
}

#[test]
fn without_privileged_the_pods_capabilities_are_enough_and_with_it_the_document_says_so() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "caps");
    namespace.apply(&shell_pod(
        "busy",
        "while :; do /bin/true; nslookup none.invalid >/dev/null 2>&1; sleep 0.05; done",
    ));
    namespace.wait_ready("app=busy");
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
fn a_dry_run_prints_what_would_be_created_and_creates_nothing() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "dry");
    namespace.apply(&shell_pod("quiet", BUSY));
    namespace.wait_ready("app=quiet");
    for mode in ["--dry-run=client", "--dry-run=server"] {
        let output = namespace
            .plugin(&["profile", "pod/quiet", mode])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        for part in [
            "kind: Job",
            "kind: ConfigMap",
            "kind: Pod",
            "privileged: false",
            "hostPID: true",
        ] {
            assert!(text.contains(part), "{mode}: no {part} in\n{text}");
        }
    }
    assert_eq!(namespace.objects(), ["pod/quiet".to_owned()].into());
}

#[test]
fn kubectl_finds_the_plugin_on_the_path() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "kubectl");
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(
        procmon_tests::plugin().canonicalize().unwrap(),
        folder.path().join("kubectl-procmon"),
    )
    .unwrap();
    let mut command = cluster.command("kubectl");
    let path = command
        .get_envs()
        .find_map(|(name, value)| (name == "PATH").then_some(value?))
        .unwrap()
        .to_owned();
    let mut all = folder.path().as_os_str().to_owned();
    all.push(":");
    all.push(&path);
    let output = command
        .env("PATH", all)
        .args([
            "procmon",
            "profile",
            "pod",
            "busy",
            "--duration",
            "1s",
            "-n",
            &namespace.name,
        ])
        .args(cluster.flags())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("/bin/true") && text.contains("busy"),
        "{text}"
    );
}

/// Starts a profile in the background, writing into a file.
fn start(namespace: &Namespace<'_>, document: &Path, args: &[&str]) -> Running {
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
fn wait_for_probe(namespace: &Namespace<'_>) {
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

/// Stops the process of the session's probe, as SIGSTOP does: the cluster's nodes are on this machine.
fn stop_probe(namespace: &Namespace<'_>) {
    let pod = namespace.kubectl(&[
        "get",
        "pods",
        "-l",
        MANAGED,
        "-o",
        "jsonpath={.items[*].metadata.uid}",
    ]);
    let is_of_pod = |process: &Path| {
        let cgroups = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        let exe = std::fs::read_link(process.join("exe")).unwrap_or_default();
        cgroups.replace('_', "-").contains(&pod) && exe.to_string_lossy().contains("procmon")
    };
    let probes: Vec<_> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| is_of_pod(process))
        .collect();
    assert!(!pod.is_empty() && !probes.is_empty(), "{pod}");
    for process in probes {
        signal(process.file_name().unwrap().display(), "STOP");
    }
}

#[test]
fn a_script_is_told_when_a_window_opens_if_it_asks() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "script");
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
    let node = namespace.kubectl(&["get", "pod", "busy", "-o", "jsonpath={.spec.nodeName}"]);
    let args = ["profile", "pod/busy", "--duration", "1s", "-o", "name"];
    let (_, said) = exits(&namespace, 0, &args);
    assert_eq!(said, "");
    let (_, said) = exits(&namespace, 0, &[&args[..], &["--verbose"]].concat());
    assert_eq!(said, format!("capturing on {node} for 1s\n"));
}

#[test]
fn interrupts_end_the_window_early_and_leave_nothing() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "interrupt");
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
    let folder = tempfile::tempdir().unwrap();
    let before = cluster.everything();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let path = folder.path().join("p.json");
        let running = start(&namespace, &path, &["pod/busy", "--duration", "300s"]);
        wait_for_probe(&namespace);
        // A long session's anchor lives only as long as it is renewed.
        let deadline = namespace.kubectl(&[
            "get",
            "jobs",
            "-o",
            "jsonpath={.items[*].spec.activeDeadlineSeconds}",
        ]);
        assert!(deadline.parse::<u64>().unwrap() < 180, "{deadline}");
        running.signal(signal);
        assert!(running.wait(SOON).success());
        let document = procmon_tests::document::read(&path);
        check_complete(&document);
        assert_eq!(document["session"]["endedEarly"], true);
        assert!(rows(&document, "processes").any(|row| row["argv"][0] == "/bin/true"));
    }
    // Twice means at once, without a document.
    let running = start(
        &namespace,
        &folder.path().join("none.json"),
        &["pod/busy", "--duration", "300s"],
    );
    wait_for_probe(&namespace);
    // The session must not be over before the second signal.
    if cluster.is_own() {
        stop_probe(&namespace);
    }
    // A signal that comes sooner is the same wish.
    running.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_millis(550));
    running.signal(libc::SIGINT);
    assert_eq!(running.wait(SOON).code(), Some(130));
    check_nothing_new(&namespace, &before);
}

#[test]
fn a_window_that_somebody_else_cuts_is_partial() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "evicted");
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
    let folder = tempfile::tempdir().unwrap();
    for kind in ["pod", "job"] {
        let path = folder.path().join("p.json");
        let running = start(&namespace, &path, &["pod/busy", "--duration", "20s"]);
        wait_for_probe(&namespace);
        let _ = namespace.kubectl(&["delete", kind, "--wait=false", "-l", MANAGED]);
        assert!(running.wait(SOON).success());
        let document = procmon_tests::document::read(&path);
        assert_eq!(document["session"]["endedEarly"], false, "{kind}");
        assert_eq!(document["completeness"]["complete"], false, "{kind}");
        let files = &document["completeness"]["dimensions"]["files"];
        assert_eq!(files["state"], "partial", "{kind}: {files}");
        let reason = files["reasons"].to_string();
        assert!(
            reason.contains("of 20.0 s by somebody else"),
            "{kind}: {reason}"
        );
        assert!(rows(&document, "processes").any(|row| row["argv"][0] == "/bin/true"));
    }
}

#[test]
fn a_container_that_is_started_again_is_two_with_times_of_their_own() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "again");
    namespace.apply(&shell_pod(
        "again",
        "until [ -e /go ]; do /bin/true; sleep 0.05; done; exit 1",
    ));
    namespace.wait_ready("app=again");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let running = start(&namespace, &path, &["pod/again", "--duration", "12s"]);
    wait_for_probe(&namespace);
    let _ = namespace.kubectl(&["exec", "again", "--", "touch", "/go"]);
    assert!(running.wait(SOON).success());
    let document = procmon_tests::document::read(&path);
    let mut runs: Vec<&Value> = document["containers"].as_array().unwrap().iter().collect();
    runs.sort_by_key(|run| run["restarts"].as_u64());
    assert_eq!(runs.len(), 2, "{document:#}");
    let [old, new] = [runs[0], runs[1]];
    for run in [old, new] {
        assert_eq!(run["container"], "main");
    }
    assert_eq!((&old["restarts"], &new["restarts"]), (&0.into(), &1.into()));
    let time = |run: &Value, name: &str| run[name].as_str().unwrap_or_default().to_owned();
    assert!(!time(old, "endedAt").is_empty() && new["endedAt"].is_null());
    assert!(time(old, "startedAt") < time(new, "startedAt"));
    let shown = Command::new(procmon_tests::plugin())
        .arg("show")
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    let headings: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("again/main ("))
        .collect();
    assert_eq!(headings.len(), 2, "{text}");
    assert!(headings[0].contains(", ended "), "{headings:?}");
}

#[test]
fn killed_at_any_moment_the_cluster_takes_away_what_is_left_by_the_deadline() {
    const WINDOW: u64 = 2;
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "kill");
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
    let folder = tempfile::tempdir().unwrap();
    let before = cluster.everything();
    let mut left = 0;
    // Each step of a run falls between two of these moments.
    for number in 0..16_u64 {
        let running = start(
            &namespace,
            &folder.path().join("p.json"),
            &["pod/busy", "--duration", &format!("{WINDOW}s")],
        );
        std::thread::sleep(Duration::from_millis(20 + number * number * 12));
        drop(running);
        left = left.max(namespace.objects().len());
    }
    let killed = Instant::now();
    assert!(left > 2, "the test killed nothing in the middle");
    let deadline = Duration::from_secs(ALLOWANCE + WINDOW + 5);
    wait_for("the cluster to take it all away", deadline, || {
        (namespace.objects().len() == 1).then_some(())
    });
    assert!(killed.elapsed() < deadline);
    check_nothing_new(&namespace, &before);
}

/// A way to the API server that can be cut.
struct Cuttable {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Cuttable {
    fn before(cluster: &Cluster) -> Self {
        let server = cluster.kubectl(&[
            "config",
            "view",
            "--minify",
            "-o",
            "jsonpath={.clusters[0].cluster.server}",
        ]);
        let server = server.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&server) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_cut = Arc::clone(&is_cut);
                    std::thread::spawn(move || pump(from, to, &is_cut));
                }
            }
        });
        Self { port, cut }
    }
}

/// Passes bytes on until either end is gone or the way is cut.
fn pump(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    from.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    while !is_cut.load(Ordering::SeqCst) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn an_api_server_that_is_gone_for_a_while_costs_nothing() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "gone");
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
    let way = Cuttable::before(cluster);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    for (duration, is_interrupted) in [("6s", false), ("300s", true)] {
        let running = start(
            &namespace,
            &path,
            &[
                "pod/busy",
                "--duration",
                duration,
                "--insecure-skip-tls-verify",
                "--server",
                &format!("https://127.0.0.1:{}", way.port),
            ],
        );
        wait_for_probe(&namespace);
        way.cut.store(true, Ordering::SeqCst);
        if is_interrupted {
            running.signal(libc::SIGINT);
        }
        std::thread::sleep(Duration::from_secs(3));
        way.cut.store(false, Ordering::SeqCst);
        assert!(running.wait(SOON).success());
        let document = procmon_tests::document::read(&path);
        check_complete(&document);
        assert_eq!(document["session"]["endedEarly"], is_interrupted);
        assert_eq!(namespace.objects(), ["pod/busy".to_owned()].into());
    }
}

#[test]
fn an_api_server_that_stays_away_is_an_error_that_says_when_the_cluster_cleans_up() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "away");
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
    let way = Cuttable::before(cluster);
    let child = namespace
        .plugin(&[
            "profile",
            "pod/busy",
            "--duration",
            "2s",
            "--insecure-skip-tls-verify",
            "--server",
            &format!("https://127.0.0.1:{}", way.port),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_probe(&namespace);
    way.cut.store(true, Ordering::SeqCst);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("removes them by itself"), "{errors}");
    assert!(errors.contains("could not be reached"), "{errors}");
    wait_for("the cluster to take it all away", SOON, || {
        (namespace.objects() == ["pod/busy".to_owned()].into()).then_some(())
    });
}

/// A file on the first node of tests/cluster, taken away again.
struct NodeFile(String);

impl NodeFile {
    fn write(path: String, text: &str) -> Self {
        use std::io::Write as _;
        let mut cat = on_node(&["sh", "-c", &format!("cat > {path}")]);
        let mut cat = cat.stdin(Stdio::piped()).spawn().unwrap();
        cat.stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(cat.wait().unwrap().success());
        Self(path)
    }
}

impl Drop for NodeFile {
    fn drop(&mut self) {
        let _ = on_node(&["rm", "-f", &self.0]).status();
    }
}

fn on_node(args: &[&str]) -> Command {
    let mut command = Command::new(procmon_tests::root().join("tests/cluster/cluster.sh"));
    command.args(["exec", "1"]).args(args);
    command
}

#[test]
fn a_pod_of_a_nodes_own_files_is_profiled_like_any_other() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_own()) else {
        return;
    };
    let namespace = Namespace::new(cluster, "static");
    let name = format!("fixed-{}", std::process::id());
    let manifest = shell_pod(&name, BUSY).replace(
        &format!("name: {name}, labels"),
        &format!("name: {name}, namespace: {}, labels", namespace.name),
    );
    let _file = NodeFile::write(format!("/etc/kubernetes/manifests/{name}.yaml"), &manifest);
    namespace.wait_ready(&format!("app={name}"));
    let mirror = format!("{name}-{}", cluster.nodes()[0]);
    let uid = namespace.kubectl(&["get", "pod", &mirror, "-o", "jsonpath={.metadata.uid}"]);
    let node = format!("node/{}", cluster.nodes()[0]);
    for target in [
        &[&format!("pod/{mirror}")[..]][..],
        &["-l", &format!("app={name}")],
        &[&node],
    ] {
        let document = namespace.profile(&[target, &["--duration", "2s"]].concat());
        check_complete(&document);
        let containers = document["containers"].as_array().unwrap();
        let own = containers
            .iter()
            .find(|container| container["pod"] == mirror.as_str())
            .unwrap_or_else(|| panic!("{target:?}: no container of {mirror}"));
        assert_eq!(own["container"], "main");
        assert_eq!(own["podUID"], uid.as_str());
        assert!(!own["syscalls"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_file_on_a_part_of_a_volume_is_named_on_its_node() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_own()) else {
        return;
    };
    let namespace = Namespace::new(cluster, "subpath");
    let outer = format!("/var/lib/kubelet/procmon-{}", std::process::id());
    namespace.apply(&pod(
        "parts",
        &format!(
            "containers:\n- name: main\n  image: \"{}\"\n  command: [\"/bin/sh\", \"-c\", {}]\n  \
             env: [{{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]\n  volumeMounts:\n  \
             - {{name: host, mountPath: /data, subPath: inner}}\n  \
             - {{name: host, mountPath: /logs, subPathExpr: $(POD)/logs}}\n\
             volumes: [{{name: host, hostPath: {{path: {outer}, type: DirectoryOrCreate}}}}]\n",
            busybox(),
            Value::from("while :; do echo x >> /data/file; echo x >> /logs/file; sleep 0.2; done"),
        ),
    ));
    namespace.wait_ready("app=parts");
    let document = namespace.profile(&["pod/parts", "--duration", "2s"]);
    check_complete(&document);
    for (path, part) in [("/data/file", "inner"), ("/logs/file", "parts/logs")] {
        let row = procmon_tests::document::rows(&document, "files")
            .find(|row| row["path"] == path)
            .unwrap_or_else(|| panic!("no row of {path}"));
        let expected = format!("{outer}/{part}/file");
        assert_eq!(row["mount"]["hostPath"], expected.as_str());
    }
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
    namespace.apply(&shell_pod("busy", BUSY));
    namespace.wait_ready("app=busy");
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

/// Runs the plugin in a namespace and expects an exit code; what it says on both streams.
fn exits(namespace: &Namespace<'_>, code: i32, args: &[&str]) -> (String, String) {
    let output = namespace.plugin(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), errors)
}

#[test]
fn replicas_are_one_block_in_which_what_one_of_them_did_is_marked() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "replicas");
    let script = "case $HOSTNAME in *-0) odd=/bin/hostname;; *) odd=/bin/true;; esac; \
                  while :; do /bin/true; $odd >/dev/null; sleep 0.2; done";
    namespace.apply(&workload_of(
        "StatefulSet",
        "apps",
        "shop",
        "replicas: 2, serviceName: shop, podManagementPolicy: Parallel, ",
        script,
    ));
    namespace.wait_ready("app=shop");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let running = start(&namespace, &path, &["sts/shop", "--duration", "3s"]);
    assert!(running.wait(SOON).success());
    let shown = |more: &[&str]| {
        let mut show = Command::new(plugin());
        let output = show.arg("show").arg(&path).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (together, each) = (shown(&[]), shown(&["--per-pod"]));
    let blocks = |screen: &str| screen.matches("\nSystem calls\n").count();
    assert_eq!(blocks(&together), 1, "{together}");
    assert_eq!(blocks(&each), 2, "{each}");
    let line_of = |what: &str| {
        together
            .lines()
            .find(|line| line.contains(what))
            .unwrap_or_default()
    };
    assert!(
        line_of("  /bin/hostname").contains("(1 of 2 pods)"),
        "{together}"
    );
    assert!(line_of("  /bin/true").contains("/bin/true"), "{together}");
    assert!(!line_of("  /bin/true").contains("pods)"), "{together}");
    assert!(!each.contains("pods)"), "{each}");
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
    exits(
        &namespace,
        0,
        &[
            "baseline",
            "save",
            "cm/busy",
            "deploy/busy",
            "--windows",
            "2",
            "--duration",
            "2s",
        ],
    );
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
    exits(
        &namespace,
        0,
        &[
            "baseline",
            "save",
            "cm/busy",
            "deploy/busy",
            "--windows",
            "2",
            "--duration",
            "1s",
        ],
    );
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

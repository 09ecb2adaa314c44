//! Each kind of target: its pods are found, profiled and named, and so are their peers.

use crate::harness::{
    BUSY, SERVE, SOON, check_complete, check_nothing_new, names, refused, run_shell_pod, shell,
    shell_pod, start, wait_for_probe, workload_of,
};
use procmon_tests::cluster::{Namespace, cluster, pod};
use procmon_tests::document::rows;
use procmon_tests::plugin;
use procmon_tests::workload::{self, Linked};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

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
    run_shell_pod(&namespace, "web", SERVE);
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
    run_shell_pod(&namespace, "here", BUSY);
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
fn a_container_that_is_started_again_is_two_with_times_of_their_own() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "again");
    run_shell_pod(
        &namespace,
        "again",
        "until [ -e /go ]; do /bin/true; sleep 0.05; done; exit 1",
    );
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

//! Pods and volumes that are files of a node: static pods, and parts of a host's folder. Only on
//! the cluster of tests/cluster.

use crate::harness::{BUSY, busybox, check_complete, shell_pod};
use procmon_tests::cluster::{Namespace, cluster, pod};
use serde_json::Value;
use std::process::{Command, Stdio};

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

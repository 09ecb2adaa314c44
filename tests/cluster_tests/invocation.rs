//! How the plugin is called: by kubectl, by scripts, and as a dry run.

use crate::harness::{BUSY, exits, run_shell_pod};
use procmon_tests::cluster::{Namespace, cluster};

#[test]
fn a_dry_run_prints_what_would_be_created_and_creates_nothing() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "dry");
    run_shell_pod(&namespace, "quiet", BUSY);
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
    run_shell_pod(&namespace, "busy", BUSY);
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

#[test]
fn a_script_is_told_when_a_window_opens_if_it_asks() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "script");
    run_shell_pod(&namespace, "busy", BUSY);
    let node = namespace.kubectl(&["get", "pod", "busy", "-o", "jsonpath={.spec.nodeName}"]);
    let args = ["profile", "pod/busy", "--duration", "1s", "-o", "name"];
    let (_, said) = exits(&namespace, 0, &args);
    assert_eq!(said, "");
    let (_, said) = exits(&namespace, 0, &[&args[..], &["--verbose"]].concat());
    assert_eq!(said, format!("capturing on {node} for 1s\n"));
}

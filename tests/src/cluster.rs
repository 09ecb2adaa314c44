//! The cluster that tests use: the one that `PROCMON_TEST_CONTEXT` names, or tests/cluster's own.

use crate::{plugin, root, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    path: std::ffi::OsString,
}

/// The cluster, when there is one that answers; the test is skipped, or fails, when there is none.
#[must_use]
pub fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(find).as_ref();
    crate::has(
        "cluster",
        cluster.is_some(),
        "needs a cluster: `make cluster-up`, or PROCMON_TEST_CONTEXT",
    )
    .then_some(cluster)
    .flatten()
}

fn script() -> PathBuf {
    root().join("tests/cluster/cluster.sh")
}

/// The value of one variable that `cluster.sh env` exports.
fn exported(text: &str, name: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("export {name}=")))
        .map(str::to_owned)
}

fn find() -> Option<Cluster> {
    let context = std::env::var("PROCMON_TEST_CONTEXT")
        .ok()
        .filter(|name| !name.is_empty());
    let own = std::env::var_os("PATH").unwrap_or_default();
    let cluster = if context.is_some() {
        Cluster {
            kubeconfig: None,
            context,
            path: own,
        }
    } else {
        let output = Command::new(script()).arg("env").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let kubectl = PathBuf::from(exported(&text, "PMC_KUBECTL")?);
        let mut path = kubectl.parent()?.as_os_str().to_owned();
        path.push(":");
        path.push(own);
        Cluster {
            kubeconfig: Some(exported(&text, "KUBECONFIG")?.into()),
            context: None,
            path,
        }
    };
    cluster
        .command("kubectl")
        .args(["get", "--raw", "/readyz"])
        .output()
        .ok()?
        .status
        .success()
        .then_some(cluster)
}

/// The selector of every object that the plugin makes.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=kubectl-procmon";

impl Cluster {
    /// A program that finds the cluster: by its environment, or by `--context`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("PATH", &self.path).stdin(Stdio::null());
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command
    }

    /// kubectl's connection flags, to be given last but before `--`.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        self.context
            .iter()
            .flat_map(|context| ["--context".to_owned(), context.clone()])
            .collect()
    }

    /// Runs kubectl; its standard output.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn kubectl(&self, args: &[&str]) -> String {
        let output = self.try_kubectl(args);
        assert!(
            output.status.success(),
            "kubectl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs kubectl.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn try_kubectl(&self, args: &[&str]) -> Output {
        self.command("kubectl")
            .args(self.flags())
            .args(args)
            .output()
            .expect("kubectl runs")
    }

    /// Creates or changes objects.
    ///
    /// # Panics
    /// When the API server refuses.
    pub fn apply(&self, namespace: &str, manifest: &str) {
        let mut child = self
            .command("kubectl")
            .args(self.flags())
            .args(["-n", namespace, "apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(manifest.as_bytes())
            .expect("kubectl reads");
        let output = child.wait_with_output().expect("kubectl ends");
        assert!(
            output.status.success(),
            "{}\n{manifest}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The plugin with these arguments and the connection flags.
    #[must_use]
    pub fn plugin(&self, args: &[&str]) -> Command {
        let mut command = self.command(plugin());
        command.args(args).args(self.flags());
        command
    }

    /// Profiles; the document. Fails when the plugin does.
    ///
    /// # Panics
    /// When the plugin fails, or writes no JSON.
    #[must_use]
    pub fn profile(&self, args: &[&str]) -> Value {
        let output = self
            .plugin(&[&["profile"], args, &["-o", "json"]].concat())
            .output()
            .expect("the plugin runs");
        assert!(
            output.status.success(),
            "{args:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// Names of the nodes that can run pods.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        let text = self.kubectl(&[
            "get",
            "nodes",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}",
        ]);
        let nodes: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(!nodes.is_empty(), "there is no node");
        nodes
    }

    /// Makes an image of one file, `/NAME`, known to every node. Only tests/cluster can.
    ///
    /// # Panics
    /// When it can't.
    pub fn load_program(&self, image: &str, program: &Path, name: &str) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let root = tempfile::tempdir().expect("a folder");
        std::fs::copy(program, root.path().join(name)).expect("a copy");
        let output = Command::new(script())
            .args(["load-image", image])
            .arg(root.path())
            .arg(format!("/{name}"))
            .output()
            .expect("the script runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// This cluster is tests/cluster's own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.context.is_none()
    }

    /// Names of all objects of all kinds that can be listed, as `KIND NAMESPACE/NAME`. Events and
    /// leases, which come and go by themselves, are left out.
    #[must_use]
    pub fn everything(&self) -> BTreeSet<String> {
        let kinds = self.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
        let mut found = BTreeSet::new();
        for kind in kinds
            .lines()
            .filter(|kind| !kind.starts_with("events") && !kind.starts_with("leases"))
        {
            let text = self.kubectl(&[
                "get",
                kind,
                "--all-namespaces",
                "--ignore-not-found",
                "-o",
                "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}",
            ]);
            found.extend(text.lines().map(|line| format!("{kind} {line}")));
        }
        found
    }

    /// Objects of the plugin that are still in the cluster.
    #[must_use]
    pub fn left_over(&self) -> BTreeSet<String> {
        let text = self.kubectl(&[
            "get",
            "jobs,pods,configmaps",
            "--all-namespaces",
            "-l",
            MANAGED,
            "--ignore-not-found",
            "-o",
            "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}",
        ]);
        text.lines().map(str::to_owned).collect()
    }
}

/// A namespace of one test's own, removed with it.
#[derive(Debug)]
pub struct Namespace<'a> {
    /// Where it is.
    pub cluster: &'a Cluster,
    /// Its name.
    pub name: String,
}

impl<'a> Namespace<'a> {
    /// Makes one; pods can be created when it returns.
    ///
    /// # Panics
    /// When the API server refuses.
    #[must_use]
    pub fn new(cluster: &'a Cluster, what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "procmon-test-{what}-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let _ = cluster.kubectl(&["create", "namespace", &name]);
        let namespace = Self { cluster, name };
        wait_for("the service account", Duration::from_secs(20), || {
            namespace
                .cluster
                .try_kubectl(&["-n", &namespace.name, "get", "serviceaccount", "default"])
                .status
                .success()
                .then_some(())
        });
        namespace
    }

    /// Runs kubectl in it.
    #[must_use]
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.cluster
            .kubectl(&[&["-n", self.name.as_str()], args].concat())
    }

    /// Creates objects in it.
    pub fn apply(&self, manifest: &str) {
        self.cluster.apply(&self.name, manifest);
    }

    /// Waits until all pods with a label are ready.
    pub fn wait_ready(&self, selector: &str) {
        wait_for("the first pod", Duration::from_secs(30), || {
            (!self
                .kubectl(&["get", "pods", "-l", selector, "-o", "name"])
                .is_empty())
            .then_some(())
        });
        let _ = self.kubectl(&[
            "wait",
            "--for=condition=Ready",
            "pod",
            "-l",
            selector,
            "--timeout=60s",
        ]);
    }

    /// Profiles something in it.
    #[must_use]
    pub fn profile(&self, args: &[&str]) -> Value {
        self.cluster.profile(&[args, &["-n", &self.name]].concat())
    }

    /// The plugin, for something in it.
    #[must_use]
    pub fn plugin(&self, args: &[&str]) -> Command {
        self.cluster.plugin(&[args, &["-n", &self.name]].concat())
    }

    /// Names of its pods, jobs and configuration maps but the one that every namespace has.
    #[must_use]
    pub fn objects(&self) -> BTreeSet<String> {
        let text = self.kubectl(&[
            "get",
            "jobs,pods,configmaps",
            "--ignore-not-found",
            "-o",
            "name",
        ]);
        text.lines()
            .filter(|line| !line.ends_with("kube-root-ca.crt"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let _ = self
            .cluster
            .try_kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// One pod, ready for `kubectl apply`; `spec` are lines of YAML at the level of `containers`.
#[must_use]
pub fn pod(name: &str, spec: &str) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  terminationGracePeriodSeconds: 0\n"
    );
    for line in spec.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

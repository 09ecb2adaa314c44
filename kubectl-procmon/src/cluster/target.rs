//! From what the user names to pods and nodes.

use super::Options;
use super::containers::{self, Role};
use super::errors::{explain, is_refusal};
use crate::hint::advised;
use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::{Api, Client};
use procmon_profile::model::Target;
use procmon_profile::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Name of the probe's container, which is no target.
pub(super) const CONTAINER: &str = "procmon";

/// Label of everything that a session makes.
pub(crate) const SESSION_LABEL: &str = "procmon/session";

/// What is to be done on one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeTarget {
    pub(crate) name: String,
    pub(crate) arch: String,
    /// Name of the node's operating system, where nodes may be read.
    pub(crate) os_image: String,
    pub(crate) pod_uids: Vec<String>,
    /// When each of these pods was created, in seconds since 1970.
    pub(crate) created: Vec<Option<i64>>,
    /// Images that the node has, best first.
    pub(crate) images: Vec<String>,
    /// Pull secrets of the target, for kubelets that ask for them.
    pub(crate) pull_secrets: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// Where the probes' objects are made.
    pub(crate) probe_namespace: String,
    pub(crate) pods: Vec<Pod>,
    pub(crate) nodes: Vec<NodeTarget>,
    /// Nodes that can't be probed, and why.
    pub(crate) refused: Vec<(String, String)>,
    /// What the document has to say of how the target was found.
    pub(crate) notes: Vec<String>,
}

/// Kinds and their other names.
const KINDS: [(&str, &[&str]); 7] = [
    ("Pod", &["pod", "pods", "po"]),
    ("Deployment", &["deployment", "deployments", "deploy"]),
    ("StatefulSet", &["statefulset", "statefulsets", "sts"]),
    ("DaemonSet", &["daemonset", "daemonsets", "ds"]),
    ("ReplicaSet", &["replicaset", "replicasets", "rs"]),
    ("Job", &["job", "jobs"]),
    ("Node", &["node", "nodes", "no"]),
];

/// Kind and name of `kind/name` or `kind name`; a single word is a pod's name.
fn parse(target: &[String]) -> Result<(&'static str, String)> {
    let (kind, name) = match target {
        [one] => one.split_once('/').unwrap_or(("pod", one)),
        [kind, name] => (kind.as_str(), name.as_str()),
        _ => {
            return Err(advised(
                "the target is not clear",
                "name it as `deploy/web` or `deploy web`",
            ));
        }
    };
    let wanted = kind.to_ascii_lowercase();
    let wanted = wanted.split('.').next().unwrap_or_default();
    let known = KINDS
        .iter()
        .find(|(_, names)| names.contains(&wanted))
        .map(|(kind, _)| *kind);
    let Some(kind) = known else {
        return Err(advised(
            format!("`{kind}` is no kind that can be profiled"),
            "name a pod, deployment, statefulset, daemonset, replicaset, job or node, as in `deploy/web`",
        ));
    };
    if name.is_empty() {
        return Err(advised(
            "the target has no name",
            "name it as `deploy/web`, or give labels with `-l`",
        ));
    }
    Ok((kind, name.to_owned()))
}

/// The target as the document names it, and all pods that it has.
async fn resolve(
    client: &Client,
    namespace: &str,
    options: &Options,
) -> Result<(Target, Vec<Pod>)> {
    Ok(match (&options.selector, options.target.as_slice()) {
        (Some(selector), []) => {
            let target = Target {
                kind: "Pod".into(),
                name: selector.clone().into(),
                namespace: Some(namespace.into()),
                selector: Some(selector.clone().into()),
                container: options.container.clone().map(Text::from),
            };
            (
                target,
                list(
                    client,
                    Some(namespace),
                    ListParams::default().labels(selector),
                )
                .await?,
            )
        }
        (Some(_), _) => {
            return Err(advised(
                "both a name and a selector are given",
                "use one of them",
            ));
        }
        (None, []) => {
            return Err(advised(
                "nothing to profile is named",
                "name a target as `deploy/web`, labels with `-l`, or something on this machine with `--local`",
            ));
        }
        (None, words) => {
            let (kind, name) = parse(words)?;
            let found = find(client, namespace, kind, &name).await?;
            let target = Target {
                kind: kind.into(),
                name: name.into(),
                namespace: (kind != "Node").then(|| namespace.into()),
                selector: None,
                container: options.container.clone().map(Text::from),
            };
            (target, found)
        }
    })
}

/// Resolves the target and looks at its nodes.
pub(crate) async fn plan(client: &Client, namespace: &str, options: &Options) -> Result<Plan> {
    let (target, mut pods) = resolve(client, namespace, options).await?;
    pods.retain(is_running);
    let notes = leave_out_probes(client, &mut pods).await;
    if pods.is_empty() {
        return Err(advised(
            match &target.selector {
                Some(labels) => format!("no running pod has the labels `{labels}`"),
                None => format!(
                    "no running pod belongs to {} `{}`",
                    target.kind.to_lowercase(),
                    target.name
                ),
            },
            "look at `kubectl get pods`: a pod must be Running to be profiled",
        ));
    }
    check_container(&pods, options.container.as_deref())?;
    let probe_namespace = options
        .pod
        .probe_namespace
        .clone()
        .or_else(|| target.namespace.clone().map(String::from))
        .unwrap_or_else(|| {
            if namespace.is_empty() {
                "default".to_owned()
            } else {
                namespace.to_owned()
            }
        });
    let (nodes, refused) = nodes(client, &pods, &probe_namespace, options).await?;
    if nodes.is_empty() {
        let reasons: Vec<String> = refused
            .iter()
            .map(|(node, reason)| format!("{node}: {reason}"))
            .collect();
        bail!(
            "no node of the target can be probed: {}",
            reasons.join("; ")
        );
    }
    Ok(Plan {
        target,
        probe_namespace,
        pods,
        nodes,
        refused,
        notes,
    })
}

/// Takes the pods of other sessions from the target; what is to be said of each.
async fn leave_out_probes(client: &Client, pods: &mut Vec<Pod>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut left_out = BTreeSet::new();
    for pod in pods.iter() {
        let Some(anchor) = anchor_of(pod) else {
            continue;
        };
        let (namespace, name) = (
            pod.metadata.namespace.clone().unwrap_or_default(),
            pod.metadata.name.clone().unwrap_or_default(),
        );
        if has_anchor(client, &namespace, &anchor).await {
            notes.push(format!(
                "pod `{namespace}/{name}` is the probe of session `{}` and was left out",
                anchor.session
            ));
            left_out.insert(pod.metadata.uid.clone());
        }
    }
    pods.retain(|pod| !left_out.contains(&pod.metadata.uid));
    notes
}

/// The Job that a session's pod says it belongs to.
struct Anchor {
    session: String,
    uid: String,
}

/// Whose probe a pod is by all that its own object says. Everybody who may create pods can write
/// such a one, so the anchor has to be there as well.
fn anchor_of(pod: &Pod) -> Option<Anchor> {
    let session = pod.metadata.labels.as_ref()?.get(SESSION_LABEL)?;
    let [container] = pod.spec.as_ref()?.containers.as_slice() else {
        return None;
    };
    if container.name != CONTAINER {
        return None;
    }
    let owner = pod
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| {
            owner.api_version == "batch/v1"
                && owner.kind == "Job"
                && owner.name == anchor_name(session)
        })?;
    Some(Anchor {
        session: session.clone(),
        uid: owner.uid.clone(),
    })
}

/// Name of a session's anchor.
pub(super) fn anchor_name(session: &str) -> String {
    format!("procmon-{session}")
}

/// The anchor is there. Without the right to read Jobs it is taken to be: the cluster deletes pods
/// whose owner does not exist.
async fn has_anchor(client: &Client, namespace: &str, anchor: &Anchor) -> bool {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    match jobs.get_metadata(&anchor_name(&anchor.session)).await {
        Ok(job) => {
            let labels = job.metadata.labels.unwrap_or_default();
            job.metadata.uid.as_ref() == Some(&anchor.uid)
                && labels.get(SESSION_LABEL) == Some(&anchor.session)
        }
        Err(error) => is_refusal(&error),
    }
}

fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.and_then(|status| status.phase.as_deref()) == Some("Running")
        && pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some())
}

async fn list(client: &Client, namespace: Option<&str>, params: ListParams) -> Result<Vec<Pod>> {
    let api: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let list = api
        .list(&params)
        .await
        .map_err(explain)
        .context("cannot list pods")?;
    Ok(list.items)
}

/// The pods of a named object.
async fn find(client: &Client, namespace: &str, kind: &str, name: &str) -> Result<Vec<Pod>> {
    let absent = || match kind {
        "Node" => format!("cannot find node `{name}`"),
        _ => format!(
            "cannot find {} `{name}` in namespace `{namespace}`",
            kind.to_lowercase()
        ),
    };
    macro_rules! selector {
        ($kind:ty, $spec:ident => $selector:expr) => {{
            let object = Api::<$kind>::namespaced(client.clone(), namespace)
                .get(name)
                .await
                .map_err(explain)
                .with_context(absent)?;
            let $spec = object.spec;
            $selector
        }};
    }
    let selector = match kind {
        "Pod" => {
            let pod = Api::<Pod>::namespaced(client.clone(), namespace)
                .get(name)
                .await
                .map_err(explain)
                .with_context(absent)?;
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default();
            if !is_running(&pod) {
                return Err(advised(
                    format!(
                        "pod `{name}` is {}, not Running",
                        if phase.is_empty() { "unknown" } else { &phase }
                    ),
                    "wait until it runs, or profile the workload that owns it",
                ));
            }
            return Ok(vec![pod]);
        }
        "Node" => {
            Api::<Node>::all(client.clone())
                .get(name)
                .await
                .map_err(explain)
                .with_context(absent)?;
            return list(
                client,
                None,
                ListParams::default().fields(&format!("spec.nodeName={name}")),
            )
            .await;
        }
        "Deployment" => selector!(Deployment, spec => Some(spec.selector)),
        "StatefulSet" => selector!(StatefulSet, spec => Some(spec.selector)),
        "DaemonSet" => selector!(DaemonSet, spec => Some(spec.selector)),
        "ReplicaSet" => selector!(ReplicaSet, spec => Some(spec.selector)),
        _ => selector!(Job, spec => spec.and_then(|spec| spec.selector)),
    };
    let selector = selector
        .context("it has no selector")
        .with_context(absent)?;
    list(
        client,
        Some(namespace),
        ListParams::default().labels(&labels(&selector)),
    )
    .await
}

/// A selector as the API takes it in a query.
fn labels(selector: &LabelSelector) -> String {
    let mut terms: Vec<String> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.clone().unwrap_or_default().join(",");
        terms.push(match expression.operator.as_str() {
            "In" => format!("{} in ({values})", expression.key),
            "NotIn" => format!("{} notin ({values})", expression.key),
            "Exists" => expression.key.clone(),
            _ => format!("!{}", expression.key),
        });
    }
    terms.join(",")
}

/// `-c` names a container that runs in at least one pod, or is going to.
fn check_container(pods: &[Pod], container: Option<&str>) -> Result<()> {
    let Some(wanted) = container else {
        return Ok(());
    };
    let mut names: Vec<&str> = pods.iter().flat_map(containers::names).collect();
    names.sort_unstable();
    names.dedup();
    if !names.contains(&wanted) {
        return Err(advised(
            format!("there is no container `{wanted}`"),
            format!("the target has: {}", names.join(", ")),
        ));
    }
    check_runs(pods, wanted)
}

/// What has ended for good would give an empty profile.
fn check_runs(pods: &[Pod], wanted: &str) -> Result<()> {
    let mut reason = None;
    let mut running = BTreeSet::new();
    for pod in pods {
        let mut known = false;
        for (_, container) in containers::statuses(pod) {
            let state = container.state.clone().unwrap_or_default();
            if state.running.is_some() {
                running.insert(container.name.clone());
            }
            if container.name != wanted {
                continue;
            }
            known = true;
            let ended = state.terminated.as_ref();
            if state.running.is_some() || may_start(pod, wanted, ended.map(|ended| ended.exit_code))
            {
                return Ok(());
            }
            let waiting = state.waiting.and_then(|waiting| waiting.reason);
            reason = match ended {
                Some(ended) => Some(format!(
                    "terminated: {}",
                    ended.reason.as_deref().unwrap_or("Unknown")
                )),
                None => waiting.map(|waiting| format!("waiting: {waiting}")),
            };
        }
        let has_it = matches!(containers::named(pod, wanted), Some((Role::Main, _)));
        // The kubelet has not said anything yet.
        if has_it && !known {
            return Ok(());
        }
    }
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    let running: Vec<String> = running.into_iter().collect();
    Err(advised(
        format!("container `{wanted}` is not running{reason}"),
        if running.is_empty() {
            "none of the target's containers runs".to_owned()
        } else {
            format!("these run: {}", running.join(", "))
        },
    ))
}

/// A container that the kubelet starts, or starts again. `ended`: with this exit code.
fn may_start(pod: &Pod, name: &str, ended: Option<i32>) -> bool {
    match containers::named(pod, name) {
        Some((Role::Init, container)) => container.restart_policy.as_deref() == Some("Always"),
        Some(_) => {
            let policy = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.restart_policy.as_deref());
            match (ended, policy) {
                (Some(_), Some("Never")) => false,
                (Some(code), Some("OnFailure")) => code != 0,
                _ => true,
            }
        }
        None => false,
    }
}

/// Groups pods by node; says which nodes can't be probed.
async fn nodes(
    client: &Client,
    pods: &[Pod],
    probe_namespace: &str,
    options: &Options,
) -> Result<(Vec<NodeTarget>, Vec<(String, String)>)> {
    let mut by_node: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) {
            by_node.entry(node).or_default().push(pod);
        }
    }
    let api: Api<Node> = Api::all(client.clone());
    let names: Vec<String> = by_node.keys().cloned().collect();
    let known: Vec<Option<Node>> = futures::stream::iter(&names)
        .map(async |name| api.get(name).await.ok())
        .buffered(16)
        .collect()
        .await;
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for ((name, mut pods), node) in by_node.into_iter().zip(known) {
        // The images of the cluster's own pods are seldom private.
        pods.sort_by_key(|pod| pod.metadata.namespace.as_deref() != Some("kube-system"));
        let mut target = NodeTarget {
            name: name.clone(),
            arch: "amd64".to_owned(),
            ..NodeTarget::default()
        };
        // Without the right to read nodes the error of the pod will have to do.
        if let Some(node) = node {
            if let Some(reason) = refusal(&node) {
                refused.push((name, reason));
                continue;
            }
            if let Some(info) = node
                .status
                .as_ref()
                .and_then(|status| status.node_info.as_ref())
            {
                target.arch.clone_from(&info.architecture);
                target.os_image.clone_from(&info.os_image);
            }
            target.images = pause_images(&node);
        }
        if crate::probes::probe(&target.arch).is_none() {
            refused.push((
                name,
                format!("this build carries no probe for {}", target.arch),
            ));
            continue;
        }
        for pod in &pods {
            let Some(uid) = node_uid(pod) else {
                continue;
            };
            let created = pod.metadata.creation_timestamp.as_ref();
            target.pod_uids.push(uid);
            target.created.push(created.map(|time| time.0.as_second()));
        }
        let mut own: Vec<String> = Vec::new();
        for pod in &pods {
            let same_namespace = pod.metadata.namespace.as_deref() == Some(probe_namespace);
            let Some(spec) = &pod.spec else { continue };
            own.extend(
                spec.containers
                    .iter()
                    .filter_map(|container| container.image.clone()),
            );
            if same_namespace {
                target.pull_secrets.extend(
                    spec.image_pull_secrets
                        .iter()
                        .flatten()
                        .map(|secret| secret.name.clone()),
                );
            }
        }
        // Whoever made the target's image decides its volumes, its links and the signal that stops
        // it; a sandbox image has none of these. The target's runs there, so it is there.
        target.images.append(&mut own);
        if let Some(image) = &options.pod.image {
            target.images = vec![image.clone()];
        }
        let mut seen = BTreeSet::new();
        target.images.retain(|image| seen.insert(image.clone()));
        target.pull_secrets.sort();
        target.pull_secrets.dedup();
        good.push(target);
    }
    Ok((good, refused))
}

/// Why a node can't be probed.
fn refusal(node: &Node) -> Option<String> {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    if labels
        .get("type")
        .is_some_and(|value| value == "virtual-kubelet")
        || labels
            .get("eks.amazonaws.com/compute-type")
            .is_some_and(|value| value == "fargate")
    {
        return Some("it is a virtual node, which runs no privileged pods".to_owned());
    }
    let status = node.status.as_ref()?;
    if let Some(info) = &status.node_info
        && info.operating_system != "linux"
    {
        return Some(format!("it runs {}, not Linux", info.operating_system));
    }
    let ready = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready")?;
    (ready.status != "True").then(|| "it is not Ready".to_owned())
}

/// Sandbox images that a node reports, by a tag where they have one. A kubelet reports its 50 largest
/// images, so that the list of a node with more may lack the smallest of all.
fn pause_images(node: &Node) -> Vec<String> {
    let is_pause = |name: &&String| {
        let path = name.split('@').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let name = last.split(':').next().unwrap_or_default();
        name == "pause" || name.starts_with("pause-") || name == "mirrored-pause"
    };
    node.status
        .iter()
        .flat_map(|status| status.images.iter().flatten())
        .filter_map(|image| {
            let names = image.names.iter().flatten().filter(is_pause);
            names.min_by_key(|name| name.contains('@')).cloned()
        })
        .collect()
}

/// The UID by which its node knows a pod. Of a static pod the API has a mirror with a UID of its own; the kubelet's is
/// in an annotation.
pub(super) fn node_uid(pod: &Pod) -> Option<String> {
    let annotations = pod.metadata.annotations.as_ref();
    let annotation = |name: &str| annotations.and_then(|all| all.get(name));
    let hash =
        annotation("kubernetes.io/config.mirror").and(annotation("kubernetes.io/config.hash"));
    hash.or(pod.metadata.uid.as_ref()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sandbox_images_are_named_by_their_tag_and_nothing_else_is_one() {
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"images": [
                {"names": ["registry.k8s.io/pause@sha256:aa", "registry.k8s.io/pause:3.10"]},
                {"names": ["docker.io/rancher/mirrored-pause:3.6"]},
                {"names": ["eks/pause@sha256:bb"]},
                {"names": ["evil.example/pause/shell:1", "evil.example/not-pause:1"]},
                {"names": []},
            ]}}))
            .unwrap_or_default();
        assert_eq!(
            pause_images(&node),
            [
                "registry.k8s.io/pause:3.10",
                "docker.io/rancher/mirrored-pause:3.6",
                "eks/pause@sha256:bb"
            ]
        );
    }

    /// A pod with the label of session `x`, which everybody can write.
    fn labelled(container: &str, owner: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {SESSION_LABEL: "x"}, "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": "u"}
            ]},
            "spec": {"containers": [{"name": container}]},
        }))
        .unwrap_or_default()
    }

    #[test]
    fn a_label_alone_makes_no_probe() {
        assert!(anchor_of(&labelled("procmon", "procmon-x")).is_some());
        assert!(anchor_of(&labelled("web", "procmon-x")).is_none());
        assert!(anchor_of(&labelled("procmon", "procmon-y")).is_none());
        let mut free = labelled("procmon", "procmon-x");
        free.metadata.owner_references = None;
        assert!(anchor_of(&free).is_none());
        let mut two = labelled("procmon", "procmon-x");
        if let Some(spec) = &mut two.spec {
            spec.containers.extend(spec.containers.clone());
        }
        assert!(anchor_of(&two).is_none());
    }

    #[test]
    fn targets_are_named_as_kubectl_names_them() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, kind, name) in [
            ("web", "Pod", "web"),
            ("po/web", "Pod", "web"),
            ("deploy/web", "Deployment", "web"),
            ("deployment.apps/web", "Deployment", "web"),
            ("sts db", "StatefulSet", "db"),
            ("no/worker", "Node", "worker"),
        ] {
            assert_eq!(
                parse(&words(text)).ok(),
                Some((kind, name.to_owned())),
                "{text}"
            );
        }
        for text in ["secret/x", "deploy/", "a b c"] {
            assert!(parse(&words(text)).is_err(), "{text}");
        }
    }
}

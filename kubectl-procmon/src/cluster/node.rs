//! From pods to the nodes that they run on: images for the probe, and why a node can't be probed.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};

/// The part of a target on one node, and the images for the probe there.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeTarget {
    pub(super) name: String,
    pub(super) arch: String,
    /// Name of the node's operating system, where nodes may be read.
    pub(super) os_image: String,
    pub(super) pod_uids: Vec<String>,
    /// When each of these pods was created, in seconds since 1970.
    pub(super) created: Vec<Option<i64>>,
    /// Images that the node has, best first.
    pub(super) images: Vec<String>,
    /// Pull secrets of the target, for kubelets that ask for them.
    pub(super) pull_secrets: Vec<String>,
}

/// The nodes of some pods.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) good: Vec<NodeTarget>,
    /// Nodes that can't be probed, and why.
    pub(super) refused: Vec<(String, String)>,
}

/// Groups pods by node; says which nodes can't be probed. `image`: the one that the user names.
pub(super) async fn group(
    client: &Client,
    pods: &[Pod],
    probe_namespace: &str,
    image: Option<&str>,
) -> Nodes {
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
    let mut nodes = Nodes::default();
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
                nodes.refused.push((name, reason));
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
            nodes.refused.push((
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
        // The author of the target's image decides its volumes, its links and the signal that stops
        // it; a sandbox image has none of these. The target's runs there, so it is there.
        target.images.append(&mut own);
        if let Some(image) = image {
            target.images = vec![image.to_owned()];
        }
        let mut seen = BTreeSet::new();
        target.images.retain(|image| seen.insert(image.clone()));
        target.pull_secrets.sort();
        target.pull_secrets.dedup();
        nodes.good.push(target);
    }
    nodes
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

/// The UID by which its node knows a pod. The API server's copy of a static pod has another UID; the
/// kubelet's is in an annotation.
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
}

//! The plan of a capture: the target, its nodes, and where the probes' objects are made.

use super::node::{self, NodeTarget};
use super::options::Options;
use super::target::{self, Found};
use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use procmon_profile::model::Target;

/// The plan of a capture.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    /// Where the probes' objects are made.
    pub(super) probe_namespace: String,
    pub(super) pods: Vec<Pod>,
    pub(super) nodes: Vec<NodeTarget>,
    /// Nodes that can't be probed, and why.
    pub(super) refused: Vec<(String, String)>,
    /// Notes for the document about how the target was found.
    pub(super) notes: Vec<String>,
}

/// Resolves the target and looks at its nodes.
pub(super) async fn plan(client: &Client, namespace: &str, options: &Options) -> Result<Plan> {
    let Found {
        target,
        pods,
        notes,
    } = target::find(client, namespace, &options.target).await?;
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
    let image = options.pod.image.as_deref();
    let nodes = node::group(client, &pods, &probe_namespace, image).await;
    if nodes.good.is_empty() {
        let reasons: Vec<String> = nodes
            .refused
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
        nodes: nodes.good,
        refused: nodes.refused,
        notes,
    })
}

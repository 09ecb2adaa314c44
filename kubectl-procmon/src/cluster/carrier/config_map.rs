//! The immutable ConfigMap that brings the probe to the nodes of one architecture.

use crate::cluster::errors::{explain, is_refusal};
use crate::cluster::node::NodeTarget;
use crate::cluster::session::Session;
use crate::hint::Advised;
use crate::probes;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// The probe's ConfigMap was replaced by another object.
#[derive(Debug)]
pub(crate) struct ProbeReplaced {
    /// Where it may have run.
    node: Option<String>,
    config_map: String,
}

impl fmt::Display for ProbeReplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "somebody replaced the probe: ConfigMap `{}` is not the one that this session made",
            self.config_map
        )?;
        match &self.node {
            Some(node) => write!(
                f,
                "; another program may have run on node `{node}` with the probe's rights"
            ),
            None => f.write_str("; it did not run"),
        }
    }
}

impl std::error::Error for ProbeReplaced {}

/// Name of a session's ConfigMap for one architecture.
pub(crate) fn name(session: &Session, arch: &str) -> String {
    format!("procmon-{}-{arch}", session.id)
}

/// The ConfigMap for one architecture.
pub(crate) fn manifest(session: &Session, arch: &str) -> Result<ConfigMap> {
    let bytes =
        probes::probe(arch).with_context(|| format!("this build carries no probe for {arch}"))?;
    Ok(ConfigMap {
        metadata: serde_json::from_value(json!({
            "name": name(session, arch),
            "namespace": session.namespace,
            "labels": session.labels(),
            "annotations": {"procmon/expires": session.expires},
            "ownerReferences": [session.owner()],
        }))?,
        immutable: Some(true),
        binary_data: Some(BTreeMap::from([(
            probes::KEY.to_owned(),
            probes::delivered(bytes),
        )])),
        data: None,
    })
}

/// Makes the ConfigMaps that these nodes need.
pub(crate) async fn upload(session: &Session, nodes: &[NodeTarget]) -> Result<()> {
    let maps: Api<ConfigMap> = session.api();
    for arch in architectures(nodes) {
        let name = name(session, arch);
        session.note::<ConfigMap>(&name, None);
        let map = maps
            .create(&PostParams::default(), &manifest(session, arch)?)
            .await
            .map_err(explain)
            .with_context(|| {
                format!(
                    "cannot create ConfigMap `{name}` in namespace `{}`",
                    session.namespace
                )
            })?;
        session.note::<ConfigMap>(&name, map.metadata.uid);
    }
    // Without the right to look again nothing could be proven later: no pod is made.
    for arch in architectures(nodes) {
        prove(session, None, arch).await?;
    }
    Ok(())
}

/// Proves that the ConfigMap that carries the probe is still the one that this session made. An object
/// is deleted once and its uid is never given again, and an immutable one is never changed: asked after
/// the container runs, this proves which program the kubelet mounted.
///
/// # Errors
/// [`ProbeReplaced`] when it is another one or gone; a refusal when the user may not look.
pub(crate) async fn prove(session: &Session, node: Option<&str>, arch: &str) -> Result<()> {
    let name = name(session, arch);
    let ours = session.uid::<ConfigMap>(&name);
    let maps: Api<ConfigMap> = session.api();
    let cannot = || {
        format!(
            "cannot prove that ConfigMap `{name}` in namespace `{}` still holds the probe",
            session.namespace
        )
    };
    let uid = loop {
        match maps.get_metadata(&name).await {
            Ok(map) => break map.metadata.uid,
            Err(kube::Error::Api(status)) if status.is_not_found() => break None,
            Err(error) if is_refusal(&error) || session.is_over() => {
                return Err(explain(error)).with_context(cannot);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    if uid.is_some() && uid == ours {
        return Ok(());
    }
    Err(anyhow::Error::from(ProbeReplaced {
        node: node.map(str::to_owned),
        config_map: name,
    })
    .context(Advised {
        message: "the capture was stopped and nothing of it is kept".to_owned(),
        hint: format!(
            "{}look in the audit log for who deleted ConfigMaps in namespace `{}`, and name a namespace that only you can write to with `--probe-namespace`",
            if node.is_some() {
                "treat the node as taken over, "
            } else {
                ""
            },
            session.namespace
        ),
    }))
}

/// Architectures of these nodes, each once.
pub(crate) fn architectures(nodes: &[NodeTarget]) -> BTreeSet<&str> {
    nodes.iter().map(|node| node.arch.as_str()).collect()
}

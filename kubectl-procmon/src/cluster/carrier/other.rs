//! Probes of other sessions: they are not part of any target.

use super::manifest::CONTAINER;
use crate::cluster::errors::is_refusal;
use crate::cluster::session;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use std::collections::BTreeSet;

/// Takes the pods of other sessions out of a target's; returns a sentence about each.
pub(crate) async fn leave_out(client: &Client, pods: &mut Vec<Pod>) -> Vec<String> {
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

/// The session whose probe a pod is by all that its own object says. Everybody who may create pods can
/// write such an object, so the anchor must exist as well.
fn anchor_of(pod: &Pod) -> Option<Anchor> {
    let session = pod.metadata.labels.as_ref()?.get(session::LABEL)?;
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
                && owner.name == session::anchor_name(session)
        })?;
    Some(Anchor {
        session: session.clone(),
        uid: owner.uid.clone(),
    })
}

/// The anchor is there. Without the right to read Jobs it is taken to be: the cluster deletes pods
/// whose owner does not exist.
async fn has_anchor(client: &Client, namespace: &str, anchor: &Anchor) -> bool {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    match jobs
        .get_metadata(&session::anchor_name(&anchor.session))
        .await
    {
        Ok(job) => {
            let labels = job.metadata.labels.unwrap_or_default();
            job.metadata.uid.as_ref() == Some(&anchor.uid)
                && labels.get(session::LABEL) == Some(&anchor.session)
        }
        Err(error) => is_refusal(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A pod with the label of session `x`, which everybody can write.
    fn labelled(container: &str, owner: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {session::LABEL: "x"}, "ownerReferences": [
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
}

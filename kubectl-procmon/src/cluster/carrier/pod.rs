//! Bare pods that carry the probe: created, watched, their logs read, stopped, removed.

use super::config_map;
use super::manifest::{self, CONTAINER, Identity, Settings};
use super::state::State;
use crate::cluster::errors::{advice, explain, is_refusal};
use crate::cluster::node::NodeTarget;
use crate::cluster::session::Session;
use crate::hint::{Advised, advised};
use anyhow::Result;
use futures::{AsyncBufRead, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, LogParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use procmon_profile::wire::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests that create pods, at once.
const CREATIONS: usize = 16;
/// Logs that are followed, at once.
const FOLLOWED: usize = 100;

/// The probes' pods of one session.
pub(crate) struct Pods {
    pub(crate) session: Arc<Session>,
    settings: Settings,
    creating: Semaphore,
    /// One permit for each log that is followed.
    following: Semaphore,
}

/// The states of the pods, as the watch has told them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pods: BTreeMap<String, State>,
    /// The API server does not let this user watch.
    pub(crate) refused: Option<Advised>,
}

impl Known {
    /// The state of a pod; an empty one while the watch has not told.
    pub(crate) fn state(&self, name: &str) -> State {
        self.pods.get(name).cloned().unwrap_or_default()
    }
}

pub(crate) type States = Receiver<Known>;

impl Pods {
    /// No pods yet, and how they will be.
    pub(crate) fn new(session: Arc<Session>, settings: Settings) -> Self {
        Self {
            session,
            settings,
            creating: Semaphore::new(CREATIONS),
            following: Semaphore::new(FOLLOWED),
        }
    }

    fn api(&self) -> Api<Pod> {
        self.session.api()
    }

    /// The pod for a node; a further attempt has a name of its own, with a dot, which ends of nodes'
    /// names never have.
    pub(crate) fn manifest(
        &self,
        node: &NodeTarget,
        request: &Request,
        image: &str,
        attempt: usize,
    ) -> Result<Pod> {
        let suffix = node_suffix(&node.name);
        let name = format!(
            "procmon-{}-{suffix}{}",
            self.session.id,
            if attempt == 0 {
                String::new()
            } else {
                format!(".{attempt}")
            }
        );
        let identity = Identity {
            name: &name,
            namespace: &self.session.namespace,
            labels: self.session.labels(),
            owner: self.session.owner(),
            config_map: &config_map::name(&self.session, &node.arch),
            deadline: self.session.deadline,
            expires: &self.session.expires,
        };
        manifest::pod(
            &identity,
            node,
            image,
            &serde_json::to_string(request)?,
            &self.settings,
        )
    }

    /// Asks the API server whether it would admit a pod.
    pub(crate) async fn ask(&self, pod: &Pod) -> Result<()> {
        // The anchor's uid is not known yet, and owners are not checked in a dry run either.
        let mut pod = pod.clone();
        pod.metadata.owner_references = None;
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        self.api().create(&params, &pod).await.map_err(explain)?;
        Ok(())
    }

    /// Creates a pod; its name.
    pub(crate) async fn create(&self, pod: &Pod) -> Result<String> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let _permit = self.creating.acquire().await;
        self.session.note::<Pod>(&name, None);
        let made = self
            .api()
            .create(&PostParams::default(), pod)
            .await
            .map_err(explain)?;
        self.session.note::<Pod>(&name, made.metadata.uid.clone());
        let policy = made
            .spec
            .as_ref()
            .and_then(|spec| {
                spec.containers
                    .iter()
                    .find(|container| container.name == CONTAINER)
            })
            .and_then(|container| container.image_pull_policy.clone());
        if policy.as_deref() == Some("Always") {
            return Err(advised(
                "the cluster changed the probe's pull policy to Always",
                "the AlwaysPullImages policy is on: name an image that its registry serves with `--image`",
            ));
        }
        Ok(name)
    }

    /// Watches the pods until the last receiver is dropped.
    pub(crate) fn watch(self: &Arc<Self>) -> States {
        let (sender, receiver) = channel(Known::default());
        let pods = Arc::clone(self);
        tokio::spawn(async move {
            while !sender.is_closed() && !pods.session.is_over() {
                if let Err(refused) = pods.watch_once(&sender).await {
                    sender.send_modify(|known| known.refused = Some(refused));
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        receiver
    }

    /// Watches until the stream ends, however it does. An error: it is refused for good.
    async fn watch_once(&self, sender: &Sender<Known>) -> Result<(), Advised> {
        let params = WatchParams::default()
            .labels(&self.session.selector())
            .timeout(290);
        // From version 0 the watch begins with what is there.
        let stream = match self.api().watch(&params, "0").await {
            Ok(stream) => stream,
            Err(error) => return refusal(error).map_or(Ok(()), Err),
        };
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => return refusal(error).map_or(Ok(()), Err),
            };
            let (pod, gone) = match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => (pod, false),
                WatchEvent::Deleted(pod) => (pod, true),
                WatchEvent::Error(_) => return Ok(()),
                WatchEvent::Bookmark(_) => continue,
            };
            let name = pod.metadata.name.clone().unwrap_or_default();
            // Everybody can give a pod the session's label, and the name of one that is gone.
            if !self.is_own(&name, &pod) {
                continue;
            }
            let state = State::of(&pod, gone);
            sender.send_modify(|known| {
                known.pods.insert(name, state);
            });
        }
        Ok(())
    }

    /// Waits until one more log may be followed.
    pub(crate) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.following.acquire().await.ok()
    }

    /// Opens a pod's log from its start. None: not now. An error: it is refused for good.
    pub(crate) async fn log(
        &self,
        name: &str,
    ) -> Result<Option<impl AsyncBufRead + use<>>, Advised> {
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: true,
            ..LogParams::default()
        };
        match self.api().log_stream(name, &params).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => refusal(error).map_or(Ok(None), Err),
        }
    }

    /// A pod that the cluster has by this name is the one that this session made.
    fn is_own(&self, name: &str, pod: &impl kube::Resource) -> bool {
        self.session.is_own::<Pod>(name, pod.meta().uid.as_deref())
    }

    /// Doubts that the pod whose log was read is still the one that this session made: somebody else may
    /// have given its name to another. None: it is ours, or the user may not look. `is_deleted`: the
    /// session itself may have deleted it.
    pub(crate) async fn doubt(&self, name: &str, is_deleted: bool) -> Option<&'static str> {
        match self.api().get_metadata(name).await {
            Ok(pod) if self.is_own(name, &pod) => None,
            Ok(_) => Some("somebody replaced the probe's pod: its log may be another's"),
            Err(kube::Error::Api(status)) if status.is_not_found() && !is_deleted => {
                Some("somebody deleted the probe's pod before its log was proven to be its own")
            }
            Err(_) => None,
        }
    }

    /// Ends all windows early: the probes get SIGTERM, and their logs stay. Without the right to
    /// change pods they are deleted with grace: what they still write comes over the open streams.
    pub(crate) async fn stop(&self) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        for name in self.session.names::<Pod>() {
            let Err(refused) = self.patch(&name, &patch).await else {
                continue;
            };
            if !is_refusal(&refused) {
                continue;
            }
            let deleted = self.api().delete(&name, &DeleteParams::default()).await;
            if deleted.is_err_and(|error| is_refusal(&error)) {
                return Err(explain(refused).context(
                    "cannot end the window early: it goes on, and a second interrupt aborts it",
                ));
            }
        }
        Ok(())
    }

    /// Changes a pod, again and again while the API server is not able to.
    async fn patch(&self, name: &str, patch: &Patch<Value>) -> kube::Result<()> {
        loop {
            let patched = self.api().patch(name, &PatchParams::default(), patch).await;
            let Err(error) = patched else { return Ok(()) };
            let is_gone = matches!(&error, kube::Error::Api(status) if status.is_not_found());
            if is_gone || is_refusal(&error) || self.session.is_over() {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Deletes a pod at once.
    pub(crate) async fn remove(&self, name: &str) {
        let _ = self
            .api()
            .delete(name, &DeleteParams::default().grace_period(0))
            .await;
    }

    /// Deletes all pods that were made.
    pub(crate) async fn remove_all(&self) {
        let names = self.session.names::<Pod>();
        futures::stream::iter(&names)
            .for_each_concurrent(CREATIONS, |name| self.remove(name))
            .await;
    }
}

/// A refusal, which trying again would not change.
fn refusal(error: kube::Error) -> Option<Advised> {
    is_refusal(&error).then(|| advice(error))
}

/// A node's name as the end of a pod's name: at most 40 characters, and distinct. A digest follows
/// where the name has to be changed.
fn node_suffix(node: &str) -> String {
    if node.len() <= 40 && !node.contains('.') {
        return node.to_owned();
    }
    let kept: String = node.chars().take(23).collect();
    let digest = crate::probes::digest(node.as_bytes());
    format!("{}-{}", kept.replace('.', "-"), &digest[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nodes_whose_names_differ_in_a_dot_have_pods_of_their_own() {
        assert_eq!(node_suffix("worker-1"), "worker-1");
        assert_ne!(node_suffix("a.b"), node_suffix("a-b"));
        assert_ne!(node_suffix("a.b-c"), node_suffix("a-b.c"));
        let long = "n".repeat(60);
        assert_ne!(node_suffix(&long), node_suffix(&format!("{long}x")));
    }

    proptest! {
        #[test]
        fn two_nodes_never_have_one_pod(a in "[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?", b in "[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?") {
            let (one, other) = (node_suffix(&a), node_suffix(&b));
            prop_assert_eq!(one == other, a == b);
            prop_assert!(one.len() <= 40 && !one.contains('.'), "{}", one);
        }
    }
}

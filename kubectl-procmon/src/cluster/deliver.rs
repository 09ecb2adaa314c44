//! An anchor Job without pods, an immutable ConfigMap, bare Pods: made in this order, so that at
//! every moment the anchor's deadline takes away what exists. Clean-up deletes the anchor and waits
//! until all of it is gone.

use super::Options;
use super::carrier::manifest::{self, CONTAINER, Identity, Settings};
use super::errors::{explain, is_refusal};
use super::node::NodeTarget;
use super::plan::Plan;
use super::session;
use crate::hint::{Advised, advised};
use crate::probes;
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use procmon_profile::wire::{Request, SessionKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// What one session makes in a cluster.
pub(crate) struct Delivery {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) session: String,
    /// Length of the window.
    pub(crate) seconds: f64,
    /// Seconds until the anchor takes everything away.
    pub(crate) deadline: u64,
    /// What the probes seal their captures to: the log of a pod is read by others too, and kept.
    pub(crate) key: SessionKey,
    expires: String,
    started: Instant,
    settings: Settings,
    anchor_uid: OnceLock<String>,
    /// When the API server made the anchor, in seconds since 1970.
    created: OnceLock<i64>,
    made: Mutex<Made>,
    creating: Semaphore,
    /// One permit for each log that is followed.
    pub(crate) following: Semaphore,
}

/// What this session made, by name; with its uid once the API server has said it. Names and labels
/// can be used by everybody, and again; a uid never is.
#[derive(Default)]
struct Made {
    pods: Uids,
    config_maps: Uids,
}

type Uids = BTreeMap<String, Option<String>>;

/// Somebody put another object in the place of the probe's ConfigMap.
#[derive(Debug)]
pub(crate) struct ProbeReplaced {
    /// Where it may have run.
    node: Option<String>,
    config_map: String,
}

impl std::fmt::Display for ProbeReplaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// Requests that create pods, at once.
const CREATIONS: usize = 16;
/// Logs that are followed, at once.
const FOLLOWED: usize = 100;

impl Delivery {
    pub(crate) fn new(
        client: Client,
        plan: &Plan,
        session: &str,
        deadline: f64,
        options: &Options,
    ) -> Result<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("cannot make a key")?;
        let expires = jiff::Timestamp::now()
            .checked_add(jiff::SignedDuration::from_secs_f64(deadline))
            .map(|time| time.to_string())
            .unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most a day"
        )]
        let deadline = deadline.ceil() as u64;
        Ok(Self {
            client,
            namespace: plan.probe_namespace.clone(),
            session: session.to_owned(),
            seconds: options.seconds,
            deadline,
            key: SessionKey::new(random),
            expires,
            started: Instant::now(),
            settings: options.pod.clone(),
            anchor_uid: OnceLock::new(),
            created: OnceLock::new(),
            made: Mutex::default(),
            creating: Semaphore::new(CREATIONS),
            following: Semaphore::new(FOLLOWED),
        })
    }

    fn anchor_name(&self) -> String {
        session::anchor_name(&self.session)
    }

    fn config_map_name(&self, arch: &str) -> String {
        format!("procmon-{}-{arch}", self.session)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Pods of this session.
    pub(crate) fn pods(&self) -> Api<Pod> {
        self.api()
    }

    /// The session's end has come, whatever happens.
    pub(crate) fn is_over(&self) -> bool {
        self.started.elapsed() > Duration::from_secs(self.deadline)
    }

    /// The Job that owns everything and never makes a pod.
    pub(crate) fn anchor(&self) -> Job {
        serde_json::from_value(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": self.anchor_name(),
                "namespace": self.namespace,
                "labels": self.labels(),
                "annotations": {"procmon/expires": self.expires},
            },
            "spec": {
                "parallelism": 0,
                "completions": 1,
                "backoffLimit": 0,
                "activeDeadlineSeconds": self.deadline,
                "ttlSecondsAfterFinished": 0,
                "template": {
                    "spec": {
                        "restartPolicy": "Never",
                        "automountServiceAccountToken": false,
                        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                        "containers": [{
                            "name": "anchor",
                            "image": "procmon.invalid/anchor",
                            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                        }],
                    },
                },
            },
        }))
        .unwrap_or_default()
    }

    /// Makes the anchor.
    pub(crate) async fn anchor_down(&self) -> Result<()> {
        let jobs: Api<Job> = self.api();
        let anchor = jobs
            .create(&PostParams::default(), &self.anchor())
            .await
            .map_err(explain)
            .with_context(|| {
                format!(
                    "cannot create Job `{}` in namespace `{}`",
                    self.anchor_name(),
                    self.namespace
                )
            })?;
        let _ = self
            .anchor_uid
            .set(anchor.metadata.uid.clone().unwrap_or_default());
        if let Some(time) = &anchor.metadata.creation_timestamp {
            let _ = self.created.set(time.0.as_second());
        }
        let spec = anchor.spec.unwrap_or_default();
        if spec.suspend == Some(true)
            || spec.ttl_seconds_after_finished != Some(0)
            || spec.active_deadline_seconds.is_none()
        {
            return Err(advised(
                "something in the cluster changed the Job that was to clean up: it would never expire",
                "exempt Jobs labelled `procmon/session` from that policy (Kueue: manageJobsWithoutQueueName)",
            ));
        }
        Ok(())
    }

    /// What carries the probe to all nodes of one architecture.
    pub(crate) fn config_map(&self, arch: &str) -> Result<ConfigMap> {
        let bytes = probes::probe(arch)
            .with_context(|| format!("this build carries no probe for {arch}"))?;
        Ok(ConfigMap {
            metadata: serde_json::from_value(json!({
                "name": self.config_map_name(arch),
                "namespace": self.namespace,
                "labels": self.labels(),
                "annotations": {"procmon/expires": self.expires},
                "ownerReferences": [self.owner()],
            }))?,
            immutable: Some(true),
            binary_data: Some(BTreeMap::from([(
                probes::KEY.to_owned(),
                probes::delivered(bytes),
            )])),
            data: None,
        })
    }

    /// Makes the ConfigMaps.
    pub(crate) async fn upload(&self, nodes: &[NodeTarget]) -> Result<()> {
        let maps: Api<ConfigMap> = self.api();
        for arch in architectures(nodes) {
            let name = self.config_map_name(arch);
            self.made().config_maps.insert(name.clone(), None);
            let map = maps
                .create(&PostParams::default(), &self.config_map(arch)?)
                .await
                .map_err(explain)
                .with_context(|| {
                    format!(
                        "cannot create ConfigMap `{name}` in namespace `{}`",
                        self.namespace
                    )
                })?;
            self.made().config_maps.insert(name, map.metadata.uid);
        }
        // Without the right to look again nothing could be proven later: no pod is made.
        for arch in architectures(nodes) {
            self.prove_probe(None, arch).await?;
        }
        Ok(())
    }

    /// The ConfigMap that carries the probe is still the one that this session made. An object is
    /// deleted once and its uid is never given again, and an immutable one is never changed: asked
    /// after the container runs, this proves which program the kubelet mounted.
    ///
    /// # Errors
    /// [`ProbeReplaced`] when it is another one or gone; a refusal when the user may not look.
    pub(crate) async fn prove_probe(&self, node: Option<&str>, arch: &str) -> Result<()> {
        let name = self.config_map_name(arch);
        let ours = self.made().config_maps.get(&name).cloned().flatten();
        let maps: Api<ConfigMap> = self.api();
        let cannot = || {
            format!(
                "cannot prove that ConfigMap `{name}` in namespace `{}` still holds the probe",
                self.namespace
            )
        };
        let uid = loop {
            match maps.get_metadata(&name).await {
                Ok(map) => break map.metadata.uid,
                Err(kube::Error::Api(status)) if status.is_not_found() => break None,
                Err(error) if is_refusal(&error) || self.is_over() => {
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
                self.namespace
            ),
        }))
    }

    /// The pod whose log was read is still the one that this session made: what has its name now may be
    /// somebody else's. None: it is, or the user may not look. `is_deleted`: the session itself may have
    /// deleted it.
    pub(crate) async fn doubt_pod(&self, name: &str, is_deleted: bool) -> Option<&'static str> {
        match self.pods().get_metadata(name).await {
            Ok(pod) if self.is_own_pod(name, pod.metadata.uid.as_deref()) => None,
            Ok(_) => Some("somebody replaced the probe's pod: its log may be another's"),
            Err(kube::Error::Api(status)) if status.is_not_found() && !is_deleted => {
                Some("somebody deleted the probe's pod before its log was proven to be its own")
            }
            Err(_) => None,
        }
    }

    /// Earliest and latest time of the session, in seconds since 1970 by the API server's clock. None
    /// before the anchor is made.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        let created = *self.created.get()?;
        Some((created, created + i64::try_from(self.deadline).ok()?))
    }

    fn labels(&self) -> Value {
        json!({session::LABEL: self.session, "app.kubernetes.io/managed-by": "kubectl-procmon"})
    }

    /// The anchor, as the owner of all else.
    fn owner(&self) -> Value {
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": self.anchor_name(),
            "uid": self.anchor_uid.get().map_or("", String::as_str),
            "controller": false,
            "blockOwnerDeletion": false,
        })
    }

    /// The pod for a node; a further attempt has a name of its own, with a dot, which ends of nodes'
    /// names never have.
    pub(crate) fn pod(
        &self,
        node: &NodeTarget,
        request: &Request,
        image: &str,
        attempt: usize,
    ) -> Result<Pod> {
        let suffix = node_suffix(&node.name);
        let name = format!(
            "procmon-{}-{suffix}{}",
            self.session,
            if attempt == 0 {
                String::new()
            } else {
                format!(".{attempt}")
            }
        );
        let identity = Identity {
            name: &name,
            namespace: &self.namespace,
            labels: self.labels(),
            owner: self.owner(),
            config_map: &self.config_map_name(&node.arch),
            deadline: self.deadline,
            expires: &self.expires,
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
        self.pods().create(&params, &pod).await.map_err(explain)?;
        Ok(())
    }

    /// Creates a pod; its name.
    pub(crate) async fn create(&self, pod: &Pod) -> Result<String> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let _permit = self.creating.acquire().await;
        self.made().pods.insert(name.clone(), None);
        let made = self
            .pods()
            .create(&PostParams::default(), pod)
            .await
            .map_err(explain)?;
        self.made()
            .pods
            .insert(name.clone(), made.metadata.uid.clone());
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

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the pods.
    fn names(&self) -> Vec<String> {
        self.made().pods.keys().cloned().collect()
    }

    /// A pod of this name that the cluster has is the one that this session made.
    pub(crate) fn is_own_pod(&self, name: &str, uid: Option<&str>) -> bool {
        is_own(&self.made().pods, name, uid)
    }

    /// Ends all windows early: the probes get SIGTERM, and their logs stay. Without the right to
    /// change pods they are deleted with grace: what they still write comes over the open streams.
    pub(crate) async fn stop_windows(&self) -> Result<()> {
        let names = self.names();
        let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        for name in names {
            let Err(refused) = self.patch_pod(&name, &patch).await else {
                continue;
            };
            if !is_refusal(&refused) {
                continue;
            }
            let deleted = self.pods().delete(&name, &DeleteParams::default()).await;
            if deleted.is_err_and(|error| is_refusal(&error)) {
                return Err(explain(refused).context(
                    "cannot end the window early: it goes on, and a second interrupt aborts it",
                ));
            }
        }
        Ok(())
    }

    /// Changes a pod, again and again while the API server is not able to.
    async fn patch_pod(&self, name: &str, patch: &Patch<Value>) -> kube::Result<()> {
        loop {
            let patched = self
                .pods()
                .patch(name, &PatchParams::default(), patch)
                .await;
            let Err(error) = patched else { return Ok(()) };
            let is_gone = matches!(&error, kube::Error::Api(status) if status.is_not_found());
            if is_gone || is_refusal(&error) || self.is_over() {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Deletes what a failed attempt made.
    pub(crate) async fn delete_pod(&self, name: &str) {
        let _ = self
            .pods()
            .delete(name, &DeleteParams::default().grace_period(0))
            .await;
    }

    /// Takes everything away and waits until it is gone. Tried until the anchor's own deadline.
    pub(crate) async fn clean_up(&self) -> Result<()> {
        if self.anchor_uid.get().is_none() && self.names().is_empty() {
            // The anchor may still have been made by a call whose answer was lost.
            let _ = self.delete_anchor().await;
            return Ok(());
        }
        let names = self.names();
        futures::stream::iter(&names)
            .for_each_concurrent(CREATIONS, |name| self.delete_pod(name))
            .await;
        let mut is_shortened = false;
        loop {
            let mut deleted = self.delete_anchor().await;
            if let Err(refused) = deleted {
                if is_refusal(&refused) && !is_shortened {
                    if !self.shorten_anchor().await {
                        return Err(explain(refused).context(format!(
                            "cannot delete Job `{}` in namespace `{}`: the cluster removes it and what it owns by itself at {}",
                            self.anchor_name(),
                            self.namespace,
                            self.expires
                        )));
                    }
                    is_shortened = true;
                }
                deleted = if is_shortened { Ok(()) } else { Err(refused) };
            }
            if deleted.is_ok() && self.is_gone().await {
                return Ok(());
            }
            if self.started.elapsed() > Duration::from_secs(self.deadline + 5) {
                return Err(anyhow::anyhow!(
                    "cannot confirm that Job `{}` and what it owns in namespace `{}` are gone; the cluster removes them by itself at {}",
                    self.anchor_name(),
                    self.namespace,
                    self.expires
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Lets the anchor's deadline come at once, for those who may change Jobs but not delete them.
    async fn shorten_anchor(&self) -> bool {
        let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        Api::<Job>::namespaced(self.client.clone(), &self.namespace)
            .patch(&self.anchor_name(), &PatchParams::default(), &patch)
            .await
            .is_ok()
    }

    async fn delete_anchor(&self) -> Result<(), kube::Error> {
        let jobs: Api<Job> = self.api();
        match jobs
            .delete(&self.anchor_name(), &DeleteParams::background())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Nothing that the session made is left; what others labelled as the session's is theirs.
    /// Without the right to look, the deletion has to be believed.
    async fn is_gone(&self) -> bool {
        let params = ListParams::default().labels(&format!("{}={}", session::LABEL, self.session));
        let (pods, maps, jobs): (Api<Pod>, Api<ConfigMap>, Api<Job>) =
            (self.api(), self.api(), self.api());
        let (pods, maps, jobs) = tokio::join!(
            pods.list_metadata(&params),
            maps.list_metadata(&params),
            jobs.list_metadata(&params),
        );
        let anchor = Uids::from([(self.anchor_name(), self.anchor_uid.get().cloned())]);
        let made = self.made();
        let pods = pods.map(|list| has_none(&list.items, &made.pods));
        let maps = maps.map(|list| has_none(&list.items, &made.config_maps));
        let jobs = jobs.map(|list| has_none(&list.items, &anchor));
        [pods, maps, jobs].into_iter().all(|gone| match gone {
            Ok(gone) => gone,
            Err(kube::Error::Api(status)) => status.is_forbidden(),
            Err(_) => false,
        })
    }
}

/// None of these objects is one that was made.
fn has_none<K: Resource>(objects: &[K], made: &Uids) -> bool {
    !objects.iter().any(|object| {
        let meta = object.meta();
        is_own(
            made,
            meta.name.as_deref().unwrap_or_default(),
            meta.uid.as_deref(),
        )
    })
}

/// An object of this name and uid was made; where the API server's answer was lost, the name decides.
fn is_own(made: &Uids, name: &str, uid: Option<&str>) -> bool {
    match made.get(name) {
        Some(Some(own)) => uid == Some(own.as_str()),
        Some(None) => true,
        None => false,
    }
}

/// Architectures of these nodes, each once.
pub(crate) fn architectures(nodes: &[NodeTarget]) -> BTreeSet<&str> {
    nodes.iter().map(|node| node.arch.as_str()).collect()
}

/// Above this length of a session the anchor's deadline is kept short and renewed, so that a closed
/// laptop does not leave a privileged pod for hours.
const LONG_SECONDS: u64 = 300;
const SHORT_SECONDS: u64 = 120;
const RENEWAL: Duration = Duration::from_secs(30);

/// Renews the anchor of a long session as long as this program lives. Without the right to patch
/// Jobs the anchor keeps its whole deadline.
pub(crate) async fn renew(delivery: std::sync::Arc<Delivery>) {
    if delivery.deadline <= LONG_SECONDS {
        return;
    }
    let jobs: Api<Job> = delivery.api();
    loop {
        let deadline =
            (delivery.started.elapsed().as_secs() + SHORT_SECONDS).min(delivery.deadline);
        let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": deadline}}));
        let patched = jobs
            .patch(&delivery.anchor_name(), &PatchParams::default(), &patch)
            .await;
        if matches!(patched, Err(kube::Error::Api(status)) if status.is_forbidden()) {
            return;
        }
        tokio::time::sleep(RENEWAL).await;
    }
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

    #[test]
    fn only_what_was_made_is_waited_for() {
        let made = Uids::from([
            ("known".to_owned(), Some("u1".to_owned())),
            ("lost".to_owned(), None),
        ]);
        assert!(is_own(&made, "known", Some("u1")));
        assert!(!is_own(&made, "known", Some("u2")));
        assert!(is_own(&made, "lost", Some("u3")));
        assert!(!is_own(&made, "forged", Some("u4")));
    }
}

//! An anchor Job without pods, an immutable ConfigMap, bare Pods: made in this order, so that at
//! every moment the anchor's deadline takes away what exists. Clean-up deletes the anchor and waits
//! until all of it is gone.

use super::Options;
use super::client::{explain, is_refusal};
use super::pod::{self, Identity, Settings};
use super::target::{NodeTarget, Plan, SESSION_LABEL};
use crate::hint::advised;
use crate::probes;
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use procmon_profile::wire::Request;
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
    expires: String,
    started: Instant,
    settings: Settings,
    anchor_uid: OnceLock<String>,
    pods: Mutex<BTreeSet<String>>,
    creating: Semaphore,
    /// One permit for each log that is followed.
    pub(crate) following: Semaphore,
}

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
    ) -> Self {
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
        Self {
            client,
            namespace: plan.probe_namespace.clone(),
            session: session.to_owned(),
            seconds: options.seconds,
            deadline,
            expires,
            started: Instant::now(),
            settings: options.pod.clone(),
            anchor_uid: OnceLock::new(),
            pods: Mutex::default(),
            creating: Semaphore::new(CREATIONS),
            following: Semaphore::new(FOLLOWED),
        }
    }

    fn anchor_name(&self) -> String {
        format!("procmon-{}", self.session)
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
            maps.create(&PostParams::default(), &self.config_map(arch)?)
                .await
                .map_err(explain)
                .with_context(|| {
                    format!(
                        "cannot create ConfigMap `{}` in namespace `{}`",
                        self.config_map_name(arch),
                        self.namespace
                    )
                })?;
        }
        Ok(())
    }

    fn labels(&self) -> Value {
        json!({SESSION_LABEL: self.session, "app.kubernetes.io/managed-by": "kubectl-procmon"})
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

    /// The pod for a node; a further attempt has a name of its own.
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
                format!("-{attempt}")
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
        pod::pod(
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
        self.names().insert(name.clone());
        let made = self
            .pods()
            .create(&PostParams::default(), pod)
            .await
            .map_err(explain)?;
        let policy = made
            .spec
            .as_ref()
            .and_then(|spec| {
                spec.containers
                    .iter()
                    .find(|container| container.name == "procmon")
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

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all windows early: the probes get SIGTERM, and their logs stay. Without the right to
    /// change pods they are deleted with grace: what they still write comes over the open streams.
    pub(crate) async fn stop_windows(&self) -> Result<()> {
        let names: Vec<String> = self.names().iter().cloned().collect();
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
        let names: Vec<String> = self.names().iter().cloned().collect();
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

    /// Nothing of the session is left. Without the right to look, the deletion has to be believed.
    async fn is_gone(&self) -> bool {
        let params = ListParams::default().labels(&format!("{SESSION_LABEL}={}", self.session));
        let (pods, maps, jobs): (Api<Pod>, Api<ConfigMap>, Api<Job>) =
            (self.api(), self.api(), self.api());
        let (pods, maps, jobs) = tokio::join!(
            pods.list_metadata(&params),
            maps.list_metadata(&params),
            jobs.list_metadata(&params),
        );
        let (pods, maps, jobs) = (
            pods.map(|list| list.items.is_empty()),
            maps.map(|list| list.items.is_empty()),
            jobs.map(|list| list.items.is_empty()),
        );
        [pods, maps, jobs].into_iter().all(|gone| match gone {
            Ok(gone) => gone,
            Err(kube::Error::Api(status)) => status.is_forbidden(),
            Err(_) => false,
        })
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

/// A node's name as the end of a pod's name: at most 40 characters, and distinct.
fn node_suffix(node: &str) -> String {
    if node.len() <= 40 {
        return node.replace('.', "-");
    }
    let digest = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}-{digest:016x}", node[..20].replace('.', "-"))
}

//! One session in a cluster: an anchor Job without pods, which owns all that the session makes. At every
//! moment the anchor's deadline takes away what exists; clean-up deletes the anchor and waits until all
//! of it is gone. Nothing here knows a probe.

use super::errors::{explain, is_refusal};
use crate::hint::advised;
use anyhow::{Context as _, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Label of everything that a session makes.
pub(super) const LABEL: &str = "procmon/session";

/// Name of a session's anchor.
pub(super) fn anchor_name(session: &str) -> String {
    format!("procmon-{session}")
}

/// A session, and what it has made so far.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) id: String,
    /// Seconds until the anchor takes everything away.
    pub(super) deadline: u64,
    /// The time at which it does, in RFC 3339.
    pub(super) expires: String,
    started: Instant,
    /// When the API server made the anchor, in seconds since 1970.
    created: OnceLock<i64>,
    /// Objects that this session made, by kind.
    made: Mutex<BTreeMap<&'static str, Uids>>,
}

/// Objects by name, with their uid once the API server has said it. Everybody can use names and labels,
/// also again; a uid is never used twice.
type Uids = BTreeMap<String, Option<String>>;

impl Session {
    /// A session that has made nothing yet. `deadline`: seconds that it may take in all.
    pub(super) fn new(client: Client, namespace: &str, id: &str, deadline: f64) -> Self {
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
            namespace: namespace.to_owned(),
            id: id.to_owned(),
            deadline,
            expires,
            started: Instant::now(),
            created: OnceLock::new(),
            made: Mutex::default(),
        }
    }

    fn anchor_name(&self) -> String {
        anchor_name(&self.id)
    }

    /// Objects of one kind in the session's namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The session's end has come, whatever happens.
    pub(super) fn is_over(&self) -> bool {
        self.is_over_by(Duration::ZERO)
    }

    fn is_over_by(&self, more: Duration) -> bool {
        self.started.elapsed() > Duration::from_secs(self.deadline) + more
    }

    /// Earliest and latest time of the session, in seconds since 1970 by the API server's clock. None
    /// before the anchor is made.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        let created = *self.created.get()?;
        Some((created, created + i64::try_from(self.deadline).ok()?))
    }

    /// Labels of everything that the session makes.
    pub(super) fn labels(&self) -> Value {
        json!({LABEL: self.id, "app.kubernetes.io/managed-by": "kubectl-procmon"})
    }

    /// Selects what has the session's label, which everybody can give.
    pub(super) fn selector(&self) -> String {
        format!("{LABEL}={}", self.id)
    }

    /// The anchor, as the owner of all else.
    pub(super) fn owner(&self) -> Value {
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": self.anchor_name(),
            "uid": self.uid::<Job>(&self.anchor_name()).unwrap_or_default(),
            "controller": false,
            "blockOwnerDeletion": false,
        })
    }

    /// The Job that owns everything and never makes a pod.
    pub(super) fn anchor(&self) -> Job {
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
    ///
    /// # Errors
    /// A refusal, or a policy of the cluster that takes the anchor's expiry away.
    pub(super) async fn create_anchor(&self) -> Result<()> {
        let name = self.anchor_name();
        let anchor = self
            .api::<Job>()
            .create(&PostParams::default(), &self.anchor())
            .await
            .map_err(explain)
            .with_context(|| {
                format!(
                    "cannot create Job `{name}` in namespace `{}`",
                    self.namespace
                )
            })?;
        self.note::<Job>(&name, anchor.metadata.uid);
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

    fn made(&self) -> MutexGuard<'_, BTreeMap<&'static str, Uids>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an object that the session makes: without a uid before the request, with it afterwards.
    pub(super) fn note<K: k8s_openapi::Resource>(&self, name: &str, uid: Option<String>) {
        let mut made = self.made();
        made.entry(K::KIND)
            .or_default()
            .insert(name.to_owned(), uid);
    }

    /// Names of the objects of one kind that the session made.
    pub(super) fn names<K: k8s_openapi::Resource>(&self) -> Vec<String> {
        let made = self.made();
        made.get(K::KIND)
            .into_iter()
            .flat_map(|uids| uids.keys().cloned())
            .collect()
    }

    /// The uid of an object that the session made.
    pub(super) fn uid<K: k8s_openapi::Resource>(&self, name: &str) -> Option<String> {
        self.made().get(K::KIND)?.get(name)?.clone()
    }

    /// An object that the cluster has by this name is the one that this session made.
    pub(super) fn is_own<K: k8s_openapi::Resource>(&self, name: &str, uid: Option<&str>) -> bool {
        self.made()
            .get(K::KIND)
            .is_some_and(|made| is_own(made, name, uid))
    }

    /// Takes the anchor away, and with it all that it owns, and waits until it is gone. Tried until the
    /// anchor's own deadline.
    pub(super) async fn clean_up(&self) -> Result<()> {
        if self.uid::<Job>(&self.anchor_name()).is_none() {
            // The anchor may still have been made by a call whose answer was lost.
            let _ = self.delete_anchor().await;
            return Ok(());
        }
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
            if self.is_over_by(Duration::from_secs(5)) {
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
        self.set_deadline(1).await.is_ok()
    }

    async fn set_deadline(&self, seconds: u64) -> kube::Result<Job> {
        let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": seconds}}));
        self.api()
            .patch(&self.anchor_name(), &PatchParams::default(), &patch)
            .await
    }

    async fn delete_anchor(&self) -> kube::Result<()> {
        let deleted = self
            .api::<Job>()
            .delete(&self.anchor_name(), &DeleteParams::background())
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Nothing that the session made is left.
    async fn is_gone(&self) -> bool {
        let (pods, maps, jobs) = tokio::join!(
            self.has_none::<Pod>(),
            self.has_none::<ConfigMap>(),
            self.has_none::<Job>(),
        );
        pods && maps && jobs
    }

    /// No object of this kind that the session made is left; objects that others gave the session's label
    /// do not count. Without the right to look, the deletion has to be believed.
    async fn has_none<K>(&self) -> bool
    where
        K: Resource<Scope = NamespaceResourceScope> + k8s_openapi::Resource,
        K: DeserializeOwned + Clone + Debug,
        K::DynamicType: Default,
    {
        let params = ListParams::default().labels(&self.selector());
        match self.api::<K>().list_metadata(&params).await {
            Ok(list) => !list.items.iter().any(|object| {
                let meta = &object.metadata;
                self.is_own::<K>(
                    meta.name.as_deref().unwrap_or_default(),
                    meta.uid.as_deref(),
                )
            }),
            Err(kube::Error::Api(status)) => status.is_forbidden(),
            Err(_) => false,
        }
    }
}

/// An object of this name and uid was made; where the API server's answer was lost, the name decides.
fn is_own(made: &Uids, name: &str, uid: Option<&str>) -> bool {
    match made.get(name) {
        Some(Some(own)) => uid == Some(own.as_str()),
        Some(None) => true,
        None => false,
    }
}

/// Above this length of a session the anchor's deadline is kept short and renewed, so that a closed
/// laptop does not leave a privileged pod for hours.
const LONG_SECONDS: u64 = 300;
const SHORT_SECONDS: u64 = 120;
const RENEWAL: Duration = Duration::from_secs(30);

/// Renews the anchor of a long session as long as this program lives. Without the right to patch
/// Jobs the anchor keeps its whole deadline.
pub(super) async fn renew(session: Arc<Session>) {
    if session.deadline <= LONG_SECONDS {
        return;
    }
    loop {
        let deadline = (session.started.elapsed().as_secs() + SHORT_SECONDS).min(session.deadline);
        let patched = session.set_deadline(deadline).await;
        if matches!(patched, Err(kube::Error::Api(status)) if status.is_forbidden()) {
            return;
        }
        tokio::time::sleep(RENEWAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

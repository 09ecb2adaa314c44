//! One capture of all nodes of a plan, all at once: what is created, asked of each node, and followed.

use super::carrier::config_map::{self, ProbeReplaced};
use super::carrier::pod::Pods;
use super::follow::Follower;
use super::node::NodeTarget;
use super::options::Options;
use super::plan::Plan;
use super::session::{self, Session};
use crate::notice::warn;
use crate::progress::Window as ProgressWindow;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use procmon_profile::asked::Asked;
use procmon_profile::merge::NodeCapture;
use procmon_profile::wire::{
    Failure, FailureCode, Limits, Request, SessionKey, TargetSpec, Window,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Seconds that starting a pod may take.
const START_ALLOWANCE: f64 = 60.0;
/// Seconds that the creation of one pod more takes.
const PER_NODE: f64 = 0.05;
/// Seconds kept for fetching the capture.
const FETCH_ALLOWANCE: f64 = 30.0;

/// A capture that is about to be made.
pub(super) struct Capture {
    pub(super) session: Arc<Session>,
    pub(super) nodes: Vec<NodeTarget>,
    pods: Arc<Pods>,
    /// The probes seal their captures to this key: others read the log of a pod too, and keep it.
    key: SessionKey,
    options: Arc<Options>,
}

impl Capture {
    /// Nothing is created yet.
    pub(super) fn new(
        client: Client,
        plan: &Plan,
        id: &str,
        options: Arc<Options>,
    ) -> Result<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("cannot make a key")?;
        let nodes = f64::from(u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX));
        let deadline = START_ALLOWANCE + PER_NODE * nodes + options.seconds + FETCH_ALLOWANCE;
        let session = Arc::new(Session::new(client, &plan.probe_namespace, id, deadline));
        Ok(Self {
            pods: Arc::new(Pods::new(Arc::clone(&session), options.pod.clone())),
            session,
            nodes: plan.nodes.clone(),
            key: SessionKey::new(random),
            options,
        })
    }

    /// Puts the probes on their nodes and follows them to their ends, all nodes at once.
    pub(super) async fn run(
        &self,
        progress: Arc<ProgressWindow>,
        interrupts: Arc<AtomicU32>,
    ) -> Result<Vec<NodeCapture>> {
        self.prepare().await?;
        progress.expect(self.nodes.iter().map(|node| node.name.clone()));
        let states = self.pods.watch();
        let renewer = tokio::spawn(session::renew(Arc::clone(&self.session)));
        let stopper = tokio::spawn(stop_on_interrupt(
            Arc::clone(&self.pods),
            Arc::clone(&interrupts),
        ));
        let follower = Arc::new(Follower {
            pods: Arc::clone(&self.pods),
            key: self.key.clone(),
            seconds: self.options.seconds,
            progress,
            interrupts,
        });
        let mut tasks = Vec::new();
        for node in self.nodes.clone() {
            let (request, asked) = (self.request(&node), self.asked(&node));
            let (follower, states) = (Arc::clone(&follower), states.clone());
            tasks.push((
                node.name.clone(),
                tokio::spawn(async move { follower.follow(&node, &request, asked, states).await }),
            ));
        }
        let mut captures = Vec::new();
        let mut first_error = None;
        for (name, task) in tasks {
            captures.push(match task.await {
                Ok(Ok(capture)) => capture,
                Ok(Err(error)) => {
                    let capture = failed(&name, format!("{error:#}"));
                    let error = error.context(format!("cannot profile on node `{name}`"));
                    // A replaced probe is worth more than any other error.
                    let is_worse = error.downcast_ref::<ProbeReplaced>().is_some();
                    if is_worse || first_error.is_none() {
                        first_error = Some(error);
                    }
                    capture
                }
                Err(_) => failed(&name, "a defect stopped it".to_owned()),
            });
        }
        stopper.abort();
        renewer.abort();
        match first_error {
            // A replaced probe on one node may have written what others seem to have sent.
            Some(error) if error.downcast_ref::<ProbeReplaced>().is_some() => Err(error),
            // Nothing at all came of it: the error says more than an empty document.
            Some(error) if captures.iter().all(|capture| capture.parts.is_empty()) => Err(error),
            _ => Ok(captures),
        }
    }

    /// Takes away everything that the capture made, and waits until it is gone.
    pub(super) async fn clean_up(&self) -> Result<()> {
        self.pods.remove_all().await;
        self.session.clean_up().await
    }

    /// Makes what pods need while the API server is asked whether it would admit them: a refusal is
    /// known before the probe is sent.
    async fn prepare(&self) -> Result<()> {
        let first = self.nodes.first().context("there is no node to profile")?;
        let (asked, anchored) = tokio::join!(self.ask(first), self.session.create_anchor());
        anchored?;
        asked.with_context(|| format!("cannot create the probe's pod on node `{}`", first.name))?;
        config_map::upload(&self.session, &self.nodes).await
    }

    /// Asks the API server whether it would admit the probe's pod on a node. A policy may refuse one image
    /// and take another, so that the first two are tried: a sandbox image, and one of the target's.
    pub(super) async fn ask(&self, node: &NodeTarget) -> Result<()> {
        let refused = match self.pods.ask(&self.first_pod(node)?).await {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        let Some(image) = node.images.get(1) else {
            return Err(refused);
        };
        let pod = self.pods.manifest(node, &self.request(node), image, 1)?;
        self.pods.ask(&pod).await.map_err(|_| refused)
    }

    /// The pod of a node with its most likely image.
    pub(super) fn first_pod(&self, node: &NodeTarget) -> Result<Pod> {
        let image = node.images.first().map_or("", String::as_str);
        self.pods.manifest(node, &self.request(node), image, 0)
    }

    /// The request to the probe of a node.
    fn request(&self, node: &NodeTarget) -> Request {
        let target = TargetSpec::Pods {
            uids: node.pod_uids.clone(),
        };
        let options = &self.options;
        Request {
            node: Some(node.name.clone()),
            window: Window {
                seconds: Some(options.seconds),
            },
            deadline_seconds: Some(options.seconds + FETCH_ALLOWANCE),
            limits: Limits {
                // Map memory counts against the pod's limit.
                file_rows: 32_768,
                ..Limits::default()
            },
            latency: options.latency,
            verbose: options.verbose,
            concurrent: options.concurrent,
            seal_to: Some(self.key.public()),
            ..Request::new(&self.session.id, target)
        }
    }

    /// The question to a node, for the reader of its answer. Needs the anchor's times.
    fn asked(&self, node: &NodeTarget) -> Asked {
        Asked {
            pods: node
                .pod_uids
                .iter()
                .cloned()
                .zip(node.created.iter().copied())
                .collect(),
            times: self.session.times(),
            longest: self.options.seconds + FETCH_ALLOWANCE,
        }
    }
}

/// A node that gave nothing, and why.
pub(super) fn failed(node: &str, reason: String) -> NodeCapture {
    NodeCapture {
        node: node.to_owned().into(),
        failure: Some(Failure {
            code: FailureCode::Other,
            message: reason.into(),
        }),
        ..NodeCapture::default()
    }
}

/// The first interrupt ends the windows through the API, so that their captures can be fetched.
async fn stop_on_interrupt(pods: Arc<Pods>, interrupts: Arc<AtomicU32>) {
    while interrupts.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if let Err(error) = pods.stop().await {
        warn(&error);
    }
}

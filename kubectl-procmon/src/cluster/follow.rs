//! From a created pod to its capture: why it can't start, its log as a stream of frames, again from
//! the start after a broken connection.

use super::client::{advice, is_refusal};
use super::deliver::Delivery;
use super::target::{NodeTarget, SESSION_LABEL};
use crate::hint::{Advised, advised};
use crate::progress::Window as ProgressWindow;
use anyhow::{Context as _, Result, anyhow};
use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{LogParams, WatchEvent, WatchParams};
use procmon_profile::merge::NodeCapture;
use procmon_profile::wire::{Decoder, MAX_LINE_BYTES, Progress, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::watch::{Receiver, Sender, channel};

/// What is known of a probe's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    phase: String,
    running: bool,
    /// Reason and message of a container that waits.
    waiting: Option<(String, String)>,
    /// Exit code, reason and message of a container that ended.
    ended: Option<(i32, String, String)>,
    /// Reason and message of the pod.
    pod: (String, String),
    gone: bool,
}

/// What the watch has told.
#[derive(Debug, Default)]
pub(super) struct Known {
    pods: BTreeMap<String, State>,
    /// The API server does not let this user watch.
    refused: Option<Advised>,
}

pub(super) type States = Receiver<Known>;

/// Watches the session's pods until nobody asks any more.
pub(super) fn watch(delivery: &Arc<Delivery>) -> States {
    let (sender, receiver) = channel(Known::default());
    let delivery = Arc::clone(delivery);
    tokio::spawn(async move {
        while !sender.is_closed() && !delivery.is_over() {
            if let Err(refused) = watch_once(&delivery, &sender).await {
                sender.send_modify(|known| known.refused = Some(refused));
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    receiver
}

/// Watches until the stream ends, however it does. An error: it is refused for good.
async fn watch_once(delivery: &Delivery, sender: &Sender<Known>) -> Result<(), Advised> {
    let params = WatchParams::default()
        .labels(&format!("{SESSION_LABEL}={}", delivery.session))
        .timeout(290);
    // From version 0 the watch begins with what is there.
    let stream = match delivery.pods().watch(&params, "0").await {
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
        sender.send_modify(|known| {
            known.pods.insert(
                name,
                State {
                    gone,
                    ..state(&pod)
                },
            );
        });
    }
    Ok(())
}

/// A refusal, which trying again would not change.
fn refusal(error: kube::Error) -> Option<Advised> {
    is_refusal(&error).then(|| advice(error))
}

fn state(pod: &Pod) -> State {
    let Some(status) = &pod.status else {
        return State::default();
    };
    let container = status
        .container_statuses
        .iter()
        .flatten()
        .find(|container| container.name == "procmon")
        .and_then(|container| container.state.clone())
        .unwrap_or_default();
    State {
        phase: status.phase.clone().unwrap_or_default(),
        running: container.running.is_some(),
        waiting: container.waiting.map(|waiting| {
            (
                waiting.reason.unwrap_or_default(),
                waiting.message.unwrap_or_default(),
            )
        }),
        ended: container.terminated.map(|ended| {
            (
                ended.exit_code,
                ended.reason.unwrap_or_default(),
                ended.message.unwrap_or_default(),
            )
        }),
        pod: (
            status.reason.clone().unwrap_or_default(),
            status.message.clone().unwrap_or_default(),
        ),
        gone: false,
    }
}

/// How the wait for a pod's start ended.
enum Started {
    /// Its log can be read.
    Yes,
    /// The node does not have the image.
    NoImage(String),
}

/// Probes one node.
pub(super) async fn node(
    delivery: Arc<Delivery>,
    node: NodeTarget,
    request: Request,
    mut states: States,
    progress: Arc<ProgressWindow>,
    interrupts: Arc<AtomicU32>,
) -> Result<NodeCapture> {
    let mut tried = Vec::new();
    for (attempt, image) in node.images.iter().enumerate() {
        let pod = delivery.pod(&node, &request, image, attempt)?;
        progress.say(&node.name, "starting the probe");
        let name = delivery
            .create(&pod)
            .await
            .context("cannot create the probe's pod")?;
        match start(&delivery, &name, &mut states, &interrupts).await? {
            Started::Yes => {
                // Of very many nodes the later ones are read when the first are done: what they
                // wrote is kept.
                let _permit = delivery.following.acquire().await;
                return follow(&delivery, &name, &node, &states, &progress, &interrupts).await;
            }
            Started::NoImage(reason) => {
                tried.push(format!("{image} ({reason})"));
                delivery.delete_pod(&name).await;
            }
        }
    }
    Err(advised(
        format!(
            "the node has none of the images that were tried: {}",
            tried.join(", ")
        ),
        "name an image that the node can pull or has with `--image`; any image does, the probe is static",
    ))
}

/// Waits until the pod's log can be read.
async fn start(
    delivery: &Delivery,
    name: &str,
    states: &mut States,
    interrupts: &AtomicU32,
) -> Result<Started> {
    loop {
        let (state, refused) = {
            let known = states.borrow_and_update();
            let state = known.pods.get(name).cloned().unwrap_or_default();
            (state, known.refused.clone())
        };
        if let Some(refused) = refused {
            return Err(anyhow::Error::from(refused).context("cannot watch the probe's pod"));
        }
        if state.running
            || state.ended.as_ref().is_some_and(|(_, reason, _)| {
                reason != "StartError" && reason != "ContainerCannotRun"
            })
        {
            return Ok(Started::Yes);
        }
        if let Some((_, reason, message)) = &state.ended {
            return Err(cannot_start(reason, message));
        }
        if let Some((reason, message)) = &state.waiting {
            match reason.as_str() {
                "ErrImageNeverPull" => return Ok(Started::NoImage(reason.clone())),
                "InvalidImageName"
                | "ErrImagePull"
                | "ImagePullBackOff"
                | "CreateContainerConfigError"
                | "CreateContainerError"
                | "RunContainerError" => return Err(cannot_start(reason, message)),
                _ => {}
            }
        }
        if state.phase == "Failed" {
            return Err(cannot_start(&state.pod.0, &state.pod.1));
        }
        if state.gone {
            return Err(anyhow!(
                "the probe's pod `{name}` was deleted by somebody else"
            ));
        }
        if interrupts.load(Ordering::SeqCst) > 1 {
            return Err(anyhow!("interrupted"));
        }
        if delivery.is_over() {
            return Err(advised(
                format!("the probe's pod `{name}` did not start in time"),
                "look at the node: `kubectl describe node`, `kubectl get events`",
            ));
        }
        let _ = tokio::time::timeout(Duration::from_millis(250), states.changed()).await;
    }
}

/// Why a pod can't start, with the remedy.
fn cannot_start(reason: &str, message: &str) -> anyhow::Error {
    let text = format!("the probe's pod can't start: {reason}: {message}");
    let hint = match reason {
        "OutOfcpu" | "OutOfmemory" => {
            "the node is full: ask for less with `--requests cpu=1m,memory=16Mi`"
        }
        "OutOfpods" => "the node has its full number of pods: free one",
        "NodeAffinity" => {
            "the namespace or a policy adds a node selector: use another with `--probe-namespace`"
        }
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => {
            "name an image that the node can pull with `--image`"
        }
        "CreateContainerConfigError" => {
            "a policy of the cluster changed the pod: see `--dry-run=server`"
        }
        "StartError" | "ContainerCannotRun" if message.contains("exec format error") => {
            "the node has another architecture than it reports: report this"
        }
        _ => "`kubectl describe pod` and `kubectl get events` in the probe's namespace say more",
    };
    advised(text, hint)
}

/// Reads frames until the last one; reconnects while the pod lives.
async fn follow(
    delivery: &Delivery,
    name: &str,
    node: &NodeTarget,
    states: &States,
    progress: &ProgressWindow,
    interrupts: &AtomicU32,
) -> Result<NodeCapture> {
    let mut decoder = Decoder::default();
    let mut fault = None;
    let mut reads_after_end = 0;
    while !decoder.ended() && fault.is_none() {
        let show = |totals| progress.show(&node.name, totals);
        decoder.again();
        match read(delivery, name, &mut decoder, &show, interrupts).await {
            Ok(()) => {}
            Err(Interrupted::Fault(text)) => fault = Some(text),
            Err(Interrupted::Refused(refused)) => {
                return Err(anyhow::Error::from(refused)
                    .context(format!("cannot read the log of the probe's pod `{name}`")));
            }
            Err(Interrupted::Twice) => return Err(anyhow!("interrupted")),
        }
        if decoder.ended() || fault.is_some() {
            break;
        }
        let state = states.borrow().pods.get(name).cloned().unwrap_or_default();
        if state.ended.is_some() || state.gone || state.phase == "Failed" {
            reads_after_end += 1;
            if reads_after_end > 5 {
                let (code, reason, _) = state.ended.unwrap_or_default();
                fault = Some(format!(
                    "the probe ended without its last frame (exit code {code}, {reason})"
                ));
            }
        } else if delivery.is_over() {
            fault = Some("the API server could not be reached until the deadline".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let fault = fault.map(|text| format!("{text}; {} frames arrived", decoder.next_seq()));
    let mut capture = NodeCapture::read(node.name.clone().into(), decoder, fault);
    let was_asked = interrupts.load(Ordering::SeqCst) > 0;
    if capture.fault.is_none() && !was_asked {
        capture.fault = crate::session::cut_from_outside(&capture.parts, Some(delivery.seconds));
    }
    Ok(capture)
}

enum Interrupted {
    /// What arrived is not a stream of a probe.
    Fault(String),
    /// The user may not read logs.
    Refused(Advised),
    /// The user aborts.
    Twice,
}

/// Reads one stream of the log, until its end or the last frame.
async fn read(
    delivery: &Delivery,
    name: &str,
    decoder: &mut Decoder,
    show: &(impl Fn(Progress) + Sync),
    interrupts: &AtomicU32,
) -> Result<(), Interrupted> {
    let params = LogParams {
        container: Some("procmon".to_owned()),
        follow: true,
        ..LogParams::default()
    };
    let stream = match delivery.pods().log_stream(name, &params).await {
        Ok(stream) => stream,
        Err(error) => {
            return refusal(error).map_or(Ok(()), |refused| Err(Interrupted::Refused(refused)));
        }
    };
    let mut stream = std::pin::pin!(stream);
    let mut line = Vec::new();
    loop {
        let wait = tokio::time::timeout(
            Duration::from_millis(500),
            stream.read_until(b'\n', &mut line),
        )
        .await;
        if interrupts.load(Ordering::SeqCst) > 1 {
            return Err(Interrupted::Twice);
        }
        match wait {
            // Silence: what has come of the line stays.
            Err(_) if line.len() <= MAX_LINE_BYTES => continue,
            Ok(Ok(1..)) if line.ends_with(b"\n") => {}
            // The stream ended, or broke: read again from the start.
            Ok(_) => return Ok(()),
            Err(_) => return Err(Interrupted::Fault("a line is above its limit".to_owned())),
        }
        match decoder.line(&line) {
            Ok(Some(totals)) => show(totals),
            Ok(None) => {}
            Err(error) => return Err(Interrupted::Fault(error.to_string())),
        }
        line.clear();
        if decoder.ended() {
            return Ok(());
        }
    }
}

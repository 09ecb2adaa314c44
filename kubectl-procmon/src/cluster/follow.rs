//! From a created pod to its capture: why it can't start, its log as a stream of frames, again from
//! the start after a broken connection.

use super::carrier::manifest::CONTAINER;
use super::deliver::Delivery;
use super::errors::{advice, is_refusal};
use super::node::NodeTarget;
use super::session;
use crate::hint::{Advised, advised};
use crate::progress::Window as ProgressWindow;
use anyhow::{Result, anyhow};
use futures::{AsyncBufRead, AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{LogParams, WatchEvent, WatchParams};
use procmon_profile::merge::NodeCapture;
use procmon_profile::wire::{Decoder, MAX_LINE_BYTES, Progress, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
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
        .labels(&format!("{}={}", session::LABEL, delivery.session))
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
        // Everybody can give a pod the session's label, and the name of one that is gone.
        if !delivery.is_own_pod(&name, pod.metadata.uid.as_deref()) {
            continue;
        }
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
        .find(|container| container.name == CONTAINER)
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
    /// No container could be made of the image: why.
    Unusable(CannotStart),
}

/// Images that are tried on one node: each attempt takes a second or two of the session's time.
const MAX_IMAGES: usize = 8;

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
    for (attempt, image) in node.images.iter().take(MAX_IMAGES).enumerate() {
        let pod = delivery.pod(&node, &request, image, attempt)?;
        progress.say(&node.name, "starting the probe");
        let name = match delivery.create(&pod).await {
            Ok(name) => name,
            // A policy may refuse one image and take another.
            Err(refused) if attempt + 1 < node.images.len().min(MAX_IMAGES) => {
                let reason = "Refused".to_owned();
                let message = format!("{refused:#}");
                tried.push((image, CannotStart { reason, message }));
                continue;
            }
            Err(error) => return Err(error.context("cannot create the probe's pod")),
        };
        let started = start(&delivery, &name, &mut states, &interrupts).await?;
        // Only now is the program that runs, or that can't, known to be the one that was sent.
        if let Err(error) = delivery.prove_probe(Some(&node.name), &node.arch).await {
            delivery.delete_pod(&name).await;
            return Err(error);
        }
        match started {
            Started::Yes => {
                // Of very many nodes the later ones are read when the first are done: what they
                // wrote is kept.
                let _permit = delivery.following.acquire().await;
                return follow(&delivery, &name, &node, &states, &progress, &interrupts).await;
            }
            Started::Unusable(why) => {
                tried.push((image, why));
                delivery.delete_pod(&name).await;
            }
        }
    }
    Err(no_image(&tried))
}

/// Why none of the images made a container.
fn no_image(tried: &[(&String, CannotStart)]) -> anyhow::Error {
    let absent = "ErrImageNeverPull";
    match tried {
        [(_, why)] if why.reason != absent => why.error(),
        [.., (_, last)] if tried.iter().any(|(_, why)| why.reason != absent) => advised(
            format!(
                "no container could be made of any image: {}",
                list(tried, |why| format!("{}: {}", why.reason, why.message))
            ),
            last.hint(),
        ),
        _ => advised(
            format!(
                "the node has none of the images that were tried: {}",
                list(tried, |why| why.reason.clone())
            ),
            "name an image that the node can pull or has with `--image`; any image does, the probe is static",
        ),
    }
}

fn list(tried: &[(&String, CannotStart)], text: impl Fn(&CannotStart) -> String) -> String {
    let images: Vec<String> = tried
        .iter()
        .map(|(image, why)| format!("{image} ({})", text(why)))
        .collect();
    images.join(", ")
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
        let ended = state.ended.as_ref().map(|(_, reason, text)| (reason, text));
        let waits = state.waiting.as_ref().map(|(reason, text)| (reason, text));
        let failed = waits.filter(|(reason, _)| is_failure(reason));
        if let Some((reason, message)) = ended.or(failed) {
            return Ok(Started::Unusable(CannotStart {
                reason: reason.clone(),
                message: message.clone(),
            }));
        }
        if state.phase == "Failed" {
            let (reason, message) = state.pod;
            return Err(CannotStart { reason, message }.error());
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

/// A waiting container's reason says that it can't be made. The others, `ContainerCreating` and
/// `PodInitializing`, pass.
fn is_failure(reason: &str) -> bool {
    reason.starts_with("ErrImage")
        || reason.ends_with("Error")
        || reason.ends_with("BackOff")
        || matches!(
            reason,
            "InvalidImageName" | "ImageInspectError" | "RegistryUnavailable"
        )
}

/// Why a pod can't start.
#[derive(Debug)]
struct CannotStart {
    reason: String,
    message: String,
}

impl CannotStart {
    fn error(&self) -> anyhow::Error {
        let Self { reason, message } = self;
        advised(
            format!("the probe's pod can't start: {reason}: {message}"),
            self.hint(),
        )
    }

    fn hint(&self) -> &'static str {
        match self.reason.as_str() {
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
            "StartError" | "ContainerCannotRun" if self.message.contains("exec format error") => {
                "the node has another architecture than it reports: report this"
            }
            "StartError" | "ContainerCannotRun" | "CreateContainerError" | "RunContainerError" => {
                "where the runtime does not know the capabilities or the profiles that the pod names, `--privileged` does without them; `kubectl describe pod` says more"
            }
            _ => {
                "`kubectl describe pod` and `kubectl get events` in the probe's namespace say more"
            }
        }
    }
}

/// How long a log is read: until the deadline, and after the first interrupt only for as long as a
/// probe needs for its last frame. A second interrupt ends it at once.
struct Patience<'a> {
    delivery: &'a Delivery,
    interrupts: &'a AtomicU32,
    /// When the first interrupt was noticed.
    asked: Option<Instant>,
}

/// What a probe has for its last frame after it was asked to end: its grace period, and the time for
/// the fetching of the capture.
const AFTER_INTERRUPT: Duration = Duration::from_secs(30);

impl Patience<'_> {
    /// Why there is no more waiting.
    fn end(&mut self) -> Option<Interrupted> {
        let interrupts = self.interrupts.load(Ordering::SeqCst);
        if interrupts > 1 {
            return Some(Interrupted::Twice);
        }
        if interrupts == 1 {
            let asked = self.asked.get_or_insert_with(Instant::now);
            if asked.elapsed() > AFTER_INTERRUPT {
                let text = "the probe did not end when it was asked to";
                return Some(Interrupted::Fault(text.to_owned()));
            }
        }
        self.delivery
            .is_over()
            .then(|| Interrupted::Fault("the log did not end until the deadline".to_owned()))
    }
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
    let mut decoder = Decoder::sealed(delivery.key.clone());
    let mut fault = None;
    let mut reads_after_end = 0;
    let mut patience = Patience {
        delivery,
        interrupts,
        asked: None,
    };
    while !decoder.ended() && fault.is_none() {
        let show = |totals| progress.show(&node.name, totals);
        decoder.again();
        let begun = decoder.next_seq();
        let read = match read(name, &mut decoder, &show, &mut patience).await {
            Ok(()) if decoder.ended() => Ok(()),
            // Nothing came: the API server may be away.
            Ok(()) if delivery.is_over() && decoder.next_seq() == begun => {
                let text = "the API server could not be reached until the deadline";
                Err(Interrupted::Fault(text.to_owned()))
            }
            Ok(()) => patience.end().map_or(Ok(()), Err),
            Err(end) => Err(end),
        };
        match read {
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
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let fault = fault.map(|text| format!("{text}; {} frames arrived", decoder.next_seq()));
    let mut capture = NodeCapture::read(node.name.clone().into(), decoder, fault);
    let was_asked = interrupts.load(Ordering::SeqCst) > 0;
    if capture.fault.is_none() && !was_asked {
        capture.fault = crate::interrupt::cut_from_outside(&capture.parts, Some(delivery.seconds));
    }
    if capture.fault.is_none() {
        capture.fault = delivery.doubt_pod(name, was_asked).await.map(str::to_owned);
    }
    capture.asked = Some(super::asked(delivery, node));
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
    name: &str,
    decoder: &mut Decoder,
    show: &(impl Fn(Progress) + Sync),
    patience: &mut Patience<'_>,
) -> Result<(), Interrupted> {
    let params = LogParams {
        container: Some(CONTAINER.to_owned()),
        follow: true,
        ..LogParams::default()
    };
    let stream = match patience.delivery.pods().log_stream(name, &params).await {
        Ok(stream) => stream,
        Err(error) => {
            return refusal(error).map_or(Ok(()), |refused| Err(Interrupted::Refused(refused)));
        }
    };
    let mut stream = std::pin::pin!(stream);
    let mut line = Vec::new();
    loop {
        let wait =
            tokio::time::timeout(Duration::from_millis(500), read_on(&mut stream, &mut line)).await;
        if let Some(end) = patience.end() {
            return Err(end);
        }
        match wait {
            // Silence: what has come of the line stays.
            Err(_) => continue,
            Ok(Ok(true)) => {}
            // The stream ended, or broke: read again from the start.
            Ok(_) => return Ok(()),
        }
        match decoder.line(&line) {
            Ok(Some(totals)) => show(totals),
            Ok(None) => {}
            Err(error) => return Err(Interrupted::Fault(error.to_string())),
        }
        let session = &patience.delivery.session;
        if decoder
            .hello()
            .is_some_and(|hello| hello.session != *session)
        {
            let text = "the log is of another session";
            return Err(Interrupted::Fault(text.to_owned()));
        }
        line.clear();
        if decoder.ended() {
            return Ok(());
        }
    }
}

/// Reads until the line is whole, or longer than the decoder takes; false when the stream has ended.
/// What was read stays in `line` when the wait for more is given up.
async fn read_on(
    stream: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<bool> {
    while line.len() <= MAX_LINE_BYTES {
        let buffer = stream.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        line.extend_from_slice(&buffer[..taken]);
        stream.consume_unpin(taken);
        if end.is_some() {
            break;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_its_container_is_told_from_what_cannot_have_one() {
        for reason in [
            "ErrImageNeverPull",
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "CreateContainerConfigError",
            "CreateContainerError",
            "RunContainerError",
            "PreCreateHookError",
            "PostStartHookError",
            "CrashLoopBackOff",
        ] {
            assert!(is_failure(reason), "{reason}");
        }
        for reason in ["ContainerCreating", "PodInitializing", ""] {
            assert!(!is_failure(reason), "{reason}");
        }
    }

    #[test]
    fn images_that_failed_are_all_named_with_their_reasons() {
        let failed = |reason: &str, message: &str| CannotStart {
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let (pause, own) = ("pause:1".to_owned(), "web:2".to_owned());
        let text = format!(
            "{:#}",
            no_image(&[
                (&pause, failed("ErrImageNeverPull", "absent")),
                (&own, failed("CreateContainerError", "mkdir /procmon"))
            ])
        );
        assert_eq!(
            text,
            "no container could be made of any image: pause:1 (ErrImageNeverPull: absent), web:2 (CreateContainerError: mkdir /procmon)"
        );
    }

    #[tokio::test]
    async fn a_line_without_an_end_takes_no_more_memory_than_a_line_may() {
        let endless = futures::io::repeat(b'x');
        let mut stream = futures::io::BufReader::new(endless);
        let mut line = Vec::new();
        let is_more = read_on(&mut stream, &mut line).await;
        assert!(is_more.is_ok_and(|more| more));
        assert!(line.len() <= MAX_LINE_BYTES + (64 << 10), "{}", line.len());
        let mut decoder = Decoder::default();
        assert_eq!(decoder.line(&line), Ok(None));
        assert_eq!(decoder.refused().frames, 1);
    }
}

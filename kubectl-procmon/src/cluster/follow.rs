//! From a created carrier to a node's capture: the wait for its start, and its log as a stream of frames,
//! read again from the start after a broken connection.

use super::carrier::config_map;
use super::carrier::pod::{Pods, States};
use super::carrier::state::{CannotStart, Verdict};
use super::node::NodeTarget;
use crate::hint::{Advised, advised};
use crate::progress::Window as ProgressWindow;
use anyhow::{Result, anyhow};
use futures::{AsyncBufRead, AsyncBufReadExt as _};
use procmon_profile::asked::Asked;
use procmon_profile::merge::NodeCapture;
use procmon_profile::wire::{Decoder, MAX_LINE_BYTES, Progress, Request, SessionKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Follows the probes of all nodes: the parts that they share.
pub(super) struct Follower {
    pub(super) pods: Arc<Pods>,
    /// The key that opens what the probes sealed.
    pub(super) key: SessionKey,
    /// Length of the window.
    pub(super) seconds: f64,
    pub(super) progress: Arc<ProgressWindow>,
    pub(super) interrupts: Arc<AtomicU32>,
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

impl Follower {
    fn interrupts(&self) -> u32 {
        self.interrupts.load(Ordering::SeqCst)
    }

    /// Probes one node.
    pub(super) async fn follow(
        &self,
        node: &NodeTarget,
        request: &Request,
        asked: Asked,
        mut states: States,
    ) -> Result<NodeCapture> {
        let mut tried = Vec::new();
        for (attempt, image) in node.images.iter().take(MAX_IMAGES).enumerate() {
            let pod = self.pods.manifest(node, request, image, attempt)?;
            self.progress.say(&node.name, "starting the probe");
            let name = match self.pods.create(&pod).await {
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
            let started = self.start(&name, &mut states).await?;
            // Only now is the program that runs, or that can't, known to be the one that was sent.
            let proven = config_map::prove(&self.pods.session, Some(&node.name), &node.arch).await;
            if let Err(error) = proven {
                self.pods.remove(&name).await;
                return Err(error);
            }
            match started {
                Started::Yes => {
                    // With very many nodes, the later logs are read when the first are done: the
                    // cluster keeps what the probes wrote.
                    let _permit = self.pods.permit().await;
                    let mut capture = self.capture(&name, node, &states).await?;
                    capture.asked = Some(asked);
                    return Ok(capture);
                }
                Started::Unusable(why) => {
                    tried.push((image, why));
                    self.pods.remove(&name).await;
                }
            }
        }
        Err(no_image(&tried))
    }

    /// Waits until the pod's log can be read.
    async fn start(&self, name: &str, states: &mut States) -> Result<Started> {
        loop {
            let (state, refused) = {
                let known = states.borrow_and_update();
                (known.state(name), known.refused.clone())
            };
            if let Some(refused) = refused {
                return Err(anyhow::Error::from(refused).context("cannot watch the probe's pod"));
            }
            match state.verdict() {
                Verdict::Started => return Ok(Started::Yes),
                Verdict::Unusable(why) => return Ok(Started::Unusable(why)),
                Verdict::Failed(why) => return Err(why.error()),
                Verdict::Deleted => {
                    return Err(anyhow!(
                        "the probe's pod `{name}` was deleted by somebody else"
                    ));
                }
                Verdict::Waiting => {}
            }
            if self.interrupts() > 1 {
                return Err(anyhow!("interrupted"));
            }
            if self.pods.session.is_over() {
                return Err(advised(
                    format!("the probe's pod `{name}` did not start in time"),
                    "look at the node: `kubectl describe node`, `kubectl get events`",
                ));
            }
            let _ = tokio::time::timeout(Duration::from_millis(250), states.changed()).await;
        }
    }

    /// Reads frames until the last one; reconnects while the pod lives.
    async fn capture(&self, name: &str, node: &NodeTarget, states: &States) -> Result<NodeCapture> {
        let mut decoder = Decoder::sealed(self.key.clone());
        let mut fault = None;
        let mut reads_after_end = 0;
        let mut patience = Patience {
            follower: self,
            asked: None,
        };
        while !decoder.ended() && fault.is_none() {
            let show = |totals| self.progress.show(&node.name, totals);
            decoder.again();
            let begun = decoder.next_seq();
            let read = match self.read(name, &mut decoder, &show, &mut patience).await {
                Ok(()) if decoder.ended() => Ok(()),
                // Nothing came: the API server may be away.
                Ok(()) if self.pods.session.is_over() && decoder.next_seq() == begun => {
                    let text = "the API server could not be reached until the deadline";
                    Err(End::Fault(text.to_owned()))
                }
                Ok(()) => patience.end().map_or(Ok(()), Err),
                Err(end) => Err(end),
            };
            match read {
                Ok(()) => {}
                Err(End::Fault(text)) => fault = Some(text),
                Err(End::Refused(refused)) => {
                    return Err(anyhow::Error::from(refused)
                        .context(format!("cannot read the log of the probe's pod `{name}`")));
                }
                Err(End::Twice) => return Err(anyhow!("interrupted")),
            }
            if decoder.ended() || fault.is_some() {
                break;
            }
            let state = states.borrow().state(name);
            if state.is_ended() {
                reads_after_end += 1;
                if reads_after_end > READS_AFTER_END {
                    let (code, reason) = state.exit();
                    fault = Some(format!(
                        "the probe ended without its last frame (exit code {code}, {reason})"
                    ));
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let fault = fault.map(|text| format!("{text}; {} frames arrived", decoder.next_seq()));
        let mut capture = NodeCapture::read(node.name.clone().into(), decoder, fault);
        let was_asked = self.interrupts() > 0;
        if capture.fault.is_none() && !was_asked {
            capture.fault = crate::interrupt::cut_from_outside(&capture.parts, Some(self.seconds));
        }
        if capture.fault.is_none() {
            let doubt = self.pods.doubt(name, was_asked).await;
            capture.fault = doubt.map(str::to_owned);
        }
        Ok(capture)
    }

    /// Reads one stream of the log, until its end or the last frame.
    async fn read(
        &self,
        name: &str,
        decoder: &mut Decoder,
        show: &(impl Fn(Progress) + Sync),
        patience: &mut Patience<'_>,
    ) -> Result<(), End> {
        let stream = match self.pods.log(name).await {
            Ok(Some(stream)) => stream,
            Ok(None) => return Ok(()),
            Err(refused) => return Err(End::Refused(refused)),
        };
        let mut stream = std::pin::pin!(stream);
        let mut line = Vec::new();
        loop {
            let wait =
                tokio::time::timeout(Duration::from_millis(500), read_on(&mut stream, &mut line))
                    .await;
            if let Some(end) = patience.end() {
                return Err(end);
            }
            match wait {
                // Silence: the part of the line that has come stays.
                Err(_) => continue,
                Ok(Ok(true)) => {}
                // The stream ended, or broke: read again from the start.
                Ok(_) => return Ok(()),
            }
            match decoder.line(&line) {
                Ok(Some(totals)) => show(totals),
                Ok(None) => {}
                Err(error) => return Err(End::Fault(error.to_string())),
            }
            let session = &self.pods.session.id;
            if decoder
                .hello()
                .is_some_and(|hello| hello.session != *session)
            {
                let text = "the log is of another session";
                return Err(End::Fault(text.to_owned()));
            }
            line.clear();
            if decoder.ended() {
                return Ok(());
            }
        }
    }
}

/// Reads of a log after its container has ended, until it is clear that the last frame never comes.
const READS_AFTER_END: u32 = 5;

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

/// How long a log is read: until the deadline, and after the first interrupt only for as long as a
/// probe needs for its last frame. A second interrupt ends it at once.
struct Patience<'a> {
    follower: &'a Follower,
    /// When the first interrupt was noticed.
    asked: Option<Instant>,
}

/// Why a log is not read any longer.
#[derive(Debug)]
enum End {
    /// The frames that arrived are not a whole stream of a probe.
    Fault(String),
    /// The user may not read logs.
    Refused(Advised),
    /// The user aborts.
    Twice,
}

/// Time that a probe has for its last frame after it was asked to end: its grace period, and the time
/// for fetching the capture.
const AFTER_INTERRUPT: Duration = Duration::from_secs(30);

impl Patience<'_> {
    /// Why the wait is over, if it is.
    fn end(&mut self) -> Option<End> {
        let interrupts = self.follower.interrupts();
        if interrupts > 0 {
            self.asked.get_or_insert_with(Instant::now);
        }
        let waited = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        end(interrupts, waited, self.follower.pods.session.is_over())
    }
}

/// Why the wait for a log ends: after this many interrupts, this long after the first, and at the
/// session's deadline.
fn end(interrupts: u32, waited: Duration, is_over: bool) -> Option<End> {
    let fault = |text: &str| Some(End::Fault(text.to_owned()));
    match interrupts {
        1 if waited > AFTER_INTERRUPT => {
            return fault("the probe did not end when it was asked to");
        }
        0 | 1 => {}
        _ => return Some(End::Twice),
    }
    if is_over {
        return fault("the log did not end until the deadline");
    }
    None
}

/// Reads until the line is whole, or longer than the decoder takes; false when the stream has ended.
/// The bytes that were read stay in `line` when the wait for more is given up.
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
    fn the_wait_for_a_log_ends_in_time() {
        let seconds = Duration::from_secs;
        let late = "the probe did not end when it was asked to";
        let deadline = "the log did not end until the deadline";
        for (interrupts, waited, is_over, expected) in [
            (0, seconds(0), false, None),
            (0, seconds(0), true, Some(deadline)),
            (1, seconds(30), false, None),
            (1, seconds(30), true, Some(deadline)),
            (1, seconds(31), false, Some(late)),
            (1, seconds(31), true, Some(late)),
            (2, seconds(0), false, Some("aborted")),
            (3, seconds(31), true, Some("aborted")),
        ] {
            let text = end(interrupts, waited, is_over).map(|end| match end {
                End::Fault(text) => text,
                End::Refused(refused) => refused.to_string(),
                End::Twice => "aborted".to_owned(),
            });
            let case = format!("{interrupts} {waited:?} {is_over}");
            assert_eq!(text.as_deref(), expected, "{case}");
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

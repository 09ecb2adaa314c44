//! The probe by itself: what it is asked, and the document that its frames give.

use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::Session;
use procmon_profile::wire::{Decoder, Refused, Request, TargetSpec, Window};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// Asks for a window of this many seconds; none: until the command has ended.
#[must_use]
pub fn request(target: TargetSpec, seconds: Option<f64>) -> Request {
    Request {
        node: Some("here".to_owned()),
        window: Window { seconds },
        deadline_seconds: Some(60.0),
        concurrent: true,
        ..Request::new("test", target)
    }
}

/// The probe's command line for a request; its frames go into a pipe.
///
/// # Panics
/// When the probe was not built.
#[must_use]
pub fn command(request: &Request) -> Command {
    let mut command = Command::new(crate::probe());
    command
        .arg(serde_json::to_string(request).expect("plain data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// Reads frames to their end, each shown to `seen` first, and makes the document.
///
/// # Panics
/// When they are damaged, cut, or tell of a failure.
pub fn document(frames: impl Read, mut seen: impl FnMut(&str)) -> Value {
    let mut decoder = Decoder::default();
    for line in BufReader::new(frames).lines() {
        let line = line.expect("frames are text");
        seen(&line);
        decoder.line(line.as_bytes()).expect("a frame");
    }
    assert!(decoder.failure().is_none(), "{:?}", decoder.failure());
    let capture = NodeCapture::read("here".into(), decoder, None);
    assert_eq!(capture.fault, None);
    assert_eq!(capture.refused, Refused::default());
    serde_json::to_value(merge(Session::default(), vec![capture])).expect("plain data")
}

/// Starts the probe; `opened` is called once the window has been open for a second.
///
/// # Panics
/// When the probe fails.
pub fn capture(request: &Request, opened: impl FnOnce()) -> Value {
    let mut opened = Some(opened);
    let mut probe = command(request).spawn().expect("the probe starts");
    let document = document(stdout(&mut probe), |line| {
        if line.contains("\"progress\"")
            && let Some(opened) = opened.take()
        {
            opened();
        }
    });
    let status = probe.wait().expect("a child of ours");
    assert!(status.success(), "{status}");
    document
}

/// Its standard output.
///
/// # Panics
/// When it was taken already, or is not a pipe.
pub fn stdout(probe: &mut Child) -> std::process::ChildStdout {
    probe.stdout.take().expect("a pipe")
}

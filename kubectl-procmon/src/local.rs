//! The same probe, run on this machine.
//!
//! The probe's bytes go into a memfd, so nothing is written to disk; its frames come over a pipe
//! that it inherits, so a command keeps its own standard streams.

use crate::progress::Window;
use anyhow::{Context as _, Result, anyhow};
use procmon_profile::merge::NodeCapture;
use procmon_profile::wire::{Decoder, Request};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a local run gave.
pub(crate) struct LocalRun {
    /// What the probe sent.
    pub(crate) capture: NodeCapture,
    probe: Child,
    interrupts: Arc<AtomicU32>,
}

/// How the probe ended.
pub(crate) enum Ended {
    /// With the command's exit code, or 0.
    Code(u8),
    /// Somebody interrupted twice.
    Interrupted,
    /// By this signal.
    Killed(String),
}

/// The architecture of this machine, in Kubernetes' words.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

/// Runs the probe and reads its frames to the end.
pub(crate) fn run(
    mut request: Request,
    result_on_stdout: bool,
    window: &Window,
) -> Result<LocalRun> {
    let arch = architecture();
    let bytes = crate::probes::probe(arch).ok_or_else(|| {
        crate::hint::advised(
            format!("this build carries no probe for {arch}"),
            "build it with PROCMON_PROBE_DIR naming a folder that has one",
        )
    })?;
    let executable = memfd_create("procmon-probe", MemfdFlags::CLOEXEC)
        .context("cannot make a memfd for the probe")?;
    let mut executable = File::from(executable);
    executable
        .write_all(bytes)
        .context("cannot hold the probe in memory")?;
    let (frames, writer) = std::io::pipe().context("cannot make a pipe")?;
    let writer = inheritable(writer.into())?;
    request.frames_fd = Some(writer.as_raw_fd());
    let stdout = if result_on_stdout {
        Stdio::from(
            std::io::stderr()
                .as_fd()
                .try_clone_to_owned()
                .context("cannot share standard error")?,
        )
    } else {
        Stdio::inherit()
    };
    let interrupts = watch_interrupts()?;
    let probe = Command::new(format!("/proc/self/fd/{}", executable.as_raw_fd()))
        .arg(serde_json::to_string(&request)?)
        .stdout(stdout)
        .spawn()
        .context("cannot start the probe")?;
    drop(writer);
    forward(&interrupts, probe.id());
    let seconds = request.window.seconds;
    let mut capture = read(BufReader::new(File::from(OwnedFd::from(frames))), window)?;
    if interrupts.load(Ordering::SeqCst) == 0 && capture.fault.is_none() {
        capture.fault = crate::session::cut_from_outside(&capture.parts, seconds);
    }
    Ok(LocalRun {
        capture,
        probe,
        interrupts,
    })
}

/// Lets a child inherit a descriptor.
fn inheritable(fd: OwnedFd) -> Result<OwnedFd> {
    let flags = fcntl_getfd(&fd)?;
    fcntl_setfd(&fd, flags.difference(FdFlags::CLOEXEC))?;
    Ok(fd)
}

/// Counts SIGINT, SIGTERM and SIGHUP instead of dying of them.
fn watch_interrupts() -> Result<Arc<AtomicU32>> {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            return;
        };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                return;
            };
            let mut hangup = (!crate::session::ignores_hangup())
                .then(|| signal(SignalKind::hangup()).ok())
                .flatten();
            let _ = ready.send(());
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = async {
                        match &mut hangup {
                            Some(hangup) => hangup.recv().await,
                            None => std::future::pending().await,
                        }
                    } => {}
                }
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
    wait.recv()
        .map_err(|_| anyhow!("cannot watch for signals"))?;
    Ok(count)
}

/// Hands on what the user asks: the first interrupt ends the window, the second the probe.
fn forward(interrupts: &Arc<AtomicU32>, probe: u32) {
    let interrupts = Arc::clone(interrupts);
    std::thread::spawn(move || {
        use rustix::process::{Pid, Signal, kill_process};
        let Some(pid) = i32::try_from(probe).ok().and_then(Pid::from_raw) else {
            return;
        };
        let mut handed = 0;
        loop {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let count = interrupts.load(Ordering::SeqCst);
            if count > handed {
                handed = count;
                let signal = if count == 1 {
                    Signal::TERM
                } else {
                    Signal::KILL
                };
                if kill_process(pid, signal).is_err() || count > 1 {
                    return;
                }
            }
        }
    });
}

/// Reads frames until the end of the stream.
fn read(mut frames: impl std::io::BufRead, window: &Window) -> Result<NodeCapture> {
    let mut decoder = Decoder::default();
    let mut fault = None;
    let mut line = Vec::new();
    while frames
        .read_until(b'\n', &mut line)
        .context("cannot read the probe's frames")?
        > 0
    {
        match decoder.line(&line) {
            Ok(Some(progress)) => window.show("", progress),
            Ok(None) => {}
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
        line.clear();
        if decoder.ended() {
            break;
        }
    }
    window.finish();
    let node = decoder
        .hello()
        .map_or_else(|| "localhost".into(), |hello| hello.node.clone());
    Ok(NodeCapture::read(
        node,
        decoder,
        fault.map(|fault| fault.to_string()),
    ))
}

impl LocalRun {
    /// Waits for the probe, which waits for the command.
    pub(crate) fn wait(mut self) -> Result<Ended> {
        let status: ExitStatus = self.probe.wait().context("cannot wait for the probe")?;
        if self.interrupts.load(Ordering::SeqCst) > 1 {
            return Ok(Ended::Interrupted);
        }
        if let Some(signal) = status.signal() {
            let name = procmon_profile::tables::signal_name(signal.unsigned_abs());
            return Ok(Ended::Killed(name));
        }
        Ok(Ended::Code(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(2),
        ))
    }

    /// The user ended the window.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.interrupts.load(Ordering::SeqCst) > 0
    }

    /// Why there is nothing to show.
    pub(crate) fn failure(&self) -> Option<anyhow::Error> {
        crate::hint::nothing_captured(&self.capture)
    }
}

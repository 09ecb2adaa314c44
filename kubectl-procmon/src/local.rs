//! The same probe, run on this machine.
//!
//! The probe's bytes go into a memfd, so nothing is written to disk; the request and the frames go
//! over pipes that it inherits, so a command keeps its own standard streams, and nobody reads the
//! command's secrets in the probe's arguments.

use crate::interrupt::Interrupts;
use crate::progress::Window;
use anyhow::{Context as _, Result, anyhow};
use procmon_profile::merge::NodeCapture;
use procmon_profile::wire::{Decoder, Request};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
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
    environment: &[(&str, String)],
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
    let (frames, writer) = std::io::pipe().context("cannot make a pipe")?;
    let writer = inheritable(writer.into())?;
    request.frames_fd = Some(writer.as_raw_fd());
    let stdout = if result_on_stdout {
        std::io::stderr().as_fd().try_clone_to_owned()
    } else {
        std::io::stdout().as_fd().try_clone_to_owned()
    }
    .context("cannot share a standard stream")?;
    let interrupts = watch_interrupts()?;
    let (asked, ask) = std::io::pipe().context("cannot make a pipe")?;
    let asked = inheritable(asked.into())?;
    let mut probe = start(bytes, |executable| {
        let mut command = Command::new(executable);
        command
            .arg("--request-fd")
            .arg(asked.as_raw_fd().to_string())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(stdout.try_clone()?)
            .spawn()
    })?;
    drop((asked, writer));
    if let Err(error) = File::from(OwnedFd::from(ask)).write_all(&serde_json::to_vec(&request)?)
        // A probe that is gone says why by what it wrote before.
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = probe.kill();
        return Err(anyhow::Error::from(error).context("cannot hand over the request"));
    }
    forward(&interrupts, probe.id());
    let seconds = request.window.seconds;
    let mut capture = read(BufReader::new(File::from(OwnedFd::from(frames))), window)?;
    if interrupts.load(Ordering::SeqCst) == 0 && capture.fault.is_none() {
        capture.fault = crate::interrupt::cut_from_outside(&capture.parts, seconds);
    }
    Ok(LocalRun {
        capture,
        probe,
        interrupts,
    })
}

/// Starts the probe from memory; where the kernel forbids that (`vm.memfd_noexec=2`), from a file
/// without a name, which nobody else can open, in the first temporary folder that takes programs.
fn start(bytes: &[u8], spawn: impl Fn(String) -> std::io::Result<Child>) -> Result<Child> {
    let try_one = |file: File| spawn(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let forbidden = |error: &std::io::Error| error.kind() == ErrorKind::PermissionDenied;
    let error = match in_memory(bytes).and_then(try_one) {
        Err(error) if forbidden(&error) => error,
        started => return started.context("cannot start the probe"),
    };
    for folder in [std::env::temp_dir(), "/var/tmp".into(), "/run".into()] {
        // A folder that is mounted noexec, is full, or is not there: the next one.
        if let Ok(probe) = nameless(bytes, &folder).and_then(try_one) {
            return Ok(probe);
        }
    }
    Err(anyhow::Error::from(error).context(crate::hint::Advised {
        message: "cannot start the probe: neither memory nor a temporary folder may hold programs"
            .to_owned(),
        hint: "set TMPDIR to a folder on a file system that is not mounted noexec; `sysctl vm.memfd_noexec` says whether memory may hold programs".to_owned(),
    }))
}

/// A memfd that may be executed.
fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    let make = |flags| memfd_create("procmon-probe", MemfdFlags::CLOEXEC | flags);
    let mut file = match make(MemfdFlags::EXEC) {
        // Kernels before 6.3 do not know the flag: every memfd may be executed there.
        Err(Errno::INVAL) => make(MemfdFlags::empty()),
        made => made,
    }
    .map(File::from)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// A file without a name that may be executed.
fn nameless(bytes: &[u8], folder: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o700))?;
    // What is open for writing can't be executed.
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Lets a child inherit a descriptor.
fn inheritable(fd: OwnedFd) -> Result<OwnedFd> {
    let flags = fcntl_getfd(&fd)?;
    fcntl_setfd(&fd, flags.difference(FdFlags::CLOEXEC))?;
    Ok(fd)
}

/// Counts what asks to stop, in a thread of its own.
fn watch_interrupts() -> Result<Arc<AtomicU32>> {
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let _ = ready.send(Interrupts::watch());
            std::future::pending::<()>().await;
        });
    });
    wait.recv()
        .map_err(|_| anyhow!("there is no runtime"))
        .and_then(|watched| Ok(watched?))
        .context("cannot watch for signals")
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

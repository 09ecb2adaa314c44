//! The contenders that are compared, and how each runs a command.

use crate::pair::{CLOCK, EMPTY, Pair};
use procmon_tests::{Running, plugin, wait_for};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a tool may take for one command.
const AT_MOST: Duration = Duration::from_mins(5);

/// One way to watch a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Contender {
    /// Without an observer.
    Nothing,
    /// Two programs that do nothing.
    EmptyPair,
    /// Two programs that read the clock and do nothing with it.
    ClockPair,
    /// This project, counting.
    Procmon,
    /// This project, while it profiles another process.
    ProcmonElsewhere,
    /// This project with the times of calls.
    ProcmonLatency,
    /// bpftrace: calls and errors by number.
    BpftraceCount,
    /// bpftrace: times of calls by number.
    BpftraceLatency,
    /// `strace -f -c`.
    Strace,
    /// `perf trace -s`.
    PerfTrace,
}

impl Contender {
    /// All, in the order in which each round runs them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Nothing,
        Self::EmptyPair,
        Self::ClockPair,
        Self::Procmon,
        Self::ProcmonElsewhere,
        Self::ProcmonLatency,
        Self::BpftraceCount,
        Self::BpftraceLatency,
        Self::Strace,
        Self::PerfTrace,
    ];

    /// As the report names it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::EmptyPair => "empty pair",
            Self::ClockPair => "pair that reads the clock",
            Self::Procmon => "procmon",
            Self::ProcmonElsewhere => "procmon, task outside the target",
            Self::ProcmonLatency => "procmon --latency",
            Self::BpftraceCount => "bpftrace, counting",
            Self::BpftraceLatency => "bpftrace, latency",
            Self::Strace => "strace -c",
            Self::PerfTrace => "perf trace -s",
        }
    }

    /// Calls are so dear under it that fewer give a sample as good.
    #[must_use]
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::Strace | Self::PerfTrace)
    }

    /// Runs a command to its end, watched. Gives the profile where one was made.
    pub(crate) fn run(self, command: &[String], folder: &Path) -> Result<Option<Value>, String> {
        let _pair = match self {
            Self::EmptyPair => Some(Pair::attach(&EMPTY)?),
            Self::ClockPair => Some(Pair::attach(&CLOCK)?),
            _ => None,
        };
        let _elsewhere = match self {
            Self::ProcmonElsewhere => Some(Elsewhere::start(folder)?),
            _ => None,
        };
        finish(self.command(command, folder))?;
        if self.profiles() {
            return read(&document(folder)).map(Some);
        }
        Ok(None)
    }

    /// It leaves a profile of the command.
    pub(crate) fn profiles(self) -> bool {
        matches!(self, Self::Procmon | Self::ProcmonLatency)
    }

    /// The command, or a tool that runs it.
    pub(crate) fn command(self, command: &[String], folder: &Path) -> Command {
        match self {
            Self::Nothing | Self::EmptyPair | Self::ClockPair | Self::ProcmonElsewhere => {
                let mut plain = Command::new(&command[0]);
                plain.args(&command[1..]);
                plain
            }
            Self::Procmon => procmon(&[], command, &document(folder)),
            Self::ProcmonLatency => procmon(&["--latency"], command, &document(folder)),
            Self::BpftraceCount | Self::BpftraceLatency | Self::Strace | Self::PerfTrace => {
                self.foreign(command)
            }
        }
    }

    /// Another project's tool around a command.
    fn foreign(self, command: &[String]) -> Command {
        let joined = command.join(" ");
        let script = match self {
            Self::BpftraceCount => {
                "tracepoint:raw_syscalls:sys_enter /pid == cpid/ { @calls[args->id] = count(); } \
                 tracepoint:raw_syscalls:sys_exit /pid == cpid && args->ret < 0/ { @errors[args->id, args->ret] = count(); }"
            }
            Self::BpftraceLatency => {
                "tracepoint:raw_syscalls:sys_enter /pid == cpid/ { @began[tid] = nsecs; } \
                 tracepoint:raw_syscalls:sys_exit /@began[tid]/ { @ns[args->id] = hist(nsecs - @began[tid]); delete(@began[tid]); }"
            }
            _ => "",
        };
        // bpftrace and perf want a tracefs, of which the machine may have none: in a mount
        // namespace of their own they leave none behind.
        let with_tracefs = |argv: &[&str]| {
            let mut outer = Command::new("unshare");
            outer.args([
                "--mount",
                "sh",
                "-c",
                "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; exec \"$@\"",
                "sh",
            ]);
            outer.args(argv);
            outer
        };
        match self {
            Self::Strace => {
                let mut tool = Command::new("strace");
                tool.args(["-f", "-c", "-o", "/dev/null"]).args(command);
                tool
            }
            Self::PerfTrace => {
                let mut tool = with_tracefs(&["perf", "trace", "-s", "-o", "/dev/null", "--"]);
                tool.args(command);
                tool
            }
            _ => with_tracefs(&["bpftrace", "-q", "-e", script, "-c", &joined]),
        }
    }

    /// The program that it needs beside ours.
    fn program(self) -> Option<&'static str> {
        match self {
            Self::BpftraceCount | Self::BpftraceLatency => Some("bpftrace"),
            Self::Strace => Some("strace"),
            Self::PerfTrace => Some("perf"),
            _ => None,
        }
    }

    /// Tries it on a program that does nothing: why it can't run here, if so.
    pub(crate) fn try_out(self, folder: &Path) -> Result<(), String> {
        if let Some(program) = self.program()
            && Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_err()
        {
            return Err(format!("`{program}` is not installed"));
        }
        self.run(&["/bin/true".to_owned()], folder).map(|_| ())
    }
}

/// Runs to the end; what it says is the error when it fails.
fn finish(mut command: Command) -> Result<(), String> {
    let said = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let log = said.reopen().map_err(|error| error.to_string())?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let status = Running::start(&mut command).wait(AT_MOST);
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(said.path()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let why = lines()
        .find(|line| line.to_lowercase().starts_with("error"))
        .or_else(|| lines().next_back());
    Err(why.map_or_else(|| status.to_string(), str::to_owned))
}

/// The plugin around a command, its document to a file.
fn procmon(options: &[&str], command: &[String], document: &Path) -> Command {
    let mut procmon = Command::new(plugin());
    procmon
        .args([
            "profile",
            "--local",
            "--quiet",
            "-o",
            "json",
            "--output-file",
        ])
        .arg(document)
        .args(options)
        .arg("--")
        .args(command);
    procmon
}

/// Where the plugin leaves its document.
fn document(folder: &Path) -> PathBuf {
    folder.join("profile.json")
}

/// A JSON file.
pub(crate) fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A capture of a process that only waits; it ends when this is dropped.
pub(crate) struct Elsewhere {
    folder: PathBuf,
    capture: Option<Running>,
}

impl Elsewhere {
    /// Starts it, and returns when its window is open.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        let folder = folder.join("elsewhere");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let command = [
            load().display().to_string(),
            "hold".to_owned(),
            "/dev/null".to_owned(),
            format!("dir={}", folder.display()),
        ];
        let capture = Running::start(
            procmon(&[], &command, &folder.join("profile.json"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let held = folder.join("held");
        wait_for("a window", Duration::from_secs(30), || {
            held.exists().then_some(())
        });
        Ok(Self {
            folder,
            capture: Some(capture),
        })
    }
}

impl Elsewhere {
    /// Process id of the plugin that captures.
    pub(crate) fn id(&self) -> u32 {
        self.capture.as_ref().map_or(0, Running::id)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = std::fs::write(self.folder.join("stop"), "");
        if let Some(capture) = self.capture.take() {
            let _ = capture.wait(AT_MOST);
        }
    }
}

/// The program that makes loads.
///
/// # Panics
/// When it was not built beside this one.
#[must_use]
pub(crate) fn load() -> PathBuf {
    let own = std::env::current_exe().expect("a program");
    let path = own.with_file_name("workload-load");
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

//! The clock: set up, open, drain, close, report. A running window takes no order but "stop".

use crate::capture::Capture;
use crate::clock::Clock;
use crate::completeness::completeness;
use crate::drain::{Counted, Drained, FileSample};
use crate::emit::{Output, Packed, pack};
use crate::label::{self, Slots};
use crate::listeners::Held;
use crate::lock::{self, Lock};
use crate::node::Node;
use crate::packets::Taps;
use crate::summarize::{Facts, summarize};
use crate::unable::Unable;
use crate::{cgroups, load, sentinel, sys};
use anyhow::{Context as _, Result, anyhow};
use procmon_profile::model::{Cost, DimensionState, LabelMode, Lost};
use procmon_profile::text::Text;
use procmon_profile::wire::{
    Chunks, Ended, FailureCode, Frame, Hello, PROTOCOL, Progress, Request, TargetSpec, WindowReport,
};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The ring buffer is drained this often.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// Programs that run when the window closes have ended after this.
const GRACE: Duration = Duration::from_millis(10);
/// The window ends when less memory than this is left in the probe's cgroup: what the report itself needs, that is
/// the chunks (as many bytes as the stream), one chunk in the making, and the tables of counts.
const REPORT_BYTES: u64 = 28 << 20;
/// Progress is told each second at first, and this often in all of a long window.
const PROGRESS_SHARE: u32 = 600;

/// A command that the probe started.
struct Command {
    held: Option<sys::Held>,
    pid: u32,
    status: Option<sys::WaitStatus>,
}

/// Captures one window; the exit code of this process.
pub(crate) fn run(request: &Request, mut output: Output) -> i32 {
    match prepare(request, output_is_stdout(request)) {
        Ok(prepared) => prepared.run(request, output),
        Err(Unable { code, error }) => {
            let message = format!("{error:#}");
            if request.verbose {
                eprint_line(&message);
            }
            output.frame(hello(request, &output, Vec::new()));
            output.fail(code, message);
            exit_code_of(code)
        }
    }
}

/// As a shell has them, where there is no capture.
fn exit_code_of(code: FailureCode) -> i32 {
    match code {
        FailureCode::CommandNotFound => 127,
        FailureCode::CommandNotExecutable => 126,
        _ => 2,
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the probe's standard error is for people"
)]
fn eprint_line(message: &str) {
    eprintln!("{message}");
}

/// Where a command's standard output goes when the frames take the probe's.
fn output_is_stdout(request: &Request) -> Option<i32> {
    request.frames_fd.is_none().then_some(2)
}

struct Prepared {
    capture: Capture,
    slots: Slots,
    node: Node,
    drained: Drained,
    /// Did a process hold an io_uring when the window opened?
    has_ring: bool,
    /// Not all descriptors were looked at, then or when it closed.
    unread_descriptors: bool,
    taps: Taps,
    command: Option<Command>,
    /// Dropped with the programs.
    lock: Lock,
}

/// Everything up to the moment before the window opens.
fn prepare(request: &Request, stdout: Option<i32>) -> Result<Prepared, Unable> {
    let (_, machine, _) = sys::uname();
    let arch = architecture(&machine);
    let tree = matches!(
        request.target,
        TargetSpec::Command { .. } | TargetSpec::Process { .. }
    );
    // A command that can't be found needs no capture.
    let programs = match &request.target {
        TargetSpec::Command { argv } => find_programs(argv)?,
        _ => Vec::new(),
    };
    if !lock::may_capture("self") {
        return Err(Unable {
            code: FailureCode::NotRoot,
            error: anyhow!("this process is not root and has not CAP_BPF and CAP_PERFMON"),
        });
    }
    sys::allow_files().map_err(|most| Unable {
        code: FailureCode::Other,
        error: anyhow!(
            "only {most} open files are allowed, and a capture needs {}: raise the limit (`ulimit -n`)",
            sys::NEEDED_FILES
        ),
    })?;
    let lock = lock::take(&request.session, request.concurrent)?;
    let hierarchy = cgroups::hierarchy(&request.target)?;
    let mut capture = load::load(hierarchy, tree, arch, request)?;
    sentinel::prove(&mut capture)?;
    sys::forget_urgent();
    let command = match &request.target {
        TargetSpec::Command { argv } => {
            let arguments: std::io::Result<Vec<CString>> = argv
                .iter()
                .map(|argument| sys::c_text(argument.as_ref()))
                .collect();
            let held = arguments
                .and_then(|argv| {
                    let user = request.run_as.as_ref();
                    sys::spawn_held(&programs, &argv, stdout, user, request.ignored_signals)
                })
                .context("cannot start the command")?;
            Some(Command {
                pid: held.pid,
                held: Some(held),
                status: None,
            })
        }
        _ => None,
    };
    let has_pods = matches!(
        request.target,
        TargetSpec::Pods { .. } | TargetSpec::Container { .. }
    );
    let mut node = Node::new(has_pods, request.window.seconds);
    let mut slots = label::label(
        &mut capture,
        &request.target,
        command.as_ref().map(|command| command.pid),
    )?;
    let mut drained = Drained::default();
    if let Some(only) = slots.only_container(&request.target) {
        drained.others_are_of(only);
    }
    while !drained.drain(&mut capture, &mut slots, &mut node) {}
    let mut taps = Taps::default();
    let tgids: Vec<u32> = drained.processes.tgids().collect();
    taps.follow(&capture, &mut drained.names, &tgids);
    let held = Held::look(&mut capture)?;
    held.announce(&mut capture)?;
    let (has_ring, unread_descriptors) = (held.has_ring, held.is_cut);
    drained.hold(held.sockets);
    Ok(Prepared {
        capture,
        slots,
        node,
        drained,
        has_ring,
        unread_descriptors,
        taps,
        command,
        lock,
    })
}

fn architecture(machine: &str) -> &'static str {
    match machine {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// The files that a command may name, by PATH as execvp(3) does.
fn find_programs(argv: &[String]) -> Result<Vec<CString>, Unable> {
    use std::os::unix::fs::PermissionsExt as _;
    let name = argv.first().ok_or_else(|| Unable {
        code: FailureCode::BadRequest,
        error: anyhow!("the command is empty"),
    })?;
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
    } else {
        let path =
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .collect()
    };
    let is_executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    let programs: Vec<CString> = candidates
        .iter()
        .filter(|path| is_executable(path))
        .filter_map(|path| sys::c_text(path.as_os_str()).ok())
        .collect();
    if !programs.is_empty() {
        return Ok(programs);
    }
    Err(match candidates.iter().find(|path| path.exists()) {
        Some(path) => Unable {
            code: FailureCode::CommandNotExecutable,
            error: anyhow!("`{}` is not an executable file", path.display()),
        },
        None => Unable {
            code: FailureCode::CommandNotFound,
            error: anyhow!("there is no command `{name}`"),
        },
    })
}

fn hello(request: &Request, output: &Output, hooks: Vec<procmon_profile::model::Hook>) -> Frame {
    let (kernel, machine, host) = sys::uname();
    Frame::Hello(Hello {
        protocol: PROTOCOL.to_owned().into(),
        probe: env!("CARGO_PKG_VERSION").to_owned().into(),
        session: request.session.clone().into(),
        node: request.node.clone().unwrap_or(host).into(),
        kernel: kernel.into(),
        arch: architecture(&machine).to_owned().into(),
        hooks,
        key: output.key(),
    })
}

impl Prepared {
    fn run(mut self, request: &Request, mut output: Output) -> i32 {
        match self.capture_window(request, &mut output) {
            Ok((ended, opened_ns, closed_ns, clock)) => {
                let counted = self.close();
                let chunks = output.chunks();
                let report = counted.and_then(|counted| {
                    let times = (opened_ns, closed_ns);
                    self.report(request, &counted, ended, times, &clock, chunks)
                });
                let command = self.let_go();
                match report {
                    Ok((node, report, packed)) => output.capture(node, report, packed),
                    Err(error) => {
                        output.fail(
                            FailureCode::Other,
                            format!("cannot read the capture: {error:#}"),
                        );
                    }
                }
                exit_code(command.as_ref())
            }
            Err(Unable { code, error }) => {
                let command = self.let_go();
                output.fail(code, format!("{error:#}"));
                exit_code(command.as_ref());
                exit_code_of(code)
            }
        }
    }

    /// Opens the window and drains until it ends.
    fn capture_window(
        &mut self,
        request: &Request,
        output: &mut Output,
    ) -> Result<(Ended, u64, u64, Clock), Unable> {
        let memory = Memory::find();
        output.frame(hello(request, output, self.capture.document_hooks()));
        self.drained.processes.opened_ns = sys::monotonic_ns();
        self.capture.open()?;
        let clock = Clock::new();
        let opened = sys::monotonic_ns();
        if let Some(held) = self
            .command
            .as_mut()
            .and_then(|command| command.held.take())
            && let Err(error) = held.release()
        {
            return Err(Unable {
                code: FailureCode::CommandNotExecutable,
                error: anyhow::Error::from(error).context("cannot execute the command"),
            });
        }
        let mut next_progress = Duration::ZERO;
        let mut is_all = true;
        let ended = loop {
            let left = Self::time_left(request, opened);
            if is_all && !left.is_zero() {
                std::thread::sleep(DRAIN_EVERY.min(left));
            }
            is_all = self
                .drained
                .drain(&mut self.capture, &mut self.slots, &mut self.node);
            self.follow();
            if memory.as_ref().is_some_and(Memory::is_near_limit) {
                break Ended::Memory;
            }
            let elapsed = Duration::from_nanos(sys::monotonic_ns() - opened);
            if elapsed >= next_progress {
                next_progress = elapsed + Duration::from_secs(1).max(elapsed / PROGRESS_SHARE);
                output.progress(self.progress(elapsed)?);
            }
            if let Some(ended) = self.ended(request, elapsed, output) {
                break ended;
            }
        };
        let closed = sys::monotonic_ns();
        self.capture.close()?;
        Ok((ended, opened, closed, clock))
    }

    /// Time until the window's end.
    fn time_left(request: &Request, opened_ns: u64) -> Duration {
        let Some(seconds) = request.window.seconds else {
            return Duration::MAX;
        };
        let elapsed = Duration::from_nanos(sys::monotonic_ns() - opened_ns);
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(Duration::MAX)
            .saturating_sub(elapsed)
    }

    fn ended(&mut self, request: &Request, elapsed: Duration, output: &Output) -> Option<Ended> {
        let over =
            |seconds: Option<f64>| seconds.is_some_and(|seconds| elapsed.as_secs_f64() >= seconds);
        if sys::stop_requested() {
            return Some(Ended::Stopped);
        }
        if over(request.window.seconds) {
            return Some(Ended::Over);
        }
        if over(request.deadline_seconds) {
            return Some(Ended::Deadline);
        }
        if output.is_broken() {
            return Some(Ended::ReaderGone);
        }
        if let Some(command) = &mut self.command {
            if command.status.is_none() {
                command.status = sys::wait(command.pid, false);
            }
            if command.status.is_some()
                && (request.window.seconds.is_none() || self.drained.processes.running() == 0)
            {
                return Some(Ended::TargetGone);
            }
        }
        let is_tree = matches!(request.target, TargetSpec::Process { .. });
        (is_tree && self.drained.processes.running() == 0).then_some(Ended::TargetGone)
    }

    fn progress(&self, elapsed: Duration) -> Result<Progress> {
        Ok(Progress {
            seconds: (elapsed.as_secs_f64() * 10.0).round() / 10.0,
            calls: crate::drain::total_calls(&self.capture)?,
            processes: self.drained.processes.seen,
            files: self.drained.files.len() as u64,
            peers: self.drained.peers.len() as u64,
        })
    }

    /// Opens taps where the target has come to live.
    fn follow(&mut self) {
        let names = &mut self.drained.names;
        if !names.untapped.is_empty() {
            let tgids: Vec<u32> = self.drained.processes.tgids().collect();
            self.taps.follow(&self.capture, names, &tgids);
        }
    }

    /// Takes what the programs left.
    fn close(&mut self) -> Result<Counted> {
        std::thread::sleep(GRACE);
        while !self
            .drained
            .drain(&mut self.capture, &mut self.slots, &mut self.node)
        {}
        self.drained.close(&mut self.node);
        if self.drained.has_new_listeners() {
            let held = Held::look(&mut self.capture)?;
            self.unread_descriptors |= held.is_cut;
            self.drained.held_last = held.sockets;
        }
        let counted = Counted::read(&mut self.capture)?;
        self.drained.count(&self.capture)?;
        Ok(counted)
    }

    fn report(
        &mut self,
        request: &Request,
        counted: &Counted,
        ended: Ended,
        (opened_ns, closed_ns): (u64, u64),
        clock: &Clock,
        chunks: Chunks,
    ) -> Result<(procmon_profile::model::Node, WindowReport, Packed)> {
        let (kernel, machine, host) = sys::uname();
        let arch = architecture(&machine);
        let recursion = self.statistics();
        let facts = Facts {
            hooks: &self.capture.hooks,
            slots: &self.slots,
            drained: &self.drained,
            counted,
            counts_of_file: &|sample: &FileSample| sample.counts(&self.capture),
            node: &self.node,
            clock,
            has_ring: self.has_ring,
            unread_descriptors: self.unread_descriptors,
            taps: &self.taps,
            arch,
        };
        let packed = pack(summarize(&facts), chunks)?;
        let cut = match ended {
            Ended::Over | Ended::TargetGone | Ended::Stopped | Ended::Other => None,
            Ended::Deadline => Some("the probe's own deadline ended the window"),
            Ended::ReaderGone => Some("the reader of the frames was gone"),
            Ended::Memory => Some("the memory limit was near: the window was ended"),
        };
        let dimensions = completeness(&facts, &packed.unseen, packed.chunks.losses(), cut);
        let lost = Lost {
            ring_buffer: counted.lost.ring_buffer(),
            maps: counted
                .lost
                .maps()
                .map(|(map, count)| (map.into(), count))
                .collect(),
            recursion: recursion.misses,
            frames: 0,
        };
        let complete = lost == Lost::default()
            && dimensions
                .values()
                .all(|d| d.state != DimensionState::Partial);
        let node = procmon_profile::model::Node {
            name: request.node.clone().unwrap_or(host).into(),
            kernel: Some(kernel.into()),
            arch: Some(arch.to_owned().into()),
            cgroup: Some(cgroups::layout()),
            tier: Some(self.capture.tier()),
            hooks: self.capture.document_hooks(),
            lost: Some(lost),
            cost: Some(Cost {
                cpu_seconds: Some(Duration::from_nanos(sys::cpu_ns()).as_secs_f64()),
                bpf_seconds: recursion.seconds,
                bpf_runs: recursion.runs,
                rss_bytes: Some(sys::peak_rss()),
                map_bytes: map_bytes(),
                sent_bytes: None,
            }),
            complete,
            error: None,
        };
        let is_tree = matches!(
            request.target,
            TargetSpec::Command { .. } | TargetSpec::Process { .. }
        );
        let report = WindowReport {
            started_at: clock.time(opened_ns).into(),
            ended_at: clock.time(closed_ns).into(),
            seconds: Duration::from_nanos(closed_ns - opened_ns).as_secs_f64(),
            ended: Some(ended),
            ended_early: !matches!(ended, Ended::Over | Ended::TargetGone),
            target_ended: ended == Ended::TargetGone,
            exit: self
                .command
                .as_ref()
                .and_then(|command| command.status)
                .map(sys::WaitStatus::code),
            label_mode: if is_tree {
                LabelMode::Tree
            } else {
                LabelMode::Cgroup
            },
            dimensions,
            coverage: packed.coverage.clone(),
            notes: std::mem::take(&mut self.lock.notes),
        };
        Ok((node, report, packed))
    }

    /// Asks the kernel how often each program ran, and how often it was skipped.
    fn statistics(&mut self) -> Statistics {
        let mut all = Statistics::default();
        let mut skipped = BTreeMap::<_, Vec<_>>::new();
        let mut add = |statistics: &sys::ProgramStatistics| {
            if statistics.run_count > 0 {
                *all.runs.get_or_insert(0) += statistics.run_count;
                *all.seconds.get_or_insert(0.0) +=
                    Duration::from_nanos(statistics.run_time_ns).as_secs_f64();
            }
        };
        for (hook, program) in self.capture.programs() {
            let Ok(fd) = program.fd() else { continue };
            use std::os::fd::{AsFd as _, AsRawFd as _};
            let Ok(statistics) = sys::program_statistics(&fd.as_fd().as_raw_fd()) else {
                continue;
            };
            skipped.entry(hook).or_default().push(statistics.missed);
            add(&statistics);
        }
        for program in self.taps.programs() {
            if let Ok(statistics) = sys::program_statistics(program) {
                add(&statistics);
            }
        }
        let preemptible = self.capture.preemptible;
        for (hook, skipped) in skipped {
            let Some(placed) = self.capture.placed_mut(hook) else {
                continue;
            };
            let missed = placed.missed(&skipped, preemptible);
            placed.hook.missed = missed;
            // Nothing is lost without what only adds facts.
            if let Some(count) = missed.filter(|count| *count > 0)
                && !placed.wanted.without.is_empty()
            {
                all.misses.insert(placed.hook.name.clone(), count);
            }
        }
        all
    }

    /// Nothing is captured any more: the programs go before anything is waited for.
    fn let_go(self) -> Option<Command> {
        let Self {
            capture,
            mut taps,
            command,
            ..
        } = self;
        taps.close();
        drop(capture);
        command
    }
}

/// Waits for the command, which is never killed; its exit code.
fn exit_code(command: Option<&Command>) -> i32 {
    match command {
        Some(Command {
            status: Some(status),
            ..
        }) => status.code(),
        Some(Command { pid, .. }) => sys::wait(*pid, true).map_or(0, sys::WaitStatus::code),
        None => 0,
    }
}

#[derive(Default)]
struct Statistics {
    runs: Option<u64>,
    seconds: Option<f64>,
    misses: BTreeMap<Text, u64>,
}

/// Memory of all maps of this process, as /proc/self/fdinfo states it.
fn map_bytes() -> Option<u64> {
    let mut total = None;
    for entry in std::fs::read_dir("/proc/self/fdinfo").ok()?.flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        if text.contains("map_type:")
            && let Some(bytes) = text
                .lines()
                .find_map(|line| line.strip_prefix("memlock:"))
                .and_then(|bytes| bytes.trim().parse::<u64>().ok())
        {
            *total.get_or_insert(0) += bytes;
        }
    }
    total
}

/// The memory limits that hold for the probe: that of its own cgroup, and those above it.
struct Memory {
    limits: Vec<Limit>,
    /// Bytes of the maps, which are kernel memory.
    maps: u64,
}

struct Limit {
    folder: PathBuf,
    version: MemoryFiles,
    bytes: u64,
}

/// Names of a cgroup's files: limit and usage; in memory.stat, what processes hold. The rest of the usage, but for
/// maps, the kernel takes back: files, and what it remembers of names in /proc, which v1 does not tell apart.
#[derive(Clone, Copy)]
struct MemoryFiles {
    root: &'static str,
    limit: &'static str,
    usage: &'static str,
    held: &'static str,
}

const MEMORY_V2: MemoryFiles = MemoryFiles {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    held: "anon ",
};
const MEMORY_V1: MemoryFiles = MemoryFiles {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    held: "total_rss ",
};

impl Memory {
    fn find() -> Option<Self> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let mut limits = Vec::new();
        for line in own.lines() {
            let Some((controllers, path)) = line
                .split_once(':')
                .and_then(|(_, rest)| rest.split_once(':'))
            else {
                continue;
            };
            let version = match controllers {
                "" => MEMORY_V2,
                _ if controllers.split(',').any(|name| name == "memory") => MEMORY_V1,
                _ => continue,
            };
            // A container may see its own cgroup as the root.
            let mut folder = Path::new(version.root).join(path.trim_start_matches('/'));
            while folder.starts_with(version.root) {
                limits.extend(Limit::of(&folder, version));
                folder.pop();
            }
        }
        (!limits.is_empty()).then(|| Self {
            limits,
            maps: map_bytes().unwrap_or(0),
        })
    }

    fn is_near_limit(&self) -> bool {
        self.limits.iter().any(|limit| limit.is_near(self.maps))
    }
}

impl Limit {
    fn of(folder: &Path, version: MemoryFiles) -> Option<Self> {
        let bytes = read_number(&folder.join(version.limit))?;
        // v1 writes a number near 2^63 for "none".
        (bytes < 1 << 60).then(|| Self {
            folder: folder.to_owned(),
            version,
            bytes,
        })
    }

    fn is_near(&self, maps: u64) -> bool {
        let most = self.bytes.saturating_sub(REPORT_BYTES.min(self.bytes / 4));
        let usage = read_number(&self.folder.join(self.version.usage));
        usage.is_some_and(|usage| usage > most) && self.held() + maps > most
    }

    /// Bytes of all processes of the cgroup.
    fn held(&self) -> u64 {
        let text = std::fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(self.version.held)?.trim().parse().ok())
            .unwrap_or(0)
    }
}

fn read_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

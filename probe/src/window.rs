//! The clock: set up, open, drain, close, report. A running window takes no order but "stop".

use crate::capture::Capture;
use crate::clock::Clock;
use crate::command::{Command, find_programs};
use crate::completeness::completeness;
use crate::cost::{Memory, Statistics};
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
use anyhow::{Result, anyhow};
use procmon_profile::model::{DimensionState, LabelMode, Lost};
use procmon_profile::wire::{
    Chunks, Ended, FailureCode, Frame, Hello, PROTOCOL, Progress, Request, TargetSpec, WindowReport,
};
use std::time::Duration;

/// The ring buffer is drained this often.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// Programs that run when the window closes have ended after this.
const GRACE: Duration = Duration::from_millis(10);
/// Progress is told each second at first, and this often in all of a long window.
const PROGRESS_SHARE: u32 = 600;

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
        TargetSpec::Command { argv } => Some(Command::start(&programs, argv, stdout, request)?),
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
                command.map_or(0, |command| command.wait())
            }
            Err(Unable { code, error }) => {
                let command = self.let_go();
                output.fail(code, format!("{error:#}"));
                if let Some(command) = command {
                    command.wait();
                }
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
        if let Some(command) = &mut self.command {
            command.release()?;
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
        if let Some(command) = &mut self.command
            && command.has_ended()
            && (request.window.seconds.is_none() || self.drained.processes.running() == 0)
        {
            return Some(Ended::TargetGone);
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
        let statistics = Statistics::read(&mut self.capture, &self.taps);
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
            recursion: statistics.misses.clone(),
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
            cost: Some(statistics.cost()),
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
            exit: self.command.as_ref().and_then(Command::code),
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

//! Taps: one packet socket in each network namespace of the target, whose filter takes what names
//! something and keeps no packet.

use super::Names;
use crate::capture::Capture;
use crate::hooks::{Placed, SOCKET_FILTER};
use crate::sys;
use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya::maps::{Map, ProgramArray};
use aya::programs::SocketFilter;
use procmon_profile::model::{DimensionState, Hook, HookState, Tier};
use procmon_profile::text::Text;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

const PROGRAM: &str = "on_packet";
/// Network namespaces tapped at a time.
const MAX_TAPS: usize = 512;
/// Time that opening taps may take at once: a target makes namespaces as fast as it likes.
const MAX_FOLLOW_NS: u64 = 10_000_000;
/// Looks for a process that lives in a namespace.
const MAX_LOOKS: u32 = 50;

/// One tap.
struct Tap {
    _socket: OwnedFd,
    /// The program that tells the filter whose tap it is.
    program: OwnedFd,
}

/// All taps.
#[derive(Default)]
pub(crate) struct Taps {
    open: Vec<Tap>,
    /// Namespaces that have none, and why.
    refused: Vec<(u32, String)>,
    /// Namespaces of which no inhabitant was found yet, and how often one was looked for.
    looks: Vec<(u32, u32)>,
}

/// Loads the filter, for taps to come.
pub(crate) fn load(ebpf: &mut Ebpf) -> Hook {
    let (state, reason) = match try_load(ebpf) {
        Ok(()) => (HookState::Attached, None),
        Err(error) => (HookState::Missing, Some(format!("{error:#}"))),
    };
    Hook {
        name: SOCKET_FILTER.to_owned().into(),
        tier: Tier::Base,
        state,
        missed: None,
        reason: reason.map(Text::from),
    }
}

fn try_load(ebpf: &mut Ebpf) -> Result<()> {
    let program: &mut SocketFilter = ebpf
        .program_mut(PROGRAM)
        .with_context(|| format!("the object lacks `{PROGRAM}`"))?
        .try_into()?;
    program.load().context("cannot load the socket filter")?;
    let program = program.fd()?.try_clone()?;
    let mut taps: ProgramArray<_> = ebpf.map_mut("TAPS").context("no map TAPS")?.try_into()?;
    taps.set(0, &program, 0).context("cannot fill TAPS")?;
    Ok(())
}

impl Taps {
    /// Opens taps in the namespaces that were found since; `processes` are those of the target.
    pub(crate) fn follow(&mut self, capture: &Capture, names: &mut Names, processes: &[u32]) {
        let end_ns = sys::monotonic_ns() + MAX_FOLLOW_NS;
        for (netns, process) in std::mem::take(&mut names.untapped) {
            if sys::monotonic_ns() > end_ns {
                names.untapped.push((netns, process));
                continue;
            }
            if self.refused.iter().any(|(known, _)| *known == netns) {
                continue;
            }
            match self.tap(capture, netns, process, processes) {
                Ok(true) => names.tapped.push(netns),
                Ok(false) if self.look_again(netns) => names.untapped.push((netns, process)),
                Ok(false) => {
                    let reason = "no process that lives there was found";
                    self.refused.push((netns, reason.to_owned()));
                }
                Err(error) => self.refused.push((netns, format!("{error:#}"))),
            }
        }
    }

    fn look_again(&mut self, netns: u32) -> bool {
        if let Some((_, looks)) = self.looks.iter_mut().find(|(known, _)| *known == netns) {
            *looks += 1;
            return *looks < MAX_LOOKS;
        }
        self.looks.push((netns, 1));
        true
    }

    /// Opens one tap. False: nobody who lives there was found.
    fn tap(
        &mut self,
        capture: &Capture,
        netns: u32,
        process: Option<u32>,
        processes: &[u32],
    ) -> Result<bool> {
        if self.open.len() >= MAX_TAPS {
            bail!("there are {MAX_TAPS} others");
        }
        let Some(namespace) = process
            .into_iter()
            .chain(processes.iter().copied())
            .find_map(|process| namespace_of(process, netns))
        else {
            return Ok(false);
        };
        self.open_in(capture, netns, &namespace)?;
        Ok(true)
    }

    /// Opens a tap in the namespace of a process; its inode number.
    pub(crate) fn open_at(&mut self, capture: &Capture, process: u32) -> Result<u32> {
        let namespace = File::open(format!("/proc/{process}/ns/net"))?;
        let netns = u32::try_from(namespace.metadata()?.ino())?;
        self.open_in(capture, netns, &namespace)?;
        Ok(netns)
    }

    fn open_in(&mut self, capture: &Capture, netns: u32, namespace: &File) -> Result<()> {
        if !capture.placed(SOCKET_FILTER).is_some_and(Placed::is_there) {
            bail!("hook {SOCKET_FILTER} is missing on this kernel");
        }
        let Some(Map::ProgramArray(taps)) = capture.ebpf.map("TAPS") else {
            bail!("no map TAPS");
        };
        let program = sys::tap_program(netns, &taps.fd().as_fd().as_raw_fd())
            .context("cannot load the program of a tap")?;
        let own = File::open("/proc/self/ns/net")?;
        let is_own = own.metadata()?.ino() == u64::from(netns);
        if !is_own {
            sys::enter_network(namespace).context("cannot enter a network namespace")?;
        }
        let socket = sys::tap_socket(&program);
        if !is_own {
            sys::enter_network(&own).context("cannot return to the own network namespace")?;
        }
        let socket = socket.context("cannot open a packet socket")?;
        self.open.push(Tap {
            _socket: socket,
            program,
        });
        Ok(())
    }

    /// Closes everything.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    /// Programs of the taps, for their statistics.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &OwnedFd> {
        self.open.iter().map(|tap| &tap.program)
    }

    /// What the names can't be relied on for.
    pub(crate) fn reasons(&self, names: &Names) -> Vec<(DimensionState, String)> {
        let mut reasons = Vec::new();
        let refused = self.refused.first();
        if self.open.is_empty()
            && let Some((_, why)) = refused
        {
            return vec![(DimensionState::Missing, why.clone())];
        }
        let mut add = |count: u64, what: &str| {
            if count > 0 {
                reasons.push((DimensionState::Partial, format!("{what}: {count}")));
            }
        };
        let gaps = &names.gaps;
        add(
            gaps.questions,
            "questions beyond those that the probe keeps",
        );
        add(
            gaps.unreadable,
            "messages at port 53 that could not be read",
        );
        add(
            gaps.cut,
            "TLS greetings whose server name was not in their first bytes",
        );
        add(
            gaps.early,
            "calls and peers before their network namespace was watched",
        );
        add(
            gaps.unseen,
            "questions that were sent and whose packet was not seen",
        );
        if let Some((_, why)) = refused {
            let count = self.refused.len() as u64;
            add(count, &format!("network namespaces not watched ({why})"));
        }
        reasons
    }
}

/// The network namespace of a process, when it is this one.
fn namespace_of(process: u32, netns: u32) -> Option<File> {
    let namespace = File::open(format!("/proc/{process}/ns/net")).ok()?;
    (namespace.metadata().ok()?.ino() == u64::from(netns)).then_some(namespace)
}

//! Proof that hooks work: the probe does the thing itself once, before the window, and sees it.
//!
//! The child lives in a network namespace of its own where it may make one, touches no file that
//! has a disk below it, and leaves no trace on the node.

mod observe;

use crate::capture::Capture;
use crate::hooks::{Act, Placed, Proof};
use crate::node::namespace;
use crate::packets::Taps;
use crate::{label, sys};
use anyhow::{Context as _, Result};
use observe::{SENTENCE, observe};
use procmon_probe_ebpf::abi::{PORT_DNS, SCAN_LABEL, SENTINEL_CONTAINER};
use procmon_profile::model::HookState;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::time::Duration;

/// The argument that makes this program the sentinel.
pub(crate) const ARGUMENT: &str = "--sentinel";
/// The first port of all: nothing listens there.
const CLOSED_PORT: u16 = 1;
/// Looks for the tap in the sentinel's own network namespace, and the time between them.
const MAX_LOOKS: u32 = 200;
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What it asks: the root's address, recursion not desired.
const QUESTION: [u8; 17] = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];

/// The sentinel writes this to nowhere by a ring. It is longer than by a call: a row with more bytes proves
/// the ring, also where the call was not seen.
const RING_SENTENCE: &[u8] = b"sentinel by a ring";
const _: () = assert!(RING_SENTENCE.len() > SENTENCE.len());
/// Bits of the exit code of a sentinel: it found no place for files; it may make no ring.
const NO_FOLDER: i32 = 4;
const NO_RING: i32 = 8;
/// Sentinels that are sent at most.
const MAX_ATTEMPTS: u32 = 3;

/// What the sentinel does; its exit code.
pub(crate) fn act() -> i32 {
    sys::getppid();
    sys::close_nothing();
    sys::fork_nothing();
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null");
    if let Ok(mut null) = null.as_ref() {
        let _ = null.write_all(SENTENCE);
        let _ = null.read(&mut [0]);
    }
    // Both ask for CAP_SYS_ADMIN. The first makes sure that the connection below stays inside.
    if sys::unshare(libc::CLONE_NEWNET) {
        sys::loopback_up();
        ask();
    }
    sys::unshare(libc::CLONE_NEWUTS);
    // Ignored, unless somebody waits for it: nobody does.
    sys::kill_parent(libc::SIGURG);
    let has_folder = sys::enter_detached_tmpfs();
    let mut lacks = 0;
    if has_folder {
        sys::use_names();
    } else {
        lacks |= NO_FOLDER;
    }
    if !null.is_ok_and(|null| sys::use_ring(&null, RING_SENTENCE)) {
        lacks |= NO_RING;
    }
    let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, CLOSED_PORT));
    lacks
}

/// Asks nobody, once the probe listens.
fn ask() {
    for _ in 0..MAX_LOOKS {
        // A line of titles, then one line for each packet socket; the sixth word says that it runs.
        let is_tapped = std::fs::read_to_string("/proc/net/packet").is_ok_and(|text| {
            text.lines()
                .any(|line| line.split_ascii_whitespace().nth(5) == Some("1"))
        });
        if is_tapped {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
        let _ = socket.send_to(&QUESTION, (Ipv4Addr::LOCALHOST, PORT_DNS));
    }
    if let Ok(socket) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        let _ = socket.send_to(&QUESTION, (Ipv6Addr::LOCALHOST, CLOSED_PORT));
    }
}

/// Waits for the sentinel, and taps its network namespace as soon as it has one; the namespace, or
/// why it could not be tapped; and what the sentinel says of itself.
fn tap(capture: &Capture, pid: u32, taps: &mut Taps) -> (Result<u32>, i32) {
    let own = namespace("self", "net");
    let mut tapped = Err(anyhow::anyhow!(
        "the sentinel could make no network namespace"
    ));
    let mut is_tried = false;
    loop {
        if let Some(status) = sys::wait(pid, false) {
            return (tapped, status.code());
        }
        if !is_tried && namespace(&pid.to_string(), "net").is_some_and(|its| Some(its) != own) {
            is_tried = true;
            tapped = taps.open_at(capture, pid);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What one sentinel could do.
struct Attempt {
    /// Its network namespace, or why it could not be tapped.
    tapped: Result<u32>,
    /// Its exit code: what it lacked.
    lacks: i32,
}

impl Attempt {
    /// Why a hook can have seen nothing of it.
    fn excuse(&self, proof: Proof) -> Option<String> {
        let reason = match proof {
            Proof::NotTried(reason) => reason,
            Proof::Seen(Act::Question) => {
                return self.tapped.as_ref().err().map(|error| format!("{error:#}"));
            }
            Proof::Seen(Act::Name(_) | Act::RequestByName) if self.lacks & NO_FOLDER != 0 => {
                "not tried: the probe may not make a file system"
            }
            Proof::Seen(Act::RequestByName | Act::RequestThatWrites)
                if self.lacks & NO_RING != 0 =>
            {
                "not tried: the probe may not use io_uring"
            }
            Proof::Seen(_) => return None,
        };
        Some(reason.to_owned())
    }
}

/// Proves every hook that sees a sentinel, and says why the others are not proven. Where the kernel may skip
/// a hook, another sentinel goes after what the first did not reach.
pub(crate) fn prove(capture: &mut Capture) -> Result<()> {
    let mut attempt = send(capture)?;
    for _ in 1..MAX_ATTEMPTS {
        let is_unseen = |placed: &Placed| {
            placed.hook.state == HookState::Attached
                && attempt.excuse(placed.wanted.proof).is_none()
        };
        if !capture.hooks.iter().any(is_unseen) {
            break;
        }
        attempt = send(capture)?;
    }
    for placed in &mut capture.hooks {
        if placed.hook.state == HookState::Attached {
            let reason = attempt.excuse(placed.wanted.proof);
            placed.hook.reason = Some(
                reason
                    .unwrap_or_else(|| "the sentinel's own action was not seen".to_owned())
                    .into(),
            );
        }
    }
    Ok(())
}

/// Runs a sentinel and marks every hook that saw it as proven. What it left in the tables is of a container
/// that no document has.
fn send(capture: &mut Capture) -> Result<Attempt> {
    let child = sys::spawn_held(
        &[c"/proc/self/exe".into()],
        &[c"procmon-probe".into(), sys::c_text(ARGUMENT.as_ref())?],
        None,
        None,
        0,
    )
    .context("cannot start the sentinel")?;
    let pid = child.pid;
    label::root(capture, pid, SENTINEL_CONTAINER, 0)?;
    capture.scan(SCAN_LABEL)?;
    label::clear_roots(capture)?;
    capture.open()?;
    let released = child.release();
    let mut taps = Taps::default();
    let (tapped, lacks) = if released.is_ok() {
        tap(capture, pid, &mut taps)
    } else {
        sys::wait(pid, true);
        (Ok(0), 0)
    };
    capture.pause()?;
    released.context("cannot execute the sentinel")?;
    let netns = tapped.as_ref().ok().copied();
    let seen = observe(capture, netns)?;
    taps.close();
    for placed in &mut capture.hooks {
        if let Proof::Seen(act) = placed.wanted.proof
            && seen.has(act)
            && placed.hook.state == HookState::Attached
        {
            placed.hook.state = HookState::Proven;
        }
    }
    Ok(Attempt { tapped, lacks })
}

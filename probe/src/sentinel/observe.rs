//! Reads which acts of the sentinel the programs saw.

use crate::capture::Capture;
use crate::drain::Counted;
use crate::hooks::Act;
use crate::packets::Names;
use crate::sys;
use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap as BpfMap};
use procmon_probe_ebpf::abi::{
    EVENT_EXEC, EVENT_EXIT, EVENT_FORK, EVENT_RARE, EVENT_WIRE, EVENT_WIRE_OWNER, FILE_KEY_ENTRY,
    FILE_KEY_KERNEL_NAME, FILE_KEY_SETTLED, FileKey, FileOp, FileRow, N_FILE_OPS, ProcessEvent,
    RARE_SIGNAL, RareEvent, SocketState, TASK_MAY_BE_IN_CALL,
};

/// The errno of the sentinel's close of nothing.
const EBADF: u16 = 9;
/// The errno of the sentinel's connection.
const ECONNREFUSED: u16 = 111;

/// The sentinel writes this to nowhere by a call.
pub(super) const SENTENCE: &[u8] = b"sentinel";

/// Which acts of the sentinel the programs saw.
#[derive(Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one answer per hook")]
pub(super) struct Seen {
    pub(super) calls: bool,
    pub(super) errors: bool,
    pub(super) forks: bool,
    pub(super) execs: bool,
    pub(super) exits: bool,
    pub(super) refused: bool,
    pub(super) destroyed: bool,
    pub(super) capabilities: bool,
    pub(super) freed: bool,
    pub(super) signals: bool,
    /// A failed opening has the kernel's own name.
    pub(super) settled_failure: bool,
    /// A request of io_uring has made a directory.
    pub(super) ring_name: bool,
    /// A request of io_uring has written.
    pub(super) ring_write: bool,
    /// Operations on settled names, by [`FileOp`](procmon_probe_ebpf::abi::FileOp).
    pub(super) settled: [bool; N_FILE_OPS],
    pub(super) asked: bool,
    /// By the hooks sendmsg4 and sendmsg6.
    pub(super) told: [bool; 2],
}

impl Seen {
    /// This act was seen.
    pub(super) fn has(&self, act: Act) -> bool {
        match act {
            Act::Call => self.calls,
            Act::Failure => self.errors,
            Act::Fork => self.forks,
            Act::Execution => self.execs,
            Act::Exit => self.exits,
            Act::Free => self.freed,
            Act::Connection => self.refused,
            Act::SocketEnd => self.destroyed,
            Act::CapabilityCheck => self.capabilities,
            Act::Signal => self.signals,
            Act::Question => self.asked,
            Act::Datagram4 => self.told[0],
            Act::Datagram6 => self.told[1],
            Act::FailedOpening => self.settled_failure,
            Act::RequestByName => self.ring_name,
            Act::RequestThatWrites => self.ring_write,
            Act::Name(operation) => self.settled[operation as usize],
        }
    }
}

/// Looks at what the sentinel left, and forgets it.
pub(super) fn observe(capture: &mut Capture, netns: Option<u32>) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut names = Names::default();
    names.tapped.extend(netns);
    while let Some(item) = capture.ring.next() {
        match sys::record::<u32>(&item) {
            Some(EVENT_FORK) => {
                seen.forks |= sys::record::<ProcessEvent>(&item)
                    .is_some_and(|event| event.flags & TASK_MAY_BE_IN_CALL == 0);
            }
            Some(EVENT_EXEC) => seen.execs = true,
            Some(EVENT_EXIT) => seen.exits = true,
            Some(EVENT_RARE) => {
                seen.signals |= sys::record::<RareEvent>(&item)
                    .is_some_and(|event| event.key.kind == RARE_SIGNAL);
            }
            Some(EVENT_WIRE) => {
                if let Some(packet) = sys::record(&item) {
                    names.packet(&packet, 0);
                }
            }
            Some(EVENT_WIRE_OWNER) => {
                if let Some(claim) = sys::record(&item) {
                    names.claimed(&claim, 0);
                }
            }
            _ => {}
        }
    }
    seen.asked = names.has_asked();
    let counted = Counted::read(capture)?;
    seen.calls = counted.syscalls.iter().any(|sample| sample.row.calls > 0);
    seen.errors = counted
        .syscalls
        .iter()
        .any(|sample| sample.errors(&counted.errnos).contains_key(&EBADF));
    seen.refused = counted.errnos.iter().any(|((table, _), errnos)| {
        *table == procmon_probe_ebpf::abi::ROWS_NETWORK && errnos.contains_key(&ECONNREFUSED)
    });
    let files: BpfMap<_, FileKey, u32> = capture
        .ebpf
        .map("FILES")
        .context("no map FILES")?
        .try_into()?;
    let rows: Array<_, FileRow> = capture
        .ebpf
        .map("FILE_ROWS")
        .context("no map FILE_ROWS")?
        .try_into()?;
    for (key, row) in files.iter().filter_map(Result::ok) {
        let row = rows.get(&row, 0)?;
        match key.kind {
            // Only the ring has made a directory by such a name.
            FILE_KEY_KERNEL_NAME if row.operations[FileOp::Mkdir as usize] > 0 => {
                seen.ring_name = true;
            }
            FILE_KEY_KERNEL_NAME => seen.settled_failure = true,
            FILE_KEY_SETTLED | FILE_KEY_ENTRY => {
                seen.ring_write |= row.bytes_written > SENTENCE.len() as u64;
                for (seen, count) in seen.settled.iter_mut().zip(row.operations) {
                    *seen |= count > 0;
                }
            }
            _ => {}
        }
    }
    let sockets: BpfMap<_, u64, SocketState> = capture
        .ebpf
        .map("SOCKETS")
        .context("no map SOCKETS")?
        .try_into()?;
    seen.destroyed = seen.refused && sockets.keys().next().is_none();
    seen.capabilities = !counted.capabilities.is_empty();
    seen.told = capture.state()?.told.map(|told| told != 0);
    // The kernel frees a task a grace period after its end.
    for _ in 0..20 {
        seen.freed = capture.task_slots()?.is_empty();
        if seen.freed {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(seen)
}

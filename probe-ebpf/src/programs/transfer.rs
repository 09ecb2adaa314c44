//! Reads and writes through descriptors. The current task's record holds them until the task turns to another
//! file or peer.

use crate::atomics::{add, add_errno};
use crate::kernel::regs;
use crate::maps::{PEER_ROWS, SOCKETS};
use crate::programs::file::rows;
use crate::programs::network::peers;
use crate::programs::record::Task;
use crate::programs::row::Row;
use crate::programs::{packets, settle};
use procmon_probe_ebpf::abi::{FileOp, MOVED_PEER, ROWS_NETWORK, Stage};

/// Bytes went through a descriptor of the current task: its record holds them while they go through the
/// same one, since counts in a row are shared with all CPUs.
#[inline(always)]
pub(crate) fn hold(
    slot: u64,
    task: Task,
    row: Option<Row>,
    socket: bool,
    result: i64,
    inward: bool,
) {
    let Some(row) = row else { return };
    if result < 0 || (socket && peers::asks_resolver(row, inward)) {
        moved(row, socket, result, inward);
        return;
    }
    let moved = u64::from(row.number()) | if socket { MOVED_PEER } else { 0 };
    if task.moved() != moved {
        settle::settle_held(slot);
        task.set_moved(moved);
    }
    if inward {
        task.set_moves_in(task.moves_in() + 1);
        task.set_bytes_in(task.bytes_in() + result as u64);
    } else {
        task.set_moves_out(task.moves_out() + 1);
        task.set_bytes_out(task.bytes_out() + result as u64);
    }
}

/// Bytes went through a descriptor.
#[inline(always)]
pub(crate) fn moved(row: Row, socket: bool, result: i64, inward: bool) {
    if socket {
        peer_moved(row, result, inward);
        return;
    }
    if result < 0 {
        rows::changed(row, FileOp::None as u8, result);
        return;
    }
    let op = if inward { FileOp::Read } else { FileOp::Write };
    if let Some(counts) = rows::count(row, op as u8) {
        // SAFETY: a map value.
        unsafe {
            let bytes = if inward {
                &raw mut (*counts).bytes_read
            } else {
                &raw mut (*counts).bytes_written
            };
            add(bytes, result as u64);
        }
    }
}

/// Bytes went through a connected socket by a call that also serves files.
#[inline(always)]
pub(crate) fn peer_moved(row: Row, result: i64, inward: bool) {
    if result >= 0 || !was_counted() {
        transfer(row, result, inward, 1);
    }
}

/// The current call's failure is that of a connection that failed in the background, and was
/// counted then: the first call that learns of it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn was_counted_as() -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    // SAFETY: the entry is a map's value.
    unsafe {
        match SOCKETS.get_ptr_mut(task.sock().address()) {
            Some(state) if (*state).stage == Stage::Failed.number() => {
                (*state).stage = Stage::Told.number();
                1
            }
            _ => 0,
        }
    }
}

#[inline(always)]
pub(crate) fn was_counted() -> bool {
    was_counted_as() != 0
}

/// Adds the outcome of a transfer to a row.
#[inline(always)]
pub(crate) fn transfer(row: Row, result: i64, inward: bool, datagrams: u64) {
    transfer_done(row.number(), result, u32::from(inward), datagrams);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn transfer_done(row: u32, result: i64, inward: u32, datagrams: u64) -> u32 {
    if result < 0 {
        let errno = regs::errno(result);
        if peers::is_failure(errno) {
            add_errno(ROWS_NETWORK, row, errno, 1);
        }
        return 0;
    }
    if let Some(counts) = PEER_ROWS.get_ptr_mut(row) {
        // SAFETY: a map value.
        unsafe {
            let (bytes, messages) = if inward != 0 {
                (
                    &raw mut (*counts).bytes_received,
                    &raw mut (*counts).datagrams_received,
                )
            } else {
                (
                    &raw mut (*counts).bytes_sent,
                    &raw mut (*counts).datagrams_sent,
                )
            };
            add(bytes, result as u64);
            // User space drops the number of a stream's calls.
            add(messages, datagrams);
            if (*counts).resolver != 0 && inward == 0 {
                packets::emit_owner();
            }
        }
    }
    0
}

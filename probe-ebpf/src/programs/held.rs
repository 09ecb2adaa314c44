//! Reads and writes that the current task's record holds, until the task turns to another file or peer:
//! rows are shared by all CPUs, and many tasks adding to one row would wait for each other.

use super::{file, label, network};
use crate::maps::{FILE_ROWS, PEER_ROWS, add};
use procmon_probe_ebpf::abi::{FileOp, MOVED_PEER, TaskRecord};

/// Bytes went through a descriptor of the current task: its record holds them while they go through the
/// same one, since counts in a row are shared with all CPUs.
#[inline(always)]
pub(crate) fn hold(
    slot: u64,
    record: *mut TaskRecord,
    row: u32,
    socket: bool,
    result: i64,
    inward: bool,
) {
    if row == 0 || result < 0 || (socket && network::asks(row - 1, inward)) {
        file::moved(row, socket, result, inward);
        return;
    }
    let moved = u64::from(row) | if socket { MOVED_PEER } else { 0 };
    // SAFETY: a map value of the current task.
    unsafe {
        if (*record).moved != moved {
            settle_held(slot);
            (*record).moved = moved;
        }
        if inward {
            (*record).moves_in += 1;
            (*record).bytes_in += result as u64;
        } else {
            (*record).moves_out += 1;
            (*record).bytes_out += result as u64;
        }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn settle_held(slot: u64) -> u32 {
    if let Some(record) = label::record(slot) {
        settle(record);
    }
    0
}

/// Counts what a record holds into its row.
#[inline(always)]
pub(crate) fn settle(record: *mut TaskRecord) {
    // SAFETY: map values.
    unsafe {
        let moved = (*record).moved;
        if moved == 0 {
            return;
        }
        let row = moved as u32 - 1;
        let (times_in, times_out, bytes_in, bytes_out) = if moved & MOVED_PEER != 0 {
            let Some(counts) = PEER_ROWS.get_ptr_mut(row) else {
                return;
            };
            (
                &raw mut (*counts).datagrams_received,
                &raw mut (*counts).datagrams_sent,
                &raw mut (*counts).bytes_received,
                &raw mut (*counts).bytes_sent,
            )
        } else {
            let Some(counts) = FILE_ROWS.get_ptr_mut(row) else {
                return;
            };
            (
                &raw mut (*counts).operations[FileOp::Read as usize],
                &raw mut (*counts).operations[FileOp::Write as usize],
                &raw mut (*counts).bytes_read,
                &raw mut (*counts).bytes_written,
            )
        };
        if (*record).moves_in != 0 {
            add(times_in, (*record).moves_in);
            add(bytes_in, (*record).bytes_in);
        }
        if (*record).moves_out != 0 {
            add(times_out, (*record).moves_out);
            add(bytes_out, (*record).bytes_out);
        }
        (*record).moved = 0;
        (*record).moves_in = 0;
        (*record).moves_out = 0;
        (*record).bytes_in = 0;
        (*record).bytes_out = 0;
    }
}

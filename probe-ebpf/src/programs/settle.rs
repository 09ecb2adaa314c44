//! Settling: what a task's record holds is added to the rows that it belongs to.
//!
//! Rows are shared by all CPUs, and many tasks adding to one row would wait for each other; so records hold what
//! repeats itself. What they hold when the window closes is settled then, task by task.

use crate::atomics::{add, add_errno, add_local, processor};
use crate::maps::{FILE_ROWS, PEER_ROWS, SYSCALL_ROWS, config, open};
use crate::programs::{latency, record};
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use procmon_probe_ebpf::abi::{
    FileOp, MOVED_PEER, ROW_ERRNOS, ROWS_SYSCALLS, SyscallRow, TaskRecord,
};

/// This CPU's counts of a row. Those of row 0, which stands for none, nobody reads.
#[inline(always)]
pub(crate) fn syscall_row(row: u32) -> Option<*mut SyscallRow> {
    SYSCALL_ROWS.get_ptr_mut(processor() as u32 * config!(syscall_rows) + row)
}

/// Counts the returns that the record holds into its row.
#[inline(always)]
pub(crate) unsafe fn calls(record: *mut TaskRecord) -> Option<*mut SyscallRow> {
    // SAFETY: the caller's: a map value.
    unsafe {
        if config!(latency) != 0 {
            latency::settle(record);
        }
        let row = (*record).row;
        let counts = syscall_row(row)?;
        add_local(&raw mut (*counts).calls, (*record).returns);
        (*record).returns = 0;
        if (*record).failures != 0 {
            count_errno(row, (*record).errno, (*record).failures);
            (*record).failures = 0;
        }
        Some(counts)
    }
}

/// Nobody will see the task's call return, if it is in one: counts it. The row of the last call.
#[inline(always)]
pub(crate) unsafe fn all(record: *mut TaskRecord) -> Option<*mut SyscallRow> {
    // SAFETY: the caller's: a map value.
    unsafe {
        record::return_missed(record);
        transfers(record);
        calls(record)
    }
}

/// Run by user space, with a task's slot, once the window is over: counts what the record holds, and the
/// call that is under way. The number of returns that no row had counted; while the window is open, nothing else.
#[raw_tracepoint]
fn settle_task(ctx: RawTracePointContext) -> i32 {
    let Some(record) = record::in_slot(ctx.arg(0)) else {
        return 0;
    };
    // SAFETY: a map value; volatile since its task may be counting.
    unsafe {
        let returns = core::ptr::read_volatile(&raw const (*record).returns) as i32;
        if !open() {
            let in_call = (*record).in_call != 0;
            if let Some(row) = all(record)
                && in_call
            {
                add_local(&raw mut (*row).unfinished, 1);
            }
        }
        returns
    }
}

/// Counts failures within their row, or beside it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn count_errno(row: u32, errno: u32, failures: u64) -> u32 {
    let Some(counts) = syscall_row(row) else {
        return 0;
    };
    for place in 0..ROW_ERRNOS {
        // SAFETY: a map value of this CPU.
        let entry = unsafe { &raw mut (*counts).errnos[place] };
        // SAFETY: as above.
        unsafe {
            if (*entry).errno == 0 {
                (*entry).errno = u64::from(errno);
            }
            if (*entry).errno == u64::from(errno) {
                add_local(&raw mut (*entry).count, failures);
                return 0;
            }
        }
    }
    add_errno(ROWS_SYSCALLS, row, errno as u16, failures);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn settle_held(slot: u64) -> u32 {
    if let Some(record) = record::in_slot(slot) {
        transfers(record);
    }
    0
}

/// Counts what a record holds into its row.
#[inline(always)]
fn transfers(record: *mut TaskRecord) {
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

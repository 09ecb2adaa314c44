//! Settling: what a task's record holds is added to the rows that it belongs to.
//!
//! Rows are shared by all CPUs, and many tasks adding to one row would wait for each other; so records hold
//! what repeats itself. What they hold when the window closes is settled then, task by task.

use crate::atomics::{add, add_errno, add_local, processor};
use crate::maps::{FILE_ROWS, PEER_ROWS, SYSCALL_ROWS, config, open};
use crate::programs::latency;
use crate::programs::record::Task;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use procmon_probe_ebpf::abi::{FileOp, MOVED_PEER, ROW_ERRNOS, ROWS_SYSCALLS, SyscallRow};

/// This CPU's counts of a row. The counts of row 0, which stands for none, are never read.
#[inline(always)]
pub(crate) fn syscall_row(row: u32) -> Option<*mut SyscallRow> {
    SYSCALL_ROWS.get_ptr_mut(processor() as u32 * config!(syscall_rows) + row)
}

/// Counts the returns that the record holds into its row.
#[inline(always)]
pub(crate) fn calls(task: Task) -> Option<*mut SyscallRow> {
    // SAFETY: the row is a map's value.
    unsafe {
        if config!(latency) != 0 {
            latency::settle(task);
        }
        let row = task.row();
        let counts = syscall_row(row)?;
        add_local(&raw mut (*counts).calls, task.returns());
        task.set_returns(0);
        if task.failures() != 0 {
            count_errno(row, task.errno(), task.failures());
            task.set_failures(0);
        }
        Some(counts)
    }
}

/// Counts the task's call, if it is in one: its return will not be seen. The row of the last call.
#[inline(always)]
pub(crate) fn all(task: Task) -> Option<*mut SyscallRow> {
    task.return_missed();
    transfers(task);
    calls(task)
}

/// Run by user space, with a task's slot, once the window is over: counts what the record holds, and the
/// call that is under way. The number of returns that no row had counted; while the window is open, nothing
/// else.
#[raw_tracepoint]
fn settle_task(ctx: RawTracePointContext) -> i32 {
    let Some(task) = Task::in_slot(ctx.arg(0)) else {
        return 0;
    };
    // SAFETY: the row is a map's value.
    unsafe {
        let returns = task.returns_now() as i32;
        if !open() {
            let in_call = task.in_call() != 0;
            if let Some(row) = all(task)
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
    if let Some(task) = Task::in_slot(slot) {
        transfers(task);
    }
    0
}

/// Counts what a record holds into its row.
#[inline(always)]
fn transfers(task: Task) {
    // SAFETY: the rows are maps' values.
    unsafe {
        let moved = task.moved();
        if moved == 0 {
            return;
        }
        let row = moved as u32;
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
        if task.moves_in() != 0 {
            add(times_in, task.moves_in());
            add(bytes_in, task.bytes_in());
        }
        if task.moves_out() != 0 {
            add(times_out, task.moves_out());
            add(bytes_out, task.bytes_out());
        }
        task.set_moved(0);
        task.set_moves_in(0);
        task.set_moves_out(0);
        task.set_bytes_in(0);
        task.set_bytes_out(0);
    }
}

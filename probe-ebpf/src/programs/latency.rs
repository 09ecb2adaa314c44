//! How long system calls take, where that is measured. Reading the clock twice takes longer than all else,
//! so of a call that a task repeats, each time for less than a microsecond, only some are timed: one in
//! four, by chance, which stands for those before it. One that lasts two ticks of the kernel is always
//! noticed.

use crate::atomics::{add_local, opaque};
use crate::kernel::clock;
use crate::maps::{LATENCIES, config};
use crate::programs::record::Task;
use procmon_probe_ebpf::abi::{IN_TIMED_CALL, IN_UNTIMED_CALL, LATENCY_BUCKETS, latency_bucket};

/// So many in a row, each faster than `QUICK_NS`, are timed before some are not.
const STREAK: u32 = 64;
const QUICK_NS: u64 = 1024;

/// A call begins: what it is in.
#[inline(always)]
pub(crate) fn begun(task: Task) -> u32 {
    if task.quick() >= STREAK {
        // Numerical Recipes' generator, of which the high bits are good.
        let chance = task
            .chance()
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        task.set_chance(chance);
        if chance >> 30 != 0 {
            task.set_entered_ns(clock::ticks());
            return IN_UNTIMED_CALL;
        }
    }
    task.set_entered_ns(clock::now());
    IN_TIMED_CALL
}

/// It has returned.
#[inline(always)]
pub(crate) fn returned(slot: u64, task: Task, in_call: u32) {
    let ticks = if in_call == IN_UNTIMED_CALL {
        let ticks = clock::ticks().wrapping_sub(task.entered_ns());
        if ticks < 2 {
            task.set_untimed(task.untimed() + 1);
            return;
        }
        ticks
    } else {
        0
    };
    timed(slot, ticks);
}

/// Counts the time of a call that has returned, and with it those before it that were not timed. It lasted so
/// many ticks; 0: since the clock was read.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn timed(slot: u64, ticks: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    if ticks != 0 {
        task.set_quick(0);
        let ns = (ticks - 1) * u64::from(config!(tick_ns));
        count(task.row(), latency_bucket(ns) as u32, ns, 1);
        return 0;
    }
    let ns = clock::now().wrapping_sub(task.entered_ns());
    let bucket = latency_bucket(ns) as u32;
    task.set_quick(if ns < QUICK_NS { task.quick() + 1 } else { 0 });
    task.set_bucket(bucket);
    count(task.row(), bucket, ns, 1 + u64::from(task.untimed()));
    task.set_untimed(0);
    0
}

/// The task makes another call: those that were not timed are like the last one that was.
#[inline(always)]
pub(crate) fn settle(task: Task) {
    task.set_quick(0);
    if task.untimed() != 0 {
        count(task.row(), task.bucket(), 0, u64::from(task.untimed()));
        task.set_untimed(0);
    }
}

#[inline(always)]
fn count(row: u32, bucket: u32, ns: u64, calls: u64) {
    let Some(times) = LATENCIES.get_ptr_mut(row) else {
        return;
    };
    let bucket = opaque(u64::from(bucket));
    if bucket >= LATENCY_BUCKETS as u64 {
        return;
    }
    // SAFETY: a map value of this CPU; the position is below the length.
    unsafe {
        add_local(
            (&raw mut (*times).buckets)
                .cast::<u64>()
                .add(bucket as usize),
            calls,
        );
        // Where another task may come between, its longer time may be lost here; its bucket tells.
        if ns > (*times).max {
            (*times).max = ns;
        }
    }
}

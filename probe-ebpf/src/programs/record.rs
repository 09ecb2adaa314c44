//! The records of the target's tasks: which one is the current task's, and what it says of the call that is under way.
//!
//! Labels are given and taken in label.rs.

use crate::atomics::{add, opaque, processor};
use crate::kernel::{regs, task};
use crate::maps::{CPU_CACHE, RECORDS, STATE, TASKS, config, open, state};
use procmon_probe_ebpf::abi::{
    CACHED_CPUS, CallKind, CpuCache, MAX_TASKS, NO_CONVENTION, TaskRecord,
};

/// The record of the current task; none for a task outside the target.
#[inline(always)]
pub(crate) fn current() -> Option<*mut TaskRecord> {
    in_slot(current_slot())
}

/// Slot of the current task; 0 for a task outside the target.
///
/// A cache per CPU answers for the task that ran last; a global epoch, changed by every change of
/// a label, makes it stale on all CPUs.
#[inline(always)]
pub(crate) fn current_slot() -> u64 {
    let task = task::current();
    let epoch = state!(epoch);
    match cache() {
        // SAFETY: the cache is this CPU's.
        Some(cache) => unsafe {
            if (*cache).task == task && (*cache).epoch == epoch {
                (*cache).slot
            } else {
                found(cache, task, 0, epoch)
            }
        },
        None => slot_of(task),
    }
}

/// Where the record of the current task is, for [`record_at`], by the address of its registers. None where the cache
/// does not know it, and [`look_up`] does.
///
/// A stack serves another task once its own has ended: `sched_process_exit` makes the cache stale.
#[inline(always)]
pub(crate) fn calling(cache: Option<*mut CpuCache>, regs: u64) -> Option<u64> {
    let cache = cache?;
    // SAFETY: the cache is this CPU's.
    unsafe { ((*cache).regs == regs && (*cache).epoch == state!(epoch)).then_some((*cache).record) }
}

/// The record at a place; none for a task outside the target, and while the window is not open.
#[inline(always)]
pub(crate) fn at(place: u64) -> Option<*mut TaskRecord> {
    let place = opaque(place);
    if place > size_of::<TaskRecord>() as u64 * u64::from(MAX_TASKS - 1) {
        return None;
    }
    // SAFETY: the place is that of a record.
    Some(unsafe {
        (&raw mut RECORDS)
            .byte_add(place as usize)
            .cast::<TaskRecord>()
    })
}

/// The place of a slot's record; beyond the last for slot 0.
#[inline(always)]
fn place_of(slot: u64) -> u64 {
    slot.wrapping_sub(1)
        .wrapping_mul(size_of::<TaskRecord>() as u64)
}

/// Slot of the current task by the table; 0 for a task outside the target, and while the window is not open. What
/// is found is kept only while it is open, and opening and closing change the epoch: what is kept need not ask.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn look_up(regs: u64) -> u64 {
    let task = task::current();
    let epoch = state!(epoch);
    if !open() {
        return 0;
    }
    let slot = match cache() {
        // SAFETY: the cache is this CPU's.
        Some(cache) => unsafe { found(cache, task, regs, epoch) },
        None => slot_of(task),
    };
    if let Some(record) = in_slot(slot) {
        // SAFETY: a map value of the current task.
        unsafe {
            (*record).regs = regs;
            (*record).convention_at = regs::convention_at(task, regs);
        }
    }
    slot
}

/// The cache of this CPU, which the last of many CPUs lack.
#[inline(always)]
pub(crate) fn cache() -> Option<*mut CpuCache> {
    let cpu = opaque(processor());
    if cpu >= CACHED_CPUS as u64 {
        return None;
    }
    // SAFETY: the position is below the length.
    Some(unsafe { (&raw mut CPU_CACHE).cast::<CpuCache>().add(cpu as usize) })
}

/// Slot of the current task by the table, put into the cache; the epoch is that before. Where another
/// task may run in the middle of this, the cache stays empty.
#[inline(always)]
unsafe fn found(cache: *mut CpuCache, task: u64, regs: u64, epoch: u64) -> u64 {
    let slot = slot_of(task);
    if config!(preemptible) == 0 {
        // SAFETY: the caller's: the cache is this CPU's.
        unsafe {
            (*cache).task = task;
            (*cache).regs = regs;
            (*cache).epoch = epoch;
            (*cache).slot = slot;
            (*cache).record = place_of(slot);
        }
    }
    slot
}

/// Slot of any task by the table; 0: it has none.
#[inline(always)]
pub(crate) fn slot_of(task: u64) -> u64 {
    // SAFETY: a slot number is copied out of the map.
    unsafe { TASKS.get(task) }.map_or(0, |slot| u64::from(*slot))
}

/// The record in a slot; none in slot 0.
#[inline(always)]
pub(crate) fn in_slot(slot: u64) -> Option<*mut TaskRecord> {
    at(place_of(slot))
}

/// The record of any task.
#[inline(always)]
pub(crate) fn of_task(task: u64) -> Option<*mut TaskRecord> {
    in_slot(slot_of(task))
}

/// Makes cached labels stale.
#[inline(always)]
pub(crate) fn make_stale() {
    // SAFETY: the static is a map's value.
    add(unsafe { &raw mut STATE.epoch }, 1);
}

/// The current process, of the target.
#[inline(always)]
pub(crate) fn current_tgid() -> u32 {
    // SAFETY: a map value of the current task.
    current().map_or(0, |record| unsafe { (*record).tgid })
}

#[inline(always)]
pub(crate) fn container_of(record: *mut TaskRecord) -> u32 {
    // SAFETY: a map value.
    unsafe { (*record).container }
}

/// The next call must be looked at anew.
#[inline(always)]
pub(crate) unsafe fn forget_call(record: *mut TaskRecord) {
    // SAFETY: the caller's: a map value of the current task.
    unsafe {
        (*record).convention = NO_CONVENTION;
        (*record).repeats = NO_CONVENTION;
    }
}

/// What the last call has kept of its descriptors.
#[inline(always)]
pub(crate) unsafe fn forget_descriptors(record: *mut TaskRecord) {
    // SAFETY: the caller's: a map value.
    unsafe {
        (*record).first_row = 0;
        (*record).second_row = 0;
        (*record).sockets = 0;
        (*record).sock = 0;
    }
}

/// A task that begins a call has returned from the last one, also when another task was in the middle
/// of the program that should have seen it.
#[inline(always)]
pub(crate) unsafe fn return_missed(record: *mut TaskRecord) {
    // SAFETY: the caller's: a map value of the current task.
    unsafe {
        (*record).returns += u64::from((*record).in_call != 0);
        (*record).in_call = 0;
    }
}

/// What must be done before the call runs.
#[inline(always)]
pub(crate) unsafe fn acts_at_entry(record: *mut TaskRecord) -> u8 {
    // SAFETY: the caller's: a map value. One byte is read faster than it is taken out of the word.
    unsafe { (*(&raw const (*record).kind).cast::<CallKind>()).at_entry }
}

/// What the call does, of `CALL_…`.
#[inline(always)]
pub(crate) unsafe fn kind_of(record: *mut TaskRecord) -> u8 {
    // SAFETY: the caller's: a map value.
    unsafe { (*(&raw const (*record).kind).cast::<CallKind>()).kind }
}

/// The task ends in the call that its record tells. Where a hook may be skipped, its registers say whether
/// that is so.
#[inline(always)]
pub(crate) unsafe fn ends_in_call(record: *mut TaskRecord) -> bool {
    // SAFETY: the caller's: a map value.
    unsafe {
        (*record).in_call != 0
            && (config!(preemptible) == 0
                || regs::number((*record).regs) as u32 == (*record).id as u32)
    }
}

//! Which tasks belong to the target: found once, kept by `task_struct`, dropped when it is freed.

use super::syscall;
use crate::kernel::{cgroup, cred, file, regs, task};
use crate::maps::{
    CGROUPS, CPU_CACHE, EXES, FREE_EXES, FREE_TASKS, RECORDS, STATE, TASKS, add, closed, config,
    emit, lost, opaque, open, processor, scratch, state, take,
};
use procmon_probe_ebpf::abi::{
    CACHED_CPUS, CGROUP_CONTAINER, CGROUP_LEVELS, CGROUP_POD, CpuCache, EVENT_EXE, ExeEvent,
    ExeKey, Loss, MAX_TASKS, NO_CONVENTION, OTHER_EXE, TASK_RUNTIME, TaskRecord,
};

/// What an insertion says of a key that is there already; include/uapi/asm-generic/errno-base.h.
pub(crate) const EEXIST: i64 = -17;

/// The record of the current task; none for a task outside the target.
#[inline(always)]
pub(crate) fn current() -> Option<*mut TaskRecord> {
    record(current_slot())
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
pub(crate) fn record_at(place: u64) -> Option<*mut TaskRecord> {
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
    if let Some(record) = record(slot) {
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
pub(crate) fn record(slot: u64) -> Option<*mut TaskRecord> {
    record_at(place_of(slot))
}

/// The record of any task.
#[inline(always)]
pub(crate) fn of(task: u64) -> Option<*mut TaskRecord> {
    record(slot_of(task))
}

/// Makes cached labels stale.
#[inline(always)]
pub(crate) fn changed() {
    // SAFETY: the static is a map's value.
    add(unsafe { &raw mut STATE.epoch }, 1);
}

/// Gives a task a label. Keeps the one that it has.
#[inline(always)]
pub(crate) fn insert(task: u64, container: u32, exe: u32, flags: u32) -> Option<*mut TaskRecord> {
    if closed() {
        return None;
    }
    let Some(slot) = take(&FREE_TASKS) else {
        lost(Loss::Tasks);
        return None;
    };
    let record = record(u64::from(slot))?;
    let cred = cred::of(task);
    // SAFETY: a map value that no task has yet.
    unsafe {
        *record = TaskRecord {
            container,
            exe,
            flags,
            uid: cred::uid(cred),
            gid: cred::gid(cred),
            caps: cred::effective(cred),
            permitted: cred::permitted(cred),
            convention: NO_CONVENTION,
            repeats: NO_CONVENTION,
            task,
            slot,
            tgid: task::tgid(task),
            ..TaskRecord::default()
        };
    }
    // BPF_NOEXIST: whoever came first knew at least as much.
    if let Err(error) = TASKS.insert(task, slot, 1) {
        if error as i64 != EEXIST {
            lost(Loss::Tasks);
        }
        let _ = FREE_TASKS.push(slot, 0);
        return None;
    }
    changed();
    Some(record)
}

/// Takes the label from a task.
#[inline(always)]
pub(crate) fn remove(task: u64) {
    if closed() {
        return;
    }
    let slot = slot_of(task);
    let Some(record) = record(slot) else { return };
    let _ = TASKS.remove(task);
    // SAFETY: a map value; nothing is counted by it any more.
    unsafe {
        syscall::left(record);
    }
    let _ = FREE_TASKS.push(slot as u32, 0);
    changed();
}

/// The container slot of a cgroup or of one above it.
#[inline(always)]
pub(crate) fn container_of(cgroup: u64) -> Option<u32> {
    container_plus_1(cgroup).checked_sub(1)
}

/// Container slot plus 1; 0 when there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn container_plus_1(cgroup: u64) -> u32 {
    let mut cgroup = cgroup;
    for _ in 0..CGROUP_LEVELS {
        if cgroup == 0 {
            return 0;
        }
        // SAFETY: an entry is copied out of the map.
        if let Some(entry) = unsafe { CGROUPS.get(cgroup::id(cgroup)) }.copied() {
            if entry.kind == CGROUP_CONTAINER {
                return entry.container + 1;
            }
            if entry.kind == CGROUP_POD {
                return 0;
            }
        }
        cgroup = cgroup::parent(cgroup);
    }
    0
}

/// The executable slot of a file in a container; announces it at first sight.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn exe_slot(buffer: u32, container: u32, exe_file: u64, tgid: u32) -> u32 {
    let inode = file::inode(exe_file);
    if inode == 0 {
        return OTHER_EXE;
    }
    let dentry = file::dentry(exe_file);
    let key = ExeKey {
        container,
        device: file::device(inode),
        inode: file::number(inode),
        parent: file::number(file::dentry_inode(file::parent(dentry))),
        name: file::name_hash(dentry),
    };
    // SAFETY: a slot number is copied out of the map.
    if let Some(slot) = unsafe { EXES.get(key) }.copied() {
        return slot;
    }
    let Some(slot) = take(&FREE_EXES) else {
        lost(Loss::Exes);
        return OTHER_EXE;
    };
    let start = size_of::<ExeEvent>() as u64;
    let mount = file::mount(exe_file);
    let end = crate::kernel::path::names(buffer, start, mount, dentry);
    let Some(buffer) = scratch(buffer) else {
        return OTHER_EXE;
    };
    let event = buffer.cast::<ExeEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        (*event).kind = EVENT_EXE;
        (*event).exe = slot;
        (*event).container = container;
        (*event).tgid = tgid;
        file::meta(inode, dentry, mount, &raw mut (*event).meta);
        (*event).meta.flags |= (end >> 32) as u32;
        (*event).path_len = (end as u32).wrapping_sub(start as u32);
        (*event).pad = 0;
    }
    if !emit(buffer, (end & 0xffff_ffff) as usize, Loss::RingProcess) {
        let _ = FREE_EXES.push(slot, 0);
        lost(Loss::Exes);
        return OTHER_EXE;
    }
    // Two CPUs may come here at once: both slots are announced with the same path.
    if EXES.insert(key, slot, 0).is_err() {
        lost(Loss::Exes);
    }
    slot
}

/// The flag that a task entering a container has until it executes the container's program.
pub(crate) const ENTERING: u32 = TASK_RUNTIME
    | procmon_probe_ebpf::abi::TASK_ENTERED
    | procmon_probe_ebpf::abi::TASK_MAY_BE_IN_CALL;

/// Labels a task that comes into a container by its cgroup.
#[inline(always)]
pub(crate) fn enter(buffer: u32, task: u64, container: u32, flags: u32) -> Option<*mut TaskRecord> {
    let exe = exe_slot(buffer, container, task::exe_file(task), task::tgid(task));
    insert(task, container, exe, flags)
}

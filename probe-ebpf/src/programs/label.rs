//! Which tasks belong to the target: found once, kept by `task_struct`, dropped when it is freed.

use crate::kernel::{cgroup, cred, file, task};
use crate::maps::{
    CGROUPS, CPU_CACHE, EXES, FREE_EXES, FREE_TASKS, RECORDS, STATE, TASKS, add, config, emit,
    lost, opaque, scratch, state, take,
};
use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use procmon_probe_ebpf::abi::{
    CACHED_CPUS, CGROUP_CONTAINER, CGROUP_LEVELS, CGROUP_POD, CpuCache, EVENT_EXE, ExeEvent,
    ExeKey, Loss, NO_EXE, OTHER_EXE, TASK_RUNTIME, TaskRecord,
};

/// What an insertion says of a key that is there already; include/uapi/asm-generic/errno-base.h.
pub(crate) const EEXIST: i64 = -17;

/// The record of the current task; none for a task outside the target.
///
/// A cache per CPU answers for the task that ran last; a global epoch, changed by every change of
/// a label, makes it stale on all CPUs.
#[inline(always)]
pub(crate) fn current() -> Option<*mut TaskRecord> {
    of_current(task::current())
}

/// The same, where the current task is known already.
#[inline(always)]
pub(crate) fn of_current(task: u64) -> Option<*mut TaskRecord> {
    let epoch = state!(epoch);
    // SAFETY: the helper takes no argument.
    let cpu = opaque(u64::from(unsafe { bpf_get_smp_processor_id() }));
    if cpu >= CACHED_CPUS as u64 || config!(preemptible) != 0 {
        return of(task);
    }
    // SAFETY: the part of this CPU; the position is below the length.
    unsafe {
        let cache = (&raw mut CPU_CACHE).cast::<CpuCache>().add(cpu as usize);
        let slot = if (*cache).task == task && (*cache).epoch == epoch {
            (*cache).slot
        } else {
            let slot = TASKS.get(task).map_or(0, |slot| *slot + 1);
            (*cache).slot = slot;
            (*cache).epoch = epoch;
            (*cache).task = task;
            slot
        };
        if slot == 0 {
            return None;
        }
        RECORDS.get_ptr_mut(slot - 1)
    }
}

/// The record of any task.
#[inline(always)]
pub(crate) fn of(task: u64) -> Option<*mut TaskRecord> {
    // SAFETY: a slot number is copied out of the map.
    let slot = unsafe { TASKS.get(task) }.copied()?;
    RECORDS.get_ptr_mut(slot)
}

/// Makes cached labels stale.
#[inline(always)]
fn changed() {
    // SAFETY: the static is a map's value.
    add(unsafe { &raw mut STATE.epoch }, 1);
}

/// Gives a task a label. Keeps the one that it has.
#[inline(always)]
pub(crate) fn insert(task: u64, container: u32, exe: u32, flags: u32) -> Option<*mut TaskRecord> {
    let Some(slot) = take(&FREE_TASKS) else {
        lost(Loss::Tasks);
        return None;
    };
    let record = RECORDS.get_ptr_mut(slot)?;
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
            live: 1,
            row_exe: NO_EXE,
            ..TaskRecord::default()
        };
    }
    // BPF_NOEXIST: whoever came first knew at least as much.
    if let Err(error) = TASKS.insert(task, slot, 1) {
        if error as i64 != EEXIST {
            lost(Loss::Tasks);
        }
        // SAFETY: as above.
        unsafe { (*record).live = 0 };
        let _ = FREE_TASKS.push(slot, 0);
        return None;
    }
    changed();
    Some(record)
}

/// Takes the label from a task.
#[inline(always)]
pub(crate) fn remove(task: u64) {
    // SAFETY: a slot number is copied out of the map.
    let Some(slot) = (unsafe { TASKS.get(task) }).copied() else {
        return;
    };
    let _ = TASKS.remove(task);
    if let Some(record) = RECORDS.get_ptr_mut(slot) {
        // SAFETY: a map value; its task is gone.
        unsafe { (*record).live = 0 };
    }
    let _ = FREE_TASKS.push(slot, 0);
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

/// Labels a task by its cgroup when it belongs to a container of the target.
#[inline(always)]
pub(crate) fn by_cgroup(
    buffer: u32,
    task: u64,
    cgroup: u64,
    flags: u32,
) -> Option<*mut TaskRecord> {
    let container = container_of(cgroup)?;
    let exe = exe_slot(buffer, container, task::exe_file(task), task::tgid(task));
    insert(task, container, exe, flags)
}

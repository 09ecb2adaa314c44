//! Which tasks belong to the target: found once, kept by `task_struct`, dropped when it is freed.

use crate::atomics::{lost, take};
use crate::kernel::{cgroup, cred, task};
use crate::maps::{CGROUPS, FREE_TASKS, TASKS, closed, value};
use crate::programs::record::Task;
use crate::programs::{executables, record, settle};
use procmon_probe_ebpf::abi::{
    CGROUP_CONTAINER, CGROUP_LEVELS, CGROUP_POD, Loss, NO_CONVENTION, TASK_RUNTIME, TaskRecord,
};

/// Error of an insertion when the key is there already; include/uapi/asm-generic/errno-base.h.
pub(crate) const EEXIST: i64 = -17;

/// Gives a task a label. Keeps the one that it has.
#[inline(always)]
pub(crate) fn insert(task_struct: u64, container: u32, exe: u32, flags: u32) -> Option<Task> {
    if closed() {
        return None;
    }
    let Some(slot) = take(&FREE_TASKS) else {
        lost(Loss::Tasks);
        return None;
    };
    let task = Task::in_slot(u64::from(slot))?;
    let cred = cred::of(task_struct);
    task.fill(TaskRecord {
        container,
        exe,
        flags,
        uid: cred::uid(cred),
        gid: cred::gid(cred),
        caps: cred::effective(cred),
        permitted: cred::permitted(cred),
        convention: NO_CONVENTION,
        repeats: NO_CONVENTION,
        task: task_struct,
        slot,
        tgid: task::tgid(task_struct),
        ..TaskRecord::default()
    });
    // BPF_NOEXIST: whoever came first knew at least as much.
    if let Err(error) = TASKS.insert(task_struct, slot, 1) {
        if error as i64 != EEXIST {
            lost(Loss::Tasks);
        }
        let _ = FREE_TASKS.push(slot, 0);
        return None;
    }
    record::make_stale();
    Some(task)
}

/// Takes the label from a task.
#[inline(always)]
pub(crate) fn remove(task_struct: u64) {
    if closed() {
        return;
    }
    let slot = record::slot_of(task_struct);
    let Some(task) = Task::in_slot(slot) else {
        return;
    };
    let _ = TASKS.remove(task_struct);
    // Nothing is counted by it any more.
    settle::all(task);
    let _ = FREE_TASKS.push(slot as u32, 0);
    record::make_stale();
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
        if let Some(entry) = value(&CGROUPS, cgroup::id(cgroup)) {
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

/// The flag that a task entering a container has until it executes the container's program.
pub(crate) const ENTERING: u32 = TASK_RUNTIME
    | procmon_probe_ebpf::abi::TASK_ENTERED
    | procmon_probe_ebpf::abi::TASK_MAY_BE_IN_CALL;

/// Labels a task that comes into a container by its cgroup.
#[inline(always)]
pub(crate) fn enter(buffer: u32, task: u64, container: u32, flags: u32) -> Option<Task> {
    let exe = executables::exe_slot(
        buffer,
        container,
        task::exe_file(task).address(),
        task::tgid(task),
    );
    insert(task, container, exe, flags)
}

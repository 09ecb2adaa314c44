//! Processes: fork, exec, exit, cgroup moves, and the scan for those that run already.
//!
//! Hooks (tp_btf): task_newtask(task, clone_flags), sched_process_exec(task, old_pid, bprm),
//! sched_process_exit(task, …), sched_process_free(task), cgroup_attach_task(dst_cgrp, path, task,
//! threadgroup), cgroup_mkdir(cgrp, path): the same in 5.10 … 7.x. Iterators: task and task_file, since 5.8.

use super::{event, file as files, label, network};
use crate::kernel::{alone, cgroup, cred, file, number_at, number_copied, number_of, read, task};
use crate::maps::{
    CGROUPS, FREE_CONTAINERS, NAME_BYTES, ROOTS, SCRATCH_MASK, add_local, closed, config, emit,
    lost, offset, open, scratch, state, take,
};
use aya_ebpf::helpers::generated::{
    bpf_ktime_get_ns, bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_seq_write,
};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use procmon_probe_ebpf::abi::{
    CGROUP_CONTAINER, CGROUP_LEVELS, CGROUP_NAME, CGROUP_POD, CgroupEntry, ContainerEvent,
    EVENT_CONTAINER, EVENT_EXEC, EVENT_EXIT, EVENT_FORK, ExecEvent, HeldSocket, ListedTask, Loss,
    MAX_ARGV, NO_CONTAINER, ProcessEvent, SCAN_LABEL, SENTINEL_CONTAINER, TASK_BORN_BEFORE,
    TASK_ENTERED, TASK_MAY_BE_IN_CALL, TASK_NEW, TASK_PENDING, TASK_ROLLED_BACK, TASK_RUNTIME,
    TaskRecord,
};

const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Flags of a task that its children do not have.
const OWN: u32 = TASK_MAY_BE_IN_CALL | TASK_BORN_BEFORE | TASK_NEW;
/// Flags of clone that make namespaces: NEWTIME can't be given to clone.
const CLONE_NEW: u64 = 0x7e02_0000;

/// Announces the beginning or the end of a process.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn announce(buffer: u32, kind: u32, task: u64) -> u32 {
    let Some(record) = label::of(task) else {
        return 0;
    };
    let Some(buffer) = scratch(buffer) else {
        return 0;
    };
    let event = buffer.cast::<ProcessEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        fill(event, kind, task, record);
        if kind == EVENT_EXIT {
            (*event).status = task::exit_status(task);
        }
    }
    emit(buffer, size_of::<ProcessEvent>(), Loss::RingProcess);
    0
}

/// Writes what all records of processes share.
#[inline(always)]
unsafe fn fill(event: *mut ProcessEvent, kind: u32, task: u64, record: *mut TaskRecord) {
    // SAFETY: the caller's.
    unsafe {
        (*event).kind = kind;
        (*event).container = (*record).container;
        (*event).exe = (*record).exe;
        (*event).flags = (*record).flags;
        (*event).tgid = task::tgid(task);
        (*event).parent_tgid = task::parent_tgid(task);
        (*event).status = 0;
        (*event).pad = 0;
        (*event).time = bpf_ktime_get_ns();
        // What holds of a process holds of its first thread: credentials are each thread's own.
        let speaks = if kind == EVENT_EXIT {
            task::leader(task)
        } else {
            task
        };
        cred::privileges(speaks, &raw mut (*event).privileges);
    }
}

#[btf_tracepoint(function = "task_newtask")]
fn on_task_newtask(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let child: *const u8 = ctx.arg(0);
        let flags: u64 = ctx.arg(1);
        let _ = newtask(number_of(child), flags);
    });
    0
}

#[inline(always)]
fn newtask(child: u64, clone_flags: u64) -> Option<()> {
    if closed() {
        return None;
    }
    // Where the end of a task was not seen, its memory may serve a new one, which is another task.
    label::remove(child);
    let born = if open() { TASK_NEW } else { TASK_BORN_BEFORE };
    let entered = if clone_flags & CLONE_INTO_CGROUP != 0 && config!(tree) == 0 {
        label::container_of(cgroup::of(child))
    } else {
        None
    };
    if let Some(container) = entered {
        label::enter(0, child, container, TASK_ENTERED | TASK_RUNTIME | born)?;
    } else {
        // A child that is made outside stays its parent's, as one that leaves would.
        let parent = label::current()?;
        // SAFETY: a map value.
        let (container, exe, flags) =
            unsafe { ((*parent).container, (*parent).exe, (*parent).flags) };
        label::insert(child, container, exe, flags & !OWN | born)?;
    }
    if clone_flags & CLONE_THREAD == 0 {
        announce(0, EVENT_FORK, child);
        if clone_flags & CLONE_NEW != 0 && open() {
            event::namespaces_made(clone_flags);
        }
    }
    Some(())
}

#[inline(always)]
fn container_slot(record: *mut TaskRecord) -> u32 {
    // SAFETY: a map value.
    unsafe { (*record).container }
}

#[btf_tracepoint(function = "sched_process_exec")]
fn on_sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let task: *const u8 = ctx.arg(0);
        let bprm: *const u8 = ctx.arg(2);
        let _ = exec(number_of(task), number_of(bprm));
    });
    0
}

#[inline(always)]
fn exec(task: u64, bprm: u64) -> Option<()> {
    if closed() {
        return None;
    }
    let record = label::of(task)?;
    let program: u64 = read(bprm, offset!(bprm_file));
    let script =
        read::<u64>(bprm, offset!(bprm_filename)) != read::<u64>(bprm, offset!(bprm_interp));
    let tgid = task::tgid(task);
    // SAFETY: a map value of the current task.
    let (container, caller, flags) =
        unsafe { ((*record).container, (*record).exe, (*record).flags) };
    let exe = label::exe_slot(0, container, program, tgid);
    // SAFETY: as above.
    unsafe {
        (*record).exe = exe;
        super::syscall::forget_call(record);
        // `TASK_ENTERED` stays: user space learns from it who came by `exec`.
        (*record).flags = flags & !(TASK_RUNTIME | TASK_PENDING);
    }
    exec_event(task, flags, u32::from(script));
    if open() {
        let user = if flags & TASK_PENDING != 0 {
            // The command's own first program: as strace shows it, the call is the program's.
            super::syscall::begin_exec(record);
            exe
        } else {
            caller
        };
        files::executed(user, program, if script { bprm } else { 0 });
        event::memory_executed(program);
        event::credentials_changed(task);
    }
    Some(())
}

/// Announces an executed program, with its arguments and working directory.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn exec_event(task: u64, flags: u32, script: u32) -> u32 {
    let Some(record) = label::of(task) else {
        return 0;
    };
    let Some(buffer) = scratch(0) else { return 0 };
    let mm: u64 = read(task, offset!(task_mm));
    let start: u64 = read(mm, offset!(mm_arg_start));
    let full = read::<u64>(mm, offset!(mm_arg_end)).wrapping_sub(start);
    let wanted = if full >= MAX_ARGV as u64 {
        MAX_ARGV as u64 - 1
    } else {
        full
    };
    let head = size_of::<ExecEvent>();
    let event = buffer.cast::<ExecEvent>();
    // SAFETY: the buffer is larger than the record and the longest arguments, and nothing else uses it.
    unsafe {
        fill(&raw mut (*event).process, EVENT_EXEC, task, record);
        (*event).process.flags = flags;
        (*event).script = script;
        (*event).argv_full = full as u32;
        (*event).uid_before = (*record).uid;
        (*event).gid_before = (*record).gid;
        (*event).effective_before = (*record).caps;
        (*event).permitted_before = (*record).permitted;
        let wanted = wanted & (MAX_ARGV as u64 - 1);
        let failed = bpf_probe_read_user(
            (*buffer).bytes.as_mut_ptr().add(head).cast(),
            wanted as u32,
            start as *const _,
        ) != 0;
        let argv_len = if failed { 0 } else { wanted };
        (*event).argv_len = argv_len as u32;
        let from = head as u64 + argv_len;
        let fs: u64 = read(task, offset!(task_fs));
        let mount: u64 = read(fs, offset!(fs_pwd) + offset!(path_mnt));
        let dentry: u64 = read(fs, offset!(fs_pwd) + offset!(path_dentry));
        let end = crate::kernel::path::names(0, from, mount, dentry);
        let complete = end >> 32 == 0;
        let end = if complete { end } else { from };
        (*event).cwd_len = if complete {
            (end - from) as u32
        } else {
            u32::MAX
        };
        emit(buffer, (end & 0xffff_ffff) as usize, Loss::RingProcess);
    }
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
fn on_sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let task: *const u8 = ctx.arg(0);
        let _ = exit(number_of(task));
    });
    0
}

#[inline(always)]
fn exit(task: u64) -> Option<()> {
    if closed() {
        return None;
    }
    let record = label::of(task)?;
    // Its stack, by which the cache knows it, is another task's soon.
    label::changed();
    // SAFETY: a map value of the current task.
    unsafe {
        let rolled_back = (*record).flags & TASK_ROLLED_BACK != 0;
        let in_call = super::syscall::ends_in_call(record);
        if let Some(row) = super::syscall::left(record)
            && (in_call || rolled_back)
        {
            add_local(&raw mut (*row).no_return, 1);
            if rolled_back {
                // Killed in it: it never began anew. Another CPU may hold the 1 that goes here, the
                // sum is right.
                add_local(&raw mut (*row).restarted, u64::MAX);
            }
            (*record).flags &= !TASK_ROLLED_BACK;
        }
    }
    // The last thread speaks for the process; of two that end at once both may.
    if task::live_threads(task) == 0 {
        announce(0, EVENT_EXIT, task);
    }
    Some(())
}

#[btf_tracepoint(function = "sched_process_free")]
fn on_sched_process_free(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let task: *const u8 = ctx.arg(0);
        label::remove(number_at(task, 3));
    });
    0
}

#[btf_tracepoint(function = "cgroup_attach_task")]
fn on_cgroup_attach_task(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let to: *const u8 = ctx.arg(0);
        let task: *const u8 = ctx.arg(2);
        let _ = attached(number_of(to), number_of(task));
    });
    0
}

/// The hierarchy is the one that names containers: numbers of cgroups are unique within one only.
#[inline(always)]
fn is_ours(cgroup: u64) -> bool {
    cgroup::hierarchy(cgroup) == config!(cgroup_hierarchy)
}

#[inline(always)]
fn attached(to: u64, task: u64) -> Option<()> {
    if config!(tree) != 0 || !is_ours(to) {
        return None;
    }
    // Who leaves is watched on: leaving would be the easiest way out of sight.
    let container = label::container_of(to)?;
    if let Some(record) = label::of(task) {
        let here = container_slot(record);
        if here == SENTINEL_CONTAINER || container == here {
            return None;
        }
        label::remove(task);
    }
    label::enter(0, task, container, label::ENTERING)?;
    if task::is_leader(task) {
        announce(0, EVENT_FORK, task);
    }
    Some(())
}

#[btf_tracepoint(function = "cgroup_mkdir")]
fn on_cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let made: *const u8 = ctx.arg(0);
        let _ = container_made(number_of(made));
    });
    0
}

/// A cgroup right below a pod of the target is a new container.
#[inline(always)]
fn container_made(made: u64) -> Option<()> {
    if !is_ours(made) {
        return None;
    }
    let pod = cgroup::id(cgroup::parent(made));
    // SAFETY: an entry is copied out of the map.
    let entry = unsafe { CGROUPS.get(pod) }.copied()?;
    if entry.kind != CGROUP_POD {
        return None;
    }
    let buffer = scratch(0)?;
    let Some(container) = take(&FREE_CONTAINERS) else {
        lost(Loss::Containers);
        return None;
    };
    let entry = CgroupEntry {
        kind: CGROUP_CONTAINER,
        container,
    };
    if let Err(error) = CGROUPS.insert(cgroup::id(made), entry, 1) {
        if error as i64 != label::EEXIST {
            lost(Loss::Containers);
        }
        let _ = FREE_CONTAINERS.push(container, 0);
        return None;
    }
    let event = buffer.cast::<ContainerEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        (*event).kind = EVENT_CONTAINER;
        (*event).container = container;
        (*event).time = bpf_ktime_get_ns();
        (*event).pod_cgroup = pod;
        bpf_probe_read_kernel_str(
            (&raw mut (*event).name).cast(),
            CGROUP_NAME as u32,
            cgroup::name(made) as *const _,
        );
    }
    // Nobody could tell whose the counts of a slot without a name are.
    if !emit(buffer, size_of::<ContainerEvent>(), Loss::RingProcess) {
        lost(Loss::Containers);
    }
    Some(())
}

/// Runs once for each task, and once more with none: lists processes, or labels tasks.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn scan_tasks(ctx: *mut core::ffi::c_void) -> i32 {
    let ctx = aya_ebpf::programs::BtfTracePointContext::new(ctx);
    let meta: *const u8 = ctx.arg(0);
    let task: *const u8 = ctx.arg(1);
    if task.is_null() {
        return 0;
    }
    // SAFETY: `struct bpf_iter_meta` begins with the seq_file; the verifier knows its type.
    let seq = unsafe { *meta.cast::<*mut core::ffi::c_void>() };
    if state!(scan) == SCAN_LABEL {
        let _ = label_found(number_copied(task));
    } else {
        let _ = list(seq, number_copied(task));
    }
    0
}

/// Runs once for each descriptor of each task, and once more with none: writes what the target listens on, and who
/// holds an io_uring.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
fn scan_files(ctx: *mut core::ffi::c_void) -> i32 {
    let ctx = aya_ebpf::programs::BtfTracePointContext::new(ctx);
    let meta: *const u8 = ctx.arg(0);
    let task: *const u8 = ctx.arg(1);
    // Between them the number of the descriptor.
    let opened: *const u8 = ctx.arg(3);
    if task.is_null() || opened.is_null() {
        return 0;
    }
    // SAFETY: as above.
    let seq = unsafe { *meta.cast::<*mut core::ffi::c_void>() };
    let _ = list_file(seq, number_copied(task), number_copied(opened));
    0
}

#[inline(always)]
fn list_file(seq: *mut core::ffi::c_void, task: u64, opened: u64) -> Option<()> {
    let record = label::of(task)?;
    // SAFETY: a map value.
    let (exe, tgid) = unsafe { ((*record).exe, (*record).tgid) };
    let inode = file::inode(opened);
    let buffer = scratch(1)?;
    if file::is_socket(file::mode(inode)) {
        if network::held(exe, opened, tgid) == 0 {
            return None;
        }
    } else if file::is_ring(inode, opened) {
        let held = buffer.cast::<HeldSocket>();
        // SAFETY: the buffer is larger than the record, and only iterators use it.
        unsafe {
            core::ptr::write_bytes(held, 0, 1);
            (*held).tgid = tgid;
            (*held).is_ring = 1;
        }
    } else {
        return None;
    }
    // SAFETY: as above.
    unsafe { bpf_seq_write(seq.cast(), buffer.cast(), size_of::<HeldSocket>() as u32) };
    Some(())
}

#[inline(always)]
fn label_found(task: u64) -> Option<()> {
    // A process that has ended and waits for its parent does nothing any more.
    if label::of(task).is_some() || task::live_threads(task) == 0 {
        return None;
    }
    let tgid = task::tgid(task);
    // SAFETY: a slot number is copied out of the map.
    let (container, flags) = match unsafe { ROOTS.get(tgid) }.copied() {
        Some(value) if value & 0xffff == NO_CONTAINER => return None,
        Some(value) => (value & 0xffff, value >> 16),
        None if config!(tree) == 0 => (label::container_of(cgroup::of(task))?, 0),
        None => return None,
    };
    let exe = label::exe_slot(1, container, task::exe_file(task), tgid);
    label::insert(task, container, exe, flags | TASK_MAY_BE_IN_CALL)?;
    if task::is_released(task) {
        // sched_process_free may have come before: nothing else would take the label away, and
        // another task will have this address.
        label::remove(task);
        return None;
    }
    if task::is_leader(task) {
        announce(1, EVENT_FORK, task);
    }
    Some(())
}

#[inline(always)]
fn list(seq: *mut core::ffi::c_void, task: u64) -> Option<()> {
    if !task::is_leader(task) {
        return None;
    }
    let buffer = scratch(1)?;
    let listed = buffer.cast::<ListedTask>();
    let mut cgroup = cgroup::of(task);
    let mut levels = 0;
    // SAFETY: the buffer is larger than the record, and only scans use it.
    unsafe {
        (*listed).tgid = task::tgid(task);
        (*listed).parent_tgid = task::parent_tgid(task);
        (*listed).kernel_thread = u32::from(task::is_kernel_thread(task));
        for level in 0..CGROUP_LEVELS {
            if cgroup == 0 {
                break;
            }
            let entry = &raw mut (*listed).cgroups[level];
            (*entry).id = cgroup::id(cgroup);
            (*entry).name[0] = 0;
            bpf_probe_read_kernel_str(
                (&raw mut (*entry).name).cast(),
                CGROUP_NAME as u32,
                cgroup::name(cgroup) as *const _,
            );
            levels += 1;
            cgroup = cgroup::parent(cgroup);
        }
        (*listed).n_levels = levels;
        bpf_seq_write(seq.cast(), buffer.cast(), size_of::<ListedTask>() as u32);
    }
    Some(())
}

/// The current process, of the target.
#[inline(always)]
pub(crate) fn current_tgid() -> u32 {
    // SAFETY: a map value of the current task.
    label::current().map_or(0, |record| unsafe { (*record).tgid })
}

const _: () = assert!(size_of::<ExecEvent>() + MAX_ARGV + NAME_BYTES < SCRATCH_MASK);

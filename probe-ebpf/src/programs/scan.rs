//! The scan for the tasks, listeners and rings that were there before the window.
//!
//! Iterators: task and task_file, since 5.8. Unlike in most tracepoints, another task may run meanwhile.

use crate::kernel::file::KernelFile;
use crate::kernel::hook::number_copied;
use crate::kernel::{cgroup, task};
use crate::maps::{ROOTS, config, state, value};
use crate::programs::network::listeners;
use crate::programs::record::Task;
use crate::programs::{executables, label, process};
use crate::scratch::{OF_ITERATORS, scratch};
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_seq_write};
use procmon_probe_ebpf::abi::{
    CGROUP_LEVELS, CGROUP_NAME, EVENT_FORK, HeldSocket, ListedTask, NO_CONTAINER, SCAN_LABEL,
    TASK_MAY_BE_IN_CALL,
};

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

/// Runs once for each descriptor of each task, and once more with none: writes what the target listens on,
/// and who holds an io_uring.
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
    let _ = list_file(
        seq,
        number_copied(task),
        KernelFile::at(number_copied(opened)),
    );
    0
}

#[inline(always)]
fn list_file(seq: *mut core::ffi::c_void, task_struct: u64, opened: KernelFile) -> Option<()> {
    let task = Task::of(task_struct)?;
    let (exe, tgid) = (task.exe(), task.tgid());
    let inode = opened.inode();
    let buffer = scratch(OF_ITERATORS)?;
    if inode.is_socket() {
        if listeners::held(exe, opened.address(), tgid) == 0 {
            return None;
        }
    } else if opened.is_io_uring(inode) {
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
    if Task::of(task).is_some() || task::live_threads(task) == 0 {
        return None;
    }
    let tgid = task::tgid(task);
    let (container, flags) = match value(&ROOTS, tgid) {
        Some(value) if value & 0xffff == NO_CONTAINER => return None,
        Some(value) => (value & 0xffff, value >> 16),
        None if config!(tree) == 0 => (label::container_of(cgroup::of(task))?, 0),
        None => return None,
    };
    let exe = executables::exe_slot(
        OF_ITERATORS,
        container,
        task::exe_file(task).address(),
        tgid,
    );
    label::insert(task, container, exe, flags | TASK_MAY_BE_IN_CALL)?;
    if task::is_released(task) {
        // sched_process_free may have come before: nothing else would take the label away, and
        // another task will have this address.
        label::remove(task);
        return None;
    }
    if task::is_leader(task) {
        process::announce(OF_ITERATORS, EVENT_FORK, task);
    }
    Some(())
}

#[inline(always)]
fn list(seq: *mut core::ffi::c_void, task: u64) -> Option<()> {
    if !task::is_leader(task) {
        return None;
    }
    let buffer = scratch(OF_ITERATORS)?;
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

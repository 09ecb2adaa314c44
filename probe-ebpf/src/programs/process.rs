//! Processes: fork, exec, exit and cgroup moves.
//!
//! Hooks (tp_btf): task_newtask(task, clone_flags), sched_process_exec(task, old_pid, bprm),
//! sched_process_exit(task, …), sched_process_free(task), cgroup_attach_task(dst_cgrp, path, task,
//! threadgroup), cgroup_mkdir(cgrp, path): the same in 5.10 … 7.x.

use crate::atomics::{add_local, lost, take};
use crate::kernel::clock;
use crate::kernel::hook::{alone, number_at, number_of};
use crate::kernel::memory::read;
use crate::kernel::sock::Sk;
use crate::kernel::{cgroup, cred, path, task};
use crate::maps::{
    CGROUPS, FREE_CONTAINERS, NAME_BYTES, SCRATCH_MASK, closed, config, offset, open, value,
};
use crate::programs::file::executed;
use crate::programs::label::{self, EEXIST, ENTERING};
use crate::programs::record::Task;
use crate::programs::{event, executables, record, settle, syscall};
use crate::scratch::{OF_CALLS, OF_ITERATORS, emit, scratch};
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use procmon_probe_ebpf::abi::{
    CGROUP_CONTAINER, CGROUP_NAME, CGROUP_POD, CgroupEntry, ContainerEvent, EVENT_CONTAINER,
    EVENT_EXEC, EVENT_EXIT, EVENT_FORK, ExecEvent, Loss, MAX_ARGV, ProcessEvent,
    SENTINEL_CONTAINER, Stream, Streams, TASK_BORN_BEFORE, TASK_ENTERED, TASK_MAY_BE_IN_CALL,
    TASK_NEW, TASK_PENDING, TASK_ROLLED_BACK, TASK_RUNTIME,
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
pub(crate) extern "C" fn announce(index: u32, kind: u32, task_struct: u64) -> u32 {
    let Some(task) = Task::of(task_struct) else {
        return 0;
    };
    let Some(buffer) = scratch(index) else {
        return 0;
    };
    let event = buffer.cast::<ProcessEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        fill(event, kind, task_struct, task);
        if kind == EVENT_EXIT {
            (*event).status = task::exit_status(task_struct);
        }
    }
    // A child that is forked has those of its parent.
    if kind == EVENT_EXIT || index == OF_ITERATORS {
        streams(index, task_struct);
    }
    emit(buffer, size_of::<ProcessEvent>(), Loss::RingProcess);
    0
}

/// Writes what all records of processes share.
#[inline(always)]
unsafe fn fill(event: *mut ProcessEvent, kind: u32, task_struct: u64, task: Task) {
    // SAFETY: the caller's.
    unsafe {
        (*event).kind = kind;
        (*event).container = task.container();
        (*event).exe = task.exe();
        (*event).flags = task.flags();
        (*event).tgid = task::tgid(task_struct);
        (*event).parent_tgid = task::parent_tgid(task_struct);
        (*event).status = 0;
        (*event).pad = 0;
        (*event).streams = Streams::default();
        (*event).time = clock::now();
        // The first thread stands for its process: credentials are each thread's own.
        let speaks = if kind == EVENT_EXIT {
            task::leader(task_struct)
        } else {
            task_struct
        };
        cred::privileges(speaks, &raw mut (*event).privileges);
    }
}

/// Writes the standard streams of a process into the record of a buffer.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn streams(index: u32, task_struct: u64) -> u32 {
    let files = task::files(task_struct);
    let Some(buffer) = scratch(index) else {
        return 0;
    };
    if files == 0 {
        return 0;
    }
    let event = buffer.cast::<ProcessEvent>();
    for descriptor in 0..3 {
        let opened = task::file_in(files, descriptor);
        let inode = opened.inode();
        let kind = if opened.is_none() {
            Stream::Closed
        } else if inode.is_socket() {
            Sk::of_socket(opened.socket()).stream()
        } else {
            inode.stream()
        };
        // SAFETY: the buffer is larger than the record, and nothing else uses it.
        unsafe {
            let streams = &raw mut (*event).streams;
            (*streams).kinds[descriptor as usize] = kind.number();
            if matches!(kind, Stream::Pipe | Stream::Fifo) {
                (*streams).pipes[descriptor as usize] = inode.number() as u32;
            }
        }
    }
    0
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
        label::enter(
            OF_CALLS,
            child,
            container,
            TASK_ENTERED | TASK_RUNTIME | born,
        )?;
    } else {
        // A child that is made outside stays its parent's, as one that leaves would.
        let parent = Task::current()?;
        let (container, exe, flags) = (parent.container(), parent.exe(), parent.flags());
        label::insert(child, container, exe, flags & !OWN | born)?;
    }
    if clone_flags & CLONE_THREAD == 0 {
        announce(OF_CALLS, EVENT_FORK, child);
        if clone_flags & CLONE_NEW != 0 && open() {
            event::namespaces_made(clone_flags);
        }
    }
    Some(())
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
fn exec(task_struct: u64, bprm: u64) -> Option<()> {
    if closed() {
        return None;
    }
    let task = Task::of(task_struct)?;
    let program: u64 = read(bprm, offset!(bprm_file));
    let script =
        read::<u64>(bprm, offset!(bprm_filename)) != read::<u64>(bprm, offset!(bprm_interp));
    let tgid = task::tgid(task_struct);
    let (container, caller, flags) = (task.container(), task.exe(), task.flags());
    let exe = executables::exe_slot(OF_CALLS, container, program, tgid);
    task.set_exe(exe);
    task.forget_call();
    // `TASK_ENTERED` stays: user space learns from it who came by `exec`.
    task.set_flags(flags & !(TASK_RUNTIME | TASK_PENDING));
    exec_event(task_struct, flags, u32::from(script));
    if open() {
        let user = if flags & TASK_PENDING != 0 {
            // The command's own first program: as strace shows it, the call is the program's.
            syscall::begin_exec(task);
            exe
        } else {
            caller
        };
        executed::executed(user, program, if script { bprm } else { 0 });
        event::memory_executed(program);
        event::credentials_changed(task_struct);
    }
    Some(())
}

/// Announces an executed program, with its arguments and working directory.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn exec_event(task_struct: u64, flags: u32, script: u32) -> u32 {
    let Some(task) = Task::of(task_struct) else {
        return 0;
    };
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let mm: u64 = read(task_struct, offset!(task_mm));
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
        fill(&raw mut (*event).process, EVENT_EXEC, task_struct, task);
        streams(OF_CALLS, task_struct);
        (*event).process.flags = flags;
        (*event).script = script;
        (*event).argv_full = full as u32;
        (*event).uid_before = task.uid();
        (*event).gid_before = task.gid();
        (*event).effective_before = task.caps();
        (*event).permitted_before = task.permitted();
        let wanted = wanted & (MAX_ARGV as u64 - 1);
        let failed = bpf_probe_read_user(
            (*buffer).bytes.as_mut_ptr().add(head).cast(),
            wanted as u32,
            start as *const _,
        ) != 0;
        let argv_len = if failed { 0 } else { wanted };
        (*event).argv_len = argv_len as u32;
        let from = head as u64 + argv_len;
        let fs: u64 = read(task_struct, offset!(task_fs));
        let mount: u64 = read(fs, offset!(fs_pwd) + offset!(path_mnt));
        let dentry: u64 = read(fs, offset!(fs_pwd) + offset!(path_dentry));
        let end = path::names(OF_CALLS, from, mount, dentry);
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
fn exit(task_struct: u64) -> Option<()> {
    if closed() {
        return None;
    }
    let task = Task::of(task_struct)?;
    // Its stack, by which the cache knows it, is another task's soon.
    record::make_stale();
    // SAFETY: the row is a map's value.
    unsafe {
        let rolled_back = task.flags() & TASK_ROLLED_BACK != 0;
        let in_call = task.ends_in_call();
        if let Some(row) = settle::all(task)
            && (in_call || rolled_back)
        {
            add_local(&raw mut (*row).no_return, 1);
            if rolled_back {
                // Killed in it: it never began anew. Another CPU may hold the 1 that goes here, the
                // sum is right.
                add_local(&raw mut (*row).restarted, u64::MAX);
            }
            task.set_flags(task.flags() & !TASK_ROLLED_BACK);
        }
    }
    // The last thread speaks for the process; of two that end at once both may.
    if task::live_threads(task_struct) == 0 {
        announce(OF_CALLS, EVENT_EXIT, task_struct);
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
fn attached(to: u64, task_struct: u64) -> Option<()> {
    if config!(tree) != 0 || !is_ours(to) {
        return None;
    }
    // Who leaves is watched on: leaving would be the easiest way out of sight.
    let container = label::container_of(to)?;
    if let Some(task) = Task::of(task_struct) {
        let here = task.container();
        if here == SENTINEL_CONTAINER || container == here {
            return None;
        }
        label::remove(task_struct);
    }
    label::enter(OF_CALLS, task_struct, container, ENTERING)?;
    if task::is_leader(task_struct) {
        announce(OF_CALLS, EVENT_FORK, task_struct);
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
    let entry = value(&CGROUPS, pod)?;
    if entry.kind != CGROUP_POD {
        return None;
    }
    let buffer = scratch(OF_CALLS)?;
    let Some(container) = take(&FREE_CONTAINERS) else {
        lost(Loss::Containers);
        return None;
    };
    let entry = CgroupEntry {
        kind: CGROUP_CONTAINER,
        container,
    };
    if let Err(error) = CGROUPS.insert(cgroup::id(made), entry, 1) {
        if error as i64 != EEXIST {
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
        (*event).time = clock::now();
        (*event).pod_cgroup = pod;
        bpf_probe_read_kernel_str(
            (&raw mut (*event).name).cast(),
            CGROUP_NAME as u32,
            cgroup::name(made) as *const _,
        );
    }
    // The counts of a slot without a name belong to no container that can be told.
    if !emit(buffer, size_of::<ContainerEvent>(), Loss::RingProcess) {
        lost(Loss::Containers);
    }
    Some(())
}

const _: () = assert!(size_of::<ExecEvent>() + MAX_ARGV + NAME_BYTES < SCRATCH_MASK);

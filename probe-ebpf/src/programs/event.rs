//! Rare and telling operations, at the return of the call that did them, or where the kernel does.
//!
//! Hooks (tp_btf): signal_generate(sig, info, task, group, result) and module_load(mod), the same in
//! 5.10 … 7.x. Hook (fentry, else kprobe): security_kernel_module_request(name).

use crate::atomics::{add, lost};
use crate::kernel::clock;
use crate::kernel::file::KernelFile;
use crate::kernel::hook::{alone, number_copied};
use crate::kernel::memory::read;
use crate::kernel::{cred, regs, task};
use crate::maps::{EVENTS, Scratch, offset, open};
use crate::programs::record;
use crate::programs::record::Task;
use crate::scratch::{OF_CALLS, OF_FUNCTIONS, emit, scratch};
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};
use aya_ebpf::macros::{btf_tracepoint, fentry, kprobe};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext, ProbeContext};
use procmon_probe_ebpf::abi::{
    Call, CallKind, EVENT_RARE, Loss, NO_ARG, RARE_CREDENTIALS, RARE_MEMFD_EXEC, RARE_MODULE_LOAD,
    RARE_MOUNT, RARE_PTRACE, RARE_SIGNAL, RARE_TEXT, RARE_UNSHARE, RareEvent, RareKey,
    TASK_PENDING,
};

const TMPFS_MAGIC: u32 = 0x0102_1994;

/// Counts an operation; announces it at first sight.
#[inline(always)]
fn count(buffer: *mut Scratch) {
    if let Some(task) = Task::current() {
        count_for(task, buffer);
    }
}

/// The same for the owner of a record.
#[inline(always)]
fn count_for(task: Task, buffer: *mut Scratch) {
    let event = buffer.cast::<RareEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it; the key was written.
    unsafe {
        let key = &raw const (*event).key;
        if let Some(count) = EVENTS.get_ptr_mut(&*key) {
            add(count, 1);
            return;
        }
        (*event).kind = EVENT_RARE;
        (*event).container = task.container();
        (*event).time = clock::now();
        if !emit(buffer, size_of::<RareEvent>(), Loss::RingEvent) {
            return;
        }
        if EVENTS.insert(&*key, 1, 0).is_err() {
            lost(Loss::Events);
        }
    }
}

/// Begins a key in a buffer.
#[inline(always)]
fn key(buffer: *mut Scratch, kind: u32, tgid: u32, values: [u64; 4]) -> *mut RareKey {
    let event = buffer.cast::<RareEvent>();
    // SAFETY: as for `count`.
    unsafe {
        (*event).key = RareKey {
            kind,
            tgid,
            values,
            text: [0; RARE_TEXT],
        };
        &raw mut (*event).key
    }
}

/// Compares the credentials with those last seen.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn credentials_changed(task_struct: u64) -> u32 {
    let Some(task) = Task::of(task_struct) else {
        return 0;
    };
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let cred = cred::of(task_struct);
    let (uid, gid, caps) = (cred::uid(cred), cred::gid(cred), cred::effective(cred));
    task.set_permitted(cred::permitted(cred));
    let before = (task.uid(), task.gid(), task.caps());
    if before == (uid, gid, caps) {
        return 0;
    }
    task.set_uid(uid);
    task.set_gid(gid);
    task.set_caps(caps);
    let ids = |uid: u32, gid: u32| u64::from(uid) << 32 | u64::from(gid);
    key(
        buffer,
        RARE_CREDENTIALS,
        record::current_tgid(),
        [ids(before.0, before.1), ids(uid, gid), before.2, caps],
    );
    count(buffer);
    0
}

/// A program was executed: from memory?
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn memory_executed(program: u64) -> u32 {
    let program = KernelFile::at(program);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let inode = program.inode();
    if inode.magic() != TMPFS_MAGIC {
        return 0;
    }
    let dentry = program.dentry();
    let name = dentry.name();
    if read::<[u8; 6]>(name, 0) != *b"memfd:" {
        return 0;
    }
    let key = key(buffer, RARE_MEMFD_EXEC, record::current_tgid(), [0; 4]);
    // SAFETY: the text lies within the buffer; the helper ends it with NUL.
    unsafe {
        bpf_probe_read_kernel_str(
            (&raw mut (*key).text).cast(),
            RARE_TEXT as u32,
            name as *const _,
        );
    }
    count(buffer);
    0
}

/// A clone that made namespaces.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn namespaces_made(clone_flags: u64) -> u32 {
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    key(
        buffer,
        RARE_UNSHARE,
        record::current_tgid(),
        [clone_flags, 0, 0, 0],
    );
    count(buffer);
    0
}

/// A call that is rare in itself: `op` is its type, `a` and `b` the arguments that matter.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn rare(regs: u64, kind: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(task) = Task::current() else {
        return 0;
    };
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let (abi, number) = (task.abi(), task.id() & 0xffff_ffff);
    let argument = |position| {
        if position == NO_ARG {
            0
        } else {
            regs::argument(regs, abi, position)
        }
    };
    let (first, second) = (argument(kind.a), argument(kind.b));
    // Branches on the kind are later than the reading of arguments, which is long.
    let (first_bits, second_bits) = match u32::from(kind.op) {
        // PTRACE_CONT and its kin come by the thousand and are not a new fact: requests and targets are.
        RARE_PTRACE => (0xffff_ffff, 0xffff_ffff),
        RARE_MOUNT => (0, u64::MAX),
        _ => (u64::MAX, u64::MAX),
    };
    let number = number | u64::from(abi) << 32;
    let values = [first & first_bits, second & second_bits, 0, number];
    let key = key(buffer, u32::from(kind.op), record::current_tgid(), values);
    if u32::from(kind.op) == RARE_MOUNT && kind.c < 6 {
        let text = regs::argument(regs, abi, kind.c);
        // SAFETY: the text lies within the buffer; the helper checks the address.
        unsafe {
            bpf_probe_read_user_str(
                (&raw mut (*key).text).cast(),
                RARE_TEXT as u32,
                text as *const _,
            );
        }
    }
    count(buffer);
    0
}

#[btf_tracepoint(function = "signal_generate")]
fn on_signal_generate(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            signal_sent(ctx.arg::<u64>(0), number_copied(ctx.arg(2)));
        }
    });
    0
}

/// A signal was sent by a call that sends signals: out of the target?
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn signal_sent(signal: u64, target: u64) -> u32 {
    let Some(task) = Task::of(task::current()) else {
        return 0;
    };
    let (kind, container) = {
        if task.in_call() == 0 {
            return 0;
        }
        (task.kind(), task.container())
    };
    if !CallKind::from_word(kind).is(Call::Signal)
        || Task::of(target).is_some_and(|other| other.container() == container)
    {
        return 0;
    }
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let values = [signal & 0xffff_ffff, u64::from(task::tgid(target)), 0, 0];
    let key = key(buffer, RARE_SIGNAL, record::current_tgid(), values);
    // SAFETY: the text lies within the buffer.
    unsafe {
        *(&raw mut (*key).text).cast::<[u8; 16]>() = read(target, offset!(task_comm));
    }
    count_for(task, buffer);
    0
}

#[btf_tracepoint(function = "module_load")]
fn on_module_load(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            let module = number_copied(ctx.arg(0));
            module_named(OF_CALLS, module + u64::from(offset!(module_name)), 0);
        }
    });
    0
}

#[fentry]
fn f_module_request(ctx: FEntryContext) -> i32 {
    alone(|| {
        if open() {
            module_named(OF_FUNCTIONS, number_copied(ctx.arg(0)), 1);
        }
    });
    0
}

#[kprobe]
fn k_module_request(ctx: ProbeContext) -> u32 {
    if open() {
        module_named(OF_FUNCTIONS, ctx.arg(0).unwrap_or(0), 1);
    }
    0
}

/// A module was loaded, or asked for, by its name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn module_named(buffer: u32, name: u64, asked_for: u64) -> u32 {
    let Some(task) = Task::of(task::current()) else {
        return 0;
    };
    let Some(buffer) = scratch(buffer) else {
        return 0;
    };
    let number = {
        if task.flags() & TASK_PENDING != 0 {
            return 0;
        }
        (task.id() & 0xffff_ffff) * u64::from(task.in_call() != 0)
    };
    let values = [0, 0, asked_for, number];
    let key = key(buffer, RARE_MODULE_LOAD, record::current_tgid(), values);
    // SAFETY: the text lies within the buffer; the helper ends it with NUL.
    unsafe {
        bpf_probe_read_kernel_str(
            (&raw mut (*key).text).cast(),
            RARE_TEXT as u32,
            name as *const _,
        );
    }
    count_for(task, buffer);
    0
}

//! System calls: known at entry, counted and judged at return.
//!
//! Hooks (raw_tp, whose arguments are numbers): sys_enter(regs, id), sys_exit(regs, ret), the same in
//! 5.10 … 7.x. What a return without an entry means is decided by KIND: a call that a seccomp filter
//! refused has an error and its number; a new task returns from the call of another one.
//!
//! Repeated facts are held in the task's record: rows are shared, and finding one takes longer than
//! counting. What records hold when the window closes is settled then, task by task.

use crate::atomics::{add_local, lost, opaque, take};
use crate::kernel::hook::alone;
use crate::kernel::{regs, task};
use crate::maps::{CALLS, DENSE, FREE_SYSCALL_ROWS, SPARSE, SYSCALL_KEYS, config, value};
use crate::programs::file::calls;
use crate::programs::network::{connections, datagrams, listeners, sockets};
use crate::programs::record::Task;
use crate::programs::{arguments, event, latency, record, settle};
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use procmon_probe_ebpf::abi::{
    ABI_COMPAT, ABI_NATIVE, AT_ENTRY_ACT, AT_ENTRY_CHECK, AT_ENTRY_FACET, AT_ENTRY_KEEP,
    AT_ENTRY_KEEP_SECOND, AT_ENTRY_TIME, Call, CallKind, DENSE_NUMBERS, IN_CALL, IN_PLAIN_CALL,
    IN_TIMED_CALL, IN_UNTIMED_CALL, Loss, NO_CONVENTION, NO_ROW, SyscallKey, TASK_BORN_BEFORE,
    TASK_MAY_BE_IN_CALL, TASK_NEW, TASK_OPENED, TASK_PENDING, TASK_ROLLED_BACK,
};

/// `mmap` of memory without a file.
const MAP_ANONYMOUS: u64 = 0x20;
/// The place of `CallKind::at_entry` in a word.
const AT_ENTRY_SHIFT: u32 = 40;
/// A call may be under way that nobody saw begin.
const BEGUN_UNSEEN: u32 = TASK_MAY_BE_IN_CALL | TASK_BORN_BEFORE;
/// The result of a call before it begins: -ENOSYS.
const NOT_BEGUN: i64 = -38;
/// In place of a slot: the cache did not know it.
const UNKNOWN: u64 = u64::MAX;
/// Whether a return is.
const NOT_COUNTED: u32 = 0;
const COUNTED: u32 = 1;

#[raw_tracepoint(tracepoint = "sys_enter")]
fn on_sys_enter(ctx: RawTracePointContext) -> i32 {
    alone(|| begins(&ctx));
    0
}

#[inline(always)]
fn begins(ctx: &RawTracePointContext) {
    let Some(place) = record::calling(record::cache(), ctx.arg(0)) else {
        enter(ctx.arg(0), ctx.arg(1), UNKNOWN);
        return;
    };
    let Some(task) = Task::at(place) else {
        return;
    };
    let convention = regs::convention(task.convention_at());
    // A value that is read again after that need not be kept, in registers that must be saved.
    let id: u64 = ctx.arg(1);
    if task.id() == id && task.repeats() == convention {
        task.set_in_call(IN_PLAIN_CALL);
        return;
    }
    enter(ctx.arg(0), id, u64::from(task.slot()));
}

/// A call begins that is not the same again, or that there is something to do for. Cold, as what follows it:
/// the way of a call that repeats itself goes straight on.
#[unsafe(no_mangle)]
#[cold]
#[inline(never)]
extern "C" fn enter(regs: u64, id: u64, slot: u64) -> u32 {
    let slot = known(slot, regs);
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let convention = regs::convention(task.convention_at());
    // The same call again, by the same program: row and kind are still here.
    if task.id() != id || task.convention() != convention {
        let flags = task.flags();
        if flags & TASK_PENDING != 0 {
            return 0;
        }
        task.set_flags(flags & !(BEGUN_UNSEEN | TASK_NEW | TASK_ROLLED_BACK));
        another(task, id, convention);
    }
    let acts = task.acts_at_entry();
    if acts & AT_ENTRY_CHECK != 0 {
        task.return_missed();
    }
    begin(task);
    at_entry(acts, regs, task.kind(), slot);
    0
}

/// The slot that the cache knew, or the one that the table knows.
#[inline(always)]
fn known(slot: u64, regs: u64) -> u64 {
    if slot == UNKNOWN {
        record::look_up(regs)
    } else {
        slot
    }
}

/// The task is in a call from now on.
#[inline(always)]
fn begin(task: Task) {
    task.set_in_call(IN_CALL);
    if config!(latency) != 0 {
        task.set_in_call(latency::begun(task));
    }
}

/// Keeps in the record what the return of a call needs, which counts it.
#[inline(always)]
fn another(task: Task, id: u64, convention: u32) {
    let (number, abi) = (id as u32, regs::abi(convention, id));
    if config!(preemptible) != 0 {
        task.return_missed();
    }
    settle::calls(task);
    task.set_row(row(task.exe(), abi, number));
    task.set_abi(abi);
    task.set_kind(kind(abi, number));
    if config!(latency) != 0 {
        task.set_kind(task.kind() | u64::from(AT_ENTRY_TIME) << AT_ENTRY_SHIFT);
    }
    if config!(preemptible) != 0 {
        task.set_kind(task.kind() | u64::from(AT_ENTRY_CHECK) << AT_ENTRY_SHIFT);
    }
    task.set_id(id);
    task.set_errno(0);
    task.set_convention(convention);
    let is_plain = task.is_in(Call::Plain) && task.acts_at_entry() == 0;
    task.set_repeats(if is_plain { convention } else { NO_CONVENTION });
}

/// A call returns that is not the one which its record tells: another task was in the middle of the program
/// that should have seen it begin. What comes back from a signal's handler has the number of the interrupted
/// call; a new program, on arm64, has none.
#[inline(always)]
fn is_another(task: Task, regs: u64) -> bool {
    if config!(preemptible) == 0 {
        return false;
    }
    let number = regs::number(regs);
    task.in_call() != 0
        && number >= 0
        && number as u32 != task.id() as u32
        && !task.is_in(Call::SigReturn)
}

/// A command's first program: the call began before anything was counted.
#[inline(always)]
pub(crate) fn begin_exec(task: Task) {
    // execve on amd64 and arm64, whose probes execute programs of 64 bits.
    let number = if config!(arch) == 1 { 59 } else { 221 };
    another(task, number, 0);
    begin(task);
    task.set_flags(task.flags() & !BEGUN_UNSEEN);
}

/// The effect of a call.
#[inline(always)]
fn kind(abi: u32, number: u32) -> u64 {
    // A call of x32 has a bit in a native number.
    let (base, dense) = if abi == ABI_COMPAT {
        (DENSE_NUMBERS, number as usize)
    } else {
        (0, (number & !0x4000_0000) as usize)
    };
    if dense >= DENSE_NUMBERS {
        return 0;
    }
    CALLS.get((base + dense) as u32).copied().unwrap_or(0)
}

/// The row of a call; made at first sight.
#[inline(always)]
fn row(exe: u32, abi: u32, number: u32) -> u32 {
    if abi == ABI_NATIVE && (number as usize) < DENSE_NUMBERS {
        let Some(dense) = DENSE.get_ptr_mut(exe) else {
            return NO_ROW;
        };
        // SAFETY: a map value; the number is below the length.
        unsafe {
            let place = opaque(u64::from(number)) as usize & (DENSE_NUMBERS - 1);
            let place = &raw mut (*dense).rows[place];
            if *place != 0 {
                return u32::from(*place);
            }
            let row = new_row(exe, abi, number);
            if row != NO_ROW {
                // When two CPUs come here at once, one row is not found again: user space adds rows of one
                // key.
                *place = row as u16;
            }
            return row;
        }
    }
    let key = SyscallKey { exe, abi, number };
    if let Some(row) = value(&SPARSE, key) {
        return row;
    }
    let row = new_row(exe, abi, number);
    if row != NO_ROW && SPARSE.insert(key, row, 0).is_err() {
        lost(Loss::SyscallRows);
    }
    row
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn new_row(exe: u32, abi: u32, number: u32) -> u32 {
    let Some(row) = take(&FREE_SYSCALL_ROWS) else {
        lost(Loss::SyscallRows);
        return NO_ROW;
    };
    if let Some(key) = SYSCALL_KEYS.get_ptr_mut(row) {
        // SAFETY: a map value that no call has yet.
        unsafe { *key = SyscallKey { exe, abi, number } };
    }
    row
}

#[raw_tracepoint(tracepoint = "sys_exit")]
fn on_sys_exit(ctx: RawTracePointContext) -> i32 {
    alone(|| returns(&ctx));
    0
}

#[inline(always)]
fn returns(ctx: &RawTracePointContext) {
    let cache = record::cache();
    let (regs, result): (u64, i64) = (ctx.arg(0), ctx.arg(1));
    let Some(place) = record::calling(cache, regs) else {
        exit(regs, result, UNKNOWN, NOT_COUNTED);
        return;
    };
    let Some(task) = Task::at(place) else {
        return;
    };
    let in_call = task.in_call();
    if in_call & (IN_PLAIN_CALL | IN_CALL) == 0 || is_another(task, regs) {
        exit(regs, result, u64::from(task.slot()), NOT_COUNTED);
        return;
    }
    if regs::is_errno(result) {
        if task.errno() != -result as u32 {
            exit(regs, result, u64::from(task.slot()), NOT_COUNTED);
            return;
        }
        task.set_failures(task.failures() + 1);
    }
    task.set_in_call(0);
    task.set_returns(task.returns() + 1);
    if in_call == IN_PLAIN_CALL {
        return;
    }
    let (kind, slot) = (task.kind(), u64::from(task.slot()));
    match Call::decode(kind as u8) {
        Some(Call::Plain) => {}
        Some(Call::Read | Call::Write | Call::Descriptor) => {
            calls::descriptor_done(regs, kind, result, slot);
        }
        _ => {
            exit(regs, result, slot, COUNTED);
        }
    }
}

/// A call returns that is not counted yet, or that did something.
#[unsafe(no_mangle)]
#[cold]
#[inline(never)]
extern "C" fn exit(regs: u64, result: i64, slot: u64, counted: u32) -> u32 {
    let slot = known(slot, regs);
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    if counted == NOT_COUNTED && is_another(task, regs) {
        let number = regs::number(regs) as u64;
        another(task, number, regs::convention(task.convention_at()));
        task.set_in_call(IN_CALL);
        at_entry(task.acts_at_entry(), regs, task.kind(), slot);
    }
    let in_call = task.in_call();
    if counted == COUNTED {
        // Only its effect is left.
    } else if in_call != 0 {
        task.set_in_call(0);
        task.set_returns(task.returns() + 1);
        if in_call & (IN_TIMED_CALL | IN_UNTIMED_CALL) != 0 && config!(latency) != 0 {
            latency::returned(slot, task, in_call);
        }
        if regs::is_errno(result) {
            failed(task, -result as u32);
        }
    } else if task.flags() & TASK_PENDING != 0 {
        return 0;
    } else if task.flags() & TASK_NEW != 0 {
        // It returns from the call that made it.
        task.set_flags(task.flags() & !TASK_NEW);
        return 0;
    } else if result == regs::number(regs) && task::is_trapped(task.task()) {
        // A filter has made a signal of the call: it is rolled back, and returns its own number.
        task.set_flags(task.flags() & !BEGUN_UNSEEN);
        return 0;
    } else if task.flags() & BEGUN_UNSEEN == 0 {
        if !(-516..=-512).contains(&result) {
            answered(regs, result, slot);
        }
        return 0;
    } else {
        // Began before the window: not counted as a call, but what it did counts.
        recall(regs, slot);
        if regs::is_errno(result) {
            return 0;
        }
        at_entry(task.acts_at_entry(), regs, task.kind(), slot);
    }
    if !task.is_in(Call::Plain) {
        effect(slot, task, regs, task.kind(), result);
    }
    0
}

/// Counts a failure, or that the kernel has rolled the call back. The result of rt_sigreturn is what
/// the interrupted call had, not its own.
#[inline(always)]
fn failed(task: Task, errno: u32) {
    // SAFETY: the row is a map's value.
    unsafe {
        let row = task.row();
        if task.errno() == errno {
            task.set_failures(task.failures() + 1);
        } else if task.is_in(Call::SigReturn) {
            // No failure at all.
        } else if (512..=516).contains(&errno) {
            if let Some(counts) = settle::syscall_row(row) {
                add_local(&raw mut (*counts).restarted, 1);
            }
            task.set_flags(task.flags() | TASK_ROLLED_BACK);
            task.forget_call();
        } else {
            if task.failures() != 0 {
                settle::count_errno(row, task.errno(), task.failures());
            }
            task.set_errno(errno);
            task.set_failures(1);
        }
    }
}

/// The calling convention of the current task's call of this number.
#[inline(always)]
fn abi_of(task: Task, number: u64) -> u32 {
    regs::abi(regs::convention(task.convention_at()), number)
}

/// Finds out which call returns that nobody saw begin.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn recall(regs: u64, slot: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let number = regs::number(regs) as u64;
    let abi = abi_of(task, number);
    task.set_flags(task.flags() & !BEGUN_UNSEEN);
    task.set_id(number);
    task.set_abi(abi);
    task.set_kind(kind(abi, number as u32));
    task.forget_call();
    0
}

/// A return without an entry: a seccomp filter has refused the call, or answered in the kernel's
/// place. Without a filter a tracer has kept the call from the kernel: one that emulates it, or whose
/// task was killed while it was stopped.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn answered(regs: u64, result: i64, slot: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let number = regs::number(regs);
    let (abi, exe, task_struct) = {
        let abi = abi_of(task, number as u64);
        (abi, task.exe(), task.task())
    };
    if !task::is_filtered(task_struct) || result == NOT_BEGUN && task::is_killed(task_struct) {
        return 0;
    }
    let row = row(exe, abi, number as u32);
    if let Some(counts) = settle::syscall_row(row) {
        // SAFETY: a map value of this CPU.
        unsafe {
            add_local(&raw mut (*counts).calls, 1);
            if result < 0 {
                add_local(&raw mut (*counts).denied, 1);
                settle::count_errno(row, -result as u32, 1);
            }
        }
    }
    0
}

/// Keeps facts that must be seen before the call runs: which file or socket the descriptor is, since another
/// thread may change it meanwhile.
#[inline(always)]
fn at_entry(acts: u8, regs: u64, kind: u64, slot: u64) {
    if acts & AT_ENTRY_FACET != 0 {
        arguments::count_arguments(regs, kind, slot);
    }
    if acts & AT_ENTRY_KEEP != 0 {
        let kind = CallKind::from_word(kind);
        calls::keep(regs, u64::from(kind.a), slot);
        if acts & AT_ENTRY_KEEP_SECOND != 0 {
            calls::keep_second(regs, u64::from(kind.b), slot);
        }
    } else if acts & AT_ENTRY_ACT != 0 {
        act_at_entry(regs, kind, slot);
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn act_at_entry(regs: u64, kind: u64, slot: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    task.forget_descriptors();
    let abi = task.abi();
    if kind.is(Call::Map) && regs::argument(regs, abi, kind.c) & MAP_ANONYMOUS != 0 {
        return 0;
    }
    match kind.call() {
        Call::Connect | Call::Listen | Call::Bind => {
            return sockets::remember_sock(regs::argument(regs, abi, kind.a) as u32);
        }
        Call::MqOpen => return calls::opens_queue(slot),
        Call::Fallocate if calls::fallocates(regs, abi, kind.to_word()) == 0 => return 0,
        Call::Ioctl if !calls::ioctl_changes(regs::argument(regs, abi, kind.b)) => return 0,
        Call::Plain
        | Call::Read
        | Call::Write
        | Call::Open
        | Call::Descriptor
        | Call::Name
        | Call::UnlinkAt
        | Call::Rename
        | Call::Copy
        | Call::Map
        | Call::Exec
        | Call::Accept
        | Call::SendTo
        | Call::RecvFrom
        | Call::SendMsg
        | Call::RecvMsg
        | Call::SendMmsg
        | Call::RecvMmsg
        | Call::Credentials
        | Call::Event
        | Call::Socket
        | Call::SocketCall
        | Call::Signal
        | Call::SigReturn
        | Call::Fallocate
        | Call::Ioctl
        | Call::MqSend => {}
    }
    calls::keep(regs, u64::from(kind.a), slot);
    0
}

/// The effect of a call, done or failed.
#[inline(always)]
fn effect(slot: u64, task: Task, regs: u64, word: u64, result: i64) -> u32 {
    let kind = CallKind::from_word(word);
    match kind.call() {
        Call::Read
        | Call::Write
        | Call::Descriptor
        | Call::Copy
        | Call::Map
        | Call::Fallocate
        | Call::Ioctl
        | Call::MqSend => calls::descriptor_done(regs, word, result, slot),
        Call::Open | Call::MqOpen | Call::Name | Call::UnlinkAt | Call::Rename | Call::Exec => {
            if (kind.is(Call::Open) || kind.is(Call::MqOpen)) && result >= 0 {
                calls::opened(result, slot);
            } else if calls::settled_names(regs, word, result) == 0 {
                calls::named(regs, word, result);
            }
            // Names that the kernel resolved belong to this call; only calls like these have any.
            task.set_settled_first(None);
            task.set_settled_second(None);
            task.set_flags(task.flags() & !TASK_OPENED);
            0
        }
        Call::Socket => connections::made(result),
        Call::SocketCall => datagrams::called_by_number(regs, word),
        Call::Connect => connections::connected(regs, word, result),
        Call::Accept => connections::accepted(result),
        Call::Listen => listeners::listening(result),
        Call::Bind => listeners::bound(result),
        Call::SendTo | Call::RecvFrom | Call::SendMsg | Call::RecvMsg => {
            datagrams::transferred(regs, word, result, slot)
        }
        Call::SendMmsg | Call::RecvMmsg => datagrams::transferred_many(regs, word, result),
        Call::Credentials => event::credentials_changed(task::current()),
        Call::Event if result >= 0 => event::rare(regs, word),
        Call::Event | Call::Plain | Call::Signal | Call::SigReturn => 0,
    }
}

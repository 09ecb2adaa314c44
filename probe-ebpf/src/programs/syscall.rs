//! System calls: counted at entry, judged at return.
//!
//! Hooks (tp_btf): sys_enter(regs, id), sys_exit(regs, ret), the same in 5.10 … 7.x. What a return
//! without an entry means is decided by KIND: a call that a seccomp filter refused has an error and
//! its number; a new child and a rolled-back call do not have an error.

use super::{event, file, label, network};
use crate::kernel::{number_of, regs, task};
use crate::maps::{
    CALLS, DENSE, FREE_SYSCALL_ROWS, LATENCIES, SPARSE, SYSCALL_KEYS, add_errno, add_local, config,
    lost, opaque, open, syscall_row, take,
};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use procmon_probe_ebpf::abi::{
    ABI_COMPAT, ABI_NATIVE, CALL_ACCEPT, CALL_CONNECT, CALL_COPY, CALL_CREDENTIALS,
    CALL_DESCRIPTOR, CALL_EVENT, CALL_EXEC, CALL_LISTEN, CALL_MAP, CALL_NAME, CALL_OPEN,
    CALL_PLAIN, CALL_READ, CALL_RECVFROM, CALL_RECVMMSG, CALL_RECVMSG, CALL_RENAME, CALL_SENDMMSG,
    CALL_SENDMSG, CALL_SENDTO, CALL_SOCKET, CALL_SOCKETCALL, CALL_UNLINKAT, CALL_WRITE, CallKind,
    DENSE_NUMBERS, LATENCY_BUCKETS, Loss, NO_EXE, ROW_ERRNOS, ROWS_SYSCALLS, SyscallKey,
    SyscallRow, TASK_MAY_BE_IN_CALL, TASK_OPENED, TASK_PENDING, TASK_ROLLED_BACK, TaskRecord,
    latency_bucket,
};

/// `mmap` of memory without a file.
const MAP_ANONYMOUS: u64 = 0x20;
/// No row was free.
const NO_ROW: u32 = u32::MAX;

#[btf_tracepoint(function = "sys_enter")]
fn on_sys_enter(ctx: BtfTracePointContext) -> i32 {
    let task = task::current();
    if open()
        && let Some(record) = label::of_current(task)
    {
        enter(task, record, ctx.arg(0), ctx.arg(1));
    }
    0
}

#[inline(always)]
fn enter(task: u64, record: *mut TaskRecord, regs: *const u8, id: u64) {
    let abi = regs::abi(task, regs, id);
    let number = id as u32;
    // SAFETY: a map value of the current task.
    unsafe {
        if (*record).flags & TASK_PENDING != 0 {
            return;
        }
        (*record).flags &= !(TASK_MAY_BE_IN_CALL | TASK_ROLLED_BACK);
        let kind = begin(record, abi, number);
        if CallKind::from_word(kind).at_entry != 0 {
            at_entry(number_of(regs), kind);
        }
    }
}

/// Counts a call in and keeps in the record what its return needs; what it does.
#[inline(always)]
unsafe fn begin(record: *mut TaskRecord, abi: u32, number: u32) -> u64 {
    // SAFETY: the caller's: a map value of the current task.
    unsafe {
        // The same call again, by the same program: row and kind are still here.
        if (*record).number != number || (*record).abi != abi || (*record).row_exe != (*record).exe
        {
            (*record).row = row((*record).exe, abi, number);
            (*record).row_exe = (*record).exe;
            (*record).number = number;
            (*record).abi = abi;
            (*record).kind = kind(abi, number);
        }
        (*record).in_call = 1;
        if config!(latency) != 0 {
            (*record).entered_ns = bpf_ktime_get_ns();
        }
        if let Some(counts) = syscall_row((*record).row) {
            add_local(&raw mut (*counts).calls, 1);
        }
        (*record).kind
    }
}

/// A command's first program: the call began before anything was counted.
#[inline(always)]
pub(crate) fn begin_exec(record: *mut TaskRecord) {
    // execve on amd64 and arm64.
    let number = if crate::maps::config!(arch) == 1 {
        59
    } else {
        221
    };
    // SAFETY: a map value of the current task.
    unsafe {
        begin(record, ABI_NATIVE, number);
        (*record).flags &= !TASK_MAY_BE_IN_CALL;
    }
}

/// What a call does.
#[inline(always)]
pub(crate) fn kind(abi: u32, number: u32) -> u64 {
    let dense = (number & !0x4000_0000) as usize;
    if dense >= DENSE_NUMBERS {
        return 0;
    }
    let base = if abi == ABI_COMPAT { DENSE_NUMBERS } else { 0 };
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
            let place = &raw mut (*dense).rows[number as usize & (DENSE_NUMBERS - 1)];
            if *place != 0 {
                return u32::from(*place) - 1;
            }
            let row = new_row(exe, abi, number);
            if row != NO_ROW {
                // Of two CPUs at once, one row is not found again: user space adds rows of one key.
                *place = row as u16 + 1;
            }
            return row;
        }
    }
    let key = SyscallKey { exe, abi, number };
    // SAFETY: a number is copied out of the map.
    if let Some(row) = unsafe { SPARSE.get(key) }.copied() {
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

#[btf_tracepoint(function = "sys_exit")]
fn on_sys_exit(ctx: BtfTracePointContext) -> i32 {
    if open()
        && let Some(record) = label::current()
    {
        let regs: *const u8 = ctx.arg(0);
        let result: i64 = ctx.arg(1);
        exit(record, regs, result);
    }
    0
}

#[inline(always)]
fn exit(record: *mut TaskRecord, regs: *const u8, result: i64) {
    // SAFETY: a map value of the current task.
    unsafe {
        if (*record).flags & TASK_PENDING != 0 {
            return;
        }
        let errno = if (-4095..0).contains(&result) {
            -result as u32
        } else {
            0
        };
        if (*record).in_call == 0 {
            if (*record).flags & TASK_MAY_BE_IN_CALL == 0 {
                if errno < 512 {
                    answered(number_of(regs), result);
                }
                return;
            }
            // Began before the window: not counted as a call, but what it did counts.
            recall(number_of(regs));
            if errno != 0 {
                return;
            }
            if CallKind::from_word((*record).kind).at_entry != 0 {
                at_entry(number_of(regs), (*record).kind);
            }
        } else {
            (*record).in_call = 0;
            let row = (*record).row;
            if config!(latency) != 0 {
                measure(row, bpf_ktime_get_ns().wrapping_sub((*record).entered_ns));
            }
            if errno != 0
                && let Some(counts) = syscall_row(row)
            {
                if (512..=516).contains(&errno) {
                    add_local(&raw mut (*counts).restarted, 1);
                    (*record).flags |= TASK_ROLLED_BACK;
                } else if !restored(regs, record) {
                    count_errno(counts, row, errno as u16);
                }
            }
        }
        let kind = (*record).kind;
        if CallKind::from_word(kind).kind != CALL_PLAIN {
            effect(record, number_of(regs), kind, result);
        }
    }
}

/// Counts how long a call took.
#[inline(always)]
unsafe fn measure(row: u32, ns: u64) {
    let Some(times) = LATENCIES.get_ptr_mut(row) else {
        return;
    };
    let bucket = opaque(latency_bucket(ns) as u64);
    if bucket >= LATENCY_BUCKETS as u64 {
        return;
    }
    // SAFETY: a map value of this CPU; the position is below the length.
    unsafe {
        let count = (&raw mut (*times).buckets)
            .cast::<u32>()
            .add(bucket as usize);
        *count += 1;
        if ns > (*times).max {
            (*times).max = ns;
        }
    }
}

/// The result is not the call's: rt_sigreturn gives back what the interrupted call had, and leaves
/// no number behind.
#[inline(always)]
unsafe fn restored(regs: *const u8, record: *mut TaskRecord) -> bool {
    // SAFETY: a map value of the current task.
    regs::number_here(regs) < 0 && unsafe { (*record).number } as i32 >= 0
}

/// Finds out which call returns that nobody saw begin.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn recall(regs: u64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    let number = regs::number(regs) as u64;
    let abi = regs::abi_of(regs, number);
    // SAFETY: a map value of the current task.
    unsafe {
        (*record).flags &= !TASK_MAY_BE_IN_CALL;
        (*record).number = number as u32;
        (*record).abi = abi;
        (*record).kind = kind(abi, number as u32);
        (*record).row_exe = NO_EXE;
    }
    0
}

/// Counts a failure within its row, or beside it.
#[inline(always)]
unsafe fn count_errno(counts: *mut SyscallRow, row: u32, errno: u16) {
    for place in 0..ROW_ERRNOS {
        // SAFETY: a map value of this CPU.
        let entry = unsafe { &raw mut (*counts).errnos[place] };
        // SAFETY: as above.
        unsafe {
            if (*entry).errno == 0 {
                (*entry).errno = u64::from(errno);
            }
            if (*entry).errno == u64::from(errno) {
                add_local(&raw mut (*entry).count, 1);
                return;
            }
        }
    }
    add_errno(ROWS_SYSCALLS, row, errno);
}

/// A return without an entry: a seccomp filter has refused the call, or answered in the kernel's
/// place. Without an error it may also be a new child, or a call that the filter has made a signal
/// of: that is rolled back, and returns its own number.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn answered(regs: u64, result: i64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    let number = regs::number(regs);
    let is_child = if crate::maps::config!(arch) == 1 {
        // clone, fork, vfork, clone3: on i386 120, 2, 190 and the same.
        matches!(number, 56 | 57 | 58 | 120 | 2 | 190 | 435)
    } else {
        matches!(number, 220 | 120 | 2 | 190 | 435)
    };
    if number < 0 || result == number || (result == 0 && is_child) {
        return 0;
    }
    let abi = regs::abi_of(regs, number as u64);
    // SAFETY: a map value of the current task.
    let row = row(unsafe { (*record).exe }, abi, number as u32);
    if let Some(counts) = syscall_row(row) {
        // SAFETY: a map value of this CPU.
        unsafe {
            add_local(&raw mut (*counts).calls, 1);
            if result < 0 {
                add_local(&raw mut (*counts).denied, 1);
                count_errno(counts, row, -result as u16);
            }
        }
    }
    0
}

/// What must be seen before the call runs: which file or socket the descriptor is, since another
/// thread may change it meanwhile.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn at_entry(regs: u64, kind: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let abi = unsafe {
        (*record).first_row = 0;
        (*record).second_row = 0;
        (*record).sockets = 0;
        (*record).sock = 0;
        (*record).abi
    };
    let first = regs::argument(regs, abi, kind.a) as u32;
    if kind.kind == CALL_MAP && regs::argument(regs, abi, kind.c) & MAP_ANONYMOUS != 0 {
        return 0;
    }
    if kind.kind == CALL_CONNECT || kind.kind == CALL_LISTEN {
        return network::remember_sock(first);
    }
    file::remember(first, 0);
    if kind.kind == CALL_COPY {
        file::remember(regs::argument(regs, abi, kind.b) as u32, 1);
    }
    0
}

/// What a call did, or failed to do.
#[inline(always)]
unsafe fn effect(record: *mut TaskRecord, regs: u64, word: u64, result: i64) -> u32 {
    let kind = CallKind::from_word(word);
    match kind.kind {
        CALL_READ | CALL_WRITE | CALL_DESCRIPTOR | CALL_COPY | CALL_MAP => {
            file::descriptor_done(regs, word, result)
        }
        CALL_OPEN | CALL_NAME | CALL_UNLINKAT | CALL_RENAME | CALL_EXEC => {
            if kind.kind == CALL_OPEN && result >= 0 {
                file::opened(result);
            } else if file::settled_names(regs, word, result) == 0 {
                file::named(regs, word, result);
            }
            // What the kernel settled belongs to this call; only calls like these have any.
            // SAFETY: the caller's: a map value of the current task.
            unsafe {
                (*record).settled_first = 0;
                (*record).settled_second = 0;
                (*record).flags &= !TASK_OPENED;
            }
            0
        }
        CALL_SOCKET => network::made(result),
        CALL_SOCKETCALL => network::called_by_number(regs, word),
        CALL_CONNECT => network::connected(regs, word, result),
        CALL_ACCEPT => network::accepted(result),
        CALL_LISTEN => network::listening(result),
        CALL_SENDTO | CALL_RECVFROM | CALL_SENDMSG | CALL_RECVMSG => {
            network::transferred(regs, word, result)
        }
        CALL_SENDMMSG | CALL_RECVMMSG => network::transferred_many(regs, word, result),
        CALL_CREDENTIALS => event::credentials_changed(crate::kernel::task::current()),
        CALL_EVENT if result >= 0 => event::rare(regs, word),
        _ => 0,
    }
}

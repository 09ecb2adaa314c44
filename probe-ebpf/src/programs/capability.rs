//! Capabilities that the kernel asked about.
//!
//! Hook (fexit, else kprobe and kretprobe): security_capable(cred, ns, cap, opts), the same in 5.10 …
//! 7.x. Mapping memory does not come by here. Its stand-in (tp_btf): cap_capable(cred, target_ns,
//! capable_ns, cap, ret), since 6.14. It does not tell checks from probes: those of CAP_SYS_ADMIN that
//! mapping memory causes are left out.

use crate::atomics::{add, lost};
use crate::kernel::hook::alone;
use crate::kernel::task;
use crate::maps::{CAPABILITIES, entry, open};
use crate::programs::record::Task;
use aya_ebpf::macros::{btf_tracepoint, fexit, kprobe, kretprobe};
use aya_ebpf::programs::{BtfTracePointContext, FExitContext, ProbeContext, RetProbeContext};
use procmon_probe_ebpf::abi::{
    ASKED, CallKind, CapabilityKey, CapabilityRow, Loss, MAPS_MEMORY, TASK_PENDING,
};

const CAP_SYS_ADMIN: i32 = 21;
/// `CAP_OPT_NOAUDIT`, include/linux/security.h.
const NOAUDIT: u32 = 2;

#[btf_tracepoint(function = "cap_capable")]
fn on_cap_capable(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            let _ = checked(ctx.arg(3), ctx.arg(4));
        }
    });
    0
}

#[inline(always)]
fn checked(capability: i32, result: i32) -> Option<()> {
    let task = Task::current()?;
    let (flags, in_call, memory) = (
        task.flags(),
        task.in_call() != 0,
        CallKind::from_word(task.kind()).facet & MAPS_MEMORY != 0,
    );
    if flags & TASK_PENDING != 0 || (capability == CAP_SYS_ADMIN && (!in_call || memory)) {
        return None;
    }
    count(task, capability as u32, result, 0)
}

/// Counts one check.
#[inline(always)]
fn count(task: Task, capability: u32, result: i32, options: u32) -> Option<()> {
    let key = CapabilityKey {
        exe: task.exe(),
        capability,
    };
    let Some(row) = entry(&CAPABILITIES, &key, CapabilityRow::default()) else {
        lost(Loss::Capabilities);
        return None;
    };
    // SAFETY: a map value.
    let number = unsafe {
        if options & NOAUDIT != 0 {
            &raw mut (*row).probed
        } else if result == 0 {
            &raw mut (*row).used
        } else {
            &raw mut (*row).denied
        }
    };
    add(number, 1);
    Some(())
}

#[fexit]
fn f_capable(ctx: FExitContext) -> i32 {
    alone(|| {
        if open() {
            capable_answered(
                ctx.arg::<u64>(2) as u32,
                ctx.arg::<u64>(3) as u32,
                ctx.arg::<u64>(4),
            );
        }
    });
    0
}

#[kprobe]
fn k_capable(ctx: ProbeContext) -> u32 {
    if open()
        && let Some(task) = Task::of(task::current())
    {
        let asked = |position| ctx.arg::<u64>(position).unwrap_or(0) as u32 & 0xff;
        task.set_asked(ASKED | asked(3) << 8 | asked(2));
    }
    0
}

#[kretprobe]
fn k_capable_return(ctx: RetProbeContext) -> u32 {
    if open()
        && let Some(task) = Task::of(task::current())
    {
        let asked = task.asked();
        if asked != 0 {
            task.set_asked(0);
            capable_answered(asked & 0xff, asked >> 8 & 0xff, ctx.ret());
        }
    }
    0
}

/// A check has ended.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn capable_answered(capability: u32, options: u32, result: u64) -> u32 {
    if let Some(task) = Task::of(task::current())
        && task.flags() & TASK_PENDING == 0
    {
        let _ = count(task, capability, result as i32, options);
    }
    0
}

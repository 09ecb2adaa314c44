//! Capabilities that the kernel asked about.
//!
//! Hook (tp_btf): cap_capable(cred, target_ns, capable_ns, cap, ret), since 6.14. It does not tell
//! checks from probes: those of CAP_SYS_ADMIN that mapping memory causes are left out.

use super::label;
use crate::maps::{CAPABILITIES, add, lost, open};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use procmon_probe_ebpf::abi::{CallKind, CapabilityKey, CapabilityRow, Loss, TASK_PENDING};

const CAP_SYS_ADMIN: i32 = 21;

#[btf_tracepoint(function = "cap_capable")]
fn on_cap_capable(ctx: BtfTracePointContext) -> i32 {
    if open() {
        let _ = checked(ctx.arg(3), ctx.arg(4));
    }
    0
}

#[inline(always)]
fn checked(capability: i32, result: i32) -> Option<()> {
    let record = label::current()?;
    // SAFETY: a map value of the current task.
    let (exe, flags, in_call, memory) = unsafe {
        (
            (*record).exe,
            (*record).flags,
            (*record).in_call != 0,
            CallKind::from_word((*record).kind).maps_memory != 0,
        )
    };
    if flags & TASK_PENDING != 0 || (capability == CAP_SYS_ADMIN && (!in_call || memory)) {
        return None;
    }
    let key = CapabilityKey {
        exe,
        capability: capability as u32,
    };
    let row = match CAPABILITIES.get_ptr_mut(key) {
        Some(row) => row,
        None => {
            let _ = CAPABILITIES.insert(key, CapabilityRow::default(), 1);
            match CAPABILITIES.get_ptr_mut(key) {
                Some(row) => row,
                None => {
                    lost(Loss::Capabilities);
                    return None;
                }
            }
        }
    };
    // SAFETY: a map value.
    unsafe {
        if result == 0 {
            add(&raw mut (*row).used, 1);
        } else {
            add(&raw mut (*row).denied, 1);
        }
    }
    Some(())
}

//! Numbers that several CPUs share: counters, pools, and how to add to them on every kernel.

use crate::maps::{ERRNOS, LOST, config};
use aya_ebpf::maps::Queue;
use procmon_probe_ebpf::abi::{Loss, RowErrno};

/// Counts one loss.
#[inline(always)]
pub(crate) fn lost(loss: Loss) {
    if let Some(count) = LOST.get_ptr_mut(loss as u32) {
        add(count, 1);
    }
}

/// Adds to a number that several CPUs share: the old xadd, which every kernel takes.
#[inline(always)]
pub(crate) fn add(number: *mut u64, amount: u64) {
    // SAFETY: the pointer is an aligned map value; the verifier checks that.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) number, in(reg) amount, options(nostack));
    }
}

/// The same number, of which the compiler knows nothing: it then keeps one register for the check
/// of a position and for its use, as the verifier needs it.
#[inline(always)]
pub(crate) fn opaque(number: u64) -> u64 {
    let mut number = number;
    // SAFETY: no instruction.
    unsafe {
        core::arch::asm!("", inout("r0") number, options(nomem, nostack, preserves_flags));
    }
    number
}

/// Other tasks of this CPU may run programs in the middle of this one.
#[inline(always)]
pub(crate) fn is_shared() -> bool {
    config!(preemptible) != 0 && config!(holds_cpu) == 0
}

/// Adds to a number of this CPU.
#[inline(always)]
pub(crate) fn add_local(number: *mut u64, amount: u64) {
    if is_shared() {
        add(number, amount);
    } else {
        // SAFETY: the pointer is an aligned map value of this CPU, and nothing else runs on it.
        unsafe { *number += amount };
    }
}

/// Number of this CPU, in a register's full width.
#[inline(always)]
pub(crate) fn processor() -> u64 {
    const BPF_FUNC_GET_SMP_PROCESSOR_ID: usize = 8;
    // SAFETY: the helper takes no argument, and sets all of the register.
    unsafe {
        let helper: unsafe extern "C" fn() -> u64 =
            core::mem::transmute(BPF_FUNC_GET_SMP_PROCESSOR_ID);
        helper()
    }
}

/// Counts failures of a row.
#[inline(always)]
pub(crate) fn add_errno(rows: u16, row: u32, errno: u16, failures: u64) {
    let key = RowErrno { row, rows, errno };
    if let Some(count) = ERRNOS.get_ptr_mut(key) {
        add(count, failures);
        return;
    }
    // Two CPUs may come here at once: the second finds the entry of the first.
    let _ = ERRNOS.insert(key, 0, 1);
    match ERRNOS.get_ptr_mut(key) {
        Some(count) => add(count, failures),
        None => lost(Loss::Errnos),
    }
}

/// Takes a number from a pool.
#[inline(always)]
pub(crate) fn take(pool: &Queue<u32>) -> Option<u32> {
    pool.pop().ok().flatten()
}

/// Counts one more change in a member of the state.
macro_rules! bump {
    ($member:ident) => {
        $crate::atomics::add(
            // SAFETY: the static is a map's value.
            unsafe { &raw mut $crate::maps::STATE.$member },
            1,
        )
    };
}
pub(crate) use bump;

//! The kernel's clocks.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};

/// Nanoseconds of the monotonic clock.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_ktime_get_ns() }
}

/// Ticks since the machine has started.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_jiffies64() }
}

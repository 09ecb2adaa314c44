//! Clocks, in nanoseconds.

use std::time::Duration;

/// Nanoseconds of the monotonic clock, which the programs in the kernel read too.
pub(crate) fn monotonic_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of CPU time that this process took.
pub(crate) fn cpu_ns() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Nanoseconds of a tick of the kernel: what the coarse clock can tell apart.
pub(crate) fn tick_ns() -> u32 {
    let mut resolution = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut resolution) };
    u32::try_from(resolution.tv_nsec).unwrap_or(0)
}

/// Nanoseconds of a time; as many as there can be for a longer one.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The moment of the monotonic clock that comes after this time.
pub(crate) fn moment_after(time: Duration) -> u64 {
    monotonic_ns().saturating_add(nanoseconds(time))
}

//! The buffers for records with paths: how a program takes one, and sends what it holds.

use crate::atomics::lost;
use crate::maps::{RING, SCRATCH, SCRATCH_MASK, Scratch};
use procmon_probe_ebpf::abi::Loss;

/// The buffer of hooks on system calls, and of what they call.
pub(crate) const OF_CALLS: u32 = 0;
/// The buffer of iterators.
pub(crate) const OF_ITERATORS: u32 = 1;
/// The buffer of hooks on functions of the kernel, which may come in the middle of the others.
pub(crate) const OF_FUNCTIONS: u32 = 2;

/// A buffer of this CPU.
#[inline(always)]
pub(crate) fn scratch(index: u32) -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(index)
}

/// Takes a buffer for the current task, where another one may come between.
#[inline(always)]
pub(crate) fn claim(buffer: *mut Scratch) {
    // SAFETY: a map value of this CPU; volatile since another task may come between.
    unsafe {
        core::ptr::write_volatile(
            &raw mut (*buffer).owner,
            aya_ebpf::helpers::generated::bpf_get_current_task(),
        );
    }
}

/// No other task has taken the buffer meanwhile.
#[inline(always)]
pub(crate) fn is_mine(buffer: *mut Scratch) -> bool {
    // SAFETY: as for `claim`.
    unsafe {
        core::ptr::read_volatile(&raw const (*buffer).owner)
            == aya_ebpf::helpers::generated::bpf_get_current_task()
    }
}

/// Writes the first `length` bytes of a buffer into the ring buffer.
#[inline(always)]
pub(crate) fn emit(buffer: *mut Scratch, length: usize, loss: Loss) -> bool {
    let length = length & 0x7fff;
    if length == 0 || length > SCRATCH_MASK {
        return false;
    }
    // SAFETY: the length is below the size of the buffer, which is a map value.
    let sent = unsafe {
        aya_ebpf::helpers::generated::bpf_ringbuf_output(
            core::ptr::from_ref(&RING).cast_mut().cast(),
            buffer.cast(),
            length as u64,
            // BPF_RB_NO_WAKEUP: the probe drains by the clock.
            1,
        )
    } == 0;
    if !sent {
        lost(loss);
    }
    sent
}

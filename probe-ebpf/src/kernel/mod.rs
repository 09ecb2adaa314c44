//! Typed reads of kernel structures, one file per structure.
//!
//! Addresses are plain numbers; an address of 0, or one that can't be read, reads as 0. Functions
//! that are not inlined take numbers only and are exported: the verifier then checks each of them
//! once, not once for every call.

pub(crate) mod cgroup;
pub(crate) mod cred;
pub(crate) mod file;
pub(crate) mod path;
pub(crate) mod regs;
pub(crate) mod sock;
pub(crate) mod task;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

/// The address of an argument of a hook, as a number. Its type is lost on the way through a map:
/// exported functions take nothing else.
#[inline(always)]
pub(crate) fn number_of(pointer: *const u8) -> u64 {
    if crate::maps::config!(preemptible) != 0 {
        // What lies on this CPU another task may change: a copy is dearer, and the task's own.
        let pointer = pointer as u64;
        return read((&raw const pointer) as u64, 0);
    }
    let Some(cache) = crate::maps::CPU_CACHE.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: a map value of this CPU; volatile so that the compiler keeps the detour.
    unsafe {
        core::ptr::write_volatile(&raw mut (*cache).number, pointer as u64);
        core::ptr::read_volatile(&raw const (*cache).number)
    }
}

/// The value at an address.
#[inline(always)]
pub(crate) fn read<T: Copy + Default>(base: u64, offset: u32) -> T {
    let mut value = T::default();
    // No branch on the result: the helper writes zeroes where it can't read, and every branch
    // doubles the work of the verifier.
    // SAFETY: a local of the right size; the helper checks the address.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            base.wrapping_add(u64::from(offset)) as *const _,
        );
    }
    value
}

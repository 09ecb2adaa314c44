//! Reads of the kernel's memory.
//!
//! An address of 0, or one that can't be read, reads as 0.

use crate::maps::config;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use core::mem::MaybeUninit;
use procmon_probe_ebpf::abi::RDONLY_CAST;

/// The value at an address.
#[inline(always)]
pub(crate) fn read<T: Copy + Default>(base: u64, offset: u32) -> T {
    let address = base.wrapping_add(u64::from(offset));
    if config!(direct) != 0 && matches!(size_of::<T>(), 1 | 2 | 4 | 8) {
        // SAFETY: the kernel's own function, which the verifier replaces by nothing; a load through
        // its result gives 0 where there is no memory.
        unsafe {
            let cast: unsafe extern "C" fn(u64, u64) -> *const T =
                core::mem::transmute(RDONLY_CAST as usize);
            return core::ptr::read_volatile(cast(address, 0));
        }
    }
    copy(address)
}

/// The value at an address, by a helper.
#[inline(always)]
pub(crate) fn copy<T: Copy + Default>(address: u64) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes all of the value.
    unsafe {
        copy_to(value.as_mut_ptr(), address);
        value.assume_init()
    }
}

/// Copies the value at an address to a place of its own: what is larger than a register.
#[inline(always)]
pub(crate) fn read_to<T: Copy>(out: &mut T, base: u64, offset: u32) {
    copy_to(out, base.wrapping_add(u64::from(offset)));
}

#[inline(always)]
fn copy_to<T>(out: *mut T, address: u64) {
    // No branch on the result: the helper writes zeroes where it can't read, and every branch
    // doubles the work of the verifier.
    // SAFETY: a local of the right size; the helper checks the address.
    unsafe { bpf_probe_read_kernel(out.cast(), size_of::<T>() as u32, address as *const _) };
}

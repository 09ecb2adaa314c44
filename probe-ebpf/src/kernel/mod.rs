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

use crate::maps::config;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use core::mem::MaybeUninit;
use procmon_probe_ebpf::abi::{
    IRQ_RESTORE, IRQ_SAVE, PREEMPT_DISABLE, PREEMPT_ENABLE, RDONLY_CAST,
};

/// The address of an argument of a hook, as a number. Its type is lost on the way through a map:
/// exported functions take nothing else.
#[inline(always)]
pub(crate) fn number_of(pointer: *const u8) -> u64 {
    number_at(pointer, 0)
}

/// The same at another place: for hooks that may interrupt others on this CPU.
#[inline(always)]
pub(crate) fn number_at(pointer: *const u8, place: usize) -> u64 {
    if crate::maps::is_shared() {
        return number_copied(pointer);
    }
    let Some(numbers) = crate::maps::NUMBERS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: a map value of this CPU; volatile so that the compiler keeps the detour.
    unsafe {
        core::ptr::write_volatile(&raw mut (*numbers)[place], pointer as u64);
        core::ptr::read_volatile(&raw const (*numbers)[place])
    }
}

/// The same where another task may run meanwhile, as in iterators: a copy is dearer, and the task's
/// own.
#[inline(always)]
pub(crate) fn number_copied(pointer: *const u8) -> u64 {
    let pointer = pointer as u64;
    copy((&raw const pointer) as u64)
}

/// A whole program, during which no other task of this CPU runs one: buffers are each task's own then.
///
/// The kernel skips a program that another task of the CPU is in the middle of, so that a task that has to go
/// must not go from here: with interrupts off, the end of it all lets no other task run; the kernel's next
/// look at that comes when the program has returned.
#[inline(always)]
pub(crate) fn alone(program: impl FnOnce()) {
    if config!(holds_cpu) != 0 {
        // SAFETY: the kernel's own function, which takes nothing.
        unsafe {
            let disable: unsafe extern "C" fn() = core::mem::transmute(PREEMPT_DISABLE as usize);
            disable();
        }
    }
    program();
    if config!(holds_cpu) != 0 {
        let mut flags = MaybeUninit::<u64>::uninit();
        // SAFETY: the kernel's own functions; the flags are a local that the first of them sets.
        unsafe {
            let save: unsafe extern "C" fn(*mut u64) = core::mem::transmute(IRQ_SAVE as usize);
            let enable: unsafe extern "C" fn() = core::mem::transmute(PREEMPT_ENABLE as usize);
            let restore: unsafe extern "C" fn(*mut u64) =
                core::mem::transmute(IRQ_RESTORE as usize);
            save(flags.as_mut_ptr());
            enable();
            restore(flags.as_mut_ptr());
        }
    }
}

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
fn copy<T: Copy + Default>(address: u64) -> T {
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

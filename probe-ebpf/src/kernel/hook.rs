//! The beginning of every hook: their arguments as numbers, and a CPU of their own.

use crate::atomics::is_shared;
use crate::kernel::memory::copy;
use crate::maps::{NUMBERS, config};
use core::mem::MaybeUninit;
use procmon_probe_ebpf::abi::{IRQ_RESTORE, IRQ_SAVE, PREEMPT_DISABLE, PREEMPT_ENABLE};

/// The address of an argument of a hook, as a number. Its type is lost on the way through a map:
/// exported functions take nothing else.
#[inline(always)]
pub(crate) fn number_of(pointer: *const u8) -> u64 {
    number_at(pointer, 0)
}

/// The same at another place: for hooks that may interrupt others on this CPU.
#[inline(always)]
pub(crate) fn number_at(pointer: *const u8, place: usize) -> u64 {
    if is_shared() {
        return number_copied(pointer);
    }
    let Some(numbers) = NUMBERS.get_ptr_mut(0) else {
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

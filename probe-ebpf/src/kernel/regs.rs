//! `struct pt_regs`: number and arguments of a system call, as the kernel saved them.

use super::read;
use crate::maps::{OFFSETS, config, constant, offset};
use procmon_probe_ebpf::abi::{ABI_COMPAT, ABI_NATIVE, ABI_X32};

/// The calling convention of the current system call, for a hook that has its registers.
#[inline(always)]
pub(crate) fn abi(task: u64, regs: *const u8, number: u64) -> u32 {
    if config!(arch) == 1 {
        amd64(task, number)
    } else {
        arm64(super::number_of(regs))
    }
}

/// The calling convention of the current system call.
#[inline(always)]
pub(crate) fn abi_of(regs: u64, number: u64) -> u32 {
    if config!(arch) == 1 {
        amd64(super::task::current(), number)
    } else {
        arm64(regs)
    }
}

#[inline(always)]
fn amd64(task: u64, number: u64) -> u32 {
    if super::task::compat_status(task) & 2 != 0 {
        ABI_COMPAT
    } else if number & 0x4000_0000 != 0 && number >> 31 == 0 {
        ABI_X32
    } else {
        ABI_NATIVE
    }
}

#[inline(always)]
fn arm64(regs: u64) -> u32 {
    if read::<u64>(regs, offset!(regs_pstate)) & 0x10 != 0 {
        ABI_COMPAT
    } else {
        ABI_NATIVE
    }
}

/// The same for a hook that has its registers: a typed pointer, which is read without a helper.
#[inline(always)]
pub(crate) fn number_here(regs: *const u8) -> i64 {
    // SAFETY: the verifier knows the type and checks the place.
    unsafe { core::ptr::read_volatile(regs.add(offset!(regs_nr) as usize).cast()) }
}

/// The number of the current system call; negative once a signal frame was restored.
#[inline(always)]
pub(crate) fn number(regs: u64) -> i64 {
    read::<i64>(regs, offset!(regs_nr))
}

/// An argument by position. Valid at entry and at return: the registers keep it.
#[inline(always)]
pub(crate) fn argument(regs: u64, abi: u32, position: u8) -> u64 {
    let index = (position & 7) as usize;
    let native = constant(&raw const OFFSETS.regs_args[index]);
    let compat = constant(&raw const OFFSETS.regs_compat_args[index]);
    if abi == ABI_COMPAT {
        read::<u64>(regs, compat) & 0xffff_ffff
    } else {
        read(regs, native)
    }
}

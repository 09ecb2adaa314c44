//! `struct pt_regs`: number and arguments of a system call, as the kernel saved them.

use crate::kernel::memory::read;
use crate::kernel::task;
use crate::maps::{OFFSETS, config, constant, offset};
use procmon_probe_ebpf::abi::{ABI_COMPAT, ABI_NATIVE, ABI_X32};

/// arch/x86/include/asm/thread_info.h.
const TS_COMPAT: u32 = 2;
/// arch/arm64/include/uapi/asm/ptrace.h.
const PSR_MODE32_BIT: u32 = 0x10;

/// Where the machine tells the calling convention of a task's system call, apart from its number:
/// `thread_info.status` or the saved processor state.
#[inline(always)]
pub(crate) fn convention_at(task: u64, regs: u64) -> u64 {
    if config!(arch) == 1 {
        task + u64::from(offset!(task_thread_info_status))
    } else {
        regs + u64::from(offset!(regs_pstate))
    }
}

/// What it says there: not 0 for 32 bits. The current task's status is read without a helper where that
/// is possible.
#[inline(always)]
pub(crate) fn convention(at: u64) -> u32 {
    let word = if config!(direct) == 0 && config!(typed_task) != 0 && config!(arch) == 1 {
        task::status()
    } else {
        read::<u32>(at, 0)
    };
    // Bit 4 is not used in the one, bit 1 not set in the other.
    word & (TS_COMPAT | PSR_MODE32_BIT)
}

/// The calling convention by that and the number.
#[inline(always)]
pub(crate) fn abi(convention: u32, number: u64) -> u32 {
    if convention != 0 {
        ABI_COMPAT
    } else if config!(arch) == 1 && number & 0x4000_0000 != 0 && number >> 31 == 0 {
        ABI_X32
    } else {
        ABI_NATIVE
    }
}

/// The number of the current system call.
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

/// The errno of a result; 0 for success and for the kernel's internal restart codes.
#[inline(always)]
pub(crate) fn errno(result: i64) -> u16 {
    if (-511..0).contains(&result) {
        -result as u16
    } else {
        0
    }
}

/// A result that stands for a failure.
#[inline(always)]
pub(crate) fn is_errno(result: i64) -> bool {
    result as u64 >= -4095_i64 as u64
}

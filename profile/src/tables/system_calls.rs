//! System calls by calling convention.

use crate::model::Abi;

/// Bit 30 marks a call as x32 on x86.
const X32_BIT: u32 = 0x4000_0000;
/// No abi has a number as high as this, but for ARM's private ones.
const HIGHEST: u32 = 1024;

/// The name of a system call, or `unknown(N)`.
///
/// ```
/// use procmon_profile::{model::Abi, tables::syscall_name};
/// assert_eq!(syscall_name(Abi::X86_64, 39), "getpid");
/// assert_eq!(syscall_name(Abi::I386, 20), "getpid");
/// assert_eq!(syscall_name(Abi::Aarch64, 99_999), "unknown(99999)");
/// ```
#[must_use]
pub fn syscall_name(abi: Abi, number: u32) -> String {
    let index = if abi == Abi::X32 {
        number & !X32_BIT
    } else {
        number
    };
    known_name(abi, index).map_or_else(
        || format!("unknown({})", number.cast_signed()),
        str::to_owned,
    )
}

fn known_name(abi: Abi, number: u32) -> Option<&'static str> {
    let number = number as usize;
    match abi {
        Abi::X86_64 | Abi::X32 => syscalls::x86_64::Sysno::new(number).map(|call| call.name()),
        Abi::I386 => syscalls::x86::Sysno::new(number).map(|call| call.name()),
        Abi::Aarch64 => syscalls::aarch64::Sysno::new(number).map(|call| call.name()),
        Abi::Arm => syscalls::arm::Sysno::new(number).map(|call| call.name()),
    }
}

/// The number of a system call on an abi, when the abi has it.
///
/// ```
/// use procmon_profile::{model::Abi, tables::syscall_number};
/// assert_eq!(syscall_number(Abi::X86_64, "getpid"), Some(39));
/// assert_eq!(syscall_number(Abi::Aarch64, "open"), None);
/// ```
#[must_use]
pub fn syscall_number(abi: Abi, name: &str) -> Option<u32> {
    // A look through the names: a table from names to numbers would take more room in the probe
    // than all else of this module.
    (0..HIGHEST).find(|number| known_name(abi, *number) == Some(name))
}

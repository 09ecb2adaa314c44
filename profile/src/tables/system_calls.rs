//! System calls by calling convention.

use crate::model::Abi;

/// Bit 30 marks a call as x32 on x86.
const X32_BIT: u32 = 0x4000_0000;

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
    let index = (number & !X32_BIT) as usize;
    let name = match abi {
        Abi::X86_64 => syscalls::x86_64::Sysno::new(number as usize).map(|call| call.name()),
        Abi::X32 => syscalls::x86_64::Sysno::new(index).map(|call| call.name()),
        Abi::I386 => syscalls::x86::Sysno::new(number as usize).map(|call| call.name()),
        Abi::Aarch64 => syscalls::aarch64::Sysno::new(number as usize).map(|call| call.name()),
        Abi::Arm => syscalls::arm::Sysno::new(number as usize).map(|call| call.name()),
    };
    name.map_or_else(|| format!("unknown({number})"), str::to_owned)
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
    let number = match abi {
        Abi::X86_64 | Abi::X32 => name.parse::<syscalls::x86_64::Sysno>().ok().map(|call| call.id()),
        Abi::I386 => name.parse::<syscalls::x86::Sysno>().ok().map(|call| call.id()),
        Abi::Aarch64 => name.parse::<syscalls::aarch64::Sysno>().ok().map(|call| call.id()),
        Abi::Arm => name.parse::<syscalls::arm::Sysno>().ok().map(|call| call.id()),
    }?;
    u32::try_from(number).ok()
}

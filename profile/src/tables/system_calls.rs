//! System calls by calling convention.

use crate::model::Abi;

/// Bit 30 marks a call as x32 on x86.
const X32_BIT: u32 = 0x4000_0000;
/// No abi has a number as high as this, but for ARM's private ones, which have no names here.
const HIGHEST: u32 = 1024;
/// A reader of documents meets calls of every architecture, a probe those of its own.
const HAS_X86: bool = cfg!(any(feature = "read", target_arch = "x86_64"));
const HAS_ARM: bool = cfg!(any(feature = "read", target_arch = "aarch64"));

/// The names of calls with consecutive numbers. A match from numbers to names becomes a table with 16
/// bytes for each number, which makes the probe larger by 15,000 bytes for two conventions.
struct Names {
    /// One after the other.
    text: &'static [u8],
    /// Where each begins, and the end. Numbers without a call have empty names.
    starts: &'static [u16],
}

impl Names {
    fn get(&self, index: u32) -> Option<&'static str> {
        let index = index as usize;
        let (start, end) = (*self.starts.get(index)?, *self.starts.get(index + 1)?);
        let name = self.text.get(usize::from(start)..usize::from(end))?;
        std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())
    }
}

/// The names of an architecture's calls.
macro_rules! names {
    ($arch:ident) => {{
        const fn name(index: usize) -> &'static [u8] {
            match syscalls::$arch::Sysno::new(index) {
                Some(call) => call.name().as_bytes(),
                None => b"",
            }
        }
        const COUNT: usize = {
            let mut index = HIGHEST as usize;
            while name(index - 1).is_empty() {
                index -= 1;
            }
            index
        };
        #[expect(clippy::cast_possible_truncation, reason = "it is asserted")]
        const STARTS: [u16; COUNT + 1] = {
            let mut starts = [0; COUNT + 1];
            let mut index = 0;
            while index < COUNT {
                let length = name(index).len();
                assert!(length < 100);
                starts[index + 1] = starts[index] + length as u16;
                index += 1;
            }
            starts
        };
        static TEXT: [u8; STARTS[COUNT] as usize] = {
            let mut text = [0; STARTS[COUNT] as usize];
            let (mut index, mut end) = (0, 0);
            while index < COUNT {
                let mut at = 0;
                while at < name(index).len() {
                    text[end] = name(index)[at];
                    (at, end) = (at + 1, end + 1);
                }
                index += 1;
            }
            text
        };
        static ALL: [u16; COUNT + 1] = STARTS;
        Names {
            text: &TEXT,
            starts: &ALL,
        }
    }};
}

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
    match abi {
        Abi::X86_64 | Abi::X32 if HAS_X86 => names!(x86_64).get(number),
        Abi::I386 if HAS_X86 => names!(x86).get(number),
        Abi::Aarch64 if HAS_ARM => names!(aarch64).get(number),
        Abi::Arm if HAS_ARM => names!(arm).get(number),
        _ => None,
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

#[cfg(all(test, feature = "read"))]
mod tests {
    use super::known_name;
    use crate::model::Abi;

    /// One architecture's names as the crate has them.
    macro_rules! assert_names {
        ($abi:expr, $arch:ident) => {
            for number in (0..2048).chain(0xf_0000..0xf_0008) {
                let name = syscalls::$arch::Sysno::new(number as usize).map(|call| call.name());
                assert_eq!(known_name($abi, number), name, "{number}");
            }
        };
    }

    #[test]
    fn names_are_those_of_the_crate() {
        assert_names!(Abi::X86_64, x86_64);
        assert_names!(Abi::I386, x86);
        assert_names!(Abi::Aarch64, aarch64);
        assert_names!(Abi::Arm, arm);
    }
}

//! Command lines, each kept once, bounded in all: a target decides how many there are and how long.

use procmon_profile::text::{self, Text};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::rc::Rc;

/// Bytes of all different command lines together.
const MAX_BYTES: usize = 16 << 20;
/// What is kept of one that finds no place: its first bytes, and a digest that tells it from others.
const PREFIX: usize = 64;

/// Arguments as the kernel has them, each ended by NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Arguments {
    bytes: Rc<[u8]>,
    /// There are more.
    pub(crate) truncated: bool,
}

impl Arguments {
    /// They are one argument, this one.
    pub(crate) fn is(&self, argument: &[u8]) -> bool {
        let whole = self.bytes.strip_suffix(b"\0").unwrap_or(&self.bytes);
        whole == argument
    }

    /// As text of the document, one by one.
    pub(crate) fn text(&self) -> Vec<Text> {
        let bytes = match self.bytes.strip_suffix(b"\0") {
            Some(whole) if !self.truncated => whole,
            _ => &self.bytes,
        };
        if bytes.is_empty() {
            return Vec::new();
        }
        bytes
            .split(|byte| *byte == 0)
            .map(text::from_bytes)
            .collect()
    }
}

/// All command lines.
#[derive(Default)]
pub(crate) struct Interner {
    known: HashSet<Rc<[u8]>>,
    n_bytes: usize,
}

impl Interner {
    /// The one copy of some arguments.
    pub(crate) fn keep(&mut self, bytes: &[u8], truncated: bool) -> Arguments {
        if let Some(known) = self.known.get(bytes) {
            return Arguments {
                bytes: Rc::clone(known),
                truncated,
            };
        }
        if bytes.len() > PREFIX && self.n_bytes + bytes.len() > MAX_BYTES {
            return self.keep(&shortened(bytes), true);
        }
        self.n_bytes += bytes.len();
        let kept: Rc<[u8]> = bytes.into();
        self.known.insert(Rc::clone(&kept));
        Arguments {
            bytes: kept,
            truncated,
        }
    }
}

/// The first bytes, and a digest of all; not longer than [`PREFIX`].
pub(super) fn shortened(bytes: &[u8]) -> Vec<u8> {
    let mut short = bytes[..bytes.len().min(PREFIX / 2)].to_vec();
    short.extend("…".as_bytes());
    for byte in &Sha256::digest(bytes)[..8] {
        short.extend(format!("{byte:02x}").into_bytes());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_empty_ones() {
        let mut all = Interner::default();
        assert_eq!(all.keep(b"a\0\0--x\0", false).text(), ["a", "", "--x"]);
        assert_eq!(all.keep(b"", false).text(), [""; 0]);
        assert_eq!(all.keep(b"a\0b", true).text(), ["a", "b"]);
        assert_eq!(all.keep(b"a\0", true).text(), ["a", ""]);
    }

    #[test]
    fn equal_ones_are_kept_once_and_all_are_bounded() {
        let mut all = Interner::default();
        let line = |number: u32| format!("{number:08}{}\0", "x".repeat(4000)).into_bytes();
        let first = all.keep(&line(0), false);
        assert!(Rc::ptr_eq(&first.bytes, &all.keep(&line(0), false).bytes));
        for number in 1..20_000 {
            all.keep(&line(number), false);
        }
        assert!(all.n_bytes < MAX_BYTES + 20_000 * PREFIX, "{}", all.n_bytes);
        assert_eq!(all.known.len(), 20_000);
        let late = all.keep(&line(19_999), false);
        assert!(late.truncated);
        assert!(
            late.text()[0].starts_with("00019999xx"),
            "{:?}",
            late.text()
        );
    }
}

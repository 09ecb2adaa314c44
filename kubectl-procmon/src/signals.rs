//! Which signals the caller of this program has the kernel ignore: a command that is profiled gets them as
//! it would without us. They are looked at before `main`, since Rust's runtime changes one of them.

use std::sync::atomic::{AtomicU64, Ordering};

static IGNORED: AtomicU64 = AtomicU64::new(0);

// SAFETY: reads a file and stores a number; neither needs anything that the runtime has yet to make.
#[ctor::ctor(unsafe)]
fn look() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    IGNORED.store(ignored(&status), Ordering::Relaxed);
}

/// Signals that were ignored when this program began: bit N - 1 is signal N.
pub(crate) fn ignored_by_caller() -> u64 {
    IGNORED.load(Ordering::Relaxed)
}

/// `SigIgn` of a status.
fn ignored(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::ignored;

    #[test]
    fn ignored_signals_are_read() {
        assert_eq!(
            ignored("Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\t1\n"),
            0x1003
        );
        assert_eq!(ignored(""), 0);
    }
}

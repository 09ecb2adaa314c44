//! Who ended a window before its time: the user, or somebody else.
//!
//! Interrupts count how often the user asked to stop. The first ends the window, the second everything.
//! One wish may arrive as several signals: timeout(1) signals its child and then the whole process
//! group, a terminal that hangs up sends SIGHUP beside what the shell sends.

use procmon_profile::wire::{Ended, Part};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Signals that arrive within this time of one that was counted are the same wish.
const ONE_WISH: Duration = Duration::from_millis(500);

/// Counts wishes to stop.
#[derive(Debug, Default)]
pub(crate) struct Interrupts {
    count: Arc<AtomicU32>,
    last: Mutex<Option<Instant>>,
}

impl Interrupts {
    /// The number of wishes so far, which goes on counting.
    pub(crate) fn count(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.count)
    }

    /// Notes a signal that arrived at this time.
    fn note(&self, now: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_duration_since(last) < ONE_WISH) {
            return;
        }
        *last = Some(now);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts from now on what asks to stop instead of dying of it: SIGINT, SIGTERM and, where it is
    /// not ignored, SIGHUP; Ctrl-C elsewhere. Needs the runtime's context.
    pub(crate) fn watch() -> std::io::Result<Arc<AtomicU32>> {
        let interrupts = Arc::new(Self::default());
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
            if !ignores_hangup() {
                kinds.push(SignalKind::hangup());
            }
            for kind in kinds {
                let mut signals = signal(kind)?;
                let interrupts = Arc::clone(&interrupts);
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        interrupts.note(Instant::now());
                    }
                });
            }
        }
        #[cfg(not(unix))]
        {
            let interrupts = Arc::clone(&interrupts);
            tokio::spawn(async move {
                while tokio::signal::ctrl_c().await.is_ok() {
                    interrupts.note(Instant::now());
                }
            });
        }
        Ok(interrupts.count())
    }
}

/// The caller of this program wants it to outlive its terminal, as nohup does.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Why a window is partial that ended before its time although the user did not ask for it: somebody
/// deleted or evicted the probe. None where the probe itself gives another reason.
pub(crate) fn cut_from_outside(parts: &[Part], requested: Option<f64>) -> Option<String> {
    let window = parts.iter().find_map(|part| match part {
        Part::Window(window) => Some(window),
        _ => None,
    })?;
    if window.ended != Some(Ended::Stopped) {
        return None;
    }
    let of = requested.map_or_else(String::new, |seconds| format!(" of {seconds:.1} s"));
    Some(format!(
        "stopped after {:.1} s{of} by somebody else",
        window.seconds
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_profile::wire::WindowReport;

    #[test]
    fn a_window_that_somebody_else_ended_says_so() {
        let cut = |ended| {
            let window = WindowReport {
                seconds: 2.04,
                ended: Some(ended),
                ..WindowReport::default()
            };
            cut_from_outside(&[Part::Window(window)], Some(8.0))
        };
        assert_eq!(
            cut(Ended::Stopped).as_deref(),
            Some("stopped after 2.0 s of 8.0 s by somebody else")
        );
        for other in [
            Ended::Over,
            Ended::TargetGone,
            Ended::Memory,
            Ended::ReaderGone,
        ] {
            assert_eq!(cut(other), None, "{other:?}");
        }
    }

    #[test]
    fn signals_that_arrive_together_are_one_wish() {
        let interrupts = Interrupts::default();
        let begin = Instant::now();
        let mut counts = Vec::new();
        for milliseconds in [0, 1, 499, 500, 900, 1000] {
            interrupts.note(begin + Duration::from_millis(milliseconds));
            counts.push(interrupts.count().load(Ordering::SeqCst));
        }
        assert_eq!(counts, [1, 1, 1, 2, 2, 3]);
    }
}

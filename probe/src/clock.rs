//! Moments of the kernel's monotonic clock as times of day.

use crate::sys;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The kernel's monotonic clock and the wall clock at one moment.
pub(crate) struct Clock {
    wall_minus_monotonic: Duration,
}

impl Clock {
    /// Both as they are now.
    pub(crate) fn new() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            wall_minus_monotonic: wall.saturating_sub(Duration::from_nanos(sys::monotonic_ns())),
        }
    }

    /// A moment of the monotonic clock as RFC 3339.
    pub(crate) fn time(&self, monotonic_ns: u64) -> String {
        let time = UNIX_EPOCH + self.wall_minus_monotonic + Duration::from_nanos(monotonic_ns);
        humantime::format_rfc3339_nanos(time).to_string()
    }
}

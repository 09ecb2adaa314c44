//! Numbers and times as the cells of the report show them. `values.js` has the same in `shown`.

use crate::render::text::{bytes, duration};
use procmon_profile::model::{Profile, Time};
use std::time::Duration;

/// The kind of the values of a column: how they are shown and sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Words of this program.
    Text,
    /// A name that somebody else chose, or a command.
    Name,
    /// A number of times.
    Count,
    /// A number of bytes.
    Bytes,
    /// Nanoseconds.
    Duration,
    /// Microseconds since the window opened.
    Offset,
    /// A severity.
    Severity,
}

impl Kind {
    /// A number as it is shown.
    pub(super) fn number(self, number: i64) -> String {
        match self {
            Self::Bytes => bytes(number.unsigned_abs()),
            Self::Duration => duration(number.unsigned_abs()),
            Self::Offset => offset(number),
            _ => grouped(number),
        }
    }
}

/// A number with its digits in groups of three: counts are compared, so none is rounded.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds since the window opened, to milliseconds.
pub(super) fn offset(microseconds: i64) -> String {
    let sign = if microseconds < 0 { '-' } else { '+' };
    let milliseconds = (microseconds.unsigned_abs() + 500) / 1000;
    format!("{sign}{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

/// The longest window that is drawn, in microseconds: a year.
const MAX_LENGTH: i64 = 366 * 86_400 * 1_000_000;

/// The window of a profile, as a scale for its moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Nanoseconds since 1970 when it opened.
    start: i128,
    /// Its length in microseconds, 1 at least.
    pub(super) length: i64,
}

impl Window {
    /// The window that the session tells; where it does not, that of the moments of the rows.
    pub(super) fn of(profile: &Profile) -> Option<Self> {
        let session = &profile.session;
        let told = |time: &Option<Time>| time.as_ref().and_then(Time::nanoseconds);
        let start = told(&session.started_at).or_else(|| {
            let seen = profile.containers.iter().flat_map(|c| &c.processes);
            seen.filter_map(|row| row.first_seen.as_ref()?.nanoseconds())
                .min()
        })?;
        let mut window = Self { start, length: 1 };
        window.length = [
            session
                .window_seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .and_then(|length| i64::try_from(length.as_micros()).ok()),
            session.ended_at.as_ref().and_then(|end| window.offset(end)),
        ]
        .into_iter()
        .flatten()
        .fold(1, i64::max)
        .min(MAX_LENGTH);
        Some(window)
    }

    /// Microseconds from its opening to a moment.
    pub(super) fn offset(self, time: &Time) -> Option<i64> {
        let after = time.nanoseconds()?.checked_sub(self.start)?;
        i64::try_from(after / 1000).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, grouped, offset};

    #[test]
    fn numbers_are_whole_and_in_groups() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
            (-1_000, "-1,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(offset(1_234_567), "+1.235 s");
        assert_eq!(offset(-20_000), "-0.020 s");
        assert_eq!(Kind::Bytes.number(2048), "2.0 KiB");
    }
}

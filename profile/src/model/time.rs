//! A moment.

use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// A moment, RFC 3339. Documents keep it as it was written. Moments sort by when they are, whatever the
/// precision and the offset of their texts; a text that is not a moment sorts before all of them.
///
/// ```
/// use procmon_profile::model::Time;
/// let (first, second) = (Time::from("2026-01-01T10:00:00Z"), Time::from("2026-01-01T10:00:00.5Z"));
/// assert!(first < second);
/// assert!(Time::from("2026-01-01T12:00:00+02:30") < first);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Time(Text);

impl Time {
    /// Nanoseconds since 1970. None: the text is not a moment.
    #[cfg(feature = "read")]
    #[must_use]
    pub fn nanoseconds(&self) -> Option<i128> {
        let moment: jiff::Timestamp = self.0.parse().ok()?;
        Some(moment.as_nanosecond())
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        // Most moments that are compared are of one probe, and often the same.
        if self.0 == other.0 {
            return Ordering::Equal;
        }
        #[cfg(feature = "read")]
        let by_moment = self.nanoseconds().cmp(&other.nanoseconds());
        // The probe writes one form, whose texts have the order of the moments.
        #[cfg(not(feature = "read"))]
        let by_moment = Ordering::Equal;
        by_moment.then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Into<Text>> From<T> for Time {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Deref for Time {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(all(test, feature = "read"))]
mod tests {
    use super::Time;

    #[test]
    fn moments_sort_by_when_they_are() {
        let sorted = [
            "",
            "yesterday",
            "1969-12-31T23:59:59Z",
            "2026-01-01T10:00:00Z",
            "2026-01-01T10:00:00.1Z",
            "2026-01-01T10:00:00.100000001Z",
            "2026-01-01T12:00:01+02:00",
            "2026-01-01T10:00:02Z",
        ];
        for pair in sorted.windows(2) {
            assert!(Time::from(pair[0]) < Time::from(pair[1]), "{pair:?}");
        }
    }
}

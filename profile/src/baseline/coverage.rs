//! Whether the windows were long enough: how much of what happens is still unseen.
//!
//! There are two Good–Turing estimates, of which the smaller counts. One is by observations (Chao & Jost
//! 2012): with n observations of which f1 are the only ones of their row and f2 rows have two, the share
//! that the rows hold is 1 − f1/n · ((n−1)f1 / ((n−1)f1 + 2f2)). The other is by windows, with windows that
//! have a row in place of observations: it is not deceived by rows that come in bursts. Chao's
//! lower bound of what is unseen is f1²/2f2, corrected for few windows (Chao 1984, 1987).

use super::rows::Row;
use crate::model::{
    BaselineContainer, BaselineWindow, Coverage, Dimension, DnsRow, Enough, NotSeen, Seen,
};
use std::collections::{BTreeMap, BTreeSet};

/// Above this share the windows were long enough.
const ENOUGH: f64 = 0.99;
/// Seconds of all windows together below which nothing is said without a condition.
const LEAST_SECONDS: f64 = 60.0;
/// So many windows may be asked for; more says that it does not settle.
const MANY_WINDOWS: f64 = 100.0;

/// Frequencies of frequencies.
#[derive(Clone, Copy, Debug, Default)]
struct Rarity {
    /// Rows seen once.
    once: f64,
    /// Rows seen twice.
    twice: f64,
    /// All observations.
    all: f64,
}

impl Rarity {
    fn of(counts: impl Iterator<Item = u64>) -> Self {
        let mut rarity = Self::default();
        for count in counts {
            rarity.once += f64::from(u8::from(count == 1));
            rarity.twice += f64::from(u8::from(count == 2));
            rarity.all += count as f64;
        }
        rarity
    }

    /// The value of a further observation of a rare row: the factor by which the unseen share
    /// falls with each unit more, of `units` so far.
    fn factor(self, units: f64) -> f64 {
        let Self { once, twice, .. } = self;
        if once <= 0.0 {
            return 0.0;
        }
        let more = (units - 1.0).max(0.0);
        if twice > 0.0 {
            more * once / (more * once + 2.0 * twice)
        } else if once > 1.0 {
            // The bias-corrected form where no row has two.
            more * (once - 1.0) / (more * (once - 1.0) + 2.0)
        } else {
            1.0
        }
    }

    fn coverage(self, units: f64) -> f64 {
        if self.all <= 0.0 {
            return 0.0;
        }
        (1.0 - self.once / self.all * self.factor(units)).clamp(0.0, 1.0)
    }

    /// Chao's lower bound of rows unseen, of `units` so far.
    fn unseen(self, units: f64) -> f64 {
        let Self { once, twice, .. } = self;
        let few = if units > 0.0 {
            (units - 1.0) / units
        } else {
            0.0
        };
        if twice > 0.0 {
            few * once * once / (2.0 * twice)
        } else {
            few * once * (once - 1.0).max(0.0) / 2.0
        }
    }
}

/// The estimate for rows with these counts by window. Returns coverage, unseen rows, and the number
/// of windows more after which coverage is expected to be enough; none when it is, or can't be told.
///
/// ```
/// use procmon_profile::baseline::assess;
/// // Two rows in every one of three windows: nothing new is to be expected.
/// let (coverage, unseen, more) = assess(&[vec![5, 4, 6], vec![9, 9, 9]], 3);
/// assert_eq!((coverage, unseen, more), (1.0, 0.0, None));
/// ```
#[must_use]
pub fn assess(rows: &[Vec<u64>], n_windows: usize) -> (f64, f64, Option<f64>) {
    let borrowed: Vec<&[u64]> = rows.iter().map(Vec::as_slice).collect();
    let estimate = estimate(&borrowed, n_windows);
    (estimate.coverage, estimate.unseen, estimate.more)
}

struct Estimate {
    coverage: f64,
    unseen: f64,
    more: Option<f64>,
}

fn estimate(rows: &[&[u64]], n_windows: usize) -> Estimate {
    let known = |row: &&&[u64]| row.iter().take(n_windows).any(|count| *count > 0);
    let sums = rows.iter().filter(known).map(|row| {
        row.iter()
            .take(n_windows)
            .copied()
            .fold(0, u64::saturating_add)
    });
    let by_count = Rarity::of(sums);
    let mut coverage = by_count.coverage(by_count.all);
    let mut unseen = by_count.unseen(by_count.all);
    let mut more = None;
    if n_windows > 1 {
        let windows = n_windows as f64;
        let incidences = rows.iter().filter(known).map(|row| {
            row.iter()
                .take(n_windows)
                .filter(|count| **count > 0)
                .count() as u64
        });
        let by_window = Rarity::of(incidences);
        coverage = coverage.min(by_window.coverage(windows));
        unseen = unseen.max(by_window.unseen(windows));
        more = windows_more(by_window, windows);
    }
    if coverage < ENOUGH && more.is_none() && by_count.all > 0.0 {
        // With one window, or none that differs: as many observations more as are needed, in windows.
        more = windows_more(by_count, by_count.all)
            .map(|units| (units / by_count.all * n_windows as f64).ceil().max(1.0));
    }
    Estimate {
        coverage,
        unseen,
        more: more.filter(|_| coverage < ENOUGH),
    }
}

/// Extrapolation of Chao & Jost 2012: coverage after m units more is
/// 1 − once/all · factor^(m+1). The m for which it is enough.
fn windows_more(rarity: Rarity, units: f64) -> Option<f64> {
    let factor = rarity.factor(units);
    let share = rarity.once / rarity.all;
    if !(share > 0.0 && factor > 0.0 && factor < 1.0) {
        return None;
    }
    let more = ((1.0 - ENOUGH) / share).ln() / factor.ln() - 1.0;
    (more > 0.0).then(|| more.ceil())
}

/// Aspects of a workload that no window saw.
pub(super) fn not_seen(windows: &[&BaselineWindow]) -> BTreeSet<NotSeen> {
    let seconds: f64 = windows.iter().map(|window| window.window_seconds).sum();
    [
        (
            NotSeen::Start,
            windows.iter().any(|window| window.from_start),
        ),
        (NotSeen::End, windows.iter().any(|window| window.to_end)),
        (NotSeen::Minute, seconds >= LEAST_SECONDS),
    ]
    .into_iter()
    .filter(|(_, is_seen)| !is_seen)
    .map(|(what, _)| what)
    .collect()
}

/// Coverage of each dimension that has rows.
pub(super) fn of_container(
    container: &BaselineContainer,
    windows: &[&BaselineWindow],
) -> BTreeMap<Dimension, Coverage> {
    let seconds = windows
        .iter()
        .map(|window| window.window_seconds)
        .sum::<f64>()
        / (windows.len().max(1) as f64);
    let mut all = BTreeMap::new();
    let mut put = |dimension: Dimension, counts: Vec<&[u64]>| {
        if !counts.is_empty() && !windows.is_empty() {
            all.insert(dimension, describe(&counts, windows, seconds));
        }
    };
    put(Dimension::Processes, counts(&container.processes));
    put(Dimension::Syscalls, counts(&container.syscalls));
    put(Dimension::Files, counts(&container.files));
    put(Dimension::Network, counts(&container.network));
    put(Dimension::Dns, counts::<DnsRow>(&container.dns));
    all
}

fn counts<R: Row>(rows: &[R]) -> Vec<&[u64]> {
    let seen = rows
        .iter()
        .map(Row::seen)
        .filter(|seen: &&Seen| !seen.support.counts.0.is_empty());
    seen.map(|seen| seen.support.counts.0.as_slice()).collect()
}

fn describe(counts: &[&[u64]], windows: &[&BaselineWindow], seconds: f64) -> Coverage {
    let n_windows = windows.len();
    let whole = estimate(counts, n_windows);
    let round = |value: f64| (value * 10_000.0).round() / 10_000.0;
    // One number for each power of two of windows is enough of a trend, and the last.
    let trend = (1..=n_windows)
        .filter(|windows| n_windows <= 16 || windows.is_power_of_two() || *windows == n_windows)
        .map(|windows| round(estimate(counts, windows).coverage))
        .collect();
    let (enough, verdict) = verdict(&whole, n_windows, seconds, &not_seen(windows));
    Coverage {
        estimate: round(whole.coverage),
        trend,
        rows: counts.len() as u64,
        unseen_rows: (whole.unseen * 10.0).round() / 10.0,
        enough,
        verdict: verdict.into(),
    }
}

/// Whether it is enough, and the same in words. The estimate knows nothing but what the windows saw: an
/// operation that none of them has is not in it.
fn verdict(
    estimate: &Estimate,
    n_windows: usize,
    seconds: f64,
    not_seen: &BTreeSet<NotSeen>,
) -> (Enough, String) {
    if estimate.coverage < ENOUGH {
        return (Enough::No, how_much_more(estimate, seconds));
    }
    if n_windows == 1 {
        let text = "long enough by the counts of one window: record a second to be sure";
        return (Enough::ForWhatWasSeen, text.to_owned());
    }
    let mut lacks = Vec::new();
    if not_seen.contains(&NotSeen::Start) {
        lacks.push("no window has a start".to_owned());
    }
    if not_seen.contains(&NotSeen::Minute) {
        let all = seconds * n_windows as f64;
        lacks.push(format!(
            "all windows together are {all:.0} s, record {LEAST_SECONDS:.0} s at least"
        ));
    }
    if lacks.is_empty() {
        return (Enough::Yes, "long enough".to_owned());
    }
    let lacks = lacks.join(", and ");
    let text = format!("long enough for the load that was seen, but {lacks}");
    (Enough::ForWhatWasSeen, text)
}

fn how_much_more(estimate: &Estimate, seconds: f64) -> String {
    match estimate.more {
        Some(more) if more <= MANY_WINDOWS => {
            let minutes = more * seconds / 60.0;
            let time = if minutes < 1.0 {
                format!("{:.0} s", (more * seconds).ceil())
            } else {
                format!("{:.0} min", minutes.ceil())
            };
            let plural = if more > 1.0 { "windows" } else { "window" };
            format!("record about {more:.0} more {plural} of this length ({time})")
        }
        Some(_) => format!(
            "does not settle: more than {MANY_WINDOWS:.0} windows of this length would be needed; record longer ones"
        ),
        None => "too few observations to tell: record more windows".to_owned(),
    }
}

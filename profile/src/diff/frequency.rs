//! Whether something is significantly more or less frequent than before.
//!
//! The counts of the baseline's windows give a rate and how much it varies from window to window.
//! Under an unchanged rate, the profile's share of all counts is binomial with the profile's share of
//! all time; counts are divided by the dispersion of the baseline's windows first (quasi-Poisson).
//! Many rows are tested at once: Holm's correction keeps the chance of a single false one at 1 %.

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// The chance of a false alarm over all rows of a dimension.
const ALPHA: f64 = 0.01;
/// Smaller factors matter to nobody.
const MIN_RATIO: f64 = 3.0;
/// Fewer windows do not show how much a rate varies.
const MIN_WINDOWS: usize = 3;

/// The outcome for one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test {
    /// Rate now by rate before.
    pub(super) ratio: f64,
    /// Two-sided.
    pub(super) p: f64,
}

/// Compares counts by window with those of before; `seconds` are the lengths of the windows. None
/// when there are too few windows, or the rate is nearly the same.
pub(super) fn test(
    before: &[u64],
    seconds_before: &[f64],
    now: &[u64],
    seconds_now: &[f64],
) -> Option<Test> {
    if seconds_before.len() < MIN_WINDOWS {
        return None;
    }
    let time_before: f64 = seconds_before.iter().sum();
    let time_now: f64 = seconds_now.iter().sum();
    let count_before = before.iter().copied().fold(0, u64::saturating_add) as f64;
    let count_now = now.iter().copied().fold(0, u64::saturating_add) as f64;
    if time_before <= 0.0 || time_now <= 0.0 || count_before + count_now <= 0.0 {
        return None;
    }
    let rate = count_before / time_before;
    let ratio = (count_now / time_now) / rate.max(f64::MIN_POSITIVE);
    if ratio < MIN_RATIO && ratio > 1.0 / MIN_RATIO {
        return None;
    }
    // Pearson's estimate, which is 1 for counts that come independently.
    let squares: f64 = seconds_before
        .iter()
        .enumerate()
        .filter(|(_, seconds)| **seconds > 0.0 && rate > 0.0)
        .map(|(place, seconds)| {
            let expected = rate * seconds;
            let seen = before.get(place).copied().unwrap_or(0) as f64;
            (seen - expected).powi(2) / expected
        })
        .sum();
    let dispersion = (squares / (seconds_before.len() - 1) as f64).max(1.0);
    let all = ((count_before + count_now) / dispersion).round();
    let own = (count_now / dispersion).round();
    if !(1.0..1e15).contains(&all) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1e15"
    )]
    let (all, own) = (all as u64, own as u64);
    let distribution = Binomial::new(time_now / (time_before + time_now), all).ok()?;
    let below = distribution.cdf(own);
    let above = own.checked_sub(1).map_or(1.0, |less| distribution.sf(less));
    Some(Test {
        ratio,
        p: (2.0 * below.min(above)).min(1.0),
    })
}

/// Which of several tests are significant by Holm's procedure.
pub(super) fn holm(p: &[f64]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut significant = vec![false; p.len()];
    for (rank, place) in order.into_iter().enumerate() {
        if p[place] > ALPHA / (p.len() - rank) as f64 {
            break;
        }
        significant[place] = true;
    }
    significant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_anyway_is_not_significant() {
        let steady = test(&[100, 104, 97], &[3.0; 3], &[1000], &[3.0]).expect("it is tested");
        assert!(
            steady.p < 1e-6 && (9.0..11.0).contains(&steady.ratio),
            "{steady:?}"
        );
        let bursty = test(&[0, 2000, 10], &[3.0; 3], &[2100], &[3.0]).expect("it is tested");
        assert!(bursty.p > 0.01, "{bursty:?}");
        assert!(test(&[100, 104, 97], &[3.0; 3], &[150], &[3.0]).is_none());
        assert!(test(&[100], &[3.0], &[1000], &[3.0]).is_none());
    }

    #[test]
    fn one_of_many_needs_more_evidence() {
        assert_eq!(holm(&[0.004, 0.5, 0.9]), [false, false, false]);
        assert_eq!(holm(&[0.001, 0.004, 0.9]), [true, true, false]);
    }
}

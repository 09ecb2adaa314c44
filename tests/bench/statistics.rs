//! Medians and spread.

use serde::Serialize;

/// Samples of one thing, one per round.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Samples(pub Vec<f64>);

impl Samples {
    /// The middle one, `None` without any.
    #[must_use]
    pub(crate) fn median(&self) -> Option<f64> {
        median(&self.0)
    }

    /// Median of the distances from the median.
    #[must_use]
    pub(crate) fn spread(&self) -> Option<f64> {
        let middle = self.median()?;
        median(
            &self
                .0
                .iter()
                .map(|sample| (sample - middle).abs())
                .collect::<Vec<_>>(),
        )
    }
}

/// The middle of these, or the mean of both in the middle.
#[must_use]
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// The value below which a quarter of these lie: what is measured while nothing else disturbs.
pub(crate) fn lower_quartile(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 4).copied()
}

/// A ratio and how far it is from those of single rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    pub(crate) spread: f64,
}

/// The amount that `with` adds to `nothing`, as a multiple of what `unit` adds, by medians. The spread is
/// the median distance of the rounds' own ratios. `None` without samples, or where the unit adds
/// nothing.
pub(crate) fn ratio(with: &Samples, nothing: &Samples, unit: &Samples) -> Option<Ratio> {
    let of = |with: f64, nothing: f64, unit: f64| {
        (unit > nothing).then(|| (with - nothing) / (unit - nothing))
    };
    let value = of(with.median()?, nothing.median()?, unit.median()?)?;
    let distances: Vec<f64> = with
        .0
        .iter()
        .zip(&nothing.0)
        .zip(&unit.0)
        .filter_map(|((with, nothing), unit)| of(*with, *nothing, *unit))
        .map(|ratio| (ratio - value).abs())
        .collect();
    Some(Ratio {
        value,
        spread: median(&distances)?,
    })
}

/// The slope of the line through points (x, y) with the least squares.
#[must_use]
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread = points
        .iter()
        .map(|(x, _)| (x - mean_x).powi(2))
        .sum::<f64>();
    let joint = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum::<f64>();
    (points.len() > 1 && spread > 0.0).then(|| joint / spread)
}

#[cfg(test)]
mod tests {
    use super::{Ratio, Samples, lower_quartile, median, ratio, slope};

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn one_wild_sample_does_not_widen_the_spread() {
        let samples = Samples(vec![10.0, 11.0, 9.0, 10.0, 500.0]);
        assert_eq!(samples.median(), Some(10.0));
        assert_eq!(samples.spread(), Some(1.0));
        assert_eq!(Samples::default().spread(), None);
    }

    #[test]
    fn the_lower_quartile_ignores_what_disturbs() {
        assert_eq!(lower_quartile(&[]), None);
        assert_eq!(lower_quartile(&[7.0]), Some(7.0));
        assert_eq!(lower_quartile(&[900.0, 2.0, 1.0, 3.0]), Some(2.0));
    }

    #[test]
    fn a_ratio_is_of_what_is_added() {
        let nothing = Samples(vec![100.0, 200.0, 100.0]);
        let unit = Samples(vec![200.0, 400.0, 200.0]);
        let with = Samples(vec![250.0, 500.0, 250.0]);
        let expected = Ratio {
            value: 1.5,
            spread: 0.0,
        };
        assert_eq!(ratio(&with, &nothing, &unit), Some(expected));
        assert_eq!(ratio(&with, &nothing, &nothing), None);
        assert_eq!(ratio(&Samples::default(), &nothing, &unit), None);
    }

    #[test]
    fn the_slope_of_a_line_is_found() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 1.0)]), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}

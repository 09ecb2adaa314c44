//! Whether the coverage estimate tells the truth, on distributions whose truth is known.
#![cfg(feature = "compare")]

use procmon_profile::baseline::assess;

/// A generator with a fixed beginning (SplitMix64): failures can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Shares of kinds of rows, and how many observations of one kind come together.
struct World {
    shares: Vec<f64>,
    burst: u64,
}

fn normalized(mut shares: Vec<f64>, burst: u64) -> World {
    let sum: f64 = shares.iter().sum();
    for share in &mut shares {
        *share /= sum;
    }
    World { shares, burst }
}

impl World {
    /// Counts by kind and window.
    fn windows(&self, windows: usize, draws: usize, random: &mut Random) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; windows]; self.shares.len()];
        for number in 0..windows * draws {
            let mut at = random.next();
            let kind = self.shares.iter().position(|share| {
                at -= share;
                at < 0.0
            });
            counts[kind.unwrap_or(self.shares.len() - 1)][number / draws] += self.burst;
        }
        counts
    }

    /// The share of what happens that the kinds seen make up.
    fn truth(&self, counts: &[Vec<u64>]) -> f64 {
        let seen = self.shares.iter().zip(counts);
        seen.filter(|(_, counts)| counts.iter().any(|count| *count > 0))
            .map(|(share, _)| share)
            .sum()
    }

    /// Mean estimate and mean truth over many samples.
    fn compare(&self, windows: usize, draws: usize) -> (f64, f64) {
        const ROUNDS: u32 = 60;
        let mut random = Random(windows as u64 * 1_000_003 + draws as u64);
        let (mut estimates, mut truths) = (0.0, 0.0);
        for _ in 0..ROUNDS {
            let counts = self.windows(windows, draws, &mut random);
            estimates += assess(&counts, windows).0;
            truths += self.truth(&counts);
        }
        (estimates / f64::from(ROUNDS), truths / f64::from(ROUNDS))
    }
}

fn zipf(kinds: u32) -> Vec<f64> {
    (1..=kinds).map(|rank| 1.0 / f64::from(rank)).collect()
}

#[test]
fn one_window_is_estimated_within_three_points() {
    for (name, world) in [
        ("zipf", normalized(zipf(500), 1)),
        ("uniform", normalized(vec![1.0; 200], 1)),
    ] {
        for draws in [100, 400, 2000] {
            let (estimate, truth) = world.compare(1, draws);
            assert!(
                (estimate - truth).abs() < 0.03,
                "{name} {draws}: {estimate} for {truth}"
            );
        }
    }
}

/// Rows that come in bursts deceive an estimate by counts: by windows it stays on the safe side.
#[test]
fn bursts_are_not_taken_for_knowledge() {
    let world = normalized(zipf(500), 40);
    for draws in [30, 100, 400] {
        let (estimate, truth) = world.compare(5, draws);
        assert!(estimate < truth + 0.03, "{draws}: {estimate} for {truth}");
        assert!(estimate > truth - 0.35, "{draws}: {estimate} for {truth}");
    }
}

#[test]
fn several_windows_are_never_told_to_know_more_than_they_do() {
    for (name, world) in [
        ("zipf", normalized(zipf(300), 1)),
        ("uniform", normalized(vec![1.0; 100], 1)),
    ] {
        for windows in [3, 6] {
            for draws in [50, 300, 3000] {
                let (estimate, truth) = world.compare(windows, draws);
                assert!(
                    estimate < truth + 0.02,
                    "{name} {windows}×{draws}: {estimate} for {truth}"
                );
            }
        }
    }
}

#[test]
fn as_many_windows_more_as_are_asked_for_are_enough() {
    let world = normalized(zipf(60), 1);
    let mut random = Random(7);
    let mut enough = 0;
    for _ in 0..40 {
        let counts = world.windows(3, 60, &mut random);
        let (estimate, unseen, more) = assess(&counts, 3);
        assert!((0.0..=180.0).contains(&unseen), "{unseen}");
        let Some(more) = more else {
            assert!(estimate >= 0.99, "{estimate}");
            enough += 1;
            continue;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number of windows"
        )]
        let more = more.min(400.0) as usize;
        let longer = world.windows(3 + more, 60, &mut random);
        enough += u32::from(world.truth(&longer) >= 0.97);
    }
    assert!(enough >= 28, "{enough} of 40");
}

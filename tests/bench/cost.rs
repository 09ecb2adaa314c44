//! The cost of one system call for its caller, under each contender, round by round.

use crate::contender::Contender;
use crate::pair::tracing_programs;
use crate::statistics::{Samples, lower_quartile};
use crate::throughput::run;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Kinds of calls: a succeeding call, a failing one, the four of a file that is opened, read,
/// written and closed. As `workload-load cost` names them.
pub(crate) const KINDS: [&str; 3] = ["getppid", "failing", "files"];

/// After so many rounds, and so long, no more are begun.
const ENOUGH: usize = 7;
const LONG: Duration = Duration::from_mins(2);

/// Samples by contender and kind.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Costs {
    /// CPU time of a call in nanoseconds, a sample per round.
    pub cpu: BTreeMap<Contender, BTreeMap<String, Samples>>,
    /// Elapsed time of a call in nanoseconds.
    pub wall: BTreeMap<Contender, BTreeMap<String, Samples>>,
    /// Why a contender has no samples.
    pub absent: BTreeMap<Contender, String>,
    /// Rounds that ran.
    pub rounds: usize,
    /// Samples begun while somebody else's tracing programs were loaded.
    pub disturbed: usize,
    /// Samples that could not be taken, and why.
    pub(crate) failed: Vec<String>,
    /// Profiles whose number of calls was not that of the load.
    pub wrong: Vec<String>,
}

impl Costs {
    /// CPU time of calls of this kind, without any when it could not run.
    #[must_use]
    pub(crate) fn cpu(&self, contender: Contender, kind: &str) -> Samples {
        let samples = self.cpu.get(&contender).and_then(|kinds| kinds.get(kind));
        samples.cloned().unwrap_or_default()
    }
}

/// Seconds that a whole run waits for others that trace this machine.
const PATIENCE: u64 = 90;

/// Waits for a kernel without other tracing programs, as long as patience lasts; says whether it
/// is one.
#[must_use]
pub(crate) fn wait_for_quiet() -> bool {
    static WAITED: AtomicU64 = AtomicU64::new(0);
    while tracing_programs() > 0 {
        if WAITED.fetch_add(1, Ordering::Relaxed) > PATIENCE * 10 {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Runs all contenders in turn, `rounds` times; fewer on a machine that takes long.
pub(crate) fn measure(rounds: usize, calls: u64, folder: &Path, progress: &dyn Fn(&str)) -> Costs {
    let mut costs = Costs::default();
    let mut here = Vec::new();
    for contender in Contender::ALL {
        match contender.try_out(folder) {
            Ok(()) => here.push(contender),
            Err(why) => {
                progress(&format!("{}: not available: {why}", contender.name()));
                costs.absent.insert(contender, why);
            }
        }
    }
    let began = Instant::now();
    for round in 1..=rounds {
        if costs.rounds >= ENOUGH && began.elapsed() > LONG {
            break;
        }
        costs.rounds = round;
        progress(&format!("cost of a call: round {round} of {rounds}"));
        for &contender in &here {
            costs.disturbed += usize::from(!wait_for_quiet());
            let calls = if contender.is_slow() {
                calls / 25
            } else {
                calls
            };
            let options = [
                format!("calls={calls}"),
                format!("dir={}", folder.display()),
            ];
            match run(contender, "cost", &options, folder) {
                Ok((sample, profile)) => {
                    let left = contender == Contender::Nothing && tracing_programs() > 0;
                    costs.disturbed += usize::from(left);
                    costs.add(contender, &sample);
                    if let Some(profile) = profile {
                        costs.compare(&sample, &profile);
                    }
                }
                Err(why) => costs
                    .failed
                    .push(format!("{} in round {round}: {why}", contender.name())),
            }
        }
    }
    costs
}

impl Costs {
    fn add(&mut self, contender: Contender, sample: &Value) {
        for kind in KINDS {
            for (samples, field) in [(&mut self.cpu, "cpuNs"), (&mut self.wall, "wallNs")] {
                let chunks: Vec<f64> = sample[kind][field]
                    .as_array()
                    .map(|chunks| chunks.iter().filter_map(Value::as_f64).collect())
                    .unwrap_or_default();
                let samples = samples.entry(contender).or_default();
                let samples = samples.entry(kind.to_owned()).or_default();
                samples.0.extend(lower_quartile(&chunks));
            }
        }
    }

    /// The profile counts what the load made.
    fn compare(&mut self, sample: &Value, profile: &Value) {
        let made = sample["getppid"]["calls"].as_u64().unwrap_or(0);
        let counted = calls_of(profile, "getppid");
        // The load makes a hundred to warm up.
        if counted != made + 100 {
            self.wrong
                .push(format!("getppid: {} made, {counted} counted", made + 100));
        }
    }
}

/// Calls of this name in a profile.
#[must_use]
pub(crate) fn calls_of(profile: &Value, name: &str) -> u64 {
    procmon_tests::document::rows(profile, "syscalls")
        .filter(|row| row["name"] == name)
        .filter_map(|row| row["calls"].as_u64())
        .sum()
}

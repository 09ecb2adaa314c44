//! Cost against load, number of files, processes and CPUs.

use crate::contender::Contender;
use crate::cost::wait_for_quiet;
use crate::statistics::{lower_quartile, median, slope};
use crate::throughput::{ProbeCost, many_files, run, tiny_program};
use procmon_tests::document::rows as document_rows;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// One drawing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Curve {
    /// Name of the file without its ending.
    pub(crate) file: &'static str,
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) lines: Vec<Line>,
}

/// Points of one thing, by rising x.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// CPU time of the probe for each thing that it sees for the first time, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct FirstSights {
    pub(crate) file: Option<f64>,
    pub(crate) process: Option<f64>,
}

impl Line {
    /// The y of an x that has one.
    pub(crate) fn at(&self, x: f64) -> Option<f64> {
        let point = self
            .points
            .iter()
            .find(|point| point.0.total_cmp(&x).is_eq());
        point.map(|(_, y)| *y)
    }
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) milliseconds: u64,
}

fn number(said: &Value, field: &str) -> f64 {
    said[field].as_f64().unwrap_or(f64::NAN)
}

/// Measures each contender for each x, round by round in turn: by x, contender and round.
fn gather<T>(
    effort: Effort,
    xs: &[f64],
    contenders: &[Contender],
    mut sample: impl FnMut(f64, Contender) -> Result<T, String>,
) -> Result<Vec<Vec<Vec<T>>>, String> {
    let one = || contenders.iter().map(|_| Vec::new()).collect();
    let mut samples: Vec<Vec<Vec<T>>> = xs.iter().map(|_| one()).collect();
    for _ in 0..effort.rounds {
        for (row, x) in samples.iter_mut().zip(xs) {
            for (column, contender) in row.iter_mut().zip(contenders) {
                let _ = wait_for_quiet();
                column.push(sample(*x, *contender)?);
            }
        }
    }
    Ok(samples)
}

/// The amounts that the contenders after the first add to the first, as lines of lower quartiles:
/// disturbances only add.
fn added<T>(
    xs: &[f64],
    contenders: &[Contender],
    samples: &[Vec<Vec<T>>],
    field: impl Fn(&T) -> f64,
) -> Vec<Line> {
    let low = |rounds: &[T]| {
        lower_quartile(&rounds.iter().map(&field).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    (1..contenders.len())
        .map(|column| Line {
            name: contenders[column].name().to_owned(),
            points: xs
                .iter()
                .zip(samples)
                .map(|(x, row)| (*x, low(&row[column]) - low(&row[0])))
                .collect(),
        })
        .collect()
}

/// Against load: what callers take more of a CPU core, and beside it what our probe takes by itself
/// after its start.
pub(crate) fn by_load(
    effort: Effort,
    start: &ProbeCost,
    contenders: &[Contender],
    folder: &Path,
) -> Result<Curve, String> {
    let xs = [
        10_000.0,
        50_000.0,
        200_000.0,
        500_000.0,
        1_000_000.0,
        2_000_000.0,
    ];
    let rows = gather(effort, &xs, contenders, |rate, contender| {
        let options = [
            format!("milliseconds={}", effort.milliseconds),
            format!("rate={rate}"),
            "threads=1".to_owned(),
        ];
        let (said, profile) = run(contender, "calls", &options, folder)?;
        let callers = number(&said, "cpuNs") * 1e-9 * number(&said, "perSecond");
        let probe = profile.map_or(0.0, |profile| {
            let cost = ProbeCost::of(&profile);
            (cost.cpu_seconds - start.cpu_seconds).max(0.0) / cost.window_seconds
        });
        Ok((100.0 * callers, 100.0 * probe))
    })?;
    let mut lines = added(&xs, contenders, &rows, |sample| sample.0);
    // The others have no part outside the kernel that matters while they count.
    lines.extend(
        added(&xs, contenders, &rows, |sample| sample.1)
            .into_iter()
            .filter(|line| line.name == Contender::Procmon.name())
            .map(|line| Line {
                name: format!("{}, the probe itself", line.name),
                ..line
            }),
    );
    Ok(Curve {
        file: "load",
        title: "Cost of a capture against load".to_owned(),
        x: "getppid calls per second".to_owned(),
        y: "added, % of a CPU core".to_owned(),
        lines,
    })
}

/// Against the number of files: what a capture adds to an operation when a file is met first and
/// later; the probe's memory; and its CPU time for each new file.
pub(crate) fn by_files(
    effort: Effort,
    most: u64,
    folder: &Path,
) -> Result<([Curve; 2], Option<f64>), String> {
    let contenders = [Contender::Nothing, Contender::EmptyPair, Contender::Procmon];
    let xs: Vec<f64> = [1_u32, 10, 100, 1_000, 10_000, 50_000, 100_000]
        .into_iter()
        .filter(|files| u64::from(*files) <= most)
        .map(f64::from)
        .collect();
    let many = many_files(folder, most);
    let mut cpu = Vec::new();
    let samples = gather(effort, &xs, &contenders, |files, contender| {
        let options = [
            format!("milliseconds={}", effort.milliseconds),
            format!("files={files}"),
            format!("dir={}", many.display()),
            "passes=2".to_owned(),
        ];
        let (said, profile) = run(contender, "files", &options, folder)?;
        let cost = profile.as_ref().map(ProbeCost::of);
        // Files beyond the table are not first sights.
        let seen = profile
            .as_ref()
            .map(|profile| document_rows(profile, "files").count());
        cpu.extend(
            seen.zip(cost)
                .map(|(seen, cost)| (seen as f64, cost.cpu_seconds)),
        );
        let memory = cost.map_or(f64::NAN, |cost| cost.rss_bytes / f64::from(1 << 20));
        // A pass over few files is too short to be timed.
        let is_long = files >= 1_000.0;
        Ok((
            if is_long {
                number(&said, "firstCpuNs")
            } else {
                f64::NAN
            },
            number(&said, "laterCpuNs"),
            memory,
        ))
    })?;
    let named = |mut lines: Vec<Line>, when: &str| {
        for line in &mut lines {
            line.name = format!("{}, {when}", line.name);
        }
        lines
    };
    let first = added(&xs, &contenders, &samples, |sample| sample.0);
    let later = added(&xs, &contenders, &samples, |sample| sample.1);
    let mut all = named(first, "first pass over the files");
    all.extend(named(later, "later passes"));
    let memory = xs
        .iter()
        .zip(&samples)
        .map(|(x, row)| {
            let procmon: Vec<f64> = row[2].iter().map(|sample| sample.2).collect();
            (*x, median(&procmon).unwrap_or(f64::NAN))
        })
        .collect();
    let curves = [
        Curve {
            file: "files",
            title: "Cost of a file operation against the number of files".to_owned(),
            x: "distinct files".to_owned(),
            y: "added, ns per operation".to_owned(),
            lines: all,
        },
        Curve {
            file: "files-memory",
            title: "Memory of the probe against the number of files".to_owned(),
            x: "distinct files".to_owned(),
            y: "RSS of the probe, MiB".to_owned(),
            lines: vec![Line {
                name: "procmon".to_owned(),
                points: memory,
            }],
        },
    ];
    Ok((curves, slope(&cpu)))
}

/// The probe's CPU time for each new process, in seconds.
pub(crate) fn by_executions(
    rounds: usize,
    milliseconds: u64,
    folder: &Path,
) -> Result<Option<f64>, String> {
    let exe = tiny_program(folder);
    let mut points = Vec::new();
    for _ in 0..rounds {
        for rate in [100, 1000, 4000] {
            let options = [
                format!("milliseconds={milliseconds}"),
                format!("rate={rate}"),
                format!("exe={}", exe.display()),
            ];
            let (said, profile) = run(Contender::Procmon, "executions", &options, folder)?;
            let cost = profile.map(|profile| ProbeCost::of(&profile));
            points.push((
                number(&said, "times"),
                cost.map_or(f64::NAN, |cost| cost.cpu_seconds),
            ));
        }
    }
    Ok(slope(&points))
}

/// Against the number of processes that take turns.
pub(crate) fn by_processes(effort: Effort, calls: u64, folder: &Path) -> Result<Curve, String> {
    let contenders = [Contender::Nothing, Contender::EmptyPair, Contender::Procmon];
    let xs = [1.0, 4.0, 16.0, 100.0, 1_000.0];
    let rows = gather(effort, &xs, &contenders, |processes, contender| {
        let options = [format!("processes={processes}"), format!("calls={calls}")];
        let (said, _) = run(contender, "processes", &options, folder)?;
        Ok(number(&said, "cpuNs"))
    })?;
    Ok(Curve {
        file: "processes",
        title: "Cost of a system call against the number of processes".to_owned(),
        x: "processes".to_owned(),
        y: "added, ns per call".to_owned(),
        lines: added(&xs, &contenders, &rows, |sample| *sample),
    })
}

/// Against the number of CPUs that call at once.
pub(crate) fn by_cpus(effort: Effort, folder: &Path) -> Result<Curve, String> {
    let contenders = [Contender::Nothing, Contender::EmptyPair, Contender::Procmon];
    let most = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut xs: Vec<f64> = std::iter::successors(Some(1), |cpus| Some(cpus * 2))
        .take_while(|cpus| *cpus < most)
        .map(|cpus| cpus as f64)
        .collect();
    xs.push(most as f64);
    let rows = gather(effort, &xs, &contenders, |cpus, contender| {
        let options = [
            format!("milliseconds={}", effort.milliseconds),
            format!("threads={cpus}"),
            format!("cpus={cpus}"),
        ];
        let (said, _) = run(contender, "calls", &options, folder)?;
        Ok(number(&said, "cpuNs"))
    })?;
    Ok(Curve {
        file: "cpus",
        title: "Cost of a system call against the CPUs that call at once".to_owned(),
        x: "CPUs".to_owned(),
        y: "added, ns per call".to_owned(),
        lines: added(&xs, &contenders, &rows, |sample| *sample),
    })
}

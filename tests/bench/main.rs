//! The cost of a capture, as ratios within one run, against other tools: writes `FOLDER/benchmarks.md`
//! and its curves. `bench [--out FOLDER] [--quick] [--only PART,...]`, as root, after `make build`.

mod applications;
mod charts;
mod contender;
mod cost;
mod curves;
mod memory;
mod pair;
mod report;
mod statistics;
mod throughput;

use contender::Contender;
use curves::{Curve, Effort};
use report::{Machine, Results};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;
use throughput::ProbeCost;

/// How much is measured.
struct Plan {
    rounds: usize,
    calls: u64,
    load_rounds: usize,
    load_milliseconds: u64,
    files: u64,
    curve: Effort,
    seconds: u64,
    application_rounds: usize,
    /// Possible CPUs of guests.
    guest_cpus: &'static [u64],
}

/// Minutes.
const WHOLE: Plan = Plan {
    rounds: 11,
    calls: 500_000,
    load_rounds: 3,
    load_milliseconds: 3_000,
    files: 100_000,
    curve: Effort {
        rounds: 3,
        milliseconds: 500,
    },
    seconds: 3,
    application_rounds: 3,
    guest_cpus: &[2, 64, 256],
};
/// To see that all of it works.
const QUICK: Plan = Plan {
    rounds: 3,
    calls: 200_000,
    load_rounds: 1,
    load_milliseconds: 2_000,
    files: 100_000,
    curve: Effort {
        rounds: 1,
        milliseconds: 200,
    },
    seconds: 1,
    application_rounds: 1,
    guest_cpus: &[256],
};

/// The parts that can be measured alone.
const PARTS: [&str; 4] = ["calls", "loads", "curves", "applications"];

#[expect(clippy::print_stderr, reason = "progress of a long run")]
fn progress(text: &str) {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let seconds = BEGAN.get_or_init(Instant::now).elapsed().as_secs();
    eprintln!("bench: [{seconds:3}s] {text}");
}

fn main() {
    let (mut quick, mut out) = (false, PathBuf::from("docs"));
    let mut only: Vec<String> = PARTS.map(str::to_owned).to_vec();
    let own: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments = own.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--only" => {
                only = arguments
                    .next()
                    .expect("--only PART,...")
                    .split(',')
                    .map(str::to_owned)
                    .collect();
            }
            "--out" => out = arguments.next().expect("--out FOLDER").into(),
            _ => panic!("unknown option {argument}"),
        }
    }
    if !procmon_tests::has_bpf() {
        std::process::exit(2);
    }
    let began = Instant::now();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let mut results = measure(if quick { &QUICK } else { &WHOLE }, &only, folder.path());
    let load = load.split(' ').next();
    results.machine.load_average = load.unwrap_or_default().into();
    results.machine.seconds = began.elapsed().as_secs_f64();
    if quick {
        results.machine.command += " BENCH=--quick";
    }
    write(&results, &out);
    progress(&format!("wrote {}", out.join("benchmarks.md").display()));
}

/// Runs the parts, one after the other.
fn measure(plan: &Plan, only: &[String], folder: &Path) -> Results {
    let mut failed = Vec::new();
    let mut wanted = |part: &str| {
        let wanted = only.iter().any(|name| name == part);
        if !wanted {
            failed.push(format!("{part}: not asked for"));
        }
        wanted
    };
    let (calls, loads) = (wanted("calls"), wanted("loads"));
    let (curved, applied) = (wanted("curves"), wanted("applications"));
    let rounds = if calls { plan.rounds } else { 0 };
    let costs = cost::measure(rounds, plan.calls, folder, &progress);
    let mut results = Results {
        costs,
        failed,
        ..Results::default()
    };
    results.start = still(plan, 0, folder, &mut results.failed);
    results.idle = still(plan, plan.load_milliseconds, folder, &mut results.failed);
    for load in throughput::loads(folder, plan.files) {
        if !loads {
            break;
        }
        progress(load.name);
        match throughput::measure(&load, plan.load_rounds, plan.load_milliseconds, folder) {
            Ok(outcome) => results.outcomes.push(outcome),
            Err(why) => results.failed.push(format!("{}: {why}", load.name)),
        }
    }
    if curved {
        draw_up(plan, folder, &mut results);
    }
    if applied {
        results.applications =
            applications::measure(plan.application_rounds, plan.seconds, folder, &progress);
    }
    results.machine = machine();
    results
}

/// Captures of a program that only sleeps.
fn still(plan: &Plan, milliseconds: u64, folder: &Path, failed: &mut Vec<String>) -> ProbeCost {
    let options = [format!("milliseconds={milliseconds}")];
    let capture = || throughput::watched("idle", &options, folder);
    let costs: Result<Vec<ProbeCost>, String> = (0..plan.load_rounds.max(3))
        .map(|_| Ok(ProbeCost::of(&capture()?.1)))
        .collect();
    costs.map_or_else(
        |why| {
            failed.push(format!("a capture of nothing: {why}"));
            ProbeCost::default()
        },
        |costs| ProbeCost::median(&costs),
    )
}

/// Measures all curves; what can't be measured is left out and named.
fn draw_up(plan: &Plan, folder: &Path, results: &mut Results) {
    let contenders: Vec<Contender> = [
        Contender::Nothing,
        Contender::EmptyPair,
        Contender::Procmon,
        Contender::BpftraceCount,
    ]
    .into_iter()
    .filter(|contender| !results.costs.absent.contains_key(contender))
    .collect();
    let effort = plan.curve;
    let mut keep = |what: &str, draw: &mut dyn FnMut() -> Result<Vec<Curve>, String>| {
        progress(&format!("curve: {what}"));
        match draw() {
            Ok(drawn) => results.curves.extend(drawn),
            Err(why) => results.failed.push(format!("{what}: {why}")),
        }
    };
    let start = results.start;
    keep("load", &mut || {
        let drawn = curves::by_load(effort, &start, &contenders, folder)?;
        Ok(vec![drawn])
    });
    keep("files", &mut || {
        let (drawn, slope) = curves::by_files(effort, plan.files, folder)?;
        results.first_sights.file = slope;
        Ok(Vec::from(drawn))
    });
    keep("processes", &mut || {
        let drawn = curves::by_processes(effort, plan.calls * 2, folder)?;
        Ok(vec![drawn])
    });
    keep("CPUs", &mut || Ok(vec![curves::by_cpus(effort, folder)?]));
    keep("executions", &mut || {
        let milliseconds = plan.load_milliseconds / 2;
        results.first_sights.process =
            curves::by_executions(plan.load_rounds, milliseconds, folder)?;
        Ok(Vec::new())
    });
    progress("curve: maps");
    for cpus in plan.guest_cpus {
        match memory::in_guest(*cpus) {
            Ok(bytes) => results.guests.push((*cpus, bytes)),
            Err(why) => results.failed.push(format!("maps with {cpus} CPUs: {why}")),
        }
    }
    match memory::MapMemory::read(folder) {
        Ok(maps) => {
            results.curves.push(maps.curve(&results.guests));
            results.maps = Some(maps);
        }
        Err(why) => results.failed.push(format!("maps: {why}")),
    }
}

fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    // nginx and wrk say it on stderr, wrk as an error; each in its own words.
    let said = |program: &str, option: &str| {
        let output = Command::new(program).arg(option).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let version = version(&text)?;
        let name = Path::new(program).file_name()?.display().to_string();
        Some(format!("{name} {version}"))
    };
    let tools = [
        ("bpftrace", "--version"),
        ("strace", "--version"),
        ("perf", "--version"),
        ("nginx", "-v"),
        ("wrk", "-v"),
        ("redis-server", "--version"),
    ];
    let model = read("/proc/cpuinfo");
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    Machine {
        command: "make bench".to_owned(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        cpus: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        cpu_model: model.to_owned(),
        load_average: String::new(),
        version: said(&procmon_tests::plugin().display().to_string(), "version")
            .unwrap_or_default(),
        tools: tools
            .into_iter()
            .map(|(program, option)| {
                said(program, option).unwrap_or_else(|| format!("no {program}"))
            })
            .collect(),
        seconds: 0.0,
    }
}

/// The first word with a dot and a digit in what a program says of itself, from the digit on.
fn version(text: &str) -> Option<&str> {
    let word = text
        .split_whitespace()
        .find(|word| word.contains('.') && word.contains(|letter: char| letter.is_ascii_digit()))?;
    word.find(|letter: char| letter.is_ascii_digit())
        .map(|digit| &word[digit..])
}

/// The page, its drawings, and all samples.
fn write(results: &Results, out: &Path) {
    let folder = out.join("benchmarks");
    std::fs::create_dir_all(&folder).expect("a folder for the curves");
    for curve in &results.curves {
        charts::draw(curve, &folder).expect("a curve");
    }
    let samples = serde_json::to_string_pretty(results).expect("plain values");
    std::fs::write(folder.join("results.json"), samples + "\n").expect("the samples");
    std::fs::write(out.join("benchmarks.md"), report::page(results)).expect("the page");
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_found() {
        for (text, expected) in [
            ("nginx version: nginx/1.22.1", Some("1.22.1")),
            ("strace -- version 6.1\nCopyright", Some("6.1")),
            ("Redis server v=7.0.15 sha=0", Some("7.0.15")),
            ("bpftrace v0.17.0", Some("0.17.0")),
            ("command not found", None),
        ] {
            assert_eq!(version(text), expected);
        }
    }
}

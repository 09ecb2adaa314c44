//! Loads at a rate: does a capture lose anything, and what does the probe itself take?

use crate::contender::{Contender, load, read};
use crate::cost::wait_for_quiet;
use crate::statistics::median;
use procmon_tests::document::rows;
use serde::Serialize;
use serde_json::Value;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A load of `workload-load`, at a rate of its own.
pub(crate) struct Load {
    /// As the report names it.
    pub(crate) name: &'static str,
    kind: &'static str,
    options: Vec<String>,
    /// Things per second that a capture has to bear.
    pub(crate) nominal: u64,
    /// Compares a profile with what the load says that it did: what differs.
    check: fn(&Value, &Value, &Path) -> Vec<String>,
}

/// Share of what a load reaches unwatched that a capture has to bear, where that is less than the
/// nominal rate.
const BEARABLE: f64 = 0.7;

/// The result of a load.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) nominal: u64,
    /// Things per second that the load reaches unwatched, as fast as it can.
    pub(crate) free: f64,
    /// The rate asked for: the nominal one, or less where the machine is slower.
    pub(crate) asked: f64,
    /// Reached at the rate asked for, without and with a capture.
    pub(crate) without: f64,
    pub(crate) with: f64,
    /// CPU time of the load for each thing in nanoseconds, without and with a capture.
    pub(crate) cpu_without: f64,
    pub(crate) cpu_with: f64,
    pub(crate) complete: bool,
    /// The losses that the document names, and why it is not complete.
    pub(crate) lost: String,
    /// Counts that are not the load's own.
    pub(crate) wrong: Vec<String>,
    pub(crate) cost: ProbeCost,
    /// Rows seen for the first time: files, peers, system calls.
    pub(crate) rows: usize,
    /// Processes that began in the window.
    pub(crate) processes: u64,
    /// Captures.
    pub(crate) rounds: usize,
}

/// The cost that the probe reports.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ProbeCost {
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_bytes: f64,
    pub(crate) map_bytes: f64,
    pub(crate) window_seconds: f64,
}

impl ProbeCost {
    /// Reads it from a profile of one node.
    pub(crate) fn of(profile: &Value) -> Self {
        let cost = &profile["nodes"][0]["cost"];
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        Self {
            cpu_seconds: number(&cost["cpuSeconds"]),
            rss_bytes: number(&cost["rssBytes"]),
            map_bytes: number(&cost["mapBytes"]),
            window_seconds: number(&profile["session"]["windowSeconds"]),
        }
    }

    /// The middle of several, number by number.
    pub(crate) fn median(costs: &[Self]) -> Self {
        let middle = |field: fn(&Self) -> f64| {
            median(&costs.iter().map(field).collect::<Vec<_>>()).unwrap_or(f64::NAN)
        };
        Self {
            cpu_seconds: middle(|cost| cost.cpu_seconds),
            rss_bytes: middle(|cost| cost.rss_bytes),
            map_bytes: middle(|cost| cost.map_bytes),
            window_seconds: middle(|cost| cost.window_seconds),
        }
    }
}

/// The loads that a capture has to bear, with `files` distinct files in a folder of their own.
pub(crate) fn loads(folder: &Path, files: u64) -> Vec<Load> {
    vec![
        Load {
            name: "system calls",
            kind: "calls",
            options: vec!["threads=2".to_owned()],
            nominal: 1_000_000,
            check: check_calls,
        },
        Load {
            name: "file operations",
            kind: "files",
            options: vec![
                "threads=2".to_owned(),
                format!("files={files}"),
                format!("dir={}", many_files(folder, files).display()),
            ],
            nominal: 200_000,
            check: check_files,
        },
        Load {
            name: "connections",
            kind: "connections",
            options: vec!["threads=2".to_owned()],
            nominal: 20_000,
            check: check_connections,
        },
        Load {
            name: "executions",
            kind: "executions",
            options: vec![
                "threads=2".to_owned(),
                format!("exe={}", tiny_program(folder).display()),
            ],
            nominal: 5_000,
            check: check_executions,
        },
    ]
}

/// A folder with files named 0, 1, 2 …, made where it lacks some.
pub(crate) fn many_files(folder: &Path, count: u64) -> PathBuf {
    let many = folder.join("many");
    std::fs::create_dir_all(&many).expect("a folder");
    for file in (0..count).rev() {
        let path = many.join(file.to_string());
        if path.exists() {
            break;
        }
        std::fs::write(path, "").expect("a file");
    }
    many
}

/// A program that ends at once, without a loader or a library: what is measured is the execution.
/// Elsewhere than on amd64, /bin/true.
pub(crate) fn tiny_program(folder: &Path) -> PathBuf {
    if std::env::consts::ARCH != "x86_64" {
        return PathBuf::from("/bin/true");
    }
    const BASE: u64 = 0x40_0000;
    // mov eax, 60; xor edi, edi; syscall
    const CODE: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    let length = 64 + 56 + CODE.len() as u64;
    let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
    let long = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
    // The header: an executable for x86-64, its entry, one program header behind it.
    half(&mut elf, 2);
    half(&mut elf, 62);
    word(&mut elf, 1);
    for value in [BASE + 64 + 56, 64, 0] {
        long(&mut elf, value);
    }
    word(&mut elf, 0);
    for value in [64, 56, 1, 64, 0, 0] {
        half(&mut elf, value);
    }
    // All of the file, to be read and executed.
    word(&mut elf, 1);
    word(&mut elf, 5);
    for value in [0, BASE, BASE, length, length, 0x1000] {
        long(&mut elf, value);
    }
    elf.extend(CODE);
    let path = folder.join("tiny");
    let _ = std::fs::remove_file(&path);
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o755)
        .open(&path)
        .and_then(|mut file| file.write_all(&elf))
        .expect("a program");
    path
}

/// The command line of a load, which writes to `out`.
fn command(kind: &str, out: &Path, options: &[String]) -> Vec<String> {
    let mut command = vec![
        load().display().to_string(),
        kind.to_owned(),
        out.display().to_string(),
    ];
    command.extend_from_slice(options);
    command
}

/// Runs a load under a contender: what it says, and the profile where one was made.
pub(crate) fn run(
    contender: Contender,
    kind: &str,
    options: &[String],
    folder: &Path,
) -> Result<(Value, Option<Value>), String> {
    let out = folder.join("load.json");
    let _ = std::fs::remove_file(&out);
    let profile = contender.run(&command(kind, &out, options), folder)?;
    Ok((read(&out)?, profile))
}

/// Runs a load while it is profiled: what it says, and the profile.
pub(crate) fn watched(
    kind: &str,
    options: &[String],
    folder: &Path,
) -> Result<(Value, Value), String> {
    let (said, profile) = run(Contender::Procmon, kind, options, folder)?;
    Ok((said, profile.ok_or("there is no profile")?))
}

/// Runs a load as fast as it goes, then at its rate without and with a capture in turn.
pub(crate) fn measure(
    load: &Load,
    rounds: usize,
    milliseconds: u64,
    folder: &Path,
) -> Result<Outcome, String> {
    let mut options = load.options.clone();
    options.push(format!("milliseconds={milliseconds}"));
    let rate = |said: &Value| said["perSecond"].as_f64().unwrap_or(0.0);
    let _ = wait_for_quiet();
    let free = rate(&run(Contender::Nothing, load.kind, &options, folder)?.0);
    let asked = (free * BEARABLE).min(load.nominal as f64).floor();
    options.push(format!("rate={asked}"));
    let (mut without, mut with) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let mut outcome = Outcome {
        name: load.name,
        nominal: load.nominal,
        free,
        asked,
        without: 0.0,
        with: 0.0,
        cpu_without: 0.0,
        cpu_with: 0.0,
        complete: true,
        lost: String::new(),
        wrong: Vec::new(),
        cost: ProbeCost::default(),
        rows: 0,
        processes: 0,
        rounds,
    };
    let mut costs = Vec::new();
    let cpu = |said: &Value| said["cpuNs"].as_f64().unwrap_or(f64::NAN);
    for _ in 0..rounds {
        let (said, _) = run(Contender::Nothing, load.kind, &options, folder)?;
        without.0.push(rate(&said));
        without.1.push(cpu(&said));
        let (said, profile) = watched(load.kind, &options, folder)?;
        with.0.push(rate(&said));
        with.1.push(cpu(&said));
        outcome.complete &= profile["completeness"]["complete"] == true;
        let lost = lost(&profile);
        if !lost.is_empty() {
            outcome.lost = lost;
        }
        let wrong = (load.check)(&profile, &said, folder);
        if !wrong.is_empty() {
            outcome.wrong = wrong;
        }
        outcome.processes = sum(&profile, "processes", |_| true, |row| row["count"].as_u64());
        outcome.rows = ["files", "network", "syscalls"]
            .into_iter()
            .map(|dimension| rows(&profile, dimension).count())
            .sum();
        costs.push(ProbeCost::of(&profile));
    }
    let middle = |samples: &[f64]| median(samples).unwrap_or(f64::NAN);
    outcome.without = middle(&without.0);
    outcome.with = middle(&with.0);
    outcome.cpu_without = middle(&without.1);
    outcome.cpu_with = middle(&with.1);
    outcome.cost = ProbeCost::median(&costs);
    Ok(outcome)
}

/// The losses that a profile names; empty without losses.
pub(crate) fn lost(profile: &Value) -> String {
    let lost = &profile["nodes"][0]["lost"];
    let mut parts = Vec::new();
    for part in ["ringBuffer", "frames"] {
        if let Some(count) = lost[part].as_u64().filter(|count| *count > 0) {
            parts.push(format!("{part} {count}"));
        }
    }
    for part in ["maps", "recursion"] {
        for (name, count) in lost[part].as_object().into_iter().flatten() {
            parts.push(format!("{name} {count}"));
        }
    }
    parts.join(", ")
}

fn differs(what: &str, made: u64, counted: u64, wrong: &mut Vec<String>) {
    if made != counted {
        wrong.push(format!("{what}: {made} made, {counted} counted"));
    }
}

fn times(said: &Value) -> u64 {
    said["times"].as_u64().unwrap_or(0)
}

fn sum(
    profile: &Value,
    dimension: &str,
    keep: impl Fn(&Value) -> bool,
    count: impl Fn(&Value) -> Option<u64>,
) -> u64 {
    rows(profile, dimension)
        .filter(|row| keep(row))
        .filter_map(count)
        .sum()
}

fn check_calls(profile: &Value, said: &Value, _: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let counted = crate::cost::calls_of(profile, "getppid");
    differs("getppid", times(said), counted, &mut wrong);
    wrong
}

fn rows_of(profile: &Value) -> impl Iterator<Item = &str> {
    rows(profile, "files").filter_map(|row| row["path"].as_str())
}

fn check_files(profile: &Value, said: &Value, folder: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let many = format!("{}/", folder.join("many").display());
    let is_ours = |row: &Value| {
        row["path"]
            .as_str()
            .is_some_and(|path| path.starts_with(&many))
    };
    let rows = sum(profile, "files", is_ours, |_| Some(1));
    let files = std::fs::read_dir(&many).map_or(0, |files| files.count() as u64);
    // Beyond the table files share a row of their folder.
    let is_shared = rows_of(profile).any(|path| path.ends_with("/…"));
    if !is_shared {
        differs("files", files, rows, &mut wrong);
    }
    for operation in ["open", "read", "write"] {
        let counted = sum(profile, "files", is_ours, |row| {
            row["operations"][operation].as_u64()
        });
        differs(operation, times(said), counted, &mut wrong);
    }
    let written = sum(profile, "files", is_ours, |row| {
        row["bytesWritten"].as_u64()
    });
    differs("bytes written", 64 * times(said), written, &mut wrong);
    let closed = crate::cost::calls_of(profile, "close");
    if closed < times(said) {
        differs("close", times(said), closed, &mut wrong);
    }
    wrong
}

fn check_connections(profile: &Value, said: &Value, _: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for direction in ["outbound", "inbound"] {
        let counted = sum(
            profile,
            "network",
            |row| row["direction"] == direction && row["protocol"] == "tcp",
            |row| row["connections"].as_u64(),
        );
        differs(direction, times(said), counted, &mut wrong);
    }
    wrong
}

fn check_executions(profile: &Value, said: &Value, folder: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let exe = tiny_program(folder);
    let is_ours = |row: &Value| {
        row["exe"]
            .as_str()
            .is_some_and(|path| Path::new(path) == exe)
    };
    let counted = sum(profile, "processes", is_ours, |row| row["count"].as_u64());
    differs("processes", times(said), counted, &mut wrong);
    let ended = sum(profile, "processes", is_ours, |row| {
        row["exits"]["0"].as_u64()
    });
    differs("exits", times(said), ended, &mut wrong);
    wrong
}

#[cfg(test)]
mod tests {
    use super::{check_calls, lost, tiny_program};
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn the_tiny_program_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let status = std::process::Command::new(tiny_program(folder.path())).status();
        assert!(status.expect("it starts").success());
    }

    #[test]
    fn a_loss_is_named() {
        let profile =
            json!({"nodes": [{"lost": {"ringBuffer": 3, "frames": 0, "maps": {"FILES": 2}}}]});
        assert_eq!(lost(&profile), "ringBuffer 3, FILES 2");
    }

    #[test]
    fn a_call_that_is_not_counted_is_found() {
        let profile = json!({"containers": [{"syscalls": [{"name": "getppid", "calls": 4}]}]});
        let check = |times: u64| check_calls(&profile, &json!({"times": times}), Path::new("/"));
        assert!(check(4).is_empty());
        assert_eq!(check(5), ["getppid: 5 made, 4 counted"]);
    }
}

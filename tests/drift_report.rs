//! Profiles real servers into a folder: windows for a baseline, windows that must not differ from
//! it, and one window for each change that must be noticed. Judges what `kubectl procmon diff` says
//! of them, and prints the tables of docs/diff.md.
//!
//! `drift-report --out DIR [--servers NAME,…] [--repeats N] [--restarts N] [--seconds N] [--changes NAME,…]`

use procmon_tests::has_bpf;
use procmon_tests::servers::{Kind, Plan, Verdict, judge};
use std::path::PathBuf;

#[expect(clippy::print_stderr, reason = "progress of a long run")]
fn main() {
    let mut out = None;
    let mut kinds = Kind::ALL.to_vec();
    let mut plan = Plan::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .unwrap_or_else(|| panic!("{option} needs a value"));
        let names = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        let number = || value.parse().expect("a number");
        match option.as_str() {
            "--out" => out = Some(PathBuf::from(&value)),
            "--servers" => kinds.retain(|kind| names().iter().any(|name| name == kind.name())),
            "--repeats" => plan.repeats = number(),
            "--restarts" => plan.restarts = number(),
            "--seconds" => plan.seconds = number(),
            "--changes" => plan.only = names(),
            _ => panic!("unknown option {option}"),
        }
    }
    let out = out.expect("--out DIR");
    if !has_bpf() {
        return;
    }
    let mut verdicts = Vec::new();
    for kind in kinds {
        if !kind.is_here() {
            continue;
        }
        eprintln!("{}", kind.name());
        let folder = out.join(kind.name());
        let _ = std::fs::remove_dir_all(&folder);
        let verdict = judge(kind, &folder, &plan);
        for line in verdict.alarms.iter().chain(&verdict.missed) {
            eprintln!("  {line}");
        }
        verdicts.push(verdict);
    }
    print(&verdicts);
}

/// The tables of docs/diff.md.
#[expect(clippy::print_stdout, reason = "the result")]
fn print(verdicts: &[Verdict]) {
    println!("| server | windows without a change | medium and above | low | changes | found |");
    println!("|---|---|---|---|---|---|");
    for verdict in verdicts {
        let low = verdict.rows.get("low").copied().unwrap_or(0);
        let found = verdict.changes as usize - verdict.missed.len();
        println!(
            "| {} | {} | {} | {low} | {} | {found} |",
            verdict.kind.name(),
            verdict.windows,
            verdict.alarms.len(),
            verdict.changes
        );
    }
    println!(
        "\nRows in windows without a change, numbers as N, with the number of windows that have them:\n"
    );
    println!("| server | row | windows |");
    println!("|---|---|---|");
    for verdict in verdicts {
        for (row, windows) in &verdict.low {
            println!(
                "| {} | {} | {windows} |",
                verdict.kind.name(),
                row.replace('|', "\\|")
            );
        }
    }
}

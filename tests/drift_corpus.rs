//! Profiles real servers into a folder: windows for a baseline, windows that must not differ from
//! it, and one window for each change that must be noticed.
//!
//! `drift-corpus --out DIR [--servers NAME,…] [--repeats N] [--seconds N] [--changes NAME,…]`

use procmon_tests::has_bpf;
use procmon_tests::servers::{Kind, Plan, documents};
use std::path::PathBuf;
use std::time::Instant;

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
    for kind in kinds {
        if !kind.is_here() {
            continue;
        }
        let began = Instant::now();
        documents(kind, &out.join(kind.name()), &plan, |_, path, _| {
            let seconds = began.elapsed().as_secs();
            eprintln!("[{seconds:>4}s] {}", path.display());
        });
    }
}

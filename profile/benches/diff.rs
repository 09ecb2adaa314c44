//! How long a diff takes, and how much memory, as a curve over the number of rows. `make bench` runs it.
#![expect(clippy::print_stdout, reason = "the figures are the result")]

#[path = "memory/process.rs"]
mod memory;

use procmon_profile::baseline::from_profiles;
use procmon_profile::diff::{Options, diff};
use procmon_profile::model::{
    Completeness, Container, Dimension, DimensionCompleteness, File, FileOperation, Process,
    Profile, Session,
};
use std::time::Instant;

/// A profile with so many file rows, of which one in a hundred differs between two numbers.
fn profile(rows: usize, number: usize) -> Profile {
    let files = (0..rows)
        .map(|row| {
            let folder = row / 50;
            let name = if row % 100 == 0 {
                // Letters: numbers would be learned.
                let letters: String = row
                    .to_string()
                    .bytes()
                    .map(|digit| char::from(digit + b'a' - b'0'))
                    .collect();
                format!("{}{letters}", if number == 1 { "one" } else { "other" })
            } else {
                format!("file{row}")
            };
            File {
                path: format!("/srv/d{folder}x/{name}").into(),
                exe: format!("/usr/bin/program{}", row % 20).into(),
                operations: [(FileOperation::Open, 3), (FileOperation::Read, 9)].into(),
                ..File::default()
            }
        })
        .collect();
    let processes = (0..20)
        .map(|exe| Process {
            id: format!("p{exe}").into(),
            exe: format!("/usr/bin/program{exe}").into(),
            argv: vec!["program".into()],
            count: 1,
            ..Process::default()
        })
        .collect();
    let complete = DimensionCompleteness::default();
    Profile {
        session: Session {
            id: number.to_string().into(),
            window_seconds: Some(3.0),
            ..Session::default()
        },
        containers: vec![Container {
            files,
            processes,
            ..Container::default()
        }],
        completeness: Completeness {
            complete: true,
            dimensions: Dimension::ALL
                .into_iter()
                .map(|dimension| (dimension, complete.clone()))
                .collect(),
            ..Completeness::default()
        },
        ..Profile::default()
    }
}

fn main() -> Result<(), procmon_profile::baseline::BaselineError> {
    println!("rows       new rows   make ms    diff ms    us a row   peak MiB");
    for rows in [1_000, 10_000, 50_000, 100_000, 1_000_000] {
        let began = Instant::now();
        let baseline = from_profiles("bench", &[profile(rows, 1)], None)?;
        let made = began.elapsed().as_secs_f64() * 1000.0;
        let other = profile(rows, 2);
        let rounds = if rows > 100_000 { 1 } else { 5 };
        let mut times: Vec<f64> = Vec::new();
        let mut found = 0;
        for _ in 0..rounds {
            let began = Instant::now();
            found = diff(&baseline, &other, &Options::default())?.rows.len();
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!(
            "{rows:<10} {found:<10} {made:<10.1} {median:<10.1} {:<10.2} {:.0}",
            median * 1000.0 / rows as f64,
            memory::mib("VmHWM:").unwrap_or(f64::NAN)
        );
    }
    Ok(())
}

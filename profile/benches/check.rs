//! How long all built-in rules take on a profile, and how much memory beyond the profile's own, as a curve
//! over the number of rows. `make bench` runs it.
#![expect(clippy::print_stdout, reason = "the figures are the result")]

#[path = "memory/process.rs"]
mod memory;

use procmon_profile::model::{
    Container, Counts, Direction, File, FileOperation, Layer, Network, Origin, Process, Profile,
    Protocol, Remote, Stream,
};
use procmon_profile::rules::{Catalogue, RuleError, check};
use std::time::Instant;

/// A profile with so many rows: a third each of processes, files and peers of a busy build machine.
fn profile(rows: usize) -> Profile {
    let third = rows / 3;
    let exe = |row: usize| format!("/usr/bin/program{}", row % 50).into();
    let processes = (0..third).map(|row| Process {
        id: format!("p{}", row + 1).into(),
        parent: (row > 0).then(|| format!("p{}", row / 2 + 1).into()),
        exe: exe(row),
        argv: vec!["program".into(), "--job".into(), format!("job{row}").into()],
        cwd: Some("/srv/build".into()),
        origin: Origin::Entrypoint,
        stdio: vec![Stream::Null, Stream::Pipe, Stream::Pipe],
        layer: Some(Layer::Image),
        count: 1,
        ..Process::default()
    });
    let files = (0..third).map(|row| File {
        path: format!("/srv/build/d{}/object{row}.o", row / 50).into(),
        exe: exe(row),
        operations: [(FileOperation::Open, 3), (FileOperation::Read, 9)].into(),
        ..File::default()
    });
    let network = (0..third).map(|row| Network {
        exe: exe(row),
        protocol: Protocol::Tcp,
        direction: Direction::Outbound,
        remote: Some(Remote {
            address: Some(
                format!("10.{}.{}.{}", row >> 16 & 255, row >> 8 & 255, row & 255).into(),
            ),
            port: Some(443),
            ..Remote::default()
        }),
        connections: 2,
        bytes_sent: 100,
        local: None,
        datagrams_sent: 0,
        datagrams_received: 0,
        failures: Counts::new(),
        bytes_received: 0,
        path: Vec::new(),
    });
    let container = Container {
        processes: processes.collect(),
        files: files.collect(),
        network: network.collect(),
        ..Container::default()
    };
    Profile {
        containers: vec![container],
        ..Profile::default()
    }
}

fn main() -> Result<(), RuleError> {
    let began = Instant::now();
    let catalogue = Catalogue::with(Vec::new())?;
    println!(
        "{} rules compiled in {:.0} ms",
        catalogue.rules().count(),
        began.elapsed().as_secs_f64() * 1000.0
    );
    println!("rows       findings   check ms   us a row   MiB beyond the profile");
    for rows in [1_000, 10_000, 50_000, 100_000, 200_000] {
        let profile = profile(rows);
        let before = memory::mib("VmRSS:");
        let mut times: Vec<f64> = Vec::new();
        let mut found = 0;
        for _ in 0..5 {
            let began = Instant::now();
            found = check(&profile, &catalogue, None).findings.len();
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let more = before
            .zip(memory::mib("VmHWM:"))
            .map_or(f64::NAN, |(before, peak)| peak - before);
        println!(
            "{rows:<10} {found:<10} {median:<10.1} {:<10.2} {more:.0}",
            median * 1000.0 / rows as f64,
        );
    }
    Ok(())
}

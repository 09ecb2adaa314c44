//! System calls, capabilities and rare events.

use super::files::short_exe;
use super::processes::{OF_RUNTIME, Runtime};
use super::screen::{Rows, Screen, join};
use crate::render::{count, duration};
use procmon_profile::model::{Abi, CapabilityUse, Container, Event, Latency, Syscall};
use std::io;

/// A column of times, and what stands there.
type Time = (&'static str, fn(&Latency) -> u64);

/// Columns of times, where they were measured.
const TIMES: [Time; 4] = [
    ("P50", |latency| latency.p50),
    ("P95", |latency| latency.p95),
    ("P99", |latency| latency.p99),
    ("MAX", |latency| latency.max),
];

/// The name; of calls that are not the node's own kind with their abi.
pub(crate) fn call_name(call: &Syscall) -> String {
    match call.abi {
        Abi::X86_64 | Abi::Aarch64 => call.name.clone().into(),
        other => format!("{} ({})", call.name, other),
    }
}

pub(super) fn syscalls(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut calls: Vec<&Syscall> = container.syscalls.iter().collect();
    calls.sort_by_key(|call| std::cmp::Reverse(call.calls));
    let is_timed = calls.iter().any(|call| call.latency_ns.is_some());
    let wide = screen.wide;
    let shown: Vec<_> = TIMES
        .iter()
        .filter(|(name, _)| is_timed && (wide || *name != "P95"))
        .collect();
    let row = |call: &Syscall| {
        let mut errors = join(&call.errors);
        if call.denied_by_seccomp > 0 {
            errors += &format!(" (seccomp {})", count(call.denied_by_seccomp));
        }
        let mut row = vec![count(call.calls)];
        row.extend(shown.iter().map(|(_, time)| {
            let latency = call.latency_ns.as_ref();
            latency.map_or_else(|| "-".to_owned(), |latency| duration(time(latency)))
        }));
        row.extend([
            call_name(call),
            short_exe(&call.exe),
            if errors.is_empty() {
                "-".to_owned()
            } else {
                errors
            },
        ]);
        row
    };
    let (own, its) = runtime.split(calls, |call| call.exe.as_str());
    let mut rows = Rows {
        rows: own.into_iter().map(row).collect(),
        ..Rows::default()
    };
    rows.fold(screen, its.into_iter().map(row).collect(), OF_RUNTIME);
    let mut header = vec!["CALLS"];
    header.extend(shown.iter().map(|(name, _)| *name));
    header.extend(["NAME", "BY", "FAILURES"]);
    screen.section("System calls", &header, rows)
}

pub(super) fn capabilities(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let row = |row: &CapabilityUse| {
        vec![
            row.name.to_string(),
            count(row.used),
            count(row.denied),
            short_exe(&row.exe),
        ]
    };
    // What was only probed for was not needed.
    let needed = container.capabilities.iter();
    let needed = needed
        .filter(|row| row.used > 0 || row.denied > 0)
        .collect();
    let (own, its) = runtime.split(needed, |row: &&CapabilityUse| row.exe.as_str());
    let mut rows = Rows {
        rows: own.into_iter().map(row).collect(),
        ..Rows::default()
    };
    rows.fold(screen, its.into_iter().map(row).collect(), OF_RUNTIME);
    screen.section(
        "Capabilities asked for",
        &["NAME", "USED", "DENIED", "BY"],
        rows,
    )
}

pub(super) fn events(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let row = |event: &Event| {
        let details: Vec<String> = event
            .details
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        vec![
            event.time.get(11..23).unwrap_or(&event.time).to_owned(),
            event.event_type.to_string(),
            count(event.count),
            event.process.clone().unwrap_or_else(|| "-".into()).into(),
            details.join(" "),
        ]
    };
    let is_its = |event: &&Event| {
        event
            .process
            .as_deref()
            .is_some_and(|process| runtime.processes.contains(process))
    };
    let (its, own): (Vec<&Event>, Vec<&Event>) = container.events.iter().partition(is_its);
    let mut rows = Rows {
        rows: own.into_iter().map(row).collect(),
        ..Rows::default()
    };
    rows.fold(screen, its.into_iter().map(row).collect(), OF_RUNTIME);
    screen.section(
        "Events",
        &["TIME", "TYPE", "COUNT", "PROCESS", "DETAILS"],
        rows,
    )
}

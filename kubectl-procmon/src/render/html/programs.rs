//! System calls by program, capabilities and events.

use super::cells::{Kind, Window};
use super::facts::Containers;
use super::table::{Column, Table, number, some};
use crate::render::table::calls::call_name;
use crate::render::table::files::short_exe;
use crate::render::table::screen::join;
use procmon_profile::model::{CapabilityMethod, Latency, Syscall};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A row: a program with its sum, or one of its calls.
struct Row<'a> {
    depth: u32,
    name: String,
    container: &'a str,
    exe: &'a str,
    call: Option<&'a Syscall>,
    calls: u64,
    failed: u64,
}

fn failed(call: &Syscall) -> u64 {
    let errors = call.errors.values();
    errors.fold(0, |sum, times| sum.saturating_add(*times))
}

/// System calls below their programs: those that call most come first.
pub(super) fn calls<'a>(containers: &'a Containers<'a>) -> Table<'a> {
    let mut programs: BTreeMap<(&str, &str), Vec<&Syscall>> = BTreeMap::new();
    for (container, call) in containers.rows(|container| &container.syscalls) {
        programs
            .entry((container, call.exe.as_str()))
            .or_default()
            .push(call);
    }
    let sum = |calls: &[&Syscall], of: fn(&Syscall) -> u64| {
        calls
            .iter()
            .fold(0, |sum: u64, call| sum.saturating_add(of(call)))
    };
    let mut programs: Vec<_> = programs.into_iter().collect();
    programs.sort_by_key(|(_, calls)| std::cmp::Reverse(sum(calls, |call| call.calls)));
    let mut rows = Vec::new();
    for ((container, exe), mut calls) in programs {
        rows.push(Row {
            depth: 0,
            name: short_exe(exe),
            container,
            exe,
            call: None,
            calls: sum(&calls, |call| call.calls),
            failed: sum(&calls, failed),
        });
        calls.sort_by_key(|call| std::cmp::Reverse(call.calls));
        rows.extend(calls.into_iter().map(|call| Row {
            depth: 1,
            name: call_name(call),
            container,
            exe,
            call: Some(call),
            calls: call.calls,
            failed: failed(call),
        }));
    }
    call_columns(&rows)
}

fn call_columns<'a>(rows: &[Row<'a>]) -> Table<'a> {
    let numbers = |title, of: fn(&Syscall) -> u64| {
        let all = rows.iter().map(|row| some(of(row.call?)));
        Column::numbers(title, Kind::Count, all)
    };
    let times = |title, of: fn(&Latency) -> u64| {
        let all = rows
            .iter()
            .map(|row| number(of(row.call?.latency_ns.as_ref()?)));
        Column::numbers(title, Kind::Duration, all)
    };
    let texts = |title, of: fn(&Syscall) -> String| {
        let all = rows.iter().map(|row| row.call.map_or_else(String::new, of));
        Column::texts(title, Kind::Name, all)
    };
    Table::new(
        "calls",
        "rows of programs and calls",
        vec![
            Column::texts(
                "Program and call",
                Kind::Name,
                rows.iter().map(|row| row.name.clone()),
            ),
            Column::numbers(
                "Calls",
                Kind::Count,
                rows.iter().map(|row| number(row.calls)),
            ),
            Column::numbers(
                "Failed",
                Kind::Count,
                rows.iter().map(|row| some(row.failed)),
            ),
            texts("Failures", |call| join(&call.errors)),
            times("Half within", |latency| latency.p50),
            times("99 % within", |latency| latency.p99),
            times("Slowest", |latency| latency.max),
            numbers("Refused by seccomp", |call| call.denied_by_seccomp),
            texts("Arguments", |call| {
                call.arguments.as_ref().map_or_else(String::new, join)
            }),
            Column::texts(
                "Container",
                Kind::Name,
                rows.iter().map(|row| row.container),
            ),
            Column::texts("Path", Kind::Name, rows.iter().map(|row| row.exe)).in_detail(),
            numbers("Restarted", |call| call.restarted).in_detail(),
            numbers("Under way at the end", |call| call.unfinished).in_detail(),
            numbers("Never returned", |call| call.no_return).in_detail(),
        ],
    )
    .with_depth(rows.iter().map(|row| row.depth).collect())
}

/// Capabilities, the refused ones first.
pub(super) fn capabilities<'a>(containers: &'a Containers<'a>) -> Table<'a> {
    let mut rows: Vec<_> = containers
        .rows(|container| &container.capabilities)
        .collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse((row.denied > 0, row.used)));
    let all = || rows.iter().map(|(_, row)| *row);
    Table::new(
        "capabilities",
        "rows",
        vec![
            Column::texts("Capability", Kind::Name, all().map(|row| row.name.as_str())),
            Column::texts("Program", Kind::Name, all().map(|row| row.exe.as_str())),
            Column::numbers("Used", Kind::Count, all().map(|row| number(row.used))),
            Column::numbers("Refused", Kind::Count, all().map(|row| some(row.denied))),
            Column::numbers(
                "Only asked",
                Kind::Count,
                all().map(|row| row.probed.and_then(some)),
            ),
            Column::texts(
                "Container",
                Kind::Name,
                rows.iter().map(|(container, _)| *container),
            ),
            Column::texts(
                "Seen by",
                Kind::Text,
                all().map(|row| match row.method {
                    CapabilityMethod::Hook => "hook",
                    CapabilityMethod::Tracepoint => "tracepoint",
                }),
            )
            .in_detail(),
        ],
    )
}

/// Events in the order of time.
pub(super) fn events<'a>(containers: &'a Containers<'a>, window: Option<Window>) -> Table<'a> {
    let mut rows = Vec::new();
    for (container, label) in containers.iter() {
        let commands: BTreeMap<&str, &str> = container
            .processes
            .iter()
            .map(|process| (process.id.as_str(), process.exe.as_str()))
            .collect();
        for event in &container.events {
            let id = event.process.as_deref().unwrap_or("");
            let exe = commands.get(id).copied().unwrap_or("");
            rows.push((label, exe, id, event));
        }
    }
    rows.sort_by(|a, b| a.3.time.cmp(&b.3.time));
    let all = || rows.iter().map(|(_, _, _, event)| *event);
    let several = containers.are_several();
    Table::new(
        "events",
        "events",
        vec![
            Column::numbers(
                "First seen",
                Kind::Offset,
                all().map(|event| window?.offset(&event.time)),
            ),
            Column::texts(
                "Event",
                Kind::Text,
                all().map(|event| event.event_type.to_string()),
            ),
            Column::texts(
                "Details",
                Kind::Name,
                all().map(|event| {
                    let details = event.details.iter();
                    let details: Vec<String> = details
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect();
                    details.join(" ")
                }),
            ),
            Column::numbers("Count", Kind::Count, all().map(|event| number(event.count))),
            Column::texts(
                "Program",
                Kind::Name,
                rows.iter().map(|(_, exe, _, _)| *exe),
            ),
            Column::texts("Process", Kind::Name, rows.iter().map(|(_, _, id, _)| *id)),
            Column::texts(
                "Container",
                Kind::Name,
                rows.iter().map(|(label, ..)| {
                    if several {
                        Cow::Borrowed(*label)
                    } else {
                        "".into()
                    }
                }),
            ),
            Column::texts(
                "Time",
                Kind::Name,
                all().map(|event| event.time.to_string()),
            )
            .in_detail(),
        ],
    )
}

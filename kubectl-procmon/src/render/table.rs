//! The screen: what was profiled, how complete it is, then what matters most first.

use super::text::shorten;
use super::{Style, bytes, count, escape, name};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use procmon_profile::model::{
    Container, Counts, DimensionState, Direction, File, FileOperation, HookState, Layer, Network,
    Origin, Process, Profile, Remote, SeccompMode,
};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Rows of a section, before "and more".
const ROWS: usize = 15;
/// Columns where the width is not known.
const DEFAULT_WIDTH: u16 = 120;
/// The narrowest screen that is laid out for.
const MIN_WIDTH: u16 = 60;

struct Screen<'a> {
    out: &'a mut dyn Write,
    width: usize,
    rows: usize,
    wide: bool,
    colour: bool,
}

pub(super) fn render(
    profile: &Profile,
    style: Style,
    wide: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let width = style.width.unwrap_or(DEFAULT_WIDTH).max(MIN_WIDTH);
    let mut screen = Screen {
        out,
        width: if wide { 100_000 } else { width.into() },
        rows: if wide { usize::MAX } else { ROWS },
        wide,
        colour: style.colour,
    };
    header(&mut screen, profile)?;
    let several = profile.containers.len() > 1;
    for container in &profile.containers {
        if several || container.pod.is_some() {
            screen.heading(&title(container))?;
        }
        processes(&mut screen, container)?;
        changes(&mut screen, container)?;
        network(&mut screen, container)?;
        reads(&mut screen, container)?;
        failures(&mut screen, container)?;
        syscalls(&mut screen, container)?;
        capabilities(&mut screen, container)?;
        events(&mut screen, container)?;
    }
    next(&mut screen)
}

impl Screen<'_> {
    fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = escape(text);
        if self.colour {
            writeln!(self.out, "\n\x1b[1m{text}\x1b[0m")
        } else {
            writeln!(self.out, "\n{text}")
        }
    }

    /// A section of rows; cells of the flexible column are shortened to what is left of the width.
    fn section(
        &mut self,
        title: &str,
        header: &[&str],
        flexible: usize,
        rows: Vec<Vec<String>>,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.heading(title)?;
        let total = rows.len();
        let shown: Vec<Vec<String>> = rows
            .into_iter()
            .take(self.rows)
            .map(|row| row.iter().map(|cell| escape(cell).into_owned()).collect())
            .collect();
        let widest = |column: usize| {
            shown
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
                .max(header[column].len())
                + 2
        };
        let others: usize = (0..header.len())
            .filter(|column| *column != flexible)
            .map(widest)
            .sum();
        let room = self.width.saturating_sub(others + 4).max(24);
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.to_vec());
        for row in shown {
            let cells: Vec<String> = row
                .into_iter()
                .enumerate()
                .map(|(column, cell)| {
                    if column == flexible && !self.wide {
                        shorten(&cell, room).into_owned()
                    } else {
                        cell
                    }
                })
                .collect();
            table.add_row(cells);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for (place, name) in header.iter().enumerate() {
            if let Some(column) = table.column_mut(place)
                && NUMBERS.contains(name)
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            writeln!(self.out, "  {}", line.trim_end())?;
        }
        if total > self.rows {
            writeln!(self.out, "  … and {} more (-o wide)", total - self.rows)?;
        }
        Ok(())
    }
}

/// Columns of numbers.
const NUMBERS: [&str; 9] = [
    "COUNT", "UID", "READ", "WRITTEN", "CALLS", "ERRORS", "CONNS", "SENT", "RECEIVED",
];

fn header(screen: &mut Screen<'_>, profile: &Profile) -> io::Result<()> {
    let session = &profile.session;
    let place = session
        .target
        .namespace
        .as_ref()
        .map(|namespace| format!(" -n {namespace}"))
        .unwrap_or_default();
    screen.heading(&format!(
        "{}{place}",
        shorten(&name(profile), screen.width.saturating_sub(2))
    ))?;
    let nodes: Vec<String> = profile
        .nodes
        .iter()
        .map(|node| match &node.kernel {
            Some(kernel) => format!("{} (Linux {kernel})", node.name),
            None => node.name.clone(),
        })
        .collect();
    let line =
        |out: &mut dyn Write, name: &str, text: &str| writeln!(out, "  {name:<9} {}", escape(text));
    if !nodes.is_empty() {
        line(screen.out, "node", &nodes.join(", "))?;
    }
    if let (Some(seconds), Some(started)) = (session.window_seconds, &session.started_at) {
        let early = if session.ended_early {
            ", ended early"
        } else {
            ""
        };
        let second = started.get(..19).unwrap_or(started);
        line(
            screen.out,
            "window",
            &format!("{seconds:.1} s from {second}Z{early}"),
        )?;
    }
    if let Some(exit) = session.exit {
        line(screen.out, "exit code", &exit.to_string())?;
    }
    line(screen.out, "complete", &completeness(profile))?;
    for node in profile.nodes.iter().filter(|node| node.error.is_some()) {
        line(
            screen.out,
            "failed",
            &format!(
                "{}: {}",
                node.name,
                node.error.as_deref().unwrap_or_default()
            ),
        )?;
    }
    for (dimension, state) in &profile.completeness.dimensions {
        if state.state == DimensionState::Partial {
            line(
                screen.out,
                "partial",
                &format!("{dimension:?}: {}", state.reasons.join("; ")).to_lowercase(),
            )?;
        }
    }
    for note in &profile.completeness.notes {
        line(screen.out, "note", note)?;
    }
    Ok(())
}

/// Whether to rely on it, in one line.
fn completeness(profile: &Profile) -> String {
    let missing: Vec<String> = profile
        .completeness
        .dimensions
        .iter()
        .filter(|(_, state)| state.state == DimensionState::Missing)
        .map(|(dimension, _)| format!("{dimension:?}").to_lowercase())
        .collect();
    let hooks = profile.nodes.iter().flat_map(|node| &node.hooks);
    let (all, proven) = hooks.fold((0, 0), |(all, proven), hook| {
        (all + 1, proven + u32::from(hook.state == HookState::Proven))
    });
    let mut text = if profile.completeness.complete {
        "yes".to_owned()
    } else {
        "NO".to_owned()
    };
    text += &format!(", {proven} of {all} hooks proven");
    if !missing.is_empty() {
        text += &format!(", not captured: {}", missing.join(", "));
    }
    text
}

fn title(container: &Container) -> String {
    let mut text = match &container.pod {
        Some(pod) => format!("{pod}/{}", container.container),
        None => container.container.clone(),
    };
    if let Some(node) = &container.node {
        text += &format!(" on {node}");
    }
    if let Some(image) = &container.image {
        text += &format!(", image {image}");
    }
    text
}

fn processes(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let mut rows = Vec::new();
    let mut children: BTreeMap<Option<&str>, Vec<&Process>> = BTreeMap::new();
    for process in &container.processes {
        children
            .entry(process.parent.as_deref())
            .or_default()
            .push(process);
    }
    let mut stack: Vec<(&Process, usize)> = children
        .get(&None)
        .into_iter()
        .flatten()
        .rev()
        .map(|p| (*p, 0))
        .collect();
    while let Some((process, depth)) = stack.pop() {
        rows.push(vec![
            process.uid.to_string(),
            count(process.count),
            privileges(process),
            ends(process),
            format!("{}{}", "  ".repeat(depth.min(12)), command(process)),
        ]);
        let below = children.get(&Some(process.id.as_str()));
        stack.extend(
            below
                .into_iter()
                .flatten()
                .rev()
                .map(|child| (*child, depth + 1)),
        );
    }
    screen.section(
        "Processes",
        &["UID", "COUNT", "PRIVILEGES", "ENDED", "COMMAND"],
        4,
        rows,
    )
}

fn command(process: &Process) -> String {
    let mut text = if process.argv.is_empty() {
        process.exe.clone()
    } else {
        process.argv.join(" ")
    };
    let named = process.argv.first().is_some_and(|first| {
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        last(first) == last(&process.exe)
    });
    if !named && !process.argv.is_empty() {
        text += &format!("  [{}]", process.exe);
    }
    if process.argv_truncated {
        text.push('…');
    }
    text
}

/// What is worth knowing of a process's rights.
fn privileges(process: &Process) -> String {
    let mut all = Vec::new();
    if let Some(sets) = &process.capabilities {
        match (sets.effective.len(), sets.bounding.len()) {
            (0, _) => {}
            (held, _) if held >= 38 => all.push("all caps".to_owned()),
            (held @ 1..=2, _) => {
                debug_assert!(held > 0);
                all.push(
                    sets.effective
                        .iter()
                        .map(|name| name.trim_start_matches("CAP_").to_lowercase())
                        .collect::<Vec<_>>()
                        .join(","),
                );
            }
            (held, _) => all.push(format!("{held} caps")),
        }
    }
    if process.no_new_privs == Some(true) {
        all.push("nnp".to_owned());
    }
    if matches!(
        process.seccomp,
        Some(SeccompMode::Filter | SeccompMode::Strict)
    ) {
        all.push("seccomp".to_owned());
    }
    match process.layer {
        Some(Layer::Upper) => all.push("UPPER".to_owned()),
        Some(Layer::Memfd) => all.push("MEMFD".to_owned()),
        _ => {}
    }
    match process.origin {
        Origin::Entrypoint => {}
        other => all.push(format!("{other:?}").to_lowercase()),
    }
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join(" ")
    }
}

fn ends(process: &Process) -> String {
    if process.exits.is_empty() {
        return "-".to_owned();
    }
    join(&process.exits)
}

fn join(counts: &Counts) -> String {
    counts
        .iter()
        .map(|(name, times)| {
            if *times == 1 {
                name.clone()
            } else {
                format!("{name}×{}", count(*times))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Operations that change something or run something.
fn is_change(operation: FileOperation) -> bool {
    !matches!(
        operation,
        FileOperation::Open | FileOperation::Read | FileOperation::MmapExec
    )
}

fn operations(file: &File, wanted: impl Fn(FileOperation) -> bool) -> String {
    file.operations
        .iter()
        .filter(|(operation, _)| wanted(**operation))
        .map(|(operation, times)| {
            let name = format!("{operation:?}").to_lowercase();
            if *times == 1 {
                name
            } else {
                format!("{name}×{}", count(*times))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn changes(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let mut files: Vec<&File> = container
        .files
        .iter()
        .filter(|file| {
            file.mmap_write > 0
                || file
                    .operations
                    .keys()
                    .any(|operation| is_change(*operation))
        })
        .collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.bytes_written));
    let rows = files
        .into_iter()
        .map(|file| {
            let mut done = operations(file, is_change);
            if file.mmap_write > 0 {
                done += " mmapwrite";
            }
            vec![
                bytes(file.bytes_written),
                done,
                short_exe(&file.exe),
                file.path.clone(),
            ]
        })
        .collect();
    screen.section(
        "Files written, changed, executed",
        &["WRITTEN", "DONE", "BY", "PATH"],
        3,
        rows,
    )
}

fn short_exe(exe: &str) -> String {
    exe.rsplit('/').next().unwrap_or(exe).to_owned()
}

fn reads(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let mut files: Vec<&File> = container
        .files
        .iter()
        .filter(|file| {
            !file.operations.is_empty()
                && file
                    .operations
                    .keys()
                    .all(|operation| !is_change(*operation))
        })
        .collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.bytes_read));
    let rows = files
        .into_iter()
        .map(|file| {
            vec![
                bytes(file.bytes_read),
                operations(file, |_| true),
                short_exe(&file.exe),
                file.path.clone(),
            ]
        })
        .collect();
    screen.section("Files read", &["READ", "DONE", "BY", "PATH"], 3, rows)
}

fn failures(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let mut failed: Vec<&File> = container
        .files
        .iter()
        .filter(|file| !file.errors.is_empty())
        .collect();
    failed.sort_by_key(|file| std::cmp::Reverse(file.errors.values().sum::<u64>()));
    let rows = failed
        .into_iter()
        .map(|file| vec![join(&file.errors), short_exe(&file.exe), file.path.clone()])
        .collect();
    screen.section(
        "Files refused or absent",
        &["ERRORS", "BY", "PATH"],
        2,
        rows,
    )
}

fn network(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let mut peers: Vec<&Network> = container.network.iter().collect();
    peers.sort_by_key(|peer| {
        (
            peer.direction != Direction::Listen,
            peer.direction,
            std::cmp::Reverse(peer.bytes_sent + peer.bytes_received),
        )
    });
    let rows = peers
        .into_iter()
        .map(|peer| {
            let number = peer.connections + peer.datagrams_sent + peer.datagrams_received;
            vec![
                format!("{:?}", peer.direction).to_lowercase(),
                serde_json::to_value(peer.protocol)
                    .ok()
                    .and_then(|name| name.as_str().map(str::to_owned))
                    .unwrap_or_default(),
                if peer.direction == Direction::Listen {
                    "-".to_owned()
                } else {
                    count(number)
                },
                bytes(peer.bytes_sent),
                bytes(peer.bytes_received),
                if peer.failures.is_empty() {
                    "-".to_owned()
                } else {
                    join(&peer.failures)
                },
                short_exe(&peer.exe),
                ends_of(peer),
            ]
        })
        .collect();
    screen.section(
        "Network",
        &[
            "DIRECTION",
            "PROTOCOL",
            "CONNS",
            "SENT",
            "RECEIVED",
            "FAILURES",
            "BY",
            "PEER",
        ],
        7,
        rows,
    )
}

fn ends_of(peer: &Network) -> String {
    let local = peer
        .local
        .as_ref()
        .map(|end| endpoint(end.address.as_deref(), end.port, end.path.as_deref()))
        .unwrap_or_default();
    let remote = peer.remote.as_ref().map(remote_name).unwrap_or_default();
    match peer.direction {
        Direction::Listen => local,
        Direction::Outbound => remote,
        Direction::Inbound if remote.is_empty() => format!("→ {local}"),
        Direction::Inbound => format!("{remote} → {local}"),
    }
}

/// The name that the cluster has for it, else the address.
fn remote_name(remote: &Remote) -> String {
    let address = endpoint(
        remote.address.as_deref(),
        remote.port,
        remote.path.as_deref(),
    );
    let port = remote
        .port
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    if let Some(service) = &remote.service {
        format!(
            "svc/{}.{}{port} ({address})",
            service.name, service.namespace
        )
    } else if let Some(workload) = &remote.workload {
        format!(
            "{}/{}.{}{port} ({address})",
            workload.kind.to_lowercase(),
            workload.name,
            workload.namespace
        )
    } else if let Some(pod) = &remote.pod {
        format!("pod/{}.{}{port} ({address})", pod.name, pod.namespace)
    } else if let Some(node) = &remote.node {
        format!("node/{node}{port} ({address})")
    } else if let Some(name) = remote.names.first() {
        format!("{name}{port} ({address})")
    } else {
        address
    }
}

fn endpoint(address: Option<&str>, port: Option<u16>, path: Option<&str>) -> String {
    match (address, port, path) {
        (_, _, Some(path)) => path.to_owned(),
        (Some(address), Some(port), _) if address.contains(':') => format!("[{address}]:{port}"),
        (Some(address), Some(port), _) => format!("{address}:{port}"),
        (Some(address), None, _) => address.to_owned(),
        (None, Some(port), _) => format!(":{port}"),
        _ => String::new(),
    }
}

fn syscalls(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let mut calls: Vec<_> = container.syscalls.iter().collect();
    calls.sort_by_key(|call| std::cmp::Reverse(call.calls));
    let rows = calls
        .into_iter()
        .map(|call| {
            let mut errors = join(&call.errors);
            if call.denied_by_seccomp > 0 {
                errors += &format!(" (seccomp {})", count(call.denied_by_seccomp));
            }
            vec![
                count(call.calls),
                call.name.clone(),
                short_exe(&call.exe),
                if errors.is_empty() {
                    "-".to_owned()
                } else {
                    errors
                },
            ]
        })
        .collect();
    screen.section(
        "System calls",
        &["CALLS", "NAME", "BY", "FAILURES"],
        3,
        rows,
    )
}

fn capabilities(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let rows = container
        .capabilities
        .iter()
        .map(|row| {
            vec![
                row.name.clone(),
                count(row.used),
                count(row.denied),
                short_exe(&row.exe),
            ]
        })
        .collect();
    screen.section(
        "Capabilities asked for",
        &["NAME", "USED", "DENIED", "BY"],
        3,
        rows,
    )
}

fn events(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let rows = container
        .events
        .iter()
        .map(|event| {
            let details: Vec<String> = event
                .details
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            vec![
                event.time.get(11..23).unwrap_or(&event.time).to_owned(),
                format!("{:?}", event.event_type).to_lowercase(),
                count(event.count),
                event.process.clone().unwrap_or_else(|| "-".to_owned()),
                details.join(" "),
            ]
        })
        .collect();
    screen.section(
        "Events",
        &["TIME", "TYPE", "COUNT", "PROCESS", "DETAILS"],
        4,
        rows,
    )
}

fn next(screen: &mut Screen<'_>) -> io::Result<()> {
    if screen.wide {
        return Ok(());
    }
    screen.heading("Next")?;
    writeln!(
        screen.out,
        "  -o wide                        the same, uncut"
    )?;
    writeln!(
        screen.out,
        "  -o json --output-file p.json   keep the whole document"
    )?;
    writeln!(screen.out, "  kubectl procmon show p.json    see it again")
}

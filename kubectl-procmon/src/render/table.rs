//! The screen: what was profiled, how complete it is, then what matters most first.

use super::text::shorten;
use super::{Style, bytes, count, duration, escape, name};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use procmon_profile::model::{
    Abi, CapabilityUse, Container, Counts, DimensionState, Direction, Dns, Event, File,
    FileOperation, HookState, Latency, Layer, NameSource, Network, Origin, Process, Profile,
    Remote, SeccompMode, Syscall,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Rows of a section, before "and more".
const ROWS: usize = 15;
/// The narrowest screen that is laid out for.
const MIN_WIDTH: u16 = 40;
/// What the last column of a section should have.
const LAST_WIDTH: usize = 24;
/// Texts of other columns are not made shorter than this.
const SHORT_WIDTH: usize = 8;
/// Stands before and after what is left out of a cell first, such as the address behind a name.
const DROPPABLE: char = '\0';

struct Screen<'a> {
    out: &'a mut dyn Write,
    /// Columns of the terminal; none where nothing needs to be cut.
    width: Option<usize>,
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
    let mut screen = Screen {
        out,
        width: style
            .width
            .filter(|_| !wide)
            .map(|width| width.max(MIN_WIDTH).into()),
        rows: if wide { usize::MAX } else { ROWS },
        wide,
        colour: style.colour,
    };
    header(&mut screen, profile)?;
    let several = profile.containers.len() > 1;
    for (container, title) in titles(&profile.containers) {
        if several || container.pod.is_some() {
            screen.heading(&title)?;
        }
        let runtime = Runtime::of(container);
        processes(&mut screen, container)?;
        changes(&mut screen, container, &runtime)?;
        network(&mut screen, container, &runtime)?;
        questions(&mut screen, container, &runtime)?;
        reads(&mut screen, container, &runtime)?;
        failures(&mut screen, container, &runtime)?;
        syscalls(&mut screen, container, &runtime)?;
        capabilities(&mut screen, container, &runtime)?;
        events(&mut screen, container, &runtime)?;
    }
    next(&mut screen)
}

/// What belongs to the container runtime, which starts containers and enters them.
struct Runtime<'a> {
    exes: BTreeSet<&'a str>,
    processes: BTreeSet<&'a str>,
}

impl<'a> Runtime<'a> {
    fn of(container: &'a Container) -> Self {
        let (its, others): (Vec<&Process>, Vec<&Process>) = container
            .processes
            .iter()
            .partition(|process| process.origin == Origin::Runtime);
        let mut exes: BTreeSet<&str> = its.iter().map(|process| process.exe.as_str()).collect();
        for process in others {
            exes.remove(process.exe.as_str());
        }
        Self {
            exes,
            processes: its.iter().map(|process| process.id.as_str()).collect(),
        }
    }

    /// Puts its rows last.
    fn split<T>(&self, rows: Vec<T>, exe: impl Fn(&T) -> &str) -> (Vec<T>, Vec<T>) {
        rows.into_iter()
            .partition(|row| !self.exes.contains(exe(row)))
    }
}

/// Rows of a section.
#[derive(Default)]
struct Rows {
    rows: Vec<Vec<String>>,
    /// What is said instead of rows that would drown the others.
    folded: Vec<String>,
}

impl Rows {
    /// Rows that come last, or only as their number.
    fn fold(&mut self, screen: &Screen<'_>, rows: Vec<Vec<String>>, what: &str) {
        if screen.wide {
            self.rows.extend(rows);
        } else if !rows.is_empty() {
            self.folded
                .push(format!("… and {} {what} (-o wide)", plural(rows.len())));
        }
    }
}

fn plural(rows: usize) -> String {
    if rows == 1 {
        "1 row".to_owned()
    } else {
        format!("{rows} rows")
    }
}

const OF_RUNTIME: &str = "of the container runtime";

/// Text of at most so many columns, cut at its end.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Lines of at most so many columns, broken at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| cut(line, width)).collect()
}

impl Screen<'_> {
    fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = escape(text);
        let text = match self.width {
            Some(width) => shorten(&text, width),
            None => text,
        };
        if self.colour {
            writeln!(self.out, "\n\x1b[1m{text}\x1b[0m")
        } else {
            writeln!(self.out, "\n{text}")
        }
    }

    /// A line of the head: its name, and a text that goes on below itself.
    fn line(&mut self, name: &str, text: &str) -> io::Result<()> {
        let text = escape(text);
        let lines = match self.width {
            Some(width) => wrap(&text, width - 12),
            None => vec![text.into_owned()],
        };
        for (number, line) in lines.iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            writeln!(self.out, "  {name:<9} {line}")?;
        }
        Ok(())
    }

    /// A section of rows. Where the width is limited, the last column takes what the others leave.
    fn section(&mut self, title: &str, header: &[&str], rows: Rows) -> io::Result<()> {
        if rows.rows.is_empty() && rows.folded.is_empty() {
            return Ok(());
        }
        self.heading(title)?;
        let total = rows.rows.len();
        let shown: Vec<Vec<String>> = rows
            .rows
            .into_iter()
            .take(self.rows)
            .map(|row| {
                let escaped = |cell: &String| {
                    let parts: Vec<_> = cell.split(DROPPABLE).map(escape).collect();
                    parts.join(&DROPPABLE.to_string())
                };
                row.iter().map(escaped).collect()
            })
            .collect();
        if !shown.is_empty() {
            self.table(header, shown)?;
        }
        let mut last = rows.folded;
        if total > self.rows {
            last.insert(0, format!("… and {} more (-o wide)", total - self.rows));
        }
        for line in last {
            writeln!(self.out, "  {line}")?;
        }
        Ok(())
    }

    fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let fitted = match self.width {
            Some(width) => fit(header, rows, width),
            None => Fitted {
                header: header.to_vec(),
                below: vec![None; rows.len()],
                rows: rows
                    .into_iter()
                    .map(|row| row.iter().map(|cell| whole(cell)).collect())
                    .collect(),
            },
        };
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(fitted.header.clone());
        for row in fitted.rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for (place, name) in fitted.header.iter().enumerate() {
            if let Some(column) = table.column_mut(place)
                && NUMBERS.contains(name)
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let below = std::iter::once(None).chain(fitted.below);
        for (line, below) in table.lines().zip(below) {
            let limited = |text: String| match self.width {
                Some(width) => cut(&text, width),
                None => text,
            };
            writeln!(self.out, "{}", limited(format!("  {}", line.trim_end())))?;
            if let Some(below) = below {
                writeln!(self.out, "{}", limited(format!("      {below}")))?;
            }
        }
        Ok(())
    }
}

/// A table that fits on a screen.
struct Fitted<'a> {
    header: Vec<&'a str>,
    rows: Vec<Vec<String>>,
    /// What of a row stands on a line of its own, below it.
    below: Vec<Option<String>>,
}

/// A cell with all of its parts.
fn whole(cell: &str) -> String {
    cell.replace(DROPPABLE, "")
}

/// A cell without what is left out first.
fn essential(cell: &str) -> String {
    cell.split(DROPPABLE).step_by(2).collect()
}

/// Makes a table fit: columns that say nothing go first, then what is droppable, then long texts
/// lose their middle. A peer's name is never cut: it has a line of its own where there is no room.
fn fit<'a>(header: &[&'a str], mut rows: Vec<Vec<String>>, width: usize) -> Fitted<'a> {
    let mut header = header.to_vec();
    let length = |cell: &str| cell.chars().count();
    let widest = |header: &[&str], rows: &[Vec<String>], column: usize| {
        rows.iter()
            .map(|row| length(&row[column]))
            .chain([header[column].len()])
            .max()
            .unwrap_or(0)
    };
    let room = |header: &[&str], rows: &[Vec<String>]| {
        let others: usize = (0..header.len() - 1)
            .map(|column| widest(header, rows, column) + 2)
            .sum();
        width.saturating_sub(others + 2)
    };
    let last_fits = |header: &[&str], rows: &[Vec<String>]| {
        let room = room(header, rows);
        rows.iter()
            .all(|row| row.last().is_none_or(|cell| length(&whole(cell)) <= room))
    };
    for column in (0..header.len() - 1).rev() {
        if !last_fits(&header, &rows) && rows.iter().all(|row| row[column] == "-") {
            header.remove(column);
            for row in &mut rows {
                row.remove(column);
            }
        }
    }
    let keeps_names = header.last() == Some(&"PEER");
    // What has a line of its own needs no room beside the others.
    let least_room = if keeps_names { 1 } else { LAST_WIDTH };
    while !last_fits(&header, &rows) && room(&header, &rows) < least_room {
        let texts = (0..header.len() - 1).filter(|column| !NUMBERS.contains(&header[*column]));
        let longest = texts.max_by_key(|column| widest(&header, &rows, *column));
        let Some((column, now)) = longest.map(|column| (column, widest(&header, &rows, column)))
        else {
            break;
        };
        let least = SHORT_WIDTH.max(header[column].len());
        if now <= least {
            break;
        }
        let missing = least_room - room(&header, &rows);
        let wanted = now.saturating_sub(missing).max(least);
        for row in &mut rows {
            row[column] = shorten(&row[column], wanted).into_owned();
        }
    }
    let room = room(&header, &rows);
    let mut below = Vec::new();
    for row in &mut rows {
        let mut apart = None;
        if let Some(cell) = row.last_mut() {
            let all = whole(cell);
            *cell = if length(&all) <= room {
                all
            } else {
                essential(cell)
            };
            if length(cell) > room && keeps_names {
                apart = Some(std::mem::take(cell));
            } else {
                *cell = shorten(cell, room.max(5)).into_owned();
            }
        }
        below.push(apart);
    }
    Fitted {
        header,
        rows,
        below,
    }
}

/// Columns of numbers.
const NUMBERS: [&str; 13] = [
    "COUNT", "UID", "READ", "WRITTEN", "CALLS", "ERRORS", "CONNS", "SENT", "RECEIVED", "P50",
    "P95", "P99", "MAX",
];

fn header(screen: &mut Screen<'_>, profile: &Profile) -> io::Result<()> {
    let session = &profile.session;
    let place = session
        .target
        .namespace
        .as_ref()
        .map(|namespace| format!(" -n {namespace}"))
        .unwrap_or_default();
    let target = &session.target;
    let title = if target.kind == "Command" {
        format!("command \"{}\"", target.name)
    } else {
        name(profile)
    };
    screen.heading(&format!("{title}{place}"))?;
    let nodes: Vec<String> = profile
        .nodes
        .iter()
        .map(|node| match &node.kernel {
            Some(kernel) => format!("{} (Linux {kernel})", node.name),
            None => node.name.clone(),
        })
        .collect();
    if !nodes.is_empty() {
        screen.line("node", &nodes.join(", "))?;
    }
    if let (Some(seconds), Some(started)) = (session.window_seconds, &session.started_at) {
        let early = if session.ended_early {
            ", ended early"
        } else {
            ""
        };
        let second = started.get(..19).unwrap_or(started);
        let length = if seconds < 1.0 {
            format!("{:.0} ms", seconds * 1000.0)
        } else {
            format!("{seconds:.1} s")
        };
        screen.line("window", &format!("{length} from {second}Z{early}"))?;
    }
    if let Some(exit) = session.exit {
        screen.line("exit code", &exit.to_string())?;
    }
    screen.line("complete", &completeness(profile))?;
    for node in &profile.nodes {
        if let Some(error) = &node.error {
            screen.line("failed", &format!("{}: {error}", node.name))?;
        }
    }
    for (dimension, state) in &profile.completeness.dimensions {
        if state.state == DimensionState::Partial {
            let dimension = format!("{dimension:?}").to_lowercase();
            screen.line(
                "partial",
                &format!("{dimension}: {}", state.reasons.join("; ")),
            )?;
        }
    }
    for note in &profile.completeness.notes {
        screen.line("note", note)?;
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
    let number = |state: HookState| {
        let hooks = profile.nodes.iter().flat_map(|node| &node.hooks);
        hooks.filter(|hook| hook.state == state).count()
    };
    let (proven, attached, absent) = (
        number(HookState::Proven),
        number(HookState::Attached),
        number(HookState::Missing),
    );
    let all = proven + attached + absent;
    let mut text = match (profile.completeness.complete, attached, absent) {
        (true, 0, 0) => format!("yes, all {all} hooks proven"),
        // What is missing has a stand-in, or belongs to what is not captured.
        (true, 0, _) => format!("yes, all {proven} hooks that are needed are proven"),
        (true, ..) => format!("yes, {proven} hooks proven, {attached} in use without proof"),
        // Not every missing hook is needed: what lacks says so below.
        (false, _, 0) => format!("NO, see below; {proven} of {all} hooks proven"),
        (false, ..) => format!("NO, see below; {proven} hooks proven, {absent} not to be had"),
    };
    if !missing.is_empty() {
        text += &format!(", not captured: {}", missing.join(", "));
    }
    text
}

/// Containers in the order of the screen, with their titles: of one that was started again the older
/// instance first, and each with what tells it from the other.
fn titles(containers: &[Container]) -> Vec<(&Container, String)> {
    let key = |container: &Container| {
        (
            container.namespace.clone(),
            container.pod.clone(),
            container.container.clone(),
        )
    };
    let mut sorted: Vec<&Container> = containers.iter().collect();
    sorted.sort_by_key(|container| (key(container), container.started_at.clone()));
    sorted
        .iter()
        .map(|container| {
            let twice = sorted
                .iter()
                .filter(|other| key(other) == key(container))
                .count()
                > 1;
            (*container, title(container, twice))
        })
        .collect()
}

fn title(container: &Container, twice: bool) -> String {
    let mut text = match &container.pod {
        Some(pod) => format!("{pod}/{}", container.container),
        None => container.container.clone(),
    };
    if twice && let Some(id) = &container.container_id {
        let time = |at: &String| at.get(11..19).unwrap_or(at).to_owned();
        text += &format!(" ({}", id.get(..12).unwrap_or(id));
        if let Some(at) = &container.started_at {
            text += &format!(", started {}", time(at));
        }
        if let Some(at) = &container.ended_at {
            text += &format!(", ended {}", time(at));
        }
        text += ")";
    }
    if let Some(node) = &container.node {
        text += &format!(" on {node}");
    }
    if let Some(image) = &container.image {
        text += &format!(", image {image}");
    }
    text
}

fn processes(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
    let mut rows = Rows::default();
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
    let mut runtime = Vec::new();
    while let Some((process, depth)) = stack.pop() {
        let folds = process.origin == Origin::Runtime && !screen.wide;
        let row = vec![
            process.uid.to_string(),
            count(process.count),
            privileges(process),
            ends(process),
            format!("{}{}", "  ".repeat(depth.min(12)), command(process)),
        ];
        if folds {
            runtime.push(row);
        } else {
            rows.rows.push(row);
        }
        let below = children.get(&Some(process.id.as_str()));
        stack.extend(
            below
                .into_iter()
                .flatten()
                .rev()
                .map(|child| (*child, depth + usize::from(!folds))),
        );
    }
    rows.fold(screen, runtime, OF_RUNTIME);
    screen.section(
        "Processes",
        &["UID", "COUNT", "PRIVILEGES", "ENDED", "COMMAND"],
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

/// The word that the document has for something.
fn document_name(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default()
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
            let name = document_name(operation);
            if *times == 1 {
                name
            } else {
                format!("{name}×{}", count(*times))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// What was done to a file, the gravest first. Programs that were only executed come last.
fn gravity(file: &File) -> u8 {
    let of = |operation: &FileOperation| match operation {
        FileOperation::Unlink | FileOperation::Rmdir => 0,
        FileOperation::Chmod | FileOperation::Chown | FileOperation::Setxattr => 1,
        FileOperation::Mknod => 2,
        FileOperation::Rename => 3,
        FileOperation::Link | FileOperation::Symlink => 4,
        FileOperation::Create | FileOperation::Mkdir | FileOperation::Truncate => 5,
        FileOperation::Write => 6,
        FileOperation::Exec => 7,
        FileOperation::Open | FileOperation::Read | FileOperation::MmapExec => 8,
    };
    let least = file.operations.keys().map(of).min().unwrap_or(8);
    if file.mmap_write > 0 {
        least.min(6)
    } else {
        least
    }
}

/// A section of files: the runtime's come last.
fn files(
    screen: &Screen<'_>,
    files: Vec<&File>,
    runtime: &Runtime<'_>,
    row: impl Fn(&Screen<'_>, &File) -> Vec<String>,
) -> Rows {
    let row = |file: &File| row(screen, file);
    let (own, its) = runtime.split(files, |file| file.exe.as_str());
    let mut rows = Rows {
        rows: own.into_iter().map(&row).collect(),
        ..Rows::default()
    };
    rows.fold(screen, its.into_iter().map(&row).collect(), OF_RUNTIME);
    rows
}

fn changes(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut changed: Vec<&File> = container
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
    changed.sort_by_key(|file| (gravity(file), std::cmp::Reverse(file.bytes_written)));
    let rows = files(screen, changed, runtime, |screen, file| {
        let mut done = operations(file, is_change);
        if file.mmap_write > 0 {
            if !done.is_empty() {
                done.push(' ');
            }
            done += &join(&Counts::from([("mmapWrite".to_owned(), file.mmap_write)]));
        }
        vec![
            bytes(file.bytes_written),
            done,
            short_exe(&file.exe),
            path(screen, file),
        ]
    });
    screen.section(
        "Files written, changed, executed",
        &["WRITTEN", "DONE", "BY", "PATH"],
        rows,
    )
}

/// The path; uncut it also says when the caller's memory gave it, which another thread may have changed.
fn path(screen: &Screen<'_>, file: &File) -> String {
    if screen.wide && file.name_source == NameSource::Argument {
        format!("{}  [argument]", file.path)
    } else {
        file.path.clone()
    }
}

fn short_exe(exe: &str) -> String {
    exe.rsplit('/').next().unwrap_or(exe).to_owned()
}

fn reads(screen: &mut Screen<'_>, container: &Container, runtime: &Runtime<'_>) -> io::Result<()> {
    let mut read: Vec<&File> = container
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
    // Libraries that are only loaded say least.
    read.sort_by_key(|file| {
        (
            file.operations.contains_key(&FileOperation::MmapExec),
            std::cmp::Reverse(file.bytes_read),
        )
    });
    let rows = files(screen, read, runtime, |screen, file| {
        vec![
            bytes(file.bytes_read),
            operations(file, |_| true),
            short_exe(&file.exe),
            path(screen, file),
        ]
    });
    screen.section("Files read", &["READ", "DONE", "BY", "PATH"], rows)
}

fn failures(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut failed: Vec<&File> = container
        .files
        .iter()
        .filter(|file| !file.errors.is_empty())
        .collect();
    failed.sort_by_key(|file| std::cmp::Reverse(file.errors.values().sum::<u64>()));
    let rows = files(screen, failed, runtime, |screen, file| {
        vec![join(&file.errors), short_exe(&file.exe), path(screen, file)]
    });
    screen.section("Files refused or absent", &["ERRORS", "BY", "PATH"], rows)
}

fn network(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut peers: Vec<&Network> = container.network.iter().collect();
    peers.sort_by_key(|peer| {
        (
            peer.direction != Direction::Listen,
            peer.direction,
            std::cmp::Reverse(peer.bytes_sent + peer.bytes_received),
        )
    });
    // In the container's own namespace names need none.
    let namespace = container.namespace.as_deref().filter(|_| !screen.wide);
    let row = |peer: &Network| {
        vec![
            match peer.direction {
                Direction::Listen => "listen".to_owned(),
                Direction::Inbound => "in".to_owned(),
                Direction::Outbound => "out".to_owned(),
            },
            document_name(&peer.protocol),
            exchanged(peer),
            bytes(peer.bytes_sent),
            bytes(peer.bytes_received),
            if peer.failures.is_empty() {
                "-".to_owned()
            } else {
                join(&peer.failures)
            },
            short_exe(&peer.exe),
            ends_of(peer, namespace),
        ]
    };
    let (own, its) = runtime.split(peers, |peer| peer.exe.as_str());
    let (idle, busy): (Vec<&Network>, Vec<&Network>) =
        own.into_iter().partition(|peer| is_idle(peer));
    let mut rows = Rows {
        rows: busy.into_iter().map(row).collect(),
        ..Rows::default()
    };
    rows.fold(
        screen,
        idle.into_iter().map(row).collect(),
        "of peers with which nothing was exchanged",
    );
    rows.fold(screen, its.into_iter().map(row).collect(), OF_RUNTIME);
    screen.section(
        "Network",
        &[
            "DIR", "PROTO", "CONNS", "SENT", "RECEIVED", "FAILURES", "BY", "PEER",
        ],
        rows,
    )
}

/// Names asked for, the most wanted first; those that failed before all others.
fn questions(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut asked: Vec<&Dns> = container.dns.iter().collect();
    asked.sort_by_key(|row| {
        (
            row.rcode.as_deref() == Some("NOERROR"),
            std::cmp::Reverse(row.count),
        )
    });
    let row = |row: &Dns| {
        vec![
            count(row.count),
            row.record_type.clone(),
            row.rcode.clone().unwrap_or_else(|| "no answer".to_owned()),
            short_exe(&row.exe),
            row.name.clone(),
            if row.answers.is_empty() {
                "-".to_owned()
            } else {
                row.answers.join(" ")
            },
        ]
    };
    let (own, its) = runtime.split(asked, |row| row.exe.as_str());
    let mut rows = Rows {
        rows: own.into_iter().map(row).collect(),
        ..Rows::default()
    };
    rows.fold(screen, its.into_iter().map(row).collect(), OF_RUNTIME);
    screen.section(
        "Names asked for",
        &["COUNT", "TYPE", "OUTCOME", "BY", "NAME", "ANSWERS"],
        rows,
    )
}

/// Nothing was seen but that the connection is there.
fn is_idle(peer: &Network) -> bool {
    peer.direction != Direction::Listen
        && peer.failures.is_empty()
        && [
            peer.connections,
            peer.datagrams_sent,
            peer.datagrams_received,
            peer.bytes_sent,
            peer.bytes_received,
        ]
        .iter()
        .all(|number| *number == 0)
}

/// Connections; where there are none, datagrams, which say so.
fn exchanged(peer: &Network) -> String {
    let datagrams = peer.datagrams_sent + peer.datagrams_received;
    if peer.direction == Direction::Listen {
        "-".to_owned()
    } else if datagrams > 0 {
        format!("{} dgrams", count(datagrams))
    } else {
        count(peer.connections)
    }
}

fn ends_of(peer: &Network, namespace: Option<&str>) -> String {
    let local = peer.local.as_ref();
    let remote = peer
        .remote
        .as_ref()
        .map(|remote| remote_name(remote, namespace))
        .unwrap_or_default();
    let whole = local
        .map(|end| endpoint(end.address.as_deref(), end.port, end.path.as_deref()))
        .unwrap_or_default();
    // Of the own end the port says most.
    let port = local
        .and_then(|end| end.port)
        .map(|port| format!(":{port}"));
    let own = match port {
        Some(port) if whole.ends_with(&port) => format!(
            "{DROPPABLE}{}{DROPPABLE}{port}",
            &whole[..whole.len() - port.len()]
        ),
        _ => whole.clone(),
    };
    match peer.direction {
        Direction::Listen => whole,
        Direction::Outbound if remote.is_empty() => "-".to_owned(),
        Direction::Outbound => remote,
        Direction::Inbound if remote.is_empty() => format!("→ {own}"),
        Direction::Inbound => format!("{remote} → {own}"),
    }
}

/// The name that the cluster has for it, else the address. Names of the given namespace go without.
fn remote_name(remote: &Remote, namespace: Option<&str>) -> String {
    let address = endpoint(
        remote.address.as_deref(),
        remote.port,
        remote.path.as_deref(),
    );
    let port = remote
        .port
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let of = |name: &str, other: &str| {
        if namespace == Some(other) {
            name.to_owned()
        } else {
            format!("{name}.{other}")
        }
    };
    let name = if let Some(service) = &remote.service {
        format!("svc/{}", of(&service.name, &service.namespace))
    } else if let Some(workload) = &remote.workload {
        format!(
            "{}/{}",
            short_kind(&workload.kind),
            of(&workload.name, &workload.namespace)
        )
    } else if let Some(pod) = &remote.pod {
        format!("pod/{}", of(&pod.name, &pod.namespace))
    } else if let Some(node) = &remote.node {
        format!("node/{node}")
    } else if let Some(name) = remote.names.first() {
        name.clone()
    } else if let Some(cidr) = remote.cidr.as_ref().filter(|_| remote.address.is_none()) {
        return cidr.clone();
    } else {
        return address;
    };
    format!("{name}{port}{DROPPABLE} ({address}){DROPPABLE}")
}

/// As kubectl shortens it.
fn short_kind(kind: &str) -> String {
    match kind {
        "Deployment" => "deploy".to_owned(),
        "StatefulSet" => "sts".to_owned(),
        "DaemonSet" => "ds".to_owned(),
        "ReplicaSet" => "rs".to_owned(),
        other => other.to_lowercase(),
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
fn call_name(call: &Syscall) -> String {
    match call.abi {
        Abi::X86_64 | Abi::Aarch64 => call.name.clone(),
        other => format!("{} ({})", call.name, document_name(&other)),
    }
}

fn syscalls(
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

fn capabilities(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let row = |row: &CapabilityUse| {
        vec![
            row.name.clone(),
            count(row.used),
            count(row.denied),
            short_exe(&row.exe),
        ]
    };
    // What was only probed for was not needed.
    let needed = container.capabilities.iter();
    let needed = needed.filter(|row| row.used + row.denied > 0).collect();
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

fn events(screen: &mut Screen<'_>, container: &Container, runtime: &Runtime<'_>) -> io::Result<()> {
    let row = |event: &Event| {
        let details: Vec<String> = event
            .details
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        vec![
            event.time.get(11..23).unwrap_or(&event.time).to_owned(),
            document_name(&event.event_type),
            count(event.count),
            event.process.clone().unwrap_or_else(|| "-".to_owned()),
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
    writeln!(screen.out, "  kubectl procmon show p.json    see it again")?;
    writeln!(
        screen.out,
        "  kubectl procmon baseline -h    see what changes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_profile::model::{Endpoint, Protocol, Workload};

    fn screen(container: Container, width: Option<u16>) -> String {
        let profile = Profile {
            containers: vec![container],
            ..Profile::default()
        };
        screen_of(&profile, width, false)
    }

    fn screen_of(profile: &Profile, width: Option<u16>, wide: bool) -> String {
        let style = Style {
            width,
            colour: false,
        };
        let mut out = Vec::new();
        assert!(render(profile, style, wide, &mut out).is_ok());
        String::from_utf8_lossy(&out).into_owned()
    }

    fn peer(name: &str, port: u16) -> Network {
        Network {
            exe: "/usr/sbin/nginx".into(),
            protocol: Protocol::Tcp,
            direction: Direction::Inbound,
            connections: 3,
            datagrams_sent: 0,
            datagrams_received: 0,
            failures: Counts::new(),
            bytes_sent: 5_000_000,
            bytes_received: 0,
            path: Vec::new(),
            local: Some(Endpoint {
                address: Some("10.244.1.4".into()),
                port: Some(port),
                ..Endpoint::default()
            }),
            remote: Some(Remote {
                address: Some("10.244.2.10".into()),
                workload: Some(Workload {
                    kind: "Deployment".into(),
                    namespace: "shop".into(),
                    name: name.into(),
                }),
                ..Remote::default()
            }),
        }
    }

    #[test]
    fn a_peers_name_outlives_its_address_and_no_line_is_too_long() {
        let long = "a-name-that-is-longer-than-what-is-left-of-the-screen";
        for width in [60, 80, 100, 120] {
            let text = screen(
                Container {
                    pod: Some("a-pod-with-quite-a-long-name-6f7d8c9b5-x2x4z".into()),
                    container: "main".into(),
                    namespace: Some("shop".into()),
                    image: Some("registry.example/a/long/path/to/an/image:1.2.3".into()),
                    network: vec![peer("client", 8080), peer(long, 8081)],
                    ..Container::default()
                },
                Some(width),
            );
            for line in text.lines() {
                assert!(line.chars().count() <= width.into(), "{width}: {line}");
            }
            assert!(text.contains("deploy/client "), "{text}");
            assert!(
                text.contains(&format!("deploy/{long}")) || width < 70,
                "{text}"
            );
            assert!(text.contains(":8080"), "{text}");
        }
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_terminal() {
        let path = "/a".repeat(200);
        let text = screen(
            Container {
                files: vec![File {
                    path: path.clone(),
                    operations: [(FileOperation::Unlink, 1)].into(),
                    ..File::default()
                }],
                network: vec![peer("client", 8080)],
                ..Container::default()
            },
            None,
        );
        assert!(text.contains(&path), "{text}");
        assert!(
            text.contains("deploy/client.shop (10.244.2.10) → 10.244.1.4:8080"),
            "{text}"
        );
    }

    #[test]
    fn peers_that_share_a_row_have_their_prefix() {
        let of = |remote| Network {
            direction: Direction::Outbound,
            local: None,
            remote: Some(remote),
            ..peer("", 1)
        };
        let prefix = Remote {
            cidr: Some("10.244.2.0/24".into()),
            ..Remote::default()
        };
        let text = screen(
            Container {
                network: vec![of(prefix), of(Remote::default())],
                ..Container::default()
            },
            None,
        );
        assert!(text.contains("nginx  10.244.2.0/24\n"), "{text}");
        assert!(text.contains("nginx  -\n"), "{text}");
    }

    #[test]
    fn times_are_shown_where_they_were_measured() {
        let call = |name: &str, abi, latency_ns| Syscall {
            name: name.into(),
            abi,
            exe: "/app".into(),
            calls: 7,
            errors: Counts::new(),
            restarted: 0,
            unfinished: 0,
            no_return: 0,
            denied_by_seccomp: 0,
            latency_ns,
            arguments: Counts::new(),
        };
        let times = Latency {
            p50: 812,
            p95: 4_000,
            p99: 15_000,
            max: 2_300_000_000,
        };
        let profile = |latency_ns| Profile {
            containers: vec![Container {
                syscalls: vec![
                    call("read", Abi::X86_64, latency_ns),
                    call("exit_group", Abi::I386, None),
                ],
                ..Container::default()
            }],
            ..Profile::default()
        };
        let timed = profile(Some(times));
        let text = screen_of(&timed, Some(80), false);
        for wanted in ["P50", "812 ns", "15.0 µs", "2.3 s", "exit_group (i386)"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("P95"), "{text}");
        assert!(screen_of(&timed, None, true).contains("4.0 µs"));
        assert!(!screen_of(&profile(None), None, true).contains("P50"));
    }

    #[test]
    fn names_of_the_callers_memory_say_so_where_nothing_is_cut() {
        let profile = Profile {
            containers: vec![Container {
                files: vec![File {
                    path: "/a".into(),
                    name_source: NameSource::Argument,
                    mmap_write: 2,
                    ..File::default()
                }],
                ..Container::default()
            }],
            ..Profile::default()
        };
        let wide = screen_of(&profile, None, true);
        assert!(wide.contains("/a  [argument]"), "{wide}");
        assert!(wide.contains("  mmapWrite×2"), "{wide}");
        assert!(!screen_of(&profile, None, false).contains("argument"));
    }

    #[test]
    fn datagrams_say_so_and_idle_peers_are_folded() {
        let datagrams = Network {
            protocol: Protocol::Udp,
            connections: 0,
            datagrams_sent: 7,
            ..peer("dns", 53)
        };
        let idle = Network {
            connections: 0,
            bytes_sent: 0,
            ..peer("idle", 1)
        };
        let text = screen(
            Container {
                network: vec![idle, datagrams],
                ..Container::default()
            },
            None,
        );
        assert!(text.contains("7 dgrams"), "{text}");
        assert!(text.contains("1 row of peers with which nothing"), "{text}");
        assert!(!text.contains("idle.shop"), "{text}");
    }

    #[test]
    fn the_container_runtime_is_folded_and_the_gravest_change_comes_first() {
        let process = |id: &str, parent: Option<&str>, exe: &str, origin| Process {
            id: id.into(),
            parent: parent.map(Into::into),
            exe: exe.into(),
            origin,
            ..Process::default()
        };
        let file = |path: &str, exe: &str, operation, bytes_written| File {
            path: path.into(),
            exe: exe.into(),
            operations: [(operation, 1)].into(),
            bytes_written,
            ..File::default()
        };
        let profile = Profile {
            containers: vec![Container {
                processes: vec![
                    process("p1", None, "/runc", Origin::Runtime),
                    process("p2", Some("p1"), "/app", Origin::Entrypoint),
                ],
                files: vec![
                    file("/bin/x", "/app", FileOperation::Exec, 0),
                    file("/log", "/app", FileOperation::Write, 4096),
                    file("/gone", "/app", FileOperation::Unlink, 0),
                    file("/runtime", "/runc", FileOperation::Unlink, 0),
                ],
                ..Container::default()
            }],
            ..Profile::default()
        };
        let text = screen_of(&profile, Some(80), false);
        let place = |what: &str| {
            text.find(what)
                .unwrap_or_else(|| panic!("no {what}: {text}"))
        };
        assert!(place("/gone") < place("/log") && place("/log") < place("/bin/x"));
        assert_eq!(text.matches("1 row of the container runtime").count(), 2);
        assert!(!text.contains("/runtime"), "{text}");
        let wide = screen_of(&profile, None, true);
        assert!(wide.find("/gone") < wide.find("/runtime"), "{wide}");
    }

    #[test]
    fn instances_of_one_container_are_told_apart_older_first() {
        let instance = |id: &str, started: &str, ended: Option<&str>| Container {
            pod: Some("web".into()),
            container: "main".into(),
            container_id: Some(id.repeat(64)),
            started_at: Some(format!("2026-01-01T{started}Z")),
            ended_at: ended.map(|ended| format!("2026-01-01T{ended}Z")),
            ..Container::default()
        };
        let profile = Profile {
            containers: vec![
                instance("a", "10:00:09", None),
                instance("b", "10:00:01", Some("10:00:08")),
            ],
            ..Profile::default()
        };
        let text = screen_of(&profile, Some(80), false);
        let old = text.find("web/main (bbbbbbbbbbbb, started 10:00:01, ended 10:00:08)");
        let new = text.find("web/main (aaaaaaaaaaaa, started 10:00:09)");
        assert!(old.is_some() && old < new, "{text}");
    }
}

//! Programs that ran, and whose rows are the container runtime's.

use super::screen::{Rows, Screen, join};
use crate::render::count;
use procmon_profile::model::{Container, Layer, Origin, Process, SeccompMode};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What belongs to the container runtime, which starts containers and enters them.
pub(super) struct Runtime<'a> {
    pub(super) exes: BTreeSet<&'a str>,
    pub(super) processes: BTreeSet<&'a str>,
}

impl<'a> Runtime<'a> {
    pub(super) fn of(container: &'a Container) -> Self {
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
    pub(super) fn split<T>(&self, rows: Vec<T>, exe: impl Fn(&T) -> &str) -> (Vec<T>, Vec<T>) {
        rows.into_iter()
            .partition(|row| !self.exes.contains(exe(row)))
    }
}

pub(super) const OF_RUNTIME: &str = "of the container runtime";

pub(super) fn processes(screen: &mut Screen<'_>, container: &Container) -> io::Result<()> {
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

pub(crate) fn command(process: &Process) -> String {
    let mut text = if process.argv.is_empty() {
        process.exe.to_string()
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
pub(crate) fn privileges(process: &Process) -> String {
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
        other => all.push(other.to_string()),
    }
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join(" ")
    }
}

pub(crate) fn ends(process: &Process) -> String {
    if process.exits.is_empty() {
        return "-".to_owned();
    }
    join(&process.exits)
}

//! The tree of processes.

use super::cells::{Kind, Window};
use super::facts::{Containers, words};
use super::table::{Column, Table, number};
use super::tree::flatten;
use crate::render::table::processes::{command, ends, privileges};
use procmon_profile::model::{CapabilitySets, Container, Process, Severity};
use std::borrow::Cow;
use std::collections::HashMap;

/// The worst finding about each process, by the place of its container and its id.
pub(super) type Marks<'a> = HashMap<(usize, &'a str), Severity>;

/// A row of the tree: a container, where there are several, or a process of it.
type Row<'a> = (&'a str, Option<(usize, &'a Process)>);

/// The tree of all containers.
pub(super) fn processes<'a>(
    containers: &'a Containers<'a>,
    window: Option<Window>,
    marks: &Marks<'_>,
) -> Table<'a> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut depths = Vec::new();
    for (place, (container, label)) in containers.iter().enumerate() {
        let mut base = 0;
        if containers.are_several() && !container.processes.is_empty() {
            rows.push((label, None));
            depths.push(0);
            base = 1;
        }
        for (row, depth) in tree(container) {
            rows.push((label, Some((place, &container.processes[row]))));
            depths.push(depth + base);
        }
    }
    columns(&rows, window, marks).with_depth(depths)
}

/// The places of a container's processes in the order of their tree.
fn tree(container: &Container) -> Vec<(usize, u32)> {
    let ids: HashMap<&str, usize> = container
        .processes
        .iter()
        .enumerate()
        .map(|(place, process)| (process.id.as_str(), place))
        .collect();
    flatten(container.processes.len(), |row| {
        let parent = container.processes[row].parent.as_deref()?;
        ids.get(parent).copied()
    })
}

/// The words for a row of the tree.
fn unit(rows: &[Row<'_>]) -> &'static str {
    if rows.iter().any(|(_, row)| row.is_none()) {
        "rows of containers and processes"
    } else {
        "rows of processes"
    }
}

fn columns<'a>(rows: &[Row<'a>], window: Option<Window>, marks: &Marks<'_>) -> Table<'a> {
    /// A text of each process.
    fn texts<'a, T: Into<Cow<'a, str>>>(
        title: &'static str,
        kind: Kind,
        rows: &[Row<'a>],
        text: impl Fn(&'a Process) -> T,
    ) -> Column<'a> {
        let text = |(_, row): &Row<'a>| row.map_or_else(|| "".into(), |(_, row)| text(row).into());
        Column::texts(title, kind, rows.iter().map(text))
    }
    let name = |(label, row): &Row<'a>| match row {
        Some((_, process)) => command(process),
        None => (*label).to_owned(),
    };
    let finding = |(_, row): &Row<'a>| {
        let severity = row.and_then(|(place, row)| marks.get(&(place, row.id.as_str())));
        severity.map_or_else(String::new, ToString::to_string)
    };
    let first = |(_, row): &Row<'a>| window?.offset(row.as_ref()?.1.first_seen.as_ref()?);
    let last = |(_, row): &Row<'a>| window?.offset(row.as_ref()?.1.last_seen.as_ref()?);
    Table::new(
        "processes",
        unit(rows),
        vec![
            Column::texts("Command", Kind::Name, rows.iter().map(name)),
            Column::texts("Finding", Kind::Severity, rows.iter().map(finding)),
            texts("User", Kind::Name, rows, |row| {
                format!("{}:{}", row.uid, row.gid)
            }),
            Column::numbers(
                "Count",
                Kind::Count,
                rows.iter().map(|(_, row)| number(row.as_ref()?.1.count)),
            ),
            Column::numbers("First seen", Kind::Offset, rows.iter().map(first)),
            texts("Ended", Kind::Name, rows, |row| dash(ends(row))),
            texts("Rights", Kind::Text, rows, |row| dash(privileges(row))),
            texts("Program", Kind::Name, rows, |row| row.exe.as_str()),
            texts("Id", Kind::Name, rows, |row| row.id.as_str()),
            texts("Parent", Kind::Name, rows, |row| {
                row.parent.as_deref().unwrap_or("")
            })
            .in_detail(),
            texts("Process ids", Kind::Name, rows, |row| {
                let pids: Vec<String> = row.pids.iter().map(ToString::to_string).collect();
                pids.join(" ")
            })
            .in_detail(),
            texts("Titles", Kind::Name, rows, |row| row.titles.join("; ")).in_detail(),
            texts("Folder", Kind::Name, rows, |row| {
                row.cwd.as_deref().unwrap_or("")
            })
            .in_detail(),
            texts("Origin", Kind::Text, rows, |row| row.origin.to_string()).in_detail(),
            texts("From", Kind::Text, rows, |row| {
                row.layer
                    .map_or_else(String::new, |layer| layer.to_string())
            })
            .in_detail(),
            texts("Deleted", Kind::Text, rows, |row| {
                if row.deleted { "yes" } else { "" }
            })
            .in_detail(),
            texts("Package", Kind::Name, rows, |row| {
                row.package.as_ref().map_or_else(String::new, |package| {
                    format!("{} {} ({})", package.name, package.version, package.manager)
                })
            })
            .in_detail(),
            texts("SHA-256", Kind::Name, rows, |row| {
                row.sha256.as_deref().unwrap_or("")
            })
            .in_detail(),
            texts("Standard streams", Kind::Text, rows, |row| {
                let streams: Vec<String> = row.stdio.iter().map(ToString::to_string).collect();
                streams.join(" ")
            })
            .in_detail(),
            texts("Input from", Kind::Name, rows, |row| words(&row.stdin_from)).in_detail(),
            texts("Effective capabilities", Kind::Name, rows, |row| {
                sets(row, |sets| &sets.effective)
            })
            .in_detail(),
            texts("Bounding capabilities", Kind::Name, rows, |row| {
                sets(row, |sets| &sets.bounding)
            })
            .in_detail(),
            texts("Namespaces", Kind::Name, rows, namespaces).in_detail(),
            Column::numbers("Last seen", Kind::Offset, rows.iter().map(last)).in_detail(),
        ],
    )
}

/// Nothing in the place of a dash: the page shows none.
fn dash(text: String) -> String {
    if text == "-" { String::new() } else { text }
}

fn sets(
    process: &Process,
    which: impl Fn(&CapabilitySets) -> &Vec<procmon_profile::text::Text>,
) -> String {
    let sets = process.capabilities.as_ref();
    sets.map_or_else(String::new, |sets| match which(sets).as_slice() {
        [] => "none".to_owned(),
        names => words(names),
    })
}

/// The owner of each namespace.
fn namespaces(process: &Process) -> String {
    let all = process.namespaces.iter();
    let all: Vec<String> = all.map(|(name, owner)| format!("{name}={owner}")).collect();
    all.join(" ")
}

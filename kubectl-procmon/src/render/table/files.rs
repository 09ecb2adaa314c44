//! Files: what changed, what was read, what was refused or absent.

use super::processes::{OF_RUNTIME, Runtime};
use super::screen::{Rows, Screen, join};
use crate::render::{bytes, count};
use procmon_profile::model::{Container, Counts, File, FileOperation, NameSource};
use std::io;

/// Operations that change something or run something.
fn is_change(operation: FileOperation) -> bool {
    !matches!(
        operation,
        FileOperation::Open | FileOperation::Read | FileOperation::MmapExec
    )
}

pub(crate) fn operations(file: &File, wanted: impl Fn(FileOperation) -> bool) -> String {
    file.operations
        .iter()
        .filter(|(operation, _)| wanted(**operation))
        .map(|(operation, times)| {
            let name = operation.to_string();
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

pub(super) fn changes(
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
            done += &join(&Counts::from([("mmapWrite".into(), file.mmap_write)]));
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
        file.path.clone().into()
    }
}

pub(crate) fn short_exe(exe: &str) -> String {
    exe.rsplit('/').next().unwrap_or(exe).to_owned()
}

pub(super) fn reads(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
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

pub(super) fn failures(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut failed: Vec<&File> = container
        .files
        .iter()
        .filter(|file| !file.errors.is_empty())
        .collect();
    failed.sort_by_key(|file| {
        std::cmp::Reverse(file.errors.values().copied().fold(0, u64::saturating_add))
    });
    let rows = files(screen, failed, runtime, |screen, file| {
        vec![join(&file.errors), short_exe(&file.exe), path(screen, file)]
    });
    screen.section("Files refused or absent", &["ERRORS", "BY", "PATH"], rows)
}

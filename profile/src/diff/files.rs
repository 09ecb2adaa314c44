//! Files.

use super::matcher::Paths;
use super::{Comparison, OTHERS, is_exe, list, matcher};
use crate::baseline::{Fact, Row};
use crate::judge::files::{Access, FileContext, accesses, file};
use crate::model::{Change, FileOperation, FileRow, MountKind, Severity};
use crate::text::Text;
use std::collections::{BTreeSet, HashMap, HashSet};

impl Comparison<'_> {
    #[expect(
        clippy::too_many_lines,
        reason = "what is known first, then one row after the other"
    )]
    pub(super) fn files(&mut self) {
        let facts = self.facts;
        let paths = Paths::new(&self.known.files);
        // Folders by what executables do to files in them.
        let mut folders: HashMap<(&str, &str), BTreeSet<Access>> = HashMap::new();
        for row in &self.known.files {
            let folder = folder_of(&row.path);
            folders
                .entry((row.exe.as_str(), folder))
                .or_default()
                .extend(accesses(row));
        }
        // The accesses to each path, by all executables.
        let mut by_path: HashMap<&str, BTreeSet<Access>> = HashMap::new();
        for row in &self.known.files {
            by_path
                .entry(row.path.as_str())
                .or_default()
                .extend(accesses(row));
        }
        let only_read = |path: &str| {
            by_path
                .get(path)
                .is_some_and(|known| known.iter().all(|access| *access == Access::Read))
        };
        // Who makes files in a folder now may also put them in their place.
        let writes_now: HashSet<(&str, &str)> = facts
            .files
            .iter()
            .filter(|fact| accesses(&fact.row).contains(&Access::Write))
            .map(|fact| (fact.row.exe.as_str(), folder_of(&fact.row.path)))
            .collect();
        let exes: BTreeSet<&str> = folders.keys().map(|(exe, _)| *exe).collect();
        let mut used: HashSet<*const FileRow> = HashSet::new();
        for Fact { row, at } in &facts.files {
            let covering = if row.exe == OTHERS {
                exes.iter()
                    .flat_map(|exe| paths.covering(exe, &row.path))
                    .collect()
            } else {
                paths.covering(&row.exe, &row.path)
            };
            let mut known: BTreeSet<Access> = BTreeSet::new();
            let mut errors: BTreeSet<&Text> = BTreeSet::new();
            for other in &covering {
                used.insert(std::ptr::from_ref(*other));
                known.extend(accesses(other));
                errors.extend(&other.errors);
            }
            let folder = folder_of(&row.path);
            let usual = folders.get(&(row.exe.as_str(), folder));
            let own = accesses(row);
            // Which files of the folder is not known: those that the baseline has may be meant.
            let below = self
                .is_shared(row, at)
                .then(|| below(folder, row, &folders));
            known.extend(below.iter().flatten());
            let is_known = !covering.is_empty() || below.is_some_and(|below| !below.is_empty());
            for access in own.difference(&known) {
                // A failed access to a file that the program already uses is not drift.
                if *access == Access::Attempt && is_known {
                    continue;
                }
                let context = FileContext {
                    is_usual_folder: usual.is_some_and(|usual| is_usual(*access, usual)),
                    places_own: writes_now.contains(&(row.exe.as_str(), folder)),
                    others_read_it: covering.is_empty() && only_read(&row.path),
                    writes_it: known.contains(&Access::Write),
                    starts_anew: *access == Access::Execute
                        && self.started_anew.contains(row.path.as_str()),
                    new_exe: !paths.knows(&row.exe) || !self.known_exes.contains(row.exe.as_str()),
                    ..self.file_context(at)
                };
                let judgement = file(*access, &row.path, context);
                // A program that is new is told as such, with what it needs to begin.
                let hard = judgement.0 >= Severity::High && *access != Access::Execute;
                let judgement = self.start(&row.exe, judgement, hard);
                let value = one_access(row, *access);
                let key = format!("{} {} {}", row.exe, access.verb(), row.path);
                let (change, uncovered, nearest) = if is_known {
                    (
                        Change::Changed,
                        "the baseline has the path, with other operations",
                        covering.first().map(|row| row.text()),
                    )
                } else {
                    let nearest = nearest_path(&self.known.files, row);
                    (
                        Change::New,
                        "no row of the baseline covers the path for this executable",
                        nearest,
                    )
                };
                self.report(
                    change, &value, at, "files", judgement, &key, uncovered, nearest,
                );
            }
            let refused: BTreeSet<Text> = row
                .errors
                .iter()
                .filter(|name| {
                    matches!(name.as_str(), "EACCES" | "EPERM" | "EROFS") && !errors.contains(name)
                })
                .cloned()
                .collect();
            if !refused.is_empty() && !covering.is_empty() {
                let judgement = self.start(
                    &row.exe,
                    (Severity::Low, "it is refused what it was not before"),
                    false,
                );
                let key = format!("{} fails at {} with {}", row.exe, row.path, list(&refused));
                let value = FileRow {
                    operations: BTreeSet::new(),
                    errors: refused,
                    ..row.clone()
                };
                self.report(
                    Change::Changed,
                    &value,
                    at,
                    "files",
                    judgement,
                    &key,
                    "the baseline has the path, not this failure",
                    covering.first().map(|row| row.text()),
                );
            }
        }
        self.gone::<FileRow>(&self.known.files, |row| {
            used.contains(&std::ptr::from_ref(row))
        });
    }

    /// A row of all files of a folder that found no row of their own. The target can name a file
    /// so, but then the kernel knows its mode.
    fn is_shared(&self, row: &FileRow, at: &[(u32, u32)]) -> bool {
        row.path.ends_with("/…")
            && at.iter().all(|(container, row)| {
                self.profile
                    .containers
                    .get(*container as usize)
                    .and_then(|container| container.files.get(*row as usize))
                    .is_some_and(|file| {
                        file.mode.is_none() && file.owner.is_none() && file.layer.is_none()
                    })
            })
    }

    /// Facts of the profile about a file, other than its path.
    fn file_context(&self, at: &[(u32, u32)]) -> FileContext {
        let Some(file) = at.first().and_then(|(container, row)| {
            self.profile
                .containers
                .get(*container as usize)?
                .files
                .get(*row as usize)
        }) else {
            return FileContext::default();
        };
        let is_host = file.host_resource == Some(true)
            || file
                .mount
                .as_ref()
                .is_some_and(|mount| mount.kind == MountKind::HostPath);
        let mode = file
            .mode
            .as_deref()
            .and_then(|mode| u32::from_str_radix(mode, 8).ok());
        let made = [FileOperation::Write, FileOperation::Create]
            .iter()
            .any(|operation| file.operations.contains_key(operation));
        FileContext {
            is_program: made && mode.is_some_and(|mode| mode & 0o111 != 0),
            layer: file.layer,
            is_host,
            mode: mode.unwrap_or(0),
            ..FileContext::default()
        }
    }
}

/// The part of a row that one kind of access is: accepting it accepts no more.
fn one_access(row: &FileRow, access: Access) -> FileRow {
    FileRow {
        operations: row
            .operations
            .iter()
            .filter(|operation| Access::of(**operation) == access)
            .copied()
            .collect(),
        errors: if access == Access::Attempt {
            row.errors.clone()
        } else {
            BTreeSet::new()
        },
        ..row.clone()
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The accesses that the baseline has to files of a folder, and of folders in it.
fn below(
    folder: &str,
    row: &FileRow,
    folders: &HashMap<(&str, &str), BTreeSet<Access>>,
) -> BTreeSet<Access> {
    let parts: Vec<&str> = folder.split('/').collect();
    let is_within = |known: &str| {
        let mut known = known.split('/');
        parts.iter().all(|part| {
            known
                .next()
                .is_some_and(|name| name == *part || matcher::matches(name, part))
        })
    };
    folders
        .iter()
        .filter(|((exe, known), _)| is_exe(exe, &row.exe) && is_within(known))
        .flat_map(|(_, accesses)| accesses.iter().copied())
        .collect()
}

/// A program that writes files in a folder also names and removes them.
fn is_usual(access: Access, known: &BTreeSet<Access>) -> bool {
    known.contains(&access)
        || (matches!(access, Access::Rename | Access::Truncate | Access::Delete)
            && known.contains(&Access::Write))
}

/// The known path that shares the longest beginning.
fn nearest_path(known: &[FileRow], row: &FileRow) -> Option<String> {
    // Rows are sorted by executable and path: the neighbours of its place share the most.
    let place = known.partition_point(|other| (&other.exe, &other.path) < (&row.exe, &row.path));
    let shared = |other: &FileRow| {
        other
            .path
            .split('/')
            .zip(row.path.split('/'))
            .take_while(|(a, b)| a == b)
            .count()
    };
    [place.checked_sub(1), Some(place)]
        .into_iter()
        .flatten()
        .filter_map(|place| known.get(place))
        .filter(|other| other.exe == row.exe && shared(other) > 1)
        .max_by_key(|other| shared(other))
        .map(Row::text)
}

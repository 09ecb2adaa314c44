//! Files by folder, with sums.

use super::cells::Kind;
use super::facts::Containers;
use super::table::{Column, Table, number, some};
use crate::render::table::files::operations;
use crate::render::table::screen::join;
use procmon_profile::model::{File, NameSource};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Folders within each other; deeper ones are a part of the name.
const MAX_DEPTH: usize = 12;

/// A folder: its folders, and its files as places in the list of all.
#[derive(Default)]
struct Folder<'a> {
    folders: BTreeMap<&'a str, Folder<'a>>,
    files: Vec<(&'a str, &'a File)>,
}

/// A row: a container or folder with its sums, or a file.
struct Row<'a> {
    depth: u32,
    name: Cow<'a, str>,
    file: Option<&'a File>,
    sums: Sums,
}

/// Sums of a folder.
#[derive(Clone, Copy, Default)]
struct Sums {
    rows: u64,
    read: u64,
    written: u64,
    failed: u64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.read = self.read.saturating_add(other.read);
        self.written = self.written.saturating_add(other.written);
        self.failed = self.failed.saturating_add(other.failed);
    }

    fn of(file: &File) -> Self {
        Self {
            rows: 1,
            read: file.bytes_read,
            written: file.bytes_written,
            failed: file
                .errors
                .values()
                .fold(0, |sum, times| sum.saturating_add(*times)),
        }
    }
}

/// The tree of all containers.
pub(super) fn files<'a>(containers: &'a Containers<'a>) -> Table<'a> {
    let mut rows = Vec::new();
    for (container, label) in containers.iter() {
        let mut root = Folder::default();
        for file in &container.files {
            insert(&mut root, file);
        }
        let depth = if containers.are_several() && !container.files.is_empty() {
            let mut sums = Sums::default();
            for file in &container.files {
                sums.add(Sums::of(file));
            }
            rows.push(Row {
                depth: 0,
                name: label.into(),
                file: None,
                sums,
            });
            1
        } else {
            0
        };
        write(&root, depth, &mut rows);
    }
    columns(&rows)
}

/// Puts a file into its folder. Slashes separate: a name can't hold one.
fn insert<'a>(root: &mut Folder<'a>, file: &'a File) {
    let mut folder = root;
    let mut rest = file.path.as_str();
    for _ in 0..MAX_DEPTH {
        let Some(slash) = rest.find('/').filter(|slash| slash + 1 < rest.len()) else {
            break;
        };
        let (name, after) = rest.split_at(slash + 1);
        folder = folder.folders.entry(name).or_default();
        rest = after;
    }
    folder.files.push((rest, file));
}

/// Writes a folder's content; a folder that holds one folder and nothing else shares its row.
fn write<'a>(folder: &Folder<'a>, depth: u32, rows: &mut Vec<Row<'a>>) -> Sums {
    let mut sums = Sums::default();
    for (name, below) in &folder.folders {
        let mut name = Cow::Borrowed(*name);
        let mut below = below;
        while let (true, Some((inner, only))) = (
            below.files.is_empty() && below.folders.len() == 1,
            below.folders.first_key_value(),
        ) {
            name = format!("{name}{inner}").into();
            below = only;
        }
        let place = rows.len();
        rows.push(Row {
            depth,
            name,
            file: None,
            sums: Sums::default(),
        });
        let of_folder = write(below, depth + 1, rows);
        rows[place].sums = of_folder;
        sums.add(of_folder);
    }
    for (name, file) in &folder.files {
        let of_file = Sums::of(file);
        sums.add(of_file);
        rows.push(Row {
            depth,
            name: (*name).into(),
            file: Some(file),
            sums: of_file,
        });
    }
    sums
}

fn columns<'a>(rows: &[Row<'a>]) -> Table<'a> {
    /// A text of each file.
    fn texts<'a, T: Into<Cow<'a, str>>>(
        title: &'static str,
        kind: Kind,
        rows: &[Row<'a>],
        text: impl Fn(&'a File) -> T,
    ) -> Column<'a> {
        let text = |row: &Row<'a>| row.file.map_or_else(|| "".into(), |file| text(file).into());
        Column::texts(title, kind, rows.iter().map(text))
    }
    let word = |text: String| text.to_lowercase();
    Table::new(
        "files",
        "rows of files and folders",
        vec![
            Column::texts("Path", Kind::Name, rows.iter().map(|row| row.name.clone())),
            Column::numbers(
                "Rows",
                Kind::Count,
                rows.iter()
                    .map(|row| number(row.sums.rows).filter(|_| row.file.is_none())),
            ),
            Column::numbers(
                "Read",
                Kind::Bytes,
                rows.iter().map(|row| some(row.sums.read)),
            ),
            Column::numbers(
                "Written",
                Kind::Bytes,
                rows.iter().map(|row| some(row.sums.written)),
            ),
            Column::numbers(
                "Failed",
                Kind::Count,
                rows.iter().map(|row| some(row.sums.failed)),
            ),
            texts("Done", Kind::Name, rows, |file| operations(file, |_| true)),
            texts("Failures", Kind::Name, rows, |file| join(&file.errors)),
            texts("Program", Kind::Name, rows, |file| file.exe.as_str()),
            texts("From", Kind::Text, rows, |file| {
                file.layer
                    .map_or_else(String::new, |layer| word(format!("{layer:?}")))
            }),
            texts("Mode", Kind::Name, rows, |file| {
                file.mode.as_deref().unwrap_or("")
            })
            .in_detail(),
            texts("Owner", Kind::Name, rows, |file| {
                file.owner
                    .map_or_else(String::new, |owner| format!("{}:{}", owner.uid, owner.gid))
            })
            .in_detail(),
            texts("Name from", Kind::Text, rows, |file| {
                match file.name_source {
                    NameSource::Settled => "the kernel",
                    NameSource::Argument => "an argument of the call",
                }
            })
            .in_detail(),
            texts("Mount", Kind::Name, rows, |file| {
                file.mount.as_ref().map_or_else(String::new, |mount| {
                    let kind = word(format!("{:?}", mount.kind));
                    let source = mount.host_path.as_ref().or(mount.source.as_ref());
                    source.map_or(kind.clone(), |source| format!("{kind} {source}"))
                })
            })
            .in_detail(),
            texts("Package", Kind::Name, rows, |file| {
                file.package.as_ref().map_or_else(String::new, |package| {
                    format!("{} {} ({})", package.name, package.version, package.manager)
                })
            })
            .in_detail(),
            Column::numbers(
                "Writable mappings",
                Kind::Count,
                rows.iter().map(|row| some(row.file?.mmap_write)),
            )
            .in_detail(),
        ],
    )
    .with_depth(rows.iter().map(|row| row.depth).collect())
    .of_paths()
}

#[cfg(test)]
mod tests {
    use super::{Folder, insert, write};
    use procmon_profile::model::File;

    #[test]
    fn folders_have_sums_and_lone_ones_share_a_row() {
        let file = |path: &str, bytes_read| File {
            path: path.into(),
            bytes_read,
            ..File::default()
        };
        let deep = format!("/{}end", "d/".repeat(2_000));
        let files = [
            file("/etc/ssl/a", 1),
            file("/etc/ssl/b", 2),
            file("/etc/passwd", 4),
            file("memfd:x", 8),
            file("/", 16),
            file(&deep, 32),
        ];
        let mut root = Folder::default();
        for file in &files {
            insert(&mut root, file);
        }
        let mut rows = Vec::new();
        assert_eq!(write(&root, 0, &mut rows).read, 63);
        let shown: Vec<(u32, &str, u64)> = rows
            .iter()
            .map(|row| {
                (
                    row.depth,
                    row.name.get(..9).unwrap_or(&row.name),
                    row.sums.read,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (0, "/", 39),
                (1, "d/d/d/d/d", 32),
                (2, "d/d/d/d/d", 32),
                (1, "etc/", 7),
                (2, "ssl/", 3),
                (3, "a", 1),
                (3, "b", 2),
                (2, "passwd", 4),
                (0, "memfd:x", 8),
                (0, "/", 16),
            ]
        );
    }
}

//! Rows of processes: named first, since events name the rows too, then made one by one.

use super::{Facts, layer};
use crate::drain::{PipeEnd, ProcessRow};
use procmon_probe_ebpf::abi::{FILE_DELETED, Privileges, Stream as Seen};
use procmon_profile::model::{CapabilitySets, Process, SeccompMode, Stream};
use procmon_profile::tables::capability_names;
use procmon_profile::text::Text;
use std::collections::{BTreeSet, HashMap};

/// Programs at one end of a pipe that are told.
const MAX_READERS: usize = 16;
const MAX_WRITERS: usize = 16;

/// Rows of processes, before they are made.
pub(super) struct ProcessRows<'a> {
    facts: &'a Facts<'a>,
    /// Image, uid, gid, row and id.
    named: Vec<(usize, u32, u32, &'a ProcessRow, Text)>,
    /// The id of the row that stands for each image.
    ids: HashMap<usize, Text>,
    /// Images that have a pipe as standard input, and those that write into it.
    piped: Vec<(usize, usize)>,
}

/// Gives each row its id, by container in the order of the table.
pub(super) fn name<'a>(facts: &'a Facts<'a>) -> ProcessRows<'a> {
    let table = &facts.drained.processes;
    let mut ids: HashMap<usize, (u64, Text)> = HashMap::new();
    let mut numbers: HashMap<u32, u32> = HashMap::new();
    let mut named = Vec::with_capacity(table.rows.len());
    for ((image, uid, gid), row) in &table.rows {
        let container = table.images[*image].container;
        let number = numbers.entry(container).or_insert(0);
        *number += 1;
        let id = Text::from(format!("p{number}"));
        let best = ids.entry(*image).or_insert((0, id.clone()));
        if row.count > best.0 {
            *best = (row.count, id.clone());
        }
        named.push((*image, *uid, *gid, row, id));
    }
    ProcessRows {
        facts,
        named,
        ids: ids
            .into_iter()
            .map(|(image, (_, id))| (image, id))
            .collect(),
        piped: joined_by_pipes(&table.pipes),
    }
}

/// Readers and writers of one pipe, as pairs of images in the order of the readers.
fn joined_by_pipes(ends: &BTreeSet<PipeEnd>) -> Vec<(usize, usize)> {
    let ends: Vec<&PipeEnd> = ends.iter().collect();
    let mut pairs = Vec::new();
    for pipe in ends.chunk_by(|one, next| one.pipe == next.pipe) {
        // Readers come first.
        let (readers, writers) = pipe.split_at(pipe.partition_point(|end| !end.writes));
        for reader in readers.iter().take(MAX_READERS) {
            let others = writers.iter().filter(|writer| writer.image != reader.image);
            pairs.extend(
                others
                    .take(MAX_WRITERS)
                    .map(|writer| (reader.image, writer.image)),
            );
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Standard input, output and error; none where they were not looked at.
fn streams(kinds: [u8; 3]) -> Vec<Stream> {
    if kinds == [0; 3] {
        return Vec::new();
    }
    kinds.iter().map(|kind| stream(*kind)).collect()
}

/// A standard stream, as the document has it.
fn stream(kind: u8) -> Stream {
    match Seen::decode(kind).unwrap_or(Seen::Unknown) {
        Seen::Unknown => Stream::Unknown,
        Seen::Closed => Stream::Closed,
        Seen::Other => Stream::Other,
        Seen::Null => Stream::Null,
        Seen::File => Stream::File,
        Seen::Terminal => Stream::Terminal,
        Seen::Pipe => Stream::Pipe,
        Seen::Fifo => Stream::Fifo,
        Seen::Unix => Stream::Unix,
        Seen::Udp => Stream::Udp,
        Seen::Tcp => Stream::Tcp,
    }
}

impl ProcessRows<'_> {
    /// Rows that write into the standard input of an image.
    fn stdin_from(&self, image: usize) -> Vec<Text> {
        let from = self.piped.partition_point(|(reader, _)| *reader < image);
        let own = self.piped[from..]
            .iter()
            .take_while(|(reader, _)| *reader == image);
        let mut ids: Vec<Text> = own
            .filter_map(|(_, writer)| self.id_of(Some(*writer)).cloned())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The slot of each row's container.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        let images = &self.facts.drained.processes.images;
        self.named
            .iter()
            .map(|(image, ..)| images[*image].container)
    }

    /// The id of the row that stands for an image. A forked stage that only executed something else has no
    /// row: its parent stands in.
    pub(super) fn id_of(&self, image: Option<usize>) -> Option<&Text> {
        let table = &self.facts.drained.processes;
        let mut image = image;
        while let Some(number) = image {
            if let Some(id) = self.ids.get(&number) {
                return Some(id);
            }
            image = table.images[number].parent;
        }
        None
    }

    /// Rows of one container.
    pub(super) fn of(&self, slot: u32) -> impl Iterator<Item = Process> {
        let facts = self.facts;
        let table = &facts.drained.processes;
        let own = self
            .named
            .iter()
            .filter(move |(image, ..)| table.images[*image].container == slot);
        own.map(move |(image_number, uid, gid, row, id)| {
            let image = &table.images[*image_number];
            let exe = facts.drained.exes.get(&image.exe);
            Process {
                id: id.clone(),
                parent: self.id_of(image.parent).cloned(),
                exe: facts.drained.path_of(image.exe),
                argv: image.arguments.text(),
                argv_truncated: image.arguments.truncated,
                titles: row.titles.iter().cloned().collect(),
                cwd: row.cwd.clone(),
                uid: *uid,
                gid: *gid,
                pids: row.pids.clone(),
                capabilities: Some(sets(&row.privileges)),
                no_new_privs: Some(row.privileges.no_new_privs != 0),
                seccomp: Some(match row.privileges.seccomp {
                    0 => SeccompMode::Disabled,
                    1 => SeccompMode::Strict,
                    _ => SeccompMode::Filter,
                }),
                namespaces: facts.node.namespaces(image.container, &row.privileges),
                origin: image.origin,
                stdio: streams(row.streams),
                stdin_from: self.stdin_from(*image_number),
                layer: exe.map(|exe| layer::of_exe(facts, image.container, &exe.meta, &exe.path)),
                deleted: exe.is_some_and(|exe| exe.meta.flags & FILE_DELETED != 0),
                sha256: None,
                package: None,
                started_before: row.started_before,
                count: row.count,
                first_seen: Some(facts.clock.time(row.first_ns).into()),
                last_seen: Some(facts.clock.time(row.last_ns).into()),
                exits: row.exits.clone(),
            }
        })
    }
}

fn sets(privileges: &Privileges) -> CapabilitySets {
    CapabilitySets {
        effective: capability_names(privileges.effective),
        permitted: capability_names(privileges.permitted),
        bounding: capability_names(privileges.bounding),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given, NAMESPACES, OTHER};
    use super::*;
    use crate::drain::Image;
    use crate::drain::arguments::Interner;
    use procmon_profile::model::{Layer, NamespaceOwner, Origin};

    fn image(parent: Option<usize>, exe: u32, forked: bool) -> Image {
        Image {
            container: CONTAINER,
            parent,
            exe,
            arguments: Interner::default().keep(b"app\0-x\0", false),
            origin: Origin::Entrypoint,
            forked,
        }
    }

    fn given() -> Given {
        let mut given = Given::new();
        let table = &mut given.drained.processes;
        // Image 1 is a forked stage that only executed image 2.
        table.images = vec![
            image(None, APP, false),
            image(Some(0), APP, true),
            image(Some(1), OTHER, false),
        ];
        for (image, uid, count) in [(0, 0, 1), (0, 7, 5), (2, 7, 2)] {
            let row = ProcessRow {
                count,
                privileges: Privileges {
                    effective: 1,
                    seccomp: 2,
                    namespaces: NAMESPACES,
                    ..Privileges::default()
                },
                ..ProcessRow::default()
            };
            table.rows.insert((image, uid, 0), row);
        }
        given
    }

    #[test]
    fn the_row_with_most_processes_stands_for_an_image() {
        given().facts(|facts| {
            let rows = name(facts);
            for (image, expected) in [
                (None, None),
                (Some(0), Some("p2")),
                (Some(1), Some("p2")),
                (Some(2), Some("p3")),
            ] {
                assert_eq!(rows.id_of(image).map(|id| &**id), expected, "{image:?}");
            }
            let slots: Vec<u32> = rows.slots().collect();
            assert_eq!(slots, [CONTAINER; 3]);
        });
    }

    #[test]
    fn rows_have_what_their_processes_had() {
        given().facts(|facts| {
            let rows = name(facts);
            assert_eq!(rows.of(CONTAINER + 1).count(), 0);
            let found: Vec<Process> = rows.of(CONTAINER).collect();
            for (row, (id, parent, exe, uid, count)) in found.iter().zip([
                ("p1", None, "/bin/app", 0, 1),
                ("p2", None, "/bin/app", 7, 5),
                ("p3", Some("p2"), "/bin/other", 7, 2),
            ]) {
                assert_eq!((&*row.id, row.parent.as_deref()), (id, parent));
                assert_eq!((&*row.exe, row.uid, row.count), (exe, uid, count));
                assert_eq!(row.argv, ["app", "-x"]);
                assert_eq!(row.seccomp, Some(SeccompMode::Filter));
                assert_eq!(row.layer, Some(Layer::Unknown));
                let sets = row.capabilities.as_ref().map(|sets| sets.effective.len());
                assert_eq!(sets, Some(1));
                let owner = row.namespaces.get("net").copied();
                assert_eq!(owner, Some(NamespaceOwner::Container));
            }
            assert_eq!(found.len(), 3);
        });
    }
}

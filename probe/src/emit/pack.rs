//! Rows to chunks, as they are made. Each kind of rows and each container gets its share of the stream.

use crate::summarize::{Seen, Summary, Unseen, observations};
use anyhow::Result;
use procmon_profile::model::{Container, Dimension};
use procmon_profile::wire::Chunks;
use std::collections::BTreeMap;

/// Bytes of the stream that the files get in any case: so many for each of their rows and a container's
/// first chunk, at most so many in all.
const FILE_ROOM: usize = 96;
const FILES_FIRST_ROOM: usize = 16 << 10;
const FILES_ROOM: usize = 2 << 20;
/// Bytes of the stream for each of the other kinds of rows, but for processes.
const KIND_ROOM: usize = 1 << 20;

/// The parts of a Profile, ready to be sent.
pub(crate) struct Packed {
    /// Containers without their rows, in the order of their slots.
    pub(crate) heads: Vec<Container>,
    /// Their rows.
    pub(crate) chunks: Chunks,
    /// The estimate of coverage by dimension.
    pub(crate) coverage: BTreeMap<Dimension, f64>,
    pub(crate) unseen: Unseen,
}

/// Packs all rows.
pub(crate) fn pack(summary: Summary<'_>, mut chunks: Chunks) -> Result<Packed> {
    let Summary {
        mut containers,
        rows,
        mut coverage,
        unseen,
    } = summary;
    let slots: Vec<u32> = containers.keys().copied().collect();
    let mut by_number: Vec<&mut Container> = containers.values_mut().collect();
    macro_rules! send {
        ($($field:ident),*) => {$(
            let sizes = by_number.iter().map(|container| container.$field.len());
            fairly(&mut chunks, KIND_ROOM, sizes.collect(), |chunks, number, most| {
                let rows = std::mem::take(&mut by_number[number].$field);
                chunks.rows(number, most, rows);
                Ok(())
            })?;
        )*};
    }
    send!(network, capabilities, events, dns, syscalls);
    let (mut processes, mut files) = (Seen::default(), Seen::default());
    let files_room = FILES_ROOM.min(FILES_FIRST_ROOM * slots.len() + FILE_ROOM * rows.n_files());
    let room = chunks.room().saturating_sub(files_room);
    let n_rows = sizes(&slots, &mut rows.slots_of_processes());
    fairly(&mut chunks, room, n_rows, |chunks, number, most| {
        let rows = rows.processes(slots[number]);
        chunks.rows(number, most, rows.inspect(|row| processes.add(row.count)));
        Ok(())
    })?;
    let room = chunks.room();
    let n_rows = sizes(&slots, &mut rows.slots_of_files());
    fairly(&mut chunks, room, n_rows, |chunks, number, most| {
        let mut failed = Ok(());
        let rows = rows.files(slots[number]).filter_map(|row| {
            let row = row.map_err(|error| failed = Err(error)).ok()?;
            files.add(observations(&row));
            Some(row)
        });
        chunks.rows(number, most, rows);
        failed
    })?;
    for (dimension, seen) in [(Dimension::Processes, processes), (Dimension::Files, files)] {
        coverage.extend(seen.coverage().map(|value| (dimension, value)));
    }
    Ok(Packed {
        heads: containers.into_values().collect(),
        chunks,
        coverage,
        unseen,
    })
}

/// How many rows each container has, from the slots of all.
fn sizes(slots: &[u32], of_rows: &mut dyn Iterator<Item = u32>) -> Vec<usize> {
    let mut sizes = vec![0; slots.len()];
    for slot in of_rows {
        if let Ok(number) = slots.binary_search(&slot) {
            sizes[number] += 1;
        }
    }
    sizes
}

/// Shares a room of the stream among containers, those with the fewest rows first: what they leave goes to
/// the others, so that no container takes the room of another. `sizes` are numbers of rows.
fn fairly(
    chunks: &mut Chunks,
    room: usize,
    sizes: Vec<usize>,
    mut send: impl FnMut(&mut Chunks, usize, usize) -> Result<()>,
) -> Result<()> {
    let mut order: Vec<(usize, usize)> = sizes.into_iter().enumerate().collect();
    order.retain(|(_, size)| *size > 0);
    order.sort_by_key(|(_, size)| *size);
    let (n_all, end) = (order.len(), chunks.room().saturating_sub(room));
    for (place, (number, _)) in order.into_iter().enumerate() {
        let left = chunks.room().saturating_sub(end);
        send(chunks, number, left / (n_all - place))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_profile::wire::Packer;

    #[test]
    fn rows_are_counted_by_container() {
        for (slots, of_rows, expected) in [
            (&[][..], &[1][..], &[][..]),
            (&[1, 4], &[], &[0, 0]),
            (&[1, 4], &[4, 1, 4, 9], &[1, 2]),
        ] {
            assert_eq!(sizes(slots, &mut of_rows.iter().copied()), expected);
        }
    }

    #[test]
    fn who_has_few_rows_leaves_room_to_the_others() {
        for (n_rows, expected) in [
            (&[][..], &[][..]),
            (&[0, 5], &[(1, 1200)]),
            (&[9, 5, 7], &[(1, 400), (2, 600), (0, 1200)]),
        ] {
            let mut chunks = Chunks::new(Packer::default(), 0);
            let mut sent = Vec::new();
            let done = fairly(&mut chunks, 1200, n_rows.to_vec(), |_, number, most| {
                sent.push((number, most));
                Ok(())
            });
            assert!(done.is_ok());
            assert_eq!(sent, expected, "{n_rows:?}");
        }
    }
}

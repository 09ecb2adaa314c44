//! Parts to chunks and back. Chunks are cut by bytes of JSON, which a target decides, not by rows.

use super::seal::Sealer;
use super::{Frame, MAX_CHUNK_BYTES, MAX_LINE_BYTES, MAX_STREAM_BYTES, Part};
use crate::bounds::MAX_PATH_BYTES;
use crate::model::{CapabilityUse, Counts, Dimension, Dns, Event, File, Network, Process, Syscall};
use crate::text::Text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// A chunk is full at this many bytes of JSON.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Most bytes of JSON of one row. A larger one is cut, and says so where the row has a place for it.
pub const MAX_ROW_BYTES: usize = 128 << 10;
/// Most bytes of a text in a row that was cut.
const CUT_BYTES: usize = 64;

// Deflate stores what it can't make smaller, with five bytes for each 64 KiB; sealing adds a number and a
// tag; the frame around the base64 text has less than 1 KiB.
const LARGEST: usize = CHUNK_BYTES + MAX_ROW_BYTES + 1024;
const _: () = assert!(LARGEST <= MAX_CHUNK_BYTES);
const _: () = assert!((LARGEST + LARGEST / 1000 + 256) / 3 * 4 + 1024 <= MAX_LINE_BYTES);
/// Bytes kept for the node, the containers and the end of the stream.
const RESERVE: usize = 512 << 10;
/// A frame adds so many bytes around its chunk.
const AROUND: usize = 64;
/// Nodes, windows and containers in one chunk: they have names and reasons, and no rows.
const HEADS_AT_ONCE: usize = 64;
/// With less room than this nothing more is tried.
const LEAST_ROOM: usize = 4 << 10;

/// Makes chunk frames, sealed where the session has a key.
#[derive(Default)]
pub struct Packer {
    /// The key, if any.
    pub sealer: Option<Sealer>,
}

impl Packer {
    /// The frame of some parts.
    ///
    /// # Panics
    /// Never: parts are plain data.
    pub fn pack(&mut self, parts: &[Part]) -> Frame {
        self.pack_json(&serde_json::to_vec(parts).expect("parts are plain data"))
    }

    fn pack_json(&mut self, json: &[u8]) -> Frame {
        let deflated = miniz_oxide::deflate::compress_to_vec(json, 6);
        match &mut self.sealer {
            Some(sealer) => Frame::Sealed(STANDARD.encode(sealer.seal(deflated))),
            None => Frame::Chunk(STANDARD.encode(deflated)),
        }
    }
}

/// A row of the capture.
pub trait Row: Serialize {
    /// Its dimension, whose name is also that of the [`Part`] with such rows.
    const DIMENSION: Dimension;
    /// A path in it is longer than the reader takes.
    fn has_long_path(&self) -> bool;
    /// Cuts what a target chose, so that the row is small.
    fn cut(&mut self);
}

/// Rows of one container and one dimension, as JSON: many kinds of rows, one kind of code.
struct Batch {
    /// The text before the rows in a chunk.
    head: String,
    json: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
}

impl Batch {
    fn new(container: usize, dimension: Dimension) -> Self {
        let part = serde_json::to_string(&dimension).unwrap_or_default();
        Self {
            head: format!(r#"[{{{part}:{{"container":{container},"rows":["#),
            json: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Adds a row; its bytes.
    fn add(&mut self, row: &impl Serialize) -> usize {
        let begin = self.json.len();
        // Plain data can be written, and memory takes it.
        let _ = serde_json::to_writer(&mut self.json, row);
        self.ends.push(self.json.len());
        self.json.len() - begin
    }

    /// Takes the last row back.
    fn drop_last(&mut self) {
        self.ends.pop();
        self.json.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// The JSON of some of the rows, as a chunk with one part.
    fn chunk(&self, rows: &Range<usize>) -> Vec<u8> {
        let begin_of = |row: usize| match row {
            0 => 0,
            _ => self.ends[row - 1],
        };
        let length = self.ends[rows.end - 1] - begin_of(rows.start);
        let mut json = Vec::with_capacity(self.head.len() + length + rows.len() + 4);
        json.extend_from_slice(self.head.as_bytes());
        for row in rows.clone() {
            if row > rows.start {
                json.push(b',');
            }
            json.extend_from_slice(&self.json[begin_of(row)..self.ends[row]]);
        }
        json.extend_from_slice(b"]}}]");
        json
    }

    fn clear(&mut self) {
        self.json.clear();
        self.ends.clear();
    }
}

/// The beginning of a text of more than [`CUT_BYTES`], and how long it was.
fn cut_text(text: &mut Text) {
    if text.len() > CUT_BYTES {
        let beginning = text.start(CUT_BYTES / 2);
        *text = format!("{beginning}…({} bytes)", text.len()).into();
    }
}

/// Links may lead to a path that is longer than any that a call takes.
fn is_long_path(path: &Text) -> bool {
    path.len() > MAX_PATH_BYTES && path.plain_len() > MAX_PATH_BYTES
}

fn cut_list(list: &mut Vec<Text>) {
    list.truncate(16);
    list.iter_mut().for_each(cut_text);
}

fn cut_keys(map: &mut Counts) {
    while map.len() > 256 {
        map.pop_last();
    }
}

macro_rules! row {
    ($row:ty, $part:ident, |$self:ident| $paths:expr, $cut:block) => {
        impl Row for $row {
            const DIMENSION: Dimension = Dimension::$part;
            fn has_long_path(&self) -> bool {
                let $self = self;
                $paths.into_iter().flatten().any(is_long_path)
            }
            fn cut(&mut self) {
                let $self = self;
                $cut
            }
        }
    };
}

row!(
    Process,
    Processes,
    |row| [Some(&row.exe), row.cwd.as_ref()],
    {
        let n_bytes = |argv: &[Text]| argv.iter().map(|argument| argument.len()).sum::<usize>();
        let before = n_bytes(&row.argv);
        cut_list(&mut row.argv);
        row.argv_truncated |= n_bytes(&row.argv) < before;
        cut_text(&mut row.exe);
        row.cwd.iter_mut().for_each(cut_text);
        cut_keys(&mut row.exits);
    }
);
row!(Syscall, Syscalls, |row| [Some(&row.exe)], {
    cut_text(&mut row.exe);
    cut_keys(&mut row.errors);
});
row!(
    File,
    Files,
    |row| {
        let mount = row.mount.as_ref();
        [
            Some(&row.exe),
            Some(&row.path),
            mount.and_then(|mount| mount.source.as_ref()),
        ]
    },
    {
        cut_text(&mut row.exe);
        cut_text(&mut row.path);
        cut_keys(&mut row.errors);
        row.mount = None;
    }
);
row!(
    Network,
    Network,
    |row| {
        let local = row.local.as_ref().and_then(|end| end.path.as_ref());
        let remote = row.remote.as_ref().and_then(|end| end.path.as_ref());
        [Some(&row.exe), local, remote]
    },
    {
        cut_text(&mut row.exe);
        if let Some(end) = &mut row.local {
            end.path.iter_mut().for_each(cut_text);
        }
        if let Some(end) = &mut row.remote {
            end.path.iter_mut().for_each(cut_text);
            cut_list(&mut end.names);
            cut_list(&mut end.claimed);
        }
        cut_keys(&mut row.failures);
    }
);
row!(Dns, Dns, |row| [Some(&row.exe)], {
    cut_text(&mut row.exe);
    cut_text(&mut row.name);
    cut_list(&mut row.answers);
    cut_list(&mut row.resolvers);
});
row!(CapabilityUse, Capabilities, |row| [Some(&row.exe)], {
    cut_text(&mut row.exe);
});
row!(Event, Events, |row| [row.process.as_ref()], {
    row.details.values_mut().for_each(cut_text);
});

/// The chunks of a capture, all together below the stream's limit. Each kind of rows has a room of
/// its own, so that no kind that a target makes large leaves the others out.
pub struct Chunks {
    packer: Packer,
    frames: Vec<Frame>,
    room: usize,
    losses: BTreeMap<Dimension, (u64, u64)>,
}

impl Chunks {
    /// None yet; so many bytes of the stream are written already.
    #[must_use]
    pub fn new(packer: Packer, written: usize) -> Self {
        Self {
            packer,
            frames: Vec::new(),
            room: MAX_STREAM_BYTES.saturating_sub(written + RESERVE),
            losses: BTreeMap::new(),
        }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room
    }

    /// Rows that found no room, and rows that were cut.
    #[must_use]
    pub fn losses(&self) -> &BTreeMap<Dimension, (u64, u64)> {
        &self.losses
    }

    fn lose(&mut self, dimension: Dimension, dropped: u64, cut: u64) {
        if dropped + cut > 0 {
            let losses = self.losses.entry(dimension).or_default();
            losses.0 += dropped;
            losses.1 += cut;
        }
    }

    /// Bytes of all chunks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(bytes_of).sum()
    }

    /// Takes the rows of one kind of the container with this number, in at most so many bytes of
    /// the stream. The rows behind half of them are cut.
    pub fn rows<T: Row>(
        &mut self,
        container: usize,
        most: usize,
        rows: impl IntoIterator<Item = T>,
    ) {
        let most = most.min(self.room);
        let left_to_others = self.room - most;
        let mut batch = Batch::new(container, T::DIMENSION);
        for mut row in rows {
            let mut size = batch.add(&row);
            let is_late = self.room - left_to_others < most / 2;
            if size > MAX_ROW_BYTES
                || (is_late && size > 8 * CUT_BYTES)
                || (size > MAX_PATH_BYTES && row.has_long_path())
            {
                batch.drop_last();
                row.cut();
                let cut_size = batch.add(&row);
                self.lose(T::DIMENSION, 0, u64::from(cut_size < size));
                size = cut_size;
            }
            if size > MAX_ROW_BYTES {
                batch.drop_last();
                self.lose(T::DIMENSION, 1, 0);
            }
            if batch.json.len() >= CHUNK_BYTES {
                self.send(&batch, T::DIMENSION, 0..batch.ends.len(), left_to_others);
                batch.clear();
            }
        }
        self.send(&batch, T::DIMENSION, 0..batch.ends.len(), left_to_others);
    }

    /// Packs rows, or as many of them as there is room for.
    fn send(
        &mut self,
        batch: &Batch,
        dimension: Dimension,
        rows: Range<usize>,
        left_to_others: usize,
    ) {
        let room = self.room.saturating_sub(left_to_others);
        if rows.is_empty() {
            return;
        }
        if room < LEAST_ROOM {
            self.lose(dimension, rows.len() as u64, 0);
            return;
        }
        let frame = self.packer.pack_json(&batch.chunk(&rows));
        let size = bytes_of(&frame);
        if size <= room {
            self.room -= size;
            self.frames.push(frame);
        } else if rows.len() == 1 {
            self.lose(dimension, 1, 0);
        } else {
            let middle = rows.start + rows.len() / 2;
            self.send(batch, dimension, rows.start..middle, left_to_others);
            self.send(batch, dimension, middle..rows.end, left_to_others);
        }
    }

    /// The frames before the chunks, the node and the containers without their rows, and the chunks.
    #[must_use]
    pub fn finish(mut self, heads: &[Part]) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(self.frames.len() + 1);
        for some in heads.chunks(HEADS_AT_ONCE) {
            frames.push(self.packer.pack(some));
        }
        frames.append(&mut self.frames);
        frames
    }
}

/// Bytes of a chunk's line, or a few more.
fn bytes_of(frame: &Frame) -> usize {
    match frame {
        Frame::Chunk(text) | Frame::Sealed(text) => text.len() + AROUND,
        _ => 0,
    }
}

/// The JSON of a chunk's text.
pub(super) fn inflate(text: &str) -> Result<Vec<u8>, String> {
    let deflated = STANDARD.decode(text).map_err(|error| error.to_string())?;
    inflate_bytes(&deflated)
}

/// The JSON of a chunk's deflated bytes.
pub(super) fn inflate_bytes(deflated: &[u8]) -> Result<Vec<u8>, String> {
    miniz_oxide::inflate::decompress_to_vec_with_limit(deflated, MAX_CHUNK_BYTES)
        .map_err(|error| format!("a chunk can't be inflated: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_part() {
        let mut batch = Batch::new(3, Dimension::Dns);
        let rows = ["a", "b", "c"].map(|name| Dns {
            name: name.into(),
            ..Dns::default()
        });
        for row in &rows {
            batch.add(row);
        }
        batch.drop_last();
        for (range, wanted) in [(0..2, &rows[..2]), (1..2, &rows[1..2])] {
            let parts: Vec<Part> = serde_json::from_slice(&batch.chunk(&range)).expect("parts");
            let part = Part::Dns {
                container: 3,
                rows: wanted.to_vec(),
            };
            assert_eq!(parts, [part]);
        }
    }

    #[test]
    fn a_cut_text_says_how_long_it_was() {
        let mut text = Text::from("ä".repeat(100));
        cut_text(&mut text);
        assert_eq!(*text, format!("{}…(200 bytes)", "ä".repeat(16)));
    }
}

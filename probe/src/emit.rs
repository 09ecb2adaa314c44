//! Parts to frames: chunks of bounded size, written in one go, all frames together below the limit.
//!
//! A reader that does not read never holds up the window, nor the probe beyond its deadline.

use crate::sys;
use anyhow::Result;
use procmon_profile::model::{Container, Node};
use procmon_profile::wire::{
    Failure, Frame, MAX_STREAM_BYTES, Part, Progress, StreamWriter, WindowReport, encode_chunk,
};
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

/// Rows of one chunk: some 300 KB of JSON, far below what a reader accepts.
pub(crate) const ROWS_PER_CHUNK: usize = 500;
/// Bytes kept for the node, the containers and the end of the stream.
const RESERVE: usize = 512 << 10;

/// A pipe that has room has room for this much: `PIPE_BUF`, include/uapi/linux/limits.h.
const ROOM: usize = 4096;
/// How long the reader may take for the end after the probe's deadline.
const PATIENCE: Duration = Duration::from_secs(10);
/// The deadline is looked at this often while the reader does not read.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where the frames go.
pub(crate) struct Output {
    file: File,
    writer: StreamWriter,
    broken: bool,
    /// By the monotonic clock.
    give_up_ns: Option<u64>,
}

impl Output {
    /// Frames into a file, until some time after the probe's own deadline.
    pub(crate) fn new(file: File, deadline_seconds: Option<f64>) -> Self {
        let give_up_ns = deadline_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .and_then(|deadline| {
                let after = u64::try_from((deadline + PATIENCE).as_nanos()).ok()?;
                sys::monotonic_ns().checked_add(after)
            });
        Self {
            file,
            writer: StreamWriter::default(),
            broken: false,
            give_up_ns,
        }
    }

    /// How far the window is; left out while the reader does not read.
    pub(crate) fn progress(&mut self, progress: Progress) {
        if sys::has_room(&self.file, Duration::ZERO) {
            self.frame(Frame::Progress(progress));
        }
    }

    /// Writes one frame. A reader that is gone is remembered, not an error.
    pub(crate) fn frame(&mut self, frame: Frame) {
        let line = self.writer.line(frame);
        self.write(&line);
    }

    fn write(&mut self, line: &str) {
        for piece in line.as_bytes().chunks(ROOM) {
            if self.broken {
                return;
            }
            self.broken = !self.waits_for_room()
                || self
                    .file
                    .write_all(piece)
                    .and_then(|()| self.file.flush())
                    .is_err();
        }
    }

    /// Waits until the reader has made room; false when it takes too long.
    fn waits_for_room(&self) -> bool {
        while !sys::has_room(&self.file, LOOK_EVERY) {
            if self
                .give_up_ns
                .is_some_and(|give_up| sys::monotonic_ns() > give_up)
            {
                return false;
            }
        }
        true
    }

    /// Nobody reads any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Says that there is no capture, and why.
    pub(crate) fn fail(mut self, code: &str, message: String) {
        self.frame(Frame::Failed(Failure {
            code: code.to_owned().into(),
            message: message.into(),
        }));
        self.end();
    }

    /// Writes the whole capture and the end.
    pub(crate) fn capture(
        mut self,
        mut node: Node,
        report: WindowReport,
        containers: Vec<Container>,
        files: Vec<(usize, String)>,
    ) -> Result<()> {
        let mut heads = Vec::new();
        let mut chunks: Vec<(usize, String)> = Vec::new();
        for (number, mut container) in containers.into_iter().enumerate() {
            let number = u32::try_from(number)?;
            // What matters most comes first: the tail is dropped when there is too much.
            macro_rules! rows {
                ($($part:ident $field:ident),*) => {$(
                    let mut rows = std::mem::take(&mut container.$field);
                    while !rows.is_empty() {
                        let rest = rows.split_off(rows.len().min(ROWS_PER_CHUNK));
                        let count = rows.len();
                        chunks.push((count, encode_chunk(&[Part::$part { container: number, rows }])));
                        rows = rest;
                    }
                )*};
            }
            rows!(
                Processes processes, Network network, Capabilities capabilities, Events events,
                Dns dns, Syscalls syscalls
            );
            heads.push(Part::Container(Box::new(container)));
        }
        chunks.extend(files);
        let mut room = MAX_STREAM_BYTES.saturating_sub(self.writer.bytes() + RESERVE);
        let mut sent = 0;
        let mut dropped = 0;
        chunks.retain(|(rows, chunk)| {
            // A frame adds some 40 bytes around its chunk.
            let size = chunk.len() + 40;
            if size > room {
                dropped += *rows as u64;
                return false;
            }
            room -= size;
            sent += size;
            true
        });
        if let Some(lost) = &mut node.lost {
            lost.frames = dropped;
        }
        node.complete &= dropped == 0;
        if let Some(cost) = &mut node.cost {
            cost.sent_bytes = Some((self.writer.bytes() + sent) as u64);
        }
        let mut first = vec![Part::Node(Box::new(node)), Part::Window(report)];
        first.append(&mut heads);
        self.frame(Frame::Chunk(encode_chunk(&first)));
        for (_, chunk) in chunks {
            self.frame(Frame::Chunk(chunk));
        }
        self.end();
        Ok(())
    }

    fn end(mut self) {
        let line = std::mem::take(&mut self.writer).end();
        self.write(&line);
    }
}

//! Parts to frames: chunks of bounded size, written in one go, all frames together below the limit.
//!
//! A reader that does not read never holds up the window, nor the probe beyond its deadline.

mod pack;

pub(crate) use pack::{Packed, pack};

use crate::sys;
use procmon_profile::model::Node;
use procmon_profile::text::Text;
use procmon_profile::wire::{
    Chunks, Failure, FailureCode, Frame, Packer, Part, Progress, Sealer, StreamWriter, WindowReport,
};
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

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
    packer: Packer,
    broken: bool,
    /// A moment of the monotonic clock.
    give_up_ns: Option<u64>,
}

impl Output {
    /// Frames into a file, until some time after the probe's own deadline; chunks are sealed where the
    /// session has a key.
    pub(crate) fn new(file: File, deadline_seconds: Option<f64>, sealer: Option<Sealer>) -> Self {
        let give_up_ns = deadline_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|deadline| sys::moment_after(deadline.saturating_add(PATIENCE)));
        Self {
            file,
            writer: StreamWriter::default(),
            packer: Packer { sealer },
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
    pub(crate) fn fail(mut self, code: FailureCode, message: String) {
        self.frame(Frame::Failed(Failure {
            code,
            message: message.into(),
        }));
        self.end();
    }

    /// The probe's public key, base64.
    pub(crate) fn key(&self) -> Option<Text> {
        self.packer.sealer.as_ref().map(Sealer::public)
    }

    /// Chunks for what is left of the stream.
    pub(crate) fn chunks(&mut self) -> Chunks {
        Chunks::new(std::mem::take(&mut self.packer), self.writer.bytes())
    }

    /// Writes the whole capture and the end.
    pub(crate) fn capture(mut self, mut node: Node, report: WindowReport, packed: Packed) {
        let losses = packed.chunks.losses().values();
        let dropped = losses.map(|(dropped, _)| dropped).sum();
        if let Some(lost) = &mut node.lost {
            lost.frames = dropped;
        }
        node.complete &= dropped == 0;
        if let Some(cost) = &mut node.cost {
            cost.sent_bytes = Some((self.writer.bytes() + packed.chunks.bytes()) as u64);
        }
        let mut heads = vec![Part::Node(Box::new(node)), Part::Window(report)];
        heads.extend(
            packed
                .heads
                .into_iter()
                .map(|container| Part::Container(Box::new(container))),
        );
        for frame in packed.chunks.finish(&heads) {
            self.frame(frame);
        }
        self.end();
    }

    fn end(mut self) {
        let line = std::mem::take(&mut self.writer).end();
        self.write(&line);
    }
}

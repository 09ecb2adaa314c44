//! Encoding and decoding of the stream. Decoding trusts nothing: sizes, numbers, digest and
//! version are checked, and what arrived before a fault stays usable.

use super::{
    End, Failure, Frame, Hello, Line, MAX_CHUNK_BYTES, MAX_INFLATED_BYTES, MAX_LINE_BYTES,
    MAX_ROWS, MAX_STREAM_BYTES, PROTOCOL, Part, Progress, major,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// What is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// A line longer than [`MAX_LINE_BYTES`], or all lines longer than [`MAX_STREAM_BYTES`], or
    /// chunks that inflate beyond their limits.
    TooLarge(&'static str),
    /// A line that is no frame.
    Malformed {
        /// The number that the frame should have had.
        seq: u64,
        /// What the parser said.
        reason: String,
    },
    /// A frame out of order.
    Sequence {
        /// The number that it should have had.
        expected: u64,
        /// The number that it has.
        found: u64,
    },
    /// The probe speaks another major version.
    Version {
        /// The probe's.
        theirs: String,
    },
    /// The digest or the count at the end do not fit what came before.
    Altered,
    /// No end: the stream was cut after this many frames.
    Cut(u64),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(what) => write!(f, "the stream is above its limit: {what}"),
            Self::Malformed { seq, reason } => write!(f, "frame {seq} is malformed: {reason}"),
            Self::Sequence { expected, found } => {
                write!(
                    f,
                    "frame {expected} is missing: frame {found} came in its place"
                )
            }
            Self::Version { theirs } => write!(
                f,
                "the stream has protocol version {theirs}, this plugin reads {PROTOCOL}"
            ),
            Self::Altered => write!(f, "the stream was altered: its digest does not fit"),
            Self::Cut(frames) => write!(f, "the stream was cut after {frames} frames"),
        }
    }
}

impl std::error::Error for StreamError {}

/// One line of the stream, with its line feed.
///
/// # Panics
/// Never: frames are plain data.
#[must_use]
pub fn encode_line(seq: u64, frame: Frame) -> String {
    let mut line = serde_json::to_string(&Line { seq, frame }).expect("a frame is plain data");
    line.push('\n');
    line
}

/// The text of a chunk frame.
///
/// # Panics
/// Never: parts are plain data.
#[must_use]
pub fn encode_chunk(parts: &[Part]) -> String {
    let json = serde_json::to_vec(parts).expect("parts are plain data");
    STANDARD.encode(miniz_oxide::deflate::compress_to_vec(&json, 6))
}

/// Numbers frames, sums their bytes and digest, and makes the end.
#[derive(Default)]
pub struct StreamWriter {
    seq: u64,
    bytes: usize,
    digest: Sha256,
}

impl StreamWriter {
    /// The next line for a frame.
    pub fn line(&mut self, frame: Frame) -> String {
        let line = encode_line(self.seq, frame);
        self.seq += 1;
        self.bytes += line.len();
        self.digest.update(line.as_bytes());
        line
    }

    /// Bytes of all lines so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last line.
    #[must_use]
    pub fn end(self) -> String {
        let end = End {
            frames: self.seq,
            sha256: hex(&self.digest.finalize()).into(),
        };
        encode_line(self.seq, Frame::End(end))
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// Reads a stream line by line; keeps all that was good.
#[derive(Default)]
pub struct Decoder {
    next: u64,
    bytes: usize,
    inflated: usize,
    rows: usize,
    digest: Sha256,
    hello: Option<Hello>,
    progress: Option<Progress>,
    failure: Option<Failure>,
    parts: Vec<Part>,
    ended: bool,
}

impl Decoder {
    /// Takes one line, with or without its line feed. Lines with a number that was taken already
    /// are passed over, so that a stream may be read again from its start after a broken
    /// connection. Returns the frame's progress when it is one.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Progress>, StreamError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(StreamError::TooLarge("one line"));
        }
        let parsed: Line =
            serde_json::from_slice(line).map_err(|error| StreamError::Malformed {
                seq: self.next,
                reason: error.to_string(),
            })?;
        if parsed.seq < self.next {
            return Ok(None);
        }
        if parsed.seq > self.next || self.ended {
            return Err(StreamError::Sequence {
                expected: self.next,
                found: parsed.seq,
            });
        }
        self.bytes += line.len() + 1;
        if self.bytes > MAX_STREAM_BYTES {
            return Err(StreamError::TooLarge("all frames together"));
        }
        if let Frame::End(end) = &parsed.frame {
            let digest = std::mem::take(&mut self.digest).finalize();
            if end.frames != self.next || end.sha256 != hex(&digest) {
                return Err(StreamError::Altered);
            }
        } else {
            self.digest.update(line);
            self.digest.update(b"\n");
        }
        let progress = self.take(parsed.frame)?;
        self.next += 1;
        Ok(progress)
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Progress>, StreamError> {
        match frame {
            Frame::Hello(hello) => {
                if major(&hello.protocol) != major(PROTOCOL) {
                    return Err(StreamError::Version {
                        theirs: hello.protocol.into(),
                    });
                }
                self.hello = Some(hello);
            }
            Frame::Progress(progress) => {
                self.progress = Some(progress);
                return Ok(Some(progress));
            }
            Frame::Chunk(text) => self.chunk(&text)?,
            Frame::Failed(failure) => self.failure = Some(failure),
            Frame::End(_) => self.ended = true,
        }
        Ok(None)
    }

    fn chunk(&mut self, text: &str) -> Result<(), StreamError> {
        let malformed = |reason: String| StreamError::Malformed {
            seq: self.next,
            reason,
        };
        let deflated = STANDARD
            .decode(text)
            .map_err(|error| malformed(error.to_string()))?;
        let json = miniz_oxide::inflate::decompress_to_vec_with_limit(&deflated, MAX_CHUNK_BYTES)
            .map_err(|error| malformed(format!("cannot inflate: {error}")))?;
        self.inflated += json.len();
        if self.inflated > MAX_INFLATED_BYTES {
            return Err(StreamError::TooLarge("the inflated capture"));
        }
        let parts: Vec<Part> =
            serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))?;
        self.rows += parts.iter().map(Part::rows).sum::<usize>();
        if self.rows > MAX_ROWS {
            return Err(StreamError::TooLarge("the number of its rows"));
        }
        self.parts.extend(parts);
        Ok(())
    }

    /// Number of the frame that must come next: where to go on after a broken connection.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// The end has come and fits.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Who spoke.
    #[must_use]
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// The newest totals.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.progress
    }

    /// Why the probe gave up, when it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Everything that arrived, and what is wrong with the stream as a whole.
    #[must_use]
    pub fn finish(self) -> (Vec<Part>, Option<StreamError>) {
        let fault = (!self.ended).then_some(StreamError::Cut(self.next));
        (self.parts, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Container;
    use proptest::prelude::*;

    fn stream() -> Vec<String> {
        let mut writer = StreamWriter::default();
        let hello = Hello {
            protocol: PROTOCOL.into(),
            probe: "0".into(),
            session: "s".into(),
            node: "n".into(),
            kernel: "k".into(),
            arch: "amd64".into(),
            hooks: Vec::new(),
        };
        let parts = [Part::Container(Box::new(Container {
            container: "c".into(),
            ..Container::default()
        }))];
        let mut lines = vec![
            writer.line(Frame::Hello(hello)),
            writer.line(Frame::Progress(Progress {
                seconds: 1.0,
                ..Progress::default()
            })),
            writer.line(Frame::Chunk(encode_chunk(&parts))),
        ];
        lines.push(writer.end());
        lines
    }

    #[test]
    fn what_was_written_is_read() {
        let mut decoder = Decoder::default();
        for line in stream() {
            decoder.line(line.as_bytes()).expect("the line is good");
        }
        assert!(decoder.ended());
        let (parts, fault) = decoder.finish();
        assert_eq!((parts.len(), fault), (1, None));
    }

    #[test]
    fn lines_that_come_again_are_passed_over() {
        let mut decoder = Decoder::default();
        let lines = stream();
        for line in lines[..2].iter().chain(&lines) {
            decoder.line(line.as_bytes()).expect("the line is good");
        }
        assert!(decoder.ended());
    }

    #[test]
    fn a_missing_frame_an_altered_one_and_another_version_are_refused() {
        let lines = stream();
        let mut decoder = Decoder::default();
        decoder.line(lines[0].as_bytes()).expect("the line is good");
        assert!(matches!(
            decoder.line(lines[2].as_bytes()),
            Err(StreamError::Sequence {
                expected: 1,
                found: 2
            })
        ));

        let mut decoder = Decoder::default();
        decoder
            .line(
                lines[0]
                    .replace("\"kernel\":\"k\"", "\"kernel\":\"x\"")
                    .as_bytes(),
            )
            .expect("it looks good");
        for line in &lines[1..3] {
            decoder.line(line.as_bytes()).expect("the line is good");
        }
        assert_eq!(decoder.line(lines[3].as_bytes()), Err(StreamError::Altered));

        let other = lines[0].replace("\"protocol\":\"1.0\"", "\"protocol\":\"2.0\"");
        assert!(matches!(
            Decoder::default().line(other.as_bytes()),
            Err(StreamError::Version { .. })
        ));
    }

    #[test]
    fn more_rows_than_the_limit_are_refused() {
        let mut decoder = Decoder {
            rows: MAX_ROWS - 1,
            ..Decoder::default()
        };
        let part = Part::Container(Box::default());
        let mut line = |number: u64| {
            let chunk = encode_chunk(std::slice::from_ref(&part));
            decoder.line(encode_line(number, Frame::Chunk(chunk)).as_bytes())
        };
        assert_eq!(line(0), Ok(None));
        assert!(matches!(line(1), Err(StreamError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn a_stream_that_is_cut_anywhere_says_so(cut in 0_usize..400) {
            let whole = stream().concat();
            let cut = cut.min(whole.len() - 1);
            let mut decoder = Decoder::default();
            for line in whole.as_bytes()[..cut].split_inclusive(|byte| *byte == b'\n') {
                if decoder.line(line).is_err() {
                    break;
                }
            }
            prop_assert!(!decoder.ended());
            prop_assert!(matches!(decoder.finish().1, Some(StreamError::Cut(_))));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = Decoder::default().line(&bytes);
        }
    }
}

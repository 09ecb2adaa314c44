//! Encoding and decoding of the stream. Decoding trusts nothing: sizes, numbers, digest and
//! version are checked, and what arrived before a fault stays usable.

use super::chunk;
use super::seal::Opener;
use super::{
    End, Failure, Frame, Hello, Line, MAX_INFLATED_BYTES, MAX_LINE_BYTES, MAX_ROWS,
    MAX_STREAM_BYTES, PROTOCOL, Part, Progress, SessionKey, major,
};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The reason why nothing more is read of a stream. Everything that arrived before stays usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// All lines together are longer than [`MAX_STREAM_BYTES`], or the chunks inflate to more, or
    /// hold more rows, than their limits.
    TooLarge(&'static str),
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

/// Frames that the reader could not use. Each costs what it held, and no other frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Number of frames.
    pub frames: u64,
    /// Why the first one was refused.
    pub reason: String,
}

impl Refused {
    fn add(&mut self, frames: u64, reason: impl Into<String>) {
        if self.frames == 0 {
            self.reason = reason.into();
        }
        self.frames = self.frames.saturating_add(frames);
    }

    /// A sentence that says how many there are, and why; none when there are none.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        (self.frames > 0).then(|| {
            format!(
                "{} frames of the capture can't be used: {}",
                self.frames, self.reason
            )
        })
    }
}

/// The content of a stream.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The capture.
    pub parts: Vec<Part>,
    /// Frames that could not be used.
    pub refused: Refused,
    /// The fault of the stream as a whole.
    pub fault: Option<StreamError>,
}

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

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// Reads a stream line by line; keeps all that was good.
#[derive(Default)]
pub struct Decoder {
    key: Option<SessionKey>,
    opener: Option<Opener>,
    next: u64,
    bytes: usize,
    inflated: usize,
    rows: usize,
    digest: Sha256,
    hello: Option<Hello>,
    progress: Option<Progress>,
    failure: Option<Failure>,
    parts: Vec<Part>,
    refused: Refused,
    ended: bool,
}

impl Decoder {
    /// Reads a stream whose chunks are sealed to this key. A chunk that is not sealed is refused.
    #[must_use]
    pub fn sealed(key: SessionKey) -> Self {
        Self {
            key: Some(key),
            ..Self::default()
        }
    }

    /// Takes one line, with or without its line feed. Lines with a number that was taken already
    /// are passed over, so that a stream may be read again from its start after a broken
    /// connection (see [`Decoder::again`]). A line that can't be used is counted as refused, and the
    /// next one is read. Returns the frame's progress when it is one.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Progress>, StreamError> {
        // Also lines that come again count: a log that repeats itself must end.
        self.bytes = self.bytes.saturating_add(line.len() + 1);
        if self.bytes > MAX_STREAM_BYTES {
            return Err(StreamError::TooLarge("all frames together"));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || self.ended {
            return Ok(None);
        }
        if line.len() > MAX_LINE_BYTES {
            self.refuse_line(line, "a line is above its limit");
            return Ok(None);
        }
        let parsed: Line = match serde_json::from_slice(line) {
            Ok(parsed) => parsed,
            Err(error) => {
                let reason = format!("frame {} is malformed: {error}", self.next);
                self.refuse_line(line, reason);
                return Ok(None);
            }
        };
        if parsed.seq < self.next {
            return Ok(None);
        }
        if parsed.seq > self.next {
            let reason = format!(
                "frame {} is missing: frame {} came in its place",
                self.next, parsed.seq
            );
            self.refused.add(parsed.seq - self.next, reason);
        }
        if let Frame::End(end) = &parsed.frame {
            let digest = std::mem::take(&mut self.digest).finalize();
            // A missing frame is said already.
            if self.refused.frames == 0 && (end.frames != self.next || end.sha256 != hex(&digest)) {
                return Err(StreamError::Altered);
            }
        } else {
            self.digest.update(line);
            self.digest.update(b"\n");
        }
        self.next = parsed.seq.saturating_add(1);
        self.take(parsed.frame)
    }

    /// The stream is read from its start once more: what comes again is not a flood.
    pub fn again(&mut self) {
        self.bytes = 0;
    }

    /// Counts a line that can't be read in place of the frame that it must have been.
    fn refuse_line(&mut self, line: &[u8], reason: impl Into<String>) {
        self.digest.update(line);
        self.digest.update(b"\n");
        self.next = self.next.saturating_add(1);
        self.refused.add(1, reason);
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Progress>, StreamError> {
        match frame {
            Frame::Hello(hello) => {
                if major(&hello.protocol) != major(PROTOCOL) {
                    return Err(StreamError::Version {
                        theirs: hello.protocol.into(),
                    });
                }
                if let (Some(key), Some(theirs)) = (&self.key, &hello.key) {
                    self.opener = key.opener(theirs);
                }
                self.hello = Some(hello);
            }
            Frame::Progress(progress) => {
                self.progress = Some(progress);
                return Ok(Some(progress));
            }
            Frame::Chunk(text) if self.key.is_none() => self.chunk(chunk::inflate(&text))?,
            Frame::Chunk(_) => self.refused.add(1, "a chunk is not sealed to this session"),
            Frame::Sealed(text) => {
                let opened = match &self.opener {
                    Some(opener) => opener
                        .open(&text)
                        .and_then(|bytes| chunk::inflate_bytes(&bytes)),
                    None => Err("a chunk is sealed to the key of a session".to_owned()),
                };
                self.chunk(opened)?;
            }
            Frame::Failed(failure) => self.failure = Some(failure),
            Frame::End(_) => self.ended = true,
        }
        Ok(None)
    }

    fn chunk(&mut self, inflated: Result<Vec<u8>, String>) -> Result<(), StreamError> {
        let parts = inflated.and_then(|json| {
            self.inflated += json.len();
            serde_json::from_slice::<Vec<Part>>(&json).map_err(|error| error.to_string())
        });
        if self.inflated > MAX_INFLATED_BYTES {
            return Err(StreamError::TooLarge("the inflated capture"));
        }
        match parts {
            Ok(parts) => {
                self.rows += parts.iter().map(Part::rows).sum::<usize>();
                if self.rows > MAX_ROWS {
                    return Err(StreamError::TooLarge("the number of its rows"));
                }
                self.parts.extend(parts);
            }
            Err(reason) => self.refused.add(1, reason),
        }
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

    /// Frames that could not be used so far.
    #[must_use]
    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Why the probe gave up, when it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Everything that arrived, and what is wrong with the stream as a whole.
    #[must_use]
    pub fn finish(self) -> Received {
        Received {
            parts: self.parts,
            refused: self.refused,
            fault: (!self.ended).then_some(StreamError::Cut(self.next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Packer, Sealer};
    use super::*;
    use crate::model::Container;
    use proptest::prelude::*;

    fn stream_by(mut packer: Packer) -> Vec<String> {
        let mut writer = StreamWriter::default();
        let hello = Hello {
            protocol: PROTOCOL.into(),
            probe: "0".into(),
            session: "s".into(),
            node: "n".into(),
            kernel: "k".into(),
            arch: "amd64".into(),
            hooks: Vec::new(),
            key: packer.sealer.as_ref().map(Sealer::public),
        };
        let part = |name: &str| {
            Part::Container(Box::new(Container {
                container: name.into(),
                ..Container::default()
            }))
        };
        let mut lines = vec![
            writer.line(Frame::Hello(hello)),
            writer.line(Frame::Progress(Progress {
                seconds: 1.0,
                ..Progress::default()
            })),
            writer.line(packer.pack(&[part("a")])),
            writer.line(packer.pack(&[part("b")])),
        ];
        lines.push(writer.end());
        lines
    }

    fn stream() -> Vec<String> {
        stream_by(Packer::default())
    }

    /// Number of parts, number of refused frames, and whether there was an end.
    fn read(mut decoder: Decoder, lines: &[String]) -> (usize, u64, bool) {
        for line in lines {
            decoder.line(line.as_bytes()).expect("it is read on");
        }
        let ended = decoder.ended();
        let received = decoder.finish();
        assert_eq!(received.fault.is_none(), ended);
        (received.parts.len(), received.refused.frames, ended)
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(Decoder::default(), &stream()), (2, 0, true));
    }

    #[test]
    fn only_who_has_the_key_reads_what_is_sealed() {
        let key = SessionKey::new([1; 32]);
        let lines = || {
            stream_by(Packer {
                sealer: Sealer::new(&key.public(), [2; 32]),
            })
        };
        assert_eq!(read(Decoder::sealed(key.clone()), &lines()), (2, 0, true));
        assert_eq!(read(Decoder::default(), &lines()), (0, 2, true));
        let other = Decoder::sealed(SessionKey::new([3; 32]));
        assert_eq!(read(other, &lines()), (0, 2, true));
        // Somebody who has no key can't put chunks into a sealed stream.
        assert_eq!(read(Decoder::sealed(key.clone()), &stream()), (0, 2, true));
    }

    #[test]
    fn lines_that_come_again_are_passed_over() {
        let lines = stream();
        let twice: Vec<String> = lines[..2].iter().chain(&lines).cloned().collect();
        assert_eq!(read(Decoder::default(), &twice), (2, 0, true));
    }

    #[test]
    fn lines_that_come_again_for_ever_are_above_the_limit() {
        let line = &stream()[0];
        let mut decoder = Decoder::default();
        let n_lines = MAX_STREAM_BYTES / line.len() + 1;
        let fault = (0..n_lines).find_map(|_| decoder.line(line.as_bytes()).err());
        assert!(matches!(fault, Some(StreamError::TooLarge(_))));
        let mut decoder = Decoder::default();
        for _ in 0..n_lines {
            decoder.again();
            assert!(decoder.line(line.as_bytes()).is_ok());
        }
    }

    #[test]
    fn a_frame_that_cannot_be_used_costs_no_other() {
        let lines = stream();
        // It is missing.
        let mut missing = lines.clone();
        missing.remove(2);
        assert_eq!(read(Decoder::default(), &missing), (1, 1, true));
        // It is not a frame.
        let mut malformed = lines.clone();
        "no frame\n".clone_into(&mut malformed[2]);
        assert_eq!(read(Decoder::default(), &malformed), (1, 1, true));
        // It is too long.
        malformed[2] = "x".repeat(MAX_LINE_BYTES + 1);
        assert_eq!(read(Decoder::default(), &malformed), (1, 1, true));
        // It inflates to more than a chunk has, or to no parts.
        for json in [
            " ".repeat(super::super::MAX_CHUNK_BYTES + 1),
            "7".to_owned(),
        ] {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD
                .encode(miniz_oxide::deflate::compress_to_vec(json.as_bytes(), 1));
            malformed[2] = encode_line(2, Frame::Chunk(text));
            assert_eq!(read(Decoder::default(), &malformed), (1, 1, true));
        }
    }

    #[test]
    fn an_altered_frame_and_another_version_are_refused() {
        let lines = stream();
        let mut decoder = Decoder::default();
        let altered = lines[0].replace("\"kernel\":\"k\"", "\"kernel\":\"x\"");
        decoder.line(altered.as_bytes()).expect("it looks good");
        for line in &lines[1..4] {
            decoder.line(line.as_bytes()).expect("the line is good");
        }
        assert_eq!(decoder.line(lines[4].as_bytes()), Err(StreamError::Altered));

        let other = lines[0].replace(
            &format!("\"protocol\":\"{PROTOCOL}\""),
            "\"protocol\":\"2.0\"",
        );
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
            let chunk = Packer::default().pack(std::slice::from_ref(&part));
            decoder.line(encode_line(number, chunk).as_bytes())
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
            prop_assert!(matches!(decoder.finish().fault, Some(StreamError::Cut(_))));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = Decoder::default().line(&bytes);
        }
    }
}

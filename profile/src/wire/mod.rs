//! The protocol between the plugin and a probe: one [`Request`] down, a stream of [`Frame`]s up.
//!
//! A frame is one line of JSON, `{"seq":N,"frame":{KIND:…}}`. The stream is: one `hello`, any number
//! of `progress`, the capture in `chunk`s, and one `end` that holds the number of frames before it
//! and the SHA-256 of their bytes, line feeds included. A stream without its `end` was cut.
//!
//! A target chooses names, arguments and counts: chunks are cut by their bytes of JSON ([`Chunks`]), so
//! that the reader accepts each, and a chunk that it refuses all the same costs no other.

mod chunk;
mod frame;
mod request;
mod seal;
mod stream;

pub use chunk::{CHUNK_BYTES, Chunks, MAX_ROW_BYTES, Packer, Row};
pub use frame::{
    End, Ended, Failure, FailureCode, Frame, Hello, Line, Part, Progress, WindowReport,
};
pub use request::{Limits, Request, RunAs, TargetSpec, Window};
pub use seal::{Opener, Sealer, SessionKey};
#[cfg(feature = "compare")]
pub(crate) use stream::hex;
pub use stream::{Decoder, Received, Refused, StreamError, StreamWriter, encode_line};

/// Version of the protocol: readers accept any minor of their major.
pub const PROTOCOL: &str = "1.2";
/// Most bytes of all frames of one node together: a container's log is rotated at 10 MiB.
pub const MAX_STREAM_BYTES: usize = 8 << 20;
/// Most bytes of one line: a chunk that could not be deflated at all, in base64.
pub const MAX_LINE_BYTES: usize = 2 << 20;
/// Most bytes that one chunk may inflate to.
pub const MAX_CHUNK_BYTES: usize = 4 << 20;
/// Most bytes that all chunks of one node may inflate to.
pub const MAX_INFLATED_BYTES: usize = 256 << 20;
/// Most rows that all chunks of one node may hold: a short row is far larger in memory than as text.
pub const MAX_ROWS: usize = 1 << 20;

/// The major number of a version `MAJOR.MINOR`.
#[must_use]
pub fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

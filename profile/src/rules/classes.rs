//! The words that conditions can use for programs, files and peers.

use crate::knowledge::class::Class;
use crate::knowledge::{files, peers, programs};

/// The subject of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `process.is`, `program.is`: by the name of a program.
    Program,
    /// `file.is`: by the path of a file.
    File,
    /// `question.is`, and `peer.is` by the peer's names: by a domain.
    Domain,
    /// `peer.is`: by a port.
    Port,
}

/// All classes of a kind.
#[must_use]
pub fn classes(kind: Kind) -> &'static [Class] {
    match kind {
        Kind::Program => &programs::CLASSES,
        Kind::File => &files::CLASSES,
        Kind::Domain => &peers::DOMAINS,
        Kind::Port => &peers::PORTS,
    }
}

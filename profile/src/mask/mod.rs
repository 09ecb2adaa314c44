//! Credentials in what a target chose, made unreadable: best effort, by one model. A name says how
//! likely its value is a credential, a shape says what a value surely is or is not, and what looks
//! random is hidden but for its beginning. docs/masking.md says what is measured of it.
//!
//! Commands, hosts, paths, numbers and digests stay: they are evidence, also behind a secret's name.

mod command;
mod commands;
mod describe;
mod habits;
mod names;
mod profile;
mod random;
mod script;
mod shape;
mod spans;
mod text;
mod tokens;
mod url;
mod value;
mod words;

pub use profile::mask_rows;

use crate::text::Text;
use command::Fed;
use spans::Spans;

/// The text that stands in for a credential.
pub const MASK: &str = "***";

/// How much is made unreadable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaskLevel {
    /// Nothing.
    None,
    /// Masks what names, shapes and randomness say is a credential.
    #[default]
    Default,
    /// That, and every word that is not clearly a path, a flag, a number, a program or a host.
    Strict,
    /// Keeps only the program, the names of flags and the shapes of values of arguments.
    Shape,
}

impl MaskLevel {
    /// The word on the command line and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Shape => "shape",
        }
    }
}

/// Times that arguments are read again, since something in them was masked. From the third on what
/// still changes is masked as a whole.
const MAX_ROUNDS: u32 = 8;
/// Command lines within command lines that are read.
const MAX_DEPTH: u8 = 4;
/// All arguments of a program are read up to here, a little more than what a capture takes; the rest goes.
const MAX_BYTES: usize = 5 << 10;

/// How a text is read.
#[derive(Clone, Copy, Debug)]
struct How {
    /// Command lines within it that may still be read.
    depth: u8,
    /// It surely is a command line.
    certain: bool,
    /// Words of which nothing is known go.
    strict: bool,
}

impl How {
    fn deeper(self) -> Option<Self> {
        let depth = self.depth.checked_sub(1)?;
        Some(Self { depth, ..self })
    }

    fn unsure(self) -> Self {
        Self {
            certain: false,
            ..self
        }
    }
}

/// Masks arguments at the default level; see [`mask_argv_at`].
///
/// ```
/// let mut argv = ["app", "--password=x1", "--token", "y1", "https://u:p1@host/"].map(String::from).to_vec();
/// procmon_profile::mask::mask_argv(&mut argv);
/// assert_eq!(argv, ["app", "--password=***", "--token", "***", "https://u:***@host/"]);
/// ```
pub fn mask_argv(argv: &mut [String]) {
    mask_argv_at(argv, MaskLevel::Default);
}

/// Masks the arguments of a program, of which the first is its name. Masking twice is masking once.
///
/// ```
/// use procmon_profile::mask::{MaskLevel, mask_argv_at};
/// let mut argv = ["app", "--mode=fast", "/etc/app.conf"].map(String::from).to_vec();
/// mask_argv_at(&mut argv, MaskLevel::Shape);
/// assert_eq!(argv, ["app", "--mode=<word:4>", "<path>"]);
/// ```
pub fn mask_argv_at(argv: &mut [String], level: MaskLevel) {
    if level == MaskLevel::None {
        return;
    }
    let how = How {
        depth: MAX_DEPTH,
        certain: true,
        strict: level == MaskLevel::Strict,
    };
    // A masked word of a script may have lost quotes, so that its neighbours read otherwise.
    for round in 0..MAX_ROUNDS {
        let (read, mut changed) = cut(argv);
        let words: Vec<&str> = argv[..read].iter().map(String::as_str).collect();
        let found = command::mask(&words, how, Fed::No);
        for (argument, spans) in argv.iter_mut().zip(found) {
            if let Some(masked) = spans.apply(argument) {
                changed = true;
                *argument = if round > 1 { MASK.to_owned() } else { masked };
            }
        }
        if level == MaskLevel::Shape {
            changed |= describe::argv(argv);
        }
        if !changed {
            break;
        }
        if round + 1 == MAX_ROUNDS {
            for argument in argv.iter_mut() {
                MASK.clone_into(argument);
            }
        }
    }
}

/// As [`mask_argv_at`], for arguments of a document: the line ends and tabs of a script, which stand
/// escaped there, part its words.
///
/// ```
/// use procmon_profile::{mask::{MaskLevel, mask_texts}, text::Text};
/// let mut argv = [&b"sh"[..], b"-c", b"export TOKEN=x\nrun"].map(Text::from_bytes);
/// mask_texts(&mut argv, MaskLevel::Default);
/// assert_eq!(argv[2], r"export TOKEN=***\x0arun");
/// ```
pub fn mask_texts(argv: &mut [Text], level: MaskLevel) {
    if level == MaskLevel::None {
        return;
    }
    let mut plain: Vec<String> = argv.iter().map(Text::with_white_space).collect();
    mask_argv_at(&mut plain, level);
    for (argument, masked) in argv.iter_mut().zip(plain) {
        *argument = masked.into();
    }
}

/// Cuts arguments that are too long in all: how many of them are to be read, and whether one changed.
fn cut(argv: &mut [String]) -> (usize, bool) {
    let mut left = MAX_BYTES;
    let (mut read, mut changed) = (argv.len(), false);
    for (place, argument) in argv.iter_mut().enumerate() {
        if left == 0 {
            read = read.min(place);
            if argument != MASK {
                MASK.clone_into(argument);
                changed = true;
            }
            continue;
        }
        let kept = argument.floor_char_boundary(left);
        if kept < argument.len() && argument[kept..] != *MASK {
            argument.truncate(kept);
            *argument += MASK;
            changed = true;
        }
        // An argument costs something however short it is.
        left = left.saturating_sub(argument.len().max(2));
    }
    (read, changed)
}

/// Masks a command line that stands in one text: a title, what a user typed.
///
/// ```
/// use procmon_profile::mask::{MaskLevel, mask_line};
/// assert_eq!(mask_line("mysql -ps3cret shop", MaskLevel::Default), "mysql -p*** shop");
/// ```
#[must_use]
pub fn mask_line(line: &str, level: MaskLevel) -> String {
    let mut argv = ["sh", "-c", line].map(String::from);
    mask_argv_at(&mut argv, level);
    let [_, _, line] = argv;
    line
}

/// Masks the name of a file, a socket or a host: known tokens and `name=value`. Names are evidence;
/// whatever else they hold stays. `folded`: the text has lost its capitals, as DNS names have.
///
/// ```
/// use procmon_profile::mask::{MaskLevel, mask_name};
/// let level = MaskLevel::Default;
/// assert_eq!(mask_name("/tmp/token=s3cret/x", false, level).as_deref(), Some("/tmp/token=***/x"));
/// assert_eq!(mask_name("/nix/store/8ha1dhmx807czjczmwy078s4r9s254il-glibc/lib", false, level), None);
/// ```
#[must_use]
pub fn mask_name(name: &str, folded: bool, level: MaskLevel) -> Option<String> {
    if level == MaskLevel::None {
        return None;
    }
    let mut last: Option<String> = None;
    // Without a part that went, another may read otherwise.
    for _ in 0..MAX_ROUNDS {
        let name = last.as_deref().unwrap_or(name);
        let mut spans = Spans::default();
        tokens::find(name, folded, &mut spans);
        profile::settings(name, &mut spans);
        if level >= MaskLevel::Strict {
            profile::random_parts(name, &mut spans);
        }
        match spans.apply(name) {
            Some(masked) => last = Some(masked),
            None => return last,
        }
    }
    Some(MASK.to_owned())
}

/// Whether a text would lose something.
fn holds_credential(text: &str) -> bool {
    let mut spans = Spans::default();
    text::scan(text, &mut spans);
    let how = How {
        depth: 1,
        certain: false,
        strict: false,
    };
    script::scan(text, how, &mut spans);
    !spans.is_empty()
}

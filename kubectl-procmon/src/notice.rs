//! Sentences for people, on standard error: they are not part of a result.

use crate::render::{escape, escape_lines};

/// Says a sentence, or several lines of this program's own.
#[expect(clippy::print_stderr, reason = "a sentence is not a result")]
pub(crate) fn say(text: &str) {
    eprintln!("{}", escape_lines(text));
}

/// Warns that something went wrong that does not stop a session, and says what to do about it.
#[expect(clippy::print_stderr, reason = "a warning is not a result")]
pub(crate) fn warn(error: &anyhow::Error) {
    eprintln!("warning: {}", escape(&format!("{error:#}")));
    if let Some(hint) = crate::hint::of(error) {
        eprintln!("  hint: {}", escape(&hint));
    }
}

//! Warnings: something went wrong and does not stop a session.

/// Says it on standard error, with what to do about it.
#[expect(clippy::print_stderr, reason = "a warning is not a result")]
pub(super) fn warn(error: &anyhow::Error) {
    eprintln!("warning: {}", crate::render::escape(&format!("{error:#}")));
    if let Some(hint) = crate::hint::of(error) {
        eprintln!("  hint: {}", crate::render::escape(&hint));
    }
}

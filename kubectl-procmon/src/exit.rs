//! Exit codes, one by one, and how errors look.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done.
    Done,
    /// Not done: usage, rights, cluster, node, unreadable file.
    NotDone,
    /// Done, and the answer is yes: drift at or above the limit.
    Drift,
    /// Done, but incomplete where completeness was demanded.
    Incomplete,
    /// Interrupted; what was made is gone.
    Interrupted,
    /// The command's own.
    Command(u8),
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(match code {
            Code::Done => 0,
            Code::Drift => 1,
            Code::NotDone => 2,
            Code::Incomplete => 3,
            Code::Interrupted => 130,
            Code::Command(code) => code,
        })
    }
}

/// Interrupted, as an error on the way out.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; what was made in the cluster is gone")
    }
}

impl std::error::Error for Interrupted {}

/// A panic is a defect of ours: one line for the user, and no trace of the stack.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = writeln!(
            std::io::stderr(),
            "error: a defect in kubectl-procmon stopped it\n  cause: {place}\n  hint: please report it with the command line and `kubectl procmon version`"
        );
    }));
}

/// Prints what clap says: help to standard output, errors to standard error with exit code 2.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    use std::io::Write as _;
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        _ if error.use_stderr() => Code::NotDone.into(),
        Ok(()) => Code::Done.into(),
        Err(error) => failed(&anyhow::Error::from(error).context("cannot print the help")),
    }
}

/// Prints an error with its causes and what to do next.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return Code::Done.into();
    }
    if error.downcast_ref::<Interrupted>().is_some() {
        return Code::Interrupted.into();
    }
    let mut text = String::new();
    let red = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    text += if red {
        "\x1b[31merror\x1b[0m: "
    } else {
        "error: "
    };
    text += &crate::render::escape(&error.to_string());
    for cause in error.chain().skip(1) {
        text += &format!("\n  cause: {}", crate::render::escape(&cause.to_string()));
    }
    if let Some(hint) = crate::hint::of(error) {
        text += &format!("\n  hint: {}", crate::render::escape(&hint));
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    Code::NotDone.into()
}

/// Whoever read the output has had enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}

//! The place of a result: how wide it is, and whether it shows colours.

use crate::output::Output;
use procmon_profile::model::Severity;
use std::io::IsTerminal as _;

/// The width and the colours that the place of the result can show, and how much is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Columns; none where nobody knows.
    pub(crate) width: Option<u16>,
    /// Colours are understood.
    pub(crate) colour: bool,
    /// Each replica of a workload by itself.
    pub(crate) per_pod: bool,
}

impl Style {
    /// The style of the place that a result is written to.
    pub(crate) fn of(output: &Output) -> Self {
        if output.is_stdout() {
            Self::of_stdout()
        } else {
            Self::plain()
        }
    }

    /// The style of standard output.
    pub(crate) fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            width: terminal.then(columns).flatten(),
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            per_pod: false,
        }
    }

    /// The style of a file.
    pub(crate) fn plain() -> Self {
        Self {
            width: None,
            colour: false,
            per_pod: false,
        }
    }

    /// A heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.painted(1, text)
    }

    /// A severity, as wide as this at least. Words carry the meaning; colours help the eye.
    pub(crate) fn severity(self, severity: Severity, width: usize) -> String {
        let word = format!("{:<width$}", severity.to_string());
        match severity {
            Severity::Critical | Severity::High => self.painted(31, &word),
            Severity::Medium => self.painted(33, &word),
            Severity::Low | Severity::Info => word,
        }
    }

    /// A text between a terminal's codes, where these are understood.
    fn painted(self, code: u8, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(target_os = "linux")]
fn columns() -> Option<u16> {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
}

#[cfg(not(target_os = "linux"))]
fn columns() -> Option<u16> {
    None
}

//! Values to text, one file per form. Renderers take values and a writer and compute nothing that
//! the document does not say. A document's texts are escaped already (`procmon_profile::text`).

pub(crate) mod baseline;
pub(crate) mod drift;
mod table;
mod text;

pub(crate) use procmon_profile::text::escape;
pub(crate) use text::{bytes, count, duration, escape_lines, percent, shell_word};

use crate::output::Output;
use anyhow::Result;
use procmon_profile::model::Profile;
use std::io::{IsTerminal as _, Write};

/// Form of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// What a person wants to see first
    Table,
    /// Everything, uncut, for a person
    Wide,
    /// The document
    Json,
    /// The document, as YAML
    Yaml,
    /// Only what was profiled, as KIND/NAME
    Name,
}

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
    /// Of the place that a result is written to.
    pub(crate) fn of(output: &Output) -> Self {
        if output.is_stdout() {
            Self::of_stdout()
        } else {
            Self::plain()
        }
    }

    /// Of standard output.
    pub(crate) fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            width: terminal.then(columns).flatten(),
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            per_pod: false,
        }
    }

    /// Of a file.
    pub(crate) fn plain() -> Self {
        Self {
            width: None,
            colour: false,
            per_pod: false,
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

/// Writes a profile in a form.
pub(crate) fn render(
    profile: &Profile,
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> Result<()> {
    match format {
        Format::Table => table::render(profile, style, false, out)?,
        Format::Wide => table::render(profile, style, true, out)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(profile)?)?,
        Format::Yaml => write!(out, "{}", serde_saphyr::to_string(profile)?)?,
        Format::Name => writeln!(out, "{}", name(profile))?,
    }
    Ok(())
}

/// `kind/name` of the target.
pub(crate) fn name(profile: &Profile) -> String {
    let target = &profile.session.target;
    format!("{}/{}", target.kind.to_lowercase(), target.name)
}

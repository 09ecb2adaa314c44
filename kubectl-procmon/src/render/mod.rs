//! Values to text, one file per form. Renderers take values and a writer and compute nothing that
//! the document does not say. A document's texts are escaped already (`procmon_profile::text`).

pub(crate) mod baseline;
pub(crate) mod drift;
pub(crate) mod findings;
pub(crate) mod format;
mod markdown;
pub(crate) mod rules;
mod sarif;
mod table;
mod text;

pub(crate) use format::Format;
pub(crate) use procmon_profile::text::escape;
pub(crate) use text::{bytes, count, duration, escape_lines, percent, shell_word};

use crate::hint::advised;
use crate::output::Output;
use anyhow::Result;
use procmon_profile::model::{Baseline, Drift, Findings, Profile};
use serde::Serialize;
use std::io::{IsTerminal as _, Write};

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

/// A document that is shown.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Profile(&'a Profile),
    Baseline(&'a Baseline),
    /// Several are one list to programs.
    Drifts(&'a [Drift]),
    Findings(&'a Findings),
}

impl View<'_> {
    /// The kind of the document, and the forms that it has.
    fn forms(self) -> (&'static str, &'static [Format]) {
        match self {
            Self::Profile(_) => ("Profile", format::OF_PROFILE),
            Self::Baseline(_) => ("Baseline", format::OF_BASELINE),
            Self::Drifts(_) => ("Drift", format::OF_DRIFT),
            Self::Findings(_) => ("Findings", format::OF_FINDINGS),
        }
    }
}

/// Writes a document in a form; an error where it has no such form.
pub(crate) fn render(
    view: View<'_>,
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> Result<()> {
    match (view, format) {
        (View::Profile(profile), Format::Json) => json(profile, out)?,
        (View::Profile(profile), Format::Yaml) => yaml(profile, out)?,
        (View::Profile(profile), Format::Table | Format::Wide) => {
            table::render(profile, style, format == Format::Wide, out)?;
        }
        (View::Profile(profile), Format::Name) => writeln!(out, "{}", name(profile))?,
        (View::Baseline(baseline), Format::Json) => json(baseline, out)?,
        (View::Baseline(baseline), Format::Yaml) => yaml(baseline, out)?,
        (View::Baseline(baseline), Format::Table | Format::Wide) => {
            baseline::table(baseline, style, format == Format::Wide, out)?;
        }
        (View::Drifts(drifts), Format::Json) => json(&drift::document(drifts)?, out)?,
        (View::Drifts(drifts), Format::Yaml) => yaml(&drift::document(drifts)?, out)?,
        (
            View::Drifts(drifts),
            Format::Table | Format::Wide | Format::Markdown | Format::Sarif | Format::Junit,
        ) => drift::render(drifts, format, style, out)?,
        (View::Findings(findings), Format::Json) => json(findings, out)?,
        (View::Findings(findings), Format::Yaml) => yaml(findings, out)?,
        (
            View::Findings(findings),
            Format::Table | Format::Wide | Format::Markdown | Format::Sarif | Format::Junit,
        ) => findings::render(findings, format, style, out)?,
        _ => {
            let (document, forms) = view.forms();
            let forms: Vec<String> = forms.iter().map(|form| form.name()).collect();
            return Err(advised(
                format!("a {document} has no form `{}`", format.name()),
                format!("it has: {}", forms.join(", ")),
            ));
        }
    }
    Ok(())
}

/// Writes a document as JSON, pretty and sorted: made for git.
pub(crate) fn json(document: &impl Serialize, out: &mut dyn Write) -> Result<()> {
    Ok(writeln!(
        out,
        "{}",
        serde_json::to_string_pretty(document)?
    )?)
}

/// Writes a document as YAML.
pub(crate) fn yaml(document: &impl Serialize, out: &mut dyn Write) -> Result<()> {
    Ok(write!(out, "{}", serde_saphyr::to_string(document)?)?)
}

/// `kind/name` of the target.
pub(crate) fn name(profile: &Profile) -> String {
    let target = &profile.session.target;
    format!("{}/{}", target.kind.to_lowercase(), target.name)
}

//! Values to text, one file per form. Renderers take values and a writer and compute nothing that
//! the document does not say. A document's texts are escaped already (`procmon_profile::text`).

pub(crate) mod baseline;
pub(crate) mod drift;
pub(crate) mod findings;
pub(crate) mod format;
mod html;
mod junit;
mod markdown;
mod plain;
pub(crate) mod rules;
mod sarif;
mod style;
mod table;
mod text;

pub(crate) use format::Format;
pub(crate) use procmon_profile::text::escape;
pub(crate) use style::Style;
pub(crate) use text::{bytes, count, duration, escape_lines, percent, shell_word};

use crate::hint::advised;
use anyhow::Result;
use procmon_profile::model::{Baseline, Drift, Findings, Profile};
use serde::Serialize;
use std::io::Write;

/// A document that is shown.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Profile(&'a Profile),
    Baseline(&'a Baseline),
    /// Several are one list to programs.
    Drifts(&'a [Drift]),
    /// The profile that was judged, where it is at hand.
    Findings(&'a Findings, Option<&'a Profile>),
}

impl View<'_> {
    /// The kind of the document, and the forms that it has.
    fn forms(self) -> (&'static str, &'static [Format]) {
        match self {
            Self::Profile(_) => ("Profile", format::OF_PROFILE),
            Self::Baseline(_) => ("Baseline", format::OF_BASELINE),
            Self::Drifts(_) => ("Drift", format::OF_DRIFT),
            Self::Findings(..) => ("Findings", format::OF_FINDINGS),
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
        (View::Profile(profile), Format::Html) => html::profile(profile, out)?,
        (View::Drifts(drifts), Format::Html) => html::drifts(drifts, out)?,
        (View::Findings(findings, profile), Format::Html) => {
            html::findings(findings, profile, out)?;
        }
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
        (View::Findings(findings, _), Format::Json) => json(findings, out)?,
        (View::Findings(findings, _), Format::Yaml) => yaml(findings, out)?,
        (
            View::Findings(findings, _),
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
    text::kind_and_name(&profile.session.target)
}

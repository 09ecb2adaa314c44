//! The forms of results.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Form of a result. Each document has some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
    /// For pull requests
    Markdown,
    /// For code scanning
    Sarif,
    /// For CI
    Junit,
    /// A page for a browser, in one file
    Html,
}

/// Forms of a Profile.
pub(crate) const OF_PROFILE: &[Format] = &[
    Format::Table,
    Format::Wide,
    Format::Json,
    Format::Yaml,
    Format::Name,
    Format::Html,
];
/// Forms of a Baseline.
pub(crate) const OF_BASELINE: &[Format] =
    &[Format::Table, Format::Wide, Format::Json, Format::Yaml];
/// Forms of a Drift.
pub(crate) const OF_DRIFT: &[Format] = &[
    Format::Table,
    Format::Wide,
    Format::Json,
    Format::Yaml,
    Format::Markdown,
    Format::Sarif,
    Format::Junit,
    Format::Html,
];

/// Forms of Findings.
pub(crate) const OF_FINDINGS: &[Format] = OF_DRIFT;

impl Format {
    /// Reads one of some forms from a command line.
    pub(crate) fn one_of(formats: &'static [Self]) -> impl TypedValueParser<Value = Self> {
        let names = formats.iter().filter_map(Self::to_possible_value);
        PossibleValuesParser::new(names).try_map(|name| Self::from_str(&name, false))
    }

    /// Its name on a command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

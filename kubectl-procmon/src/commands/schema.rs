//! `kubectl procmon schema`: the JSON Schema of the documents.

use crate::exit::Code;
use crate::output::Output;
use anyhow::Result;

/// Print the JSON Schema of a document
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kind of document
    #[arg(value_enum, default_value_t = Kind::Profile)]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// What one session showed
    Profile,
    /// What a workload is known to do
    Baseline,
    /// How one differs from the other
    Drift,
    /// The findings of rules about a profile
    Findings,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let schema = match args.kind {
        Kind::Profile => procmon_profile::schema::profile(),
        Kind::Baseline => procmon_profile::schema::baseline(),
        Kind::Findings => procmon_profile::schema::findings(),
        Kind::Drift => procmon_profile::schema::drift(),
    };
    let mut text = serde_json::to_string_pretty(&schema)?;
    text.push('\n');
    Output::Stdout.write(text.as_bytes())?;
    Ok(Code::Done)
}

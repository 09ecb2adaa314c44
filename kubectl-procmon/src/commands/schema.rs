//! `kubectl procmon schema`: the JSON Schema of the documents.

use crate::exit::Code;
use crate::output::Output;
use anyhow::Result;

/// Print the JSON Schema of the Profile document
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<Code> {
    let mut text = serde_json::to_string_pretty(&procmon_profile::schema::profile())?;
    text.push('\n');
    Output::Stdout.write(text.as_bytes())?;
    Ok(Code::Done)
}

//! `baseline export`: a baseline as a file.

use super::kept::{is_json, text};
use crate::documents::Place;
use crate::exit::Code;
use crate::flags::Live;
use crate::output::Output;
use anyhow::Result;
use std::path::PathBuf;

/// Write a baseline to a file or to standard output
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// cm/NAME or a file
    baseline: String,
    /// File, JSON or YAML by its name [default: standard output, as YAML]
    #[arg(long, value_name = "PATH")]
    output_file: Option<PathBuf>,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    let known = Place::of(std::slice::from_ref(&args.baseline))?.read_baseline(&args.live, None)?;
    let json = args.output_file.as_deref().is_some_and(is_json);
    Output::open(args.output_file.as_deref())?.write(&text(&known, json)?)?;
    Ok(Code::Done)
}

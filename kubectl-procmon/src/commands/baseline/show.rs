//! `baseline show`: a baseline on the screen, or as it would be kept.

use crate::documents::Place;
use crate::exit::Code;
use crate::flags::Live;
use crate::output::Output;
use crate::render::format::OF_BASELINE;
use crate::render::{self, Format, Style, View};
use anyhow::Result;

/// Show a baseline
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File, cm/NAME, or `-`
    baseline: String,
    /// Also say what each wildcard stands for, and why
    #[arg(long)]
    explain: bool,
    /// Form of the result
    #[arg(short = 'o', long, value_parser = Format::one_of(OF_BASELINE), default_value = "table", value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    let known = Place::of(std::slice::from_ref(&args.baseline))?.read_baseline(&args.live, None)?;
    let format = match args.output {
        Format::Table if args.explain => Format::Wide,
        other => other,
    };
    let mut text = Vec::new();
    let view = View::Baseline(&known);
    render::render(view, format, Style::of_stdout(), &mut text)?;
    Output::Stdout.write(&text)?;
    Ok(Code::Done)
}

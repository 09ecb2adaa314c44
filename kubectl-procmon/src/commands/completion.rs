//! `kubectl procmon completion`: scripts for shells.

use crate::exit::Code;
use crate::output::Output;
use anyhow::Result;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script for all commands below `root`.
pub(crate) fn run(args: &Args, mut root: clap::Command) -> Result<Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut root, "kubectl-procmon", &mut script);
    Output::Stdout.write(&script)?;
    Ok(Code::Done)
}

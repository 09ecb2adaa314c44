//! The registry of commands. One file per subcommand: its arguments, its help, its run.

pub(crate) mod baseline;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod diff;
pub(crate) mod profile;
pub(crate) mod rules;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod version;

use crate::exit::Code;
use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

/// Profile what a container really does, with nothing installed beforehand.
///
/// A small probe captures by eBPF for a fixed time, answers, and is gone.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-procmon",
    bin_name = "kubectl procmon",
    version,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Profile(Box<profile::Args>),
    Check(Box<check::Args>),
    Diff(Box<diff::Args>),
    Baseline(Box<baseline::Args>),
    Rules(rules::Args),
    Show(show::Args),
    Schema(schema::Args),
    Version(version::Args),
    Completion(completion::Args),
}

/// Runs one command.
pub(crate) fn run(command: Command) -> Result<Code> {
    match command {
        Command::Profile(args) => profile::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Baseline(args) => baseline::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Completion(args) => completion::run(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

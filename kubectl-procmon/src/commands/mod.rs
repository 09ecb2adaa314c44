//! One file per subcommand: its arguments, its help, its run.

pub(crate) mod baseline;
pub(crate) mod completion;
pub(crate) mod diff;
pub(crate) mod profile;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod version;

use crate::cli::Command;
use crate::exit::Code;
use anyhow::Result;

/// Runs one command.
pub(crate) fn run(command: Command) -> Result<Code> {
    match command {
        Command::Profile(args) => profile::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Baseline(args) => baseline::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Completion(args) => completion::run(&args),
    }
}

//! `kubectl procmon baseline`: what a workload is known to do, kept in files or in the cluster.

pub(crate) mod accept;
mod delete;
mod export;
mod kept;
mod list;
mod lock;
mod merge;
mod save;
mod show;

use crate::exit::Code;
use anyhow::Result;

/// Keep what a workload is known to do
///
/// A baseline is made from one or more profiles of a workload; what varies between them becomes a
/// wildcard. `kubectl procmon diff` compares with it. BASELINE is a file (.yaml, .json), or
/// `cm/NAME` for a ConfigMap of the namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kubectl procmon baseline save web.yaml --from p1.json --from p2.json --from p3.json
  kubectl procmon baseline save cm/web deploy/web -n shop --windows 3 --duration 30s
  kubectl procmon baseline show web.yaml --explain
  kubectl procmon baseline merge web.yaml --from p4.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Save(save::Args),
    Show(show::Args),
    Merge(merge::Args),
    Accept(accept::Args),
    Lock(lock::Args),
    List(list::Args),
    Delete(delete::Args),
    Export(export::Args),
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    match &args.action {
        Action::Save(args) => save::run(args),
        Action::Show(args) => show::run(args),
        Action::Merge(args) => merge::run(args),
        Action::Accept(args) => accept::run(args),
        Action::Lock(args) => lock::run(args),
        Action::List(args) => list::run(args),
        Action::Delete(args) => delete::run(args),
        Action::Export(args) => export::run(args),
    }
}

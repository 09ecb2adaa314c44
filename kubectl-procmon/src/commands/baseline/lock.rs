//! `baseline lock`: a baseline changes by `--force` only.

use super::kept::change;
use crate::exit::Code;
use crate::flags::{Force, Live};
use anyhow::Result;

/// Lock a baseline: it then changes by --force only
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or cm/NAME
    baseline: String,
    /// Take the lock away; needs --force
    #[arg(long, requires = "force")]
    unlock: bool,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    change(
        &args.baseline,
        &args.live,
        &args.force,
        if args.unlock { "unlocked" } else { "locked" },
        |mut known| {
            known.metadata.locked = !args.unlock;
            Ok(known)
        },
    )
}

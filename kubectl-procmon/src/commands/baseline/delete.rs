//! `baseline delete`: a baseline goes, with all its parts.

use super::kept::unlocked;
use crate::cluster::store;
use crate::documents::Place;
use crate::exit::Code;
use crate::flags::{Force, Live};
use crate::hint::advised;
use crate::notice::say;
use anyhow::{Context as _, Result};

/// Delete a baseline
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or cm/NAME
    baseline: String,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    let (place, old) = unlocked(&args.baseline, &args.live, &args.force)?;
    let was_there = match &place {
        // Parts of a baseline that was never written whole may be there.
        Place::ConfigMap(name) => store::delete(&args.live.connection, name)?,
        Place::File(path) if old.is_some() => {
            std::fs::remove_file(path)
                .with_context(|| format!("cannot delete `{}`", path.display()))?;
            true
        }
        _ => false,
    };
    if !was_there {
        return Err(advised(
            format!("there is no `{}`", place.name()),
            "`kubectl procmon baseline list` names those that are",
        ));
    }
    if !args.live.quiet {
        say(&format!("deleted {}", place.name()));
    }
    Ok(Code::Done)
}

//! `baseline save`: profiles become a baseline.

use super::kept::{default_name, note, unlocked, write};
use super::merge::{join, sources};
use crate::documents::mismatch;
use crate::exit::Code;
use crate::flags::{Force, Live};
use crate::hint::advised;
use crate::notice::say;
use crate::render;
use anyhow::{Context as _, Result};
use procmon_profile::baseline::from_profiles;
use procmon_profile::model::Profile;

/// Make a baseline from profiles, or from windows recorded now
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or cm/NAME; what is there is replaced
    baseline: String,
    /// What to profile, without --from
    #[arg(value_name = "TARGET", num_args = 0..=2)]
    target: Vec<String>,
    /// A profile, or another baseline; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    from: Vec<String>,
    /// Windows to record one after the other
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    windows: u32,
    /// Name in the document [default: that of the file or ConfigMap]
    #[arg(long)]
    name: Option<String>,
    /// Workload, of profiles that hold several
    #[arg(long)]
    workload: Option<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    let (place, old) = unlocked(&args.baseline, &args.live, &args.force)?;
    let name = args.name.clone().unwrap_or_else(|| default_name(&place));
    let all = if args.from.is_empty() {
        if args.target.is_empty() {
            return Err(advised(
                "nothing to make a baseline from is named",
                "name profiles with `--from p.json`, or a target as `deploy/web`",
            ));
        }
        let profiles = (0..args.windows)
            .map(|_| crate::documents::profile(args.target.clone(), &args.live))
            .collect::<Result<Vec<Profile>>>()?;
        vec![
            from_profiles(&name, &profiles, args.workload.as_deref())
                .map_err(|error| mismatch(&error))
                .context("cannot make a baseline")?,
        ]
    } else {
        sources(&args.from, args.workload.as_deref(), &args.live)?
    };
    let mut all = all.into_iter();
    let first = all.next().context("nothing was read")?;
    let mut made = all.try_fold(first, |one, other| join(one, other, args.force.force))?;
    made.metadata.name = name.into();
    if let Some((old, _)) = old.as_ref().filter(|(old, _)| old.metadata.locked) {
        made.metadata.locked = true;
        made.metadata
            .notes
            .extend(old.metadata.notes.iter().cloned());
        made.metadata
            .notes
            .insert(note("replaced", &args.force).into());
    }
    write(
        &place,
        &made,
        old.and_then(|(_, version)| version).as_deref(),
        &args.live,
    )?;
    if !args.live.quiet {
        say(&render::baseline::summary(&made, &place.name()));
    }
    Ok(Code::Done)
}

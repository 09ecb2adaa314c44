//! `baseline merge`: a baseline gets further windows.

use super::kept::change;
use crate::documents::{Place, mismatch};
use crate::exit::Code;
use crate::flags::{Force, Live};
use crate::hint::advised;
use anyhow::{Context as _, Result};
use procmon_profile::baseline::{self, from_profiles};
use procmon_profile::document::Content;
use procmon_profile::model::{Baseline, Profile};

/// Add windows to a baseline
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or cm/NAME
    baseline: String,
    /// A profile, or another baseline; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    from: Vec<String>,
    /// Workload, of profiles that hold several
    #[arg(long)]
    workload: Option<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    let more = sources(&args.from, args.workload.as_deref(), &args.live)?;
    change(&args.baseline, &args.live, &args.force, "merged", |known| {
        more.iter().try_fold(known, |known, more| {
            join(known, more.clone(), args.force.force)
        })
    })
}

/// Profiles and baselines, each as a baseline.
pub(super) fn sources(
    from: &[String],
    workload: Option<&str>,
    live: &Live,
) -> Result<Vec<Baseline>> {
    let mut profiles: Vec<Profile> = Vec::new();
    let mut all = Vec::new();
    for word in from {
        let place = Place::of(std::slice::from_ref(word))?;
        match place.read(live)?.content {
            Content::Profile(profile) => profiles.push(*profile),
            Content::Baseline(_) => all.push(place.read_baseline(live, workload)?),
            Content::Findings(_) => {
                return Err(advised(
                    format!("`{word}` is of kind Findings"),
                    "give the profile that was judged",
                ));
            }
            Content::Drift(_) => {
                return Err(advised(
                    format!("`{word}` is a Drift"),
                    "`kubectl procmon baseline accept` takes rows of one",
                ));
            }
        }
    }
    if !profiles.is_empty() {
        all.push(
            from_profiles("", &profiles, workload)
                .map_err(|error| mismatch(&error))
                .context("cannot make a baseline")?,
        );
    }
    Ok(all)
}

/// One baseline of two; `force`: although workloads or architectures differ.
pub(super) fn join(one: Baseline, other: Baseline, force: bool) -> Result<Baseline> {
    let name = one.metadata.name.clone();
    let mut merged = if force {
        let workload = one.metadata.workload.clone();
        let mut merged = baseline::merge_by_force(one, other);
        merged.metadata.workload = workload;
        merged
    } else {
        baseline::merge(one, other)
            .map_err(|error| mismatch(&error))
            .context("cannot merge")?
    };
    merged.metadata.name = name;
    Ok(merged)
}

//! `baseline accept`: reviewed rows of a drift become known.

use super::kept::change;
use crate::documents::Place;
use crate::exit::Code;
use crate::flags::{Force, Live};
use crate::hint::advised;
use crate::notice::say;
use anyhow::Result;
use procmon_profile::baseline::{self, workload_name};
use procmon_profile::document::Content;
use procmon_profile::model::{Drift, RowValue};
use std::collections::BTreeSet;

/// Take reviewed rows of a drift into a baseline
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or cm/NAME
    baseline: String,
    /// The drift, as `kubectl procmon diff -o json` writes it
    #[arg(long, value_name = "FILE")]
    drift: String,
    /// Id of a row; may be given several times [default: all]
    #[arg(long, value_name = "ID")]
    row: Vec<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    let place = Place::of(std::slice::from_ref(&args.drift))?;
    let Content::Drift(drift) = place.read(&args.live)?.content else {
        return Err(advised(
            format!("`{}` is no Drift", place.name()),
            "`kubectl procmon diff BASELINE PROFILE -o json` writes one",
        ));
    };
    take_rows(&args.baseline, &drift, &args.row, &args.live, &args.force)
}

/// The least that names a row: what tables show.
const SHORT_ID: usize = 16;

/// The id of the only row that a whole id or its beginning names.
fn row_id<'a>(drift: &'a Drift, wanted: &str) -> Result<&'a str> {
    let fits = |id: &str| id == wanted || (wanted.len() >= SHORT_ID && id.starts_with(wanted));
    let rows: Vec<_> = drift.rows.iter().filter(|row| fits(&row.id)).collect();
    match rows.as_slice() {
        [row] if matches!(row.value, RowValue::Incomplete(_)) => Err(advised(
            format!("row `{wanted}` can't be accepted: {}", row.key),
            "capture it as a whole, or add windows that are not complete to the baseline",
        )),
        [row] => Ok(&row.id),
        [] => Err(advised(
            format!("the drift has no row `{wanted}`"),
            "ids stand in the drift: `-o json`, or the table's first column",
        )),
        several => Err(advised(
            format!(
                "{} rows have an id that begins with `{wanted}`",
                several.len()
            ),
            "give all 32 digits, as `-o json` has them",
        )),
    }
}

/// Takes rows of a drift into a baseline: those with these ids, or all.
pub(crate) fn take_rows(
    baseline: &str,
    drift: &Drift,
    ids: &[String],
    live: &Live,
    force: &Force,
) -> Result<Code> {
    let wanted = ids
        .iter()
        .map(|id| row_id(drift, id))
        .collect::<Result<BTreeSet<&str>>>()?;
    let mut taken = 0;
    let code = change(baseline, live, force, "accepted rows", |mut known| {
        if known.metadata.workload != drift.baseline.workload && !force.force {
            return Err(advised(
                format!(
                    "the drift is of {}, the baseline of {}",
                    workload_name(&drift.baseline.workload),
                    workload_name(&known.metadata.workload)
                ),
                "name the baseline that the drift was made with, or say `--force`",
            ));
        }
        taken = baseline::accept(&mut known, drift, |id| {
            wanted.is_empty() || wanted.contains(id)
        });
        Ok(known)
    })?;
    if !live.quiet {
        say(&format!("{taken} rows were taken into {baseline}"));
    }
    Ok(code)
}

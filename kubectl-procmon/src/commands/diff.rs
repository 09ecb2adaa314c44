//! `kubectl procmon diff`: what a workload does now that its baseline does not know.

use crate::commands::baseline::accept::take_rows;
use crate::documents::{Place, mismatch};
use crate::exit::Code;
use crate::flags::{Force, Live, Threshold};
use crate::hint::advised;
use crate::notice::say;
use crate::output::Output;
use crate::render::format::OF_DRIFT;
use crate::render::{self, Format, Style, View, drift, shell_word};
use anyhow::{Context as _, Result};
use procmon_profile::diff::{self, Options};
use procmon_profile::document::Content;
use procmon_profile::expression::Condition;
use procmon_profile::model::{Baseline, Change, Dimension, Drift, DriftRow, Profile, RowValue};
use procmon_profile::text::Text;
use std::path::PathBuf;

/// Compare a profile, or what a target does now, with a baseline
///
/// BASELINE and PROFILE are files, `-` for standard input, or `cm/NAME`; either may also be a
/// target such as `deploy/web`, which is then profiled. BASELINE may be a profile, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kubectl procmon diff web.yaml p.json
  kubectl procmon diff cm/web deploy/web -n shop --duration 30s --fail-on medium
  kubectl procmon diff web.yaml --live -o sarif --output-file drift.sarif
  kubectl procmon diff web.yaml p.json --ignore \"path.startsWith('/var/cache/')\" --only files,network
  kubectl procmon diff web.yaml p.json --accept --row 1f0c9a2b3d4e5f60
  kubectl procmon diff p.json --odd-one-out

Exit codes: 0 everything was compared and no drift is at or above --fail-on, 1 drift, 2 not done,
3 no such drift, but not everything could be compared (--allow-incomplete makes it 0), 130 interrupted.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Args {
    /// What is known: a file, `-`, cm/NAME, or a target
    baseline: String,
    /// What is compared with it: a file, `-`, cm/NAME, or a target
    #[arg(value_name = "PROFILE|TARGET", num_args = 0..=2)]
    profile: Vec<String>,
    /// Profile the workload that the baseline names
    #[arg(long, conflicts_with_all = ["profile", "odd_one_out", "image_change"])]
    live: bool,
    /// Compare each pod of one profile with all the others; BASELINE is that profile
    #[arg(long, conflicts_with_all = ["profile", "image_change", "accept"])]
    odd_one_out: bool,
    /// Compare two profiles of one workload with different images
    #[arg(long)]
    image_change: bool,
    /// Form of the result
    #[arg(short = 'o', long, value_parser = Format::one_of(OF_DRIFT), default_value = "table", value_name = "FORMAT")]
    output: Format,
    /// Write the result to this file, which is opened before anything starts
    #[arg(long, value_name = "PATH")]
    output_file: Option<PathBuf>,
    /// Leave out rows for which this CEL expression is true; may be given several times
    #[arg(long, value_name = "CEL")]
    ignore: Vec<String>,
    /// Only these dimensions, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "DIMENSION")]
    only: Vec<String>,
    /// The least severity that makes exit code 1
    #[arg(long, value_enum, default_value_t = Threshold::Low, value_name = "SEVERITY")]
    fail_on: Threshold,
    /// Rows that are gone count as well
    #[arg(long)]
    fail_on_gone: bool,
    /// Exit with 0 also when something could not be compared
    #[arg(long)]
    allow_incomplete: bool,
    /// What is done anyway
    #[arg(long, hide = true, conflicts_with = "allow_incomplete")]
    require_complete: bool,
    /// Also tell what became significantly more or less frequent; never above info
    #[arg(long)]
    frequency: bool,
    /// Workload, of a profile that holds several
    #[arg(long)]
    workload: Option<String>,
    /// Take the rows that are shown, or those of --row, into the baseline
    #[arg(long)]
    accept: bool,
    /// Id of a row to accept; may be given several times
    #[arg(long, requires = "accept", value_name = "ID")]
    row: Vec<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    window: Live,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let ignore = args
        .ignore
        .iter()
        .map(|text| {
            Condition::parse(text).map_err(|error| {
                advised(
                    error.to_string(),
                    "for instance: `dimension == 'files' && path.startsWith('/var/cache/')`",
                )
            })
        })
        .collect::<Result<Vec<_>>>()
        .context("cannot use --ignore")?;
    let only = args
        .only
        .iter()
        .map(|name| dimension(name))
        .collect::<Result<Vec<_>>>()?;
    let output = Output::open(args.output_file.as_deref())?;
    let known = Place::of(std::slice::from_ref(&args.baseline))?;
    let mut drifts = if args.odd_one_out {
        let profile = known.read_profile(&args.window)?;
        let options = options(args, &known.name(), "");
        let all = diff::odd_one_out(&profile, &options)
            .map_err(|error| mismatch(&error))
            .context("cannot compare")?;
        if all.is_empty() {
            return Err(advised(
                format!("`{}` holds fewer than two pods", known.name()),
                "profile a workload with several replicas",
            ));
        }
        all.into_values().collect()
    } else {
        vec![compare(args, &known)?]
    };
    for drift in &mut drifts {
        filter(drift, &ignore, &only)?;
        tell_how_to_accept(drift, args);
    }
    let mut code = code(&drifts, args);
    if args.accept {
        for drift in &drifts {
            take_rows(&args.baseline, drift, &args.row, &args.window, &args.force)?;
        }
        code = Code::Done;
    }
    let style = Style::of(&output);
    let mut text = Vec::new();
    render::render(View::Drifts(&drifts), args.output, style, &mut text)
        .context("cannot render the drift")?;
    output.write(&text)?;
    if !args.window.quiet {
        for drift in &drifts {
            say(&drift::summary(drift).to_string());
        }
    }
    Ok(code)
}

fn options(args: &Args, baseline: &str, profile: &str) -> Options {
    Options {
        baseline_name: baseline.to_owned(),
        profile_name: profile.to_owned(),
        force: args.force.force,
        workload: args.workload.clone(),
        frequency: args.frequency,
        all_evidence: false,
    }
}

fn compare(args: &Args, known: &Place) -> Result<Drift> {
    // Both are checked before a window costs anybody half a minute.
    let words = if args.live {
        Vec::new()
    } else {
        args.profile.clone()
    };
    if words.is_empty() && !args.live {
        return Err(advised(
            "nothing to compare with the baseline is named",
            "name a profile or a target such as `deploy/web`, or say `--live`",
        ));
    }
    let baseline = known.read_baseline(&args.window, args.workload.as_deref())?;
    let place = if args.live {
        Place::Target(live_target(&baseline)?)
    } else {
        Place::of(&words)?
    };
    let profile = if args.live {
        let mut window = args.window.clone();
        if window.connection.namespace.is_none() {
            window.connection.namespace = baseline
                .metadata
                .workload
                .namespace
                .clone()
                .map(String::from);
        }
        place.read_profile(&window)?
    } else {
        match place.read(&args.window)?.content {
            Content::Profile(profile) => *profile,
            other => {
                return Err(advised(
                    format!("`{}` is a {}, not a Profile", place.name(), other.kind()),
                    "the baseline comes first, then what is compared with it",
                ));
            }
        }
    };
    if args.image_change {
        check_images(&baseline, &profile, known, &place)?;
    }
    diff::diff(
        &baseline,
        &profile,
        &options(args, &known.name(), &place.name()),
    )
    .map_err(|error| mismatch(&error))
    .context("cannot compare")
}

/// The workload that a baseline names, as a target.
fn live_target(baseline: &Baseline) -> Result<Vec<String>> {
    let workload = &baseline.metadata.workload;
    if workload.kind == "Program" {
        return Err(advised(
            "the baseline is of a program on one machine",
            "profile it with `kubectl procmon profile --local` and name the profile",
        ));
    }
    Ok(vec![format!(
        "{}/{}",
        workload.kind.to_lowercase(),
        workload.name
    )])
}

fn check_images(
    baseline: &Baseline,
    profile: &Profile,
    known: &Place,
    place: &Place,
) -> Result<()> {
    let before: std::collections::BTreeSet<&str> = baseline
        .containers
        .iter()
        .flat_map(|container| &container.image_digests)
        .map(Text::as_str)
        .collect();
    let now: std::collections::BTreeSet<&str> = profile
        .containers
        .iter()
        .filter_map(|container| container.image_digest.as_deref())
        .collect();
    if before.is_empty() || now.is_empty() {
        return Err(advised(
            format!(
                "`{}` does not say which image it saw",
                if before.is_empty() {
                    known.name()
                } else {
                    place.name()
                }
            ),
            "profile a workload of a cluster",
        ));
    }
    if before == now {
        return Err(advised(
            "both are of the same image",
            "leave out `--image-change`",
        ));
    }
    Ok(())
}

fn dimension(name: &str) -> Result<Dimension> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|_| {
        advised(
            format!("`{name}` is no dimension"),
            format!(
                "they are: {}",
                Dimension::ALL.map(|one| one.to_string()).join(", ")
            ),
        )
    })
}

fn filter(drift: &mut Drift, ignore: &[Condition<DriftRow>], only: &[Dimension]) -> Result<()> {
    if !only.is_empty() {
        drift.rows.retain(|row| only.contains(&row.dimension));
        for list in [&mut drift.not_comparable, &mut drift.missing] {
            list.retain(|row| only.contains(&row.dimension));
        }
    }
    let mut kept = Vec::with_capacity(drift.rows.len());
    let all = drift.rows.len();
    'rows: for row in std::mem::take(&mut drift.rows) {
        for condition in ignore {
            if condition.holds(&row).context("cannot use --ignore")? {
                continue 'rows;
            }
        }
        kept.push(row);
    }
    if kept.len() < all {
        drift
            .notes
            .push(format!("{} rows are left out by --ignore", all - kept.len()).into());
    }
    drift.rows = kept;
    diff::finish(drift);
    Ok(())
}

/// Names the command that takes a row in.
fn tell_how_to_accept(drift: &mut Drift, args: &Args) {
    let (baseline, profile) = (drift.baseline.name.clone(), drift.profile.name.clone());
    let from_file = args.profile.len() == 1
        && matches!(
            Place::of(&args.profile),
            Ok(Place::File(_) | Place::ConfigMap(_))
        );
    let command = if args.odd_one_out {
        None
    } else if from_file {
        shell_word(&baseline)
            .zip(shell_word(&profile))
            .map(|(baseline, profile)| {
                format!("kubectl procmon diff {baseline} {profile} --accept --row")
            })
    } else {
        shell_word(&baseline).map(|baseline| {
            format!("kubectl procmon baseline accept {baseline} --drift DRIFT.json --row")
        })
    };
    for row in &mut drift.rows {
        // A dimension that is incomplete is no row of a baseline.
        let is_row = !matches!(row.value, RowValue::Incomplete(_));
        row.accept = command
            .as_ref()
            .filter(|_| is_row)
            .map(|command| format!("{command} {}", row.id).into())
            .unwrap_or_default();
    }
}

/// 1 for drift, whatever else could not be compared; 3 where there is none, but something could not
/// be compared: that is no success.
fn code(drifts: &[Drift], args: &Args) -> Code {
    let drifted = drifts.iter().flat_map(|drift| &drift.rows).any(|row| {
        if row.change == Change::Gone {
            args.fail_on_gone
        } else {
            args.fail_on.includes(row.severity)
        }
    });
    if drifted {
        Code::Drift
    } else if !args.allow_incomplete && drifts.iter().any(|drift| !drift.comparable) {
        Code::Incomplete
    } else {
        Code::Done
    }
}

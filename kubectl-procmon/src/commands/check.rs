//! `kubectl procmon check`: what of a profile is suspicious.

use crate::commands::rules::Which;
use crate::documents::{Place, mismatch};
use crate::exit::Code;
use crate::flags::{Live, Threshold};
use crate::notice::say;
use crate::output::Output;
use crate::render::format::OF_FINDINGS;
use crate::render::{self, Format, Style, View, findings};
use anyhow::{Context as _, Result};
use procmon_profile::diff::{self, Options};
use procmon_profile::model::{Drift, Findings, Profile};
use procmon_profile::rules::{Against, check};
use std::path::PathBuf;

/// Judge a profile, or what a target does now, by rules: what is suspicious, how bad, where the proof is,
/// what to do
///
/// PROFILE is a file, `-` for standard input, or a target such as `deploy/web`, which is then profiled.
/// Rules that could not be judged in the window are listed: no finding of theirs means nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kubectl procmon check p.json
  kubectl procmon check deploy/web -n shop --duration 1m
  kubectl procmon check p.json --baseline web.yaml --fail-on high
  kubectl procmon check p.json --rules own/ -o sarif --output-file findings.sarif
  kubectl procmon check p.json -o html --output-file report.html

Exit codes: 0 no finding is at or above --fail-on, 1 there are such findings, 2 not done, 130 interrupted.")]
pub(crate) struct Args {
    /// The profile to judge: a file, `-`, or a target
    #[arg(value_name = "PROFILE|TARGET", required = true, num_args = 1..=2)]
    profile: Vec<String>,
    /// The known behaviour: a file or cm/NAME. A finding whose evidence is all known is at info
    #[arg(long, value_name = "BASELINE")]
    baseline: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Form of the result
    #[arg(short = 'o', long, value_parser = Format::one_of(OF_FINDINGS), default_value = "table", value_name = "FORMAT")]
    output: Format,
    /// Write the result to this file, which is opened before anything starts
    #[arg(long, value_name = "PATH")]
    output_file: Option<PathBuf>,
    /// The least severity that makes exit code 1
    #[arg(long, value_enum, default_value_t = Threshold::Medium, value_name = "SEVERITY")]
    fail_on: Threshold,
    #[command(flatten)]
    window: Live,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let catalogue = args.which.catalogue()?;
    let output = Output::open(args.output_file.as_deref())?;
    let place = Place::of(&args.profile)?;
    let baseline = args.baseline.as_ref().map(|name| {
        let place = Place::of(std::slice::from_ref(name))?;
        anyhow::Ok((name, place.read_baseline(&args.window, None)?))
    });
    let baseline = baseline.transpose()?;
    let profile = place.read_profile(&args.window)?;
    let found = match &baseline {
        Some((name, baseline)) => {
            let drift = compare(baseline, &profile)?;
            let against = Against {
                name,
                drift: &drift,
            };
            check(&profile, &catalogue, Some(against))
        }
        None => check(&profile, &catalogue, None),
    };
    let mut text = Vec::new();
    render::render(
        View::Findings(&found, Some(&profile)),
        args.output,
        Style::of(&output),
        &mut text,
    )
    .context("cannot render the findings")?;
    output.write(&text)?;
    if !args.window.quiet {
        say(&findings::summary(&found));
    }
    Ok(code(&found, args.fail_on))
}

/// How the profile differs from the baseline, with all of its evidence.
fn compare(baseline: &procmon_profile::model::Baseline, profile: &Profile) -> Result<Drift> {
    let options = Options {
        all_evidence: true,
        ..Options::default()
    };
    diff::diff(baseline, profile, &options)
        .map_err(|error| mismatch(&error))
        .context("cannot compare with the baseline")
}

fn code(found: &Findings, fail_on: Threshold) -> Code {
    let mut rows = found.findings.iter();
    if rows.any(|finding| fail_on.includes(finding.severity)) {
        Code::Drift
    } else {
        Code::Done
    }
}

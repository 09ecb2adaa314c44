//! `kubectl procmon show`: a saved document, or a recorded stream, in any form.

use crate::documents::read_file;
use crate::exit::Code;
use crate::flags::{Masking, Rendering};
use crate::output::Output;
use crate::render::{self, Format, View, shell_word};
use anyhow::{Context as _, Result};
use procmon_profile::document::Content;
use procmon_profile::mask::MaskLevel;
use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::{Drift, Profile, Session, Tool};
use procmon_profile::wire::{Decoder, MAX_STREAM_BYTES};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// Show a saved document in any form
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl procmon show profile.json\n  kubectl procmon show --frames recorded.ndjson -o json"
)]
pub(crate) struct Args {
    /// A saved Profile, Baseline, Drift or Findings; `-` is standard input
    #[arg(
        required_unless_present = "frames",
        conflicts_with = "frames",
        value_name = "FILE"
    )]
    file: Option<PathBuf>,
    /// The recorded stream of a probe; may be given for each node
    #[arg(long, value_name = "FILE")]
    frames: Vec<PathBuf>,
    /// Form of the result: a Profile has name, a Drift and Findings have markdown, sarif and junit, all but a
    /// Baseline have html, each has the others
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    rendering: Rendering,
    #[command(flatten)]
    masking: Masking,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let output = Output::open(args.rendering.output_file.as_deref())?;
    let mut content = match &args.file {
        Some(_) if args.masking.level() != MaskLevel::Default => {
            return Err(crate::hint::advised(
                "a saved document stays as it was masked",
                "leave out `--mask`, or give the stream of the probe by `--frames`",
            ));
        }
        Some(path) => read(path, args.output)?,
        None => Content::Profile(Box::new(read_streams(&args.frames, args.masking.level())?)),
    };
    if let (Content::Drift(drift), Some(path)) = (&mut content, &args.file) {
        tell_how_to_accept(drift, path);
    }
    let view = match &content {
        Content::Profile(profile) => View::Profile(profile),
        Content::Baseline(baseline) => View::Baseline(baseline),
        Content::Drift(drift) => View::Drifts(std::slice::from_ref(drift)),
        Content::Findings(findings) => View::Findings(findings, None),
    };
    let mut text = Vec::new();
    let style = args.rendering.style(&output);
    render::render(view, args.output, style, &mut text)?;
    output.write(&text)?;
    Ok(Code::Done)
}

/// Reads a saved document, which is written again in some forms.
fn read(path: &Path, format: Format) -> Result<Content> {
    let read = read_file(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    if read.newer_minor && matches!(format, Format::Json | Format::Yaml) {
        return Err(crate::hint::advised(
            format!(
                "`{}` has schema {}: writing it again would lose what is new in it",
                path.display(),
                read.schema_version
            ),
            "use `-o table`, or a newer kubectl-procmon",
        ));
    }
    Ok(read.content)
}

/// The commands of a Drift are this program's: one that a document brings may do anything.
fn tell_how_to_accept(drift: &mut Drift, path: &Path) {
    let command = shell_word(&drift.baseline.name)
        .zip(path.to_str().and_then(shell_word))
        .map(|(baseline, path)| {
            format!("kubectl procmon baseline accept {baseline} --drift {path} --row")
        });
    for row in &mut drift.rows {
        let is_id = !row.id.is_empty() && row.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        row.accept = command
            .as_ref()
            .filter(|_| is_id)
            .map(|command| format!("{command} {}", row.id).into())
            .unwrap_or_default();
    }
}

fn read_streams(paths: &[PathBuf], mask: MaskLevel) -> Result<Profile> {
    let mut captures = Vec::new();
    let mut session = Session {
        tool: Tool {
            name: "kubectl-procmon".into(),
            version: env!("CARGO_PKG_VERSION").to_owned().into(),
        },
        ..Session::default()
    };
    for path in paths {
        let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut decoder = Decoder::default();
        let mut fault = None;
        let mut reader = BufReader::new(file.take(MAX_STREAM_BYTES as u64 + 1));
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if let Err(error) = decoder.line(&line) {
                fault = Some(error);
                break;
            }
            line.clear();
        }
        let Some(hello) = decoder.hello().cloned() else {
            return Err(match fault {
                Some(fault) => anyhow::Error::from(fault),
                None if decoder.refused().frames > 0 => {
                    anyhow::anyhow!(
                        "it is not the stream of a probe: {}",
                        decoder.refused().reason
                    )
                }
                None => anyhow::anyhow!("it is not the stream of a probe"),
            }
            .context(format!("cannot read `{}`", path.display())));
        };
        session.id.clone_from(&hello.session);
        session.target.kind = "Stream".into();
        session.target.name = path.display().to_string().into();
        let fault = fault.map(|fault| fault.to_string());
        captures.push(NodeCapture {
            mask,
            ..NodeCapture::read(hello.node, decoder, fault)
        });
    }
    Ok(merge(session, captures))
}

//! `kubectl procmon show`: a saved document, or a recorded stream, in any form.

use crate::cli::Rendering;
use crate::exit::Code;
use crate::output::Output;
use crate::render::{self, Format, Style};
use anyhow::{Context as _, Result, bail};
use procmon_profile::document::{self, MAX_DOCUMENT_BYTES};
use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::{Profile, Session, Tool};
use procmon_profile::wire::{Decoder, MAX_STREAM_BYTES};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

/// Show a saved profile in any form
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl procmon show profile.json\n  kubectl procmon show --frames recorded.ndjson -o json"
)]
pub(crate) struct Args {
    /// A saved Profile; `-` is standard input
    #[arg(
        required_unless_present = "frames",
        conflicts_with = "frames",
        value_name = "FILE"
    )]
    file: Option<PathBuf>,
    /// The recorded stream of a probe; may be given for each node
    #[arg(long, value_name = "FILE")]
    frames: Vec<PathBuf>,
    #[command(flatten)]
    rendering: Rendering,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let output = Output::open(args.rendering.output_file.as_deref())?;
    let profile = match &args.file {
        Some(path) => {
            let read =
                read_document(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let rewrites = matches!(args.rendering.output, Format::Json | Format::Yaml);
            if read.newer_minor && rewrites {
                return Err(crate::hint::advised(
                    format!(
                        "`{}` has schema {}: writing it again would lose what is new in it",
                        path.display(),
                        read.profile.schema_version
                    ),
                    "use `-o table`, or a newer kubectl-procmon",
                ));
            }
            read.profile
        }
        None => read_streams(&args.frames)?,
    };
    let mut text = Vec::new();
    let style = if output.is_stdout() {
        Style::of_stdout()
    } else {
        Style::plain()
    };
    render::render(&profile, args.rendering.output, style, &mut text)?;
    output.write(&text)?;
    Ok(Code::Done)
}

fn read_document(path: &Path) -> Result<document::Document> {
    let bytes = if path == Path::new("-") {
        read_limited(std::io::stdin().lock())?
    } else {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            bail!("it is a folder");
        }
        if metadata.len() > MAX_DOCUMENT_BYTES {
            bail!(
                "it has {} bytes, more than the {MAX_DOCUMENT_BYTES} that are read",
                metadata.len()
            );
        }
        read_limited(file)?
    };
    Ok(document::parse(&bytes)?)
}

fn read_limited(from: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        bail!("it has more than the {MAX_DOCUMENT_BYTES} bytes that are read");
    }
    Ok(bytes)
}

fn read_streams(paths: &[PathBuf]) -> Result<Profile> {
    let mut captures = Vec::new();
    let mut session = Session {
        tool: Tool {
            name: "kubectl-procmon".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
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
                None => anyhow::anyhow!("it is no stream of a probe"),
            }
            .context(format!("cannot read `{}`", path.display())));
        };
        session.id.clone_from(&hello.session);
        "Stream".clone_into(&mut session.target.kind);
        session.target.name = path.display().to_string();
        let failure = decoder.failure().cloned();
        let (parts, cut) = decoder.finish();
        let fault = fault.or(cut).map(|fault| fault.to_string());
        captures.push(NodeCapture {
            node: hello.node,
            parts,
            fault,
            failure,
        });
    }
    Ok(merge(session, captures))
}

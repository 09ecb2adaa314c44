//! `kubectl procmon version`: the plugin, what it speaks, and the probes that it carries.

use crate::exit::Code;
use crate::output::Output;
use anyhow::Result;
use procmon_profile::model::{API_VERSION, SCHEMA_VERSION};
use procmon_profile::wire::PROTOCOL;
use serde_json::json;

/// Print versions of the plugin, its documents, its protocol and the probes that it carries
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the result
    #[arg(short = 'o', long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For programs
    Json,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let probes: Vec<(&str, usize, String)> = crate::probes::all()
        .iter()
        .map(|(arch, bytes)| (*arch, bytes.len(), crate::probes::digest(bytes)))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let text = match args.output {
        Form::Json => {
            let probes: Vec<_> = probes
                .iter()
                .map(
                    |(arch, bytes, sha256)| json!({"arch": arch, "bytes": bytes, "sha256": sha256}),
                )
                .collect();
            let value = json!({
                "version": version,
                "apiVersion": API_VERSION,
                "schemaVersion": SCHEMA_VERSION,
                "protocol": PROTOCOL,
                "probes": probes,
            });
            serde_json::to_string_pretty(&value)? + "\n"
        }
        Form::Text => {
            let mut text = format!(
                "kubectl-procmon {version}\ndocuments {API_VERSION}, schema {SCHEMA_VERSION}\nprotocol {PROTOCOL}\n"
            );
            for (arch, bytes, sha256) in probes {
                text += &format!("probe {arch}: {bytes} bytes, sha256 {sha256}\n");
            }
            text
        }
    };
    Output::Stdout.write(text.as_bytes())?;
    Ok(Code::Done)
}

//! `kubectl procmon version`: the plugin, what it speaks, and the probes that it carries.

use crate::exit::Code;
use crate::output::Output;
use crate::probes;
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

/// A probe, and what an admission policy can compare.
struct Carried {
    arch: &'static str,
    bytes: usize,
    /// SHA-256 of the executable.
    sha256: String,
    /// SHA-256 of its base64, as the ConfigMap holds it.
    delivered: String,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let probes = probes::all()
        .iter()
        .map(|(arch, bytes)| {
            Ok(Carried {
                arch,
                bytes: bytes.len(),
                sha256: probes::digest(bytes),
                delivered: probes::delivered_digest(bytes)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let version = env!("CARGO_PKG_VERSION");
    let text = match args.output {
        Form::Json => {
            let probes: Vec<_> = probes
                .iter()
                .map(|probe| {
                    json!({
                        "arch": probe.arch,
                        "bytes": probe.bytes,
                        "sha256": probe.sha256,
                        "configMap": {"binaryData": {probes::KEY: {"base64Sha256": probe.delivered}}},
                    })
                })
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
            for probe in probes {
                text += &format!(
                    "probe {}: {} bytes, sha256 {}\n  in a ConfigMap, base64 of binaryData.{}: sha256 {}\n",
                    probe.arch,
                    probe.bytes,
                    probe.sha256,
                    probes::KEY,
                    probe.delivered
                );
            }
            text
        }
    };
    Output::Stdout.write(text.as_bytes())?;
    Ok(Code::Done)
}

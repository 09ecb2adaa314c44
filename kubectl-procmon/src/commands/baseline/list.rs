//! `baseline list`: the baselines of a namespace, or of a folder.

use crate::cluster::store;
use crate::exit::Code;
use crate::flags::Live;
use crate::output::Output;
use crate::render;
use anyhow::{Context as _, Result};
use procmon_profile::baseline::workload_name;
use procmon_profile::document::Content;
use std::path::PathBuf;

/// List the baselines of a namespace, or of a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder with files
    folder: Option<PathBuf>,
    #[command(flatten)]
    live: Live,
}

pub(super) fn run(args: &Args) -> Result<Code> {
    let mut rows = Vec::new();
    match &args.folder {
        Some(folder) => {
            let entries = std::fs::read_dir(folder)
                .with_context(|| format!("cannot read `{}`", folder.display()))?;
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                let known = path.extension().is_some_and(|extension| {
                    extension == "json" || extension == "yaml" || extension == "yml"
                });
                if known
                    && let Ok(Content::Baseline(baseline)) =
                        crate::documents::read_file(&path).map(|document| document.content)
                {
                    rows.push(vec![
                        path.display().to_string(),
                        workload_name(&baseline.metadata.workload),
                        baseline.windows.len().to_string(),
                        if baseline.metadata.locked {
                            "locked"
                        } else {
                            ""
                        }
                        .to_owned(),
                    ]);
                }
            }
        }
        None => {
            for map in store::list(&args.live.connection)? {
                let (windows, state) = match map.head {
                    Ok((windows, locked)) => (
                        windows.to_string(),
                        if locked { "locked" } else { "" }.to_owned(),
                    ),
                    Err(reason) => ("?".to_owned(), format!("can't be read: {reason}")),
                };
                rows.push(vec![
                    format!("cm/{}", map.name),
                    map.workload,
                    windows,
                    state,
                ]);
            }
        }
    }
    let mut out = Vec::new();
    render::baseline::list(&rows, &mut out)?;
    Output::Stdout.write(&out)?;
    Ok(Code::Done)
}

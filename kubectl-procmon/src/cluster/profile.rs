//! From a target to its Profile, with nothing left behind.

use super::capture::{Capture, failed};
use super::options::Options;
use super::{client, dry_run, enrich, plan};
use crate::interrupt::Interrupts;
use crate::notice::warn;
use crate::progress::Window as ProgressWindow;
use anyhow::{Context as _, Result, bail};
use procmon_profile::merge::{NodeCapture, merge, normalize};
use procmon_profile::model::{LabelMode, Profile};
use procmon_profile::text::Text;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The outcome of a command.
pub(crate) enum Outcome {
    /// A document.
    Profile(Box<Profile>),
    /// Text of what would be created.
    Manifests(String),
    /// Interrupted twice; all is gone.
    Interrupted,
}

/// Profiles a target in a cluster.
pub(crate) fn run(options: Options) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?;
    let outcome = runtime.block_on(profile(Arc::new(options)));
    // Streams of logs end by themselves only a second later.
    runtime.shutdown_background();
    outcome
}

async fn profile(options: Arc<Options>) -> Result<Outcome> {
    let (client, namespace) = client::connect(&options.connection).await?;
    let plan = plan::plan(&client, &namespace, &options).await?;
    for note in &plan.notes {
        warn(&anyhow::anyhow!(note.clone()));
    }
    let session = crate::session::new(
        plan.target.clone(),
        LabelMode::Cgroup,
        Some(options.seconds),
        options.mask,
    );
    let capture = Arc::new(Capture::new(
        client.clone(),
        &plan,
        &session.id,
        Arc::clone(&options),
    )?);
    if let Some(dry_run) = options.dry_run {
        let text = dry_run::manifests(&capture, dry_run).await?;
        return Ok(Outcome::Manifests(text));
    }
    let interrupts = Interrupts::watch().context("cannot watch for signals")?;
    let progress = Arc::new(ProgressWindow::new(
        Some(options.seconds),
        options.quiet,
        options.verbose,
    ));
    // In a task of its own: whatever happens there, what it made is taken away here.
    let captures = tokio::spawn({
        let (capture, progress) = (Arc::clone(&capture), Arc::clone(&progress));
        let interrupts = Arc::clone(&interrupts);
        async move { capture.run(progress, interrupts).await }
    });
    let captures = captures.await;
    progress.finish();
    // Names are read while the clean-up waits.
    let naming = async {
        let is_wanted = matches!(captures, Ok(Ok(_))) && interrupts.load(Ordering::SeqCst) < 2;
        if is_wanted {
            Some(enrich::Cluster::read(&client, &plan).await)
        } else {
            None
        }
    };
    let (left, names) = tokio::join!(capture.clean_up(), naming);
    if let Err(error) = left {
        warn(&error);
    }
    if interrupts.load(Ordering::SeqCst) > 1 {
        return Ok(Outcome::Interrupted);
    }
    let mut captures = match captures {
        Ok(captures) => captures?,
        Err(_) => bail!("a defect stopped the capture; what it made in the cluster is gone"),
    };
    if let Some(error) = nothing_captured(&captures) {
        return Err(error);
    }
    captures.extend(
        plan.refused
            .iter()
            .map(|(node, reason)| failed(node, reason.clone())),
    );
    for capture in &mut captures {
        capture.mask = options.mask;
    }
    let mut profile = merge(session, captures);
    let notes = plan.notes.iter().map(Text::from);
    profile.completeness.notes.extend(notes);
    if options.pod.privileged {
        let note = "the probe's pod was privileged, as `--privileged` asked for";
        profile.completeness.notes.push(note.into());
    }
    // A window that somebody else ended is partial instead.
    profile.session.ended_early &= interrupts.load(Ordering::SeqCst) > 0;
    if let Some(names) = names {
        enrich::enrich(&names, options.target.container.as_deref(), &mut profile);
    }
    normalize(&mut profile);
    Ok(Outcome::Profile(Box::new(profile)))
}

/// No node sent anything of its window: an error says more than an empty document.
fn nothing_captured(captures: &[NodeCapture]) -> Option<anyhow::Error> {
    let mut errors = captures.iter().map(crate::hint::nothing_captured);
    let first = captures.first()?;
    let error = errors.next()??;
    errors
        .all(|error| error.is_some())
        .then(|| error.context(format!("cannot profile on node `{}`", first.node)))
}

//! All talk with the API server: from a target to a Profile, with nothing left behind.

mod carrier;
mod client;
pub(crate) mod connection;
mod containers;
mod credential;
mod deliver;
mod enrich;
mod errors;
mod follow;
mod kubeconfig;
mod node;
mod options;
mod peers;
mod plan;
mod session;
pub(crate) mod store;
mod target;

pub(crate) use carrier::manifest::{Settings, parse_sizes};
pub(crate) use options::{DryRun, Options};
pub(crate) use target::Wanted;

use crate::interrupt::Interrupts;
use crate::progress::Window as ProgressWindow;
use anyhow::{Context as _, Result, bail};
use deliver::Delivery;
use k8s_openapi::api::core::v1::Pod;
use node::NodeTarget;
use plan::Plan;
use procmon_profile::asked::Asked;
use procmon_profile::merge::{NodeCapture, merge, normalize};
use procmon_profile::model::{LabelMode, Profile};
use procmon_profile::text::Text;
use procmon_profile::wire::{Failure, FailureCode, Limits, Request, TargetSpec, Window};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Seconds that starting a pod may take.
const START_ALLOWANCE: f64 = 60.0;
/// Seconds that the creation of one pod more takes.
const PER_NODE: f64 = 0.05;
/// Seconds kept for fetching the capture.
const FETCH_ALLOWANCE: f64 = 30.0;

/// What came of it.
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
    let deadline =
        START_ALLOWANCE + PER_NODE * count(plan.nodes.len()) + options.seconds + FETCH_ALLOWANCE;
    let delivery = Arc::new(Delivery::new(
        client.clone(),
        &plan,
        &session.id,
        deadline,
        &options,
    )?);
    if let Some(dry_run) = options.dry_run {
        return manifests(&delivery, &plan, &options, dry_run).await;
    }
    let interrupts = Interrupts::watch().context("cannot watch for signals")?;
    let progress = Arc::new(ProgressWindow::new(
        Some(options.seconds),
        options.quiet,
        options.verbose,
    ));
    // In a task of its own: whatever happens there, what it made is taken away here.
    let captures = tokio::spawn(capture(
        Arc::clone(&delivery),
        plan.nodes.clone(),
        Arc::clone(&options),
        Arc::clone(&progress),
        Arc::clone(&interrupts),
    ));
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
    let (left, names) = tokio::join!(delivery.clean_up(), naming);
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
    // Windows that somebody else ended are partial instead.
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

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// What does not stop the session, on standard error.
#[expect(clippy::print_stderr, reason = "a warning that is no result")]
fn warn(error: &anyhow::Error) {
    eprintln!("warning: {}", crate::render::escape(&format!("{error:#}")));
    if let Some(hint) = crate::hint::of(error) {
        eprintln!("  hint: {}", crate::render::escape(&hint));
    }
}

fn failed(node: &str, reason: String) -> NodeCapture {
    NodeCapture {
        node: node.to_owned().into(),
        failure: Some(Failure {
            code: FailureCode::Other,
            message: reason.into(),
        }),
        ..NodeCapture::default()
    }
}

/// Puts the probes on their nodes and follows them to their ends, all nodes at once.
async fn capture(
    delivery: Arc<Delivery>,
    nodes: Vec<NodeTarget>,
    options: Arc<Options>,
    progress: Arc<ProgressWindow>,
    interrupts: Arc<AtomicU32>,
) -> Result<Vec<NodeCapture>> {
    ask_and_prepare(&delivery, &nodes, &options).await?;
    progress.expect(nodes.iter().map(|node| node.name.clone()));
    let states = follow::watch(&delivery);
    let renewer = tokio::spawn(deliver::renew(Arc::clone(&delivery)));
    let stopper = tokio::spawn(stop_on_interrupt(
        Arc::clone(&delivery),
        Arc::clone(&interrupts),
    ));
    let mut tasks = Vec::new();
    for node in nodes {
        let request = request(&delivery, &node, &options);
        let task = follow::node(
            Arc::clone(&delivery),
            node.clone(),
            request,
            states.clone(),
            Arc::clone(&progress),
            Arc::clone(&interrupts),
        );
        tasks.push((node.name.clone(), tokio::spawn(task)));
    }
    let mut captures = Vec::new();
    let mut first_error = None;
    for (name, task) in tasks {
        captures.push(match task.await {
            Ok(Ok(capture)) => capture,
            Ok(Err(error)) => {
                let capture = failed(&name, format!("{error:#}"));
                let error = error.context(format!("cannot profile on node `{name}`"));
                // A replaced probe is worth more than any other error.
                let is_worse = error.downcast_ref::<deliver::ProbeReplaced>().is_some();
                if is_worse || first_error.is_none() {
                    first_error = Some(error);
                }
                capture
            }
            Err(_) => failed(&name, "a defect stopped it".to_owned()),
        });
    }
    stopper.abort();
    renewer.abort();
    match first_error {
        // Whoever replaced the probe on one node may have written what others sent.
        Some(error) if error.downcast_ref::<deliver::ProbeReplaced>().is_some() => Err(error),
        // Nothing at all came of it: the error says more than an empty document.
        Some(error) if captures.iter().all(|capture| capture.parts.is_empty()) => Err(error),
        _ => Ok(captures),
    }
}

/// Makes what pods need while the API server is asked whether it would admit them: a refusal is
/// known before the probe is sent.
async fn ask_and_prepare(
    delivery: &Delivery,
    nodes: &[NodeTarget],
    options: &Options,
) -> Result<()> {
    let first = nodes.first().context("there is no node to profile")?;
    let (asked, anchored) = tokio::join!(ask(delivery, first, options), delivery.anchor_down());
    anchored?;
    asked.with_context(|| format!("cannot create the probe's pod on node `{}`", first.name))?;
    delivery.upload(nodes).await
}

/// Asks the API server whether it would admit the probe's pod on a node. A policy may refuse one image
/// and take another, so that the first two are tried: a sandbox image, and one of the target's.
async fn ask(delivery: &Delivery, node: &NodeTarget, options: &Options) -> Result<()> {
    let refused = match delivery.ask(&first_pod(delivery, node, options)?).await {
        Ok(()) => return Ok(()),
        Err(refused) => refused,
    };
    let Some(image) = node.images.get(1) else {
        return Err(refused);
    };
    let pod = delivery.pod(node, &request(delivery, node, options), image, 1)?;
    delivery.ask(&pod).await.map_err(|_| refused)
}

/// The pod of a node with its most likely image.
fn first_pod(delivery: &Delivery, node: &NodeTarget, options: &Options) -> Result<Pod> {
    let image = node.images.first().map_or("", String::as_str);
    delivery.pod(node, &request(delivery, node, options), image, 0)
}

fn request(delivery: &Delivery, node: &NodeTarget, options: &Options) -> Request {
    let target = TargetSpec::Pods {
        uids: node.pod_uids.clone(),
    };
    Request {
        node: Some(node.name.clone()),
        window: Window {
            seconds: Some(options.seconds),
        },
        deadline_seconds: Some(options.seconds + FETCH_ALLOWANCE),
        limits: Limits {
            // Map memory counts against the pod's limit.
            file_rows: 32_768,
            ..Limits::default()
        },
        latency: options.latency,
        verbose: options.verbose,
        concurrent: options.concurrent,
        seal_to: Some(delivery.key.public()),
        ..Request::new(&delivery.session, target)
    }
}

/// What a node was asked, for the reader of what it sends.
fn asked(delivery: &Delivery, node: &NodeTarget) -> Asked {
    Asked {
        pods: node
            .pod_uids
            .iter()
            .cloned()
            .zip(node.created.iter().copied())
            .collect(),
        times: delivery.times(),
        longest: delivery.seconds + FETCH_ALLOWANCE,
    }
}

/// The first interrupt ends the windows through the API, so that their captures can be fetched.
async fn stop_on_interrupt(delivery: Arc<Delivery>, interrupts: Arc<AtomicU32>) {
    while interrupts.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if let Err(error) = delivery.stop_windows().await {
        warn(&error);
    }
}

/// What would be created, as YAML.
async fn manifests(
    delivery: &Delivery,
    plan: &Plan,
    options: &Options,
    dry_run: DryRun,
) -> Result<Outcome> {
    let mut text = String::new();
    let mut add = |value: serde_json::Value| -> Result<()> {
        if !text.is_empty() {
            text += "---\n";
        }
        text += &serde_saphyr::to_string(&value)?;
        Ok(())
    };
    add(serde_json::to_value(delivery.anchor())?)?;
    for arch in deliver::architectures(&plan.nodes) {
        let mut map = serde_json::to_value(delivery.config_map(arch)?)?;
        // A megabyte helps nobody who reads this.
        map["binaryData"][crate::probes::KEY] = crate::probes::describe(arch).into();
        add(map)?;
    }
    for node in &plan.nodes {
        let pod = first_pod(delivery, node, options)?;
        if dry_run == DryRun::Server {
            ask(delivery, node, options)
                .await
                .with_context(|| format!("cannot create the probe on node `{}`", node.name))?;
        }
        add(serde_json::to_value(pod)?)?;
    }
    Ok(Outcome::Manifests(text))
}

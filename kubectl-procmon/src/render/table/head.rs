//! What was profiled, and how complete it is.

use super::screen::Screen;
use crate::render::name;
use procmon_profile::completeness::joined;
use procmon_profile::model::{Container, DimensionState, HookState, Profile};
use std::io;

pub(super) fn header(screen: &mut Screen<'_>, profile: &Profile) -> io::Result<()> {
    let session = &profile.session;
    let place = session
        .target
        .namespace
        .as_ref()
        .map(|namespace| format!(" -n {namespace}"))
        .unwrap_or_default();
    let target = &session.target;
    let title = if target.kind == "Command" {
        format!("command \"{}\"", target.name)
    } else {
        name(profile)
    };
    screen.heading(&format!("{title}{place}"))?;
    let nodes: Vec<String> = profile
        .nodes
        .iter()
        .map(|node| match &node.kernel {
            Some(kernel) => format!("{} (Linux {kernel})", node.name),
            None => node.name.clone().into(),
        })
        .collect();
    if !nodes.is_empty() {
        screen.line("node", &nodes.join(", "))?;
    }
    if let (Some(seconds), Some(started)) = (session.window_seconds, &session.started_at) {
        let early = if session.ended_early {
            ", ended early"
        } else {
            ""
        };
        let second = started.get(..19).unwrap_or(started);
        let length = if seconds < 1.0 {
            format!("{:.0} ms", seconds * 1000.0)
        } else {
            format!("{seconds:.1} s")
        };
        screen.line("window", &format!("{length} from {second}Z{early}"))?;
    }
    if let Some(exit) = session.exit {
        screen.line("exit code", &exit.to_string())?;
    }
    screen.line("complete", &completeness(profile))?;
    for node in &profile.nodes {
        if let Some(error) = &node.error {
            screen.line("failed", &format!("{}: {error}", node.name))?;
        }
    }
    for (dimension, state) in &profile.completeness.dimensions {
        if state.state == DimensionState::Partial {
            let dimension = format!("{dimension:?}").to_lowercase();
            screen.line(
                "partial",
                &format!("{dimension}: {}", joined(&state.reasons)),
            )?;
        }
    }
    for note in &profile.completeness.notes {
        screen.line("note", note)?;
    }
    Ok(())
}

/// Whether to rely on it, in one line.
fn completeness(profile: &Profile) -> String {
    let missing: Vec<String> = profile
        .completeness
        .dimensions
        .iter()
        .filter(|(_, state)| state.state == DimensionState::Missing)
        .map(|(dimension, _)| format!("{dimension:?}").to_lowercase())
        .collect();
    let number = |state: HookState| {
        let hooks = profile.nodes.iter().flat_map(|node| &node.hooks);
        hooks.filter(|hook| hook.state == state).count()
    };
    let (proven, attached, absent) = (
        number(HookState::Proven),
        number(HookState::Attached),
        number(HookState::Missing),
    );
    let all = proven + attached + absent;
    let mut text = match (profile.completeness.complete, attached, absent) {
        (true, 0, 0) => format!("yes, all {all} hooks proven"),
        // What is missing has a stand-in, or belongs to what is not captured.
        (true, 0, _) => format!("yes, all {proven} hooks that are needed are proven"),
        (true, ..) => format!("yes, {proven} hooks proven, {attached} in use without proof"),
        // Not every missing hook is needed: what lacks says so below.
        (false, _, 0) => format!("NO, see below; {proven} of {all} hooks proven"),
        (false, ..) => format!("NO, see below; {proven} hooks proven, {absent} not to be had"),
    };
    if !missing.is_empty() {
        text += &format!(", not captured: {}", missing.join(", "));
    }
    text
}

/// Containers in the order of the screen, with their titles: of one that was started again the older
/// instance first, and each with what tells it from the other.
pub(super) fn titles(containers: &[Container]) -> Vec<(&Container, String)> {
    fn key(container: &Container) -> impl Ord + '_ {
        (&container.namespace, &container.pod, &container.container)
    }
    let mut sorted: Vec<&Container> = containers.iter().collect();
    sorted.sort_by(|a, b| (key(a), &a.started_at).cmp(&(key(b), &b.started_at)));
    sorted
        .chunk_by(|a, b| key(a) == key(b))
        .flat_map(|same| {
            same.iter()
                .map(|container| (*container, title(container, same.len() > 1)))
        })
        .collect()
}

fn title(container: &Container, twice: bool) -> String {
    let mut text = match &container.pod {
        Some(pod) => format!("{pod}/{}", container.container),
        None => container.container.clone().into(),
    };
    if twice && let Some(id) = &container.container_id {
        let time = |at: &str| at.get(11..19).unwrap_or(at).to_owned();
        text += &format!(" ({}", id.get(..12).unwrap_or(id));
        if let Some(at) = &container.started_at {
            text += &format!(", started {}", time(at));
        }
        if let Some(at) = &container.ended_at {
            text += &format!(", ended {}", time(at));
        }
        text += ")";
    }
    if let Some(node) = &container.node {
        text += &format!(" on {node}");
    }
    if let Some(image) = &container.image {
        text += &format!(", image {image}");
    }
    text
}

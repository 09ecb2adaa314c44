//! What was profiled, and how complete it is.

use super::replicas::{Shown, together};
use super::screen::Screen;
use crate::render::text::kind_and_name;
use jiff::Timestamp;
use procmon_profile::completeness::joined;
use procmon_profile::model::{Container, DimensionState, HookState, NotRunning, Profile};
use procmon_profile::text::Text;
use std::collections::BTreeSet;
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
        kind_and_name(target)
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
            screen.line(
                "partial",
                &format!("{dimension}: {}", joined(&state.reasons)),
            )?;
        }
    }
    let unseen: BTreeSet<Text> = profile
        .completeness
        .dimensions
        .values()
        .flat_map(|state| state.not_looked_at.iter().cloned())
        .collect();
    if !unseen.is_empty() {
        screen.line("unseen", &joined(&unseen))?;
    }
    for note in &profile.completeness.notes {
        screen.line("note", note)?;
    }
    for row in &profile.not_running {
        screen.line("not run", &not_running(row))?;
    }
    if let Some(advice) = advice(profile) {
        screen.line("", &advice)?;
    }
    Ok(())
}

/// Says in one line why a container did not run.
pub(crate) fn not_running(row: &NotRunning) -> String {
    let mut text = format!("{}/{}: {}", row.pod, row.container, row.reason);
    if let Some(restarts) = row.restarts.filter(|restarts| *restarts > 0) {
        text += &format!(", started again {restarts} times");
    }
    if let (Some(code), Some(time)) = (row.exit_code, &row.ended_at) {
        text += &format!(", ended with exit code {code} at {time}");
    }
    if let Some(time) = &row.starts_at {
        text += &format!(", starts again at {time}");
    }
    if let Some(message) = row.message.as_ref().filter(|_| row.starts_at.is_none()) {
        text += &format!(": {message}");
    }
    text
}

/// Tells the user what to do when containers did not run. None when all ran, or when nothing helps.
pub(crate) fn advice(profile: &Profile) -> Option<String> {
    let ended = profile
        .session
        .ended_at
        .as_ref()?
        .parse::<Timestamp>()
        .ok()?;
    let starts = profile
        .not_running
        .iter()
        .filter_map(|row| row.starts_at.as_ref());
    let last = starts
        .filter_map(|time| time.parse::<Timestamp>().ok())
        .max();
    if let Some(last) = last {
        let wait = last.duration_since(ended).as_secs().max(0) + 60;
        return Some(format!(
            "a window of `--duration {wait}s` would see the next start"
        ));
    }
    let row = profile.not_running.first()?;
    Some(match row.reason.as_str() {
        "Completed" | "Error" | "OOMKilled" | "ContainerCannotRun" => {
            "what has ended can't be seen: profile its next run, by its owner or with -l".to_owned()
        }
        _ => format!(
            "profile it when it runs: `kubectl wait -n {} --for=condition=Ready pod/{}`",
            row.namespace, row.pod
        ),
    })
}

/// Whether to rely on it, in one line.
pub(crate) fn completeness(profile: &Profile) -> String {
    let missing: Vec<String> = profile
        .completeness
        .dimensions
        .iter()
        .filter(|(_, state)| state.state == DimensionState::Missing)
        .map(|(dimension, _)| dimension.to_string())
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

/// The same with replicas as one.
pub(super) fn workloads(containers: &[Container]) -> Vec<(Container, String)> {
    let (single, many): (Vec<Shown>, Vec<Shown>) = together(containers)
        .into_iter()
        .partition(|shown| shown.pods.is_empty());
    let single: Vec<Container> = single.into_iter().map(|shown| shown.container).collect();
    let of_single = titles(&single)
        .into_iter()
        .map(|(container, title)| (container.clone(), title));
    many.into_iter()
        .map(|shown| {
            let owner = shown.container.owner.as_ref();
            let owner = owner.map_or_else(String::new, |owner| {
                format!("{}/{} ", owner.kind.to_lowercase(), owner.name)
            });
            let n_pods = shown.pods.len();
            let mut title = format!(
                "{owner}{}, {n_pods} pods as one (--per-pod shows each)",
                shown.container.container
            );
            if let Some(image) = &shown.container.image {
                title += &format!(", image {image}");
            }
            (shown.container, title)
        })
        .chain(of_single)
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

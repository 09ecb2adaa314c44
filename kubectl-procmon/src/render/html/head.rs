//! The head of a report: the target, the window, and how far the rows can be relied on.

use super::cells::Kind;
use super::facts::Containers;
use super::table::Table;
use super::table::{Column, number};
use crate::render::table::head::{advice, completeness, not_running};
use crate::render::text::{kind_and_name, percent, shorten};
use procmon_profile::completeness::joined;
use procmon_profile::model::{Container, Dimension, DimensionState, Profile, Target};
use procmon_profile::text::Text;
use serde::Serialize;
use std::time::Duration;

/// Rows of a list in the head.
const SHOWN: usize = 50;

/// One line of the head.
#[derive(Serialize)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// A word of the style.
    pub(super) class: &'static str,
}

impl Fact {
    pub(super) fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            text: text.into(),
            class: "",
        }
    }

    /// One that the reader of no other row has to see.
    pub(super) fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            class: "warning",
            ..Self::new(name, text)
        }
    }
}

/// The state of one dimension.
#[derive(Serialize)]
struct State {
    dimension: Dimension,
    state: DimensionState,
    rows: usize,
    coverage: String,
    reasons: String,
}

/// The head of a Profile.
#[derive(Serialize)]
pub(super) struct Head {
    facts: Vec<Fact>,
    states: Vec<State>,
}

/// A target as a title: `deployment/web in shop`.
pub(super) fn title(target: &Target) -> String {
    let name = match target.kind.as_str() {
        "Command" => format!("command {}", target.name),
        _ => kind_and_name(target),
    };
    let name = shorten(&name, 160);
    match &target.namespace {
        Some(namespace) => format!("{name} in {namespace}"),
        None => name.into_owned(),
    }
}

/// The first lines, and how many more there are.
pub(super) fn some_of(facts: Vec<Fact>, what: &str) -> Vec<Fact> {
    let all = facts.len();
    let mut shown: Vec<Fact> = facts.into_iter().take(SHOWN).collect();
    if all > SHOWN {
        shown.push(Fact::new("", format!("… and {} more {what}", all - SHOWN)));
    }
    shown
}

/// The head of a Profile.
pub(super) fn head(profile: &Profile) -> Head {
    let session = &profile.session;
    let mut facts = Vec::new();
    if let Some(selector) = &session.target.selector {
        facts.push(Fact::new("selector", selector.as_str()));
    }
    let nodes = profile.nodes.iter().map(|node| match &node.kernel {
        Some(kernel) => format!("{}, Linux {kernel}", node.name),
        None => node.name.to_string(),
    });
    facts.extend(some_of(
        nodes.map(|node| Fact::new("node", node)).collect(),
        "nodes",
    ));
    if let (Some(seconds), Some(started)) = (session.window_seconds, &session.started_at) {
        let early = if session.ended_early {
            ", ended early"
        } else {
            ""
        };
        let second = started.get(..19).unwrap_or(started);
        facts.push(Fact::new(
            "window",
            format!("{seconds:.1} s from {second}Z{early}"),
        ));
    }
    if let Some(exit) = session.exit {
        facts.push(Fact::new("exit code", exit.to_string()));
    }
    let complete = completeness(profile).replace("see below", "see the dimensions");
    facts.push(if profile.completeness.complete {
        Fact::new("complete", complete)
    } else {
        Fact::warning("complete", complete)
    });
    let failed = profile.nodes.iter().filter_map(|node| {
        let error = node.error.as_ref()?;
        Some(Fact::warning("failed", format!("{}: {error}", node.name)))
    });
    facts.extend(some_of(failed.collect(), "failed nodes"));
    let notes = profile.completeness.notes.iter();
    facts.extend(some_of(
        notes.map(|note| Fact::new("note", note.as_str())).collect(),
        "notes",
    ));
    let absent = profile.not_running.iter();
    facts.extend(some_of(
        absent
            .map(|row| Fact::new("not run", not_running(row)))
            .collect(),
        "containers that did not run",
    ));
    facts.extend(advice(profile).map(|advice| Fact::new("", advice)));
    Head {
        facts,
        states: states(profile),
    }
}

fn states(profile: &Profile) -> Vec<State> {
    let completeness = &profile.completeness;
    let state =
        |(dimension, state): (&Dimension, &procmon_profile::model::DimensionCompleteness)| {
            let rows = profile.containers.iter().map(|c| rows_of(c, *dimension));
            let mut reasons = joined(&state.reasons);
            if !state.not_looked_at.is_empty() {
                let separator = if reasons.is_empty() { "" } else { "; " };
                reasons += &format!("{separator}not looked at: {}", joined(&state.not_looked_at));
            }
            State {
                dimension: *dimension,
                state: state.state,
                rows: rows.sum(),
                coverage: completeness
                    .coverage
                    .get(dimension)
                    .map_or_else(String::new, |share| percent(*share)),
                reasons,
            }
        };
    completeness.dimensions.iter().map(state).collect()
}

fn rows_of(container: &Container, dimension: Dimension) -> usize {
    match dimension {
        Dimension::Processes => container.processes.len(),
        Dimension::Syscalls => container.syscalls.len(),
        Dimension::Files => container.files.len(),
        Dimension::Network => container.network.len(),
        Dimension::Dns => container.dns.len(),
        Dimension::Capabilities => container.capabilities.len(),
        Dimension::Events => container.events.len(),
    }
}

/// The containers, where there are several or the cluster knows more of one.
pub(super) fn containers<'a>(containers: &'a Containers<'a>) -> Option<Table<'a>> {
    let all = || containers.iter().map(|(container, _)| container);
    if !containers.are_several() && all().all(|container| container.image.is_none()) {
        return None;
    }
    let text = |value: &'a Option<Text>| value.as_deref().unwrap_or("");
    Some(Table::new(
        "containers",
        "containers",
        vec![
            Column::texts(
                "Container",
                Kind::Name,
                containers.iter().map(|(_, label)| label),
            ),
            Column::texts("Image", Kind::Name, all().map(|row| text(&row.image))),
            Column::texts("Node", Kind::Name, all().map(|row| text(&row.node))),
            Column::texts(
                "Owner",
                Kind::Name,
                all().map(|row| match &row.owner {
                    Some(owner) => format!("{}/{}", owner.kind, owner.name),
                    None => String::new(),
                }),
            ),
            Column::texts("Rights", Kind::Text, all().map(rights)),
            Column::numbers(
                "Rows",
                Kind::Count,
                all().map(|row| number(row.rows() as u64)),
            ),
            Column::texts("Name", Kind::Name, all().map(|row| row.container.as_str())).in_detail(),
            Column::texts(
                "Namespace",
                Kind::Name,
                all().map(|row| text(&row.namespace)),
            )
            .in_detail(),
            Column::texts("Id", Kind::Name, all().map(|row| text(&row.container_id))).in_detail(),
            Column::texts(
                "Digest",
                Kind::Name,
                all().map(|row| text(&row.image_digest)),
            )
            .in_detail(),
            Column::texts(
                "Started",
                Kind::Name,
                all().map(|row| row.started_at.as_deref().unwrap_or("")),
            )
            .in_detail(),
            Column::texts(
                "Ended",
                Kind::Name,
                all().map(|row| row.ended_at.as_deref().unwrap_or("")),
            )
            .in_detail(),
        ],
    ))
}

/// The rights of a pod that are more or less than usual.
fn rights(container: &Container) -> String {
    let Some(context) = &container.security_context else {
        return String::new();
    };
    let flags = [
        (context.privileged, "privileged"),
        (context.host_network, "host network"),
        (context.host_pid, "host PID"),
        (context.read_only_root_filesystem, "read-only root"),
    ];
    let mut all: Vec<&str> = flags
        .iter()
        .filter_map(|(is_set, name)| is_set.then_some(*name))
        .collect();
    all.extend(context.capabilities.iter().map(Text::as_str));
    all.join(", ")
}

/// The hooks of all nodes.
pub(super) fn hooks(profile: &Profile) -> Option<Table<'_>> {
    let all: Vec<_> = profile
        .nodes
        .iter()
        .flat_map(|node| node.hooks.iter().map(move |hook| (node, hook)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let rows = || all.iter().copied();
    Some(Table::new(
        "hooks",
        "hooks",
        vec![
            Column::texts(
                "Hook",
                Kind::Name,
                rows().map(|(_, hook)| hook.name.as_str()),
            ),
            Column::texts(
                "Node",
                Kind::Name,
                rows().map(|(node, _)| node.name.as_str()),
            ),
            Column::texts(
                "Tier",
                Kind::Text,
                rows().map(|(_, hook)| hook.tier.to_string()),
            ),
            Column::texts(
                "State",
                Kind::Text,
                rows().map(|(_, hook)| hook.state.to_string()),
            ),
            Column::numbers(
                "Missed",
                Kind::Count,
                rows().map(|(_, hook)| hook.missed.and_then(number)),
            ),
            Column::texts(
                "Reason",
                Kind::Text,
                rows().map(|(_, hook)| hook.reason.as_deref().unwrap_or("")),
            ),
        ],
    ))
}

/// The cost of the capture on each node.
pub(super) fn cost(profile: &Profile) -> Option<Table<'_>> {
    let costs = || {
        let nodes = profile.nodes.iter();
        nodes.filter_map(|node| Some((node, node.cost.as_ref()?)))
    };
    costs().next()?;
    let nanoseconds = |seconds: Option<f64>| {
        let time = Duration::try_from_secs_f64(seconds?).ok()?;
        i64::try_from(time.as_nanos()).ok()
    };
    Some(Table::new(
        "cost",
        "nodes",
        vec![
            Column::texts(
                "Node",
                Kind::Name,
                costs().map(|(node, _)| node.name.as_str()),
            ),
            Column::numbers(
                "CPU of the probe",
                Kind::Duration,
                costs().map(|(_, cost)| nanoseconds(cost.cpu_seconds)),
            ),
            Column::numbers(
                "CPU in the kernel",
                Kind::Duration,
                costs().map(|(_, cost)| nanoseconds(cost.bpf_seconds)),
            ),
            Column::numbers(
                "Memory",
                Kind::Bytes,
                costs().map(|(_, cost)| cost.rss_bytes.and_then(number)),
            ),
            Column::numbers(
                "Kernel maps",
                Kind::Bytes,
                costs().map(|(_, cost)| cost.map_bytes.and_then(number)),
            ),
            Column::numbers(
                "Sent",
                Kind::Bytes,
                costs().map(|(_, cost)| cost.sent_bytes.and_then(number)),
            ),
            Column::numbers(
                "Records lost",
                Kind::Count,
                costs().map(|(node, _)| {
                    let lost = node.lost.as_ref()?;
                    let maps = lost.maps.values().chain(lost.recursion.values());
                    let all = maps.fold(lost.ring_buffer, |sum, lost| sum.saturating_add(*lost));
                    number(all.saturating_add(lost.frames))
                }),
            ),
        ],
    ))
}

//! Parts of several nodes to one Profile, in an order that depends on nothing but the facts.

use crate::asked::{self, Asked, Unasked};
use crate::completeness::worsen;
use crate::mask::{MaskLevel, mask_rows};
use crate::model::{
    API_VERSION, Container, Dimension, DimensionState, Dns, File, Kind, Latency, NameSource,
    Network, Node, Process, Profile, SCHEMA_VERSION, Session, Stream, Syscall,
};
use crate::text::Text;
use crate::wire::{Decoder, Failure, Part, Refused, WindowReport};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows named in `stdinFrom`.
const MAX_WRITERS: usize = 16;

/// Everything that one node sent, or why it sent nothing.
#[derive(Clone, Debug, Default)]
pub struct NodeCapture {
    /// Name of the node.
    pub node: Text,
    /// The parts that arrived.
    pub parts: Vec<Part>,
    /// Frames that could not be used.
    pub refused: Refused,
    /// The fault of the stream as a whole.
    pub fault: Option<String>,
    /// Why the probe gave up.
    pub failure: Option<Failure>,
    /// How much of what it sent is made unreadable.
    pub mask: MaskLevel,
    /// The request to the node. None where no request is known: a machine's own probe, and a stream
    /// that was kept.
    pub asked: Option<Asked>,
}

impl NodeCapture {
    /// The parts of a node's stream that a decoder holds. `fault` is why reading ended before the stream did.
    #[must_use]
    pub fn read(node: Text, decoder: Decoder, fault: Option<String>) -> Self {
        let failure = decoder.failure().cloned();
        let received = decoder.finish();
        Self {
            node,
            parts: received.parts,
            refused: received.refused,
            fault: fault.or_else(|| received.fault.map(|fault| fault.to_string())),
            failure,
            asked: None,
            mask: MaskLevel::default(),
        }
    }
}

/// One Profile of what all nodes sent. A node that failed is a row with its reason.
#[must_use]
pub fn merge(session: Session, captures: Vec<NodeCapture>) -> Profile {
    let mut profile = Profile {
        api_version: API_VERSION.to_owned().into(),
        schema_version: SCHEMA_VERSION.to_owned().into(),
        kind: Kind::Profile,
        session,
        ..Profile::default()
    };
    let several = captures.len() > 1;
    let mut windows = Vec::new();
    for capture in captures {
        let name = capture.node.clone();
        let (node, window, containers) = take(capture, &mut profile);
        if let Some(window) = &window {
            merge_dimensions(&mut profile, window, several.then_some(name.as_str()));
        }
        windows.extend(window);
        profile.nodes.push(node);
        profile.containers.extend(containers);
    }
    merge_windows(&mut profile, &windows);
    normalize(&mut profile);
    profile
}

/// Takes the parts of one node: its row, its window, its containers.
fn take(
    capture: NodeCapture,
    profile: &mut Profile,
) -> (Node, Option<WindowReport>, Vec<Container>) {
    let asked = capture.asked.as_ref();
    let mut unasked = Unasked::default();
    let mut node = None;
    let mut window = None;
    // One that was refused keeps its place, by which rows name it.
    let mut containers: Vec<Option<Container>> = Vec::new();
    let mut strays = 0_u64;
    let (heads, rows): (Vec<Part>, Vec<Part>) = capture
        .parts
        .into_iter()
        .partition(|part| matches!(part, Part::Node(_) | Part::Window(_) | Part::Container(_)));
    for part in heads {
        match part {
            Part::Node(part) => node = Some(*part),
            Part::Window(part) => window = asked::window(part, asked, &mut unasked),
            Part::Container(mut part) => {
                let is_own = asked::is_own(&mut part, &capture.node, asked, &mut unasked);
                containers.push(is_own.then_some(*part));
            }
            _ => {}
        }
    }
    macro_rules! add {
        ($container:ident, $field:ident, $rows:ident) => {
            match containers.get_mut($container as usize) {
                Some(Some(container)) => container.$field.extend($rows),
                Some(None) => {}
                None => strays += $rows.len() as u64,
            }
        };
    }
    for part in rows {
        match part {
            Part::Processes { container, rows } => add!(container, processes, rows),
            Part::Syscalls { container, rows } => add!(container, syscalls, rows),
            Part::Files { container, rows } => add!(container, files, rows),
            Part::Network { container, rows } => add!(container, network, rows),
            Part::Dns { container, rows } => add!(container, dns, rows),
            Part::Capabilities { container, rows } => add!(container, capabilities, rows),
            Part::Events { container, rows } => add!(container, events, rows),
            Part::Node(_) | Part::Window(_) | Part::Container(_) => {}
        }
    }
    if strays > 0 {
        note(
            profile,
            format!(
                "node {}: {strays} rows belong to no container that arrived",
                capture.node
            ),
        );
    }
    let error = capture.failure.map(|failure| failure.message);
    let mut row = node.unwrap_or_default();
    row.name = capture.node;
    if capture.mask != MaskLevel::Default {
        note(
            profile,
            format!(
                "arguments are masked at the level `{}`",
                capture.mask.name()
            ),
        );
    }
    let (window, span) = window.unzip();
    let mut containers: Vec<Container> = containers.into_iter().flatten().collect();
    for container in &mut containers {
        container.node = Some(row.name.clone());
        asked::retain_possible(container, asked, span, &mut unasked);
        // Here and nowhere else: what follows sees no credential.
        mask_rows(container, capture.mask);
    }
    asked::retain_possible_cost(&mut row, &mut unasked);
    for reason in unasked.reasons() {
        note(profile, format!("node {}: {reason}", row.name));
    }
    let refused = capture.refused;
    if refused.frames > 0 {
        let lost = row.lost.get_or_insert_default();
        lost.frames = lost.frames.saturating_add(refused.frames);
    }
    let faults = refused.sentence().into_iter().chain(capture.fault.clone());
    for fault in faults.chain(unasked.reasons()) {
        row.complete = false;
        make_partial(profile, &format!("node {}: {fault}", row.name));
    }
    if error.is_some() || window.is_none() {
        row.complete = false;
        row.error = error
            .or(capture.fault.map(Text::from))
            .or(unasked.reasons().next().map(Text::from))
            .or_else(|| Some("it sent no capture".into()));
    }
    (row, window, containers)
}

fn make_partial(profile: &mut Profile, reason: &str) {
    for dimension in Dimension::ALL {
        let dimensions = &mut profile.completeness.dimensions;
        worsen(
            dimensions,
            dimension,
            DimensionState::Partial,
            reason.into(),
        );
    }
}

fn note(profile: &mut Profile, sentence: String) {
    profile.completeness.notes.push(sentence.into());
}

fn merge_dimensions(profile: &mut Profile, window: &WindowReport, node: Option<&str>) {
    for (dimension, part) in &window.dimensions {
        let dimensions = &mut profile.completeness.dimensions;
        let entry = dimensions.entry(*dimension).or_default();
        entry
            .not_looked_at
            .extend(part.not_looked_at.iter().cloned());
        if part.reasons.is_empty() {
            entry.state = entry.state.max(part.state);
            continue;
        }
        for reason in &part.reasons {
            // A dimension that is missing on all nodes for the same reason is said once.
            let reason = match node {
                Some(node) if part.state == DimensionState::Partial => {
                    format!("node {node}: {reason}")
                }
                _ => reason.to_string(),
            };
            worsen(dimensions, *dimension, part.state, reason.into());
        }
    }
    for (dimension, value) in &window.coverage {
        // The least covered node decides.
        profile
            .completeness
            .coverage
            .entry(*dimension)
            .and_modify(|least| *least = least.min(*value))
            .or_insert(*value);
    }
    // One node's sentences are not to be read as another's.
    let notes = window.notes.iter().map(|note| match node {
        Some(node) => format!("node {node}: {note}").into(),
        None => note.clone(),
    });
    profile.completeness.notes.extend(notes);
}

fn merge_windows(profile: &mut Profile, windows: &[WindowReport]) {
    let session = &mut profile.session;
    session.started_at = windows.iter().map(|window| window.started_at.clone()).min();
    session.ended_at = windows.iter().map(|window| window.ended_at.clone()).max();
    session.window_seconds = windows.iter().map(|window| window.seconds).reduce(f64::min);
    session.ended_early |= windows.iter().any(|window| window.ended_early);
    session.exit = windows.iter().find_map(|window| window.exit);
    if let Some(window) = windows.first() {
        session.label_mode = window.label_mode;
    }
    profile.completeness.window_covered = session
        .requested_seconds
        .filter(|wanted| *wanted > 0.0)
        .map(|wanted| {
            windows
                .iter()
                .map(|window| {
                    if window.target_ended {
                        1.0
                    } else {
                        (window.seconds / wanted).min(1.0)
                    }
                })
                .reduce(f64::min)
                .unwrap_or(0.0)
        });
}

/// Brings a Profile into its one order: rows sorted, equal rows added, process ids numbered
/// again, `completeness.complete` decided.
pub fn normalize(profile: &mut Profile) {
    profile.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    for node in &mut profile.nodes {
        node.hooks.sort_by(|a, b| a.name.cmp(&b.name));
    }
    for container in &mut profile.containers {
        normalize_container(container);
    }
    profile.containers.sort_by(|a, b| {
        let key = |c: &Container| {
            (
                c.namespace.clone(),
                c.pod.clone(),
                c.container.clone(),
                c.container_id.clone(),
                c.node.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    let completeness = &mut profile.completeness;
    completeness.notes.sort();
    completeness.notes.dedup();
    completeness.complete = !profile.nodes.is_empty()
        && profile
            .nodes
            .iter()
            .all(|node| node.complete && node.error.is_none())
        && completeness
            .dimensions
            .values()
            .all(|dimension| dimension.state != DimensionState::Partial);
}

/// Several containers that are shown as one, as the replicas of a workload: their rows, equal ones added. All
/// other facts are those of the first.
#[must_use]
pub fn as_one(containers: &[Container]) -> Container {
    let mut all = Container::default();
    for (number, container) in containers.iter().enumerate() {
        let mut container = container.clone();
        let own = |id: &mut Text| *id = format!("{number}/{id}").into();
        for row in &mut container.processes {
            own(&mut row.id);
            row.parent
                .iter_mut()
                .chain(&mut row.stdin_from)
                .for_each(own);
        }
        for event in &mut container.events {
            event.process.iter_mut().for_each(own);
        }
        if number == 0 {
            all = container;
            continue;
        }
        all.processes.append(&mut container.processes);
        all.syscalls.append(&mut container.syscalls);
        all.files.append(&mut container.files);
        all.network.append(&mut container.network);
        all.dns.append(&mut container.dns);
        all.capabilities.append(&mut container.capabilities);
        all.events.append(&mut container.events);
    }
    normalize_container(&mut all);
    all
}

fn normalize_container(container: &mut Container) {
    let ids = normalize_processes(&mut container.processes);
    for row in &mut container.processes {
        let writers = std::mem::take(&mut row.stdin_from);
        let mut writers: Vec<Text> = writers
            .iter()
            .filter_map(|id| ids.get(id).cloned())
            .filter(|id| *id != row.id)
            .collect();
        writers.sort_by_key(|id| number(Some(id)));
        writers.dedup();
        writers.truncate(MAX_WRITERS);
        row.stdin_from = writers;
    }
    for event in &mut container.events {
        event.process = event.process.take().and_then(|id| ids.get(&id).cloned());
    }
    container
        .syscalls
        .sort_by(|a, b| (&a.name, a.abi, &a.exe).cmp(&(&b.name, b.abi, &b.exe)));
    container.syscalls.dedup_by(|next, kept| {
        let equal = (&next.name, next.abi, &next.exe) == (&kept.name, kept.abi, &kept.exe);
        if equal {
            add_syscall(kept, next);
        }
        equal
    });
    container
        .files
        .sort_by(|a, b| (&a.path, &a.exe, a.name_source).cmp(&(&b.path, &b.exe, b.name_source)));
    container.files.dedup_by(|next, kept| {
        let equal = (&next.path, &next.exe) == (&kept.path, &kept.exe);
        if equal {
            add_file(kept, next);
        }
        equal
    });
    container
        .network
        .sort_by(|a, b| network_key(a).cmp(&network_key(b)));
    container.network.dedup_by(|next, kept| {
        let equal = network_key(next) == network_key(kept);
        if equal {
            add_network(kept, next);
        }
        equal
    });
    container.dns.sort_by(|a, b| dns_key(a).cmp(&dns_key(b)));
    container.dns.dedup_by(|next, kept| {
        let equal = dns_key(next) == dns_key(kept);
        if equal {
            kept.count = kept.count.saturating_add(next.count);
            add_names(&mut kept.answers, &mut next.answers);
            add_names(&mut kept.resolvers, &mut next.resolvers);
        }
        equal
    });
    container
        .capabilities
        .sort_by(|a, b| (&a.name, &a.exe).cmp(&(&b.name, &b.exe)));
    container.capabilities.dedup_by(|next, kept| {
        let equal = (&next.name, &next.exe) == (&kept.name, &kept.exe);
        if equal {
            kept.used = kept.used.saturating_add(next.used);
            kept.denied = kept.denied.saturating_add(next.denied);
            kept.probed = match (kept.probed, next.probed) {
                (Some(kept), Some(next)) => Some(kept.saturating_add(next)),
                (kept, next) => kept.or(next),
            };
        }
        equal
    });
    container.events.sort_by(|a, b| {
        (&a.time, a.event_type, &a.process, &a.details, a.count).cmp(&(
            &b.time,
            b.event_type,
            &b.process,
            &b.details,
            b.count,
        ))
    });
}

fn dns_key(row: &Dns) -> (&str, &str, &str, Option<&str>) {
    (&row.name, &row.record_type, &row.exe, row.rcode.as_deref())
}

fn add_counts(to: &mut BTreeMap<Text, u64>, from: &BTreeMap<Text, u64>) {
    for (name, count) in from {
        let sum = to.entry(name.clone()).or_insert(0);
        *sum = sum.saturating_add(*count);
    }
}

fn add_syscall(kept: &mut Syscall, next: &Syscall) {
    kept.calls = kept.calls.saturating_add(next.calls);
    kept.restarted = kept.restarted.saturating_add(next.restarted);
    kept.unfinished = kept.unfinished.saturating_add(next.unfinished);
    kept.no_return = kept.no_return.saturating_add(next.no_return);
    kept.denied_by_seccomp = kept
        .denied_by_seccomp
        .saturating_add(next.denied_by_seccomp);
    add_counts(&mut kept.errors, &next.errors);
    if let Some(arguments) = &next.arguments {
        add_counts(kept.arguments.get_or_insert_default(), arguments);
    }
    // The larger time of two shares of calls that were not slower holds for both.
    kept.latency_ns = match (kept.latency_ns.take(), &next.latency_ns) {
        (Some(kept), Some(next)) => Some(Latency {
            p50: kept.p50.max(next.p50),
            p95: kept.p95.max(next.p95),
            p99: kept.p99.max(next.p99),
            max: kept.max.max(next.max),
        }),
        (kept, next) => kept.or_else(|| next.clone()),
    };
}

/// The settled row comes first in the order, and so gives mode, owner, layer and mount.
fn add_file(kept: &mut File, next: &File) {
    for (operation, count) in &next.operations {
        let sum = kept.operations.entry(*operation).or_insert(0);
        *sum = sum.saturating_add(*count);
    }
    kept.bytes_read = kept.bytes_read.saturating_add(next.bytes_read);
    kept.bytes_written = kept.bytes_written.saturating_add(next.bytes_written);
    kept.mmap_write = kept.mmap_write.saturating_add(next.mmap_write);
    add_counts(&mut kept.errors, &next.errors);
    if kept.name_source == NameSource::Argument {
        kept.name_source = next.name_source;
    }
    kept.mode = kept.mode.take().or_else(|| next.mode.clone());
    kept.owner = kept.owner.or(next.owner);
    kept.layer = kept.layer.or(next.layer);
    kept.mount = kept.mount.take().or_else(|| next.mount.clone());
    kept.host_resource = kept.host_resource.or(next.host_resource);
}

fn network_key(row: &Network) -> impl Ord + '_ {
    let local = row
        .local
        .as_ref()
        .map(|end| (&end.address, end.port, &end.path));
    let remote = row
        .remote
        .as_ref()
        .map(|end| (&end.address, end.port, &end.path));
    (&row.exe, row.protocol, row.direction, local, remote)
}

/// Adds sorted names.
fn add_names(kept: &mut Vec<Text>, next: &mut Vec<Text>) {
    kept.append(next);
    kept.sort_unstable();
    kept.dedup();
}

fn add_network(kept: &mut Network, next: &mut Network) {
    if let (Some(kept), Some(next)) = (&mut kept.remote, &mut next.remote) {
        add_names(&mut kept.names, &mut next.names);
        add_names(&mut kept.claimed, &mut next.claimed);
    }
    kept.connections = kept.connections.saturating_add(next.connections);
    kept.datagrams_sent = kept.datagrams_sent.saturating_add(next.datagrams_sent);
    kept.datagrams_received = kept
        .datagrams_received
        .saturating_add(next.datagrams_received);
    kept.bytes_sent = kept.bytes_sent.saturating_add(next.bytes_sent);
    kept.bytes_received = kept.bytes_received.saturating_add(next.bytes_received);
    add_counts(&mut kept.failures, &next.failures);
}

/// Sorts processes from the roots down, adds equal ones, and numbers them again. Returns the new
/// id by the old one. Parents that are absent, or that go in a circle, make a row a root.
fn normalize_processes(processes: &mut Vec<Process>) -> HashMap<Text, Text> {
    let rows = std::mem::take(processes);
    // Places of rows, by the id of their parent.
    let mut children: HashMap<Text, Vec<usize>> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        if let Some(parent) = row.parent.as_ref().filter(|parent| **parent != row.id) {
            children.entry(parent.clone()).or_default().push(place);
        }
    }
    let roots = roots(&rows, &children);
    let mut waiting: Vec<Option<Process>> = rows.into_iter().map(Some).collect();
    let mut ready: Vec<Process> = Vec::new();
    for root in roots {
        ready.extend(waiting[root].take().map(|row| Process {
            parent: None,
            ..row
        }));
    }
    let mut ids: HashMap<Text, Text> = HashMap::new();
    while !ready.is_empty() {
        ready.sort_by(|a, b| {
            (number(a.parent.as_deref()), own_key(a))
                .cmp(&(number(b.parent.as_deref()), own_key(b)))
        });
        let level: Vec<Text> = ready.iter().map(|row| row.id.clone()).collect();
        for row in ready.drain(..) {
            let (old, id) = (row.id.clone(), place(processes, row));
            ids.insert(old, id);
        }
        for old in level {
            for place in children.remove(&old).unwrap_or_default() {
                ready.extend(waiting[place].take().map(|row| Process {
                    parent: ids.get(&old).cloned(),
                    ..row
                }));
            }
        }
    }
    ids
}

/// Places of the rows without a parent, and of the smallest row of each circle.
fn roots(rows: &[Process], children: &HashMap<Text, Vec<usize>>) -> Vec<usize> {
    let known: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let mut reached = vec![false; rows.len()];
    let mut reach = |root: usize| {
        let is_new = !reached[root];
        let mut left = vec![root];
        while let Some(place) = left.pop() {
            if !std::mem::replace(&mut reached[place], true) {
                left.extend(children.get(&rows[place].id).into_iter().flatten());
            }
        }
        is_new
    };
    let has_parent = |row: &Process| {
        row.parent
            .as_ref()
            .is_some_and(|parent| known.contains(parent.as_str()) && *parent != row.id)
    };
    let (mut others, mut roots): (Vec<usize>, Vec<usize>) =
        (0..rows.len()).partition(|place| has_parent(&rows[*place]));
    for root in &roots {
        reach(*root);
    }
    others.sort_by(|a, b| own_key(&rows[*a]).cmp(&own_key(&rows[*b])));
    roots.extend(others.into_iter().filter(|place| reach(*place)));
    roots
}

/// Adds a row to an equal one before it, or behind all; its new id.
fn place(processes: &mut Vec<Process>, row: Process) -> Text {
    let number = processes.len() + 1;
    if let Some(last) = processes.last_mut()
        && last.parent == row.parent
        && own_key(last) == own_key(&row)
    {
        add_process(last, row);
        return last.id.clone();
    }
    let id = format!("p{number}");
    processes.push(Process {
        id: id.clone().into(),
        ..row
    });
    id.into()
}

fn own_key(row: &Process) -> impl Ord + '_ {
    (row.origin, &row.exe, &row.argv, row.uid, row.gid)
}

fn number(id: Option<&str>) -> usize {
    id.and_then(|id| id.get(1..)?.parse().ok()).unwrap_or(0)
}

fn add_process(kept: &mut Process, next: Process) {
    kept.count = kept.count.saturating_add(next.count);
    if kept.stdio.len() < next.stdio.len() {
        kept.stdio.resize(next.stdio.len(), Stream::Unknown);
    }
    for (kept, next) in kept.stdio.iter_mut().zip(next.stdio) {
        *kept = next.max(*kept);
    }
    kept.stdin_from.extend(next.stdin_from);
    add_counts(&mut kept.exits, &next.exits);
    kept.titles.extend(next.titles);
    kept.titles.sort_unstable();
    kept.titles.dedup();
    kept.titles.truncate(16);
    kept.pids.extend(next.pids);
    kept.pids.sort_unstable();
    kept.pids.dedup();
    kept.pids.truncate(16);
    kept.started_before |= next.started_before;
    kept.first_seen = kept
        .first_seen
        .take()
        .into_iter()
        .chain(next.first_seen)
        .min();
    kept.last_seen = kept
        .last_seen
        .take()
        .into_iter()
        .chain(next.last_seen)
        .max();
    kept.cwd = kept.cwd.take().or(next.cwd);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FileOperation;
    use crate::wire::FailureCode;

    fn file(path: &str, name_source: NameSource, operation: FileOperation) -> File {
        File {
            path: path.into(),
            exe: "/x".into(),
            name_source,
            operations: [(operation, 1)].into(),
            ..File::default()
        }
    }

    fn process(id: &str, parent: Option<&str>, exe: &str) -> Process {
        Process {
            id: id.into(),
            parent: parent.map(Into::into),
            exe: exe.into(),
            count: 1,
            ..Process::default()
        }
    }

    fn window() -> Part {
        Part::Window(WindowReport {
            seconds: 5.0,
            started_at: "2026-01-01T00:00:00Z".into(),
            ended_at: "2026-01-01T00:00:05Z".into(),
            ..WindowReport::default()
        })
    }

    fn node(name: &str) -> Part {
        Part::Node(Box::new(Node {
            name: name.into(),
            complete: true,
            ..Node::default()
        }))
    }

    fn capture(name: &str, container: Container) -> NodeCapture {
        NodeCapture {
            node: name.into(),
            parts: vec![node(name), window(), Part::Container(Box::new(container))],
            ..NodeCapture::default()
        }
    }

    #[test]
    fn files_of_one_path_become_one_row_and_the_settled_name_wins() {
        let mut container = Container {
            files: vec![
                file("/a", NameSource::Argument, FileOperation::Unlink),
                file("/a", NameSource::Settled, FileOperation::Open),
            ],
            ..Container::default()
        };
        normalize_container(&mut container);
        assert_eq!(container.files.len(), 1);
        assert_eq!(container.files[0].name_source, NameSource::Settled);
        assert_eq!(container.files[0].operations.len(), 2);
    }

    #[test]
    fn process_ids_depend_on_the_tree_only() {
        let rows = vec![
            process("p7", Some("p9"), "/b"),
            process("p9", None, "/a"),
            process("p3", Some("p7"), "/c"),
        ];
        let mut one = rows.clone();
        let mut other: Vec<Process> = rows.into_iter().rev().collect();
        normalize_processes(&mut one);
        normalize_processes(&mut other);
        assert_eq!(one, other);
        assert_eq!(
            one.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
            ["p1", "p2", "p3"]
        );
        assert_eq!(one[2].parent.as_deref(), Some("p2"));
    }

    #[test]
    fn parents_in_a_circle_end() {
        let mut rows = vec![
            process("p1", Some("p2"), "/a"),
            process("p2", Some("p1"), "/b"),
        ];
        rows.push(process("p3", None, "/a"));
        normalize_processes(&mut rows);
        // The rest of the circle is equal to another root.
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].parent.as_deref(), rows[0].count), (None, 2));
        let once = rows.clone();
        normalize_processes(&mut rows);
        assert_eq!(rows, once);
    }

    #[test]
    fn long_chains_and_many_circles_take_no_time() {
        const ROWS: usize = 100_000;
        let started = std::time::Instant::now();
        let id = |number: usize| format!("x{number}");
        let mut chain: Vec<Process> = (0..ROWS)
            .map(|number| process(&id(number), Some(&id(number + 1)), "/a"))
            .collect();
        normalize_processes(&mut chain);
        assert_eq!(chain.len(), ROWS);
        let mut circles: Vec<Process> = (0..ROWS)
            .map(|number| process(&id(number), Some(&id(number ^ 1)), &format!("/{number}")))
            .collect();
        normalize_processes(&mut circles);
        assert_eq!(circles.len(), ROWS);
        // Squared it takes many minutes.
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn the_order_of_nodes_does_not_matter() {
        let a = capture(
            "a",
            Container {
                container: "x".into(),
                ..Container::default()
            },
        );
        let b = capture(
            "b",
            Container {
                container: "y".into(),
                ..Container::default()
            },
        );
        let one = merge(Session::default(), vec![a.clone(), b.clone()]);
        let other = merge(Session::default(), vec![b, a]);
        assert_eq!(one, other);
        assert!(one.completeness.complete);
        let mut again = one.clone();
        normalize(&mut again);
        assert_eq!(one, again);
    }

    #[test]
    fn a_node_that_failed_is_a_row_with_its_reason() {
        let failed = NodeCapture {
            node: "b".into(),
            failure: Some(Failure {
                code: FailureCode::NoBtf,
                message: "no BTF".into(),
            }),
            ..NodeCapture::default()
        };
        let profile = merge(
            Session::default(),
            vec![capture("a", Container::default()), failed],
        );
        assert_eq!(profile.nodes[1].error.as_deref(), Some("no BTF"));
        assert!(!profile.completeness.complete);
    }

    fn asked(uids: &[&str]) -> Asked {
        let created = asked::seconds("2025-12-31T00:00:00Z");
        let start = asked::seconds("2026-01-01T00:00:00Z").unwrap_or_default();
        Asked {
            pods: uids
                .iter()
                .map(|uid| ((*uid).to_owned(), created))
                .collect(),
            times: Some((start, start + 90)),
            longest: 35.0,
        }
    }

    /// A capture of node `a`, which was asked about pod `u1`, as the node changed it.
    fn told(change: impl Fn(&mut Vec<Part>)) -> Profile {
        let container = Container {
            container: "x".into(),
            pod_uid: Some("u1".into()),
            started_at: Some("2025-12-31T00:00:05Z".into()),
            processes: vec![process("p1", None, "/a")],
            ..Container::default()
        };
        let mut capture = capture("a", container);
        capture.asked = Some(asked(&["u1"]));
        change(&mut capture.parts);
        merge(Session::default(), vec![capture])
    }

    fn refused(profile: &Profile, what: &str) {
        let text = profile.completeness.notes.join("; ");
        assert!(text.contains("node a: ") && text.contains(what), "{text}");
        assert!(!profile.completeness.complete);
        for dimension in Dimension::ALL {
            let state = profile.completeness.dimensions[&dimension].state;
            assert_eq!(state, DimensionState::Partial, "{dimension:?}");
        }
    }

    #[test]
    fn what_a_node_was_asked_is_kept_without_a_note() {
        let profile = told(|_| {});
        assert!(profile.completeness.complete);
        assert_eq!(profile.completeness.notes, Vec::<String>::new());
        assert_eq!(profile.containers[0].node.as_deref(), Some("a"));
        assert!(profile.containers[0].started_at.is_some());
    }

    #[test]
    fn a_pod_that_a_node_was_not_asked_about_is_not_its_to_tell_of() {
        let profile = told(|parts| {
            let stranger = Container {
                pod_uid: Some("u2".into()),
                ..Container::default()
            };
            // Before the own one, so that rows would move if places did.
            parts.insert(0, Part::Container(Box::new(stranger)));
            for container in [0, 1] {
                parts.push(Part::Files {
                    container,
                    rows: vec![file(
                        &format!("/{container}"),
                        NameSource::Settled,
                        FileOperation::Open,
                    )],
                });
            }
        });
        refused(
            &profile,
            "containers of pods that it was not asked about: 1",
        );
        assert_eq!(profile.containers.len(), 1);
        assert_eq!(profile.containers[0].pod_uid.as_deref(), Some("u1"));
        assert_eq!(profile.containers[0].files[0].path, "/1");
    }

    #[test]
    fn what_the_api_server_says_of_a_container_no_node_says() {
        let profile = told(|parts| {
            for part in parts {
                if let Part::Container(container) = part {
                    container.namespace = Some("other".into());
                    container.image = Some("other".into());
                }
            }
        });
        assert_eq!(profile.containers[0].namespace, None);
        assert_eq!(profile.containers[0].image, None);
    }

    #[test]
    fn impossible_windows_are_refused() {
        for (seconds, started_at, ended_at) in [
            (-1.0, "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"),
            (3600.0, "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"),
            (5.0, "2024-01-01T00:00:00Z", "2024-01-01T00:00:05Z"),
            (5.0, "2026-01-01T00:00:00Z", "2036-01-01T00:00:05Z"),
            (5.0, "2026-01-01T01:00:00Z", "2026-01-01T00:00:00Z"),
            (5.0, "yesterday", "2026-01-01T00:00:05Z"),
        ] {
            let profile = told(|parts| {
                parts[1] = Part::Window(WindowReport {
                    seconds,
                    started_at: started_at.into(),
                    ended_at: ended_at.into(),
                    ..WindowReport::default()
                });
            });
            refused(&profile, "windows with an impossible time or length: 1");
            assert_eq!(profile.session.started_at, None);
            assert_eq!(profile.session.window_seconds, None);
        }
    }

    #[test]
    fn impossible_numbers_and_times_are_left_out() {
        let profile = told(|parts| {
            let mut rows = vec![process("p2", None, "/b"), process("p3", None, "/c")];
            rows[0].count = u64::MAX;
            rows[1].first_seen = Some("2099-01-01T00:00:00Z".into());
            parts.push(Part::Processes { container: 0, rows });
            if let Part::Node(node) = &mut parts[0] {
                node.cost = Some(crate::model::Cost {
                    cpu_seconds: Some(-1.0),
                    ..crate::model::Cost::default()
                });
            }
        });
        refused(&profile, "rows with impossible numbers or times: 2");
        refused(&profile, "impossible costs: 1");
        assert_eq!(profile.containers[0].processes.len(), 1);
    }

    #[test]
    fn a_kept_stream_tells_of_its_own_node_only() {
        let other = Container {
            node: Some("b".into()),
            ..Container::default()
        };
        let profile = merge(Session::default(), vec![capture("a", other)]);
        refused(&profile, "containers of other nodes: 1");
        assert!(profile.containers.is_empty());
    }

    #[test]
    fn a_cut_stream_is_partial_and_keeps_what_arrived() {
        let mut cut = capture(
            "a",
            Container {
                container: "x".into(),
                ..Container::default()
            },
        );
        cut.fault = Some("the stream was cut after 3 frames".into());
        let profile = merge(Session::default(), vec![cut]);
        assert_eq!(profile.containers.len(), 1);
        assert_eq!(
            profile.completeness.dimensions[&Dimension::Files].state,
            DimensionState::Partial
        );
        assert!(!profile.completeness.complete);
    }
}

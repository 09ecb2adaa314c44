//! A Profile as rows of a Baseline: names instead of addresses, shapes instead of what varies by
//! its nature, and for each row where in the Profile it stands.

use super::names::{Proofs, class, is_public, object_name};
use super::rows::{Row, add_explain, add_seen};
use super::shape::{self, Context};
use crate::completeness::joined;
use crate::model::{
    Baseline, BaselineContainer, BaselineWindow, BaselineWorkload, CapabilityRow, Container,
    Dimension, DimensionState, Direction, DnsRow, EdgeRow, EventRow, EventType, Explain,
    ExplainedBy, FileRow, ListenRow, Network, PeerRow, ProcessRow, Profile, SeccompMode, Seen,
    Support, SyscallRow, WindowCounts,
};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// The name of the only container on one machine.
pub(crate) const LOCAL: &str = "local";

/// A row, and where in the Profile it stands.
#[derive(Clone, Debug)]
pub(crate) struct Fact<R> {
    pub(crate) row: R,
    /// Number of the container, and of the row in its list.
    pub(crate) at: Vec<(u32, u32)>,
}

/// Rows of all instances of one container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) image_digests: BTreeSet<Text>,
    pub(crate) from_start: bool,
    pub(crate) windows: Vec<BaselineWindow>,
    /// Resolvers that answered and that the baseline does not know.
    pub(crate) unknown_resolvers: BTreeSet<Text>,
    pub(crate) processes: Vec<Fact<ProcessRow>>,
    pub(crate) edges: Vec<Fact<EdgeRow>>,
    pub(crate) syscalls: Vec<Fact<SyscallRow>>,
    pub(crate) files: Vec<Fact<FileRow>>,
    pub(crate) network: Vec<Fact<PeerRow>>,
    pub(crate) listen: Vec<Fact<ListenRow>>,
    pub(crate) dns: Vec<Fact<DnsRow>>,
    pub(crate) capabilities: Vec<Fact<CapabilityRow>>,
    pub(crate) events: Vec<Fact<EventRow>>,
}

/// The name under which a container's rows are kept.
pub(crate) fn container_name(container: &Container) -> Text {
    if container.pod.is_none() {
        LOCAL.into()
    } else {
        container.container.clone()
    }
}

/// The workload that a container belongs to.
pub(crate) fn workload(container: &Container) -> BaselineWorkload {
    if let Some(owner) = &container.owner {
        return BaselineWorkload {
            kind: owner.kind.clone(),
            namespace: owner
                .namespace
                .clone()
                .or_else(|| container.namespace.clone()),
            name: owner.name.clone(),
        };
    }
    match &container.pod {
        Some(pod) => BaselineWorkload {
            kind: "Pod".into(),
            namespace: container.namespace.clone(),
            name: pod.clone(),
        },
        None => BaselineWorkload {
            kind: "Program".into(),
            namespace: None,
            name: container
                .processes
                .first()
                .map(|process| process.exe.clone())
                .unwrap_or_default(),
        },
    }
}

/// The dimensions of a Profile that can't be relied on, each with its reason, and which of them are missing:
/// also one of which a Profile that is not complete says nothing.
fn incomplete(profile: &Profile) -> (BTreeMap<Dimension, Text>, BTreeSet<Dimension>) {
    let completeness = &profile.completeness;
    let (mut incomplete, mut missing) = (BTreeMap::new(), BTreeSet::new());
    for dimension in Dimension::ALL {
        let (state, why) = match completeness.dimensions.get(&dimension) {
            None if completeness.complete => continue,
            None => (
                DimensionState::Missing,
                "the profile does not say how complete it is".to_owned(),
            ),
            Some(one) if one.state == DimensionState::Complete => continue,
            Some(one) => (one.state, joined(&one.reasons)),
        };
        incomplete.insert(dimension, format!("{state}: {why}").into());
        if state == DimensionState::Missing {
            missing.insert(dimension);
        }
    }
    (incomplete, missing)
}

/// The rows of a workload's containers in a Profile, by container name. With a baseline, names of
/// peers are proven by resolvers that it knows; without one, by all.
pub(crate) fn observe(
    profile: &Profile,
    of: &BaselineWorkload,
    known: Option<&Baseline>,
) -> BTreeMap<Text, Facts> {
    let (incomplete, missing) = incomplete(profile);
    let dimensions = profile.completeness.dimensions.iter();
    let not_looked_at: BTreeMap<Dimension, BTreeSet<Text>> = dimensions
        .filter(|(_, state)| !state.not_looked_at.is_empty())
        .map(|(dimension, state)| (*dimension, state.not_looked_at.clone()))
        .collect();
    let known: HashMap<&Text, &BaselineContainer> = known
        .iter()
        .flat_map(|known| &known.containers)
        .map(|known| (&known.name, known))
        .collect();
    let mut all: BTreeMap<Text, Facts> = BTreeMap::new();
    for (number, container) in profile.containers.iter().enumerate() {
        if workload(container) != *of {
            continue;
        }
        let facts = all.entry(container_name(container)).or_default();
        let id = container.container_id.as_deref().unwrap_or_default();
        let window = BaselineWindow {
            container: container_name(container),
            started_at: profile.session.started_at.clone().unwrap_or_default(),
            session: profile.session.id.clone(),
            instance: container
                .pod
                .as_ref()
                .map(|pod| format!("{pod}/{}", id.get(..12).unwrap_or(id)))
                .unwrap_or_default()
                .into(),
            window_seconds: profile.session.window_seconds.unwrap_or(0.0),
            from_start: container.from_start,
            to_end: container.ended_at.is_some() || profile.session.exit.is_some(),
            complete: profile.completeness.complete,
            incomplete: incomplete.clone(),
            missing: missing.clone(),
            not_looked_at: not_looked_at.clone(),
        };
        facts.from_start |= container.from_start;
        facts.image_digests.extend(container.image_digest.clone());
        let place = facts.windows.len();
        facts.windows.push(window);
        // Every row of a container that the baseline does not have is new anyway.
        let known = known.get(&container_name(container)).copied();
        let proofs = Proofs::new(container, known);
        facts
            .unknown_resolvers
            .append(&mut proofs.unknown_resolvers(&container.dns));
        let observer = Observer {
            container,
            proofs,
            number: u32::try_from(number).unwrap_or(u32::MAX),
            window: place,
            context: context(container),
            exes: container
                .processes
                .iter()
                .map(|process| (process.id.as_str(), process.exe.as_str()))
                .collect(),
        };
        observer.fill(facts);
    }
    for facts in all.values_mut() {
        facts.unite();
    }
    all
}

/// Long names that are the container's own.
fn context(container: &Container) -> Context {
    let names = [&container.pod, &container.pod_uid, &container.container_id];
    let own_names = names
        .into_iter()
        .flatten()
        .filter(|name| name.len() >= 8)
        .cloned()
        .collect();
    Context { own_names }
}

struct Observer<'a> {
    container: &'a Container,
    proofs: Proofs<'a>,
    number: u32,
    window: usize,
    context: Context,
    /// Executables by the id of their process row.
    exes: HashMap<&'a str, &'a str>,
}

impl Observer<'_> {
    /// The observations of one row.
    fn seen(&self, count: u64, explain: Vec<Explain>) -> Seen {
        let mut counts = vec![0; self.window + 1];
        counts[self.window] = count.max(1);
        Seen {
            support: Support {
                counts: WindowCounts(counts),
                ..Support::default()
            },
            explain,
            ..Seen::default()
        }
    }

    fn fact<R>(&self, row: R, index: usize) -> Fact<R> {
        Fact {
            row,
            at: vec![(self.number, u32::try_from(index).unwrap_or(u32::MAX))],
        }
    }

    fn fill(&self, facts: &mut Facts) {
        self.processes(facts);
        self.files(facts);
        self.network(facts);
        for (index, call) in self.container.syscalls.iter().enumerate() {
            let row = SyscallRow {
                exe: self.exe(&call.exe),
                abi: call.abi,
                name: call.name.clone(),
                errors: call.errors.keys().cloned().collect(),
                seen: self.seen(call.calls, Vec::new()),
            };
            facts.syscalls.push(self.fact(row, index));
        }
        for (index, question) in self.container.dns.iter().enumerate() {
            let row = DnsRow {
                exe: self.exe(&question.exe),
                name: question.name.to_ascii_lowercase().into(),
                record_type: question.record_type.clone(),
                resolvers: question.resolvers.iter().cloned().collect(),
                seen: self.seen(question.count, Vec::new()),
            };
            facts.dns.push(self.fact(row, index));
        }
        let capabilities = self.container.capabilities.iter().enumerate();
        // A capability that was only probed for was not needed.
        for (index, capability) in capabilities.filter(|(_, row)| row.used > 0 || row.denied > 0) {
            let row = CapabilityRow {
                exe: self.exe(&capability.exe),
                name: capability.name.clone(),
                used: capability.used > 0,
                denied: capability.denied > 0,
                seen: self.seen(capability.used + capability.denied, Vec::new()),
            };
            facts.capabilities.push(self.fact(row, index));
        }
        self.events(facts);
    }

    /// The title that a process wrote over its arguments, as it stands where nothing else is known of them.
    fn title(&self, text: &str) -> Text {
        title(text).map_or_else(
            || shape::argument(text, &self.context).0.into(),
            |(pattern, _)| pattern.into(),
        )
    }

    /// An executable's path: only what a rule knows to vary is left out.
    fn exe(&self, exe: &str) -> Text {
        shape::path(exe, &self.context).pattern.into()
    }

    fn processes(&self, facts: &mut Facts) {
        for (index, process) in self.container.processes.iter().enumerate() {
            let mut explain = Vec::new();
            let mut argv = Vec::with_capacity(process.argv.len());
            if let [only] = process.argv.as_slice()
                && let Some((pattern, title)) = title(only)
            {
                explain.push(Explain {
                    part: 0,
                    by: ExplainedBy::Rule,
                    rule: Some("process-title".into()),
                    values: BTreeSet::from([title.into()]),
                });
                argv.push(pattern.into());
            }
            for (part, argument) in process.argv.iter().enumerate().skip(argv.len()) {
                let (pattern, rule) = shape::argument(argument, &self.context);
                if let Some(rule) = rule {
                    add_explain(
                        &mut explain,
                        Explain {
                            part: u32::try_from(part).unwrap_or(u32::MAX),
                            by: ExplainedBy::Rule,
                            rule: Some(rule.into()),
                            values: BTreeSet::from([argument.clone()]),
                        },
                    );
                }
                argv.push(pattern.into());
            }
            let exe = self.exe(&process.exe);
            if let Some(parent) = process.parent.as_deref().and_then(|id| self.exes.get(id)) {
                let row = EdgeRow {
                    parent: self.exe(parent),
                    child: exe.clone(),
                    seen: self.seen(process.count, Vec::new()),
                };
                facts.edges.push(self.fact(row, index));
            }
            let sets = process.capabilities.as_ref();
            let row = ProcessRow {
                exe,
                argv,
                titles: process
                    .titles
                    .iter()
                    .map(|title| self.title(title))
                    .collect(),
                uid: process.uid,
                origin: process.origin,
                capabilities: sets
                    .map(|sets| sets.effective.iter().cloned().collect())
                    .unwrap_or_default(),
                no_new_privs: process.no_new_privs,
                seccomp: process.seccomp.map(|mode| mode != SeccompMode::Disabled),
                layer: process.layer,
                seen: self.seen(process.count, explain),
            };
            facts.processes.push(self.fact(row, index));
        }
    }

    fn files(&self, facts: &mut Facts) {
        for (index, file) in self.container.files.iter().enumerate() {
            let shape = shape::path(&file.path, &self.context);
            let counts = file.operations.values().chain(file.errors.values());
            let count = counts.copied().fold(0, u64::saturating_add);
            let mut operations: BTreeSet<_> = file.operations.keys().copied().collect();
            if file.mmap_write > 0 {
                operations.insert(crate::model::FileOperation::Write);
            }
            let row = FileRow {
                exe: self.exe(&file.exe),
                path: shape.pattern.into(),
                operations,
                errors: file.errors.keys().cloned().collect(),
                seen: self.seen(count, shape.explain),
            };
            facts.files.push(self.fact(row, index));
        }
    }

    fn network(&self, facts: &mut Facts) {
        for (index, network) in self.container.network.iter().enumerate() {
            let count = network.connections + network.datagrams_sent + network.datagrams_received;
            if network.direction == Direction::Listen {
                let (address, port) = self.listener(network);
                let row = ListenRow {
                    exe: self.exe(&network.exe),
                    protocol: network.protocol,
                    address,
                    port,
                    seen: self.seen(1, Vec::new()),
                };
                facts.listen.push(self.fact(row, index));
                continue;
            }
            let Peer {
                peer,
                explain,
                names,
                claimed,
                addresses,
            } = self.peer(network);
            let port = match network.direction {
                Direction::Inbound => network.local.as_ref().and_then(|end| end.port),
                _ => network.remote.as_ref().and_then(|end| end.port),
            };
            let row = PeerRow {
                exe: self.exe(&network.exe),
                protocol: network.protocol,
                direction: network.direction,
                peer,
                port: port.map(|port| port.to_string()).unwrap_or_default().into(),
                reached: count > 0 || network.bytes_sent > 0 || network.bytes_received > 0,
                failures: network.failures.keys().cloned().collect(),
                names,
                claimed,
                addresses,
                seen: self.seen(
                    network
                        .failures
                        .values()
                        .copied()
                        .fold(count, u64::saturating_add),
                    explain,
                ),
            };
            facts.network.push(self.fact(row, index));
        }
    }

    fn listener(&self, network: &Network) -> (Text, Text) {
        let Some(end) = &network.local else {
            return (Text::default(), Text::default());
        };
        if let Some(path) = &end.path {
            return (
                shape::path(path, &self.context).pattern.into(),
                Text::default(),
            );
        }
        let address = end.address.clone().unwrap_or_default();
        let own = address
            .parse::<IpAddr>()
            .is_ok_and(|address| !address.is_loopback() && !address.is_unspecified());
        let address = if own && self.container.pod.is_some() {
            "pod".into()
        } else {
            address
        };
        (
            address,
            end.port
                .map(|port| port.to_string())
                .unwrap_or_default()
                .into(),
        )
    }

    fn peer(&self, network: &Network) -> Peer {
        let path = network
            .remote
            .as_ref()
            .and_then(|end| end.path.as_ref())
            .or_else(|| network.local.as_ref().and_then(|end| end.path.as_ref()));
        if let Some(path) = path {
            let shape = shape::path(path, &self.context);
            return Peer {
                peer: shape.pattern.into(),
                explain: shape.explain,
                ..Peer::default()
            };
        }
        let is_inbound = network.direction == Direction::Inbound;
        let Some(remote) = &network.remote else {
            return Peer {
                peer: if is_inbound { "any" } else { "" }.into(),
                ..Peer::default()
            };
        };
        let Some(address) = &remote.address else {
            // The network is known of all its peers that found no row of their own.
            let cidr = remote.cidr.clone().unwrap_or_default();
            return Peer {
                peer: object_name(remote).unwrap_or_else(|| {
                    if is_inbound {
                        class(cidr.split('/').next().unwrap_or_default()).into()
                    } else {
                        cidr
                    }
                }),
                ..Peer::default()
            };
        };
        let lower = |names: &[Text]| -> BTreeSet<Text> {
            names
                .iter()
                .map(|name| name.to_ascii_lowercase().into())
                .collect()
        };
        let (names, mut claimed): (BTreeSet<Text>, BTreeSet<Text>) = lower(&remote.names)
            .into_iter()
            .partition(|name| self.proofs.is_proven(name, address));
        claimed.extend(
            lower(&remote.claimed)
                .into_iter()
                .filter(|name| !names.contains(name)),
        );
        let own = BTreeSet::from([address.clone()]);
        let (peer, addresses) = match (object_name(remote), names.first()) {
            (Some(object), _) if is_public(address) && object != "node" => (object, own),
            (Some(object), _) => (object, BTreeSet::new()),
            (None, Some(name)) => (format!("name/{name}").into(), own),
            (None, None) if is_inbound => (class(address).into(), BTreeSet::new()),
            (None, None) => (address.clone(), BTreeSet::new()),
        };
        Peer {
            peer,
            names,
            claimed,
            addresses,
            ..Peer::default()
        }
    }

    fn events(&self, facts: &mut Facts) {
        for (index, event) in self.container.events.iter().enumerate() {
            let exe = event
                .process
                .as_deref()
                .and_then(|id| self.exes.get(id))
                .copied()
                .unwrap_or_default();
            let row = EventRow {
                exe: self.exe(exe),
                event_type: event.event_type,
                details: event
                    .details
                    .iter()
                    .filter(|(name, _)| matters(event.event_type, name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                seen: self.seen(event.count, Vec::new()),
            };
            facts.events.push(self.fact(row, index));
        }
    }
}

/// A process that writes what it does over its arguments: `postgres: walwriter`, as one argument.
fn title(text: &str) -> Option<(String, String)> {
    let (name, rest) = text.split_once(": ")?;
    let is_name = !name.is_empty() && !name.contains([' ', '/']);
    (is_name && !rest.is_empty()).then(|| (format!("{name}: *"), rest.to_owned()))
}

/// Who a peer is, and the evidence.
#[derive(Debug, Default)]
struct Peer {
    peer: Text,
    explain: Vec<Explain>,
    names: BTreeSet<Text>,
    claimed: BTreeSet<Text>,
    addresses: BTreeSet<Text>,
}

/// Details that say what was done, not to whom or by which number.
fn matters(event_type: EventType, name: &str) -> bool {
    match event_type {
        EventType::Ptrace => name == "request",
        EventType::Mount => name == "fstype" || name == "call",
        EventType::Perf => false,
        EventType::Signal => name != "target",
        EventType::ModuleLoad => name != "call",
        EventType::Credentials => matches!(name, "toUid" | "gained"),
        _ => true,
    }
}

impl Facts {
    fn unite(&mut self) {
        unite(&mut self.processes);
        unite(&mut self.edges);
        unite(&mut self.syscalls);
        unite(&mut self.files);
        unite(&mut self.network);
        unite(&mut self.listen);
        unite(&mut self.dns);
        unite(&mut self.capabilities);
        unite(&mut self.events);
    }
}

/// Rows of one key become one; sorted by key.
fn unite<R: Row>(facts: &mut Vec<Fact<R>>) {
    let mut keyed: Vec<(R::Key, Fact<R>)> = std::mem::take(facts)
        .into_iter()
        .map(|fact| (fact.row.key(), fact))
        .collect();
    keyed.sort_by(|a, b| (&a.0, &a.1.at).cmp(&(&b.0, &b.1.at)));
    let mut last: Option<R::Key> = None;
    for (key, fact) in keyed {
        if last.as_ref() == Some(&key)
            && let Some(kept) = facts.last_mut()
        {
            kept.row.add(&fact.row);
            add_seen(kept.row.seen_mut(), fact.row.seen());
            kept.at.extend(fact.at);
            continue;
        }
        last = Some(key);
        facts.push(fact);
    }
}

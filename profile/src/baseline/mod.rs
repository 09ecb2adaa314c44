//! Several windows of one workload to one Baseline, and baselines to one.
//!
//! ```
//! use procmon_profile::baseline::{from_profiles, merge};
//! use procmon_profile::model::Profile;
//! let empty = from_profiles("web", &[Profile::default()], None);
//! assert!(empty.is_err(), "a profile without containers is of no workload");
//! ```

mod coverage;
mod learn;
mod names;
mod observe;
mod rows;
mod shape;

pub use crate::knowledge::paths::is_protected;
pub use coverage::assess;
pub(crate) use learn::network_of;
pub(crate) use names::{class, covers_address, has_address};
pub(crate) use observe::{Fact, Facts, LOCAL, observe, workload};
pub(crate) use rows::{MAX_NAMES, Row};

use crate::model::{
    API_VERSION, Baseline, BaselineContainer, BaselineKind, BaselineMetadata, BaselineWindow,
    BaselineWorkload, Change, Dimension, Drift, DriftRow, Phase, Profile, RowValue, SCHEMA_VERSION,
    Seen, Time,
};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Workloads that an error names.
const MAX_SAID: usize = 10;

/// Why documents can't become one Baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaselineError {
    /// A profile holds no container.
    Nothing,
    /// A profile holds containers of several workloads.
    SeveralWorkloads(Vec<BaselineWorkload>),
    /// Two documents are of different workloads.
    OtherWorkload(String, String),
    /// Two documents are of different architectures.
    OtherArchitecture(BTreeSet<Text>, BTreeSet<Text>),
    /// The workload asked for is not in the profile.
    NoSuchWorkload(Text),
}

/// `Deployment/shop/web`, or `/usr/sbin/nginx`.
#[must_use]
pub fn workload_name(workload: &BaselineWorkload) -> String {
    match (&workload.namespace, workload.kind.as_str()) {
        (_, "Program") => workload.name.clone().into(),
        (Some(namespace), kind) => format!("{kind}/{namespace}/{}", workload.name),
        (None, kind) => format!("{kind}/{}", workload.name),
    }
}

impl fmt::Display for BaselineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "the profile holds no container"),
            Self::SeveralWorkloads(all) => {
                let names: Vec<String> = all.iter().take(MAX_SAID).map(workload_name).collect();
                let more = all.len() - names.len();
                write!(
                    f,
                    "the profile holds several workloads: {}",
                    names.join(", ")
                )?;
                if more > 0 {
                    write!(f, " and {more} more")?;
                }
                Ok(())
            }
            Self::OtherWorkload(one, other) => {
                write!(f, "they are of different workloads: {one} and {other}")
            }
            Self::OtherArchitecture(one, other) => {
                let list =
                    |all: &BTreeSet<Text>| all.iter().cloned().collect::<Vec<_>>().join(", ");
                write!(
                    f,
                    "they are of different architectures: {} and {}",
                    list(one),
                    list(other)
                )
            }
            Self::NoSuchWorkload(name) => write!(f, "the profile does not hold workload {name}"),
        }
    }
}

impl std::error::Error for BaselineError {}

/// The architectures of a profile's nodes.
pub(crate) fn architectures(profile: &Profile) -> BTreeSet<Text> {
    profile
        .nodes
        .iter()
        .filter_map(|node| node.arch.clone())
        .collect()
}

/// The workload of a profile. `wanted` is the name of one of several, whole or its last part.
pub fn select(profile: &Profile, wanted: Option<&str>) -> Result<BaselineWorkload, BaselineError> {
    let all: BTreeSet<BaselineWorkload> = profile.containers.iter().map(workload).collect();
    let fits = |candidate: &&BaselineWorkload| {
        wanted.is_none_or(|wanted| {
            let name = workload_name(candidate);
            name.eq_ignore_ascii_case(wanted) || candidate.name == wanted
        })
    };
    let fitting: Vec<&BaselineWorkload> = all.iter().filter(fits).collect();
    match (fitting.as_slice(), wanted) {
        ([one], _) => Ok((*one).clone()),
        ([], Some(wanted)) => Err(BaselineError::NoSuchWorkload(wanted.into())),
        ([], None) => Err(BaselineError::Nothing),
        (several, _) => Err(BaselineError::SeveralWorkloads(
            several.iter().map(|workload| (*workload).clone()).collect(),
        )),
    }
}

/// A Baseline of one or more profiles of one workload. A profile that is given twice counts once.
pub fn from_profiles(
    name: &str,
    profiles: &[Profile],
    wanted: Option<&str>,
) -> Result<Baseline, BaselineError> {
    let mut whole: Option<Baseline> = None;
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for profile in profiles {
        let workload = select(profile, wanted)?;
        if !profile.session.id.is_empty() && !known.insert(profile.session.id.as_str()) {
            continue;
        }
        let one = unlearned(name, workload, profile);
        whole = Some(match whole {
            None => one,
            Some(whole) => {
                check_same(&whole, &one)?;
                join(whole, one)
            }
        });
    }
    let mut whole = whole.ok_or(BaselineError::Nothing)?;
    finish(&mut whole);
    Ok(whole)
}

/// Rows of a profile, nothing learned yet.
fn unlearned(name: &str, workload: BaselineWorkload, profile: &Profile) -> Baseline {
    let mut windows = Vec::new();
    let mut containers = Vec::new();
    for (name, facts) in observe(profile, &workload, None) {
        windows.extend(facts.windows.iter().cloned());
        containers.push(facts.into_container(name));
    }
    let mut baseline = Baseline {
        api_version: API_VERSION.into(),
        schema_version: SCHEMA_VERSION.into(),
        kind: BaselineKind::Baseline,
        metadata: BaselineMetadata {
            name: name.into(),
            workload,
            architectures: architectures(profile),
            ..BaselineMetadata::default()
        },
        windows,
        containers,
    };
    sort_windows(&mut baseline);
    baseline
}

/// Two documents can be of the same workload.
pub fn check_same(one: &Baseline, other: &Baseline) -> Result<(), BaselineError> {
    let (a, b) = (&one.metadata, &other.metadata);
    if !is_same(one, other) {
        return Err(BaselineError::OtherWorkload(
            workload_name(&a.workload),
            workload_name(&b.workload),
        ));
    }
    let known = !a.architectures.is_empty() && !b.architectures.is_empty();
    if known && a.architectures.is_disjoint(&b.architectures) {
        return Err(BaselineError::OtherArchitecture(
            a.architectures.clone(),
            b.architectures.clone(),
        ));
    }
    Ok(())
}

/// On one machine, where nothing has a name but programs, one program in common is enough.
fn is_same(one: &Baseline, other: &Baseline) -> bool {
    let (a, b) = (&one.metadata.workload, &other.metadata.workload);
    if a == b {
        return true;
    }
    if a.kind != "Program" || b.kind != "Program" {
        return false;
    }
    let programs = |baseline: &Baseline| -> BTreeSet<Text> {
        let containers = baseline.containers.iter();
        containers
            .flat_map(|container| container.processes.iter().map(|row| row.exe.clone()))
            .collect()
    };
    !programs(one).is_disjoint(&programs(other))
}

/// One Baseline of two. Commutative and associative as long as no window is in both.
pub fn merge(one: Baseline, other: Baseline) -> Result<Baseline, BaselineError> {
    check_same(&one, &other)?;
    Ok(merge_by_force(one, other))
}

/// As [`merge`], whatever their workloads are.
#[must_use]
pub fn merge_by_force(one: Baseline, other: Baseline) -> Baseline {
    let mut whole = join(one, other);
    finish(&mut whole);
    whole
}

macro_rules! each_dimension {
    ($container:expr, $macro:ident) => {
        $macro!($container, processes);
        $macro!($container, edges);
        $macro!($container, syscalls);
        $macro!($container, files);
        $macro!($container, network);
        $macro!($container, listen);
        $macro!($container, dns);
        $macro!($container, capabilities);
        $macro!($container, events);
    };
}

/// All rows of both under one list of windows.
fn join(one: Baseline, other: Baseline) -> Baseline {
    let metadata = join_metadata(&one.metadata, &other.metadata);
    let key = |window: &BaselineWindow| {
        (
            window.container.clone(),
            window.started_at.clone(),
            window.session.clone(),
            window.instance.clone(),
        )
    };
    let mut windows: BTreeMap<_, BaselineWindow> = BTreeMap::new();
    for window in one.windows.iter().chain(&other.windows) {
        windows.entry(key(window)).or_insert_with(|| window.clone());
    }
    let windows: Vec<BaselineWindow> = windows.into_values().collect();
    let mut containers: BTreeMap<Text, BaselineContainer> = BTreeMap::new();
    for half in [one, other] {
        for mut container in half.containers {
            let places = places(&half.windows, &windows, &container.name, key);
            macro_rules! move_rows {
                ($container:expr, $field:ident) => {
                    for row in &mut $container.$field {
                        move_counts(row.seen_mut(), &places);
                    }
                };
            }
            each_dimension!(container, move_rows);
            match containers.get_mut(&container.name) {
                None => {
                    containers.insert(container.name.clone(), container);
                }
                Some(kept) => {
                    kept.image_digests.append(&mut container.image_digests);
                    rows::extend(&mut kept.resolvers, &container.resolvers);
                    macro_rules! append {
                        ($container:expr, $field:ident) => {
                            kept.$field.append(&mut $container.$field);
                        };
                    }
                    each_dimension!(container, append);
                }
            }
        }
    }
    Baseline {
        api_version: API_VERSION.into(),
        schema_version: SCHEMA_VERSION.into(),
        kind: BaselineKind::Baseline,
        metadata,
        windows,
        containers: containers.into_values().collect(),
    }
}

fn join_metadata(one: &BaselineMetadata, other: &BaselineMetadata) -> BaselineMetadata {
    BaselineMetadata {
        name: (&one.name).min(&other.name).clone(),
        workload: (&one.workload).min(&other.workload).clone(),
        architectures: one
            .architectures
            .union(&other.architectures)
            .cloned()
            .collect(),
        locked: one.locked || other.locked,
        notes: one.notes.union(&other.notes).cloned().collect(),
    }
}

/// New places of a container's windows, by their old ones.
fn places<K: Ord>(
    old: &[BaselineWindow],
    new: &[BaselineWindow],
    container: &str,
    key: impl Fn(&BaselineWindow) -> K,
) -> Vec<usize> {
    let own = |window: &&BaselineWindow| window.container == container;
    let new: BTreeMap<K, usize> = new.iter().filter(own).map(&key).zip(0..).collect();
    old.iter()
        .filter(own)
        .filter_map(|window| new.get(&key(window)).copied())
        .collect()
}

fn move_counts(seen: &mut Seen, places: &[usize]) {
    let old = std::mem::take(&mut seen.support.counts.0);
    for (count, place) in old.into_iter().zip(places) {
        let counts = &mut seen.support.counts.0;
        if counts.len() <= *place {
            counts.resize(place + 1, 0);
        }
        counts[*place] = counts[*place].max(count);
    }
}

fn sort_windows(baseline: &mut Baseline) {
    // The windows of one profile are in the order of its containers: bring the counts along.
    let empty = Baseline {
        metadata: baseline.metadata.clone(),
        ..Baseline::default()
    };
    *baseline = join(std::mem::take(baseline), empty);
}

/// Learns what varies, and fills in all that follows from the rows.
fn finish(baseline: &mut Baseline) {
    for container in &mut baseline.containers {
        for row in &mut container.dns {
            rows::extend(&mut container.resolvers, &row.resolvers);
            row.resolvers.clear();
        }
        container.processes =
            learn::processes(rows::unite(std::mem::take(&mut container.processes)));
        container.edges = rows::unite(std::mem::take(&mut container.edges));
        container.syscalls = rows::unite(std::mem::take(&mut container.syscalls));
        container.files = learn::files(rows::unite(std::mem::take(&mut container.files)));
        container.network = learn::network(rows::unite(std::mem::take(&mut container.network)));
        container.listen = learn::listen(rows::unite(std::mem::take(&mut container.listen)));
        container.dns = learn::dns(rows::unite(std::mem::take(&mut container.dns)));
        container.capabilities = rows::unite(std::mem::take(&mut container.capabilities));
        container.events = rows::unite(std::mem::take(&mut container.events));
        let windows: Vec<&BaselineWindow> = baseline
            .windows
            .iter()
            .filter(|window| window.container == container.name)
            .collect();
        macro_rules! describe {
            ($container:expr, $field:ident) => {
                for row in &mut $container.$field {
                    describe(row, &windows);
                }
            };
        }
        each_dimension!(container, describe);
        container.coverage = coverage::of_container(container, &windows);
        container.not_seen = coverage::not_seen(&windows);
    }
}

/// Fills in what follows from a row's counts.
fn describe<R: Row>(row: &mut R, windows: &[&BaselineWindow]) {
    let seen = row.seen_mut();
    seen.explain.sort();
    let support = &mut seen.support;
    while support.counts.0.last() == Some(&0) {
        support.counts.0.pop();
    }
    support.counts.0.truncate(windows.len());
    (support.seen, support.of) = (0, 0);
    let (mut first, mut last): (Option<&Time>, Option<&Time>) = (None, None);
    let (mut start, mut steady) = (false, false);
    for (place, window) in windows.iter().enumerate() {
        let has = support.counts.0.get(place).is_some_and(|count| *count > 0);
        if has || !window.incomplete.contains_key(&R::DIMENSION) {
            support.of += 1;
        }
        if has {
            support.seen += 1;
            start |= window.from_start;
            steady |= !window.from_start;
            first = first.into_iter().chain([&window.started_at]).min();
            last = last.into_iter().chain([&window.started_at]).max();
        }
    }
    seen.first_seen = first.cloned().unwrap_or_default();
    seen.last_seen = last.cloned().unwrap_or_default();
    seen.phase = match (start, steady) {
        (true, true) => Phase::Both,
        (true, false) => Phase::Start,
        _ => Phase::Steady,
    };
}

/// Brings a Baseline that somebody wrote by hand into its one order, and learns from it. Names the
/// container that stands in it twice.
pub fn normalize(baseline: Baseline) -> Result<Baseline, String> {
    let mut names = BTreeSet::new();
    for container in &baseline.containers {
        if !names.insert(container.name.as_str()) {
            return Err(container.name.clone().into());
        }
    }
    let mut baseline = baseline;
    sort_windows(&mut baseline);
    finish(&mut baseline);
    Ok(baseline)
}

/// Takes rows of a Drift into a Baseline: those whose id `wanted` says. Returns how many.
/// Rows that are gone are taken out; one that says that a dimension is incomplete stays.
pub fn accept(baseline: &mut Baseline, drift: &Drift, wanted: impl Fn(&str) -> bool) -> usize {
    let mut taken = 0;
    let mut places: BTreeMap<Text, usize> = baseline
        .containers
        .iter()
        .map(|known| known.name.clone())
        .zip(0..)
        .collect();
    let mut gone: BTreeMap<usize, Vec<&RowValue>> = BTreeMap::new();
    let is_row = |row: &&DriftRow| !matches!(row.value, RowValue::Incomplete(_));
    for row in drift
        .rows
        .iter()
        .filter(is_row)
        .filter(|row| wanted(&row.id))
    {
        let place = *places.entry(row.container.clone()).or_insert_with(|| {
            baseline.containers.push(BaselineContainer {
                name: row.container.clone(),
                ..BaselineContainer::default()
            });
            baseline.containers.len() - 1
        });
        let container = &mut baseline.containers[place];
        taken += 1;
        if row.change == Change::Gone {
            gone.entry(place).or_default().push(&row.value);
            continue;
        }
        macro_rules! take {
            ($field:ident, $value:expr) => {
                let mut value = $value.clone();
                *value.seen_mut() = Seen {
                    accepted: true,
                    explain: value.seen().explain.clone(),
                    ..Seen::default()
                };
                container.$field.push(value);
            };
        }
        match &row.value {
            RowValue::Process(value) => {
                take!(processes, value);
            }
            RowValue::Edge(value) => {
                take!(edges, value);
            }
            RowValue::Syscall(value) => {
                take!(syscalls, value);
            }
            RowValue::File(value) => {
                take!(files, value);
            }
            RowValue::Peer(value) => {
                take!(network, value);
            }
            RowValue::Listen(value) => {
                take!(listen, value);
            }
            RowValue::Dns(value) => {
                take!(dns, value);
            }
            RowValue::Capability(value) => {
                take!(capabilities, value);
            }
            RowValue::Event(value) => {
                take!(events, value);
            }
            // A baseline has no row for it: the capture is what has to change.
            RowValue::Incomplete(_) => {}
        }
    }
    for (place, values) in gone {
        take_out(&mut baseline.containers[place], &values);
    }
    sort_windows(baseline);
    finish(baseline);
    taken
}

/// Takes rows with these keys out.
fn take_out(container: &mut BaselineContainer, values: &[&RowValue]) {
    macro_rules! take_out {
        ($field:ident, $variant:ident) => {
            let keys: BTreeSet<_> = values
                .iter()
                .filter_map(|value| match value {
                    RowValue::$variant(value) => Some(value.key()),
                    _ => None,
                })
                .collect();
            if !keys.is_empty() {
                container
                    .$field
                    .retain(|known| !keys.contains(&known.key()));
            }
        };
    }
    take_out!(processes, Process);
    take_out!(edges, Edge);
    take_out!(syscalls, Syscall);
    take_out!(files, File);
    take_out!(network, Peer);
    take_out!(listen, Listen);
    take_out!(dns, Dns);
    take_out!(capabilities, Capability);
    take_out!(events, Event);
}

impl Facts {
    fn into_container(self, name: Text) -> BaselineContainer {
        fn rows<R>(facts: Vec<Fact<R>>) -> Vec<R> {
            facts.into_iter().map(|fact| fact.row).collect()
        }
        BaselineContainer {
            name,
            image_digests: self.image_digests,
            resolvers: BTreeSet::new(),
            processes: rows(self.processes),
            edges: rows(self.edges),
            syscalls: rows(self.syscalls),
            files: rows(self.files),
            network: rows(self.network),
            listen: rows(self.listen),
            dns: rows(self.dns),
            capabilities: rows(self.capabilities),
            events: rows(self.events),
            coverage: BTreeMap::new(),
            not_seen: BTreeSet::new(),
        }
    }
}

/// Number of rows of one dimension.
#[must_use]
pub fn rows_of(container: &BaselineContainer, dimension: Dimension) -> usize {
    match dimension {
        Dimension::Processes => container.processes.len() + container.edges.len(),
        Dimension::Syscalls => container.syscalls.len(),
        Dimension::Files => container.files.len(),
        Dimension::Network => container.network.len() + container.listen.len(),
        Dimension::Dns => container.dns.len(),
        Dimension::Capabilities => container.capabilities.len(),
        Dimension::Events => container.events.len(),
    }
}

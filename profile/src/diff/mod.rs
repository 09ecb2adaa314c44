//! A Baseline and a Profile to a Drift: what is new, what changed, what is gone, and what it means.
//!
//! A row that the baseline does not have is told whether or not the profile is complete: it was
//! seen. Nothing is concluded from what is missing: rows are gone only where the profile is
//! complete, and a dimension that no window of the baseline has as a whole gives no rows. Both are
//! named under `notComparable`. A dimension that was complete and is not any more is a row of its
//! own: a target can make a capture partial, and then hides something.

mod fields;
mod files;
mod frequency;
mod matcher;
mod network;
mod peers;
mod processes;
mod rights;
mod syscalls;

use crate::baseline::{
    self, BaselineError, Fact, Facts, LOCAL, Row, check_same, from_profiles, observe, select,
    workload_name,
};
use crate::digest::digest;
use crate::judge::Judgement;
use crate::model::{
    API_VERSION, Baseline, BaselineContainer, BaselineWindow, Change, Container, Dimension,
    DimensionState, Drift, DriftKind, DriftRow, DriftSide, DriftSummary, FileOperation, FileRow,
    IncompleteRow, NotComparable, NotSeen, Phase, ProcessRow, Profile, RowValue, SCHEMA_VERSION,
    Severity,
};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Pointers kept as evidence of one row.
const MAX_EVIDENCE: usize = 8;
/// Values named in a reason.
const MAX_NAMED: usize = 6;
/// Bytes of an id: a name that is made to have the id of another row takes 2^64 tries at least.
const ID_BYTES: usize = 16;
/// Stands for executables that found no slot of their own: any of them may be meant.
const OTHERS: &str = "(other executables)";

/// How to compare.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of the two sides for the document and its commands.
    pub baseline_name: String,
    /// See `baseline_name`.
    pub profile_name: String,
    /// Compare although the workloads or architectures differ.
    pub force: bool,
    /// Workload, of a profile that holds several.
    pub workload: Option<String>,
    /// Also tell what became significantly more or less frequent.
    pub frequency: bool,
    /// Keep every pointer that is evidence of a row, not the first few only.
    pub all_evidence: bool,
}

/// Compares a Profile with a Baseline.
///
/// ```
/// use procmon_profile::baseline::from_profiles;
/// use procmon_profile::diff::{Options, diff};
/// use procmon_profile::model::{Container, Process, Profile};
/// let profile = Profile {
///     containers: vec![Container {
///         processes: vec![Process { id: "p1".into(), exe: "/app".into(), count: 1, ..Process::default() }],
///         ..Container::default()
///     }],
///     ..Profile::default()
/// };
/// let baseline = from_profiles("app", &[profile.clone()], None)?;
/// assert!(diff(&baseline, &profile, &Options::default())?.rows.is_empty());
/// # Ok::<(), procmon_profile::baseline::BaselineError>(())
/// ```
pub fn diff(
    baseline: &Baseline,
    profile: &Profile,
    options: &Options,
) -> Result<Drift, BaselineError> {
    let wanted = options.workload.as_deref();
    let workload = match select(profile, wanted) {
        Err(BaselineError::SeveralWorkloads(_)) if wanted.is_none() => {
            select(profile, Some(&workload_name(&baseline.metadata.workload)))
        }
        other => other,
    }?;
    if !options.force {
        let other = Baseline {
            metadata: crate::model::BaselineMetadata {
                workload: workload.clone(),
                architectures: baseline::architectures(profile),
                ..crate::model::BaselineMetadata::default()
            },
            containers: programs(profile),
            ..Baseline::default()
        };
        check_same(baseline, &other)?;
    }
    let mut drift = Drift {
        api_version: API_VERSION.into(),
        schema_version: SCHEMA_VERSION.into(),
        kind: DriftKind::Drift,
        baseline: DriftSide {
            name: options.baseline_name.clone().into(),
            workload: baseline.metadata.workload.clone(),
            sessions: sessions(&baseline.windows),
        },
        profile: DriftSide {
            name: options.profile_name.clone().into(),
            workload,
            sessions: vec![profile.session.id.clone()],
        },
        ..Drift::default()
    };
    for node in profile.nodes.iter().filter(|node| node.error.is_some()) {
        drift.incomplete_nodes.push(node.name.clone());
        drift.notes.push(
            format!(
                "node {} has no part in the profile: nothing is said of what runs there",
                node.name
            )
            .into(),
        );
    }
    let whole = drift.incomplete_nodes.is_empty();
    let observed = observe(profile, &drift.profile.workload, Some(baseline));
    for (name, facts) in &observed {
        let nothing = BaselineContainer::default();
        let known = baseline.containers.iter().find(|known| known.name == *name);
        if known.is_none() {
            drift.notes.push(
                format!("the baseline has no container {name}: it is compared with nothing").into(),
            );
        }
        let windows: Vec<&BaselineWindow> = match known {
            Some(_) => baseline
                .windows
                .iter()
                .filter(|window| window.container == *name)
                .collect(),
            None => Vec::new(),
        };
        Comparison::new(
            known.unwrap_or(&nothing),
            windows,
            name,
            facts,
            profile,
            whole,
        )
        .run(&mut drift, options);
    }
    for known in baseline
        .containers
        .iter()
        .filter(|known| !observed.contains_key(&known.name))
    {
        drift
            .notes
            .push(format!("container {} is not in the profile", known.name).into());
    }
    finish(&mut drift);
    Ok(drift)
}

/// Compares one Profile with another, as if the first were a Baseline.
pub fn between(one: &Profile, other: &Profile, options: &Options) -> Result<Drift, BaselineError> {
    let baseline = from_profiles(
        &options.baseline_name,
        std::slice::from_ref(one),
        options.workload.as_deref(),
    )?;
    diff(&baseline, other, options)
}

/// Each pod of a Profile against all others of it: one Drift for each pod, by its name.
pub fn odd_one_out(
    profile: &Profile,
    options: &Options,
) -> Result<BTreeMap<Text, Drift>, BaselineError> {
    let pods: BTreeSet<Text> = profile
        .containers
        .iter()
        .filter_map(|container| container.pod.clone())
        .collect();
    let part = |wanted: &dyn Fn(&Container) -> bool| {
        let mut part = profile.clone();
        part.containers.retain(|container| wanted(container));
        part
    };
    let mut all = BTreeMap::new();
    for pod in &pods {
        if pods.len() < 2 {
            break;
        }
        let others = part(&|container| container.pod.as_ref() != Some(pod));
        let own = part(&|container| container.pod.as_ref() == Some(pod));
        let options = Options {
            baseline_name: "the other pods".to_owned(),
            profile_name: pod.clone().into(),
            force: true,
            ..options.clone()
        };
        all.insert(pod.clone(), between(&others, &own, &options)?);
    }
    Ok(all)
}

fn sessions(windows: &[BaselineWindow]) -> Vec<Text> {
    let all: BTreeSet<Text> = windows
        .iter()
        .map(|window| window.session.clone())
        .collect();
    all.into_iter().collect()
}

/// The facts that tell one program on one machine from another.
fn programs(profile: &Profile) -> Vec<BaselineContainer> {
    let processes = profile
        .containers
        .iter()
        .flat_map(|container| &container.processes)
        .map(|process| ProcessRow {
            exe: process.exe.clone(),
            ..ProcessRow::default()
        })
        .collect();
    vec![BaselineContainer {
        name: LOCAL.into(),
        processes,
        ..BaselineContainer::default()
    }]
}

/// Sorts rows, counts them, and decides whether everything could be compared.
pub fn finish(drift: &mut Drift) {
    drift.rows.sort_by(|a, b| {
        let key = |row: &DriftRow| {
            (
                row.container.clone(),
                std::cmp::Reverse(row.severity),
                row.dimension,
                row.change,
                row.key.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    drift.rows.dedup_by(|next, kept| next.id == kept.id);
    for list in [&mut drift.not_comparable, &mut drift.missing] {
        list.sort();
        list.dedup();
    }
    drift.notes.sort();
    drift.comparable = drift.not_comparable.is_empty() && drift.incomplete_nodes.is_empty();
    drift.summary = DriftSummary::of(&drift.rows);
}

/// How far one dimension of both sides can be compared.
enum Standing {
    /// As a whole.
    Whole,
    /// Neither side has it, for this reason: nothing is lost.
    Neither(Text),
    /// No window of the baseline has it as a whole, for this reason.
    Unknown(Text),
    /// The profile does not have it as a whole, for this reason. The windows of the baseline that
    /// have it, of how many.
    Cut(Text, usize, usize),
}

/// One container of both sides.
struct Comparison<'a> {
    known: &'a BaselineContainer,
    windows: Vec<&'a BaselineWindow>,
    name: &'a str,
    facts: &'a Facts,
    profile: &'a Profile,
    /// The profile saw a start and the baseline never did: what is ordinary may belong to it.
    start_unknown: bool,
    /// Programs that the baseline knows only as running already, and that were executed now.
    started_anew: HashSet<&'a str>,
    /// Every node answered.
    whole: bool,
    known_exes: HashSet<&'a str>,
    /// Dimensions of the profile that lack nothing.
    complete: BTreeSet<Dimension>,
    rows: Vec<DriftRow>,
    /// Greetings of known peers: which of them are drift is told last.
    greetings: Vec<network::Greeting<'a>>,
    /// Rows that may belong to a start.
    n_start: usize,
    /// Pointers kept as evidence of one row.
    n_evidence: usize,
}

impl<'a> Comparison<'a> {
    fn new(
        known: &'a BaselineContainer,
        windows: Vec<&'a BaselineWindow>,
        name: &'a str,
        facts: &'a Facts,
        profile: &'a Profile,
        whole: bool,
    ) -> Self {
        let saw_start = windows.iter().any(|window| window.from_start);
        let known_exes = known.processes.iter().map(|row| row.exe.as_str()).collect();
        Self {
            known,
            start_unknown: facts.from_start && !saw_start && !windows.is_empty(),
            started_anew: started_anew(known, facts, saw_start),
            windows,
            name,
            facts,
            profile,
            whole,
            known_exes,
            complete: BTreeSet::new(),
            rows: Vec::new(),
            greetings: Vec::new(),
            n_start: 0,
            n_evidence: MAX_EVIDENCE,
        }
    }

    fn run(mut self, drift: &mut Drift, options: &Options) {
        if options.all_evidence {
            self.n_evidence = usize::MAX;
        }
        let mut comparable = Vec::new();
        for dimension in Dimension::ALL {
            let entry = |reason: String| NotComparable {
                container: self.name.into(),
                dimension,
                reason: reason.into(),
            };
            match self.standing(dimension) {
                Standing::Whole => {
                    comparable.push(dimension);
                    self.complete.insert(dimension);
                }
                Standing::Neither(reason) => {
                    let reason = format!("on both sides it is {reason}");
                    drift.missing.push(entry(reason));
                }
                Standing::Unknown(reason) => {
                    let reason = format!("in every window of the baseline it is {reason}");
                    drift.not_comparable.push(entry(reason));
                }
                Standing::Cut(reason, whole, windows) => {
                    comparable.push(dimension);
                    drift
                        .not_comparable
                        .push(entry(format!("in the profile it is {reason}")));
                    self.incomplete(dimension, reason, whole, windows);
                }
            }
        }
        for dimension in Dimension::ALL {
            self.not_looked_at(dimension);
        }
        for dimension in comparable {
            match dimension {
                Dimension::Processes => self.processes(),
                Dimension::Syscalls => self.syscalls(),
                Dimension::Files => self.files(),
                Dimension::Network => {
                    self.network();
                    self.listen();
                }
                Dimension::Dns => self.dns(),
                Dimension::Capabilities => self.capabilities(),
                Dimension::Events => self.events(),
            }
            if options.frequency && self.complete.contains(&dimension) {
                self.frequency(dimension);
            }
        }
        self.greetings();
        if self.n_start > 0 {
            drift.notes.push(format!(
                "container {}: the baseline never saw the start of what starts here: {} rows that may belong to it are info only; add a window with a start to the baseline",
                self.name, self.n_start
            ).into());
        }
        self.not_seen(drift);
        let new_digests: Vec<&Text> = self
            .facts
            .image_digests
            .difference(&self.known.image_digests)
            .collect();
        if !self.known.image_digests.is_empty() && !new_digests.is_empty() {
            drift.notes.push(
                format!(
                    "container {}: the image is another one ({}) than the baseline's",
                    self.name,
                    new_digests
                        .iter()
                        .map(|digest| digest.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                )
                .into(),
            );
        }
        drift.rows.append(&mut self.rows);
    }

    /// How far a dimension can be compared.
    fn standing(&self, dimension: Dimension) -> Standing {
        let here: Vec<Option<&Text>> = reasons(self.facts.windows.iter(), dimension);
        let there: Vec<Option<&Text>> = reasons(self.windows.iter().copied(), dimension);
        let none_there = !there.is_empty() && there.iter().all(Option::is_some);
        let is_missing = |window: &BaselineWindow| window.missing.contains(&dimension);
        let first = |all: &[Option<&Text>]| all.iter().copied().flatten().min().cloned();
        match (first(&here), first(&there)) {
            (Some(reason), Some(_))
                if none_there
                    && self.facts.windows.iter().all(is_missing)
                    && self.windows.iter().copied().all(is_missing) =>
            {
                Standing::Neither(reason)
            }
            (_, Some(reason)) if none_there => Standing::Unknown(reason),
            (Some(reason), _) => {
                let whole = there.iter().filter(|reason| reason.is_none()).count();
                Standing::Cut(reason, whole, there.len())
            }
            (None, _) => Standing::Whole,
        }
    }

    /// A dimension that windows of the baseline have as a whole, and the profile does not.
    fn incomplete(&mut self, dimension: Dimension, reason: Text, whole: usize, windows: usize) {
        if whole == 0 {
            return;
        }
        let (severity, before) = if whole == windows {
            (
                Severity::Medium,
                "in every window of the baseline it is complete".to_owned(),
            )
        } else {
            let before = format!("in {whole} of {windows} windows of the baseline it is complete");
            (Severity::Low, before)
        };
        let is_missing = |window: &BaselineWindow| window.missing.contains(&dimension);
        let state = if self.facts.windows.iter().any(is_missing) {
            DimensionState::Missing
        } else {
            DimensionState::Partial
        };
        let key = format!("{dimension} can't be seen as a whole");
        self.rows.push(DriftRow {
            id: id(self.name, dimension, Change::Changed, "", &key).into(),
            change: Change::Changed,
            dimension,
            container: self.name.into(),
            severity,
            key: key.into(),
            reason: format!("{before}, now it is {state}: somebody may be blinding the capture")
                .into(),
            value: RowValue::Incomplete(IncompleteRow { reason }),
            nearest: None,
            evidence: vec![format!("/completeness/dimensions/{dimension}").into()],
            accept: Text::default(),
        });
    }

    /// Means that the profile used, that no row can show, and that no window of the baseline used:
    /// whatever is done by them is new.
    fn not_looked_at(&mut self, dimension: Dimension) {
        let of =
            |window: &'a BaselineWindow| window.not_looked_at.get(&dimension).into_iter().flatten();
        let known: BTreeSet<&Text> = self.windows.iter().copied().flat_map(of).collect();
        let here: BTreeSet<&Text> = self.facts.windows.iter().flat_map(of).collect();
        for what in here.difference(&known) {
            let key = format!("{what}: used, and not looked at");
            let why = "no window of the baseline used it, and what it is used for is in no row";
            let (severity, why) = self.start("", (Severity::Medium, why), false);
            self.rows.push(DriftRow {
                id: id(self.name, dimension, Change::New, "", &key).into(),
                change: Change::New,
                dimension,
                container: self.name.into(),
                severity,
                key: key.into(),
                reason: why.into(),
                value: RowValue::Incomplete(IncompleteRow {
                    reason: (*what).clone(),
                }),
                nearest: None,
                evidence: vec![format!("/completeness/dimensions/{dimension}/notLookedAt").into()],
                accept: Text::default(),
            });
        }
    }

    /// A key with the names of the profile in place of patterns: what a person looks for.
    fn with_names(&self, key: &str, value: &RowValue, at: &[(u32, u32)]) -> String {
        let Some((container, row)) = at.first() else {
            return key.to_owned();
        };
        let Some(container) = self.profile.containers.get(*container as usize) else {
            return key.to_owned();
        };
        let row = *row as usize;
        let names = match value {
            RowValue::File(file) => container.files.get(row).map(|seen| {
                vec![
                    (file.path.clone(), &seen.path),
                    (file.exe.clone(), &seen.exe),
                ]
            }),
            RowValue::Process(process) => container.processes.get(row).map(|seen| {
                let argv = process.argv.iter().cloned().zip(&seen.argv);
                std::iter::once((process.exe.clone(), &seen.exe))
                    .chain(argv)
                    .collect()
            }),
            RowValue::Peer(peer) => container.network.get(row).and_then(|seen| {
                let path = seen.remote.as_ref().and_then(|end| end.path.as_ref());
                Some(vec![(peer.peer.clone(), path?)])
            }),
            _ => None,
        };
        let mut key = key.to_owned();
        for (pattern, name) in names.into_iter().flatten() {
            if pattern.contains('*') && pattern != *name {
                key = key.replacen(&*pattern, name, 1);
            }
        }
        key
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one for each part of the document's row"
    )]
    fn report<R: Row>(
        &mut self,
        change: Change,
        row: &R,
        at: &[(u32, u32)],
        list: &str,
        (severity, why): Judgement,
        key: &str,
        uncovered: &str,
        nearest: Option<String>,
    ) {
        let reason = if uncovered.is_empty() {
            why.to_owned()
        } else {
            format!("{uncovered}: {why}")
        };
        // The words of a whole row may be those of another row, too: `a b` may be one name or two.
        let identity = if row.text() == key {
            format!("{:?}", row.key())
        } else {
            row.exe().to_owned()
        };
        let id = id(self.name, R::DIMENSION, change, &identity, key);
        let value = row.clone().value();
        let key = self.with_names(key, &value, at);
        self.rows.push(DriftRow {
            id: id.into(),
            change,
            dimension: R::DIMENSION,
            container: self.name.into(),
            severity,
            key: key.into(),
            value,
            reason: reason.into(),
            nearest: nearest.map(Text::from),
            evidence: evidence(at, list, self.n_evidence),
            accept: Text::default(),
        });
    }

    /// Notes what the baseline had no chance to see, where rows may be due to that. A start is noted above.
    fn not_seen(&self, drift: &mut Drift) {
        if self.rows.iter().all(|row| row.change != Change::New) {
            return;
        }
        let mut note = |what: &str, add: &str| {
            drift.notes.push(
                format!(
                    "container {}: {what}: some rows may be new for that reason; add {add} to the baseline",
                    self.name
                )
                .into(),
            );
        };
        let ended = self.facts.windows.iter().any(|window| window.to_end);
        if ended && self.known.not_seen.contains(&NotSeen::End) {
            note(
                "it ended, and no window of the baseline has an end",
                "a window with an end",
            );
        }
        if self.known.not_seen.contains(&NotSeen::Minute) {
            note(
                "the windows of the baseline are shorter than a minute in all",
                "longer windows",
            );
        }
    }

    /// Ordinary rows of a start that the baseline never saw are no more than info.
    fn start(&mut self, exe: &str, (severity, why): Judgement, hard: bool) -> Judgement {
        let unknown = self.start_unknown || self.started_anew.contains(exe);
        if unknown && !hard && severity > Severity::Info {
            self.n_start += 1;
            return (Severity::Info, why);
        }
        (severity, why)
    }

    /// Rows of the baseline that the profile lacks: only those of every window can be gone.
    fn gone<R: Row>(&mut self, known: &[R], has: impl Fn(&R) -> bool) {
        if !self.whole || !self.complete.contains(&R::DIMENSION) {
            return;
        }
        for row in known {
            let seen = row.seen();
            let in_phase = match seen.phase {
                Phase::Start => self.facts.from_start,
                Phase::Steady | Phase::Both => true,
            };
            let always = seen.support.seen == seen.support.of && seen.support.of > 1;
            if !seen.accepted && in_phase && always && !has(row) {
                let windows = seen.support.of;
                self.report(
                    Change::Gone,
                    row,
                    &[],
                    "",
                    (Severity::Info, "this profile does not have it"),
                    &row.text(),
                    &format!("all {windows} windows of the baseline have it"),
                    None,
                );
            }
        }
    }

    /// Rows of both sides that are significantly more or less frequent: see `frequency`.
    fn frequency(&mut self, dimension: Dimension) {
        match dimension {
            Dimension::Syscalls => {
                self.frequencies(&self.known.syscalls, &self.facts.syscalls, "syscalls");
            }
            Dimension::Files => self.frequencies(&self.known.files, &self.facts.files, "files"),
            Dimension::Network => {
                self.frequencies(&self.known.network, &self.facts.network, "network");
            }
            Dimension::Processes => {
                self.frequencies(&self.known.processes, &self.facts.processes, "processes");
            }
            _ => {}
        }
    }

    fn frequencies<R: Row>(&mut self, known: &[R], own: &[Fact<R>], dimension_list: &str) {
        let by_key: BTreeMap<R::Key, &R> = known.iter().map(|row| (row.key(), row)).collect();
        let seconds = |windows: &mut dyn Iterator<Item = &BaselineWindow>| -> Vec<f64> {
            windows.map(|window| window.window_seconds).collect()
        };
        let before = seconds(&mut self.windows.iter().copied());
        let now = seconds(&mut self.facts.windows.iter());
        let mut tested: Vec<(frequency::Test, &R, &Fact<R>)> = Vec::new();
        for fact in own {
            if let Some(row) = by_key.get(&fact.row.key())
                && let Some(test) = frequency::test(
                    &row.seen().support.counts.0,
                    &before,
                    &fact.row.seen().support.counts.0,
                    &now,
                )
            {
                tested.push((test, row, fact));
            }
        }
        let significant =
            frequency::holm(&tested.iter().map(|(test, _, _)| test.p).collect::<Vec<_>>());
        let chosen: Vec<_> = tested
            .into_iter()
            .zip(significant)
            .filter(|(_, yes)| *yes)
            .map(|(row, _)| row)
            .collect();
        for (test, row, fact) in chosen {
            let key = format!(
                "{} {} often",
                row.text(),
                if test.ratio > 1.0 { "more" } else { "less" }
            );
            let uncovered = format!(
                "{:.1} times as often as in the baseline (conditional binomial test with the spread of its windows, p = {:.1e}, Holm's correction at 0.01)",
                test.ratio, test.p
            );
            self.report(
                Change::Changed,
                &fact.row,
                &fact.at,
                dimension_list,
                (Severity::Info, "its frequency changed"),
                &key,
                &uncovered,
                Some(row.text()),
            );
        }
    }
}

/// Programs that the baseline knows only as running already, and that were executed in the profile.
fn started_anew<'a>(
    known: &'a BaselineContainer,
    facts: &Facts,
    saw_start: bool,
) -> HashSet<&'a str> {
    let executed = |row: &FileRow| row.operations.contains(&FileOperation::Exec);
    let before: HashSet<&str> = known
        .files
        .iter()
        .filter(|row| executed(row))
        .map(|row| row.path.as_str())
        .collect();
    let now: HashSet<&str> = facts
        .files
        .iter()
        .map(|fact| &fact.row)
        .filter(|row| executed(row))
        .map(|row| row.path.as_str())
        .collect();
    known
        .processes
        .iter()
        .map(|row| row.exe.as_str())
        .filter(|exe| !saw_start && now.contains(exe) && !before.contains(exe))
        .collect()
}

/// Where rows stand in the profile.
fn evidence(at: &[(u32, u32)], list: &str, most: usize) -> Vec<Text> {
    at.iter()
        .take(most)
        .map(|(container, row)| format!("/containers/{container}/{list}/{row}").into())
        .collect()
}

/// The reasons that windows give for a dimension that they do not have as a whole.
fn reasons<'a>(
    windows: impl Iterator<Item = &'a BaselineWindow>,
    dimension: Dimension,
) -> Vec<Option<&'a Text>> {
    windows
        .map(|window| window.incomplete.get(&dimension))
        .collect()
}

/// An executable of the profile may be this one of the baseline.
fn is_exe(known: &str, exe: &str) -> bool {
    known == exe || exe == OTHERS
}

/// A name for a difference.
fn id(container: &str, dimension: Dimension, change: Change, identity: &str, key: &str) -> String {
    let kind = format!("{dimension:?} {change:?}");
    digest(&[container, &kind, identity, key], ID_BYTES)
}

fn list<T: ToString>(values: &BTreeSet<T>) -> String {
    values
        .iter()
        .take(MAX_NAMED)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

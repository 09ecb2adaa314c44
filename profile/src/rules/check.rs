//! Rules and a Profile to Findings.

use super::catalogue::{Catalogue, Compiled, Fields};
use super::facts::Facts;
use super::incident;
use super::rule::{About, Rule};
use super::subject::Subject;
use crate::digest::digest;
use crate::expression::ExpressionError;
use crate::model::{
    API_VERSION, Dimension, DimensionState, Drift, Finding, Findings, FindingsKind, JudgedProfile,
    NotJudged, Profile, SCHEMA_VERSION, Severity,
};
use crate::text::Text;
use cel::Context;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

/// Pointers kept as evidence of one finding.
const MAX_EVIDENCE: usize = 16;
/// Bytes of an id.
const ID_BYTES: usize = 8;
/// Findings of one rule in one container that are told.
const MAX_FINDINGS: usize = 50;

/// The baseline that findings are judged against.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    /// Name of the baseline.
    pub name: &'a str,
    /// How the profile differs from it, with all of its evidence.
    pub drift: &'a Drift,
}

/// One finding in the making.
struct Draft<'a> {
    subject: Subject<'a>,
    severity: Severity,
    message: String,
    next: Vec<String>,
    evidence: Vec<String>,
    rows: u64,
    baselined: bool,
}

/// How a rule fared.
#[derive(Default)]
struct Tally {
    findings: usize,
    asked: u64,
    /// Rows that it could not judge, and a field that they lack.
    unknown: u64,
    field: String,
    error: Option<ExpressionError>,
}

/// Judges a profile.
///
/// ```
/// use procmon_profile::model::Profile;
/// use procmon_profile::rules::{Catalogue, check};
/// let catalogue = Catalogue::with(Vec::new())?;
/// assert!(check(&Profile::default(), &catalogue, None).findings.is_empty());
/// # Ok::<(), procmon_profile::rules::RuleError>(())
/// ```
#[must_use]
pub fn check(profile: &Profile, catalogue: &Catalogue, against: Option<Against<'_>>) -> Findings {
    judge(profile, catalogue, against).0
}

/// The findings about a profile, and why rules could not be judged.
pub(super) fn judge<'c>(
    profile: &Profile,
    catalogue: &'c Catalogue,
    against: Option<Against<'_>>,
) -> (Findings, Vec<(&'c Rule, WhyNot)>) {
    let new: Option<HashSet<&str>> = against.map(|against| {
        let rows = against.drift.rows.iter();
        rows.flat_map(|row| row.evidence.iter().map(AsRef::as_ref))
            .collect()
    });
    let mut tallies: Vec<Tally> = catalogue
        .compiled()
        .iter()
        .map(|_| Tally::default())
        .collect();
    let mut findings = Vec::new();
    let all: Vec<Facts<'_>> = profile
        .containers
        .iter()
        .enumerate()
        .map(|(index, container)| Facts::of(container, index))
        .collect();
    let mut origins = Vec::new();
    let mut unions = HashMap::new();
    for facts in &all {
        let mut drafts: BTreeMap<(usize, String), Draft<'_>> = BTreeMap::new();
        for about in About::ALL {
            for subject in Subject::all(about, facts) {
                ask(
                    &subject,
                    catalogue,
                    new.as_ref(),
                    &mut unions,
                    &mut tallies,
                    &mut drafts,
                );
            }
        }
        let mut told: HashMap<usize, usize> = HashMap::new();
        for ((place, _), draft) in drafts {
            let told = told.entry(place).or_default();
            *told += 1;
            if *told <= MAX_FINDINGS {
                origins.push(incident::Origin {
                    container: facts.index,
                    tree: draft.subject.process.map(|process| facts.tree(process)),
                    written: draft.subject.path().filter(|path| facts.is_written(path)),
                });
                findings.push(finish(draft, &catalogue.compiled()[place]));
            }
        }
    }
    let incidents = incident::join(&findings, &origins);
    order(&mut findings);
    let not_judged = not_judged(profile, catalogue, tallies, against.is_some());
    let findings = Findings {
        api_version: API_VERSION.into(),
        schema_version: SCHEMA_VERSION.into(),
        kind: FindingsKind::Findings,
        profile: JudgedProfile {
            session: profile.session.id.clone(),
            target: profile.session.target.clone(),
            started_at: profile.session.started_at.clone(),
            window_seconds: profile.session.window_seconds,
            baseline: against.map(|against| against.name.into()),
        },
        summary: Severity::count(findings.iter().map(|finding| finding.severity)),
        findings,
        incidents,
        not_judged: not_judged
            .iter()
            .map(|(rule, why)| NotJudged {
                rule: rule.id.as_str().into(),
                reason: why.to_string().into(),
            })
            .collect(),
    };
    (findings, not_judged)
}

/// The fields that the conditions of some rules ask for.
fn union(places: &[usize], catalogue: &Catalogue) -> Fields {
    let mut all = Fields::new();
    for place in places {
        for (name, fields) in &catalogue.compiled()[*place].asks {
            let known = all.entry(name).or_insert_with(|| Some(BTreeSet::new()));
            match (known.as_mut(), fields) {
                (Some(known), Some(fields)) => known.extend(fields.iter().cloned()),
                _ => *known = None,
            }
        }
    }
    all
}

/// Asks the rules of one row.
fn ask<'a>(
    subject: &Subject<'a>,
    catalogue: &Catalogue,
    new: Option<&HashSet<&str>>,
    unions: &mut HashMap<Vec<usize>, Fields>,
    tallies: &mut [Tally],
    drafts: &mut BTreeMap<(usize, String), Draft<'a>>,
) {
    let Some(index) = catalogue.index(subject.about) else {
        return;
    };
    let known = new.map(|new| is_known(&subject.evidence(&[]), new));
    let mut asked = index.always().to_vec();
    subject.tell(known, &mut |fact, told| {
        index.find(fact, told, &mut asked);
    });
    if asked.is_empty() {
        return;
    }
    asked.sort_unstable();
    asked.dedup();
    let fields = unions
        .entry(asked.clone())
        .or_insert_with(|| union(&asked, catalogue));
    let mut scope = catalogue.functions.scope();
    if let Err(error) = subject.bind(fields, known, &mut scope) {
        for place in asked {
            tallies[place].error.get_or_insert_with(|| error.clone());
        }
        return;
    }
    // The texts of a finding can ask for more than its condition.
    let mut whole = None;
    for place in asked {
        let compiled = &catalogue.compiled()[place];
        let tally = &mut tallies[place];
        tally.asked += 1;
        match compiled.when.holds(&scope) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(ExpressionError::Absent(field)) => {
                tally.unknown += 1;
                tally.field = field;
                continue;
            }
            Err(error) => {
                tally.error.get_or_insert(error);
                continue;
            }
        }
        tally.findings += 1;
        let scope = &*whole.get_or_insert_with(|| {
            let all: Fields = subject
                .about
                .names()
                .iter()
                .map(|name| (*name, None))
                .collect();
            let mut scope = catalogue.functions.scope();
            // A value that can be bound for the condition can be bound for the texts.
            let _ = subject.bind(&all, known, &mut scope);
            scope
        });
        let draft = Draft::of(subject, compiled, scope, new);
        let key = (place, format!("{} {}", draft.baselined, subject.actor()));
        match drafts.get_mut(&key) {
            Some(known) => known.add(draft),
            None => {
                drafts.insert(key, draft);
            }
        }
    }
}

/// Whether the baseline has all of the evidence.
fn is_known(evidence: &[String], new: &HashSet<&str>) -> bool {
    !evidence
        .iter()
        .any(|pointer| new.contains(pointer.as_str()))
}

impl<'a> Draft<'a> {
    /// The finding of a rule about one row. `new`: the evidence that a baseline does not have.
    fn of(
        subject: &Subject<'a>,
        compiled: &Compiled,
        scope: &Context<'_, '_>,
        new: Option<&HashSet<&str>>,
    ) -> Self {
        let rule = &compiled.rule;
        let mut raised = compiled.raise.iter();
        let raised = raised.find(|(when, _)| when.holds(scope) == Ok(true));
        let evidence = subject.evidence(&rule.evidence);
        let next = compiled.next.iter();
        Self {
            severity: raised.map_or(rule.severity, |(_, severity)| *severity),
            // A value that is not known leaves the rule's title.
            message: compiled
                .message
                .fill(scope)
                .unwrap_or_else(|_| rule.title.clone()),
            next: next.filter_map(|line| line.fill(scope).ok()).collect(),
            rows: evidence.len() as u64,
            baselined: rule.baseline_aware && new.is_some_and(|new| is_known(&evidence, new)),
            evidence,
            subject: subject.clone(),
        }
    }

    /// Takes in what the same rule says of the same program; the worse tells.
    fn add(&mut self, other: Draft<'a>) {
        self.rows += other.rows;
        if other.severity > self.severity {
            self.severity = other.severity;
            self.message = other.message;
            self.next = other.next;
            self.subject = other.subject;
            let mut evidence = other.evidence;
            evidence.append(&mut self.evidence);
            self.evidence = evidence;
        } else {
            self.evidence.extend(other.evidence);
        }
        self.evidence.truncate(MAX_EVIDENCE);
    }
}

/// A draft, with everything that a reader asks for.
fn finish(draft: Draft<'_>, compiled: &Compiled) -> Finding {
    let rule = &compiled.rule;
    let subject = &draft.subject;
    let container = subject.facts.container;
    let more = match draft.rows {
        0 | 1 => String::new(),
        rows if draft.evidence.len() > 1 && !is_added_up(subject.about) => {
            format!(" (and {} more)", rows - 1)
        }
        _ => String::new(),
    };
    let message = format!("{} {}{more}", who(subject).trim_end(), draft.message);
    let severity = if draft.baselined {
        Severity::Info
    } else {
        draft.severity
    };
    Finding {
        id: id(rule.id.as_str(), subject, &draft).into(),
        rule: rule.id.as_str().into(),
        title: rule.title.as_str().into(),
        severity,
        confidence: rule.confidence,
        mitre: rule.mitre.iter().map(Into::into).collect(),
        message: message.trim().into(),
        namespace: container.namespace.clone(),
        pod: container.pod.clone(),
        container: container.container.clone(),
        process: subject
            .process
            .map(|process| subject.facts.processes[process].row.id.clone()),
        exe: subject.exe.map(Into::into),
        time: subject.time.cloned(),
        evidence: draft.evidence.into_iter().map(Into::into).collect(),
        rows: draft.rows,
        baselined: draft.baselined,
        benign: rule.benign.trim().into(),
        next: draft.next.into_iter().map(Into::into).collect(),
    }
}

/// A finding about many rows at once.
fn is_added_up(about: About) -> bool {
    matches!(about, About::Program | About::Container)
}

/// The subject of the sentence: program, user, parent and place.
fn who(subject: &Subject<'_>) -> String {
    let facts = subject.facts;
    let container = facts.container;
    let place = match (&container.namespace, &container.pod) {
        (Some(namespace), Some(pod)) => {
            format!("in {namespace}/{pod} ({})", container.container)
        }
        _ => String::new(),
    };
    let Some(process) = subject.process.map(|process| &facts.processes[process]) else {
        let name = subject
            .exe
            .map(crate::knowledge::base_name)
            .unwrap_or_default();
        return match (name.is_empty(), place.is_empty()) {
            (false, _) => format!("`{name}` {place}"),
            (true, false) => format!("the container {place}"),
            (true, true) => "the container".to_owned(),
        };
    };
    let parent = process
        .parent
        .map(|parent| format!(", started by `{}`", facts.processes[parent].name))
        .unwrap_or_default();
    format!(
        "`{}` (uid {}{parent}) {place}",
        process.name, process.row.uid
    )
}

/// A name for a finding: equal in another window of the same workload.
fn id(rule: &str, subject: &Subject<'_>, draft: &Draft<'_>) -> String {
    let container = subject.facts.container;
    let parts = [
        rule,
        container.namespace.as_deref().unwrap_or_default(),
        container.pod.as_deref().unwrap_or_default(),
        &container.container,
        subject.exe.unwrap_or_default(),
        &subject.name,
        if draft.baselined { "baselined" } else { "" },
    ];
    digest(&parts, ID_BYTES)
}

/// The most severe first; then the earliest.
fn order(findings: &mut [Finding]) {
    findings.sort_by(|one, other| {
        other
            .severity
            .cmp(&one.severity)
            .then(other.confidence.cmp(&one.confidence))
            .then(one.time.is_none().cmp(&other.time.is_none()))
            .then(one.time.cmp(&other.time))
            .then_with(|| one.rule.cmp(&other.rule))
            .then_with(|| one.id.cmp(&other.id))
    });
}

/// Why a rule could not be judged.
#[derive(Clone, Debug)]
pub(super) enum WhyNot {
    /// Its condition can't be evaluated.
    Failed(ExpressionError),
    /// It compares with a baseline.
    NoBaseline,
    /// A dimension that it looks at is not complete, for the first of the reasons.
    Incomplete(Dimension, DimensionState, Option<Text>),
    /// Some rows of those that it was asked about lack a field.
    Unknown {
        field: String,
        unknown: u64,
        asked: u64,
    },
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "its condition failed: {error}"),
            Self::NoBaseline => f.write_str("no baseline was given"),
            Self::Incomplete(dimension, state, None) => write!(f, "{dimension} is {state}"),
            Self::Incomplete(dimension, state, Some(reason)) => {
                write!(f, "{dimension} is {state}: {reason}")
            }
            Self::Unknown {
                field,
                unknown,
                asked,
            } => write!(f, "`{field}` is not known for {unknown} of {asked} rows"),
        }
    }
}

/// Rules without a finding that could not be judged, and why.
fn not_judged<'c>(
    profile: &Profile,
    catalogue: &'c Catalogue,
    tallies: Vec<Tally>,
    has_baseline: bool,
) -> Vec<(&'c Rule, WhyNot)> {
    let rules = catalogue.compiled().iter().zip(tallies);
    rules
        .filter(|(_, tally)| tally.findings == 0)
        .filter_map(|(compiled, tally)| {
            let why = why_not(profile, compiled, tally, has_baseline)?;
            Some((&compiled.rule, why))
        })
        .collect()
}

fn why_not(
    profile: &Profile,
    compiled: &Compiled,
    tally: Tally,
    has_baseline: bool,
) -> Option<WhyNot> {
    if let Some(error) = tally.error {
        return Some(WhyNot::Failed(error));
    }
    if !has_baseline && compiled.needs_baseline() {
        return Some(WhyNot::NoBaseline);
    }
    let own = compiled.rule.about.dimension();
    let lists = compiled.rule.evidence.iter().map(|list| list.dimension());
    for dimension in std::iter::once(own).chain(lists) {
        if let Some(found) = profile.completeness.dimensions.get(&dimension)
            && found.state != DimensionState::Complete
        {
            let reason = found.reasons.first().cloned();
            return Some(WhyNot::Incomplete(dimension, found.state, reason));
        }
    }
    (tally.unknown > 0).then_some(WhyNot::Unknown {
        field: tally.field,
        unknown: tally.unknown,
        asked: tally.asked,
    })
}

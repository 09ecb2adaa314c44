//! Findings with their evidence, incidents, and rules that could not be judged.

use super::cells::{Kind, Window, offset};
use super::evidence::{Evidence, evidence};
use super::facts::short;
use super::processes::Marks;
use super::table::{Column, Table};
use crate::render::findings::not_judged;
use procmon_profile::model::{Confidence, Finding, Findings, Profile, Severity, Time};
use procmon_profile::text::Text;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Findings that stand in the page with all that is said of them; the others are rows of a table.
const SHOWN: usize = 200;
/// Incidents, and moments of each.
const INCIDENTS: usize = 50;
const MOMENTS: usize = 50;

/// The page's words about Findings.
#[derive(Serialize)]
pub(super) struct View {
    counts: Vec<(Severity, u64)>,
    findings: Vec<One>,
    incidents: Vec<Incident>,
    incidents_left: usize,
    not_judged: Vec<NotJudged>,
    rules_not_judged: usize,
    has_profile: bool,
    /// Findings are about several containers: each says about which.
    are_several: bool,
    /// Place of the first finding at info, from 0: these are folded.
    first_info: usize,
    at_info: usize,
}

#[derive(Serialize)]
struct One {
    severity: Severity,
    confidence: Confidence,
    title: String,
    message: String,
    rule: String,
    techniques: String,
    place: String,
    time: String,
    process: String,
    exe: String,
    is_baselined: bool,
    benign: String,
    next: Vec<String>,
    evidence: Vec<Evidence>,
    rows_left: u64,
}

#[derive(Serialize)]
struct Incident {
    title: String,
    severity: Severity,
    moments: Vec<Moment>,
    moments_left: usize,
}

#[derive(Serialize)]
struct Moment {
    time: String,
    tactic: String,
    message: String,
    /// Place of its finding in the page, from 1; 0 where it has none.
    finding: usize,
}

#[derive(Serialize)]
struct NotJudged {
    reason: String,
    count: usize,
    rules: String,
}

/// Numbers by severity, the most severe first.
pub(super) fn counts(summary: &BTreeMap<Severity, u64>) -> Vec<(Severity, u64)> {
    let count = |severity| summary.get(&severity).copied().unwrap_or(0);
    Severity::ALL
        .map(|severity| (severity, count(severity)))
        .into()
}

/// The words for Findings; their evidence is that of the profile, where it is at hand.
pub(super) fn view(findings: &Findings, profile: Option<&Profile>) -> View {
    let window = profile.and_then(Window::of);
    let places: HashMap<&str, usize> = findings
        .findings
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(place, finding)| (finding.id.as_str(), place + 1))
        .collect();
    let incidents = findings
        .incidents
        .iter()
        .take(INCIDENTS)
        .map(|incident| Incident {
            title: incident.title.to_string(),
            severity: incident.severity,
            moments: incident
                .timeline
                .iter()
                .take(MOMENTS)
                .map(|moment| Moment {
                    time: when(moment.time.as_ref(), window),
                    tactic: moment.tactic.to_string(),
                    message: moment.message.to_string(),
                    finding: places.get(moment.finding.as_str()).copied().unwrap_or(0),
                })
                .collect(),
            moments_left: incident.timeline.len().saturating_sub(MOMENTS),
        });
    let shown = findings.findings.iter().take(SHOWN);
    let first_info = shown
        .clone()
        .take_while(|one| one.severity > Severity::Info)
        .count();
    View {
        counts: counts(&findings.summary),
        findings: shown
            .clone()
            .map(|finding| one(finding, profile, window))
            .collect(),
        incidents: incidents.collect(),
        incidents_left: findings.incidents.len().saturating_sub(INCIDENTS),
        not_judged: not_judged(findings)
            .into_iter()
            .take(SHOWN)
            .map(|(reason, rules)| NotJudged {
                reason: reason.to_string(),
                count: rules.len(),
                rules: rules.join(", "),
            })
            .collect(),
        rules_not_judged: findings.not_judged.len(),
        has_profile: profile.is_some(),
        are_several: shown
            .clone()
            .any(|one| place(one) != place(&findings.findings[0])),
        first_info,
        at_info: shown.len() - first_info,
    }
}

fn one(finding: &Finding, profile: Option<&Profile>, window: Option<Window>) -> One {
    let evidence = evidence(finding.evidence.iter().map(Text::as_str), profile);
    One {
        severity: finding.severity,
        confidence: finding.confidence,
        title: finding.title.to_string(),
        message: finding.message.to_string(),
        rule: finding.rule.to_string(),
        techniques: finding.mitre.join(", "),
        place: place(finding),
        time: when(finding.time.as_ref(), window),
        process: finding.process.as_deref().unwrap_or("").to_owned(),
        exe: finding.exe.as_deref().unwrap_or("").to_owned(),
        is_baselined: finding.baselined,
        benign: finding.benign.to_string(),
        next: finding.next.iter().map(ToString::to_string).collect(),
        rows_left: finding.rows.saturating_sub(evidence.len() as u64),
        evidence,
    }
}

/// Where it was found: namespace, pod and container.
fn place(finding: &Finding) -> String {
    let parts = [&finding.namespace, &finding.pod];
    let parts = parts.into_iter().flatten().map(Text::as_str);
    let container = short(&finding.container);
    let parts: Vec<&str> = parts.chain([&*container]).collect();
    parts.join("/")
}

/// A moment: within the window where there is one, else the time of day.
fn when(time: Option<&Time>, window: Option<Window>) -> String {
    let Some(time) = time else {
        return String::new();
    };
    let within = window.and_then(|window| window.offset(time));
    within.map_or_else(|| time.get(11..23).unwrap_or(time).to_owned(), offset)
}

/// Findings that the page has no room for.
pub(super) fn others(findings: &Findings) -> Option<Table<'_>> {
    let rows = || findings.findings.iter().skip(SHOWN);
    rows().next()?;
    Some(Table::new(
        "findings-table",
        "findings",
        vec![
            Column::texts(
                "Severity",
                Kind::Severity,
                rows().map(|row| row.severity.to_string()),
            ),
            Column::texts(
                "Message",
                Kind::Name,
                rows().map(|row| row.message.as_str()),
            ),
            Column::texts("Rule", Kind::Name, rows().map(|row| row.rule.as_str())),
            Column::texts(
                "Techniques",
                Kind::Name,
                rows().map(|row| row.mitre.join(", ")),
            ),
            Column::texts("Container", Kind::Name, rows().map(place)),
            Column::texts(
                "Evidence",
                Kind::Name,
                rows().map(|row| row.evidence.join(" ")),
            )
            .in_detail(),
            Column::texts("Benign", Kind::Text, rows().map(|row| row.benign.as_str())).in_detail(),
            Column::texts("Next", Kind::Name, rows().map(|row| row.next.join("; "))).in_detail(),
        ],
    ))
}

/// The worst finding about each process. Findings name the container by its names.
pub(super) fn marks<'a>(findings: &'a Findings, profile: &'a Profile) -> Marks<'a> {
    type Names<'a> = (Option<&'a str>, Option<&'a str>, &'a str);
    let mut containers: HashMap<Names<'_>, Vec<usize>> = HashMap::new();
    for (place, container) in profile.containers.iter().enumerate() {
        let names = (
            container.namespace.as_deref(),
            container.pod.as_deref(),
            container.container.as_str(),
        );
        containers.entry(names).or_default().push(place);
    }
    let mut marks = Marks::new();
    for finding in &findings.findings {
        let names = (
            finding.namespace.as_deref(),
            finding.pod.as_deref(),
            finding.container.as_str(),
        );
        let Some(id) = finding.process.as_deref() else {
            continue;
        };
        // The evidence tells which of several instances with one name it is.
        let of_evidence = finding.evidence.iter().find_map(|pointer| {
            let rest = pointer.strip_prefix("/containers/")?;
            rest.split('/').next()?.parse::<usize>().ok()
        });
        let places = containers.get(&names).map_or(&[][..], Vec::as_slice);
        let place = of_evidence
            .filter(|place| places.contains(place))
            .or_else(|| places.first().copied());
        if let Some(place) = place {
            let mark = marks.entry((place, id)).or_default();
            *mark = finding.severity.max(*mark);
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::{SHOWN, marks, others, view};
    use procmon_profile::model::{Container, Finding, Findings, Profile, Severity};

    fn finding(container: &str, severity: Severity) -> Finding {
        Finding {
            container: container.into(),
            process: Some("p1".into()),
            severity,
            ..Finding::default()
        }
    }

    #[test]
    fn findings_are_bounded_in_the_page_and_whole_in_the_table() {
        let found = Findings {
            findings: vec![finding("main", Severity::Low); SHOWN + 7],
            ..Findings::default()
        };
        assert_eq!(view(&found, None).findings.len(), SHOWN);
        assert_eq!(others(&found).map(|table| table.len()), Some(7));
    }

    #[test]
    fn a_process_has_the_worst_finding_of_its_own_container() {
        let container = |name: &str| Container {
            container: name.into(),
            ..Container::default()
        };
        let profile = Profile {
            containers: vec![container("a"), container("b"), container("a")],
            ..Profile::default()
        };
        let mut second = finding("a", Severity::Medium);
        second.evidence = vec!["/containers/2/processes/0".into()];
        let mut elsewhere = finding("a", Severity::Critical);
        elsewhere.evidence = vec!["/containers/1/processes/0".into()];
        let found = Findings {
            findings: vec![finding("a", Severity::Low), second, elsewhere],
            ..Findings::default()
        };
        let marks = marks(&found, &profile);
        assert_eq!(marks.get(&(0, "p1")), Some(&Severity::Critical));
        assert_eq!(marks.get(&(1, "p1")), None);
        assert_eq!(marks.get(&(2, "p1")), Some(&Severity::Medium));
    }
}

//! Findings of one process tree, told as one incident.

use crate::model::{Finding, Incident, Moment, Severity};
use std::collections::BTreeMap;

/// The tactic of MITRE ATT&CK that a technique serves first, by the technique's number: attack.mitre.org,
/// Enterprise and Containers matrices. In the order of the matrix.
const TACTICS: [(&str, &[u16]); 12] = [
    ("initial access", &[1190, 1078, 1133, 1195, 1566]),
    (
        "execution",
        &[1059, 1609, 1610, 1053, 1204, 1129, 1106, 1203, 1072],
    ),
    (
        "persistence",
        &[
            1136, 1098, 1543, 1546, 1547, 1037, 1505, 1554, 1525, 1574, 1556,
        ],
    ),
    ("privilege escalation", &[1611, 1548, 1068, 1055, 1134]),
    (
        "defense evasion",
        &[
            1070, 1562, 1036, 1027, 1140, 1564, 1620, 1222, 1014, 1497, 1553, 1218, 1202,
        ],
    ),
    (
        "credential access",
        &[1552, 1528, 1003, 1110, 1555, 1557, 1040, 1056, 1212],
    ),
    (
        "discovery",
        &[
            1046, 1082, 1083, 1057, 1016, 1018, 1033, 1049, 1069, 1087, 1518, 1613, 1619, 1135,
            1007,
        ],
    ),
    ("lateral movement", &[1021, 1210, 1570, 1563]),
    ("collection", &[1005, 1560, 1074, 1119, 1530]),
    (
        "command and control",
        &[1071, 1090, 1095, 1102, 1105, 1132, 1568, 1571, 1572, 1573],
    ),
    ("exfiltration", &[1041, 1048, 1567, 1020]),
    (
        "impact",
        &[
            1485, 1486, 1489, 1490, 1495, 1496, 1498, 1499, 1529, 1531, 1561, 1565,
        ],
    ),
];

/// The tactic that a technique serves first.
fn tactic(techniques: &[crate::text::Text]) -> &'static str {
    let number = techniques
        .first()
        .and_then(|technique| technique.get(1..5))
        .and_then(|number| number.parse::<u16>().ok());
    let of =
        |(_, numbers): &&(&str, &[u16])| number.is_some_and(|number| numbers.contains(&number));
    TACTICS
        .iter()
        .find(of)
        .map_or("other", |(tactic, _)| tactic)
}

/// Where a finding belongs.
pub(super) struct Origin<'a> {
    /// Place of the container.
    pub(super) container: usize,
    /// The topmost process below the container's first one.
    pub(super) tree: Option<usize>,
    /// The path that it is about, where the path was written in the window.
    pub(super) written: Option<&'a str>,
}

/// Joins findings of one tree of a container into incidents. Trees are one where a program of one runs, or
/// changes, what a program of the other wrote. `origins`: one for each finding.
pub(super) fn join(findings: &[Finding], origins: &[Origin<'_>]) -> Vec<Incident> {
    let mut by_path: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let mut group_of: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    // For each group the group that it became a part of, or itself.
    let mut parts: Vec<usize> = Vec::new();
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let whole = |parts: &[usize], mut group: usize| {
        while parts[group] != group {
            group = parts[group];
        }
        group
    };
    for origin in origins {
        let Some(tree) = origin.tree else { continue };
        let group = *group_of.entry((origin.container, tree)).or_insert_with(|| {
            parts.push(parts.len());
            parts.len() - 1
        });
        if let Some(path) = origin.written {
            let other = *by_path.entry((origin.container, path)).or_insert(group);
            let (one, other) = (whole(&parts, group), whole(&parts, other));
            parts[one.max(other)] = one.min(other);
        }
    }
    for (place, origin) in origins.iter().enumerate() {
        if let Some(tree) = origin.tree
            && findings[place].severity > Severity::Low
        {
            let group = whole(&parts, group_of[&(origin.container, tree)]);
            groups.entry(group).or_default().push(place);
        }
    }
    let mut incidents: Vec<Incident> = groups
        .into_values()
        .filter(|places| is_chain(places, findings))
        .map(|places| incident(&places, findings))
        .collect();
    incidents.sort_by(|one, other| {
        other
            .severity
            .cmp(&one.severity)
            .then(other.findings.len().cmp(&one.findings.len()))
            .then_with(|| one.findings.cmp(&other.findings))
    });
    for (number, incident) in incidents.iter_mut().enumerate() {
        incident.id = format!("i{}", number + 1).into();
    }
    incidents
}

/// Findings of several rules, one of which is serious.
fn is_chain(places: &[usize], findings: &[Finding]) -> bool {
    let mut rules: Vec<&str> = places.iter().map(|place| &*findings[*place].rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules.len() > 1
        && places
            .iter()
            .any(|place| findings[*place].severity >= Severity::High)
}

fn incident(places: &[usize], findings: &[Finding]) -> Incident {
    let mut timeline: Vec<Moment> = places
        .iter()
        .map(|place| &findings[*place])
        .map(|finding| Moment {
            time: finding.time.clone(),
            finding: finding.id.clone(),
            tactic: tactic(&finding.mitre).into(),
            message: finding.message.clone(),
        })
        .collect();
    timeline.sort_by(|one, other| {
        (one.time.is_none(), &one.time)
            .cmp(&(other.time.is_none(), &other.time))
            .then_with(|| one.finding.cmp(&other.finding))
    });
    let mut tactics: Vec<&str> = Vec::new();
    for (name, _) in TACTICS {
        if timeline.iter().any(|moment| moment.tactic == *name) {
            tactics.push(name);
        }
    }
    let first = &findings[places[0]];
    let place = match (&first.namespace, &first.pod) {
        (Some(namespace), Some(pod)) => format!("{namespace}/{pod} ({})", first.container),
        _ => first.container.to_string(),
    };
    let severity = places
        .iter()
        .map(|place| findings[*place].severity)
        .max()
        .unwrap_or_default();
    Incident {
        id: crate::text::Text::default(),
        title: format!(
            "{} in {place}: {} findings",
            tactics.join(", "),
            places.len()
        )
        .into(),
        severity,
        findings: timeline
            .iter()
            .map(|moment| moment.finding.clone())
            .collect(),
        timeline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str, severity: Severity) -> Finding {
        Finding {
            id: id.into(),
            rule: id.into(),
            severity,
            container: "app".into(),
            ..Finding::default()
        }
    }

    #[test]
    fn who_writes_a_program_and_who_runs_it_are_one_incident() {
        let findings = [
            finding("writes", Severity::Medium),
            finding("runs", Severity::High),
            finding("other", Severity::High),
        ];
        let origin = |tree, written| Origin {
            container: 0,
            tree: Some(tree),
            written,
        };
        let dropped = [
            origin(1, Some("/tmp/x")),
            origin(2, Some("/tmp/x")),
            origin(3, None),
        ];
        let incidents = join(&findings, &dropped);
        assert_eq!(incidents.len(), 1, "{incidents:#?}");
        assert_eq!(incidents[0].findings, ["runs", "writes"]);
        // Another container has another file of that name.
        let elsewhere = Origin {
            container: 1,
            ..origin(2, Some("/tmp/x"))
        };
        let apart = [origin(1, Some("/tmp/x")), elsewhere, origin(3, None)];
        assert!(join(&findings, &apart).is_empty());
    }

    #[test]
    fn a_technique_serves_one_tactic() {
        let mut all: Vec<u16> = TACTICS
            .iter()
            .flat_map(|(_, numbers)| numbers.iter().copied())
            .collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(tactic(&["T1611".into()]), "privilege escalation");
        assert_eq!(tactic(&[]), "other");
    }
}

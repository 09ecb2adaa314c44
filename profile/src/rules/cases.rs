//! The cases of a rule: small containers that it finds something in, or does not.

use super::catalogue::Catalogue;
use super::check::{Against, WhyNot, judge};
use super::facts::merge;
use super::rule::{Case, Knows, Rule, RuleError};
use crate::diff::{self, Options};
use crate::model::{Baseline, Container, Drift, Profile};
use serde_json::{Value as Json, json};

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Name of the case.
    pub case: String,
    /// The rule has to find something.
    pub wanted: bool,
    /// Messages of what it found.
    pub found: Vec<String>,
    /// Why the case can't be used, or the rule not judged.
    pub error: Option<String>,
}

impl Outcome {
    /// The rule did what the case wants.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.error.is_none() && self.wanted != self.found.is_empty()
    }
}

/// Runs the cases of a rule.
pub fn test(rule: &Rule) -> Result<Vec<Outcome>, RuleError> {
    let catalogue = Catalogue::of(vec![rule.clone()])?;
    let hits = rule.cases.hit.iter().map(|case| (case, true));
    let misses = rule.cases.miss.iter().map(|case| (case, false));
    Ok(hits
        .chain(misses)
        .map(|(case, wanted)| run(case, wanted, &catalogue))
        .collect())
}

fn run(case: &Case, wanted: bool, catalogue: &Catalogue) -> Outcome {
    let mut outcome = Outcome {
        case: case.name.clone(),
        wanted,
        found: Vec::new(),
        error: None,
    };
    match container(&case.container) {
        Ok(container) => {
            let profile = Profile {
                containers: vec![container],
                ..Profile::default()
            };
            let drift = case.baseline.map(|knows| drift(&profile, knows));
            let against = drift.as_ref().map(|drift| Against {
                name: "case",
                drift,
            });
            let (findings, not_judged) = judge(&profile, catalogue, against);
            let messages = findings.findings.iter();
            outcome.found = messages
                .map(|finding| finding.message.to_string())
                .collect();
            // A case leaves out what does not matter: that a fact is not known is not an error of it.
            outcome.error = not_judged
                .first()
                .filter(|(_, why)| matches!(why, WhyNot::Failed(_)))
                .map(|(_, why)| why.to_string());
        }
        Err(error) => outcome.error = Some(error.to_string()),
    }
    outcome
}

/// How the container of a case differs from its baseline.
fn drift(profile: &Profile, knows: Knows) -> Drift {
    match knows {
        Knows::All => Drift::default(),
        Knows::Nothing => {
            let options = Options {
                force: true,
                all_evidence: true,
                ..Options::default()
            };
            diff::diff(&Baseline::default(), profile, &options).unwrap_or_default()
        }
    }
}

/// The container of a case, with defaults for what it leaves out.
fn container(case: &Json) -> Result<Container, serde_json::Error> {
    let mut value = serde_json::to_value(Container::default())?;
    merge(&mut value, case.clone());
    for (list, base) in [
        (
            "processes",
            json!({"uid": 0, "gid": 0, "pids": [], "namespaces": {}, "origin": "entrypoint", "deleted": false, "startedBefore": false, "count": 1, "exits": {}, "argv": []}),
        ),
        (
            "files",
            json!({"exe": "/app", "operations": {}, "bytesRead": 0, "bytesWritten": 0, "mmapWrite": 0, "errors": {}, "nameSource": "settled"}),
        ),
        (
            "network",
            json!({"exe": "/app", "protocol": "tcp", "direction": "outbound", "connections": 0, "datagramsSent": 0, "datagramsReceived": 0, "failures": {}, "bytesSent": 0, "bytesReceived": 0}),
        ),
        (
            "dns",
            json!({"exe": "/app", "type": "A", "answers": [], "count": 1}),
        ),
        (
            "syscalls",
            json!({"exe": "/app", "abi": "x86_64", "calls": 1, "errors": {}, "restarted": 0, "unfinished": 0, "noReturn": 0, "deniedBySeccomp": 0}),
        ),
        (
            "capabilities",
            json!({"exe": "/app", "used": 0, "denied": 0, "method": "hook"}),
        ),
        (
            "events",
            json!({"time": "2026-01-01T00:00:00.000000000Z", "count": 1, "details": {}}),
        ),
    ] {
        let Some(Json::Array(rows)) = value.get_mut(list) else {
            continue;
        };
        for (place, row) in rows.iter_mut().enumerate() {
            let mut whole = base.clone();
            if list == "processes" {
                merge(&mut whole, json!({"id": format!("p{}", place + 1)}));
            }
            merge(&mut whole, row.take());
            *row = whole;
        }
    }
    serde_json::from_value(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Findings;
    use crate::rules::{About, BUILT_IN, parse};

    #[test]
    fn every_built_in_rule_does_what_its_cases_say() {
        let mut wrong = Vec::new();
        for (name, text) in BUILT_IN {
            let rules = parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let [rule] = rules.as_slice() else {
                panic!("{name}: one rule a file")
            };
            assert_eq!(rule.id, *name);
            let (hits, misses) = (rule.cases.hit.len(), rule.cases.miss.len());
            if hits < 2 || misses < 2 {
                wrong.push(format!(
                    "{name}: {hits} hits and {misses} misses, 2 of each are the least"
                ));
            }
            match test(rule) {
                Ok(outcomes) => wrong.extend(
                    outcomes
                        .into_iter()
                        .filter(|outcome| !outcome.is_right())
                        .map(|outcome| format!("{name}: {outcome:?}")),
                ),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// The rules, each with a condition that means the same and that no index understands.
    fn without_index(rules: &[Rule]) -> Vec<Rule> {
        let plain = |rule: &Rule| Rule {
            when: format!("({}) || 1 > 2", rule.when),
            ..rule.clone()
        };
        rules.iter().map(plain).collect()
    }

    #[test]
    fn the_index_leaves_no_rule_out() {
        let mut rules: Vec<Rule> = BUILT_IN
            .iter()
            .flat_map(|(_, text)| parse(text).expect("a built-in rule"))
            .collect();
        let base = rules[0].clone();
        for (place, (about, when)) in [
            (About::Process, "process.name.matches('^c.t$')"),
            (About::Process, "process.exe == '/bin/cat'"),
            (About::Process, "process.name != ''"),
            (About::Process, "process.cwd == '/srv'"),
            (About::Process, "process.layer.matches('up')"),
            (
                About::Process,
                "!process.deleted && process.stdio[1] == 'null'",
            ),
            (About::Process, "'cat' == process.name"),
            (About::Process, "process.origin in ['exec', 'entrypoint']"),
            (About::Process, "process.startedBefore == false"),
            (About::File, "file.name.matches('shadow')"),
            (About::File, "!('runtime' in program.origins)"),
            (About::Network, "peer.port in [80, 443] || peer.port == 22"),
            (About::Network, "peer.service != ''"),
            (About::Dns, "question.name.matches('pool')"),
            (About::Syscall, "call.name.matches('^p')"),
            (About::Event, "event.type != ''"),
        ]
        .into_iter()
        .enumerate()
        {
            rules.push(Rule {
                id: format!("own-{place}"),
                about,
                when: when.to_owned(),
                raise: Vec::new(),
                message: "does it".to_owned(),
                next: Vec::new(),
                ..base.clone()
            });
        }
        let cases = rules
            .iter()
            .flat_map(|rule| rule.cases.hit.iter().chain(&rule.cases.miss));
        let profile = Profile {
            containers: cases
                .map(|case| container(&case.container).expect("a container"))
                .collect(),
            ..Profile::default()
        };
        let found = |rules: Vec<Rule>| {
            let catalogue = Catalogue::of(rules).expect("rules");
            judge(&profile, &catalogue, None).0
        };
        let with = found(rules.clone());
        let without = found(without_index(&rules));
        assert!(with.findings.len() > 1000, "{}", with.findings.len());
        let ids = |findings: &Findings| -> Vec<String> {
            let all = findings.findings.iter();
            all.map(|finding| format!("{} {}", finding.rule, finding.evidence.join(" ")))
                .collect()
        };
        assert_eq!(ids(&with), ids(&without));
    }
}

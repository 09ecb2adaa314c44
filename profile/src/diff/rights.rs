//! Capabilities and events.

use super::{Comparison, OTHERS};
use crate::baseline::{Fact, Row};
use crate::judge;
use crate::model::{CapabilityRow, Change, EventRow, Severity};
use std::collections::{HashMap, HashSet};

impl Comparison<'_> {
    pub(super) fn capabilities(&mut self) {
        let facts = self.facts;
        let mut known: HashMap<(&str, &str), &CapabilityRow> = HashMap::new();
        for row in &self.known.capabilities {
            known.insert((row.exe.as_str(), row.name.as_str()), row);
            let any = known.entry((OTHERS, row.name.as_str())).or_insert(row);
            if row.used {
                *any = row;
            }
        }
        for Fact { row, at } in &facts.capabilities {
            let found = known.get(&(row.exe.as_str(), row.name.as_str()));
            if found.is_some_and(|known| known.used || !row.used) {
                continue;
            }
            let mut judgement = judge::rights::capability(row);
            if !self.known_exes.contains(row.exe.as_str()) && judgement.0 < Severity::High {
                judgement.0 = Severity::Info;
            }
            let judgement = self.start(&row.exe, judgement, false);
            let (change, uncovered) = match found {
                Some(_) => (Change::Changed, "in the baseline it was always refused"),
                None => (
                    Change::New,
                    "the baseline does not have it for this executable",
                ),
            };
            let verb = if row.used { "uses" } else { "is refused" };
            let key = format!("{} {verb} {}", row.exe, row.name);
            self.report(
                change,
                row,
                at,
                "capabilities",
                judgement,
                &key,
                uncovered,
                found.map(|known| known.text()),
            );
        }
        let present: HashSet<(&str, &str)> = facts
            .capabilities
            .iter()
            .map(|fact| (fact.row.exe.as_str(), fact.row.name.as_str()))
            .collect();
        self.gone::<CapabilityRow>(&self.known.capabilities, |row| {
            present.contains(&(row.exe.as_str(), row.name.as_str()))
        });
    }

    pub(super) fn events(&mut self) {
        let facts = self.facts;
        let known: HashSet<_> = self.known.events.iter().map(Row::key).collect();
        for Fact { row, at } in &facts.events {
            if known.contains(&row.key()) {
                continue;
            }
            let judgement = self.start(&row.exe, judge::rights::event(row), false);
            let nearest = self
                .known
                .events
                .iter()
                .find(|known| known.event_type == row.event_type)
                .map(Row::text);
            let uncovered = format!("the baseline has no such {} event", row.event_type);
            self.report(
                Change::New,
                row,
                at,
                "events",
                judgement,
                &row.text(),
                &uncovered,
                nearest,
            );
        }
        let present: HashSet<_> = facts.events.iter().map(|fact| fact.row.key()).collect();
        self.gone::<EventRow>(&self.known.events, |row| present.contains(&row.key()));
    }
}

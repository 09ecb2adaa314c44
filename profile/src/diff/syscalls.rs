//! System calls.

use super::{Comparison, OTHERS, list};
use crate::baseline::{Fact, Row};
use crate::judge;
use crate::model::{Abi, Change, Severity, SyscallRow};
use crate::text::Text;
use std::collections::{BTreeSet, HashMap, HashSet};

impl Comparison<'_> {
    pub(super) fn syscalls(&mut self) {
        let facts = self.facts;
        let mut by_exe: HashMap<&str, HashMap<(&str, Abi), &SyscallRow>> = HashMap::new();
        for row in &self.known.syscalls {
            for exe in [row.exe.as_str(), OTHERS] {
                by_exe
                    .entry(exe)
                    .or_default()
                    .insert((row.name.as_str(), row.abi), row);
            }
        }
        let all_known: BTreeSet<&str> = self
            .known
            .syscalls
            .iter()
            .map(|row| row.name.as_str())
            .collect();
        let own_known: HashMap<&str, BTreeSet<&str>> = by_exe
            .iter()
            .map(|(exe, rows)| (*exe, rows.keys().map(|(name, _)| *name).collect()))
            .collect();
        let nothing = BTreeSet::new();
        for Fact { row, at } in &facts.syscalls {
            let known = by_exe
                .get(row.exe.as_str())
                .and_then(|rows| rows.get(&(row.name.as_str(), row.abi)));
            let Some(known) = known else {
                let own = own_known.get(row.exe.as_str()).unwrap_or(&nothing);
                let mut judgement = judge::calls::new_call(row, own, &all_known);
                if !self.known_exes.contains(row.exe.as_str()) && judgement.0 < Severity::High {
                    // Told with the new program.
                    judgement.0 = Severity::Info;
                }
                let judgement = self.start(&row.exe, judgement, false);
                let uncovered = if own.is_empty() {
                    "the baseline does not know the executable"
                } else {
                    "the executable never made this call"
                };
                let nearest = self
                    .known
                    .syscalls
                    .iter()
                    .find(|other| other.name == row.name)
                    .map(Row::text);
                self.report(
                    Change::New,
                    row,
                    at,
                    "syscalls",
                    judgement,
                    &row.text(),
                    uncovered,
                    nearest,
                );
                continue;
            };
            let more: BTreeSet<Text> = row.errors.difference(&known.errors).cloned().collect();
            if !more.is_empty() {
                let judgement = self.start(&row.exe, judge::calls::new_errors(&more), false);
                let key = format!("{} with {}", row.text(), list(&more));
                let value = SyscallRow {
                    errors: more,
                    ..row.clone()
                };
                self.report(
                    Change::Changed,
                    &value,
                    at,
                    "syscalls",
                    judgement,
                    &key,
                    "the call is known, this failure is not",
                    Some(known.text()),
                );
            }
        }
        let present: HashSet<(&str, &str, Abi)> = facts
            .syscalls
            .iter()
            .map(|fact| (fact.row.exe.as_str(), fact.row.name.as_str(), fact.row.abi))
            .collect();
        self.gone::<SyscallRow>(&self.known.syscalls, |row| {
            present.contains(&(row.exe.as_str(), row.name.as_str(), row.abi))
        });
    }
}

//! Processes: programs, arguments, rights, and who executes whom.

use super::{Comparison, list, matcher};
use crate::baseline::{Fact, Row};
use crate::judge;
use crate::model::{Change, EdgeRow, Layer, ProcessRow, Severity};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

impl Comparison<'_> {
    pub(super) fn processes(&mut self) {
        let facts = self.facts;
        let mut by_exe: HashMap<&str, Vec<&ProcessRow>> = HashMap::new();
        for row in &self.known.processes {
            by_exe.entry(row.exe.as_str()).or_default().push(row);
        }
        let mut new_exes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut used: HashSet<*const ProcessRow> = HashSet::new();
        for (place, Fact { row, at }) in facts.processes.iter().enumerate() {
            let Some(rows) = by_exe.get(row.exe.as_str()) else {
                new_exes.entry(row.exe.as_str()).or_default().push(place);
                continue;
            };
            let covering = covering(rows, row);
            for known in &covering {
                used.insert(std::ptr::from_ref(*known));
            }
            if covering.is_empty() {
                let nearest = rows
                    .iter()
                    .max_by_key(|known| common(&known.argv, &row.argv));
                let judgement = self.start(&row.exe, judge::processes::new_arguments(row), false);
                self.report(
                    Change::New,
                    row,
                    at,
                    "processes",
                    judgement,
                    &row.text(),
                    "no row of the baseline has arguments of this shape",
                    nearest.map(|known| known.text()),
                );
            }
            self.privileges(row, at, rows);
        }
        // Rows of the baseline by the last part of their path: the first of each.
        let mut namesakes: HashMap<&str, &ProcessRow> = HashMap::new();
        for known in self.known.processes.iter().filter(|_| !new_exes.is_empty()) {
            namesakes.entry(last_part(&known.exe)).or_insert(known);
        }
        for (exe, places) in new_exes {
            self.new_program(exe, &places, &namesakes);
        }
        let present: HashSet<&str> = facts
            .processes
            .iter()
            .map(|fact| fact.row.exe.as_str())
            .collect();
        self.gone(&self.known.processes, |row| {
            used.contains(&std::ptr::from_ref(row)) || present.contains(row.exe.as_str())
        });
        self.edges();
    }

    /// A program that the baseline does not know: its worst row tells of it, the others are info.
    fn new_program(&mut self, exe: &str, places: &[usize], namesakes: &HashMap<&str, &ProcessRow>) {
        let facts = self.facts;
        let rows = || places.iter().map(|place| &facts.processes[*place]);
        let worst = |fact: &&Fact<ProcessRow>| judge::processes::new_program(&fact.row).0;
        let Some(first) = rows().rev().max_by_key(worst) else {
            return;
        };
        let commands: BTreeSet<String> = rows().map(|fact| fact.row.argv.join(" ")).collect();
        let uncovered = format!("the baseline never saw it run (`{}`)", list(&commands));
        let judged = judge::processes::new_program(&first.row);
        let judgement = self.start(exe, judged, judged.0 > Severity::High);
        let nearest = namesakes.get(last_part(exe)).map(|known| known.text());
        let key = format!("{exe} runs");
        self.report(
            Change::New,
            &first.row,
            &first.at,
            "processes",
            judgement,
            &key,
            &uncovered,
            nearest,
        );
        for Fact { row, at } in rows().filter(|fact| fact.row.key() != first.row.key()) {
            let told = (Severity::Info, "the program is new, and told as such");
            self.report(
                Change::New,
                row,
                at,
                "processes",
                told,
                &row.text(),
                "",
                None,
            );
        }
    }

    /// A known program that holds rights which it never had.
    fn privileges(&mut self, row: &ProcessRow, at: &[(u32, u32)], known: &[&ProcessRow]) {
        let nearest = known
            .iter()
            .find(|known| known.uid == row.uid)
            .or(known.first());
        let nearest = nearest.map(|known| known.text());
        let uids: BTreeSet<u32> = known.iter().map(|known| known.uid).collect();
        if !uids.contains(&row.uid) {
            let judgement = if row.uid == 0 {
                (Severity::High, "it runs as root, which it never did")
            } else {
                (Severity::Medium, "it runs as another user")
            };
            let judgement = self.start(&row.exe, judgement, false);
            let key = format!("{} runs as uid {}", row.exe, row.uid);
            self.report(
                Change::Changed,
                row,
                at,
                "processes",
                judgement,
                &key,
                &format!("the baseline has uid {}", list(&uids)),
                nearest.clone(),
            );
            return;
        }
        let same_uid = || known.iter().filter(|known| known.uid == row.uid);
        let held: BTreeSet<&Text> = same_uid().flat_map(|known| &known.capabilities).collect();
        let more: Vec<&str> = row
            .capabilities
            .iter()
            .filter(|name| !held.contains(name))
            .map(Text::as_str)
            .collect();
        let all =
            |get: fn(&ProcessRow) -> Option<bool>| same_uid().all(|known| get(known) == Some(true));
        // The new value, the baseline's value, and what the difference means.
        let mut weaker: Vec<(String, &str, &'static str)> = Vec::new();
        if !more.is_empty() {
            weaker.push((
                format!("holds {}", more.join(" ")),
                "the baseline's processes of that user do not",
                "it holds rights that it never had",
            ));
        }
        if row.no_new_privs == Some(false) && all(|known| known.no_new_privs) {
            weaker.push((
                "runs without no_new_privs".to_owned(),
                "the baseline always has it",
                "it can gain rights by executing",
            ));
        }
        if row.seccomp == Some(false) && all(|known| known.seccomp) {
            weaker.push((
                "runs without a seccomp filter".to_owned(),
                "the baseline always has one",
                "no filter stands between it and the kernel",
            ));
        }
        for (what, uncovered, why) in weaker {
            let judgement = self.start(&row.exe, (Severity::High, why), false);
            self.report(
                Change::Changed,
                row,
                at,
                "processes",
                judgement,
                &format!("{} {what}", row.exe),
                uncovered,
                nearest.clone(),
            );
        }
        if matches!(row.layer, Some(Layer::Upper | Layer::Memfd))
            && known
                .iter()
                .all(|known| known.layer.is_some() && known.layer != row.layer)
        {
            let key = format!("{} was replaced", row.exe);
            self.report(
                Change::Changed,
                row,
                at,
                "processes",
                (Severity::Critical, "its file was written since the image"),
                &key,
                "the baseline's came from elsewhere",
                nearest,
            );
        }
    }

    fn edges(&mut self) {
        let known: HashSet<(&str, &str)> = self
            .known
            .edges
            .iter()
            .map(|row| (row.parent.as_str(), row.child.as_str()))
            .collect();
        let mut by_child: HashMap<&str, &EdgeRow> = HashMap::new();
        for edge in &self.known.edges {
            by_child.entry(&edge.child).or_insert(edge);
        }
        for Fact { row, at } in &self.facts.edges {
            let pair = (row.parent.as_str(), row.child.as_str());
            if known.contains(&pair) || pair.0 == pair.1 {
                continue;
            }
            let judgement = if self.known_exes.contains(pair.0) && self.known_exes.contains(pair.1)
            {
                self.start(&row.child, judge::processes::new_edge(&row.child), false)
            } else {
                (Severity::Info, "the program is new, and told as such")
            };
            let nearest = by_child.get(row.child.as_str()).map(|edge| edge.text());
            self.report(
                Change::New,
                row,
                at,
                "processes",
                judgement,
                &row.text(),
                "no such edge is in the baseline",
                nearest,
            );
        }
        let present: HashSet<(&str, &str)> = self
            .facts
            .edges
            .iter()
            .map(|fact| (fact.row.parent.as_str(), fact.row.child.as_str()))
            .collect();
        self.gone::<EdgeRow>(&self.known.edges, |row| {
            present.contains(&(row.parent.as_str(), row.child.as_str()))
        });
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Rows of the baseline, of one executable, that have the command line of a row. A window that came
/// after the start has titles in place of command lines: they are compared with what processes
/// wrote over their own. Where the baseline knows the command line behind a title, no other one is
/// taken for it.
fn covering<'a>(rows: &[&'a ProcessRow], row: &ProcessRow) -> Vec<&'a ProcessRow> {
    let one = |known: &ProcessRow, argv: &[Text]| {
        let titles = || known.titles.iter().map(std::slice::from_ref);
        covers_arguments(&known.argv, argv) || titles().any(|title| covers_arguments(title, argv))
    };
    let covering = |argv: &[Text]| {
        let rows = rows.iter().filter(|known| one(known, argv));
        rows.copied().collect::<Vec<_>>()
    };
    let found = covering(&row.argv);
    if !found.is_empty() || rows.iter().any(|known| !known.titles.is_empty()) {
        return found;
    }
    let titles = row.titles.iter().map(std::slice::from_ref);
    titles.flat_map(covering).collect()
}

fn covers_arguments(known: &[Text], argv: &[Text]) -> bool {
    known.len() == argv.len()
        && known
            .iter()
            .zip(argv)
            .all(|(pattern, argument)| pattern == argument || matcher::matches(pattern, argument))
}

/// Arguments that two command lines share.
fn common(known: &[Text], argv: &[Text]) -> usize {
    known
        .iter()
        .zip(argv)
        .filter(|(known, own)| known == own)
        .count()
}

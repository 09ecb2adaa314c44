//! Peers, listeners and names.

use super::peers::{
    Known, claim_text, covers_peer, covers_port, find, is_below, is_shared, names_of, nearest,
};
use super::{Comparison, is_exe};
use crate::baseline::{Fact, MAX_NAMES, Row};
use crate::judge;
use crate::model::{
    BaselineContainer, Change, Dimension, Direction, DnsRow, ListenRow, PeerRow, RowValue, Severity,
};
use crate::text::Text;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A known peer, and the names that it is greeted by.
pub(super) struct Greeting<'a> {
    row: &'a PeerRow,
    /// Where the profile has it.
    at: &'a [(u32, u32)],
    /// The baseline's rows of it.
    covering: Vec<&'a PeerRow>,
}

impl Greeting<'_> {
    /// Names that are none of the known ones; none where it can't be told.
    fn unknown(&self, known: Option<&BTreeSet<&str>>) -> BTreeSet<Text> {
        // Where the baseline saw no greeting at all, it may not have been able to.
        let may_have = self.covering.iter().any(|row| names_of(row).count() > 0);
        let Some(known) = known.filter(|_| may_have) else {
            return BTreeSet::new();
        };
        let is_known =
            |name: &str| known.contains(name) || known.iter().any(|known| covers_name(known, name));
        let claimed = self.row.claimed.iter();
        claimed.filter(|name| !is_known(name)).cloned().collect()
    }
}

/// Rows of the baseline that the profile does not have.
#[derive(Default)]
struct Gone {
    peers: BTreeSet<<PeerRow as Row>::Key>,
    questions: BTreeSet<<DnsRow as Row>::Key>,
}

impl Gone {
    fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.questions.is_empty()
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn network(&mut self) {
        let facts = self.facts;
        let mut by_exe: HashMap<&str, Vec<&PeerRow>> = HashMap::new();
        for row in &self.known.network {
            by_exe.entry(row.exe.as_str()).or_default().push(row);
            by_exe.entry(super::OTHERS).or_default().push(row);
        }
        let mut used: HashSet<*const PeerRow> = HashSet::new();
        for Fact { row, at } in &facts.network {
            let same = |known: &&&PeerRow| {
                known.protocol == row.protocol && known.direction == row.direction
            };
            let rows: Vec<&PeerRow> = by_exe
                .get(row.exe.as_str())
                .into_iter()
                .flatten()
                .filter(same)
                .copied()
                .collect();
            let shared = is_shared(row);
            let at_port: Vec<&PeerRow> = rows
                .iter()
                .filter(|known| shared || covers_port(&known.port, &row.port))
                .copied()
                .collect();
            let known = if shared {
                Known {
                    covering: at_port
                        .iter()
                        .filter(|known| is_below(row, known))
                        .copied()
                        .collect(),
                    elsewhere: None,
                }
            } else {
                find(row, &at_port)
            };
            for known in &known.covering {
                used.insert(std::ptr::from_ref(*known));
            }
            // One that was only tried is not one that was reached.
            let reached_before = known.covering.iter().any(|known| known.reached);
            if !known.covering.is_empty() && (reached_before || !row.reached) {
                self.greetings.push(Greeting {
                    row,
                    at,
                    covering: known.covering,
                });
                continue;
            }
            let known_peer = match row.direction {
                Direction::Inbound => !at_port.is_empty(),
                _ => !find(row, &rows).covering.is_empty(),
            };
            let elsewhere = known.elsewhere.as_ref().map(|(known, _)| *known);
            let nearest = elsewhere.or_else(|| nearest(row, &rows));
            let claim = claim_text(row);
            let (change, uncovered, judgement) = match &known.elsewhere {
                Some((_, name)) => (
                    Change::Changed,
                    format!(
                        "the baseline has {name} in other networks, and no resolver that it knows answered it for this address{claim}"
                    ),
                    (
                        Severity::Medium,
                        "a known name at an address that it never had",
                    ),
                ),
                None if known.covering.is_empty() => (
                    Change::New,
                    format!(
                        "no row of the baseline has this peer and port for the executable{claim}"
                    ),
                    judge::network::peer(row, known_peer),
                ),
                None => (
                    Change::Changed,
                    "in the baseline every attempt failed".to_owned(),
                    judge::network::peer(row, known_peer),
                ),
            };
            // A new peer is not part of a start, what is on this machine may be.
            let hard = known.elsewhere.is_some()
                || (row.direction != Direction::Inbound && judgement.0 >= Severity::High);
            let judgement = self.start(&row.exe, judgement, hard);
            self.report(
                change,
                row,
                at,
                "network",
                judgement,
                &row.text(),
                &uncovered,
                nearest.map(Row::text),
            );
        }
        self.gone::<PeerRow>(&self.known.network, |row| {
            used.contains(&std::ptr::from_ref(row))
        });
    }

    /// Known peers that are greeted by a name which no peer of the baseline has. Comes after what
    /// is gone is told: a name that only rows have which are gone is known today, and is not when
    /// they have been accepted as gone.
    pub(super) fn greetings(&mut self) {
        let greetings = std::mem::take(&mut self.greetings);
        if greetings.is_empty() {
            return;
        }
        let mut gone = Gone::default();
        for told in self.rows.iter().filter(|row| row.change == Change::Gone) {
            match &told.value {
                RowValue::Peer(row) => _ = gone.peers.insert(row.key()),
                RowValue::Dns(row) => _ = gone.questions.insert(row.key()),
                _ => {}
            }
        }
        let known = self.known_names(&Gone::default());
        let stay = (!gone.is_empty())
            .then(|| self.known_names(&gone))
            .flatten();
        for greeting in &greetings {
            let unknown = greeting.unknown(known.as_ref());
            let rests = &greeting.unknown(stay.as_ref()) - &unknown;
            let others = &(&greeting.row.claimed - &unknown) - &rests;
            self.greeted(
                greeting,
                &unknown,
                &others,
                Severity::Medium,
                "the baseline has the peer, and greets it by other names",
            );
            self.greeted(
                greeting,
                &rests,
                &others,
                Severity::Info,
                "the baseline has the peer, and has the name only in rows that are gone",
            );
        }
    }

    /// A greeting by `names`. Who accepts it accepts the `others` with it, which are not drift.
    fn greeted(
        &mut self,
        greeting: &Greeting<'a>,
        names: &BTreeSet<Text>,
        others: &BTreeSet<Text>,
        severity: Severity,
        uncovered: &str,
    ) {
        if names.is_empty() {
            return;
        }
        let row = greeting.row;
        let key = format!("{} as {}", row.text(), super::list(names));
        let value = PeerRow {
            claimed: names | others,
            ..row.clone()
        };
        let why = "a server that is shared may pass on what is meant for another";
        let judgement = self.start(&row.exe, (severity, why), false);
        self.report(
            Change::Changed,
            &value,
            greeting.at,
            "network",
            judgement,
            &key,
            uncovered,
            greeting.covering.first().map(|row| row.text()),
        );
    }

    /// All names of peers that the baseline has, proven or not, without those of what is gone. None when it
    /// can't have them all.
    fn known_names(&self, gone: &Gone) -> Option<BTreeSet<&'a str>> {
        let saw_names = self.windows.is_empty()
            || self
                .windows
                .iter()
                .any(|window| !window.incomplete.contains_key(&Dimension::Dns));
        let known: &'a BaselineContainer = self.known;
        let peers = known
            .network
            .iter()
            .filter(|row| gone.peers.is_empty() || !gone.peers.contains(&row.key()));
        let questions = known
            .dns
            .iter()
            .filter(|row| gone.questions.is_empty() || !gone.questions.contains(&row.key()));
        let is_full = |row: &PeerRow| row.names.len().max(row.claimed.len()) >= MAX_NAMES;
        if !saw_names || peers.clone().any(is_full) {
            return None;
        }
        let asked = questions.map(|row| row.name.as_str());
        Some(peers.flat_map(names_of).chain(asked).collect())
    }

    pub(super) fn listen(&mut self) {
        let facts = self.facts;
        let mut used: HashSet<*const ListenRow> = HashSet::new();
        for Fact { row, at } in &facts.listen {
            let covers = |known: &&ListenRow| {
                is_exe(&known.exe, &row.exe)
                    && known.protocol == row.protocol
                    && covers_peer(&known.address, &row.address)
                    && covers_port(&known.port, &row.port)
            };
            if let Some(known) = self.known.listen.iter().find(covers) {
                used.insert(std::ptr::from_ref(known));
                continue;
            }
            let nearest = self
                .known
                .listen
                .iter()
                .find(|known| known.exe == row.exe)
                .map(Row::text);
            // A program that took connections there did listen, whether or not that was seen.
            let served = self.known.network.iter().any(|known| {
                is_exe(&known.exe, &row.exe)
                    && known.protocol == row.protocol
                    && known.direction == Direction::Inbound
                    && !row.port.is_empty()
                    && covers_port(&known.port, &row.port)
            });
            let judgement = if served {
                (Severity::Info, "it took connections at that port before")
            } else {
                judge::network::listener(row)
            };
            let judgement = self.start(&row.exe, judgement, judgement.0 >= Severity::Medium);
            self.report(
                Change::New,
                row,
                at,
                "network",
                judgement,
                &row.text(),
                "the baseline does not have this listener",
                nearest,
            );
        }
        self.gone::<ListenRow>(&self.known.listen, |row| {
            used.contains(&std::ptr::from_ref(row))
        });
    }

    pub(super) fn dns(&mut self) {
        self.resolvers();
        let facts = self.facts;
        let mut used: HashSet<*const DnsRow> = HashSet::new();
        for Fact { row, at } in &facts.dns {
            let covers = |known: &&DnsRow| {
                is_exe(&known.exe, &row.exe)
                    && known.record_type == row.record_type
                    && covers_name(&known.name, &row.name)
            };
            if let Some(known) = self.known.dns.iter().find(covers) {
                used.insert(std::ptr::from_ref(known));
                continue;
            }
            let other_type =
                self.known.dns.iter().find(|known| {
                    is_exe(&known.exe, &row.exe) && covers_name(&known.name, &row.name)
                });
            let judgement = if other_type.is_some() {
                (Severity::Low, "another type of record of a known name")
            } else {
                (Severity::Medium, "a name that it never asked for")
            };
            let judgement = self.start(&row.exe, judgement, false);
            let nearest = other_type.map(Row::text);
            // Who accepts the name accepts no resolver with it.
            let mut value = row.clone();
            value
                .resolvers
                .retain(|resolver| !facts.unknown_resolvers.contains(resolver));
            self.report(
                Change::New,
                &value,
                at,
                "dns",
                judgement,
                &row.text(),
                "the baseline does not have this question",
                nearest,
            );
        }
        self.gone::<DnsRow>(&self.known.dns, |row| {
            used.contains(&std::ptr::from_ref(row))
        });
    }

    /// Resolvers that the baseline does not know: what they answer proves nothing.
    fn resolvers(&mut self) {
        let facts = self.facts;
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        for Fact { row, at } in &facts.dns {
            for resolver in row.resolvers.intersection(&facts.unknown_resolvers) {
                if !told.insert((row.exe.as_str(), resolver.as_str())) {
                    continue;
                }
                let nearest = self
                    .known
                    .resolvers
                    .first()
                    .map(|resolver| format!("the baseline asks {resolver}"));
                let value = DnsRow {
                    resolvers: BTreeSet::from([resolver.clone()]),
                    ..row.clone()
                };
                self.report(
                    Change::New,
                    &value,
                    at,
                    "dns",
                    (
                        Severity::Medium,
                        "whoever answers there decides what a name leads to",
                    ),
                    &format!("{} asks the resolver {resolver}", row.exe),
                    "the baseline never saw this resolver answer",
                    nearest,
                );
            }
        }
    }
}

fn covers_name(known: &str, name: &str) -> bool {
    known == name
        || known
            .strip_prefix("*.")
            .is_some_and(|rest| name.split_once('.').is_some_and(|(_, own)| own == rest))
}

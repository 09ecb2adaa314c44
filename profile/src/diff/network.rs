//! Peers, listeners and names.

use super::{Comparison, matcher, severity};
use crate::baseline::{self, Fact, Row};
use crate::model::{Change, Direction, DnsRow, ListenRow, PeerRow, Severity};
use std::collections::{HashMap, HashSet};

impl Comparison<'_> {
    pub(super) fn network(&mut self) {
        let facts = self.facts;
        let mut by_exe: HashMap<&str, Vec<&PeerRow>> = HashMap::new();
        for row in &self.known.network {
            by_exe.entry(row.exe.as_str()).or_default().push(row);
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
            let port_fits = |known: &PeerRow| covers_port(&known.port, &row.port);
            let covering: Vec<&&PeerRow> = rows
                .iter()
                .filter(|known| port_fits(known) && covers_peer(&known.peer, &row.peer))
                .collect();
            for known in &covering {
                used.insert(std::ptr::from_ref(**known));
            }
            // One that was only tried is not one that was reached.
            let reached_before = covering.iter().any(|known| known.reached);
            if !covering.is_empty() && (reached_before || !row.reached) {
                continue;
            }
            let known_peer = match row.direction {
                Direction::Inbound => rows.iter().any(|known| port_fits(known)),
                _ => rows.iter().any(|known| covers_peer(&known.peer, &row.peer)),
            };
            let judgement = severity::peer(row, known_peer);
            // A new peer is no part of a start, what is on this machine may be.
            let hard = row.direction != Direction::Inbound && judgement.0 >= Severity::High;
            let judgement = self.start(&row.exe, judgement, hard);
            let nearest = rows.iter().max_by_key(|known| {
                u8::from(port_fits(known)) + 2 * u8::from(covers_peer(&known.peer, &row.peer))
            });
            let nearest = nearest.map(|known| known.text());
            let (change, uncovered) = if covering.is_empty() {
                (
                    Change::New,
                    "no row of the baseline has this peer and port for the executable",
                )
            } else {
                (Change::Changed, "in the baseline every attempt failed")
            };
            self.report(
                change,
                row,
                at,
                "network",
                judgement,
                &row.text(),
                uncovered,
                nearest,
            );
        }
        self.gone::<PeerRow>(&self.known.network, |row| {
            used.contains(&std::ptr::from_ref(row))
        });
    }

    pub(super) fn listen(&mut self) {
        let facts = self.facts;
        let mut used: HashSet<*const ListenRow> = HashSet::new();
        for Fact { row, at } in &facts.listen {
            let covers = |known: &&ListenRow| {
                known.exe == row.exe
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
            // Whoever took connections there did listen, whether or not that was seen.
            let served = self.known.network.iter().any(|known| {
                known.exe == row.exe
                    && known.protocol == row.protocol
                    && known.direction == Direction::Inbound
                    && !row.port.is_empty()
                    && covers_port(&known.port, &row.port)
            });
            let judgement = if served {
                (Severity::Info, "it took connections at that port before")
            } else {
                severity::listener(row)
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
        let facts = self.facts;
        let mut used: HashSet<*const DnsRow> = HashSet::new();
        for Fact { row, at } in &facts.dns {
            let covers = |known: &&DnsRow| {
                known.exe == row.exe
                    && known.record_type == row.record_type
                    && covers_name(&known.name, &row.name)
            };
            if let Some(known) = self.known.dns.iter().find(covers) {
                used.insert(std::ptr::from_ref(known));
                continue;
            }
            let other_type = self
                .known
                .dns
                .iter()
                .find(|known| known.exe == row.exe && covers_name(&known.name, &row.name));
            let judgement = if other_type.is_some() {
                (Severity::Low, "another type of record of a known name")
            } else {
                (Severity::Medium, "a name that it never asked for")
            };
            let judgement = self.start(&row.exe, judgement, false);
            let nearest = other_type.map(Row::text);
            self.report(
                Change::New,
                row,
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
}

fn covers_port(known: &str, port: &str) -> bool {
    known == port || (known == "*" && !port.is_empty())
}

/// An address is covered by itself and by its network; a path by its pattern.
fn covers_peer(known: &str, peer: &str) -> bool {
    if known == peer {
        return true;
    }
    if known.starts_with('/') {
        return known.split('/').count() == peer.split('/').count()
            && known
                .split('/')
                .zip(peer.split('/'))
                .all(|(pattern, part)| pattern == part || matcher::matches(pattern, part));
    }
    known
        .rsplit_once('/')
        .and_then(|(_, prefix)| prefix.parse::<u8>().ok())
        .is_some_and(|prefix| {
            baseline::network_of(peer, (prefix, prefix)).as_deref() == Some(known)
        })
}

fn covers_name(known: &str, name: &str) -> bool {
    known == name
        || known
            .strip_prefix("*.")
            .is_some_and(|rest| name.split_once('.').is_some_and(|(_, own)| own == rest))
}

//! Which of a baseline's peers a peer is: by what the cluster calls it, by a proven name, by its
//! address; by a name that nothing proves only within the networks where the baseline has it.

use super::matcher;
use crate::baseline::{self, MAX_NAMES};
use crate::model::{Direction, PeerRow, Protocol};
use crate::text::Text;
use std::collections::{BTreeSet, HashSet};

/// Names of a claim that a reason tells.
const MAX_CLAIMS: usize = 3;
/// Prefixes of IPv4 and IPv6 within which a name that nothing proves is believed.
const CLAIM_NETWORKS: (u8, u8) = (24, 64);
/// The same for objects of the cluster: their public addresses come from few networks.
const OBJECT_NETWORKS: (u8, u8) = (16, 48);

/// The facts that the baseline has of a peer.
#[derive(Default)]
pub(super) struct Known<'a> {
    /// Rows that cover it.
    pub(super) covering: Vec<&'a PeerRow>,
    /// It is known by this name, in other networks.
    pub(super) elsewhere: Option<(&'a PeerRow, Text)>,
}

/// A row of all peers of a network, or of all Unix sockets, that found no row of their own.
pub(super) fn is_shared(row: &PeerRow) -> bool {
    let is_unix = matches!(
        row.protocol,
        Protocol::UnixStream | Protocol::UnixDgram | Protocol::UnixSeqpacket
    );
    row.direction == Direction::Outbound
        && row.port.is_empty()
        && (row.peer.contains('/') && base(&row.peer).is_some() || is_unix && row.peer.is_empty())
}

/// The first address of a network.
fn base(network: &str) -> Option<&str> {
    let (address, _) = network.split_once('/')?;
    address
        .parse::<std::net::IpAddr>()
        .is_ok()
        .then_some(address)
}

/// The baseline's peer lies within what a shared row stands for, or around it.
pub(super) fn is_below(shared: &PeerRow, known: &PeerRow) -> bool {
    if shared.peer.is_empty() {
        return true;
    }
    let around = base(&shared.peer).is_some_and(|base| baseline::has_address(known, base));
    let within = |address: &Text| baseline::covers_address(&shared.peer, address);
    around
        || within(&known.peer)
        || known.addresses.iter().any(within)
        || base(&known.peer).is_some_and(|base| baseline::covers_address(&shared.peer, base))
}

/// The facts about a peer in a baseline's rows of one executable, protocol and direction.
pub(super) fn find<'a>(row: &PeerRow, rows: &[&'a PeerRow]) -> Known<'a> {
    let is_object = is_object(&row.peer);
    let mut elsewhere = None;
    let mut covering = Vec::new();
    for known in rows {
        if covers_peer(&known.peer, &row.peer) {
            // Anybody who may write a Service can give it an address from outside.
            if is_object && !has_networks(&row.addresses, [&known.addresses], OBJECT_NETWORKS) {
                elsewhere.get_or_insert((*known, row.peer.clone()));
            } else {
                covering.push(*known);
            }
        } else if row.names.iter().any(|name| is_named(known, name)) {
            covering.push(*known);
        }
    }
    if !covering.is_empty() {
        return Known {
            covering,
            elsewhere: None,
        };
    }
    // Whatever it is called, the baseline may have it by its address.
    let own = BTreeSet::from([row.peer.clone()]);
    let addresses = if baseline::class(&row.peer) == "any" {
        &row.addresses
    } else {
        &own
    };
    let at = |address: &Text| {
        rows.iter()
            .filter(|known| baseline::has_address(known, address))
            .copied()
            .collect::<Vec<_>>()
    };
    if !addresses.is_empty() && addresses.len() < MAX_NAMES {
        let each: Vec<Vec<&PeerRow>> = addresses.iter().map(at).collect();
        if each.iter().all(|rows| !rows.is_empty()) {
            return Known {
                covering: each.into_iter().flatten().collect(),
                elsewhere: None,
            };
        }
    }
    // A name that nothing proves, as that of a resolver's answer from before the window: it is
    // believed within the networks where the baseline has it.
    for claim in &row.claimed {
        let named: Vec<&PeerRow> = rows
            .iter()
            .filter(|known| is_named(known, claim))
            .copied()
            .collect();
        let of_rows: Vec<BTreeSet<Text>> = named.iter().map(|known| addresses_of(known)).collect();
        if !named.is_empty()
            && !addresses.is_empty()
            && has_networks(addresses, &of_rows, CLAIM_NETWORKS)
        {
            return Known {
                covering: named,
                elsewhere: None,
            };
        }
        let proven = named.iter().find(|known| is_proven(known, claim));
        if let Some(known) = proven {
            elsewhere.get_or_insert((*known, claim.clone()));
        }
    }
    Known {
        covering,
        elsewhere,
    }
}

/// Every address lies in a network of the others.
fn has_networks<'a>(
    addresses: &BTreeSet<Text>,
    others: impl IntoIterator<Item = &'a BTreeSet<Text>>,
    prefixes: (u8, u8),
) -> bool {
    let networks: HashSet<String> = others
        .into_iter()
        .flatten()
        .filter_map(|address| baseline::network_of(address, prefixes))
        .collect();
    addresses.iter().all(|address| {
        baseline::network_of(address, prefixes).is_some_and(|network| networks.contains(&network))
    })
}

/// An object of the cluster: `service/NAMESPACE/NAME`, `Pod/…`, `Deployment/…`.
fn is_object(peer: &str) -> bool {
    !peer.starts_with(['/', '@']) && peer.matches('/').count() == 2
}

/// Addresses and networks of a baseline's peer.
fn addresses_of(known: &PeerRow) -> BTreeSet<Text> {
    let mut all = known.addresses.clone();
    all.insert(known.peer.clone());
    all
}

/// Names of a baseline's peer, proven or not.
pub(super) fn names_of(known: &PeerRow) -> impl Iterator<Item = &str> {
    let own = known.peer.strip_prefix("name/");
    own.into_iter()
        .chain(known.names.iter().chain(&known.claimed).map(Text::as_str))
}

fn is_named(known: &PeerRow, name: &str) -> bool {
    names_of(known).any(|own| own == name)
}

/// The baseline saw a resolver answer the name for the peer.
fn is_proven(known: &PeerRow, name: &str) -> bool {
    known.names.contains(name) || known.peer.strip_prefix("name/") == Some(name)
}

/// The names of a peer that prove nothing.
pub(super) fn claim_text(row: &PeerRow) -> String {
    if row.claimed.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = row
        .claimed
        .iter()
        .take(MAX_CLAIMS)
        .map(Text::as_str)
        .collect();
    format!(
        " (nothing proves the name by which the client calls it: {})",
        names.join(", ")
    )
}

/// The baseline's row that comes nearest: of the same peer, then of the same claimed name, then of
/// the same port.
pub(super) fn nearest<'a>(row: &PeerRow, rows: &[&'a PeerRow]) -> Option<&'a PeerRow> {
    rows.iter()
        .max_by_key(|known| {
            u8::from(covers_port(&known.port, &row.port))
                + 2 * u8::from(row.claimed.iter().any(|name| is_named(known, name)))
                + 4 * u8::from(covers_peer(&known.peer, &row.peer))
        })
        .copied()
}

pub(super) fn covers_port(known: &str, port: &str) -> bool {
    known == port || (known == "*" && !port.is_empty())
}

/// An address is covered by itself and by its network; a path by its pattern.
pub(super) fn covers_peer(known: &str, peer: &str) -> bool {
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
    baseline::covers_address(known, peer)
}

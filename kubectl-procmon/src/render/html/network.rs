//! Peers, and names asked for.

use super::cells::Kind;
use super::facts::{Containers, words};
use super::table::{Column, Table, number, some};
use crate::render::table::network::ends_of;
use crate::render::table::screen::{join, whole};
use procmon_profile::model::{Direction, Network};

/// Rows of the network: those that carried most come first, listeners before them.
pub(super) fn network<'a>(containers: &'a Containers<'a>) -> Table<'a> {
    let mut rows: Vec<_> = containers.rows(|container| &container.network).collect();
    rows.sort_by_key(|(_, peer)| {
        (
            peer.direction != Direction::Listen,
            std::cmp::Reverse(peer.bytes_sent.saturating_add(peer.bytes_received)),
        )
    });
    let all = || rows.iter().map(|(_, peer)| *peer);
    let names = |of: fn(&procmon_profile::model::Remote) -> &[procmon_profile::text::Text]| {
        let remotes = rows.iter().map(|(_, peer)| peer.remote.as_ref());
        remotes.map(move |remote| remote.map_or_else(String::new, |remote| words(of(remote))))
    };
    Table::new(
        "network",
        "rows",
        vec![
            Column::texts(
                "Direction",
                Kind::Text,
                all().map(|peer| peer.direction.to_string()),
            ),
            Column::texts(
                "Protocol",
                Kind::Text,
                all().map(|peer| peer.protocol.to_string()),
            ),
            Column::texts("Program", Kind::Name, all().map(|peer| peer.exe.as_str())),
            Column::texts(
                "Peer",
                Kind::Name,
                all().map(|peer| whole(&ends_of(peer, None))),
            ),
            Column::numbers(
                "Connections",
                Kind::Count,
                all().map(|peer| some(peer.connections)),
            ),
            Column::numbers("Datagrams", Kind::Count, all().map(datagrams)),
            Column::numbers("Sent", Kind::Bytes, all().map(|peer| some(peer.bytes_sent))),
            Column::numbers(
                "Received",
                Kind::Bytes,
                all().map(|peer| some(peer.bytes_received)),
            ),
            Column::texts(
                "Failures",
                Kind::Name,
                all().map(|peer| join(&peer.failures)),
            ),
            Column::texts(
                "Container",
                Kind::Name,
                rows.iter().map(|(container, _)| *container),
            ),
            Column::texts(
                "Names that a resolver answered",
                Kind::Name,
                names(|r| &r.names),
            )
            .in_detail(),
            Column::texts(
                "Names that the container claims",
                Kind::Name,
                names(|r| &r.claimed),
            )
            .in_detail(),
            Column::texts("Devices", Kind::Name, all().map(devices)).in_detail(),
        ],
    )
}

fn datagrams(peer: &Network) -> Option<i64> {
    some(peer.datagrams_sent.saturating_add(peer.datagrams_received))
}

fn devices(peer: &Network) -> String {
    let hops: Vec<String> = peer
        .path
        .iter()
        .map(|hop| format!("{} ({})", hop.device, hop.kind))
        .collect();
    hops.join(" → ")
}

/// Names asked for: those without an answer come first, then the most wanted.
pub(super) fn questions<'a>(containers: &'a Containers<'a>) -> Table<'a> {
    let mut rows: Vec<_> = containers.rows(|container| &container.dns).collect();
    rows.sort_by_key(|(_, row)| {
        (
            row.rcode.as_deref() == Some("NOERROR"),
            std::cmp::Reverse(row.count),
        )
    });
    let all = || rows.iter().map(|(_, row)| *row);
    Table::new(
        "dns",
        "questions",
        vec![
            Column::texts("Name", Kind::Name, all().map(|row| row.name.as_str())),
            Column::texts(
                "Type",
                Kind::Text,
                all().map(|row| row.record_type.as_str()),
            ),
            Column::texts(
                "Outcome",
                Kind::Text,
                all().map(|row| row.rcode.as_deref().unwrap_or("no answer")),
            ),
            Column::numbers("Count", Kind::Count, all().map(|row| number(row.count))),
            Column::texts("Answers", Kind::Name, all().map(|row| words(&row.answers))),
            Column::texts("Program", Kind::Name, all().map(|row| row.exe.as_str())),
            Column::texts(
                "Resolvers",
                Kind::Name,
                all().map(|row| words(&row.resolvers)),
            ),
            Column::texts(
                "Container",
                Kind::Name,
                rows.iter().map(|(container, _)| *container),
            ),
        ],
    )
}

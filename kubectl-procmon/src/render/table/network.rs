//! Peers, and what was asked of resolvers.

use super::files::short_exe;
use super::processes::{OF_RUNTIME, Runtime};
use super::screen::{DROPPABLE, Rows, Screen, join};
use crate::render::{bytes, count};
use procmon_profile::model::{Container, Direction, Dns, Network, Remote};
use std::io;

pub(super) fn network(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut peers: Vec<&Network> = container.network.iter().collect();
    peers.sort_by_key(|peer| {
        (
            peer.direction != Direction::Listen,
            peer.direction,
            std::cmp::Reverse(peer.bytes_sent.saturating_add(peer.bytes_received)),
        )
    });
    // In the container's own namespace names need none.
    let namespace = container.namespace.as_deref().filter(|_| !screen.wide);
    let row = |peer: &Network| {
        vec![
            match peer.direction {
                Direction::Listen => "listen".to_owned(),
                Direction::Inbound => "in".to_owned(),
                Direction::Outbound => "out".to_owned(),
            },
            peer.protocol.to_string(),
            exchanged(peer),
            bytes(peer.bytes_sent),
            bytes(peer.bytes_received),
            if peer.failures.is_empty() {
                "-".to_owned()
            } else {
                join(&peer.failures)
            },
            short_exe(&peer.exe),
            ends_of(peer, namespace),
        ]
    };
    let (own, its) = runtime.split(peers, |peer| peer.exe.as_str());
    let (idle, busy): (Vec<&Network>, Vec<&Network>) =
        own.into_iter().partition(|peer| is_idle(peer));
    let mut rows = Rows {
        rows: busy.into_iter().map(row).collect(),
        ..Rows::default()
    };
    rows.fold(
        screen,
        idle.into_iter().map(row).collect(),
        "of peers with which nothing was exchanged",
    );
    rows.fold(screen, its.into_iter().map(row).collect(), OF_RUNTIME);
    screen.section(
        "Network",
        &[
            "DIR", "PROTO", "CONNS", "SENT", "RECEIVED", "FAILURES", "BY", "PEER",
        ],
        rows,
    )
}

/// Names asked for, the most wanted first; those that failed before all others.
pub(super) fn questions(
    screen: &mut Screen<'_>,
    container: &Container,
    runtime: &Runtime<'_>,
) -> io::Result<()> {
    let mut asked: Vec<&Dns> = container.dns.iter().collect();
    asked.sort_by_key(|row| {
        (
            row.rcode.as_deref() == Some("NOERROR"),
            std::cmp::Reverse(row.count),
        )
    });
    let row = |row: &Dns| {
        vec![
            count(row.count),
            row.record_type.clone().into(),
            row.rcode
                .clone()
                .unwrap_or_else(|| "no answer".into())
                .into(),
            short_exe(&row.exe),
            row.name.clone().into(),
            if row.answers.is_empty() {
                "-".to_owned()
            } else {
                row.answers.join(" ")
            },
        ]
    };
    let (own, its) = runtime.split(asked, |row| row.exe.as_str());
    let mut rows = Rows {
        rows: own.into_iter().map(row).collect(),
        ..Rows::default()
    };
    rows.fold(screen, its.into_iter().map(row).collect(), OF_RUNTIME);
    screen.section(
        "Names asked for",
        &["COUNT", "TYPE", "OUTCOME", "BY", "NAME", "ANSWERS"],
        rows,
    )
}

/// Nothing was seen but that the connection is there.
fn is_idle(peer: &Network) -> bool {
    peer.direction != Direction::Listen
        && peer.failures.is_empty()
        && [
            peer.connections,
            peer.datagrams_sent,
            peer.datagrams_received,
            peer.bytes_sent,
            peer.bytes_received,
        ]
        .iter()
        .all(|number| *number == 0)
}

/// Connections; where there are none, datagrams, which say so.
fn exchanged(peer: &Network) -> String {
    let datagrams = peer.datagrams_sent + peer.datagrams_received;
    if peer.direction == Direction::Listen {
        "-".to_owned()
    } else if datagrams > 0 {
        format!("{} dgrams", count(datagrams))
    } else {
        count(peer.connections)
    }
}

pub(crate) fn ends_of(peer: &Network, namespace: Option<&str>) -> String {
    let local = peer.local.as_ref();
    let remote = peer
        .remote
        .as_ref()
        .map(|remote| remote_name(remote, namespace))
        .unwrap_or_default();
    let whole = local
        .map(|end| endpoint(end.address.as_deref(), end.port, end.path.as_deref()))
        .unwrap_or_default();
    // Of the own end the port says most.
    let port = local
        .and_then(|end| end.port)
        .map(|port| format!(":{port}"));
    let own = match port {
        Some(port) if whole.ends_with(&port) => format!(
            "{DROPPABLE}{}{DROPPABLE}{port}",
            &whole[..whole.len() - port.len()]
        ),
        _ => whole.clone(),
    };
    match peer.direction {
        Direction::Listen => whole,
        Direction::Outbound if remote.is_empty() => "-".to_owned(),
        Direction::Outbound => remote,
        Direction::Inbound if remote.is_empty() => format!("→ {own}"),
        Direction::Inbound => format!("{remote} → {own}"),
    }
}

/// The name that the cluster has for it, else the address. Names of the given namespace go without.
fn remote_name(remote: &Remote, namespace: Option<&str>) -> String {
    let address = endpoint(
        remote.address.as_deref(),
        remote.port,
        remote.path.as_deref(),
    );
    let port = remote
        .port
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let of = |name: &str, other: &str| {
        if namespace == Some(other) {
            name.to_owned()
        } else {
            format!("{name}.{other}")
        }
    };
    let name = if let Some(service) = &remote.service {
        format!("svc/{}", of(&service.name, &service.namespace))
    } else if let Some(workload) = &remote.workload {
        format!(
            "{}/{}",
            short_kind(&workload.kind),
            of(&workload.name, &workload.namespace)
        )
    } else if let Some(pod) = &remote.pod {
        format!("pod/{}", of(&pod.name, &pod.namespace))
    } else if let Some(node) = &remote.node {
        format!("node/{node}")
    } else if let Some(name) = remote.names.first() {
        name.to_string()
    } else if let Some(claim) = remote.claimed.first() {
        // What the client alone says is no name of the peer.
        return format!("{address}{DROPPABLE} (claims {claim}){DROPPABLE}");
    } else if let Some(cidr) = remote.cidr.as_ref().filter(|_| remote.address.is_none()) {
        return cidr.clone().into();
    } else if let Some(service) = &remote.external_ip_of {
        // Not in place of the address: anybody who writes a service can claim it.
        let name = of(&service.name, &service.namespace);
        return format!("{address}{DROPPABLE} (external IP of svc/{name}){DROPPABLE}");
    } else {
        return address;
    };
    format!("{name}{port}{DROPPABLE} ({address}){DROPPABLE}")
}

/// As kubectl shortens it.
fn short_kind(kind: &str) -> String {
    match kind {
        "Deployment" => "deploy".to_owned(),
        "StatefulSet" => "sts".to_owned(),
        "DaemonSet" => "ds".to_owned(),
        "ReplicaSet" => "rs".to_owned(),
        other => other.to_lowercase(),
    }
}

fn endpoint(address: Option<&str>, port: Option<u32>, path: Option<&str>) -> String {
    match (address, port, path) {
        (_, _, Some(path)) => path.to_owned(),
        (Some(address), Some(port), _) if address.contains(':') => format!("[{address}]:{port}"),
        (Some(address), Some(port), _) => format!("{address}:{port}"),
        (Some(address), None, _) => address.to_owned(),
        (None, Some(port), _) => format!(":{port}"),
        _ => String::new(),
    }
}

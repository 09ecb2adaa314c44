//! Peers and listeners.

use super::Judgement;
use crate::knowledge::peers::{is_metadata, is_runtime_socket};
use crate::model::{Direction, ListenRow, PeerRow, Protocol, Severity};

/// A peer that is new. `known_peer`: the executable has it at another port.
pub(crate) fn peer(row: &PeerRow, known_peer: bool) -> Judgement {
    let unix = matches!(
        row.protocol,
        Protocol::UnixStream | Protocol::UnixDgram | Protocol::UnixSeqpacket
    );
    if row.direction == Direction::Inbound {
        return match row.protocol {
            _ if unix => (Severity::Info, "others come to its socket"),
            _ if known_peer => (Severity::Info, "they come from elsewhere too"),
            _ => (Severity::Medium, "others come to a port where nobody came"),
        };
    }
    if unix {
        if is_runtime_socket(&row.peer) {
            return (Severity::Critical, "the socket of the container runtime");
        }
        return if row.reached {
            (
                Severity::Medium,
                "a service on this machine that it never used",
            )
        } else {
            (
                Severity::Info,
                "a service on this machine that is not there",
            )
        };
    }
    if is_metadata(&row.peer) || row.addresses.iter().any(|address| is_metadata(address)) {
        return (
            Severity::Critical,
            "the cloud's metadata service hands out credentials",
        );
    }
    match row.protocol {
        Protocol::Netlink => (Severity::Info, "it asks the kernel about the network"),
        Protocol::Raw | Protocol::Packet => (Severity::High, "raw packets"),
        _ if !row.reached => (
            Severity::Medium,
            "it tries to reach a peer that it never had",
        ),
        _ if known_peer => (Severity::Medium, "a known peer at another port"),
        _ => (Severity::High, "a peer that it never had"),
    }
}

/// A listener that is new.
pub(crate) fn listener(row: &ListenRow) -> Judgement {
    if row.port.is_empty() {
        return (Severity::Low, "a new socket on this machine");
    }
    (Severity::High, "a new service that others can reach")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Seen;
    use std::collections::BTreeSet;

    #[test]
    fn new_peers() {
        use Direction::{Inbound, Outbound};
        for (direction, protocol, address, reached, known_peer, severity) in [
            (
                Inbound,
                Protocol::UnixStream,
                "/run/a.sock",
                true,
                false,
                Severity::Info,
            ),
            (Inbound, Protocol::Tcp, "any", true, true, Severity::Info),
            (Inbound, Protocol::Tcp, "any", true, false, Severity::Medium),
            (
                Outbound,
                Protocol::UnixStream,
                "/run/docker.sock",
                true,
                false,
                Severity::Critical,
            ),
            (
                Outbound,
                Protocol::UnixStream,
                "/run/a.sock",
                true,
                false,
                Severity::Medium,
            ),
            (
                Outbound,
                Protocol::UnixStream,
                "/run/a.sock",
                false,
                false,
                Severity::Info,
            ),
            (
                Outbound,
                Protocol::Tcp,
                "169.254.169.254",
                true,
                false,
                Severity::Critical,
            ),
            (Outbound, Protocol::Netlink, "", true, false, Severity::Info),
            (Outbound, Protocol::Packet, "", true, false, Severity::High),
            (
                Outbound,
                Protocol::Tcp,
                "203.0.113.1",
                false,
                false,
                Severity::Medium,
            ),
            (
                Outbound,
                Protocol::Tcp,
                "203.0.113.1",
                true,
                true,
                Severity::Medium,
            ),
            (
                Outbound,
                Protocol::Tcp,
                "203.0.113.1",
                true,
                false,
                Severity::High,
            ),
        ] {
            let row = PeerRow {
                exe: "/a".into(),
                protocol,
                direction,
                peer: address.into(),
                port: "443".into(),
                reached,
                failures: BTreeSet::new(),
                names: BTreeSet::new(),
                claimed: BTreeSet::new(),
                addresses: BTreeSet::new(),
                seen: Seen::default(),
            };
            assert_eq!(
                peer(&row, known_peer).0,
                severity,
                "{direction} {protocol} {address}"
            );
        }
    }

    #[test]
    fn new_listeners() {
        for (port, severity) in [("", Severity::Low), ("80", Severity::High)] {
            let row = ListenRow {
                exe: "/a".into(),
                protocol: Protocol::Tcp,
                address: "0.0.0.0".into(),
                port: port.into(),
                seen: Seen::default(),
            };
            assert_eq!(listener(&row).0, severity, "{port}");
        }
    }
}

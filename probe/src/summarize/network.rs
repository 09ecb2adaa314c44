//! Rows of peers and listeners.

use super::{Facts, by_name};
use crate::drain::PeerSample;
use crate::node::links;
use procmon_probe_ebpf::abi::{
    DIRECTION_INBOUND, DIRECTION_LISTEN, HeldSocket, NetworkKey, NetworkRow, ROWS_NETWORK,
};
use procmon_profile::model::{Direction, Endpoint, Network, Protocol, Remote};
use procmon_profile::text::{self, Text};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

/// Names given for one address.
const MAX_NAMES: usize = 16;

/// Each with the slot of its container.
pub(super) fn rows<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (u32, Network)> + 'a {
    let names = used_names(facts);
    let holders = holders(facts);
    let mut listeners: HashSet<NetworkKey> = HashSet::new();
    facts.drained.peers.iter().filter_map(move |sample| {
        let mut key = sample.event.key;
        let slot = facts.drained.container_of(key.exe)?;
        if key.direction == DIRECTION_LISTEN {
            key.exe = listener(sample, slot, &holders)?;
            // Several sockets may wait at one place.
            if !listeners.insert(key) {
                return None;
            }
        }
        Some((slot, peer(facts, sample, &key, slot, &names)?))
    })
}

/// Executables that hold sockets which wait, when the window has closed: by container, and where they wait.
type Holders = HashMap<(u32, (u32, NetworkKey)), Vec<u32>>;

fn holders(facts: &Facts<'_>) -> Holders {
    let mut all = Holders::new();
    for HeldSocket { event, .. } in &facts.drained.held_last {
        if let Some(container) = facts.drained.container_of(event.key.exe) {
            let holders = all.entry((container, PeerSample::place(event)));
            holders.or_default().push(event.key.exe);
        }
    }
    all
}

/// The executable whose row a waiting socket gets. None: it has no row, since it waits for nobody.
fn listener(sample: &PeerSample, container: u32, holders: &Holders) -> Option<u32> {
    let key = &sample.event.key;
    let is_datagram = i32::from(key.socket_type) == libc::SOCK_DGRAM;
    if is_datagram && sample.is_autobound() {
        return None;
    }
    if !sample.is_new_listener() {
        return Some(key.exe);
    }
    let holders = holders.get(&(container, PeerSample::place(&sample.event)));
    let Some(holders) = holders else {
        // Gone by now. Those of clients, which chose their port, have each begun themselves.
        let counts = &sample.counts;
        let is_client = is_datagram && counts.datagrams_sent >= counts.connections;
        return (!is_client).then_some(key.exe);
    };
    // Whoever made the socket may have given it to another program: that one is met by who comes later.
    let is_held = holders.contains(&key.exe);
    if is_held {
        Some(key.exe)
    } else {
        holders.first().copied()
    }
}

fn peer(
    facts: &Facts<'_>,
    sample: &PeerSample,
    key: &NetworkKey,
    container: u32,
    names: &UsedNames<'_>,
) -> Option<Network> {
    let protocol = protocol(key.family, key.socket_type, key.protocol)?;
    let none = BTreeMap::new();
    let errnos = facts
        .counted
        .errnos
        .get(&(ROWS_NETWORK, sample.event.row))
        .unwrap_or(&none);
    let direction = match key.direction {
        DIRECTION_INBOUND => Direction::Inbound,
        DIRECTION_LISTEN => Direction::Listen,
        _ => Direction::Outbound,
    };
    let path = sample.unix_path().map(|path| text::from_bytes(&path));
    let (local, remote) = match (i32::from(key.family), direction) {
        (libc::AF_INET | libc::AF_INET6, _) => {
            inet_ends(facts, sample, direction, container, names)
        }
        (libc::AF_VSOCK, Direction::Outbound) => {
            let (address, port) = vsock_end(&key.remote);
            let remote = Remote {
                address,
                port,
                ..Remote::default()
            };
            (None, Some(remote))
        }
        (libc::AF_VSOCK, _) => {
            let (address, port) = vsock_end(&key.local);
            let local = Endpoint {
                address,
                port,
                path: None,
            };
            let (address, _) = vsock_end(&key.remote);
            let remote = (direction == Direction::Inbound).then(|| Remote {
                address,
                ..Remote::default()
            });
            (Some(local), remote)
        }
        (_, Direction::Outbound) => {
            let remote = path.map(|path| Remote {
                path: Some(path),
                ..Remote::default()
            });
            (None, remote)
        }
        _ => {
            let local = path.map(|path| Endpoint {
                path: Some(path),
                ..Endpoint::default()
            });
            (local, None)
        }
    };
    let remote = if key.prefix == 0 {
        remote
    } else {
        remote.map(of_prefix)
    };
    // One of SCTP keeps messages apart, whatever its type.
    let is_stream = i32::from(key.socket_type) == libc::SOCK_STREAM
        && !matches!(protocol, Protocol::Sctp | Protocol::Dccp);
    let counts = if direction == Direction::Listen {
        NetworkRow::default()
    } else {
        sample.counts
    };
    Some(Network {
        exe: facts.drained.path_of(key.exe),
        protocol,
        direction,
        local,
        remote,
        connections: counts.connections,
        datagrams_sent: if is_stream { 0 } else { counts.datagrams_sent },
        datagrams_received: if is_stream {
            0
        } else {
            counts.datagrams_received
        },
        failures: by_name(errnos),
        bytes_sent: counts.bytes_sent,
        bytes_received: counts.bytes_received,
        path: Vec::new(),
    })
}

/// The ends of a row of IPv4 or IPv6.
fn inet_ends(
    facts: &Facts<'_>,
    sample: &PeerSample,
    direction: Direction,
    container: u32,
    names: &UsedNames<'_>,
) -> (Option<Endpoint>, Option<Remote>) {
    let key = &sample.event.key;
    let text = |bytes: &[u8; 16]| -> Text {
        let address = any_address(key.family, bytes);
        match address {
            IpAddr::V4(address) => address.to_string().into(),
            IpAddr::V6(_) => facts.drained.links.text(sample.event.netns, bytes).into(),
        }
    };
    let is_set = |bytes: &[u8; 16]| bytes.iter().any(|byte| *byte != 0);
    match direction {
        Direction::Outbound => {
            let used = names.get(&(container, any_address(key.family, &key.remote)));
            let used = |which: usize| used.map(|used| first_names(&used[which]));
            let remote = Remote {
                address: Some(text(&key.remote)),
                port: Some(key.remote_port.into()),
                names: used(0).unwrap_or_default(),
                claimed: used(1).unwrap_or_default(),
                ..Remote::default()
            };
            (None, Some(remote))
        }
        Direction::Inbound => {
            let local = Endpoint {
                address: is_set(&key.local).then(|| text(&key.local)),
                port: Some(key.local_port.into()),
                path: None,
            };
            let remote = is_set(&key.remote).then(|| Remote {
                address: Some(text(&key.remote)),
                ..Remote::default()
            });
            (Some(local), remote)
        }
        Direction::Listen => {
            let local = Endpoint {
                address: Some(text(&key.local)),
                port: Some(key.local_port.into()),
                path: None,
            };
            (Some(local), None)
        }
    }
}

/// Context id and port of a vsock's end; the id of a socket that waits for anybody is not told.
fn vsock_end(bytes: &[u8; 16]) -> (Option<Text>, Option<u32>) {
    /// `VMADDR_CID_ANY`, and the same of a port, include/uapi/linux/vm_sockets.h.
    const ANY: u32 = u32::MAX;
    let word =
        |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (id, port) = (word(0), word(4));
    let is_set = |number: u32| number != ANY;
    (
        is_set(id).then(|| id.to_string().into()),
        is_set(port).then_some(port),
    )
}

/// The end of all peers of a prefix.
fn of_prefix(remote: Remote) -> Remote {
    let cidr = remote.address.map(|address| {
        let bits = if address.contains(':') { 64 } else { 24 };
        format!("{address}/{bits}").into()
    });
    Remote {
        cidr,
        ..Remote::default()
    }
}
fn any_address(family: u16, bytes: &[u8; 16]) -> IpAddr {
    if i32::from(family) == libc::AF_INET {
        Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
    } else {
        links::split(bytes).0.into()
    }
}

/// The protocol of a socket; none when rows have none for it.
pub(super) fn protocol(family: u16, socket_type: u8, protocol: u16) -> Option<Protocol> {
    let (family, socket_type) = (i32::from(family), i32::from(socket_type));
    Some(match family {
        libc::AF_UNIX => match socket_type {
            libc::SOCK_STREAM => Protocol::UnixStream,
            libc::SOCK_DGRAM => Protocol::UnixDgram,
            _ => Protocol::UnixSeqpacket,
        },
        libc::AF_INET | libc::AF_INET6 if socket_type == libc::SOCK_RAW => Protocol::Raw,
        libc::AF_INET | libc::AF_INET6 => match i32::from(protocol) {
            libc::IPPROTO_TCP => Protocol::Tcp,
            libc::IPPROTO_UDP => Protocol::Udp,
            libc::IPPROTO_UDPLITE => Protocol::UdpLite,
            libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 => Protocol::Icmp,
            libc::IPPROTO_MPTCP => Protocol::Mptcp,
            libc::IPPROTO_SCTP => Protocol::Sctp,
            libc::IPPROTO_DCCP => Protocol::Dccp,
            _ => Protocol::Raw,
        },
        libc::AF_NETLINK => Protocol::Netlink,
        libc::AF_PACKET => Protocol::Packet,
        libc::AF_VSOCK => Protocol::Vsock,
        _ => return None,
    })
}

/// Names that each container used for an address: those that a resolver answered, and claims.
type UsedNames<'a> = HashMap<(u32, IpAddr), [BTreeSet<&'a str>; 2]>;

fn used_names<'a>(facts: &Facts<'a>) -> UsedNames<'a> {
    let mut all = UsedNames::new();
    for used in &facts.drained.names.used {
        if let Some(container) = facts.drained.container_of(used.exe) {
            let [names, claimed] = all.entry((container, used.address)).or_default();
            names.extend(used.names.iter().map(String::as_str));
            claimed.extend(used.claimed.iter().map(String::as_str));
        }
    }
    all
}

/// The first of many names, for the document.
fn first_names(names: &BTreeSet<&str>) -> Vec<Text> {
    let names = names.iter().take(MAX_NAMES);
    names.map(|name| Text::from(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given, OTHER, peer as event};
    use super::*;
    use crate::packets::Used;
    use procmon_probe_ebpf::abi::DIRECTION_OUTBOUND;

    fn v4(last: u8) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[192, 0, 2, last]);
        bytes
    }

    fn vsock(id: u32, port: u32) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&id.to_ne_bytes());
        bytes[4..8].copy_from_slice(&port.to_ne_bytes());
        bytes
    }

    fn key(family: i32, socket_type: i32, direction: u8) -> NetworkKey {
        NetworkKey {
            exe: APP,
            family: u16::try_from(family).expect("families are small"),
            protocol: if family == libc::AF_INET { 6 } else { 0 },
            socket_type: u8::try_from(socket_type).expect("types are small"),
            direction,
            ..NetworkKey::default()
        }
    }

    fn counts() -> NetworkRow {
        NetworkRow {
            connections: 1,
            datagrams_sent: 2,
            datagrams_received: 3,
            bytes_sent: 4,
            bytes_received: 5,
            resolver: 0,
        }
    }

    fn found(given: &Given) -> Vec<Network> {
        given.facts(|facts| {
            rows(facts)
                .inspect(|(slot, _)| assert_eq!(*slot, CONTAINER))
                .map(|(_, row)| row)
                .collect()
        })
    }

    #[test]
    fn sockets_have_protocols() {
        use libc::{AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK};
        use libc::{SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};
        for (family, socket_type, number, expected) in [
            (AF_INET, SOCK_STREAM, 6, Some(Protocol::Tcp)),
            (AF_INET6, SOCK_DGRAM, 17, Some(Protocol::Udp)),
            (AF_INET, SOCK_DGRAM, 136, Some(Protocol::UdpLite)),
            (AF_INET, SOCK_DGRAM, 1, Some(Protocol::Icmp)),
            (AF_INET6, SOCK_DGRAM, 58, Some(Protocol::Icmp)),
            (AF_INET, SOCK_STREAM, 262, Some(Protocol::Mptcp)),
            (AF_INET, SOCK_STREAM, 132, Some(Protocol::Sctp)),
            (AF_INET, SOCK_STREAM, 33, Some(Protocol::Dccp)),
            (AF_INET, SOCK_RAW, 17, Some(Protocol::Raw)),
            (AF_INET, SOCK_STREAM, 250, Some(Protocol::Raw)),
            (AF_UNIX, SOCK_STREAM, 0, Some(Protocol::UnixStream)),
            (AF_UNIX, SOCK_DGRAM, 0, Some(Protocol::UnixDgram)),
            (AF_UNIX, SOCK_SEQPACKET, 0, Some(Protocol::UnixSeqpacket)),
            (AF_NETLINK, SOCK_RAW, 0, Some(Protocol::Netlink)),
            (AF_PACKET, SOCK_RAW, 0, Some(Protocol::Packet)),
            (AF_VSOCK, SOCK_STREAM, 0, Some(Protocol::Vsock)),
            (libc::AF_ALG, SOCK_SEQPACKET, 0, None),
        ] {
            let key = key(family, socket_type, DIRECTION_OUTBOUND);
            let found = protocol(key.family, key.socket_type, number);
            assert_eq!(found, expected, "{family} {socket_type} {number}");
        }
    }

    #[test]
    fn ends_are_what_each_family_has() {
        let remote = |address: &str, port: Option<u32>| {
            Some(Remote {
                address: Some(address.into()),
                port,
                ..Remote::default()
            })
        };
        let local = |address: Option<&str>, port: u32| {
            Some(Endpoint {
                address: address.map(Text::from),
                port: Some(port),
                path: None,
            })
        };
        let of_prefix = Remote {
            cidr: Some("192.0.2.9/24".into()),
            ..Remote::default()
        };
        let ends = |mut key: NetworkKey, local: [u8; 16], remote: [u8; 16]| {
            (key.local, key.remote) = (local, remote);
            (key.local_port, key.remote_port) = (80, 443);
            key
        };
        let tcp = |direction| key(libc::AF_INET, libc::SOCK_STREAM, direction);
        let vm = |direction| key(libc::AF_VSOCK, libc::SOCK_STREAM, direction);
        let mut prefix = ends(tcp(DIRECTION_OUTBOUND), v4(1), v4(9));
        prefix.prefix = 1;
        let any = u32::MAX;
        for (key, expected) in [
            (
                ends(tcp(DIRECTION_OUTBOUND), v4(1), v4(9)),
                (None, remote("192.0.2.9", Some(443))),
            ),
            (
                ends(tcp(DIRECTION_INBOUND), v4(1), v4(9)),
                (local(Some("192.0.2.1"), 80), remote("192.0.2.9", None)),
            ),
            (
                ends(tcp(DIRECTION_INBOUND), [0; 16], [0; 16]),
                (local(None, 80), None),
            ),
            (
                ends(tcp(DIRECTION_LISTEN), [0; 16], [0; 16]),
                (local(Some("0.0.0.0"), 80), None),
            ),
            (prefix, (None, Some(of_prefix))),
            (
                ends(vm(DIRECTION_OUTBOUND), vsock(any, any), vsock(2, 99)),
                (None, remote("2", Some(99))),
            ),
            (
                ends(vm(DIRECTION_INBOUND), vsock(3, 7), vsock(2, 99)),
                (local(Some("3"), 7), remote("2", None)),
            ),
            (
                ends(vm(DIRECTION_LISTEN), vsock(any, 7), [0; 16]),
                (local(None, 7), None),
            ),
        ] {
            let mut given = Given::new();
            given.drained.peers = vec![PeerSample::of(event(key), counts())];
            let found = found(&given);
            let [row] = found.as_slice() else {
                panic!("{key:?}: {found:?}");
            };
            assert_eq!((row.local.clone(), row.remote.clone()), expected, "{key:?}");
        }
    }

    #[test]
    fn streams_have_no_datagrams_and_listeners_no_counts() {
        for (socket_type, direction, expected) in [
            (libc::SOCK_STREAM, DIRECTION_OUTBOUND, (1, 0, 0, 4, 5)),
            (libc::SOCK_STREAM, DIRECTION_LISTEN, (0, 0, 0, 0, 0)),
            (libc::SOCK_DGRAM, DIRECTION_OUTBOUND, (1, 2, 3, 4, 5)),
        ] {
            let mut given = Given::new();
            let key = key(libc::AF_UNIX, socket_type, direction);
            given.drained.peers = vec![PeerSample::of(event(key), counts())];
            let errnos = BTreeMap::from([(111, 2)]);
            given.counted.errnos.insert((ROWS_NETWORK, 0), errnos);
            let row = &found(&given)[0];
            let found = (
                row.connections,
                row.datagrams_sent,
                row.datagrams_received,
                row.bytes_sent,
                row.bytes_received,
            );
            assert_eq!(found, expected, "{key:?}");
            assert_eq!(row.failures.get("ECONNREFUSED"), Some(&2));
        }
    }

    #[test]
    fn a_listener_is_of_who_holds_it_at_the_end() {
        let held = |exe| HeldSocket {
            event: event(NetworkKey {
                exe,
                ..key(libc::AF_INET, libc::SOCK_STREAM, DIRECTION_LISTEN)
            }),
            number: 1,
            tgid: 100,
            is_ring: 0,
        };
        for (holders, expected) in [
            (vec![], "/bin/app"),
            (vec![held(OTHER), held(APP)], "/bin/app"),
            (vec![held(OTHER)], "/bin/other"),
        ] {
            let mut given = Given::new();
            let key = key(libc::AF_INET, libc::SOCK_STREAM, DIRECTION_LISTEN);
            // Two sockets at one place are one listener.
            given.drained.peers = vec![
                PeerSample::of(event(key), NetworkRow::default()),
                PeerSample::of(event(key), NetworkRow::default()),
            ];
            given.drained.held_last = holders;
            let found: Vec<Text> = found(&given).into_iter().map(|row| row.exe).collect();
            assert_eq!(found, [expected]);
        }
    }

    #[test]
    fn sockets_of_clients_are_not_listeners() {
        for (bound, began, path, expected) in [
            (2, 1, &b""[..], true),
            (2, 2, b"", false),
            (2, 0, b"\0" as &[u8], true),
            (2, 0, b"\x000000a", false),
        ] {
            let mut given = Given::new();
            let counts = NetworkRow {
                connections: bound,
                datagrams_sent: began,
                ..NetworkRow::default()
            };
            let mut event = event(key(libc::AF_UNIX, libc::SOCK_DGRAM, DIRECTION_LISTEN));
            event.path[..path.len()].copy_from_slice(path);
            event.path_len = u32::try_from(path.len()).expect("paths are short");
            given.drained.peers = vec![PeerSample::of(event, counts)];
            assert_eq!(
                !found(&given).is_empty(),
                expected,
                "{began} of {bound}, {path:?}"
            );
        }
    }

    #[test]
    fn addresses_have_the_names_that_the_container_used() {
        let mut given = Given::new();
        let names = (0..20)
            .map(|number| format!("n{number:02}.example"))
            .collect();
        given.drained.names.used = vec![Used {
            exe: OTHER,
            address: Ipv4Addr::new(192, 0, 2, 9).into(),
            names,
            claimed: vec!["claimed.example".to_owned()],
        }];
        let mut key = key(libc::AF_INET, libc::SOCK_STREAM, DIRECTION_OUTBOUND);
        key.remote = v4(9);
        given.drained.peers = vec![PeerSample::of(event(key), counts())];
        let remote = found(&given)[0].remote.clone().unwrap_or_default();
        assert_eq!(remote.names.len(), MAX_NAMES);
        assert_eq!(remote.names[0], "n00.example");
        assert_eq!(remote.claimed, ["claimed.example"]);
    }
}

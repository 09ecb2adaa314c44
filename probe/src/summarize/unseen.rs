//! Things that were used within the window and that no row can show.

use super::{Facts, network};
use procmon_probe_ebpf::abi::DIRECTION_OUTBOUND;
use procmon_profile::model::{Container, Dimension, Protocol};
use procmon_profile::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Calls that say that something is used which no row can show.
pub(crate) const UNSEEN_CALLS: [(&str, Dimension, &str); 8] = [
    ("shmat", Dimension::Files, "System V shared memory (shmat)"),
    (
        "msgsnd",
        Dimension::Network,
        "System V message queues (msgsnd, msgrcv)",
    ),
    (
        "msgrcv",
        Dimension::Network,
        "System V message queues (msgsnd, msgrcv)",
    ),
    // Of i386: all of System V in one call.
    (
        "ipc",
        Dimension::Files,
        "System V shared memory and message queues (ipc)",
    ),
    (
        "acct",
        Dimension::Files,
        "process accounting that the kernel writes to a file (acct)",
    ),
    (
        "vmsplice",
        Dimension::Files,
        "memory given to pipes (vmsplice)",
    ),
    (
        "swapon",
        Dimension::Files,
        "memory written to a swap file (swapon)",
    ),
    (
        "process_vm_writev",
        Dimension::Files,
        "memory of other processes (process_vm_writev)",
    ),
];
/// Families of sockets that rows have no protocol for, by `AF_…`, include/linux/socket.h.
const FAMILIES: [(u16, &str); 14] = [
    (3, "AF_AX25"),
    (15, "AF_KEY"),
    (21, "AF_RDS"),
    (24, "AF_PPPOX"),
    (26, "AF_LLC"),
    (29, "AF_CAN"),
    (30, "AF_TIPC"),
    (31, "AF_BLUETOOTH"),
    (38, "AF_ALG"),
    (39, "AF_NFC"),
    (41, "AF_KCM"),
    (42, "AF_QIPCRTR"),
    (43, "AF_SMC"),
    (44, "AF_XDP"),
];

/// Things that were used within the window.
pub(crate) struct Unseen {
    /// The calls of [`RING_CALLS`] that were answered without an error.
    pub(crate) ring_calls: BTreeSet<&'static str>,
    /// Things that no row can show.
    pub(crate) not_looked_at: BTreeMap<Dimension, BTreeSet<Text>>,
}

impl Unseen {
    /// Looks at the calls of all containers, and at the sockets.
    pub(super) fn find(facts: &Facts<'_>, containers: &BTreeMap<u32, Container>) -> Self {
        let is_used = |name: &&str| containers.values().any(|one| is_used(one, name));
        Self {
            ring_calls: RING_CALLS.into_iter().filter(is_used).collect(),
            not_looked_at: not_looked_at(facts, containers),
        }
    }
}

/// Things that no row can show, by dimension.
fn not_looked_at(
    facts: &Facts<'_>,
    containers: &BTreeMap<u32, Container>,
) -> BTreeMap<Dimension, BTreeSet<Text>> {
    let mut all: BTreeMap<Dimension, BTreeSet<Text>> = BTreeMap::new();
    let mut add = |dimension, what: Text| {
        all.entry(dimension).or_default().insert(what);
    };
    for (call, dimension, what) in UNSEEN_CALLS {
        if containers
            .values()
            .any(|container| is_used(container, call))
        {
            add(dimension, what.into());
        }
    }
    for sample in &facts.drained.peers {
        let key = &sample.event.key;
        match network::protocol(key.family, key.socket_type, key.protocol) {
            None => {
                let known = FAMILIES.iter().find(|(number, _)| *number == key.family);
                let name = known.map_or_else(
                    || format!("address family {}", key.family),
                    |(_, name)| (*name).to_owned(),
                );
                add(Dimension::Network, format!("sockets of {name}").into());
            }
            Some(Protocol::Packet) => add(
                Dimension::Network,
                "packets that packet sockets hand over in shared memory (PACKET_MMAP)".into(),
            ),
            Some(Protocol::Vsock) if key.direction == DIRECTION_OUTBOUND => add(
                Dimension::Network,
                "outcomes of vsock connections that are decided after connect has returned".into(),
            ),
            Some(_) => {}
        }
    }
    all
}

/// Calls by which work is done that no call names.
pub(crate) const RING_CALLS: [&str; 3] = ["io_uring_enter", "io_uring_setup", "io_submit"];

/// A system call of this name was answered without an error.
fn is_used(container: &Container, name: &str) -> bool {
    let mut calls = container.syscalls.iter().filter(|call| call.name == name);
    calls.any(|call| call.calls > call.errors.values().sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given, peer};
    use super::super::{summarize, testing};
    use super::*;
    use crate::drain::{PeerSample, SyscallSample};
    use procmon_probe_ebpf::abi::{
        DIRECTION_INBOUND, NetworkKey, NetworkRow, ROWS_SYSCALLS, SyscallKey, SyscallRow,
    };
    use procmon_profile::model::Abi;
    use procmon_profile::tables::syscall_number;

    fn call(given: &mut Given, name: &str, calls: u64, failures: u64) {
        let number = syscall_number(Abi::X86_64, name).expect("the call exists");
        let key = SyscallKey {
            exe: testing::APP,
            abi: 0,
            number,
        };
        let row = SyscallRow {
            calls,
            ..SyscallRow::default()
        };
        given
            .counted
            .syscalls
            .push(SyscallSample::of(key, row, number));
        let errnos = BTreeMap::from([(1, failures)]);
        given.counted.errnos.insert((ROWS_SYSCALLS, number), errnos);
    }

    #[test]
    fn calls_tell_what_no_row_shows() {
        for (name, calls, failures, dimension, expected) in [
            ("shmat", 1, 0, Dimension::Files, true),
            ("shmat", 2, 2, Dimension::Files, false),
            ("msgsnd", 2, 1, Dimension::Network, true),
            ("read", 1, 0, Dimension::Files, false),
        ] {
            let mut given = Given::new();
            call(&mut given, name, calls, failures);
            let unseen = given.facts(|facts| summarize(facts).unseen);
            let found = unseen.not_looked_at.contains_key(&dimension);
            assert_eq!(found, expected, "{name}: {calls}, {failures}");
            assert!(unseen.ring_calls.is_empty());
        }
    }

    #[test]
    fn rings_are_used_when_a_call_is_answered() {
        let mut given = Given::new();
        call(&mut given, "io_uring_setup", 1, 1);
        call(&mut given, "io_submit", 3, 1);
        let unseen = given.facts(|facts| summarize(facts).unseen);
        assert_eq!(unseen.ring_calls, BTreeSet::from(["io_submit"]));
    }

    #[test]
    fn sockets_tell_what_no_row_shows() {
        for (family, direction, expected) in [
            (libc::AF_ALG, DIRECTION_OUTBOUND, Some("sockets of AF_ALG")),
            (99, DIRECTION_OUTBOUND, Some("sockets of address family 99")),
            (
                libc::AF_PACKET,
                DIRECTION_OUTBOUND,
                Some("packets that packet sockets hand over in shared memory (PACKET_MMAP)"),
            ),
            (
                libc::AF_VSOCK,
                DIRECTION_OUTBOUND,
                Some("outcomes of vsock connections that are decided after connect has returned"),
            ),
            (libc::AF_VSOCK, DIRECTION_INBOUND, None),
            (libc::AF_INET, DIRECTION_OUTBOUND, None),
        ] {
            let mut given = Given::new();
            let key = NetworkKey {
                exe: APP,
                family: u16::try_from(family).expect("families are small"),
                direction,
                ..NetworkKey::default()
            };
            given.drained.peers = vec![PeerSample::of(peer(key), NetworkRow::default())];
            let containers = BTreeMap::from([(CONTAINER, Container::default())]);
            let found = given.facts(|facts| not_looked_at(facts, &containers));
            let found = found.get(&Dimension::Network).and_then(BTreeSet::first);
            assert_eq!(found.map(|text| &**text), expected, "{family}");
        }
    }
}

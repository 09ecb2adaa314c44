//! The losses of the kernel half: one table with the name of each in the document, the dimensions that lack
//! something, and the sentence that says so.

use procmon_probe_ebpf::abi::Loss;
use procmon_profile::model::Dimension::{
    self, Capabilities, Dns, Events, Files, Network, Processes, Syscalls,
};
use std::collections::BTreeMap;

/// Counters that are not zero.
#[derive(Default, Debug)]
pub(crate) struct Losses(pub(crate) BTreeMap<Loss, u64>);

impl Losses {
    /// Records that found the ring buffer full.
    pub(crate) fn ring_buffer(&self) -> u64 {
        self.0
            .iter()
            .filter(|(loss, _)| meaning(**loss).map.is_none())
            .map(|(_, count)| count)
            .sum()
    }

    /// The others, by the names that the document has for them.
    pub(crate) fn maps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0
            .iter()
            .filter_map(|(loss, count)| Some((meaning(*loss).map?, *count)))
    }

    /// The dimensions that lack something, each with the reason.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = (Dimension, String)> {
        self.0.iter().flat_map(|(loss, count)| {
            let meaning = meaning(*loss);
            let reason = meaning.says.replace("{}", &count.to_string());
            let dimensions = meaning.dimensions.iter();
            dimensions.map(move |dimension| (*dimension, reason.clone()))
        })
    }
}

/// The meaning of a loss.
struct Meaning {
    /// Its name in `nodes[].lost.maps`; records of the ring buffer are counted together.
    map: Option<&'static str>,
    /// The dimensions that are incomplete.
    dimensions: &'static [Dimension],
    /// The reason; `{}` stands for the count.
    says: &'static str,
}

const ALL: &[Dimension] = &Dimension::ALL;

#[rustfmt::skip]
fn meaning(loss: Loss) -> Meaning {
    let ring = |dimensions, says| Meaning { map: None, dimensions, says };
    let map = |name, dimensions, says| Meaning { map: Some(name), dimensions, says };
    match loss {
        // Names below /proc/self and who did a rare thing are told by the process.
        Loss::RingProcess => ring(&[Processes, Files, Events], "the ring buffer was full: {} records of processes"),
        Loss::RingFile => ring(&[Files], "the ring buffer was full: {} records of files"),
        Loss::RingNetwork => ring(&[Network], "the ring buffer was full: {} records of peers"),
        Loss::RingEvent => ring(&[Events], "the ring buffer was full: {} records of rare operations"),
        Loss::Tasks => map("TASKS", ALL, "map TASKS was full: {} times"),
        Loss::Containers => map("CONTAINERS", ALL, "map CONTAINERS was full: {} times"),
        Loss::Exes => map("EXES", ALL, "executables that are not told apart: {} times"),
        Loss::SyscallRows => map("SYSCALL_ROWS", &[Syscalls], "map SYSCALL_ROWS was full: {} times"),
        Loss::Errnos => map("ERRNOS", &[Syscalls, Files, Network], "map ERRNOS was full: {} times"),
        Loss::Arguments => map("ARGUMENTS", &[Syscalls], "map ARGUMENTS was full: {} times"),
        Loss::FileRows => map("FILE_ROWS", &[Files], "map FILE_ROWS was full: {} times"),
        Loss::NetworkRows => map("NETWORK_ROWS", &[Network], "map NETWORK_ROWS was full: {} times"),
        Loss::Sockets => map("SOCKETS", &[Network], "map SOCKETS was full: {} times"),
        Loss::Capabilities => map("CAPABILITIES", &[Capabilities], "map CAPABILITIES was full: {} times"),
        Loss::Events => map("EVENTS", &[Events], "map EVENTS was full: {} times"),
        Loss::Messages => map(
            "MESSAGES",
            &[Network, Dns],
            "messages and calls of sockets that were not looked at: {}",
        ),
        Loss::Requests => map(
            "REQUESTS",
            &[Files, Network],
            "io_uring requests that are not by path or peer: {}",
        ),
        Loss::FilesByFolder => map(
            "FILE_ROWS_BY_FOLDER",
            &[Files],
            "there are more files than rows: the others are counted by their folder, in rows that end in /…",
        ),
        Loss::PeersByPrefix => map(
            "NETWORK_ROWS_BY_PREFIX",
            &[Network],
            "there are more peers than rows: the others are counted by their prefix, in rows with a cidr",
        ),
        Loss::RingWire => map("WIRE", &[Dns], "the ring buffer was full: {} packets with names"),
        Loss::Flows => map("FLOWS", &[Dns], "map FLOWS was full: {} times"),
        Loss::Hints => map(
            "LAST_SENT",
            &[Network],
            "datagrams of sockets of which it is not known any more who began: {}",
        ),
        Loss::Descriptors => map(
            "DESCRIPTORS",
            &[Files, Network],
            "descriptors that were replaced while calls used them: {}",
        ),
        Loss::Destinations => map(
            "DESTINATIONS",
            &[Network],
            "calls on several datagrams, of which some went elsewhere than the caller's memory says afterwards: {}",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_loss_is_told_once_and_makes_something_partial() {
        let mut names = BTreeSet::new();
        for loss in Loss::ALL {
            let losses = Losses(BTreeMap::from([(*loss, 7)]));
            assert!(losses.reasons().count() > 0, "{loss:?}");
            for (name, count) in losses.maps() {
                assert!(names.insert(name), "{name} stands twice");
                assert_eq!(count, 7);
            }
            assert_eq!(losses.maps().count() as u64 * 7 + losses.ring_buffer(), 7);
        }
    }
}

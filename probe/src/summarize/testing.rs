//! A window to summarize, made by hand.

use super::Facts;
use crate::clock::Clock;
use crate::drain::{Counted, Drained, Exe, FileSample};
use crate::hooks::Placed;
use crate::label::{Slot, Slots};
use crate::node::Node;
use crate::packets::Taps;
use procmon_probe_ebpf::abi::{FileMeta, FileRow, NetworkEvent, NetworkKey, Privileges, UNIX_PATH};
use std::collections::HashMap;

/// The slot of the only container.
pub(crate) const CONTAINER: u32 = 1;
/// The slots of its executables, `/bin/app` and `/bin/other`.
pub(crate) const APP: u32 = 5;
pub(crate) const OTHER: u32 = 6;
/// Namespaces of the container.
pub(crate) const NAMESPACES: [u32; 7] = [11, 12, 13, 14, 15, 16, 17];

/// Everything that facts are of.
pub(crate) struct Given {
    pub(crate) hooks: Vec<Placed>,
    pub(crate) slots: Slots,
    pub(crate) drained: Drained,
    pub(crate) counted: Counted,
    /// Counts of files by their row.
    pub(crate) files: HashMap<u32, FileRow>,
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    pub(crate) has_ring: bool,
    pub(crate) unread_descriptors: bool,
    pub(crate) taps: Taps,
    pub(crate) arch: &'static str,
}

impl Given {
    /// One container, in which nothing happened.
    pub(crate) fn new() -> Self {
        let mut slots = Slots::default();
        let slot = Slot {
            name: "app".to_owned(),
            ..Slot::default()
        };
        slots.containers.insert(CONTAINER, slot);
        let mut drained = Drained::default();
        for (exe, path) in [(APP, "/bin/app"), (OTHER, "/bin/other")] {
            drained.exes.insert(
                exe,
                Exe {
                    container: CONTAINER,
                    path: path.into(),
                    meta: FileMeta::default(),
                    mount: None,
                },
            );
        }
        let mut node = Node::default();
        let privileges = Privileges {
            namespaces: NAMESPACES,
            ..Privileges::default()
        };
        node.first_process(CONTAINER, 100, &privileges);
        Self {
            hooks: Vec::new(),
            slots,
            drained,
            counted: Counted::default(),
            files: HashMap::new(),
            node,
            clock: Clock::new(),
            has_ring: false,
            unread_descriptors: false,
            taps: Taps::default(),
            arch: "amd64",
        }
    }

    /// Asks something of the facts.
    pub(crate) fn facts<T>(&self, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        let counts_of_file =
            |sample: &FileSample| Ok(self.files.get(&sample.row).copied().unwrap_or_default());
        ask(&Facts {
            hooks: &self.hooks,
            slots: &self.slots,
            drained: &self.drained,
            counted: &self.counted,
            counts_of_file: &counts_of_file,
            node: &self.node,
            clock: &self.clock,
            has_ring: self.has_ring,
            unread_descriptors: self.unread_descriptors,
            taps: &self.taps,
            arch: self.arch,
        })
    }
}

/// The first sight of a peer.
pub(crate) fn peer(key: NetworkKey) -> NetworkEvent {
    NetworkEvent {
        kind: 0,
        row: 0,
        key,
        path_len: 0,
        netns: 0,
        local: [0; 16],
        path: [0; UNIX_PATH],
        link: 0,
    }
}

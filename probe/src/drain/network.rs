//! Peers.

use crate::capture::Capture;
use crate::sys;
use anyhow::{Context as _, Result};
use aya::maps::Array;
use procmon_probe_ebpf::abi::{DIRECTION_LISTEN, HeldSocket, NetworkEvent, NetworkKey, NetworkRow};

/// First sight of a peer.
pub(crate) struct PeerSample {
    pub(crate) event: NetworkEvent,
    /// The kernel counts what goes through it: not of a socket that was found waiting when the window opened.
    is_counted: bool,
    /// Its counts, once the window has closed.
    pub(crate) counts: NetworkRow,
}

impl PeerSample {
    /// Reads a record of the ring buffer.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            event: sys::record(bytes)?,
            is_counted: true,
            counts: NetworkRow::default(),
        })
    }

    /// A peer with its counts.
    #[cfg(test)]
    pub(crate) fn of(event: NetworkEvent, counts: NetworkRow) -> Self {
        Self {
            event,
            is_counted: true,
            counts,
        }
    }

    /// A socket that waits since before the window.
    pub(crate) fn held(socket: &HeldSocket) -> Self {
        Self {
            event: socket.event,
            is_counted: false,
            counts: NetworkRow::default(),
        }
    }

    /// A socket of this executable that began to wait within the window.
    pub(crate) fn is_new_listener(&self) -> bool {
        self.is_counted && self.event.key.direction == DIRECTION_LISTEN
    }

    /// The network namespace and the key of a listener, without the executable that holds it.
    pub(crate) fn place(event: &NetworkEvent) -> (u32, NetworkKey) {
        let key = NetworkKey {
            exe: 0,
            ..event.key
        };
        (event.netns, key)
    }

    /// Its name is one that the kernel has made: `@` and five hexadecimal digits, as bind does when no name
    /// is given.
    pub(crate) fn is_autobound(&self) -> bool {
        self.event.path_len == 6
            && self.event.path[1..6]
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Path of a Unix socket, abstract ones with a leading `@`.
    pub(crate) fn unix_path(&self) -> Option<Vec<u8>> {
        let path = &self.event.path;
        if self.event.path_len > 0 {
            let length = (self.event.path_len as usize).min(path.len());
            let mut name = path[..length].to_vec();
            if let Some(first) = name.first_mut() {
                *first = b'@';
            }
            return Some(name);
        }
        let end = path
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(path.len());
        (end > 0).then(|| path[..end].to_vec())
    }
}

/// Reads the counts of each peer.
pub(super) fn count(capture: &Capture, samples: &mut [PeerSample]) -> Result<()> {
    let rows: Array<_, NetworkRow> = capture
        .ebpf
        .map("PEER_ROWS")
        .context("no map PEER_ROWS")?
        .try_into()?;
    for sample in samples.iter_mut().filter(|sample| sample.is_counted) {
        sample.counts = rows.get(&sample.event.row, 0)?;
    }
    Ok(())
}

//! Peers.

use crate::hooks::Capture;
use crate::sys;
use anyhow::{Context as _, Result};
use aya::maps::Array;
use procmon_probe_ebpf::abi::{NetworkEvent, NetworkRow};

/// First sight of a peer.
pub(crate) struct PeerSample {
    pub(crate) event: NetworkEvent,
}

impl PeerSample {
    /// Reads a record of the ring buffer.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            event: sys::record(bytes)?,
        })
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

    /// Its counts.
    pub(crate) fn counts(&self, capture: &Capture) -> Result<NetworkRow> {
        let rows: Array<_, NetworkRow> = capture
            .ebpf
            .map("PEER_ROWS")
            .context("no map PEER_ROWS")?
            .try_into()?;
        Ok(rows.get(&self.event.row, 0)?)
    }
}

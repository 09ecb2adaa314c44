//! Rare operations.

use super::Processes;
use crate::hooks::Capture;
use crate::sys;
use anyhow::{Context as _, Result};
use aya::maps::HashMap;
use procmon_probe_ebpf::abi::{RareEvent, RareKey};

/// One rare operation, and the process that was first.
pub(crate) struct RareSample {
    pub(crate) event: RareEvent,
    /// Its image, see [`Processes`].
    pub(crate) image: Option<usize>,
}

impl RareSample {
    /// Reads a record of the ring buffer.
    pub(crate) fn new(bytes: &[u8], processes: &Processes) -> Option<Self> {
        let event: RareEvent = sys::record(bytes)?;
        let image = processes.image_of(event.key.tgid);
        Some(Self { event, image })
    }
}

/// How often each operation was seen.
pub(crate) fn count(capture: &Capture, key: &RareKey) -> Result<u64> {
    let map: HashMap<_, RareKey, u64> = capture
        .ebpf
        .map("EVENTS")
        .context("no map EVENTS")?
        .try_into()?;
    Ok(map.get(key, 0).unwrap_or(1))
}

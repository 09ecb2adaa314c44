//! Rare operations.

use super::Processes;
use crate::capture::Capture;
use crate::sys;
use anyhow::{Context as _, Result};
use aya::maps::HashMap;
use procmon_probe_ebpf::abi::{RareEvent, RareKey};

/// One rare operation, and the process that was first.
pub(crate) struct RareSample {
    pub(crate) event: RareEvent,
    /// Its image, see [`Processes`].
    pub(crate) image: Option<usize>,
    /// How often it was seen, once the window has closed.
    pub(crate) count: u64,
}

impl RareSample {
    /// Reads a record of the ring buffer.
    pub(crate) fn new(bytes: &[u8], processes: &Processes) -> Option<Self> {
        let event: RareEvent = sys::record(bytes)?;
        let image = processes.image_of(event.key.tgid);
        Some(Self {
            event,
            image,
            count: 1,
        })
    }
}

/// Reads how often each operation was seen.
pub(super) fn count(capture: &Capture, samples: &mut [RareSample]) -> Result<()> {
    let map: HashMap<_, RareKey, u64> = capture
        .ebpf
        .map("EVENTS")
        .context("no map EVENTS")?
        .try_into()?;
    for sample in samples {
        sample.count = map.get(&sample.event.key, 0).unwrap_or(1);
    }
    Ok(())
}

//! Checks of capabilities.

use crate::capture::Capture;
use anyhow::{Context as _, Result};
use aya::maps::HashMap;
use procmon_probe_ebpf::abi::{CapabilityKey, CapabilityRow};

/// Reads every check.
pub(crate) fn read(capture: &Capture) -> Result<Vec<(CapabilityKey, CapabilityRow)>> {
    let map: HashMap<_, CapabilityKey, CapabilityRow> = capture
        .ebpf
        .map("CAPABILITIES")
        .context("no map CAPABILITIES")?
        .try_into()?;
    Ok(map.iter().filter_map(Result::ok).collect())
}

//! Sockets that wait for others, as the target's descriptors lead to them: when the window opens, and when
//! it has closed. The kernel says of each what a hook within the window would say, so that a listener has
//! one name whether or not its beginning was seen.

use crate::capture::Capture;
use crate::sys;
use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap as BpfMap};
use procmon_probe_ebpf::abi::{HeldSocket, ListenKey, Loss};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time that all descriptors of the node together may take.
const MOST_TIME: Duration = Duration::from_millis(700);
/// Sockets that are kept.
const MAX_SOCKETS: usize = 16_384;

/// What the descriptors of the target lead to.
#[derive(Default)]
pub(crate) struct Held {
    /// Each socket that waits for others once, of the process with the lowest id: others have inherited it.
    pub(crate) sockets: Vec<HeldSocket>,
    /// A process has an io_uring open.
    pub(crate) has_ring: bool,
    /// Not all was looked at: there were too many descriptors, or too many sockets.
    pub(crate) is_cut: bool,
}

impl Held {
    /// Looks at all descriptors of all tasks that have a label.
    pub(crate) fn look(capture: &mut Capture) -> Result<Self> {
        let mut sockets: BTreeMap<u64, HeldSocket> = BTreeMap::new();
        let mut held = Self::default();
        let mut is_full = false;
        let is_whole = capture.list_files(sys::moment_after(MOST_TIME), |bytes| {
            let Some(found) = sys::record::<HeldSocket>(bytes) else {
                return;
            };
            if found.is_ring != 0 {
                held.has_ring = true;
            } else if let Some(known) = sockets.get_mut(&found.number) {
                if found.tgid < known.tgid {
                    *known = found;
                }
            } else if sockets.len() < MAX_SOCKETS {
                sockets.insert(found.number, found);
            } else {
                is_full = true;
            }
        })?;
        held.is_cut = !is_whole || is_full;
        held.sockets = sockets.into_values().collect();
        Ok(held)
    }

    /// Tells the programs which ports are listened on: connections that are open already came to them.
    pub(crate) fn announce(&self, capture: &mut Capture) -> Result<()> {
        let mut map: BpfMap<_, ListenKey, u32> = capture
            .ebpf
            .map_mut("LISTENERS")
            .context("no map LISTENERS")?
            .try_into()?;
        let mut n_lost = 0;
        for HeldSocket { event, .. } in &self.sockets {
            if i32::from(event.key.socket_type) == libc::SOCK_STREAM
                && i32::from(event.key.family) != libc::AF_UNIX
            {
                let key = ListenKey {
                    netns: event.netns,
                    port: event.key.local_port,
                    pad: 0,
                };
                // A full map is no reason to stop: it only helps to tell who began old connections.
                n_lost += u64::from(map.insert(key, 1, 0).is_err());
            }
        }
        if n_lost > 0 {
            let mut lost: Array<_, u64> = capture
                .ebpf
                .map_mut("LOST")
                .context("no map LOST")?
                .try_into()?;
            let number = Loss::Sockets as u32;
            let before = lost.get(&number, 0)?;
            lost.set(number, before + n_lost, 0)?;
        }
        Ok(())
    }
}

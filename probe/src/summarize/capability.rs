//! Rows of capabilities.

use super::Facts;
use crate::hooks::{self, CAPABLE};
use procmon_profile::model::{CapabilityMethod, CapabilityUse, Tier};
use procmon_profile::tables::CAPABILITIES;

/// Each with the slot of its container.
pub(super) fn rows<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (u32, CapabilityUse)> + 'a {
    let is_hook =
        hooks::find(facts.hooks, CAPABLE).is_some_and(|placed| placed.hook.tier != Tier::Base);
    let method = if is_hook {
        CapabilityMethod::Hook
    } else {
        CapabilityMethod::Tracepoint
    };
    facts
        .counted
        .capabilities
        .iter()
        .filter_map(move |(key, row)| {
            let slot = facts.drained.container_of(key.exe)?;
            let name = CAPABILITIES.get(key.capability as usize).map_or_else(
                || format!("CAP_{}", key.capability),
                |name| (*name).to_owned(),
            );
            let row = CapabilityUse {
                exe: facts.drained.path_of(key.exe),
                name: name.into(),
                used: row.used,
                denied: row.denied,
                probed: is_hook.then_some(row.probed),
                method,
            };
            Some((slot, row))
        })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given};
    use super::*;
    use crate::hooks::Placed;
    use procmon_probe_ebpf::abi::{CapabilityKey, CapabilityRow};
    use procmon_profile::model::HookState;

    #[test]
    fn only_the_hook_tells_what_was_probed() {
        for (tier, method, probed) in [
            (Tier::Trampoline, CapabilityMethod::Hook, Some(3)),
            (Tier::Kprobe, CapabilityMethod::Hook, Some(3)),
            (Tier::Base, CapabilityMethod::Tracepoint, None),
        ] {
            let mut given = Given::new();
            given.hooks = vec![Placed::of(CAPABLE, tier, HookState::Proven, None)];
            let row = CapabilityRow {
                used: 1,
                denied: 2,
                probed: 3,
            };
            given.counted.capabilities = [(APP, 21), (APP, 999), (99, 21)]
                .map(|(exe, capability)| (CapabilityKey { exe, capability }, row))
                .to_vec();
            let expected = |name: &str| CapabilityUse {
                exe: "/bin/app".into(),
                name: name.into(),
                used: 1,
                denied: 2,
                probed,
                method,
            };
            let found: Vec<_> = given.facts(|facts| rows(facts).collect());
            let all = ["CAP_SYS_ADMIN", "CAP_999"].map(|name| (CONTAINER, expected(name)));
            assert_eq!(found, all, "{tier}");
        }
    }
}

//! Rows of rare operations.

use super::process::ProcessRows;
use super::{Facts, abi};
use crate::drain::RareSample;
use crate::hooks::{self, MODULE_LOAD, Placed};
use procmon_probe_ebpf::abi::{
    RARE_BPF, RARE_CREDENTIALS, RARE_KEYCTL, RARE_MEMFD_EXEC, RARE_MODULE_LOAD, RARE_MOUNT,
    RARE_PERF, RARE_PTRACE, RARE_SETNS, RARE_SIGNAL, RARE_UNSHARE, RARE_USERFAULTFD, RareKey,
};
use procmon_profile::model::{Event, EventType};
use procmon_profile::tables::{capability_names, signal_name, syscall_name};
use procmon_profile::text::{self, Text};
use std::collections::BTreeMap;

/// Each with the slot of its container.
pub(super) fn rows<'a>(
    facts: &'a Facts<'_>,
    processes: &'a ProcessRows<'_>,
) -> impl Iterator<Item = (u32, Event)> + 'a {
    let names_modules = hooks::find(facts.hooks, MODULE_LOAD).is_some_and(Placed::is_there);
    facts.drained.rare.iter().filter_map(move |sample| {
        let RareSample { event: seen, .. } = sample;
        // The tracepoint tells the same with the module's name.
        if seen.key.kind == RARE_MODULE_LOAD && seen.key.text[0] == 0 && names_modules {
            return None;
        }
        let (event_type, details) = details(facts.arch, &seen.key)?;
        let row = Event {
            time: facts.clock.time(seen.time).into(),
            event_type,
            process: processes.id_of(sample.image).cloned(),
            count: sample.count,
            details,
        };
        Some((seen.container, row))
    })
}

/// Type and details of a rare operation.
fn details(arch: &str, key: &RareKey) -> Option<(EventType, BTreeMap<Text, Text>)> {
    let values = key.values;
    let low = |value: u64| value & 0xffff_ffff;
    let end = key.text.iter().position(|byte| *byte == 0).unwrap_or(0);
    let name = text::from_bytes(&key.text[..end]);
    // The number of a call, with its convention shifted by 32.
    let call = || {
        let convention = u32::try_from(values[3] >> 32).unwrap_or(0);
        let number = u32::try_from(low(values[3])).unwrap_or(0);
        syscall_name(abi(arch, convention), number)
    };
    let mut details = BTreeMap::new();
    let mut put = |name: &str, value: Text| {
        if !value.is_empty() {
            details.insert(name.into(), value);
        }
    };
    let event_type = match key.kind {
        RARE_CREDENTIALS => {
            let (before, after) = (values[0], values[1]);
            if before != after {
                put("fromUid", (before >> 32).to_string().into());
                put("fromGid", low(before).to_string().into());
                put("toUid", (after >> 32).to_string().into());
                put("toGid", low(after).to_string().into());
            }
            put(
                "gained",
                capability_names(values[3] & !values[2]).join(",").into(),
            );
            put(
                "dropped",
                capability_names(values[2] & !values[3]).join(",").into(),
            );
            EventType::Credentials
        }
        RARE_PTRACE => {
            put("request", low(values[0]).to_string().into());
            put("target", low(values[1]).to_string().into());
            put("call", call().into());
            EventType::Ptrace
        }
        RARE_MOUNT => {
            put("fstype", name);
            put("flags", format!("{:#x}", values[1]).into());
            put("call", call().into());
            EventType::Mount
        }
        RARE_SETNS => {
            put("namespaces", clone_flags(values[0]).into());
            EventType::Setns
        }
        RARE_UNSHARE => {
            put("namespaces", clone_flags(values[0]).into());
            EventType::Unshare
        }
        RARE_MEMFD_EXEC => {
            put("name", name);
            EventType::MemfdExec
        }
        RARE_MODULE_LOAD => {
            if values[2] != 0 {
                put("requested", name);
            } else {
                put("name", name);
            }
            if values[3] != 0 {
                put("call", call().into());
            }
            EventType::ModuleLoad
        }
        RARE_SIGNAL => {
            let signal = u32::try_from(low(values[0])).unwrap_or(0);
            put("signal", signal_name(signal).into());
            put("target", low(values[1]).to_string().into());
            put("comm", name);
            EventType::Signal
        }
        RARE_BPF => {
            put("command", values[0].to_string().into());
            EventType::Bpf
        }
        RARE_KEYCTL => {
            put("operation", low(values[0]).to_string().into());
            EventType::Keyctl
        }
        RARE_USERFAULTFD => {
            put("flags", format!("{:#x}", values[0]).into());
            EventType::Userfaultfd
        }
        RARE_PERF => {
            put("target", low(values[0]).to_string().into());
            EventType::Perf
        }
        _ => return None,
    };
    Some((event_type, details))
}

/// Namespaces among clone flags, as their names in /proc/PID/ns.
fn clone_flags(flags: u64) -> String {
    const FLAGS: [(u64, &str); 8] = [
        (0x0000_0080, "time"),
        (0x0002_0000, "mnt"),
        (0x0200_0000, "cgroup"),
        (0x0400_0000, "uts"),
        (0x0800_0000, "ipc"),
        (0x1000_0000, "user"),
        (0x2000_0000, "pid"),
        (0x4000_0000, "net"),
    ];
    FLAGS
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, name)| *name)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::super::testing::{CONTAINER, Given};
    use super::*;
    use procmon_probe_ebpf::abi::{RARE_TEXT, RareEvent};
    use procmon_profile::model::{HookState, Tier};

    fn ids(uid: u64, gid: u64) -> u64 {
        uid << 32 | gid
    }

    fn key(kind: u32, values: [u64; 4], name: &str) -> RareKey {
        let mut text = [0; RARE_TEXT];
        text[..name.len()].copy_from_slice(name.as_bytes());
        RareKey {
            kind,
            tgid: 100,
            values,
            text,
        }
    }

    #[test]
    fn each_kind_has_its_details() {
        type Details = &'static [(&'static str, &'static str)];
        let cases: &[(RareKey, EventType, Details)] = &[
            (
                key(RARE_CREDENTIALS, [ids(0, 0), ids(7, 8), 3, 5], ""),
                EventType::Credentials,
                &[
                    ("dropped", "CAP_DAC_OVERRIDE"),
                    ("fromGid", "0"),
                    ("fromUid", "0"),
                    ("gained", "CAP_DAC_READ_SEARCH"),
                    ("toGid", "8"),
                    ("toUid", "7"),
                ],
            ),
            (
                key(RARE_CREDENTIALS, [ids(1, 1), ids(1, 1), 0, 1], ""),
                EventType::Credentials,
                &[("gained", "CAP_CHOWN")],
            ),
            (
                key(RARE_PTRACE, [16, 42, 0, 101], ""),
                EventType::Ptrace,
                &[("call", "ptrace"), ("request", "16"), ("target", "42")],
            ),
            (
                key(RARE_PTRACE, [16, 42, 0, 0x1_0000_001a], ""),
                EventType::Ptrace,
                &[("call", "ptrace"), ("request", "16"), ("target", "42")],
            ),
            (
                key(RARE_MOUNT, [0, 0x1000, 0, 165], "tmpfs"),
                EventType::Mount,
                &[("call", "mount"), ("flags", "0x1000"), ("fstype", "tmpfs")],
            ),
            (
                key(RARE_UNSHARE, [0x4002_0000, 0, 0, 0], ""),
                EventType::Unshare,
                &[("namespaces", "mnt,net")],
            ),
            (
                key(RARE_SETNS, [0x2000_0000, 0, 0, 0], ""),
                EventType::Setns,
                &[("namespaces", "pid")],
            ),
            (
                key(RARE_MEMFD_EXEC, [0; 4], "memfd:x"),
                EventType::MemfdExec,
                &[("name", "memfd:x")],
            ),
            (
                key(RARE_MODULE_LOAD, [0, 0, 0, 313], ""),
                EventType::ModuleLoad,
                &[("call", "finit_module")],
            ),
            (
                key(RARE_MODULE_LOAD, [0, 0, 1, 0], "net-pf-10"),
                EventType::ModuleLoad,
                &[("requested", "net-pf-10")],
            ),
            (
                key(RARE_SIGNAL, [9, 42, 0, 0], "sleep"),
                EventType::Signal,
                &[("comm", "sleep"), ("signal", "SIGKILL"), ("target", "42")],
            ),
            (
                key(RARE_BPF, [5, 0, 0, 0], ""),
                EventType::Bpf,
                &[("command", "5")],
            ),
            (
                key(RARE_KEYCTL, [2, 0, 0, 0], ""),
                EventType::Keyctl,
                &[("operation", "2")],
            ),
            (
                key(RARE_USERFAULTFD, [1, 0, 0, 0], ""),
                EventType::Userfaultfd,
                &[("flags", "0x1")],
            ),
            (
                key(RARE_PERF, [42, 0, 0, 0], ""),
                EventType::Perf,
                &[("target", "42")],
            ),
        ];
        for (key, event_type, expected) in cases {
            let (found, details) = details("amd64", key).expect("the kind is known");
            assert_eq!(found, *event_type);
            let found: Vec<(&str, &str)> = details.iter().map(|(a, b)| (&**a, &**b)).collect();
            assert_eq!(found, *expected, "{event_type:?}");
        }
        assert!(details("amd64", &key(u32::MAX, [0; 4], "")).is_none());
    }

    #[test]
    fn modules_are_told_once() {
        for (has_hook, expected) in [(true, 1), (false, 2)] {
            let mut given = Given::new();
            if has_hook {
                given.hooks = vec![Placed::of(
                    MODULE_LOAD,
                    Tier::Base,
                    HookState::Attached,
                    None,
                )];
            }
            given.drained.rare = ["", "dummy"]
                .map(|name| RareSample {
                    event: RareEvent {
                        container: CONTAINER,
                        key: key(RARE_MODULE_LOAD, [0; 4], name),
                        ..RareEvent::default()
                    },
                    image: None,
                    count: 4,
                })
                .into();
            given.facts(|facts| {
                let processes = process::name(facts);
                let found: Vec<_> = rows(facts, &processes).collect();
                assert_eq!(found.len(), expected);
                let is_right = |(slot, row): &(u32, Event)| *slot == CONTAINER && row.count == 4;
                assert!(found.iter().all(is_right), "{found:?}");
            });
        }
    }
}

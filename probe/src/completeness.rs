//! Why rows can't be relied on, by dimension.

use crate::hooks::{self, Placed, RING_COMPLETE};
use crate::summarize::{Facts, Unseen};
use procmon_profile::model::{Dimension, DimensionCompleteness, DimensionState, HookState};
use procmon_profile::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Says how far the rows of each dimension can be relied on. `unsent` are rows that found no room in the
/// stream, and rows that were cut;
/// `cut` says why the window was ended before its time.
#[expect(clippy::too_many_lines, reason = "one step per reason")]
pub(crate) fn completeness(
    facts: &Facts<'_>,
    unseen: &Unseen,
    unsent: &BTreeMap<Dimension, (u64, u64)>,
    cut: Option<&str>,
) -> BTreeMap<Dimension, DimensionCompleteness> {
    let mut reasons: BTreeMap<Dimension, (DimensionState, BTreeSet<String>)> = BTreeMap::new();
    let mut add = |dimension, state: DimensionState, reason: String| {
        let entry = reasons
            .entry(dimension)
            .or_insert((DimensionState::Complete, BTreeSet::new()));
        entry.0 = entry.0.max(state);
        entry.1.insert(reason);
    };
    for (state, reason) in facts.taps.reasons(&facts.drained.names) {
        add(Dimension::Dns, state, reason);
    }
    for Placed { wanted, hook, .. } in facts.hooks {
        if hook.state == HookState::Missing {
            for (dimension, all) in wanted.without {
                let state = if *all {
                    DimensionState::Missing
                } else {
                    DimensionState::Partial
                };
                add(
                    *dimension,
                    state,
                    format!("hook {} is missing on this kernel", hook.name),
                );
            }
        }
    }
    for Placed { wanted, hook, .. } in facts.hooks {
        let Some(missed) = hook.missed.filter(|missed| *missed > 0) else {
            continue;
        };
        for (dimension, _) in wanted.without {
            add(
                *dimension,
                DimensionState::Partial,
                format!("hook {} was skipped: {missed} times", hook.name),
            );
        }
    }
    for (dimension, reason) in facts.counted.lost.reasons() {
        add(dimension, DimensionState::Partial, reason);
    }
    let drained = facts.drained;
    for (dimension, count, what) in [
        (
            Dimension::Processes,
            drained.processes.lost,
            "more different programs than the probe keeps",
        ),
        (
            Dimension::Processes,
            drained.processes.hidden,
            "processes outside of the PID namespace of the probe, whose /proc does not have them",
        ),
        (
            Dimension::Processes,
            drained.processes.unread,
            "command lines that could not be read in time",
        ),
        (
            Dimension::Files,
            drained.as_given,
            "names that stand as they were given, since finding out where they lead would take too long",
        ),
        (
            Dimension::Files,
            drained.cut_paths,
            "paths that were cut, since all together are too long",
        ),
        (
            Dimension::Files,
            facts.node.unread_mounts,
            "mounts that were not looked at, since others took too long",
        ),
    ] {
        if count > 0 {
            add(
                dimension,
                DimensionState::Partial,
                format!("{what}: {count}"),
            );
        }
    }
    if facts.slots.out_of_reach > 0 {
        let reason = format!(
            "processes of the target that no PID namespace of the probe's /proc has, so that they are not looked at: {}",
            facts.slots.out_of_reach
        );
        for dimension in Dimension::ALL {
            add(dimension, DimensionState::Partial, reason.clone());
        }
    }
    if facts.unread_descriptors {
        let reason = "there were too many open descriptors to look at all when the window opened: \
                      who holds a listener, and who an io_uring, is not known of all";
        for dimension in [Dimension::Files, Dimension::Network] {
            add(dimension, DimensionState::Partial, reason.to_owned());
        }
    }
    for (dimension, (dropped, cut)) in unsent {
        for (count, what) in [
            (*dropped, "rows found no room in the stream"),
            (*cut, "rows were cut to find room in the stream"),
        ] {
            if count > 0 {
                add(
                    *dimension,
                    DimensionState::Partial,
                    format!("{count} {what}"),
                );
            }
        }
    }
    let sees_rings = hooks::find(facts.hooks, RING_COMPLETE).is_some_and(Placed::is_there);
    // A ring whose kernel thread polls needs no call but its making.
    let has_called = unseen.ring_calls.contains("io_uring_enter")
        || unseen.ring_calls.contains("io_uring_setup");
    for (used, what) in [
        (!sees_rings && (facts.has_ring || has_called), "io_uring"),
        (
            unseen.ring_calls.contains("io_submit"),
            "asynchronous I/O (io_submit)",
        ),
    ] {
        if used {
            for dimension in [Dimension::Files, Dimension::Network, Dimension::Dns] {
                add(
                    dimension,
                    DimensionState::Partial,
                    format!("{what} was used: its requests are not by path or peer"),
                );
            }
        }
    }
    if let Some(cut) = cut {
        for dimension in Dimension::ALL {
            add(dimension, DimensionState::Partial, cut.to_owned());
        }
    }
    Dimension::ALL
        .into_iter()
        .map(|dimension| {
            let (state, reasons) = reasons
                .remove(&dimension)
                .unwrap_or((DimensionState::Complete, BTreeSet::new()));
            (
                dimension,
                DimensionCompleteness {
                    state,
                    reasons: reasons.into_iter().map(Text::from).collect(),
                    not_looked_at: unseen
                        .not_looked_at
                        .get(&dimension)
                        .cloned()
                        .unwrap_or_default(),
                },
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::CAPABLE;
    use crate::losses::Losses;
    use crate::summarize::summarize;
    use crate::summarize::testing::Given;
    use procmon_probe_ebpf::abi::Loss;
    use procmon_profile::model::Tier;

    type Unsent = BTreeMap<Dimension, (u64, u64)>;

    /// The dimensions that are not complete, each with its state and reasons.
    fn found(
        given: &Given,
        ring_calls: &[&'static str],
        unsent: &Unsent,
        cut: Option<&str>,
    ) -> Vec<(Dimension, DimensionState, Vec<Text>)> {
        let all = given.facts(|facts| {
            let mut unseen = summarize(facts).unseen;
            unseen.ring_calls.extend(ring_calls);
            completeness(facts, &unseen, unsent, cut)
        });
        assert_eq!(all.len(), Dimension::ALL.len());
        all.into_iter()
            .filter(|(_, one)| one.state != DimensionState::Complete)
            .map(|(dimension, one)| (dimension, one.state, one.reasons.into_iter().collect()))
            .collect()
    }

    #[test]
    fn a_window_without_losses_is_complete() {
        assert_eq!(found(&Given::new(), &[], &Unsent::new(), None), []);
    }

    #[test]
    fn each_fact_has_its_reason() {
        type Change = fn(&mut Given);
        let partial = DimensionState::Partial;
        let cases: &[(Change, &[Dimension], DimensionState, &str)] = &[
            (
                |given| {
                    given.hooks = vec![Placed::of(CAPABLE, Tier::Base, HookState::Missing, None)];
                },
                &[Dimension::Capabilities],
                DimensionState::Missing,
                "hook cap_capable is missing on this kernel",
            ),
            (
                |given| {
                    let state = HookState::Proven;
                    given.hooks = vec![
                        Placed::of("tcp_destroy_sock", Tier::Base, state, Some(3)),
                        Placed::of("sendmsg4", Tier::Base, state, Some(3)),
                    ];
                },
                &[Dimension::Network],
                partial,
                "hook tcp_destroy_sock was skipped: 3 times",
            ),
            (
                |given| given.counted.lost = Losses(BTreeMap::from([(Loss::FileRows, 2)])),
                &[Dimension::Files],
                partial,
                "map FILE_ROWS was full: 2 times",
            ),
            (
                |given| given.drained.processes.unread = 4,
                &[Dimension::Processes],
                partial,
                "command lines that could not be read in time: 4",
            ),
            (
                |given| given.drained.cut_paths = 5,
                &[Dimension::Files],
                partial,
                "paths that were cut, since all together are too long: 5",
            ),
            (
                |given| given.slots.out_of_reach = 6,
                &Dimension::ALL,
                partial,
                "processes of the target that no PID namespace of the probe's /proc has, so that they are not looked at: 6",
            ),
            (
                |given| given.unread_descriptors = true,
                &[Dimension::Files, Dimension::Network],
                partial,
                "there were too many open descriptors to look at all when the window opened: who holds a listener, and who an io_uring, is not known of all",
            ),
            (
                |given| given.has_ring = true,
                &[Dimension::Files, Dimension::Network, Dimension::Dns],
                partial,
                "io_uring was used: its requests are not by path or peer",
            ),
            (
                |given| given.drained.names.gaps.unreadable = 7,
                &[Dimension::Dns],
                partial,
                "messages at port 53 that could not be read: 7",
            ),
        ];
        for (change, dimensions, state, reason) in cases {
            let mut given = Given::new();
            change(&mut given);
            let mut found = found(&given, &[], &Unsent::new(), None);
            found.sort_by_key(|(dimension, ..)| *dimension);
            let mut expected: Vec<_> = dimensions
                .iter()
                .map(|dimension| (*dimension, *state, vec![Text::from(*reason)]))
                .collect();
            expected.sort_by_key(|(dimension, ..)| *dimension);
            assert_eq!(found, expected, "{reason}");
        }
    }

    #[test]
    fn rings_are_told_where_no_hook_sees_their_requests() {
        for (state, calls, expected) in [
            (HookState::Proven, &["io_uring_enter"][..], 0),
            (HookState::Missing, &["io_uring_enter"], 3),
            (HookState::Missing, &["io_uring_setup"], 3),
            (HookState::Missing, &[], 0),
            (HookState::Proven, &["io_submit"], 3),
        ] {
            let mut given = Given::new();
            given.hooks = vec![Placed::of(RING_COMPLETE, Tier::Base, state, None)];
            let found = found(&given, calls, &Unsent::new(), None);
            assert_eq!(found.len(), expected, "{state:?} {calls:?}: {found:?}");
        }
    }

    #[test]
    fn what_was_not_sent_is_told() {
        let given = Given::new();
        for (losses, expected) in [
            ((2, 0), &["2 rows found no room in the stream"][..]),
            ((0, 3), &["3 rows were cut to find room in the stream"]),
            ((0, 0), &[]),
        ] {
            let found = found(
                &given,
                &[],
                &Unsent::from([(Dimension::Files, losses)]),
                None,
            );
            let reasons: Vec<&str> = found
                .iter()
                .flat_map(|(_, _, reasons)| reasons.iter().map(|reason| &**reason))
                .collect();
            assert_eq!(reasons, expected);
        }
        let found = found(&given, &[], &Unsent::new(), Some("the reader was gone"));
        assert_eq!(found.len(), Dimension::ALL.len());
    }
}

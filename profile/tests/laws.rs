//! Laws of baselines and drift, on thousands of generated profiles.
#![cfg(feature = "compare")]
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::baseline::{accept, from_profiles, is_protected, merge};
use procmon_profile::diff::{Options, diff};
use procmon_profile::model::{
    Abi, Baseline, CapabilityMethod, CapabilityUse, Change, Completeness, Container, Dimension,
    DimensionCompleteness, DimensionState, Direction, Dns, Endpoint, Event, EventType, File,
    FileOperation, Network, Process, Profile, Protocol, Remote, Session, Severity, Syscall,
};
use procmon_profile::text::Text;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const EXES: [&str; 3] = ["/usr/sbin/app", "/bin/sh", "/tmp/tmp.Ab3dEf9Z/x"];
const FOLDERS: [&str; 8] = [
    "/var/lib/app",
    "/var/lib/app/base/5",
    "/tmp",
    "/data/job1",
    "/data/job2",
    "/data/other",
    "/etc/app",
    "/home/u",
];
const NAMES: [&str; 14] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "x1",
    "x2",
    "x3",
    "f.log",
    "g.log",
    "log.1",
    "log.2",
    ".ssh/id_rsa",
    "tmpab12cd34",
];
const OPERATIONS: [FileOperation; 6] = [
    FileOperation::Open,
    FileOperation::Read,
    FileOperation::Write,
    FileOperation::Unlink,
    FileOperation::Rename,
    FileOperation::MmapExec,
];

fn file() -> impl Strategy<Value = File> {
    (
        0..EXES.len(),
        0..FOLDERS.len(),
        0..NAMES.len(),
        prop::collection::vec(0..OPERATIONS.len(), 0..3),
        any::<bool>(),
    )
        .prop_map(|(exe, folder, name, operations, failed)| File {
            path: format!("{}/{}", FOLDERS[folder], NAMES[name]).into(),
            exe: EXES[exe].into(),
            operations: operations
                .into_iter()
                .map(|place| (OPERATIONS[place], 1))
                .collect(),
            errors: if failed {
                [("ENOENT".into(), 2)].into()
            } else {
                BTreeMap::new()
            },
            ..File::default()
        })
}

fn process() -> impl Strategy<Value = Process> {
    (
        0..EXES.len(),
        prop::collection::vec(
            prop::sample::select(vec!["-v", "1", "2", "x7", "word", "--f=3"]),
            0..3,
        ),
        0..2_u32,
    )
        .prop_map(|(exe, argv, uid)| Process {
            id: String::new().into(),
            exe: EXES[exe].into(),
            argv: std::iter::once("app").chain(argv).map(Text::from).collect(),
            uid,
            count: 1,
            ..Process::default()
        })
}

fn network() -> impl Strategy<Value = Network> {
    (
        0..EXES.len(),
        0..6_u8,
        prop::sample::select(vec![80_u32, 443, 40_001, 40_002, 40_003, 50_001]),
        0..3_u8,
        some_names(),
        some_names(),
    )
        .prop_map(|(exe, host, port, direction, names, claimed)| {
            let address = Some(format!("10.1.{}.{host}", host % 2));
            let (direction, local, remote) = match direction {
                0 => (
                    Direction::Inbound,
                    Some(Endpoint {
                        port: Some(port),
                        ..Endpoint::default()
                    }),
                    Some(Remote {
                        address: address.map(Text::from),
                        ..Remote::default()
                    }),
                ),
                1 => (
                    Direction::Listen,
                    Some(Endpoint {
                        address: Some("0.0.0.0".into()),
                        port: Some(port),
                        path: None,
                    }),
                    None,
                ),
                _ => (
                    Direction::Outbound,
                    None,
                    Some(Remote {
                        address: address.map(Text::from),
                        port: Some(port),
                        names,
                        claimed,
                        ..Remote::default()
                    }),
                ),
            };
            Network {
                exe: EXES[exe].into(),
                protocol: Protocol::Tcp,
                direction,
                local,
                remote,
                connections: 1,
                datagrams_sent: 0,
                datagrams_received: 0,
                failures: BTreeMap::new(),
                bytes_sent: 1,
                bytes_received: 1,
                path: Vec::new(),
            }
        })
}

fn some_names() -> impl Strategy<Value = Vec<Text>> {
    prop::collection::btree_set(0..4_u8, 0..3).prop_map(|names| {
        names
            .into_iter()
            .map(|name| format!("n{name}.example").into())
            .collect()
    })
}

/// Answers lead to the addresses of peers, or to another name.
fn dns() -> impl Strategy<Value = Dns> {
    (
        0..EXES.len(),
        0..4_u8,
        prop::collection::btree_set((0..6_u8, any::<bool>()), 0..3),
        prop::collection::btree_set(0..3_u8, 0..2),
    )
        .prop_map(|(exe, name, answers, resolvers)| Dns {
            exe: EXES[exe].into(),
            name: format!("n{name}.example").into(),
            record_type: "A".into(),
            rcode: Some("NOERROR".into()),
            answers: answers
                .into_iter()
                .map(|(host, alias)| {
                    if alias {
                        format!("n{host}.example").into()
                    } else {
                        format!("10.1.{}.{host}", host % 2).into()
                    }
                })
                .collect(),
            resolvers: resolvers
                .into_iter()
                .map(|host| format!("10.1.{}.{host}", host % 2).into())
                .collect(),
            count: 1,
        })
}

fn call() -> impl Strategy<Value = Syscall> {
    (
        0..EXES.len(),
        prop::sample::select(vec!["read", "ptrace", "socket", "mount", "chmod"]),
        any::<bool>(),
    )
        .prop_map(|(exe, name, failed)| Syscall {
            name: name.into(),
            abi: Abi::X86_64,
            exe: EXES[exe].into(),
            calls: 3,
            errors: if failed {
                [("EPERM".into(), 1)].into()
            } else {
                BTreeMap::new()
            },
            restarted: 0,
            unfinished: 0,
            no_return: 0,
            denied_by_seccomp: 0,
            latency_ns: None,
            arguments: failed.then(|| [("family=AF_INET".into(), 1)].into()),
        })
}

fn container() -> impl Strategy<Value = Container> {
    (
        prop::collection::vec(process(), 1..5),
        prop::collection::vec(file(), 0..12),
        prop::collection::vec(network(), 0..8),
        (
            prop::collection::vec(call(), 0..5),
            prop::collection::vec(dns(), 0..4),
        ),
        any::<bool>(),
        prop::collection::vec(0..3_usize, 0..3),
    )
        .prop_map(
            |(mut processes, files, network, (syscalls, dns), from_start, more)| {
                for (number, process) in processes.iter_mut().enumerate() {
                    process.id = format!("p{}", number + 1).into();
                    process.parent = (number > 0).then(|| format!("p{number}").into());
                }
                Container {
                    container: "main".into(),
                    namespace: Some("shop".into()),
                    pod: Some("web".into()),
                    from_start,
                    processes,
                    files,
                    network,
                    dns,
                    syscalls,
                    capabilities: more
                        .iter()
                        .map(|exe| CapabilityUse {
                            exe: EXES[*exe].into(),
                            name: "CAP_CHOWN".into(),
                            used: 1,
                            denied: 0,
                            probed: None,
                            method: CapabilityMethod::Tracepoint,
                        })
                        .collect(),
                    events: more
                        .iter()
                        .map(|number| Event {
                            time: String::new().into(),
                            event_type: EventType::Unshare,
                            process: Some("p1".into()),
                            count: 1,
                            details: [("namespaces".into(), format!("n{number}").into())].into(),
                        })
                        .collect(),
                    ..Container::default()
                }
            },
        )
}

/// A profile; the number makes its session another one than others'.
fn profile(number: usize) -> impl Strategy<Value = Profile> {
    (container(), any::<u32>()).prop_map(move |(container, random)| {
        let mut profile = Profile {
            session: Session {
                id: format!("{number}-{random}").into(),
                started_at: Some(format!("2026-01-0{}T00:00:00Z", number % 9 + 1).into()),
                window_seconds: Some(3.0),
                ..Session::default()
            },
            containers: vec![container],
            completeness: complete(),
            ..Profile::default()
        };
        procmon_profile::merge::normalize(&mut profile);
        profile
    })
}

fn complete() -> Completeness {
    let state = DimensionCompleteness {
        state: DimensionState::Complete,
        reasons: BTreeSet::new(),
        ..DimensionCompleteness::default()
    };
    Completeness {
        complete: true,
        dimensions: Dimension::ALL
            .into_iter()
            .map(|dimension| (dimension, state.clone()))
            .collect(),
        ..Completeness::default()
    }
}

/// Rows as text: what differs between two baselines is then short.
fn lines(baseline: &Baseline) -> Vec<String> {
    let value = serde_json::to_value(baseline).unwrap();
    let mut lines = Vec::new();
    for container in value["containers"].as_array().unwrap() {
        for (name, rows) in container.as_object().unwrap() {
            for row in rows.as_array().into_iter().flatten() {
                lines.push(format!("{name} {row}"));
            }
            if rows.is_object() {
                lines.push(format!("{name} {rows}"));
            }
        }
    }
    lines.push(value["windows"].to_string());
    lines.push(value["metadata"].to_string());
    lines
}

/// Two baselines are the same, or else which rows only one has.
fn same(left: &Baseline, right: &Baseline) -> Result<(), TestCaseError> {
    let (a, b) = (lines(left), lines(right));
    let only = |a: &[String], b: &[String]| {
        a.iter()
            .filter(|line| !b.contains(line))
            .cloned()
            .collect::<Vec<_>>()
    };
    let (left_only, right_only) = (only(&a, &b), only(&b, &a));
    prop_assert!(
        left_only.is_empty() && right_only.is_empty(),
        "left: {left_only:#?}\nright: {right_only:#?}"
    );
    prop_assert_eq!(left, right);
    Ok(())
}

/// The states of all dimensions.
fn states() -> impl Strategy<Value = Vec<DimensionState>> {
    let state = prop::sample::select(vec![
        DimensionState::Complete,
        DimensionState::Partial,
        DimensionState::Missing,
    ]);
    prop::collection::vec(state, Dimension::ALL.len())
}

fn with_states(mut profile: Profile, states: &[DimensionState]) -> Profile {
    for (own, state) in profile.completeness.dimensions.values_mut().zip(states) {
        own.state = *state;
    }
    profile.completeness.complete = !states.contains(&DimensionState::Partial);
    profile
}

fn of(profiles: &[Profile]) -> Baseline {
    from_profiles("web", profiles, None).unwrap()
}

fn keys(baseline: &Baseline, profile: &Profile) -> Vec<String> {
    let drift = diff(baseline, profile, &Options::default()).unwrap();
    drift
        .rows
        .into_iter()
        .filter(|row| row.change != Change::Gone)
        .map(|row| row.key.into())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_profile_does_not_differ_from_itself(one in profile(1)) {
        let drift = diff(&of(std::slice::from_ref(&one)), &one, &Options::default()).unwrap();
        prop_assert!(drift.rows.is_empty(), "{:#?}", drift.rows);
    }

    #[test]
    fn what_a_baseline_was_made_from_is_not_new(one in profile(1), two in profile(2), three in profile(3)) {
        let baseline = of(&[one.clone(), two.clone(), three.clone()]);
        for profile in [&one, &two, &three] {
            let keys = keys(&baseline, profile);
            prop_assert!(keys.is_empty(), "{keys:#?}");
        }
    }

    #[test]
    fn a_profile_that_was_made_partial_shows_all_that_is_new_and_changed(
        one in profile(1), two in profile(2), three in profile(3),
        before in prop::collection::vec(states(), 2), now in states()
    ) {
        let baseline = of(&[with_states(one, &before[0]), with_states(two, &before[1])]);
        let ids = |profile: &Profile| -> Vec<String> {
            let drift = diff(&baseline, profile, &Options::default()).unwrap();
            let rows = drift.rows.into_iter().filter(|row| row.change != Change::Gone);
            rows.map(|row| format!("{} {}", row.id, row.key)).collect()
        };
        let (whole, cut) = (ids(&three), ids(&with_states(three, &now)));
        for id in whole {
            prop_assert!(cut.contains(&id), "{id} vanished: {cut:#?}");
        }
    }

    #[test]
    fn what_is_comparable_was_compared_and_what_is_not_is_said(
        one in profile(1), two in profile(2), before in states(), now in states()
    ) {
        let (one, two) = (with_states(one, &before), with_states(two, &now));
        let drift = diff(&of(std::slice::from_ref(&one)), &two, &Options::default()).unwrap();
        let complete = DimensionState::Complete;
        let missing = DimensionState::Missing;
        let mut comparable = true;
        for (dimension, (before, now)) in Dimension::ALL.into_iter().zip(before.into_iter().zip(now)) {
            let in_list = |list: &[procmon_profile::model::NotComparable]| list.iter().any(|row| row.dimension == dimension);
            let rows = drift.rows.iter().filter(|row| row.dimension == dimension);
            let whole = (before, now) == (complete, complete);
            let neither = (before, now) == (missing, missing);
            prop_assert_eq!(in_list(&drift.missing), neither);
            prop_assert_eq!(in_list(&drift.not_comparable), !whole && !neither);
            comparable &= whole || neither;
            let blinded = rows.filter(|row| row.key.ends_with("as a whole")).count();
            prop_assert_eq!(blinded, usize::from(before == complete && now != complete));
        }
        prop_assert_eq!(drift.comparable, comparable);
    }

    #[test]
    fn no_name_hides_a_peer_at_an_address_that_no_known_resolver_answered(
        one in profile(1), two in profile(2), names in some_names(), claimed in some_names(), lies in dns()
    ) {
        let baseline = of(&[one, two.clone()]);
        let mut seen = two;
        let intruder = Network {
            exe: EXES[0].into(),
            protocol: Protocol::Tcp,
            direction: Direction::Outbound,
            local: None,
            remote: Some(Remote {
                address: Some("203.0.113.66".into()),
                port: Some(443),
                names,
                claimed,
                ..Remote::default()
            }),
            connections: 1,
            datagrams_sent: 0,
            datagrams_received: 0,
            failures: BTreeMap::new(),
            bytes_sent: 1,
            bytes_received: 1,
            path: Vec::new(),
        };
        seen.containers[0].network.push(intruder);
        seen.containers[0].dns.push(Dns {
            answers: vec!["203.0.113.66".into()],
            resolvers: vec!["203.0.113.53".into()],
            ..lies
        });
        let drift = diff(&baseline, &seen, &Options::default()).unwrap();
        let told = |words: &str, least: Severity| drift.rows.iter().any(|row| row.key.contains(words) && row.severity >= least);
        prop_assert!(told("outbound tcp 203.0.113.66:443", Severity::Medium), "{:#?}", drift.rows);
        prop_assert!(told("asks the resolver 203.0.113.53", Severity::Medium), "{:#?}", drift.rows);
    }

    #[test]
    fn merging_is_commutative(one in profile(1), two in profile(2)) {
        let (one, two) = (of(&[one]), of(&[two]));
        same(&merge(one.clone(), two.clone()).unwrap(), &merge(two, one).unwrap())?;
    }

    #[test]
    fn merging_is_associative(one in profile(1), two in profile(2), three in profile(3)) {
        let (one, two, three) = (of(&[one]), of(&[two]), of(&[three]));
        let left = merge(merge(one.clone(), two.clone()).unwrap(), three.clone()).unwrap();
        let right = merge(one, merge(two, three).unwrap()).unwrap();
        same(&left, &right)?;
    }

    #[test]
    fn merging_and_making_at_once_are_the_same(one in profile(1), two in profile(2), three in profile(3)) {
        let at_once = of(&[one.clone(), two.clone(), three.clone()]);
        let merged = merge(merge(of(&[one]), of(&[two])).unwrap(), of(&[three])).unwrap();
        same(&at_once, &merged)?;
    }

    #[test]
    fn saving_again_changes_nothing(one in profile(1), two in profile(2)) {
        let baseline = of(&[one, two]);
        let again = procmon_profile::baseline::normalize(baseline.clone()).unwrap();
        prop_assert_eq!(&baseline, &again);
        let text = serde_json::to_string(&baseline).unwrap();
        prop_assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline);
    }

    #[test]
    fn accepting_a_drift_makes_it_vanish(one in profile(1), two in profile(2), three in profile(3)) {
        let mut baseline = of(&[one, two]);
        let drift = diff(&baseline, &three, &Options::default()).unwrap();
        accept(&mut baseline, &drift, |_| true);
        let mut left = diff(&baseline, &three, &Options::default()).unwrap().rows;
        // Where a row went, those that stay may be learned together: that one may be gone, too.
        left.retain(|row| row.change != Change::Gone || drift.rows.iter().any(|old| old.id == row.id));
        prop_assert!(left.is_empty(), "{left:#?}");
    }

    #[test]
    fn accepting_one_row_accepts_no_more(one in profile(1), two in profile(2)) {
        let mut baseline = of(&[one]);
        let drift = diff(&baseline, &two, &Options::default()).unwrap();
        let files: Vec<_> = drift.rows.iter().filter(|row| row.dimension == Dimension::Files && row.change != Change::Gone).collect();
        if let [first, others @ ..] = files.as_slice() {
            accept(&mut baseline, &drift, |id| id == first.id);
            let left = keys(&baseline, &two);
            prop_assert!(!left.contains(&first.key.to_string()));
            for other in others {
                prop_assert!(left.contains(&other.key.to_string()), "{} went with {}", other.key, first.key);
            }
        }
    }

    #[test]
    fn no_wildcard_hides_a_protected_path(profiles in prop::collection::vec(profile(1), 1..5), intruder in file()) {
        let sessions: Vec<Profile> = profiles.into_iter().enumerate().map(|(number, mut profile)| {
            profile.session.id = format!("s{number}").into();
            profile
        }).collect();
        let known = |path: &str, exe: &str| sessions.iter().flat_map(|p| &p.containers).flat_map(|c| &c.files).any(|f| f.path == path && f.exe == exe);
        let baseline = of(&sessions);
        let path = intruder.path.replace("/a", "/zzz");
        if is_protected(&path) && !known(&path, &intruder.exe) && !intruder.operations.is_empty() {
            let mut seen = sessions[0].clone();
            seen.containers[0].files = vec![File { path: path.clone().into(), ..intruder }];
            let keys = keys(&baseline, &seen);
            prop_assert!(keys.iter().any(|key| key.ends_with(&path)), "{path} is hidden: {keys:?}");
        }
    }
}

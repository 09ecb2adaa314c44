//! A target can't make a difference vanish: not by a capture that it made partial, not by a name
//! that it gave to a peer.
#![cfg(feature = "compare")]
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::baseline::{accept, from_profiles};
use procmon_profile::diff::{Options, diff};
use procmon_profile::document::{Content, parse};
use procmon_profile::model::{
    Baseline, Change, Dimension, DimensionState, Direction, Dns, Drift, DriftRow, File,
    FileOperation, NameSource, Network, ObjectName, Owner, Profile, Protocol, Remote, RowValue,
    Severity,
};

const BASE: &[u8] = include_bytes!("../../tests/documents/partial-hides-drift/base.json");
const PARTIAL: &[u8] = include_bytes!("../../tests/documents/partial-hides-drift/partial.json");
const BLINDED: &[u8] = include_bytes!("../../tests/documents/partial-hides-drift/blinded.json");
const EXE: &str = "/usr/bin/web";
const RESOLVER: &str = "10.96.0.10";

fn read(bytes: &[u8]) -> Profile {
    match parse(bytes).unwrap().content {
        Content::Profile(profile) => *profile,
        other => panic!("a {}", other.kind()),
    }
}

/// The base with another session's id.
fn window(session: &str) -> Profile {
    let mut profile = read(BASE);
    profile.session.id = session.into();
    profile
}

fn partial(mut profile: Profile, dimensions: &[Dimension], state: DimensionState) -> Profile {
    profile.completeness.complete = false;
    for dimension in dimensions {
        let own = profile.completeness.dimensions.get_mut(dimension).unwrap();
        own.state = state;
        own.reasons = ["some were lost".into()].into();
    }
    profile
}

fn of(profiles: &[Profile]) -> Baseline {
    from_profiles("web", profiles, None).unwrap()
}

fn drift(baseline: &Baseline, profile: &Profile) -> Drift {
    diff(baseline, profile, &Options::default()).unwrap()
}

fn text(row: &DriftRow) -> String {
    let change = match row.change {
        Change::New => "new",
        Change::Changed => "changed",
        Change::Gone => "gone",
    };
    format!("{change} {} {}", row.severity, row.key)
}

/// Rows above info, in words.
fn telling(baseline: &Baseline, profile: &Profile) -> Vec<String> {
    let drift = drift(baseline, profile);
    let rows = drift.rows.iter();
    rows.filter(|row| row.severity > Severity::Info)
        .map(text)
        .collect()
}

#[test]
fn a_row_of_a_partial_dimension_was_seen_and_the_dimension_is_a_row_too() {
    let baseline = of(&[read(BASE)]);
    let found = drift(&baseline, &read(PARTIAL));
    let keys: Vec<String> = found.rows.iter().map(text).collect();
    assert_eq!(
        keys,
        [
            "new high /usr/bin/web reads /etc/shadow",
            "changed medium files can't be seen as a whole",
        ]
    );
    assert!(!found.comparable);
    let blinded = drift(&baseline, &read(BLINDED));
    assert_eq!(blinded.rows.len(), 7, "{:#?}", blinded.rows);
    assert_eq!(blinded.not_comparable.len(), 7);
    assert!(
        blinded
            .rows
            .iter()
            .all(|row| row.severity == Severity::Medium)
    );
}

#[test]
fn a_dimension_is_a_row_where_the_baseline_had_it() {
    let files = [Dimension::Files];
    let whole = window("one");
    let cut = |session| partial(window(session), &files, DimensionState::Partial);
    let none = |session| partial(window(session), &files, DimensionState::Missing);
    let check = |baseline: &[Profile], profile: &Profile, rows: &[&str], comparable: bool| {
        let found = drift(&of(baseline), profile);
        let keys: Vec<String> = found.rows.iter().map(text).collect();
        assert_eq!(keys, rows);
        assert_eq!(found.comparable, comparable, "{:#?}", found.not_comparable);
        found
    };
    let medium = ["changed medium files can't be seen as a whole"];
    check(std::slice::from_ref(&whole), &cut("now"), &medium, false);
    check(std::slice::from_ref(&whole), &none("now"), &medium, false);
    // A workload that is cut now and then is known to be.
    let low = ["changed low files can't be seen as a whole"];
    check(&[whole.clone(), cut("two")], &cut("now"), &low, false);
    check(&[cut("two")], &cut("now"), &[], false);
    check(&[cut("two")], &whole, &[], false);
    check(&[cut("two")], &none("now"), &[], false);
    check(&[none("two")], &cut("now"), &[], false);
    // Facts that no kernel here can show are lost on neither side.
    let found = check(&[none("two")], &none("now"), &[], true);
    assert_eq!(found.missing.len(), 1);
}

#[test]
fn a_profile_that_does_not_say_how_complete_it_is_is_not_whole() {
    let baseline = of(&[read(BASE)]);
    let mut silent = window("silent");
    silent.completeness.complete = false;
    silent.completeness.dimensions.clear();
    let found = drift(&baseline, &silent);
    assert!(!found.comparable);
    assert_eq!(found.not_comparable.len(), 7);
}

#[test]
fn only_a_whole_dimension_can_lack_something() {
    let baseline = of(&[window("one"), window("two")]);
    let mut less = window("now");
    less.containers[0].files.clear();
    let gone = |profile: &Profile| {
        let rows = drift(&baseline, profile).rows;
        rows.iter().any(|row| row.change == Change::Gone)
    };
    assert!(gone(&less));
    let files = [Dimension::Files];
    assert!(!gone(&partial(less, &files, DimensionState::Partial)));
}

#[test]
fn a_dimension_that_is_incomplete_can_not_be_accepted() {
    let mut baseline = of(&[read(BASE)]);
    let found = drift(&baseline, &read(BLINDED));
    assert_eq!(accept(&mut baseline, &found, |_| true), 0);
    assert_eq!(drift(&baseline, &read(BLINDED)).rows, found.rows);
}

/// A row of files of a folder that found no row of their own.
fn shared(folder: &str, operation: FileOperation) -> File {
    File {
        path: format!("{folder}/…").into(),
        exe: EXE.into(),
        operations: [(operation, 70_000)].into(),
        name_source: NameSource::Settled,
        ..File::default()
    }
}

#[test]
fn files_that_found_no_row_are_unknown_where_the_folder_is_known() {
    // The base reads /srv/a.
    let baseline = of(&[read(BASE)]);
    let rows = |file: File| {
        let mut profile = partial(window("now"), &[Dimension::Files], DimensionState::Partial);
        profile.containers[0].files.push(file);
        let mut rows = telling(&baseline, &profile);
        rows.retain(|row| !row.contains("as a whole"));
        rows
    };
    for folder in ["/srv", ""] {
        assert_eq!(
            rows(shared(folder, FileOperation::Read)),
            [""; 0],
            "{folder}"
        );
    }
    assert_eq!(
        rows(shared("/srv", FileOperation::Write)),
        ["changed low /usr/bin/web writes /srv/…"]
    );
    assert_eq!(
        rows(shared("/data", FileOperation::Read)),
        ["new low /usr/bin/web reads /data/…"]
    );
    // A file that only bears the name is one that the kernel knows.
    let named = File {
        mode: Some("0644".into()),
        owner: Some(Owner { uid: 0, gid: 0 }),
        ..shared("/data", FileOperation::Read)
    };
    assert_eq!(rows(named), ["new low /usr/bin/web reads /data/…"]);
}

fn peer(address: &str, port: u32) -> Network {
    Network {
        exe: EXE.into(),
        protocol: Protocol::Tcp,
        direction: Direction::Outbound,
        local: None,
        remote: Some(Remote {
            address: Some(address.into()),
            port: Some(port),
            ..Remote::default()
        }),
        connections: 1,
        datagrams_sent: 0,
        datagrams_received: 0,
        failures: [].into(),
        bytes_sent: 9,
        bytes_received: 9,
        path: Vec::new(),
    }
}

fn with(mut row: Network, change: impl Fn(&mut Remote)) -> Network {
    row.remote.iter_mut().for_each(change);
    row
}

fn names(row: Network, names: &[&str]) -> Network {
    with(row, |remote| {
        remote.names = names.iter().map(|name| (*name).into()).collect();
    })
}

fn claims(row: Network, names: &[&str]) -> Network {
    with(row, |remote| {
        remote.claimed = names.iter().map(|name| (*name).into()).collect();
    })
}

fn resolver(address: &str) -> Network {
    Network {
        protocol: Protocol::Udp,
        ..peer(address, 53)
    }
}

fn answer(name: &str, answers: &[&str], resolvers: &[&str]) -> Dns {
    let list = |all: &[&str]| all.iter().map(|one| (*one).into()).collect();
    Dns {
        exe: EXE.into(),
        name: name.into(),
        record_type: "A".into(),
        rcode: Some("NOERROR".into()),
        answers: list(answers),
        resolvers: list(resolvers),
        count: 1,
    }
}

fn talks(session: &str, network: Vec<Network>, dns: Vec<Dns>) -> Profile {
    let mut profile = window(session);
    profile.containers[0].network = network;
    profile.containers[0].dns = dns;
    profile
}

/// Two windows: in the first a resolver answered, in the second the answer was known already.
fn known() -> Baseline {
    let api = || peer("192.0.2.10", 443);
    of(&[
        talks(
            "one",
            vec![
                resolver(RESOLVER),
                claims(names(api(), &["api.example"]), &["api.example"]),
            ],
            vec![answer("api.example", &["192.0.2.10"], &[RESOLVER])],
        ),
        talks("two", vec![claims(api(), &["api.example"])], Vec::new()),
    ])
}

fn found(network: Vec<Network>, dns: Vec<Dns>) -> Vec<String> {
    telling(&known(), &talks("now", network, dns))
}

const NONE: [&str; 0] = [];

#[test]
fn a_proven_name_is_the_peer_wherever_it_leads() {
    let moved = || names(peer("198.51.100.7", 443), &["api.example"]);
    let dns = |resolvers: &[&str]| vec![answer("api.example", &["198.51.100.7"], resolvers)];
    assert_eq!(found(vec![moved()], dns(&[RESOLVER])), NONE);
    // Through an alias, too.
    let aliased = vec![
        answer("api.example", &["cdn.example"], &[RESOLVER]),
        answer("cdn.example", &["198.51.100.7"], &[RESOLVER]),
    ];
    let rows = found(vec![moved()], aliased);
    assert_eq!(rows, ["new medium /usr/bin/web asks for cdn.example A"]);
    // A document of before says who was asked only.
    assert_eq!(found(vec![moved(), resolver(RESOLVER)], dns(&[])), NONE);
}

#[test]
fn a_resolver_that_the_baseline_does_not_know_proves_nothing_and_is_a_row() {
    let moved = || names(peer("203.0.113.66", 443), &["api.example"]);
    let elsewhere = "changed medium /usr/bin/web outbound tcp 203.0.113.66:443";
    let dns = |resolvers: &[&str]| vec![answer("api.example", &["203.0.113.66"], resolvers)];
    let asked = resolver("203.0.113.53");
    let asks = "new high /usr/bin/web outbound udp 203.0.113.53:53";
    assert_eq!(
        found(vec![moved(), asked.clone()], dns(&["203.0.113.53"])),
        [
            asks,
            elsewhere,
            "new medium /usr/bin/web asks the resolver 203.0.113.53",
        ]
    );
    // Each of several servers that answered can have been the one.
    let both = found(vec![moved()], dns(&[RESOLVER, "203.0.113.53"]));
    assert!(both.contains(&elsewhere.to_owned()), "{both:#?}");
    // A document of before does not say who answered.
    let old = found(vec![moved(), asked], dns(&[]));
    assert_eq!(old, [asks, elsewhere]);
}

#[test]
fn a_claim_is_believed_within_the_networks_where_the_baseline_has_the_name() {
    let claimed = |address| claims(peer(address, 443), &["api.example"]);
    // Where it was, and next to it: answers from before the window, and addresses that rotate.
    assert_eq!(found(vec![claimed("192.0.2.10")], Vec::new()), NONE);
    assert_eq!(found(vec![claimed("192.0.2.99")], Vec::new()), NONE);
    assert_eq!(found(vec![peer("192.0.2.10", 443)], Vec::new()), NONE);
    assert_eq!(
        found(vec![claimed("203.0.113.66")], Vec::new()),
        ["changed medium /usr/bin/web outbound tcp 203.0.113.66:443"]
    );
    // Next to it without a name, under another, or at another port.
    for row in [
        peer("192.0.2.99", 443),
        claims(peer("192.0.2.99", 443), &["evil.example"]),
        claims(peer("203.0.113.66", 8443), &["api.example"]),
    ] {
        let rows = found(vec![row], Vec::new());
        assert!(
            rows.len() == 1 && rows[0].starts_with("new high"),
            "{rows:#?}"
        );
    }
    // A document of before: names are of either source, and no answer proves this one.
    assert_eq!(
        found(
            vec![names(peer("203.0.113.66", 443), &["api.example"])],
            Vec::new()
        ),
        ["changed medium /usr/bin/web outbound tcp 203.0.113.66:443"]
    );
}

#[test]
fn a_name_that_the_baseline_itself_only_heard_claimed_hides_no_address() {
    let baseline = of(&[talks(
        "one",
        vec![claims(peer("192.0.2.10", 443), &["api.example"])],
        Vec::new(),
    )]);
    let rows = |address| {
        let row = claims(peer(address, 443), &["api.example"]);
        telling(&baseline, &talks("now", vec![row], Vec::new()))
    };
    assert_eq!(rows("192.0.2.11"), NONE);
    assert_eq!(
        rows("203.0.113.66"),
        ["new high /usr/bin/web outbound tcp 203.0.113.66:443"]
    );
}

#[test]
fn a_known_peer_that_is_greeted_by_an_unknown_name_is_told() {
    let row = claims(peer("192.0.2.10", 443), &["api.example", "evil.example"]);
    assert_eq!(
        found(vec![row], Vec::new()),
        ["changed medium /usr/bin/web outbound tcp name/api.example:443 as evil.example"]
            .map(|text| text.replace("name/api.example", "192.0.2.10"))
    );
}

#[test]
fn a_service_with_an_address_from_outside_is_not_the_known_one() {
    let service = |address| {
        with(peer(address, 5432), |remote| {
            remote.service = Some(ObjectName {
                namespace: "shop".into(),
                name: "db".into(),
            });
        })
    };
    let pod = |address| {
        with(peer(address, 5432), |remote| {
            remote.pod = Some(ObjectName {
                namespace: "shop".into(),
                name: "db-0".into(),
            });
        })
    };
    let baseline = of(&[talks(
        "one",
        vec![service("10.96.1.2"), pod("10.244.0.7")],
        vec![],
    )]);
    let rows = |row| telling(&baseline, &talks("now", vec![row], vec![]));
    assert_eq!(rows(service("10.96.7.8")), NONE);
    assert_eq!(rows(pod("10.244.9.9")), NONE);
    assert_eq!(rows(pod("100.64.9.9")), NONE);
    for row in [service("203.0.113.66"), pod("203.0.113.66")] {
        let found = rows(row);
        assert!(
            found.len() == 1 && found[0].starts_with("changed medium"),
            "{found:#?}"
        );
    }
    let rows = |row| {
        telling(
            &of(&[talks("one", vec![service("203.0.113.66")], vec![])]),
            &talks("now", vec![row], vec![]),
        )
    };
    assert_eq!(rows(service("203.0.113.67")), NONE);
}

#[test]
fn peers_that_found_no_row_are_unknown_where_the_network_is_known() {
    let shared = |cidr: &str| {
        with(peer("", 0), |remote| {
            *remote = Remote {
                cidr: Some(cidr.into()),
                ..Remote::default()
            };
        })
    };
    let rows = |cidr| found(vec![shared(cidr)], Vec::new());
    assert_eq!(rows("192.0.2.0/24"), NONE);
    assert_eq!(
        rows("203.0.113.0/24"),
        ["new high /usr/bin/web outbound tcp 203.0.113.0/24"]
    );
}

#[test]
fn rows_of_peers_can_be_accepted() {
    let seen = talks(
        "now",
        vec![
            names(peer("203.0.113.66", 443), &["api.example"]),
            claims(peer("192.0.2.10", 443), &["evil.example"]),
        ],
        vec![answer("api.example", &["203.0.113.66"], &["203.0.113.53"])],
    );
    let mut baseline = known();
    let found = drift(&baseline, &seen);
    assert_eq!(found.rows.len(), 3, "{:#?}", found.rows);
    accept(&mut baseline, &found, |_| true);
    assert_eq!(drift(&baseline, &seen).rows, []);
}

#[test]
fn who_accepts_a_name_accepts_no_resolver() {
    let seen = talks(
        "now",
        Vec::new(),
        vec![answer(
            "other.example",
            &["203.0.113.66"],
            &["203.0.113.53"],
        )],
    );
    let mut baseline = known();
    let found = drift(&baseline, &seen);
    let is_name = |id: &str| {
        let row = found.rows.iter().find(|row| row.id == id).unwrap();
        row.key.contains("asks for")
    };
    assert_eq!(accept(&mut baseline, &found, is_name), 1);
    let left: Vec<String> = telling(&baseline, &seen);
    assert_eq!(
        left,
        ["new medium /usr/bin/web asks the resolver 203.0.113.53"]
    );
}

#[test]
fn ids_keep_128_bits_and_tell_one_name_from_two() {
    let run = |argv: &[&str]| {
        let mut profile = window("now");
        let process = &mut profile.containers[0].processes[0];
        process.argv = argv.iter().map(|one| (*one).into()).collect();
        let rows = drift(&of(&[read(BASE)]), &profile).rows;
        let row = rows
            .into_iter()
            .find(|row| matches!(row.value, RowValue::Process(_)));
        row.unwrap()
    };
    let (one, other) = (run(&["web", "-c", "a b"]), run(&["web", "-c", "a", "b"]));
    assert_eq!(one.key, other.key);
    assert_ne!(one.id, other.id);
    assert_eq!(one.id.len(), 32);
    assert_eq!(one.id, run(&["web", "-c", "a b"]).id);
}

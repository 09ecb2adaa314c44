//! The built plugin against an API server and nodes that lie.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::model::{Container, Dimension, DimensionCompleteness, LabelMode};
use procmon_profile::model::{Direction, Network, Node, Process, Protocol, Remote};
use procmon_profile::wire::{Part, Request, WindowReport};
use procmon_tests::liar::{ConfigMap, Liar, Lies, Log, node, pod};
use procmon_tests::{Running, plugin};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PODS: &str = "/api/v1/namespaces/default/pods";
const ALL_PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const WEB: &str = "11111111-89ab-cdef-0123-456789abcdef";
const OTHER: &str = "22222222-89ab-cdef-0123-456789abcdef";

/// The plugin, to talk with this server and with no other.
fn command(liar: &Liar, args: &[&str]) -> Command {
    let mut command = Command::new(plugin());
    command
        .args(args)
        .args(liar.flags())
        .env("HOME", "/nonexistent")
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null());
    command
}

fn run(liar: &Liar, args: &[&str]) -> Output {
    command(liar, args).output().unwrap()
}

/// Profiles `pod/web` for a moment; the document.
fn profile(liar: &Liar) -> Value {
    let output = run(liar, &["profile", "web", "--duration", "1s", "-o", "json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One pod `web` on one node.
fn one_pod(lies: Lies) -> Lies {
    Lies {
        objects: vec![
            (PODS, vec![pod("web", WEB, &json!({}))]),
            (NODES, vec![node("n1", &json!({}))]),
        ],
        ..lies
    }
}

fn time(seconds: i64) -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The report of an honest probe about its node and window.
fn window(seconds: f64) -> Vec<Part> {
    let complete = DimensionCompleteness::default;
    vec![
        Part::Node(Box::new(Node {
            complete: true,
            ..Node::default()
        })),
        Part::Window(WindowReport {
            started_at: time(0).into(),
            ended_at: time(1).into(),
            seconds,
            label_mode: LabelMode::Cgroup,
            dimensions: Dimension::ALL
                .into_iter()
                .map(|name| (name, complete()))
                .collect(),
            ..WindowReport::default()
        }),
    ]
}

/// A container of a pod in which a program ran.
fn container(uid: &str, exe: &str) -> Part {
    Part::Container(Box::new(Container {
        container: "c".into(),
        pod_uid: Some(uid.into()),
        container_id: Some("a".repeat(64).into()),
        processes: vec![Process {
            id: "p1".into(),
            exe: exe.into(),
            argv: vec![exe.into()],
            count: 1,
            ..Process::default()
        }],
        ..Container::default()
    }))
}

fn honest(_: &Request) -> Vec<Part> {
    [window(1.0), vec![container(WEB, "/web")]].concat()
}

fn check_partial(document: &Value, says: &[&str]) {
    assert_eq!(document["completeness"]["complete"], false);
    let files = &document["completeness"]["dimensions"]["files"];
    assert_eq!(files["state"], "partial", "{files}");
    let reasons = files["reasons"].to_string();
    for text in says {
        assert!(reasons.contains(text), "no `{text}` in {reasons}");
    }
}

#[test]
fn an_honest_server_is_believed() {
    let liar = Liar::new(one_pod(Lies {
        log: Log::Whole(honest),
        ..Lies::default()
    }));
    let document = profile(&liar);
    assert_eq!(document["completeness"]["complete"], true, "{document:#}");
    assert_eq!(document["containers"][0]["container"], "web");
    assert_eq!(document["containers"][0]["processes"][0]["exe"], "/web");
    assert!(liar.made("jobs").is_empty(), "the anchor was not deleted");
}

#[test]
fn a_log_without_an_end_ends_at_the_deadline_and_soon_after_the_first_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, liar: &Liar| {
        let path = folder.path().join(name);
        let args = [
            "profile",
            "web",
            "--duration",
            "2s",
            "-o",
            "json",
            "--output-file",
        ];
        let mut command = command(liar, &[&args[..], &[path.to_str().unwrap()]].concat());
        (
            Running::start(command.stdout(Stdio::null()).stderr(Stdio::null())),
            path,
        )
    };
    let liar = |log| {
        Liar::new(one_pod(Lies {
            log,
            ..Lies::default()
        }))
    };
    let (repeated, endless) = (liar(Log::Repeated), liar(Log::Endless));
    let began = Instant::now();
    let until_deadline = [start("repeated", &repeated), start("endless", &endless)];
    let (once, _) = start("once", &repeated);
    let (twice, _) = start("twice", &endless);
    std::thread::sleep(Duration::from_secs(4));
    twice.signal(libc::SIGINT);
    once.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_secs(1));
    twice.signal(libc::SIGINT);
    assert_eq!(twice.wait(Duration::from_secs(10)).code(), Some(130));
    // Nothing of a window came, which is an error.
    assert_eq!(once.wait(Duration::from_secs(45)).code(), Some(2));
    assert!(
        began.elapsed() < Duration::from_mins(1),
        "{:?}",
        began.elapsed()
    );
    for (running, _) in until_deadline {
        assert_eq!(running.wait(Duration::from_secs(100)).code(), Some(2));
    }
    let took = began.elapsed();
    assert!((85..120).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_log_that_never_ends_its_line_is_refused_at_once() {
    let liar = Liar::new(one_pod(Lies {
        log: Log::OneLine,
        ..Lies::default()
    }));
    let began = Instant::now();
    let output = run(&liar, &["profile", "web", "--duration", "1s"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("above its limit"), "{errors}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_node_speaks_only_for_the_pods_that_it_was_asked_about() {
    let log = Log::Whole(|_| {
        [
            window(1.0),
            vec![container(OTHER, "/usr/bin/evil"), container(WEB, "/web")],
        ]
        .concat()
    });
    let mut lies = one_pod(Lies {
        log,
        ..Lies::default()
    });
    // The pod that it tells of is a known one, on another node.
    let elsewhere = pod("other", OTHER, &json!({"spec": {"nodeName": "n2"}}));
    lies.objects
        .push((ALL_PODS, vec![pod("web", WEB, &json!({})), elsewhere]));
    let document = profile(&Liar::new(lies));
    check_partial(
        &document,
        &["n1", "containers of pods that it was not asked about: 1"],
    );
    assert!(!document.to_string().contains("evil"), "{document:#}");
    assert_eq!(document["containers"].as_array().unwrap().len(), 1);
}

#[test]
fn a_window_that_cannot_have_been_is_refused() {
    let liar = Liar::new(one_pod(Lies {
        log: Log::Whole(|_| [window(-1.0), vec![container(WEB, "/web")]].concat()),
        ..Lies::default()
    }));
    let document = profile(&liar);
    check_partial(&document, &["windows with an impossible time or length: 1"]);
    assert_eq!(document["session"]["windowSeconds"], Value::Null);
}

#[test]
fn a_label_hides_no_pod_and_what_is_left_out_is_said() {
    let labelled = |name: &str, container: &str, owner: Value| {
        pod(
            name,
            &format!("{name}-uid"),
            &json!({
                "metadata": {"labels": {"procmon/session": "x"}, "ownerReferences": owner},
                "spec": {"containers": [{"name": container, "image": "web:1"}]},
            }),
        )
    };
    let anchor =
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "procmon-x", "uid": "job-uid"}]);
    let gone =
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "procmon-x", "uid": "gone"}]);
    let liar = Liar::new(Lies {
        objects: vec![
            (
                PODS,
                vec![
                    pod("web-1", WEB, &json!({})),
                    labelled("label-only", "web", Value::Null),
                    labelled("other-container", "web", anchor.clone()),
                    labelled("no-such-owner", "procmon", gone),
                    labelled("probe", "procmon", anchor),
                ],
            ),
            (
                "/apis/batch/v1/namespaces/default/jobs",
                vec![json!({"apiVersion": "batch/v1", "kind": "Job",
                    "metadata": {"name": "procmon-x", "uid": "job-uid", "labels": {"procmon/session": "x"}}})],
            ),
            (NODES, vec![node("n1", &json!({}))]),
        ],
        log: Log::Whole(honest),
        ..Lies::default()
    });
    let output = run(
        &liar,
        &["profile", "-l", "app=web", "--duration", "1s", "-o", "json"],
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let says = "pod `default/probe` is the probe of session `x` and was left out";
    assert!(errors.contains(says), "{errors}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["completeness"]["notes"].to_string().contains(says));
    let text = run(&liar, &["profile", "-l", "app=web", "--dry-run=client"]);
    let text = String::from_utf8_lossy(&text.stdout);
    for uid in [
        WEB,
        "label-only-uid",
        "other-container-uid",
        "no-such-owner-uid",
    ] {
        assert!(text.contains(uid), "{uid} is not profiled:\n{text}");
    }
    assert!(!text.contains("probe-uid"), "{text}");
}

#[test]
fn a_probe_that_somebody_replaced_is_deleted_at_once_and_nothing_of_it_is_kept() {
    for config_map in [ConfigMap::Replaced, ConfigMap::Gone] {
        let liar = Liar::new(one_pod(Lies {
            log: Log::Whole(honest),
            config_map,
            ..Lies::default()
        }));
        let output = run(&liar, &["profile", "web", "--duration", "1s", "-o", "json"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(output.stdout.is_empty());
        for text in [
            "somebody replaced the probe",
            "node `n1`",
            "hint:",
            "--probe-namespace",
        ] {
            assert!(errors.contains(text), "no `{text}` in {errors}");
        }
        let calls = liar.calls();
        assert!(
            !calls.iter().any(|call| call.contains("/log")),
            "{calls:#?}"
        );
        let place = |what: &str| calls.iter().position(|call| call.starts_with(what));
        assert!(
            place("DELETE /api/v1/namespaces/default/pods/").is_some(),
            "{calls:#?}"
        );
        assert!(liar.made("pods").is_empty() && liar.made("jobs").is_empty());
    }
}

#[test]
fn a_log_of_a_pod_that_somebody_replaced_is_partial() {
    let liar = Liar::new(one_pod(Lies {
        log: Log::Whole(honest),
        replaced_pod: true,
        ..Lies::default()
    }));
    check_partial(&profile(&liar), &["somebody replaced the probe's pod"]);
}

#[test]
fn addresses_name_a_peer_only_where_no_single_node_can_claim_them() {
    let log = Log::Whole(|_| {
        let to = |address: &str| Network {
            exe: "/web".into(),
            protocol: Protocol::Tcp,
            direction: Direction::Outbound,
            local: None,
            remote: Some(Remote {
                address: Some(address.into()),
                port: Some(443),
                ..Remote::default()
            }),
            connections: 1,
            datagrams_sent: 0,
            datagrams_received: 0,
            failures: BTreeMap::new(),
            bytes_sent: 0,
            bytes_received: 0,
            path: Vec::new(),
        };
        let rows = ["10.1.1.5", "198.51.100.7", "203.0.113.9", "10.96.0.9"].map(to);
        let rows = Part::Network {
            container: 0,
            rows: rows.into(),
        };
        [window(1.0), vec![container(WEB, "/web"), rows]].concat()
    });
    let mut lies = one_pod(Lies {
        log,
        ..Lies::default()
    });
    let on = |name: &str, node: &str, address: &str| {
        let more = json!({"spec": {"nodeName": node}, "status": {"podIPs": [{"ip": address}]}});
        pod(name, &format!("{name}-uid"), &more)
    };
    let range = |name: &str, range: &str| node(name, &json!({"spec": {"podCIDRs": [range]}}));
    let service = json!({"metadata": {"namespace": "default", "name": "svc"},
        "spec": {"clusterIPs": ["10.96.0.9"], "externalIPs": ["203.0.113.9"]}});
    lies.objects.extend([
        (
            ALL_PODS,
            vec![
                pod("web", WEB, &json!({})),
                on("db", "n2", "10.1.1.5"),
                on("evil", "n3", "198.51.100.7"),
            ],
        ),
        ("/api/v1/services", vec![service]),
    ]);
    lies.objects.retain(|(list, _)| *list != NODES);
    lies.objects.push((
        NODES,
        vec![
            range("n1", "10.1.0.0/24"),
            range("n2", "10.1.1.0/24"),
            range("n3", "10.1.2.0/24"),
        ],
    ));
    let document = profile(&Liar::new(lies));
    let remote = |address: &str| {
        let rows = document["containers"][0]["network"].as_array().unwrap();
        let row = rows.iter().find(|row| row["remote"]["address"] == address);
        row.unwrap()["remote"].clone()
    };
    assert_eq!(remote("10.1.1.5")["pod"]["name"], "db");
    assert_eq!(remote("198.51.100.7")["pod"], Value::Null);
    assert_eq!(remote("203.0.113.9")["service"], Value::Null);
    assert_eq!(remote("203.0.113.9")["externalIPOf"]["name"], "svc");
    assert_eq!(remote("10.96.0.9")["service"]["name"], "svc");
    let notes = document["completeness"]["notes"].to_string();
    assert!(notes.contains("outside of their node's range"), "{notes}");
}

#[test]
fn without_the_right_to_prove_the_probe_no_pod_is_made() {
    let liar = Liar::new(one_pod(Lies {
        log: Log::Whole(honest),
        config_map: ConfigMap::Forbidden,
        ..Lies::default()
    }));
    let output = run(&liar, &["profile", "web", "--duration", "1s"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("cannot prove that ConfigMap"), "{errors}");
    let pods = liar.calls();
    let made = |call: &&String| {
        call.starts_with("POST") && call.contains("/pods") && !call.contains("dryRun")
    };
    assert_eq!(pods.iter().filter(made).count(), 0, "{pods:#?}");
}

#[test]
fn an_image_of_which_no_container_can_be_made_is_followed_by_the_next() {
    for reason in [
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "ErrImageNeverPull",
        "InvalidImageName",
    ] {
        let state: fn(&str) -> Value = match reason {
            "CreateContainerError" => |image| waits_unless_web(image, "CreateContainerError"),
            "CreateContainerConfigError" => {
                |image| waits_unless_web(image, "CreateContainerConfigError")
            }
            "RunContainerError" => |image| waits_unless_web(image, "RunContainerError"),
            "ErrImageNeverPull" => |image| waits_unless_web(image, "ErrImageNeverPull"),
            _ => |image| waits_unless_web(image, "InvalidImageName"),
        };
        let liar = Liar::new(one_pod(Lies {
            log: Log::Whole(honest),
            state,
            ..Lies::default()
        }));
        let document = profile(&liar);
        assert_eq!(
            document["completeness"]["complete"], true,
            "{reason}: {document:#}"
        );
    }
    let liar = Liar::new(one_pod(Lies {
        state: |_| json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}}),
        ..Lies::default()
    }));
    let output = run(&liar, &["profile", "web", "--duration", "1s"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for text in [
        "registry.k8s.io/pause:3.10 (StartError: no such file)",
        "web:1 (StartError",
        "--privileged",
    ] {
        assert!(errors.contains(text), "no `{text}` in {errors}");
    }
}

fn waits_unless_web(image: &str, reason: &str) -> Value {
    if image == "web:1" {
        json!({"running": {}})
    } else {
        json!({"waiting": {"reason": reason, "message": "m"}})
    }
}

#[test]
fn objects_of_others_with_the_sessions_label_keep_no_clean_up_waiting() {
    let liar = Liar::new(one_pod(Lies {
        log: Log::Whole(honest),
        forged: true,
        ..Lies::default()
    }));
    let began = Instant::now();
    let _ = profile(&liar);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let calls = liar.calls();
    assert!(
        calls
            .iter()
            .any(|call| call.contains("labelSelector=procmon%2Fsession")),
        "{calls:#?}"
    );
}

#[test]
fn the_pod_asks_for_no_more_than_it_needs() {
    let liar = Liar::new(one_pod(Lies {
        log: Log::Whole(honest),
        ..Lies::default()
    }));
    let text = run(&liar, &["profile", "web", "--dry-run=client"]);
    let text = String::from_utf8_lossy(&text.stdout);
    for part in [
        "privileged: false",
        "hostPID: true",
        "- SYS_ADMIN",
        "terminationMessagePolicy: File",
        "registry.k8s.io/pause:3.10",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(!text.contains("hostNetwork"), "{text}");
    for flag in ["--privileged", "--privileged=true"] {
        let text = run(&liar, &["profile", "web", "--dry-run=client", flag]);
        assert!(String::from_utf8_lossy(&text.stdout).contains("privileged: true"));
    }
    let text = run(
        &liar,
        &["profile", "web", "--dry-run=client", "--privileged=false"],
    );
    assert!(String::from_utf8_lossy(&text.stdout).contains("privileged: false"));
}

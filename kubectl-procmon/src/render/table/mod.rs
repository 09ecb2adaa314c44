//! The screen: what was profiled, how complete it is, then what matters most first.

pub(crate) mod calls;
pub(crate) mod files;
mod findings;
pub(crate) mod head;
pub(crate) mod network;
pub(crate) mod processes;
mod replicas;
pub(crate) mod screen;

use crate::render::Style;
use calls::{capabilities, events, syscalls};
use files::{changes, failures, reads};
use head::{header, titles, workloads};
use network::{network, questions};
use processes::{Runtime, processes};
use procmon_profile::model::Profile;
use screen::{MIN_WIDTH, ROWS, Screen};
use std::io::{self, Write};

pub(super) fn render(
    profile: &Profile,
    style: Style,
    wide: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut screen = Screen {
        out,
        width: style
            .width
            .filter(|_| !wide)
            .map(|width| width.max(MIN_WIDTH).into()),
        rows: if wide { usize::MAX } else { ROWS },
        wide,
        colour: style.colour,
    };
    header(&mut screen, profile)?;
    findings::findings(&mut screen, profile, style)?;
    let shown = if style.per_pod {
        titles(&profile.containers)
            .into_iter()
            .map(|(container, title)| (container.clone(), title))
            .collect()
    } else {
        workloads(&profile.containers)
    };
    let several = shown.len() > 1;
    for (container, title) in &shown {
        if several || container.pod.is_some() {
            screen.heading(title)?;
        }
        let runtime = Runtime::of(container);
        processes(&mut screen, container)?;
        changes(&mut screen, container, &runtime)?;
        network(&mut screen, container, &runtime)?;
        questions(&mut screen, container, &runtime)?;
        reads(&mut screen, container, &runtime)?;
        failures(&mut screen, container, &runtime)?;
        syscalls(&mut screen, container, &runtime)?;
        capabilities(&mut screen, container, &runtime)?;
        events(&mut screen, container, &runtime)?;
    }
    next(&mut screen)
}

fn next(screen: &mut Screen<'_>) -> io::Result<()> {
    if screen.wide {
        return Ok(());
    }
    screen.heading("Next")?;
    writeln!(
        screen.out,
        "  -o wide                        the same, uncut"
    )?;
    writeln!(
        screen.out,
        "  -o json --output-file p.json   keep the whole document"
    )?;
    writeln!(screen.out, "  kubectl procmon show p.json    see it again")?;
    writeln!(
        screen.out,
        "  kubectl procmon check p.json   see what is suspicious"
    )?;
    writeln!(
        screen.out,
        "  kubectl procmon baseline -h    see what changes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_profile::model::{
        Abi, Container, Counts, Direction, Endpoint, File, FileOperation, Latency, NameSource,
        Network, Origin, Process, Protocol, Remote, Syscall, Workload,
    };

    fn screen(container: Container, width: Option<u16>) -> String {
        let profile = Profile {
            containers: vec![container],
            ..Profile::default()
        };
        screen_of(&profile, width, false)
    }

    fn screen_of(profile: &Profile, width: Option<u16>, wide: bool) -> String {
        let style = Style {
            width,
            colour: false,
            per_pod: false,
        };
        let mut out = Vec::new();
        assert!(render(profile, style, wide, &mut out).is_ok());
        String::from_utf8_lossy(&out).into_owned()
    }

    fn peer(name: &str, port: u32) -> Network {
        Network {
            exe: "/usr/sbin/nginx".into(),
            protocol: Protocol::Tcp,
            direction: Direction::Inbound,
            connections: 3,
            datagrams_sent: 0,
            datagrams_received: 0,
            failures: Counts::new(),
            bytes_sent: 5_000_000,
            bytes_received: 0,
            path: Vec::new(),
            local: Some(Endpoint {
                address: Some("10.244.1.4".into()),
                port: Some(port),
                ..Endpoint::default()
            }),
            remote: Some(Remote {
                address: Some("10.244.2.10".into()),
                workload: Some(Workload {
                    kind: "Deployment".into(),
                    namespace: "shop".into(),
                    name: name.into(),
                }),
                ..Remote::default()
            }),
        }
    }

    #[test]
    fn a_peers_name_outlives_its_address_and_no_line_is_too_long() {
        let long = "a-name-that-is-longer-than-what-is-left-of-the-screen";
        for width in [60, 80, 100, 120] {
            let text = screen(
                Container {
                    pod: Some("a-pod-with-quite-a-long-name-6f7d8c9b5-x2x4z".into()),
                    container: "main".into(),
                    namespace: Some("shop".into()),
                    image: Some("registry.example/a/long/path/to/an/image:1.2.3".into()),
                    network: vec![peer("client", 8080), peer(long, 8081)],
                    ..Container::default()
                },
                Some(width),
            );
            for line in text.lines() {
                assert!(line.chars().count() <= width.into(), "{width}: {line}");
            }
            assert!(text.contains("deploy/client "), "{text}");
            assert!(
                text.contains(&format!("deploy/{long}")) || width < 70,
                "{text}"
            );
            assert!(text.contains(":8080"), "{text}");
        }
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_terminal() {
        let path = "/a".repeat(200);
        let text = screen(
            Container {
                files: vec![File {
                    path: path.clone().into(),
                    operations: [(FileOperation::Unlink, 1)].into(),
                    ..File::default()
                }],
                network: vec![peer("client", 8080)],
                ..Container::default()
            },
            None,
        );
        assert!(text.contains(&path), "{text}");
        assert!(
            text.contains("deploy/client.shop (10.244.2.10) → 10.244.1.4:8080"),
            "{text}"
        );
    }

    #[test]
    fn peers_that_share_a_row_have_their_prefix() {
        let of = |remote| Network {
            direction: Direction::Outbound,
            local: None,
            remote: Some(remote),
            ..peer("", 1)
        };
        let prefix = Remote {
            cidr: Some("10.244.2.0/24".into()),
            ..Remote::default()
        };
        let text = screen(
            Container {
                network: vec![of(prefix), of(Remote::default())],
                ..Container::default()
            },
            None,
        );
        assert!(text.contains("nginx  10.244.2.0/24\n"), "{text}");
        assert!(text.contains("nginx  -\n"), "{text}");
    }

    #[test]
    fn times_are_shown_where_they_were_measured() {
        let call = |name: &str, abi, latency_ns| Syscall {
            name: name.into(),
            abi,
            exe: "/app".into(),
            calls: 7,
            errors: Counts::new(),
            restarted: 0,
            unfinished: 0,
            no_return: 0,
            denied_by_seccomp: 0,
            latency_ns,
            arguments: None,
        };
        let times = Latency {
            p50: 812,
            p95: 4_000,
            p99: 15_000,
            max: 2_300_000_000,
        };
        let profile = |latency_ns| Profile {
            containers: vec![Container {
                syscalls: vec![
                    call("read", Abi::X86_64, latency_ns),
                    call("exit_group", Abi::I386, None),
                ],
                ..Container::default()
            }],
            ..Profile::default()
        };
        let timed = profile(Some(times));
        let text = screen_of(&timed, Some(80), false);
        for wanted in ["P50", "812 ns", "15.0 µs", "2.3 s", "exit_group (i386)"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("P95"), "{text}");
        assert!(screen_of(&timed, None, true).contains("4.0 µs"));
        assert!(!screen_of(&profile(None), None, true).contains("P50"));
    }

    #[test]
    fn names_of_the_callers_memory_say_so_where_nothing_is_cut() {
        let profile = Profile {
            containers: vec![Container {
                files: vec![File {
                    path: "/a".into(),
                    name_source: NameSource::Argument,
                    mmap_write: 2,
                    ..File::default()
                }],
                ..Container::default()
            }],
            ..Profile::default()
        };
        let wide = screen_of(&profile, None, true);
        assert!(wide.contains("/a  [argument]"), "{wide}");
        assert!(wide.contains("  mmapWrite×2"), "{wide}");
        assert!(!screen_of(&profile, None, false).contains("argument"));
    }

    #[test]
    fn datagrams_say_so_and_idle_peers_are_folded() {
        let datagrams = Network {
            protocol: Protocol::Udp,
            connections: 0,
            datagrams_sent: 7,
            ..peer("dns", 53)
        };
        let idle = Network {
            connections: 0,
            bytes_sent: 0,
            ..peer("idle", 1)
        };
        let text = screen(
            Container {
                network: vec![idle, datagrams],
                ..Container::default()
            },
            None,
        );
        assert!(text.contains("7 dgrams"), "{text}");
        assert!(text.contains("1 row of peers with which nothing"), "{text}");
        assert!(!text.contains("idle.shop"), "{text}");
    }

    #[test]
    fn the_container_runtime_is_folded_and_the_gravest_change_comes_first() {
        let process = |id: &str, parent: Option<&str>, exe: &str, origin| Process {
            id: id.into(),
            parent: parent.map(Into::into),
            exe: exe.into(),
            origin,
            ..Process::default()
        };
        let file = |path: &str, exe: &str, operation, bytes_written| File {
            path: path.into(),
            exe: exe.into(),
            operations: [(operation, 1)].into(),
            bytes_written,
            ..File::default()
        };
        let profile = Profile {
            containers: vec![Container {
                processes: vec![
                    process("p1", None, "/runc", Origin::Runtime),
                    process("p2", Some("p1"), "/app", Origin::Entrypoint),
                ],
                files: vec![
                    file("/bin/x", "/app", FileOperation::Exec, 0),
                    file("/log", "/app", FileOperation::Write, 4096),
                    file("/gone", "/app", FileOperation::Unlink, 0),
                    file("/runtime", "/runc", FileOperation::Unlink, 0),
                ],
                ..Container::default()
            }],
            ..Profile::default()
        };
        let text = screen_of(&profile, Some(80), false);
        let place = |what: &str| {
            text.find(what)
                .unwrap_or_else(|| panic!("no {what}: {text}"))
        };
        assert!(place("/gone") < place("/log") && place("/log") < place("/bin/x"));
        assert_eq!(text.matches("1 row of the container runtime").count(), 2);
        assert!(!text.contains("/runtime"), "{text}");
        let wide = screen_of(&profile, None, true);
        assert!(wide.find("/gone") < wide.find("/runtime"), "{wide}");
    }

    #[test]
    fn instances_of_one_container_are_told_apart_older_first() {
        let instance = |id: &str, started: &str, ended: Option<&str>| Container {
            pod: Some("web".into()),
            container: "main".into(),
            container_id: Some(id.repeat(64).into()),
            started_at: Some(format!("2026-01-01T{started}Z").into()),
            ended_at: ended.map(|ended| format!("2026-01-01T{ended}Z").into()),
            ..Container::default()
        };
        let profile = Profile {
            containers: vec![
                instance("a", "10:00:09", None),
                instance("b", "10:00:01", Some("10:00:08")),
            ],
            ..Profile::default()
        };
        let text = screen_of(&profile, Some(80), false);
        let old = text.find("web/main (bbbbbbbbbbbb, started 10:00:01, ended 10:00:08)");
        let new = text.find("web/main (aaaaaaaaaaaa, started 10:00:09)");
        assert!(old.is_some() && old < new, "{text}");
    }
}

//! Sessions that are interrupted, killed or cut off from the API server leave nothing behind.

use crate::harness::{
    BUSY, SOON, check_complete, check_nothing_new, run_shell_pod, start, wait_for_probe,
};
use procmon_tests::cluster::{Cluster, MANAGED, Namespace, cluster};
use procmon_tests::document::rows;
use procmon_tests::{signal, wait_for};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Seconds that the anchor allows beyond the window.
const ALLOWANCE: u64 = 90;

/// Stops the process of the session's probe, as SIGSTOP does: the cluster's nodes are on this machine.
fn stop_probe(namespace: &Namespace<'_>) {
    let pod = namespace.kubectl(&[
        "get",
        "pods",
        "-l",
        MANAGED,
        "-o",
        "jsonpath={.items[*].metadata.uid}",
    ]);
    let is_of_pod = |process: &Path| {
        let cgroups = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        let exe = std::fs::read_link(process.join("exe")).unwrap_or_default();
        cgroups.replace('_', "-").contains(&pod) && exe.to_string_lossy().contains("procmon")
    };
    let probes: Vec<_> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| is_of_pod(process))
        .collect();
    assert!(!pod.is_empty() && !probes.is_empty(), "{pod}");
    for process in probes {
        signal(process.file_name().unwrap().display(), "STOP");
    }
}

#[test]
fn interrupts_end_the_window_early_and_leave_nothing() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "interrupt");
    run_shell_pod(&namespace, "busy", BUSY);
    let folder = tempfile::tempdir().unwrap();
    let before = cluster.everything();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let path = folder.path().join("p.json");
        let running = start(&namespace, &path, &["pod/busy", "--duration", "300s"]);
        wait_for_probe(&namespace);
        // A long session's anchor lives only as long as it is renewed.
        let deadline = namespace.kubectl(&[
            "get",
            "jobs",
            "-o",
            "jsonpath={.items[*].spec.activeDeadlineSeconds}",
        ]);
        assert!(deadline.parse::<u64>().unwrap() < 180, "{deadline}");
        running.signal(signal);
        assert!(running.wait(SOON).success());
        let document = procmon_tests::document::read(&path);
        check_complete(&document);
        assert_eq!(document["session"]["endedEarly"], true);
        assert!(rows(&document, "processes").any(|row| row["argv"][0] == "/bin/true"));
    }
    // Twice means at once, without a document.
    let running = start(
        &namespace,
        &folder.path().join("none.json"),
        &["pod/busy", "--duration", "300s"],
    );
    wait_for_probe(&namespace);
    // The session must not be over before the second signal.
    if cluster.is_own() {
        stop_probe(&namespace);
    }
    // A signal that comes sooner is the same wish.
    running.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_millis(550));
    running.signal(libc::SIGINT);
    assert_eq!(running.wait(SOON).code(), Some(130));
    check_nothing_new(&namespace, &before);
}

#[test]
fn a_window_that_somebody_else_cuts_is_partial() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "evicted");
    run_shell_pod(&namespace, "busy", BUSY);
    let folder = tempfile::tempdir().unwrap();
    for kind in ["pod", "job"] {
        let path = folder.path().join("p.json");
        let running = start(&namespace, &path, &["pod/busy", "--duration", "20s"]);
        wait_for_probe(&namespace);
        let _ = namespace.kubectl(&["delete", kind, "--wait=false", "-l", MANAGED]);
        assert!(running.wait(SOON).success());
        let document = procmon_tests::document::read(&path);
        assert_eq!(document["session"]["endedEarly"], false, "{kind}");
        assert_eq!(document["completeness"]["complete"], false, "{kind}");
        let files = &document["completeness"]["dimensions"]["files"];
        assert_eq!(files["state"], "partial", "{kind}: {files}");
        let reason = files["reasons"].to_string();
        assert!(
            reason.contains("of 20.0 s by somebody else"),
            "{kind}: {reason}"
        );
        assert!(rows(&document, "processes").any(|row| row["argv"][0] == "/bin/true"));
    }
}

#[test]
fn killed_at_any_moment_the_cluster_takes_away_what_is_left_by_the_deadline() {
    const WINDOW: u64 = 2;
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "kill");
    run_shell_pod(&namespace, "busy", BUSY);
    let folder = tempfile::tempdir().unwrap();
    let before = cluster.everything();
    let mut left = 0;
    // Each step of a run falls between two of these moments.
    for number in 0..16_u64 {
        let running = start(
            &namespace,
            &folder.path().join("p.json"),
            &["pod/busy", "--duration", &format!("{WINDOW}s")],
        );
        std::thread::sleep(Duration::from_millis(20 + number * number * 12));
        drop(running);
        left = left.max(namespace.objects().len());
    }
    let killed = Instant::now();
    assert!(left > 2, "the test killed nothing in the middle");
    let deadline = Duration::from_secs(ALLOWANCE + WINDOW + 5);
    wait_for("the cluster to take it all away", deadline, || {
        (namespace.objects().len() == 1).then_some(())
    });
    assert!(killed.elapsed() < deadline);
    check_nothing_new(&namespace, &before);
}

/// A way to the API server that can be cut.
struct Cuttable {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Cuttable {
    fn before(cluster: &Cluster) -> Self {
        let server = cluster.kubectl(&[
            "config",
            "view",
            "--minify",
            "-o",
            "jsonpath={.clusters[0].cluster.server}",
        ]);
        let server = server.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&server) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_cut = Arc::clone(&is_cut);
                    std::thread::spawn(move || pump(from, to, &is_cut));
                }
            }
        });
        Self { port, cut }
    }
}

/// Passes bytes on until either end is gone or the way is cut.
fn pump(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    from.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    while !is_cut.load(Ordering::SeqCst) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn an_api_server_that_is_gone_for_a_while_costs_nothing() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "gone");
    run_shell_pod(&namespace, "busy", BUSY);
    let way = Cuttable::before(cluster);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    for (duration, is_interrupted) in [("6s", false), ("300s", true)] {
        let running = start(
            &namespace,
            &path,
            &[
                "pod/busy",
                "--duration",
                duration,
                "--insecure-skip-tls-verify",
                "--server",
                &format!("https://127.0.0.1:{}", way.port),
            ],
        );
        wait_for_probe(&namespace);
        way.cut.store(true, Ordering::SeqCst);
        if is_interrupted {
            running.signal(libc::SIGINT);
        }
        std::thread::sleep(Duration::from_secs(3));
        way.cut.store(false, Ordering::SeqCst);
        assert!(running.wait(SOON).success());
        let document = procmon_tests::document::read(&path);
        check_complete(&document);
        assert_eq!(document["session"]["endedEarly"], is_interrupted);
        assert_eq!(namespace.objects(), ["pod/busy".to_owned()].into());
    }
}

#[test]
fn an_api_server_that_stays_away_is_an_error_that_says_when_the_cluster_cleans_up() {
    let Some(cluster) = cluster() else { return };
    let namespace = Namespace::new(cluster, "away");
    run_shell_pod(&namespace, "busy", BUSY);
    let way = Cuttable::before(cluster);
    let child = namespace
        .plugin(&[
            "profile",
            "pod/busy",
            "--duration",
            "2s",
            "--insecure-skip-tls-verify",
            "--server",
            &format!("https://127.0.0.1:{}", way.port),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_probe(&namespace);
    way.cut.store(true, Ordering::SeqCst);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("removes them by itself"), "{errors}");
    assert!(errors.contains("could not be reached"), "{errors}");
    wait_for("the cluster to take it all away", SOON, || {
        (namespace.objects() == ["pod/busy".to_owned()].into()).then_some(())
    });
}

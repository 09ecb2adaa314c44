//! A target can't silence, slow, forge or leak the report by what it chooses. The probe has the
//! memory and the CPU of its pod here. liar.rs tests what a node chooses, hostile.rs what a
//! document holds, wire.rs and compare.rs names of peers.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::Session;
use procmon_profile::wire::{Decoder, Request, SessionKey, TargetSpec};
use procmon_tests::capture::{self, request, stdout};
use procmon_tests::document::{reasons, rows, state};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{Running, has_bpf, plugin, wait_for};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_mins(1);
/// Also on a busy machine a report of a short window is there by then; it took more than twice as long.
const REPORTED: Duration = Duration::from_mins(1);
/// The memory that the probe's pod may use.
const MEMORY: u64 = 192 << 20;
/// Microseconds of CPU in a period of as many.
const PERIOD: u64 = 100_000;

/// A cgroup with the limits of the probe's pod.
struct Limits(Vec<PathBuf>);

impl Limits {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "procmon-limits-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let root = Path::new("/sys/fs/cgroup");
        let make = |base: PathBuf, files: &[(&str, u64)]| {
            let folder = base.join(&name);
            std::fs::create_dir(&folder).unwrap();
            for (file, value) in files {
                std::fs::write(folder.join(file), value.to_string())
                    .unwrap_or_else(|error| panic!("{file}: {error}"));
            }
            folder
        };
        if root.join("memory").is_dir() {
            let memory = make(root.join("memory"), &[("memory.limit_in_bytes", MEMORY)]);
            let cpu = [("cpu.cfs_period_us", PERIOD), ("cpu.cfs_quota_us", PERIOD)];
            return Self(vec![memory, make(root.join("cpu"), &cpu)]);
        }
        let one = make(root.to_owned(), &[("memory.max", MEMORY)]);
        std::fs::write(one.join("cpu.max"), format!("{PERIOD} {PERIOD}")).unwrap();
        Self(vec![one])
    }

    /// The command of the same program within these limits.
    fn around(&self, command: &Command) -> Command {
        let mut script = String::new();
        for folder in &self.0 {
            script += &format!("echo $$ >{}/cgroup.procs && ", folder.display());
        }
        script += "exec \"$0\" \"$@\"";
        let mut limited = Command::new("sh");
        limited
            .args(["-c", &script])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        limited
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        for folder in &self.0 {
            while std::fs::remove_dir(folder).is_err() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A hostile process that waits for its window.
struct Target {
    folder: tempfile::TempDir,
    process: Running,
}

impl Target {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Running::start(
            Command::new(workload::path("hostile", Linked::Dynamic))
                .arg(folder.path())
                .args(arguments),
        );
        Self { folder, process }
    }

    fn go(&self) {
        std::fs::write(self.folder.path().join("go"), "").unwrap();
    }
}

/// The result of a window.
struct Outcome {
    document: Value,
    /// From the first frame to the last.
    took: Duration,
}

/// A probe within the limits of its pod.
fn probe(limits: &Limits, request: &Request) -> Child {
    limits
        .around(&capture::command(request))
        .spawn()
        .expect("the probe starts")
}

/// Reads a probe's frames; `opened` is called when its window is open.
fn outcome(mut probe: Child, opened: impl FnOnce()) -> Outcome {
    let mut opened = Some(opened);
    let mut begun = Instant::now();
    let document = capture::document(stdout(&mut probe), |line| {
        if line.contains("\"hello\"") {
            begun = Instant::now();
        }
        if line.contains("\"progress\"")
            && let Some(opened) = opened.take()
        {
            opened();
        }
    });
    let took = begun.elapsed();
    let status = probe.wait().expect("a child of ours");
    assert!(status.success(), "{status}");
    Outcome { document, took }
}

/// Captures a hostile process until it has ended, or for some seconds.
fn attack(arguments: &[&str], seconds: f64) -> Outcome {
    let limits = Limits::new();
    let target = Target::start(arguments);
    let pid = target.process.id();
    let asked = Request {
        deadline_seconds: Some(seconds + 30.0),
        ..request(TargetSpec::Process { pid }, Some(seconds))
    };
    let outcome = outcome(probe(&limits, &asked), || target.go());
    assert!(target.process.wait(SOON).success());
    outcome
}

fn window_seconds(document: &Value) -> f64 {
    document["session"]["windowSeconds"].as_f64().unwrap()
}

/// The numbers in front of the arguments of all commands.
fn commands(document: &Value) -> std::collections::BTreeSet<String> {
    rows(document, "processes")
        .filter_map(|row| row["argv"][1].as_str())
        .filter_map(|argument| argument.get(..8))
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn whatever_bytes_a_target_chooses_every_row_arrives() {
    if !has_bpf() {
        return;
    }
    // Random bytes can't be made smaller: fewer of them fill the stream.
    for (kind, count) in [("c", 600), ("r", 400), ("x", 600)] {
        let number = count.to_string();
        let document = attack(&["commands", kind, &number, "4000"], 40.0).document;
        assert_eq!(document["nodes"][0]["lost"]["frames"], 0, "{kind}");
        assert_eq!(commands(&document).len(), count, "{kind}");
        for dimension in ["processes", "syscalls", "files"] {
            assert_eq!(
                state(&document, dimension),
                "complete",
                "{kind}: {dimension}: {}",
                reasons(&document, dimension)
            );
        }
    }
    for kind in ["c", "r"] {
        let document = attack(&["paths", kind, "600", "12"], 40.0).document;
        let is_file = |row: &&Value| row["operations"]["create"] == 1;
        assert_eq!(
            rows(&document, "files").filter(is_file).count(),
            600,
            "{kind}"
        );
        assert_eq!(
            state(&document, "files"),
            "complete",
            "{}",
            reasons(&document, "files")
        );
    }
}

#[test]
fn twenty_thousand_command_lines_fit_into_the_memory_of_the_pod() {
    if !has_bpf() {
        return;
    }
    let document = attack(&["commands", "r", "20000", "4000"], 150.0).document;
    let found = commands(&document).len();
    let is_whole = document["session"]["endedEarly"] == false;
    let why = reasons(&document, "processes");
    assert!(
        found > if is_whole { 10_000 } else { 3_000 },
        "{found} {why}"
    );
    // A cut is said.
    assert_eq!(state(&document, "processes"), "partial");
    // The flood of one kind leaves the others their room.
    assert!(rows(&document, "syscalls").count() > 5);
    let is_executed = |row: Value| row["operations"]["exec"].as_u64() > Some(3_000);
    assert!(rows(&document, "files").cloned().any(is_executed));
}

#[test]
fn long_names_keep_no_window_open() {
    if !has_bpf() {
        return;
    }
    let Outcome { document, took } = attack(&["deep", "2000", "200"], 3.0);
    let seconds = window_seconds(&document);
    assert!(seconds < 3.1, "{seconds}");
    assert!(took < REPORTED, "{took:?}");
    let is_made = |row: &&Value| {
        row["operations"]["mkdir"] == 1 && row["path"].as_str().unwrap().contains("/a/x")
    };
    assert_eq!(rows(&document, "files").filter(is_made).count(), 200);

    let Outcome { document, took } = attack(&["links", "30000"], 3.0);
    let seconds = window_seconds(&document);
    assert!(seconds < 3.1, "{seconds}");
    assert!(took < REPORTED, "{took:?}");
    assert_eq!(state(&document, "files"), "partial");
    let why = reasons(&document, "files");
    assert!(why.contains("stand as they were given"), "{why}");
}

#[test]
fn a_file_system_that_never_answers_holds_up_nothing() {
    if !has_bpf() {
        return;
    }
    let limits = Limits::new();
    let target = Target::start(&["hung"]);
    let folder = target.folder.path().to_owned();
    let child = wait_for("the child", SOON, || {
        std::fs::read_to_string(folder.join("child"))
            .ok()?
            .parse()
            .ok()
    });
    let spec = || TargetSpec::Process { pid: child };
    let Outcome { document, took } = outcome(probe(&limits, &request(spec(), Some(2.0))), || {
        target.go();
    });
    let seconds = window_seconds(&document);
    assert!((2.0..2.1).contains(&seconds), "{seconds}");
    assert!(took < REPORTED, "{took:?}");
    assert_eq!(state(&document, "files"), "partial");
    let why = reasons(&document, "files");
    assert!(why.contains("stand as they were given"), "{why}");
    let given = format!("{}/hung/a", folder.display());
    let has_name = |row: &Value| row["path"].as_str().unwrap().starts_with(&given);
    assert!(rows(&document, "files").any(has_name));

    // A signal ends the window at once.
    let long = probe(&limits, &request(spec(), Some(30.0)));
    let pid = long.id().cast_signed();
    let mut stopped = Instant::now();
    let Outcome { document, .. } = outcome(long, || {
        std::thread::sleep(Duration::from_secs(1));
        send(pid, libc::SIGTERM);
        stopped = Instant::now();
    });
    assert!(
        stopped.elapsed() < Duration::from_secs(3),
        "{:?}",
        stopped.elapsed()
    );
    assert!(window_seconds(&document) < 3.0);

    std::fs::write(folder.join("stop"), "").unwrap();
    assert!(target.process.wait(SOON).success());
}

#[test]
fn many_descriptors_keep_no_window_closed() {
    if !has_bpf() {
        return;
    }
    let limits = Limits::new();
    let target = Target::start(&["descriptors", "19000", "40"]);
    let folder = target.folder.path().to_owned();
    wait_for("the descriptors", SOON, || {
        folder.join("ready").exists().then_some(())
    });
    // Loading the programs takes the most of it, whatever the target holds open.
    let opened_after = |pid: u32| {
        let asked = request(TargetSpec::Process { pid }, Some(1.0));
        let begun = Instant::now();
        let mut opened = None;
        let outcome = outcome(probe(&limits, &asked), || opened = Some(begun.elapsed()));
        let opened = opened.unwrap_or_else(|| panic!("{}", outcome.document));
        (outcome.document, opened)
    };
    let (_, usual) = opened_after(std::process::id());
    let (document, opened) = opened_after(target.process.id());
    assert!(
        opened < usual * 2 + Duration::from_secs(3),
        "{opened:?} {usual:?}"
    );
    // The kernel goes through them quickly: all were looked at, or it is said that they were not.
    let why = reasons(&document, "network");
    let is_whole = document["completeness"]["dimensions"]["network"]["state"] == "complete";
    assert!(
        is_whole || why.contains("too many open descriptors"),
        "{why}"
    );
    std::fs::write(folder.join("stop"), "").unwrap();
    assert!(target.process.wait(SOON).success());
}

fn send(pid: i32, signal: i32) {
    // SAFETY: takes numbers only.
    #[expect(unsafe_code, reason = "kill")]
    let result = unsafe { libc::kill(pid, signal) };
    assert_eq!(result, 0);
}

#[test]
fn every_signal_that_can_be_caught_ends_the_window_and_keeps_the_capture() {
    if !has_bpf() {
        return;
    }
    let mut signals: Vec<i32> = (1..=31).collect();
    signals.retain(|signal| {
        // The first two can't be caught, and nobody stops a container by a closed pipe.
        !matches!(*signal, libc::SIGKILL | libc::SIGSTOP | libc::SIGPIPE)
    });
    // The one by which images with systemd stop.
    signals.push(libc::SIGRTMIN() + 3);
    for group in signals.chunks(4) {
        let probes: Vec<(i32, Child)> = group
            .iter()
            .map(|signal| {
                let target = TargetSpec::Process {
                    pid: std::process::id(),
                };
                let mut probe = capture::command(&request(target, Some(40.0)));
                (*signal, probe.spawn().expect("the probe starts"))
            })
            .collect();
        std::thread::scope(|scope| {
            for (signal, probe) in probes {
                scope.spawn(move || {
                    let pid = probe.id().cast_signed();
                    let Outcome { document, .. } = outcome(probe, || send(pid, signal));
                    assert_eq!(document["session"]["endedEarly"], true, "{signal}");
                    assert!(window_seconds(&document) < 20.0, "{signal}");
                });
            }
        });
    }
}

#[test]
fn a_target_that_blinds_a_dimension_hides_no_row_and_is_told() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, kind: &str| {
        let path = folder.path().join(name);
        let document = attack(&[kind], 10.0).document;
        std::fs::write(&path, document.to_string()).unwrap();
        path
    };
    let output = Command::new(plugin())
        .arg("diff")
        .args([save("usual.json", "nothing"), save("blind.json", "race")])
        .args(["--force", "-o", "json"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let drift: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(drift["comparable"], false);
    let has_row = |change: &str, severity: &str, words: &str| {
        drift["rows"].as_array().unwrap().iter().any(|row| {
            row["change"] == change
                && row["severity"] == severity
                && row["key"].as_str().unwrap().contains(words)
        })
    };
    assert!(has_row("new", "high", "reads /etc/shadow"), "{drift:#}");
    assert!(
        has_row("changed", "medium", "files can't be seen as a whole"),
        "{drift:#}"
    );
}

#[test]
fn names_and_arguments_neither_act_nor_show_a_credential() {
    if !has_bpf() {
        return;
    }
    let document = attack(&["sockets"], 10.0).document;
    let listens = |path: &str| rows(&document, "network").any(|row| row["local"]["path"] == path);
    assert!(listens(r"@procmon\x00/run/evil\x00.sock"));
    assert!(listens("@procmon/run/evil.sock"));

    let limits = Limits::new();
    let argv = ["/bin/echo", "--db-password", "Tr0ub4dor", "a\u{1b}[2J"].map(str::to_owned);
    let target = TargetSpec::Command { argv: argv.into() };
    let document = outcome(probe(&limits, &request(target, None)), || {}).document;
    let argv = serde_json::json!(["/bin/echo", "--db-password", "***", r"a\x1b[2J"]);
    assert!(
        rows(&document, "processes").any(|row| row["argv"] == argv),
        "{document:#}"
    );
}

#[test]
fn only_the_session_reads_what_a_probe_writes() {
    if !has_bpf() {
        return;
    }
    let key = SessionKey::new([7; 32]);
    let argv = vec!["/bin/echo".to_owned(), "a-word-of-the-target".to_owned()];
    let asked = Request {
        seal_to: Some(key.public()),
        ..request(TargetSpec::Command { argv }, None)
    };
    let mut probe = capture::command(&asked).spawn().unwrap();
    let lines: Vec<String> = BufReader::new(stdout(&mut probe))
        .lines()
        .map(Result::unwrap)
        .collect();
    assert!(probe.wait().unwrap().success());
    let read = |mut decoder: Decoder| {
        for line in &lines {
            decoder.line(line.as_bytes()).unwrap();
        }
        let capture = NodeCapture::read("here".into(), decoder, None);
        serde_json::to_value(merge(Session::default(), vec![capture])).unwrap()
    };
    let has_word = |document: &Value| document.to_string().contains("a-word-of-the-target");
    assert!(has_word(&read(Decoder::sealed(key))));
    for decoder in [
        Decoder::default(),
        Decoder::sealed(SessionKey::new([8; 32])),
    ] {
        let document = read(decoder);
        assert!(!has_word(&document));
        assert_eq!(state(&document, "processes"), "partial");
        assert_ne!(document["nodes"][0]["lost"]["frames"], 0);
    }
}

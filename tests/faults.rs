//! Nothing is silently missing: every table made too small, readers that stall, a probe that is
//! stopped, starved or killed, a clock that jumps and a CPU that goes: counted, shown, and said by
//! dimension; what does not depend on it stays exact.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::model::Tier;
use procmon_profile::wire::{Request, TargetSpec};
use procmon_tests::capture::{self, capture, document, request, stdout};
use procmon_tests::document::{DIMENSIONS, reasons, rows, state};
use procmon_tests::profiled::LOCAL;
use procmon_tests::workload::{self, Linked};
use procmon_tests::{Running, has, has_bpf, plugin, root, signal, wait_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_mins(1);
/// The number of calls that every workload makes; only a small table of tasks changes it.
const CALLS: u64 = 1000;

fn exe() -> PathBuf {
    workload::path("faults", Linked::Dynamic)
}

fn argv(folder: &Path, kind: &str, count: u64) -> Vec<String> {
    let folder = folder.display().to_string();
    vec![
        exe().display().to_string(),
        folder,
        kind.to_owned(),
        count.to_string(),
    ]
}

fn asked(folder: &Path, kind: &str, count: u64) -> Request {
    let argv = argv(folder, kind, count);
    request(TargetSpec::Command { argv }, None)
}

fn node(document: &Value) -> &Value {
    &document["nodes"][0]
}

/// Calls of getppid by the workload, however the executable is named.
fn calls(document: &Value) -> u64 {
    rows(document, "syscalls")
        .filter(|row| row["name"] == "getppid")
        .map(|row| row["calls"].as_u64().unwrap())
        .sum()
}

/// Exactly these dimensions are partial, each with a reason, and the node is not complete.
fn check_partial(name: &str, document: &Value, partial: &[&str]) {
    for dimension in DIMENSIONS {
        let found = state(document, dimension);
        let why = reasons(document, dimension);
        if partial.contains(&dimension) {
            assert_eq!(found, "partial", "{name}: {dimension}");
            assert!(why.len() > 4, "{name}: {dimension}: {why}");
        } else {
            // A kernel may lack the hooks of a dimension, which is not a loss.
            assert_ne!(found, "partial", "{name}: {dimension}: {why}");
        }
    }
    assert_eq!(node(document)["complete"], partial.is_empty(), "{name}");
    assert_eq!(
        document["completeness"]["complete"],
        partial.is_empty(),
        "{name}"
    );
}

/// A table, the size that is too small, what overflows it, and what is said.
struct Case {
    tables: &'static [(&'static str, u32)],
    kind: &'static str,
    count: u64,
    lost: &'static str,
    partial: &'static [&'static str],
}

const ALL: &[&str] = &DIMENSIONS;

const fn case(
    tables: &'static [(&'static str, u32)],
    kind: &'static str,
    count: u64,
    lost: &'static str,
    partial: &'static [&'static str],
) -> Case {
    Case {
        tables,
        kind,
        count,
        lost,
        partial,
    }
}

const CASES: &[Case] = &[
    case(&[("FREE_TASKS", 8)], "threads", 20, "TASKS", ALL),
    case(&[("TASKS", 8)], "threads", 20, "TASKS", ALL),
    case(&[("FREE_EXES", 8)], "executables", 12, "EXES", ALL),
    case(&[("EXES", 4)], "executables", 12, "EXES", ALL),
    case(
        &[("FREE_SYSCALL_ROWS", 200)],
        "numbers",
        300,
        "SYSCALL_ROWS",
        &["syscalls"],
    ),
    case(
        &[("SPARSE", 50)],
        "numbers",
        300,
        "SYSCALL_ROWS",
        &["syscalls"],
    ),
    case(
        &[("ERRNOS", 16)],
        "missing",
        100,
        "ERRNOS",
        &["syscalls", "files", "network"],
    ),
    case(
        &[("FREE_FILE_ROWS", 100)],
        "files",
        200,
        "FILE_ROWS_BY_FOLDER",
        &["files"],
    ),
    case(
        &[("FREE_FILE_ROWS", 60), ("FREE_FOLDER_ROWS", 2)],
        "files",
        300,
        "FILE_ROWS",
        &["files"],
    ),
    case(&[("FILES", 100)], "files", 200, "FILE_ROWS", &["files"]),
    case(
        &[("FREE_FILE_ROWS", 60), ("FOLDERS", 2)],
        "files",
        300,
        "FILE_ROWS",
        &["files"],
    ),
    case(
        &[("FREE_PEER_ROWS", 16)],
        "peers",
        64,
        "NETWORK_ROWS_BY_PREFIX",
        &["network"],
    ),
    case(
        &[("FREE_PEER_ROWS", 16), ("FREE_PREFIX_ROWS", 4)],
        "peers",
        64,
        "NETWORK_ROWS",
        &["network"],
    ),
    case(&[("PEERS", 16)], "peers", 64, "NETWORK_ROWS", &["network"]),
    case(
        &[("FREE_PEER_ROWS", 16), ("PREFIXES", 4)],
        "peers",
        64,
        "NETWORK_ROWS",
        &["network"],
    ),
    case(
        &[("SOCKETS", 8)],
        "connections",
        16,
        "SOCKETS",
        &["network"],
    ),
    case(
        &[("LISTENERS", 8)],
        "listeners",
        16,
        "SOCKETS",
        &["network"],
    ),
    case(&[("FLOWS", 8)], "connections", 16, "FLOWS", &["dns"]),
    case(
        &[("LAST_SENT", 8)],
        "young",
        2000,
        "LAST_SENT",
        &["network"],
    ),
    case(
        &[("CAPABILITIES", 3)],
        "capabilities",
        0,
        "CAPABILITIES",
        &["capabilities"],
    ),
    case(&[("EVENTS", 4)], "namespaces", 7, "EVENTS", &["events"]),
    case(
        &[("REQUESTS", 1)],
        "requests",
        4,
        "REQUESTS",
        &["files", "network"],
    ),
];

fn overflow(case: &Case) {
    let name = format!("{:?}", case.tables);
    let folder = tempfile::tempdir().unwrap();
    let mut request = asked(folder.path(), case.kind, case.count);
    request.limits.entries = case
        .tables
        .iter()
        .map(|(table, entries)| ((*table).to_owned(), *entries))
        .collect();
    let document = capture(&request, || {});
    let lost = &node(&document)["lost"]["maps"];
    assert!(
        lost[case.lost].as_u64().is_some_and(|count| count > 0),
        "{name}: {lost}"
    );
    if case.partial.contains(&"capabilities") && state(&document, "capabilities") == "missing" {
        return;
    }
    check_partial(&name, &document, case.partial);
    assert_eq!(calls(&document), CALLS, "{name}: {lost}");
    if case.lost == "FILE_ROWS_BY_FOLDER" {
        // Every file was made, and each is counted somewhere.
        let made: u64 = rows(&document, "files")
            .filter_map(|row| row["operations"]["create"].as_u64())
            .sum();
        assert_eq!(made, case.count, "{name}");
    }
}

#[test]
fn every_full_table_is_said() {
    if !has_bpf() {
        return;
    }
    let failed: Vec<_> = CASES
        .iter()
        .filter(|case| std::panic::catch_unwind(|| overflow(case)).is_err())
        .map(|case| case.tables)
        .collect();
    assert!(failed.is_empty(), "{failed:?}: the reasons are above");
}

#[test]
fn what_is_sized_large_enough_is_complete() {
    if !has_bpf() {
        return;
    }
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    for case in CASES {
        if done.insert(case.kind, case.count).is_some() || case.kind == "requests" {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let document = capture(&asked(folder.path(), case.kind, case.count), || {});
        check_partial(case.kind, &document, &[]);
        assert_eq!(calls(&document), CALLS, "{}", case.kind);
    }
}

#[test]
fn more_processes_than_the_table_of_roots_holds_are_refused() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let argv = argv(folder.path(), "family", 5);
    let running = Running::start(Command::new(&argv[0]).args(&argv[1..]));
    ready(folder.path());
    let mut request = request(TargetSpec::Process { pid: running.id() }, Some(1.0));
    request.limits.entries.insert("ROOTS".to_owned(), 2);
    let output = capture::command(&request).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("more processes than the tables hold"),
        "{said}"
    );
    std::fs::write(folder.path().join("stop"), "").unwrap();
    assert!(running.wait(SOON).success());
}

/// Cgroups as a kubelet makes them, which go with it.
struct Pod {
    path: PathBuf,
    uid: String,
}

impl Pod {
    fn new() -> Option<Self> {
        // The hierarchy that names containers: v1's own, where the node has one.
        let base = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
            .map(Path::new)
            .into_iter()
            .find(|path| path.join("cgroup.procs").is_file())?;
        let uid = format!("01234567-89ab-cdef-0123-{:012x}", std::process::id());
        let path = base.join(format!("pod{uid}"));
        std::fs::create_dir(&path).ok()?;
        Some(Self { path, uid })
    }

    fn container(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir(&path).unwrap();
        path
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let within = std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten();
        let mut all: Vec<PathBuf> = within
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        all.push(self.path.clone());
        let deadline = Instant::now() + Duration::from_secs(5);
        for path in all {
            while std::fs::remove_dir(&path).is_err() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Runs a shell's command as a member of a cgroup.
fn run_within(cgroup: &Path, command: &str) {
    let script = format!("echo $$ >{}/cgroup.procs && {command}", cgroup.display());
    let status = Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn more_containers_than_slots_are_said() {
    if !has_bpf() {
        return;
    }
    for table in ["FREE_CONTAINERS", "CGROUPS"] {
        let Some(pod) = Pod::new() else {
            let _ = has("bpf", false, "needs a writable cgroup hierarchy");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let argv = argv(folder.path(), "wait", 0);
        let running = Running::start(Command::new(&argv[0]).args(&argv[1..]));
        let first = pod.container("first");
        std::fs::write(first.join("cgroup.procs"), running.id().to_string()).unwrap();
        ready(folder.path());
        let uids = vec![pod.uid.clone()];
        let mut request = request(TargetSpec::Pods { uids }, Some(4.0));
        // Slots 1 and 2; the cgroups of the pod, of the first and of the second container.
        let entries = if table == "CGROUPS" { 3 } else { 2 };
        request.limits.entries.insert(table.to_owned(), entries);
        let document = capture(&request, || {
            run_within(&pod.container("second"), "true");
            run_within(&pod.container("third"), "true");
        });
        std::fs::write(folder.path().join("stop"), "").unwrap();
        assert!(running.wait(SOON).success());
        let lost = &node(&document)["lost"]["maps"]["CONTAINERS"];
        assert!(
            lost.as_u64().is_some_and(|count| count > 0),
            "{table}: {lost}"
        );
        check_partial(table, &document, ALL);
        assert_eq!(
            document["containers"].as_array().unwrap().len(),
            2,
            "{table}"
        );
    }
}

fn ring_lost(document: &Value) -> u64 {
    node(document)["lost"]["ringBuffer"].as_u64().unwrap()
}

#[test]
fn a_full_ring_buffer_is_said_of_what_it_held() {
    if !has_bpf() {
        return;
    }
    let cases: [(&str, u64, &[&str]); 3] = [
        ("files", 2000, &["files"]),
        ("peers", 2000, &["network"]),
        ("children", 1000, &["processes", "files", "events"]),
    ];
    for (kind, count, partial) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut request = asked(folder.path(), kind, count);
        request.limits.ring_bytes = 16 << 10;
        let document = capture(&request, || {});
        assert!(ring_lost(&document) > 0, "{kind}");
        assert_eq!(node(&document)["complete"], false, "{kind}");
        for dimension in DIMENSIONS {
            let why = reasons(&document, dimension);
            if partial.contains(&dimension) {
                assert_eq!(
                    state(&document, dimension),
                    "partial",
                    "{kind}: {dimension}"
                );
            }
            // Other records that came while the ring buffer was full are lost too: never without the reason.
            if state(&document, dimension) == "partial" {
                assert!(why.contains("ring buffer"), "{kind}: {dimension}: {why}");
            }
        }
        assert_eq!(calls(&document), CALLS, "{kind}");
    }
}

fn ready(folder: &Path) {
    wait_for("the workload", SOON, || {
        folder.join("ready").exists().then_some(())
    });
}

#[test]
fn a_probe_that_is_stopped_loses_sights_and_no_calls() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut request = asked(folder.path(), "flood", 3000);
    request.limits.ring_bytes = 64 << 10;
    let mut probe = capture::command(&request).spawn().unwrap();
    let pid = probe.id();
    ready(folder.path());
    signal(pid, "STOP");
    std::fs::write(folder.path().join("go"), "").unwrap();
    std::thread::sleep(Duration::from_secs(2));
    // To go on is a signal, too, and ends the window.
    wait_for("the workload's end", SOON, || {
        folder.path().join("done").exists().then_some(())
    });
    signal(pid, "CONT");
    let document = document(stdout(&mut probe), |_| {});
    assert!(probe.wait().unwrap().success());
    assert!(ring_lost(&document) > 0);
    assert_eq!(state(&document, "files"), "partial");
    for dimension in ["syscalls", "network", "dns"] {
        assert_ne!(state(&document, dimension), "partial", "{dimension}");
    }
    assert_eq!(calls(&document), CALLS);
    check_window(&document, 2.0..60.0);
}

/// The window has this length by all that tells it, and everything was seen within.
fn check_window(document: &Value, seconds: std::ops::Range<f64>) {
    let session = &document["session"];
    let found = session["windowSeconds"].as_f64().unwrap();
    assert!(seconds.contains(&found), "{found}");
    let (started, ended) = (
        session["startedAt"].as_str().unwrap(),
        session["endedAt"].as_str().unwrap(),
    );
    assert!(started < ended, "{started} {ended}");
    for row in rows(document, "processes").filter(|row| row["startedBefore"] != true) {
        let (first, last) = (
            row["firstSeen"].as_str().unwrap(),
            row["lastSeen"].as_str().unwrap(),
        );
        assert!(first <= last && last <= ended, "{row}");
    }
}

/// A pipe that holds one page.
#[expect(unsafe_code, reason = "fcntl")]
fn small(probe: &Child) {
    let fd = probe.stdout.as_ref().unwrap().as_raw_fd();
    // SAFETY: the descriptor is the child's and open.
    let size = unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, 4096) };
    assert_eq!(size, 4096);
}

/// Kernel ids of the programs that a process holds.
fn programs(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo"));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path()).ok()?;
            let id = text
                .lines()
                .find_map(|line| line.strip_prefix("prog_id:"))?;
            id.trim().parse().ok()
        })
        .collect()
}

/// The kernel still has a program.
#[expect(unsafe_code, reason = "bpf(2)")]
fn is_loaded(id: u32) -> bool {
    /// `BPF_PROG_GET_FD_BY_ID`, include/uapi/linux/bpf.h.
    const PROG_GET_FD_BY_ID: i32 = 13;
    let attributes = [id, 0, 0];
    // SAFETY: the attributes live until the call returns; the descriptor is closed at once.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_bpf,
            PROG_GET_FD_BY_ID,
            attributes.as_ptr(),
            size_of_val(&attributes),
        );
        if fd >= 0 {
            libc::close(i32::try_from(fd).unwrap());
        }
        fd >= 0
    }
}

fn nothing_is_loaded(programs: &[u32]) {
    assert!(programs.len() > 8, "{programs:?}");
    wait_for("the programs to go", Duration::from_secs(5), || {
        (!programs.iter().any(|id| is_loaded(*id))).then_some(())
    });
}

fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| !text.contains(") Z"))
}

/// The child of a process whose name begins so.
fn child(parent: u32, name: &str) -> u32 {
    wait_for(name, SOON, || {
        std::fs::read_dir("/proc")
            .ok()?
            .flatten()
            .find_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
                let (head, rest) = stat.rsplit_once(')')?;
                let own_parent = rest.split_ascii_whitespace().nth(1)?;
                let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
                (own_parent == parent.to_string()
                    && (head.contains(name) || command.starts_with(name)))
                .then_some(pid)
            })
    })
}

/// The plugin with a workload that waits, as a command or as a process that runs already.
struct Session {
    folder: tempfile::TempDir,
    plugin: Child,
    probe: u32,
    workload: u32,
    own: Option<Running>,
    programs: Vec<u32>,
}

impl Session {
    fn start(is_command: bool, seconds: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let argv = argv(folder.path(), "wait", 0);
        let mut plugin = Command::new(plugin());
        plugin
            .args([
                "profile",
                "--local",
                "-q",
                "-o",
                "json",
                "--duration",
                seconds,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut own = None;
        if is_command {
            plugin.arg("--").args(&argv);
        } else {
            let running = Running::start(Command::new(&argv[0]).args(&argv[1..]));
            ready(folder.path());
            plugin.args(["--pid", &running.id().to_string()]);
            own = Some(running);
        }
        let plugin = plugin.spawn().unwrap();
        // A memfd's program is named by its descriptor.
        let probe = child(plugin.id(), "/proc/self/fd/");
        let workload = if is_command {
            ready(folder.path());
            child(probe, argv[0].as_str())
        } else {
            own.as_ref().unwrap().id()
        };
        let programs = wait_for("the window", SOON, || {
            let all = programs(probe);
            let is_open = is_command || all.len() > 8;
            is_open.then_some(all)
        });
        Self {
            folder,
            plugin,
            probe,
            workload,
            own,
            programs,
        }
    }

    /// The output of the plugin, which must not take long.
    fn output(&mut self) -> Output {
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.plugin.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the plugin hangs");
            std::thread::sleep(Duration::from_millis(10));
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        self.plugin
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut out)
            .unwrap();
        // A command keeps the error stream open.
        let mut piece = [0; 4096];
        let mut stderr = self.plugin.stderr.take().unwrap();
        let count = stderr.read(&mut piece).unwrap();
        err.extend_from_slice(&piece[..count]);
        Output {
            status,
            stdout: out,
            stderr: err,
        }
    }

    /// The workload was left alone.
    fn end(mut self) {
        assert!(is_alive(self.workload), "the workload was killed");
        std::fs::write(self.folder.path().join("stop"), "").unwrap();
        if let Some(own) = self.own.take() {
            assert!(own.wait(SOON).success());
        }
        wait_for("the end of all", SOON, || {
            (!is_alive(self.workload) && !is_alive(self.probe)).then_some(())
        });
        let _ = self.plugin.wait();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = std::fs::write(self.folder.path().join("stop"), "");
        let _ = self.plugin.kill();
        let _ = self.plugin.wait();
    }
}

#[test]
fn a_killed_probe_ends_the_plugin_with_an_error() {
    if !has_bpf() {
        return;
    }
    for is_command in [false, true] {
        let mut session = Session::start(is_command, "60s");
        signal(session.probe, "KILL");
        let output = session.output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("error: "), "{said}");
        assert!(said.contains("SIGKILL"), "{said}");
        assert!(output.stdout.is_empty(), "no result that looks like one");
        nothing_is_loaded(&session.programs);
        session.end();
    }
}

#[test]
fn a_killed_plugin_ends_the_probe() {
    if !has_bpf() {
        return;
    }
    for is_command in [false, true] {
        let mut session = Session::start(is_command, "60s");
        session.plugin.kill().unwrap();
        session.plugin.wait().unwrap();
        nothing_is_loaded(&session.programs);
        if !is_command {
            wait_for("the probe's end", Duration::from_secs(5), || {
                (!is_alive(session.probe)).then_some(())
            });
        }
        session.end();
    }
}

#[test]
fn a_stopped_plugin_holds_up_nothing() {
    if !has_bpf() {
        return;
    }
    let mut session = Session::start(false, "2s");
    signal(session.plugin.id(), "STOP");
    // The window closes and the programs go, whether somebody reads or not.
    nothing_is_loaded(&session.programs);
    std::thread::sleep(Duration::from_secs(1));
    signal(session.plugin.id(), "CONT");
    let output = session.output();
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_partial("stopped", &document, &[]);
    check_window(&document, 2.0..2.5);
    session.end();
}

#[test]
fn a_reader_that_stalls_gets_a_complete_document() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let request = asked(folder.path(), "files", 4000);
    let mut probe = capture::command(&request).spawn().unwrap();
    small(&probe);
    let loaded = wait_for("the programs", SOON, || {
        let all = programs(probe.id());
        (all.len() > 8).then_some(all)
    });
    wait_for("the end of the window", SOON, || {
        programs(probe.id()).is_empty().then_some(())
    });
    nothing_is_loaded(&loaded);
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        probe.try_wait().unwrap().is_none(),
        "it waits for the reader"
    );
    let document = document(stdout(&mut probe), |_| {});
    assert!(probe.wait().unwrap().success());
    check_partial("stalled", &document, &[]);
    let made = rows(&document, "files")
        .filter(|row| row["operations"]["create"] == 1)
        .count();
    assert_eq!((calls(&document), made), (CALLS, 4000));
}

#[test]
fn a_reader_that_never_reads_is_given_up() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut request = asked(folder.path(), "files", 4000);
    request.deadline_seconds = Some(2.0);
    let mut probe = capture::command(&request).spawn().unwrap();
    small(&probe);
    wait_for("the probe's end", Duration::from_secs(25), || {
        probe.try_wait().unwrap()
    });
}

#[test]
fn a_reader_that_is_gone_ends_the_probe() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let argv = argv(folder.path(), "wait", 0);
    let running = Running::start(Command::new(&argv[0]).args(&argv[1..]));
    let request = request(TargetSpec::Process { pid: running.id() }, Some(60.0));
    let mut probe = capture::command(&request).spawn().unwrap();
    drop(stdout(&mut probe));
    let status = wait_for("the probe's end", SOON, || probe.try_wait().unwrap());
    assert!(status.code().is_some(), "{status}");
    std::fs::write(folder.path().join("stop"), "").unwrap();
    assert!(running.wait(SOON).success());
}

#[test]
fn a_full_disk_costs_no_result() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (disk, kept) = (folder.path().join("disk"), folder.path().join("kept"));
    for made in [&disk, &kept] {
        std::fs::create_dir(made).unwrap();
    }
    let script = "mount -t tmpfs -o size=32k none \"$1\" && shift && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&disk)
        .arg(plugin())
        .args(LOCAL)
        .arg(disk.join("p.json"))
        .args(["-q", "--"])
        .args(argv(folder.path(), "files", 500))
        .env("TMPDIR", &kept)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [
        "error: ",
        "the result is in `",
        "No space left",
        "hint: make room",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let saved = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap();
    let document = procmon_tests::document::read(&saved.path());
    assert_eq!(calls(&document), CALLS);
    check_partial("full disk", &document, &[]);
}

#[test]
fn a_starved_probe_is_complete_or_says_what_it_lost() {
    if !has_bpf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut request = asked(folder.path(), "flood", 3000);
    request.limits.ring_bytes = 256 << 10;
    let direct = capture::command(&request);
    let mut probe = Command::new("nice")
        .args(["-n", "19"])
        .arg(direct.get_program())
        .args(direct.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    ready(folder.path());
    let busy: Vec<Running> = (0..8)
        .map(|_| Running::start(Command::new("sh").args(["-c", "while :; do :; done"])))
        .collect();
    std::fs::write(folder.path().join("go"), "").unwrap();
    std::thread::sleep(Duration::from_secs(3));
    drop(busy);
    let document = document(stdout(&mut probe), |_| {});
    assert!(probe.wait().unwrap().success());
    if ring_lost(&document) == 0 {
        check_partial("starved", &document, &[]);
    } else {
        assert_eq!(state(&document, "files"), "partial");
        assert_eq!(state(&document, "syscalls"), "complete");
    }
    assert_eq!(calls(&document), CALLS);
}

#[test]
fn threads_that_come_while_others_are_labelled_are_seen() {
    if !has_bpf() {
        return;
    }
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let argv = argv(folder.path(), "churn", 0);
        let running = Running::start(Command::new(&argv[0]).args(&argv[1..]));
        ready(folder.path());
        let request = request(TargetSpec::Process { pid: running.id() }, Some(30.0));
        let document = capture(&request, || {
            std::fs::write(folder.path().join("go"), "").unwrap();
        });
        assert!(running.wait(SOON).success());
        check_partial("churn", &document, &[]);
        assert_eq!(calls(&document), CALLS);
    }
}

/// Runs the probe in a guest with two CPUs, and meanwhile what a shell does; the document.
fn in_guest(kernel: &str, meanwhile: &str, change: impl FnOnce(&mut Request)) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let argv = ["/host/workload-faults", "/tmp", "spread", "4"];
    let argv = argv.map(str::to_owned).to_vec();
    let mut asked = request(TargetSpec::Command { argv }, None);
    asked.deadline_seconds = Some(100.0);
    change(&mut asked);
    let script = format!(
        "/host/probe '{}' >/tmp/frames & while ! grep -q hello /tmp/frames; do sleep 0.1; done; \
         sleep 0.5; {meanwhile} wait; cat /tmp/frames; echo",
        serde_json::to_string(&asked).unwrap()
    );
    let script_file = folder.path().join("script");
    std::fs::write(&script_file, script).unwrap();
    let workload = workload::path("faults", Linked::Static);
    let output = Command::new(root().join("tests/vm/run-in-vm.sh"))
        .args(["-m", "768", "-c", "2", "-t", "200"])
        .args(["-f", &format!("{}:probe", procmon_tests::probe().display())])
        .args(["-f", &workload.display().to_string()])
        .args(["-f", &format!("{}:script", script_file.display())])
        .args([kernel, "--", "/bin/sh", "/host/script"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let frames: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("{\"seq\""))
        .collect();
    assert!(
        !frames.is_empty(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    document(frames.join("\n").as_bytes(), |_| {})
}

fn has_guests() -> bool {
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output();
    has("kernels", qemu.is_ok(), "needs qemu-system-x86_64")
}

#[test]
fn clocks_that_jump_and_cpus_that_go_change_no_count() {
    if !has_guests() {
        return;
    }
    let meanwhile = "date -s @$(($(date +%s) + 36000)) >/dev/null; \
                     echo 0 >/sys/devices/system/cpu/cpu1/online; sleep 0.5; \
                     date -s @$(($(date +%s) - 72000)) >/dev/null; \
                     echo 1 >/sys/devices/system/cpu/cpu1/online; sleep 0.5; ";
    // No hook but the base tier's: 6.1 has none for capabilities there.
    let document = in_guest("6.1", meanwhile, |request| {
        request.limits.tier = Some(Tier::Base);
    });
    check_partial("6.1", &document, &[]);
    assert_eq!(state(&document, "capabilities"), "missing");
    assert!(reasons(&document, "capabilities").contains("is missing on this kernel"));
    assert_eq!(calls(&document), CALLS);
    check_window(&document, 4.0..40.0);
    let started = document["session"]["startedAt"].as_str().unwrap();
    for row in rows(&document, "processes") {
        let first = row["firstSeen"].as_str().unwrap();
        assert!(first >= started, "{first} before {started}");
    }
}

#[test]
fn hooks_that_the_kernel_skips_are_said() {
    if !has_guests() {
        return;
    }
    let document = in_guest("7.3", "", |_| {});
    let misses = node(&document)["lost"]["recursion"].as_object();
    if misses.is_none_or(serde_json::Map::is_empty) {
        check_partial("7.3", &document, &[]);
        assert_eq!(calls(&document), CALLS);
        return;
    }
    assert!(calls(&document) <= CALLS);
    assert_eq!(node(&document)["complete"], false);
    for hook in misses.into_iter().flatten().map(|(hook, _)| hook) {
        let said = DIMENSIONS.iter().any(|dimension| {
            reasons(&document, dimension).contains(&format!("hook {hook} was skipped"))
        });
        assert!(said, "{hook}");
    }
}

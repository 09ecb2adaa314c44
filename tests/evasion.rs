//! Ways around those who watch: each first misleads a simple method, then is seen in the profile.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::wire::TargetSpec;
use procmon_tests::capture::{capture, request};
use procmon_tests::document::{check_truth, covers, read_truth, rows, state};
use procmon_tests::profiled::{check_unless_known, folder, local_as};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{Running, cgroup_root, has, has_bpf, plugin, wait_for};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_mins(1);

/// Cases in which the profile is known to be misled, and why.
const KNOWN: &[(&str, &str)] = &[
    (
        "before",
        "a line's end in a Unix socket's name adds a listener",
    ),
    (
        "before-odd-listener",
        "a line's end in a Unix socket's name adds a listener",
    ),
    (
        "bound-and-gone",
        "mounts are read from /proc/PID, when the process is gone",
    ),
    (
        "ring-datagrams",
        "messages on unconnected sockets are not by peer",
    ),
    (
        "ring-direct",
        "an opening without a descriptor is not by path",
    ),
    ("ring-several", "one completion of several is counted"),
    (
        "root-of-nothing-capabilities",
        "capabilities within a user namespace are shown as the host's",
    ),
    ("swapped-name", "the name is read when the call returns"),
    (
        "through-another-namespace",
        "files of equal paths are one row",
    ),
    ("trapped-making", "the name is read when the call returns"),
];

/// A folder of its own for one run.
struct Place {
    _folder: tempfile::TempDir,
    base: PathBuf,
    files: PathBuf,
}

impl Place {
    fn new() -> Self {
        let (folder, base) = folder();
        let files = base.join("f");
        std::fs::create_dir(&files).unwrap();
        Self {
            _folder: folder,
            base,
            files,
        }
    }

    fn truth(&self) -> Value {
        read_truth(&self.base.join("truth"))
    }

    /// Makes a command the workload's.
    fn run<'a>(&self, command: &'a mut Command, case: &str) -> &'a mut Command {
        command
            .arg(exe())
            .arg(&self.files)
            .arg(case)
            .env("PROCMON_TRUTH", self.base.join("truth"))
            .stdin(Stdio::null())
    }
}

fn exe() -> PathBuf {
    workload::path("evade", Linked::Dynamic)
}

/// The plugin's result in a format; none where the kernel can't do what the workload does.
fn formatted(place: &Place, case: &str, format: &str) -> Option<String> {
    let output = place.base.join(format);
    let mut command = local_as(format, &output, &["-q", "--duration", "60s", "--"]);
    let status = place.run(&mut command, case).status().unwrap();
    if status.code() == Some(3) {
        return None;
    }
    assert!(status.success(), "{case}: {status}");
    Some(std::fs::read_to_string(output).unwrap())
}

/// The profile and the truth.
fn profile(case: &str) -> Option<(Value, Value)> {
    let place = Place::new();
    let text = formatted(&place, case, "json")?;
    Some((serde_json::from_str(&text).unwrap(), place.truth()))
}

/// A check must hold, unless the case is known to fail.
fn hold(case: &str, check: impl FnOnce()) {
    check_unless_known(KNOWN, case, check);
}

/// The profile says what the workload knows, and nothing is missing.
fn seen(case: &str) {
    if !has_bpf() {
        return;
    }
    let Some((document, truth)) = profile(case) else {
        return;
    };
    hold(case, || {
        check_truth(&document, &truth, &exe().display().to_string());
        for dimension in ["processes", "syscalls", "files", "network"] {
            assert_eq!(
                state(&document, dimension),
                "complete",
                "{:#}",
                document["completeness"]
            );
        }
    });
}

/// The output of strace for a case, and the truth of that run.
fn strace(case: &str, args: &[&str]) -> Option<(String, Value)> {
    let is_there = Command::new("strace").arg("-V").output().is_ok();
    if !has("strace", is_there, "needs strace") {
        return None;
    }
    let place = Place::new();
    let log = place.base.join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "400", "-o"]).arg(&log).args(args);
    let status = place.run(&mut command, case).status().unwrap();
    if status.code() == Some(3) {
        return None;
    }
    assert!(status.success(), "{case} under strace: {status}");
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
    let files = place.files.display().to_string();
    // The file that the workload writes in the end is not a part of it.
    let end = text.find("/truth\"").unwrap_or(text.len());
    Some((text[..end].replace(&files, "FOLDER"), place.truth()))
}

/// Compares the order of two names in the output of strace with the true one.
fn order_by_strace(case: &str, call: &str, names: fn(&Value) -> [String; 2]) {
    // Two threads race: not every run has a call whose argument changed in between.
    for _ in 0..10 {
        let Some((log, truth)) = strace(case, &["-e", call]) else {
            return;
        };
        let [decoy, marked] = names(&truth);
        let told: String = log
            .lines()
            .filter(|line| line.contains(&format!("{call}(")) && !line.contains("O_CREAT"))
            .filter_map(|line| match line {
                _ if line.contains(&marked) => Some('m'),
                _ if line.contains(&decoy) => Some('d'),
                _ => None,
            })
            .collect();
        let was = truth["sequence"].as_str().unwrap();
        assert_eq!(told.len(), was.len(), "strace lost calls");
        if told != was {
            return;
        }
    }
    panic!("strace was not misled");
}

fn two_names(_: &Value) -> [String; 2] {
    ["decoy--", "marked-"].map(|name| format!("/{name}\""))
}

fn two_ports(truth: &Value) -> [String; 2] {
    [0, 1].map(|which| format!("htons({})", truth["ports"][which]))
}

#[test]
fn a_path_that_changes_while_it_is_opened() {
    order_by_strace("swapped-path", "openat", two_names);
    seen("swapped-path");
}

#[test]
fn a_name_that_changes_while_a_call_has_nothing_else() {
    order_by_strace("swapped-name", "mkdir", two_names);
    seen("swapped-name");
}

#[test]
fn an_address_that_changes_while_it_is_connected_to() {
    order_by_strace("swapped-address", "connect", two_ports);
    seen("swapped-address");
}

#[test]
fn an_address_that_changes_while_a_datagram_is_sent() {
    order_by_strace("swapped-destination", "sendto", two_ports);
    seen("swapped-destination");
}

/// A reader of the argument finds another one at the return of the call than the kernel used.
fn trapped(case: &str) {
    if !has_bpf() {
        return;
    }
    let Some((_, truth)) = profile(case) else {
        return;
    };
    assert_ne!(truth["told"], truth["sequence"], "nobody is misled");
    seen(case);
}

#[test]
fn a_path_that_changes_while_the_kernel_reads_it_to_open() {
    trapped("trapped-opening");
}

#[test]
fn a_path_that_changes_while_the_kernel_reads_it_to_make() {
    trapped("trapped-making");
}

#[test]
fn an_address_that_changes_while_the_kernel_reads_it() {
    trapped("trapped-destination");
}

#[test]
fn an_address_of_several_that_changes_while_the_kernel_reads_it() {
    if !has_bpf() {
        return;
    }
    let case = "trapped-destinations";
    let Some((document, truth)) = profile(case) else {
        return;
    };
    assert_ne!(truth["told"], truth["sequence"], "nobody is misled");
    let network = &document["completeness"]["dimensions"]["network"];
    assert_eq!(network["state"], "partial", "{network}");
    assert!(network["reasons"].to_string().contains("went elsewhere"));
    // Where nobody cheats, nothing is said.
    let (document, _) = profile("swapped-address").unwrap();
    assert_eq!(state(&document, "network"), "complete");
}

/// Lines of strace that hold all of these.
fn lines(log: &str, all: &[&str]) -> usize {
    log.lines()
        .filter(|line| all.iter().all(|part| line.contains(part)))
        .count()
}

#[test]
fn names_that_lead_elsewhere_than_they_look() {
    if let Some((log, truth)) = strace("names", &["-e", "trace=%file"]) {
        let told = lines(&log, &["open", "\"FOLDER/marked\""]) as u64;
        let was = truth["files"][0]["operations"]["open"].as_u64().unwrap();
        assert!(told < was);
    }
    seen("names");
}

#[test]
fn names_that_only_the_gone_could_explain() {
    if let Some((log, _)) = strace("names-of-the-gone", &["-e", "trace=unlink,unlinkat"]) {
        assert_eq!(lines(&log, &["\"FOLDER/by-"]), 0);
    }
    seen("names-of-the-gone");
}

#[test]
fn a_mount_that_gives_a_file_another_name() {
    if let Some((log, _)) = strace("bound", &["-e", "trace=openat"]) {
        assert_eq!(lines(&log, &["hidden/marked", "O_RDONLY"]), 0);
    }
    seen("bound");
}

#[test]
fn such_a_mount_of_a_process_that_is_gone() {
    seen("bound-and-gone");
}

#[test]
fn a_tree_that_is_mounted_nowhere() {
    if let Some((log, _)) = strace("detached", &["-y", "-e", "trace=openat,read"]) {
        assert_eq!(lines(&log, &["deep/etc/passwd", "O_RDONLY"]), 0);
    }
    if !has_bpf() {
        return;
    }
    let (document, truth) = profile("detached").unwrap();
    hold("detached", || {
        let forged = truth["absent"][0].as_str().unwrap();
        assert!(
            !rows(&document, "files").any(|row| row["path"] == forged),
            "{forged} was not opened"
        );
    });
}

#[test]
fn a_file_of_another_mount_namespace() {
    if let Some((log, _)) = strace(
        "through-another-namespace",
        &["-y", "-e", "trace=read,write"],
    ) {
        // Ours was written, theirs was written and read: one name.
        assert!(lines(&log, &["<FOLDER/d/marked>"]) >= 3);
    }
    seen("through-another-namespace");
}

#[test]
fn root_that_is_nobody() {
    // The workload has seen itself as root before it executed the program.
    seen("root-of-nothing");
    if !has_bpf() {
        return;
    }
    let (document, _) = profile("root-of-nothing").unwrap();
    hold("root-of-nothing-capabilities", || {
        let nobody = rows(&document, "processes")
            .find(|row| row["uid"] == 1234)
            .expect("a row of its own");
        assert_eq!(nobody["capabilities"]["effective"], Value::Array(vec![]));
    });
}

#[test]
fn what_a_child_does_in_its_parents_memory() {
    if let Some((log, _)) = strace("vfork", &["-e", "trace=open,openat,execve"]) {
        // Judged by the program that a process ends as, /bin/true has read the file.
        let is_of_true = |pid: &str| lines(&log, &[pid, "execve(\"/bin/true\"", "= 0"]) > 0;
        let blamed = log
            .lines()
            .filter(|line| line.contains("FOLDER/marked\", O_RDONLY"))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|pid| is_of_true(pid))
            .count();
        assert_eq!(blamed, 5);
    }
    seen("vfork");
}

/// The parent of a thread, as scripts find it.
fn parent_by_words(stat: &str) -> Option<u32> {
    stat.split_whitespace().nth(3)?.parse().ok()
}

#[test]
fn children_that_nobody_is_the_parent_of() {
    // SAFETY: a constant name.
    #[expect(unsafe_code, reason = "prctl")]
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"x) R 1 (".as_ptr(), 0, 0, 0);
    }
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    assert_ne!(
        parent_by_words(&stat),
        Some(std::os::unix::process::parent_id())
    );
    seen("disguised");
}

#[test]
fn a_program_in_memory_with_another_ones_name() {
    if let Some((log, _)) = strace("from-memory", &["-e", "trace=execveat"]) {
        assert_eq!(lines(&log, &["execveat(", "[\"/usr/bin/true\""]), 1);
    }
    seen("from-memory");
    if !has_bpf() {
        return;
    }
    let (document, _) = profile("from-memory").unwrap();
    assert!(rows(&document, "processes").all(|row| row["exe"] != "/usr/bin/true"));
}

/// System calls by number, as a tracer counts them that knows one table only.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "ptrace")]
#[expect(clippy::zombie_processes, reason = "waited for as its tracer")]
fn by_number(case: &str, number: u64) -> Option<usize> {
    use std::os::unix::process::CommandExt as _;
    let place = Place::new();
    let mut command = Command::new(exe());
    command
        .arg(&place.files)
        .arg(case)
        .env("PROCMON_TRUTH", place.base.join("truth"));
    // SAFETY: the child only asks to be traced.
    unsafe {
        command.pre_exec(|| {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let (mut count, mut status, mut enters) = (0, 0, true);
    // SAFETY: a child of ours, which is traced; structures that outlive the calls.
    unsafe {
        libc::waitpid(pid, &raw mut status, 0);
        while libc::WIFSTOPPED(status) {
            let mut regs: libc::user_regs_struct = std::mem::zeroed();
            libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut regs);
            count += usize::from(enters && regs.orig_rax == number);
            enters = !enters;
            libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0);
            libc::waitpid(pid, &raw mut status, 0);
        }
    }
    (libc::WEXITSTATUS(status) == 0).then_some(count)
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_the_narrow_kind_by_a_wide_program() {
    if let Some(told) = by_number("narrow", libc::SYS_connect.cast_unsigned()) {
        assert_eq!(told, 0);
    }
    seen("narrow");
}

/// A sampler that looks at open files a hundred times per second sees the file.
fn by_sampling(case: &str) -> bool {
    let place = Place::new();
    let mut command = Command::new(exe());
    let running = Running::start(
        command
            .arg(&place.files)
            .arg(case)
            .env("PROCMON_TRUTH", place.base.join("truth")),
    );
    let descriptors = PathBuf::from(format!("/proc/{}/fd", running.id()));
    let mut seen = false;
    while !place.base.join("truth").exists() {
        let links = std::fs::read_dir(&descriptors).into_iter().flatten();
        seen |= links
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .any(|link| link.ends_with("marked"));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(running.wait(SOON).success());
    seen
}

#[test]
fn one_opening_within_a_flood_of_calls() {
    if !has_bpf() {
        return;
    }
    let is_seen_always = (0..3).all(|_| by_sampling("flood"));
    assert!(!is_seen_always, "the sampler was lucky three times");
    let (document, truth) = profile("flood").unwrap();
    hold("flood", || {
        check_truth(&document, &truth, &exe().display().to_string());
        assert_eq!(document["completeness"]["complete"], true);
        let rate = truth["perSecond"].as_f64().unwrap();
        assert!(rate > 100_000.0, "{rate} calls a second");
    });
}

/// Either the rare thing is there, or the profile says that things are missing.
fn seen_or_said(case: &str, dimension: &str, is_rare: impl Fn(&Value, &Value) -> bool) {
    if !has_bpf() {
        return;
    }
    let (document, truth) = profile(case).unwrap();
    hold(case, || {
        let found = rows(&document, dimension).any(|row| is_rare(row, &truth));
        let said = state(&document, dimension) != "complete"
            && document["completeness"]["complete"] == false;
        assert!(found || said, "{:#}", document["completeness"]);
        // The flood does not fit: that is said in any case.
        assert!(
            said || dimension == "processes",
            "{:#}",
            document["completeness"]
        );
    });
}

#[test]
fn one_opening_within_a_flood_of_names() {
    seen_or_said("flood-of-names", "files", |row, truth| {
        row["path"] == truth["marked"] && row["operations"]["open"] == 2
    });
}

#[test]
fn one_connection_within_a_flood_of_peers() {
    seen_or_said("flood-of-peers", "network", |row, truth| {
        row["remote"]["port"] == truth["port"] && row["connections"] == 1
    });
}

#[test]
fn one_program_within_a_flood_of_programs() {
    seen_or_said("flood-of-programs", "processes", |row, truth| {
        row["exe"] == truth["marked"]
    });
}

/// Letters that a terminal would act on; a line's end is the renderer's own.
fn is_loud(letter: char) -> bool {
    (letter.is_control() && letter != '\n')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn names_that_speak_to_a_terminal() {
    seen("loud");
    if !has_bpf() {
        return;
    }
    let help = Command::new(plugin())
        .args(["profile", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for format in ["table", "wide", "name", "markdown", "html", "json", "yaml"] {
        // Not every version has them all.
        if !help.contains(&format!("- {format}")) {
            continue;
        }
        let place = Place::new();
        let text = formatted(&place, "loud", format).unwrap();
        // A program that lists the folder prints the name as it is.
        let listed: String = std::fs::read_dir(&place.files)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert!(listed.contains(is_loud));
        hold(&format!("loud-{format}"), || {
            let found = text.lines().find(|line| line.contains(is_loud));
            assert_eq!(found, None, "{format}");
            assert!(!text.contains("<b>") || format != "html", "markup");
        });
    }
}

/// strace sees the ring, and no file nor peer.
fn unseen_by_strace(case: &str, sign: &str) {
    if let Some((log, _)) = strace(case, &["-e", "trace=%file,%network,read,write"]) {
        assert_eq!(lines(&log, &[sign]), 0);
    }
}

#[test]
fn files_by_a_ring() {
    for case in [
        "ring-files",
        "ring-files-fixed",
        "ring-files-by-workers",
        "ring-files-polled",
        "ring-chain",
        "ring-direct",
    ] {
        unseen_by_strace(case, "FOLDER/marked");
        seen(case);
    }
}

#[test]
fn connections_by_a_ring() {
    for case in [
        "ring-network",
        "ring-network-by-workers",
        "ring-network-polled",
    ] {
        unseen_by_strace(case, "connect(");
        seen(case);
    }
}

#[test]
fn several_completions_of_one_request() {
    unseen_by_strace("ring-several", "accept");
    seen("ring-several");
}

#[test]
fn datagrams_by_a_ring() {
    unseen_by_strace("ring-datagrams", "sendmsg(");
    seen("ring-datagrams");
}

#[test]
fn requests_of_a_ring_that_are_not_followed_are_said() {
    if !has_bpf() {
        return;
    }
    for case in ["ring-datagrams", "ring-direct", "ring-several"] {
        let (document, _) = profile(case).unwrap();
        for dimension in ["files", "network"] {
            let reasons = &document["completeness"]["dimensions"][dimension]["reasons"];
            let reason = reasons[0].as_str().unwrap_or_default();
            assert!(
                reason.starts_with("io_uring requests that are not by path or peer: "),
                "{case}: {dimension}: {reasons}"
            );
        }
    }
}

#[test]
fn a_removal_by_a_ring() {
    unseen_by_strace("ring-unlink", "unlinkat(");
    seen("ring-unlink");
}

/// Profiles what runs already for three seconds; `begin` is called when the window is open.
fn follow(target: TargetSpec, begin: impl FnOnce()) -> Value {
    capture(&request(target, Some(3.0)), begin)
}

/// Starts a case that waits until it is told to go on.
fn waiting(place: &Place, case: &str) -> Running {
    let mut command = Command::new(exe());
    let running = Running::start(
        command
            .arg(&place.files)
            .arg(case)
            .env("PROCMON_TRUTH", place.base.join("truth"))
            .stdin(Stdio::null()),
    );
    wait_for("the workload", SOON, || {
        place.files.join("ready").exists().then_some(())
    });
    running
}

fn go(place: &Place) {
    std::fs::write(place.files.join("go"), "").unwrap();
}

#[test]
fn descriptors_from_before_the_window() {
    if !has_bpf() {
        return;
    }
    let place = Place::new();
    let running = waiting(&place, "before");
    let document = follow(TargetSpec::Process { pid: running.id() }, || go(&place));
    assert!(running.wait(SOON).success());
    let truth = place.truth();
    hold("before", || {
        check_truth(&document, &truth, &exe().display().to_string());
        for row in rows(&document, "network") {
            let path = row["local"]["path"].as_str().unwrap_or_default();
            assert_ne!(path, truth["fake"], "a listener that never was");
        }
    });
    hold("before-odd-listener", || {
        let odd = rows(&document, "network")
            .filter(|row| row["direction"] == "listen" && row["protocol"] == "unix-stream")
            .count();
        assert_eq!(odd, 3, "all listeners");
    });
}

/// A cgroup of this test's own, which goes with it.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        let root = cgroup_root()?;
        let path = root.join(format!("procmon-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn members(&self) -> String {
        std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_process_that_leaves_its_cgroup() {
    out_of_the_cgroup("leave");
}

#[test]
fn a_process_that_is_made_outside_its_parents_cgroup() {
    out_of_the_cgroup("leave-by-birth");
}

fn out_of_the_cgroup(case: &str) {
    if !has_bpf() {
        return;
    }
    let (Some(inside), Some(outside)) = (
        Cgroup::new(&format!("{case}-inside")),
        Cgroup::new(&format!("{case}-outside")),
    ) else {
        let _ = has("bpf", false, "needs a cgroup2 hierarchy");
        return;
    };
    let place = Place::new();
    let procs = outside.0.join("cgroup.procs").display().to_string();
    std::fs::write(place.files.join("leave-to"), procs).unwrap();
    let running = waiting(&place, case);
    std::fs::write(inside.0.join("cgroup.procs"), running.id().to_string()).unwrap();
    let target = TargetSpec::Cgroup {
        path: inside.0.display().to_string(),
    };
    let document = follow(target, || go(&place));
    // The cgroup has no member that could have done it.
    assert_eq!(inside.members(), "");
    assert!(running.wait(SOON).success());
    hold(case, || {
        let wanted = &place.truth()["files"][0];
        assert!(
            rows(&document, "files").any(|row| covers(row, wanted)),
            "{wanted}"
        );
    });
}

//! The built plugin and probe on this kernel: exact counts against workloads of known behaviour.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::wire::TargetSpec;
use procmon_tests::document::{check_sums, check_truth, read, read_truth, rows, state};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{Running, cgroup_root, has_bpf, plugin, wait_for};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// A profiled workload.
struct Run {
    document: Value,
    truth: Value,
    exe: String,
}

/// A folder with its resolved path.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

/// The plugin, profiling on this machine into a document.
fn local(document: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(plugin());
    command
        .args(["profile", "--local", "-o", "json", "--output-file"])
        .arg(document)
        .args(args)
        .stdin(Stdio::null());
    command
}

/// Profiles a workload, whose first argument is a folder.
fn profile(name: &str, linked: Linked) -> Run {
    let (_folder, base) = folder();
    let (document, truth, files) = (
        base.join("profile.json"),
        base.join("truth.json"),
        base.join("files"),
    );
    std::fs::create_dir(&files).unwrap();
    let exe = workload::path(name, linked);
    let status = local(
        &document,
        &["--duration", "60s", "--require-complete", "--"],
    )
    .arg(&exe)
    .arg(&files)
    .env("PROCMON_TRUTH", &truth)
    .status()
    .unwrap();
    assert!(status.success(), "{name}: {status}");
    Run {
        document: read(&document),
        truth: read_truth(&truth),
        exe: exe.display().to_string(),
    }
}

/// What holds of every document.
fn check_document(document: &Value) {
    assert_eq!(
        document["completeness"]["complete"], true,
        "{:#}",
        document["completeness"]
    );
    check_sums(document);
    validate(document);
    for row in rows(document, "files") {
        let path = row["path"].as_str().unwrap();
        assert!(
            !path.starts_with("pipe:")
                && !path.starts_with("socket:")
                && !path.starts_with("anon_inode:"),
            "{row}"
        );
    }
}

/// Everything that the workload knows of itself is in the document, number by number.
fn check(name: &str) {
    if !has_bpf() {
        return;
    }
    for linked in [Linked::Dynamic, Linked::Static] {
        let run = profile(name, linked);
        check_document(&run.document);
        check_truth(&run.document, &run.truth, &run.exe);
    }
}

/// A profile with times of calls.
fn timed(command: &[&str], truth: &Path) -> Value {
    let document = truth.with_extension("p.json");
    let status = local(&document, &["-q", "--latency", "--"])
        .args(command)
        .env("PROCMON_TRUTH", truth)
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}: {status}");
    read(&document)
}

#[test]
fn times_of_calls_are_told() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let sleeps = timed(
        &["sh", "-c", "sleep 0.03; sleep 0.06"],
        &base.join("sleeps"),
    );
    let times = |document: &Value, name: &str, exe: &str| {
        let row = rows(document, "syscalls")
            .find(|row| row["name"] == name && row["exe"].as_str().unwrap().ends_with(exe))
            .cloned();
        let row = row.unwrap_or_else(|| panic!("no {name}"));
        ["p50", "p95", "p99", "max"].map(|time| row["latencyNs"][time].as_u64().unwrap())
    };
    let [p50, p95, p99, max] = times(&sleeps, "clock_nanosleep", "/sleep");
    assert!((30_000_000..60_000_000).contains(&p50), "{p50}");
    assert!(
        p95 == max && p99 == max && (60_000_000..500_000_000).contains(&max),
        "{p95} {p99} {max}"
    );
    // Not every one of thousands in a row is timed, every one is counted.
    let exe = workload::path("calls", Linked::Dynamic)
        .display()
        .to_string();
    let calls = timed(&[&exe], &base.join("calls"));
    check_truth(&calls, &read_truth(&base.join("calls")), &exe);
    let [p50, p95, p99, max] = times(&calls, "getppid", "workload-calls");
    assert!(p50 > 0 && p50 < 100_000, "{p50}");
    assert!(
        p50 <= p95 && p95 <= p99 && p99 <= max,
        "{p50} {p95} {p99} {max}"
    );
}

/// The document is as the schema says that the plugin prints.
fn validate(document: &Value) {
    let output = Command::new(plugin()).arg("schema").output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn system_calls_of_one_thread_and_of_eight_are_exact() {
    check("calls");
}

#[test]
fn file_operations_and_bytes_are_exact() {
    check("files");
}

#[test]
fn connections_datagrams_and_bytes_are_exact() {
    check("net");
}

#[test]
fn executions_and_exits_are_exact() {
    check("processes");
}

#[test]
fn privileges_given_up_refused_and_used_are_seen() {
    check("credentials");
}

#[test]
fn an_event_of_a_child_that_executes_belongs_to_a_process() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let status = local(&document, &["--"])
        .arg(workload::path("credentials", Linked::Static))
        .arg("drop")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    let own = rows(&document, "processes")
        .find(|row| row["parent"].is_null())
        .expect("the command has a row");
    let change = rows(&document, "events")
        .find(|event| event["details"]["toUid"] == "65534")
        .expect("a change of credentials");
    assert_eq!(change["process"], own["id"], "{change}");
}

#[test]
fn a_profile_holds_no_peer_but_those_that_were_there() {
    if !has_bpf() {
        return;
    }
    let run = profile("net", Linked::Static);
    let expected = run.truth["network"].as_array().unwrap().len();
    let found: Vec<String> = rows(&run.document, "network")
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.len(), expected, "{}", found.join("\n"));
}

#[test]
fn an_executed_program_is_a_file_too() {
    if !has_bpf() {
        return;
    }
    let run = profile("processes", Linked::Dynamic);
    let executed = rows(&run.document, "files")
        .find(|row| {
            row["path"].as_str().unwrap().ends_with("/true") && row["exe"] == run.exe.as_str()
        })
        .expect("the program is a file");
    assert_eq!(executed["operations"]["exec"], 24);
}

/// The only row of a process with these arguments.
fn process<'a>(document: &'a Value, argv: &[&str]) -> &'a Value {
    let found: Vec<&Value> = rows(document, "processes")
        .filter(|row| row["argv"] == Value::from(argv))
        .collect();
    assert_eq!(found.len(), 1, "{argv:?}: {found:?}");
    found[0]
}

/// Profiles a shell script.
fn script(text: &str) -> Value {
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let status = local(&document, &["--", "/bin/sh", "-c", text])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{text}: {status}");
    read(&document)
}

#[test]
fn a_program_belongs_to_the_shell_that_started_it() {
    if !has_bpf() {
        return;
    }
    // A shell, a part of it that goes on by itself, and a part of that.
    let document =
        script("/bin/echo outer; ( /bin/echo inner; ( /bin/echo deep; true ); true ); true");
    let shells: Vec<&Value> = rows(&document, "processes")
        .filter(|row| row["argv"][0] == "/bin/sh")
        .collect();
    assert_eq!(shells.len(), 2, "{shells:?}");
    let (outer, inner) = if shells[0]["parent"].is_null() {
        (shells[0], shells[1])
    } else {
        (shells[1], shells[0])
    };
    assert_eq!(inner["parent"], outer["id"]);
    assert_eq!(inner["count"], 2);
    for (word, shell) in [("outer", outer), ("inner", inner), ("deep", inner)] {
        let echo = process(&document, &["/bin/echo", word]);
        assert_eq!(echo["parent"], shell["id"], "{echo}");
    }
}

#[test]
fn a_program_that_is_gone_removed_a_file_where_the_link_led() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    std::fs::create_dir(base.join("real")).unwrap();
    std::fs::write(base.join("real/file"), "").unwrap();
    std::os::unix::fs::symlink("real", base.join("link")).unwrap();
    let document = base.join("p.json");
    let status = local(&document, &["--", "/bin/rm"])
        .arg(base.join("link/file"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    let path = base.join("real/file").display().to_string();
    let removed = rows(&document, "files")
        .find(|row| row["operations"]["unlink"] == 1)
        .expect("a file was removed");
    assert_eq!(removed["path"], path.as_str());
}

#[test]
fn what_is_done_without_being_seen_makes_its_dimensions_partial() {
    if !has_bpf() {
        return;
    }
    for (name, argument, files) in [
        ("files", "asynchronous", true),
        ("calls", "socketcall", false),
    ] {
        let (_folder, base) = folder();
        let document = base.join("p.json");
        let status = local(&document, &["--"])
            .arg(workload::path(name, Linked::Static))
            .arg(argument)
            .status()
            .unwrap();
        // The kernel may not have it.
        if status.code() == Some(3) {
            continue;
        }
        assert!(status.success(), "{argument}: {status}");
        let document = read(&document);
        let of_files = if files { "partial" } else { "complete" };
        assert_eq!(state(&document, "files"), of_files, "{argument}");
        assert_eq!(state(&document, "network"), "partial", "{argument}");
        assert_eq!(document["completeness"]["complete"], false);
    }
}

#[test]
fn nothing_of_other_programs_is_in_the_profile() {
    if !has_bpf() {
        return;
    }
    let run = profile("calls", Linked::Dynamic);
    for dimension in ["syscalls", "files", "network", "processes", "capabilities"] {
        for row in rows(&run.document, dimension) {
            assert_eq!(row["exe"], run.exe.as_str(), "{row}");
        }
    }
}

#[test]
fn every_hook_is_proven_before_the_window_opens_and_the_cost_is_stated() {
    if !has_bpf() {
        return;
    }
    let run = profile("calls", Linked::Dynamic);
    for hook in run.document["nodes"][0]["hooks"].as_array().unwrap() {
        // What this machine lacks, in lockdown say, only adds facts; loading a module would leave traces.
        let is_needed = hook["tier"] == "base" && hook["name"] != "module_load";
        let reason = hook["reason"].as_str().unwrap_or_default();
        assert!(
            hook["state"] == "proven"
                || (!is_needed && (hook["state"] == "missing" || reason.starts_with("not tried"))),
            "{hook}"
        );
        assert_eq!(hook["missed"].as_u64().unwrap_or(0), 0, "{hook}");
    }
    let cost = &run.document["nodes"][0]["cost"];
    assert!(cost["rssBytes"].as_u64().unwrap() < 48 << 20, "{cost}");
    assert!(cost["mapBytes"].as_u64().unwrap() > 0, "{cost}");
    for dimension in ["processes", "syscalls", "files", "network", "events"] {
        assert_eq!(state(&run.document, dimension), "complete", "{dimension}");
    }
}

#[test]
fn only_a_signal_out_of_the_tree_is_an_event() {
    if !has_bpf() {
        return;
    }
    // The parent is the probe, which ignores it as the shell does.
    let document = script("kill -URG $PPID; kill -URG $$; ( kill -URG $$ ); kill -URG $PPID; true");
    let signals: Vec<&Value> = rows(&document, "events")
        .filter(|event| event["type"] == "signal")
        .collect();
    assert_eq!(signals.len(), 1, "{signals:?}");
    assert_eq!(signals[0]["count"], 2);
    assert_eq!(signals[0]["details"]["signal"], "SIGURG");
}

#[test]
fn the_probe_fits_into_a_config_map() {
    let size = std::fs::metadata(procmon_tests::probe()).unwrap().len();
    assert!(size < 1_040_000, "{size} bytes");
}

#[test]
fn two_windows_at_once_see_only_their_own() {
    if !has_bpf() {
        return;
    }
    let runs =
        ["calls", "files"].map(|name| std::thread::spawn(move || profile(name, Linked::Dynamic)));
    for run in runs {
        let run = run.join().unwrap();
        check_document(&run.document);
        check_truth(&run.document, &run.truth, &run.exe);
        assert!(rows(&run.document, "processes").all(|row| row["exe"] == run.exe.as_str()));
    }
}

/// A shell that runs /bin/true over and over until the test ends it.
fn busy_shell(prologue: &str) -> Running {
    let script = format!("{prologue}; while :; do /bin/true; sleep 0.02; done");
    Running::start(
        Command::new("/bin/sh")
            .args(["-c", &script])
            .stdout(Stdio::null())
            .process_group_of_its_own(),
    )
}

/// Puts a command into a process group of its own.
trait OwnGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

/// The profile of a busy shell: it ran before, and its children were seen.
fn check_busy_shell(document: &Value, shell: &Running) {
    check_document(document);
    let row = rows(document, "processes")
        .find(|row| row["argv"][1] == "-c")
        .expect("the shell has a row");
    assert_eq!(row["startedBefore"], true);
    assert_eq!(row["pids"][0], shell.id());
    let executed: u64 = rows(document, "processes")
        .filter(|row| row["argv"][0] == "/bin/true")
        .filter_map(|row| row["count"].as_u64())
        .sum();
    assert!(executed > 10, "{executed}");
    for row in rows(document, "processes") {
        assert!(
            ["/bin/sh", "/bin/true", "sleep"]
                .contains(&row["argv"][0].as_str().unwrap_or_default()),
            "{row}"
        );
    }
}

#[test]
fn a_running_process_is_followed_with_its_children() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let shell = busy_shell(":");
    let status = local(
        &document,
        &["--duration", "2s", "--pid", &shell.id().to_string()],
    )
    .status()
    .unwrap();
    assert!(status.success(), "{status}");
    check_busy_shell(&read(&document), &shell);
}

#[test]
fn a_cgroup_is_followed_with_those_below_it() {
    let root = cgroup_root();
    if !has_bpf() || !procmon_tests::has("bpf", root.is_some(), "needs a cgroup2 hierarchy") {
        return;
    }
    let cgroup = root
        .unwrap()
        .join(format!("procmon-test-{}", std::process::id()));
    std::fs::create_dir_all(cgroup.join("below")).unwrap();
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let shell = busy_shell(&format!(
        "echo $$ > {}/below/cgroup.procs",
        cgroup.display()
    ));
    wait_for("the shell to enter", SOON, || {
        std::fs::read_to_string(cgroup.join("below/cgroup.procs"))
            .is_ok_and(|text| !text.is_empty())
            .then_some(())
    });
    let status = local(
        &document,
        &["--duration", "2s", "--cgroup", cgroup.to_str().unwrap()],
    )
    .status()
    .unwrap();
    assert!(status.success(), "{status}");
    check_busy_shell(&read(&document), &shell);
    drop(shell);
    for folder in [cgroup.join("below"), cgroup] {
        wait_for("the cgroup to be empty", SOON, || {
            std::fs::remove_dir(&folder).ok()
        });
    }
}

/// A command that says when it runs, and waits to be told to end.
fn waiting_command(base: &Path) -> Vec<String> {
    let script = format!(
        "cd {} && : > begun && until [ -e stop ]; do sleep 0.02; done; : > ended; exit 5",
        base.display()
    );
    ["--", "/bin/sh", "-c", &script].map(str::to_owned).to_vec()
}

#[test]
fn an_interrupt_ends_the_window_early_and_spares_the_command() {
    if !has_bpf() {
        return;
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        ended_by(signal);
    }
}

fn ended_by(signal: libc::c_int) {
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let running =
        Running::start(local(&document, &["--duration", "60s"]).args(waiting_command(&base)));
    wait_for("the command", SOON, || {
        base.join("begun").exists().then_some(())
    });
    let began = Instant::now();
    running.signal(signal);
    wait_for("the document", SOON, || {
        std::fs::metadata(&document)
            .is_ok_and(|file| file.len() > 0)
            .then_some(())
    });
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(!base.join("ended").exists());
    std::fs::write(base.join("stop"), "").unwrap();
    assert_eq!(running.wait(SOON).code(), Some(5));
    assert!(base.join("ended").exists());
    let document = read(&document);
    assert_eq!(document["session"]["endedEarly"], true);
    check_document(&document);
}

#[test]
fn a_command_outlives_its_window_and_is_never_killed() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let running =
        Running::start(local(&document, &["--duration", "500ms"]).args(waiting_command(&base)));
    wait_for("the document", SOON, || {
        std::fs::metadata(&document)
            .is_ok_and(|file| file.len() > 0)
            .then_some(())
    });
    std::fs::write(base.join("stop"), "").unwrap();
    assert_eq!(running.wait(SOON).code(), Some(5));
    assert!(base.join("ended").exists());
    let document = read(&document);
    assert_eq!(document["session"]["endedEarly"], false);
    assert!(
        document["session"]["exit"].is_null(),
        "{}",
        document["session"]
    );
}

#[test]
fn the_commands_own_exit_code_and_output_are_passed_on() {
    if !has_bpf() {
        return;
    }
    let run = |args: &[&str], script: &str| {
        Command::new(plugin())
            .args(["profile", "--local", "-o", "name"])
            .args(args)
            .args(["--", "/bin/sh", "-c", script])
            .output()
            .unwrap()
    };
    let output = run(&[], "echo out; echo err >&2; exit 42");
    assert_eq!(output.status.code(), Some(42));
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("command//bin/sh -c"),
        "{output:?}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("out") && errors.contains("err"), "{errors}");
    let output = run(&["--output-file", "/dev/null"], "echo out; kill -9 $$");
    assert_eq!(output.status.code(), Some(128 + 9));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// This program is installed.
fn has_program(name: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin".into()])
        .any(|folder| folder.join(name).is_file());
    procmon_tests::has(
        "servers",
        found,
        &format!("needs {name}: tests/setup/packages.sh"),
    )
}

/// The only row of the server's own traffic on this port.
fn inbound(document: &Value, port: u16) -> &Value {
    let found: Vec<&Value> = rows(document, "network")
        .filter(|row| row["direction"] == "inbound" && row["local"]["port"] == port)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// Runs a script in a PID namespace of its own, where `$1` is the plugin: what counts or is set for a
/// namespace does not meet other tests. The last line that it prints, its errors.
fn in_namespace(script: &str) -> (String, String) {
    let output = Command::new("timeout")
        .args([
            "60",
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--mount-proc",
            "sh",
            "-c",
        ])
        .args([script, "sh"])
        .arg(plugin())
        .env_remove("PROCMON_CONCURRENT")
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        lines.lines().last().unwrap_or_default().to_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn secrets_of_a_command_are_not_in_the_arguments_of_the_probe() {
    if !has_bpf() {
        return;
    }
    // The parent of the command is the probe.
    let script = "tr '\\0' ' ' </proc/$PPID/cmdline; cat /proc/$PPID/comm";
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let output = local(&document, &["--", "/bin/sh", "-c", script, "hunter2"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        said.contains("--request-fd") && said.contains("procmon-"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(rows(&read(&document), "processes").count(), 3);
}

#[test]
fn a_machine_that_forbids_programs_in_memory_is_profiled() {
    if !has_bpf() {
        return;
    }
    // Linux 6.3.
    if !Path::new("/proc/sys/vm/memfd_noexec").exists() {
        return;
    }
    let profile = "\"$1\" profile --local -q -o name -- sh -c 'exit 7'; echo $?";
    for level in [0, 1, 2] {
        let script = format!("echo {level} >/proc/sys/vm/memfd_noexec && {profile}");
        let (last, errors) = in_namespace(&script);
        assert_eq!(last, "7", "{level}: {errors}");
    }
    // The plugin itself may lie below one of the folders that are hidden.
    let script = format!(
        "echo 2 >/proc/sys/vm/memfd_noexec && unset TMPDIR && exec 9<\"$1\" && set -- /proc/$$/fd/9 && \
         for folder in /tmp /var/tmp /run; do mount -t tmpfs -o noexec none $folder || exit; done; {profile}"
    );
    let (last, errors) = in_namespace(&script);
    assert_eq!(last, "2", "{errors}");
    for part in ["Permission denied", "may hold programs", "hint: set TMPDIR"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn a_second_session_waits_for_the_first_unless_it_is_told_not_to() {
    if !has_bpf() {
        return;
    }
    let (last, errors) = in_namespace(
        "\"$1\" profile --local -v -o name --duration 60s -- sleep 60 2>/tmp/first.$$ >/dev/null & first=$!
         until grep -q capturing /tmp/first.$$; do sleep 0.1; done; rm /tmp/first.$$
         \"$1\" profile --local -q -o name -- true; alone=$?
         \"$1\" profile --local -q -o json --concurrent -- true | grep -c '1 more capture'; beside=$?
         kill -INT $first; pkill -P $first sleep; wait $first
         \"$1\" profile --local -q -o name -- true; after=$?
         echo $alone $beside $after",
    );
    assert_eq!(last, "2 0 0", "{errors}");
    for part in [
        "process ",
        " captures on this kernel already: session ",
        "hint: wait until",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn only_a_probe_keeps_others_from_capturing() {
    if !has_bpf() || !has_program("perl") {
        return;
    }
    // Locks as a probe does, under the name and as the user that are given.
    let stranger = |name: &str, user: &str| {
        format!(
            "setpriv --reuid={user} --clear-groups perl -MFcntl -e '\
               open F, \"<\", \"/proc/self/ns/pid\" or die; $0 = \"{name}\"; \
               my $lock = pack(\"s s x4 q q i\", F_RDLCK, 0, 0, 1, 0); fcntl(F, F_SETLK, $lock) or die; \
               flock(F, 2) or die; print STDERR \"locked\\n\"; sleep 60' 2>/tmp/s.$$ & \
             until grep -q locked /tmp/s.$$; do sleep 0.1; done; rm /tmp/s.$$; \
             \"$1\" profile --local -q -o name -- true; echo $?"
        )
    };
    for (name, user, code) in [
        ("procmon-other", "0", "2"),
        ("procmon-other", "65534", "0"),
        ("other", "0", "0"),
    ] {
        let (last, errors) = in_namespace(&stranger(name, user));
        assert_eq!(last, code, "{name} {user}: {errors}");
    }
}

#[test]
fn probes_of_one_session_capture_beside_each_other() {
    if !has_bpf() {
        return;
    }
    let ask = |session: &str| {
        let argv = ["sleep", "2"].map(str::to_owned).to_vec();
        let mut request = procmon_tests::capture::request(TargetSpec::Command { argv }, None);
        session.clone_into(&mut request.session);
        request.concurrent = false;
        serde_json::to_string(&request).unwrap()
    };
    let probe = procmon_tests::probe().display().to_string();
    let (last, errors) = in_namespace(&format!(
        "{probe} '{one}' >/dev/null & sleep 1; {probe} '{one}' >/dev/null; same=$?; wait
         {probe} '{one}' >/dev/null & sleep 1; {probe} '{two}' >/dev/null; echo $same $?",
        one = ask("one"),
        two = ask("two"),
    ));
    assert_eq!(last, "0 2", "{errors}");
}

/// Runs a command under the plugin in an environment; its exit code, output and errors.
fn run_as(environment: &[(&str, &str)], args: &[&str], script: &str) -> (i32, String, String) {
    let (_folder, base) = folder();
    let output = local(&base.join("p.json"), args)
        .args(["--", "/bin/sh", "-c", script])
        .env_remove("SUDO_UID")
        .env_remove("SUDO_GID")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn under_sudo_a_command_runs_as_the_caller() {
    if !has_bpf() {
        return;
    }
    let sudo = [
        ("SUDO_UID", "65534"),
        ("SUDO_GID", "65534"),
        ("HOME", "/root"),
        ("USER", "root"),
    ];
    let who = "echo $(id -u) $(id -g) $(id -G) $HOME $USER $LOGNAME; grep -h Cap /proc/self/status";
    let (code, said, errors) = run_as(&sudo, &[], who);
    assert_eq!(code, 0, "{errors}");
    assert!(
        said.starts_with("65534 65534 65534 /nonexistent nobody nobody\n"),
        "{said}"
    );
    for set in ["CapPrm", "CapEff", "CapAmb"] {
        assert!(
            said.contains(&format!("{set}:\t0000000000000000")),
            "{said}"
        );
    }
    assert!(
        errors.contains("the command runs as nobody (65534:65534)\n"),
        "{errors}"
    );
    let first = |environment: &[(&str, &str)], args: &[&str]| {
        let (code, said, errors) = run_as(environment, args, who);
        assert_eq!(code, 0, "{errors}");
        let first = said.split(' ').next().unwrap().to_owned();
        (first, errors.contains("the command runs as"))
    };
    assert_eq!(first(&sudo, &["--as-root"]), ("0".to_owned(), false));
    assert_eq!(
        first(&sudo, &["--user", "daemon:1"]),
        ("1".to_owned(), true)
    );
    assert_eq!(first(&[], &[]), ("0".to_owned(), false));
    assert_eq!(
        first(&[], &["--user", "3999999999:7"]),
        ("3999999999".to_owned(), true)
    );
    // To the kernel this number means that nothing changes.
    for uid in ["4294967295", "-1", "me"] {
        let (code, said, errors) = run_as(&[("SUDO_UID", uid), ("SUDO_GID", "1")], &[], who);
        assert!(code == 2 && said.is_empty(), "{uid}: {said}");
        assert!(
            errors.contains("SUDO_UID") && errors.contains("hint: name the user"),
            "{errors}"
        );
    }
}

#[test]
fn a_program_that_only_root_may_execute_is_refused_to_another_user() {
    use std::os::unix::fs::PermissionsExt as _;
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let program = base.join("program");
    std::fs::copy("/bin/true", &program).unwrap();
    for (path, mode) in [(&base, 0o755), (&program, 0o700)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let document = base.join("p.json");
    let run = |program: &str, path: &str| {
        local(&document, &["-q", "--user", "nobody", "--", program])
            .env("PATH", path)
            .output()
            .unwrap()
    };
    let output = run(program.to_str().unwrap(), "/bin");
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"));
    assert!(!document.exists());
    // As execvp(3) does, it goes on to the next folder of PATH.
    std::fs::rename(&program, base.join("true")).unwrap();
    let output = run("true", &format!("{}:/usr/bin:/bin", base.display()));
    assert!(output.status.success(), "{output:?}");
    // That root became another user is not what the command did.
    let document = read(&document);
    assert_eq!(rows(&document, "events").count(), 0, "{document:#}");
    let used = rows(&document, "capabilities").any(|row| {
        let name = row["name"].as_str().unwrap();
        name.starts_with("CAP_SET")
    });
    assert!(!used, "{document:#}");
}

#[test]
fn a_window_that_timeout_ends_has_a_document() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let shell = busy_shell(":");
    // Signals its child, and then the group that both are in.
    let window = local(
        &document,
        &["--duration", "60s", "--pid", &shell.id().to_string()],
    );
    let mut command = Command::new("timeout");
    command
        .arg("4")
        .arg(window.get_program())
        .args(window.get_args());
    let status = command.status().unwrap();
    assert_eq!(status.code(), Some(124));
    let document = read(&document);
    assert_eq!(document["session"]["endedEarly"], true);
    check_busy_shell(&document, &shell);
}

#[test]
fn nginx_opens_its_file_and_writes_its_log_once_for_every_request() {
    const REQUESTS: u64 = 400;
    const REQUEST: &str = "GET /page.html HTTP/1.0\r\n\r\n";
    if !has_bpf() || !has_program("nginx") {
        return;
    }
    let (_folder, base) = folder();
    let (document, port) = (base.join("p.json"), free_port());
    let page = vec![b'p'; 3000];
    std::fs::write(base.join("page.html"), &page).unwrap();
    // The workers give up their rights, and still have to reach the page.
    Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(&base)
        .status()
        .unwrap();
    let here = base.display();
    let settings = format!(
        "daemon off; worker_processes 2; pid {here}/pid; error_log {here}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log {here}/access.log; sendfile off; server {{ listen 127.0.0.1:{port}; root {here}; }} }}\n"
    );
    std::fs::write(base.join("nginx.conf"), settings).unwrap();
    let running = Running::start(
        local(&document, &["--duration", "60s", "--", "nginx", "-c"])
            .arg(base.join("nginx.conf"))
            .env("PATH", "/usr/sbin:/usr/bin:/bin"),
    );
    let nginx = wait_for("nginx", SOON, || {
        std::fs::read_to_string(base.join("pid"))
            .ok()?
            .trim()
            .parse::<i32>()
            .ok()
    });
    for _ in 0..REQUESTS {
        let mut stream = wait_for("a connection", SOON, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        stream.write_all(REQUEST.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(&page));
    }
    assert!(
        Command::new("kill")
            .args(["-QUIT", &nginx.to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(running.wait(SOON).success());
    let document = read(&document);
    check_document(&document);
    let served = inbound(&document, port);
    assert_eq!(served["connections"], REQUESTS, "{served}");
    assert_eq!(
        served["bytesReceived"],
        REQUESTS * REQUEST.len() as u64,
        "{served}"
    );
    let file = |name: &str| {
        let path = base.join(name).display().to_string();
        rows(&document, "files")
            .find(|row| row["path"] == path.as_str())
            .unwrap_or_else(|| panic!("{path} has no row"))
    };
    let (page, log) = (file("page.html"), file("access.log"));
    assert_eq!(page["operations"]["open"], REQUESTS, "{page}");
    assert_eq!(page["bytesRead"], REQUESTS * 3000, "{page}");
    assert_eq!(log["operations"]["write"], REQUESTS, "{log}");
    assert_eq!(
        log["bytesWritten"],
        std::fs::metadata(base.join("access.log")).unwrap().len(),
        "{log}"
    );
}

#[test]
fn redis_counts_its_connections_and_bytes_as_we_do() {
    if !has_bpf() || !has_program("redis-server") || !has_program("redis-benchmark") {
        return;
    }
    let (_folder, base) = folder();
    let (document, port) = (base.join("p.json"), free_port());
    let text = port.to_string();
    let server = [
        "--duration",
        "60s",
        "--",
        "redis-server",
        "--port",
        &text,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
    ];
    let running = Running::start(local(&document, &server).arg(&base).stdout(Stdio::null()));
    // A connection that does not succeed is none of the server's.
    wait_for("redis", SOON, || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
    let load = Command::new("redis-benchmark")
        .args([
            "-p", &text, "-n", "20000", "-c", "10", "-t", "set,get", "-q",
        ])
        .output()
        .unwrap();
    assert!(load.status.success(), "{load:?}");
    let info = Command::new("redis-cli")
        .args(["-p", &text, "info", "stats"])
        .output()
        .unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    let number = |name: &str| -> u64 {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let _ = Command::new("redis-cli")
        .args(["-p", &text, "shutdown", "nosave"])
        .output()
        .unwrap();
    assert!(running.wait(SOON).success());
    let document = read(&document);
    check_document(&document);
    let served = inbound(&document, port);
    // One connection more tells the server to end.
    assert_eq!(
        served["connections"],
        number("total_connections_received") + 1,
        "{served}"
    );
    let last = served["bytesReceived"].as_u64().unwrap() - number("total_net_input_bytes");
    assert!(
        (20..200).contains(&last),
        "{last} bytes to tell it: {served}"
    );
    let version = rows(&document, "processes")
        .find(|row| row["argv"][0] == "redis-server")
        .expect("the server has a row");
    assert_eq!(version["exits"]["0"], 1, "{version}");
}

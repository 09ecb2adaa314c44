//! Shapes of work that are met in practice: what a profile has to say of each, and that no two ways
//! to it have two names.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::document::{read, rows, state};
use procmon_tests::profiled::{LOCAL, check_complete, folder, local};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{cgroup_root, has_bpf, plugin, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

fn shapes() -> PathBuf {
    workload::path("shapes", Linked::Dynamic)
}

/// Profiles by these arguments; the document, the exit code and what was written to standard output.
fn run(command: &mut Command, args: &[&str]) -> (Value, i32, String) {
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let output = command
        .args(LOCAL)
        .arg(&document)
        .arg("-q")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap_or(-1);
    assert!(document.exists(), "{args:?}: {code}: {errors}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (read(&document), code, said)
}

/// A shape that the plugin starts.
fn from_start(args: &[&str]) -> (Value, i32, String) {
    let exe = shapes().display().to_string();
    run(&mut Command::new(plugin()), &[&["--", &exe], args].concat())
}

/// A shape that runs already, and its process.
struct Before(Child);

impl Before {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    /// None: the kernel lacks what it needs.
    fn shape(args: &[&str]) -> Self {
        Self::start(Command::new(shapes()).args(args))
    }

    fn profile(&self) -> Value {
        let pid = self.0.id().to_string();
        run(
            &mut Command::new(plugin()),
            &["--pid", &pid, "--duration", "1s"],
        )
        .0
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Protocol and place of everything that listens.
fn listeners(document: &Value) -> BTreeSet<String> {
    rows(document, "network")
        .filter(|row| row["direction"] == "listen")
        .map(|row| {
            let local = &row["local"];
            let part = |name: &str| match &local[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            format!(
                "{} {}:{}{}",
                row["protocol"].as_str().unwrap(),
                part("address"),
                part("port"),
                part("path")
            )
        })
        .collect()
}

/// Where a path's row is, of one executable or of all.
fn file<'a>(document: &'a Value, path: &Path) -> &'a Value {
    let path = path.display().to_string();
    let found = rows(document, "files").find(|row| row["path"] == path.as_str());
    found.unwrap_or_else(|| panic!("no row of {path}"))
}

#[test]
fn in_a_pid_namespace_of_its_own_a_probe_sees_what_it_sees_outside() {
    if !has_bpf() {
        return;
    }
    let script = "cat /etc/hostname; /bin/true; /bin/true";
    let mut nested = Command::new("unshare");
    nested.args(["-pf", "--mount-proc"]).arg(plugin());
    let (document, code, _) = run(&mut nested, &["--", "sh", "-c", script]);
    assert_eq!(code, 0);
    check_complete(&document);
    let count: u64 = rows(&document, "processes")
        .map(|row| row["count"].as_u64().unwrap())
        .sum();
    assert_eq!(count, 4);
    let executions: u64 = rows(&document, "syscalls")
        .filter(|row| row["name"] == "execve")
        .map(|row| row["calls"].as_u64().unwrap())
        .sum();
    assert_eq!(executions, 4);
    // Numbers are those that `ps` shows there.
    for row in rows(&document, "processes") {
        assert!(row["pids"][0].as_u64().unwrap() < 1000, "{row}");
        assert!(!row["argv"].as_array().unwrap().is_empty(), "{row}");
    }
}

#[test]
fn in_a_pid_namespace_of_its_own_a_running_process_has_its_number_there() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    // The shell's child has the number that the shell tells. The network is its own: other tests
    // use the same ports.
    let script = format!(
        "{} bound 20 & pid=$!; sleep 1; {} profile --local -q -o json --output-file {} --pid $pid --duration 1s; \
         kill $pid",
        shapes().display(),
        plugin().display(),
        document.display()
    );
    let status = Command::new("unshare")
        .args(["-npf", "--mount-proc", "sh", "-c", &script])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    check_complete(&document);
    let row = rows(&document, "processes").next().unwrap();
    assert_eq!(row["argv"][1], "bound");
    assert!(row["pids"][0].as_u64().unwrap() < 1000, "{row}");
    assert!(listeners(&document).contains("udp 0.0.0.0:28500"));
}

#[test]
fn in_a_pid_namespace_of_its_own_a_cgroup_has_all_that_it_has_outside() {
    let root = cgroup_root();
    if !has_bpf() || !procmon_tests::has("bpf", root.is_some(), "needs a cgroup2 hierarchy") {
        return;
    }
    let root = root.unwrap();
    let (_folder, base) = folder();
    let profile = |from_outside: bool| {
        let cgroup = root.join(format!(
            "procmon-nested-{from_outside}-{}",
            std::process::id()
        ));
        let document = base.join(format!("{from_outside}.json"));
        // One of the cgroup's processes is of the namespace, the other one may be of the machine.
        let script = format!(
            "sh -c 'echo $$ > {0}/cgroup.procs; exec {1} bound 20' & sleep 1; \
             {2} profile --local -q -o json --output-file {3} --cgroup {0} --duration 1s; code=$?; kill $!; exit $code",
            cgroup.display(),
            shapes().display(),
            plugin().display(),
            document.display()
        );
        std::fs::create_dir(&cgroup).unwrap();
        let other = from_outside.then(|| {
            let script = format!(
                "echo $$ > {}/cgroup.procs; echo ready; exec sleep 60",
                cgroup.display()
            );
            Before::start(Command::new("sh").args(["-c", &script]))
        });
        let status = Command::new("unshare")
            .args(["-npf", "--mount-proc", "sh", "-c", &script])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        drop(other);
        wait_for("the cgroup to be empty", SOON, || {
            std::fs::remove_dir(&cgroup).ok()
        });
        assert!(status.success(), "{status}");
        read(&document)
    };
    let document = profile(false);
    check_complete(&document);
    let row = rows(&document, "processes").next().unwrap();
    assert_eq!(row["argv"][1], "bound", "{row}");
    assert!(listeners(&document).contains("udp 0.0.0.0:28500"));
    let document = profile(true);
    let completeness = &document["completeness"];
    assert_eq!(completeness["complete"], false, "{completeness:#}");
    assert!(
        completeness
            .to_string()
            .contains("so that they are not looked at: 1"),
        "{completeness:#}"
    );
}

#[test]
fn a_proc_of_another_pid_namespace_is_refused() {
    if !has_bpf() {
        return;
    }
    let output = Command::new("unshare")
        .args(["-pf"])
        .arg(plugin())
        .args(["profile", "--local", "--", "true"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("/proc shows another PID namespace"),
        "{errors}"
    );
}

#[test]
fn every_process_is_asked_what_it_listens_on() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let exe = shapes();
    let mut services = Command::new(&exe)
        .arg("services")
        .arg(&base)
        .arg("20")
        .spawn()
        .unwrap();
    wait_for("twenty services", SOON, || {
        let n_ready = std::fs::read_dir(&base).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("ready")
        });
        (n_ready.count() == 20).then_some(())
    });
    let pid = services.id().to_string();
    let (document, ..) = run(
        &mut Command::new(plugin()),
        &["--pid", &pid, "--duration", "1s"],
    );
    for row in rows(&document, "processes") {
        for pid in row["pids"].as_array().unwrap() {
            let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
            if u32::try_from(pid).unwrap() != services.id() {
                // SAFETY: a child of this test's own program.
                #[expect(unsafe_code, reason = "ends what it started")]
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                }
            }
        }
    }
    services.kill().unwrap();
    services.wait().unwrap();
    assert_eq!(state(&document, "network"), "complete");
    let of = |protocol: &str| {
        let all = listeners(&document);
        all.iter().filter(|text| text.starts_with(protocol)).count()
    };
    assert_eq!((of("tcp "), of("unix-stream ")), (20, 20));
}

#[test]
fn sockets_that_wait_for_datagrams_are_listeners_both_ways() {
    if !has_bpf() {
        return;
    }
    let expected: BTreeSet<String> = [
        "udp 0.0.0.0:28500",
        "udp :::28501",
        "unix-dgram :@bound-datagram",
    ]
    .map(str::to_owned)
    .into();
    let (document, ..) = from_start(&["bound", "1"]);
    check_complete(&document);
    assert_eq!(listeners(&document), expected);
    let document = Before::shape(&["bound", "20"]).profile();
    check_complete(&document);
    assert_eq!(listeners(&document), expected);
}

#[test]
fn a_client_that_chooses_its_port_is_no_listener_and_a_server_that_speaks_first_is_one() {
    if !has_bpf() {
        return;
    }
    let (document, ..) = from_start(&["clients"]);
    assert_eq!(listeners(&document), BTreeSet::new());
    let expected = BTreeSet::from(["udp 127.0.0.1:28530".to_owned()]);
    let exe = shapes().display().to_string();
    let args = ["--duration", "1s", "--", &exe, "sends-first", "3"];
    let (document, ..) = run(&mut Command::new(plugin()), &args);
    assert_eq!(listeners(&document), expected);
    let document = Before::shape(&["sends-first", "20"]).profile();
    assert_eq!(listeners(&document), expected);
}

#[test]
fn content_that_fallocate_takes_away_was_changed() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let path = base.join("file");
    std::fs::write(&path, vec![1; 100_000]).unwrap();
    // PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, COLLAPSE_RANGE, INSERT_RANGE; then within the size, with KEEP_SIZE
    // beyond it, and beyond it.
    let modes = [
        "3@0",
        "16@4096",
        "8@8192",
        "32@4096",
        "0@0",
        "1@1000000",
        "0@200000",
    ];
    let changes = [true, true, true, true, false, false, true];
    let path_text = path.display().to_string();
    let (document, _, said) = from_start(&[&["allocates", &path_text][..], &modes].concat());
    let worked: u64 = said
        .lines()
        .zip(changes)
        .filter(|(line, changes)| *line == "1" && *changes)
        .count()
        .try_into()
        .unwrap();
    assert!(worked > 0, "{said}");
    let row = file(&document, &path);
    assert_eq!(row["operations"]["truncate"], worked, "{row}");
    assert_eq!(row["bytesWritten"], 0);
}

#[test]
fn a_message_queue_is_a_file() {
    if !has_bpf() {
        return;
    }
    let name = format!("/procmon-{}", std::process::id());
    let (document, code, _) = from_start(&["queue", &name]);
    assert_eq!(code, 0);
    check_complete(&document);
    let row = file(&document, Path::new(&format!("/dev/mqueue{name}")));
    assert_eq!(
        row["operations"],
        json!({"open": 2, "create": 1, "read": 7, "write": 7, "unlink": 1})
    );
    assert_eq!(
        (&row["bytesRead"], &row["bytesWritten"]),
        (&json!(35), &json!(35))
    );
}

#[test]
fn virtual_machines_are_told_apart_by_context_id_and_port() {
    if !has_bpf() {
        return;
    }
    let (document, code, _) = from_start(&["vsock"]);
    if code == 3 {
        return;
    }
    let expected = ["vsock :1234", "vsock :1000000"].map(str::to_owned);
    assert_eq!(listeners(&document), expected.into());
    let row = rows(&document, "network")
        .find(|row| row["direction"] == "outbound")
        .unwrap();
    assert_eq!(row["remote"]["address"], "2");
    assert_eq!(row["remote"]["port"], 999);
    let failures: u64 = row["failures"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(failures, 1, "{row}");
}

#[test]
fn a_link_local_address_stands_with_its_link() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let script = format!(
        "set -e; ip link set lo up; for i in a b; do ip link add ${{i}}0 type veth peer name ${{i}}1; \
         for j in 0 1; do ip link set $i$j addrgenmode none; ip link set $i$j up; done; \
         ip -6 addr add fe80::1/64 dev ${{i}}0 nodad; done; sleep 0.5; \
         exec {} profile --local -q -o json --output-file {} -- {} links a0 3 b0 5",
        plugin().display(),
        document.display(),
        shapes().display()
    );
    let status = Command::new("unshare")
        .args(["-n", "sh", "-c", &script])
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    for (link, count) in [("a0", 3), ("b0", 5)] {
        let address = format!("fe80::1%{link}");
        let of = |protocol: &str| {
            let mut all = rows(&document, "network");
            let row = all.find(|row| {
                row["direction"] == "outbound"
                    && row["protocol"] == protocol
                    && row["remote"]["address"] == address.as_str()
            });
            row.unwrap_or_else(|| panic!("no {protocol} row of {address}"))
        };
        assert_eq!(of("tcp")["connections"], count);
        assert_eq!(of("tcp")["bytesSent"], count * 100);
        assert_eq!(of("udp")["datagramsSent"], 1);
    }
}

#[test]
fn what_nobody_looks_at_is_said() {
    if !has_bpf() {
        return;
    }
    let unseen = |document: &Value, dimension: &str| {
        document["completeness"]["dimensions"][dimension]["notLookedAt"].clone()
    };
    let (document, ..) = from_start(&["shares-memory"]);
    assert_eq!(
        unseen(&document, "files"),
        json!(["System V shared memory (shmat)"])
    );
    let (_folder, base) = folder();
    let known: Vec<Value> = (0..2).map(|_| from_start(&["clients"]).0).collect();
    let told = |known: &[Value]| {
        let rows = diff(&base, &save(&base, "known", known), &document);
        let mut rows = rows.iter();
        rows.any(|row| row["key"] == "System V shared memory (shmat): used, and not looked at")
    };
    assert!(told(&known));
    assert!(!told(std::slice::from_ref(&document)));
    assert_eq!(unseen(&document, "network"), Value::Null);
    // AF_ALG, which takes SOCK_SEQPACKET.
    let (document, code, _) = from_start(&["family", "38"]);
    if code == 0 {
        assert_eq!(unseen(&document, "network"), json!(["sockets of AF_ALG"]));
    }
}

#[test]
fn a_socket_that_a_command_inherits_is_its_listener() {
    if !has_bpf() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_folder, base) = folder();
    let document = base.join("p.json");
    let script = format!(
        "exec {} profile --local -q -o json --output-file {} -- {} accepts 3<&0 </dev/null",
        plugin().display(),
        document.display(),
        shapes().display()
    );
    let status = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    let expected = BTreeSet::from([format!("tcp 127.0.0.1:{port}")]);
    assert_eq!(listeners(&document), expected);
    let row = rows(&document, "network")
        .find(|row| row["direction"] == "listen")
        .unwrap();
    assert_eq!(row["exe"], shapes().display().to_string().as_str());
}

#[test]
fn a_listener_has_one_name_however_a_window_came_to_it() {
    if !has_bpf() {
        return;
    }
    // IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_MPTCP.
    for protocol in ["6", "132", "262"] {
        let (start, code, _) = from_start(&["serves", "1", protocol]);
        if code == 3 {
            continue;
        }
        let attached = Before::shape(&["serves", "20", protocol]).profile();
        assert_eq!(listeners(&start), listeners(&attached));
        assert_eq!(listeners(&start).len(), 1);
    }
}

/// A baseline of these documents.
fn save(base: &Path, name: &str, documents: &[Value]) -> PathBuf {
    let baseline = base.join(format!("{name}.yaml"));
    let mut command = Command::new(plugin());
    command.args(["baseline", "save"]).arg(&baseline);
    for (number, document) in documents.iter().enumerate() {
        let path = base.join(format!("{name}{number}.json"));
        std::fs::write(&path, document.to_string()).unwrap();
        command.arg("--from").arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    baseline
}

/// The rows by which a document differs from a baseline.
fn diff(base: &Path, baseline: &Path, document: &Value) -> Vec<Value> {
    let path = base.join("compared.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let output = Command::new(plugin())
        .args(["diff", "-o", "json"])
        .arg(baseline)
        .arg(&path)
        .output()
        .unwrap();
    let drift: Value = serde_json::from_slice(&output.stdout).unwrap();
    drift["rows"].as_array().unwrap().clone()
}

#[test]
fn a_title_and_the_command_line_behind_it_are_one_program() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let args = ["titled", "1", "shapes: master process"];
    let starts: Vec<Value> = (0..3).map(|_| from_start(&args).0).collect();
    let row = rows(&starts[0], "processes").next().unwrap();
    assert_eq!(row["titles"], json!(["shapes: master process"]), "{row}");
    let before = Before::shape(&["titled", "20", "shapes: master process"]);
    let attached: Vec<Value> = (0..3).map(|_| before.profile()).collect();
    drop(before);
    let from_starts = save(&base, "starts", &starts);
    let drift = |baseline: &Path, document: &Value| {
        let mut rows = diff(&base, baseline, document);
        rows.retain(|row| row["dimension"] == "processes" && row["severity"] != "info");
        rows
    };
    assert_eq!(drift(&from_starts, &attached[0]), Vec::<Value>::new());
    let from_attached = save(&base, "attached", &attached);
    assert_eq!(drift(&from_attached, &starts[0]), Vec::<Value>::new());
    // Other arguments behind the same title are others.
    let (other, ..) = from_start(&["titled", "2", "shapes: master process"]);
    assert_eq!(drift(&from_starts, &other).len(), 1);
}

#[test]
fn a_name_is_not_looked_up_among_the_mounts_of_others() {
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    std::os::unix::fs::symlink("/etc", base.join("link")).unwrap();
    let link = base.join("link");
    let script = format!(
        "mount -t tmpfs none {0}; mkdir {0}/link; for i in 1 2 3; do echo x > {0}/link/passwd; \
         mv {0}/link/passwd {0}/link/shadow; rm {0}/link/shadow; done",
        base.display()
    );
    let (_other, elsewhere) = folder();
    let document = elsewhere.join("p.json");
    let status = local(&document, &["-q"])
        .args(["--", "unshare", "-m", "sh", "-c", &script])
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    let changed: BTreeSet<&str> = rows(&document, "files")
        .filter(|row| {
            let operations = &row["operations"];
            !operations["rename"].is_null() || !operations["unlink"].is_null()
        })
        .map(|row| row["path"].as_str().unwrap())
        .collect();
    let expected = ["passwd", "shadow"].map(|name| link.join(name).display().to_string());
    assert_eq!(changed, expected.iter().map(String::as_str).collect());
}

#[test]
fn who_observes_is_no_part_of_a_target() {
    let root = cgroup_root();
    if !has_bpf() || !procmon_tests::has("bpf", root.is_some(), "needs a cgroup2 hierarchy") {
        return;
    }
    let root = root.unwrap();
    let cgroup = root.join(format!("procmon-shapes-{}", std::process::id()));
    let (_folder, base) = folder();
    let document = base.join("p.json");
    // As in a login session: the shell, a program of it, and the plugin are in one cgroup.
    let script = format!(
        "mkdir {0}; echo $$ > {0}/cgroup.procs; while cat /etc/hostname >/dev/null; do sleep 0.1; done & \
         {1} profile --local -q -o json --output-file {2} --cgroup {0} --duration 1s; code=$?; kill $!; wait; \
         echo $$ > {3}/cgroup.procs; rmdir {0}; exit $code",
        cgroup.display(),
        plugin().display(),
        document.display(),
        root.display()
    );
    let status = Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(status.success(), "{status}");
    let document = read(&document);
    check_complete(&document);
    for dimension in ["processes", "syscalls", "files", "events"] {
        for row in rows(&document, dimension) {
            let exe = row["exe"].as_str().unwrap_or_default();
            assert!(!exe.contains("procmon"), "{row}");
            assert_ne!(row["type"], "bpf", "{row}");
        }
    }
    assert!(rows(&document, "processes").any(|row| row["argv"][0] == "cat"));
}

/// Tests may have been started with signals ignored.
fn with_default_signals(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: the child calls nothing else before it executes its program.
    #[expect(unsafe_code, reason = "the default of signals")]
    unsafe {
        command.pre_exec(|| {
            for signal in [
                libc::SIGINT,
                libc::SIGTERM,
                libc::SIGPIPE,
                libc::SIGHUP,
                libc::SIGUSR1,
            ] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        })
    }
}

/// A script that starts with signals ignored, as its caller has it.
fn signals(trap: &str, script: &str) -> (i32, String) {
    let (_folder, base) = folder();
    let command = format!(
        "{trap} exec {} profile --local -q -o json --output-file {} -- sh -c '{script}'",
        plugin().display(),
        base.join("p.json").display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]);
    let output = with_default_signals(&mut shell).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn a_command_ignores_the_signals_that_its_caller_ignores_and_no_others() {
    if !has_bpf() {
        return;
    }
    for signal in ["INT", "TERM", "PIPE", "HUP", "USR1"] {
        let script = format!("kill -{signal} $$; echo survived");
        let (code, said) = signals(&format!("trap \"\" {signal};"), &script);
        assert_eq!((code, said.as_str()), (0, "survived\n"), "{signal}");
        let (code, said) = signals("", &script);
        assert_ne!((code, said.as_str()), (0, "survived\n"), "{signal}");
    }
    let script = "grep SigIgn /proc/self/status";
    let mut shell = Command::new("sh");
    let caller = with_default_signals(shell.args(["-c", script]))
        .output()
        .unwrap();
    let (_, said) = signals("", script);
    assert_eq!(said.as_bytes(), caller.stdout);
}

#[test]
fn the_script_between_a_program_and_a_script_was_executed_too() {
    use std::os::unix::fs::PermissionsExt as _;
    if !has_bpf() {
        return;
    }
    let (_folder, base) = folder();
    let (inner, outer) = (base.join("inner"), base.join("outer"));
    std::fs::write(&inner, "#!/bin/sh -e\nexit 0\n").unwrap();
    std::fs::write(&outer, format!("#!{} argument\n", inner.display())).unwrap();
    for script in [&inner, &outer] {
        std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let outer_text = outer.display().to_string();
    let (document, code, _) = run(&mut Command::new(plugin()), &["--", &outer_text]);
    assert_eq!(code, 0);
    for script in [&inner, &outer] {
        assert_eq!(file(&document, script)["operations"]["exec"], 1);
    }
}

#[test]
fn a_low_limit_of_open_files_is_named() {
    if !has_bpf() {
        return;
    }
    for limit in ["40", "64", "80"] {
        let script = format!(
            "ulimit -n {limit}; exec {} profile --local -- true",
            plugin().display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{limit}: {errors}");
        assert!(errors.contains("open files"), "{limit}: {errors}");
        assert!(errors.contains("ulimit -n"), "{limit}: {errors}");
    }
    // The soft limit alone is not an obstacle, and the command keeps it.
    let script = format!(
        "ulimit -Sn 64; exec {} profile --local -q -o json --output-file /dev/null -- sh -c 'ulimit -Sn'",
        plugin().display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "64\n",
        "{output:?}"
    );
}

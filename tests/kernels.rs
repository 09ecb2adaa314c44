//! The built probe in guests with other kernels, with every tier of hooks: it loads, attaches and
//! counts there. docs/kernels.md is written from what is seen: `PROCMON_WRITE_DOCS=1` writes it, else
//! it is compared.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::{Session, Tier};
use procmon_profile::wire::{Decoder, Limits, Request, TargetSpec};
use procmon_tests::document::{as_written, check_truth, check_truth_at_most, rows, state};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{has, probe, root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// The kernels of tests/vm/kernels.txt that `make test` fetches, oldest first.
const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];
/// Best first.
const TIERS: [Tier; 3] = [Tier::Trampoline, Tier::Kprobe, Tier::Base];
/// Guests that run at one time.
const GUESTS: usize = 2;

/// The marks that the guest prints before the result of one workload, and before its truth.
const RUN: &str = "@run ";
const TRUTH: &str = "@truth ";

/// The workload of many processes at a time.
const CROWD: &str = "crowd";
/// The workload that loads a kernel module.
const MODULE: &str = "module";

/// The result of one workload.
struct Run {
    workload: String,
    document: Value,
    truth: Value,
    exe: String,
}

/// One start of one kernel.
struct Guest {
    kernel: &'static str,
    tier: Tier,
    runs: Vec<Run>,
}

impl Guest {
    fn name(&self) -> String {
        format!("{} {}", self.kernel, tier_name(self.tier))
    }

    fn document(&self, workload: &str) -> &Value {
        let run = self.runs.iter().find(|run| run.workload == workload);
        &run.unwrap_or_else(|| panic!("{}: no {workload}", self.name()))
            .document
    }

    fn hooks(&self) -> &Vec<Value> {
        self.document("files")["nodes"][0]["hooks"]
            .as_array()
            .unwrap()
    }
}

fn tier_name(tier: Tier) -> String {
    let name = serde_json::to_value(tier).unwrap();
    name.as_str().unwrap().to_owned()
}

fn workloads(tier: Tier) -> &'static [&'static str] {
    match tier {
        Tier::Trampoline => &[
            "calls",
            "files",
            "net",
            "processes",
            "credentials",
            "settled",
            MODULE,
        ],
        Tier::Kprobe => &["files", "credentials", "settled"],
        Tier::Base => &["files", "net", "credentials", "names", CROWD],
    }
}

/// A module of the kernel that needs no other, unpacked.
fn module(kernel: &str, folder: &std::path::Path) -> PathBuf {
    let cache = std::env::var_os("PROCMON_VM_CACHE").map_or_else(
        || {
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
                || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
                PathBuf::from,
            );
            cache.join("kubectl-procmon/vm")
        },
        PathBuf::from,
    );
    let modules = cache.join(kernel).join("modules/lib/modules");
    let release = std::fs::read_dir(&modules).unwrap().next().unwrap();
    let file = release.unwrap().path().join("kernel/drivers/net/dummy.ko");
    if file.exists() {
        return file;
    }
    let output = Command::new("xz")
        .arg("-dc")
        .arg(file.with_extension("ko.xz"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", file.display());
    let unpacked = folder.join("dummy.ko");
    std::fs::write(&unpacked, output.stdout).unwrap();
    unpacked
}

/// Profiles static workloads in a guest.
fn start(kernel: &'static str, tier: Tier) -> Guest {
    let folder = tempfile::tempdir().unwrap();
    let mut files = vec![format!("{}:probe", probe().display())];
    let mut script = String::new();
    for name in workloads(tier) {
        let (argv, truth) = if *name == MODULE {
            files.push(format!(
                "{}:dummy.ko",
                module(kernel, folder.path()).display()
            ));
            let truth = json!({"events": [{"type": "moduleLoad", "count": 1, "details": {"name": "dummy"}}]});
            (
                vec!["/bin/insmod".to_owned(), "/host/dummy.ko".to_owned()],
                format!("echo '{truth}' >/tmp/truth;"),
            )
        } else {
            files.push(workload::path(name, Linked::Static).display().to_string());
            (
                vec![format!("/host/workload-{name}"), format!("/tmp/{name}")],
                String::new(),
            )
        };
        let request = Request {
            node: Some("guest".to_owned()),
            deadline_seconds: Some(200.0),
            limits: Limits {
                tier: Some(tier),
                ..Limits::default()
            },
            concurrent: true,
            ..Request::new("kernels", TargetSpec::Command { argv })
        };
        writeln!(
            script,
            "mkdir /tmp/{name}; rm -f /tmp/truth; {truth} echo '{RUN}{name}'; \
             PROCMON_TRUTH=/tmp/truth /host/probe '{}'; echo; echo \"{TRUTH}$(cat /tmp/truth)\"",
            serde_json::to_string(&request).unwrap()
        )
        .unwrap();
    }
    let script_file = folder.path().join("script");
    std::fs::write(&script_file, script).unwrap();
    files.push(format!("{}:script", script_file.display()));
    let output = Command::new(root().join("tests/vm/run-in-vm.sh"))
        .args(["-m", "1024", "-t", "300"])
        .args(files.iter().flat_map(|file| ["-f", file.as_str()]))
        .args([kernel, "--", "/bin/sh", "/host/script"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = || {
        format!(
            "{kernel} {}: {text}\n{}",
            tier_name(tier),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let runs: Vec<Run> = text
        .split(RUN)
        .skip(1)
        .map(|part| run(part, &said))
        .collect();
    assert_eq!(runs.len(), workloads(tier).len(), "{}", said());
    Guest { kernel, tier, runs }
}

fn run(part: &str, said: &impl Fn() -> String) -> Run {
    let (workload, rest) = part.split_once('\n').unwrap();
    let mut decoder = Decoder::default();
    for line in rest.lines().filter(|line| line.starts_with("{\"seq\"")) {
        decoder.line(line.as_bytes()).unwrap();
    }
    assert!(
        decoder.failure().is_none(),
        "{:?}\n{}",
        decoder.failure(),
        said()
    );
    assert!(decoder.ended(), "{}", said());
    let capture = NodeCapture::read("guest".into(), decoder, None);
    let truth = rest
        .lines()
        .find_map(|line| line.strip_prefix(TRUTH))
        .unwrap_or_else(|| panic!("no truth: {}", said()));
    Run {
        workload: workload.to_owned(),
        document: serde_json::to_value(merge(Session::default(), vec![capture])).unwrap(),
        truth: as_written(
            &serde_json::from_str(truth)
                .unwrap_or_else(|error| panic!("{workload}: {error}: {}", said())),
        ),
        exe: format!("/host/workload-{workload}"),
    }
}

/// Programs of this kernel can be preempted: hooks may be skipped meanwhile.
fn is_preemptible(kernel: &str) -> bool {
    kernel == "7.3"
}

fn check(guest: &Guest) {
    for run in &guest.runs {
        let name = format!("{}: {}", guest.name(), run.workload);
        let session = &run.document["session"];
        assert_eq!(session["endedEarly"], false, "{name}: {session}");
        let node = &run.document["nodes"][0];
        let kernel = node["kernel"].as_str().unwrap();
        assert!(kernel.starts_with(guest.kernel), "{name}: {kernel}");
        // A hook that this kernel lacks is named; none of the others may stay silent.
        for hook in node["hooks"].as_array().unwrap() {
            check_hook(guest, hook);
        }
        let is_skipped = check_completeness(guest, &run.document, &name);
        if run.workload == MODULE {
            check_truth(&run.document, &run.truth, "/bin/busybox");
            assert_eq!(of_type(&run.document, "moduleLoad"), 1, "{name}");
            continue;
        }
        if matches!(run.workload.as_str(), "calls" | "files" | "net") {
            for dimension in ["processes", "syscalls", "files", "network"] {
                assert!(
                    rows(&run.document, dimension).all(|row| row["exe"] == run.exe.as_str()),
                    "{name}: {dimension}"
                );
            }
        }
        let mut truth = run.truth.clone();
        if state(&run.document, "capabilities") == "missing" {
            truth.as_object_mut().unwrap().remove("capabilities");
        }
        if guest.tier == Tier::Base {
            for row in truth["files"].as_array_mut().into_iter().flatten() {
                // Where only the argument names a failed opening, the row says so.
                if row["nameSource"] == "settled" && row["operations"] == json!({}) {
                    row["nameSource"] = "argument".into();
                }
            }
        }
        if is_skipped {
            check_truth_at_most(&run.document, &truth, &run.exe);
        } else {
            check_truth(&run.document, &truth, &run.exe);
            check_names(guest, run);
        }
        if run.workload == CROWD {
            check_crowd(&run.document, &truth, &name);
        }
        if run.workload == "settled" {
            assert_eq!(of_type(&run.document, "signal"), 1, "{name}");
        }
        if run.workload == "credentials" {
            check_capabilities(guest, run);
        }
    }
}

/// Also where hooks were skipped, nothing is said of the wrong file or peer: only connecting fails, and no
/// other peer is there.
fn check_crowd(document: &Value, truth: &Value, name: &str) {
    let foreign: Vec<&Value> = rows(document, "files")
        .filter(|row| row["errors"] != json!({}))
        .chain(rows(document, "network").filter(|row| {
            let stated = truth["network"].as_array().unwrap();
            !stated.iter().any(|one| row["remote"] == one["remote"])
        }))
        .collect();
    assert!(foreign.is_empty(), "{name}: {foreign:?}");
}

/// Rows of events of one type.
fn of_type(document: &Value, event: &str) -> usize {
    rows(document, "events")
        .filter(|row| row["type"] == event)
        .count()
}

fn check_hook(guest: &Guest, hook: &Value) {
    const NOT_TRIED: [&str; 2] = ["module_load", "security_kernel_module_request"];
    let name = hook["name"].as_str().unwrap();
    let is_above = |tier: &Value| {
        TIERS
            .iter()
            .position(|known| *tier == tier_name(*known))
            .unwrap()
            < TIERS.iter().position(|known| *known == guest.tier).unwrap()
    };
    match hook["state"].as_str().unwrap() {
        "proven" => assert!(!is_above(&hook["tier"]), "{}: {hook}", guest.name()),
        "attached" => assert!(NOT_TRIED.contains(&name), "{}: {hook}", guest.name()),
        _ => {
            // Before 5.19 requests of io_uring have no address in their hooks.
            let is_known = name.starts_with("io_uring_") && guest.name().starts_with("5.10");
            assert!(
                guest.tier == Tier::Base || is_known,
                "{}: {hook}",
                guest.name()
            );
        }
    }
}

/// Whether a hook was skipped, which only a kernel that preempts programs may do.
fn check_completeness(guest: &Guest, document: &Value, name: &str) -> bool {
    let mut is_skipped = false;
    for (dimension, found) in document["completeness"]["dimensions"].as_object().unwrap() {
        match found["state"].as_str().unwrap() {
            "complete" => {}
            "missing" => assert!(
                dimension == "dns" || (dimension == "capabilities" && guest.tier == Tier::Base),
                "{name}: {dimension}: {found}"
            ),
            _ => {
                for reason in found["reasons"].as_array().unwrap() {
                    let reason = reason.as_str().unwrap();
                    assert!(
                        is_preemptible(guest.kernel)
                            && reason.starts_with("hook ")
                            && reason.contains(" was skipped: "),
                        "{name}: {dimension}: {reason}"
                    );
                }
                is_skipped = true;
            }
        }
    }
    is_skipped
}

/// Names that no descriptor tells are the kernel's own where a hook settles them.
fn check_names(guest: &Guest, run: &Run) {
    const BY_NAME: [&str; 7] = [
        "unlink", "rename", "link", "symlink", "mkdir", "rmdir", "mknod",
    ];
    let missed = guest
        .hooks()
        .iter()
        .any(|hook| hook["missed"].as_u64().unwrap_or(0) > 0);
    let wanted = if guest.tier == Tier::Base {
        "argument"
    } else {
        "settled"
    };
    for row in rows(&run.document, "files") {
        let operations = row["operations"].as_object().unwrap();
        let is_by_name = !operations.is_empty()
            && row["errors"] == json!({})
            && operations
                .keys()
                .all(|operation| BY_NAME.contains(&operation.as_str()))
            || row["path"] == "/nonexistent/procmon";
        if is_by_name && !(missed && is_preemptible(guest.kernel)) {
            assert_eq!(row["nameSource"], wanted, "{}: {row}", guest.name());
        }
    }
}

/// The function tells checks from probes, and mapping memory asks for nothing.
fn check_capabilities(guest: &Guest, run: &Run) {
    for row in rows(&run.document, "capabilities") {
        let method = if guest.tier == Tier::Base {
            "tracepoint"
        } else {
            "hook"
        };
        assert_eq!(row["method"], method, "{}: {row}", guest.name());
        assert_eq!(
            row["probed"].is_null(),
            guest.tier == Tier::Base,
            "{}: {row}",
            guest.name()
        );
    }
}

/// One entry of the table of hooks: names of one thing share a line.
fn line_of(hook: &str) -> (&str, &'static str) {
    match hook {
        "sys_enter" | "sys_exit" => (hook, "system calls, and what they do to files and peers"),
        "task_newtask" | "sched_process_exec" | "sched_process_exit" | "sched_process_free" => {
            (hook, "processes")
        }
        "inet_sock_set_state" | "tcp_destroy_sock" => (hook, "connections that end later"),
        "signal_generate" => (hook, "signals out of the target"),
        "module_load" => (hook, "names of loaded modules"),
        "security_kernel_module_request" => (hook, "modules that the kernel asks for"),
        "security_capable" | "cap_capable" => ("security_capable, cap_capable", "capabilities"),
        "do_filp_open" | "do_file_open" => (
            "do_filp_open, do_file_open",
            "names of openings and executions that failed",
        ),
        "io_uring_submit_req" | "io_uring_submit_sqe" => (
            "io_uring_submit_req, io_uring_submit_sqe",
            "names in requests of io_uring",
        ),
        "io_uring_complete" => (hook, "what requests of io_uring did"),
        "socket_filter" => (hook, "DNS and TLS server names"),
        "sendmsg4" | "sendmsg6" => (hook, "where datagrams of unconnected sockets go"),
        _ if hook.starts_with("security_path_") => (hook, "settled names"),
        _ => panic!("say here what {hook} tells"),
    }
}

fn hooks_table(guests: &[Guest]) -> String {
    let mut lines: BTreeMap<(&str, &str), BTreeMap<&str, String>> = BTreeMap::new();
    for guest in guests.iter().filter(|guest| guest.tier == TIERS[0]) {
        for hook in guest.hooks() {
            let name = hook["name"].as_str().unwrap();
            let line = line_of(name);
            let mut text = format!(
                "{}, {}",
                hook["tier"].as_str().unwrap(),
                hook["state"].as_str().unwrap()
            );
            if line.0 != name {
                write!(text, " ({name})").unwrap();
            }
            lines.entry(line).or_default().insert(guest.kernel, text);
        }
    }
    let mut table = format!(
        "| hook | tells | {} |\n|---|---|{}\n",
        KERNELS.join(" | "),
        "---|".repeat(KERNELS.len())
    );
    for ((name, tells), kernels) in lines {
        let cells: Vec<&str> = KERNELS
            .iter()
            .map(|kernel| kernels.get(kernel).map_or("–", String::as_str))
            .collect();
        writeln!(table, "| {name} | {tells} | {} |", cells.join(" | ")).unwrap();
    }
    table
}

fn lacks_table(guests: &[Guest]) -> String {
    let mut table = "| kernel | best tier | capabilities | names of unlink, rename, … | names of failed opens | lacks |\n|---|---|---|---|---|---|\n".to_owned();
    for guest in guests {
        let files = guest.document("files");
        let source = |what: &str| {
            let found =
                rows(files, "files").find(|row| row["path"].as_str().unwrap().ends_with(what));
            let source = &found.unwrap_or_else(|| panic!("no {what}"))["nameSource"];
            source.as_str().unwrap().to_owned()
        };
        let capabilities = rows(guest.document("credentials"), "capabilities")
            .next()
            .map_or("missing", |row| row["method"].as_str().unwrap());
        let lacking: Vec<&str> = guest
            .hooks()
            .iter()
            .filter(|hook| hook["state"] == "missing")
            .map(|hook| line_of(hook["name"].as_str().unwrap()).0)
            .collect();
        let lacking = match lacking.len() {
            0 => "nothing".to_owned(),
            _ if lacking
                .iter()
                .all(|name| name.starts_with("security_") || name.starts_with("do_")) =>
            {
                "every hook on a function".to_owned()
            }
            _ => lacking.join(", "),
        };
        writeln!(
            table,
            "| {} | {} | {capabilities} | {} | {} | {lacking} |",
            guest.kernel,
            tier_name(guest.tier),
            source("/n/sub"),
            source("/n/fifo/x"),
        )
        .unwrap();
    }
    table
}

/// docs/kernels.md, from what the guests gave.
fn page(guests: &[Guest]) -> String {
    format!(
        "# Kernels\n\n\
<!-- Written by tests/kernels.rs: PROCMON_WRITE_DOCS=1 cargo test --package procmon-tests --test kernels -->\n\n\
The findings of the probe in guests with Debian's cloud kernels (amd64), each profiling workloads that know\n\
what they do. Counts were equal to theirs on every kernel and tier; from 6.19 on a program can be\n\
preempted, and then its hook is skipped for others on that CPU: such a profile says `partial`, names\n\
the hook, and its counts are too low at most.\n\n\
Hooks have three tiers, and each takes the best that loads and attaches, whatever the version:\n\
`trampoline` (fentry, fexit), `kprobe`, `base` (raw tracepoints, typed or not, which every kernel with\n\
BTF has, in lockdown too). The base tier is whole by itself; the others add what only they can know. `proven`: the\n\
probe did the thing itself before the window and saw it. `attached`: it would have loaded a module.\n\n\
## Hooks\n\n{}\n\
Where labels follow cgroups, cgroup_attach_task and cgroup_mkdir come in addition (base).\n\n\
## What is lacking without a tier\n\n\
A test switch of the probe's request, `limits.tier`, kept the better tiers from being tried.\n\n{}\n\
`capabilities`: `hook` tells checks from mere probes; `tracepoint` (cap_capable, since 6.14) does not;\n\
`missing` where neither is there. `settled` names are the kernel's own: a thread that changes the\n\
argument meanwhile misleads nobody; with `argument` it can. Calls that fail before the kernel has\n\
settled a name (ENOENT of unlink, EEXIST of mkdir), and setxattr, have the argument's on every tier.\n\
Kprobes on returns can run out when very many tasks wait in one function: those failed openings have the\n\
argument's name.\n",
        hooks_table(guests),
        lacks_table(guests)
    )
}

fn check_page(guests: &[Guest]) {
    let path = root().join("docs/kernels.md");
    let page = page(guests);
    if std::env::var_os("PROCMON_WRITE_DOCS").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, page,
        "docs/kernels.md is stale: PROCMON_WRITE_DOCS=1 writes it"
    );
}

#[test]
fn every_kernel_counts_exactly_with_every_tier() {
    let has_qemu = Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .is_ok();
    if !has("kernels", has_qemu, "needs qemu-system-x86_64") {
        return;
    }
    // Built before guests compete for the processors.
    let _ = workload::path("calls", Linked::Static);
    let jobs: Vec<_> = KERNELS
        .iter()
        .flat_map(|kernel| TIERS.map(|tier| (*kernel, tier)))
        .collect();
    let next = Mutex::new(jobs.iter().enumerate());
    let guests = Mutex::new(Vec::new());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..GUESTS {
            scope.spawn(|| {
                loop {
                    let job = next.lock().unwrap().next();
                    let Some((number, (kernel, tier))) = job else {
                        return;
                    };
                    // A guest that fails must not hide what the others say.
                    let result = std::panic::catch_unwind(|| {
                        let guest = start(kernel, *tier);
                        check(&guest);
                        guest
                    });
                    match result {
                        Ok(guest) => guests.lock().unwrap().push((number, guest)),
                        Err(_) => failed.lock().unwrap().push((kernel, tier)),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}: the reasons are above");
    let mut guests = guests.into_inner().unwrap();
    guests.sort_by_key(|(number, _)| *number);
    let guests: Vec<Guest> = guests.into_iter().map(|(_, guest)| guest).collect();
    check_page(&guests);
}

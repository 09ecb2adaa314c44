//! Every case of `workload-exact` against the built plugin: each count equal, nothing foreign.
//! Cases that do not hold on this version stand in [`KNOWN`], with the reason.
//! `PROCMON_EXACT=CASE,CASE` runs only these, known ones as strictly as others.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::document::{check_sums, covers, differences, read, read_truth, rows};
use procmon_tests::workload::{self, Linked};
use procmon_tests::{Running, has_bpf, profiled, wait_for};
use serde_json::Value;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(90);

/// Cases that do not hold yet, and why.
const KNOWN: &[(&str, &str)] = &[(
    "swapped-descriptors",
    "a descriptor replaced within a moment of a call's begin may be taken for the old one: it is said",
)];

/// Cases with a test of their own: they take long, or the window ends within them.
const OWN_TESTS: [&str; 8] = [
    "filter-found",
    "threads-found",
    "blocked",
    "executions",
    "crowd",
    "crowd-found",
    "opened-before",
    "too-many-names",
];

/// Cases that are also run beside processes that are not of the target.
const UNDER_LOAD: [&str; 14] = [
    "threads",
    "errnos-threads",
    "interrupted",
    "killed-in-call",
    "exec-thread",
    "forks",
    "short",
    "exec-crowd",
    "transfers",
    "copies",
    "one-file-threads",
    "renames",
    "working-folders",
    "capabilities-used",
];

/// Cases that are also run by a process that is profiled by its id.
const BY_PID: [&str; 13] = [
    "filter-found",
    "threads-found",
    "opened-before",
    "threads",
    "errnos",
    "gate32",
    "forks",
    "ends",
    "scripts",
    "transfers",
    "bind-mounts",
    "relative",
    "capabilities-refused",
];

fn program() -> PathBuf {
    workload::path("exact", Linked::Dynamic)
}

fn cases() -> Vec<String> {
    let output = Command::new(program()).arg("list").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A profiled case.
struct Run {
    _folder: tempfile::TempDir,
    base: PathBuf,
    document: Value,
    truth: Value,
}

/// A folder for one run: what the case works in, its truth, the document.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = profiled::folder();
    std::fs::create_dir(path.join("files")).unwrap();
    // Some cases give their rights up on the way.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, path)
}

fn local(base: &Path) -> Command {
    profiled::local(&base.join("profile.json"), &[])
}

/// The case as a command, told where to work.
fn case(name: &str, base: &Path) -> Command {
    let mut command = Command::new(program());
    command.arg(name).arg(base.join("files"));
    prepare(&mut command, base);
    command
}

fn prepare(command: &mut Command, base: &Path) {
    command.env("PROCMON_TRUTH", base.join("truth.json"));
    // Not in the folder whose files are compared.
    command.current_dir(base).stdin(Stdio::null());
    // The loader would look for libraries where cargo has them, and fail so often.
    command.env_remove("LD_LIBRARY_PATH");
}

/// Profiles a case as a command of the plugin's own.
fn command(name: &str) -> Run {
    let (folder, base) = folder();
    let mut command = local(&base);
    command
        .args(["--duration", "300s", "--"])
        .arg(program())
        .arg(name)
        .arg(base.join("files"));
    prepare(&mut command, &base);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    assert!(
        base.join("truth.json").exists(),
        "{name} says nothing: {output:?}"
    );
    finished(folder, base)
}

/// Profiles a case whose process runs already.
fn by_pid(name: &str, settle: Duration) -> Run {
    let (folder, base) = folder();
    let go = base.join("go");
    let running = Running::start(case(name, &base).env("PROCMON_GO", &go));
    std::thread::sleep(settle);
    let window = Running::start_window(local(&base).args([
        "--duration",
        "90s",
        "--pid",
        &running.id().to_string(),
    ]));
    std::fs::write(&go, "").unwrap();
    assert!(running.wait(LONG).success(), "{name}");
    assert!(window.wait(LONG).success(), "{name}");
    finished(folder, base)
}

fn finished(folder: tempfile::TempDir, base: PathBuf) -> Run {
    Run {
        document: read(&base.join("profile.json")),
        truth: read_truth(&base.join("truth.json")),
        base,
        _folder: folder,
    }
}

/// Everything that is not as the case says.
fn problems(run: &Run) -> Vec<String> {
    let exe = program().display().to_string();
    let (document, truth) = (&run.document, &run.truth);
    let mut wrong = differences(document, truth, &exe);
    if document["completeness"]["complete"] != true {
        wrong.push(format!("incomplete: {}", document["completeness"]));
    }
    check_sums(document);
    wrong.extend(unexpected(run, &exe));
    let programs: Vec<&str> = strings(&truth["programs"]);
    for dimension in ["syscalls", "files", "network", "processes", "capabilities"] {
        for row in rows(document, dimension) {
            let own = row["exe"].as_str().unwrap();
            if own != exe && !programs.iter().any(|name| own.ends_with(name)) {
                wrong.push(format!("{dimension}: a foreign program: {row}"));
            }
        }
    }
    wrong
}

fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// Rows that the case does not state, of the dimensions that it states whole.
fn unexpected(run: &Run, exe: &str) -> Vec<String> {
    let below = run.base.join("files").display().to_string();
    let mut wrong = Vec::new();
    for dimension in strings(&run.truth["whole"]) {
        let mut stated: HashMap<&Value, Vec<&Value>> = HashMap::new();
        for wanted in run.truth[dimension].as_array().into_iter().flatten() {
            stated.entry(&wanted["path"]).or_default().push(wanted);
        }
        for row in rows(&run.document, dimension) {
            let counts = match dimension {
                "files" => row["path"].as_str().unwrap().starts_with(&below) && row["exe"] == exe,
                _ => true,
            };
            let mut same_path = stated.get(&row["path"]).into_iter().flatten();
            if counts && !same_path.any(|wanted| covers(row, wanted)) {
                wrong.push(format!("{dimension}: not stated: {}", brief(row)));
            }
        }
    }
    wrong
}

/// A row without what is the same for all.
fn brief(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(row) = row.as_object_mut() {
        for key in [
            "capabilities",
            "namespaces",
            "mount",
            "firstSeen",
            "lastSeen",
        ] {
            row.remove(key);
        }
    }
    row
}

/// Runs cases one after the other; fails with all that is wrong of all of them.
fn check<'a>(names: impl Iterator<Item = &'a str>, profile: impl Fn(&str) -> Run) {
    if !has_bpf() {
        return;
    }
    let only = std::env::var("PROCMON_EXACT").ok();
    let mut all = Vec::new();
    for name in names {
        if only
            .as_deref()
            .is_some_and(|only| !only.split(',').any(|one| one == name))
        {
            continue;
        }
        let wrong = problems(&profile(name));
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        if only.is_some() || known.is_none() {
            all.extend(wrong.into_iter().map(|one| format!("{name}: {one}")));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// Every third case, so that tests share them.
fn third(number: usize) {
    let all = cases();
    let own = all
        .iter()
        .map(String::as_str)
        .filter(|name| !OWN_TESTS.contains(name));
    check(own.skip(number).step_by(3), command);
}

#[test]
fn what_a_program_does_is_counted_as_it_says_itself_1() {
    third(0);
}

#[test]
fn what_a_program_does_is_counted_as_it_says_itself_2() {
    third(1);
}

#[test]
fn what_a_program_does_is_counted_as_it_says_itself_3() {
    third(2);
}

#[test]
fn a_process_that_runs_already_is_counted_as_exactly() {
    check(BY_PID.into_iter(), |name| {
        by_pid(name, Duration::from_millis(200))
    });
}

#[test]
fn two_thousand_processes_are_counted_each() {
    check(["crowd"].into_iter(), command);
    check(["crowd-found"].into_iter(), |name| {
        let run = by_pid(name, Duration::from_secs(4));
        let found: u64 = rows(&run.document, "processes")
            .filter(|row| row["startedBefore"] == true)
            .filter_map(|row| row["count"].as_u64())
            .sum();
        assert_eq!(found, 2001, "were there before");
        run
    });
}

#[test]
fn ten_thousand_executions_are_counted_each() {
    check(["executions"].into_iter(), command);
}

/// Eight processes that never rest, until they are dropped.
fn load() -> (Vec<Running>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let hammers = (0..8)
        .map(|_| Running::start(Command::new(program()).arg("hammer").arg(folder.path())))
        .collect();
    (hammers, folder)
}

#[test]
fn what_others_do_meanwhile_changes_nothing() {
    if !has_bpf() {
        return;
    }
    let _load = load();
    check(UNDER_LOAD.into_iter(), |name| {
        let run = command(name);
        for row in rows(&run.document, "files") {
            assert!(
                !row["path"].as_str().unwrap().contains("hammer"),
                "{name}: {row}"
            );
        }
        run
    });
}

#[test]
fn calls_under_way_at_the_end_are_counted_and_said() {
    if !has_bpf() {
        return;
    }
    let (folder, base) = folder();
    let running = Running::start(prepared(
        local(&base)
            .args(["--duration", "2s", "--"])
            .arg(program())
            .arg("blocked")
            .arg(base.join("files")),
        &base,
    ));
    wait_for("the document", LONG, || {
        std::fs::metadata(base.join("profile.json"))
            .is_ok_and(|file| file.len() > 0)
            .then_some(())
    });
    std::fs::write(base.join("files/stop"), "").unwrap();
    assert!(running.wait(LONG).success());
    let wrong = problems(&finished(folder, base));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The window closes while processes begin and end: each calls exit_group once and never returns, also
/// when it ends while the probe looks.
#[test]
fn what_ends_as_the_window_closes_is_counted_once() {
    if !has_bpf() {
        return;
    }
    let mut ends = 0;
    for _ in 0..4 {
        let (_folder, base) = folder();
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do
            (for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /bin/true; done) &
        done; wait";
        let status = local(&base)
            .args(["--duration", "80ms", "--", "sh", "-c", script])
            .status()
            .unwrap();
        assert!(status.success());
        let document = read(&base.join("profile.json"));
        // A fork under way may have made its process already.
        let made = rows(&document, "processes")
            .filter_map(|row| row["count"].as_u64())
            .sum::<u64>()
            - 1;
        let of_forks = |what: &str| {
            rows(&document, "syscalls")
                .filter(|row| {
                    ["fork", "vfork", "clone", "clone3"].contains(&row["name"].as_str().unwrap())
                })
                .filter_map(|row| row[what].as_u64())
                .sum::<u64>()
        };
        let forks = of_forks("calls");
        assert!(
            (forks - of_forks("unfinished")..=forks).contains(&made),
            "{made} processes by {forks} forks"
        );
        let calls: Vec<&Value> = rows(&document, "syscalls")
            .filter(|row| row["name"] == "exit_group")
            .collect();
        assert!(!calls.is_empty());
        for row in calls {
            let count = |name: &str| row[name].as_u64().unwrap();
            assert_eq!(
                count("calls"),
                count("noReturn") + count("unfinished"),
                "{row}"
            );
            ends += count("calls");
        }
    }
    assert!(ends > 100, "{ends} processes ended");
}

fn prepared<'a>(command: &'a mut Command, base: &Path) -> &'a mut Command {
    prepare(command, base);
    command
}

#[test]
fn what_finds_no_row_is_said() {
    if !has_bpf() {
        return;
    }
    let run = command("too-many-names");
    let exe = program().display().to_string();
    let wrong = differences(&run.document, &run.truth, &exe);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(run.document["completeness"]["complete"], false);
    let files = &run.document["completeness"]["dimensions"]["files"];
    assert_eq!(files["state"], "partial", "{files}");
    assert!(!files["reasons"].as_array().unwrap().is_empty(), "{files}");
}

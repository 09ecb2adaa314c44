//! Programs that nobody wrote for a test, profiled and, in a second run, traced by strace: every call, every
//! failure, every file and every byte must be the same.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::document::{read, rows};
use procmon_tests::profiled::local;
use procmon_tests::{has, has_bpf, root};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Scripts for sh(1) that do the same each time: one thing after another, no addresses, no clock.
/// `$FROM` is a folder with files, `$TO` an empty one.
const SCRIPTS: [(&str, &str); 4] = [
    (
        "tar",
        "tar cf $TO/all.tar -C $FROM . && mkdir $TO/all && tar xf $TO/all.tar -C $TO/all && rm -r $TO/all",
    ),
    (
        "perl",
        r#"perl -e 'for (1..50) { open(F, ">", "$ENV{TO}/f$_"); print F "x" x 9000; close F; rename("$ENV{TO}/f$_", "$ENV{TO}/g$_"); unlink "$ENV{TO}/h$_" }'"#,
    ),
    (
        "awk",
        r#"awk 'BEGIN { for (i = 0; i < 50; i++) system("echo " i " >>" ENVIRON["TO"] "/lines; cat " ENVIRON["TO"] "/lines >/dev/null") }'"#,
    ),
    (
        "find",
        "find $FROM -type f -exec md5sum {} + >$TO/sums; find $FROM -name nothing -exec cat {} ';'",
    ),
];

const OPENING: [&str; 3] = ["open", "openat", "creat"];
const READING: [&str; 3] = ["read", "pread64", "readv"];
const WRITING: [&str; 3] = ["write", "pwrite64", "writev"];

/// The sums of a run.
#[derive(Default, PartialEq, Eq, Debug)]
struct Sums {
    /// Calls by name.
    calls: BTreeMap<String, u64>,
    /// Failures by name and errno.
    failures: BTreeMap<(String, String), u64>,
    /// Openings by path.
    openings: BTreeMap<String, u64>,
    /// Bytes by path.
    bytes_read: BTreeMap<String, u64>,
    /// Bytes by path.
    bytes_written: BTreeMap<String, u64>,
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, amount: u64) {
    if amount > 0 {
        *sums.entry(key).or_default() += amount;
    }
}

fn with_folders(mut command: Command, from: &Path, to: &Path, script: &str) {
    std::fs::create_dir(to).unwrap();
    let status = command
        // A shell asks more of signals that it finds ignored, as in the background of another.
        .args(["env", "--default-signal", "/bin/sh", "-c", script])
        .env("FROM", from)
        .env("TO", to)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}: {status}");
    std::fs::remove_dir_all(to).unwrap();
}

fn profiled(from: &Path, folder: &Path, script: &str) -> Sums {
    let document = folder.join("profile.json");
    let command = local(&document, &["--require-complete", "--"]);
    with_folders(command, from, &folder.join("to"), script);
    let document = read(&document);
    let mut sums = Sums::default();
    for row in rows(&document, "syscalls") {
        let name = row["name"].as_str().unwrap();
        add(
            &mut sums.calls,
            name.to_owned(),
            row["calls"].as_u64().unwrap(),
        );
        for (errno, count) in row["errors"].as_object().into_iter().flatten() {
            let key = (name.to_owned(), errno.clone());
            add(&mut sums.failures, key, count.as_u64().unwrap());
        }
    }
    for row in rows(&document, "files") {
        let path = row["path"].as_str().unwrap().to_owned();
        let openings = row["operations"]["open"].as_u64().unwrap_or(0);
        add(&mut sums.openings, path.clone(), openings);
        let bytes = |key: &str| row[key].as_u64().unwrap();
        add(&mut sums.bytes_read, path.clone(), bytes("bytesRead"));
        add(&mut sums.bytes_written, path, bytes("bytesWritten"));
    }
    sums
}

/// Lines like `PID read(3</a/path>, ""..., 10) = 10`, some of them in two parts with others between.
fn traced(from: &Path, folder: &Path, script: &str) -> Sums {
    let log = folder.join("strace.log");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "0", "-o"]).arg(&log);
    with_folders(command, from, &folder.join("to"), script);
    let mut begun: BTreeMap<String, String> = BTreeMap::new();
    let mut sums = Sums::default();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let (pid, line) = line.split_once(' ').unwrap();
        let line = line.trim_start();
        if let Some(first) = line.strip_suffix(" <unfinished ...>") {
            begun.insert(pid.to_owned(), first.to_owned());
        } else if let Some((_, second)) = line.split_once(" resumed>")
            && line.starts_with("<... ")
        {
            call(&(begun.remove(pid).unwrap() + second), &mut sums);
        } else if !line.starts_with(['-', '+']) {
            call(line, &mut sums);
        }
    }
    for line in begun.values() {
        call(line, &mut sums);
    }
    sums
}

fn call(line: &str, sums: &mut Sums) {
    let (name, rest) = line.split_once('(').unwrap();
    add(&mut sums.calls, name.to_owned(), 1);
    let Some((_, result)) = rest.rsplit_once(" = ") else {
        return;
    };
    if let Some(failure) = result.strip_prefix("-1 ") {
        let errno = failure.split(' ').next().unwrap();
        add(&mut sums.failures, (name.to_owned(), errno.to_owned()), 1);
        return;
    }
    let path_of = |text: &str| {
        let (_, path) = text.split_once('<')?;
        let path = path.split('>').next()?;
        path.starts_with('/').then(|| path.to_owned())
    };
    if OPENING.contains(&name) {
        add(&mut sums.openings, path_of(result).unwrap(), 1);
    }
    for (names, sums) in [
        (READING, &mut sums.bytes_read),
        (WRITING, &mut sums.bytes_written),
    ] {
        if names.contains(&name)
            && let Some(path) = path_of(rest.split(',').next().unwrap())
        {
            add(sums, path, result.parse().unwrap());
        }
    }
}

#[test]
fn what_strace_says_of_a_program_is_what_the_profile_says() {
    let is_there = Command::new("strace").arg("-V").output().is_ok();
    if !has_bpf() || !has("strace", is_there, "needs strace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    for (name, script) in SCRIPTS {
        let profiled = profiled(&root().join("docs"), &folder, script);
        let traced = traced(&root().join("docs"), &folder, script);
        assert!(
            traced.calls.values().sum::<u64>() > 500,
            "{name}: {traced:?}"
        );
        assert_eq!(profiled, traced, "{name}");
    }
}

//! Where the bytes of a release come from: no trace of the builder in them, locked dependencies whose
//! advisories were asked for, workflows whose actions cannot change underneath.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use lzma_rust2::LzmaReader;
use procmon_tests::{has, plugin, probe, root};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn home() -> PathBuf {
    std::env::var_os("HOME").unwrap().into()
}

/// The beginnings of a builder's folders.
fn folders() -> Vec<String> {
    let or_home =
        |name, folder| std::env::var_os(name).map_or_else(|| home().join(folder), PathBuf::from);
    [
        root(),
        or_home("CARGO_HOME", ".cargo"),
        or_home("RUSTUP_HOME", ".rustup"),
        or_home("XDG_CACHE_HOME", ".cache"),
    ]
    .iter()
    .flat_map(|folder| [Some(folder.clone()), folder.canonicalize().ok()])
    .flatten()
    .map(|folder| format!("{}/", folder.display()))
    .collect()
}

fn names_no_folder(what: &str, bytes: &[u8]) {
    for folder in folders() {
        let at = bytes
            .windows(folder.len())
            .position(|window| window == folder.as_bytes());
        if let Some(at) = at {
            let end = bytes.len().min(at + 120);
            panic!(
                "{what} names {folder}: {:?}; `make build` leaves one that does not",
                String::from_utf8_lossy(&bytes[at..end])
            );
        }
    }
}

/// The newest eBPF object that was built, unpacked.
fn object() -> Option<Vec<u8>> {
    let builds = root().join("target/probe-build/x86_64-unknown-linux-musl/probe/build");
    let newest = std::fs::read_dir(builds)
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("out/procmon-probe-ebpf.lzma"))
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())?;
    let packed = std::fs::read(newest).unwrap();
    let mut object = Vec::new();
    let mut reader = LzmaReader::new_mem_limit(packed.as_slice(), u32::MAX, None).unwrap();
    reader.read_to_end(&mut object).unwrap();
    Some(object)
}

#[test]
fn nothing_that_is_released_names_a_folder_of_its_builder() {
    names_no_folder("the plugin", &std::fs::read(plugin()).unwrap());
    names_no_folder("the probe", &std::fs::read(probe()).unwrap());
    let why = "needs a probe that was built here, not one of PROCMON_PROBE_DIR";
    if has("probe-build", object().is_some(), why) {
        names_no_folder("the eBPF object", &object().unwrap());
    }
}

/// Files below a folder whose names end so.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

#[test]
fn every_cargo_that_resolves_is_told_to_take_the_lock_file() {
    let mut all = files("tests/setup", "sh");
    all.extend(files("krew", "sh"));
    all.extend(files(".github/workflows", "yml"));
    all.push(root().join("Makefile"));
    let mut calls = 0;
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap().replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.trim().starts_with('#')) {
            let resolves = [
                "bench", "build", "check", "clippy", "deny", "fetch", "install", "run", "test",
            ]
            .iter()
            .any(|verb| line.contains(&format!("cargo {verb} ")));
            if resolves {
                calls += 1;
                assert!(line.contains("--locked"), "{}: {line}", file.display());
            }
        }
    }
    assert!(calls > 10, "{calls}");
    for script in ["kubectl-procmon/build.rs", "probe/build.rs"] {
        let text = std::fs::read_to_string(root().join(script)).unwrap();
        assert!(text.contains("\"--locked\""), "{script}");
    }
}

/// The rows of the extract: id, crate, date, kind, patched, unaffected, what is wrong.
fn extract() -> Vec<Vec<String>> {
    std::fs::read_to_string(root().join("tests/advisories.tsv"))
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

#[test]
fn the_extract_of_advisories_concerns_crates_of_the_lock_files() {
    let lock = ["Cargo.lock", "fuzz/Cargo.lock"]
        .map(|file| std::fs::read_to_string(root().join(file)).unwrap())
        .concat();
    for row in extract() {
        let [id, package, date, kind, patched, _, what] = row.as_slice() else {
            panic!("seven columns: {row:?}");
        };
        assert!(id.starts_with("RUSTSEC-") && id.len() == 17, "{row:?}");
        assert_eq!(date.len(), 10, "{row:?}");
        assert!(["vulnerability", "unsound", "unmaintained"].contains(&kind.as_str()));
        assert!(!what.is_empty() && (kind == "unmaintained" || !patched.is_empty()));
        assert!(
            lock.contains(&format!("name = \"{package}\"\n")),
            "no lock file names {package} any more: {id} can go"
        );
    }
}

#[test]
fn an_advisory_that_concerns_a_locked_crate_fails_the_check() {
    let deny = home().join(".cache/kubectl-procmon/bin/cargo-deny");
    if !has("deny", deny.exists(), "needs cargo-deny: run `make lint`") {
        return;
    }
    let database = tempfile::tempdir().unwrap();
    let folder = database.path().join("crates/anyhow");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("RUSTSEC-2099-0001.md"),
        "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\npackage = \"anyhow\"\ndate = \"2099-01-01\"\n\n\
         [versions]\npatched = []\n```\n\n# Everything is wrong\n\nAll of it.\n",
    )
    .unwrap();
    assert!(
        Command::new("git")
            .args(["init", "--quiet"])
            .arg(database.path())
            .status()
            .unwrap()
            .success()
    );
    let check = || {
        let output = Command::new(root().join("tests/setup/deny.sh"))
            .env("PROCMON_ADVISORIES", database.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    // A copy of no known age is not asked.
    let (passed, said) = check();
    assert!(!passed && said.contains("FETCH_HEAD"), "{said}");
    std::fs::write(database.path().join(".git/FETCH_HEAD"), "").unwrap();
    let (passed, said) = check();
    assert!(!passed && said.contains("RUSTSEC-2099-0001"), "{said}");
}

#[test]
fn the_actions_of_workflows_are_pinned_by_commit_and_get_no_rights_by_default() {
    for file in files(".github/workflows", "yml") {
        let text = std::fs::read_to_string(&file).unwrap();
        let workflow: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let name = Path::new(file.file_name().unwrap()).display();
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{name}");
        for (job, body) in workflow["jobs"].as_object().unwrap() {
            assert!(body["permissions"].is_object(), "{name}: {job}");
        }
        for line in text.lines().filter(|line| line.contains("uses:")) {
            let pinned = line.split_once('@').is_some_and(|(_, version)| {
                let (commit, tag) = version.split_once(" # v").unwrap_or_default();
                commit.len() == 40
                    && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && !tag.is_empty()
            });
            assert!(pinned, "{name}: {line}");
        }
    }
}

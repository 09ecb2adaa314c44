//! The result of `krew/package.sh`: equal bytes from equal builds, a manifest by krew's rules, an
//! archive that holds a plugin that runs. Nothing is downloaded and nothing is published.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::{has, plugin, root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The version of this package and of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The platforms that krew itself is released for, as Go names them.
const PLATFORMS: [(&str, &str); 9] = [
    ("darwin", "amd64"),
    ("darwin", "arm64"),
    ("linux", "386"),
    ("linux", "amd64"),
    ("linux", "arm"),
    ("linux", "arm64"),
    ("linux", "ppc64le"),
    ("windows", "386"),
    ("windows", "amd64"),
];

fn archive(platform: &str) -> String {
    format!("kubectl-procmon_v{VERSION}_{platform}.tar.gz")
}

/// `krew/package.sh VERSION FOLDER`, with the built plugin and a date that needs no git.
fn package(version: &str, dist: &Path) -> Command {
    let mut command = Command::new(root().join("krew/package.sh"));
    command
        .arg(version)
        .arg(dist)
        .env("PROCMON_PLUGIN", plugin().canonicalize().unwrap())
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("PROCMON_SBOM", "no")
        .stdin(Stdio::null());
    command
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn refused(command: &mut Command, says: &str) {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{command:?}");
    assert!(said(&output).contains(says), "{}", said(&output));
}

/// A folder with what was packed from the built plugin.
fn packed() -> TempDir {
    let dist = tempfile::tempdir().unwrap();
    done(&mut package(VERSION, dist.path()));
    dist
}

/// A program that says of itself that it is this version.
fn stand_in(path: &Path, version: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\necho kubectl-procmon {version}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

fn files(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

fn manifest(dist: &Path) -> Value {
    let text = std::fs::read_to_string(dist.join("procmon.yaml")).unwrap();
    assert!(!text.contains('@'), "not filled: {text}");
    serde_saphyr::from_str(&text).unwrap()
}

/// A text of the manifest, of this many characters at most in each line.
fn lines_within(text: &Value, limit: usize) {
    let text = text.as_str().unwrap();
    assert!(!text.trim().is_empty());
    for line in text.lines() {
        assert!(line.chars().count() <= limit, "{line}");
    }
}

/// Krew's rules, and what its index asks for. Every entry fits its archive beside the manifest.
fn check(dist: &Path, built: &[&str]) {
    let text = std::fs::read_to_string(dist.join("procmon.yaml")).unwrap();
    let manifest = manifest(dist);
    let spec = &manifest["spec"];
    assert_eq!(
        manifest["apiVersion"],
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(manifest["metadata"]["name"], "procmon");
    assert_eq!(spec["version"], format!("v{VERSION}"));
    let homepage = spec["homepage"].as_str().unwrap();
    let cargo = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(cargo.contains(&format!("repository = \"{homepage}\"\n")));
    lines_within(&spec["shortDescription"], 50);
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(!short.contains('\n') && !short.ends_with('.'), "{short}");
    lines_within(&spec["description"], 80);
    lines_within(&spec["caveats"], 80);

    let entries = spec["platforms"].as_array().unwrap();
    for (os, arch) in PLATFORMS {
        let labels = json!({ "matchLabels": { "os": os, "arch": arch } });
        let selected = entries
            .iter()
            .filter(|entry| entry["selector"] == labels)
            .count();
        let wanted = built.contains(&format!("{os}_{arch}").as_str());
        assert_eq!(selected, usize::from(wanted), "{os}/{arch}");
    }
    assert_eq!(entries.len(), built.len(), "an entry that nothing selects");

    done(
        Command::new("sha256sum")
            .args(["--check", "--strict", "checksums"])
            .current_dir(dist),
    );
    let checksums = std::fs::read_to_string(dist.join("checksums")).unwrap();
    // Beside the archives: checksums, the manifest, digests of the probes.
    assert_eq!(files(dist).len(), built.len() + 3, "{checksums}");
    assert_eq!(checksums.lines().count(), built.len() + 2);
    for (entry, platform) in entries.iter().zip(built) {
        let archive = archive(platform);
        assert_eq!(
            entry["uri"],
            format!("{homepage}/releases/download/v{VERSION}/{archive}")
        );
        let digest = entry["sha256"].as_str().unwrap();
        assert!(
            digest.len() == 64
                && digest
                    .bytes()
                    .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')),
            "{digest}"
        );
        assert!(text.contains(&format!("sha256: \"{digest}\"\n")), "quoted");
        assert!(checksums.contains(&format!("{digest}  {archive}\n")));

        let bin = if platform.starts_with("windows") {
            "kubectl-procmon.exe"
        } else {
            "kubectl-procmon"
        };
        assert_eq!(entry["bin"], bin);
        let held = done(Command::new("tar").arg("-tzf").arg(dist.join(archive)));
        assert_eq!(held.lines().collect::<Vec<_>>(), ["LICENSE", bin]);
        assert_eq!(
            entry["files"],
            json!([{ "from": bin, "to": "." }, { "from": "LICENSE", "to": "." }])
        );
    }
}

#[test]
fn equal_builds_give_equal_bytes() {
    let first = packed();
    // Another place, time zone, mask and spelling of the version; a plugin that was touched since.
    let second = tempfile::tempdir().unwrap();
    let copy = second.path().join("bin/linux_amd64/kubectl-procmon");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::copy(plugin(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o700)).unwrap();
    let script = root().join("krew/package.sh");
    done(
        Command::new("sh")
            .args(["-c", "umask 077; exec \"$0\" \"$@\""])
            .arg(script)
            .arg(format!("v{VERSION}"))
            .arg(".")
            .current_dir(second.path())
            .env("PROCMON_PLUGIN", "/nonexistent")
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .env("PROCMON_SBOM", "no")
            .env("TZ", "Asia/Tokyo"),
    );
    assert!(files(first.path()) == files(second.path()));
}

#[test]
fn the_manifest_follows_krews_rules() {
    check(packed().path(), &["linux_amd64"]);
}

#[test]
fn the_digests_of_the_probes_are_packed() {
    let dist = packed();
    let probe = dist.path().join("procmon-probe-amd64");
    std::fs::copy(procmon_tests::probe(), probe).unwrap();
    done(
        Command::new("sha256sum")
            .args(["--check", "--strict", "probes.sha256"])
            .current_dir(&dist),
    );
}

#[test]
fn the_bills_of_materials_name_what_the_lock_file_names() {
    let tools = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .unwrap();
    let is_there = tools.join("kubectl-procmon/bin/cargo-cyclonedx").exists();
    if !has(
        "cyclonedx",
        is_there,
        "needs cargo-cyclonedx: run `tests/setup/toolchain.sh --package`",
    ) {
        return;
    }
    let dist = tempfile::tempdir().unwrap();
    done(package(VERSION, dist.path()).env_remove("PROCMON_SBOM"));
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let check = |file: &str, package: &str, parts: &[&str], not: &[&str]| {
        let text = std::fs::read_to_string(dist.path().join(file)).unwrap();
        let here = root();
        assert!(!text.contains(here.to_str().unwrap()) && !text.contains("/tmp/"));
        let bill: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(
            bill["metadata"]["timestamp"],
            "2023-11-14T22:13:20.000000000Z"
        );
        assert_eq!(bill["metadata"]["component"]["name"], package);
        let names: Vec<&str> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| {
                let (name, version) = (&part["name"], &part["version"]);
                let locked = format!("name = {name}\nversion = {version}\n");
                assert!(lock.contains(&locked), "{locked}");
                name.as_str().unwrap()
            })
            .collect();
        for part in parts {
            assert!(names.contains(part), "{file}: {part}: {names:?}");
        }
        for part in not {
            assert!(!names.contains(part), "{file}: {part}: {names:?}");
        }
    };
    check(
        &format!("kubectl-procmon_v{VERSION}_linux_amd64.cdx.json"),
        "kubectl-procmon",
        &["kube", "rustls", "procmon-profile"],
        &["insta", "winapi"],
    );
    check(
        &format!("procmon-probe_v{VERSION}_amd64.cdx.json"),
        "procmon-probe",
        &["aya", "miniz_oxide"],
        &["kube", "proptest"],
    );
    check(
        &format!("procmon-probe-ebpf_v{VERSION}.cdx.json"),
        "procmon-probe-ebpf",
        &["aya-ebpf"],
        &["aya"],
    );
}

#[test]
fn a_plugin_that_names_folders_of_its_builder_is_refused() {
    let dist = tempfile::tempdir().unwrap();
    let leaky = dist.path().join("built/kubectl-procmon");
    stand_in(&leaky, VERSION);
    let mut text = std::fs::read_to_string(&leaky).unwrap();
    text += &format!("# {}/kubectl-procmon/src/main.rs\n", root().display());
    std::fs::write(&leaky, text).unwrap();
    let mut command = package(VERSION, dist.path());
    refused(
        command.env("PROCMON_PLUGIN", &leaky),
        "names folders of this machine",
    );
    assert!(files(dist.path()).is_empty());
}

#[test]
fn every_platform_that_is_built_has_one_entry() {
    let dist = tempfile::tempdir().unwrap();
    let built = dist.path().join("bin");
    stand_in(&built.join("linux_amd64/kubectl-procmon"), VERSION);
    stand_in(&built.join("darwin_arm64/kubectl-procmon"), VERSION);
    stand_in(&built.join("windows_amd64/kubectl-procmon.exe"), VERSION);
    done(&mut package(VERSION, dist.path()));
    check(
        dist.path(),
        &["linux_amd64", "darwin_arm64", "windows_amd64"],
    );
    // Nothing of an earlier time is left among the files of a release.
    std::fs::remove_dir_all(built.join("darwin_arm64")).unwrap();
    done(&mut package(VERSION, dist.path()));
    check(dist.path(), &["linux_amd64", "windows_amd64"]);
}

#[test]
fn the_plugin_runs_from_the_unpacked_archive() {
    let dist = packed();
    let archive = dist.path().join(archive("linux_amd64"));
    let held = done(
        Command::new("tar")
            .args(["--numeric-owner", "-tvzf"])
            .arg(&archive)
            .env("TZ", "UTC"),
    );
    let held: Vec<&str> = held.lines().collect();
    assert!(held[0].starts_with("-rw-r--r-- 0/0 "), "{held:?}");
    assert!(held[1].starts_with("-rwxr-xr-x 0/0 "), "{held:?}");
    assert!(
        held.iter().all(|line| line.contains(" 2023-11-14 22:13 ")),
        "{held:?}"
    );

    let unpacked = tempfile::tempdir().unwrap();
    done(
        Command::new("tar")
            .arg("-xzf")
            .arg(&archive)
            .current_dir(&unpacked),
    );
    let run = |arg| done(Command::new(unpacked.path().join("kubectl-procmon")).arg(arg));
    assert!(run("version").starts_with(&format!("kubectl-procmon {VERSION}\n")));
    assert!(run("--help").contains("profile"));
    assert_eq!(
        std::fs::read(unpacked.path().join("LICENSE")).unwrap(),
        std::fs::read(root().join("LICENSE")).unwrap()
    );
}

#[test]
fn other_versions_are_refused() {
    let dist = tempfile::tempdir().unwrap();
    for no_version in [
        "", "1", "0.1", "vv0.1.0", "0.1.0.0", "00.1.0", "0.1.0-", "next",
    ] {
        let says = format!("`{no_version}` is no semantic version");
        refused(&mut package(no_version, dist.path()), &says);
    }
    for other in [
        "v99.0.0",
        &format!("{VERSION}-rc.1"),
        &format!("{VERSION}+1"),
    ] {
        let says = format!("Cargo.toml says {VERSION}");
        refused(&mut package(other, dist.path()), &says);
    }
    assert!(files(dist.path()).is_empty());
}

#[test]
fn plugins_that_are_missing_or_of_another_version_are_refused() {
    let dist = tempfile::tempdir().unwrap();
    let check = |plugin: &Path, says: &str| {
        let mut command = package(VERSION, dist.path());
        refused(command.env("PROCMON_PLUGIN", plugin), says);
        refused(&mut command, "run `make build`");
    };
    check(Path::new("/nonexistent"), "/nonexistent is missing");
    let stale = dist.path().join("old/kubectl-procmon");
    stand_in(&stale, "0.0.9");
    check(&stale, "is another version, kubectl-procmon 0.0.9");
    assert!(files(dist.path()).is_empty());
}

#[test]
fn krew_installs_lists_and_uninstalls_the_plugin() {
    let home = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(home.path().join("bin")).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).unwrap();
    let kubectl = |args: &[&str]| {
        let mut command = Command::new("kubectl");
        command
            .args(args)
            .env("KREW_ROOT", home.path())
            .env("KREW_NO_UPGRADE_CHECK", "1")
            .env("PATH", &path)
            .stdin(Stdio::null());
        command
    };
    let is_there = kubectl(&["krew", "version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has("krew", is_there, "needs `kubectl krew` on PATH") {
        return;
    }
    // Krew lists and uninstalls only where an index was cloned: an empty one will do.
    let index = home.path().join("index/default");
    done(Command::new("git").args(["init", "--quiet"]).arg(&index));
    std::fs::create_dir(index.join("plugins")).unwrap();
    let dist = packed();
    let file = |name: &str| -> String {
        let path: PathBuf = dist.path().join(name);
        path.to_str().unwrap().to_owned()
    };
    let installed = home.path().join(format!("store/procmon/v{VERSION}"));
    done(&mut kubectl(&[
        "krew",
        "install",
        "--manifest",
        &file("procmon.yaml"),
        "--archive",
        &file(&archive("linux_amd64")),
    ]));
    assert!(installed.join("LICENSE").is_file());
    let listed = || done(&mut kubectl(&["krew", "list"]));
    assert!(listed().contains("procmon"), "{}", listed());
    let version = done(&mut kubectl(&["procmon", "version"]));
    assert!(version.starts_with(&format!("kubectl-procmon {VERSION}\n")));
    done(&mut kubectl(&["krew", "uninstall", "procmon"]));
    assert!(!listed().contains("procmon"), "{}", listed());
    assert!(!installed.exists() && !home.path().join("bin/kubectl-procmon").exists());
}

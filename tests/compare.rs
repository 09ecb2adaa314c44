//! The built plugin: baselines and drift in files, their forms, exit codes and bad input.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::document::read;
use procmon_tests::{golden, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, value: &Value) -> String {
        self.text(name, &value.to_string())
    }

    fn text(&self, name: &str, text: &str) -> String {
        std::fs::write(self.at(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}

/// Runs the plugin and expects an exit code; its standard output.
fn exits(code: i32, args: &[&str]) -> String {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    assert!(
        !errors.contains("panicked") && !errors.contains("a defect"),
        "{errors}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Exit code 2 and an error that says these things.
fn refused(args: &[&str], says: &[&str]) {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    assert!(
        errors.starts_with("error: ") && errors.contains("hint: "),
        "{args:?}: {errors}"
    );
    for text in says {
        assert!(
            errors.contains(text),
            "{args:?} does not say `{text}`: {errors}"
        );
    }
}

fn file(path: &str, operations: &Value) -> Value {
    json!({"path": path, "exe": "/usr/sbin/app", "operations": operations, "bytesRead": 1, "bytesWritten": 0,
           "mmapWrite": 0, "errors": {}, "nameSource": "settled"})
}

/// The profile of a Deployment's pod.
fn profile(session: &str) -> Value {
    let state = json!({"state": "complete", "reasons": []});
    json!({
        "apiVersion": "procmon/v1", "schemaVersion": "1.0", "kind": "Profile",
        "session": {
            "id": session, "tool": {"name": "kubectl-procmon", "version": "0.1.0"},
            "target": {"kind": "Deployment", "name": "web", "namespace": "shop"},
            "startedAt": format!("2026-01-01T00:00:00.{}Z", session.len()), "endedAt": "2026-01-01T00:00:10Z",
            "requestedSeconds": 10.0, "windowSeconds": 10.0, "endedEarly": false, "labelMode": "cgroup"
        },
        "nodes": [{"name": "n1", "arch": "amd64", "complete": true}],
        "containers": [{
            "namespace": "shop", "pod": "web-1", "container": "main", "fromStart": false,
            "imageDigest": "sha256:1111", "owner": {"kind": "Deployment", "namespace": "shop", "name": "web"},
            "processes": [{"id": "p1", "exe": "/usr/sbin/app", "argv": ["app", "-v"], "uid": 33, "gid": 33, "pids": [7],
                "origin": "entrypoint", "deleted": false, "startedBefore": true, "count": 1, "exits": {}, "layer": "image"}],
            "syscalls": [{"name": "read", "abi": "x86_64", "exe": "/usr/sbin/app", "calls": 9, "errors": {}, "restarted": 0,
                "unfinished": 0, "noReturn": 0, "deniedBySeccomp": 0}],
            "files": [file("/srv/index.html", &json!({"open": 3, "read": 3}))],
            "network": [{"exe": "/usr/sbin/app", "protocol": "tcp", "direction": "outbound",
                "remote": {"address": "10.0.0.5", "port": 5432, "workload": {"kind": "StatefulSet", "namespace": "shop", "name": "db"}},
                "connections": 4, "datagramsSent": 0, "datagramsReceived": 0, "failures": {}, "bytesSent": 10, "bytesReceived": 10}]
        }],
        "completeness": {"complete": true, "dimensions": {
            "processes": state, "syscalls": state, "files": state, "network": state, "capabilities": state, "events": state,
            "dns": {"state": "missing", "reasons": ["not captured"]}}}
    })
}

/// A profile in which something is new, of each severity.
fn intruder() -> Value {
    let mut seen = profile("intruder");
    let container = &mut seen["containers"][0];
    container["processes"].as_array_mut().unwrap().push(json!({
        "id": "p2", "parent": "p1", "exe": "/tmp/miner", "argv": ["miner"], "uid": 33, "gid": 33, "pids": [8], "origin": "entrypoint",
        "deleted": false, "startedBefore": false, "count": 1, "exits": {}, "layer": "upper"}));
    let files = container["files"].as_array_mut().unwrap();
    files.push(file(
        "/run/secrets/kubernetes.io/serviceaccount/..2026_01_01_00_00_00.123/token",
        &json!({"open": 1, "read": 1}),
    ));
    files.push(file("/data/new", &json!({"open": 1, "read": 1})));
    seen
}

/// Saves a baseline of these profiles.
fn save<const N: usize>(baseline: &str, windows: [&str; N]) {
    let from = windows.into_iter().flat_map(|window| ["--from", window]);
    let args: Vec<&str> = ["baseline", "save", baseline]
        .into_iter()
        .chain(from)
        .collect();
    exits(0, &args);
}

fn saved(folder: &Folder, name: &str) -> String {
    let baseline = folder.path(name);
    let windows: Vec<String> = ["a", "bb", "ccc"]
        .iter()
        .map(|session| folder.write(&format!("{session}.json"), &profile(session)))
        .collect();
    save(&baseline, [&windows[0], &windows[1], &windows[2]]);
    baseline
}

#[test]
fn what_is_known_is_no_drift_and_what_is_new_has_its_severity_and_reason() {
    let folder = Folder::new();
    for name in ["b.yaml", "b.json"] {
        let baseline = saved(&folder, name);
        let same = folder.write("same.json", &profile("again"));
        let drift: Value =
            serde_json::from_str(&exits(0, &["diff", &baseline, &same, "-o", "json"])).unwrap();
        assert_eq!(drift["rows"], json!([]), "{drift:#}");
        assert_eq!(drift["comparable"], true, "{drift:#}");
        let seen = folder.write("seen.json", &intruder());
        let drift: Value =
            serde_json::from_str(&exits(1, &["diff", &baseline, &seen, "-o", "json"])).unwrap();
        let of = |word: &str| {
            let found: Vec<&Value> = drift["rows"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|row| row["key"].as_str().unwrap().contains(word))
                .collect();
            assert!(!found.is_empty(), "{word}: {drift:#}");
            found[0].clone()
        };
        assert_eq!(of("/tmp/miner runs")["severity"], "critical");
        assert_eq!(
            of("/tmp/miner runs")["evidence"],
            json!(["/containers/0/processes/1"])
        );
        assert_eq!(
            of("serviceaccount/..2026_01_01_00_00_00.123/token")["severity"],
            "high"
        );
        assert_eq!(of("/data/new")["severity"], "low");
        for row in drift["rows"].as_array().unwrap() {
            assert_eq!(row["change"], "new", "{row}");
            assert_eq!(row["container"], "main", "{row}");
            assert!(!row["reason"].as_str().unwrap().is_empty(), "{row}");
            assert!(
                row["accept"]
                    .as_str()
                    .unwrap()
                    .contains(row["id"].as_str().unwrap()),
                "{row}"
            );
        }
        schema("drift", &drift);
    }
}

fn schema(kind: &str, document: &Value) {
    let schema: Value = serde_json::from_str(&exits(0, &["schema", kind])).unwrap();
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn exit_codes_follow_the_limit_and_what_can_be_compared() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let mut read_only = profile("reader");
    read_only["containers"][0]["files"]
        .as_array_mut()
        .unwrap()
        .push(file("/data/new", &json!({"open": 1})));
    let low = folder.write("low.json", &read_only);
    exits(1, &["diff", &baseline, &low]);
    exits(0, &["diff", &baseline, &low, "--fail-on", "medium"]);
    exits(0, &["diff", &baseline, &low, "--fail-on", "never"]);
    exits(0, &["diff", &baseline, &low, "--only", "network,syscalls"]);
    exits(
        0,
        &[
            "diff",
            &baseline,
            &low,
            "--ignore",
            "path.startsWith('/data/')",
        ],
    );
    exits(
        1,
        &[
            "diff",
            &baseline,
            &low,
            "--ignore",
            "severity == 'critical'",
        ],
    );
    let mut less = profile("less");
    less["containers"][0]["files"] = json!([]);
    let gone = folder.write("gone.json", &less);
    exits(0, &["diff", &baseline, &gone]);
    exits(1, &["diff", &baseline, &gone, "--fail-on-gone"]);
    let mut partial = profile("partial");
    partial["completeness"]["complete"] = false.into();
    partial["completeness"]["dimensions"]["files"] =
        json!({"state": "partial", "reasons": ["map FILE_ROWS was full: 7 times"]});
    partial["containers"][0]["files"]
        .as_array_mut()
        .unwrap()
        .push(file("/etc/shadow", &json!({"open": 1})));
    let partial = folder.write("partial.json", &partial);
    // The row was seen and stays, and the files are said to be partial beside it.
    let drift: Value =
        serde_json::from_str(&exits(1, &["diff", &baseline, &partial, "-o", "json"])).unwrap();
    let rows: Vec<(&str, &str)> = drift["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["key"].as_str().unwrap(),
                row["severity"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("/usr/sbin/app reads /etc/shadow", "high"),
            ("files can't be seen as a whole", "medium"),
        ]
    );
    schema("drift", &drift);
    assert_eq!(drift["notComparable"][0]["dimension"], "files");
    assert!(
        drift["notComparable"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("FILE_ROWS"),
        "{drift:#}"
    );
    // Drift wins over what could not be compared, which is not a success either.
    exits(1, &["diff", &baseline, &partial, "--allow-incomplete"]);
    exits(3, &["diff", &baseline, &partial, "--fail-on", "critical"]);
    exits(3, &["diff", &baseline, &partial, "--ignore", "true"]);
    let allowed = ["--fail-on", "critical", "--allow-incomplete"];
    exits(0, &[&["diff", &baseline, &partial], &allowed[..]].concat());
    exits(0, &["diff", &baseline, &partial, "--only", "network"]);
    // The table says so, too.
    let text = exits(3, &["diff", &baseline, &partial, "--ignore", "true"]);
    assert!(
        !text.contains("no drift") && text.contains("NOT comparable: files"),
        "{text}"
    );
    // Nothing can be taken into the baseline that makes a partial capture a whole one.
    let id = drift["rows"][1]["id"].as_str().unwrap();
    assert_eq!(drift["rows"][1]["accept"], Value::Null);
    refused(
        &["diff", &baseline, &partial, "-q", "--accept", "--row", id],
        &["can't be accepted"],
    );
}

fn document(name: &str) -> String {
    let path = procmon_tests::root().join("tests/documents").join(name);
    path.display().to_string()
}

#[test]
fn a_capture_that_its_target_blinded_is_no_success_in_any_form() {
    let base = document("partial-hides-drift/base.json");
    let partial = document("partial-hides-drift/partial.json");
    let blinded = document("partial-hides-drift/blinded.json");
    let form = |profile: &str, name: &str| exits(1, &["diff", &base, profile, "-o", name]);
    let table = form(&partial, "table");
    assert!(table.contains("reads /etc/shadow"), "{table}");
    let sarif: Value = serde_json::from_str(&form(&partial, "sarif")).unwrap();
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false, "{sarif:#}");
    for name in ["table", "wide", "markdown"] {
        let text = form(&blinded, name);
        assert!(!text.contains("no drift"), "{text}");
        assert!(text.contains("NOT comparable"), "{text}");
    }
    // Whatever severity is asked for: nothing was compared.
    for limit in ["high", "never"] {
        exits(3, &["diff", &base, &blinded, "--fail-on", limit]);
    }
    let sarif: Value = serde_json::from_str(&form(&blinded, "sarif")).unwrap();
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false, "{sarif:#}");
    let notifications = invocation["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!(notifications.len(), 7, "{sarif:#}");
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 7);
    let junit = form(&blinded, "junit");
    assert_eq!(junit.matches("<error").count(), 7, "{junit}");
    assert!(!junit.contains("<skipped"), "{junit}");
    // A dimension with rows fails for them, and is an error as a whole.
    let junit = form(&partial, "junit");
    assert!(
        junit.contains("<failure") && junit.contains(r#"name="files as a whole""#),
        "{junit}"
    );
}

#[test]
fn a_name_that_the_client_claims_makes_no_address_a_known_peer() {
    let drift: Value = serde_json::from_str(&exits(
        1,
        &[
            "diff",
            &document("names-are-claims/base.json"),
            &document("names-are-claims/spoofed.json"),
            "-o",
            "json",
        ],
    ))
    .unwrap();
    let rows = drift["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{drift:#}");
    let row = &rows[0];
    assert_eq!(
        (&row["change"], &row["severity"]),
        (&json!("new"), &json!("high"))
    );
    assert_eq!(row["key"], "/usr/bin/web outbound tcp 203.0.113.66:443");
    assert_eq!(row["value"]["peer"]["claimed"], json!(["api.good.example"]));
    assert!(
        row["reason"].as_str().unwrap().contains("api.good.example"),
        "{row}"
    );
}

#[test]
fn rows_are_named_by_what_tables_show_and_by_nothing_shorter() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let seen = folder.write("seen.json", &intruder());
    let text = exits(1, &["diff", &baseline, &seen, "-o", "json"]);
    let drift: Value = serde_json::from_str(&text).unwrap();
    let row = drift["rows"].as_array().unwrap().last().unwrap();
    let id = row["id"].as_str().unwrap();
    assert_eq!(id.len(), 32, "{id}");
    let table = exits(1, &["diff", &baseline, &seen]);
    assert!(
        table.contains(&id[..16]) && !table.contains(&id[..17]),
        "{table}"
    );
    let accept =
        |id: &str| ["diff", &baseline, &seen, "-q", "--accept", "--row", id].map(str::to_owned);
    let short = accept(&id[..15]);
    refused(&short.each_ref().map(String::as_str), &["has no row"]);
    exits(0, &accept(&id[..16]).each_ref().map(String::as_str));
    let left = exits(1, &["diff", &baseline, &seen, "-o", "json"]);
    assert!(!left.contains(id), "{left}");
}

#[test]
fn accepted_rows_are_known_from_then_on_and_only_those() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let seen = folder.write("seen.json", &intruder());
    let drift: Value =
        serde_json::from_str(&exits(1, &["diff", &baseline, &seen, "-o", "json"])).unwrap();
    let row = drift["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key"].as_str().unwrap().contains("/data/new"))
        .unwrap();
    exits(
        0,
        &[
            "diff",
            &baseline,
            &seen,
            "--accept",
            "--row",
            row["id"].as_str().unwrap(),
        ],
    );
    let left: Value =
        serde_json::from_str(&exits(1, &["diff", &baseline, &seen, "-o", "json"])).unwrap();
    assert_eq!(
        left["rows"].as_array().unwrap().len(),
        drift["rows"].as_array().unwrap().len() - 1
    );
    let drift = folder.write("drift.json", &left);
    exits(0, &["baseline", "accept", &baseline, "--drift", &drift]);
    exits(0, &["diff", &baseline, &seen, "--fail-on", "info"]);
    assert!(exits(0, &["baseline", "show", &baseline]).contains("accepted"));
}

#[test]
fn a_locked_baseline_changes_by_force_only_and_says_who_and_why() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let more = folder.write("more.json", &profile("more"));
    exits(0, &["baseline", "lock", &baseline]);
    refused(
        &["baseline", "merge", &baseline, "--from", &more],
        &["locked", "--force"],
    );
    refused(
        &["baseline", "save", &baseline, "--from", &more],
        &["locked"],
    );
    refused(&["baseline", "delete", &baseline], &["locked"]);
    exits(
        0,
        &[
            "baseline",
            "merge",
            &baseline,
            "--from",
            &more,
            "--force",
            "--reason",
            "release 7",
        ],
    );
    let shown = exits(0, &["baseline", "show", &baseline]);
    assert!(shown.contains("merged by force: release 7"), "{shown}");
    exits(0, &["baseline", "delete", &baseline, "--force"]);
    assert!(!Path::new(&baseline).exists());
}

#[test]
fn files_are_made_for_git() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let before = std::fs::read(&baseline).unwrap();
    let windows: Vec<String> = ["ccc", "a", "bb"]
        .iter()
        .map(|session| folder.path(&format!("{session}.json")))
        .collect();
    // In another order, and one twice.
    save(
        &baseline,
        [&windows[0], &windows[1], &windows[2], &windows[1]],
    );
    assert_eq!(std::fs::read(&baseline).unwrap(), before);
    exits(
        0,
        &[
            "baseline",
            "export",
            &baseline,
            "--output-file",
            &folder.path("e.yaml"),
        ],
    );
    assert_eq!(std::fs::read(folder.at("e.yaml")).unwrap(), before);
    exits(
        0,
        &[
            "baseline",
            "export",
            &baseline,
            "--output-file",
            &folder.path("e.json"),
        ],
    );
    schema("baseline", &read(&folder.at("e.json")));
    assert!(
        exits(
            0,
            &["baseline", "list", &folder.0.path().display().to_string()]
        )
        .contains("Deployment/shop/web")
    );
}

#[test]
fn wildcards_are_learned_from_what_varies_and_explained() {
    let folder = Folder::new();
    let mut windows = Vec::new();
    for (number, session) in ["a", "bb", "ccc"].iter().enumerate() {
        let mut seen = profile(session);
        seen["containers"][0]["files"]
            .as_array_mut()
            .unwrap()
            .extend([
                file(
                    &format!("/data/part-{number}.bin"),
                    &json!({"open": 1, "write": 1, "create": 1}),
                ),
                file(
                    &format!("/tmp/tmpab{number}cd_ef"),
                    &json!({"open": 1, "write": 1}),
                ),
            ]);
        windows.push(folder.write(&format!("{session}.json"), &seen));
    }
    let baseline = folder.path("b.yaml");
    save(&baseline, [&windows[0], &windows[1], &windows[2]]);
    let shown = exits(0, &["baseline", "show", &baseline, "--explain"]);
    assert!(shown.contains("/data/part-*.bin"), "{shown}");
    assert!(
        shown.contains("(learned): part-0.bin, part-1.bin, part-2.bin"),
        "{shown}"
    );
    assert!(shown.contains("(rule temporary-name)"), "{shown}");
    let mut next = profile("next");
    next["containers"][0]["files"]
        .as_array_mut()
        .unwrap()
        .push(file(
            "/data/part-77.bin",
            &json!({"open": 1, "write": 1, "create": 1}),
        ));
    let next = folder.write("next.json", &next);
    exits(0, &["diff", &baseline, &next, "--fail-on", "info"]);
}

#[test]
fn every_form_is_what_its_readers_take() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let mut hostile = intruder();
    hostile["containers"][0]["files"]
        .as_array_mut()
        .unwrap()
        .push(file("/data/a|b`<x>\u{1b}[2J\nc", &json!({"open": 1})));
    let seen = folder.write("seen.json", &hostile);
    let form = |name: &str| exits(1, &["diff", &baseline, &seen, "-o", name]);
    assert!(form("table").contains("/tmp/miner runs"));
    let wide = form("wide");
    assert!(
        wide.contains("evidence: /containers/0/processes/1")
            && wide.contains("accept: kubectl procmon diff"),
        "{wide}"
    );
    let markdown = form("markdown");
    for line in markdown.lines().filter(|line| line.starts_with("| ")) {
        let cells = line.replace("\\|", "").matches('|').count();
        assert_eq!(cells, 7, "{line}");
    }
    assert!(
        // Within code nothing acts.
        !markdown.contains('\u{1b}') && markdown.contains("``/usr/sbin/app reads /data/a\\|b`<x>"),
        "{markdown}"
    );
    let sarif: Value = serde_json::from_str(&form("sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(
        results.iter().any(|result| result["level"] == "error"),
        "{sarif:#}"
    );
    assert!(
        results
            .iter()
            .all(|result| result["partialFingerprints"]["drift/v2"].is_string()),
        "{sarif:#}"
    );
    let junit = form("junit");
    assert!(
        junit.contains("<failure") && junit.contains("name=\"files\"") && !junit.contains('\u{1b}'),
        "{junit}"
    );
    let yaml = form("yaml");
    let from_yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    let from_json: Value = serde_json::from_str(&form("json")).unwrap();
    assert_eq!(from_yaml, from_json);
    let drift = folder.write("drift.json", &from_json);
    assert!(exits(0, &["show", &drift]).contains("/tmp/miner runs"));
    assert!(exits(0, &["show", &baseline]).contains("Deployment/shop/web"));
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let good = folder.path("a.json");
    let mut other = profile("other");
    other["containers"][0]["owner"]["name"] = "api".into();
    let other = folder.write("other.json", &other);
    refused(
        &["diff", &baseline, &other],
        &["Deployment/shop/web", "Deployment/shop/api", "--force"],
    );
    exits(0, &["diff", &baseline, &other, "--force"]);
    let mut arm = profile("arm");
    arm["nodes"][0]["arch"] = "arm64".into();
    let arm = folder.write("arm.json", &arm);
    refused(&["diff", &baseline, &arm], &["architectures", "arm64"]);
    refused(
        &["baseline", "merge", &baseline, "--from", &other],
        &["different workloads"],
    );
    refused(
        &["diff", &good, &baseline],
        &["is a Baseline, not a Profile"],
    );
    refused(&["diff", &baseline], &["nothing to compare"]);
    refused(
        &["diff", &baseline, &good, "--ignore", "nosuch == 1"],
        &["nosuch"],
    );
    refused(
        &["diff", &baseline, &good, "--only", "everything"],
        &["everything"],
    );
    refused(&["baseline", "save", &folder.path("x.yaml")], &["--from"]);
    refused(&["diff", &good, "--odd-one-out"], &["fewer than two pods"]);
    let text = std::fs::read_to_string(&baseline).unwrap();
    let twice = text.replacen("containers:\n", "containers:\n- name: main\n", 1);
    let twice = folder.text("twice.yaml", &twice);
    refused(&["diff", &twice, &good], &["two containers named `main`"]);
    for (name, text, says) in [
        ("empty.yaml", "", "empty"),
        ("cut.json", "{\"apiVersion\":\"procmon/v1\",", "truncated"),
        (
            "newer.json",
            "{\"apiVersion\":\"procmon/v1\",\"kind\":\"Baseline\",\"schemaVersion\":\"2.0\"}",
            "2.0",
        ),
        ("other.yaml", "apiVersion: v1\nkind: Pod\n", "Pod"),
        ("bomb.yaml", "a: &a [1]\nb: [*a, *a]\n", "Anchors"),
    ] {
        let path = folder.text(name, text);
        let output = run(&["diff", &path, &good]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {errors}");
        assert!(errors.contains(says), "{name}: {errors}");
    }
    // Patterns made to be slow.
    let mut slow = text;
    let pattern = format!("path: /{}", "*a".repeat(500));
    slow = slow.replacen("path: /srv/index.html", &pattern, 1);
    let slow = folder.text("slow.yaml", &slow);
    let mut long = profile("long");
    long["containers"][0]["files"] = json!([file(
        &format!("/{}b", "a".repeat(4000)),
        &json!({"open": 1})
    )]);
    let long = folder.write("long.json", &long);
    exits(1, &["diff", &slow, &long, "--fail-on", "info"]);
}

#[test]
fn names_that_are_no_text_stay_what_they_are() {
    let folder = Folder::new();
    let mut odd = profile("odd");
    odd["containers"][0]["files"]
        .as_array_mut()
        .unwrap()
        .extend([
            file("/srv/a\\xffb", &json!({"open": 1})),
            file("/srv/a*b", &json!({"open": 1})),
            file("/srv/a\\\\b", &json!({"open": 1})),
            file("/srv/a\nb", &json!({"open": 1})),
        ]);
    let seen = folder.write("odd.json", &odd);
    let baseline = folder.path("b.yaml");
    exits(0, &["baseline", "save", &baseline, "--from", &seen]);
    exits(0, &["diff", &baseline, &seen, "--fail-on", "info"]);
    odd["containers"][0]["files"] = json!([file("/srv/aXb", &json!({"open": 1}))]);
    let next = folder.write("next.json", &odd);
    exits(0, &["diff", &baseline, &next]);
    let drift: Value = serde_json::from_str(&exits(
        1,
        &["diff", &baseline, &next, "--fail-on", "info", "-o", "json"],
    ))
    .unwrap();
    assert!(
        drift["rows"][0]["key"]
            .as_str()
            .unwrap()
            .contains("/srv/aXb"),
        "{drift:#}"
    );
}

#[test]
fn a_start_that_the_baseline_never_saw_is_no_drift_but_an_intruder_in_it_is() {
    let folder = Folder::new();
    let baseline = saved(&folder, "b.yaml");
    let mut start = intruder();
    start["containers"][0]["fromStart"] = true.into();
    start["containers"][0]["syscalls"].as_array_mut().unwrap().push(json!({"name": "setuid", "abi": "x86_64", "exe": "/usr/sbin/app",
        "calls": 1, "errors": {}, "restarted": 0, "unfinished": 0, "noReturn": 0, "deniedBySeccomp": 0}));
    let start = folder.write("start.json", &start);
    let drift: Value =
        serde_json::from_str(&exits(1, &["diff", &baseline, &start, "-o", "json"])).unwrap();
    for row in drift["rows"].as_array().unwrap() {
        let key = row["key"].as_str().unwrap();
        let expected = if key.contains("miner runs") {
            "critical"
        } else if key.contains("token") {
            "high"
        } else {
            "info"
        };
        assert_eq!(row["severity"], expected, "{row}");
    }
    assert!(
        drift["notes"].to_string().contains("never saw the start"),
        "{drift:#}"
    );
}

/// Documents of every released version stay readable.
#[test]
fn recorded_streams_and_documents_are_read_for_ever() {
    let versions = golden::versions();
    assert!(versions.len() > 1, "{versions:?}");
    for folder in versions {
        let at = |name: &str| folder.join(name).display().to_string();
        let text = exits(0, &["show", "--frames", &at("stream.ndjson"), "-o", "json"]);
        let replayed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(replayed["completeness"]["complete"], true, "{replayed:#}");
        let saved = read(&folder.join("profile.json"));
        assert_eq!(replayed["containers"], saved["containers"]);
        exits(
            0,
            &[
                "diff",
                &at("baseline.yaml"),
                &at("profile.json"),
                "--fail-on",
                "info",
            ],
        );
        for (kind, name) in [("profile", "profile.json"), ("drift", "drift.json")] {
            schema(kind, &read(&folder.join(name)));
            exits(0, &["show", &at(name)]);
        }
        assert!(exits(0, &["baseline", "show", &at("baseline.yaml")]).contains("/usr/bin/cat"));
    }
}

/// Each document is shown in the forms that it has, and says which they are.
#[test]
fn a_saved_document_is_shown_in_each_of_its_forms() {
    let every = ["table", "wide", "json", "yaml"];
    for folder in golden::versions() {
        let at = |name: &str| folder.join(name).display().to_string();
        for (file, own, foreign) in [
            (
                "profile.json",
                &["name"][..],
                &["markdown", "sarif", "junit"][..],
            ),
            ("drift.json", &["markdown", "sarif", "junit"], &["name"]),
            ("baseline.yaml", &[], &["name", "sarif"]),
        ] {
            for form in every.iter().chain(own) {
                assert!(
                    !exits(0, &["show", &at(file), "-o", form]).is_empty(),
                    "{file} {form}"
                );
            }
            for form in foreign {
                let reason = format!("has no form `{form}`");
                refused(
                    &["show", &at(file), "-o", form],
                    &[&reason, "it has: table, wide, json, yaml"],
                );
            }
        }
    }
}

#[test]
fn the_pod_that_does_what_no_other_does_stands_out() {
    let folder = Folder::new();
    let mut all = profile("all");
    let first = all["containers"][0].clone();
    for (pod, odd) in [("web-2", false), ("web-3", true)] {
        let mut other = if odd {
            intruder()["containers"][0].clone()
        } else {
            first.clone()
        };
        other["pod"] = pod.into();
        all["containers"].as_array_mut().unwrap().push(other);
    }
    let path = folder.write("all.json", &all);
    let drifts: Value =
        serde_json::from_str(&exits(1, &["diff", &path, "--odd-one-out", "-o", "json"])).unwrap();
    let severe: Vec<&str> = drifts["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|drift| drift["summary"]["bySeverity"]["critical"] != 0)
        .map(|drift| drift["profile"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(severe, ["web-3"], "{drifts:#}");
    // A baseline of all of them counts each pod as a window.
    let baseline = folder.path("b.yaml");
    exits(0, &["baseline", "save", &baseline, "--from", &path]);
    assert!(exits(0, &["baseline", "show", &baseline]).contains("1/3"));
}

#[test]
fn two_images_of_one_workload_are_compared_and_one_image_is_not() {
    let folder = Folder::new();
    let before = folder.write("before.json", &profile("before"));
    let mut next = intruder();
    next["containers"][0]["imageDigest"] = "sha256:2222".into();
    let next = folder.write("next.json", &next);
    let text = exits(1, &["diff", &before, &next, "--image-change", "-o", "json"]);
    assert!(
        text.contains("the image is another one (sha256:2222)"),
        "{text}"
    );
    let same = folder.write("same.json", &profile("same"));
    refused(
        &["diff", &before, &same, "--image-change"],
        &["the same image"],
    );
}

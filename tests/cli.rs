//! The built plugin without a cluster: help, usage, stored profiles, bad input, exit codes.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::{plugin, run};
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Exit code 2, nothing on standard output, and an error that says these things.
fn refused(args: &[&str], says: &[&str]) {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(errors.starts_with("error: "), "{args:?}: {errors}");
    for text in says {
        assert!(
            errors.contains(text),
            "{args:?} does not say `{text}`: {errors}"
        );
    }
    assert!(
        !errors.contains("backtrace") && !errors.contains("panicked"),
        "{errors}"
    );
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn help_is_no_error_and_names_every_command() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    for command in [
        "profile",
        "diff",
        "baseline",
        "show",
        "schema",
        "version",
        "completion",
    ] {
        assert!(text.contains(command), "{command}");
    }
}

#[test]
fn wrong_usage_is_refused_with_its_reason() {
    refused(
        &["profile", "--local", "--duration", "0", "--", "true"],
        &["above 0"],
    );
    refused(
        &["profile", "--local", "--duration", "-5s", "--", "true"],
        &["above 0"],
    );
    refused(
        &["profile", "--local", "--duration", "25h", "--", "true"],
        &["limit"],
    );
    refused(
        &["profile", "--local", "--duration", "soon", "--", "true"],
        &["soon"],
    );
    refused(&["profile", "--local", "-o", "xml", "--", "true"], &["xml"]);
    refused(&["profile", "--local"], &["nothing to profile", "hint:"]);
    refused(
        &["profile", "--local", "--container", "xyz"],
        &["no container id"],
    );
    refused(&["nonsense"], &["nonsense"]);
}

#[test]
fn an_output_path_that_cannot_be_written_is_known_at_once() {
    refused(
        &[
            "profile",
            "--local",
            "--output-file",
            "/nonexistent/p.json",
            "--",
            "sleep",
            "60",
        ],
        &["/nonexistent/p.json"],
    );
}

#[test]
fn commands_that_cannot_run_end_as_in_a_shell() {
    let output = run(&["profile", "--local", "--", "/nonexistent/command"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no command"));
    let text = file(b"text");
    let output = run(&["profile", "--local", "--", text.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(126));
}

#[test]
fn without_root_it_says_so_and_what_to_do() {
    let unprivileged = tempfile::tempdir().unwrap();
    let copy = unprivileged.path().join("kubectl-procmon");
    std::fs::copy(plugin(), &copy).unwrap();
    Command::new("chmod")
        .args(["-R", "a+rx"])
        .arg(unprivileged.path())
        .status()
        .unwrap();
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ])
        .arg(&copy)
        .args(["profile", "--local", "--", "true"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("not root") && errors.contains("hint:"),
        "{errors}"
    );
}

#[test]
fn bad_documents_are_refused_with_their_reason() {
    let check = |bytes: &[u8], says: &str| {
        let file = file(bytes);
        refused(&["show", file.path().to_str().unwrap()], &[says]);
    };
    check(b"", "empty");
    check(
        br#"{"apiVersion":"procmon/v1","kind":"Profile","#,
        "truncated",
    );
    check(
        br#"{"apiVersion":"procmon/v2","kind":"Profile"}"#,
        "procmon/v2",
    );
    check(
        br#"{"apiVersion":"procmon/v1","kind":"Response"}"#,
        "Response",
    );
    check(br#"{"apiVersion":"v1","kind":"Pod"}"#, "Pod");
    check(b"\x7fELF\x00\x01", "neither JSON nor YAML");
    refused(&["show", "/nonexistent"], &["/nonexistent"]);
    refused(&["show", "/"], &["folder"]);
}

#[test]
fn a_document_of_a_gigabyte_is_refused_before_it_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 30).unwrap();
    refused(&["show", file.path().to_str().unwrap()], &["more than"]);
}

#[test]
fn bad_streams_are_refused_and_cut_ones_are_partial() {
    let junk = file(b"junk\n");
    refused(
        &["show", "--frames", junk.path().to_str().unwrap()],
        &["malformed"],
    );
    let hello = r#"{"seq":0,"frame":{"hello":{"protocol":"1.0","probe":"0","session":"s","node":"n","kernel":"k","arch":"amd64","hooks":[]}}}"#;
    let cut = file(format!("{hello}\n").as_bytes());
    let output = run(&[
        "show",
        "--frames",
        cut.path().to_str().unwrap(),
        "-o",
        "json",
    ]);
    assert!(output.status.success(), "{output:?}");
    let profile: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(profile["completeness"]["complete"], false);
    assert!(
        profile["nodes"][0]["error"]
            .as_str()
            .unwrap()
            .contains("cut after 1 frames")
    );
}

#[test]
fn the_version_names_the_probes_with_their_digests() {
    let output = run(&["version", "-o", "json"]);
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let probe = &version["probes"][0];
    assert_eq!(probe["arch"], "amd64");
    let executable = probe["sha256"].as_str().unwrap();
    let delivered = probe["configMap"]["binaryData"]["probe"]["base64Sha256"]
        .as_str()
        .unwrap();
    assert!(probe["bytes"].as_u64().unwrap() < 1_040_000);
    assert_eq!(version["protocol"], "1.2");

    // A policy sees the executable, and its base64 in the ConfigMap.
    let sum = |command: &str| {
        let output = Command::new("sh")
            .args(["-c", command, "sh"])
            .arg(procmon_tests::probe())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    };
    assert_eq!(executable, sum("sha256sum <\"$1\""));
    assert_eq!(delivered, sum("base64 -w0 \"$1\" | sha256sum"));
    let text = String::from_utf8(run(&["version"]).stdout).unwrap();
    assert!(
        text.contains(executable) && text.contains(delivered),
        "{text}"
    );
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let mut child = Command::new(plugin())
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn completion_scripts_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completion", shell]);
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{shell}"
        );
    }
}

#[test]
fn credentials_on_a_command_line_reach_no_part_of_the_document() {
    if !procmon_tests::has_bpf() {
        return;
    }
    let given = [
        "-u",
        "me:hunter2",
        "--data",
        "password=hunter2",
        "-H",
        "X-Api-Key: hunter2",
        "http://u:hunter2@127.0.0.1:9/?token=hunter2",
    ];
    let mut seen = 0;
    for form in ["json", "wide", "name"] {
        // Whether curl is there or not: its name and arguments are what counts.
        let output = Command::new(plugin())
            .args(["profile", "--local", "-o", form, "--", "bash", "-c"])
            .args(["exec -a curl sleep \"$@\" 2>/dev/null", "curl"])
            .args(given)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("hunter2"), "{form}: {text}");
        seen += text.matches("***").count();
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn what_is_for_this_machine_is_not_mixed_with_what_is_for_a_cluster() {
    for args in [
        &["pod/web", "--pid", "1"][..],
        &["pod/web", "--cgroup", "/"],
        &["pod/web", "--", "true"],
        &["-l", "app=web", "--", "true"],
        &["--local", "-n", "x", "--", "true"],
        &["--local", "--context", "x", "--", "true"],
    ] {
        refused(&[&["profile"], args].concat(), &["--local", "hint:"]);
    }
    // Nothing named is not everything.
    refused(&["profile", "--local", "--cgroup", ""], &["empty", "hint:"]);
    refused(&["profile", "-l", ""], &["empty", "hint:"]);
}

#[test]
fn a_connection_that_cannot_be_is_refused_with_its_reason() {
    let kubeconfig = file(
        b"apiVersion: v1\nkind: Config\ncurrent-context: here\n\
          contexts: [{name: here, context: {cluster: kind, user: me}}]\n\
          clusters: [{name: kind, cluster: {server: \"https://127.0.0.1:1\"}}]\n\
          users: [{name: me, user: {token: hunter2}}]\n",
    );
    let path = kubeconfig.path().to_str().unwrap();
    let check = |args: &[&str], says: &[&str]| {
        refused(
            &[&["profile", "pod/x", "--kubeconfig", path], args].concat(),
            says,
        );
    };
    check(
        &[],
        &["https://127.0.0.1:1/", "Connection refused", "hint:"],
    );
    check(&["-s", "127.0.0.1:2"], &["https://127.0.0.1:2/"]);
    check(&["-s", "a b"], &["`a b` is no address"]);
    check(&["-s", "ftp://host"], &["no address"]);
    check(&["--context", "nope"], &["no context `nope`", "here"]);
    check(&["--cluster", "nope"], &["no cluster `nope`", "kind"]);
    check(&["--user", "nope"], &["no user `nope`", "me"]);
    check(
        &["--certificate-authority", "/nonexistent"],
        &["/nonexistent"],
    );
    check(
        &[
            "--client-key",
            "/nonexistent",
            "--client-certificate",
            "/nonexistent",
        ],
        &["/nonexistent"],
    );
    let broken = file(b"users:\n- name: [hunter2\n  token: hunter2: x\n");
    let output = run(&[
        "profile",
        "pod/x",
        "--kubeconfig",
        broken.path().to_str().unwrap(),
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("line ") && !errors.contains("hunter2"),
        "{errors}"
    );
    // Files of a list that are not there are left out.
    let output = Command::new(plugin())
        .args(["profile", "pod/x"])
        .env("KUBECONFIG", format!("/nonexistent:{path}"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Connection refused"), "{errors}");
}

#[test]
fn a_certificate_of_version_1_is_refused_in_words() {
    let path = procmon_tests::root().join("tests/documents/old-certificate/kubeconfig.yaml");
    refused(
        &["profile", "pod/x", "--kubeconfig", path.to_str().unwrap()],
        &["X.509 version 1", "hint:", "extendedKeyUsage"],
    );
}

/// Answers every request that there is no such thing, and keeps what was asked.
fn api_server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .by_ref()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            kept.lock().unwrap().push(head.join("\n").to_lowercase());
            let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"not found","code":404}"#;
            let _ = write!(
                connection,
                "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{status}",
                status.len()
            );
        }
    });
    (port, asked)
}

#[test]
fn a_credential_plugin_is_run_once_and_requests_say_whose_they_are() {
    let (port, asked) = api_server();
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let plugin_of = |status: &str| {
        let program = folder.path().join("credential");
        std::fs::write(
            &program,
            format!(
                "#!/bin/sh\necho run >> {}\necho '{{\"kind\":\"ExecCredential\",\"apiVersion\":\
                 \"client.authentication.k8s.io/v1\",\"status\":{status}}}'\n",
                runs.display()
            ),
        )
        .unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        program
    };
    let kubeconfig = |program: &Path| {
        file(
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
                 contexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
                 users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, \
                 command: {}, interactiveMode: IfAvailable}}}}}}]\n",
                program.display()
            )
            .as_bytes(),
        )
    };
    for (status, times) in [
        (r#"{"token":"hunter2"}"#, 1),
        (
            r#"{"token":"hunter2","expirationTimestamp":"2099-01-01T00:00:00Z"}"#,
            1,
        ),
        // It has ended: another one for the request.
        (
            r#"{"token":"hunter2","expirationTimestamp":"2001-01-01T00:00:00Z"}"#,
            2,
        ),
    ] {
        let _ = std::fs::remove_file(&runs);
        asked.lock().unwrap().clear();
        let config = kubeconfig(&plugin_of(status));
        let path = config.path().to_str().unwrap();
        refused(&["profile", "pod/x", "--kubeconfig", path], &["pod `x`"]);
        let requests = asked.lock().unwrap().clone();
        for request in &requests {
            assert!(
                request.contains("authorization: bearer hunter2"),
                "{request}"
            );
            assert!(
                request.contains("user-agent: kubectl-procmon/"),
                "{request}"
            );
        }
        let count = std::fs::read_to_string(&runs).unwrap().lines().count();
        assert_eq!((requests.len(), count), (1, times), "{status}");
    }
    for (status, says) in [
        (r#"{"token":["x"]}"#, "wrote no ExecCredential"),
        (
            r#"{"token":"x","expirationTimestamp":"soon"}"#,
            "`soon` is no time",
        ),
    ] {
        let config = kubeconfig(&plugin_of(status));
        let path = config.path().to_str().unwrap();
        refused(&["profile", "pod/x", "--kubeconfig", path], &[says]);
    }
    let config = kubeconfig(Path::new("/nonexistent/credential"));
    let path = config.path().to_str().unwrap();
    refused(
        &["profile", "pod/x", "--kubeconfig", path],
        &[
            "cannot run the credential plugin `/nonexistent/credential`",
            "hint:",
        ],
    );
}

/// Runs a command whose standard output takes nothing; what it says.
fn refused_by_full(command: &mut Command) -> String {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = command
        .stdout(full.unwrap())
        .stderr(Stdio::piped())
        .output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    errors
}

#[test]
fn help_that_standard_output_does_not_take_is_an_error() {
    for args in [&["profile", "--help"][..], &["--version"]] {
        let errors = refused_by_full(Command::new(plugin()).args(args));
        assert!(errors.contains("cannot print the help"), "{errors}");
    }
}

#[test]
fn a_result_that_standard_output_does_not_take_is_kept() {
    let document = file(PROFILE);
    let folder = tempfile::tempdir().unwrap();
    let errors = refused_by_full(
        Command::new(plugin())
            .args(["show", document.path().to_str().unwrap(), "-o", "name"])
            .env("TMPDIR", folder.path()),
    );
    assert!(
        errors.contains("the result is in") && errors.contains("hint: make room"),
        "{errors}"
    );
    let kept = std::fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(std::fs::read_to_string(kept.path()).unwrap(), "pod/web\n");
}

const PROFILE: &[u8] = br#"{"apiVersion":"procmon/v1","kind":"Profile","schemaVersion":"1.0","session":{"id":"s","tool":{"name":"t","version":"0"},"target":{"kind":"Pod","name":"web"},"endedEarly":false,"labelMode":"tree"},"nodes":[],"containers":[],"completeness":{"complete":false,"dimensions":{}}}"#;

/// Writes a result into a file; the error, when there is one.
fn show_into(document: &Path, into: &Path) -> Result<(), String> {
    let output = run(&[
        "show",
        document.to_str().unwrap(),
        "-o",
        "name",
        "--output-file",
        into.to_str().unwrap(),
    ]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(errors)
    }
}

#[test]
fn a_new_file_is_for_its_owner_only_and_an_old_one_keeps_its_mode() {
    let document = file(PROFILE);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    show_into(document.path(), &at("new")).unwrap();
    assert_eq!(mode(&at("new")), 0o600);
    std::fs::write(at("old"), "an old result that is longer").unwrap();
    std::fs::set_permissions(at("old"), Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("old", at("link")).unwrap();
    std::os::unix::fs::symlink("led", at("link to nothing")).unwrap();
    show_into(document.path(), &at("link")).unwrap();
    show_into(document.path(), &at("link to nothing")).unwrap();
    assert_eq!((mode(&at("old")), mode(&at("led"))), (0o640, 0o600));
    for name in ["new", "old", "led"] {
        assert_eq!(std::fs::read_to_string(at(name)).unwrap(), "pod/web\n");
    }
    assert!(at("link").is_symlink() && at("link to nothing").is_symlink());
}

#[test]
fn a_failure_leaves_no_new_file_and_an_old_one_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("old"), "an old result").unwrap();
    for name in ["new", "old"] {
        show_into(Path::new("/nonexistent"), &at(name)).unwrap_err();
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(std::fs::read_to_string(at("old")).unwrap(), "an old result");
    // Known before anything is read or captured.
    for path in [at("old").join("x"), at("folder/"), at("none").join("x")] {
        let error = show_into(Path::new("/nonexistent"), &path).unwrap_err();
        assert!(error.contains("cannot write to"), "{error}");
    }
}

#[test]
fn a_fifo_waits_for_its_reader_and_not_for_ever() {
    let document = file(PROFILE);
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let error = show_into(document.path(), &fifo).unwrap_err();
    for part in [
        "waiting for a reader",
        "it is a FIFO",
        "hint: start its reader",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let reader = Command::new("sh")
        .args(["-c", "sleep 0.5; cat \"$1\"", "sh"])
        .arg(&fifo)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    show_into(document.path(), &fifo).unwrap();
    let read = reader.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&read.stdout), "pod/web\n");
}

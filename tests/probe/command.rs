//! A command that the plugin starts: its end, output, exit code, arguments and user.

use crate::harness::{SOON, check_document};
use procmon_tests::document::{read, rows};
use procmon_tests::profiled::{folder, local};
use procmon_tests::{Running, has_bpf, plugin, wait_for};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

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

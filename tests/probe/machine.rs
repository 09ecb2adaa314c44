//! Machines that forbid programs in memory, and captures that other sessions run.

use crate::harness::has_program;
use procmon_profile::wire::TargetSpec;
use procmon_tests::{has_bpf, plugin};
use std::path::Path;
use std::process::Command;

/// Runs a script in a PID namespace of its own, where `$1` is the plugin: what counts or is set for a
/// namespace does not meet other tests. The last line that it prints, its errors.
fn in_namespace(script: &str) -> (String, String) {
    let output = Command::new("timeout")
        .args([
            "60",
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--mount-proc",
            "sh",
            "-c",
        ])
        .args([script, "sh"])
        .arg(plugin())
        .env_remove("PROCMON_CONCURRENT")
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        lines.lines().last().unwrap_or_default().to_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_machine_that_forbids_programs_in_memory_is_profiled() {
    if !has_bpf() {
        return;
    }
    // Linux 6.3.
    if !Path::new("/proc/sys/vm/memfd_noexec").exists() {
        return;
    }
    let profile = "\"$1\" profile --local -q -o name -- sh -c 'exit 7'; echo $?";
    for level in [0, 1, 2] {
        let script = format!("echo {level} >/proc/sys/vm/memfd_noexec && {profile}");
        let (last, errors) = in_namespace(&script);
        assert_eq!(last, "7", "{level}: {errors}");
    }
    // The plugin itself may lie below one of the folders that are hidden.
    let script = format!(
        "echo 2 >/proc/sys/vm/memfd_noexec && unset TMPDIR && exec 9<\"$1\" && set -- /proc/$$/fd/9 && \
         for folder in /tmp /var/tmp /run; do mount -t tmpfs -o noexec none $folder || exit; done; {profile}"
    );
    let (last, errors) = in_namespace(&script);
    assert_eq!(last, "2", "{errors}");
    for part in ["Permission denied", "may hold programs", "hint: set TMPDIR"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn a_second_session_waits_for_the_first_unless_it_is_told_not_to() {
    if !has_bpf() {
        return;
    }
    let (last, errors) = in_namespace(
        "\"$1\" profile --local -v -o name --duration 60s -- sleep 60 2>/tmp/first.$$ >/dev/null & first=$!
         until grep -q capturing /tmp/first.$$; do sleep 0.1; done; rm /tmp/first.$$
         \"$1\" profile --local -q -o name -- true; alone=$?
         \"$1\" profile --local -q -o json --concurrent -- true | grep -c '1 more capture'; beside=$?
         kill -INT $first; pkill -P $first sleep; wait $first
         \"$1\" profile --local -q -o name -- true; after=$?
         echo $alone $beside $after",
    );
    assert_eq!(last, "2 0 0", "{errors}");
    for part in [
        "process ",
        " captures on this kernel already: session ",
        "hint: wait until",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn only_a_probe_keeps_others_from_capturing() {
    if !has_bpf() || !has_program("perl") {
        return;
    }
    // Locks as a probe does, under the name and as the user that are given.
    let stranger = |name: &str, user: &str| {
        format!(
            "setpriv --reuid={user} --clear-groups perl -MFcntl -e '\
               open F, \"<\", \"/proc/self/ns/pid\" or die; $0 = \"{name}\"; \
               my $lock = pack(\"s s x4 q q i\", F_RDLCK, 0, 0, 1, 0); fcntl(F, F_SETLK, $lock) or die; \
               flock(F, 2) or die; print STDERR \"locked\\n\"; sleep 60' 2>/tmp/s.$$ & \
             until grep -q locked /tmp/s.$$; do sleep 0.1; done; rm /tmp/s.$$; \
             \"$1\" profile --local -q -o name -- true; echo $?"
        )
    };
    for (name, user, code) in [
        ("procmon-other", "0", "2"),
        ("procmon-other", "65534", "0"),
        ("other", "0", "0"),
    ] {
        let (last, errors) = in_namespace(&stranger(name, user));
        assert_eq!(last, code, "{name} {user}: {errors}");
    }
}

#[test]
fn probes_of_one_session_capture_beside_each_other() {
    if !has_bpf() {
        return;
    }
    let ask = |session: &str| {
        let argv = ["sleep", "2"].map(str::to_owned).to_vec();
        let mut request = procmon_tests::capture::request(TargetSpec::Command { argv }, None);
        session.clone_into(&mut request.session);
        request.concurrent = false;
        serde_json::to_string(&request).unwrap()
    };
    let probe = procmon_tests::probe().display().to_string();
    let (last, errors) = in_namespace(&format!(
        "{probe} '{one}' >/dev/null & sleep 1; {probe} '{one}' >/dev/null; same=$?; wait
         {probe} '{one}' >/dev/null & sleep 1; {probe} '{two}' >/dev/null; echo $same $?",
        one = ask("one"),
        two = ask("two"),
    ));
    assert_eq!(last, "0 2", "{errors}");
}

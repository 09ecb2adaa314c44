//! Children with known ends, programs executed a known number of times.
#![expect(unsafe_code, reason = "fork and posix_spawn, which std does not offer")]

use serde_json::json;
use std::process::Command;

const THREADS: u64 = 10;

/// Forks a child that never executes anything, and waits for it.
fn fork(what: impl FnOnce(), signal: Option<libc::c_int>) {
    // SAFETY: no other thread runs; the child ends by itself or by our signal.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            what();
            libc::_exit(3);
        }
        if let Some(signal) = signal {
            libc::kill(child, signal);
        }
        assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
    }
}

fn spawn_true() {
    let argv = [
        c"/bin/true".as_ptr().cast_mut(),
        c"spawned".as_ptr().cast_mut(),
        std::ptr::null_mut(),
    ];
    let environment = [std::ptr::null_mut()];
    let mut child = 0;
    // SAFETY: lists that end with a null pointer and outlive the calls.
    unsafe {
        let result = libc::posix_spawn(
            &raw mut child,
            argv[0],
            std::ptr::null(),
            std::ptr::null(),
            argv.as_ptr(),
            environment.as_ptr(),
        );
        assert_eq!(result, 0);
        assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
    }
}

fn main() {
    let run = |program: &str, args: &[&str]| Command::new(program).args(args).status();
    for _ in 0..20 {
        assert!(run("/bin/true", &[]).expect("a program").success());
    }
    for _ in 0..6 {
        assert_eq!(
            run("/bin/sh", &["-c", "exit 7"]).expect("a program").code(),
            Some(7)
        );
    }
    for _ in 0..3 {
        assert_eq!(
            run("/bin/sh", &["-c", "kill -9 $$"])
                .expect("a program")
                .code(),
            None
        );
    }
    // A child that finds no program ends with 127, as posix_spawn does it.
    assert!(run("/nonexistent/program", &[]).is_err());
    for _ in 0..5 {
        fork(|| (), None);
    }
    for _ in 0..2 {
        let sleep = || std::thread::sleep(std::time::Duration::from_mins(10));
        fork(sleep, Some(libc::SIGTERM));
    }
    for _ in 0..4 {
        spawn_true();
    }
    // Threads are not processes.
    let threads: Vec<_> = (0..THREADS).map(|_| std::thread::spawn(|| ())).collect();
    for thread in threads {
        thread.join().expect("the thread ends");
    }
    let own: Vec<String> = std::env::args().collect();
    procmon_tests::tell(&json!({"processes": [
        {"argv": own, "count": 1, "exits": {"0": 1}, "startedBefore": false},
        {"argv": own, "count": 8, "exits": {"3": 5, "SIGTERM": 2, "127": 1}},
        {"argv": ["/bin/true"], "count": 20, "exits": {"0": 20}},
        {"argv": ["/bin/true", "spawned"], "count": 4, "exits": {"0": 4}},
        {"argv": ["/bin/sh", "-c", "exit 7"], "count": 6, "exits": {"7": 6}},
        {"argv": ["/bin/sh", "-c", "kill -9 $$"], "count": 3, "exits": {"SIGKILL": 3}},
    ]}));
}

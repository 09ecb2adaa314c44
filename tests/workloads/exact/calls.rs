//! System calls: threads, errnos, signals, gates, filters, ends.

use crate::{
    Case, Folder, child, fails, fork, good, memory, open, own_row, sleeps_in, sys, text, until,
    wait,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

pub(crate) const CASES: &[Case] = &[
    ("threads", threads),
    ("threads-found", threads_found),
    ("thread-ends", thread_ends),
    ("errnos", errnos),
    ("errnos-threads", errnos_threads),
    ("stopped", stopped),
    ("interrupted", interrupted),
    ("blocked", blocked),
    ("killed-in-call", killed_in_call),
    ("stopped-read", stopped_read),
    ("timeouts", timeouts),
    ("traced", traced),
    ("traced-kept", traced_kept),
    ("upper-halves", upper_halves),
    ("gate32", gate32),
    ("gate32-files", gate32_files),
    ("numbers", numbers),
    ("filters", filters),
    ("filters-answered", filters_answered),
    ("filters-supervised", filters_supervised),
    ("filter-found", filter_found),
    ("filter-strict", filter_strict),
    ("filter-names", filter_names),
    ("handler-calls", handler_calls),
    ("many-threads", many_threads),
    ("exec-thread", exec_thread),
];

fn threads(_: &Folder) -> Value {
    const THREADS: u64 = 32;
    const EACH: u64 = 200;
    // Joined: a scope would not wait for their very end.
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..EACH {
                    sys!(SYS_getppid);
                    fails(sys!(SYS_dup, -1), libc::EBADF);
                    sys!(SYS_sched_yield);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread");
    }
    json!({"syscalls": [
        {"name": "getppid", "calls": THREADS * EACH, "errors": {}, "unfinished": 0, "noReturn": 0},
        {"name": "dup", "calls": THREADS * EACH, "errors": {"EBADF": THREADS * EACH}},
        {"name": "sched_yield", "calls": THREADS * EACH, "errors": {}},
        {"name": "clone3", "calls": THREADS, "errors": {}},
        {"name": "exit", "calls": THREADS, "noReturn": THREADS, "errors": {}, "unfinished": 0},
        {"name": "exit_group", "calls": 1, "noReturn": 1, "errors": {}, "unfinished": 0},
    ], "processes": [own_row()], "whole": ["processes"]})
}

/// Threads that wait in calls of their own when the window opens.
fn threads_found(folder: &Folder) -> Value {
    const THREADS: i64 = 50;
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    let file = open(folder, "found", libc::O_CREAT | libc::O_RDWR);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            std::thread::spawn(move || {
                let mut byte = 0_u8;
                let vector = libc::iovec {
                    iov_base: (&raw mut byte).cast(),
                    iov_len: 1,
                };
                assert_eq!(sys!(SYS_readv, pipe[0], &raw const vector, 1), 0);
                for _ in 0..10 {
                    sys!(SYS_getppid);
                    fails(sys!(SYS_dup, -1), libc::EBADF);
                    assert_eq!(sys!(SYS_pwrite64, file, b"12".as_ptr(), 2_i64, 0_i64), 2);
                }
            })
        })
        .collect();
    crate::wait_for_go();
    sys!(SYS_close, pipe[1]);
    for thread in threads {
        thread.join().expect("a thread");
    }
    let all = 10 * THREADS;
    json!({"syscalls": [
        {"name": "getppid", "calls": all, "errors": {}},
        {"name": "dup", "calls": all, "errors": {"EBADF": all}},
        {"name": "pwrite64", "calls": all, "errors": {}},
        {"name": "exit", "calls": THREADS, "noReturn": THREADS},
    ], "files": [crate::row(&folder.at("found"), &json!({"write": all}), 0, (2 * all).cast_unsigned(), &json!({}))],
    "processes": [{"argv": crate::own(), "count": 1, "startedBefore": true, "exits": {"0": 1}}],
    "whole": ["files", "processes"]})
}

/// The first thread of a process has ended.
pub(crate) fn is_dead(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat"))
        .is_ok_and(|stat| stat.contains(") Z "))
}

/// Ends by a thread that is not the first, and by the first one before the others.
fn thread_ends(_: &Folder) -> Value {
    for _ in 0..4 {
        // The first thread ends by itself, another one ends the process.
        let status = wait(fork(|| {
            std::thread::spawn(|| {
                until(|| is_dead(std::process::id()));
                sys!(SYS_exit_group, 5);
            });
            sys!(SYS_exit, 9);
        }));
        assert_eq!(libc::WEXITSTATUS(status), 5);
    }
    // All threads end by themselves, the first one first: kernels from 5.17 on take the last one's
    // code for the process's.
    let mut last = 0;
    for _ in 0..3 {
        let status = wait(fork(|| {
            let pid = std::process::id();
            std::thread::spawn(move || {
                until(|| is_dead(pid));
                sys!(SYS_exit, 6);
            });
            sys!(SYS_exit, 7);
        }));
        last = libc::WEXITSTATUS(status);
    }
    json!({"syscalls": [
        {"name": "exit", "calls": 4 + 3 * 2, "noReturn": 4 + 3 * 2, "errors": {}},
        {"name": "exit_group", "calls": 5, "noReturn": 5, "errors": {}},
        {"name": "clone3", "calls": 4 + 3, "errors": {}},
    ], "processes": [own_row(), {"argv": crate::own(), "count": 7, "exits": {"5": 4, last.to_string(): 3}}], "whole": ["processes"]})
}

/// Flags, mode and how to resolve, for openat2.
pub(crate) fn open_how(flags: i32, mode: u64, resolve: u64) -> [u64; 3] {
    [u64::from(flags.cast_unsigned()), mode, resolve]
}

/// One call that fails in thirteen ways, each another number of times.
#[expect(clippy::too_many_lines, reason = "one statement for each way to fail")]
fn errnos(folder: &Folder) -> Value {
    let at = libc::AT_FDCWD;
    std::fs::write(folder.at("file"), b"x").expect("write");
    std::fs::create_dir(folder.at("dir")).expect("mkdir");
    std::os::unix::fs::symlink("loop", folder.at("loop")).expect("symlink");
    let fifo = folder.c("fifo");
    assert_eq!(
        sys!(SYS_mknodat, at, fifo.as_ptr(), libc::S_IFIFO | 0o600, 0),
        0
    );
    let long = text(&folder.at(&"n".repeat(300)));
    let (none, beyond, exists, dir, looped) = (
        folder.c("none"),
        folder.c("file/x"),
        folder.c("file"),
        folder.c("dir"),
        folder.c("loop"),
    );
    let read = open_how(libc::O_RDONLY, 0, 0);
    let write = open_how(libc::O_WRONLY | libc::O_NONBLOCK, 0, 0);
    let create = open_how(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o600, 0);
    let bad = open_how(libc::O_RDONLY, 0o777, 0);
    let beneath = open_how(libc::O_RDONLY, 0, libc::RESOLVE_BENEATH);
    let open =
        |name: *const libc::c_char, how: &[u64; 3]| sys!(SYS_openat2, at, name, how.as_ptr(), 24);
    let mut rows = Vec::new();
    let mut errors = serde_json::Map::new();
    let mut total = 0;
    let mut repeat = |errno: i32, name: &str, path: Option<String>, act: &dyn Fn() -> i64| {
        total += 1;
        for _ in 0..total {
            fails(act(), errno);
        }
        errors.insert(name.into(), total.into());
        if let Some(path) = path {
            rows.push((path, name.to_owned(), total));
        }
    };
    repeat(libc::ENOENT, "ENOENT", Some(folder.at("none")), &|| {
        open(none.as_ptr(), &read)
    });
    repeat(libc::ENOTDIR, "ENOTDIR", Some(folder.at("file/x")), &|| {
        open(beyond.as_ptr(), &read)
    });
    repeat(libc::EEXIST, "EEXIST", Some(folder.at("file")), &|| {
        open(exists.as_ptr(), &create)
    });
    repeat(libc::EISDIR, "EISDIR", Some(folder.at("dir")), &|| {
        open(dir.as_ptr(), &write)
    });
    repeat(libc::ELOOP, "ELOOP", Some(folder.at("loop")), &|| {
        open(looped.as_ptr(), &read)
    });
    repeat(
        libc::ENAMETOOLONG,
        "ENAMETOOLONG",
        Some(folder.at(&"n".repeat(300))),
        &|| open(long.as_ptr(), &read),
    );
    repeat(libc::ENXIO, "ENXIO", Some(folder.at("fifo")), &|| {
        open(fifo.as_ptr(), &write)
    });
    repeat(libc::EXDEV, "EXDEV", Some(folder.at("file")), &|| {
        open(exists.as_ptr(), &beneath)
    });
    repeat(libc::EINVAL, "EINVAL", Some(folder.at("file")), &|| {
        open(exists.as_ptr(), &bad)
    });
    repeat(libc::EFAULT, "EFAULT", None, &|| {
        open(std::ptr::without_provenance(8), &read)
    });
    repeat(libc::EBADF, "EBADF", None, &|| {
        sys!(SYS_openat2, -5, c"relative".as_ptr(), read.as_ptr(), 24)
    });
    repeat(libc::E2BIG, "E2BIG", Some(folder.at("file")), &|| {
        let big = [u64::from(libc::O_RDONLY.cast_unsigned()), 0, 0, 1];
        sys!(SYS_openat2, at, exists.as_ptr(), big.as_ptr(), 32)
    });
    let own = text(&crate::own_exe());
    repeat(libc::ETXTBSY, "ETXTBSY", None, &|| {
        open(own.as_ptr(), &write)
    });
    let files: Vec<Value> = [
        "none",
        "file/x",
        "file",
        "dir",
        "loop",
        &"n".repeat(300),
        "fifo",
    ]
    .into_iter()
    .map(|name| {
        let path = folder.at(name);
        let errors: serde_json::Map<String, Value> = rows
            .iter()
            .filter(|row| row.0 == path)
            .map(|row| (row.1.clone(), row.2.into()))
            .collect();
        json!({"path": path, "errors": errors})
    })
    .collect();
    let calls: u64 = errors.values().filter_map(Value::as_u64).sum();
    json!({"syscalls": [{"name": "openat2", "calls": calls, "errors": errors}], "files": files, "whole": ["files"]})
}

/// Many threads fail in many ways at once.
fn errnos_threads(_: &Folder) -> Value {
    const THREADS: u64 = 16;
    const EACH: u64 = 100;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut limit = [0_u64; 2];
                for _ in 0..EACH {
                    fails(sys!(SYS_fcntl, -1, libc::F_GETFD), libc::EBADF);
                    fails(sys!(SYS_fcntl, 0, 9999), libc::EINVAL);
                    fails(sys!(SYS_fcntl, 0, libc::F_GETLK, 8), libc::EFAULT);
                    fails(sys!(SYS_fcntl, 0, libc::F_DUPFD, 1 << 30), libc::EINVAL);
                    fails(sys!(SYS_kill, 0x3fff_ffff, 0), libc::ESRCH);
                    fails(sys!(SYS_kill, 1, 999), libc::EINVAL);
                    fails(
                        sys!(SYS_prlimit64, 0, 99, 0, limit.as_mut_ptr()),
                        libc::EINVAL,
                    );
                    fails(sys!(SYS_getpgid, 0x3fff_ffff), libc::ESRCH);
                    fails(sys!(SYS_epoll_ctl, -1, 1, 0, 8), libc::EFAULT);
                    fails(sys!(SYS_timer_delete, 77), libc::EINVAL);
                    fails(sys!(SYS_shmat, -1, 0, 0), libc::EINVAL);
                    fails(sys!(SYS_msgget, 0x7a7a_0101, 0), libc::ENOENT);
                    fails(sys!(SYS_futex, 0, libc::FUTEX_WAIT, 0, 0), libc::EFAULT);
                    fails(
                        sys!(SYS_mq_open, c"procmon-none".as_ptr(), 0, 0, 0),
                        libc::ENOENT,
                    );
                }
            });
        }
    });
    let n = THREADS * EACH;
    json!({"syscalls": [
        {"name": "kill", "calls": 2 * n, "errors": {"ESRCH": n, "EINVAL": n}},
        {"name": "prlimit64", "errors": {"EINVAL": n}},
        {"name": "getpgid", "calls": n, "errors": {"ESRCH": n}},
        {"name": "epoll_ctl", "calls": n, "errors": {"EFAULT": n}},
        {"name": "timer_delete", "calls": n, "errors": {"EINVAL": n}},
        {"name": "shmat", "calls": n, "errors": {"EINVAL": n}},
        {"name": "msgget", "calls": n, "errors": {"ENOENT": n}},
        {"name": "mq_open", "calls": n, "errors": {"ENOENT": n}},
        {"name": "fcntl", "errors": {"EBADF": n, "EINVAL": 2 * n, "EFAULT": n}},
    ]})
}

/// A sleep that is stopped and goes on: the kernel ends it by another call.
fn stopped(_: &Folder) -> Value {
    let sleeper = fork(|| {
        let time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 400_000_000,
        };
        assert_eq!(sys!(SYS_nanosleep, &raw const time, 0), 0);
    });
    until(|| sleeps_in(&sleeper.to_string(), libc::SYS_nanosleep));
    assert_eq!(sys!(SYS_kill, sleeper, libc::SIGSTOP), 0);
    until(|| {
        std::fs::read_to_string(format!("/proc/{sleeper}/stat"))
            .is_ok_and(|stat| stat.contains(") T "))
    });
    assert_eq!(sys!(SYS_kill, sleeper, libc::SIGCONT), 0);
    assert_eq!(wait(sleeper), 0);
    json!({"syscalls": [
        {"name": "nanosleep", "calls": 1, "restarted": 1, "errors": {}},
        {"name": "restart_syscall", "calls": 1, "restarted": 0, "errors": {}},
    ]})
}

/// A read that is stopped and goes on begins anew.
fn stopped_read(_: &Folder) -> Value {
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    let reader = fork(|| {
        let mut byte = 0_u8;
        let vector = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        assert_eq!(sys!(SYS_readv, pipe[0], &raw const vector, 1), 1);
    });
    let is = |state: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{reader}/stat"));
        stat.is_ok_and(|stat| stat.contains(state))
    };
    for _ in 0..3 {
        until(|| sleeps_in(&reader.to_string(), libc::SYS_readv) && is(") S "));
        assert_eq!(sys!(SYS_kill, reader, libc::SIGSTOP), 0);
        until(|| is(") T "));
        assert_eq!(sys!(SYS_kill, reader, libc::SIGCONT), 0);
    }
    until(|| sleeps_in(&reader.to_string(), libc::SYS_readv) && is(") S "));
    assert_eq!(sys!(SYS_write, pipe[1], b"x".as_ptr(), 1_i64), 1);
    assert_eq!(wait(reader), 0);
    json!({"syscalls": [{"name": "readv", "calls": 4, "restarted": 3, "errors": {}, "unfinished": 0, "noReturn": 0}]})
}

/// Calls that give up after a time.
fn timeouts(_: &Folder) -> Value {
    let soon = libc::timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000,
    };
    let word = [0_u32; 1];
    let signals = [0_u64; 1];
    for _ in 0..5 {
        fails(
            sys!(
                SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                0,
                &raw const soon
            ),
            libc::ETIMEDOUT,
        );
        fails(
            sys!(
                SYS_rt_sigtimedwait,
                signals.as_ptr(),
                0_i64,
                &raw const soon,
                8_i64
            ),
            libc::EAGAIN,
        );
        assert_eq!(
            sys!(SYS_ppoll, 0_i64, 0_i64, &raw const soon, 0_i64, 0_i64),
            0
        );
        assert_eq!(
            sys!(SYS_pselect6, 0, 0_i64, 0_i64, 0_i64, &raw const soon, 0_i64),
            0
        );
    }
    json!({"syscalls": [
        {"name": "futex", "errors": {"ETIMEDOUT": 5}},
        {"name": "rt_sigtimedwait", "calls": 5, "errors": {"EAGAIN": 5}, "restarted": 0},
        {"name": "ppoll", "calls": 5, "errors": {}},
        {"name": "pselect6", "calls": 5, "errors": {}},
    ]})
}

/// Stops until the parent traces it on.
fn stop_traced() {
    assert_eq!(
        sys!(SYS_ptrace, libc::PTRACE_TRACEME, 0_i64, 0_i64, 0_i64),
        0
    );
    sys!(SYS_kill, std::process::id(), libc::SIGSTOP);
}

/// A process that another one stops at each call.
fn traced(_: &Folder) -> Value {
    let traced = fork(|| {
        stop_traced();
        for _ in 0..10 {
            sys!(SYS_getpgid, 0);
            fails(sys!(SYS_getsid, 0x3fff_ffff), libc::ESRCH);
        }
    });
    let mut status = 0;
    loop {
        // SAFETY: a local, our own child.
        unsafe { libc::waitpid(traced, &raw mut status, 0) };
        if libc::WIFEXITED(status) {
            break;
        }
        let signal = match libc::WSTOPSIG(status) {
            libc::SIGSTOP | libc::SIGTRAP => 0,
            other => other,
        };
        assert_eq!(
            sys!(
                SYS_ptrace,
                libc::PTRACE_SYSCALL,
                traced,
                0_i64,
                i64::from(signal)
            ),
            0
        );
    }
    json!({"syscalls": [
        {"name": "getpgid", "calls": 10, "errors": {}, "restarted": 0},
        {"name": "getsid", "calls": 10, "errors": {"ESRCH": 10}, "restarted": 0},
    ], "events": [{"type": "ptrace"}]})
}

/// Calls that a tracer keeps from the kernel: it emulates them, or kills their task before they begin.
fn traced_kept(_: &Folder) -> Value {
    const PTRACE_SYSEMU: libc::c_uint = 31;
    let traced = |number: libc::c_long| {
        let traced = fork(|| {
            stop_traced();
            for _ in 0..10 {
                // SAFETY: a call that takes a number.
                unsafe { libc::syscall(number, 0) };
            }
        });
        assert_eq!(libc::WSTOPSIG(wait(traced)), libc::SIGSTOP);
        traced
    };
    let go_on = |traced: i32, how: libc::c_uint, stops: u32| {
        for _ in 0..stops {
            assert_eq!(sys!(SYS_ptrace, how, traced, 0_i64, 0_i64), 0);
            assert_eq!(libc::WSTOPSIG(wait(traced)), libc::SIGTRAP);
        }
    };
    // Each call stops twice: the last stop is before the fourth.
    let killed = traced(libc::SYS_getpgid);
    go_on(killed, libc::PTRACE_SYSCALL, 7);
    sys!(SYS_kill, killed, libc::SIGKILL);
    assert_eq!(libc::WTERMSIG(wait(killed)), libc::SIGKILL);
    let emulated = traced(libc::SYS_getsid);
    go_on(emulated, PTRACE_SYSEMU, 6);
    sys!(SYS_ptrace, libc::PTRACE_DETACH, emulated, 0_i64, 0_i64);
    assert_eq!(wait(emulated), 0);
    json!({"syscalls": [
        {"name": "getpgid", "calls": 3, "errors": {}, "deniedBySeccomp": 0, "noReturn": 0},
        {"name": "getsid", "calls": 4, "errors": {}, "deniedBySeccomp": 0, "noReturn": 0},
    ]})
}

/// Arguments whose upper half the kernel does not look at.
fn upper_halves(folder: &Folder) -> Value {
    const HIGH: i64 = 0x5a5a_5a5a_0000_0000;
    let wide = |value: i32| HIGH | i64::from(value.cast_unsigned());
    let at = wide(libc::AT_FDCWD);
    let name = folder.c("wide");
    let file = good(sys!(
        SYS_openat,
        at,
        name.as_ptr(),
        wide(libc::O_CREAT | libc::O_RDWR),
        wide(0o600)
    ));
    let mut buffer = [0_u8; 8];
    for _ in 0..3 {
        assert_eq!(sys!(SYS_write, wide(file), buffer.as_ptr(), 8_i64), 8);
        assert_eq!(
            sys!(SYS_pread64, wide(file), buffer.as_mut_ptr(), 8_i64, 0_i64),
            8
        );
    }
    assert_eq!(sys!(SYS_fchmod, wide(file), wide(0o640)), 0);
    fails(
        sys!(SYS_openat, at, folder.c("none").as_ptr(), wide(0)),
        libc::ENOENT,
    );
    fails(sys!(SYS_dup, wide(-1)), libc::EBADF);
    assert_eq!(
        sys!(SYS_mkdirat, at, folder.c("dir").as_ptr(), wide(0o700)),
        0
    );
    assert_eq!(
        sys!(
            SYS_unlinkat,
            at,
            folder.c("dir").as_ptr(),
            wide(libc::AT_REMOVEDIR)
        ),
        0
    );
    json!({"files": [
        crate::row(&folder.at("wide"), &json!({"open": 1, "create": 1, "write": 3, "read": 3, "chmod": 1}), 24, 24, &json!({})),
        crate::row(&folder.at("none"), &json!({}), 0, 0, &json!({"ENOENT": 1})),
        crate::row(&folder.at("dir"), &json!({"mkdir": 1, "rmdir": 1}), 0, 0, &json!({})),
    ], "syscalls": [{"name": "dup", "calls": 1, "errors": {"EBADF": 1}}], "whole": ["files"]})
}

extern "C" fn handle(_: libc::c_int) {}

fn on_signal(flags: libc::c_int) {
    handle_by(libc::SIGUSR1, handle, flags);
}

/// Handles a signal by a function that may be called at any time.
fn handle_by(signal: libc::c_int, handler: extern "C" fn(libc::c_int), flags: libc::c_int) {
    // SAFETY: the handlers here count, make calls, or do nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// Calls that a signal ends: by the kernel's restart codes, and by EINTR itself.
fn interrupted(_: &Folder) -> Value {
    on_signal(0);
    let interrupt = |call: libc::c_long, times: usize, act: &dyn Fn()| {
        let sleeper = fork(|| (0..times).for_each(|_| act()));
        for time in 0..times {
            let _ = time;
            until(|| sleeps_in(&sleeper.to_string(), call));
            assert_eq!(sys!(SYS_kill, sleeper, libc::SIGUSR1), 0);
            // The next sleep is another one.
            until(|| {
                std::fs::read_to_string(format!("/proc/{sleeper}/status")).is_ok_and(|text| {
                    !text.contains("SigPnd:\t0000000000000200")
                        && !text.contains("ShdPnd:\t0000000000000200")
                })
            });
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        assert_eq!(wait(sleeper), 0);
    };
    interrupt(libc::SYS_pause, 3, &|| fails(sys!(SYS_pause), libc::EINTR));
    let poll = good(sys!(SYS_epoll_create1, 0));
    interrupt(libc::SYS_epoll_pwait, 4, &|| {
        let mut event = [0_u8; 16];
        fails(
            sys!(SYS_epoll_pwait, poll, event.as_mut_ptr(), 1, -1, 0, 8),
            libc::EINTR,
        );
    });
    let empty = [0_u64; 1];
    interrupt(libc::SYS_rt_sigtimedwait, 2, &|| {
        fails(
            sys!(SYS_rt_sigtimedwait, empty.as_ptr(), 0, 0, 8),
            libc::EINTR,
        );
    });
    json!({"syscalls": [
        {"name": "pause", "calls": 3, "restarted": 3, "errors": {}},
        {"name": "epoll_pwait", "calls": 4, "restarted": 0, "errors": {"EINTR": 4}},
        {"name": "rt_sigtimedwait", "calls": 2, "restarted": 0, "errors": {"EINTR": 2}},
        {"name": "rt_sigreturn", "calls": 9, "errors": {}, "noReturn": 0, "unfinished": 0},
        {"name": "kill", "calls": 9, "errors": {}},
    ]})
}

static TASKS: AtomicU64 = AtomicU64::new(0);

/// One call that fails in eight ways, in seven of them on each CPU, after which its task makes no other.
fn fail_and_stay(cpus: usize) {
    let long = std::ffi::CString::new("n".repeat(300)).expect("no NUL");
    let write = open_how(libc::O_WRONLY, 0, 0);
    let at = libc::AT_FDCWD;
    let open = |directory: i32, name: *const libc::c_char, size: usize| {
        sys!(SYS_openat2, directory, name, write.as_ptr(), size)
    };
    let none = std::ptr::null::<libc::c_char>();
    for cpu in 0..cpus {
        procmon_tests::run_on(cpu);
        fails(open(at, none, 24), libc::EFAULT);
        fails(open(at, c"x".as_ptr(), 0), libc::EINVAL);
        fails(open(at, c"x".as_ptr(), 1 << 20), libc::E2BIG);
        fails(open(-1, c"x".as_ptr(), 24), libc::EBADF);
        fails(open(at, c"/nonexistent".as_ptr(), 24), libc::ENOENT);
        fails(open(at, c"/dev/null/x".as_ptr(), 24), libc::ENOTDIR);
        fails(open(at, c"/".as_ptr(), 24), libc::EISDIR);
    }
    for _ in 0..3 {
        fails(open(at, long.as_ptr(), 24), libc::ENAMETOOLONG);
    }
    TASKS.fetch_add(1, Ordering::SeqCst);
    loop {
        std::hint::spin_loop();
    }
}

/// Tells its truth, and then stays in calls until a file is there: the window is to end before.
fn blocked(folder: &Folder) -> Value {
    const THREADS: u64 = 20;
    for _ in 0..THREADS {
        std::thread::spawn(|| {
            TASKS.fetch_add(1, Ordering::SeqCst);
            sys!(SYS_pause)
        });
    }
    let cpus = std::thread::available_parallelism().expect("CPUs").get();
    std::thread::spawn(move || fail_and_stay(cpus));
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    let children: Vec<i32> = (0..5)
        .map(|_| {
            fork(|| {
                // SAFETY: a local; the other end stays open.
                unsafe { libc::signal(libc::SIGTERM, libc::SIG_DFL) };
                let mut byte = 0_u8;
                let vector = libc::iovec {
                    iov_base: (&raw mut byte).cast(),
                    iov_len: 1,
                };
                sys!(SYS_readv, pipe[0], &raw const vector, 1);
            })
        })
        .collect();
    until(|| TASKS.load(Ordering::SeqCst) == THREADS + 1);
    procmon_tests::tell(&json!({"syscalls": [
        {"name": "openat2", "calls": 7 * cpus + 3, "unfinished": 0, "errors": {
            "EFAULT": cpus, "EINVAL": cpus, "E2BIG": cpus, "EBADF": cpus, "ENOENT": cpus,
            "ENOTDIR": cpus, "EISDIR": cpus, "ENAMETOOLONG": 3,
        }},
        {"name": "pause", "calls": THREADS, "unfinished": THREADS, "errors": {}, "restarted": 0, "noReturn": 0},
        {"name": "readv", "calls": 5, "unfinished": 5, "errors": {}},
        {"name": "clone3", "calls": THREADS + 1, "unfinished": 0},
    ], "processes": [
        {"argv": crate::own(), "count": 1, "exits": {}},
        {"argv": crate::own(), "count": 5, "exits": {}},
    ], "whole": ["processes"]}));
    let stop = folder.at("stop");
    until(|| std::path::Path::new(&stop).exists());
    for child in children {
        sys!(SYS_kill, child, libc::SIGKILL);
    }
    // The truth is told.
    std::process::exit(0);
}

/// Tasks that are killed while they sleep in a call.
fn killed_in_call(_: &Folder) -> Value {
    const CHILDREN: usize = 6;
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    for number in 0..CHILDREN {
        let sleeper = fork(|| {
            let mut byte = 0_u8;
            let vector = libc::iovec {
                iov_base: (&raw mut byte).cast(),
                iov_len: 1,
            };
            sys!(SYS_readv, pipe[0], &raw const vector, 1);
        });
        until(|| sleeps_in(&sleeper.to_string(), libc::SYS_readv));
        let signal = if number < 4 {
            libc::SIGKILL
        } else {
            libc::SIGTERM
        };
        assert_eq!(sys!(SYS_kill, sleeper, signal), 0);
        wait(sleeper);
    }
    // Threads that sleep when another one ends the process.
    let status = wait(fork(|| {
        let own = std::process::id();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(|| sys!(SYS_pause));
            })
            .collect();
        assert_eq!(tasks.len(), 8);
        until(|| pausing(own) == 8);
        sys!(SYS_exit_group, 3);
    }));
    assert_eq!(libc::WEXITSTATUS(status), 3);
    json!({"syscalls": [
        {"name": "readv", "calls": CHILDREN, "noReturn": CHILDREN, "restarted": 0, "errors": {}, "unfinished": 0},
        {"name": "pause", "calls": 8, "noReturn": 8, "restarted": 0, "errors": {}, "unfinished": 0},
    ], "processes": [own_row(), {"argv": crate::own(), "count": 7, "exits": {"SIGKILL": 4, "SIGTERM": 2, "3": 1}}],
    "whole": ["processes"]})
}

/// A call by the 32-bit gate.
#[cfg(target_arch = "x86_64")]
fn gate(number: u32, arguments: [u32; 4]) -> i32 {
    let mut result = number;
    // SAFETY: the caller's arguments; the gate clears r8 to r11. The compiler keeps rbx for itself.
    unsafe {
        std::arch::asm!("xchg {first}, rbx", "int 0x80", "xchg {first}, rbx", first = inout(reg) u64::from(arguments[0]) => _,
            inout("eax") result, in("ecx") arguments[1], in("edx") arguments[2], in("esi") arguments[3],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result.cast_signed()
}

/// Memory that 32-bit calls can reach.
#[cfg(target_arch = "x86_64")]
fn low_memory() -> u32 {
    let address = memory(65_536, libc::MAP_PRIVATE | libc::MAP_32BIT);
    u32::try_from(address).expect("low memory")
}

/// Files and processes by 32-bit calls.
#[cfg(target_arch = "x86_64")]
fn gate32(folder: &Folder) -> Value {
    if gate(20, [0; 4]) <= 0 {
        return json!({});
    }
    let memory = low_memory();
    let place = |offset: u32, name: &str| {
        let text = text(name);
        let bytes = text.as_bytes_with_nul();
        // SAFETY: below the end of our own memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                std::ptr::with_exposed_provenance_mut((memory + offset) as usize),
                bytes.len(),
            );
        }
        memory + offset
    };
    let (file, dir, data) = (
        place(0, &folder.at("f32")),
        place(4096, &folder.at("d32")),
        memory + 8192,
    );
    let none = place(12288, &folder.at("none32"));
    let good = |result: i32| {
        assert!(result >= 0, "{result}");
        result.cast_unsigned()
    };
    // open, write, pwrite64, read, readv, ftruncate, fchmod, close
    let opened = good(gate(
        5,
        [
            file,
            (libc::O_RDWR | libc::O_CREAT).cast_unsigned(),
            0o600,
            0,
        ],
    ));
    for _ in 0..3 {
        assert_eq!(gate(4, [opened, data, 10, 0]), 10);
    }
    good(gate(19, [opened, 0, 0, 0]));
    assert_eq!(gate(3, [opened, data, 100, 0]), 30);
    good(gate(93, [opened, 5, 0, 0]));
    good(gate(94, [opened, 0o640, 0, 0]));
    good(gate(6, [opened, 0, 0, 0]));
    // openat, mkdir, rmdir, rename fails, unlink
    let again = good(gate(295, [libc::AT_FDCWD.cast_unsigned(), file, 0, 0]));
    assert_eq!(gate(4, [again, data, 1, 0]), -libc::EBADF);
    good(gate(39, [dir, 0o700, 0, 0]));
    good(gate(40, [dir, 0, 0, 0]));
    assert_eq!(gate(38, [none, file, 0, 0]), -libc::ENOENT);
    good(gate(10, [file, 0, 0, 0]));
    // A child executes a program by the gate.
    let program = place(16384, "/bin/true");
    let name = place(16400, "by-gate");
    let list: [u32; 4] = [program, name, 0, 0];
    // SAFETY: below the end of our own memory, and aligned.
    unsafe { *std::ptr::with_exposed_provenance_mut::<[u32; 4]>((memory + 20480) as usize) = list };
    child(|| {
        gate(11, [program, memory + 20480, memory + 20488, 0]);
        panic!("execve");
    });
    json!({"syscalls": [
        {"name": "getpid", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "write", "abi": "i386", "calls": 4, "errors": {"EBADF": 1}},
        {"name": "read", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "open", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "openat", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "rename", "abi": "i386", "calls": 1, "errors": {"ENOENT": 1}},
        {"name": "execve", "abi": "i386", "calls": 1, "errors": {}, "unfinished": 0, "noReturn": 0},
    ], "files": [
        crate::row(&folder.at("f32"), &json!({"open": 2, "create": 1, "write": 3, "read": 1, "truncate": 1, "chmod": 1, "unlink": 1}), 30, 30, &json!({"EBADF": 1, "ENOENT": 1})),
        crate::row(&folder.at("d32"), &json!({"mkdir": 1, "rmdir": 1}), 0, 0, &json!({})),
        crate::row(&folder.at("none32"), &json!({}), 0, 0, &json!({"ENOENT": 1})),
    ], "processes": [own_row(), {"argv": ["/bin/true", "by-gate"], "count": 1, "exits": {"0": 1}}],
    "whole": ["files", "processes"], "programs": ["/true"]})
}

/// The rest of the 32-bit calls on files.
#[cfg(target_arch = "x86_64")]
fn gate32_files(folder: &Folder) -> Value {
    if gate(20, [0; 4]) <= 0 {
        return json!({});
    }
    let memory = low_memory();
    let mut next = memory;
    let mut place = |bytes: &[u8]| {
        let here = next;
        // SAFETY: below the end of our own memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                std::ptr::with_exposed_provenance_mut(here as usize),
                bytes.len(),
            );
        }
        next += u32::try_from(bytes.len())
            .expect("small")
            .next_multiple_of(16);
        assert!(next < memory + 60_000);
        here
    };
    let mut name = |name: &str| place(folder.c(name).as_bytes_with_nul());
    let [file_a, file_b, link, symlink, fifo] = ["a", "b", "l", "s", "f"].map(&mut name);
    let data = place(&[b'd'; 64]);
    let vectors = {
        let mut bytes = Vec::new();
        for word in [data, 10, data, 20] {
            bytes.extend(word.to_le_bytes());
        }
        place(&bytes)
    };
    let offset = place(&[0; 16]);
    let good = |result: i32| {
        assert!(result >= 0, "{result}");
        result.cast_unsigned()
    };
    let at = libc::AT_FDCWD.cast_unsigned();
    // creat, writev, pwrite64, open, readv, pread64, sendfile64, ftruncate64
    let file = good(gate(8, [file_a, 0o600, 0, 0]));
    assert_eq!(gate(146, [file, vectors, 2, 0]), 30);
    assert_eq!(gate(181, [file, data, 5, 0]), 5);
    // Here the bit of x32 is a part of the number, which no call has.
    assert_eq!(gate(0x4000_0000 | 4, [file, data, 5, 0]), -libc::ENOSYS);
    let reads = good(gate(5, [file_a, 0, 0, 0]));
    assert_eq!(gate(145, [reads, vectors, 1, 0]), 10);
    assert_eq!(gate(180, [reads, data, 7, 0]), 7);
    let other = good(gate(
        295,
        [
            at,
            file_b,
            (libc::O_CREAT | libc::O_WRONLY).cast_unsigned(),
            0o600,
        ],
    ));
    assert_eq!(gate(239, [other, reads, offset, 12]), 12);
    good(gate(194, [file, 20, 0, 0]));
    // chmod, lchown32, fchown32, link, symlink, mknod, rename, renameat2 by exchange, unlinkat
    good(gate(15, [file_a, 0o640, 0, 0]));
    good(gate(198, [file_a, 0, 0, 0]));
    good(gate(207, [file, 0, 0, 0]));
    good(gate(9, [file_a, link, 0, 0]));
    good(gate(83, [file_a, symlink, 0, 0]));
    good(gate(14, [fifo, libc::S_IFIFO | 0o600, 0, 0]));
    good(gate(38, [link, fifo, 0, 0]));
    good(gate(302, [at, fifo, at, file_b]));
    good(gate(301, [at, symlink, 0, 0]));
    json!({"files": [
        crate::row(&folder.at("a"), &json!({"open": 2, "create": 1, "write": 2, "read": 3, "truncate": 1, "chmod": 1, "chown": 2}), 29, 35, &json!({})),
        crate::row(&folder.at("b"), &json!({"open": 1, "create": 1, "write": 1, "rename": 1}), 0, 12, &json!({})),
        crate::row(&folder.at("l"), &json!({"link": 1, "rename": 1}), 0, 0, &json!({})),
        crate::row(&folder.at("s"), &json!({"symlink": 1, "unlink": 1}), 0, 0, &json!({})),
        crate::row(&folder.at("f"), &json!({"mknod": 1, "rename": 2}), 0, 0, &json!({})),
    ], "syscalls": [
        {"name": "creat", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "sendfile64", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "lchown32", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "renameat", "abi": "i386", "calls": 1, "errors": {}},
    ], "whole": ["files"]})
}

#[cfg(not(target_arch = "x86_64"))]
fn gate32_files(_: &Folder) -> Value {
    json!({})
}

#[cfg(not(target_arch = "x86_64"))]
fn gate32(_: &Folder) -> Value {
    let _ = (child as fn(fn()), text);
    json!({})
}

/// Numbers that are no calls.
fn numbers(_: &Folder) -> Value {
    let make = |number: i64, times: usize| {
        for _ in 0..times {
            // SAFETY: no call has this number.
            assert_eq!(unsafe { libc::syscall(number, 1, 2, 3) }, -1);
        }
    };
    make(-1, 2);
    make(9999, 3);
    make(511, 4);
    make(512, 5);
    make(1023, 6);
    make(0x3fff_ffff, 7);
    json!({"syscalls": [
        {"name": "unknown(9999)", "calls": 3, "errors": {"ENOSYS": 3}},
        {"name": "unknown(511)", "calls": 4, "errors": {"ENOSYS": 4}},
        {"name": "unknown(512)", "calls": 5, "errors": {"ENOSYS": 5}},
        {"name": "unknown(1023)", "calls": 6, "errors": {"ENOSYS": 6}},
        {"name": "unknown(1073741823)", "calls": 7, "errors": {"ENOSYS": 7}},
        {"name": "unknown(-1)", "calls": 2, "errors": {"ENOSYS": 2}},
    ]})
}

/// One call gets one action of a filter from now on.
fn filter(number: libc::c_long, action: u32) {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt,
        jf,
        k,
    };
    let number = u32::try_from(number).expect("a small number");
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, action),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    assert_eq!(sys!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_eq!(
        sys!(
            SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const filter
        ),
        0
    );
}

/// Every action of a filter, but those that need another process.
fn filters(_: &Folder) -> Value {
    let eacces = libc::SECCOMP_RET_ERRNO | libc::EACCES.cast_unsigned();
    child(|| {
        filter(libc::SYS_getpriority, eacces);
        for _ in 0..7 {
            fails(sys!(SYS_getpriority, 0, 0), libc::EACCES);
        }
    });
    child(|| {
        filter(libc::SYS_munlockall, libc::SECCOMP_RET_LOG);
        for _ in 0..3 {
            assert_eq!(sys!(SYS_munlockall), 0);
        }
    });
    child(|| {
        // Nobody traces.
        filter(libc::SYS_getpgrp, libc::SECCOMP_RET_TRACE);
        for _ in 0..4 {
            fails(sys!(SYS_getpgrp), libc::ENOSYS);
        }
    });
    for action in [
        libc::SECCOMP_RET_KILL_PROCESS,
        libc::SECCOMP_RET_KILL_THREAD,
    ] {
        let status = wait(fork(|| {
            filter(libc::SYS_getsid, action);
            sys!(SYS_getsid, 0);
        }));
        assert_eq!(libc::WTERMSIG(status), libc::SIGSYS);
    }
    json!({"syscalls": [
        {"name": "getpriority", "calls": 7, "errors": {"EACCES": 7}, "deniedBySeccomp": 7},
        {"name": "munlockall", "calls": 3, "errors": {}, "deniedBySeccomp": 0},
        {"name": "getpgrp", "calls": 4, "errors": {"ENOSYS": 4}, "deniedBySeccomp": 4},
        {"name": "seccomp", "calls": 5, "errors": {}},
    ], "processes": [own_row(), {"argv": crate::own(), "count": 5, "exits": {"0": 3, "SIGSYS": 2}}],
    "whole": ["processes"]})
}

/// A filter that answers in the kernel's place: no errno is success.
fn filters_answered(_: &Folder) -> Value {
    child(|| {
        filter(libc::SYS_mlockall, libc::SECCOMP_RET_ERRNO);
        for _ in 0..2 {
            assert_eq!(sys!(SYS_mlockall, 1), 0);
        }
        // Its number on amd64 is that of clone on i386, which returns 0 to a child.
        filter(libc::SYS_getresgid, libc::SECCOMP_RET_ERRNO);
        for _ in 0..3 {
            assert_eq!(sys!(SYS_getresgid, 0_i64, 0_i64, 0_i64), 0);
        }
        // What returns 0 like a child, and an errno that is none of the kernel's.
        filter(libc::SYS_clone3, libc::SECCOMP_RET_ERRNO);
        for _ in 0..4 {
            assert_eq!(sys!(SYS_clone3, 0_i64, 0_i64), 0);
        }
        let none = 600_i32;
        filter(
            libc::SYS_getsid,
            libc::SECCOMP_RET_ERRNO | none.cast_unsigned(),
        );
        for _ in 0..5 {
            fails(sys!(SYS_getsid, 0_i64), none);
        }
    });
    json!({"syscalls": [
        {"name": "mlockall", "calls": 2, "errors": {}},
        {"name": "getresgid", "calls": 3, "errors": {}},
        {"name": "clone3", "calls": 4, "errors": {}},
        {"name": "getsid", "calls": 5, "errors": {"errno(600)": 5}, "deniedBySeccomp": 5},
    ]})
}

/// Another process answers in the kernel's place: by a value, by an errno, and by letting it go on.
fn filters_supervised(_: &Folder) -> Value {
    const NOTIF_RECV: u64 = 0xc050_2100;
    const NOTIF_SEND: u64 = 0xc018_2101;
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    let asks = fork(|| {
        let number = u32::try_from(libc::SYS_getpgid).expect("a small number");
        let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
            code: u16::try_from(code).expect("a code"),
            jt,
            jf,
            k,
        };
        let mut program = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
            step(
                libc::BPF_RET | libc::BPF_K,
                0,
                0,
                libc::SECCOMP_RET_USER_NOTIF,
            ),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog {
            len: 4,
            filter: program.as_mut_ptr(),
        };
        assert_eq!(sys!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let flag = 8; // SECCOMP_FILTER_FLAG_NEW_LISTENER
        let listener = good(sys!(
            SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flag,
            &raw const filter
        ));
        assert_eq!(sys!(SYS_write, pipe[1], &raw const listener, 4_i64), 4);
        for _ in 0..2 {
            assert_eq!(sys!(SYS_getpgid, 0), 4711);
            fails(sys!(SYS_getpgid, 0), libc::EMLINK);
            assert!(sys!(SYS_getpgid, 0) > 0);
        }
    });
    let mut listener = 0_i32;
    assert_eq!(sys!(SYS_read, pipe[0], &raw mut listener, 4_i64), 4);
    let process = good(sys!(SYS_pidfd_open, asks, 0));
    let listener = good(sys!(SYS_pidfd_getfd, process, listener, 0));
    for turn in 0..6 {
        let mut request = [0_u64; 10];
        assert_eq!(
            sys!(SYS_ioctl, listener, NOTIF_RECV, request.as_mut_ptr()),
            0
        );
        // struct seccomp_notif_resp: id, value, error and flags.
        let (value, error, flags) = match turn % 3 {
            0 => (4711, 0, 0),
            1 => (0, -libc::EMLINK, 0),
            _ => (0, 0, 1),
        };
        let answer: [u64; 3] = [
            request[0],
            value,
            u64::from(error.cast_unsigned()) | flags << 32,
        ];
        assert_eq!(sys!(SYS_ioctl, listener, NOTIF_SEND, answer.as_ptr()), 0);
    }
    assert_eq!(wait(asks), 0);
    json!({"syscalls": [{"name": "getpgid", "calls": 6, "errors": {"EMLINK": 2}, "deniedBySeccomp": 2}]})
}

/// Four calls only; another one kills.
fn filter_strict(_: &Folder) -> Value {
    let status = wait(fork(|| {
        assert_eq!(
            sys!(SYS_prctl, libc::PR_SET_SECCOMP, 1, 0_i64, 0_i64, 0_i64),
            0
        );
        sys!(SYS_exit, 4);
    }));
    assert_eq!(libc::WEXITSTATUS(status), 4);
    let status = wait(fork(|| {
        assert_eq!(
            sys!(SYS_prctl, libc::PR_SET_SECCOMP, 1, 0_i64, 0_i64, 0_i64),
            0
        );
        sys!(SYS_getsid, 0);
    }));
    assert_eq!(libc::WTERMSIG(status), libc::SIGKILL);
    json!({"syscalls": [{"name": "prctl", "calls": 2, "errors": {}}, {"name": "exit", "calls": 1, "noReturn": 1}],
        "processes": [own_row(), {"argv": crate::own(), "seccomp": "strict", "count": 2, "exits": {"4": 1, "SIGKILL": 1}}], "whole": ["processes"]})
}

/// Calls on names that a filter refuses: the kernel never looks at the name.
fn filter_names(folder: &Folder) -> Value {
    std::fs::write(folder.at("kept"), b"1").expect("write");
    child(|| {
        filter(
            libc::SYS_unlink,
            libc::SECCOMP_RET_ERRNO | libc::EROFS.cast_unsigned(),
        );
        for _ in 0..3 {
            fails(sys!(SYS_unlink, folder.c("kept").as_ptr()), libc::EROFS);
        }
    });
    assert_eq!(sys!(SYS_unlink, folder.c("kept").as_ptr()), 0);
    json!({"syscalls": [{"name": "unlink", "calls": 4, "errors": {"EROFS": 3}, "deniedBySeccomp": 3}],
        "files": [crate::row(&folder.at("kept"), &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}), 0, 1, &json!({}))],
        "whole": ["files"]})
}

static TRAPS: AtomicU64 = AtomicU64::new(0);

extern "C" fn trapped(_: libc::c_int) {
    TRAPS.fetch_add(1, Ordering::SeqCst);
}

/// A process outside the kernel when the window opens, whose calls a filter makes signals of: nothing is written.
fn filter_found(folder: &Folder) -> Value {
    let file = open(folder, "found", libc::O_CREAT | libc::O_RDWR);
    // SAFETY: a page of zeros that stays.
    let go = unsafe { &*(memory(4096, libc::MAP_SHARED) as *const AtomicU64) };
    let waits = fork(|| {
        crate::wait_for_go();
        go.store(1, Ordering::SeqCst);
    });
    handle_by(libc::SIGSYS, trapped, 0);
    filter(libc::SYS_pwrite64, libc::SECCOMP_RET_TRAP);
    while go.load(Ordering::SeqCst) == 0 {
        std::hint::spin_loop();
    }
    for _ in 0..10 {
        sys!(SYS_pwrite64, file, b"abc".as_ptr(), 3_i64, 0_i64);
    }
    assert_eq!(TRAPS.load(Ordering::SeqCst), 10);
    assert_eq!(wait(waits), 0);
    json!({"syscalls": [{"name": "rt_sigreturn", "calls": 10}], "files": [], "whole": ["files"]})
}

extern "C" fn calls(_: libc::c_int) {
    for _ in 0..3 {
        sys!(SYS_getppid);
    }
}

/// A handler makes calls while another one waits to begin anew.
fn handler_calls(_: &Folder) -> Value {
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    let reader = fork(|| {
        handle_by(libc::SIGUSR1, calls, libc::SA_RESTART);
        let mut byte = 0_u8;
        let vector = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        assert_eq!(sys!(SYS_readv, pipe[0], &raw const vector, 1), 1);
    });
    let task = reader.to_string();
    let is_idle = || {
        let status = std::fs::read_to_string(format!("/proc/{task}/status")).expect("a child");
        sleeps_in(&task, libc::SYS_readv)
            && status.contains("State:\tS")
            && status.contains("ShdPnd:\t0000000000000000")
    };
    for _ in 0..5 {
        until(is_idle);
        assert_eq!(sys!(SYS_kill, reader, libc::SIGUSR1), 0);
    }
    until(is_idle);
    assert_eq!(sys!(SYS_write, pipe[1], b"x".as_ptr(), 1_i64), 1);
    assert_eq!(wait(reader), 0);
    json!({"syscalls": [
        {"name": "readv", "calls": 6, "restarted": 5, "errors": {}, "noReturn": 0, "unfinished": 0},
        {"name": "getppid", "calls": 15, "errors": {}},
        {"name": "rt_sigreturn", "calls": 5, "errors": {}, "restarted": 0},
    ]})
}

/// A thousand threads that live at the same time.
fn many_threads(_: &Folder) -> Value {
    const MANY: usize = 1000;
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(MANY));
    let threads: Vec<_> = (0..MANY)
        .map(|_| {
            let barrier = barrier.clone();
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    barrier.wait();
                    sys!(SYS_getppid);
                    fails(sys!(SYS_dup, -1), libc::EBADF);
                })
        })
        .collect();
    for thread in threads {
        thread.expect("a thread").join().expect("a thread");
    }
    json!({"syscalls": [
        {"name": "getppid", "calls": MANY, "errors": {}}, {"name": "dup", "calls": MANY, "errors": {"EBADF": MANY}},
        {"name": "clone3", "calls": MANY, "errors": {}}, {"name": "exit", "calls": MANY, "noReturn": MANY},
    ], "processes": [own_row()], "whole": ["processes"]})
}

static READY: AtomicI32 = AtomicI32::new(0);

/// Number of the process's threads that sleep in `pause`.
fn pausing(pid: u32) -> usize {
    let sleeps = |task: &std::fs::DirEntry| {
        let folder = format!("{pid}/task/{}", task.file_name().display());
        sleeps_in(&folder, libc::SYS_pause)
    };
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .expect("tasks")
        .filter_map(Result::ok)
        .filter(sleeps)
        .count()
}

/// A thread executes a program while others sleep in calls.
fn exec_thread(_: &Folder) -> Value {
    for _ in 0..5 {
        child(|| {
            let own = std::process::id();
            for _ in 0..6 {
                std::thread::spawn(|| sys!(SYS_pause));
            }
            std::thread::spawn(move || {
                until(|| pausing(own) == 7);
                READY.store(1, Ordering::SeqCst);
                crate::execute(&["/bin/true", "from-thread"]);
            });
            sys!(SYS_pause);
        });
    }
    json!({"syscalls": [
        {"name": "pause", "calls": 35, "noReturn": 35, "restarted": 0, "errors": {}, "unfinished": 0},
        {"name": "clone3", "calls": 35, "errors": {}, "unfinished": 0},
        {"name": "execve", "calls": 5 + 1, "errors": {}, "unfinished": 0, "noReturn": 0},
    ], "processes": [own_row(), {"argv": ["/bin/true", "from-thread"], "count": 5, "exits": {"0": 5}}],
    "whole": ["processes"], "programs": ["/true"]})
}

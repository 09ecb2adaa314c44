//! Calls that signals, debuggers and ends interrupt.

use crate::calls::threads::pausing;
use crate::{Folder, fails, fork, good, own_row, sleeps_in, sys, until, wait};
use serde_json::{Value, json};

/// A sleep that is stopped and goes on: the kernel ends it by another call.
pub(crate) fn stopped(_: &Folder) -> Value {
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

/// A read that is stopped and goes on begins again.
pub(crate) fn stopped_read(_: &Folder) -> Value {
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

/// Stops until the parent traces it on.
fn stop_traced() {
    assert_eq!(
        sys!(SYS_ptrace, libc::PTRACE_TRACEME, 0_i64, 0_i64, 0_i64),
        0
    );
    sys!(SYS_kill, std::process::id(), libc::SIGSTOP);
}

/// A process that another one stops at each call.
pub(crate) fn traced(_: &Folder) -> Value {
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
pub(crate) fn traced_kept(_: &Folder) -> Value {
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

extern "C" fn handle(_: libc::c_int) {}

fn on_signal(flags: libc::c_int) {
    handle_by(libc::SIGUSR1, handle, flags);
}

/// Handles a signal by a function that may be called at any time.
pub(crate) fn handle_by(
    signal: libc::c_int,
    handler: extern "C" fn(libc::c_int),
    flags: libc::c_int,
) {
    // SAFETY: the handlers here count, make calls, or do nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// Calls that a signal ends: by the kernel's restart codes, and by EINTR itself.
pub(crate) fn interrupted(_: &Folder) -> Value {
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

/// Tasks that are killed while they sleep in a call.
pub(crate) fn killed_in_call(_: &Folder) -> Value {
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

pub(crate) extern "C" fn calls(_: libc::c_int) {
    for _ in 0..3 {
        sys!(SYS_getppid);
    }
}

/// A handler makes calls while another call waits to begin again.
pub(crate) fn handler_calls(_: &Folder) -> Value {
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

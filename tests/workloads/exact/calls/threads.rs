//! Calls of many threads, and the ends of threads.

use crate::{Folder, child, fails, fork, open, own_row, sleeps_in, sys, until, wait};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI32, Ordering};

pub(crate) fn threads(_: &Folder) -> Value {
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
pub(crate) fn threads_found(folder: &Folder) -> Value {
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
pub(crate) fn thread_ends(_: &Folder) -> Value {
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

/// A thousand threads that live at the same time.
pub(crate) fn many_threads(_: &Folder) -> Value {
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
pub(crate) fn pausing(pid: u32) -> usize {
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
pub(crate) fn exec_thread(_: &Folder) -> Value {
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

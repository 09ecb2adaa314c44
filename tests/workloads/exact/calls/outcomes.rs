//! Results and errors of calls, and calls that wait.

use crate::{Folder, fails, fork, good, sys, text, until};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// Flags, mode and how to resolve, for openat2.
pub(crate) fn open_how(flags: i32, mode: u64, resolve: u64) -> [u64; 3] {
    [u64::from(flags.cast_unsigned()), mode, resolve]
}

/// One call that fails in thirteen ways, each another number of times.
#[expect(clippy::too_many_lines, reason = "one statement for each way to fail")]
pub(crate) fn errnos(folder: &Folder) -> Value {
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
pub(crate) fn errnos_threads(_: &Folder) -> Value {
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

/// Calls that give up after a time.
pub(crate) fn timeouts(_: &Folder) -> Value {
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

/// Arguments whose upper half the kernel does not look at.
pub(crate) fn upper_halves(folder: &Folder) -> Value {
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
pub(crate) fn blocked(folder: &Folder) -> Value {
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

/// Numbers that are not calls.
pub(crate) fn numbers(_: &Folder) -> Value {
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

//! Processes: ways to begin, ways to end, what is executed and what is not.

use crate::{
    Case, Folder, become_program, child, execute, fails, fork, good, own, own_row, sys, text,
    until, wait,
};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const CASES: &[Case] = &[
    ("forks", forks),
    ("short", short),
    ("ends", ends),
    ("orphans", orphans),
    ("scripts", scripts),
    ("exec-fails", exec_fails),
    ("exec-at", exec_at),
    ("exec-chain", exec_chain),
    ("exec-deleted", exec_deleted),
    ("exec-crowd", exec_crowd),
    ("programs", programs),
    ("vfork-fails", vfork_fails),
    ("exec-race", exec_race),
    ("generations", generations),
    ("exec-after-first", exec_after_first),
    ("fork-by-thread", fork_by_thread),
    ("killed-early", killed_early),
    ("never-waited", never_waited),
    ("pid-reuse", pid_reuse),
    ("script-at", script_at),
    ("shared-memory", shared_memory),
    ("thread-fault", thread_fault),
    ("exec-self", exec_self),
    ("exec-too-big", exec_too_big),
    ("odd-programs", odd_programs),
    ("arguments", arguments),
    ("pid-namespace", pid_namespace),
    ("executions", executions),
    ("crowd", crowd),
    ("crowd-found", crowd_found),
];

/// Every call that makes a process.
fn forks(_: &Folder) -> Value {
    let ended = |child: i64| {
        let child = good(child);
        if child == 0 {
            sys!(SYS_exit_group, 2);
        }
        assert_eq!(libc::WEXITSTATUS(wait(child)), 2);
    };
    for _ in 0..3 {
        ended(sys!(SYS_fork));
    }
    for _ in 0..4 {
        // SAFETY: the child ends at once.
        #[expect(deprecated, reason = "vfork is what is tested")]
        let child = unsafe { libc::vfork() };
        if child == 0 {
            // SAFETY: ends the child and nothing else.
            unsafe { libc::_exit(2) };
        }
        assert_eq!(libc::WEXITSTATUS(wait(child)), 2);
    }
    for flags in [
        0,
        libc::CLONE_FS | libc::CLONE_FILES,
        libc::CLONE_SYSVSEM,
        libc::CLONE_PTRACE,
        libc::CLONE_IO,
    ] {
        ended(sys!(
            SYS_clone,
            flags | libc::SIGCHLD,
            0_i64,
            0_i64,
            0_i64,
            0_i64
        ));
    }
    for flags in [
        0,
        libc::CLONE_FS | libc::CLONE_FILES,
        libc::CLONE_PARENT_SETTID,
    ] {
        let mut place = [0_i32; 2];
        let flags = u64::from(flags.cast_unsigned());
        let arguments = [
            flags,
            0,
            0,
            place.as_mut_ptr() as u64,
            u64::from(libc::SIGCHLD.cast_unsigned()),
            0,
            0,
            0,
        ];
        ended(sys!(SYS_clone3, arguments.as_ptr(), 64));
    }
    // Not possible.
    fails(sys!(SYS_clone3, 8_i64, 64_i64), libc::EFAULT);
    fails(
        sys!(SYS_clone, libc::CLONE_THREAD, 0_i64, 0_i64, 0_i64, 0_i64),
        libc::EINVAL,
    );
    json!({"syscalls": [
        {"name": "fork", "calls": 3, "errors": {}, "unfinished": 0, "noReturn": 0},
        {"name": "vfork", "calls": 4, "errors": {}, "unfinished": 0, "noReturn": 0},
        {"name": "clone", "calls": 6, "errors": {"EINVAL": 1}},
        {"name": "clone3", "calls": 4, "errors": {"EFAULT": 1}},
        {"name": "wait4", "calls": 15, "errors": {}},
        {"name": "exit_group", "calls": 16, "noReturn": 16},
    ], "processes": [own_row(), {"argv": own(), "count": 15, "exits": {"2": 15}}], "whole": ["processes"]})
}

/// Processes that live for some microseconds.
fn short(_: &Folder) -> Value {
    const MANY: i32 = 2000;
    for number in 0..MANY {
        let child = good(sys!(SYS_fork));
        if child == 0 {
            sys!(SYS_exit_group, number % 4);
        }
        wait(child);
    }
    let each = MANY / 4;
    json!({"syscalls": [
        {"name": "fork", "calls": MANY, "errors": {}},
        {"name": "wait4", "calls": MANY},
        {"name": "exit_group", "calls": MANY + 1, "noReturn": MANY + 1},
    ], "processes": [own_row(), {"argv": own(), "count": MANY, "exits": {"0": each, "1": each, "2": each, "3": each}}],
    "whole": ["processes"]})
}

/// Codes and signals of every sort.
fn ends(_: &Folder) -> Value {
    let mut exits = serde_json::Map::new();
    let mut add = |name: &str| {
        let count = exits.get(name).and_then(Value::as_u64).unwrap_or(0);
        exits.insert(name.into(), (count + 1).into());
    };
    for code in [0, 1, 2, 126, 127, 128, 137, 254, 255, 256, 257, -1] {
        wait(fork(|| {
            sys!(SYS_exit_group, code);
        }));
        add(&(code & 0xff).to_string());
    }
    let no_core = [0_u64; 2];
    for (signal, name) in [
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGSTKFLT, "SIGSTKFLT"),
    ] {
        let status = wait(fork(|| {
            sys!(SYS_prlimit64, 0, libc::RLIMIT_CORE, no_core.as_ptr(), 0_i64);
            // SAFETY: numbers only.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            let task = sys!(SYS_gettid);
            sys!(SYS_tgkill, std::process::id(), task, signal);
        }));
        assert_eq!(libc::WTERMSIG(status), signal);
        add(name);
    }
    let count: u64 = exits.values().filter_map(Value::as_u64).sum();
    json!({"processes": [own_row(), {"argv": own(), "count": count, "exits": exits}], "whole": ["processes"]})
}

/// A child ends before its own children, who are given to another parent: they stay below it.
fn orphans(_: &Folder) -> Value {
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    child(|| {
        sys!(SYS_setsid);
        for _ in 0..6 {
            fork(|| {
                sys!(SYS_close, pipe[0]);
                let first = std::os::unix::process::parent_id();
                until(|| std::os::unix::process::parent_id() != first || first == 1);
                execute(&["/bin/true", "orphan"]);
            });
        }
    });
    sys!(SYS_close, pipe[1]);
    // All copies of the other end are gone when all have executed: it is closed by execution only
    // where it was asked for, so by their end.
    let mut byte = 0_u8;
    assert_eq!(sys!(SYS_read, pipe[0], &raw mut byte, 1), 0);
    std::thread::sleep(std::time::Duration::from_millis(20));
    json!({"processes": [own_row(), {"argv": own(), "count": 1, "exits": {"0": 1}}, {"argv": ["/bin/true", "orphan"], "count": 6, "exits": {"0": 6}}],
        "whole": ["processes"], "programs": ["/true"]})
}

fn program(folder: &Folder, name: &str, content: &[u8]) -> String {
    let path = folder.at(name);
    std::fs::write(&path, content).expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}

/// Programs that another program interprets.
fn scripts(folder: &Folder) -> Value {
    let plain = program(folder, "plain", b"#!/bin/sh\nexit 4\n");
    let argument = program(folder, "argument", b"#!/bin/sh -e\nfalse\nexit 9\n");
    let nested = program(folder, "nested", format!("#!{plain}\n").as_bytes());
    for _ in 0..3 {
        assert_eq!(
            libc::WEXITSTATUS(wait(fork(|| execute(&[&plain, "one"])))),
            4
        );
    }
    for _ in 0..2 {
        assert_eq!(libc::WEXITSTATUS(wait(fork(|| execute(&[&argument])))), 1);
    }
    assert_eq!(libc::WEXITSTATUS(wait(fork(|| execute(&[&nested])))), 4);
    let made = json!({"open": 1, "create": 1, "write": 1, "chmod": 1});
    let with = |exec: u64| {
        let mut all = made.clone();
        all["exec"] = exec.into();
        all
    };
    let exe = crate::own_exe();
    json!({"processes": [
        own_row(),
        {"argv": ["/bin/sh", plain, "one"], "count": 3, "exits": {"4": 3}},
        {"argv": ["/bin/sh", "-e", argument], "count": 2, "exits": {"1": 2}},
        {"argv": ["/bin/sh", plain, nested], "count": 1, "exits": {"4": 1}},
    ], "files": [
        {"path": folder.at("plain"), "exe": exe, "operations": with(4)},
        {"path": folder.at("argument"), "exe": exe, "operations": with(2)},
        {"path": folder.at("nested"), "exe": exe, "operations": with(1)},
    ], "whole": ["processes"], "programs": ["/dash", "/bash", "/sh"]})
}

/// Executions that fail.
fn exec_fails(folder: &Folder) -> Value {
    let data = program(folder, "data", b"no program\n");
    let refused = program(folder, "refused", b"#!/bin/sh\n");
    std::fs::set_permissions(&refused, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let orphan = program(
        folder,
        "orphan",
        format!("#!{}\n", folder.at("nobody")).as_bytes(),
    );
    std::fs::create_dir(folder.at("dir")).expect("mkdir");
    std::os::unix::fs::symlink("loop", folder.at("loop")).expect("symlink");
    let none = folder.at("none");
    let mut total = 0;
    for (path, times, errno) in [
        (none.as_str(), 2, libc::ENOENT),
        (&data, 3, libc::ENOEXEC),
        (&refused, 4, libc::EACCES),
        (&folder.at("dir"), 5, libc::EACCES),
        (&folder.at("data/x"), 6, libc::ENOTDIR),
        (&folder.at("loop"), 7, libc::ELOOP),
        (&orphan, 8, libc::ENOENT),
    ] {
        for _ in 0..times {
            fails(become_program(&[path]), errno);
            total += 1;
        }
    }
    fails(sys!(SYS_execve, 8_i64, 0_i64, 0_i64), libc::EFAULT);
    let none_row = |name: &str, errno: &str, times: u64| json!({"path": folder.at(name), "errors": {errno: times}});
    json!({"syscalls": [{"name": "execve", "calls": total + 2,
        "errors": {"ENOENT": 10, "ENOEXEC": 3, "EACCES": 9, "ENOTDIR": 6, "ELOOP": 7, "EFAULT": 1}}],
    "files": [
        none_row("none", "ENOENT", 2), none_row("data", "ENOEXEC", 3), none_row("refused", "EACCES", 4),
        none_row("dir", "EACCES", 5), none_row("data/x", "ENOTDIR", 6), none_row("loop", "ELOOP", 7),
        none_row("orphan", "ENOENT", 8),
    ], "processes": [own_row()], "whole": ["processes", "files"]})
}

/// Executions by descriptor.
fn exec_at(folder: &Folder) -> Value {
    crate::copy_self(&folder.at("copy"));
    let directory = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c("").as_ptr(),
        libc::O_PATH
    ));
    let opened = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c("copy").as_ptr(),
        libc::O_PATH
    ));
    let none: [*const libc::c_char; 1] = [std::ptr::null()];
    let list = |name: &std::ffi::CStr| [name.as_ptr(), c"idle".as_ptr(), std::ptr::null()];
    for _ in 0..2 {
        child(|| {
            let argv = list(c"by-name");
            sys!(
                SYS_execveat,
                directory,
                c"copy".as_ptr(),
                argv.as_ptr(),
                none.as_ptr(),
                0
            );
            panic!("execveat");
        });
    }
    for _ in 0..3 {
        child(|| {
            let argv = list(c"by-descriptor");
            sys!(
                SYS_execveat,
                opened,
                c"".as_ptr(),
                argv.as_ptr(),
                none.as_ptr(),
                libc::AT_EMPTY_PATH
            );
            panic!("execveat");
        });
    }
    fails(
        sys!(
            SYS_execveat,
            directory,
            c"missing".as_ptr(),
            none.as_ptr(),
            none.as_ptr(),
            0
        ),
        libc::ENOENT,
    );
    fails(
        sys!(
            SYS_execveat,
            -9,
            c"missing".as_ptr(),
            none.as_ptr(),
            none.as_ptr(),
            0
        ),
        libc::EBADF,
    );
    json!({"syscalls": [{"name": "execveat", "calls": 7, "errors": {"ENOENT": 1, "EBADF": 1}, "noReturn": 0, "unfinished": 0}],
    "files": [
        {"path": folder.at("copy"), "exe": crate::own_exe(), "operations": {"open": 2, "create": 1, "write": 1, "exec": 5, "chmod": 1}},
        {"path": folder.at("missing"), "operations": {}, "errors": {"ENOENT": 1}},
    ], "processes": [
        own_row(),
        {"argv": ["by-name", "idle"], "exe": folder.at("copy"), "count": 2, "exits": {"0": 2}},
        {"argv": ["by-descriptor", "idle"], "exe": folder.at("copy"), "count": 3, "exits": {"0": 3}},
    ], "whole": ["processes"], "programs": ["/copy"]})
}

/// Executes with the environment that this process has.
fn exec(mut command: std::process::Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(&mut command)
}

/// One process executes itself over and over; each is another row.
fn exec_chain(folder: &Folder) -> Value {
    const LENGTH: usize = 50;
    let me = own();
    let at: usize = me.get(3).map_or(0, |text| text.parse().expect("a number"));
    if at < LENGTH {
        let next = (at + 1).to_string();
        let mut command = std::process::Command::new(&me[0]);
        command.arg(&me[1]).arg(&folder.0).arg(&next);
        panic!("{}", exec(command));
    }
    let argv = |number: usize| {
        let mut argv = vec![me[0].clone(), me[1].clone(), folder.0.display().to_string()];
        if number > 0 {
            argv.push(number.to_string());
        }
        argv
    };
    let mut rows: Vec<Value> = (0..LENGTH)
        .map(|number| json!({"argv": argv(number), "count": 1, "exits": {}}))
        .collect();
    rows.push(json!({"argv": argv(LENGTH), "count": 1, "exits": {"0": 1}}));
    json!({"processes": rows, "whole": ["processes"], "syscalls": [{"name": "execve", "calls": LENGTH + 1, "errors": {}}]})
}

/// A program without a name any more.
fn exec_deleted(folder: &Folder) -> Value {
    crate::copy_self(&folder.at("gone"));
    let opened = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c("gone").as_ptr(),
        libc::O_RDONLY | libc::O_CLOEXEC
    ));
    std::fs::remove_file(folder.at("gone")).expect("unlink");
    for _ in 0..3 {
        child(|| {
            let argv = [c"deleted".as_ptr(), c"idle".as_ptr(), std::ptr::null()];
            let none: [*const libc::c_char; 1] = [std::ptr::null()];
            sys!(
                SYS_execveat,
                opened,
                c"".as_ptr(),
                argv.as_ptr(),
                none.as_ptr(),
                libc::AT_EMPTY_PATH
            );
            panic!("execveat");
        });
    }
    json!({"processes": [own_row(), {"argv": ["deleted", "idle"], "deleted": true, "exe": folder.at("gone"), "count": 3, "exits": {"0": 3}}],
        "files": [{"path": folder.at("gone"), "exe": crate::own_exe(), "operations": {"open": 2, "create": 1, "write": 1, "chmod": 1, "unlink": 1, "exec": 3}}],
        "whole": ["processes"], "programs": ["/gone"]})
}

/// Sleeps in `readv` until nobody holds the other end of a pipe any more.
fn until_closed(pipe: i32) {
    let mut byte = 0_u8;
    let vector = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    assert_eq!(sys!(SYS_readv, pipe, &raw const vector, 1), 0);
}

/// Two hundred processes execute at once.
fn exec_crowd(_: &Folder) -> Value {
    const MANY: usize = 200;
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), libc::O_CLOEXEC), 0);
    let children: Vec<i32> = (0..MANY)
        .map(|_| {
            fork(|| {
                sys!(SYS_close, pipe[1]);
                until_closed(pipe[0]);
                execute(&["/bin/true", "crowd"]);
            })
        })
        .collect();
    sys!(SYS_close, pipe[1]);
    for child in children {
        assert_eq!(wait(child), 0);
    }
    json!({"processes": [own_row(), {"argv": ["/bin/true", "crowd"], "count": MANY, "exits": {"0": MANY}}],
        "syscalls": [{"name": "readv", "calls": MANY, "errors": {}}, {"name": "execve", "calls": MANY + 1, "errors": {}}],
        "whole": ["processes"], "programs": ["/true"]})
}

/// Many different executables.
fn programs(folder: &Folder) -> Value {
    const MANY: usize = 150;
    crate::copy_self(&folder.at("p"));
    let mut rows = vec![own_row()];
    let mut files = Vec::new();
    for number in 0..MANY {
        let name = folder.at(&format!("p{number}"));
        // The same file by another name is another executable.
        assert_eq!(
            sys!(SYS_link, folder.c("p").as_ptr(), text(&name).as_ptr()),
            0
        );
        child(|| execute(&[&name, "idle"]));
        rows.push(json!({"argv": [name, "idle"], "exe": name, "count": 1, "exits": {"0": 1}}));
        files.push(
            json!({"path": name, "exe": crate::own_exe(), "operations": {"link": 1, "exec": 1}}),
        );
    }
    json!({"processes": rows, "files": files, "whole": ["processes"], "programs": [""]})
}

/// Children that find nothing to execute, and end.
fn vfork_fails(folder: &Folder) -> Value {
    let (name, none) = (folder.c("none"), [std::ptr::null::<libc::c_char>()]);
    for _ in 0..20 {
        // SAFETY: lists that end with a null pointer and outlive the calls; the child shares our
        // memory and only executes.
        unsafe {
            #[expect(deprecated, reason = "vfork is what is tested")]
            let child = libc::vfork();
            if child == 0 {
                libc::execve(name.as_ptr(), none.as_ptr(), none.as_ptr());
                libc::_exit(127);
            }
            assert_eq!(libc::WEXITSTATUS(wait(child)), 127);
        }
    }
    json!({"processes": [own_row(), {"argv": own(), "count": 20, "exits": {"127": 20}}],
        "syscalls": [{"name": "execve", "calls": 21, "errors": {"ENOENT": 20}, "noReturn": 0}, {"name": "vfork", "calls": 20, "unfinished": 0, "restarted": 0}],
        "files": [crate::row(&folder.at("none"), &json!({}), 0, 0, &json!({"ENOENT": 20}))], "whole": ["processes", "files"]})
}

/// Threads that execute at once: one of them wins.
fn exec_race(_: &Folder) -> Value {
    for _ in 0..20 {
        child(|| {
            let barrier = std::sync::Arc::new(std::sync::Barrier::new(8));
            for _ in 0..8 {
                let barrier = barrier.clone();
                std::thread::spawn(move || {
                    barrier.wait();
                    execute(&["/bin/true", "winner"]);
                });
            }
            loop {
                sys!(SYS_pause);
            }
        });
    }
    json!({"processes": [own_row(), {"argv": ["/bin/true", "winner"], "count": 20, "exits": {"0": 20}}],
        "syscalls": [{"name": "clone3", "calls": 160}, {"name": "execve", "unfinished": 0}],
        "whole": ["processes"], "programs": ["/true"]})
}

/// A process, its child, the child's child and so on, each of which executes.
fn generations(_: &Folder) -> Value {
    let script =
        "/bin/sh -c '/bin/sh -c \"/bin/true deep; exit 3\"; /bin/true middle; exit 2'; exit 1";
    let status = wait(fork(|| execute(&["/bin/sh", "-c", script])));
    assert_eq!(libc::WEXITSTATUS(status), 1);
    json!({"processes": [
        own_row(),
        {"argv": ["/bin/sh", "-c", script], "count": 1, "exits": {"1": 1}},
        {"argv": ["/bin/sh", "-c", "/bin/sh -c \"/bin/true deep; exit 3\"; /bin/true middle; exit 2"], "count": 1, "exits": {"2": 1}},
        {"argv": ["/bin/sh", "-c", "/bin/true deep; exit 3"], "count": 1, "exits": {"3": 1}},
        {"argv": ["/bin/true", "deep"], "count": 1, "exits": {"0": 1}},
        {"argv": ["/bin/true", "middle"], "count": 1, "exits": {"0": 1}},
    ], "whole": ["processes"], "programs": ["/true", "/dash", "/bash", "/sh"]})
}

/// The first thread has ended when another one executes.
fn exec_after_first(_: &Folder) -> Value {
    for _ in 0..5 {
        child(|| {
            std::thread::spawn(|| {
                until(|| crate::calls::threads::is_dead(std::process::id()));
                execute(&["/bin/true", "heir"]);
            });
            sys!(SYS_exit, 3);
        });
    }
    json!({"processes": [own_row(), {"argv": ["/bin/true", "heir"], "count": 5, "exits": {"0": 5}}],
        "syscalls": [{"name": "exit", "calls": 5, "noReturn": 5}, {"name": "execve", "calls": 6, "errors": {}, "noReturn": 0, "unfinished": 0}],
        "whole": ["processes"], "programs": ["/true"]})
}

/// Threads that fork at once.
fn fork_by_thread(_: &Folder) -> Value {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..25 {
                    let child = good(sys!(SYS_fork));
                    if child == 0 {
                        sys!(SYS_exit_group, 4);
                    }
                    wait(child);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread");
    }
    json!({"processes": [own_row(), {"argv": own(), "count": 200, "exits": {"4": 200}}],
        "syscalls": [{"name": "fork", "calls": 200, "errors": {}}, {"name": "wait4", "calls": 200}, {"name": "exit_group", "calls": 201}],
        "whole": ["processes"]})
}

/// Children that are killed as soon as they are there.
fn killed_early(_: &Folder) -> Value {
    for _ in 0..200 {
        let child = good(sys!(SYS_fork));
        if child == 0 {
            loop {
                sys!(SYS_pause);
            }
        }
        assert_eq!(sys!(SYS_kill, child, libc::SIGKILL), 0);
        wait(child);
    }
    json!({"processes": [own_row(), {"argv": own(), "count": 200, "exits": {"SIGKILL": 200}}],
        "syscalls": [{"name": "fork", "calls": 200, "errors": {}}, {"name": "kill", "calls": 200, "errors": {}}], "whole": ["processes"]})
}

/// One process after the other with the same number.
fn pid_reuse(_: &Folder) -> Value {
    // A number that nobody has.
    let wanted = fork(|| ());
    wait(wanted);
    let mut made = 0_u64;
    for number in 0..60 {
        let wanted = [wanted];
        let arguments = [
            0,
            0,
            0,
            0,
            u64::from(libc::SIGCHLD.cast_unsigned()),
            0,
            0,
            0,
            wanted.as_ptr() as u64,
            1,
            0,
        ];
        let child = sys!(SYS_clone3, arguments.as_ptr(), 88_i64);
        if child == 0 {
            if number % 3 == 2 {
                execute(&["/bin/true", "same"]);
            }
            sys!(SYS_exit_group, number % 3);
        }
        // Somebody else may have it now.
        if child == i64::from(wanted[0]) {
            made += 1;
            wait(wanted[0]);
        } else {
            return json!({});
        }
    }
    assert_eq!(made, 60);
    json!({"processes": [
        own_row(),
        {"argv": own(), "count": 41, "exits": {"0": 21, "1": 20}},
        {"argv": ["/bin/true", "same"], "count": 20, "exits": {"0": 20}, "pids": [wanted]},
    ], "syscalls": [{"name": "clone3", "calls": 60, "errors": {}}], "whole": ["processes"], "programs": ["/true"]})
}

/// A script by its folder's descriptor, and by its own.
fn script_at(folder: &Folder) -> Value {
    let plain = program(folder, "plain", b"#!/bin/sh\nexit 4\n");
    let directory = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c("").as_ptr(),
        libc::O_PATH
    ));
    let script = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        text(&plain).as_ptr(),
        libc::O_PATH
    ));
    let argv = [c"script".as_ptr(), std::ptr::null()];
    for _ in 0..2 {
        let status = wait(fork(|| {
            sys!(
                SYS_execveat,
                directory,
                c"plain".as_ptr(),
                argv.as_ptr(),
                argv[1..].as_ptr(),
                0
            );
        }));
        assert_eq!(libc::WEXITSTATUS(status), 4);
    }
    for _ in 0..3 {
        let status = wait(fork(|| {
            sys!(
                SYS_execveat,
                script,
                c"".as_ptr(),
                argv.as_ptr(),
                argv[1..].as_ptr(),
                libc::AT_EMPTY_PATH
            );
        }));
        assert_eq!(libc::WEXITSTATUS(status), 4);
    }
    json!({"files": [{"path": plain, "exe": crate::own_exe(), "operations": {"open": 2, "create": 1, "write": 1, "chmod": 1, "exec": 5}}],
        "syscalls": [{"name": "execveat", "calls": 5, "errors": {}}], "programs": ["/dash", "/bash", "/sh"]})
}

/// Children whose end nobody asks for.
fn never_waited(_: &Folder) -> Value {
    for number in 0..6 {
        let child = fork(|| {
            sys!(SYS_exit_group, number % 3);
        });
        until(|| {
            std::fs::read_to_string(format!("/proc/{child}/stat"))
                .is_ok_and(|stat| stat.contains(") Z "))
        });
    }
    json!({"processes": [own_row(), {"argv": own(), "count": 6, "exits": {"0": 2, "1": 2, "2": 2}}], "whole": ["processes"]})
}

extern "C" fn in_our_memory(_: *mut libc::c_void) -> libc::c_int {
    sys!(SYS_getppid);
    3
}

/// Processes that share all memory with their parent and are not threads.
fn shared_memory(_: &Folder) -> Value {
    let mut stack = vec![0_u128; 4096];
    for _ in 0..5 {
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::SIGCHLD;
        // SAFETY: the stack is large enough and is not used by two at once.
        let child = unsafe {
            libc::clone(
                in_our_memory,
                stack.as_mut_ptr().add(4096).cast(),
                flags,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(libc::WEXITSTATUS(wait(child)), 3);
    }
    json!({"processes": [own_row(), {"argv": own(), "count": 5, "exits": {"3": 5}}],
        "syscalls": [{"name": "clone", "calls": 5, "errors": {}}, {"name": "getppid", "calls": 5, "errors": {}}], "whole": ["processes"]})
}

/// A thread that is not the first brings the process down.
fn thread_fault(_: &Folder) -> Value {
    for _ in 0..4 {
        let status = wait(fork(|| {
            let no_core = [0_u64; 2];
            sys!(SYS_prlimit64, 0, libc::RLIMIT_CORE, no_core.as_ptr(), 0_i64);
            // SAFETY: numbers only.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            std::thread::spawn(|| {
                // SAFETY: it is meant to fail.
                unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) };
            });
            loop {
                sys!(SYS_pause);
            }
        }));
        assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
    }
    json!({"processes": [own_row(), {"argv": own(), "count": 4, "exits": {"SIGSEGV": 4}}], "whole": ["processes"]})
}

/// A program executes itself by its link below /proc.
fn exec_self(_: &Folder) -> Value {
    for _ in 0..3 {
        child(|| {
            let argv = [c"myself".as_ptr(), c"idle".as_ptr(), std::ptr::null()];
            sys!(
                SYS_execve,
                c"/proc/self/exe".as_ptr(),
                argv.as_ptr(),
                argv[2..].as_ptr()
            );
        });
    }
    let exe = crate::own_exe();
    json!({"processes": [own_row(), {"argv": ["myself", "idle"], "exe": exe, "count": 3, "exits": {"0": 3}}],
        "files": [{"path": exe, "operations": {"exec": 4}}], "whole": ["processes"]})
}

/// Arguments that are too long.
fn exec_too_big(_: &Folder) -> Value {
    // One may not be longer than 32 pages.
    let long = text(&"x".repeat(140_000));
    let argv = [c"true".as_ptr(), long.as_ptr(), std::ptr::null()];
    for _ in 0..3 {
        fails(
            sys!(
                SYS_execve,
                c"/bin/true".as_ptr(),
                argv.as_ptr(),
                argv[2..].as_ptr()
            ),
            libc::E2BIG,
        );
    }
    let program = std::fs::canonicalize("/bin/true")
        .expect("a program")
        .display()
        .to_string();
    json!({"processes": [own_row()], "syscalls": [{"name": "execve", "calls": 4, "errors": {"E2BIG": 3}}],
        "files": [{"path": program, "operations": {}, "errors": {"E2BIG": 3}}], "whole": ["processes"]})
}

/// Executables with names that are not text, in folders with such names.
fn odd_programs(folder: &Folder) -> Value {
    let mut name = folder.at("odd").into_bytes();
    name.extend(b"\n\xff");
    let directory = std::ffi::CString::new(name.clone()).expect("no NUL");
    assert_eq!(
        sys!(SYS_mkdirat, libc::AT_FDCWD, directory.as_ptr(), 0o755),
        0
    );
    name.extend(b"/p\\\xfe");
    crate::copy_self(&folder.at("p"));
    let program = std::ffi::CString::new(name).expect("no NUL");
    assert_eq!(
        sys!(SYS_rename, folder.c("p").as_ptr(), program.as_ptr()),
        0
    );
    for _ in 0..2 {
        child(|| {
            assert_eq!(sys!(SYS_chdir, directory.as_ptr()), 0);
            let argv = [c"odd".as_ptr(), c"idle".as_ptr(), std::ptr::null()];
            sys!(
                SYS_execve,
                program.as_ptr(),
                argv.as_ptr(),
                argv[2..].as_ptr()
            );
        });
    }
    let shown = folder.at("odd\n\\xff/p\\\\\\xfe");
    json!({"processes": [own_row(), {"exe": shown, "argv": ["odd", "idle"], "cwd": folder.at("odd\n\\xff"), "count": 2, "exits": {"0": 2}}],
        "whole": ["processes"], "programs": ["xfe"]})
}

/// Arguments of every sort.
fn arguments(_: &Folder) -> Value {
    let run = |argv: &[&[u8]]| {
        child(|| {
            let texts: Vec<std::ffi::CString> = argv
                .iter()
                .map(|bytes| std::ffi::CString::new(*bytes).expect("no NUL"))
                .collect();
            let mut list: Vec<*const libc::c_char> =
                texts.iter().map(|text| text.as_ptr()).collect();
            list.push(std::ptr::null());
            let none: [*const libc::c_char; 1] = [std::ptr::null()];
            sys!(
                SYS_execve,
                c"/bin/true".as_ptr(),
                list.as_ptr(),
                none.as_ptr()
            );
            panic!("execve");
        });
    };
    run(&[b"true", b"", b"", b"x"]);
    run(&[
        b"true",
        b"a\nb",
        b"\t",
        b"\xff\xfe",
        b"back\\slash",
        "\u{fc}".as_bytes(),
    ]);
    run(&[b"", b"empty name"]);
    let long = "l".repeat(3000);
    run(&[b"true", long.as_bytes()]);
    let longer = "m".repeat(10_000);
    run(&[b"true", longer.as_bytes()]);
    let cut = "m".repeat(4095 - 5);
    json!({"processes": [
        own_row(),
        {"argv": ["true", "", "", "x"], "count": 1},
        {"argv": ["true", "a\nb", "\t", "\\xff\\xfe", "back\\\\slash", "\u{fc}"], "count": 1},
        {"argv": ["", "empty name"], "count": 1},
        {"argv": ["true", long], "count": 1, "argvTruncated": null},
        {"argv": ["true", cut], "count": 1, "argvTruncated": true},
    ], "whole": ["processes"], "programs": ["/true"]})
}

/// Processes of a PID namespace of their own.
fn pid_namespace(_: &Folder) -> Value {
    child(|| {
        assert_eq!(sys!(SYS_unshare, libc::CLONE_NEWPID), 0);
        child(|| {
            assert_eq!(sys!(SYS_getpid), 1);
            for _ in 0..5 {
                child(|| execute(&["/bin/true", "inside"]));
            }
        });
    });
    json!({"processes": [own_row(), {"argv": own(), "count": 2, "exits": {"0": 2}}, {"argv": ["/bin/true", "inside"], "count": 5, "exits": {"0": 5}}],
        "events": [{"type": "unshare", "count": 1}], "whole": ["processes"], "programs": ["/true"]})
}

/// Ten thousand executions.
fn executions(_: &Folder) -> Value {
    const MANY: u32 = 10_000;
    let (name, argument) = (text("/bin/true"), text("again"));
    let argv = [name.as_ptr(), argument.as_ptr(), std::ptr::null()];
    let none: [*const libc::c_char; 1] = [std::ptr::null()];
    for _ in 0..MANY {
        // SAFETY: lists that end with a null pointer and outlive the calls; the child shares our
        // memory and only executes.
        unsafe {
            #[expect(deprecated, reason = "vfork is what is tested")]
            let child = libc::vfork();
            if child == 0 {
                libc::execve(name.as_ptr(), argv.as_ptr(), none.as_ptr());
                libc::_exit(127);
            }
            assert_eq!(wait(child), 0);
        }
    }
    json!({"syscalls": [
        {"name": "vfork", "calls": MANY, "errors": {}},
        {"name": "execve", "calls": MANY + 1, "errors": {}},
        {"name": "wait4", "calls": MANY, "errors": {}},
    ], "processes": [own_row(), {"argv": ["/bin/true", "again"], "count": MANY, "exits": {"0": MANY}}],
    "whole": ["processes"], "programs": ["/true"]})
}

const MANY: i32 = 2000;

/// Two thousand processes that live at the same time.
fn crowd(_: &Folder) -> Value {
    run_crowd(|| ());
    let mut truth = crowd_truth();
    truth["syscalls"]
        .as_array_mut()
        .expect("rows")
        .push(json!({"name": "readv", "calls": MANY, "errors": {}}));
    truth
}

/// Two thousand processes that wait in a call when the window opens.
fn crowd_found(_: &Folder) -> Value {
    run_crowd(crate::wait_for_go);
    crowd_truth()
}

fn run_crowd(before: impl FnOnce()) {
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    let children: Vec<i32> = (0..MANY)
        .map(|number| {
            fork(|| {
                sys!(SYS_close, pipe[1]);
                until_closed(pipe[0]);
                for _ in 0..3 {
                    sys!(SYS_getppid);
                    fails(sys!(SYS_dup, -1), libc::EBADF);
                }
                sys!(SYS_exit_group, number % 2);
            })
        })
        .collect();
    before();
    sys!(SYS_close, pipe[1]);
    for child in children {
        wait(child);
    }
}

fn crowd_truth() -> Value {
    let half = MANY / 2;
    json!({"syscalls": [
        {"name": "getppid", "calls": 3 * MANY, "errors": {}},
        {"name": "dup", "calls": 3 * MANY, "errors": {"EBADF": 3 * MANY}},
        {"name": "exit_group", "calls": MANY + 1, "noReturn": MANY + 1},
    ], "processes": [own_row(), {"argv": own(), "count": MANY, "exits": {"0": half, "1": half}}],
    "whole": ["processes"]})
}

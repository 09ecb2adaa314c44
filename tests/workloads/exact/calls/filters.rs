//! Calls that seccomp denies, answers or hands on.

use crate::calls::signals::handle_by;
use crate::{Folder, child, fails, fork, good, memory, open, own_row, sys, wait};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// One call gets one action of a filter from now on.
pub(crate) fn filter(number: libc::c_long, action: u32) {
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
pub(crate) fn filters(_: &Folder) -> Value {
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
        // The process has no tracer.
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
pub(crate) fn filters_answered(_: &Folder) -> Value {
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
        // A result of 0 as a child has it, and an errno that the kernel does not have.
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
pub(crate) fn filters_supervised(_: &Folder) -> Value {
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
pub(crate) fn filter_strict(_: &Folder) -> Value {
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
pub(crate) fn filter_names(folder: &Folder) -> Value {
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

/// A process outside the kernel when the window opens, whose calls a filter makes signals of:
/// nothing is written.
pub(crate) fn filter_found(folder: &Folder) -> Value {
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

//! Descriptors that were duplicated, inherited, passed on or shared.

use crate::files::{CREATE, none};
use crate::{Folder, child, fails, good, open, own_row, row, sys, text};
use serde_json::{Value, json};

/// One file by many descriptors.
pub(crate) fn duplicates(folder: &Folder) -> Value {
    let file = open(folder, "dup", CREATE);
    let buffer = [0_u8; 5];
    let copies = [
        good(sys!(SYS_dup, file)),
        good(sys!(SYS_dup2, file, 200)),
        good(sys!(SYS_dup3, file, 201, libc::O_CLOEXEC)),
        good(sys!(SYS_fcntl, file, libc::F_DUPFD, 300)),
        good(sys!(SYS_fcntl, file, libc::F_DUPFD_CLOEXEC, 900)),
    ];
    for copy in copies {
        assert_eq!(sys!(SYS_write, copy, buffer.as_ptr(), 5_i64), 5);
    }
    let process = good(sys!(SYS_pidfd_open, std::process::id(), 0));
    let fetched = good(sys!(SYS_pidfd_getfd, process, file, 0));
    assert_eq!(sys!(SYS_write, fetched, buffer.as_ptr(), 5_i64), 5);
    // The number leads to another file afterwards.
    let other = open(folder, "other", CREATE);
    assert_eq!(sys!(SYS_dup2, other, 200), 200);
    assert_eq!(sys!(SYS_write, 200, buffer.as_ptr(), 3_i64), 3);
    assert_eq!(sys!(SYS_close, 200), 0);
    fails(sys!(SYS_write, 200, buffer.as_ptr(), 3_i64), libc::EBADF);
    json!({"files": [
        row(&folder.at("dup"), &json!({"open": 1, "create": 1, "write": 6}), 0, 30, &none()),
        row(&folder.at("other"), &json!({"open": 1, "create": 1, "write": 1}), 0, 3, &none()),
    ], "whole": ["files"]})
}

/// Sends a descriptor to another process.
fn send(socket: i32, descriptor: i32) {
    let mut byte = 0_u8;
    let mut vector = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let mut control = [0_u64; 3];
    // SAFETY: the buffers have the sizes that the message says, and outlive the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = 24;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = 20;
        libc::CMSG_DATA(head)
            .cast::<i32>()
            .write_unaligned(descriptor);
        assert_eq!(libc::sendmsg(socket, &raw const message, 0), 1);
    }
}

/// Takes one.
fn receive(socket: i32) -> i32 {
    let mut byte = 0_u8;
    let mut vector = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let mut control = [0_u64; 3];
    // SAFETY: as above.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = 24;
        assert_eq!(libc::recvmsg(socket, &raw mut message, 0), 1);
        libc::CMSG_DATA(libc::CMSG_FIRSTHDR(&raw const message))
            .cast::<i32>()
            .read_unaligned()
    }
}

/// A descriptor that another process opened.
pub(crate) fn passed(folder: &Folder) -> Value {
    let mut pair = [0_i32; 2];
    assert_eq!(
        sys!(
            SYS_socketpair,
            libc::AF_UNIX,
            libc::SOCK_STREAM,
            0,
            pair.as_mut_ptr()
        ),
        0
    );
    let opener = crate::fork(|| {
        let file = open(folder, "passed", CREATE);
        send(pair[1], file);
    });
    let file = receive(pair[0]);
    assert_eq!(crate::wait(opener), 0);
    let buffer = [0_u8; 9];
    for _ in 0..4 {
        assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 9_i64), 9);
    }
    json!({"files": [row(&folder.at("passed"), &json!({"open": 1, "create": 1, "write": 4}), 0, 36, &none())],
        "syscalls": [{"name": "sendmsg", "calls": 1}, {"name": "recvmsg", "calls": 1}], "whole": ["files"]})
}

/// Descriptors that go on through fork and execution.
pub(crate) fn inherited(folder: &Folder) -> Value {
    let file = open(folder, "in", CREATE);
    let buffer = [b'i'; 6];
    child(|| {
        assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 6_i64), 6);
        child(|| {
            assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 6_i64), 6);
        });
    });
    child(|| {
        // The shell writes what it prints into the file, by one call.
        assert_eq!(sys!(SYS_dup2, file, 1), 1);
        crate::execute(&["/bin/sh", "-c", "echo 1234567"]);
    });
    let shell = std::fs::canonicalize("/bin/sh")
        .expect("a shell")
        .display()
        .to_string();
    json!({"files": [
        row(&folder.at("in"), &json!({"open": 1, "create": 1, "write": 2}), 0, 12, &none()),
        {"path": folder.at("in"), "exe": shell, "operations": {"write": 1}, "bytesWritten": 8, "bytesRead": 0, "errors": {}},
    ], "processes": [
        own_row(),
        {"argv": crate::own(), "count": 2, "exits": {"0": 2}},
        {"argv": ["/bin/sh", "-c", "echo 1234567"], "count": 1, "exits": {"0": 1}},
    ], "whole": ["files", "processes"], "programs": ["/dash", "/bash", "/sh"]})
}

/// Numbers of descriptors far beyond the usual ones.
pub(crate) fn high_descriptors(folder: &Folder) -> Value {
    let mut limit = [0_u64; 2];
    assert_eq!(
        sys!(
            SYS_prlimit64,
            0,
            libc::RLIMIT_NOFILE,
            0_i64,
            limit.as_mut_ptr()
        ),
        0
    );
    let most = limit[1].min(60_000);
    limit[0] = most;
    assert_eq!(
        sys!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, limit.as_ptr(), 0_i64),
        0
    );
    let last = i32::try_from(most - 1).expect("small");
    let file = open(folder, "high", CREATE);
    for number in [last - 3, last - 2, last - 1, last] {
        assert_eq!(sys!(SYS_dup2, file, number), i64::from(number));
        assert_eq!(sys!(SYS_write, number, b"12345".as_ptr(), 5_i64), 5);
    }
    let again = text(&format!("/proc/self/fd/{last}"));
    for _ in 0..4 {
        good(sys!(
            SYS_openat,
            libc::AT_FDCWD,
            again.as_ptr(),
            libc::O_RDONLY
        ));
    }
    json!({"files": [row(&folder.at("high"), &json!({"open": 5, "create": 1, "write": 4}), 0, 20, &none())], "whole": ["files"]})
}

/// Threads open, write and remove one name, and names of their own.
pub(crate) fn one_file_threads(folder: &Folder) -> Value {
    const THREADS: u64 = 12;
    const EACH: u64 = 100;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for _ in 0..EACH {
                    let file = open(folder, "shared", libc::O_WRONLY | libc::O_CREAT);
                    assert_eq!(sys!(SYS_pwrite64, file, b"12".as_ptr(), 2_i64, 0_i64), 2);
                    assert_eq!(sys!(SYS_close, file), 0);
                    let own = open(folder, &format!("own{thread}"), CREATE | libc::O_TRUNC);
                    assert_eq!(sys!(SYS_write, own, b"123".as_ptr(), 3_i64), 3);
                    assert_eq!(sys!(SYS_close, own), 0);
                }
            });
        }
    });
    let all = THREADS * EACH;
    let mut files: Vec<Value> = (0..THREADS)
        .map(|thread| {
            row(
                &folder.at(&format!("own{thread}")),
                &json!({"open": EACH, "create": 1, "write": EACH}),
                0,
                3 * EACH,
                &none(),
            )
        })
        .collect();
    files.push(row(
        &folder.at("shared"),
        &json!({"open": all, "create": 1, "write": all}),
        0,
        2 * all,
        &none(),
    ));
    json!({"files": files, "whole": ["files"]})
}

/// A thread puts another file below a number while others write to it: every byte goes to one of
/// the two.
pub(crate) fn swapped_descriptors(folder: &Folder) -> Value {
    const TIMES: i64 = 2000;
    let (one, two) = (
        open(folder, "one", CREATE | libc::O_APPEND),
        open(folder, "two", CREATE | libc::O_APPEND),
    );
    assert_eq!(sys!(SYS_dup2, one, 100), 100);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..TIMES {
                sys!(SYS_dup2, if turn % 2 == 0 { two } else { one }, 100);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    assert_eq!(sys!(SYS_write, 100, b"1234".as_ptr(), 4_i64), 4);
                }
            });
        }
    });
    let length = |name: &str| std::fs::metadata(folder.at(name)).expect("a file").len();
    let (one, two) = (length("one"), length("two"));
    assert_eq!(one + two, 2 * 4 * TIMES.cast_unsigned());
    let one_row = |name: &str, bytes: u64| {
        let mut operations = json!({"open": 1, "create": 1});
        if bytes > 0 {
            operations["write"] = (bytes / 4).into();
        }
        row(&folder.at(name), &operations, 0, bytes, &none())
    };
    json!({"files": [one_row("one", one), one_row("two", two)], "whole": ["files"]})
}

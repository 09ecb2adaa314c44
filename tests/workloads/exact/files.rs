//! Files: reads, writes and copies of every sort, ways to open, descriptors that went around.

use crate::calls::open_how;
use crate::{Case, Folder, child, fails, good, memory, open, own_row, row, sys, text};
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    ("transfers", transfers),
    ("transfer-errors", transfer_errors),
    ("copies", copies),
    ("opens", opens),
    ("openat2", openat2),
    ("in-root", in_root),
    ("path-only", path_only),
    ("temporary", temporary),
    ("duplicates", duplicates),
    ("passed", passed),
    ("inherited", inherited),
    ("mappings", mappings),
    ("lengths", lengths),
    ("attributes", attributes),
    ("deleted", deleted),
    ("special", special),
    ("reused-inodes", reused_inodes),
    ("many-files", many_files),
    ("high-descriptors", high_descriptors),
    ("opened-before", opened_before),
    ("too-many-names", too_many_names),
    ("to-sockets", to_sockets),
    ("atomic-saves", atomic_saves),
    ("flags", flags),
    ("full", full),
    ("large", large),
    ("partial", partial),
    ("one-file-threads", one_file_threads),
    ("swapped-descriptors", swapped_descriptors),
];

const CREATE: i32 = libc::O_CREAT | libc::O_RDWR;

fn vectors(parts: &mut [[u8; 10]]) -> Vec<libc::iovec> {
    parts
        .iter_mut()
        .map(|part| libc::iovec {
            iov_base: part.as_mut_ptr().cast(),
            iov_len: part.len(),
        })
        .collect()
}

fn none() -> Value {
    json!({})
}

/// Every call that reads or writes bytes of one descriptor.
fn transfers(folder: &Folder) -> Value {
    let file = open(folder, "t", CREATE);
    let mut buffer = [b'b'; 100];
    let mut parts = [[b'v'; 10]; 3];
    let list = vectors(&mut parts);
    for _ in 0..2 {
        assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 100_i64), 100);
        assert_eq!(sys!(SYS_pwrite64, file, buffer.as_ptr(), 50_i64, 0_i64), 50);
        assert_eq!(sys!(SYS_writev, file, list.as_ptr(), 3_i64), 30);
        assert_eq!(
            sys!(SYS_pwritev, file, list.as_ptr(), 2_i64, 0_i64, 0_i64),
            20
        );
        assert_eq!(
            sys!(
                SYS_pwritev2,
                file,
                list.as_ptr(),
                1_i64,
                0_i64,
                0_i64,
                0_i64
            ),
            10
        );
        assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 0_i64), 0);
    }
    // 260 bytes are there.
    assert_eq!(sys!(SYS_lseek, file, 0_i64, libc::SEEK_SET), 0);
    for _ in 0..3 {
        assert_eq!(
            sys!(SYS_pread64, file, buffer.as_mut_ptr(), 40_i64, 0_i64),
            40
        );
        assert_eq!(
            sys!(SYS_preadv, file, list.as_ptr(), 2_i64, 0_i64, 0_i64),
            20
        );
        assert_eq!(
            sys!(SYS_preadv2, file, list.as_ptr(), 3_i64, 0_i64, 0_i64, 0_i64),
            30
        );
        // Beyond the end.
        assert_eq!(
            sys!(SYS_pread64, file, buffer.as_mut_ptr(), 40_i64, 9999_i64),
            0
        );
    }
    assert_eq!(sys!(SYS_read, file, buffer.as_mut_ptr(), 100_i64), 100);
    assert_eq!(sys!(SYS_readv, file, list.as_ptr(), 3_i64), 30);
    assert_eq!(sys!(SYS_read, file, buffer.as_mut_ptr(), 100_i64), 100);
    assert_eq!(
        sys!(
            SYS_preadv2,
            file,
            list.as_ptr(),
            3_i64,
            -1_i64,
            -1_i64,
            0_i64
        ),
        30
    );
    assert_eq!(sys!(SYS_read, file, buffer.as_mut_ptr(), 100_i64), 0);
    json!({"files": [row(&folder.at("t"), &json!({"open": 1, "create": 1, "write": 12, "read": 17}), 3 * 90 + 260, 2 * 210, &none())],
    "syscalls": [
        {"name": "preadv2", "calls": 4, "errors": {}}, {"name": "pwritev2", "calls": 2, "errors": {}},
        {"name": "preadv", "calls": 3, "errors": {}}, {"name": "pwritev", "calls": 2, "errors": {}},
        {"name": "readv", "calls": 1, "errors": {}}, {"name": "writev", "calls": 2, "errors": {}},
    ], "whole": ["files"]})
}

/// Reads and writes that fail.
fn transfer_errors(folder: &Folder) -> Value {
    let reads = open(folder, "r", libc::O_CREAT | libc::O_RDONLY);
    let writes = open(folder, "w", libc::O_CREAT | libc::O_WRONLY);
    let directory = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c(".").as_ptr(),
        libc::O_RDONLY
    ));
    let mut buffer = [0_u8; 10];
    for _ in 0..2 {
        fails(sys!(SYS_write, reads, buffer.as_ptr(), 10_i64), libc::EBADF);
        fails(
            sys!(SYS_pwrite64, reads, buffer.as_ptr(), 10_i64, 0_i64),
            libc::EBADF,
        );
        fails(
            sys!(SYS_read, writes, buffer.as_mut_ptr(), 10_i64),
            libc::EBADF,
        );
        fails(
            sys!(SYS_pread64, writes, buffer.as_mut_ptr(), 10_i64, -1_i64),
            libc::EINVAL,
        );
    }
    for _ in 0..3 {
        fails(sys!(SYS_write, writes, 8_i64, 10_i64), libc::EFAULT);
        fails(
            sys!(SYS_preadv2, reads, 8_i64, 1_i64, 0_i64, 0_i64, 0_i64),
            libc::EFAULT,
        );
        fails(
            sys!(SYS_read, directory, buffer.as_mut_ptr(), 10_i64),
            libc::EISDIR,
        );
        fails(sys!(SYS_read, -1, buffer.as_mut_ptr(), 10_i64), libc::EBADF);
    }
    // Files may not grow beyond a limit.
    child(|| {
        let limit = [4_u64, 4];
        assert_eq!(
            sys!(SYS_prlimit64, 0, libc::RLIMIT_FSIZE, limit.as_ptr(), 0_i64),
            0
        );
        // SAFETY: numbers only.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        assert_eq!(sys!(SYS_write, writes, buffer.as_ptr(), 10_i64), 4);
        fails(
            sys!(SYS_write, writes, buffer.as_ptr(), 10_i64),
            libc::EFBIG,
        );
    });
    let base = folder.0.display().to_string();
    json!({"files": [
        row(&folder.at("r"), &json!({"open": 1, "create": 1}), 0, 0, &json!({"EBADF": 4, "EFAULT": 3})),
        row(&folder.at("w"), &json!({"open": 1, "create": 1, "write": 1}), 0, 4, &json!({"EBADF": 2, "EINVAL": 2, "EFAULT": 3, "EFBIG": 1})),
        row(&base, &json!({"open": 1}), 0, 0, &json!({"EISDIR": 3})),
    ], "whole": ["files"]})
}

/// Copies within the kernel.
fn copies(folder: &Folder) -> Value {
    let from = open(folder, "from", CREATE);
    let to = open(folder, "to", CREATE);
    let buffer = [b'c'; 1000];
    assert_eq!(sys!(SYS_write, from, buffer.as_ptr(), 1000_i64), 1000);
    let mut pipe = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    for _ in 0..3 {
        let (mut at, mut out) = (0_i64, 0_i64);
        assert_eq!(sys!(SYS_sendfile, to, from, &raw mut at, 300_i64), 300);
        at = 0;
        assert_eq!(
            sys!(
                SYS_copy_file_range,
                from,
                &raw mut at,
                to,
                &raw mut out,
                200_i64,
                0
            ),
            200
        );
        at = 0;
        out = 0;
        assert_eq!(
            sys!(SYS_splice, from, &raw mut at, pipe[1], 0_i64, 120_i64, 0),
            120
        );
        assert_eq!(
            sys!(SYS_splice, pipe[0], 0_i64, to, &raw mut out, 70_i64, 0),
            70
        );
        let mut rest = [0_u8; 50];
        assert_eq!(sys!(SYS_read, pipe[0], rest.as_mut_ptr(), 50_i64), 50);
    }
    // To a pipe: only one end is a file.
    let mut at = 0_i64;
    assert_eq!(sys!(SYS_sendfile, pipe[1], from, &raw mut at, 60_i64), 60);
    // Nothing is left at the end.
    let mut at = 1000_i64;
    assert_eq!(sys!(SYS_sendfile, to, from, &raw mut at, 60_i64), 0);
    // Memory to a pipe, pipe to pipe.
    let mut other = [0_i32; 2];
    assert_eq!(sys!(SYS_pipe2, other.as_mut_ptr(), 0), 0);
    assert_eq!(sys!(SYS_tee, pipe[0], other[1], 60_i64, 0), 60);
    let vector = libc::iovec {
        iov_base: buffer.as_ptr().cast_mut().cast(),
        iov_len: 30,
    };
    assert_eq!(
        sys!(SYS_vmsplice, other[1], &raw const vector, 1_i64, 0),
        30
    );
    fails(
        sys!(SYS_splice, from, 0_i64, to, 0_i64, 10_i64, 0),
        libc::EINVAL,
    );
    json!({"files": [
        row(&folder.at("from"), &json!({"open": 1, "create": 1, "write": 1, "read": 3 * 3 + 2}), 3 * 620 + 60, 1000, &json!({"EINVAL": 1})),
        row(&folder.at("to"), &json!({"open": 1, "create": 1, "write": 3 * 3 + 1}), 0, 3 * 570, &json!({"EINVAL": 1})),
    ], "syscalls": [
        {"name": "sendfile", "calls": 5, "errors": {}},
        {"name": "splice", "calls": 7, "errors": {"EINVAL": 1}},
        {"name": "copy_file_range", "calls": 3, "errors": {}},
        {"name": "tee", "calls": 1}, {"name": "vmsplice", "calls": 1},
    ], "whole": ["files"]})
}

/// Ways to open.
fn opens(folder: &Folder) -> Value {
    let at = libc::AT_FDCWD;
    let name = folder.c("o");
    good(sys!(SYS_creat, name.as_ptr(), 0o600));
    good(sys!(SYS_open, name.as_ptr(), libc::O_RDONLY));
    good(sys!(
        SYS_open,
        name.as_ptr(),
        libc::O_CREAT | libc::O_RDWR,
        0o600
    ));
    good(sys!(
        SYS_openat,
        at,
        name.as_ptr(),
        libc::O_WRONLY | libc::O_TRUNC
    ));
    good(sys!(
        SYS_openat,
        at,
        name.as_ptr(),
        libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC
    ));
    fails(
        sys!(SYS_open, name.as_ptr(), libc::O_CREAT | libc::O_EXCL, 0o600),
        libc::EEXIST,
    );
    fails(
        sys!(SYS_open, name.as_ptr(), libc::O_DIRECTORY),
        libc::ENOTDIR,
    );
    let link = folder.c("link");
    assert_eq!(sys!(SYS_symlinkat, c"o".as_ptr(), at, link.as_ptr()), 0);
    good(sys!(SYS_open, link.as_ptr(), libc::O_RDONLY));
    fails(sys!(SYS_open, link.as_ptr(), libc::O_NOFOLLOW), libc::ELOOP);
    let link_itself = good(sys!(
        SYS_open,
        link.as_ptr(),
        libc::O_NOFOLLOW | libc::O_PATH
    ));
    // A descriptor is opened once more.
    let again = text(&format!(
        "/proc/self/fd/{}",
        good(sys!(SYS_open, name.as_ptr(), libc::O_RDONLY))
    ));
    good(sys!(SYS_open, again.as_ptr(), libc::O_RDWR));
    // By the folder's descriptor, and with more slashes and dots than needed.
    let directory = good(sys!(SYS_open, folder.c("").as_ptr(), libc::O_DIRECTORY));
    good(sys!(SYS_openat, directory, c"o".as_ptr(), 0));
    good(sys!(SYS_openat, directory, c".//./o".as_ptr(), 0));
    fails(
        sys!(SYS_openat, directory, c"absent".as_ptr(), 0),
        libc::ENOENT,
    );
    fails(
        sys!(SYS_openat, directory, c"./o/../absent".as_ptr(), 0),
        libc::ENOTDIR,
    );
    fails(sys!(SYS_open, c"".as_ptr(), 0), libc::ENOENT);
    assert!(link_itself >= 0);
    json!({"files": [
        row(&folder.at("o"), &json!({"open": 10, "create": 1}), 0, 0, &json!({"EEXIST": 1, "ENOTDIR": 1})),
        row(&folder.at("link"), &json!({"open": 1, "symlink": 1}), 0, 0, &json!({"ELOOP": 1})),
        row(&folder.at("absent"), &none(), 0, 0, &json!({"ENOENT": 1, "ENOTDIR": 1})),
        row(&folder.0.display().to_string(), &json!({"open": 1}), 0, 0, &none()),
    ], "syscalls": [
        {"name": "creat", "calls": 1, "errors": {}},
        {"name": "open", "calls": 11, "errors": {"EEXIST": 1, "ENOTDIR": 1, "ELOOP": 1, "ENOENT": 1}},
    ], "whole": ["files"]})
}

/// openat2 and its ways to resolve.
fn openat2(folder: &Folder) -> Value {
    std::fs::create_dir(folder.at("d")).expect("mkdir");
    std::fs::write(folder.at("d/f"), b"1").expect("write");
    std::os::unix::fs::symlink("f", folder.at("d/s")).expect("symlink");
    let directory = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c("d").as_ptr(),
        libc::O_PATH
    ));
    let open = |name: &std::ffi::CStr, flags: i32, resolve: u64| {
        let how = open_how(
            flags,
            if flags & libc::O_CREAT != 0 { 0o600 } else { 0 },
            resolve,
        );
        sys!(SYS_openat2, directory, name.as_ptr(), how.as_ptr(), 24_i64)
    };
    for _ in 0..2 {
        good(open(c"f", libc::O_RDWR, libc::RESOLVE_BENEATH));
        good(open(c"s", libc::O_RDONLY, libc::RESOLVE_BENEATH));
        // The folder's descriptor is the root.
        good(open(c"/f", libc::O_RDONLY, libc::RESOLVE_IN_ROOT));
    }
    good(open(
        c"new",
        libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY,
        libc::RESOLVE_NO_SYMLINKS,
    ));
    fails(
        open(c"s", libc::O_RDONLY, libc::RESOLVE_NO_SYMLINKS),
        libc::ELOOP,
    );
    fails(
        open(c"../d/f", libc::O_RDONLY, libc::RESOLVE_BENEATH),
        libc::EXDEV,
    );
    fails(open(c"f", libc::O_CREAT | libc::O_EXCL, 0), libc::EEXIST);
    json!({"files": [
        row(&folder.at("d"), &json!({"mkdir": 1, "open": 1}), 0, 0, &none()),
        row(&folder.at("d/f"), &json!({"open": 7, "create": 1, "write": 1}), 0, 1, &json!({"EXDEV": 1, "EEXIST": 1})),
        row(&folder.at("d/s"), &json!({"symlink": 1}), 0, 0, &json!({"ELOOP": 1})),
        row(&folder.at("d/new"), &json!({"open": 1, "create": 1}), 0, 0, &none()),
    ], "syscalls": [{"name": "openat2", "calls": 10, "errors": {"ELOOP": 1, "EXDEV": 1, "EEXIST": 1}}], "whole": ["files"]})
}

/// A folder's descriptor is the root of a name that begins with a slash.
fn in_root(folder: &Folder) -> Value {
    std::fs::create_dir(folder.at("r")).expect("mkdir");
    let directory = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c("r").as_ptr(),
        libc::O_PATH
    ));
    let how = open_how(libc::O_RDONLY, 0, libc::RESOLVE_IN_ROOT);
    let create = open_how(libc::O_CREAT | libc::O_WRONLY, 0o600, libc::RESOLVE_IN_ROOT);
    good(sys!(
        SYS_openat2,
        directory,
        c"/../new".as_ptr(),
        create.as_ptr(),
        24_i64
    ));
    for _ in 0..2 {
        fails(
            sys!(
                SYS_openat2,
                directory,
                c"/none".as_ptr(),
                how.as_ptr(),
                24_i64
            ),
            libc::ENOENT,
        );
    }
    json!({"files": [
        row(&folder.at("r"), &json!({"mkdir": 1, "open": 1}), 0, 0, &none()),
        row(&folder.at("r/new"), &json!({"open": 1, "create": 1}), 0, 0, &none()),
        row(&folder.at("r/none"), &none(), 0, 0, &json!({"ENOENT": 2})),
    ], "whole": ["files"]})
}

/// Descriptors that only name a file.
fn path_only(folder: &Folder) -> Value {
    std::fs::write(folder.at("p"), b"1234").expect("write");
    let file = open(folder, "p", libc::O_PATH);
    let mut buffer = [0_u8; 8];
    for _ in 0..3 {
        fails(
            sys!(SYS_read, file, buffer.as_mut_ptr(), 8_i64),
            libc::EBADF,
        );
        fails(sys!(SYS_write, file, buffer.as_ptr(), 8_i64), libc::EBADF);
        fails(sys!(SYS_ftruncate, file, 0_i64), libc::EBADF);
        fails(sys!(SYS_fchmod, file, 0o600), libc::EBADF);
    }
    // By the name below /proc it is changed, and opened for reading.
    let name = text(&format!("/proc/self/fd/{file}"));
    assert_eq!(sys!(SYS_chmod, name.as_ptr(), 0o640), 0);
    let reads = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        name.as_ptr(),
        libc::O_RDONLY
    ));
    assert_eq!(sys!(SYS_read, reads, buffer.as_mut_ptr(), 8_i64), 4);
    let empty = sys!(SYS_fchownat, file, c"".as_ptr(), 0, 0, libc::AT_EMPTY_PATH);
    assert_eq!(empty, 0);
    json!({"files": [row(&folder.at("p"), &json!({"open": 3, "create": 1, "write": 1, "read": 1, "chmod": 1, "chown": 1}), 4, 4, &json!({"EBADF": 12}))],
        "whole": ["files"]})
}

/// Files in memory without a name, one after the other: the kernel frees each, and the next one has its
/// place in memory.
fn reused_inodes(_: &Folder) -> Value {
    const FILES: usize = 100;
    const MEMBARRIER_CMD_GLOBAL: i64 = 1;
    let folder = text("/dev/shm");
    let mut numbers = Vec::new();
    for _ in 0..FILES {
        let flags = libc::O_TMPFILE | libc::O_RDWR;
        let file = good(sys!(SYS_open, folder.as_ptr(), flags, 0o600));
        assert_eq!(sys!(SYS_write, file, folder.as_ptr(), 1_i64), 1);
        // SAFETY: all zero is a valid stat, and the call fills it.
        let number = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            assert_eq!(libc::fstat(file, &raw mut stat), 0);
            stat.st_ino
        };
        numbers.push(number);
        assert_eq!(sys!(SYS_close, file), 0);
        sys!(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0_i64, 0_i64);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let rows: Vec<Value> = numbers
        .iter()
        .map(|number| {
            json!({"path": format!("/dev/shm/#{number}"), "operations": {"open": 1, "write": 1}, "bytesWritten": 1})
        })
        .collect();
    json!({"files": rows})
}

/// A file without a name, which gets one.
fn temporary(folder: &Folder) -> Value {
    let file = open(folder, "", libc::O_TMPFILE | libc::O_RDWR);
    let buffer = [0_u8; 20];
    let name = text(&format!("/proc/self/fd/{file}"));
    let to = folder.c("named");
    assert_eq!(
        sys!(
            SYS_linkat,
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::AT_SYMLINK_FOLLOW
        ),
        0
    );
    assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 20_i64), 20);
    let second = folder.c("second");
    assert_eq!(
        sys!(
            SYS_linkat,
            file,
            c"".as_ptr(),
            libc::AT_FDCWD,
            second.as_ptr(),
            libc::AT_EMPTY_PATH
        ),
        0
    );
    json!({"files": [
        {"path": folder.at("named"), "operations": {"link": 1}},
        {"path": folder.at("second"), "operations": {"link": 1}},
    ]})
}

/// One file by many descriptors.
fn duplicates(folder: &Folder) -> Value {
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
fn passed(folder: &Folder) -> Value {
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
fn inherited(folder: &Folder) -> Value {
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

/// Files in memory.
fn mappings(folder: &Folder) -> Value {
    let file = open(folder, "map", CREATE);
    assert_eq!(sys!(SYS_ftruncate, file, 8192_i64), 0);
    let reads = open(folder, "map", libc::O_RDONLY);
    let map = |descriptor: i32, protection: i32, flags: i32| {
        sys!(
            SYS_mmap, 0_i64, 4096_i64, protection, flags, descriptor, 0_i64
        )
    };
    let (r, w, x) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
    for _ in 0..3 {
        let address = map(file, r | w, libc::MAP_SHARED);
        assert!(address > 0);
        // SAFETY: a page of our own.
        unsafe {
            std::ptr::with_exposed_provenance_mut::<u8>(
                usize::try_from(address).expect("an address"),
            )
            .write(1);
        };
        assert_eq!(sys!(SYS_msync, address, 4096_i64, libc::MS_SYNC), 0);
        assert_eq!(sys!(SYS_munmap, address, 4096_i64), 0);
    }
    for _ in 0..2 {
        assert!(map(file, r | w, libc::MAP_PRIVATE) > 0);
        assert!(map(file, r, libc::MAP_SHARED) > 0);
        assert!(map(file, r | x, libc::MAP_PRIVATE) > 0);
        assert!(map(file, r | w, libc::MAP_SHARED_VALIDATE) > 0);
        fails(map(reads, r | w, libc::MAP_SHARED), libc::EACCES);
    }
    // Memory without a file, whatever the descriptor.
    assert!(map(file, r | w, libc::MAP_SHARED | libc::MAP_ANONYMOUS) > 0);
    let mut expected = row(
        &folder.at("map"),
        &json!({"open": 2, "create": 1, "truncate": 1, "mmapExec": 2}),
        0,
        0,
        &json!({"EACCES": 2}),
    );
    expected["mmapWrite"] = 5.into();
    json!({"files": [expected], "whole": ["files"]})
}

/// Lengths of files.
fn lengths(folder: &Folder) -> Value {
    let file = open(folder, "len", CREATE);
    let reads = open(folder, "len", libc::O_RDONLY);
    let name = folder.c("len");
    for size in [10_i64, 1000, 0] {
        assert_eq!(sys!(SYS_ftruncate, file, size), 0);
        assert_eq!(sys!(SYS_truncate, name.as_ptr(), size), 0);
    }
    fails(sys!(SYS_ftruncate, reads, 0_i64), libc::EINVAL);
    fails(sys!(SYS_ftruncate, file, -1_i64), libc::EINVAL);
    fails(sys!(SYS_truncate, name.as_ptr(), -1_i64), libc::EINVAL);
    fails(
        sys!(SYS_truncate, folder.c("no").as_ptr(), 0_i64),
        libc::ENOENT,
    );
    // Of no length any more, it becomes longer; what is within stays as it is.
    assert_eq!(sys!(SYS_fallocate, file, 0, 0_i64, 100_i64), 0);
    assert_eq!(sys!(SYS_fallocate, file, 0, 0_i64, 50_i64), 0);
    good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        name.as_ptr(),
        libc::O_WRONLY | libc::O_TRUNC
    ));
    json!({"files": [
        row(&folder.at("len"), &json!({"open": 3, "create": 1, "truncate": 7}), 0, 0, &json!({"EINVAL": 3})),
        row(&folder.at("no"), &none(), 0, 0, &json!({"ENOENT": 1})),
    ], "syscalls": [{"name": "ftruncate", "calls": 5, "errors": {"EINVAL": 2}}, {"name": "truncate", "calls": 5, "errors": {"EINVAL": 1, "ENOENT": 1}}],
    "whole": ["files"]})
}

/// Modes, owners and extended attributes.
fn attributes(folder: &Folder) -> Value {
    let file = open(folder, "a", CREATE);
    let name = folder.c("a");
    let at = libc::AT_FDCWD;
    assert_eq!(sys!(SYS_chmod, name.as_ptr(), 0o600), 0);
    assert_eq!(sys!(SYS_fchmod, file, 0o600), 0);
    assert_eq!(sys!(SYS_fchmodat, at, name.as_ptr(), 0o600), 0);
    let second = sys!(SYS_fchmodat2, at, name.as_ptr(), 0o600, 0);
    assert_eq!(sys!(SYS_chown, name.as_ptr(), 0, 0), 0);
    assert_eq!(sys!(SYS_fchown, file, 0, 0), 0);
    assert_eq!(sys!(SYS_lchown, name.as_ptr(), 0, 0), 0);
    assert_eq!(sys!(SYS_fchownat, at, name.as_ptr(), 0, 0, 0), 0);
    let key = c"trusted.procmon";
    let (mut set, mut errors) = (0_u64, serde_json::Map::new());
    let mut note = |result: i64| {
        if result == 0 {
            set += 1;
        } else {
            let name = match i32::try_from(-result).expect("an errno") {
                libc::EOPNOTSUPP => "EOPNOTSUPP",
                libc::ENODATA => "ENODATA",
                libc::EPERM => "EPERM",
                other => panic!("errno {other}"),
            };
            let count = errors.get(name).and_then(Value::as_u64).unwrap_or(0);
            errors.insert(name.into(), (count + 1).into());
        }
    };
    note(sys!(
        SYS_setxattr,
        name.as_ptr(),
        key.as_ptr(),
        b"1".as_ptr(),
        1_i64,
        0
    ));
    note(sys!(
        SYS_fsetxattr,
        file,
        key.as_ptr(),
        b"2".as_ptr(),
        1_i64,
        0
    ));
    note(sys!(
        SYS_lsetxattr,
        name.as_ptr(),
        key.as_ptr(),
        b"3".as_ptr(),
        1_i64,
        0
    ));
    note(sys!(SYS_removexattr, name.as_ptr(), key.as_ptr()));
    note(sys!(SYS_fremovexattr, file, key.as_ptr()));
    note(sys!(SYS_lremovexattr, name.as_ptr(), key.as_ptr()));
    let mut chmods = 3;
    if second == 0 {
        chmods += 1;
    } else {
        errors.insert("ENOSYS".into(), 1.into());
    }
    let mut operations = json!({"open": 1, "create": 1, "chmod": chmods, "chown": 4});
    if set > 0 {
        operations["setxattr"] = set.into();
    }
    json!({"files": [row(&folder.at("a"), &operations, 0, 0, &errors.into())], "whole": ["files"]})
}

/// Files that have lost their name.
fn deleted(folder: &Folder) -> Value {
    let file = open(folder, "x", CREATE);
    let mut buffer = [0_u8; 7];
    assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 7_i64), 7);
    assert_eq!(sys!(SYS_unlink, folder.c("x").as_ptr()), 0);
    assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 7_i64), 7);
    assert_eq!(
        sys!(SYS_pread64, file, buffer.as_mut_ptr(), 7_i64, 0_i64),
        7
    );
    // Another file of the same name.
    let again = open(folder, "x", CREATE | libc::O_EXCL);
    assert_eq!(sys!(SYS_write, again, buffer.as_ptr(), 5_i64), 5);
    assert_eq!(sys!(SYS_write, file, buffer.as_ptr(), 7_i64), 7);
    assert_eq!(sys!(SYS_ftruncate, file, 0_i64), 0);
    assert_eq!(sys!(SYS_unlink, folder.c("x").as_ptr()), 0);
    fails(sys!(SYS_unlink, folder.c("x").as_ptr()), libc::ENOENT);
    json!({"files": [row(&folder.at("x"), &json!({"open": 2, "create": 2, "write": 4, "read": 1, "unlink": 2, "truncate": 1}), 7, 26, &json!({"ENOENT": 1}))],
        "whole": ["files"]})
}

/// Devices, FIFOs, memory, and what is no file.
fn special(folder: &Folder) -> Value {
    let fifo = folder.c("fifo");
    let at = libc::AT_FDCWD;
    assert_eq!(
        sys!(SYS_mknodat, at, fifo.as_ptr(), libc::S_IFIFO | 0o600, 0),
        0
    );
    let both = good(sys!(SYS_openat, at, fifo.as_ptr(), libc::O_RDWR));
    let mut buffer = [0_u8; 16];
    assert_eq!(sys!(SYS_write, both, buffer.as_ptr(), 16_i64), 16);
    assert_eq!(sys!(SYS_read, both, buffer.as_mut_ptr(), 10_i64), 10);
    let null = good(sys!(SYS_openat, at, c"/dev/null".as_ptr(), libc::O_RDWR));
    for _ in 0..3 {
        assert_eq!(sys!(SYS_write, null, buffer.as_ptr(), 16_i64), 16);
    }
    assert_eq!(sys!(SYS_read, null, buffer.as_mut_ptr(), 16_i64), 0);
    let device = folder.c("device");
    // 1:5 is /dev/zero.
    let made = sys!(
        SYS_mknodat,
        at,
        device.as_ptr(),
        libc::S_IFCHR | 0o600,
        0x105
    );
    assert_eq!(made, 0);
    let opened = sys!(SYS_openat, at, device.as_ptr(), libc::O_RDONLY);
    let mut rows = vec![
        row(
            &folder.at("fifo"),
            &json!({"mknod": 1, "open": 1, "write": 1, "read": 1}),
            10,
            16,
            &none(),
        ),
        json!({"path": "/dev/null", "operations": {"open": 1, "write": 3, "read": 1}, "bytesWritten": 48, "bytesRead": 0, "errors": {}}),
    ];
    if opened >= 0 {
        assert_eq!(
            sys!(SYS_read, good(opened), buffer.as_mut_ptr(), 16_i64),
            16
        );
        rows.push(row(
            &folder.at("device"),
            &json!({"mknod": 1, "open": 1, "read": 1}),
            16,
            0,
            &none(),
        ));
    } else {
        rows.push(row(
            &folder.at("device"),
            &json!({"mknod": 1}),
            0,
            0,
            &json!({"EACCES": 1}),
        ));
    }
    let memory = good(sys!(SYS_memfd_create, c"notes".as_ptr(), 0));
    assert_eq!(sys!(SYS_write, memory, buffer.as_ptr(), 16_i64), 16);
    let counter = good(sys!(SYS_eventfd2, 0, 0));
    assert_eq!(sys!(SYS_write, counter, [1_u64].as_ptr(), 8_i64), 8);
    rows.push(json!({"path": "memfd:notes", "layer": "memfd", "operations": {"write": 1}, "bytesWritten": 16, "errors": {}}));
    json!({"files": rows, "whole": ["files"]})
}

/// Numbers of descriptors far beyond the usual ones.
fn high_descriptors(folder: &Folder) -> Value {
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

/// A file that was open, and a read that was under way, before the window.
fn opened_before(folder: &Folder) -> Value {
    let file = open(folder, "before", CREATE);
    assert_eq!(sys!(SYS_write, file, b"1234".as_ptr(), 4_i64), 4);
    let fifo = folder.c("fifo");
    assert_eq!(
        sys!(
            SYS_mknodat,
            libc::AT_FDCWD,
            fifo.as_ptr(),
            libc::S_IFIFO | 0o600,
            0
        ),
        0
    );
    let both = open(folder, "fifo", libc::O_RDWR);
    let reader = crate::fork(|| {
        let mut buffer = [0_u8; 8];
        let vector = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: 8,
        };
        assert_eq!(sys!(SYS_readv, both, &raw const vector, 1_i64), 6);
    });
    crate::until(|| crate::sleeps_in(&reader.to_string(), libc::SYS_readv));
    crate::wait_for_go();
    for _ in 0..3 {
        assert_eq!(sys!(SYS_write, file, b"123".as_ptr(), 3_i64), 3);
    }
    assert_eq!(sys!(SYS_write, both, b"123456".as_ptr(), 6_i64), 6);
    assert_eq!(crate::wait(reader), 0);
    json!({"files": [
        row(&folder.at("before"), &json!({"write": 3}), 0, 9, &none()),
        row(&folder.at("fifo"), &json!({"write": 1, "read": 1}), 6, 6, &none()),
    ], "whole": ["files"]})
}

/// More names than a profile has rows for.
fn too_many_names(folder: &Folder) -> Value {
    for number in 0..70_000 {
        fails(
            sys!(
                SYS_openat,
                libc::AT_FDCWD,
                folder.c(&format!("n{number}")).as_ptr(),
                0
            ),
            libc::ENOENT,
        );
    }
    json!({"syscalls": [{"name": "openat", "errors": {"ENOENT": 70_000}}]})
}

/// A file goes into a socket without a peer that counts.
fn to_sockets(folder: &Folder) -> Value {
    let file = open(folder, "sent", CREATE);
    assert_eq!(sys!(SYS_write, file, [0_u8; 100].as_ptr(), 100_i64), 100);
    let (mut pair, mut pipe) = ([0_i32; 2], [0_i32; 2]);
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
    assert_eq!(sys!(SYS_pipe2, pipe.as_mut_ptr(), 0), 0);
    for _ in 0..2 {
        let (mut first, mut second) = (0_i64, 0_i64);
        assert_eq!(
            sys!(SYS_sendfile, pair[0], file, &raw mut first, 100_i64),
            100
        );
        assert_eq!(
            sys!(SYS_splice, file, &raw mut second, pipe[1], 0_i64, 30_i64, 0),
            30
        );
        assert_eq!(
            sys!(SYS_splice, pipe[0], 0_i64, pair[0], 0_i64, 30_i64, 0),
            30
        );
        // And back into the file.
        assert_eq!(
            sys!(SYS_splice, pair[1], 0_i64, pipe[1], 0_i64, 20_i64, 0),
            20
        );
        assert_eq!(sys!(SYS_splice, pipe[0], 0_i64, file, 0_i64, 20_i64, 0), 20);
    }
    json!({"files": [row(&folder.at("sent"), &json!({"open": 1, "create": 1, "write": 3, "read": 4}), 260, 140, &none())],
        "network": [], "whole": ["files", "network"]})
}

/// A file is replaced over and over, as editors and databases do it.
fn atomic_saves(folder: &Folder) -> Value {
    const TIMES: u64 = 1500;
    assert_eq!(
        sys!(
            SYS_symlinkat,
            c"saved".as_ptr(),
            libc::AT_FDCWD,
            folder.c("link").as_ptr()
        ),
        0
    );
    for _ in 0..TIMES {
        let file = open(folder, "new", CREATE);
        assert_eq!(sys!(SYS_write, file, b"123".as_ptr(), 3_i64), 3);
        assert_eq!(sys!(SYS_close, file), 0);
        assert_eq!(
            sys!(
                SYS_rename,
                folder.c("new").as_ptr(),
                folder.c("saved").as_ptr()
            ),
            0
        );
        let file = good(sys!(
            SYS_openat,
            libc::AT_FDCWD,
            folder.c("link").as_ptr(),
            libc::O_RDONLY
        ));
        assert_eq!(sys!(SYS_close, file), 0);
    }
    json!({"files": [
        row(&folder.at("new"), &json!({"open": TIMES, "create": TIMES, "write": TIMES, "rename": TIMES}), 0, 3 * TIMES, &none()),
        row(&folder.at("saved"), &json!({"rename": TIMES, "open": TIMES}), 0, 0, &none()),
        row(&folder.at("link"), &json!({"symlink": 1}), 0, 0, &none()),
    ], "whole": ["files"]})
}

/// Reads and writes with flags of their own.
fn flags(folder: &Folder) -> Value {
    const RWF_APPEND: i64 = 0x10;
    let file = open(folder, "flags", CREATE);
    let mut parts = [[b'f'; 10]; 2];
    let list = vectors(&mut parts);
    for _ in 0..3 {
        assert_eq!(
            sys!(
                SYS_pwritev2,
                file,
                list.as_ptr(),
                2_i64,
                0_i64,
                0_i64,
                RWF_APPEND
            ),
            20
        );
    }
    assert_eq!(
        std::fs::metadata(folder.at("flags")).expect("a file").len(),
        60
    );
    for _ in 0..2 {
        fails(
            sys!(
                SYS_preadv2,
                file,
                list.as_ptr(),
                2_i64,
                0_i64,
                0_i64,
                0x4000_0000_i64
            ),
            libc::EOPNOTSUPP,
        );
        fails(sys!(SYS_readv, file, list.as_ptr(), -1_i64), libc::EINVAL);
        fails(
            sys!(SYS_writev, file, list.as_ptr(), 1025_i64),
            libc::EINVAL,
        );
    }
    let append = open(folder, "flags", libc::O_WRONLY | libc::O_APPEND);
    assert_eq!(sys!(SYS_pwrite64, append, b"x".as_ptr(), 1_i64, 0_i64), 1);
    fails(
        sys!(SYS_copy_file_range, file, 0_i64, append, 0_i64, 10_i64, 0),
        libc::EBADF,
    );
    json!({"files": [row(&folder.at("flags"), &json!({"open": 2, "create": 1, "write": 4}), 0, 61, &json!({"EOPNOTSUPP": 2, "EINVAL": 4, "EBADF": 2}))],
        "syscalls": [{"name": "copy_file_range", "calls": 1, "errors": {"EBADF": 1}}], "whole": ["files"]})
}

/// What finds no place.
fn full(folder: &Folder) -> Value {
    let buffer = [0_u8; 100];
    let device = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        c"/dev/full".as_ptr(),
        libc::O_RDWR
    ));
    for _ in 0..5 {
        fails(
            sys!(SYS_write, device, buffer.as_ptr(), 100_i64),
            libc::ENOSPC,
        );
    }
    assert_eq!(
        sys!(
            SYS_mkdirat,
            libc::AT_FDCWD,
            folder.c("small").as_ptr(),
            0o700
        ),
        0
    );
    child(|| {
        assert_eq!(sys!(SYS_unshare, libc::CLONE_NEWNS), 0);
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        assert_eq!(
            sys!(
                SYS_mount,
                c"none".as_ptr(),
                c"/".as_ptr(),
                c"none".as_ptr(),
                flags,
                0_i64
            ),
            0
        );
        let (target, options) = (folder.c("small"), c"size=8k");
        assert_eq!(
            sys!(
                SYS_mount,
                c"small".as_ptr(),
                target.as_ptr(),
                c"tmpfs".as_ptr(),
                0_i64,
                options.as_ptr()
            ),
            0
        );
        let file = open(folder, "small/f", CREATE);
        let large = vec![0_u8; 20_000];
        // As much as there is room.
        assert_eq!(sys!(SYS_write, file, large.as_ptr(), 20_000_i64), 8192);
        fails(
            sys!(SYS_write, file, large.as_ptr(), 20_000_i64),
            libc::ENOSPC,
        );
    });
    json!({"files": [
        row("/dev/full", &json!({"open": 1}), 0, 0, &json!({"ENOSPC": 5})),
        row(&folder.at("small"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("small/f"), &json!({"open": 1, "create": 1, "write": 1}), 0, 8192, &json!({"ENOSPC": 1})),
    ], "whole": ["files"]})
}

/// More bytes than 32 bits can count.
fn large(folder: &Folder) -> Value {
    const MOST: i64 = 0x7fff_f000;
    let null = good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        c"/dev/null".as_ptr(),
        libc::O_RDWR
    ));
    let memory = sys!(
        SYS_mmap,
        0_i64,
        MOST,
        libc::PROT_READ,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        -1,
        0_i64
    );
    assert!(memory > 0);
    for _ in 0..6 {
        assert_eq!(sys!(SYS_write, null, memory, MOST), MOST);
    }
    let sparse = open(folder, "sparse", CREATE);
    assert_eq!(sys!(SYS_ftruncate, sparse, 1_i64 << 40), 0);
    assert_eq!(
        sys!(SYS_pwrite64, sparse, memory, 10_i64, (1_i64 << 40) - 10),
        10
    );
    json!({"files": [
        {"path": "/dev/null", "operations": {"open": 1, "write": 6}, "bytesWritten": 6 * MOST, "bytesRead": 0, "errors": {}},
        row(&folder.at("sparse"), &json!({"open": 1, "create": 1, "truncate": 1, "write": 1}), 0, 10, &none()),
    ], "whole": ["files"]})
}

/// Transfers that end before all is done.
fn partial(folder: &Folder) -> Value {
    let file = open(folder, "part", CREATE);
    let page = memory(8192, libc::MAP_PRIVATE);
    assert_eq!(sys!(SYS_munmap, page + 4096, 4096_i64), 0);
    for _ in 0..2 {
        // The second half is no memory.
        assert_eq!(sys!(SYS_write, file, page, 8192_i64), 4096);
    }
    let (first, bad) = (
        std::ptr::with_exposed_provenance_mut(usize::try_from(page).expect("an address")),
        std::ptr::with_exposed_provenance_mut(8),
    );
    let vectors = [
        libc::iovec {
            iov_base: first,
            iov_len: 100,
        },
        libc::iovec {
            iov_base: bad,
            iov_len: 100,
        },
    ];
    assert_eq!(sys!(SYS_writev, file, vectors.as_ptr(), 2_i64), 100);
    // Less is there than asked for.
    assert_eq!(sys!(SYS_pread64, file, page, 4096_i64, 8192_i64), 100);
    json!({"files": [row(&folder.at("part"), &json!({"open": 1, "create": 1, "write": 3, "read": 1}), 100, 8292, &none())], "whole": ["files"]})
}

/// Three thousand files.
fn many_files(folder: &Folder) -> Value {
    const MANY: u64 = 3000;
    let buffer = [0_u8; 4];
    for number in 0..MANY {
        let file = open(folder, &format!("f{number}"), CREATE);
        assert_eq!(
            sys!(SYS_write, file, buffer.as_ptr(), number % 5),
            i64::try_from(number % 5).expect("small")
        );
        assert_eq!(sys!(SYS_close, file), 0);
        assert_eq!(
            sys!(SYS_unlink, folder.c(&format!("f{number}")).as_ptr()),
            0
        );
    }
    let files: Vec<Value> = (0..MANY)
        .map(|number| {
            row(
                &folder.at(&format!("f{number}")),
                &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}),
                0,
                number % 5,
                &none(),
            )
        })
        .collect();
    json!({"files": files, "syscalls": [{"name": "unlink", "calls": MANY, "errors": {}}], "whole": ["files"]})
}

/// Threads open, write and remove one name, and names of their own.
fn one_file_threads(folder: &Folder) -> Value {
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
fn swapped_descriptors(folder: &Folder) -> Value {
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

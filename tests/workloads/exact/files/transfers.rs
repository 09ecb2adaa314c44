//! Reads, writes and copies: their bytes and errors.

use crate::files::{CREATE, none};
use crate::{Folder, child, fails, good, memory, open, row, sys};
use serde_json::{Value, json};

pub(crate) fn vectors(parts: &mut [[u8; 10]]) -> Vec<libc::iovec> {
    parts
        .iter_mut()
        .map(|part| libc::iovec {
            iov_base: part.as_mut_ptr().cast(),
            iov_len: part.len(),
        })
        .collect()
}

/// Every call that reads or writes bytes of one descriptor.
pub(crate) fn transfers(folder: &Folder) -> Value {
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
pub(crate) fn transfer_errors(folder: &Folder) -> Value {
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
pub(crate) fn copies(folder: &Folder) -> Value {
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

/// A file goes into a socket without a peer that counts.
pub(crate) fn to_sockets(folder: &Folder) -> Value {
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

/// Bytes for which a file system, a pipe or a limit has no room.
pub(crate) fn full(folder: &Folder) -> Value {
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
pub(crate) fn large(folder: &Folder) -> Value {
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
pub(crate) fn partial(folder: &Folder) -> Value {
    let file = open(folder, "part", CREATE);
    let page = memory(8192, libc::MAP_PRIVATE);
    assert_eq!(sys!(SYS_munmap, page + 4096, 4096_i64), 0);
    for _ in 0..2 {
        // The second half is not mapped.
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

//! Ways to open and to make a file.

use crate::calls::outcomes::open_how;
use crate::files::transfers::vectors;
use crate::files::{CREATE, none};
use crate::{Folder, fails, good, open, row, sys, text};
use serde_json::{Value, json};

/// Ways to open.
pub(crate) fn opens(folder: &Folder) -> Value {
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
    // Opened by the folder's descriptor, and with more slashes and dots than needed.
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
pub(crate) fn openat2(folder: &Folder) -> Value {
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
pub(crate) fn in_root(folder: &Folder) -> Value {
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
pub(crate) fn path_only(folder: &Folder) -> Value {
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
    // The file is changed by its name below /proc, and opened for reading.
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
pub(crate) fn reused_inodes(_: &Folder) -> Value {
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
pub(crate) fn temporary(folder: &Folder) -> Value {
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

/// Devices, FIFOs, memory, and descriptors that are not files.
pub(crate) fn special(folder: &Folder) -> Value {
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

/// A file that was open, and a read that was under way, before the window.
pub(crate) fn opened_before(folder: &Folder) -> Value {
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
pub(crate) fn too_many_names(folder: &Folder) -> Value {
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

/// Reads and writes with flags of their own.
pub(crate) fn flags(folder: &Folder) -> Value {
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

/// Three thousand files.
pub(crate) fn many_files(folder: &Folder) -> Value {
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

//! Mappings, lengths, attributes, and files that replace others.

use crate::files::{CREATE, none};
use crate::{Folder, fails, good, open, row, sys};
use serde_json::{Value, json};

/// Files in memory.
pub(crate) fn mappings(folder: &Folder) -> Value {
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
pub(crate) fn lengths(folder: &Folder) -> Value {
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
    // The file has no length any more and becomes longer; the content stays as it is.
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
pub(crate) fn attributes(folder: &Folder) -> Value {
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
pub(crate) fn deleted(folder: &Folder) -> Value {
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

/// A file is replaced over and over, as editors and databases do it.
pub(crate) fn atomic_saves(folder: &Folder) -> Value {
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

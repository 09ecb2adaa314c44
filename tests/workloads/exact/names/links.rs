//! Links and renames.

use crate::names::{AT, make, none};
use crate::{Folder, fails, good, row, sys};
use serde_json::{Value, json};
use std::ffi::CString;

fn rename(from: &CString, to: &CString, flags: u32) -> i64 {
    sys!(SYS_renameat2, AT, from.as_ptr(), AT, to.as_ptr(), flags)
}

/// Renames of files.
pub(crate) fn renames(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    let file_a = make(&c("a"), b"aa");
    let file_b = make(&c("b"), b"bbb");
    // Each takes the other's name.
    assert_eq!(rename(&c("a"), &c("b"), libc::RENAME_EXCHANGE), 0);
    assert_eq!(sys!(SYS_write, file_a, b"1".as_ptr(), 1_i64), 1);
    assert_eq!(sys!(SYS_write, file_b, b"22".as_ptr(), 2_i64), 2);
    fails(
        rename(&c("a"), &c("b"), libc::RENAME_NOREPLACE),
        libc::EEXIST,
    );
    fails(
        rename(&c("none"), &c("b"), libc::RENAME_EXCHANGE),
        libc::ENOENT,
    );
    fails(rename(&c("a"), &c("b"), 0xff), libc::EINVAL);
    // Onto another, to itself, by the older calls.
    assert_eq!(sys!(SYS_rename, c("a").as_ptr(), c("b").as_ptr()), 0);
    assert_eq!(sys!(SYS_rename, c("b").as_ptr(), c("b").as_ptr()), 0);
    assert_eq!(
        sys!(SYS_renameat, AT, c("b").as_ptr(), AT, c("c").as_ptr()),
        0
    );
    json!({"files": [
        row(&folder.at("a"), &json!({"open": 1, "create": 1, "write": 2, "rename": 2}), 0, 4, &json!({"EEXIST": 1, "EINVAL": 1})),
        row(&folder.at("b"), &json!({"open": 1, "create": 1, "write": 2, "rename": 5}), 0, 4, &json!({"EEXIST": 1, "EINVAL": 1, "ENOENT": 1})),
        row(&folder.at("c"), &json!({"rename": 1}), 0, 0, &none()),
        row(&folder.at("none"), &none(), 0, 0, &json!({"ENOENT": 1})),
    ], "syscalls": [
        {"name": "renameat2", "calls": 4, "errors": {"EEXIST": 1, "ENOENT": 1, "EINVAL": 1}},
        {"name": "rename", "calls": 2}, {"name": "renameat", "calls": 1},
    ], "whole": ["files"]})
}

/// Folders far above an open file get other names.
pub(crate) fn renamed_folders(folder: &Folder) -> Value {
    for name in ["1", "1/2", "1/2/3", "1/2/3/4", "1/2/3/4/5"] {
        assert_eq!(sys!(SYS_mkdirat, AT, folder.c(name).as_ptr(), 0o700), 0);
    }
    let file = make(&folder.c("1/2/3/4/5/f"), b"1");
    // The one right above, the second, and the fifth.
    for (from, to, bytes) in [
        ("1/2/3/4/5", "1/2/3/4/V", 10_i64),
        ("1/2/3/4", "1/2/3/IV", 20),
        ("1", "I", 30),
    ] {
        assert_eq!(rename(&folder.c(from), &folder.c(to), 0), 0);
        assert_eq!(sys!(SYS_write, file, [0_u8; 30].as_ptr(), bytes), bytes);
    }
    good(sys!(
        SYS_openat,
        AT,
        folder.c("I/2/3/IV/V/f").as_ptr(),
        libc::O_RDONLY
    ));
    // Another tree stands where the first one was.
    for name in ["1", "1/2", "1/2/3", "1/2/3/IV", "1/2/3/IV/V"] {
        assert_eq!(sys!(SYS_mkdirat, AT, folder.c(name).as_ptr(), 0o700), 0);
    }
    make(&folder.c("1/2/3/IV/V/f"), b"12345");
    let wrote =
        |path: &str, bytes: u64| row(&folder.at(path), &json!({"write": 1}), 0, bytes, &none());
    json!({"files": [
        row(&folder.at("1/2/3/4/5/f"), &json!({"open": 1, "create": 1, "write": 1}), 0, 1, &none()),
        wrote("1/2/3/4/V/f", 10),
        row(&folder.at("1/2/3/IV/V/f"), &json!({"open": 1, "create": 1, "write": 2}), 0, 25, &none()),
        row(&folder.at("I/2/3/IV/V/f"), &json!({"open": 1, "write": 1}), 0, 30, &none()),
    ]})
}

/// One file by two names.
pub(crate) fn hard_links(folder: &Folder) -> Value {
    let first = make(&folder.c("h1"), b"1");
    assert_eq!(
        sys!(SYS_link, folder.c("h1").as_ptr(), folder.c("h2").as_ptr()),
        0
    );
    assert_eq!(sys!(SYS_mkdirat, AT, folder.c("d").as_ptr(), 0o700), 0);
    assert_eq!(
        sys!(
            SYS_linkat,
            AT,
            folder.c("h1").as_ptr(),
            AT,
            folder.c("d/h3").as_ptr(),
            0
        ),
        0
    );
    fails(
        sys!(SYS_link, folder.c("h1").as_ptr(), folder.c("h2").as_ptr()),
        libc::EEXIST,
    );
    fails(
        sys!(SYS_link, folder.c("h0").as_ptr(), folder.c("h4").as_ptr()),
        libc::ENOENT,
    );
    for (name, times) in [("h2", 2), ("d/h3", 3)] {
        for _ in 0..times {
            let file = good(sys!(
                SYS_openat,
                AT,
                folder.c(name).as_ptr(),
                libc::O_WRONLY
            ));
            assert_eq!(sys!(SYS_write, file, b"22".as_ptr(), 2_i64), 2);
        }
    }
    assert_eq!(sys!(SYS_unlink, folder.c("h1").as_ptr()), 0);
    assert_eq!(sys!(SYS_write, first, b"333".as_ptr(), 3_i64), 3);
    json!({"files": [
        row(&folder.at("h1"), &json!({"open": 1, "create": 1, "write": 2, "unlink": 1}), 0, 4, &none()),
        row(&folder.at("h2"), &json!({"link": 1, "open": 2, "write": 2}), 0, 4, &json!({"EEXIST": 1})),
        row(&folder.at("d/h3"), &json!({"link": 1, "open": 3, "write": 3}), 0, 6, &none()),
        row(&folder.at("h4"), &none(), 0, 0, &json!({"ENOENT": 1})),
        row(&folder.at("d"), &json!({"mkdir": 1}), 0, 0, &none()),
    ], "syscalls": [{"name": "link", "calls": 3, "errors": {"EEXIST": 1, "ENOENT": 1}}, {"name": "linkat", "calls": 1}], "whole": ["files"]})
}

/// A folder by a symbolic link.
pub(crate) fn linked_folders(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    assert_eq!(sys!(SYS_mkdirat, AT, c("real").as_ptr(), 0o700), 0);
    assert_eq!(sys!(SYS_symlink, c"real".as_ptr(), c("link").as_ptr()), 0);
    assert_eq!(
        sys!(SYS_symlink, c("link").as_ptr(), c("second").as_ptr()),
        0
    );
    let file = make(&c("second/f"), b"12");
    assert_eq!(sys!(SYS_mkdirat, AT, c("link/sub").as_ptr(), 0o700), 0);
    assert_eq!(
        sys!(SYS_rename, c("link/f").as_ptr(), c("second/sub/g").as_ptr()),
        0
    );
    assert_eq!(sys!(SYS_write, file, b"12".as_ptr(), 2_i64), 2);
    assert_eq!(sys!(SYS_chmod, c("second/sub/g").as_ptr(), 0o600), 0);
    assert_eq!(sys!(SYS_unlink, c("second/sub/g").as_ptr()), 0);
    assert_eq!(
        sys!(
            SYS_unlinkat,
            AT,
            c("second/sub").as_ptr(),
            libc::AT_REMOVEDIR
        ),
        0
    );
    fails(
        sys!(SYS_openat, AT, c("link/none").as_ptr(), 0),
        libc::ENOENT,
    );
    fails(
        sys!(SYS_mkdirat, AT, c("link").as_ptr(), 0o700),
        libc::EEXIST,
    );
    fails(sys!(SYS_rmdir, c("link").as_ptr()), libc::ENOTDIR);
    json!({"files": [
        row(&folder.at("real"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("link"), &json!({"symlink": 1}), 0, 0, &json!({"EEXIST": 1, "ENOTDIR": 1})),
        row(&folder.at("second"), &json!({"symlink": 1}), 0, 0, &none()),
        row(&folder.at("real/f"), &json!({"open": 1, "create": 1, "write": 1, "rename": 1}), 0, 2, &none()),
        row(&folder.at("real/sub"), &json!({"mkdir": 1, "rmdir": 1}), 0, 0, &none()),
        row(&folder.at("real/sub/g"), &json!({"rename": 1, "write": 1, "chmod": 1, "unlink": 1}), 0, 2, &none()),
        row(&folder.at("real/none"), &none(), 0, 0, &json!({"ENOENT": 1})),
    ], "whole": ["files"]})
}

/// Calls that mean the link.
pub(crate) fn link_itself(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    assert_eq!(sys!(SYS_mkdirat, AT, c("to").as_ptr(), 0o700), 0);
    assert_eq!(sys!(SYS_symlink, c"to".as_ptr(), c("s").as_ptr()), 0);
    assert_eq!(sys!(SYS_symlink, c"nowhere".as_ptr(), c("t").as_ptr()), 0);
    let flag = libc::AT_SYMLINK_NOFOLLOW;
    assert_eq!(sys!(SYS_fchownat, AT, c("s").as_ptr(), 0, 0, flag), 0);
    assert_eq!(sys!(SYS_lchown, c("s").as_ptr(), 0, 0), 0);
    assert_eq!(sys!(SYS_link, c("s").as_ptr(), c("u").as_ptr()), 0);
    assert_eq!(sys!(SYS_rename, c("s").as_ptr(), c("v").as_ptr()), 0);
    assert_eq!(sys!(SYS_unlink, c("v").as_ptr()), 0);
    // Through the link: nothing is there, or one comes to be.
    fails(sys!(SYS_openat, AT, c("t").as_ptr(), 0), libc::ENOENT);
    good(sys!(
        SYS_openat,
        AT,
        c("t").as_ptr(),
        libc::O_CREAT | libc::O_WRONLY,
        0o600
    ));
    fails(
        sys!(SYS_openat, AT, c("u").as_ptr(), libc::O_WRONLY),
        libc::EISDIR,
    );
    fails(sys!(SYS_mkdirat, AT, c("t").as_ptr(), 0o700), libc::EEXIST);
    json!({"files": [
        row(&folder.at("to"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("s"), &json!({"symlink": 1, "chown": 2, "rename": 1}), 0, 0, &none()),
        row(&folder.at("t"), &json!({"symlink": 1}), 0, 0, &json!({"ENOENT": 1, "EEXIST": 1})),
        row(&folder.at("u"), &json!({"link": 1}), 0, 0, &json!({"EISDIR": 1})),
        row(&folder.at("v"), &json!({"rename": 1, "unlink": 1}), 0, 0, &none()),
        row(&folder.at("nowhere"), &json!({"open": 1, "create": 1}), 0, 0, &none()),
    ], "whole": ["files"]})
}

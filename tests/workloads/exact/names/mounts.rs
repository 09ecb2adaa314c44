//! Mounts: bound, detached, overlaid.

use crate::names::{AT, make, none};
use crate::{Folder, child, fails, good, row, sys, text};
use serde_json::{Value, json};
use std::ffi::CString;

pub(crate) fn mount(source: &CString, target: &CString, kind: &std::ffi::CStr, flags: u64) {
    assert_eq!(
        sys!(
            SYS_mount,
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            0_i64
        ),
        0
    );
}

/// Mounts that nobody else sees.
pub(crate) fn own_mounts() {
    assert_eq!(sys!(SYS_unshare, libc::CLONE_NEWNS), 0);
    mount(
        &text("none"),
        &text("/"),
        c"none",
        libc::MS_REC | libc::MS_PRIVATE,
    );
}

/// A folder and a file that lie in two places.
pub(crate) fn bind_mounts(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    for name in ["from", "to"] {
        assert_eq!(sys!(SYS_mkdirat, AT, c(name).as_ptr(), 0o700), 0);
    }
    make(&c("from/f"), b"12");
    make(&c("alone"), b"");
    child(|| {
        own_mounts();
        mount(&c("from"), &c("to"), c"none", libc::MS_BIND);
        mount(&c("from/f"), &c("alone"), c"none", libc::MS_BIND);
        let file = good(sys!(SYS_openat, AT, c("to/f").as_ptr(), libc::O_WRONLY));
        assert_eq!(sys!(SYS_write, file, b"123".as_ptr(), 3_i64), 3);
        assert_eq!(sys!(SYS_close, file), 0);
        let file = good(sys!(SYS_openat, AT, c("alone").as_ptr(), libc::O_WRONLY));
        assert_eq!(sys!(SYS_write, file, b"1234".as_ptr(), 4_i64), 4);
        assert_eq!(sys!(SYS_close, make(&c("to/new"), b"1")), 0);
        assert_eq!(sys!(SYS_mkdirat, AT, c("to/dir").as_ptr(), 0o700), 0);
        assert_eq!(sys!(SYS_unlink, c("to/new").as_ptr()), 0);
        fails(sys!(SYS_unlink, c("alone").as_ptr()), libc::EBUSY);
        // Read-only at one place only.
        mount(
            &c("to"),
            &c("to"),
            c"none",
            libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY,
        );
        fails(
            sys!(SYS_openat, AT, c("to/f").as_ptr(), libc::O_WRONLY),
            libc::EROFS,
        );
    });
    json!({"files": [
        row(&folder.at("from"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("to"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("from/f"), &json!({"open": 1, "create": 1, "write": 1}), 0, 2, &none()),
        row(&folder.at("to/f"), &json!({"open": 1, "write": 1}), 0, 3, &json!({"EROFS": 1})),
        row(&folder.at("alone"), &json!({"open": 2, "create": 1, "write": 2}), 0, 4, &json!({"EBUSY": 1})),
        row(&folder.at("to/new"), &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}), 0, 1, &none()),
        row(&folder.at("to/dir"), &json!({"mkdir": 1}), 0, 0, &none()),
    ], "events": [{"type": "unshare", "count": 1}], "whole": ["files"]})
}

/// Files on mounts that have no place.
pub(crate) fn detached_mounts(folder: &Folder) -> Value {
    assert_eq!(sys!(SYS_mkdirat, AT, folder.c("m").as_ptr(), 0o700), 0);
    make(&folder.c("m/tree-file"), b"1");
    child(|| {
        own_mounts();
        // OPEN_TREE_CLONE
        let tree = good(sys!(SYS_open_tree, AT, folder.c("m").as_ptr(), 1));
        let file = good(sys!(
            SYS_openat,
            tree,
            c"tree-file".as_ptr(),
            libc::O_WRONLY
        ));
        assert_eq!(sys!(SYS_write, file, b"12".as_ptr(), 2_i64), 2);
        mount(&text("m"), &folder.c("m"), c"tmpfs", 0);
        let file = make(&folder.c("m/lost-file"), b"123");
        assert_eq!(
            sys!(SYS_umount2, folder.c("m").as_ptr(), libc::MNT_DETACH),
            0
        );
        assert_eq!(sys!(SYS_write, file, b"1234".as_ptr(), 4_i64), 4);
    });
    json!({"files": [
        row(&folder.at("m"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("m/tree-file"), &json!({"open": 1, "create": 1, "write": 1}), 0, 1, &none()),
        row("(unreachable)/tree-file", &json!({"open": 1, "write": 1}), 0, 2, &none()),
        row(&folder.at("m/lost-file"), &json!({"open": 1, "create": 1, "write": 2}), 0, 7, &none()),
    ]})
}

/// Two layers: what is done once counts once.
pub(crate) fn overlay(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    assert_eq!(sys!(SYS_mkdirat, AT, c("o").as_ptr(), 0o755), 0);
    let ended = crate::wait(crate::fork(|| {
        own_mounts();
        mount(&text("o"), &c("o"), c"tmpfs", 0);
        for name in ["o/low", "o/up", "o/work", "o/all"] {
            std::fs::create_dir(folder.at(name)).expect("mkdir");
        }
        for name in ["o/low/f", "o/low/g", "o/low/h"] {
            std::fs::write(folder.at(name), b"123").expect("write");
        }
        let options = text(&format!(
            "lowerdir={0}/low,upperdir={0}/up,workdir={0}/work",
            folder.at("o")
        ));
        if sys!(
            SYS_mount,
            c"o".as_ptr(),
            c("o/all").as_ptr(),
            c"overlay".as_ptr(),
            0_i64,
            options.as_ptr()
        ) != 0
        {
            // SAFETY: ends the child.
            unsafe { libc::_exit(3) };
        }
        let file = good(sys!(SYS_openat, AT, c("o/all/f").as_ptr(), libc::O_RDWR));
        assert_eq!(sys!(SYS_write, file, b"1234".as_ptr(), 4_i64), 4);
        assert_eq!(
            sys!(SYS_pread64, file, [0_u8; 9].as_mut_ptr(), 9_i64, 0_i64),
            4
        );
        assert_eq!(sys!(SYS_chmod, c("o/all/g").as_ptr(), 0o600), 0);
        assert_eq!(
            sys!(SYS_rename, c("o/all/g").as_ptr(), c("o/all/i").as_ptr()),
            0
        );
        assert_eq!(sys!(SYS_unlink, c("o/all/h").as_ptr()), 0);
        make(&c("o/all/new"), b"12345");
        assert_eq!(
            sys!(SYS_link, c("o/all/new").as_ptr(), c("o/all/link").as_ptr()),
            0
        );
        assert_eq!(sys!(SYS_mkdirat, AT, c("o/all/d").as_ptr(), 0o700), 0);
    }));
    if libc::WEXITSTATUS(ended) == 3 {
        return json!({});
    }
    assert_eq!(ended, 0);
    json!({"files": [
        row(&folder.at("o/all/f"), &json!({"open": 1, "write": 1, "read": 1}), 4, 4, &none()),
        row(&folder.at("o/all/g"), &json!({"chmod": 1, "rename": 1}), 0, 0, &none()),
        row(&folder.at("o/all/i"), &json!({"rename": 1}), 0, 0, &none()),
        row(&folder.at("o/all/h"), &json!({"unlink": 1}), 0, 0, &none()),
        row(&folder.at("o/all/new"), &json!({"open": 1, "create": 1, "write": 1}), 0, 5, &none()),
        row(&folder.at("o/all/link"), &json!({"link": 1}), 0, 0, &none()),
        row(&folder.at("o/all/d"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("o/all"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("o/up"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("o/low"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("o/work"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("o"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("o/low/f"), &json!({"open": 1, "create": 1, "write": 1}), 0, 3, &none()),
        row(&folder.at("o/low/g"), &json!({"open": 1, "create": 1, "write": 1}), 0, 3, &none()),
        row(&folder.at("o/low/h"), &json!({"open": 1, "create": 1, "write": 1}), 0, 3, &none()),
    ], "whole": ["files"]})
}

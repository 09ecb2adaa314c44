//! Names: links, renames, mounts, roots, and texts of every sort.

use crate::{Case, Folder, child, fails, good, row, sys, text};
use serde_json::{Value, json};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;

pub(crate) const CASES: &[Case] = &[
    ("renames", renames),
    ("renamed-folders", renamed_folders),
    ("hard-links", hard_links),
    ("linked-folders", linked_folders),
    ("bind-mounts", bind_mounts),
    ("chroot", chroot),
    ("chroot-short", chroot_short),
    ("pivot-root", pivot_root),
    ("detached-mounts", detached_mounts),
    ("overlay", overlay),
    ("no-directory", no_directory),
    ("link-itself", link_itself),
    ("odd-names", odd_names),
    ("long-names", long_names),
    ("deep-names", deep_names),
    ("dots", dots),
    ("relative", relative),
    ("working-folders", working_folders),
    ("removed-folder", removed_folder),
    ("name-errors", name_errors),
    ("own-proc", own_proc),
];

const AT: i32 = libc::AT_FDCWD;

fn none() -> Value {
    json!({})
}

/// Makes a file of some bytes by one open, one write.
fn make(name: &CString, bytes: &[u8]) -> i32 {
    let file = good(sys!(
        SYS_openat,
        AT,
        name.as_ptr(),
        libc::O_CREAT | libc::O_RDWR,
        0o600
    ));
    assert_eq!(
        sys!(SYS_write, file, bytes.as_ptr(), bytes.len()),
        i64::try_from(bytes.len()).expect("small")
    );
    file
}

fn rename(from: &CString, to: &CString, flags: u32) -> i64 {
    sys!(SYS_renameat2, AT, from.as_ptr(), AT, to.as_ptr(), flags)
}

/// Renames of files.
fn renames(folder: &Folder) -> Value {
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
fn renamed_folders(folder: &Folder) -> Value {
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
fn hard_links(folder: &Folder) -> Value {
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
fn linked_folders(folder: &Folder) -> Value {
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

fn mount(source: &CString, target: &CString, kind: &std::ffi::CStr, flags: u64) {
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
fn own_mounts() {
    assert_eq!(sys!(SYS_unshare, libc::CLONE_NEWNS), 0);
    mount(
        &text("none"),
        &text("/"),
        c"none",
        libc::MS_REC | libc::MS_PRIVATE,
    );
}

/// A folder and a file that lie in two places.
fn bind_mounts(folder: &Folder) -> Value {
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

/// What a process does in a root of its own; the probe has time to look while it lives.
fn chroot(folder: &Folder) -> Value {
    in_root(folder, std::time::Duration::from_millis(200))
}

/// The same by a process that ends at once.
fn chroot_short(folder: &Folder) -> Value {
    in_root(folder, std::time::Duration::ZERO)
}

fn in_root(folder: &Folder, time: std::time::Duration) -> Value {
    let c = |name: &str| folder.c(name);
    for name in ["jail", "jail/in"] {
        assert_eq!(sys!(SYS_mkdirat, AT, c(name).as_ptr(), 0o700), 0);
    }
    assert_eq!(
        sys!(SYS_symlinkat, c"/in".as_ptr(), AT, c("jail/link").as_ptr()),
        0
    );
    child(|| {
        assert_eq!(sys!(SYS_chroot, c("jail").as_ptr()), 0);
        assert_eq!(sys!(SYS_chdir, c"/in".as_ptr()), 0);
        make(&text("/f"), b"123");
        make(&text("g"), b"12");
        make(&text("/link/h"), b"1");
        assert_eq!(sys!(SYS_mkdirat, AT, c"/dir".as_ptr(), 0o700), 0);
        assert_eq!(sys!(SYS_mkdirat, AT, c"below".as_ptr(), 0o700), 0);
        assert_eq!(sys!(SYS_unlink, c"/f".as_ptr()), 0);
        assert_eq!(sys!(SYS_unlink, c"/../../in/g".as_ptr()), 0);
        assert_eq!(sys!(SYS_unlink, c"/link/h".as_ptr()), 0);
        fails(sys!(SYS_openat, AT, c"/none".as_ptr(), 0), libc::ENOENT);
        fails(sys!(SYS_openat, AT, c"none".as_ptr(), 0), libc::ENOENT);
        std::thread::sleep(time);
    });
    let file = |bytes: u64| {
        (
            json!({"open": 1, "create": 1, "write": 1, "unlink": 1}),
            bytes,
        )
    };
    let one = |name: &str, (operations, bytes): (Value, u64)| {
        row(&folder.at(name), &operations, 0, bytes, &none())
    };
    json!({"files": [
        row(&folder.at("jail"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("jail/in"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("jail/link"), &json!({"symlink": 1}), 0, 0, &none()),
        one("jail/f", file(3)), one("jail/in/g", file(2)), one("jail/in/h", file(1)),
        row(&folder.at("jail/dir"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("jail/in/below"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("jail/none"), &none(), 0, 0, &json!({"ENOENT": 1})),
        row(&folder.at("jail/in/none"), &none(), 0, 0, &json!({"ENOENT": 1})),
    ], "capabilities": [{"name": "CAP_SYS_CHROOT", "used": 1, "denied": 0}], "whole": ["files"]})
}

/// What a process does once its mount namespace has another root.
fn pivot_root(folder: &Folder) -> Value {
    assert_eq!(sys!(SYS_mkdirat, AT, folder.c("root").as_ptr(), 0o700), 0);
    child(|| {
        own_mounts();
        mount(&text("root"), &folder.c("root"), c"tmpfs", 0);
        assert_eq!(
            sys!(SYS_mkdirat, AT, folder.c("root/old-root").as_ptr(), 0o700),
            0
        );
        assert_eq!(
            sys!(
                SYS_pivot_root,
                folder.c("root").as_ptr(),
                folder.c("root/old-root").as_ptr()
            ),
            0
        );
        assert_eq!(sys!(SYS_chdir, c"/".as_ptr()), 0);
        let file = make(&text("/pivoted-file"), b"1234");
        assert_eq!(sys!(SYS_mkdirat, AT, c"/pivoted-dir".as_ptr(), 0o700), 0);
        assert_eq!(
            sys!(SYS_umount2, c"/old-root".as_ptr(), libc::MNT_DETACH),
            0
        );
        assert_eq!(sys!(SYS_write, file, b"12345".as_ptr(), 5_i64), 5);
        make(&text("pivoted-dir/g"), b"1");
        assert_eq!(sys!(SYS_unlink, c"/pivoted-dir/g".as_ptr()), 0);
        fails(
            sys!(SYS_openat, AT, c"/pivoted-none".as_ptr(), 0),
            libc::ENOENT,
        );
    });
    json!({"files": [
        row("/pivoted-file", &json!({"open": 1, "create": 1, "write": 2}), 0, 9, &none()),
        row("/pivoted-dir", &json!({"mkdir": 1}), 0, 0, &none()),
        row("/pivoted-dir/g", &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}), 0, 1, &none()),
        row("/pivoted-none", &none(), 0, 0, &json!({"ENOENT": 1})),
        row(&folder.at("root"), &json!({"mkdir": 1}), 0, 0, &none()),
        row(&folder.at("root/old-root"), &json!({"mkdir": 1}), 0, 0, &none()),
    ], "syscalls": [{"name": "pivot_root", "calls": 1, "errors": {}}], "events": [{"type": "mount"}], "whole": ["files"]})
}

/// Files on mounts that have no place.
fn detached_mounts(folder: &Folder) -> Value {
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
fn overlay(folder: &Folder) -> Value {
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

/// A whole name needs no folder's descriptor.
fn no_directory(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    let file = good(sys!(
        SYS_openat,
        -77,
        c("n").as_ptr(),
        libc::O_CREAT | libc::O_WRONLY,
        0o600
    ));
    assert_eq!(sys!(SYS_mkdirat, 0, c("d").as_ptr(), 0o700), 0);
    assert_eq!(
        sys!(SYS_renameat2, -5, c("n").as_ptr(), file, c("m").as_ptr(), 0),
        0
    );
    assert_eq!(sys!(SYS_unlinkat, file, c("m").as_ptr(), 0), 0);
    fails(
        sys!(SYS_unlinkat, file, c"relative".as_ptr(), 0),
        libc::ENOTDIR,
    );
    json!({"files": [
        row(&folder.at("n"), &json!({"open": 1, "create": 1, "rename": 1}), 0, 0, &none()),
        row(&folder.at("m"), &json!({"rename": 1, "unlink": 1}), 0, 0, &none()),
        row(&folder.at("d"), &json!({"mkdir": 1}), 0, 0, &none()),
    ]})
}

/// Calls that mean the link.
fn link_itself(folder: &Folder) -> Value {
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

/// A name of any bytes below the folder.
fn bytes_below(folder: &Folder, name: &[u8]) -> CString {
    let mut all = folder.0.as_os_str().as_bytes().to_vec();
    all.push(b'/');
    all.extend(name);
    CString::new(all).expect("no NUL")
}

/// Names that are no ordinary text.
fn odd_names(folder: &Folder) -> Value {
    let mut files = Vec::new();
    let names: [(&[u8], &str); 13] = [
        (b"two\nlines", "two\nlines"),
        (b"\n", "\n"),
        (b"tab\tand bell\x07", "tab\tand bell\x07"),
        (b"\x1b[31mred", "\x1b[31mred"),
        (b"\xff\xfe\x80", "\\xff\\xfe\\x80"),
        (b"half\xc3", "half\\xc3"),
        (b"back\\slash\\x41", "back\\\\slash\\\\x41"),
        (b" space ", " space "),
        (b"quote\"'`$(x)", "quote\"'`$(x)"),
        (
            "\u{2028}\u{202e}\u{200b}".as_bytes(),
            "\u{2028}\u{202e}\u{200b}",
        ),
        (b"...", "..."),
        (b"-rf *", "-rf *"),
        ("\u{1f600}".as_bytes(), "\u{1f600}"),
    ];
    for (bytes, shown) in names {
        let name = bytes_below(folder, bytes);
        let mut other = bytes.to_vec();
        other.extend(b".d");
        let dir = bytes_below(folder, &other);
        let file = make(&name, b"12");
        assert_eq!(sys!(SYS_close, file), 0);
        assert_eq!(sys!(SYS_mkdirat, AT, dir.as_ptr(), 0o700), 0);
        other.extend(b"/no");
        let none_there = bytes_below(folder, &other);
        fails(sys!(SYS_openat, AT, none_there.as_ptr(), 0), libc::ENOENT);
        assert_eq!(sys!(SYS_unlink, name.as_ptr()), 0);
        files.push(row(
            &folder.at(shown),
            &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}),
            0,
            2,
            &none(),
        ));
        files.push(row(
            &folder.at(&format!("{shown}.d")),
            &json!({"mkdir": 1}),
            0,
            0,
            &none(),
        ));
        files.push(row(
            &folder.at(&format!("{shown}.d/no")),
            &none(),
            0,
            0,
            &json!({"ENOENT": 1}),
        ));
    }
    json!({"files": files, "whole": ["files"]})
}

/// Paths of 4,000 bytes, of few and long names.
fn long_names(folder: &Folder) -> Value {
    let start = folder.0.display().to_string();
    let mut path = start.clone();
    let mut files = Vec::new();
    for number in 0..15 {
        path = format!("{path}/{number:02}{}", "x".repeat(250));
        assert_eq!(sys!(SYS_mkdirat, AT, text(&path).as_ptr(), 0o700), 0);
        files.push(row(&path, &json!({"mkdir": 1}), 0, 0, &none()));
    }
    let path = format!("{path}/{}", "y".repeat(4000 - path.len() - 1));
    assert_eq!(path.len(), 4000);
    let file = make(&text(&path), b"1234567");
    assert_eq!(sys!(SYS_write, file, b"1".as_ptr(), 1_i64), 1);
    assert_eq!(sys!(SYS_chmod, text(&path).as_ptr(), 0o600), 0);
    assert_eq!(sys!(SYS_unlink, text(&path).as_ptr()), 0);
    fails(sys!(SYS_unlink, text(&path).as_ptr()), libc::ENOENT);
    files.push(row(
        &path,
        &json!({"open": 1, "create": 1, "write": 2, "chmod": 1, "unlink": 1}),
        0,
        8,
        &json!({"ENOENT": 1}),
    ));
    // The longest name that there is, and one more byte.
    let longest = format!("{start}/{}", "z".repeat(255));
    make(&text(&longest), b"1");
    files.push(row(
        &longest,
        &json!({"open": 1, "create": 1, "write": 1}),
        0,
        1,
        &none(),
    ));
    let longer = format!("{start}/{}", "z".repeat(256));
    fails(
        sys!(SYS_openat, AT, text(&longer).as_ptr(), 0),
        libc::ENAMETOOLONG,
    );
    files.push(row(&longer, &none(), 0, 0, &json!({"ENAMETOOLONG": 1})));
    json!({"files": files, "whole": ["files"]})
}

/// Paths of 4,000 bytes, of many and short names.
fn deep_names(folder: &Folder) -> Value {
    let start = folder.0.display().to_string();
    let mut path = start.clone();
    let mut files = Vec::new();
    while path.len() < 4000 - 20 {
        path.push_str("/123456789");
        assert_eq!(sys!(SYS_mkdirat, AT, text(&path).as_ptr(), 0o700), 0);
        files.push(row(&path, &json!({"mkdir": 1}), 0, 0, &none()));
    }
    let path = format!("{path}/f");
    let file = make(&text(&path), b"1234567");
    assert_eq!(sys!(SYS_write, file, b"1".as_ptr(), 1_i64), 1);
    assert_eq!(sys!(SYS_unlink, text(&path).as_ptr()), 0);
    files.push(row(
        &path,
        &json!({"open": 1, "create": 1, "write": 2, "unlink": 1}),
        0,
        8,
        &none(),
    ));
    json!({"files": files, "whole": ["files"]})
}

/// Names with more in them than needed.
fn dots(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    assert_eq!(sys!(SYS_mkdirat, AT, c("a/").as_ptr(), 0o700), 0);
    assert_eq!(sys!(SYS_mkdirat, AT, c("a/.//b//").as_ptr(), 0o700), 0);
    make(&c("a/b/../b/./f"), b"1");
    assert_eq!(sys!(SYS_unlink, c("a//b/../../a/b/f").as_ptr()), 0);
    fails(
        sys!(SYS_mkdirat, AT, c("a/b/.").as_ptr(), 0o700),
        libc::EEXIST,
    );
    fails(sys!(SYS_rmdir, c("a/b/.").as_ptr()), libc::EINVAL);
    fails(
        sys!(SYS_openat, AT, c("a/none/../b").as_ptr(), 0),
        libc::ENOENT,
    );
    good(sys!(SYS_openat, AT, c("a/b/..").as_ptr(), 0));
    assert_eq!(sys!(SYS_rmdir, c("a/b/").as_ptr()), 0);
    json!({"files": [
        row(&folder.at("a"), &json!({"mkdir": 1, "open": 1}), 0, 0, &none()),
        row(&folder.at("a/b"), &json!({"mkdir": 1, "rmdir": 1}), 0, 0, &json!({"EEXIST": 1, "EINVAL": 1, "ENOENT": 1})),
        row(&folder.at("a/b/f"), &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}), 0, 1, &none()),
    ], "whole": ["files"]})
}

/// Names relative to folders that are held open, and have other names meanwhile.
fn relative(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    assert_eq!(sys!(SYS_mkdirat, AT, c("d").as_ptr(), 0o700), 0);
    let held = good(sys!(
        SYS_openat,
        AT,
        c("d").as_ptr(),
        libc::O_PATH | libc::O_DIRECTORY
    ));
    let all = |name: &std::ffi::CStr| {
        let file = good(sys!(
            SYS_openat,
            held,
            name.as_ptr(),
            libc::O_CREAT | libc::O_WRONLY,
            0o600
        ));
        assert_eq!(sys!(SYS_close, file), 0);
        assert_eq!(sys!(SYS_mkdirat, held, c"m".as_ptr(), 0o700), 0);
        assert_eq!(sys!(SYS_symlinkat, c"t".as_ptr(), held, c"s".as_ptr()), 0);
        assert_eq!(
            sys!(SYS_linkat, held, name.as_ptr(), held, c"l".as_ptr(), 0),
            0
        );
        assert_eq!(
            sys!(SYS_renameat2, held, c"l".as_ptr(), held, c"r".as_ptr(), 0),
            0
        );
        assert_eq!(
            sys!(SYS_mknodat, held, c"p".as_ptr(), libc::S_IFIFO | 0o600, 0),
            0
        );
        assert_eq!(sys!(SYS_fchmodat, held, name.as_ptr(), 0o600), 0);
        for gone in [c"s", c"r", c"p"] {
            assert_eq!(sys!(SYS_unlinkat, held, gone.as_ptr(), 0), 0);
        }
        assert_eq!(sys!(SYS_unlinkat, held, name.as_ptr(), 0), 0);
        assert_eq!(
            sys!(SYS_unlinkat, held, c"m".as_ptr(), libc::AT_REMOVEDIR),
            0
        );
    };
    all(c"f");
    assert_eq!(
        sys!(SYS_renameat2, AT, c("d").as_ptr(), AT, c("e").as_ptr(), 0),
        0
    );
    all(c"f");
    let mut files = vec![
        row(
            &folder.at("d"),
            &json!({"mkdir": 1, "open": 1, "rename": 1}),
            0,
            0,
            &none(),
        ),
        row(&folder.at("e"), &json!({"rename": 1}), 0, 0, &none()),
    ];
    for place in ["d", "e"] {
        let at = |name: &str| folder.at(&format!("{place}/{name}"));
        files.extend([
            row(
                &at("f"),
                &json!({"open": 1, "create": 1, "chmod": 1, "unlink": 1}),
                0,
                0,
                &none(),
            ),
            row(&at("m"), &json!({"mkdir": 1, "rmdir": 1}), 0, 0, &none()),
            row(&at("s"), &json!({"symlink": 1, "unlink": 1}), 0, 0, &none()),
            row(&at("l"), &json!({"link": 1, "rename": 1}), 0, 0, &none()),
            row(&at("r"), &json!({"rename": 1, "unlink": 1}), 0, 0, &none()),
            row(&at("p"), &json!({"mknod": 1, "unlink": 1}), 0, 0, &none()),
        ]);
    }
    json!({"files": files, "whole": ["files"]})
}

/// Threads and processes, each in a working folder of its own, give the same names.
fn working_folders(folder: &Folder) -> Value {
    const PLACES: usize = 8;
    for place in 0..PLACES {
        assert_eq!(
            sys!(
                SYS_mkdirat,
                AT,
                folder.c(&format!("w{place}")).as_ptr(),
                0o700
            ),
            0
        );
    }
    let act = |place: usize| {
        assert_eq!(sys!(SYS_chdir, folder.c(&format!("w{place}")).as_ptr()), 0);
        for _ in 0..20 {
            assert_eq!(sys!(SYS_close, make(&text("same"), b"123")), 0);
            assert_eq!(sys!(SYS_mkdirat, AT, c"dir".as_ptr(), 0o700), 0);
            assert_eq!(sys!(SYS_rmdir, c"dir".as_ptr()), 0);
            fails(sys!(SYS_openat, AT, c"none".as_ptr(), 0), libc::ENOENT);
            assert_eq!(sys!(SYS_unlink, c"same".as_ptr()), 0);
        }
    };
    std::thread::scope(|scope| {
        for place in 0..PLACES / 2 {
            let act = &act;
            scope.spawn(move || {
                assert_eq!(sys!(SYS_unshare, libc::CLONE_FS), 0);
                act(place);
            });
        }
    });
    for place in PLACES / 2..PLACES {
        child(|| act(place));
    }
    let mut files = Vec::new();
    for place in 0..PLACES {
        let at = |name: &str| folder.at(&format!("w{place}{name}"));
        files.extend([
            row(&at(""), &json!({"mkdir": 1}), 0, 0, &none()),
            row(
                &at("/same"),
                &json!({"open": 20, "create": 20, "write": 20, "unlink": 20}),
                0,
                60,
                &none(),
            ),
            row(
                &at("/dir"),
                &json!({"mkdir": 20, "rmdir": 20}),
                0,
                0,
                &none(),
            ),
            row(&at("/none"), &none(), 0, 0, &json!({"ENOENT": 20})),
        ]);
    }
    json!({"files": files, "whole": ["files"]})
}

/// A working folder that is removed.
fn removed_folder(folder: &Folder) -> Value {
    child(|| {
        assert_eq!(sys!(SYS_mkdirat, AT, folder.c("gone").as_ptr(), 0o700), 0);
        assert_eq!(sys!(SYS_chdir, folder.c("gone").as_ptr()), 0);
        let file = make(&text("f"), b"1");
        assert_eq!(sys!(SYS_unlink, c"f".as_ptr()), 0);
        assert_eq!(sys!(SYS_rmdir, folder.c("gone").as_ptr()), 0);
        assert_eq!(sys!(SYS_write, file, b"12".as_ptr(), 2_i64), 2);
        fails(
            sys!(
                SYS_openat,
                AT,
                c"g".as_ptr(),
                libc::O_CREAT | libc::O_WRONLY,
                0o600
            ),
            libc::ENOENT,
        );
    });
    json!({"files": [
        row(&folder.at("gone"), &json!({"mkdir": 1, "rmdir": 1}), 0, 0, &none()),
        row(&folder.at("gone/f"), &json!({"open": 1, "create": 1, "write": 2, "unlink": 1}), 0, 3, &none()),
        row(&folder.at("gone/g"), &none(), 0, 0, &json!({"ENOENT": 1})),
    ], "whole": ["files"]})
}

/// Calls on names that fail.
fn name_errors(folder: &Folder) -> Value {
    let c = |name: &str| folder.c(name);
    make(&c("file"), b"");
    assert_eq!(sys!(SYS_mkdirat, AT, c("dir").as_ptr(), 0o700), 0);
    make(&c("dir/in"), b"");
    for _ in 0..2 {
        fails(sys!(SYS_unlink, c("dir").as_ptr()), libc::EISDIR);
        fails(sys!(SYS_rmdir, c("file").as_ptr()), libc::ENOTDIR);
        fails(sys!(SYS_rmdir, c("dir").as_ptr()), libc::ENOTEMPTY);
        fails(
            sys!(SYS_mkdirat, AT, c("dir").as_ptr(), 0o700),
            libc::EEXIST,
        );
        fails(
            sys!(SYS_symlinkat, c"x".as_ptr(), AT, c("file").as_ptr()),
            libc::EEXIST,
        );
        fails(
            sys!(SYS_rename, c("dir").as_ptr(), c("dir/below").as_ptr()),
            libc::EINVAL,
        );
        fails(
            sys!(SYS_rename, c("file").as_ptr(), c("dir").as_ptr()),
            libc::EISDIR,
        );
        fails(sys!(SYS_chmod, c("none").as_ptr(), 0o600), libc::ENOENT);
        fails(sys!(SYS_chown, c("none").as_ptr(), 0, 0), libc::ENOENT);
        fails(
            sys!(
                SYS_mknodat,
                AT,
                c("file").as_ptr(),
                libc::S_IFIFO | 0o600,
                0
            ),
            libc::EEXIST,
        );
        fails(sys!(SYS_unlinkat, -7, c"relative".as_ptr(), 0), libc::EBADF);
        fails(sys!(SYS_unlink, 8_i64), libc::EFAULT);
    }
    // Somebody who may not.
    child(|| {
        assert_eq!(sys!(SYS_chmod, c("dir").as_ptr(), 0o755), 0);
        assert_eq!(sys!(SYS_setresgid, 65534, 65534, 65534), 0);
        assert_eq!(sys!(SYS_setresuid, 65534, 65534, 65534), 0);
        fails(sys!(SYS_unlink, c("dir/in").as_ptr()), libc::EACCES);
        fails(sys!(SYS_chmod, c("file").as_ptr(), 0o600), libc::EPERM);
        fails(
            sys!(SYS_openat, AT, c("file").as_ptr(), libc::O_WRONLY),
            libc::EACCES,
        );
    });
    json!({"files": [
        row(&folder.at("file"), &json!({"open": 1, "create": 1, "write": 1}), 0, 0,
            &json!({"ENOTDIR": 2, "EEXIST": 4, "EISDIR": 2, "EPERM": 1, "EACCES": 1})),
        row(&folder.at("dir"), &json!({"mkdir": 1, "chmod": 1}), 0, 0,
            &json!({"EISDIR": 4, "ENOTEMPTY": 2, "EEXIST": 2, "EINVAL": 2})),
        row(&folder.at("dir/in"), &json!({"open": 1, "create": 1, "write": 1}), 0, 0, &json!({"EACCES": 1})),
        row(&folder.at("dir/below"), &none(), 0, 0, &json!({"EINVAL": 2})),
        row(&folder.at("none"), &none(), 0, 0, &json!({"ENOENT": 4})),
    ], "whole": ["files"]})
}

/// The links of /proc that lead everybody to himself.
fn own_proc(folder: &Folder) -> Value {
    let pid = std::process::id();
    for _ in 0..3 {
        good(sys!(SYS_openat, AT, c"/proc/self/limits".as_ptr(), 0));
        good(sys!(
            SYS_openat,
            AT,
            c"/proc/thread-self/limits".as_ptr(),
            0
        ));
        fails(
            sys!(SYS_openat, AT, c"/proc/self/procmon".as_ptr(), 0),
            libc::ENOENT,
        );
    }
    let inner = crate::fork(|| {
        fails(
            sys!(SYS_openat, AT, c"/proc/self/procmon".as_ptr(), 0),
            libc::ENOENT,
        );
    });
    assert_eq!(crate::wait(inner), 0);
    // By the root of this process, the folder has the same name.
    make(
        &text(&format!("/proc/self/root{}", folder.at("by-root"))),
        b"1",
    );
    assert_eq!(
        sys!(
            SYS_unlink,
            text(&format!("/proc/self/root{}", folder.at("by-root"))).as_ptr()
        ),
        0
    );
    assert_eq!(sys!(SYS_chdir, folder.c("").as_ptr()), 0);
    assert_eq!(
        sys!(SYS_mkdirat, AT, c"/proc/self/cwd/by-cwd".as_ptr(), 0o700),
        0
    );
    json!({"files": [
        {"path": format!("/proc/{pid}/limits"), "operations": {"open": 3}},
        {"path": format!("/proc/{pid}/task/{pid}/limits"), "operations": {"open": 3}},
        {"path": format!("/proc/{pid}/procmon"), "errors": {"ENOENT": 3}},
        {"path": format!("/proc/{inner}/procmon"), "errors": {"ENOENT": 1}},
        row(&folder.at("by-root"), &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}), 0, 1, &none()),
        row(&folder.at("by-cwd"), &json!({"mkdir": 1}), 0, 0, &none()),
    ], "whole": ["files"]})
}

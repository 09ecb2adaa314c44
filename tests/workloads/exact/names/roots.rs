//! Roots and working folders that change.

use crate::names::mounts::{mount, own_mounts};
use crate::names::{AT, make, none};
use crate::{Folder, child, fails, good, row, sys, text};
use serde_json::{Value, json};

/// The acts of a process in a root of its own; the probe has time to look while it lives.
pub(crate) fn chroot(folder: &Folder) -> Value {
    in_root(folder, std::time::Duration::from_millis(200))
}

/// The same by a process that ends at once.
pub(crate) fn chroot_short(folder: &Folder) -> Value {
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

/// The acts of a process once its mount namespace has another root.
pub(crate) fn pivot_root(folder: &Folder) -> Value {
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

/// A whole name needs no folder's descriptor.
pub(crate) fn no_directory(folder: &Folder) -> Value {
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

/// Names relative to folders that are held open, and have other names meanwhile.
pub(crate) fn relative(folder: &Folder) -> Value {
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
pub(crate) fn working_folders(folder: &Folder) -> Value {
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
pub(crate) fn removed_folder(folder: &Folder) -> Value {
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

/// The links of /proc that lead everybody to himself.
pub(crate) fn own_proc(folder: &Folder) -> Value {
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
    // The folder has the same name by the root of this process.
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

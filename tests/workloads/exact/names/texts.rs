//! Names of unusual bytes and lengths, and names that fail.

use crate::names::{AT, make, none};
use crate::{Folder, child, fails, good, row, sys, text};
use serde_json::{Value, json};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;

/// A name of any bytes below the folder.
fn bytes_below(folder: &Folder, name: &[u8]) -> CString {
    let mut all = folder.0.as_os_str().as_bytes().to_vec();
    all.push(b'/');
    all.extend(name);
    CString::new(all).expect("no NUL")
}

/// Names that are not ordinary text.
pub(crate) fn odd_names(folder: &Folder) -> Value {
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
pub(crate) fn long_names(folder: &Folder) -> Value {
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
pub(crate) fn deep_names(folder: &Folder) -> Value {
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

/// Arguments of the most bytes that the kernel takes, and one more.
pub(crate) fn longest(folder: &Folder) -> Value {
    assert_eq!(sys!(SYS_chdir, folder.c("").as_ptr()), 0);
    let name = |last: &str, length: usize| {
        let mut name = "./".repeat((length - last.len()) / 2);
        name.push_str(&"/".repeat((length - last.len()) % 2));
        text(&format!("{name}{last}"))
    };
    assert_eq!(name("d", 4095).as_bytes().len(), 4095);
    for length in [4095, 4094, 4088] {
        assert_eq!(sys!(SYS_mkdirat, AT, name("d", length).as_ptr(), 0o700), 0);
        make(&name("f", length), b"1");
        assert_eq!(sys!(SYS_unlink, name("f", length).as_ptr()), 0);
        assert_eq!(sys!(SYS_rmdir, name("d", length).as_ptr()), 0);
        fails(
            sys!(SYS_openat, AT, name("n", length).as_ptr(), 0),
            libc::ENOENT,
        );
    }
    fails(
        sys!(SYS_openat, AT, name("f", 4096).as_ptr(), 0),
        libc::ENAMETOOLONG,
    );
    json!({"files": [
        row(&folder.at("d"), &json!({"mkdir": 3, "rmdir": 3}), 0, 0, &none()),
        row(&folder.at("f"), &json!({"open": 3, "create": 3, "write": 3, "unlink": 3}), 0, 3, &none()),
        row(&folder.at("n"), &none(), 0, 0, &json!({"ENOENT": 3})),
    ], "syscalls": [{"name": "unlink", "calls": 3, "errors": {}}, {"name": "rmdir", "calls": 3, "errors": {}}]})
}

/// Empty names, which mean the descriptor.
pub(crate) fn empty_names(folder: &Folder) -> Value {
    let file = make(&folder.c("e"), b"1");
    let by_path = good(sys!(SYS_openat, AT, folder.c("e").as_ptr(), libc::O_PATH));
    let directory = good(sys!(SYS_openat, AT, folder.c("").as_ptr(), libc::O_RDONLY));
    let flag = libc::AT_EMPTY_PATH;
    assert_eq!(sys!(SYS_fchownat, file, c"".as_ptr(), 0, 0, flag), 0);
    assert_eq!(sys!(SYS_fchownat, by_path, c"".as_ptr(), 0, 0, flag), 0);
    let chmod = sys!(SYS_fchmodat2, by_path, c"".as_ptr(), 0o640, flag);
    fails(
        sys!(SYS_fchownat, file, c"".as_ptr(), 0, 0, 0),
        libc::ENOENT,
    );
    fails(sys!(SYS_unlinkat, directory, c"".as_ptr(), 0), libc::ENOENT);
    fails(sys!(SYS_mkdirat, AT, c"".as_ptr(), 0o700), libc::ENOENT);
    let mut operations = json!({"open": 2, "create": 1, "write": 1, "chown": 2});
    if chmod == 0 {
        operations["chmod"] = 1.into();
    }
    json!({"files": [
        {"path": folder.at("e"), "operations": operations, "bytesWritten": 1},
        {"path": folder.0.display().to_string(), "operations": {"open": 1}},
    ], "syscalls": [{"name": "fchownat", "calls": 3, "errors": {"ENOENT": 1}}]})
}

/// Names with more in them than needed.
pub(crate) fn dots(folder: &Folder) -> Value {
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

/// Calls on names that fail.
pub(crate) fn name_errors(folder: &Folder) -> Value {
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

//! Files whose names mislead: links, mounts, and namespaces.

use crate::harness::{c, file};
use crate::raw;
use crate::raw::{fork, read, reap};
use serde_json::{Value, json};
use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Names that lead elsewhere than they look: /proc/self/root, links, folders, a root of its own.
pub(crate) fn names(folder: &str) -> Value {
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"marked").expect("write");
    std::fs::create_dir(format!("{folder}/sub")).expect("mkdir");
    std::os::unix::fs::symlink("sub/../marked", format!("{folder}/link")).expect("symlink");
    let reads = std::cell::Cell::new(0);
    let open = |name: &str| {
        std::fs::read(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        reads.set(reads.get() + 1);
    };
    open(&format!("/proc/self/root{folder}/marked"));
    open(&format!("/proc/thread-self/root{folder}/link"));
    open(&format!("{folder}/link"));
    open(&format!("/proc/../{folder}/./sub//../link"));
    std::env::set_current_dir(folder).expect("chdir");
    open("/proc/self/cwd/marked");
    open("marked");
    let held = std::fs::File::open(folder).expect("open");
    open(&format!("/proc/self/fd/{}/marked", held.as_raw_fd()));
    let held = std::fs::File::open(&marked).expect("open");
    open(&format!("/dev/fd/{}", held.as_raw_fd()));
    // SAFETY: constants that outlive the calls.
    reap(fork(|| unsafe {
        assert_eq!(libc::chroot(c".".as_ptr()), 0);
        assert_eq!(libc::chdir(c"/".as_ptr()), 0);
        assert!(libc::open(c"/../marked".as_ptr(), libc::O_RDONLY) >= 0);
    }));
    // The file was made, held open, and opened below another root.
    let reads = reads.get();
    json!({"files": [{"path": marked, "operations": {"open": reads + 3, "create": 1, "write": 1, "read": 2 * reads}, "nameSource": "settled"}]})
}

/// Calls that have nothing but a name, by processes that end at once.
pub(crate) fn names_of_the_gone(folder: &str) -> Value {
    for name in ["by-root", "by-cwd", "by-chroot", "by-folder"] {
        std::fs::write(format!("{folder}/{name}"), b"").expect("write");
    }
    let by_root = c(&format!("/proc/self/root{folder}/by-root"));
    let base = c(folder);
    // SAFETY: names that outlive the calls.
    unsafe {
        reap(fork(|| assert_eq!(libc::unlink(by_root.as_ptr()), 0)));
        reap(fork(|| {
            assert_eq!(libc::chdir(base.as_ptr()), 0);
            assert_eq!(libc::unlink(c"/proc/self/cwd/by-cwd".as_ptr()), 0);
        }));
        reap(fork(|| {
            assert_eq!(libc::chroot(base.as_ptr()), 0);
            assert_eq!(libc::unlink(c"/by-chroot".as_ptr()), 0);
        }));
        reap(fork(|| {
            let held = libc::open(base.as_ptr(), libc::O_PATH);
            assert_eq!(libc::unlinkat(held, c"by-folder".as_ptr(), 0), 0);
        }));
    }
    let row = |name: &str| {
        file(
            &format!("{folder}/{name}"),
            &json!({"open": 1, "create": 1, "unlink": 1}),
            0,
            0,
        )
    };
    let rows = ["by-root", "by-cwd", "by-chroot", "by-folder"].map(row);
    json!({"files": rows})
}

/// Mounts of its own: none of them changes those of others.
fn own_mounts() {
    let null = std::ptr::null();
    // SAFETY: constants that outlive the calls.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        assert_eq!(
            libc::mount(null, c"/".as_ptr(), null, flags, null.cast()),
            0
        );
    }
}

fn mount(source: &str, target: &str, kind: &CStr, flags: libc::c_ulong) {
    let (source, target) = (c(source), c(target));
    // SAFETY: names that outlive the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    assert_eq!(result, 0, "{}", raw::errno());
}

/// A file behind a mount that gives it another name; a mount with a name that is hard to read.
pub(crate) fn bound(folder: &str) -> Value {
    let (hidden, seen) = (format!("{folder}/hidden"), format!("{folder}/harmless"));
    let odd = format!("{folder}/o - tmpfs x\n1 2 0:3 \\040\t");
    for name in [&hidden, &seen, &odd] {
        std::fs::create_dir(name).expect("mkdir");
    }
    std::fs::write(format!("{hidden}/marked"), b"marked").expect("write");
    own_mounts();
    mount(&hidden, &seen, c"", libc::MS_BIND);
    mount("s - e\n", &odd, c"tmpfs", 0);
    std::fs::read(format!("{seen}/marked")).expect("read");
    std::fs::write(format!("{odd}/marked"), b"odd").expect("write");
    // The probe reads mounts when it gets to it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut rows = vec![
        file(
            &format!("{seen}/marked"),
            &json!({"open": 1, "read": 2}),
            6,
            0,
        ),
        file(
            &format!("{}/marked", odd.replace('\\', "\\\\")),
            &json!({"open": 1, "create": 1, "write": 1}),
            0,
            3,
        ),
    ];
    rows[0]["mount"] = json!({"kind": "bind", "source": hidden});
    rows[1]["mount"] = json!({"kind": "tmpfs"});
    json!({"files": rows})
}

/// The same at once, by a process that is gone when anybody looks.
pub(crate) fn bound_and_gone(folder: &str) -> Value {
    let (hidden, seen) = (format!("{folder}/hidden"), format!("{folder}/harmless"));
    for name in [&hidden, &seen] {
        std::fs::create_dir(name).expect("mkdir");
    }
    std::fs::write(format!("{hidden}/marked"), b"marked").expect("write");
    reap(fork(|| {
        own_mounts();
        mount(&hidden, &seen, c"", libc::MS_BIND);
        std::fs::read(format!("{seen}/marked")).expect("read");
    }));
    let mut row = file(
        &format!("{seen}/marked"),
        &json!({"open": 1, "read": 2}),
        6,
        0,
    );
    row["mount"] = json!({"kind": "bind", "source": hidden});
    json!({"files": [row]})
}

/// A tree that is mounted nowhere: its names begin at its own root, and must not look like others.
pub(crate) fn detached(folder: &str) -> Value {
    let deep = format!("{folder}/deep");
    std::fs::create_dir_all(format!("{deep}/etc")).expect("mkdir");
    std::fs::write(format!("{deep}/etc/passwd"), b"marked").expect("write");
    let deep = c(&deep);
    // SAFETY: names that outlive the calls; descriptors that are new.
    unsafe {
        let tree = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, deep.as_ptr(), 1);
        let tree = i32::try_from(tree).expect("a descriptor");
        assert!(tree >= 0);
        let fd = libc::openat(tree, c"etc/passwd".as_ptr(), libc::O_RDONLY);
        assert_eq!(read(&OwnedFd::from_raw_fd(fd)), Ok(6));
    }
    json!({"absent": ["/etc/passwd"]})
}

/// The file of another mount namespace has the name of one of ours.
pub(crate) fn through_another_namespace(folder: &str) -> Value {
    let ours = format!("{folder}/d/marked");
    std::fs::create_dir(format!("{folder}/d")).expect("mkdir");
    std::fs::write(&ours, b"ours").expect("write");
    let (mut ready, mut done) = ([0; 2], [0; 2]);
    // SAFETY: room for two descriptors each.
    unsafe {
        libc::pipe(ready.as_mut_ptr());
        libc::pipe(done.as_mut_ptr());
    }
    let child = fork(|| {
        own_mounts();
        mount("t", &format!("{folder}/d"), c"tmpfs", 0);
        std::fs::write(&ours, b"theirs, longer").expect("write");
        // SAFETY: a byte that outlives the calls.
        unsafe {
            let mut byte = 0_u8;
            libc::write(ready[1], c"r".as_ptr().cast(), 1);
            libc::close(done[1]);
            libc::read(done[0], (&raw mut byte).cast(), 1);
        }
    });
    // SAFETY: as above.
    unsafe {
        let mut byte = 0_u8;
        libc::read(ready[0], (&raw mut byte).cast(), 1);
    }
    let theirs = std::fs::read(format!("/proc/{child}/root{ours}")).expect("read");
    assert_eq!(theirs.len(), 14);
    std::thread::sleep(std::time::Duration::from_millis(300));
    // SAFETY: numbers only.
    unsafe { libc::close(done[1]) };
    reap(child);
    json!({"files": [
        file(&ours, &json!({"open": 1, "create": 1, "write": 1}), 0, 4),
        file(&ours, &json!({"open": 2, "create": 1, "write": 1, "read": 2}), 14, 14),
    ]})
}

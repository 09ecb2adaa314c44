//! Privileges: capabilities used and refused, setuid programs, user namespaces.

use crate::{Case, Folder, child, execute, fails, good, own, own_row, sys};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const CASES: &[Case] = &[
    ("capabilities-refused", refused),
    ("capabilities-used", used),
    ("setuid", setuid),
    ("setgid-folder", identities),
    ("user-namespace", user_namespace),
    ("bounding", bounding),
    ("file-capabilities", file_capabilities),
    ("capability-counts", capability_counts),
    ("thread-identities", thread_identities),
    ("last-thread", last_thread),
];

const NOBODY: i32 = 65534;

fn become_nobody() {
    assert_eq!(sys!(SYS_setgroups, 0, 0_i64), 0);
    assert_eq!(sys!(SYS_setresgid, NOBODY, NOBODY, NOBODY), 0);
    assert_eq!(sys!(SYS_setresuid, NOBODY, NOBODY, NOBODY), 0);
}

/// A user without rights asks for some.
fn refused(_: &Folder) -> Value {
    child(|| {
        become_nobody();
        for _ in 0..2 {
            fails(sys!(SYS_chroot, c"/".as_ptr()), libc::EPERM);
            fails(sys!(SYS_sethostname, c"x".as_ptr(), 1_i64), libc::EPERM);
            fails(sys!(SYS_reboot, 0, 0, 0, 0_i64), libc::EPERM);
            fails(sys!(SYS_setresuid, 0, 0, 0), libc::EPERM);
            fails(sys!(SYS_setresgid, 0, 0, 0), libc::EPERM);
            fails(
                sys!(SYS_socket, libc::AF_INET, libc::SOCK_RAW, 1),
                libc::EPERM,
            );
            fails(sys!(SYS_acct, 0_i64), libc::EPERM);
        }
    });
    json!({"syscalls": [
        {"name": "chroot", "calls": 2, "errors": {"EPERM": 2}},
        {"name": "sethostname", "calls": 2, "errors": {"EPERM": 2}},
        {"name": "reboot", "calls": 2, "errors": {"EPERM": 2}},
        {"name": "acct", "calls": 2, "errors": {"EPERM": 2}},
        {"name": "socket", "calls": 2, "errors": {"EPERM": 2}},
        {"name": "setresuid", "calls": 3, "errors": {"EPERM": 2}},
    ], "capabilities": [
        {"name": "CAP_SYS_CHROOT", "used": 0, "denied": 2},
        {"name": "CAP_SYS_BOOT", "used": 0, "denied": 2},
        {"name": "CAP_SYS_PACCT", "used": 0, "denied": 2},
        {"name": "CAP_NET_RAW", "used": 0, "denied": 2},
        {"name": "CAP_SYS_ADMIN", "denied": 2},
    ], "processes": [own_row(), {"argv": own(), "uid": NOBODY, "gid": NOBODY, "count": 1, "exits": {"0": 1},
        "capabilities": {"effective": [], "permitted": []}}], "whole": ["processes"]})
}

/// Rights that are used.
fn used(folder: &Folder) -> Value {
    child(|| {
        assert_eq!(sys!(SYS_unshare, libc::CLONE_NEWUTS | libc::CLONE_NEWNS), 0);
        for _ in 0..3 {
            assert_eq!(sys!(SYS_chroot, c"/".as_ptr()), 0);
            assert_eq!(sys!(SYS_sethostname, c"procmon".as_ptr(), 7_i64), 0);
        }
        for _ in 0..2 {
            good(sys!(SYS_socket, libc::AF_INET, libc::SOCK_RAW, 1));
        }
        let device = folder.c("device");
        assert_eq!(
            sys!(
                SYS_mknodat,
                libc::AT_FDCWD,
                device.as_ptr(),
                libc::S_IFCHR | 0o600,
                0x103
            ),
            0
        );
    });
    json!({"capabilities": [
        {"name": "CAP_SYS_CHROOT", "used": 3, "denied": 0},
        {"name": "CAP_NET_RAW", "used": 2, "denied": 0},
        {"name": "CAP_MKNOD", "used": 1, "denied": 0},
        // unshare asks once for each of its two namespaces and once more for both.
        {"name": "CAP_SYS_ADMIN", "denied": 0},
    ], "files": [{"path": folder.at("device"), "operations": {"mknod": 1}}], "whole": ["files"]})
}

/// A program that runs with its owner's rights.
fn setuid(folder: &Folder) -> Value {
    for (name, mode, group) in [("setuid", 0o4755, 0), ("setgid", 0o2755, 4321)] {
        crate::copy_self(&folder.at(name));
        std::os::unix::fs::chown(folder.at(name), Some(0), Some(group)).expect("chown");
        std::fs::set_permissions(folder.at(name), std::fs::Permissions::from_mode(mode))
            .expect("chmod");
    }
    let mode = |times: usize, name: &'static str, first: bool| {
        for _ in 0..times {
            child(|| {
                if first {
                    assert_eq!(
                        sys!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0_i64, 0_i64, 0_i64),
                        0
                    );
                }
                become_nobody();
                execute(&[&folder.at(name), "idle"]);
            });
        }
    };
    mode(3, "setuid", false);
    mode(2, "setgid", false);
    mode(1, "setuid", true);
    let none: [&str; 0] = [];
    json!({"processes": [
        own_row(),
        {"argv": [folder.at("setuid"), "idle"], "uid": 0, "gid": NOBODY, "noNewPrivs": false, "count": 3, "exits": {"0": 3}},
        {"argv": [folder.at("setgid"), "idle"], "uid": NOBODY, "gid": 4321, "count": 2, "exits": {"0": 2},
            "capabilities": {"effective": none, "permitted": none}},
        {"argv": [folder.at("setuid"), "idle"], "uid": NOBODY, "gid": NOBODY, "noNewPrivs": true, "count": 1, "exits": {"0": 1}},
    ], "files": [{"path": folder.at("setuid"), "exe": crate::own_exe(), "operations": {"open": 1, "create": 1, "write": 1, "chmod": 2, "chown": 1, "exec": 4}}],
    "events": [{"type": "credentials", "details": {"fromUid": "65534", "toUid": "0"}, "count": 1}],
    "whole": ["processes"], "programs": ["/setuid", "/setgid"]})
}

/// Children of one program with different ids.
fn identities(_: &Folder) -> Value {
    for number in 1..6 {
        for _ in 0..number {
            child(|| {
                assert_eq!(
                    sys!(SYS_setresgid, 2000 + number, 2000 + number, 2000 + number),
                    0
                );
                assert_eq!(
                    sys!(SYS_setresuid, 1000 + number, 1000 + number, 1000 + number),
                    0
                );
                execute(&["/bin/true", "id"]);
            });
        }
    }
    let mut rows: Vec<Value> = (1..6)
        .map(|number| json!({"argv": ["/bin/true", "id"], "uid": 1000 + number, "gid": 2000 + number, "count": number, "exits": {"0": number}}))
        .collect();
    rows.push(own_row());
    json!({"processes": rows, "syscalls": [{"name": "setresuid", "calls": 15, "errors": {}}], "whole": ["processes"], "programs": ["/true"]})
}

/// A user who is root of a user namespace of his own.
fn user_namespace(_: &Folder) -> Value {
    child(|| {
        become_nobody();
        // Files of this process below /proc are root's until it executes or says so.
        assert_eq!(
            sys!(SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0_i64, 0_i64, 0_i64),
            0
        );
        assert_eq!(sys!(SYS_unshare, libc::CLONE_NEWUSER), 0);
        for (file, map) in [
            ("setgroups", "deny"),
            ("uid_map", "0 65534 1"),
            ("gid_map", "0 65534 1"),
        ] {
            std::fs::write(format!("/proc/self/{file}"), map).expect("a map");
        }
        assert_eq!(sys!(SYS_getuid), 0);
        assert_eq!(sys!(SYS_unshare, libc::CLONE_NEWUTS), 0);
        assert_eq!(sys!(SYS_sethostname, c"inner".as_ptr(), 5_i64), 0);
        for _ in 0..3 {
            assert_eq!(sys!(SYS_chroot, c"/".as_ptr()), 0);
        }
        // The node's own things stay out of reach.
        fails(sys!(SYS_reboot, 0, 0, 0, 0_i64), libc::EPERM);
        execute(&["/bin/true", "inner-root"]);
    });
    json!({"processes": [own_row(), {"argv": ["/bin/true", "inner-root"], "uid": NOBODY, "gid": NOBODY, "count": 1, "exits": {"0": 1},
            "namespaces": {"user": "other", "uts": "other", "mnt": "host"}}],
        "capabilities": [{"name": "CAP_SYS_CHROOT", "used": 3, "denied": 0}, {"name": "CAP_SYS_BOOT", "used": 0, "denied": 1}],
        "syscalls": [{"name": "chroot", "calls": 3, "errors": {}}, {"name": "unshare", "calls": 2, "errors": {}}],
        "events": [{"type": "unshare", "count": 1}],
        "whole": ["processes"], "programs": ["/true"]})
}

/// A program that gets one right by its file.
fn file_capabilities(folder: &Folder) -> Value {
    const NET_RAW: u32 = 13;
    crate::copy_self(&folder.at("cap"));
    // struct vfs_cap_data of revision 2, effective.
    let data: [u32; 5] = [0x0200_0001, 1 << NET_RAW, 0, 0, 0];
    let set = sys!(
        SYS_setxattr,
        folder.c("cap").as_ptr(),
        c"security.capability".as_ptr(),
        data.as_ptr(),
        20_i64,
        0
    );
    if set != 0 {
        return json!({});
    }
    for _ in 0..2 {
        child(|| {
            become_nobody();
            execute(&[&folder.at("cap"), "idle"]);
        });
    }
    json!({"processes": [own_row(), {"argv": [folder.at("cap"), "idle"], "uid": NOBODY, "count": 2, "exits": {"0": 2},
            "capabilities": {"effective": ["CAP_NET_RAW"], "permitted": ["CAP_NET_RAW"]}}],
        "files": [{"path": folder.at("cap"), "exe": crate::own_exe(), "operations": {"open": 1, "create": 1, "write": 1, "chmod": 1, "setxattr": 1, "exec": 2}}],
        "whole": ["processes"], "programs": ["/cap"]})
}

/// Rights that calls on files and processes ask for, each asked for once a call.
fn capability_counts(folder: &Folder) -> Value {
    std::fs::write(folder.at("f"), b"").expect("write");
    let name = folder.c("f");
    for number in 0..3 {
        assert_eq!(sys!(SYS_chown, name.as_ptr(), 1000 + number, -1), 0);
    }
    // Now it is somebody else's.
    for _ in 0..4 {
        assert_eq!(sys!(SYS_chmod, name.as_ptr(), 0o600), 0);
    }
    json!({"capabilities": [
        {"name": "CAP_CHOWN", "used": 3, "denied": 0},
        {"name": "CAP_FOWNER", "used": 4, "denied": 0},
    ], "files": [crate::row(&folder.at("f"), &json!({"open": 1, "create": 1, "chown": 3, "chmod": 4}), 0, 0, &json!({}))],
    "whole": ["files"]})
}

/// Rights that a process may never have again.
fn bounding(_: &Folder) -> Value {
    const NET_RAW: i32 = 13;
    const SYS_CHROOT: i32 = 18;
    child(|| {
        for number in [NET_RAW, SYS_CHROOT] {
            assert_eq!(
                sys!(
                    SYS_prctl,
                    libc::PR_CAPBSET_DROP,
                    number,
                    0_i64,
                    0_i64,
                    0_i64
                ),
                0
            );
        }
        execute(&["/bin/sh", "-c", "exit 0"]);
    });
    json!({"processes": [own_row(), {"argv": ["/bin/sh", "-c", "exit 0"], "count": 1, "exits": {"0": 1}}],
        "capabilities": [{"name": "CAP_SETPCAP", "used": 2, "denied": 0}],
        "whole": ["processes"], "programs": ["/dash", "/bash", "/sh"]})
}

/// Only one thread gives its rights up, by the call itself.
fn thread_identities(_: &Folder) -> Value {
    // Joined: it must not be the last one to end.
    let thread = std::thread::spawn(|| {
        assert_eq!(sys!(SYS_setresuid, NOBODY, NOBODY, NOBODY), 0);
        for _ in 0..4 {
            fails(sys!(SYS_chroot, c"/".as_ptr()), libc::EPERM);
        }
    });
    thread.join().expect("a thread");
    for _ in 0..2 {
        assert_eq!(sys!(SYS_chroot, c"/".as_ptr()), 0);
    }
    json!({"syscalls": [{"name": "chroot", "calls": 6, "errors": {"EPERM": 4}}],
        "capabilities": [{"name": "CAP_SYS_CHROOT", "used": 2, "denied": 4}],
        "processes": [{"argv": own(), "uid": 0, "gid": 0, "count": 1, "exits": {"0": 1}}],
        "events": [{"type": "credentials", "details": {"fromUid": "0", "toUid": "65534"}, "count": 1}],
        "whole": ["processes"]})
}

/// The thread that gave its rights up is the last one: the process is still what its first thread
/// was.
fn last_thread(_: &Folder) -> Value {
    for _ in 0..3 {
        child(|| {
            std::thread::spawn(|| {
                assert_eq!(sys!(SYS_setresuid, NOBODY, NOBODY, NOBODY), 0);
                crate::until(|| crate::calls::threads::is_dead(std::process::id()));
                sys!(SYS_exit_group, 0);
            });
            sys!(SYS_exit, 0);
        });
    }
    json!({"processes": [own_row(), {"argv": own(), "uid": 0, "gid": 0, "count": 3, "exits": {"0": 3}}],
        "whole": ["processes"]})
}

//! Privileges given up, refused and used, each by a child of its own; needs root. Its first
//! argument is a folder; with the argument `idle` it only ends.
#![expect(unsafe_code, reason = "calls that change privileges")]

use serde_json::json;
use std::os::fd::{AsRawFd as _, FromRawFd as _};

/// Runs in a child; waits for its end.
fn child(what: impl FnOnce()) {
    // SAFETY: no other thread runs; the child ends by itself.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            what();
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        assert_eq!(status, 0, "a child failed");
    }
}

/// Executes /bin/true with this one argument.
fn become_true(argument: &std::ffi::CStr) {
    let argv = [c"/bin/true".as_ptr(), argument.as_ptr(), std::ptr::null()];
    // SAFETY: a list that ends with a null pointer and outlives the call.
    unsafe { libc::execv(argv[0], argv.as_ptr()) };
    panic!("execv: {}", std::io::Error::last_os_error());
}

/// Executes this program, which gives its privileges up and executes another.
fn step_down() {
    let own = std::env::current_exe().expect("this program");
    let own = std::ffi::CString::new(own.into_os_string().into_encoded_bytes()).expect("a path");
    let argv = [own.as_ptr(), c"step-down".as_ptr(), std::ptr::null()];
    // SAFETY: a list that ends with a null pointer and outlives the call.
    unsafe { libc::execv(argv[0], argv.as_ptr()) };
    panic!("execv: {}", std::io::Error::last_os_error());
}

/// getpriority fails with EPERM from now on.
fn filter() {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt,
        jf,
        k,
    };
    let number = u32::try_from(libc::SYS_getpriority).expect("a small number");
    let eperm = u32::try_from(libc::EPERM).expect("a small number");
    // Load the number; when it is ours, refuse; else allow.
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | eperm,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program lives until the call returns.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const filter
            ),
            0
        );
    }
}

/// A copy of this program, in memory only, is executed.
fn from_memory() {
    // SAFETY: a constant name; the descriptor is new.
    let mut memory = unsafe {
        std::fs::File::from_raw_fd(libc::memfd_create(c"program".as_ptr(), libc::MFD_CLOEXEC))
    };
    let mut own = std::fs::File::open("/proc/self/exe").expect("open");
    std::io::copy(&mut own, &mut memory).expect("copy");
    let argv = [c"from-memory".as_ptr(), c"idle".as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    // SAFETY: lists that end with a null pointer and outlive the call.
    unsafe { libc::fexecve(memory.as_raw_fd(), argv.as_ptr(), environment.as_ptr()) };
    panic!("fexecve: {}", std::io::Error::last_os_error());
}

/// A file system of its own, in a mount namespace of its own.
fn mount(folder: &std::ffi::CStr) {
    let none = std::ptr::null();
    // SAFETY: constants and a name that outlive the calls.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUTS), 0);
        assert_eq!(
            libc::mount(
                none,
                c"/".as_ptr(),
                none,
                libc::MS_REC | libc::MS_PRIVATE,
                none.cast()
            ),
            0
        );
        assert_eq!(
            libc::mount(
                c"procmon".as_ptr(),
                folder.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                none.cast()
            ),
            0
        );
        assert_eq!(libc::umount(folder.as_ptr()), 0);
    }
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    if folder == "idle" {
        return;
    }
    if folder == "drop" {
        child(|| {
            // SAFETY: numbers only.
            assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
            become_true(c"nobody");
        });
        return;
    }
    if folder == "step-down" {
        // SAFETY: numbers only.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            assert_eq!(libc::setresgid(4321, 4321, 4321), 0);
            assert_eq!(libc::setresuid(1234, 1234, 1234), 0);
        }
        become_true(c"stepped-down");
    }
    let folder = std::ffi::CString::new(folder).expect("a path");
    child(|| {
        // SAFETY: a constant name and numbers.
        unsafe {
            assert_eq!(libc::chroot(c"/".as_ptr()), 0);
            assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
            assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
            assert_eq!(libc::chroot(c"/".as_ptr()), -1);
        }
        become_true(c"nobody");
    });
    child(|| {
        // SAFETY: numbers only.
        let refused = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        assert_eq!(refused, 0);
        become_true(c"no-new-privs");
    });
    child(|| {
        filter();
        for _ in 0..5 {
            // SAFETY: numbers only.
            assert_eq!(unsafe { libc::syscall(libc::SYS_getpriority, 0, 0) }, -1);
        }
        become_true(c"filtered");
    });
    child(|| mount(&folder));
    child(|| {
        let namespace = std::fs::File::open("/proc/self/ns/uts").expect("open");
        // SAFETY: numbers only.
        let refused = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWUTS) };
        assert_eq!(refused, 0);
    });
    child(|| {
        // SAFETY: numbers only.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) }, 0);
    });
    child(from_memory);
    child(step_down);
    let own = std::env::args().next().expect("a name");
    procmon_tests::tell(&json!({
        "processes": [
            {"argv": ["/bin/true", "nobody"], "uid": 65534, "gid": 65534, "count": 1, "exits": {"0": 1}},
            {"argv": ["/bin/true", "no-new-privs"], "uid": 0, "noNewPrivs": true, "seccomp": "disabled", "count": 1},
            {"argv": ["/bin/true", "filtered"], "seccomp": "filter", "noNewPrivs": true, "count": 1},
            {"argv": [own, "step-down"], "uid": 1234, "gid": 4321, "noNewPrivs": true, "count": 1,
                "capabilities": {"effective": [], "permitted": []}},
            {"argv": ["/bin/true", "stepped-down"], "uid": 1234, "gid": 4321, "noNewPrivs": true, "count": 1,
                "capabilities": {"effective": [], "permitted": []}},
            {"argv": ["from-memory", "idle"], "layer": "memfd", "count": 1, "exits": {"0": 1}},
        ],
        "syscalls": [
            {"name": "getpriority", "calls": 5, "errors": {"EPERM": 5}, "deniedBySeccomp": 5},
            {"name": "chroot", "calls": 2, "errors": {"EPERM": 1}, "deniedBySeccomp": 0},
        ],
        "capabilities": [{"name": "CAP_SYS_CHROOT", "used": 1, "denied": 1}],
        "events": [
            {"type": "credentials"},
            {"type": "unshare"},
            {"type": "mount"},
            {"type": "setns"},
            {"type": "ptrace"},
            {"type": "memfdExec"},
        ],
    }));
}

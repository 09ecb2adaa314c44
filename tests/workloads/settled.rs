//! Names that another thread changes while the kernel reads them: the outcome tells which one it was.
//! Then a signal out of the tree, one within, and a module that the kernel asks for. Its first
//! argument is a folder.
#![expect(
    unsafe_code,
    reason = "names that are written while a system call reads them"
)]

use serde_json::{Value, json};
use std::cell::UnsafeCell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

const ROUNDS: u64 = 1000;
/// Signals out of the tree.
const SIGNALS: u64 = 3;

/// A name with one byte that changes all the time.
struct Racing {
    name: UnsafeCell<Vec<u8>>,
    at: usize,
    over: AtomicBool,
}

// SAFETY: the changing byte is only touched by atomic stores and by the kernel.
unsafe impl Sync for Racing {}

impl Racing {
    /// `name` ends with NUL and has `a` where it changes to `b` and back.
    fn new(name: &str, at: usize) -> Self {
        Self {
            name: UnsafeCell::new(name.as_bytes().to_vec()),
            at,
            over: AtomicBool::new(false),
        }
    }

    fn pointer(&self) -> *const libc::c_char {
        // SAFETY: the vector is never changed in length.
        unsafe { (*self.name.get()).as_ptr().cast() }
    }

    fn flip(&self) {
        // SAFETY: within the vector, and only ever touched as an atomic.
        let byte = unsafe { AtomicU8::from_ptr((*self.name.get()).as_mut_ptr().add(self.at)) };
        while !self.over.load(Ordering::Relaxed) {
            byte.store(b'b', Ordering::Relaxed);
            byte.store(b'a', Ordering::Relaxed);
        }
    }

    /// Calls `what` while the name changes.
    fn race(&self, what: impl FnOnce(*const libc::c_char)) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.flip());
            what(self.pointer());
            self.over.store(true, Ordering::Relaxed);
        });
    }
}

fn row(path: &str, operations: &Value, errors: &Value) -> Value {
    json!({"path": path, "operations": operations, "errors": errors, "nameSource": "settled"})
}

/// The position of the byte that changes: the only one between `<` and `>`, which are taken out.
fn racing(name: &str) -> Racing {
    let at = name.find('<').expect("a mark");
    Racing::new(&(name.replace("<a>", "a") + "\0"), at)
}

fn folders(base: &str, rows: &mut Vec<Value>) {
    let names = ["a", "b"].map(|name| format!("{base}/d/{name}"));
    std::fs::create_dir(format!("{base}/d")).expect("mkdir");
    let mut made = [0_u64; 2];
    racing(&format!("{base}/d/<a>")).race(|name| {
        for _ in 0..ROUNDS {
            // SAFETY: the name ends with NUL; the kernel copies it.
            assert_eq!(unsafe { libc::mkdir(name, 0o700) }, 0);
            let which = usize::from(!Path::new(&names[0]).exists());
            std::fs::remove_dir(&names[which]).expect("rmdir");
            made[which] += 1;
        }
    });
    for (name, count) in names.iter().zip(made).filter(|(_, count)| *count > 0) {
        rows.push(row(
            name,
            &json!({"mkdir": count, "rmdir": count}),
            &json!({}),
        ));
    }
}

fn files(base: &str, rows: &mut Vec<Value>) {
    let names = ["a", "b"].map(|name| format!("{base}/u/{name}"));
    std::fs::create_dir(format!("{base}/u")).expect("mkdir");
    for name in &names {
        std::fs::write(name, "").expect("create");
    }
    let mut gone = [0_u64; 2];
    racing(&format!("{base}/u/<a>")).race(|name| {
        for _ in 0..ROUNDS {
            // SAFETY: as above.
            assert_eq!(unsafe { libc::unlink(name) }, 0);
            let which = usize::from(Path::new(&names[0]).exists());
            std::fs::write(&names[which], "").expect("create");
            gone[which] += 1;
        }
    });
    for (name, count) in names.iter().zip(gone) {
        let mut operations = json!({"open": count + 1, "create": count + 1});
        if count > 0 {
            operations["unlink"] = count.into();
        }
        rows.push(row(name, &operations, &json!({})));
    }
}

/// A folder of one name is missing, and one of the other is not a folder: the errno tells.
fn failures(base: &str, rows: &mut Vec<Value>) {
    std::fs::create_dir(format!("{base}/o")).expect("mkdir");
    std::fs::write(format!("{base}/o/b"), "").expect("create");
    let (mut missing, mut no_folder) = (0_u64, 0_u64);
    racing(&format!("{base}/o/<a>/x")).race(|name| {
        for _ in 0..ROUNDS {
            // SAFETY: as above.
            assert!(unsafe { libc::open(name, libc::O_RDONLY) } < 0);
            match std::io::Error::last_os_error().raw_os_error() {
                Some(libc::ENOENT) => missing += 1,
                _ => no_folder += 1,
            }
        }
    });
    for (name, errno, count) in [("a", "ENOENT", missing), ("b", "ENOTDIR", no_folder)] {
        if count > 0 {
            let mut errors = json!({});
            errors[errno] = count.into();
            rows.push(row(&format!("{base}/o/{name}/x"), &json!({}), &errors));
        }
    }
}

/// The parent of the probe, which runs this program: it is outside of the tree.
fn grandparent() -> libc::pid_t {
    // SAFETY: takes nothing.
    let parent = unsafe { libc::getppid() };
    let status = std::fs::read_to_string(format!("/proc/{parent}/status")).expect("the parent");
    let number = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let number = number.and_then(|number| number.trim().parse().ok());
    number.expect("a parent of the parent")
}

fn main() {
    let base = std::env::args().nth(1).expect("a folder");
    let mut rows = Vec::new();
    folders(&base, &mut rows);
    files(&base, &mut rows);
    failures(&base, &mut rows);
    let mut executed = json!({});
    for name in ["none", "not-a-program"] {
        let path = format!("{base}/{name}");
        if name != "none" {
            std::fs::write(&path, "").expect("create");
        }
        let argv = [std::ptr::null::<libc::c_char>()];
        let path = std::ffi::CString::new(path).expect("a path");
        // SAFETY: the name lives until the call returns; the list is empty.
        unsafe { libc::execv(path.as_ptr(), argv.as_ptr()) };
        executed[name] = std::io::Error::last_os_error().raw_os_error().into();
    }
    assert_eq!(executed["none"], libc::ENOENT);
    rows.push(row(
        &format!("{base}/none"),
        &json!({}),
        &json!({"ENOENT": 1}),
    ));
    let outside = grandparent();
    // SAFETY: take numbers only. Only the probe, the parent, receives the signal.
    unsafe {
        for _ in 0..SIGNALS {
            assert_eq!(libc::kill(outside, libc::SIGURG), 0);
        }
        libc::kill(libc::getpid(), libc::SIGURG);
        // AppleTalk is in no kernel that is built for the cloud.
        libc::socket(libc::AF_APPLETALK, libc::SOCK_DGRAM, 0);
    }
    procmon_tests::tell(&json!({
        "files": rows,
        "events": [
            {"type": "signal", "count": SIGNALS, "details": {"signal": "SIGURG", "target": outside.to_string()}},
            {"type": "moduleLoad", "details": {"requested": "net-pf-5"}},
        ],
    }));
}

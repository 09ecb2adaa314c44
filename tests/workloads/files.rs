//! Every operation on files, a known number of times, below the folder of its first argument.
#![expect(unsafe_code, reason = "system calls that std does not offer")]

use serde_json::{Value, json};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};

fn row(operations: &Value, read: u64, written: u64) -> Value {
    json!({"operations": operations, "bytesRead": read, "bytesWritten": written, "errors": {}})
}

fn main() {
    let base = std::env::args().nth(1).expect("a folder");
    let at = |name: &str| format!("{base}/{name}");
    fs::create_dir(at("dir")).expect("mkdir");

    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(at("dir/a"))
        .expect("open");
    for _ in 0..5 {
        file.write_all(&[b'x'; 100]).expect("write");
    }
    file.write_all_at(&[b'y'; 11], 50).expect("pwrite");
    file.seek(SeekFrom::Start(0)).expect("seek");
    let mut buffer = [0; 64];
    for _ in 0..3 {
        file.read_exact(&mut buffer).expect("read");
    }
    file.read_exact_at(&mut buffer[..10], 0).expect("pread");
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .expect("fchmod");
    file.set_len(300).expect("ftruncate");
    // A descriptor that is a copy of another is the same file.
    let copy = file.try_clone().expect("dup");
    (&copy).write_all(b"copy").expect("write");

    let mut target = File::create(at("dir/b")).expect("create");
    let mut offset: libc::off_t = 0;
    // SAFETY: both descriptors are open, the offset is a local.
    let sent =
        unsafe { libc::sendfile(target.as_raw_fd(), file.as_raw_fd(), &raw mut offset, 200) };
    assert_eq!(sent, 200);
    target.write_all(b"end").expect("write");

    fs::rename(at("dir/b"), at("dir/c")).expect("rename");
    fs::hard_link(at("dir/a"), at("dir/l")).expect("link");
    std::os::unix::fs::symlink("a", at("dir/s")).expect("symlink");
    // The kernel resolves the link: the file behind it is opened.
    drop(File::open(at("dir/s")).expect("open"));
    let name = CString::new(at("dir/c")).expect("a name");
    // SAFETY: the name lives until the call returns.
    assert_eq!(unsafe { libc::truncate(name.as_ptr(), 1) }, 0);
    // SAFETY: a length of one page, and a file that is long enough.
    let map = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            100,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    assert_ne!(map, libc::MAP_FAILED);
    fs::remove_file(at("dir/l")).expect("unlink");
    fs::remove_file(at("dir/s")).expect("unlink");
    fs::create_dir(at("dir/sub")).expect("mkdir");
    fs::remove_dir(at("dir/sub")).expect("rmdir");

    procmon_tests::tell(&json!({"files": {
        at("dir"): row(&json!({"mkdir": 1}), 0, 0),
        at("dir/a"): row(&json!({"open": 2, "create": 1, "read": 5, "write": 7, "chmod": 1, "truncate": 1}), 192 + 10 + 200, 500 + 11 + 4),
        at("dir/b"): row(&json!({"open": 1, "create": 1, "write": 2, "rename": 1}), 0, 203),
        at("dir/c"): row(&json!({"rename": 1, "truncate": 1}), 0, 0),
        at("dir/l"): row(&json!({"link": 1, "unlink": 1}), 0, 0),
        at("dir/s"): row(&json!({"symlink": 1, "unlink": 1}), 0, 0),
        at("dir/sub"): row(&json!({"mkdir": 1, "rmdir": 1}), 0, 0),
    }}));
}

//! System calls of known number, by one thread and by eight.
#![expect(
    unsafe_code,
    reason = "system calls, made directly so that no library adds its own"
)]

use serde_json::json;

const SINGLE: u64 = 1000;
const THREADS: u64 = 8;
const EACH: u64 = 500;

fn main() {
    for _ in 0..SINGLE {
        // SAFETY: takes no arguments.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..EACH {
                    // SAFETY: takes no pointers; -1 is no descriptor.
                    unsafe {
                        libc::syscall(libc::SYS_getppid);
                        libc::syscall(libc::SYS_dup, -1);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("the thread ends");
    }
    for _ in 0..7 {
        // SAFETY: a constant name.
        unsafe {
            libc::syscall(
                libc::SYS_openat,
                libc::AT_FDCWD,
                c"/nonexistent/procmon".as_ptr(),
                libc::O_RDONLY,
            )
        };
    }
    // SAFETY: no system call has this number.
    unsafe { libc::syscall(9999) };
    procmon_tests::tell(&json!({
        "syscalls": {
            "getppid": {"calls": SINGLE + THREADS * EACH, "errors": {}},
            "dup": {"calls": THREADS * EACH, "errors": {"EBADF": THREADS * EACH}},
            "unknown(9999)": {"calls": 1, "errors": {"ENOSYS": 1}},
        },
        "files": {"/nonexistent/procmon": {"operations": {}, "bytesRead": 0, "bytesWritten": 0, "errors": {"ENOENT": 7}}},
    }));
}

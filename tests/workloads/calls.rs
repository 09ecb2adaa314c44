//! System calls of known number: by one thread, by eight, begun again after a signal, and by the
//! 32-bit gate.
#![expect(
    unsafe_code,
    reason = "system calls, made directly so that no library adds its own"
)]

use serde_json::{Value, json};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SINGLE: u64 = 1000;
const THREADS: u64 = 8;
const EACH: u64 = 500;
const INTERRUPTS: usize = 3;

static HANDLED: AtomicUsize = AtomicUsize::new(0);
static WAITER: AtomicI32 = AtomicI32::new(0);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

/// The task with this folder below /proc sleeps in a system call.
fn sleeps_in(task: &str, call: libc::c_long) -> bool {
    let starts = |file: &str, text: &str| {
        std::fs::read_to_string(format!("/proc/{task}/{file}"))
            .is_ok_and(|all| all.starts_with(text))
    };
    starts("syscall", &format!("{call} "))
}

/// A thread waits for a child and is interrupted by signals whose handler lets the kernel begin
/// the call again. Calls made: one, and one more for each signal.
fn restarted() {
    // SAFETY: a handler that only adds to an atomic; the child only pauses.
    let child = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
        let child = libc::fork();
        if child == 0 {
            libc::syscall(libc::SYS_pause);
        }
        child
    };
    let waiter = std::thread::spawn(move || {
        // SAFETY: a zeroed siginfo is valid, and lives until the call returns.
        unsafe {
            WAITER.store(libc::gettid(), Ordering::SeqCst);
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PID,
                child,
                &raw mut info,
                libc::WEXITED,
                0,
            )
        }
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    let wait = |condition: &dyn Fn() -> bool| {
        while !condition() {
            assert!(Instant::now() < deadline, "a task never sleeps");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    for handled in 0..=INTERRUPTS {
        wait(&|| {
            let task = format!("self/task/{}", WAITER.load(Ordering::SeqCst));
            HANDLED.load(Ordering::SeqCst) == handled && sleeps_in(&task, libc::SYS_waitid)
        });
        if handled < INTERRUPTS {
            // SAFETY: a thread of this process, which is blocked.
            unsafe {
                libc::syscall(
                    libc::SYS_tgkill,
                    libc::getpid(),
                    WAITER.load(Ordering::SeqCst),
                    libc::SIGUSR1,
                )
            };
        }
    }
    wait(&|| sleeps_in(&child.to_string(), libc::SYS_pause));
    // SAFETY: our own child, not yet waited for.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!(waiter.join().expect("the thread ends"), 0);
}

#[cfg(target_arch = "x86_64")]
fn getppid_by_the_32_bit_gate() {
    // SAFETY: getppid of the i386 table takes no arguments; the gate clears r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 64_u64 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
}

/// A 32-bit call with a first and a second argument.
#[cfg(target_arch = "x86_64")]
fn by_the_32_bit_gate(number: u32, first: u32, second: u32) -> i32 {
    let mut result = number;
    // SAFETY: the caller's arguments; the gate clears r8 to r11. The compiler keeps rbx for itself.
    unsafe {
        std::arch::asm!("xchg {first}, rbx", "int 0x80", "xchg {first}, rbx", first = inout(reg) u64::from(first) => _,
            inout("eax") result, in("ecx") second, in("edx") 0, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result.cast_signed()
}

/// A text that 32-bit calls can reach.
#[cfg(target_arch = "x86_64")]
fn low_text(text: &std::ffi::CStr) -> u32 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let bytes = text.to_bytes_with_nul();
    // SAFETY: new memory, which is longer than the text.
    unsafe {
        let memory = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.cast(), bytes.len());
        u32::try_from(memory as usize).expect("low memory")
    }
}

/// 32-bit calls, where the kernel takes them: a child finds out.
#[cfg(target_arch = "x86_64")]
fn compat() -> Option<Value> {
    // SAFETY: the child makes one call and ends.
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            getppid_by_the_32_bit_gate();
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        status
    };
    if status != 0 {
        return None;
    }
    for _ in 0..24 {
        getppid_by_the_32_bit_gate();
    }
    // chown32, truncate64.
    let name = low_text(c"/nonexistent/compat");
    assert_eq!(by_the_32_bit_gate(212, name, 0), -libc::ENOENT);
    assert_eq!(by_the_32_bit_gate(193, name, 0), -libc::ENOENT);
    Some(json!({"name": "getppid", "abi": "i386", "calls": 25, "errors": {}}))
}

#[cfg(not(target_arch = "x86_64"))]
fn compat() -> Option<Value> {
    None
}

/// Sends what can't be sent by a call that says in memory what it does.
fn socketcall() {
    #[cfg(target_arch = "x86_64")]
    if compat().is_some() {
        assert_eq!(by_the_32_bit_gate(102, 9, 0), -libc::EFAULT);
        return;
    }
    std::process::exit(3);
}

fn main() {
    if std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "socketcall")
    {
        return socketcall();
    }
    for _ in 0..SINGLE {
        // SAFETY: takes no arguments.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..EACH {
                    // SAFETY: takes no pointers; -1 is not a descriptor.
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
    for _ in 0..11 {
        // SAFETY: -1 is not a descriptor.
        unsafe { libc::syscall(libc::SYS_close, -1) };
    }
    // SAFETY: no system call has this number.
    unsafe { libc::syscall(9999) };
    restarted();
    let mut calls = vec![
        json!({"name": "getppid", "abi": std::env::consts::ARCH, "calls": SINGLE + THREADS * EACH, "errors": {}, "restarted": 0, "noReturn": 0}),
        json!({"name": "dup", "calls": THREADS * EACH, "errors": {"EBADF": THREADS * EACH}}),
        json!({"name": "close", "errors": {"EBADF": 11}}),
        json!({"name": "unknown(9999)", "calls": 1, "errors": {"ENOSYS": 1}}),
        json!({"name": "waitid", "calls": INTERRUPTS + 1, "errors": {}, "restarted": INTERRUPTS, "unfinished": 0}),
        json!({"name": "pause", "calls": 1, "errors": {}}),
    ];
    let compat = compat();
    let files = compat
        .as_ref()
        .map(|_| json!({"path": "/nonexistent/compat", "operations": {}, "errors": {"ENOENT": 2}}));
    calls.extend(compat);
    let mut files = Vec::from_iter(files);
    files.push(
        json!({"path": "/nonexistent/procmon", "operations": {}, "bytesRead": 0, "bytesWritten": 0,
            "errors": {"ENOENT": 7}}),
    );
    procmon_tests::tell(&json!({"syscalls": calls, "files": files}));
}

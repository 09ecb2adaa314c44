//! Signals: those that ask to stop, and how they are handed on.

use std::sync::atomic::{AtomicU32, Ordering};

/// Number of signals that asked to stop.
static STOPS: AtomicU32 = AtomicU32::new(0);
/// SIGURG has come, which the sentinel sends too.
static URGENT: AtomicU32 = AtomicU32::new(0);
/// Signals that the kernel sends for a fault of this process itself.
const FAULTS: [libc::c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGSYS,
];
/// Signals by which a terminal tells of its size, moves jobs, or that nobody waits for.
const JOBS: [libc::c_int; 7] = [
    libc::SIGWINCH,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
];

extern "C" fn on_stop(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid structure to a handler with SA_SIGINFO.
    let is_sent = unsafe { (*info).si_code } <= 0;
    if is_sent && signal == libc::SIGURG {
        URGENT.store(1, Ordering::Relaxed);
    } else if is_sent {
        STOPS.fetch_add(1, Ordering::Relaxed);
    } else if FAULTS.contains(&signal) {
        // It comes again, and ends this process as it should.
        // SAFETY: takes numbers only, and may be called in a handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    } else if signal != libc::SIGCHLD {
        STOPS.fetch_add(1, Ordering::Relaxed);
    }
}

/// From now on every signal that can be caught only asks to stop, and a closed pipe is an error: an image
/// names the signal that ends its containers. `all` is false where a person's terminal sends signals too:
/// those of job control, and those that are ignored already, are left alone then.
pub(crate) fn catch_signals(all: bool) {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: all-zero is a valid sigaction, pointers are to locals, the handler only adds to an
        // atomic or sets a signal back. What the kernel or libc keeps for itself is refused.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut before);
            let is_ignored = before.sa_sigaction == libc::SIG_IGN
                && !matches!(signal, libc::SIGINT | libc::SIGTERM | libc::SIGPIPE);
            if !all && (is_ignored || JOBS.contains(&signal)) {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_stop as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            if signal == libc::SIGPIPE {
                action.sa_sigaction = libc::SIG_IGN;
            }
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Somebody asked to stop.
pub(crate) fn stop_requested() -> bool {
    STOPS.load(Ordering::Relaxed) + URGENT.load(Ordering::Relaxed) != 0
}

/// The SIGURG that came was the sentinel's.
pub(crate) fn forget_urgent() {
    URGENT.store(0, Ordering::Relaxed);
}

/// Signals whose handling this program and its caller's runtime have changed; the last two are the C
/// library's, which ignores them in what it spawns. All others are handed on as they came.
pub(super) const CHANGED: [libc::c_int; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGPIPE, 32, 33];

/// Has the kernel ignore a signal, or treat it as it does by default. By the kernel's own call: that of the
/// C library refuses its own signals.
pub(super) unsafe fn set_handler(signal: libc::c_int, ignore: bool) {
    let handler = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // struct sigaction of the kernel: handler, flags, on some machines a restorer, eight bytes of a mask.
    let action = [handler, 0, 0, 0];
    // SAFETY: the array is not shorter than the structure, and lives until the call returns.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            std::ptr::null::<libc::c_void>(),
            8_usize,
        );
    }
}

//! Signals, from `include/uapi/asm-generic/signal.h`.

const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of a signal; real-time signals are `SIGRTMIN+N` of the kernel's own counting, from 32.
///
/// ```
/// assert_eq!(procmon_profile::tables::signal_name(9), "SIGKILL");
/// assert_eq!(procmon_profile::tables::signal_name(34), "SIGRTMIN+2");
/// ```
#[must_use]
pub fn signal_name(signal: u32) -> String {
    match signal {
        1..=31 => SIGNALS[signal as usize - 1].to_owned(),
        32.. => format!("SIGRTMIN+{}", signal - 32),
        0 => "0".to_owned(),
    }
}

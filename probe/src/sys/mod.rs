//! The only unsafe code of this crate: system calls that std does not offer, one file for each subject.
#![expect(unsafe_code, reason = "system calls")]

mod acts;
mod bpf;
mod clock;
mod files;
mod machine;
mod net;
mod process;
mod signals;

pub(crate) use acts::{
    close_nothing, enter_detached_tmpfs, fork_nothing, getppid, kill_parent, loopback_up, unshare,
    use_names, use_ring,
};
pub(crate) use bpf::{
    ProgramStatistics, attach_kprobe, barrier, kprobe_pmu, may_cast_any_address,
    program_statistics, record, tap_program,
};
pub(crate) use clock::{cpu_ns, moment_after, monotonic_ns, tick_ns};
pub(crate) use files::{
    NEEDED_FILES, adopt_fd, allow_files, c_text, file_system_magic, has_data, has_room, share_lock,
};
pub(crate) use machine::{random, uname};
pub(crate) use net::{enter_network, tap_socket};
pub(crate) use process::{Held, WaitStatus, end_with_parent, peak_rss, spawn_held, wait};
pub(crate) use signals::{catch_signals, forget_urgent, stop_requested};

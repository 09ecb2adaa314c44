//! Descriptors, locks, and file systems.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Polls for up to `wait`: a write would not block, or would fail at once.
pub(crate) fn has_room(file: &impl AsRawFd, wait: std::time::Duration) -> bool {
    is_ready(file, libc::POLLOUT, wait)
}

/// Polls for up to `wait`: a read would not block, or would fail at once.
pub(crate) fn has_data(file: &impl AsRawFd, wait: std::time::Duration) -> bool {
    is_ready(file, libc::POLLIN, wait)
}

fn is_ready(file: &impl AsRawFd, events: libc::c_short, wait: std::time::Duration) -> bool {
    let mut poll = libc::pollfd {
        fd: file.as_raw_fd(),
        events,
        revents: 0,
    };
    let milliseconds = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one entry, which lives until the call returns.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
}

/// The descriptor that a system call has just made, or why it made none.
pub(super) fn made(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the callers hand over what the kernel returned, which is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A file descriptor that the parent left open for this process.
pub(crate) fn adopt_fd(fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl only asks about the number.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and the request says that it is ours.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: as above: children must not hold the pipe open.
    unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    Ok(owned)
}

/// Open files that a capture needs: maps, programs, links, children.
pub(crate) const NEEDED_FILES: u64 = 128;
/// Open files that it takes where it may: taps, too.
const WANTED_FILES: u64 = 2048;
/// How many this process was allowed at first; 0: it still is.
static FILES_BEFORE: AtomicU64 = AtomicU64::new(0);

/// Lets this process open the files that a capture needs. The error is how many it may open at most.
pub(crate) fn allow_files() -> Result<(), u64> {
    let Some(mut limit) = open_files().filter(|limit| limit.rlim_cur < WANTED_FILES) else {
        return Ok(());
    };
    if limit.rlim_max < NEEDED_FILES {
        return Err(limit.rlim_max);
    }
    FILES_BEFORE.store(limit.rlim_cur, Ordering::Relaxed);
    limit.rlim_cur = limit.rlim_max.min(WANTED_FILES);
    // SAFETY: the pointer is to a local.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    Ok(())
}

/// How many files this process may have open.
fn open_files() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a local.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (result == 0).then_some(limit)
}

/// Gives a child the limit that this process had.
pub(super) fn restore_files() {
    let before = FILES_BEFORE.load(Ordering::Relaxed);
    if before == 0 {
        return;
    }
    if let Some(mut limit) = open_files() {
        limit.rlim_cur = before;
        // SAFETY: the pointer is to a local.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// Text as the kernel takes it.
pub(crate) fn c_text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Locks the first byte of a file for reading, which any number of processes can do at once. The lock
/// ends when this process ends or closes any descriptor of that file.
pub(crate) fn share_lock(file: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: all-zero is a valid flock, from the start of the file; it lives until the call returns.
    let result = unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = libc::c_short::try_from(libc::F_RDLCK).unwrap_or(0);
        lock.l_len = 1;
        libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Magic number of the file system that a path lies on.
pub(crate) fn file_system_magic(path: &std::path::Path) -> io::Result<u32> {
    let path = c_text(path.as_os_str())?;
    // SAFETY: all-zero is a valid statfs; path and structure live until the call returns.
    unsafe {
        let mut status: libc::statfs = std::mem::zeroed();
        if libc::statfs(path.as_ptr(), &raw mut status) != 0 {
            return Err(io::Error::last_os_error());
        }
        // Magic numbers have 32 bits; the field is as wide as a register.
        Ok(u32::try_from(i128::from(status.f_type) & 0xffff_ffff).unwrap_or(0))
    }
}

//! This process, and the children that it starts and waits for.

use super::files::restore_files;
use super::signals::{CHANGED, set_handler};
use procmon_profile::wire::RunAs;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// This process ends with its parent, and by nothing else that a terminal or a runtime sends. It is the
/// first to go when memory is short.
pub(crate) fn end_with_parent() {
    // SAFETY: takes numbers, and a name that is a constant.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, c"procmon-reader".as_ptr());
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    // Where it may not, it is as good as any other.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Peak resident memory of this process, in bytes.
pub(crate) fn peak_rss() -> u64 {
    // SAFETY: all-zero is a valid rusage, and the pointer is to a local.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024
}

/// A child that waits for leave to execute its program.
pub(crate) struct Held {
    /// Its process id.
    pub(crate) pid: u32,
    go: OwnedFd,
    errors: std::fs::File,
}

impl Held {
    /// Lets it execute. The error is that of execve.
    pub(crate) fn release(mut self) -> io::Result<()> {
        use std::io::Write as _;
        let told = std::fs::File::from(self.go).write_all(b"x");
        // Who executes a program tells no error any more.
        match next_error(&mut self.errors) {
            Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
            Err(_) => told,
        }
    }
}

/// The errno that a held child tells next.
fn next_error(errors: &mut std::fs::File) -> io::Result<i32> {
    use std::io::Read as _;
    let mut errno = [0_u8; 4];
    errors.read_exact(&mut errno)?;
    Ok(i32::from_ne_bytes(errno))
}

/// Forks a child, waits until it has become this user, and holds it. Once it is released, it executes the
/// first of the programs that it can, as execvp(3) does. Its standard output can be replaced. It ignores the
/// signals of
/// `ignored`, bit N - 1 for signal N.
pub(crate) fn spawn_held(
    programs: &[CString],
    argv: &[CString],
    stdout: Option<i32>,
    user: Option<&RunAs>,
    ignored: u64,
) -> io::Result<Held> {
    let mut pointers: Vec<*const libc::c_char> = argv.iter().map(|text| text.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let (go_read, go) = pipe()?;
    let (failed, failed_write) = pipe()?;
    // SAFETY: this process has one thread, so the child may do anything; it only makes system calls.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        // SAFETY: descriptors and pointers were made above and live in the child's copy.
        unsafe {
            for signal in CHANGED {
                set_handler(signal, ignored >> (signal - 1) & 1 != 0);
            }
            restore_files();
            if let Some(stdout) = stdout {
                libc::dup2(stdout, 1);
            }
            libc::close(go.as_raw_fd());
            let tell = |errno: libc::c_int| {
                libc::write(failed_write.as_raw_fd(), (&raw const errno).cast(), 4);
            };
            let fail = |errno: libc::c_int| -> ! {
                tell(errno);
                libc::_exit(127)
            };
            if let Some(user) = user
                && !become_user(user)
            {
                fail(*libc::__errno_location());
            }
            tell(0);
            let mut byte = 0_u8;
            if libc::read(go_read.as_raw_fd(), (&raw mut byte).cast(), 1) != 1 {
                libc::_exit(127);
            }
            unsafe extern "C" {
                static environ: *const *const libc::c_char;
            }
            let mut why = libc::ENOENT;
            for program in programs {
                libc::execve(program.as_ptr(), pointers.as_ptr(), environ);
                match *libc::__errno_location() {
                    libc::ENOENT | libc::ENOTDIR => {}
                    libc::EACCES => why = libc::EACCES,
                    errno => fail(errno),
                }
            }
            fail(why);
        }
    }
    drop(failed_write);
    let pid = pid.cast_unsigned();
    let mut errors = std::fs::File::from(failed);
    match next_error(&mut errors) {
        Ok(0) => Ok(Held { pid, go, errors }),
        told => {
            wait(pid, true);
            Err(told.map_or_else(|error| error, io::Error::from_raw_os_error))
        }
    }
}

/// Gives up this user for another, for good. The calls are the kernel's own: those of the C library
/// would ask other threads, and a forked child has none.
fn become_user(user: &RunAs) -> bool {
    // To the kernel this number says "as it is".
    if user.uid == u32::MAX || user.gid == u32::MAX {
        return false;
    }
    // SAFETY: the list lives until the call returns, all else is numbers.
    unsafe {
        libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()) == 0
            && libc::syscall(libc::SYS_setresgid, user.gid, user.gid, user.gid) == 0
            && libc::syscall(libc::SYS_setresuid, user.uid, user.uid, user.uid) == 0
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read.into(), write.into()))
}

/// How a child ended, as wait(2) gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WaitStatus(i32);

impl WaitStatus {
    /// Exit code, 128 + N for a signal.
    pub(crate) fn code(self) -> i32 {
        if libc::WIFSIGNALED(self.0) {
            128 + libc::WTERMSIG(self.0)
        } else {
            libc::WEXITSTATUS(self.0)
        }
    }
}

/// How a child ended; none while it runs and `block` is not set.
pub(crate) fn wait(pid: u32, block: bool) -> Option<WaitStatus> {
    let mut status = 0;
    let flags = if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: the pointer is to a local.
        let found = unsafe { libc::waitpid(pid.cast_signed(), &raw mut status, flags) };
        if found > 0 {
            return Some(WaitStatus(status));
        }
        if found < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            continue;
        }
        return None;
    }
}

//! The only unsafe code of this crate: system calls that std does not offer.
#![expect(unsafe_code, reason = "system calls")]

use procmon_profile::wire::RunAs;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

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

/// From now on every signal that can be caught only asks to stop, and a closed pipe is an error: an image names the
/// signal that ends its containers. `all` is false where a person's terminal sends signals too: those of
/// job control, and those that are ignored already, are left alone then.
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

/// Random bytes of the system.
pub(crate) fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    // SAFETY: the pointer and the length are those of a local.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // So few bytes come whole.
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(bytes)
}

/// What is written to a file does not wait, or fails at once: looked at for so long.
pub(crate) fn has_room(file: &impl AsRawFd, wait: std::time::Duration) -> bool {
    is_ready(file, libc::POLLOUT, wait)
}

/// Reading does not wait, or fails at once: looked at for so long.
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

/// This process ends with its parent, and by nothing else that a terminal or a runtime sends. It is the first to go
/// when memory is short.
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

/// Somebody asked to stop.
pub(crate) fn stop_requested() -> bool {
    STOPS.load(Ordering::Relaxed) + URGENT.load(Ordering::Relaxed) != 0
}

/// The SIGURG that came was the sentinel's.
pub(crate) fn forget_urgent() {
    URGENT.store(0, Ordering::Relaxed);
}

/// Nanoseconds of the monotonic clock, which the programs in the kernel read too.
pub(crate) fn monotonic_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of CPU time that this process took.
pub(crate) fn cpu_ns() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
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

/// Waits until every CPU has left the programs that it ran: a global memory barrier.
pub(crate) fn barrier() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes no pointers.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

/// Nanoseconds of a tick of the kernel: what the coarse clock can tell apart.
pub(crate) fn tick_ns() -> u32 {
    let mut resolution = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut resolution) };
    u32::try_from(resolution.tv_nsec).unwrap_or(0)
}

/// Kernel release and machine, as `uname -r` and `uname -m`.
pub(crate) fn uname() -> (String, String, String) {
    // SAFETY: all-zero is a valid utsname, and the pointer is to a local.
    let names = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&raw mut names);
        names
    };
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| byte.to_ne_bytes()[0])
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (
        text(&names.release),
        text(&names.machine),
        text(&names.nodename),
    )
}

/// The descriptor that a system call has just made, or why it made none.
fn made(result: libc::c_long) -> io::Result<OwnedFd> {
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
fn restore_files() {
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

/// Forks a child, waits until it has become this user, and holds it. Once it is released, it executes the first
/// of the programs that it can, as execvp(3) does. Its standard output can be replaced. It ignores the signals of
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

/// Signals whose handling this program and its caller's runtime have changed; the last two are the C library's, which
/// ignores them in what it spawns. All others are handed on as they came.
const CHANGED: [libc::c_int; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGPIPE, 32, 33];

/// Has the kernel ignore a signal, or treat it as it does by default. By the kernel's own call: that of the C library
/// refuses its own signals.
unsafe fn set_handler(signal: libc::c_int, ignore: bool) {
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

/// Text as the kernel takes it.
pub(crate) fn c_text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read.into(), write.into()))
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

/// Sets the loopback device up in this network namespace.
pub(crate) fn loopback_up() {
    const IFF_UP: libc::c_short = 1;
    // SAFETY: the request names the device and holds flags only; the descriptor is closed.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = libc::c_char::from_ne_bytes([b'l']);
        request.ifr_name[1] = libc::c_char::from_ne_bytes([b'o']);
        request.ifr_ifru.ifru_flags = IFF_UP;
        libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request);
        libc::close(socket);
    }
}

/// Moves this process into new namespaces.
pub(crate) fn unshare(flags: libc::c_int) -> bool {
    // SAFETY: takes no pointers.
    unsafe { libc::unshare(flags) == 0 }
}

/// A child that ends at once.
pub(crate) fn fork_nothing() {
    // SAFETY: this process has one thread; the child only ends.
    unsafe {
        match libc::fork() {
            0 => libc::_exit(0),
            pid if pid > 0 => {
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
            _ => {}
        }
    }
}

/// Sends a signal to the parent.
pub(crate) fn kill_parent(signal: libc::c_int) {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(libc::getppid(), signal) };
}

/// Makes a file system in memory that is mounted nowhere, and works in it; false where the kernel
/// (before 5.2) or the caller's rights do not let it.
pub(crate) fn enter_detached_tmpfs() -> bool {
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    // SAFETY: the name lives until the call returns, all else is numbers. The descriptors are this
    // process's own, which soon ends.
    unsafe {
        let context = libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0);
        libc::syscall(libc::SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
        let mount = libc::syscall(libc::SYS_fsmount, context, 0, 0);
        libc::syscall(libc::SYS_fchdir, mount) == 0
    }
}

/// Each operation on names once, in the working folder, and one that fails.
pub(crate) fn use_names() {
    let (one, two) = (c"one".as_ptr(), c"two".as_ptr());
    // SAFETY: the names are constants.
    unsafe {
        libc::open(one, libc::O_RDONLY);
        libc::mkdir(one, 0o700);
        libc::rmdir(one);
        libc::mknod(one, libc::S_IFREG | 0o600, 0);
        libc::chmod(one, 0o600);
        libc::chown(one, 0, 0);
        libc::truncate(one, 1);
        libc::link(one, two);
        libc::unlink(two);
        libc::rename(one, two);
        libc::symlink(two, one);
    }
}

/// Makes a ring of io_uring and lets it write `text` to `null` and make a directory. False when the
/// kernel has none for us.
pub(crate) fn use_ring(null: &impl AsRawFd, text: &[u8]) -> bool {
    const SETUP: libc::c_long = 425;
    const ENTER: libc::c_long = 426;
    const WRITE: u64 = 23;
    const MKDIRAT: u64 = 37;
    const GETEVENTS: libc::c_uint = 1;
    const ENTRIES: u32 = 2;
    const BYTES: usize = 4096;
    // Offsets into the mapped descriptor: IORING_OFF_SQ_RING, IORING_OFF_SQES.
    const SQ_RING: libc::off_t = 0;
    const SQES: libc::off_t = 0x1000_0000;
    // struct io_uring_params: 120 bytes; sq_off.tail at 44, sq_off.array at 64.
    let mut parameters = [0_u32; 30];
    // SAFETY: the parameters live until the call returns.
    let ring = unsafe { libc::syscall(SETUP, ENTRIES, parameters.as_mut_ptr()) };
    let Ok(ring) = made(ring) else {
        return false;
    };
    let map = |offset| {
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                ring.as_raw_fd(),
                offset,
            )
        };
        (start != libc::MAP_FAILED).then_some(start.cast::<u32>())
    };
    let (Some(queue), Some(requests)) = (map(SQ_RING), map(SQES)) else {
        return false;
    };
    // struct io_uring_sqe, 64 bytes: opcode, fd, off, addr, len.
    let words = |opcode: u64, fd: i32, address: u64, length: u64| {
        let head = opcode | u64::from(fd.cast_unsigned()) << 32;
        [head, 0, address, length, 0, 0, 0, 0]
    };
    let all = [
        words(
            WRITE,
            null.as_raw_fd(),
            text.as_ptr() as u64,
            text.len() as u64,
        ),
        words(MKDIRAT, libc::AT_FDCWD, c"three".as_ptr() as u64, 0o700),
    ];
    // SAFETY: both mappings are as large as a page, which two requests and the small ring fit into;
    // the offsets are the kernel's.
    unsafe {
        requests
            .cast::<[[u64; 8]; ENTRIES as usize]>()
            .write_unaligned(all);
        let array = queue.byte_add(parameters[16] as usize);
        array.write(0);
        array.add(1).write(1);
        let tail = queue.byte_add(parameters[11] as usize).cast::<AtomicU32>();
        (*tail).store(ENTRIES, Ordering::Release);
        libc::syscall(ENTER, ring.as_raw_fd(), ENTRIES, ENTRIES, GETEVENTS, 0, 0)
            == libc::c_long::from(ENTRIES)
    }
}

/// `getppid`, made as a system call.
pub(crate) fn getppid() {
    // SAFETY: takes no arguments.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// `close` of a descriptor that is not open.
pub(crate) fn close_nothing() {
    // SAFETY: the number is no descriptor.
    unsafe { libc::syscall(libc::SYS_close, -1) };
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

/// Runs of a program that the kernel skipped since it ran already (`recursion_misses`), its run
/// time and its runs where the kernel counts them.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ProgramStatistics {
    /// Nanoseconds.
    pub(crate) run_time_ns: u64,
    /// Runs.
    pub(crate) run_count: u64,
    /// Skipped; none before 5.12.
    pub(crate) missed: Option<u64>,
}

/// Number of the PMU that attaches kprobes; none on kernels without them.
pub(crate) fn kprobe_pmu() -> Option<u32> {
    let text = std::fs::read_to_string("/sys/bus/event_source/devices/kprobe/type").ok()?;
    text.trim().parse().ok()
}

/// Attaches a program to the entry or the return of a kernel function, by the PMU of kprobes; the
/// descriptor keeps it there.
pub(crate) fn attach_kprobe(
    pmu: u32,
    program: i32,
    function: &str,
    is_return: bool,
) -> io::Result<OwnedFd> {
    const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
    const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    // struct perf_event_attr, include/uapi/linux/perf_event.h, PERF_ATTR_SIZE_VER5: type and size
    // at 0, config at 8, sample_period at 16, kprobe_func (config1) at 56.
    const SIZE: usize = 112;
    let name = CString::new(function)?;
    let mut attributes = [0_u64; SIZE / 8];
    attributes[0] = u64::from(pmu) | (SIZE as u64) << 32;
    // Bit 0 says that it is the return, as .../kprobe/format/retprobe has it on every kernel.
    attributes[1] = u64::from(is_return);
    attributes[2] = 1;
    attributes[7] = name.as_ptr() as u64;
    // SAFETY: attributes and name live until the call returns.
    let event = made(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attributes.as_ptr(),
            -1,
            0,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    })?;
    for (request, argument) in [
        (PERF_EVENT_IOC_SET_BPF, program),
        (PERF_EVENT_IOC_ENABLE, 0),
    ] {
        // SAFETY: takes numbers only.
        if unsafe { libc::ioctl(event.as_raw_fd(), request as _, argument) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(event)
}

/// Statistics of a loaded program, by `BPF_OBJ_GET_INFO_BY_FD`.
pub(crate) fn program_statistics(fd: &impl AsRawFd) -> io::Result<ProgramStatistics> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
    #[repr(C)]
    struct Attr {
        fd: u32,
        length: u32,
        info: u64,
    }
    // struct bpf_prog_info, include/uapi/linux/bpf.h: run_time_ns at 192, run_cnt at 200,
    // recursion_misses at 208.
    let mut info = [0_u64; 32];
    let mut attr = Attr {
        fd: fd.as_raw_fd().cast_unsigned(),
        length: 256,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the structure and the buffer live until the call returns; the length is the buffer's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_OBJ_GET_INFO_BY_FD,
            &raw mut attr,
            size_of::<Attr>(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ProgramStatistics {
        run_time_ns: info[24],
        run_count: info[25],
        missed: (attr.length >= 216).then_some(info[26]),
    })
}

/// One `struct bpf_insn`, include/uapi/linux/bpf.h: code, two registers, offset, immediate.
const fn instruction(code: u64, to: u64, from: u64, offset: u64, value: u32) -> u64 {
    code | to << 8 | from << 12 | offset << 16 | (value as u64) << 32
}

/// Loads a program that is written here, instruction by instruction; `kind` is an
/// `enum bpf_prog_type`, the name has at most 15 bytes.
fn load_program(kind: u32, name: &[u8], code: &[u64]) -> io::Result<OwnedFd> {
    const BPF_PROG_LOAD: libc::c_long = 5;
    #[repr(C)]
    struct Attr {
        kind: u32,
        instructions: u32,
        code: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel: u32,
        flags: u32,
        name: [u8; 16],
    }
    let license = c"Dual MIT/GPL";
    let mut attr = Attr {
        kind,
        instructions: u32::try_from(code.len()).map_err(io::Error::other)?,
        code: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel: 0,
        flags: 0,
        name: [0; 16],
    };
    for (to, from) in attr.name[..15].iter_mut().zip(name) {
        *to = *from;
    }
    // SAFETY: the structure and what it points to live until the call returns.
    made(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw mut attr,
            size_of::<Attr>(),
        )
    })
}

/// The kernel takes a program that reads from any address through its function of this number,
/// `bpf_rdonly_cast`.
pub(crate) fn may_cast_any_address(function: u32) -> bool {
    const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
    const BPF_PSEUDO_KFUNC_CALL: u64 = 2;
    let code = [
        // r1 = 0; r2 = 0; call function; r0 = *(u64 *)(r0 + 0)
        instruction(0xb7, 1, 0, 0, 0),
        instruction(0xb7, 2, 0, 0, 0),
        instruction(0x85, 0, BPF_PSEUDO_KFUNC_CALL, 0, function),
        instruction(0x79, 0, 0, 0, 0),
        instruction(0x95, 0, 0, 0, 0),
    ];
    load_program(BPF_PROG_TYPE_RAW_TRACEPOINT, b"procmon_cast", &code).is_ok()
}

/// Moves this process into a network namespace.
pub(crate) fn enter_network(namespace: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: a descriptor that is open.
    if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A packet socket of this network namespace that hands every packet, without its link header, to a
/// filter. The filter is there before the first packet.
#[expect(
    clippy::cast_possible_truncation,
    reason = "small constants and descriptors, in the widths of the kernel's structures"
)]
pub(crate) fn tap_socket(filter: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let socket = made(libc::c_long::from(unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        )
    }))?;
    let program = filter.as_raw_fd();
    // SAFETY: all-zero is a valid address, and values and lengths belong to locals.
    let failed = unsafe {
        let mut all: libc::sockaddr_ll = std::mem::zeroed();
        all.sll_family = libc::AF_PACKET as u16;
        all.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const program).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        ) != 0
            || libc::bind(
                socket.as_raw_fd(),
                (&raw const all).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            ) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// Loads the program that stands on one tap: it leaves the number of the tap's network namespace in
/// the packet's `cb[0]` and goes on with the first program of an array. It takes no packet itself.
pub(crate) fn tap_program(netns: u32, programs: &impl AsRawFd) -> io::Result<OwnedFd> {
    const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
    const BPF_PSEUDO_MAP_FD: u64 = 1;
    const BPF_FUNC_TAIL_CALL: u32 = 12;
    /// Offset of `cb` in `struct __sk_buff`.
    const CB: u64 = 48;
    let array = programs.as_raw_fd().cast_unsigned();
    let code = [
        // r2 = netns; cb[0] = r2
        instruction(0xb7, 2, 0, 0, netns),
        instruction(0x63, 1, 2, CB, 0),
        // r2 = the array; r3 = 0; go on there
        instruction(0x18, 2, BPF_PSEUDO_MAP_FD, 0, array),
        0,
        instruction(0xb7, 3, 0, 0, 0),
        instruction(0x85, 0, 0, 0, BPF_FUNC_TAIL_CALL),
        // There was none: return 0
        instruction(0xb7, 0, 0, 0, 0),
        instruction(0x95, 0, 0, 0, 0),
    ];
    load_program(BPF_PROG_TYPE_SOCKET_FILTER, b"procmon_tap", &code)
}

/// Views a record that a program of ours wrote. None when there are too few bytes.
pub(crate) fn record<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: a Pod may have any bytes, there are enough of them, and the read takes any alignment.
    Some(unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) })
}

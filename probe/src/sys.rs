//! The only unsafe code of this crate: system calls that std does not offer.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of signals that asked to stop.
static STOPS: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_stop(_: libc::c_int) {
    STOPS.fetch_add(1, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM only ask to stop, and a closed pipe is an error.
pub(crate) fn catch_signals() {
    for (signal, handler) in [
        (libc::SIGINT, on_stop as *const () as libc::sighandler_t),
        (libc::SIGTERM, on_stop as *const () as libc::sighandler_t),
        (libc::SIGPIPE, libc::SIG_IGN),
    ] {
        // SAFETY: the handler only adds to an atomic.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Errors shall carry no backtrace: nobody reads one on a node, and the probe has no tables to make
/// one from. std decides by the environment, once; the command's environment stays as it was.
pub(crate) fn never_trace() {
    const SWITCH: &str = "RUST_LIB_BACKTRACE";
    let before = std::env::var_os(SWITCH);
    // SAFETY: this process has one thread.
    unsafe { std::env::set_var(SWITCH, "0") };
    let _ = std::backtrace::Backtrace::capture();
    // SAFETY: as above.
    unsafe {
        match before {
            Some(value) => std::env::set_var(SWITCH, value),
            None => std::env::remove_var(SWITCH),
        }
    }
}

/// Somebody asked to stop.
pub(crate) fn stop_requested() -> bool {
    STOPS.load(Ordering::Relaxed) != 0
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
            .map(|byte| byte.cast_unsigned())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (
        text(&names.release),
        text(&names.machine),
        text(&names.nodename),
    )
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
    failed: OwnedFd,
}

impl Held {
    /// Lets it execute. The error is that of execve.
    pub(crate) fn release(self) -> io::Result<()> {
        use std::io::{Read as _, Write as _};
        std::fs::File::from(self.go).write_all(b"x")?;
        let mut errno = [0_u8; 4];
        let mut failed = std::fs::File::from(self.failed);
        match failed.read_exact(&mut errno) {
            Ok(()) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            Err(_) => Ok(()),
        }
    }
}

/// Forks a child that executes `program` once it is released. Its standard output can be replaced.
pub(crate) fn spawn_held(
    program: &OsStr,
    argv: &[impl AsRef<OsStr>],
    stdout: Option<i32>,
) -> io::Result<Held> {
    let nul = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let path = CString::new(program.as_bytes()).map_err(nul)?;
    let arguments = argv
        .iter()
        .map(|argument| CString::new(argument.as_ref().as_bytes()).map_err(nul))
        .collect::<io::Result<Vec<_>>>()?;
    let mut pointers: Vec<*const libc::c_char> =
        arguments.iter().map(|text| text.as_ptr()).collect();
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
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGPIPE] {
                libc::signal(signal, libc::SIG_DFL);
            }
            if let Some(stdout) = stdout {
                libc::dup2(stdout, 1);
            }
            libc::close(go.as_raw_fd());
            let mut byte = 0_u8;
            if libc::read(go_read.as_raw_fd(), (&raw mut byte).cast(), 1) != 1 {
                libc::_exit(127);
            }
            unsafe extern "C" {
                static environ: *const *const libc::c_char;
            }
            libc::execve(path.as_ptr(), pointers.as_ptr(), environ);
            let errno = *libc::__errno_location();
            libc::write(failed_write.as_raw_fd(), (&raw const errno).cast(), 4);
            libc::_exit(127);
        }
    }
    Ok(Held {
        pid: pid.cast_unsigned(),
        go,
        failed,
    })
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

/// Sets the loopback device up in this network namespace.
pub(crate) fn loopback_up() {
    const IFF_UP: libc::c_short = 1;
    // SAFETY: the request names the device and holds flags only; the descriptor is closed.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed();
        request.ifr_name[1] = b'o'.cast_signed();
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
    let path = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
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
    let socket = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        )
    };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made above.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
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
#[expect(
    clippy::cast_possible_truncation,
    reason = "small constants and descriptors, in the widths of the kernel's structures"
)]
pub(crate) fn tap_program(netns: u32, programs: &impl AsRawFd) -> io::Result<OwnedFd> {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
    const BPF_FUNC_TAIL_CALL: u64 = 12;
    /// Offset of `cb` in `struct __sk_buff`.
    const CB: u64 = 48;
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
    // struct bpf_insn, include/uapi/linux/bpf.h: code, two registers, offset, immediate.
    let instruction = |code: u64, to: u64, from: u64, offset: u64, value: u32| {
        code | to << 8 | from << 12 | offset << 16 | u64::from(value) << 32
    };
    let code = [
        // r2 = netns; cb[0] = r2
        instruction(0xb7, 2, 0, 0, netns),
        instruction(0x63, 1, 2, CB, 0),
        // r2 = the array; r3 = 0; go on there
        instruction(0x18, 2, 1, 0, programs.as_raw_fd().cast_unsigned()),
        0,
        instruction(0xb7, 3, 0, 0, 0),
        instruction(0x85, 0, 0, 0, BPF_FUNC_TAIL_CALL as u32),
        // There was none: return 0
        instruction(0xb7, 0, 0, 0, 0),
        instruction(0x95, 0, 0, 0, 0),
    ];
    let license = c"Dual MIT/GPL";
    let mut attr = Attr {
        kind: BPF_PROG_TYPE_SOCKET_FILTER,
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel: 0,
        flags: 0,
        name: *b"procmon_tap\0\0\0\0\0",
    };
    // SAFETY: the structure and what it points to live until the call returns.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw mut attr,
            size_of::<Attr>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Views a record that a program of ours wrote. None when there are too few bytes.
pub(crate) fn record<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: a Pod may have any bytes, there are enough of them, and the read takes any alignment.
    Some(unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) })
}

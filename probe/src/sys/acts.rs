//! Acts of the sentinel, each a system call that a hook sees.

use super::files::made;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};

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

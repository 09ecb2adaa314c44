//! A small io_uring: one request at a time or a chain of them, by the calls of the kernel alone.
#![allow(dead_code, reason = "each workload uses a part")]

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Operations, from include/uapi/linux/io_uring.h.
pub(crate) const READV: u8 = 1;
pub(crate) const WRITEV: u8 = 2;
pub(crate) const SENDMSG: u8 = 9;
pub(crate) const RECVMSG: u8 = 10;
pub(crate) const READ_FIXED: u8 = 4;
pub(crate) const WRITE_FIXED: u8 = 5;
pub(crate) const ACCEPT: u8 = 13;
pub(crate) const CONNECT: u8 = 16;
pub(crate) const OPENAT: u8 = 18;
pub(crate) const CLOSE: u8 = 19;
pub(crate) const READ: u8 = 22;
pub(crate) const WRITE: u8 = 23;
pub(crate) const SEND: u8 = 26;
pub(crate) const RECV: u8 = 27;
pub(crate) const UNLINKAT: u8 = 36;
pub(crate) const SEND_ZC: u8 = 47;

/// Flags of a request.
pub(crate) const FIXED_FILE: u8 = 1;
pub(crate) const LINK: u8 = 4;
pub(crate) const ASYNC: u8 = 16;

/// A kernel thread takes the requests.
pub(crate) const SQPOLL: u32 = 2;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 2;
const SQ_NEED_WAKEUP: u32 = 1;
const REGISTER_FILES: u32 = 2;
const SETUP_NO_SQARRAY: u32 = 1 << 16;

/// A request: `struct io_uring_sqe`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Request {
    pub(crate) operation: u8,
    pub(crate) flags: u8,
    pub(crate) priority: u16,
    pub(crate) descriptor: i32,
    /// Offset, or a second address.
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) length: u32,
    pub(crate) operation_flags: u32,
    pub(crate) data: u64,
    pub(crate) rest: [u64; 3],
}

/// `struct io_uring_cqe`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Completion {
    data: u64,
    result: i32,
    flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Offsets {
    head: u32,
    tail: u32,
    mask: u32,
    entries: u32,
    /// The submission side's flags; the completion side's overflow.
    fifth: u32,
    /// The submission side's count of dropped entries; the completion side's entries.
    sixth: u32,
    /// The submission side's array; the completion side's flags.
    seventh: u32,
    rest: u32,
    user: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Parameters {
    entries: u32,
    completions: u32,
    flags: u32,
    cpu: u32,
    idle: u32,
    features: u32,
    workers: u32,
    reserved: [u32; 3],
    submission: Offsets,
    completion: Offsets,
}

/// A ring of 64 requests.
pub(crate) struct Ring {
    fd: OwnedFd,
    flags: u32,
    queue: *mut libc::c_void,
    requests: *mut Request,
    parameters: Parameters,
}

impl Ring {
    /// None where the kernel has no io_uring, or does not allow it.
    pub(crate) fn new(flags: u32) -> Option<Self> {
        let mut parameters = Parameters {
            flags,
            idle: 50,
            ..Parameters::default()
        };
        // SAFETY: the structure outlives the call; mappings of a new ring, of the sizes it names.
        unsafe {
            let fd = libc::syscall(libc::SYS_io_uring_setup, 64, &raw mut parameters);
            if fd < 0 {
                return None;
            }
            let fd = OwnedFd::from_raw_fd(i32::try_from(fd).ok()?);
            let map = |length: usize, offset| {
                let map = libc::mmap(
                    std::ptr::null_mut(),
                    length,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_POPULATE,
                    fd.as_raw_fd(),
                    offset,
                );
                assert_ne!(map, libc::MAP_FAILED);
                map
            };
            let places = parameters.submission.seventh as usize + 4 * parameters.entries as usize;
            let ends = parameters.completion.sixth as usize
                + size_of::<Completion>() * parameters.completions as usize;
            // Kernels since 5.4 have both queues in one mapping.
            let queue = map(places.max(ends), 0);
            let requests = map(
                size_of::<Request>() * parameters.entries as usize,
                0x1000_0000,
            );
            Some(Self {
                fd,
                flags,
                queue,
                requests: requests.cast(),
                parameters,
            })
        }
    }

    fn number(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: an aligned number within the mapping, which lives as long as the ring.
        unsafe { &*self.queue.byte_add(offset as usize).cast::<AtomicU32>() }
    }

    /// Registers descriptors: requests with `FIXED_FILE` name them by position.
    pub(crate) fn register(&self, descriptors: &[RawFd]) {
        let count = u32::try_from(descriptors.len()).expect("a small number");
        // SAFETY: the list outlives the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.fd.as_raw_fd(),
                REGISTER_FILES,
                descriptors.as_ptr(),
                count,
            )
        };
        assert_eq!(result, 0);
    }

    /// Registers a buffer, which requests name by position 0.
    pub(crate) fn register_buffer(&self, buffer: &mut [u8]) {
        let vector = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: the vector outlives the call, the buffer the ring's use of it.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.fd.as_raw_fd(),
                0,
                &raw const vector,
                1,
            )
        };
        assert_eq!(result, 0);
    }

    /// Hands requests over; does not wait.
    pub(crate) fn submit(&self, requests: &[Request]) {
        let side = &self.parameters.submission;
        let tail = self.number(side.tail).load(Ordering::Relaxed);
        let mask = self.number(side.mask).load(Ordering::Relaxed);
        for (number, request) in (tail..).zip(requests) {
            let place = number & mask;
            // SAFETY: the place is within the mapping, and the kernel does not read it yet.
            unsafe { *self.requests.add(place as usize) = *request };
            if self.flags & SETUP_NO_SQARRAY == 0 {
                self.number(side.seventh + 4 * place)
                    .store(place, Ordering::Relaxed);
            }
        }
        let count = u32::try_from(requests.len()).expect("a small number");
        self.number(side.tail)
            .store(tail.wrapping_add(count), Ordering::SeqCst);
        if self.flags & SQPOLL == 0 {
            self.enter(count, 0, 0);
        } else if self.number(side.fifth).load(Ordering::SeqCst) & SQ_NEED_WAKEUP != 0 {
            self.enter(0, 0, ENTER_SQ_WAKEUP);
        }
    }

    fn enter(&self, submit: u32, wait: u32, flags: u32) {
        // SAFETY: numbers only.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd.as_raw_fd(),
                submit,
                wait,
                flags,
                0,
                0,
            )
        };
        assert!(result >= 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits for this many completions; results by the requests' data.
    pub(crate) fn wait(&self, count: u32) -> Vec<(u64, i32)> {
        let side = &self.parameters.completion;
        let mut done = Vec::new();
        while done.len() < count as usize {
            let head = self.number(side.head).load(Ordering::Relaxed);
            if head == self.number(side.tail).load(Ordering::Acquire) {
                self.enter(0, 1, ENTER_GETEVENTS);
                continue;
            }
            let place = head & self.number(side.mask).load(Ordering::Relaxed);
            // SAFETY: the kernel has written this completion.
            let completion = unsafe {
                *self
                    .queue
                    .byte_add(side.sixth as usize)
                    .cast::<Completion>()
                    .add(place as usize)
            };
            done.push((completion.data, completion.result));
            self.number(side.head)
                .store(head.wrapping_add(1), Ordering::Release);
        }
        done
    }

    /// One request and its result.
    pub(crate) fn call(&self, request: Request) -> i32 {
        self.submit(&[request]);
        self.wait(1)[0].1
    }
}

/// A request with a buffer.
pub(crate) fn transfer(operation: u8, descriptor: RawFd, buffer: &mut [u8]) -> Request {
    Request {
        operation,
        descriptor,
        address: buffer.as_mut_ptr() as u64,
        length: u32::try_from(buffer.len()).expect("a small number"),
        // The largest number means the descriptor's own position; sockets want 0.
        offset: if matches!(operation, READ | WRITE) {
            u64::MAX
        } else {
            0
        },
        ..Request::default()
    }
}

/// Opens a file.
pub(crate) fn open(path: &std::ffi::CStr, flags: i32) -> Request {
    Request {
        operation: OPENAT,
        descriptor: libc::AT_FDCWD,
        address: path.as_ptr() as u64,
        length: 0o644,
        operation_flags: flags.cast_unsigned(),
        ..Request::default()
    }
}

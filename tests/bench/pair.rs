//! The least that any tracer of system calls can add: two programs that return at once, at
//! `sys_enter` and at `sys_exit`; and the least for one that takes times. The only unsafe code of the
//! measurement.
#![expect(unsafe_code, reason = "bpf(2), which the C library does not offer")]

use std::io::Error;
use std::os::fd::{FromRawFd as _, OwnedFd};

// From linux/bpf.h.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_GET_NEXT_ID: libc::c_long = 11;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
/// Kinds of programs that run in the kernel's own functions: kprobe, tracepoint, perf event, raw
/// tracepoint (twice) and tracing.
const TRACING: [u32; 6] = [2, 5, 7, BPF_PROG_TYPE_RAW_TRACEPOINT, 24, 26];

/// `r0 = 0; exit`.
pub(crate) static EMPTY: [u64; 2] = [0xb7, 0x95];
/// `call bpf_ktime_get_ns; r0 = 0; exit`.
pub(crate) static CLOCK: [u64; 3] = [0x5_0000_0085, 0xb7, 0x95];

/// A program twice, attached until this is dropped.
#[derive(Debug)]
pub(crate) struct Pair {
    _links: [OwnedFd; 2],
}

impl Pair {
    /// Loads and attaches the program at both ends.
    pub(crate) fn attach(program: &'static [u64]) -> Result<Self, String> {
        let attach = |tracepoint| open(program, tracepoint).map_err(|error| error.to_string());
        Ok(Self {
            _links: [attach(c"sys_enter")?, attach(c"sys_exit")?],
        })
    }
}

/// bpf(2): a result that is a descriptor or 0.
///
/// # Safety
/// `attributes` is laid out as the command wants it, and what it points to lives.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> Result<libc::c_int, Error> {
    // SAFETY: the caller's; the size is the structure's own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(Error::last_os_error());
    }
    Ok(i32::try_from(result).unwrap_or(-1))
}

fn open(program: &'static [u64], tracepoint: &std::ffi::CStr) -> Result<OwnedFd, Error> {
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        code: u64,
        license: u64,
        log: [u64; 2],
    }
    #[repr(C)]
    struct Attach {
        name: u64,
        program: u32,
        padding: u32,
    }
    let mut load = Load {
        kind: BPF_PROG_TYPE_RAW_TRACEPOINT,
        instructions: u32::try_from(program.len()).unwrap_or(0),
        code: program.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        log: [0; 2],
    };
    // SAFETY: as in union bpf_attr; code and licence are static. The descriptor is new.
    let program = unsafe { OwnedFd::from_raw_fd(bpf(BPF_PROG_LOAD, &mut load)?) };
    let mut attach = Attach {
        name: tracepoint.as_ptr().addr() as u64,
        program: std::os::fd::AsRawFd::as_raw_fd(&program).cast_unsigned(),
        padding: 0,
    };
    // SAFETY: as in union bpf_attr; the name outlives the call. The descriptor is new, and keeps
    // the program.
    Ok(unsafe { OwnedFd::from_raw_fd(bpf(BPF_RAW_TRACEPOINT_OPEN, &mut attach)?) })
}

/// Programs loaded right now that trace the kernel, whoever loaded them.
pub(crate) fn tracing_programs() -> usize {
    #[repr(C)]
    struct Next {
        id: u32,
        next: u32,
        flags: u32,
    }
    let mut count = 0;
    let mut ids = Next {
        id: 0,
        next: 0,
        flags: 0,
    };
    // SAFETY: as in union bpf_attr.
    while unsafe { bpf(BPF_PROG_GET_NEXT_ID, &mut ids) }.is_ok() {
        ids.id = ids.next;
        count += usize::from(kind_of(ids.id).is_ok_and(|kind| TRACING.contains(&kind)));
    }
    count
}

/// The kind of the program with this id.
fn kind_of(id: u32) -> Result<u32, Error> {
    #[repr(C)]
    struct ById {
        id: u32,
        next: u32,
        flags: u32,
    }
    #[repr(C)]
    struct Info {
        fd: u32,
        length: u32,
        info: u64,
    }
    let mut by_id = ById {
        id,
        next: 0,
        flags: 0,
    };
    // SAFETY: as in union bpf_attr. The descriptor is new.
    let program = unsafe { OwnedFd::from_raw_fd(bpf(BPF_PROG_GET_FD_BY_ID, &mut by_id)?) };
    // struct bpf_prog_info begins with the type.
    let mut kind = [0_u32; 2];
    let mut info = Info {
        fd: std::os::fd::AsRawFd::as_raw_fd(&program).cast_unsigned(),
        length: 8,
        info: kind.as_mut_ptr().addr() as u64,
    };
    // SAFETY: as in union bpf_attr; the kernel writes at most the length given.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut info)? };
    Ok(kind[0])
}

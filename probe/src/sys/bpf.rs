//! Programs of the kernel: loading and attaching those that aya does not, statistics, and the records that
//! programs write.

use super::files::made;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Waits until every CPU has left the programs that it ran: a global memory barrier.
pub(crate) fn barrier() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes no pointers.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
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

//! io_uring: what requests did, when they complete.
//!
//! Hooks (tp_btf): io_uring_complete(ctx, req, …), whose req there is since 5.19; io_uring_submit_req(req),
//! from 6.0 to 6.3 io_uring_submit_sqe(req, …). Both run in the task that submits, in its workers, or
//! in the ring's own thread: these have the descriptors and the label of who made them. A request
//! holds its file, so that no descriptor has to be looked up, and the kernel's copy of its names.

use crate::atomics::lost;
use crate::kernel::file::KernelFile;
use crate::kernel::hook::{alone, number_of};
use crate::kernel::memory::read;
use crate::kernel::sock::Sk;
use crate::kernel::task;
use crate::maps::{REQUESTS, offset, open, value};
use crate::programs::file::{calls, names, resolved, rows};
use crate::programs::network::{connections, listeners, sockets};
use crate::programs::record::Task;
use crate::programs::row::Row;
use crate::programs::transfer;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use procmon_probe_ebpf::abi::{FileOp, Loss, NO_OFFSET, RingNames};

/// `IOSQE_CQE_SKIP_SUCCESS`, which requests keep among their own flags: success is not told.
const SKIP_SUCCESS: u64 = 1 << 6;
const AT_REMOVEDIR: u32 = 0x200;

/// The effect of a request, by `enum io_uring_op` of include/uapi/linux/io_uring.h.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Nothing that is counted.
    Nothing,
    Read,
    Write,
    /// An operation on its file.
    Changes(FileOp),
    Sends,
    Receives,
    Accepts,
    Connects,
    Listens,
    Binds,
    Allocates,
    Opens,
    /// An operation on names.
    Names(FileOp),
    /// An effect that can't be told here.
    Other,
}

#[inline(always)]
fn does(opcode: u8) -> Does {
    match opcode {
        // NOP, FSYNC, POLL_ADD, POLL_REMOVE, SYNC_FILE_RANGE, TIMEOUT, TIMEOUT_REMOVE, ASYNC_CANCEL,
        // LINK_TIMEOUT, CLOSE, FILES_UPDATE, STATX, FADVISE, MADVISE, EPOLL_CTL, PROVIDE_BUFFERS,
        // REMOVE_BUFFERS, SHUTDOWN, FGETXATTR, GETXATTR, SOCKET, WAITID, FUTEX_WAIT, FUTEX_WAKE,
        // FUTEX_WAITV, FIXED_FD_INSTALL, EPOLL_WAIT, PIPE.
        0
        | 3
        | 6..=8
        | 11
        | 12
        | 14
        | 15
        | 19..=21
        | 24
        | 25
        | 29
        | 31
        | 32
        | 34
        | 43..=45
        | 50..=54
        | 59
        | 62 => Does::Nothing,
        // READV, READ_FIXED, READ, READV_FIXED.
        1 | 4 | 22 | 60 => Does::Read,
        // WRITEV, WRITE_FIXED, WRITE, WRITEV_FIXED.
        2 | 5 | 23 | 61 => Does::Write,
        // SENDMSG, SEND, SEND_ZC, SENDMSG_ZC.
        9 | 26 | 47 | 48 => Does::Sends,
        // RECVMSG, RECV.
        10 | 27 => Does::Receives,
        13 => Does::Accepts,
        16 => Does::Connects,
        56 => Does::Binds,
        57 => Does::Listens,
        // OPENAT, OPENAT2.
        18 | 28 => Does::Opens,
        35 => Does::Names(FileOp::Rename),
        36 => Does::Names(FileOp::Unlink),
        37 => Does::Names(FileOp::Mkdir),
        38 => Does::Names(FileOp::Symlink),
        39 => Does::Names(FileOp::Link),
        // FSETXATTR, FTRUNCATE.
        41 => Does::Changes(FileOp::Setxattr),
        55 => Does::Changes(FileOp::Truncate),
        17 => Does::Allocates,
        _ => Does::Other,
    }
}

#[btf_tracepoint(function = "io_uring_submit_req")]
fn on_io_uring_submit(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            let request: *const u8 = ctx.arg(0);
            submitted(number_of(request));
        }
    });
    0
}

/// A request was taken: its names are looked at while the kernel has them.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn submitted(request: u64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let exe = task.exe();
    let what = does(read(request, offset!(req_opcode)));
    if read::<u64>(request, offset!(req_flags)) & SKIP_SUCCESS != 0 && what != Does::Nothing {
        lost(Loss::Requests);
    }
    let op = match what {
        Does::Opens => FileOp::None,
        Does::Names(op) => op,
        _ => return 0,
    };
    let mut names = RingNames::default();
    let (directory, name) = match op {
        FileOp::None => (offset!(io_open_dfd), offset!(io_open_filename)),
        FileOp::Unlink => (offset!(io_unlink_dfd), offset!(io_unlink_filename)),
        FileOp::Mkdir => (offset!(io_mkdir_dfd), offset!(io_mkdir_filename)),
        FileOp::Rename => (offset!(io_rename_new_dfd), offset!(io_rename_newpath)),
        _ => (offset!(io_link_new_dfd), offset!(io_link_newpath)),
    };
    names.first = named(exe, request, directory, name);
    if op == FileOp::Rename {
        names.second = named(
            exe,
            request,
            offset!(io_rename_old_dfd),
            offset!(io_rename_oldpath),
        );
    }
    names.op = op as u32;
    if op == FileOp::Unlink && read::<u32>(request, offset!(io_unlink_flags)) & AT_REMOVEDIR != 0 {
        names.op = FileOp::Rmdir as u32;
    }
    if REQUESTS.insert(request, names, 0).is_err() {
        lost(Loss::Requests);
    }
    0
}

/// The row of a name that a request holds.
#[inline(always)]
fn named(exe: u32, request: u64, directory: u32, name: u32) -> u32 {
    if name == NO_OFFSET {
        return 0;
    }
    resolved::copied_name_row(exe, read(request, directory), read(request, name))
}

#[btf_tracepoint(function = "io_uring_complete")]
fn on_io_uring_complete(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            completed(ctx.arg(1));
        }
    });
    0
}

/// A request has a result.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn completed(request: u64) -> u32 {
    if offset!(req_cqe) == NO_OFFSET {
        return 0;
    }
    if request == 0 {
        // One more result of a request that gives many.
        if Task::current().is_some() {
            lost(Loss::Requests);
        }
        return 0;
    }
    let owner: u64 = if offset!(req_tctx) == NO_OFFSET {
        read(request, offset!(req_task))
    } else {
        read(read(request, offset!(req_tctx)), offset!(tctx_task))
    };
    let Some(task) = Task::of(owner) else {
        return 0;
    };
    let exe = task.exe();
    let result = i64::from(read::<i32>(request, offset!(req_cqe) + offset!(cqe_res)));
    let what = does(read(request, offset!(req_opcode)));
    let is_told = match what {
        Does::Nothing => true,
        Does::Opens | Does::Names(_) => names_done(exe, request, result),
        Does::Accepts => {
            result < 0
                || (!has_slot(request, offset!(io_accept_file_slot))
                    && connections::accepted(result) != 0)
        }
        Does::Other => false,
        // Whether it made the file longer can't be told afterwards.
        Does::Allocates if !calls::mode_changes(read(request, offset!(io_sync_mode))) => true,
        _ => file_done(
            exe,
            KernelFile::at(read(request, offset!(req_file))),
            what,
            result,
        ),
    };
    if !is_told {
        lost(Loss::Requests);
    }
    0
}

/// The request's result is no descriptor: it went into one of the ring's own places.
#[inline(always)]
fn has_slot(request: u64, slot: u32) -> bool {
    slot != NO_OFFSET && read::<u32>(request, slot) != 0
}

/// A request on its file has a result; false when it can't be told whose.
#[inline(always)]
fn file_done(exe: u32, its_file: KernelFile, what: Does, result: i64) -> bool {
    let inode = its_file.inode();
    if inode.is_none() {
        // Without a file it has failed before it began.
        return result < 0;
    }
    if inode.is_socket() {
        let sk = || Sk::of_socket(its_file.socket());
        return match what {
            Does::Connects => {
                connections::connect_done(exe, sk().address(), inode.number(), result) != 0
            }
            Does::Listens => {
                listeners::listens(exe, sk().address(), result);
                true
            }
            Does::Binds => {
                listeners::binds(exe, sk().address(), inode.number(), result);
                true
            }
            _ => {
                let Some(row) = Row::of(sockets::connection_row(exe, its_file.address())) else {
                    return result < 0;
                };
                let inward = matches!(what, Does::Receives | Does::Read);
                transfer::peer_moved(row, result, inward);
                true
            }
        };
    }
    let Some(row) = Row::of(rows::looked_up_row(exe, its_file.address())) else {
        return true;
    };
    match what {
        Does::Read => transfer::moved(row, false, result, true),
        Does::Write => transfer::moved(row, false, result, false),
        Does::Changes(op) => rows::changed(row, op as u8, result),
        Does::Allocates => rows::changed(row, FileOp::Truncate as u8, result),
        _ => {}
    }
    true
}

/// A request on names has a result; false when they are not known.
#[inline(always)]
fn names_done(exe: u32, request: u64, result: i64) -> bool {
    let Some(names) = value(&REQUESTS, request) else {
        return false;
    };
    let _ = REQUESTS.remove(request);
    if names.op == FileOp::None as u32 && result >= 0 {
        let made = task::file(task::current(), result as u32);
        return !has_slot(request, offset!(io_open_file_slot))
            && !made.is_none()
            && rows::opened_file(exe, made).is_some();
    }
    let (first, second) = (Row::of(names.first), Row::of(names.second));
    names::names_done(first, second, names.op as u8, result);
    first.is_some()
}

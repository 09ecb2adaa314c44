//! Files: what calls did to descriptors and names. No hooks of its own: called at the entry and
//! return of system calls, and when a program was executed.
//!
//! A descriptor leads to the kernel's own file, so its path is settled. For a name given as an
//! argument the rows that `resolved` found during the call are taken; without them it is read from the
//! caller's memory at the return, and marked so.

use crate::atomics::{add, lost};
use crate::kernel::file::KernelFile;
use crate::kernel::{regs, task};
use crate::maps::{FILE_CACHE, FILE_ROWS, SCRATCH_MASK};
use crate::programs::file::names::{self, AT_FDCWD, EMPTY, FOLLOW, IN_ROOT, QUEUE};
use crate::programs::file::rows::{self, Seen};
use crate::programs::network::{datagrams, sockets};
use crate::programs::record::Task;
use crate::programs::row::Row;
use crate::programs::transfer;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use procmon_probe_ebpf::abi::{
    ABI_COMPAT, Call, CallKind, FILE_KEY_FOLLOWED, FILE_KEY_NAMED, FileEvent, FileOp, Loss,
    MAX_ARGV, NAMES_FLAGS, NAMES_FOLLOW, NAMES_QUEUE, NO_ARG, SOCKET_FIRST, SOCKET_SECOND,
};

/// Modes of fallocate that change content, include/uapi/linux/falloc.h: PUNCH_HOLE, COLLAPSE_RANGE,
/// ZERO_RANGE, INSERT_RANGE, WRITE_ZEROES.
const FALLOC_CHANGES: u64 = 0x02 | 0x08 | 0x10 | 0x20 | 0x80;
const FALLOC_KEEP_SIZE: u64 = 0x01;
/// Requests of ioctl, include/uapi/linux/fs.h and falloc.h.
const FICLONE: u32 = 0x4004_9409;
const FICLONERANGE: u32 = 0x4020_940d;
const FS_IOC_UNRESVSP: u32 = 0x4030_5829;
const FS_IOC_UNRESVSP64: u32 = 0x4030_582b;
const FS_IOC_ZERO_RANGE: u32 = 0x4030_5839;
const BLKDISCARD: u32 = 0x1277;
const BLKSECDISCARD: u32 = 0x127d;
const BLKZEROOUT: u32 = 0x127f;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const MAP_SHARED: u64 = 1;
const AT_REMOVEDIR: u64 = 0x200;
const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EMPTY_PATH: u64 = 0x1000;
const RESOLVE_IN_ROOT: u64 = 0x10;
/// Position of the `struct open_how` of openat2.
const OPEN_HOW: u8 = 2;

/// Keeps which file or socket the descriptor in an argument is until the call returns.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn keep(regs: u64, position: u64, slot: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    task.forget_descriptors();
    let descriptor = regs::argument(regs, task.abi(), position as u8) as u32;
    let files = task::files(task.task());
    let file = task::file_in(files, descriptor);
    task.set_file(if task::is_alone(files) {
        KernelFile::at(0)
    } else {
        file
    });
    let (row, socket) = kept_row(task.exe(), file);
    task.set_first_row(row);
    task.set_sockets(socket);
    if socket != 0 {
        sockets::keep_sock(task, file);
    }
    0
}

/// The same of a second descriptor.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn keep_second(regs: u64, position: u64, slot: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let descriptor = regs::argument(regs, task.abi(), position as u8) as u32;
    let (row, socket) = kept_row(task.exe(), task::file(task.task(), descriptor));
    task.set_second_row(row);
    task.set_sockets(task.sockets() | socket * SOCKET_SECOND);
    0
}

/// The row of what a descriptor leads to, and whether that is a socket.
#[inline(always)]
fn kept_row(exe: u32, file: KernelFile) -> (Option<Row>, u32) {
    if file.is_none() {
        return (None, 0);
    }
    let cached = FILE_CACHE.get_ptr_mut(Seen::place(file));
    // SAFETY: a map value of this CPU.
    let is_met = cached.is_some_and(|cached| unsafe { (*cached).file == file.address() });
    if !is_met && file.inode().is_socket() {
        return (Row::of(sockets::connection_row(exe, file.address())), 1);
    }
    let seen = Seen::of(file);
    if let Some(row) = rows::cached_row(exe, &seen) {
        return (row, 0);
    }
    if is_met && seen.inode.is_socket() {
        return (Row::of(sockets::connection_row(exe, file.address())), 1);
    }
    (rows::seen_row(exe, &seen), 0)
}

/// A call on descriptors has returned: reads, writes, changes, copies, mappings.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn descriptor_done(regs: u64, kind: u64, result: i64, slot: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let (task_struct, file, first, second, sockets, abi) = (
        task.task(),
        task.file(),
        task.first_row(),
        task.second_row(),
        task.sockets(),
        task.abi(),
    );
    if first.is_some() && !file.is_none() {
        // Which of the two the call has used nobody can tell.
        let now = task::file(task_struct, regs::argument(regs, abi, kind.a) as u32);
        if !now.is_none() && now != file {
            lost(Loss::Descriptors);
        }
    }
    let first_is_peer = sockets & SOCKET_FIRST != 0;
    match kind.call() {
        // A socket without a peer, or without one when the call began.
        Call::Read | Call::Write if first.is_none() && first_is_peer => {
            datagrams::message(u32::from(kind.is(Call::Read)), 0, 0, result);
        }
        Call::Read => transfer::hold(slot, task, first, first_is_peer, result, true),
        Call::Write => transfer::hold(slot, task, first, first_is_peer, result, false),
        Call::Map => {
            if let Some(row) = first
                && !first_is_peer
            {
                mapped(row, regs, abi, kind, result);
            }
        }
        Call::Copy => {
            let second_is_peer = sockets & SOCKET_SECOND != 0;
            transfer::hold(slot, task, first, first_is_peer, result, false);
            transfer::hold(slot, task, second, second_is_peer, result, true);
        }
        Call::MqSend => {
            // Its result is no length.
            let sent = if result == 0 {
                regs::argument(regs, abi, kind.b) as i64
            } else {
                result
            };
            transfer::hold(slot, task, first, false, sent, false);
        }
        Call::Descriptor | Call::Fallocate | Call::Ioctl => {
            if let Some(row) = first
                && !first_is_peer
            {
                rows::changed(row, kind.op, result);
            }
        }
        Call::Plain
        | Call::Open
        | Call::Name
        | Call::UnlinkAt
        | Call::Rename
        | Call::Exec
        | Call::Connect
        | Call::Accept
        | Call::Listen
        | Call::SendTo
        | Call::RecvFrom
        | Call::SendMsg
        | Call::RecvMsg
        | Call::SendMmsg
        | Call::RecvMmsg
        | Call::Credentials
        | Call::Event
        | Call::Socket
        | Call::SocketCall
        | Call::Signal
        | Call::SigReturn
        | Call::Bind
        | Call::MqOpen => {}
    }
    0
}

/// fallocate is about to change content: it makes a hole, moves or clears a range, or makes the file longer.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn fallocates(regs: u64, abi: u32, kind: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let mode = regs::argument(regs, abi, kind.b);
    if mode_changes(mode as u32) {
        return 1;
    }
    let mut end = regs::argument(regs, abi, kind.c);
    if abi == ABI_COMPAT {
        // Offset and length, of two arguments each.
        let high = regs::argument(regs, abi, kind.c + 1) + regs::argument(regs, abi, kind.c + 3);
        end += regs::argument(regs, abi, kind.c + 2) + (high << 32);
    } else {
        end = end.wrapping_add(regs::argument(regs, abi, kind.c + 1));
    }
    let file = task::file(task::current(), regs::argument(regs, abi, kind.a) as u32);
    let size: u64 = file.inode().size();
    u32::from(mode & FALLOC_KEEP_SIZE == 0 && end > size)
}

/// The mode of fallocate changes content whatever the size of the file.
#[inline(always)]
pub(crate) fn mode_changes(mode: u32) -> bool {
    u64::from(mode) & FALLOC_CHANGES != 0
}

/// This request of ioctl changes content: of a file that takes a part of another one or loses one, of a block
/// device.
#[inline(always)]
pub(crate) fn ioctl_changes(request: u64) -> bool {
    matches!(
        request as u32,
        FICLONE
            | FICLONERANGE
            | FS_IOC_UNRESVSP
            | FS_IOC_UNRESVSP64
            | FS_IOC_ZERO_RANGE
            | BLKDISCARD
            | BLKSECDISCARD
            | BLKZEROOUT
    )
}

/// mq_open begins: keeps how many queues there are, which tells whether it makes one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn opens_queue(slot: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    // No descriptor is kept meanwhile.
    task.set_queues_before(task::n_queues());
    0
}

#[inline(always)]
fn mapped(row: Row, regs: u64, abi: u32, kind: CallKind, result: i64) {
    // An address above the errnos.
    if (-4095..0).contains(&result) {
        rows::changed(row, FileOp::None as u8, result);
        return;
    }
    let protection = regs::argument(regs, abi, kind.b);
    if protection & PROT_EXEC != 0 {
        rows::count(row, FileOp::MmapExec as u8);
    }
    if protection & PROT_WRITE != 0
        && regs::argument(regs, abi, kind.c) & MAP_SHARED != 0
        && let Some(counts) = FILE_ROWS.get_ptr_mut(row.number())
    {
        // SAFETY: a map value.
        add(unsafe { &raw mut (*counts).mmap_write }, 1);
    }
}

/// An open has returned a descriptor, which leads to the file.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn opened(result: i64, slot: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let (task_struct, exe) = (task.task(), task.exe());
    let file = task::file(task_struct, result as u32);
    if file.is_none() {
        return 0;
    }
    let seen = Seen::of(file);
    let row = rows::cached_row(exe, &seen).unwrap_or_else(|| rows::seen_row(exe, &seen));
    rows::count_opening(row, file);
    if let Some(row) = row
        && is_new_queue(task)
    {
        rows::count(row, FileOp::Create as u8);
    }
    0
}

/// The current call is mq_open, and there are more queues than when it began.
#[inline(always)]
fn is_new_queue(task: Task) -> bool {
    task.is_in(Call::MqOpen) && task::n_queues() > task.queues_before()
}

/// A call on one or two names has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn named(regs: u64, kind: u64, result: i64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(task) = Task::current() else {
        return 0;
    };
    // A handle is no name.
    if (result < 0 && regs::errno(result) == 0) || kind.b == NO_ARG {
        return 0;
    }
    // A program that was executed is counted where the kernel has settled it.
    if kind.is(Call::Exec) && result == 0 {
        return 0;
    }
    let abi = task.abi();
    let mut how = u64::from(kind.names & NAMES_FOLLOW != 0) * FOLLOW;
    if kind.names & NAMES_FLAGS != 0 {
        let flags = argument(regs, abi, kind.names);
        if flags & AT_SYMLINK_NOFOLLOW != 0 {
            how = 0;
        }
        if flags & AT_EMPTY_PATH != 0 {
            how |= EMPTY;
        }
    }
    if kind.is(Call::Open) && kind.c == OPEN_HOW && begins_in_root(regs, abi) != 0 {
        how |= IN_ROOT;
    }
    if kind.names & NAMES_QUEUE != 0 {
        how = QUEUE;
    }
    let op = operation(regs, kind, abi);
    if kind.is(Call::Rename) {
        let directory = if kind.a == NO_ARG { kind.c } else { kind.c + 1 };
        let at = if kind.a == NO_ARG { NO_ARG } else { kind.c };
        one_name(
            regs,
            abi,
            u32::from(at) << 8 | u32::from(directory),
            op,
            how,
            result,
        );
    }
    let places = u32::from(kind.a) << 8 | u32::from(kind.b);
    one_name(regs, abi, places, op, how, result);
    if result == 0 {
        names::links_changed(op);
    }
    0
}

/// The same when the kernel settled the names during the call; 0 when it did not.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn settled_names(regs: u64, kind: u64, result: i64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let (first, second, abi) = (task.settled_first(), task.settled_second(), task.abi());
    if first.is_none() {
        return 0;
    }
    let op = operation(regs, CallKind::from_word(kind), abi);
    names::names_done(first, second, op, result);
    1
}

/// openat2 takes its directory for the root: not 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn begins_in_root(regs: u64, abi: u32) -> u64 {
    let mut resolve = 0_u64;
    // The third member of struct open_how.
    let place = regs::argument(regs, abi, OPEN_HOW) + 16;
    // SAFETY: a local; the helper checks the address.
    unsafe { bpf_probe_read_user((&raw mut resolve).cast(), 8, place as *const _) };
    resolve & RESOLVE_IN_ROOT
}

/// An argument of the call, where reading it must not cost stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn argument(regs: u64, abi: u32, position: u8) -> u64 {
    regs::argument(regs, abi, position)
}

/// The operation of a call on its names.
#[inline(always)]
fn operation(regs: u64, kind: CallKind, abi: u32) -> u8 {
    if kind.is(Call::UnlinkAt) && argument(regs, abi, kind.c) & AT_REMOVEDIR != 0 {
        FileOp::Rmdir as u8
    } else {
        kind.op
    }
}

/// The same, by the positions of directory and name among the arguments.
#[inline(always)]
fn one_name(regs: u64, abi: u32, places: u32, op: u8, how: u64, result: i64) {
    let (directory, name) = ((places >> 8) as u8, places as u8);
    let descriptor = if directory == NO_ARG {
        AT_FDCWD
    } else {
        argument(regs, abi, directory) as u32
    };
    let row = names::named_row(descriptor, argument(regs, abi, name), how);
    names::one_name_done(Row::of(row), op, result);
}

const _: () = assert!(size_of::<FileEvent>() + MAX_ARGV < SCRATCH_MASK);
const _: () = assert!(FILE_KEY_FOLLOWED == FILE_KEY_NAMED + 1);

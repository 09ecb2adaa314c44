//! Rows of names: what a call gave as an argument, or the kernel's copy of that, relative to a directory.

use crate::atomics::{bump, opaque};
use crate::kernel::file::Dentry;
use crate::kernel::memory::read;
use crate::kernel::{cred, path, task};
use crate::maps::{FILES, Scratch, offset, state};
use crate::programs::file::rows;
use crate::programs::record;
use crate::programs::record::Task;
use crate::programs::row::Row;
use crate::scratch::{OF_CALLS, OF_FUNCTIONS, claim, is_mine, scratch};
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};
use procmon_probe_ebpf::abi::{
    FILE_FOLLOWED, FILE_KERNEL_NAME, FILE_KEY_KERNEL_NAME, FILE_KEY_NAMED, FILE_NAMED, FILE_QUEUE,
    FileEvent, FileMeta, FileOp, MAX_ARGV,
};

pub(crate) const AT_FDCWD: u32 = -100_i32 as u32;
/// In place of a descriptor: the root of the caller.
const FROM_ROOT: u32 = i32::MIN as u32;
/// How a name is looked up: a symbolic link at its end is followed.
pub(crate) const FOLLOW: u64 = 1;
/// How a name is looked up: an empty one means the descriptor.
pub(crate) const EMPTY: u64 = 2;
/// The name is the kernel's own copy, in the buffer of the functions of the kernel.
pub(crate) const KERNEL_NAME: u64 = 4;
/// How a name is looked up: the directory is the root, as `RESOLVE_IN_ROOT` has it.
pub(crate) const IN_ROOT: u64 = 8;
/// How a name is looked up: it is that of a message queue.
pub(crate) const QUEUE: u64 = 16;
/// The first eight bytes of names below /proc/self and /proc/thread-self.
const PROC_SELF: u64 = u64::from_le_bytes(*b"/proc/se");
const PROC_THREAD_SELF: u64 = u64::from_le_bytes(*b"/proc/th");
/// The first eight bytes of names of descriptors.
const DEV_FD: u64 = u64::from_le_bytes(*b"/dev/fd/");
/// Results of `own_proc`.
pub(crate) const OWN_NOTHING: u64 = 0;
pub(crate) const OWN_SOMETHING: u64 = 1 << 63;
const OWN_WITHIN: u64 = 1 << 62;
pub(crate) const OWN_SKIP: u64 = 0xff;
/// Changes of symbolic links after which names lead elsewhere: more would fill the table of rows.
const MAX_LINK_CHANGES: u64 = 1024;

/// Reads a name into its place in the buffer; its length with the NUL, or an error.
#[inline(always)]
pub(crate) fn user_name(buffer: *mut Scratch, name: u64) -> i64 {
    // SAFETY: the buffer is larger than the record and the longest name; the helper checks the address.
    unsafe {
        let place = (*buffer).bytes.as_mut_ptr().add(size_of::<FileEvent>());
        bpf_probe_read_user_str(place.cast(), MAX_ARGV as u32, name as *const _)
    }
}

/// The same from the kernel's memory.
#[inline(always)]
pub(crate) fn kernel_name(buffer: *mut Scratch, name: u64) -> i64 {
    // SAFETY: as above.
    unsafe {
        let place = (*buffer).bytes.as_mut_ptr().add(size_of::<FileEvent>());
        bpf_probe_read_kernel_str(place.cast(), MAX_ARGV as u32, name as *const _)
    }
}

/// The row of a name given as an argument, relative to a directory descriptor.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn named_row(directory: u32, name: u64, how: u64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let exe = task.exe();
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let length = user_name(buffer, name);
    // Older kernels do not count the NUL of an empty text.
    if (length == 0 || length == 1) && how & EMPTY != 0 {
        return rows::looked_up_row(exe, task::file(task::current(), directory).address());
    }
    if length <= 1 || length > MAX_ARGV as i64 {
        return 0;
    }
    // Once the process is gone, its own /proc can't be followed any more.
    let own = own_proc();
    let (directory, length) = if own == OWN_NOTHING {
        (directory, length)
    } else if own & OWN_WITHIN == 0 {
        if how & FOLLOW != 0 {
            return rows::looked_up_row(exe, task::file(task::current(), own as u32).address());
        }
        (directory, length)
    } else {
        let rest = name + (own >> 32 & OWN_SKIP);
        (own as u32, user_name(buffer, rest))
    };
    if length <= 1 || length > MAX_ARGV as i64 {
        return 0;
    }
    finish_named(exe, directory, length as u64 | how << 32)
}

/// Resolves a name within the own directory of /proc, as far as the name tells. /proc/self/fd/N and /dev/fd/N
/// give a descriptor, in the lower half. With more behind it, such a name gives `OWN_WITHIN`, and so do
/// /proc/self/cwd/ and /proc/self/root: the rest of the name, behind as many bytes as `OWN_SKIP` says, is
/// relative to it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn own_proc() -> u64 {
    const LF_FD: u64 = u64::from_le_bytes(*b"lf/fd/\0\0");
    const LF_CWD: u64 = u64::from_le_bytes(*b"lf/cwd/\0");
    const LF_ROOT: u64 = u64::from_le_bytes(*b"lf/root/");
    let Some(buffer) = scratch(OF_CALLS) else {
        return OWN_NOTHING;
    };
    // SAFETY: all within the buffer, and aligned as it is.
    unsafe {
        let name = (*buffer).bytes.as_ptr().add(size_of::<FileEvent>());
        let (first, second) = (*name.cast::<u64>(), *name.cast::<u64>().add(1));
        let digits = if first == DEV_FD {
            8
        } else if first != PROC_SELF {
            return OWN_NOTHING;
        } else if second & 0xffff_ffff_ffff == LF_FD {
            14
        } else if second & 0xff_ffff_ffff_ffff == LF_CWD || second == LF_ROOT {
            return OWN_WITHIN | 15 << 32 | u64::from(AT_FDCWD);
        } else {
            return OWN_NOTHING;
        };
        let mut number = 0_u64;
        for place in 0..7 {
            let digit = *name.add(digits + place);
            if place > 0 && digit == 0 {
                return OWN_SOMETHING | number;
            }
            if place > 0 && digit == b'/' {
                return OWN_WITHIN | ((digits + place + 1) as u64) << 32 | number;
            }
            if !digit.is_ascii_digit() {
                break;
            }
            number = number * 10 + u64::from(digit - b'0');
        }
    }
    OWN_NOTHING
}

/// The rest of `named_row`, once the name is in the buffer. The upper half of `length` says how it
/// is looked up.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn finish_named(exe: u32, directory: u32, length: u64) -> u32 {
    let follow = (length >> 32 & FOLLOW) as u32;
    let is_kernels = length >> 32 & KERNEL_NAME != 0;
    let in_root = length >> 32 & IN_ROOT != 0;
    let is_queue = length >> 32 & QUEUE != 0;
    let number = if is_kernels { OF_FUNCTIONS } else { OF_CALLS };
    let length = length & 0x1fff;
    let start = size_of::<FileEvent>();
    let hash = hash_name(length, number);
    let Some(buffer) = scratch(number) else {
        return 0;
    };
    // SAFETY: the buffer is larger than the offset.
    let absolute = unsafe { (*buffer).bytes[start] } == b'/';
    // SAFETY: as above, and aligned as the buffer is.
    let first = unsafe { *(*buffer).bytes.as_ptr().add(start).cast::<u64>() };
    // /proc/self is another directory for every process.
    let own = if first == PROC_SELF || first == PROC_THREAD_SELF {
        u64::from(record::current_tgid()) << 32
    } else {
        0
    };
    let from = if absolute && !in_root {
        FROM_ROOT
    } else {
        directory
    };
    let mount = start_of(from, offset!(path_mnt));
    let dentry = Dentry::at(start_of(from, offset!(path_dentry)));
    if dentry.is_none() {
        return 0;
    }
    let inode = dentry.inode();
    if !is_kernels {
        claim(buffer);
    }
    // SAFETY: the buffer is this task's as long as it is said to be.
    let row = unsafe {
        let key = &raw mut (*buffer).key;
        (*key).exe = exe;
        (*key).kind = if is_kernels {
            FILE_KEY_KERNEL_NAME
        } else {
            FILE_KEY_NAMED + follow
        };
        (*key).inode = inode.number();
        (*key).parent = own + link_changes() + (u64::from(is_queue) << 63);
        (*key).name = hash;
        (*key).mount = mount;
        (*key).above = rows::above(dentry.address());
        (*key).device = inode.device();
        FILES.get(&*key).map_or(0, |row| *row)
    };
    if row != 0 {
        return if is_mine(buffer) { row } else { 0 };
    }
    let from = start as u64 + length;
    let end = path::names(number, from, mount, dentry.address());
    if !is_mine(buffer) {
        return 0;
    }
    let event = buffer.cast::<FileEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        (*event).meta = FileMeta {
            flags: FILE_NAMED
                | follow * FILE_FOLLOWED
                | u32::from(is_kernels) * FILE_KERNEL_NAME
                | u32::from(is_queue) * FILE_QUEUE
                | (end >> 32) as u32,
            inode: u64::from(cred::mount_namespace(task::current())),
            ..FileMeta::default()
        };
        (*event).name_len = length as u32;
        (*event).path_len = (end as u32).wrapping_sub(from as u32);
    }
    rows::new_file_row(number, end)
}

/// The member at `offset` of the `struct path` that names below a descriptor begin at.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn start_of(directory: u32, offset: u32) -> u64 {
    let task = task::current();
    if directory == AT_FDCWD || directory == FROM_ROOT {
        let fs: u64 = read(task, offset!(task_fs));
        let from = if directory == FROM_ROOT {
            offset!(fs_root)
        } else {
            offset!(fs_pwd)
        };
        return read(fs, from + offset);
    }
    read(
        task::file(task, directory).address(),
        offset!(file_path) + offset,
    )
}

/// How often symbolic links may have changed.
#[inline(always)]
fn link_changes() -> u64 {
    state!(links)
}

/// A symbolic link was made, or a name was replaced that may be one.
#[inline(always)]
pub(crate) fn links_changed(op: u8) {
    let changes = link_changes();
    if (op == FileOp::Symlink as u8 || (op == FileOp::Rename as u8 && changes != 0))
        && changes < MAX_LINK_CHANGES
    {
        bump!(links);
    }
    if op == FileOp::Rename as u8 {
        bump!(renames);
    }
}

/// A hash of the name in a buffer, eight bytes at a time.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hash_name(length: u64, buffer: u32) -> u64 {
    let Some(buffer) = scratch(buffer) else {
        return 0;
    };
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ length;
    // SAFETY: the record is shorter than the buffer.
    let name = unsafe { (*buffer).bytes.as_ptr().add(size_of::<FileEvent>()) };
    for word in 0..MAX_ARGV / 8 {
        if (word * 8 + 8) as u64 > length {
            break;
        }
        // SAFETY: below the length of the buffer, and aligned as the buffer is.
        hash = mix(hash, unsafe { *name.add(word * 8).cast::<u64>() });
    }
    let rest = opaque(length & (MAX_ARGV as u64 - 8));
    if rest > MAX_ARGV as u64 {
        return 0;
    }
    // SAFETY: as above.
    let last = unsafe { *name.add(rest as usize).cast::<u64>() };
    mix(hash, last & ((1 << (length & 7) * 8) - 1))
}

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    hash ^ hash >> 29
}

/// An operation on one or two names, done or failed, by their rows.
#[inline(always)]
pub(crate) fn names_done(first: Option<Row>, second: Option<Row>, op: u8, result: i64) {
    one_name_done(first, op, result);
    one_name_done(second, op, result);
    if result == 0 {
        links_changed(op);
    }
}

/// One operation on a name, done or failed.
#[inline(always)]
pub(crate) fn one_name_done(row: Option<Row>, op: u8, result: i64) {
    if let Some(row) = row {
        rows::changed(row, op, result);
    }
}

//! Files: what calls did to descriptors and names. No hooks of its own: called at the entry and
//! return of system calls, and when a program was executed.
//!
//! A descriptor leads to the kernel's own file, so its path is settled. For a name given as an
//! argument the rows that `namei` found during the call are taken; without them it is read from the
//! caller's memory at the return, and marked so.

use super::{
    held::hold, label, namei, network, process::current_tgid, syscall::forget_descriptors,
};
use crate::kernel::{cred, file, path, read, regs, task};
use crate::maps::{
    FILE_CACHE, FILE_ROWS, FILES, FOLDERS, FREE_FILE_ROWS, FREE_FOLDER_ROWS, SCRATCH_MASK, STATE,
    Scratch, add, add_errno, claim, config, emit, is_mine, lost, offset, opaque, scratch, state,
    take,
};
use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str,
};
use procmon_probe_ebpf::abi::{
    ABI_COMPAT, CALL_COPY, CALL_EXEC, CALL_MAP, CALL_MQ_OPEN, CALL_MQ_SEND, CALL_OPEN, CALL_READ,
    CALL_RENAME, CALL_UNLINKAT, CALL_WRITE, CallKind, EVENT_FILE, FILE_CACHE_ENTRIES, FILE_FOLDER,
    FILE_FOLLOWED, FILE_KERNEL_NAME, FILE_KEY_ENTRY, FILE_KEY_FOLDER, FILE_KEY_FOLLOWED,
    FILE_KEY_KERNEL_NAME, FILE_KEY_NAMED, FILE_KEY_SETTLED, FILE_NAMED, FILE_QUEUE, FileCache,
    FileEvent, FileMeta, FileOp, FileRow, Loss, MAX_ARGV, N_FILE_OPS, NAMES_FLAGS, NAMES_FOLLOW,
    NAMES_QUEUE, NO_ARG, ROWS_FILES, SOCKET_FIRST, SOCKET_SECOND, TaskRecord,
};

/// No executable slot.
const NO_EXE: u32 = u32::MAX;
/// Modes of fallocate that change content, include/uapi/linux/falloc.h: PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE,
/// INSERT_RANGE, WRITE_ZEROES.
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
const AT_FDCWD: u32 = -100_i32 as u32;
const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EMPTY_PATH: u64 = 0x1000;
const RESOLVE_IN_ROOT: u64 = 0x10;
/// In place of a descriptor: the root of the caller.
const FROM_ROOT: u32 = i32::MIN as u32;
/// How a name is looked up: a symbolic link at its end is followed.
const FOLLOW: u64 = 1;
/// The name is the kernel's own copy, in the buffer of the functions of the kernel.
pub(crate) const KERNEL_NAME: u64 = 4;
/// How a name is looked up: the directory is the root, as `RESOLVE_IN_ROOT` has it.
const IN_ROOT: u64 = 8;
/// How a name is looked up: it is that of a message queue.
const QUEUE: u64 = 16;
/// Position of the `struct open_how` of openat2.
const OPEN_HOW: u8 = 2;
/// The first eight bytes of names below /proc/self and /proc/thread-self.
const PROC_SELF: u64 = u64::from_le_bytes(*b"/proc/se");
/// The first eight bytes of names of descriptors.
const DEV_FD: u64 = u64::from_le_bytes(*b"/dev/fd/");
/// What `own_proc` says.
const OWN_NOTHING: u64 = 0;
const OWN_SOMETHING: u64 = 1 << 63;
const OWN_WITHIN: u64 = 1 << 62;
const OWN_SKIP: u64 = 0xff;
const PROC_THREAD_SELF: u64 = u64::from_le_bytes(*b"/proc/th");
/// How a name is looked up: an empty one means the descriptor.
const EMPTY: u64 = 2;
/// Directories above a file whose names are part of what makes it the same file.
const NAMES_ABOVE: usize = 16;
/// Changes of symbolic links after which names lead elsewhere: more would fill the table of rows.
const MAX_LINK_CHANGES: u64 = 1024;

/// Counts one operation.
#[inline(always)]
fn count(row: u32, op: u8) -> Option<*mut FileRow> {
    let counts = FILE_ROWS.get_ptr_mut(row)?;
    let op = opaque(u64::from(op));
    if op < N_FILE_OPS as u64 {
        // SAFETY: a map value; the position is below the length.
        add(
            unsafe {
                (&raw mut (*counts).operations)
                    .cast::<u64>()
                    .add(op as usize)
            },
            1,
        );
    }
    Some(counts)
}

/// Keeps which file or socket the descriptor in an argument is until the call returns.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn keep(regs: u64, position: u64, slot: u64) -> u32 {
    let Some(record) = label::record(slot) else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    unsafe {
        forget_descriptors(record);
        let descriptor = regs::argument(regs, (*record).abi, position as u8) as u32;
        let files = task::files((*record).task);
        let file = task::file_in(files, descriptor);
        (*record).file = if task::is_alone(files) { 0 } else { file };
        let (row, socket) = kept_row((*record).exe, file);
        (*record).first_row = row;
        (*record).sockets = socket;
        if socket != 0 {
            network::keep_sock(record, file);
        }
    }
    0
}

/// The same of a second descriptor.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn keep_second(regs: u64, position: u64, slot: u64) -> u32 {
    let Some(record) = label::record(slot) else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    unsafe {
        let descriptor = regs::argument(regs, (*record).abi, position as u8) as u32;
        let (row, socket) = kept_row((*record).exe, task::file((*record).task, descriptor));
        (*record).second_row = row;
        (*record).sockets |= socket * SOCKET_SECOND;
    }
    0
}

/// Row plus 1 of what a descriptor leads to, and whether that is a socket.
#[inline(always)]
fn kept_row(exe: u32, file: u64) -> (u32, u32) {
    if file == 0 {
        return (0, 0);
    }
    let cached = FILE_CACHE.get_ptr_mut(Seen::place(file));
    // SAFETY: a map value of this CPU.
    let is_met = cached.is_some_and(|cached| unsafe { (*cached).file == file });
    if !is_met && file::is_socket(file::mode(file::inode(file))) {
        return (network::connection_row(exe, file), 1);
    }
    let seen = Seen::of(file);
    if let Some(row) = cached_row(exe, &seen) {
        return (row, 0);
    }
    if is_met && file::is_socket(file::mode(seen.inode)) {
        return (network::connection_row(exe, file), 1);
    }
    (seen_row(exe, &seen), 0)
}

/// Names of a directory and of those above it, as one number.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn above(directory: u64) -> u64 {
    let mut directory = directory;
    let mut hash = 0_u64;
    for _ in 0..NAMES_ABOVE {
        hash = hash.rotate_left(7) ^ file::name_hash(directory);
        let parent = file::parent(directory);
        if parent == directory {
            break;
        }
        directory = parent;
    }
    hash
}

/// What tells a file from another one that has had the same `struct file`.
struct Seen {
    file: u64,
    dentry: u64,
    mount: u64,
    inode: u64,
    number: u64,
    parent: u64,
    name: u64,
}

impl Seen {
    #[inline(always)]
    fn of(file: u64) -> Self {
        let (dentry, inode) = (file::dentry(file), file::inode(file));
        Self {
            file,
            dentry,
            mount: file::mount(file),
            inode,
            number: file::number(inode),
            parent: file::parent(dentry),
            name: file::name_hash(dentry),
        }
    }

    /// `struct file` is a slab object of some 200 bytes.
    #[inline(always)]
    fn place(file: u64) -> u32 {
        (file >> 6 ^ file >> 12) as u32 & (FILE_CACHE_ENTRIES - 1)
    }
}

/// Row plus 1 of a file that this CPU has met.
#[inline(always)]
fn cached_row(exe: u32, seen: &Seen) -> Option<u32> {
    let cached = FILE_CACHE.get_ptr_mut(Seen::place(seen.file))?;
    // SAFETY: a map value of this CPU.
    unsafe {
        let is_same = (*cached).file == seen.file
            && (*cached).dentry == seen.dentry
            && (*cached).mount == seen.mount
            && (*cached).inode == seen.inode
            && (*cached).number == seen.number
            && (*cached).parent == seen.parent
            && (*cached).name == seen.name
            && (*cached).renames == state!(renames)
            && (*cached).exe == exe
            && config!(preemptible) == 0;
        is_same.then(|| (*cached).row)
    }
}

/// Row plus 1 of a file that this CPU meets now; 0 when it is none, or has no row. What tells the file
/// is written before, so that it need not be kept while the row is looked up.
#[inline(always)]
fn seen_row(exe: u32, seen: &Seen) -> u32 {
    let file = seen.file;
    if let Some(cached) = FILE_CACHE.get_ptr_mut(Seen::place(file)) {
        // SAFETY: a map value of this CPU.
        unsafe {
            *cached = FileCache {
                file,
                dentry: seen.dentry,
                mount: seen.mount,
                inode: seen.inode,
                number: seen.number,
                parent: seen.parent,
                name: seen.name,
                renames: state!(renames),
                exe: NO_EXE,
                row: 0,
            };
        }
    }
    let row = looked_up_row(exe, file);
    if let Some(cached) = FILE_CACHE.get_ptr_mut(Seen::place(file)) {
        // SAFETY: as above.
        unsafe {
            (*cached).row = row;
            (*cached).exe = exe;
        }
    }
    row
}

/// The same by the table of files.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn looked_up_row(exe: u32, file: u64) -> u32 {
    let inode = file::inode(file);
    if file::is_nameless(file::magic(inode)) {
        return 0;
    }
    let dentry = file::dentry(file);
    let mount = file::mount(file);
    let parent = file::parent(dentry);
    let Some(buffer) = scratch(0) else { return 0 };
    claim(buffer);
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    let row = unsafe {
        let key = &raw mut (*buffer).key;
        (*key).exe = exe;
        (*key).kind = FILE_KEY_SETTLED;
        (*key).inode = file::number(inode);
        (*key).parent = file::number(file::dentry_inode(parent));
        (*key).name = file::name_hash(dentry);
        (*key).mount = mount;
        (*key).above = above(parent);
        (*key).device = file::device(inode);
        FILES.get(&*key).map_or(0, |row| *row + 1)
    };
    if row != 0 {
        return if is_mine(buffer) { row } else { 0 };
    }
    let shared = shared_row(0);
    if shared != 0 {
        return shared;
    }
    let start = size_of::<FileEvent>() as u64;
    let end = path::names(0, start, mount, dentry);
    let event = buffer.cast::<FileEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        file::meta(inode, dentry, mount, &raw mut (*event).meta);
        (*event).meta.flags |= (end >> 32) as u32;
        (*event).name_len = 0;
        (*event).path_len = (end as u32).wrapping_sub(start as u32);
    }
    if !is_mine(buffer) {
        return 0;
    }
    new_file_row(0, end)
}

/// Takes a row for the key in a buffer and announces it; the buffer holds all but the head of the record.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn new_file_row(number: u32, end: u64) -> u32 {
    let Some(buffer) = scratch(number) else {
        return 0;
    };
    let Some(row) = take(&FREE_FILE_ROWS) else {
        // SAFETY: the static is a map's value.
        unsafe { core::ptr::write_volatile(&raw mut STATE.files_full, 1) };
        return first_shared_row(number, end);
    };
    if !announce(buffer, row, end) {
        let _ = FREE_FILE_ROWS.push(row, 0);
        return 0;
    }
    // Of two CPUs at once both rows are announced with the same path: user space adds them.
    // SAFETY: the key is the buffer's.
    if FILES.insert(unsafe { &(*buffer).key }, row, 0).is_err() {
        lost(Loss::FileRows);
    }
    row + 1
}

#[inline(always)]
fn announce(buffer: *mut Scratch, row: u32, end: u64) -> bool {
    let event = buffer.cast::<FileEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        (*event).kind = EVENT_FILE;
        (*event).row = row;
        (*event).exe = (*buffer).key.exe;
        (*event).tgid = current_tgid();
    }
    emit(buffer, (end & 0xffff_ffff) as usize, Loss::RingFile)
}

/// Once there are no more rows: row plus 1 of the folder of the key in a buffer, if it has one. Files of
/// a folder share it; so do names given as arguments that are relative to the same.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shared_row(number: u32) -> u32 {
    if state!(files_full) == 0 {
        return 0;
    }
    let Some(buffer) = scratch(number) else {
        return 0;
    };
    // SAFETY: the keys are the buffer's.
    let row = unsafe {
        let (key, folder) = (&raw const (*buffer).key, &raw mut (*buffer).folder);
        let is_named = (*key).kind != FILE_KEY_SETTLED && (*key).kind != FILE_KEY_ENTRY;
        (*folder).exe = (*key).exe;
        (*folder).kind = FILE_KEY_FOLDER | u32::from(is_named);
        (*folder).inode = if is_named {
            (*key).inode
        } else {
            (*key).parent
        };
        (*folder).mount = (*key).mount;
        (*folder).above = (*key).above;
        (*folder).device = (*key).device;
        FOLDERS.get(&*folder).map_or(0, |row| *row + 1)
    };
    if row != 0 {
        lost(Loss::FilesByFolder);
    }
    row
}

/// Row plus 1 of a folder whose file, announced by the buffer, is the first without a row.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn first_shared_row(number: u32, end: u64) -> u32 {
    let shared = shared_row(number);
    if shared != 0 {
        return shared;
    }
    let Some(buffer) = scratch(number) else {
        return 0;
    };
    let Some(row) = take(&FREE_FOLDER_ROWS) else {
        lost(Loss::FileRows);
        return 0;
    };
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe { (*buffer.cast::<FileEvent>()).meta.flags |= FILE_FOLDER };
    if !announce(buffer, row, end) {
        let _ = FREE_FOLDER_ROWS.push(row, 0);
        return 0;
    }
    lost(Loss::FilesByFolder);
    // SAFETY: the key is the buffer's.
    if FOLDERS
        .insert(unsafe { &(*buffer).folder }, row, 0)
        .is_err()
    {
        lost(Loss::FileRows);
    }
    row + 1
}

/// Reads a name into its place in the buffer; its length with the NUL, or an error.
#[inline(always)]
fn user_name(buffer: *mut Scratch, name: u64) -> i64 {
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

/// Row plus 1 of a name given as an argument, relative to a directory descriptor.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn named_row(directory: u32, name: u64, how: u64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let exe = unsafe { (*record).exe };
    let Some(buffer) = scratch(0) else { return 0 };
    let length = user_name(buffer, name);
    // Of an empty text older kernels do not count the NUL.
    if (length == 0 || length == 1) && how & EMPTY != 0 {
        return looked_up_row(exe, task::file(task::current(), directory));
    }
    if length <= 1 || length > MAX_ARGV as i64 {
        return 0;
    }
    // Of a process that is gone nobody can ask any more where its own /proc leads.
    let own = own_proc();
    let (directory, length) = if own == OWN_NOTHING {
        (directory, length)
    } else if own & OWN_WITHIN == 0 {
        if how & FOLLOW != 0 {
            return looked_up_row(exe, task::file(task::current(), own as u32));
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

/// What a name within the own directory of /proc leads to, as far as the name tells: a descriptor in the lower
/// half, which a name of /proc/self/fd/N and /dev/fd/N is; or, with `OWN_WITHIN`, what the rest of the
/// name is relative to, behind as many bytes as `OWN_SKIP` says: the same with more behind it, and
/// /proc/self/cwd/ and /proc/self/root.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn own_proc() -> u64 {
    const LF_FD: u64 = u64::from_le_bytes(*b"lf/fd/\0\0");
    const LF_CWD: u64 = u64::from_le_bytes(*b"lf/cwd/\0");
    const LF_ROOT: u64 = u64::from_le_bytes(*b"lf/root/");
    let Some(buffer) = scratch(0) else {
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
    let number = if is_kernels { namei::SCRATCH } else { 0 };
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
        u64::from(current_tgid()) << 32
    } else {
        0
    };
    let from = if absolute && !in_root {
        FROM_ROOT
    } else {
        directory
    };
    let mount = start_of(from, offset!(path_mnt));
    let dentry = start_of(from, offset!(path_dentry));
    if dentry == 0 {
        return 0;
    }
    let inode = file::dentry_inode(dentry);
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
        (*key).inode = file::number(inode);
        (*key).parent = own + link_changes() + (u64::from(is_queue) << 63);
        (*key).name = hash;
        (*key).mount = mount;
        (*key).above = above(dentry);
        (*key).device = file::device(inode);
        FILES.get(&*key).map_or(0, |row| *row + 1)
    };
    if row != 0 {
        return if is_mine(buffer) { row } else { 0 };
    }
    let from = start as u64 + length;
    let end = path::names(number, from, mount, dentry);
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
    new_file_row(number, end)
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
    read(task::file(task, directory), offset!(file_path) + offset)
}

/// How often symbolic links may have changed.
#[inline(always)]
fn link_changes() -> u64 {
    state!(links)
}

/// A symbolic link was made, or a name was replaced that may be one.
#[inline(always)]
fn links_changed(op: u8) {
    let changes = link_changes();
    if (op == FileOp::Symlink as u8 || (op == FileOp::Rename as u8 && changes != 0))
        && changes < MAX_LINK_CHANGES
    {
        // SAFETY: the static is a map's value.
        add(unsafe { &raw mut STATE.links }, 1);
    }
    if op == FileOp::Rename as u8 {
        // SAFETY: the static is a map's value.
        add(unsafe { &raw mut STATE.renames }, 1);
    }
}

/// A hash of the name in a buffer, eight bytes at a time.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hash_name(length: u64, buffer: u32) -> u64 {
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

/// A call on descriptors has returned: reads, writes, changes, copies, mappings.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn descriptor_done(regs: u64, kind: u64, result: i64, slot: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(record) = label::record(slot) else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let (task, file, first, second, sockets, abi) = unsafe {
        (
            (*record).task,
            (*record).file,
            (*record).first_row,
            (*record).second_row,
            (*record).sockets,
            (*record).abi,
        )
    };
    if first != 0 && file != 0 {
        // Which of the two the call has used nobody can tell.
        let now = task::file(task, regs::argument(regs, abi, kind.a) as u32);
        if now != 0 && now != file {
            lost(Loss::Descriptors);
        }
    }
    let first_is_peer = sockets & SOCKET_FIRST != 0;
    match kind.kind {
        // A socket without a peer, or without one when the call began.
        CALL_READ | CALL_WRITE if first == 0 && first_is_peer => {
            network::message(u32::from(kind.kind == CALL_READ), 0, 0, result);
        }
        CALL_READ => hold(slot, record, first, first_is_peer, result, true),
        CALL_WRITE => hold(slot, record, first, first_is_peer, result, false),
        CALL_MAP => {
            if first != 0 && !first_is_peer {
                mapped(first - 1, regs, abi, kind, result);
            }
        }
        CALL_COPY => {
            let second_is_peer = sockets & SOCKET_SECOND != 0;
            hold(slot, record, first, first_is_peer, result, false);
            hold(slot, record, second, second_is_peer, result, true);
        }
        CALL_MQ_SEND => {
            // Its result is no length.
            let sent = if result == 0 {
                regs::argument(regs, abi, kind.b) as i64
            } else {
                result
            };
            hold(slot, record, first, false, sent, false);
        }
        _ => {
            if first != 0 && !first_is_peer {
                changed(first - 1, kind.op, result);
            }
        }
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
    let size: u64 = read(file::inode(file), offset!(inode_i_size));
    u32::from(mode & FALLOC_KEEP_SIZE == 0 && end > size)
}

/// The mode of fallocate changes content whatever the size of the file.
#[inline(always)]
pub(crate) fn mode_changes(mode: u32) -> bool {
    u64::from(mode) & FALLOC_CHANGES != 0
}

/// This request of ioctl changes content: of a file that takes a part of another one or loses one, of a block device.
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
    let Some(record) = label::record(slot) else {
        return 0;
    };
    // SAFETY: a map value of the current task. No descriptor is kept meanwhile.
    unsafe { (*record).second_row = n_queues() };
    0
}

/// Message queues of the current task's IPC namespace.
#[inline(always)]
fn n_queues() -> u32 {
    let proxy: u64 = read(task::current(), offset!(task_nsproxy));
    let namespace: u64 = read(proxy, offset!(nsproxy_ipc));
    read(namespace, offset!(ipc_ns_mq_queues_count))
}

/// The errno of a result; 0 for success and for the kernel's internal restart codes.
#[inline(always)]
pub(crate) fn errno(result: i64) -> u16 {
    if (-511..0).contains(&result) {
        -result as u16
    } else {
        0
    }
}

/// Bytes went through a descriptor.
#[inline(always)]
pub(crate) fn moved(row: u32, socket: bool, result: i64, inward: bool) {
    if row == 0 {
        return;
    }
    if socket {
        network::moved(row - 1, result, inward);
        return;
    }
    if result < 0 {
        changed(row - 1, FileOp::None as u8, result);
        return;
    }
    let op = if inward { FileOp::Read } else { FileOp::Write };
    if let Some(counts) = count(row - 1, op as u8) {
        // SAFETY: a map value.
        unsafe {
            let bytes = if inward {
                &raw mut (*counts).bytes_read
            } else {
                &raw mut (*counts).bytes_written
            };
            add(bytes, result as u64);
        }
    }
}

/// One operation on a file, done or failed.
#[inline(always)]
pub(crate) fn changed(row: u32, op: u8, result: i64) {
    if result >= 0 {
        count(row, op);
    } else if errno(result) != 0 {
        add_errno(ROWS_FILES, row, errno(result), 1);
    }
}

#[inline(always)]
fn mapped(row: u32, regs: u64, abi: u32, kind: CallKind, result: i64) {
    // An address above the errnos.
    if (-4095..0).contains(&result) {
        changed(row, FileOp::None as u8, result);
        return;
    }
    let protection = regs::argument(regs, abi, kind.b);
    if protection & PROT_EXEC != 0 {
        count(row, FileOp::MmapExec as u8);
    }
    if protection & PROT_WRITE != 0
        && regs::argument(regs, abi, kind.c) & MAP_SHARED != 0
        && let Some(counts) = FILE_ROWS.get_ptr_mut(row)
    {
        // SAFETY: a map value.
        add(unsafe { &raw mut (*counts).mmap_write }, 1);
    }
}

/// An open has returned a descriptor, which leads to the file.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn opened(result: i64, slot: u64) -> u32 {
    let Some(record) = label::record(slot) else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let (task, exe) = unsafe { ((*record).task, (*record).exe) };
    let file = task::file(task, result as u32);
    if file == 0 {
        return 0;
    }
    let seen = Seen::of(file);
    let row = cached_row(exe, &seen).unwrap_or_else(|| seen_row(exe, &seen));
    count_opening(row, file);
    // SAFETY: a map value of the current task.
    if row != 0 && unsafe { is_new_queue(record) } {
        count(row - 1, FileOp::Create as u8);
    }
    0
}

/// The current call is mq_open, and there are more queues than when it began.
#[inline(always)]
unsafe fn is_new_queue(record: *mut TaskRecord) -> bool {
    // SAFETY: the caller's: a map value of the current task.
    unsafe { super::syscall::kind_of(record) == CALL_MQ_OPEN && n_queues() > (*record).second_row }
}

/// Counts an open that gave a file; the row plus 1.
#[inline(always)]
pub(crate) fn opened_file(exe: u32, file: u64) -> u32 {
    let row = looked_up_row(exe, file);
    count_opening(row, file);
    row
}

#[inline(always)]
fn count_opening(row: u32, file: u64) {
    if row != 0 {
        count(row - 1, FileOp::Open as u8);
        if file::was_created(file) {
            count(row - 1, FileOp::Create as u8);
        }
    }
}

/// A call on one or two names has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn named(regs: u64, kind: u64, result: i64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(record) = label::current() else {
        return 0;
    };
    // A handle is no name.
    if (result < 0 && errno(result) == 0) || kind.b == NO_ARG {
        return 0;
    }
    // A program that was executed is counted where the kernel has settled it.
    if kind.kind == CALL_EXEC && result == 0 {
        return 0;
    }
    // SAFETY: a map value of the current task.
    let abi = unsafe { (*record).abi };
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
    if kind.kind == CALL_OPEN && kind.c == OPEN_HOW && begins_in_root(regs, abi) != 0 {
        how |= IN_ROOT;
    }
    if kind.names & NAMES_QUEUE != 0 {
        how = QUEUE;
    }
    let op = operation(regs, kind, abi);
    if kind.kind == CALL_RENAME {
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
        links_changed(op);
    }
    0
}

/// The same when the kernel settled the names during the call; 0 when it did not.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn settled_names(regs: u64, kind: u64, result: i64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let (first, second, abi) = unsafe {
        (
            (*record).settled_first,
            (*record).settled_second,
            (*record).abi,
        )
    };
    if first == 0 {
        return 0;
    }
    let op = operation(regs, CallKind::from_word(kind), abi);
    names_done(first, second, op, result);
    1
}

/// An operation on one or two names, done or failed, by their rows plus 1.
#[inline(always)]
pub(crate) fn names_done(first: u32, second: u32, op: u8, result: i64) {
    one_name_done(first, op, result);
    one_name_done(second, op, result);
    if result == 0 {
        links_changed(op);
    }
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

/// What a call does to its names.
#[inline(always)]
fn operation(regs: u64, kind: CallKind, abi: u32) -> u8 {
    if kind.kind == CALL_UNLINKAT && argument(regs, abi, kind.c) & AT_REMOVEDIR != 0 {
        FileOp::Rmdir as u8
    } else {
        kind.op
    }
}

/// One operation on a name, done or failed.
#[inline(always)]
fn one_name_done(row: u32, op: u8, result: i64) {
    if row != 0 {
        changed(row - 1, op, result);
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
    let row = named_row(descriptor, argument(regs, abi, name), how);
    one_name_done(row, op, result);
}

/// A program was executed: its file, and the script that named it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn executed(user: u32, program: u64, bprm_script: u64) -> u32 {
    let row = looked_up_row(user, program);
    if row != 0 {
        count(row - 1, FileOp::Exec as u8);
    }
    if bprm_script == 0 {
        return 0;
    }
    let name: u64 = read(bprm_script, offset!(bprm_filename));
    let Some(buffer) = scratch(0) else { return 0 };
    let length = kernel_name(buffer, name);
    if length <= 1 || length > MAX_ARGV as i64 {
        return 0;
    }
    // A program that was executed by its descriptor is named /dev/fd/N.
    let own = own_proc();
    let row = if own & OWN_SOMETHING != 0 {
        looked_up_row(user, task::file(task::current(), own as u32))
    } else {
        let length = kernel_name(buffer, name + (own >> 32 & OWN_SKIP));
        if length <= 1 || length > MAX_ARGV as i64 {
            return 0;
        }
        let directory = if own == OWN_NOTHING {
            AT_FDCWD
        } else {
            own as u32
        };
        finish_named(user, directory, length as u64 | FOLLOW << 32)
    };
    one_name_done(row, FileOp::Exec as u8, 0);
    // The program took the script's own name, or read it from the arguments before: it is whole there.
    let length = kernel_name(buffer, name);
    if length > 1 && length <= MAX_ARGV as i64 {
        scripts_between(user, hash_name(length as u64, 0));
    }
    0
}

/// Scripts that stand between a program and the script that was executed: the kernel puts the name of each in front of
/// what it was given, `PROGRAM [ARGUMENT] SCRIPT [ARGUMENT] SCRIPT …`. `last` is the hash of the last name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scripts_between(user: u32, last: u64) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let mm: u64 = read(task::current(), offset!(task_mm));
    let first: u64 = read(mm, offset!(mm_arg_start));
    let mut place = first;
    let mut found = 0;
    for number in 0..MAX_CHAIN {
        let length = user_name(buffer, place);
        if length < 1 || length > MAX_ARGV as i64 {
            return 0;
        }
        if number > 0 && hash_name(length as u64, 0) == last {
            found = number;
            break;
        }
        place += length as u64;
    }
    place = first;
    for number in 0..MAX_CHAIN {
        let length = user_name(buffer, place);
        if number >= found || length < 1 || length > MAX_ARGV as i64 {
            break;
        }
        // SAFETY: the buffer is larger than the offset.
        let is_path = unsafe { (*buffer).bytes[size_of::<FileEvent>()] } == b'/';
        if number > 0 && is_path {
            let row = finish_named(user, AT_FDCWD, length as u64 | FOLLOW << 32);
            one_name_done(row, FileOp::Exec as u8, 0);
        }
        place += length as u64;
    }
    0
}

/// Names and arguments that the kernel puts in front: it takes no more than five scripts in a row.
const MAX_CHAIN: u32 = 12;
const _: () = assert!(size_of::<FileEvent>() + MAX_ARGV < SCRATCH_MASK);
const _: () = assert!(FILE_KEY_FOLLOWED == FILE_KEY_NAMED + 1);

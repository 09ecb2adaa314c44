//! Rows of files: found by the kernel's own file, announced at first sight, or shared by the files of a
//! folder; and what they count.

use crate::atomics::{add, add_errno, lost, opaque, take};
use crate::kernel::file::{Dentry, Inode, KernelFile};
use crate::kernel::{file, path, regs};
use crate::maps::{
    FILE_CACHE, FILE_ROWS, FILES, FOLDERS, FREE_FILE_ROWS, FREE_FOLDER_ROWS, STATE, Scratch,
    config, state,
};
use crate::programs::record;
use crate::programs::row::Row;
use crate::scratch::{OF_CALLS, claim, emit, is_mine, scratch};
use procmon_probe_ebpf::abi::{
    EVENT_FILE, FILE_CACHE_ENTRIES, FILE_FOLDER, FILE_KEY_ENTRY, FILE_KEY_FOLDER, FILE_KEY_SETTLED,
    FileCache, FileEvent, FileOp, FileRow, Loss, N_FILE_OPS, ROWS_FILES,
};

/// No executable slot.
const NO_EXE: u32 = u32::MAX;
/// Directories above a file whose names are part of what makes it the same file.
const NAMES_ABOVE: usize = 16;

/// Counts one operation.
#[inline(always)]
pub(crate) fn count(row: Row, op: u8) -> Option<*mut FileRow> {
    let counts = FILE_ROWS.get_ptr_mut(row.number())?;
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

/// One operation on a file, done or failed.
#[inline(always)]
pub(crate) fn changed(row: Row, op: u8, result: i64) {
    if result >= 0 {
        count(row, op);
    } else if regs::errno(result) != 0 {
        add_errno(ROWS_FILES, row.number(), regs::errno(result), 1);
    }
}

/// Names of a directory and of those above it, as one number.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn above(directory: u64) -> u64 {
    let mut directory = Dentry::at(directory);
    let mut hash = 0_u64;
    for _ in 0..NAMES_ABOVE {
        hash = hash.rotate_left(7) ^ directory.name_hash();
        let parent = directory.parent();
        if parent == directory {
            break;
        }
        directory = parent;
    }
    hash
}

/// Marks that tell a file from another one that has had the same `struct file`.
pub(crate) struct Seen {
    file: KernelFile,
    dentry: Dentry,
    mount: u64,
    pub(crate) inode: Inode,
    number: u64,
    parent: Dentry,
    name: u64,
}

impl Seen {
    #[inline(always)]
    pub(crate) fn of(file: KernelFile) -> Self {
        let (dentry, inode) = (file.dentry(), file.inode());
        Self {
            file,
            dentry,
            mount: file.mount(),
            inode,
            number: inode.number(),
            parent: dentry.parent(),
            name: dentry.name_hash(),
        }
    }

    /// `struct file` is a slab object of some 200 bytes.
    #[inline(always)]
    pub(crate) fn place(file: KernelFile) -> u32 {
        let file = file.address();
        (file >> 6 ^ file >> 12) as u32 & (FILE_CACHE_ENTRIES - 1)
    }
}

/// The row of a file that this CPU has met, if it has one.
#[inline(always)]
pub(crate) fn cached_row(exe: u32, seen: &Seen) -> Option<Option<Row>> {
    let cached = FILE_CACHE.get_ptr_mut(Seen::place(seen.file))?;
    // SAFETY: a map value of this CPU.
    unsafe {
        let is_same = (*cached).file == seen.file.address()
            && (*cached).dentry == seen.dentry.address()
            && (*cached).mount == seen.mount
            && (*cached).inode == seen.inode.address()
            && (*cached).number == seen.number
            && (*cached).parent == seen.parent.address()
            && (*cached).name == seen.name
            && (*cached).renames == state!(renames)
            && (*cached).exe == exe
            && config!(preemptible) == 0;
        is_same.then(|| Row::of((*cached).row))
    }
}

/// The row of a file that this CPU meets now; none when it is no file, or has no row. What tells the file
/// is written before, so that it need not be kept while the row is looked up.
#[inline(always)]
pub(crate) fn seen_row(exe: u32, seen: &Seen) -> Option<Row> {
    let file = seen.file;
    if let Some(cached) = FILE_CACHE.get_ptr_mut(Seen::place(file)) {
        // SAFETY: a map value of this CPU.
        unsafe {
            *cached = FileCache {
                file: file.address(),
                dentry: seen.dentry.address(),
                mount: seen.mount,
                inode: seen.inode.address(),
                number: seen.number,
                parent: seen.parent.address(),
                name: seen.name,
                renames: state!(renames),
                exe: NO_EXE,
                row: 0,
            };
        }
    }
    let row = looked_up_row(exe, file.address());
    if let Some(cached) = FILE_CACHE.get_ptr_mut(Seen::place(file)) {
        // SAFETY: as above.
        unsafe {
            (*cached).row = row;
            (*cached).exe = exe;
        }
    }
    Row::of(row)
}

/// The same by the table of files.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn looked_up_row(exe: u32, file: u64) -> u32 {
    let file = KernelFile::at(file);
    let inode = file.inode();
    if inode.is_nameless() {
        return 0;
    }
    let dentry = file.dentry();
    let mount = file.mount();
    let parent = dentry.parent();
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    claim(buffer);
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    let row = unsafe {
        let key = &raw mut (*buffer).key;
        (*key).exe = exe;
        (*key).kind = FILE_KEY_SETTLED;
        (*key).inode = inode.number();
        (*key).parent = parent.inode().number();
        (*key).name = dentry.name_hash();
        (*key).mount = mount;
        (*key).above = above(parent.address());
        (*key).device = inode.device();
        FILES.get(&*key).map_or(0, |row| *row)
    };
    if row != 0 {
        return if is_mine(buffer) { row } else { 0 };
    }
    let shared = shared_row(OF_CALLS);
    if shared != 0 {
        return shared;
    }
    let start = size_of::<FileEvent>() as u64;
    let end = path::names(OF_CALLS, start, mount, dentry.address());
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
    new_file_row(OF_CALLS, end)
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
    // Two CPUs at once announce both rows with the same path: user space adds them.
    // SAFETY: the key is the buffer's.
    if FILES.insert(unsafe { &(*buffer).key }, row, 0).is_err() {
        lost(Loss::FileRows);
    }
    row
}

#[inline(always)]
fn announce(buffer: *mut Scratch, row: u32, end: u64) -> bool {
    let event = buffer.cast::<FileEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        (*event).kind = EVENT_FILE;
        (*event).row = row;
        (*event).exe = (*buffer).key.exe;
        (*event).tgid = record::current_tgid();
    }
    emit(buffer, (end & 0xffff_ffff) as usize, Loss::RingFile)
}

/// Once there are no more rows: the row of the folder of the key in a buffer, if it has one. Files of
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
        FOLDERS.get(&*folder).map_or(0, |row| *row)
    };
    if row != 0 {
        lost(Loss::FilesByFolder);
    }
    row
}

/// The row of a folder whose file, announced by the buffer, is the first without a row.
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
    row
}

/// Counts an open that gave a file; its row.
#[inline(always)]
pub(crate) fn opened_file(exe: u32, file: KernelFile) -> Option<Row> {
    let row = Row::of(looked_up_row(exe, file.address()));
    count_opening(row, file);
    row
}

#[inline(always)]
pub(crate) fn count_opening(row: Option<Row>, file: KernelFile) {
    if let Some(row) = row {
        count(row, FileOp::Open as u8);
        if file.was_created() {
            count(row, FileOp::Create as u8);
        }
    }
}

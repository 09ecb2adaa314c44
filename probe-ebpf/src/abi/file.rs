//! Files: keys, rows and the record of a first sight.

use super::declare::records;

/// Positions in [`FileRow::operations`].
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are the document's")]
pub enum FileOp {
    Open,
    Read,
    Write,
    Create,
    Unlink,
    Rename,
    Link,
    Symlink,
    Mkdir,
    Rmdir,
    Chmod,
    Chown,
    Setxattr,
    Truncate,
    Mknod,
    MmapExec,
    Exec,
    /// No operation: a call that only failed.
    None,
}
/// Number of operations that are counted.
pub const N_FILE_OPS: usize = 17;

/// The key of a file.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FileKey {
    /// Executable slot.
    pub exe: u32,
    /// One of `FILE_KEY_…`.
    pub kind: u32,
    /// Inode number; of the directory that the name is relative to, when named.
    pub inode: u64,
    /// Inode number of the parent directory; what else makes the name lead elsewhere, when named.
    pub parent: u64,
    /// Hash and length of the last name; hash of the whole name, when named.
    pub name: u64,
    /// `struct vfsmount`.
    pub mount: u64,
    /// Hashes of the names of the two directories above: a renamed directory makes a new key.
    pub above: u64,
    /// Device of the file system.
    pub device: u32,
    /// Padding.
    pub pad: u32,
}
records! { FileKey = 56 }

/// The row of a `struct file`. It is stale when anything that names the file has changed.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FileCache {
    /// `struct file`.
    pub file: u64,
    /// `struct dentry`.
    pub dentry: u64,
    /// `struct vfsmount`.
    pub mount: u64,
    /// `struct inode`.
    pub inode: u64,
    /// Its number: the address serves other inodes.
    pub number: u64,
    /// `struct dentry` of its folder.
    pub parent: u64,
    /// Hash and length of its name.
    pub name: u64,
    /// [`super::State::renames`].
    pub renames: u64,
    /// Executable slot.
    pub exe: u32,
    /// Row; 0: it has none.
    pub row: u32,
}
records! { FileCache = 72 }
/// Files that a CPU keeps in mind; a power of two.
pub const FILE_CACHE_ENTRIES: u32 = 64;

/// In [`FileKey::kind`], beside the others: all files of a folder that found no row.
pub const FILE_KEY_FOLDER: u32 = 0x100;
/// Rows kept for folders whose files find none.
pub const FOLDER_ROWS: u32 = 2048;

/// Rows of the names that a request of io_uring holds.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RingNames {
    /// Row; 0: none.
    pub first: u32,
    /// Row of the old name of a rename; 0: none.
    pub second: u32,
    /// A number of [`FileOp`]; `None` opens.
    pub op: u32,
    /// Padding.
    pub pad: u32,
}
records! { RingNames = 16 }

/// Found by a descriptor.
pub const FILE_KEY_SETTLED: u32 = 0;
/// Found by an argument.
pub const FILE_KEY_NAMED: u32 = 1;
/// Found by an argument whose last part is followed when it is a symbolic link.
pub const FILE_KEY_FOLLOWED: u32 = 2;
/// Found by the kernel's own copy of an argument.
pub const FILE_KEY_KERNEL_NAME: u32 = 3;
/// An entry of a directory, whichever file it leads to: `inode` is 0.
pub const FILE_KEY_ENTRY: u32 = 4;

/// Counts of one file; updated by atomic addition. Failures are in the map `ERRNOS`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FileRow {
    /// Counts by [`FileOp`].
    pub operations: [u64; N_FILE_OPS],
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Shared writable mappings.
    pub mmap_write: u64,
}
records! { FileRow = 8 * (N_FILE_OPS + 3) }

/// Facts about a file that its path does not show.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct FileMeta {
    /// Inode number; of the caller's mount namespace with [`FILE_NAMED`].
    pub inode: u64,
    /// Device of the file system.
    pub device: u32,
    /// Magic number of the file system.
    pub magic: u32,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `struct mount.mnt_id`.
    pub mount_id: u32,
    /// Flags `FILE_…`.
    pub flags: u32,
    /// Padding.
    pub pad: u32,
}
records! { FileMeta = 40 }

/// The name has been removed.
pub const FILE_DELETED: u32 = 1;
/// In the upper layer of an overlay.
pub const FILE_UPPER: u32 = 2;
/// The path does not reach a root.
pub const FILE_UNREACHABLE: u32 = 4;
/// The path is longer than the walk.
pub const FILE_TRUNCATED: u32 = 8;
/// The name comes from the caller's memory; the walked path is the directory it is relative to, which for
/// an absolute one is the caller's root.
pub const FILE_NAMED: u32 = 16;
/// A symbolic link at the end of the name was followed.
pub const FILE_FOLLOWED: u32 = 64;
/// The name is the kernel's own copy of the argument.
pub const FILE_KERNEL_NAME: u32 = 128;
/// The name is that of a message queue: it is in no directory.
pub const FILE_QUEUE: u32 = 1024;
/// Many files of one folder, of which this is the first.
pub const FILE_FOLDER: u32 = 512;
/// The name could not be read.
pub const FILE_NAME_UNREADABLE: u32 = 32;

/// First sight of a file: followed by `name_len` bytes of an argument (when `FILE_NAMED`) and
/// `path_len` bytes of names, the last one first, each ended by NUL.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct FileEvent {
    /// [`super::EVENT_FILE`].
    pub kind: u32,
    /// Row.
    pub row: u32,
    /// Executable slot.
    pub exe: u32,
    /// Process that was first.
    pub tgid: u32,
    /// About the file.
    pub meta: FileMeta,
    /// Bytes of the argument.
    pub name_len: u32,
    /// Bytes of the names.
    pub path_len: u32,
}
records! { FileEvent = 64 }

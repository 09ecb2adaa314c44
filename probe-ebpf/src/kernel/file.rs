//! `struct file`, `struct inode` and `struct dentry`: what a file is.

use crate::kernel::memory::read;
use crate::maps::offset;
use procmon_probe_ebpf::abi::{FILE_DELETED, FILE_UPPER, FileMeta};

/// `FMODE_CREATED`, include/linux/fs.h, since 4.19.
const FMODE_CREATED: u32 = 0x10_0000;
/// Magic numbers of file systems, include/uapi/linux/magic.h.
const OVERLAYFS_SUPER_MAGIC: u32 = 0x794c_7630;
const PIPEFS_MAGIC: u32 = 0x5049_5045;
const SOCKFS_MAGIC: u32 = 0x534f_434b;
const ANON_INODE_FS_MAGIC: u32 = 0x0904_1934;
const NSFS_MAGIC: u32 = 0x6e73_6673;
const PID_FS_MAGIC: u32 = 0x5049_4446;
const SECRETMEM_MAGIC: u32 = 0x5345_434d;
const S_IFMT: u32 = 0o170_000;
const S_IFSOCK: u32 = 0o140_000;

/// The inode.
#[inline(always)]
pub(crate) fn inode(file: u64) -> u64 {
    read(file, offset!(file_inode))
}

/// The directory entry.
#[inline(always)]
pub(crate) fn dentry(file: u64) -> u64 {
    read(file, offset!(file_path) + offset!(path_dentry))
}

/// The mount, as `struct vfsmount`.
#[inline(always)]
pub(crate) fn mount(file: u64) -> u64 {
    read(file, offset!(file_path) + offset!(path_mnt))
}

/// The open made the file.
#[inline(always)]
pub(crate) fn was_created(file: u64) -> bool {
    read::<u32>(file, offset!(file_mode)) & FMODE_CREATED != 0
}

/// Type and permissions.
#[inline(always)]
pub(crate) fn mode(inode: u64) -> u32 {
    u32::from(read::<u16>(inode, offset!(inode_mode)))
}

/// The mode is a socket's.
#[inline(always)]
pub(crate) fn is_socket(mode: u32) -> bool {
    mode & S_IFMT == S_IFSOCK
}

/// The socket behind a file.
#[inline(always)]
pub(crate) fn socket(file: u64) -> u64 {
    read(file, offset!(file_private_data))
}

/// Magic number of the inode's file system.
#[inline(always)]
pub(crate) fn magic(inode: u64) -> u32 {
    read::<u64>(read(inode, offset!(inode_sb)), offset!(sb_magic)) as u32
}

/// File systems whose objects have no name: pipes, sockets, anonymous inodes, namespaces, pidfds, secret memory.
#[inline(always)]
pub(crate) fn is_nameless(magic: u32) -> bool {
    matches!(
        magic,
        PIPEFS_MAGIC
            | SOCKFS_MAGIC
            | ANON_INODE_FS_MAGIC
            | NSFS_MAGIC
            | PID_FS_MAGIC
            | SECRETMEM_MAGIC
    )
}

/// The first eight bytes of the name of an io_uring, `[io_uring]`.
const RING_NAME: u64 = u64::from_le_bytes(*b"[io_urin");

/// It is an io_uring.
#[inline(always)]
pub(crate) fn is_ring(inode: u64, file: u64) -> bool {
    magic(inode) == ANON_INODE_FS_MAGIC
        && read::<u64>(
            read(dentry(file), offset!(dentry_name) + offset!(qstr_name)),
            0,
        ) == RING_NAME
}

/// Device of the inode's file system.
#[inline(always)]
pub(crate) fn device(inode: u64) -> u32 {
    read(read(inode, offset!(inode_sb)), offset!(sb_dev))
}

/// Inode number.
#[inline(always)]
pub(crate) fn number(inode: u64) -> u64 {
    read(inode, offset!(inode_ino))
}

/// The directory above an entry.
#[inline(always)]
pub(crate) fn parent(dentry: u64) -> u64 {
    read(dentry, offset!(dentry_parent))
}

/// The inode of an entry.
#[inline(always)]
pub(crate) fn dentry_inode(dentry: u64) -> u64 {
    read(dentry, offset!(dentry_inode))
}

/// Hash and length of an entry's name.
#[inline(always)]
pub(crate) fn name_hash(dentry: u64) -> u64 {
    read(dentry, offset!(dentry_name) + offset!(qstr_hash_len))
}

/// Everything about a file but its path.
#[inline(always)]
pub(crate) fn meta(file_inode: u64, file_dentry: u64, file_mount: u64, out: *mut FileMeta) {
    let magic = magic(file_inode);
    let mut flags = 0;
    // An unhashed entry has lost its name; roots never had one.
    if read::<u64>(file_dentry, offset!(dentry_hash_pprev)) == 0
        && parent(file_dentry) != file_dentry
    {
        flags |= FILE_DELETED;
    }
    // The word right after the inode that overlayfs embeds is its upper entry, on 5.10 … 7.x.
    if magic == OVERLAYFS_SUPER_MAGIC && read::<u64>(file_inode, offset!(inode_size)) != 0 {
        flags |= FILE_UPPER;
    }
    let mount = file_mount - u64::from(offset!(mount_mnt));
    // SAFETY: `out` is a map value; every member is written.
    unsafe {
        (*out).inode = number(file_inode);
        (*out).device = device(file_inode);
        (*out).magic = magic;
        (*out).mode = mode(file_inode);
        (*out).uid = read(file_inode, offset!(inode_uid));
        (*out).gid = read(file_inode, offset!(inode_gid));
        (*out).mount_id = read(mount, offset!(mount_id));
        (*out).flags = flags;
        (*out).pad = 0;
    }
}

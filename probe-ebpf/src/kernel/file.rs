//! `struct file`, `struct inode` and `struct dentry`: what a file is.

use crate::kernel::memory::read;
use crate::maps::offset;
use procmon_probe_ebpf::abi::{FILE_DELETED, FILE_UPPER, FileMeta, Stream};

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
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFIFO: u32 = 0o010_000;
/// Numbers of devices, Documentation/admin-guide/devices.txt, as `dev_t` has them: 20 bits of minor number.
const MINOR_BITS: u32 = 20;
const NULL_DEVICE: u32 = 1 << MINOR_BITS | 3;
/// Major numbers of terminals: /dev/tty*, /dev/tty and /dev/console, and pseudo terminals.
const TTY_MAJOR: u32 = 4;
const TTY_AUX_MAJOR: u32 = 5;
const PTY_FIRST_MAJOR: u32 = 136;
const PTY_LAST_MAJOR: u32 = 143;
/// The first eight bytes of the name of an io_uring, `[io_uring]`.
const RING_NAME: u64 = u64::from_le_bytes(*b"[io_urin");

/// A `struct file`, by its address; 0: none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KernelFile(u64);

/// A `struct inode`, by its address; 0: none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode(u64);

/// A `struct dentry`, by its address; 0: none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dentry(u64);

/// Methods that all addresses have.
macro_rules! addresses {
    ($($name:ident)*) => {$(
        impl $name {
            /// Its address, as a number for maps and exported functions.
            #[inline(always)]
            pub(crate) fn address(self) -> u64 {
                self.0
            }

            /// There is none.
            #[inline(always)]
            pub(crate) fn is_none(self) -> bool {
                self.0 == 0
            }
        }
    )*};
}

addresses! { KernelFile Inode Dentry }

impl KernelFile {
    /// The object at an address.
    #[inline(always)]
    pub(crate) fn at(address: u64) -> Self {
        Self(address)
    }

    /// The inode.
    #[inline(always)]
    pub(crate) fn inode(self) -> Inode {
        Inode(read(self.0, offset!(file_inode)))
    }

    /// The directory entry.
    #[inline(always)]
    pub(crate) fn dentry(self) -> Dentry {
        Dentry(read(self.0, offset!(file_path) + offset!(path_dentry)))
    }

    /// The mount, as `struct vfsmount`.
    #[inline(always)]
    pub(crate) fn mount(self) -> u64 {
        read(self.0, offset!(file_path) + offset!(path_mnt))
    }

    /// The open made the file.
    #[inline(always)]
    pub(crate) fn was_created(self) -> bool {
        read::<u32>(self.0, offset!(file_mode)) & FMODE_CREATED != 0
    }

    /// The socket behind the file.
    #[inline(always)]
    pub(crate) fn socket(self) -> u64 {
        read(self.0, offset!(file_private_data))
    }

    /// It is an io_uring; the inode is its own.
    #[inline(always)]
    pub(crate) fn is_io_uring(self, inode: Inode) -> bool {
        inode.magic() == ANON_INODE_FS_MAGIC && read::<u64>(self.dentry().name(), 0) == RING_NAME
    }
}

impl Inode {
    /// Type and permissions.
    #[inline(always)]
    pub(crate) fn mode(self) -> u32 {
        u32::from(read::<u16>(self.0, offset!(inode_mode)))
    }

    /// It is a socket's.
    #[inline(always)]
    pub(crate) fn is_socket(self) -> bool {
        self.mode() & S_IFMT == S_IFSOCK
    }

    /// The kind of a file that is not a socket.
    #[inline(always)]
    pub(crate) fn stream(self) -> Stream {
        match self.mode() & S_IFMT {
            S_IFIFO if self.magic() == PIPEFS_MAGIC => Stream::Pipe,
            S_IFIFO => Stream::Fifo,
            S_IFREG | S_IFDIR => Stream::File,
            S_IFCHR => {
                let device: u32 = read(self.0, offset!(inode_rdev));
                match device >> MINOR_BITS {
                    _ if device == NULL_DEVICE => Stream::Null,
                    TTY_MAJOR | TTY_AUX_MAJOR | PTY_FIRST_MAJOR..=PTY_LAST_MAJOR => {
                        Stream::Terminal
                    }
                    _ => Stream::Other,
                }
            }
            _ => Stream::Other,
        }
    }

    /// Magic number of its file system.
    #[inline(always)]
    pub(crate) fn magic(self) -> u32 {
        read::<u64>(read(self.0, offset!(inode_sb)), offset!(sb_magic)) as u32
    }

    /// Its file system is one whose objects have no name: pipes, sockets, anonymous inodes, namespaces,
    /// pidfds, secret memory.
    #[inline(always)]
    pub(crate) fn is_nameless(self) -> bool {
        matches!(
            self.magic(),
            PIPEFS_MAGIC
                | SOCKFS_MAGIC
                | ANON_INODE_FS_MAGIC
                | NSFS_MAGIC
                | PID_FS_MAGIC
                | SECRETMEM_MAGIC
        )
    }

    /// Device of its file system.
    #[inline(always)]
    pub(crate) fn device(self) -> u32 {
        read(read(self.0, offset!(inode_sb)), offset!(sb_dev))
    }

    /// Inode number.
    #[inline(always)]
    pub(crate) fn number(self) -> u64 {
        read(self.0, offset!(inode_ino))
    }

    /// Bytes of content.
    #[inline(always)]
    pub(crate) fn size(self) -> u64 {
        read(self.0, offset!(inode_i_size))
    }
}

impl Dentry {
    /// The object at an address.
    #[inline(always)]
    pub(crate) fn at(address: u64) -> Self {
        Self(address)
    }

    /// The directory above.
    #[inline(always)]
    pub(crate) fn parent(self) -> Self {
        Self(read(self.0, offset!(dentry_parent)))
    }

    /// The inode.
    #[inline(always)]
    pub(crate) fn inode(self) -> Inode {
        Inode(read(self.0, offset!(dentry_inode)))
    }

    /// Address of the name.
    #[inline(always)]
    pub(crate) fn name(self) -> u64 {
        read(self.0, offset!(dentry_name) + offset!(qstr_name))
    }

    /// Hash and length of the name.
    #[inline(always)]
    pub(crate) fn name_hash(self) -> u64 {
        read(self.0, offset!(dentry_name) + offset!(qstr_hash_len))
    }
}

/// Everything about a file but its path.
#[inline(always)]
pub(crate) fn meta(inode: Inode, dentry: Dentry, file_mount: u64, out: *mut FileMeta) {
    let magic = inode.magic();
    let mut flags = 0;
    // An unhashed entry has lost its name; roots never had one.
    if read::<u64>(dentry.0, offset!(dentry_hash_pprev)) == 0 && dentry.parent() != dentry {
        flags |= FILE_DELETED;
    }
    // The word right after the inode that overlayfs embeds is its upper entry, on 5.10 … 7.x.
    if magic == OVERLAYFS_SUPER_MAGIC && read::<u64>(inode.0, offset!(inode_size)) != 0 {
        flags |= FILE_UPPER;
    }
    let mount = file_mount - u64::from(offset!(mount_mnt));
    // SAFETY: `out` is a map value; every member is written.
    unsafe {
        (*out).inode = inode.number();
        (*out).device = inode.device();
        (*out).magic = magic;
        (*out).mode = inode.mode();
        (*out).uid = read(inode.0, offset!(inode_uid));
        (*out).gid = read(inode.0, offset!(inode_gid));
        (*out).mount_id = read(mount, offset!(mount_id));
        (*out).flags = flags;
        (*out).pad = 0;
    }
}

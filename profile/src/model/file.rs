//! Files, by resolved path.

use super::{Counts, Layer, Package};
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One file as one executable used it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct File {
    /// Path within the container.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub path: Text,
    /// Path of the executable that used it.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Calls that succeeded; an open that creates counts `open` and `create`, a rename counts at
    /// both names, a link at the new one.
    pub operations: BTreeMap<FileOperation, u64>,
    /// Bytes that calls read.
    pub bytes_read: u64,
    /// Bytes that calls wrote.
    pub bytes_written: u64,
    /// Shared writable mappings made: what went through them is not counted in bytes.
    pub mmap_write: u64,
    /// Failed calls by errno name.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub errors: Counts,
    /// Whether the kernel's own objects gave the path, or an argument of the call.
    pub name_source: NameSource,
    /// Permission bits, four octal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Text>,
    /// Owner of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Where its bytes come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// The mount that it lies on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<Mount>,
    /// The file belongs to the node rather than to the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_resource: Option<bool>,
    /// The package that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
}

/// An operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FileOperation {
    /// open, openat, openat2, creat.
    Open,
    /// read, pread, readv, sendfile from it, …
    Read,
    /// write, pwrite, writev, sendfile to it, …
    Write,
    /// An open that made the file.
    Create,
    /// unlink, unlinkat.
    Unlink,
    /// rename, renameat, renameat2: at the old and at the new name.
    Rename,
    /// link, linkat: at the new name.
    Link,
    /// symlink, symlinkat.
    Symlink,
    /// mkdir, mkdirat.
    Mkdir,
    /// rmdir, unlinkat with `AT_REMOVEDIR`.
    Rmdir,
    /// chmod, fchmod, fchmodat, fchmodat2.
    Chmod,
    /// chown, fchown, lchown, fchownat.
    Chown,
    /// setxattr, lsetxattr, fsetxattr, and the removal of one.
    Setxattr,
    /// truncate, ftruncate.
    Truncate,
    /// mknod, mknodat.
    Mknod,
    /// Mapped executable.
    MmapExec,
    /// Executed.
    Exec,
}

/// Where a path comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NameSource {
    /// From the kernel's own objects: no racing thread can change it.
    #[default]
    Settled,
    /// From the memory of the caller.
    Argument,
}

/// Owner of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mount {
    /// The kind of mount in the terms of Kubernetes.
    pub kind: MountKind,
    /// Device, volume or name of what is mounted.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::path"
    )]
    pub source: Option<Text>,
    /// The path on the node, for a hostPath volume.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::path"
    )]
    pub host_path: Option<Text>,
}

/// The kind of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MountKind {
    /// The container's root.
    Overlay,
    /// A bind mount of no known volume.
    Bind,
    /// A ConfigMap volume.
    #[serde(rename = "configmap")]
    ConfigMap,
    /// A Secret volume.
    Secret,
    /// A projected volume, the service account token for instance.
    Projected,
    /// An emptyDir volume.
    EmptyDir,
    /// A persistent volume claim.
    Pvc,
    /// A path of the node.
    HostPath,
    /// Memory.
    Tmpfs,
    /// /proc.
    Proc,
    /// /sys.
    Sysfs,
    /// /dev.
    Device,
    /// None of these.
    Other,
}

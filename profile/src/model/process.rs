//! Processes: programs that ran, with their privileges.

use super::{Counts, Time};
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All processes of one container that share parent row, executable, arguments, ids and origin.
/// Privileges are those that the last of them had last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Process {
    /// `p1`, `p2`, …: unique within the container.
    pub id: Text,
    /// Id of the parent's row; absent when the parent is outside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Text>,
    /// Path of the executable within the container, resolved by the kernel.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Arguments, credentials masked.
    #[serde(deserialize_with = "crate::bounds::arguments")]
    pub argv: Vec<Text>,
    /// The arguments were longer than the capture takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub argv_truncated: bool,
    /// Titles that processes of the row wrote over their arguments, as `ps` shows them of servers.
    /// A process that ran before the window has its title for arguments.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::arguments"
    )]
    pub titles: Vec<Text>,
    /// Working directory at the start of the program.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::path"
    )]
    pub cwd: Option<Text>,
    /// Effective user id, as the initial user namespace knows it.
    pub uid: u32,
    /// Effective group id, as the initial user namespace knows it.
    pub gid: u32,
    /// The node's process ids, at most 16.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub pids: Vec<u32>,
    /// Capability sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<CapabilitySets>,
    /// The `no_new_privs` attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_privs: Option<bool>,
    /// The seccomp mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<SeccompMode>,
    /// The owner of each namespace that it lives in, by `mnt`, `pid`, `net`, `ipc`, `uts`, `user`, `cgroup`.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub namespaces: BTreeMap<Text, NamespaceOwner>,
    /// How it came into the container.
    pub origin: Origin,
    /// Standard input, output and error, when the program began or when the process ended, whichever tells
    /// more. Absent where the capture does not tell. Since schema 1.3.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub stdio: Vec<Stream>,
    /// Rows of processes whose standard output or error is the pipe that is this one's standard input. Since
    /// schema 1.3.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub stdin_from: Vec<Text>,
    /// Where the executable's bytes come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// The executable has no name any more.
    pub deleted: bool,
    /// Digest of the executable, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Text>,
    /// The package that owns the executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// Some of them ran already when the window opened.
    pub started_before: bool,
    /// Number of processes.
    pub count: u64,
    /// When the first of them was first seen in this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Time>,
    /// When the last of them was last seen to start, change or end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// How they ended: exit code as a decimal number, or the signal's name.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub exits: Counts,
}

/// Capability sets, as `CAP_…`, sorted by the kernel's number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapabilitySets {
    /// Used by permission checks.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub effective: Vec<Text>,
    /// Limit of what can become effective.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub permitted: Vec<Text>,
    /// Limit of what an executable can grant.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub bounding: Vec<Text>,
}

/// The kind of a standard stream, the most telling last: of processes that share a row, the last one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Stream {
    /// It was not looked at.
    Unknown,
    /// No descriptor has the number.
    Closed,
    /// None of the others.
    Other,
    /// The device `/dev/null`.
    Null,
    /// A file or a directory.
    File,
    /// A terminal.
    Terminal,
    /// A pipe without a name.
    Pipe,
    /// A pipe with a name.
    Fifo,
    /// A Unix socket.
    Unix,
    /// A UDP socket.
    Udp,
    /// A TCP or MPTCP socket.
    Tcp,
}

/// The seccomp mode of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SeccompMode {
    /// No restriction.
    Disabled,
    /// read, write, exit and sigreturn only.
    Strict,
    /// Filtered by programs.
    Filter,
}

/// The owner of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NamespaceOwner {
    /// The container's own.
    Container,
    /// Shared with other containers of the pod.
    Pod,
    /// The node's.
    Host,
    /// None of these.
    Other,
}

/// How a process came into the container.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Origin {
    /// The container's first process and its descendants.
    #[default]
    Entrypoint,
    /// Entered from outside, as `kubectl exec` does.
    Exec,
    /// An ephemeral container.
    Debug,
    /// The container runtime itself, before it hands over.
    Runtime,
}

/// Where the bytes of an executable or file come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Layer {
    /// A layer of the image.
    Image,
    /// The container's writable layer: created or changed since the image.
    Upper,
    /// Memory, without any file system.
    Memfd,
    /// A volume.
    Volume,
    /// The node's own file system.
    Host,
    /// Can't be told on this file system.
    Unknown,
}

/// The package that owns a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Package {
    /// Its name.
    pub name: Text,
    /// Its version.
    pub version: Text,
    /// `dpkg`, `rpm` or `apk`.
    pub manager: Text,
    /// The file differs from what the package holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<bool>,
}

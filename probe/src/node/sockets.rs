//! Sockets that listen when the window opens, from /proc/PID/net and /proc/PID/fd.

use procfs_core::net::{TcpNetEntries, TcpState, UnixNetEntries, UnixState};
use procfs_core::{ExplicitSystemInfo, FromBufRead as _, FromBufReadSI as _};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Most bytes read of one table of sockets.
const MAX_BYTES: u64 = 64 << 20;

/// Only the order of bytes matters to the tables of sockets.
const SYSTEM: ExplicitSystemInfo = ExplicitSystemInfo {
    boot_time_secs: 0,
    ticks_per_second: 100,
    page_size: 4096,
    is_little_endian: cfg!(target_endian = "little"),
};
/// `SOCK_DGRAM`.
const DATAGRAM: u16 = 2;

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// TCP.
    Tcp {
        /// Inode number of the network namespace.
        netns: u32,
        /// Where.
        address: SocketAddr,
        /// A process that holds it.
        holder: Option<u32>,
    },
    /// Unix, by path; abstract names begin with `@`.
    Unix {
        /// Where.
        path: String,
        /// `SOCK_…`.
        socket_type: u16,
        /// A process that holds it.
        holder: Option<u32>,
    },
}

/// Everything that listens in the network namespaces of these processes.
pub(crate) fn listeners(processes: &[u32]) -> Vec<Listener> {
    let mut namespaces = HashSet::new();
    let mut holders: HashMap<u64, u32> = HashMap::new();
    for process in processes {
        for inode in sockets_of(*process) {
            holders.entry(inode).or_insert(*process);
        }
    }
    let mut all = Vec::new();
    for process in processes {
        let Some(netns) = super::namespace(&process.to_string(), "net") else {
            continue;
        };
        if !namespaces.insert(netns) {
            continue;
        }
        for table in ["tcp", "tcp6"] {
            let entries = open(*process, table)
                .and_then(|file| TcpNetEntries::from_buf_read(file, &SYSTEM).ok())
                .map(|entries| entries.0)
                .unwrap_or_default();
            all.extend(
                entries
                    .into_iter()
                    .filter(|entry| entry.state == TcpState::Listen)
                    .map(|entry| Listener::Tcp {
                        netns,
                        address: entry.local_address,
                        holder: holders.get(&entry.inode).copied(),
                    }),
            );
        }
        // A named stream socket without a peer listens, or is about to.
        let entries = open(*process, "unix")
            .and_then(|file| UnixNetEntries::from_buf_read(file).ok())
            .map(|entries| entries.0)
            .unwrap_or_default();
        all.extend(entries.into_iter().filter_map(|entry| {
            let path = entry.path.as_ref()?.to_string_lossy().into_owned();
            (entry.state == UnixState::UNCONNECTED && entry.socket_type != DATAGRAM).then(|| {
                Listener::Unix {
                    path,
                    socket_type: entry.socket_type,
                    holder: holders.get(&entry.inode).copied(),
                }
            })
        }));
    }
    all
}

fn open(process: u32, table: &str) -> Option<BufReader<std::io::Take<File>>> {
    let file = File::open(format!("/proc/{process}/net/{table}")).ok()?;
    Some(BufReader::new(file.take(MAX_BYTES)))
}

/// What the descriptors of a process lead to.
fn descriptors(process: u32) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
}

/// A process has an io_uring open.
pub(crate) fn holds_ring(process: u32) -> bool {
    descriptors(process).any(|link| link.as_os_str() == "anon_inode:[io_uring]")
}

/// Inode numbers of the sockets that a process holds.
fn sockets_of(process: u32) -> Vec<u64> {
    descriptors(process)
        .filter_map(|link| {
            let text = link.to_str()?;
            text.strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect()
}

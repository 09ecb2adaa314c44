//! Sockets that listen when the window opens, from /proc/PID/net and /proc/PID/fd.

use crate::sys;
use procfs_core::net::{TcpNetEntries, TcpState};
use procfs_core::{ExplicitSystemInfo, FromBufReadSI as _};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Most bytes read of one table of sockets.
const MAX_BYTES: u64 = 64 << 20;

/// Time that all descriptors together may take before the window opens.
const MAX_NS: u64 = 700_000_000;

/// Only the order of bytes matters to the tables of sockets.
const SYSTEM: ExplicitSystemInfo = ExplicitSystemInfo {
    boot_time_secs: 0,
    ticks_per_second: 100,
    page_size: 4096,
    is_little_endian: cfg!(target_endian = "little"),
};
/// `SOCK_DGRAM`.
const DATAGRAM: u16 = 2;
/// `SS_UNCONNECTED` of linux/net.h.
const UNCONNECTED: u8 = 1;

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
        /// Where, as the process named it.
        path: Vec<u8>,
        /// `SOCK_…`.
        socket_type: u16,
        /// A process that holds it.
        holder: Option<u32>,
    },
}

/// Looks at what processes hold open, for a short time in all: a process may hold a million descriptors.
pub(crate) struct Descriptors {
    /// By the monotonic clock.
    end_ns: u64,
    is_cut: bool,
}

impl Descriptors {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self {
            end_ns: sys::monotonic_ns() + MAX_NS,
            is_cut: false,
        }
    }

    /// The time was over before all was looked at.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// A process has an io_uring open.
    pub(crate) fn holds_ring(&mut self, process: u32) -> bool {
        self.of(process)
            .any(|link| link.as_os_str() == "anon_inode:[io_uring]")
    }

    /// What the descriptors of a process lead to.
    fn of(&mut self, process: u32) -> impl Iterator<Item = PathBuf> {
        let entries = std::fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd"));
        let entries = entries.into_iter().flatten();
        let entries = entries.take_while(|_| {
            self.is_cut |= sys::monotonic_ns() > self.end_ns;
            !self.is_cut
        });
        entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
    }

    /// Everything that listens in the network namespaces of these processes.
    pub(crate) fn listeners(&mut self, processes: &[u32]) -> Vec<Listener> {
        let mut holders: HashMap<u64, u32> = HashMap::new();
        for process in processes {
            let inodes = self.of(*process).filter_map(|link| inode(link.to_str()?));
            for inode in inodes {
                holders.entry(inode).or_insert(*process);
            }
        }
        listeners(processes, &holders)
    }
}

fn listeners(processes: &[u32], holders: &HashMap<u64, u32>) -> Vec<Listener> {
    let mut namespaces = HashSet::new();
    let mut all = Vec::new();
    for process in processes {
        let Some(netns) = super::namespace(&process.to_string(), "net") else {
            continue;
        };
        if !namespaces.insert(netns) {
            continue;
        }
        let holder = |inode: u64| holders.get(&inode).copied();
        for table in ["tcp", "tcp6"] {
            all.extend(
                open(*process, table).map_or_else(Vec::new, |text| tcp(text, netns, holder)),
            );
        }
        let mut table = Vec::new();
        if let Some(mut file) = open(*process, "unix") {
            // What was read before an error is a table too.
            let _ = file.read_to_end(&mut table);
        }
        all.extend(unix(&table, holder));
    }
    all
}

/// Those of a table `tcp` or `tcp6`.
pub(crate) fn tcp(
    table: impl BufRead,
    netns: u32,
    holder: impl Fn(u64) -> Option<u32>,
) -> Vec<Listener> {
    let entries = TcpNetEntries::from_buf_read(table, &SYSTEM).map(|entries| entries.0);
    entries
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.state == TcpState::Listen)
        .map(|entry| Listener::Tcp {
            netns,
            address: entry.local_address,
            holder: holder(entry.inode),
        })
        .collect()
}

/// Those of a table `unix`: a named stream socket without a peer listens, or is about to. Names are
/// any bytes that a process chose: a line that can't be read takes no other one with it.
pub(crate) fn unix(table: &[u8], holder: impl Fn(u64) -> Option<u32>) -> Vec<Listener> {
    table
        .split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| unix_line(line, &holder))
        .collect()
}

/// `Num RefCount Protocol Flags Type St Inode Path`; the path goes to the end of the line.
fn unix_line(line: &[u8], holder: &impl Fn(u64) -> Option<u32>) -> Option<Listener> {
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        *field = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end..];
    }
    let path = rest.strip_prefix(b" ").filter(|path| !path.is_empty())?;
    let socket_type = u16::from_str_radix(fields[4], 16).ok()?;
    let state = u8::from_str_radix(fields[5], 16).ok()?;
    (state == UNCONNECTED && socket_type != DATAGRAM).then_some(())?;
    Some(Listener::Unix {
        path: path.to_vec(),
        socket_type,
        holder: holder(fields[6].parse().ok()?),
    })
}

fn open(process: u32, table: &str) -> Option<BufReader<std::io::Take<File>>> {
    let file = File::open(format!("/proc/{process}/net/{table}")).ok()?;
    Some(BufReader::new(file.take(MAX_BYTES)))
}

/// The inode number in `socket:[N]`.
pub(crate) fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sockets_are_any_bytes_and_hide_no_other() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/a b\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 12 /run/\xff\n\
            forged\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 13 /run/connected\n\
            0000000000000000: 00000002 00000000 00000000 0002 01 14 /run/datagram\n\
            0000000000000000: 00000002 00000000 00000000 0001 01 15\n\
            0000000000000000: 00000002 00000000 00010000 0005    01    16 @x\n";
        let found: Vec<_> = unix(table, |inode| Some(u32::try_from(inode).unwrap_or(0)))
            .into_iter()
            .map(|listener| match listener {
                Listener::Unix {
                    path,
                    socket_type,
                    holder,
                } => (path, socket_type, holder),
                Listener::Tcp { .. } => panic!("it is no table of tcp"),
            })
            .collect();
        assert_eq!(
            found,
            [
                (b"/run/a b".to_vec(), 1, Some(11)),
                (b"/run/\xff".to_vec(), 1, Some(12)),
                (b"@x".to_vec(), 5, Some(16)),
            ]
        );
    }
}

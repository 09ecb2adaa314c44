//! Network: keys, rows and the record of a first sight.

use super::declare::{kinds, records};

/// Longest path of a Unix socket.
pub const UNIX_PATH: usize = 108;

/// The container began.
pub const DIRECTION_OUTBOUND: u8 = 1;
/// The other end began.
pub const DIRECTION_INBOUND: u8 = 2;
/// A listening socket.
pub const DIRECTION_LISTEN: u8 = 3;

/// Rows kept for prefixes whose peers find none.
pub const PREFIX_ROWS: u32 = 512;

/// The key of a peer. For Unix sockets `remote` and `local` hold a hash of the path.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct NetworkKey {
    /// Executable slot.
    pub exe: u32,
    /// `AF_…`; IPv4-mapped IPv6 addresses are `AF_INET`.
    pub family: u16,
    /// `IPPROTO_…`, for `AF_INET` and `AF_INET6`.
    pub protocol: u16,
    /// `SOCK_…`.
    pub socket_type: u8,
    /// One of `DIRECTION_…`.
    pub direction: u8,
    /// Port of the container's end, of inbound and listening rows; of a vsock 0, as `remote_port`.
    pub local_port: u16,
    /// Port of the other end, of outbound rows.
    pub remote_port: u16,
    /// Not 0: all peers of a prefix, of 24 bits for `AF_INET` and 64 for `AF_INET6`.
    pub prefix: u16,
    /// The other end. Of IPv6 with the link, where the address has one, in the second four bytes; of a vsock
    /// context id and port, of four bytes each.
    pub remote: [u8; 16],
    /// The container's end, of inbound and listening rows.
    pub local: [u8; 16],
}
records! { NetworkKey = 48 }

/// Counts of one peer; updated by atomic addition. Failures are in the map `ERRNOS`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct NetworkRow {
    /// Connections established; of a socket that awaits datagrams, how many were bound.
    pub connections: u64,
    /// Datagrams sent; of a socket that awaits datagrams, how many of those bound began themselves.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Not 0: a resolver's port, by datagrams.
    pub resolver: u64,
}
records! { NetworkRow = 48 }

/// The state of a socket since it was connected or accepted.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct SocketState {
    /// Row of whoever made the connection.
    pub row: u32,
    /// One of `DIRECTION_…`.
    pub direction: u8,
    /// A number of [`Stage`].
    pub stage: u8,
    /// Executable slot of whoever made it.
    pub exe: u16,
}
records! { SocketState = 8 }

kinds! {
    /// How far a connection of a socket has come.
    Stage: u8 {
        /// The outcome of connect is open.
        Connecting = 1,
        /// Connected.
        Connected = 2,
        /// Failed, and counted: connect has yet to say so.
        Failed = 3,
        /// Failed, and connect has said so.
        Told = 4,
        /// Closed before it was connected, without an error of its own: connect says why.
        Unexplained = 5,
    }
}

/// A port that a socket listens on.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenKey {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Port.
    pub port: u16,
    /// Padding.
    pub pad: u16,
}
records! { ListenKey = 8 }

/// First sight of a peer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NetworkEvent {
    /// [`super::EVENT_NETWORK`].
    pub kind: u32,
    /// Row.
    pub row: u32,
    /// The key.
    pub key: NetworkKey,
    /// Bytes of `path` in use.
    pub path_len: u32,
    /// Inode number of the socket's network namespace.
    pub netns: u32,
    /// The container's address of an outbound row, when known.
    pub local: [u8; 16],
    /// Path of a Unix socket.
    pub path: [u8; UNIX_PATH],
    /// Number of the link that the socket is bound to, or that its datagram names; 0: none.
    pub link: u32,
}
records! { NetworkEvent = 192 }

/// A socket that waits for others, as a descriptor of a task of the target was found to lead to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HeldSocket {
    /// As at first sight within the window; `row` is 0.
    pub event: NetworkEvent,
    /// Inode number of the socket: other descriptors may lead to it, too.
    pub number: u64,
    /// The process.
    pub tgid: u32,
    /// Not 0: it is no socket, but an io_uring.
    pub is_ring: u32,
}
records! { HeldSocket = 208 }

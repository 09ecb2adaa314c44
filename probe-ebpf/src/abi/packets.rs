//! Names on the wire: packets that a resolver or TLS may have named something in, and whose they are.

use super::declare::records;

/// A packet of DNS, or one that begins like a TLS ClientHello.
pub const EVENT_WIRE: u32 = 9;
/// A task of the target has sent a datagram to a resolver.
pub const EVENT_WIRE_OWNER: u32 = 10;

/// Port of DNS.
pub const PORT_DNS: u16 = 53;
/// Bytes kept of a payload.
pub const WIRE_PAYLOAD: usize = 1460;

/// One packet, as a tap in its network namespace saw it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WirePacket {
    /// [`EVENT_WIRE`].
    pub kind: u32,
    /// Inode number of the network namespace of the tap.
    pub netns: u32,
    /// Executable slot of the socket's owner, of TCP only.
    pub exe: u32,
    /// Number of the device.
    pub device: u32,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u8,
    /// Not 0: it went out.
    pub outgoing: u8,
    /// 4 or 6.
    pub version: u8,
    /// Padding.
    pub pad: u8,
    /// Port that it came from.
    pub source_port: u16,
    /// Port that it goes to.
    pub destination_port: u16,
    /// Sequence number of its first byte, of TCP.
    pub sequence: u32,
    /// Bytes of its payload.
    pub length: u32,
    /// Bytes of `payload` in use.
    pub kept: u32,
    /// Address that it came from.
    pub source: [u8; 16],
    /// Address that it goes to.
    pub destination: [u8; 16],
    /// The payload.
    pub payload: [u8; WIRE_PAYLOAD],
}
records! { WirePacket = 68 + WIRE_PAYLOAD }

/// The owner of a datagram: one record follows each that was sent.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct WireOwner {
    /// [`EVENT_WIRE_OWNER`].
    pub kind: u32,
    /// Executable slot.
    pub exe: u32,
    /// Inode number of the socket's network namespace.
    pub netns: u32,
    /// Process.
    pub tgid: u32,
    /// The socket's own address; zero when it has none of its own.
    pub local: [u8; 16],
    /// The socket's own port.
    pub port: u16,
    /// 4 or 6, of its own address.
    pub version: u16,
}
records! { WireOwner = 36 }

/// One TCP connection, as its packets show it.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowKey {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// The target's port.
    pub port: u16,
    /// The other end's port.
    pub remote_port: u16,
    /// The target's address.
    pub local: [u8; 16],
    /// The other end's address.
    pub remote: [u8; 16],
}
records! { FlowKey = 40 }

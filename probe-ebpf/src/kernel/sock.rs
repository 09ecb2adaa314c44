//! `struct socket` and `struct sock`: the two ends of a socket.

use crate::kernel::memory::{read, read_to};
use crate::maps::offset;
use procmon_probe_ebpf::abi::{NO_OFFSET, Stream};

pub(crate) const AF_UNSPEC: u16 = 0;
pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
pub(crate) const AF_NETLINK: u16 = 16;
pub(crate) const AF_VSOCK: u16 = 40;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
const IPPROTO_UDPLITE: u16 = 136;
pub(crate) const IPPROTO_MPTCP: u16 = 262;
pub(crate) const SOCK_STREAM: u8 = 1;
pub(crate) const SOCK_DGRAM: u8 = 2;
pub(crate) const SOCK_SEQPACKET: u8 = 5;
/// `SOCK_BINDPORT_LOCK`, include/net/sock.h: the port was chosen by bind.
const BOUND_BY_USER: u8 = 8;
/// `TCP_ESTABLISHED` and `TCP_LISTEN`, which sockets of all families have for connected and listening.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// Two addresses, their ports, and what they belong to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) family: u16,
    pub(crate) local: [u8; 16],
    pub(crate) remote: [u8; 16],
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

/// A `struct sock`, by its address; 0: none.
#[derive(Clone, Copy)]
pub(crate) struct Sk(u64);

impl Sk {
    /// The sock at an address.
    #[inline(always)]
    pub(crate) fn at(address: u64) -> Self {
        Self(address)
    }

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

    /// The sock of a `struct socket`.
    #[inline(always)]
    pub(crate) fn of_socket(socket: u64) -> Self {
        Self(read(socket, offset!(socket_sk)))
    }

    /// `AF_…`.
    #[inline(always)]
    pub(crate) fn family(self) -> u16 {
        read(self.0, offset!(sk_family))
    }

    /// `SOCK_…`.
    #[inline(always)]
    pub(crate) fn socket_type(self) -> u8 {
        read::<u16>(self.0, offset!(sk_type)) as u8
    }

    /// `IPPROTO_…`.
    #[inline(always)]
    pub(crate) fn protocol(self) -> u16 {
        read(self.0, offset!(sk_protocol))
    }

    /// Its kind as a standard stream.
    #[inline(always)]
    pub(crate) fn stream(self) -> Stream {
        match (self.family(), self.protocol()) {
            (AF_UNIX, _) => Stream::Unix,
            (AF_INET | AF_INET6, IPPROTO_TCP | IPPROTO_MPTCP) => Stream::Tcp,
            (AF_INET | AF_INET6, IPPROTO_UDP) => Stream::Udp,
            _ => Stream::Other,
        }
    }

    /// UDP of IPv4 or IPv6.
    #[inline(always)]
    pub(crate) fn is_udp(self) -> bool {
        self.protocol() == IPPROTO_UDP && matches!(self.family(), AF_INET | AF_INET6)
    }

    /// The sock that the program has: of a TCP sock that carries an MPTCP connection, the connection's.
    /// 0 when it can't be told.
    #[inline(always)]
    pub(crate) fn of_program(self) -> Self {
        if offset!(tcp_is_mptcp) == NO_OFFSET
            || offset!(subflow_conn) == NO_OFFSET
            || self.protocol() != IPPROTO_TCP
            || read::<u8>(self.0, offset!(tcp_is_mptcp)) >> (offset!(tcp_is_mptcp_shift) & 7) & 1
                == 0
        {
            return self;
        }
        Self(read(
            read(self.0, offset!(csk_ulp_data)),
            offset!(subflow_conn),
        ))
    }

    /// `TCP_…` state.
    #[inline(always)]
    pub(crate) fn state(self) -> u8 {
        read(self.0, offset!(sk_state))
    }

    /// The pending error.
    #[inline(always)]
    pub(crate) fn error(self) -> u16 {
        read::<u32>(self.0, offset!(sk_err)) as u16
    }

    /// The local port was chosen by the program.
    #[inline(always)]
    pub(crate) fn is_bound_by_user(self) -> bool {
        // Four bits of a byte.
        read::<u8>(self.0, offset!(sk_userlocks)) >> (offset!(sk_userlocks_shift) & 7)
            & BOUND_BY_USER
            != 0
    }

    /// It takes connections.
    #[inline(always)]
    pub(crate) fn listens(self) -> bool {
        self.state() == LISTEN
    }

    /// Datagrams that anybody sends come to it: its program chose the port or the name, and it has no peer.
    #[inline(always)]
    pub(crate) fn awaits_datagrams(self) -> bool {
        if self.socket_type() != SOCK_DGRAM {
            return false;
        }
        match self.family() {
            AF_UNIX => self.unix_name().0 != 0 && self.unix_peer().is_none(),
            AF_INET | AF_INET6 => {
                matches!(self.protocol(), IPPROTO_UDP | IPPROTO_UDPLITE)
                    && self.is_bound_by_user()
                    && self.state() != ESTABLISHED
            }
            _ => false,
        }
    }

    /// Inode number of its network namespace.
    #[inline(always)]
    pub(crate) fn network_namespace(self) -> u32 {
        let net: u64 = read(self.0, offset!(sk_net));
        read(net, offset!(net_ns_inum))
    }

    /// The link that a sock is bound to, as connections with a link-local address are; 0: none.
    #[inline(always)]
    pub(crate) fn link(self) -> u32 {
        read(self.0, offset!(sk_bound_dev_if))
    }

    /// The ends of a vsock: context id and port, as the first words of the addresses.
    #[inline(always)]
    fn vsock_ends(self, out: &mut Ends) {
        // struct sockaddr_vm: two bytes of family, two of padding, port, context id.
        let end = |of: u32| from_words([read(self.0, of + 8), read(self.0, of + 4), 0, 0]);
        out.local = end(offset!(vsock_local));
        out.remote = end(offset!(vsock_remote));
    }

    /// The ends of an IPv4 or IPv6 sock, or of a vsock.
    #[inline(always)]
    pub(crate) fn ends(self, out: &mut Ends) {
        out.family = self.family();
        if out.family == AF_VSOCK {
            self.vsock_ends(out);
            return;
        }
        out.local_port = read(self.0, offset!(sk_num));
        if out.local_port == 0 {
            // A closed TCP sock gives its port back, but keeps what stood in its headers.
            out.local_port = u16::from_be(read(self.0, offset!(inet_sport)));
        }
        out.remote_port = u16::from_be(read(self.0, offset!(sk_dport)));
        if out.family == AF_INET6 {
            read_to(&mut out.remote, self.0, offset!(sk_v6_daddr));
            read_to(&mut out.local, self.0, offset!(sk_v6_rcv_saddr));
            let remote_mapped = unmap(&mut out.remote);
            let local_mapped = unmap(&mut out.local);
            if remote_mapped || (local_mapped && is_unset(&out.remote)) {
                out.family = AF_INET;
            }
        } else {
            out.remote = from_words([read(self.0, offset!(sk_daddr)), 0, 0, 0]);
            out.local = from_words([read(self.0, offset!(sk_rcv_saddr)), 0, 0, 0]);
        }
    }

    /// Address of the name of a Unix sock, and its length in bytes; 0 and 0 when it has none.
    #[inline(always)]
    pub(crate) fn unix_name(self) -> (u64, u32) {
        let address: u64 = read(self.0, offset!(unix_addr));
        if address == 0 {
            return (0, 0);
        }
        // sun_family comes first.
        let length: u32 = read(address, offset!(unix_address_len));
        (
            address + u64::from(offset!(unix_address_name)) + 2,
            length.saturating_sub(2),
        )
    }

    /// A Unix sock shares its name with others: an accepted one has the very name of the listener.
    #[inline(always)]
    pub(crate) fn shares_unix_name(self) -> bool {
        let address: u64 = read(self.0, offset!(unix_addr));
        read::<u32>(address, offset!(unix_address_refcnt)) > 1
    }

    /// The sock at the other end of a Unix sock.
    #[inline(always)]
    pub(crate) fn unix_peer(self) -> Self {
        Self(read(self.0, offset!(unix_peer)))
    }
}

/// Makes an IPv4 address of one that is mapped into IPv6. True when it was one.
#[inline(always)]
pub(crate) fn unmap(address: &mut [u8; 16]) -> bool {
    let words: [u32; 4] = as_words(address);
    if words[0] != 0 || words[1] != 0 || words[2] != u32::from_ne_bytes([0, 0, 0xff, 0xff]) {
        return false;
    }
    *address = from_words([words[3], 0, 0, 0]);
    true
}

#[inline(always)]
fn as_words(address: &[u8; 16]) -> [u32; 4] {
    // SAFETY: both are 16 bytes of plain data.
    unsafe { core::mem::transmute(*address) }
}

#[inline(always)]
pub(crate) fn from_words(words: [u32; 4]) -> [u8; 16] {
    // SAFETY: both are 16 bytes of plain data.
    unsafe { core::mem::transmute(words) }
}

/// All zero: no address.
#[inline(always)]
fn is_unset(address: &[u8; 16]) -> bool {
    let words = as_words(address);
    words[0] | words[1] | words[2] | words[3] == 0
}

/// Puts the number of a link into an IPv6 address that means nothing without one, those of fe80::/10 and
/// ff02::/16, behind the first four bytes, where such an address has zeroes.
#[inline(always)]
pub(crate) fn set_link(address: &mut [u8; 16], link: u32) {
    let mut words = as_words(address);
    let first = u32::from_be(words[0]);
    if first & 0xffc0_0000 == 0xfe80_0000 || first & 0xffff_0000 == 0xff02_0000 {
        words[1] = link;
        *address = from_words(words);
    }
}

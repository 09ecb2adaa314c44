//! Which row a socket, or an address that the program gave, belongs to.

use crate::kernel::file::KernelFile;
use crate::kernel::sock::{
    self, AF_INET, AF_INET6, AF_UNIX, AF_VSOCK, Ends, SOCK_DGRAM, SOCK_STREAM, Sk,
};
use crate::kernel::task;
use crate::maps::{LAST_SENT, LISTENERS, SOCKETS, hint, value};
use crate::programs::network::destination::{self, SETTLED};
use crate::programs::network::peers;
use crate::programs::network::unix::{self, FROM_USER, REMOTE};
use crate::programs::record::Task;
use crate::programs::{packets, record};
use crate::scratch::{OF_CALLS, scratch};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use procmon_probe_ebpf::abi::{DIRECTION_INBOUND, DIRECTION_OUTBOUND, ListenKey, PORT_DNS, Stage};

pub(crate) const TCP_ESTABLISHED: i32 = 1;
/// In LAST_SENT: the socket's first datagram came in.
pub(crate) const RECEIVES_FIRST: u32 = u32::MAX;
/// In place of what LAST_SENT does not hold.
pub(crate) const NOTHING_YET: u32 = u32::MAX - 1;
/// In LAST_SENT: the socket was made within the window.
pub(crate) const YOUNG: u32 = u32::MAX - 2;
/// In LAST_SENT, beside a row: it was the first datagram of a socket made within the window.
pub(crate) const WE_BEGAN: u32 = 1 << 30;
/// In a length: the datagram came in.
pub(crate) const CAME_IN: u32 = 1 << 31;
/// In a length: others begin.
const OTHERS_BEGIN: u32 = 1 << 30;
/// In a length: the program begins, whatever port it chose.
pub(crate) const WE_BEGIN: u32 = 1 << 29;

/// The row of the peer that a connected socket has; 0 for an unconnected one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn connection_row(exe: u32, socket_file: u64) -> u32 {
    let socket_file = KernelFile::at(socket_file);
    let sk = Sk::of_socket(socket_file.socket());
    if sk.is_none() {
        return 0;
    }
    match sk.family() {
        AF_INET | AF_INET6 => {
            // The row that the connection was counted in, when it is the same program's.
            if let Some(state) = value(&SOCKETS, sk.address())
                && state.stage == Stage::Connected.number()
                && u32::from(state.exe) == exe
            {
                return state.row;
            }
            inet_row(exe, sk.address(), socket_file.inode().number())
        }
        AF_UNIX => unix::unix_row(exe, sk.address()),
        AF_VSOCK => {
            let known = value(&SOCKETS, sk.address());
            vsock_row(
                exe,
                sk.address(),
                known.map_or(DIRECTION_OUTBOUND, |state| state.direction),
            )
        }
        _ => {
            let Some(buffer) = scratch(OF_CALLS) else {
                return 0;
            };
            let event = peers::begin(buffer, exe, sk);
            // SAFETY: the buffer is ours.
            unsafe { (*event).key.direction = DIRECTION_OUTBOUND };
            peers::peer_row()
        }
    }
}

/// The row of a connected vsock.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn vsock_row(exe: u32, sk: u64, direction: u8) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let mut ends = Ends::default();
    sk.ends(&mut ends);
    let event = peers::begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { peers::set_ends(event, &ends, direction) };
    peers::peer_row()
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn inet_row(exe: u32, sk: u64, number: u64) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let mut ends = Ends::default();
    sk.ends(&mut ends);
    // A disconnected socket keeps some of its former peer.
    let is_connected = if sk.socket_type() == SOCK_STREAM {
        ends.remote_port != 0
    } else {
        i32::from(sk.state()) == TCP_ESTABLISHED
    };
    if !is_connected {
        return 0;
    }
    let direction = match value(&SOCKETS, sk.address()) {
        Some(state) => state.direction,
        None if sk.socket_type() == SOCK_STREAM && is_listened_on(sk, ends.local_port) => {
            DIRECTION_INBOUND
        }
        // A server may connect its socket to the client that came first.
        None if sk.socket_type() != SOCK_STREAM && last_sent(number) == RECEIVES_FIRST => {
            DIRECTION_INBOUND
        }
        None => DIRECTION_OUTBOUND,
    };
    if ends.remote_port == PORT_DNS && direction == DIRECTION_OUTBOUND {
        if sk.socket_type() == SOCK_DGRAM {
            packets::note_resolver(sk);
        } else {
            // No other hook records a connection that was opened before the window.
            packets::remember_flow(exe, sk.address());
        }
    }
    let event = peers::begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { peers::set_ends(event, &ends, direction) };
    peers::peer_row()
}

/// The entry of a socket in LAST_SENT. Numbers, not options: the verifier refuses the undefined half
/// of an option.
#[inline(always)]
pub(crate) fn last_sent(number: u64) -> u32 {
    hint(&LAST_SENT, number).unwrap_or(NOTHING_YET)
}

#[inline(always)]
fn is_listened_on(sk: Sk, port: u16) -> bool {
    value(&LISTENERS, listen_key(sk.network_namespace(), port)).is_some()
}

/// The key of a port that is listened on.
#[inline(always)]
pub(crate) fn listen_key(netns: u32, port: u16) -> ListenKey {
    ListenKey {
        netns,
        port,
        pad: 0,
    }
}

/// Others come to this datagram socket, as far as its port and a length's `OTHERS_BEGIN` and
/// `WE_BEGIN` say.
#[inline(always)]
pub(crate) fn others_come(sk: Sk, length: u32) -> bool {
    length & OTHERS_BEGIN != 0 || (length & WE_BEGIN == 0 && sk.is_bound_by_user())
}

/// The row of an address that the program gave, or that the kernel wrote for it. `length` may
/// say `OTHERS_BEGIN` or `WE_BEGIN`.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn address_row(exe: u32, sk: u64, address: u64, length: u32) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let event = peers::begin(buffer, exe, sk);
    let family = sk.family();
    let is_datagram = sk.socket_type() == SOCK_DGRAM;
    let inbound = is_datagram && others_come(sk, length);
    if family == AF_UNIX {
        // SAFETY: the buffer is ours.
        unsafe { (*event).key.direction = DIRECTION_OUTBOUND };
        let length = (length & 0xffff).saturating_sub(2);
        if !unix::unix_path(address + 2, length, FROM_USER | REMOTE) {
            return 0;
        }
        return peers::peer_row();
    }
    if family != AF_INET && family != AF_INET6 {
        // SAFETY: the buffer is ours; the helper checks the address.
        unsafe {
            (*event).key.direction = DIRECTION_OUTBOUND;
            if family == AF_VSOCK {
                // struct sockaddr_vm: two bytes of family, two of padding, port, context id.
                let remote = (&raw mut (*event).key.remote).cast::<u32>();
                bpf_probe_read_user(remote.cast(), 4, (address + 8) as *const _);
                bpf_probe_read_user(remote.add(1).cast(), 4, (address + 4) as *const _);
            }
        }
        return peers::peer_row();
    }
    let mut ends = Ends::default();
    sk.ends(&mut ends);
    let Some((task, destinations)) = destination::of(record::current_slot()) else {
        return 0;
    };
    // SAFETY: map values of the current task, of 28 bytes; the helper checks the address.
    let words = unsafe {
        if address == SETTLED {
            &(*destinations).sent
        } else {
            let said = &raw mut (*destinations).said;
            let length = if family == AF_INET6 { 28 } else { 16 };
            if bpf_probe_read_user(said.cast(), length, address as *const _) != 0 {
                return 0;
            }
            destination::said_one(task, destinations);
            &*said
        }
    };
    ends.remote_port = u16::from_be((words[0] >> 16) as u16);
    if words[0] as u16 == AF_INET6 {
        ends.remote = sock::from_words([words[2], words[3], words[4], words[5]]);
        ends.family = if sock::unmap(&mut ends.remote) {
            AF_INET
        } else {
            AF_INET6
        };
        // SAFETY: the buffer is ours.
        unsafe {
            if (*event).link == 0 {
                (*event).link = words[6];
            }
        }
    } else {
        ends.remote = sock::from_words([words[1], 0, 0, 0]);
        ends.family = AF_INET;
    }
    let direction = if inbound {
        DIRECTION_INBOUND
    } else {
        DIRECTION_OUTBOUND
    };
    // SAFETY: the buffer is ours.
    unsafe { peers::set_ends(event, &ends, direction) };
    peers::peer_row()
}

/// The sock of a descriptor of the current task; 0 when it is no socket.
#[inline(always)]
pub(crate) fn sock_of(descriptor: u32) -> (Sk, u64) {
    let socket_file = task::file(task::current(), descriptor);
    let inode = socket_file.inode();
    if inode.is_none() || !inode.is_socket() {
        return (Sk::at(0), 0);
    }
    (Sk::of_socket(socket_file.socket()), inode.number())
}

/// Keeps which socket a file is until the call returns: another thread may put another one into
/// its descriptor meanwhile.
#[inline(always)]
pub(crate) fn keep_sock(task: Task, socket_file: KernelFile) {
    task.set_sock(Sk::of_socket(socket_file.socket()));
    task.set_sock_number(socket_file.inode().number());
}

/// Keeps which socket a descriptor is until the call returns.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn remember_sock(descriptor: u32) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let (sk, number) = sock_of(descriptor);
    task.set_sock(sk);
    task.set_sock_number(number);
    0
}

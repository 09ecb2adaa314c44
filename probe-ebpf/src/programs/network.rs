//! Network: which peer a socket belongs to, and what went through it.
//!
//! Called at the entry and return of system calls, where the current task is the owner. Hooks
//! (tp_btf): inet_sock_set_state(sk, oldstate, newstate) and tcp_destroy_sock(sk), the same in
//! 5.10 … 7.x; they run on whatever task was there, so only the step to SYN_SENT, taken inside
//! connect, looks at the task.

use super::{destination, file::errno, held::hold, label, wire};
use crate::kernel::sock::{
    self, AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_UNSPEC, AF_VSOCK, Ends, IPPROTO_MPTCP,
    SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM,
};
use crate::kernel::{alone, file, number_at, regs, task};
use crate::maps::{
    BOUND, FREE_PEER_ROWS, FREE_PREFIX_ROWS, LAST_SENT, LISTENERS, PEER_ROWS, PEERS, PREFIXES,
    SOCKETS, STATE, Scratch, add, add_errno, emit, lost, open, scratch, take,
};
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use procmon_probe_ebpf::abi::{
    ABI_COMPAT, ABI_NATIVE, CALL_RECVFROM, CALL_SENDMMSG, CALL_SENDMSG, CALL_SENDTO, CallKind,
    DIRECTION_INBOUND, DIRECTION_LISTEN, DIRECTION_OUTBOUND, EVENT_NETWORK, HeldSocket, ListenKey,
    Loss, NetworkEvent, NetworkKey, NetworkRow, PORT_DNS, ROWS_NETWORK, SOCKET_CONNECTED,
    SOCKET_CONNECTING, SOCKET_FAILED, SOCKET_FIRST, SOCKET_SETTLED, SOCKET_UNEXPLAINED,
    SocketState, TASK_PENDING, TaskRecord, UNIX_PATH,
};

const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_CLOSE: i32 = 7;
const EINTR: u16 = 4;
const EAGAIN: u16 = 11;
const EISCONN: u16 = 106;
const EALREADY: u16 = 114;
const EINPROGRESS: u16 = 115;
/// In LAST_SENT: the socket's first datagram came in.
const RECEIVES_FIRST: u32 = u32::MAX;
/// In place of what LAST_SENT does not hold.
const NOTHING_YET: u32 = u32::MAX - 1;
/// In LAST_SENT: the socket was made within the window.
const YOUNG: u32 = u32::MAX - 2;
/// In LAST_SENT, beside a row: it was the first datagram of a socket made within the window.
const WE_BEGAN: u32 = 1 << 30;
/// In a length: the datagram came in.
const CAME_IN: u32 = 1 << 31;
/// In a length: others begin.
const OTHERS_BEGIN: u32 = 1 << 30;
/// In a length: the program begins, whatever port it chose.
const WE_BEGIN: u32 = 1 << 29;
/// Flags of a receiving call: what it returns stays in the queue, or was never received.
const MSG_PEEK: u64 = 2;
const MSG_ERRQUEUE: u64 = 0x2000;
/// The name of a Unix socket is not the kernel's copy but in the caller's memory.
const FROM_USER: u32 = 2;
/// It is that of the other end.
const REMOTE: u32 = 4;
/// It goes into the buffer of iterators, whose number this is.
const HELD: u32 = 1;
/// Messages of one sendmmsg or recvmmsg that are looked at in one go.
const MAX_MESSAGES: usize = 32;

/// Failures that are no failure of the peer.
#[inline(always)]
fn is_failure(errno: u16) -> bool {
    !matches!(errno, 0 | EINTR | EAGAIN | EISCONN | EALREADY | EINPROGRESS)
}

/// The record in the buffer, all zero but for the executable and what the sock is.
#[inline(always)]
fn begin(buffer: *mut Scratch, exe: u32, sk: u64) -> *mut NetworkEvent {
    let event = buffer.cast::<NetworkEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        core::ptr::write_bytes(event, 0, 1);
        (*event).key.exe = exe;
        (*event).key.family = sock::family(sk);
        (*event).key.socket_type = sock::socket_type(sk);
        (*event).key.protocol = sock::protocol(sk);
        (*event).netns = sock::network_namespace(sk);
        (*event).link = sock::link(sk);
    }
    event
}

/// Row plus 1 of the key in the buffer; announced at first sight.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn peer_row() -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let event = buffer.cast::<NetworkEvent>();
    // SAFETY: the caller has written the record.
    unsafe {
        let key = &raw const (*event).key;
        if let Some(row) = PEERS.get(&*key).copied() {
            return row + 1;
        }
        let Some(row) = take(&FREE_PEER_ROWS) else {
            return prefix_row();
        };
        (*event).kind = EVENT_NETWORK;
        (*event).row = row;
        if let Some(counts) = counts(row) {
            (*counts).resolver = u64::from(is_resolver(key));
        }
        if !emit(buffer, size_of::<NetworkEvent>(), Loss::RingNetwork) {
            let _ = FREE_PEER_ROWS.push(row, 0);
            return 0;
        }
        if PEERS.insert(&*key, row, 0).is_err() {
            lost(Loss::NetworkRows);
        }
        row + 1
    }
}

/// Row plus 1 of the prefix of the peer in the buffer, which found no row of its own.
#[inline(always)]
fn prefix_row() -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let event = buffer.cast::<NetworkEvent>();
    // SAFETY: the caller has written the record.
    unsafe {
        let key = &raw mut (*event).key;
        (*key).prefix = 1;
        (*key).remote_port = 0;
        let words = (&raw mut (*key).remote).cast::<u32>();
        if (*key).family == AF_INET {
            // The first 24 bits, in network order.
            *words &= u32::from_ne_bytes([0xff, 0xff, 0xff, 0]);
        } else {
            *words.add(2) = 0;
            *words.add(3) = 0;
        }
        if (*key).family == AF_UNIX {
            *words = 0;
            *words.add(1) = 0;
            // By words: a call to clear memory would be one frame too many.
            let local = (&raw mut (*key).local).cast::<u32>();
            *local = 0;
            *local.add(1) = 0;
            (*event).path[0] = 0;
            (*event).path_len = 0;
        }
        if let Some(row) = PREFIXES.get(&*key).copied() {
            lost(Loss::PeersByPrefix);
            return row + 1;
        }
        let Some(row) = take(&FREE_PREFIX_ROWS) else {
            lost(Loss::NetworkRows);
            return 0;
        };
        (*event).kind = EVENT_NETWORK;
        (*event).row = row;
        if !emit(buffer, size_of::<NetworkEvent>(), Loss::RingNetwork) {
            let _ = FREE_PREFIX_ROWS.push(row, 0);
            return 0;
        }
        lost(Loss::PeersByPrefix);
        if PREFIXES.insert(&*key, row, 0).is_err() {
            lost(Loss::NetworkRows);
        }
        row + 1
    }
}

/// Datagrams to a resolver.
#[inline(always)]
unsafe fn is_resolver(key: *const NetworkKey) -> bool {
    // SAFETY: the caller's.
    unsafe {
        (*key).remote_port == PORT_DNS
            && (*key).direction == DIRECTION_OUTBOUND
            && (*key).socket_type == SOCK_DGRAM
    }
}

#[inline(always)]
fn counts(row: u32) -> Option<*mut NetworkRow> {
    PEER_ROWS.get_ptr_mut(row)
}

#[inline(always)]
fn count_connection(row: u32) {
    if let Some(counts) = counts(row) {
        // SAFETY: a map value.
        add(unsafe { &raw mut (*counts).connections }, 1);
    }
}

/// Writes the ends of a connection into the key. `direction` is kept by the caller's knowledge.
#[inline(always)]
unsafe fn set_ends(event: *mut NetworkEvent, ends: &Ends, direction: u8) {
    // SAFETY: the caller's.
    unsafe {
        let key = &raw mut (*event).key;
        (*key).family = ends.family;
        (*key).direction = direction;
        match direction {
            DIRECTION_OUTBOUND => {
                (*key).remote = ends.remote;
                (*key).remote_port = ends.remote_port;
                (*event).local = ends.local;
            }
            DIRECTION_INBOUND => {
                (*key).remote = ends.remote;
                (*key).local = ends.local;
                (*key).local_port = ends.local_port;
                if ends.family == AF_VSOCK {
                    // The port of who came says nothing, as elsewhere.
                    *(&raw mut (*key).remote).cast::<u32>().add(1) = 0;
                }
            }
            _ => {
                (*key).local = ends.local;
                (*key).local_port = ends.local_port;
            }
        }
        if ends.family == AF_INET6 {
            sock::set_link(&mut (*key).remote, (*event).link);
            sock::set_link(&mut (*key).local, (*event).link);
        }
    }
}

/// Row plus 1 of the peer that a connected socket has; 0 for an unconnected one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn connection_row(exe: u32, socket_file: u64) -> u32 {
    let sk = sock::of_socket(file::socket(socket_file));
    if sk == 0 {
        return 0;
    }
    match sock::family(sk) {
        AF_INET | AF_INET6 => {
            // The row that the connection was counted in, when it is the same program's.
            // SAFETY: an entry is copied out of the map.
            if let Some(state) = unsafe { SOCKETS.get(sk) }.copied()
                && state.stage == SOCKET_CONNECTED
                && u32::from(state.exe) == exe
            {
                return state.row + 1;
            }
            inet_row(exe, sk, file::number(file::inode(socket_file)))
        }
        AF_UNIX => unix_row(exe, sk),
        AF_VSOCK => {
            // SAFETY: an entry is copied out of the map.
            let known = unsafe { SOCKETS.get(sk) };
            vsock_row(
                exe,
                sk,
                known.map_or(DIRECTION_OUTBOUND, |state| state.direction),
            )
        }
        _ => {
            let Some(buffer) = scratch(0) else { return 0 };
            let event = begin(buffer, exe, sk);
            // SAFETY: the buffer is ours.
            unsafe { (*event).key.direction = DIRECTION_OUTBOUND };
            peer_row()
        }
    }
}

/// Row plus 1 of a connected vsock.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn vsock_row(exe: u32, sk: u64, direction: u8) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let mut ends = Ends::default();
    sock::ends(sk, &mut ends);
    let event = begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { set_ends(event, &ends, direction) };
    peer_row()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn inet_row(exe: u32, sk: u64, number: u64) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let mut ends = Ends::default();
    sock::ends(sk, &mut ends);
    // What was disconnected keeps some of its former peer.
    let is_connected = if sock::socket_type(sk) == SOCK_STREAM {
        ends.remote_port != 0
    } else {
        i32::from(sock::state(sk)) == TCP_ESTABLISHED
    };
    if !is_connected {
        return 0;
    }
    // SAFETY: an entry is copied out of the map.
    let direction = match unsafe { SOCKETS.get(sk) }.copied() {
        Some(state) => state.direction,
        None if sock::socket_type(sk) == SOCK_STREAM && is_listened_on(sk, ends.local_port) => {
            DIRECTION_INBOUND
        }
        // A server may connect its socket to the client that came first.
        None if sock::socket_type(sk) != SOCK_STREAM && last_sent(number) == RECEIVES_FIRST => {
            DIRECTION_INBOUND
        }
        None => DIRECTION_OUTBOUND,
    };
    if ends.remote_port == PORT_DNS && direction == DIRECTION_OUTBOUND {
        if sock::socket_type(sk) == SOCK_DGRAM {
            wire::asks(sk);
        } else {
            // Of a connection that is older than the window nobody else knows.
            wire::flows(exe, sk);
        }
    }
    let event = begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { set_ends(event, &ends, direction) };
    peer_row()
}

/// What LAST_SENT knows of a socket. Numbers, not options: the verifier refuses the undefined half
/// of an option.
#[inline(always)]
fn last_sent(number: u64) -> u32 {
    // SAFETY: a number is copied out of the map.
    unsafe { LAST_SENT.get(number) }.map_or(NOTHING_YET, |row| *row)
}

#[inline(always)]
fn is_listened_on(sk: u64, port: u16) -> bool {
    let key = ListenKey {
        netns: sock::network_namespace(sk),
        port,
        pad: 0,
    };
    // SAFETY: only presence counts.
    unsafe { LISTENERS.get(key) }.is_some()
}

/// Copies a Unix socket's name into the record and hashes it into the key; `how`: [`FROM_USER`], [`REMOTE`], [`HELD`].
/// False when there is none.
#[inline(always)]
fn unix_path(name: u64, length: u32, how: u32) -> bool {
    write_unix_path(name, length, how) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn write_unix_path(name: u64, length: u32, how: u32) -> u32 {
    let Some(buffer) = scratch(how & HELD) else {
        return 0;
    };
    let event = buffer.cast::<NetworkEvent>();
    if name == 0 || length == 0 {
        return 0;
    }
    let length = if length as usize > UNIX_PATH {
        UNIX_PATH as u32
    } else {
        length
    };
    // SAFETY: the path lies within the record; the helpers check the address.
    unsafe {
        let path = (&raw mut (*event).path).cast();
        let failed = if how & FROM_USER != 0 {
            bpf_probe_read_user(path, length, name as *const _)
        } else {
            bpf_probe_read_kernel(path, length, name as *const _)
        } != 0;
        if failed {
            return 0;
        }
        let path = (&raw mut (*event).path).cast::<u8>();
        if *path != 0 {
            // A path ends at its first NUL; the length of an address may be longer.
            let mut ended = false;
            for at in 0..UNIX_PATH {
                let byte = path.add(at);
                ended |= *byte == 0;
                if ended {
                    *byte = 0;
                }
            }
            (*event).path_len = 0;
        } else {
            (*event).path_len = length;
        }
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from((*event).path_len);
        let words = path.cast::<u32>();
        for at in 0..UNIX_PATH / 4 {
            hash = (hash ^ u64::from(*words.add(at))).wrapping_mul(0x0000_0100_0000_01b3);
            hash ^= hash >> 31;
        }
        let key = &raw mut (*event).key;
        let place = if how & REMOTE != 0 {
            &raw mut (*key).remote
        } else {
            &raw mut (*key).local
        };
        *place.cast::<u64>() = hash;
    }
    1
}

/// Row plus 1 of a connected Unix socket; 0 for a nameless pair.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn unix_row(exe: u32, sk: u64) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let peer = sock::unix_peer(sk);
    if peer == 0 {
        return 0;
    }
    let (name, length) = sock::unix_name(peer);
    // An accepted socket has the listener's name. One that connected has none, or its own.
    if sock::socket_type(sk) != SOCK_DGRAM
        && sock::unix_name(sk).0 != 0
        && (name == 0 || sock::shares_unix_name(sk))
    {
        return unix_own_row(exe, sk);
    }
    let event = begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { (*event).key.direction = DIRECTION_OUTBOUND };
    if !unix_path(name, length, REMOTE) {
        return 0;
    }
    peer_row()
}

/// Row plus 1 of those who come to a Unix socket's own name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn unix_own_row(exe: u32, sk: u64) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let event = begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { (*event).key.direction = DIRECTION_INBOUND };
    let (name, length) = sock::unix_name(sk);
    if !unix_path(name, length, 0) {
        return 0;
    }
    peer_row()
}

/// Others come to this datagram socket, as far as its port and a length's `OTHERS_BEGIN` and
/// `WE_BEGIN` say.
#[inline(always)]
fn others_come(sk: u64, length: u32) -> bool {
    length & OTHERS_BEGIN != 0 || (length & WE_BEGIN == 0 && sock::is_bound_by_user(sk))
}

/// Row plus 1 of an address that the program gave, or that the kernel wrote for it. `length` may
/// say `OTHERS_BEGIN` or `WE_BEGIN`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn address_row(exe: u32, sk: u64, address: u64, length: u32) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let event = begin(buffer, exe, sk);
    let family = sock::family(sk);
    let is_datagram = sock::socket_type(sk) == SOCK_DGRAM;
    let inbound = is_datagram && others_come(sk, length);
    if family == AF_UNIX {
        // SAFETY: the buffer is ours.
        unsafe { (*event).key.direction = DIRECTION_OUTBOUND };
        let length = (length & 0xffff).saturating_sub(2);
        if !unix_path(address + 2, length, FROM_USER | REMOTE) {
            return 0;
        }
        return peer_row();
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
        return peer_row();
    }
    let mut ends = Ends::default();
    sock::ends(sk, &mut ends);
    let Some((record, destinations)) = destination::of(label::current_slot()) else {
        return 0;
    };
    // SAFETY: map values of the current task, of 28 bytes; the helper checks the address.
    let words = unsafe {
        if address == destination::SETTLED {
            &(*destinations).sent
        } else {
            let said = &raw mut (*destinations).said;
            let length = if family == AF_INET6 { 28 } else { 16 };
            if bpf_probe_read_user(said.cast(), length, address as *const _) != 0 {
                return 0;
            }
            destination::said_one(record, destinations);
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
    unsafe { set_ends(event, &ends, direction) };
    peer_row()
}

/// The sock of a descriptor of the current task; 0 when it is no socket.
#[inline(always)]
fn sock_of(descriptor: u32) -> (u64, u64) {
    let socket_file = task::file(task::current(), descriptor);
    let inode = file::inode(socket_file);
    if inode == 0 || !file::is_socket(file::mode(inode)) {
        return (0, 0);
    }
    (
        sock::of_socket(file::socket(socket_file)),
        file::number(inode),
    )
}

/// Keeps which socket a file is until the call returns: another thread may put another one into
/// its descriptor meanwhile.
#[inline(always)]
pub(crate) unsafe fn keep_sock(record: *mut TaskRecord, socket_file: u64) {
    // SAFETY: the caller's: a map value of the current task.
    unsafe {
        (*record).sock = sock::of_socket(file::socket(socket_file));
        (*record).sock_number = file::number(file::inode(socket_file));
    }
}

/// Keeps which socket a descriptor is until the call returns.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn remember_sock(descriptor: u32) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    let (sk, number) = sock_of(descriptor);
    // SAFETY: a map value of the current task.
    unsafe {
        (*record).sock = sk;
        (*record).sock_number = number;
    }
    0
}

/// socketcall, whose arguments lie in memory, has returned: those that would count are lost.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn called_by_number(regs: u64, kind: u64) -> u32 {
    // connect, listen, accept, send, recv, sendto, recvfrom, sendmsg, recvmsg, accept4, recvmmsg,
    // sendmmsg: include/uapi/linux/net.h.
    const COUNTED: u64 = 0x1f_1e38;
    let kind = CallKind::from_word(kind);
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let abi = unsafe { (*record).abi };
    let call = regs::argument(regs, abi, kind.a) & 0xffff_ffff;
    if call < 32 && COUNTED >> call & 1 != 0 {
        lost(Loss::Messages);
    }
    0
}

/// socket has returned: nothing was sent yet.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn made(result: i64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    if result < 0 {
        return 0;
    }
    // SAFETY: a map value of the current task.
    let exe = unsafe { (*record).exe };
    let (sk, number) = sock_of(result as u32);
    let family = sock::family(sk);
    if sk != 0 && sock::socket_type(sk) == SOCK_DGRAM && (family == AF_INET || family == AF_INET6) {
        let _ = LAST_SENT.insert(number, YOUNG, 0);
        // SAFETY: the static is a map's value.
        add(unsafe { &raw mut STATE.sockets_made }, 1);
    }
    // No call may show the traffic of the other families. The row says that such a socket exists.
    if sk != 0 && !matches!(family, AF_UNIX | AF_INET | AF_INET6 | AF_NETLINK | AF_VSOCK) {
        connection_row(exe, task::file(task::current(), result as u32));
    }
    0
}

/// connect has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn connected(regs: u64, kind: u64, result: i64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let (exe, abi, sk, number) = unsafe {
        (
            (*record).exe,
            (*record).abi,
            (*record).sock,
            (*record).sock_number,
        )
    };
    if sk == 0 {
        return 0;
    }
    let failure = errno(result);
    let address = regs::argument(regs, abi, kind.b);
    let mut family = 0_u16;
    // SAFETY: a local; the helper checks the address.
    let unread =
        unsafe { bpf_probe_read_user((&raw mut family).cast(), 2, address as *const _) } != 0;
    if family == AF_UNSPEC && !unread {
        // Nobody is the peer any more.
        if failure == 0 {
            let _ = SOCKETS.remove(sk);
        }
        return 0;
    }
    if connect_done(exe, sk, number, result) == 0 {
        let length = regs::argument(regs, abi, kind.c) as u32 & 0xffff | WE_BEGIN;
        let row = address_row(exe, sk, address, length);
        if row != 0 {
            add_errno(ROWS_NETWORK, row - 1, failure, 1);
        }
    }
    0
}

/// A connect has a result; 0 when it is a failure that is not counted yet, for want of an address.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn connect_done(exe: u32, sk: u64, number: u64, result: i64) -> u32 {
    let failure = errno(result);
    // TCP was counted at its change of state, when it came that far.
    if let Some(state) = SOCKETS.get_ptr_mut(sk) {
        // SAFETY: a map value.
        unsafe {
            if !is_failure(failure) {
                return 1;
            }
            let stage = (*state).stage;
            if stage == SOCKET_UNEXPLAINED {
                add_errno(ROWS_NETWORK, (*state).row, failure, 1);
            }
            if stage == SOCKET_UNEXPLAINED || stage == SOCKET_FAILED {
                (*state).stage = SOCKET_SETTLED;
                return 1;
            }
        }
    }
    if failure == 0 {
        if result < 0 {
            return 1;
        }
        let row = match sock::family(sk) {
            AF_UNIX => unix_row(exe, sk),
            AF_VSOCK => vsock_row(exe, sk, DIRECTION_OUTBOUND),
            _ => inet_row(exe, sk, number),
        };
        if row != 0 && sock::family(sk) == AF_VSOCK {
            remember(sk, row - 1, exe, DIRECTION_OUTBOUND, SOCKET_CONNECTED);
        }
        if matches!(sock::socket_type(sk), SOCK_STREAM | SOCK_SEQPACKET) {
            if row != 0 {
                count_connection(row - 1);
            }
        } else {
            began(number);
        }
        return 1;
    }
    u32::from(!is_failure(failure))
}

/// accept has returned a descriptor. Row plus 1; 0 when it is not known.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn accepted(result: i64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    let Some(buffer) = scratch(0) else { return 0 };
    if result < 0 {
        return 0;
    }
    let (sk, _) = sock_of(result as u32);
    if sk == 0 {
        return 0;
    }
    // SAFETY: a map value of the current task.
    let exe = unsafe { (*record).exe };
    if sock::family(sk) == AF_UNIX {
        let row = unix_own_row(exe, sk);
        if row != 0 {
            count_connection(row - 1);
        }
        return row;
    }
    let mut ends = Ends::default();
    sock::ends(sk, &mut ends);
    let event = begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { set_ends(event, &ends, DIRECTION_INBOUND) };
    let row = peer_row();
    if row == 0 {
        return 0;
    }
    count_connection(row - 1);
    remember(sk, row - 1, exe, DIRECTION_INBOUND, SOCKET_CONNECTED);
    row
}

#[inline(always)]
fn remember(sk: u64, row: u32, exe: u32, direction: u8, stage: u8) {
    let state = SocketState {
        row,
        direction,
        stage,
        exe: exe as u16,
    };
    if SOCKETS.insert(sk, state, 0).is_err() {
        lost(Loss::Sockets);
    }
}

/// listen has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn listening(result: i64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let (exe, sk) = unsafe { ((*record).exe, (*record).sock) };
    listens(exe, sk, result)
}

/// A listen has a result.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn listens(exe: u32, sk: u64, result: i64) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    if result != 0 || sk == 0 || write_listener(0, exe, sk) == 0 {
        return 0;
    }
    let event = buffer.cast::<NetworkEvent>();
    // SAFETY: the buffer is ours.
    let (netns, family, port) =
        unsafe { ((*event).netns, (*event).key.family, (*event).key.local_port) };
    if family == AF_INET || family == AF_INET6 {
        let key = ListenKey {
            netns,
            port,
            pad: 0,
        };
        if LISTENERS.insert(key, 1, 0).is_err() {
            lost(Loss::Sockets);
        }
    }
    peer_row();
    0
}

/// Writes into a buffer that a socket waits for others; 0: it has no name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn write_listener(number: u32, exe: u32, sk: u64) -> u32 {
    let Some(buffer) = scratch(number) else {
        return 0;
    };
    let event = begin(buffer, exe, sk);
    if sock::family(sk) == AF_UNIX {
        // SAFETY: the buffer is ours.
        unsafe { (*event).key.direction = DIRECTION_LISTEN };
        let (name, length) = sock::unix_name(sk);
        return write_unix_path(name, length, number & HELD);
    }
    let mut ends = Ends::default();
    sock::ends(sk, &mut ends);
    // SAFETY: the buffer is ours.
    unsafe { set_ends(event, &ends, DIRECTION_LISTEN) };
    1
}

/// bind has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn bound(result: i64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let (exe, sk, number) = unsafe { ((*record).exe, (*record).sock, (*record).sock_number) };
    binds(exe, sk, number, result)
}

/// A bind has a result.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn binds(exe: u32, sk: u64, number: u64, result: i64) -> u32 {
    if result != 0 || sk == 0 || !sock::awaits_datagrams(sk) || write_listener(0, exe, sk) == 0 {
        return 0;
    }
    let row = peer_row();
    if row != 0 {
        count_connection(row - 1);
        let _ = BOUND.insert(number, row - 1, 0);
    }
    0
}

/// A socket has found a peer by itself before anybody came to it: the port or name that it was bound to is a client's.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn began(number: u64) -> u32 {
    // SAFETY: a number is copied out of the map.
    let Some(row) = (unsafe { BOUND.get(number) }).copied() else {
        return 0;
    };
    let _ = BOUND.remove(number);
    if let Some(counts) = counts(row) {
        // SAFETY: a map value.
        add(unsafe { &raw mut (*counts).datagrams_sent }, 1);
    }
    0
}

/// Writes into the buffer of iterators what a descriptor leads to, if it waits for others; 0: it does not.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn held(exe: u32, socket_file: u64, tgid: u32) -> u32 {
    let sk = sock::of_socket(file::socket(socket_file));
    if sk == 0 || !(sock::listens(sk) || sock::awaits_datagrams(sk)) {
        return 0;
    }
    if write_listener(HELD, exe, sk) == 0 {
        return 0;
    }
    let Some(buffer) = scratch(HELD) else {
        return 0;
    };
    let held = buffer.cast::<HeldSocket>();
    // SAFETY: the buffer is larger than the record, and only iterators use it.
    unsafe {
        (*held).number = file::number(file::inode(socket_file));
        (*held).tgid = tgid;
        (*held).is_ring = 0;
    }
    1
}

/// Bytes that go out to this peer ask a resolver.
#[inline(always)]
pub(crate) fn asks(row: u32, inward: bool) -> bool {
    // SAFETY: a map value.
    !inward && counts(row).is_some_and(|counts| unsafe { (*counts).resolver } != 0)
}

/// Bytes went through a connected socket by a call that also serves files.
#[inline(always)]
pub(crate) fn moved(row: u32, result: i64, inward: bool) {
    if result >= 0 || !was_counted() {
        transfer(row, result, inward, 1);
    }
}

/// The current call's failure is that of a connection that failed in the background, and was
/// counted then: the first call that learns of it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn was_counted_as() -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: map values.
    unsafe {
        match SOCKETS.get_ptr_mut((*record).sock) {
            Some(state) if (*state).stage == SOCKET_FAILED => {
                (*state).stage = SOCKET_SETTLED;
                1
            }
            _ => 0,
        }
    }
}

#[inline(always)]
fn was_counted() -> bool {
    was_counted_as() != 0
}

/// Adds the outcome of a transfer to a row.
#[inline(always)]
fn transfer(row: u32, result: i64, inward: bool, datagrams: u64) {
    transfer_done(row, result, u32::from(inward), datagrams);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn transfer_done(row: u32, result: i64, inward: u32, datagrams: u64) -> u32 {
    if result < 0 {
        let errno = errno(result);
        if is_failure(errno) {
            add_errno(ROWS_NETWORK, row, errno, 1);
        }
        return 0;
    }
    if let Some(counts) = counts(row) {
        // SAFETY: a map value.
        unsafe {
            let (bytes, messages) = if inward != 0 {
                (
                    &raw mut (*counts).bytes_received,
                    &raw mut (*counts).datagrams_received,
                )
            } else {
                (
                    &raw mut (*counts).bytes_sent,
                    &raw mut (*counts).datagrams_sent,
                )
            };
            add(bytes, result as u64);
            // User space drops the number of a stream's calls.
            add(messages, datagrams);
            if (*counts).resolver != 0 && inward == 0 {
                wire::asked();
            }
        }
    }
    0
}

/// The call sends.
#[inline(always)]
fn sends(kind: u8) -> bool {
    matches!(kind, CALL_SENDTO | CALL_SENDMSG | CALL_SENDMMSG)
}

/// The call looks at what it does not take.
#[inline(always)]
fn only_looks(regs: u64, abi: u32, kind: CallKind, result: i64) -> bool {
    result >= 0
        && !sends(kind.kind)
        && regs::argument(regs, abi, kind.c) & (MSG_PEEK | MSG_ERRQUEUE) != 0
}

/// sendto, recvfrom, sendmsg or recvmsg has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn transferred(regs: u64, kind: u64, result: i64, slot: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(record) = label::record(slot) else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let (abi, row, sockets) = unsafe { ((*record).abi, (*record).first_row, (*record).sockets) };
    if only_looks(regs, abi, kind, result) {
        return 0;
    }
    let (address, length) = match kind.kind {
        CALL_SENDTO => {
            let length = regs::argument(regs, abi, kind.c) as u32;
            let address = regs::argument(regs, abi, kind.b);
            (if length == 0 { 0 } else { address }, length)
        }
        CALL_RECVFROM => (regs::argument(regs, abi, kind.b), 0),
        _ => message_name(regs::argument(regs, abi, kind.b), abi),
    };
    let inward = u32::from(!sends(kind.kind));
    let address = if inward == 0 && address != 0 {
        destination::settled(slot, address, result)
    } else {
        address
    };
    if row != 0 && sockets & SOCKET_FIRST != 0 && result >= 0 && (inward != 0 || address == 0) {
        // Through a connection, as reads and writes.
        hold(slot, record, row, true, result, inward != 0);
        return 0;
    }
    if inward != 0 && result < 0 {
        // Nobody has written an address.
        message(inward, 0, 0, result);
        return 0;
    }
    message(inward, address, length, result);
    0
}

/// sendmmsg or recvmmsg has returned: its result is a number of messages, whose lengths lie in the
/// caller's memory.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn transferred_many(regs: u64, kind: u64, result: i64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(record) = label::current() else {
        return 0;
    };
    // SAFETY: a map value of the current task.
    let abi = unsafe { (*record).abi };
    if only_looks(regs, abi, kind, result) {
        return 0;
    }
    let inward = u32::from(!sends(kind.kind));
    let headers = regs::argument(regs, abi, kind.b);
    if result < 0 {
        return failed_many(inward, headers, abi, result);
    }
    if abi == ABI_COMPAT {
        lost(Loss::Messages);
        return 0;
    }
    // The kernel takes no more than UIO_MAXIOV, 1,024, at once.
    for round in 0..MAX_MESSAGES {
        let done = (round * MAX_MESSAGES) as i64;
        if done >= result {
            break;
        }
        messages(inward, headers + 64 * done as u64, (result - done) as u64);
    }
    destination::compare();
    0
}

/// The first of many messages was not sent, or none was received.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn failed_many(inward: u32, headers: u64, abi: u32, result: i64) -> u32 {
    let (address, length) = if inward == 0 {
        message_name(headers, abi)
    } else {
        (0, 0)
    };
    message(inward, address, length, result)
}

/// Some of many messages: as many as there are, and no more than `MAX_MESSAGES`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn messages(inward: u32, headers: u64, there: u64) -> u32 {
    for number in 0..MAX_MESSAGES {
        if number as u64 >= there {
            break;
        }
        // struct mmsghdr on 64-bit machines: struct msghdr of 56 bytes, then the length.
        let header = headers + 64 * number as u64;
        let (address, length) = message_name(header, ABI_NATIVE);
        let mut bytes = 0_u32;
        // SAFETY: a local; the helper checks the address.
        unsafe { bpf_probe_read_user((&raw mut bytes).cast(), 4, (header + 56) as *const _) };
        message(inward, address, length, i64::from(bytes));
    }
    0
}

/// Address and length of the name in a struct msghdr.
#[inline(always)]
fn message_name(header: u64, abi: u32) -> (u64, u32) {
    // Two locals, no array: its zeroing would be a loop, which kernels before 6.4 refuse here.
    let (mut name, mut length) = (0_u64, 0_u32);
    let pointer = if abi == ABI_COMPAT { 4 } else { 8 };
    // SAFETY: locals; the helper checks the address, and zeroes what it can't read.
    unsafe {
        bpf_probe_read_user((&raw mut name).cast(), pointer, header as *const _);
        let after = header + u64::from(pointer);
        bpf_probe_read_user((&raw mut length).cast(), 4, after as *const _);
    }
    // What has no length is no name.
    (if length == 0 { 0 } else { name }, length)
}

/// One message was sent or received by the socket that the call began with.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn message(inward: u32, address: u64, length: u32, result: i64) -> u32 {
    let Some(record) = label::current() else {
        return 0;
    };
    let inward = inward != 0;
    // SAFETY: a map value of the current task.
    let (exe, sk, number, mut row) = unsafe {
        (
            (*record).exe,
            (*record).sock,
            (*record).sock_number,
            if (*record).sockets & SOCKET_FIRST != 0 {
                (*record).first_row
            } else {
                0
            },
        )
    };
    // A datagram may be sent elsewhere than to the connected peer.
    if row == 0 || (!inward && address != 0) {
        if sk == 0 {
            return 0;
        }
        let socket_type = sock::socket_type(sk);
        if socket_type == SOCK_STREAM {
            // Connected within the call, or meanwhile.
            let family = sock::family(sk);
            if row == 0 && (family == AF_INET || family == AF_INET6) {
                row = inet_row(exe, sk, 0);
            }
        } else if row == 0 || socket_type == SOCK_DGRAM {
            if !inward {
                // SAFETY: a map value of the current task.
                unsafe { (*record).resolver = sk };
            }
            let mut hint = last_sent(number);
            let family = sock::family(sk);
            if hint == NOTHING_YET
                && sock::socket_type(sk) == SOCK_DGRAM
                && (family == AF_INET || family == AF_INET6)
            {
                lost(Loss::Hints);
            }
            if inward && (hint == NOTHING_YET || hint == YOUNG) && result >= 0 {
                let _ = LAST_SENT.insert(number, RECEIVES_FIRST, 0);
                hint = RECEIVES_FIRST;
            }
            let others_begin = hint == RECEIVES_FIRST;
            if !inward && (hint == NOTHING_YET || hint == YOUNG) && result >= 0 {
                began(number);
            }
            // By arithmetic: the verifier does not see that two branches on one fact are the same.
            let has_sent = hint < YOUNG;
            let we_began = u32::from(hint == YOUNG) | (hint >> 30 & u32::from(has_sent));
            let how = length & 0xffff
                | u32::from(inward) << 31
                | u32::from(others_begin) << 30
                | we_began << 29;
            let other = unconnected_row(exe, sk, address, how);
            // A datagram under way takes more, wherever that is said to go.
            row = if other == 0 && row == 0 && (inward || address == 0) && has_sent {
                (hint & !WE_BEGAN) + 1
            } else {
                other
            };
            if row != 0 && !inward && !others_begin {
                let _ = LAST_SENT.insert(number, row - 1 | we_began << 30, 0);
            }
        }
    }
    if row != 0 && (result >= 0 || !was_counted()) {
        transfer(row - 1, result, inward, 1);
    }
    0
}

/// Row plus 1 for a message of an unconnected socket; `length` may say `CAME_IN`, `OTHERS_BEGIN`, `WE_BEGIN`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn unconnected_row(exe: u32, sk: u64, address: u64, length: u32) -> u32 {
    let Some(buffer) = scratch(0) else { return 0 };
    let inward = length & CAME_IN != 0;
    let family = sock::family(sk);
    if sock::socket_type(sk) == SOCK_STREAM {
        return 0;
    }
    if inward && family == AF_UNIX {
        return unix_own_row(exe, sk);
    }
    if address != 0 || (family != AF_INET && family != AF_INET6) {
        return address_row(exe, sk, address, length & !CAME_IN);
    }
    if !inward || !others_come(sk, length) {
        return 0;
    }
    // A server that does not ask who sends.
    let mut ends = Ends::default();
    sock::ends(sk, &mut ends);
    let event = begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { set_ends(event, &ends, DIRECTION_INBOUND) };
    peer_row()
}

#[btf_tracepoint(function = "inet_sock_set_state")]
fn on_inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            let sk: *const u8 = ctx.arg(0);
            let (flow, to) = (number_at(sk, 1), ctx.arg(2));
            if to == TCP_SYN_SENT {
                let _ = connects(flow);
            } else {
                let _ = settles(flow, to);
            }
        }
    });
    0
}

/// The stand-in of the one above. The kernel skips a program that it is in the middle of on this CPU, and
/// packets are handled in the middle of programs: each of the two sees the steps for which the other is
/// skipped. A step that both see counts once, since a stage is left once.
#[btf_tracepoint(function = "inet_sock_set_state")]
fn on_inet_sock_set_state_too(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            let sk: *const u8 = ctx.arg(0);
            let _ = settles(number_at(sk, 1), ctx.arg(2));
        }
    });
    0
}

#[btf_tracepoint(function = "tcp_destroy_sock")]
fn on_tcp_destroy_sock(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let sk: *const u8 = ctx.arg(0);
        let flow = number_at(sk, 2);
        if SOCKETS.remove(sock::of_program(flow)).is_ok() {
            wire::flowed(flow);
        }
    });
    0
}

/// The connection of a sock. What carries an MPTCP connection tells its state first, and with an error.
#[inline(always)]
fn connection_of(flow: u64) -> Option<u64> {
    let sk = sock::of_program(flow);
    (sk != 0 && sock::protocol(flow) != IPPROTO_MPTCP).then_some(sk)
}

/// The current task is in connect, and the first packet will go out.
#[inline(always)]
fn connects(flow: u64) -> Option<()> {
    let sk = connection_of(flow)?;
    let record = label::current()?;
    let buffer = scratch(0)?;
    // SAFETY: a map value of the current task.
    let (exe, flags) = unsafe { ((*record).exe, (*record).flags) };
    if flags & TASK_PENDING != 0 {
        return None;
    }
    let mut ends = Ends::default();
    sock::ends(flow, &mut ends);
    let event = begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { set_ends(event, &ends, DIRECTION_OUTBOUND) };
    let row = peer_row();
    if row != 0 {
        remember(sk, row - 1, exe, DIRECTION_OUTBOUND, SOCKET_CONNECTING);
    }
    Some(())
}

/// A connection that began within the window stands, or has failed.
#[inline(always)]
fn settles(flow: u64, to: i32) -> Option<()> {
    if to != TCP_ESTABLISHED && to != TCP_CLOSE {
        return None;
    }
    let state = SOCKETS.get_ptr_mut(connection_of(flow)?)?;
    // SAFETY: a map value.
    unsafe {
        if (*state).stage != SOCKET_CONNECTING {
            return None;
        }
        if to == TCP_ESTABLISHED {
            (*state).stage = SOCKET_CONNECTED;
            count_connection((*state).row);
            wire::flows(u32::from((*state).exe), flow);
        } else {
            let errno = sock::error(flow);
            if errno == 0 {
                (*state).stage = SOCKET_UNEXPLAINED;
            } else {
                // connect, now or when it is called again, must not count the failure again.
                (*state).stage = SOCKET_FAILED;
                add_errno(ROWS_NETWORK, (*state).row, errno, 1);
            }
        }
    }
    Some(())
}

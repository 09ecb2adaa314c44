//! Rows of peers: found by a key, announced at first sight, or shared by the peers of a prefix.

use crate::atomics::{add, lost, take};
use crate::kernel::sock::{self, AF_INET, AF_INET6, AF_UNIX, AF_VSOCK, Ends, SOCK_DGRAM, Sk};
use crate::maps::{FREE_PEER_ROWS, FREE_PREFIX_ROWS, PEER_ROWS, PEERS, PREFIXES, Scratch};
use crate::programs::row::Row;
use crate::scratch::{OF_CALLS, emit, scratch};
use procmon_probe_ebpf::abi::{
    DIRECTION_INBOUND, DIRECTION_OUTBOUND, EVENT_NETWORK, Loss, NetworkEvent, NetworkKey,
    NetworkRow, PORT_DNS,
};

const EINTR: u16 = 4;
const EAGAIN: u16 = 11;
const EISCONN: u16 = 106;
const EALREADY: u16 = 114;
const EINPROGRESS: u16 = 115;

/// Failures that are no failure of the peer.
#[inline(always)]
pub(crate) fn is_failure(errno: u16) -> bool {
    !matches!(errno, 0 | EINTR | EAGAIN | EISCONN | EALREADY | EINPROGRESS)
}

/// The record in the buffer, all zero but for the executable and what the sock is.
#[inline(always)]
pub(crate) fn begin(buffer: *mut Scratch, exe: u32, sk: Sk) -> *mut NetworkEvent {
    let event = buffer.cast::<NetworkEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        core::ptr::write_bytes(event, 0, 1);
        (*event).key.exe = exe;
        (*event).key.family = sk.family();
        (*event).key.socket_type = sk.socket_type();
        (*event).key.protocol = sk.protocol();
        (*event).netns = sk.network_namespace();
        (*event).link = sk.link();
    }
    event
}

/// The row of the key in the buffer; announced at first sight.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn peer_row() -> u32 {
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let event = buffer.cast::<NetworkEvent>();
    // SAFETY: the caller has written the record.
    unsafe {
        let key = &raw const (*event).key;
        if let Some(row) = PEERS.get(&*key).copied() {
            return row;
        }
        let Some(row) = take(&FREE_PEER_ROWS) else {
            return prefix_row();
        };
        (*event).kind = EVENT_NETWORK;
        (*event).row = row;
        if let Some(counts) = PEER_ROWS.get_ptr_mut(row) {
            (*counts).resolver = u64::from(is_resolver(key));
        }
        if !emit(buffer, size_of::<NetworkEvent>(), Loss::RingNetwork) {
            let _ = FREE_PEER_ROWS.push(row, 0);
            return 0;
        }
        if PEERS.insert(&*key, row, 0).is_err() {
            lost(Loss::NetworkRows);
        }
        row
    }
}

/// The row of the prefix of the peer in the buffer, which found no row of its own.
#[inline(always)]
fn prefix_row() -> u32 {
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
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
            // Word by word: a call to clear memory would be one frame too many.
            let local = (&raw mut (*key).local).cast::<u32>();
            *local = 0;
            *local.add(1) = 0;
            (*event).path[0] = 0;
            (*event).path_len = 0;
        }
        if let Some(row) = PREFIXES.get(&*key).copied() {
            lost(Loss::PeersByPrefix);
            return row;
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
        row
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
pub(crate) fn counts(row: Row) -> Option<*mut NetworkRow> {
    PEER_ROWS.get_ptr_mut(row.number())
}

#[inline(always)]
pub(crate) fn count_connection(row: Row) {
    if let Some(counts) = counts(row) {
        // SAFETY: a map value.
        add(unsafe { &raw mut (*counts).connections }, 1);
    }
}

/// Writes the ends of a connection into the key. `direction` is kept by the caller's knowledge.
#[inline(always)]
pub(crate) unsafe fn set_ends(event: *mut NetworkEvent, ends: &Ends, direction: u8) {
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

/// Bytes that go out to this peer ask a resolver.
#[inline(always)]
pub(crate) fn asks_resolver(row: Row, inward: bool) -> bool {
    // SAFETY: a map value.
    !inward && counts(row).is_some_and(|counts| unsafe { (*counts).resolver } != 0)
}

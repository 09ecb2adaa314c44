//! Unix sockets: rows by the name of a socket.

use crate::kernel::sock::{SOCK_DGRAM, Sk};
use crate::programs::network::peers;
use crate::scratch::{OF_CALLS, OF_ITERATORS, scratch};
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use procmon_probe_ebpf::abi::{DIRECTION_INBOUND, DIRECTION_OUTBOUND, NetworkEvent, UNIX_PATH};

/// The name of a Unix socket is not the kernel's copy but in the caller's memory.
pub(crate) const FROM_USER: u32 = 2;
/// It is that of the other end.
pub(crate) const REMOTE: u32 = 4;

/// Copies a Unix socket's name into the record and hashes it into the key; `how`: [`FROM_USER`], [`REMOTE`],
/// [`HELD`]. False when there is none.
#[inline(always)]
pub(crate) fn unix_path(name: u64, length: u32, how: u32) -> bool {
    write_unix_path(name, length, how) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn write_unix_path(name: u64, length: u32, how: u32) -> u32 {
    let Some(buffer) = scratch(how & OF_ITERATORS) else {
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

/// The row of a connected Unix socket; 0 for a nameless pair.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn unix_row(exe: u32, sk: u64) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let peer = sk.unix_peer();
    if peer.is_none() {
        return 0;
    }
    let (name, length) = peer.unix_name();
    // An accepted socket has the listener's name. One that connected has none, or its own.
    if sk.socket_type() != SOCK_DGRAM
        && sk.unix_name().0 != 0
        && (name == 0 || sk.shares_unix_name())
    {
        return unix_own_row(exe, sk.address());
    }
    let event = peers::begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { (*event).key.direction = DIRECTION_OUTBOUND };
    if !unix_path(name, length, REMOTE) {
        return 0;
    }
    peers::peer_row()
}

/// The row of those who come to a Unix socket's own name.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn unix_own_row(exe: u32, sk: u64) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let event = peers::begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { (*event).key.direction = DIRECTION_INBOUND };
    let (name, length) = sk.unix_name();
    if !unix_path(name, length, 0) {
        return 0;
    }
    peers::peer_row()
}

//! Sockets that wait for others: listen, bind, and those that were there before the window.

use crate::atomics::{add, lost};
use crate::kernel::file::KernelFile;
use crate::kernel::sock::{AF_INET, AF_INET6, AF_UNIX, Ends, Sk};
use crate::maps::{BOUND, LISTENERS, hint};
use crate::programs::network::{peers, sockets, unix};
use crate::programs::record::Task;
use crate::programs::row::Row;
use crate::scratch::{OF_CALLS, OF_ITERATORS, scratch};
use procmon_probe_ebpf::abi::{DIRECTION_LISTEN, HeldSocket, Loss, NetworkEvent};

/// listen has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn listening(result: i64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let (exe, sk) = (task.exe(), task.sock());
    listens(exe, sk.address(), result)
}

/// A listen has a result.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn listens(exe: u32, sk: u64, result: i64) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    if result != 0 || sk.is_none() || write_listener(OF_CALLS, exe, sk.address()) == 0 {
        return 0;
    }
    let event = buffer.cast::<NetworkEvent>();
    // SAFETY: the buffer is ours.
    let (netns, family, port) =
        unsafe { ((*event).netns, (*event).key.family, (*event).key.local_port) };
    if family == AF_INET || family == AF_INET6 {
        if LISTENERS
            .insert(sockets::listen_key(netns, port), 1, 0)
            .is_err()
        {
            lost(Loss::Sockets);
        }
    }
    peers::peer_row();
    0
}

/// Writes into a buffer that a socket waits for others; 0: it has no name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn write_listener(number: u32, exe: u32, sk: u64) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(number) else {
        return 0;
    };
    let event = peers::begin(buffer, exe, sk);
    if sk.family() == AF_UNIX {
        // SAFETY: the buffer is ours.
        unsafe { (*event).key.direction = DIRECTION_LISTEN };
        let (name, length) = sk.unix_name();
        return unix::write_unix_path(name, length, number & OF_ITERATORS);
    }
    let mut ends = Ends::default();
    sk.ends(&mut ends);
    // SAFETY: the buffer is ours.
    unsafe { peers::set_ends(event, &ends, DIRECTION_LISTEN) };
    1
}

/// bind has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn bound(result: i64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let (exe, sk, number) = (task.exe(), task.sock(), task.sock_number());
    binds(exe, sk.address(), number, result)
}

/// A bind has a result.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn binds(exe: u32, sk: u64, number: u64, result: i64) -> u32 {
    let sk = Sk::at(sk);
    if result != 0
        || sk.is_none()
        || !sk.awaits_datagrams()
        || write_listener(OF_CALLS, exe, sk.address()) == 0
    {
        return 0;
    }
    if let Some(row) = Row::of(peers::peer_row()) {
        peers::count_connection(row);
        let _ = BOUND.insert(number, row.number(), 0);
    }
    0
}

/// A socket has found a peer by itself before anybody came to it: the port or name that it was bound to is a
/// client's.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn began(number: u64) -> u32 {
    let Some(row) = hint(&BOUND, number) else {
        return 0;
    };
    let _ = BOUND.remove(number);
    if let Some(counts) = Row::of(row).and_then(peers::counts) {
        // SAFETY: a map value.
        add(unsafe { &raw mut (*counts).datagrams_sent }, 1);
    }
    0
}

/// Writes into the buffer of iterators what a descriptor leads to, if it waits for others; 0: it does not.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn held(exe: u32, socket_file: u64, tgid: u32) -> u32 {
    let socket_file = KernelFile::at(socket_file);
    let sk = Sk::of_socket(socket_file.socket());
    if sk.is_none() || !(sk.listens() || sk.awaits_datagrams()) {
        return 0;
    }
    if write_listener(OF_ITERATORS, exe, sk.address()) == 0 {
        return 0;
    }
    let Some(buffer) = scratch(OF_ITERATORS) else {
        return 0;
    };
    let held = buffer.cast::<HeldSocket>();
    // SAFETY: the buffer is larger than the record, and only iterators use it.
    unsafe {
        (*held).number = socket_file.inode().number();
        (*held).tgid = tgid;
        (*held).is_ring = 0;
    }
    1
}

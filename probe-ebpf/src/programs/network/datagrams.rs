//! Calls that send and receive: one message or many, by an address or to the peer that the socket has.

use crate::atomics::lost;
use crate::kernel::regs;
use crate::kernel::sock::{AF_INET, AF_INET6, AF_UNIX, Ends, SOCK_DGRAM, SOCK_STREAM, Sk};
use crate::maps::LAST_SENT;
use crate::programs::network::sockets::{
    self, CAME_IN, NOTHING_YET, RECEIVES_FIRST, WE_BEGAN, YOUNG,
};
use crate::programs::network::{destination, listeners, peers, unix};
use crate::programs::record::Task;
use crate::programs::row::{Number, Row};
use crate::programs::transfer;
use crate::scratch::{OF_CALLS, scratch};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use procmon_probe_ebpf::abi::{
    ABI_COMPAT, ABI_NATIVE, Call, CallKind, DIRECTION_INBOUND, Loss, SOCKET_FIRST,
};

/// Flags of a receiving call: what it returns stays in the queue, or was never received.
const MSG_PEEK: u64 = 2;
const MSG_ERRQUEUE: u64 = 0x2000;
/// Messages of one sendmmsg or recvmmsg that are looked at in one go.
const MAX_MESSAGES: usize = 32;

/// The call sends.
#[inline(always)]
fn sends(call: Call) -> bool {
    matches!(call, Call::SendTo | Call::SendMsg | Call::SendMmsg)
}

/// The call looks at what it does not take.
#[inline(always)]
fn only_looks(regs: u64, abi: u32, kind: CallKind, result: i64) -> bool {
    result >= 0
        && !sends(kind.call())
        && regs::argument(regs, abi, kind.c) & (MSG_PEEK | MSG_ERRQUEUE) != 0
}

/// sendto, recvfrom, sendmsg or recvmsg has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn transferred(regs: u64, kind: u64, result: i64, slot: u64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let (abi, row, sockets) = (task.abi(), task.first_row(), task.sockets());
    if only_looks(regs, abi, kind, result) {
        return 0;
    }
    let (address, length) = match kind.call() {
        Call::SendTo => {
            let length = regs::argument(regs, abi, kind.c) as u32;
            let address = regs::argument(regs, abi, kind.b);
            (if length == 0 { 0 } else { address }, length)
        }
        Call::RecvFrom => (regs::argument(regs, abi, kind.b), 0),
        _ => message_name(regs::argument(regs, abi, kind.b), abi),
    };
    let inward = u32::from(!sends(kind.call()));
    let address = if inward == 0 && address != 0 {
        destination::settled(slot, address, result)
    } else {
        address
    };
    if row.is_some() && sockets & SOCKET_FIRST != 0 && result >= 0 && (inward != 0 || address == 0)
    {
        // Through a connection, as reads and writes.
        transfer::hold(slot, task, row, true, result, inward != 0);
        return 0;
    }
    if inward != 0 && result < 0 {
        // The kernel has not written an address.
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
    let Some(task) = Task::current() else {
        return 0;
    };
    let abi = task.abi();
    if only_looks(regs, abi, kind, result) {
        return 0;
    }
    let inward = u32::from(!sends(kind.call()));
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
    // A name without a length is not a name.
    (if length == 0 { 0 } else { name }, length)
}

/// One message was sent or received by the socket that the call began with.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn message(inward: u32, address: u64, length: u32, result: i64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let inward = inward != 0;
    let (exe, sk, number, mut row) = (
        task.exe(),
        task.sock(),
        task.sock_number(),
        if task.sockets() & SOCKET_FIRST != 0 {
            task.first_row().number()
        } else {
            0
        },
    );
    // A datagram may be sent elsewhere than to the connected peer.
    if row == 0 || (!inward && address != 0) {
        if sk.is_none() {
            return 0;
        }
        let socket_type = sk.socket_type();
        if socket_type == SOCK_STREAM {
            // Connected within the call, or meanwhile.
            let family = sk.family();
            if row == 0 && (family == AF_INET || family == AF_INET6) {
                row = sockets::inet_row(exe, sk.address(), 0);
            }
        } else if row == 0 || socket_type == SOCK_DGRAM {
            if !inward {
                task.set_resolver(sk);
            }
            let mut hint = sockets::last_sent(number);
            let family = sk.family();
            if hint == NOTHING_YET
                && sk.socket_type() == SOCK_DGRAM
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
                listeners::began(number);
            }
            // Arithmetic, not branches: the verifier does not see that two branches on one fact are the same.
            let has_sent = hint < YOUNG;
            let we_began = u32::from(hint == YOUNG) | (hint >> 30 & u32::from(has_sent));
            let how = length & 0xffff
                | u32::from(inward) << 31
                | u32::from(others_begin) << 30
                | we_began << 29;
            let other = unconnected_row(exe, sk.address(), address, how);
            // A datagram under way takes more, wherever that is said to go.
            row = if other == 0 && row == 0 && (inward || address == 0) && has_sent {
                hint & !WE_BEGAN
            } else {
                other
            };
            if row != 0 && !inward && !others_begin {
                let _ = LAST_SENT.insert(number, row | we_began << 30, 0);
            }
        }
    }
    if let Some(row) = Row::of(row)
        && (result >= 0 || !transfer::was_counted())
    {
        transfer::transfer(row, result, inward, 1);
    }
    0
}

/// The row of a message of an unconnected socket; `length` may say `CAME_IN`, `OTHERS_BEGIN`, `WE_BEGIN`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn unconnected_row(exe: u32, sk: u64, address: u64, length: u32) -> u32 {
    let sk = Sk::at(sk);
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let inward = length & CAME_IN != 0;
    let family = sk.family();
    if sk.socket_type() == SOCK_STREAM {
        return 0;
    }
    if inward && family == AF_UNIX {
        return unix::unix_own_row(exe, sk.address());
    }
    if address != 0 || (family != AF_INET && family != AF_INET6) {
        return sockets::address_row(exe, sk.address(), address, length & !CAME_IN);
    }
    if !inward || !sockets::others_come(sk, length) {
        return 0;
    }
    // A server that does not ask who sends.
    let mut ends = Ends::default();
    sk.ends(&mut ends);
    let event = peers::begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { peers::set_ends(event, &ends, DIRECTION_INBOUND) };
    peers::peer_row()
}

/// socketcall, whose arguments lie in memory, has returned: those that would count are lost.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn called_by_number(regs: u64, kind: u64) -> u32 {
    // connect, listen, accept, send, recv, sendto, recvfrom, sendmsg, recvmsg, accept4, recvmmsg,
    // sendmmsg: include/uapi/linux/net.h.
    const COUNTED: u64 = 0x1f_1e38;
    let kind = CallKind::from_word(kind);
    let Some(task) = Task::current() else {
        return 0;
    };
    let abi = task.abi();
    let call = regs::argument(regs, abi, kind.a) & 0xffff_ffff;
    if call < 32 && COUNTED >> call & 1 != 0 {
        lost(Loss::Messages);
    }
    0
}

//! Connections: socket, connect, accept, and what the kernel says of them.
//!
//! Called at the entry and return of system calls, where the current task is the owner. Hooks
//! (tp_btf): inet_sock_set_state(sk, oldstate, newstate) and tcp_destroy_sock(sk), the same in
//! 5.10 … 7.x; they run on whatever task was there, so only the step to SYN_SENT, taken inside
//! connect, looks at the task.

use crate::atomics::{add_errno, bump, lost};
use crate::kernel::hook::{alone, number_at};
use crate::kernel::sock::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_UNSPEC, AF_VSOCK, Ends, IPPROTO_MPTCP, SOCK_DGRAM,
    SOCK_SEQPACKET, SOCK_STREAM, Sk,
};
use crate::kernel::{regs, task};
use crate::maps::{LAST_SENT, SOCKETS, open};
use crate::programs::network::sockets::{self, TCP_ESTABLISHED, WE_BEGIN, YOUNG};
use crate::programs::network::{listeners, peers, unix};
use crate::programs::packets;
use crate::programs::record::Task;
use crate::programs::row::{Number, Row};
use crate::scratch::{OF_CALLS, scratch};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use procmon_probe_ebpf::abi::{
    CallKind, DIRECTION_INBOUND, DIRECTION_OUTBOUND, Loss, ROWS_NETWORK, SocketState, Stage,
    TASK_PENDING,
};

const TCP_SYN_SENT: i32 = 2;
const TCP_CLOSE: i32 = 7;

/// socket has returned: nothing was sent yet.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn made(result: i64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    if result < 0 {
        return 0;
    }
    let exe = task.exe();
    let (sk, number) = sockets::sock_of(result as u32);
    let family = sk.family();
    if !sk.is_none() && sk.socket_type() == SOCK_DGRAM && (family == AF_INET || family == AF_INET6)
    {
        let _ = LAST_SENT.insert(number, YOUNG, 0);
        bump!(sockets_made);
    }
    // No call may show the traffic of the other families. The row says that such a socket exists.
    if !sk.is_none() && !matches!(family, AF_UNIX | AF_INET | AF_INET6 | AF_NETLINK | AF_VSOCK) {
        sockets::connection_row(exe, task::file(task::current(), result as u32).address());
    }
    0
}

/// connect has returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn connected(regs: u64, kind: u64, result: i64) -> u32 {
    let kind = CallKind::from_word(kind);
    let Some(task) = Task::current() else {
        return 0;
    };
    let (exe, abi, sk, number) = (task.exe(), task.abi(), task.sock(), task.sock_number());
    if sk.is_none() {
        return 0;
    }
    let failure = regs::errno(result);
    let address = regs::argument(regs, abi, kind.b);
    let mut family = 0_u16;
    // SAFETY: a local; the helper checks the address.
    let unread =
        unsafe { bpf_probe_read_user((&raw mut family).cast(), 2, address as *const _) } != 0;
    if family == AF_UNSPEC && !unread {
        // The socket has lost its peer.
        if failure == 0 {
            let _ = SOCKETS.remove(sk.address());
        }
        return 0;
    }
    if connect_done(exe, sk.address(), number, result) == 0 {
        let length = regs::argument(regs, abi, kind.c) as u32 & 0xffff | WE_BEGIN;
        if let Some(row) = Row::of(sockets::address_row(exe, sk.address(), address, length)) {
            add_errno(ROWS_NETWORK, row.number(), failure, 1);
        }
    }
    0
}

/// A connect has a result; 0 when it is a failure that is not counted yet, for want of an address.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn connect_done(exe: u32, sk: u64, number: u64, result: i64) -> u32 {
    let sk = Sk::at(sk);
    let failure = regs::errno(result);
    // TCP was counted at its change of state, when it came that far.
    if let Some(state) = SOCKETS.get_ptr_mut(sk.address()) {
        // SAFETY: a map value.
        unsafe {
            if !peers::is_failure(failure) {
                return 1;
            }
            let stage = Stage::decode((*state).stage);
            if stage == Some(Stage::Unexplained) {
                add_errno(ROWS_NETWORK, (*state).row, failure, 1);
            }
            match stage {
                Some(Stage::Unexplained | Stage::Failed) => {
                    (*state).stage = Stage::Told.number();
                    return 1;
                }
                Some(Stage::Connecting | Stage::Connected | Stage::Told) | None => {}
            }
        }
    }
    if failure == 0 {
        if result < 0 {
            return 1;
        }
        let row = Row::of(match sk.family() {
            AF_UNIX => unix::unix_row(exe, sk.address()),
            AF_VSOCK => sockets::vsock_row(exe, sk.address(), DIRECTION_OUTBOUND),
            _ => sockets::inet_row(exe, sk.address(), number),
        });
        if let Some(row) = row
            && sk.family() == AF_VSOCK
        {
            remember(sk, row, exe, DIRECTION_OUTBOUND, Stage::Connected);
        }
        if matches!(sk.socket_type(), SOCK_STREAM | SOCK_SEQPACKET) {
            if let Some(row) = row {
                peers::count_connection(row);
            }
        } else {
            listeners::began(number);
        }
        return 1;
    }
    u32::from(!peers::is_failure(failure))
}

/// accept has returned a descriptor: the row; 0 when it is not known.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn accepted(result: i64) -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    if result < 0 {
        return 0;
    }
    let (sk, _) = sockets::sock_of(result as u32);
    if sk.is_none() {
        return 0;
    }
    let exe = task.exe();
    if sk.family() == AF_UNIX {
        let row = Row::of(unix::unix_own_row(exe, sk.address()));
        if let Some(row) = row {
            peers::count_connection(row);
        }
        return row.number();
    }
    let mut ends = Ends::default();
    sk.ends(&mut ends);
    let event = peers::begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { peers::set_ends(event, &ends, DIRECTION_INBOUND) };
    let Some(row) = Row::of(peers::peer_row()) else {
        return 0;
    };
    peers::count_connection(row);
    remember(sk, row, exe, DIRECTION_INBOUND, Stage::Connected);
    row.number()
}

#[inline(always)]
fn remember(sk: Sk, row: Row, exe: u32, direction: u8, stage: Stage) {
    let state = SocketState {
        row: row.number(),
        direction,
        stage: stage.number(),
        exe: exe as u16,
    };
    if SOCKETS.insert(sk.address(), state, 0).is_err() {
        lost(Loss::Sockets);
    }
}

#[btf_tracepoint(function = "inet_sock_set_state")]
fn on_inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        if open() {
            let sk: *const u8 = ctx.arg(0);
            let (flow, to) = (Sk::at(number_at(sk, 1)), ctx.arg(2));
            if to == TCP_SYN_SENT {
                let _ = connect_begins(flow);
            } else {
                let _ = connect_ended(flow, to);
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
            let _ = connect_ended(Sk::at(number_at(sk, 1)), ctx.arg(2));
        }
    });
    0
}

#[btf_tracepoint(function = "tcp_destroy_sock")]
fn on_tcp_destroy_sock(ctx: BtfTracePointContext) -> i32 {
    alone(|| {
        let sk: *const u8 = ctx.arg(0);
        let flow = Sk::at(number_at(sk, 2));
        if SOCKETS.remove(flow.of_program().address()).is_ok() {
            packets::forget_flow(flow.address());
        }
    });
    0
}

/// The connection of a sock. What carries an MPTCP connection tells its state first, and with an error.
#[inline(always)]
fn connection_of(flow: Sk) -> Option<Sk> {
    let sk = flow.of_program();
    (!sk.is_none() && flow.protocol() != IPPROTO_MPTCP).then_some(sk)
}

/// The current task is in connect, and the first packet will go out.
#[inline(always)]
fn connect_begins(flow: Sk) -> Option<()> {
    let sk = connection_of(flow)?;
    let task = Task::current()?;
    let buffer = scratch(OF_CALLS)?;
    let (exe, flags) = (task.exe(), task.flags());
    if flags & TASK_PENDING != 0 {
        return None;
    }
    let mut ends = Ends::default();
    flow.ends(&mut ends);
    let event = peers::begin(buffer, exe, sk);
    // SAFETY: the buffer is ours.
    unsafe { peers::set_ends(event, &ends, DIRECTION_OUTBOUND) };
    if let Some(row) = Row::of(peers::peer_row()) {
        remember(sk, row, exe, DIRECTION_OUTBOUND, Stage::Connecting);
    }
    Some(())
}

/// A connection that began within the window stands, or has failed.
#[inline(always)]
fn connect_ended(flow: Sk, to: i32) -> Option<()> {
    if to != TCP_ESTABLISHED && to != TCP_CLOSE {
        return None;
    }
    let state = SOCKETS.get_ptr_mut(connection_of(flow)?.address())?;
    // SAFETY: a map value.
    unsafe {
        if (*state).stage != Stage::Connecting.number() {
            return None;
        }
        if to == TCP_ESTABLISHED {
            (*state).stage = Stage::Connected.number();
            if let Some(row) = Row::of((*state).row) {
                peers::count_connection(row);
            }
            packets::remember_flow(u32::from((*state).exe), flow.address());
        } else {
            let errno = flow.error();
            if errno == 0 {
                (*state).stage = Stage::Unexplained.number();
            } else {
                // connect, now or when it is called again, must not count the failure again.
                (*state).stage = Stage::Failed.number();
                add_errno(ROWS_NETWORK, (*state).row, errno, 1);
            }
        }
    }
    Some(())
}

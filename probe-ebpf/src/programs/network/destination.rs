//! Where datagrams of unconnected sockets go, as the kernel took it from the caller before it sent them:
//! what the caller's memory says when the call returns may be another address.
//!
//! Hooks (cgroup): sendmsg4, sendmsg6, at the root of cgroup v2, the same in 5.10 … 7.x. They let everything
//! pass. They may be preempted: the cache of the task that runs is not for them.

use crate::atomics::lost;
use crate::kernel::sock::{AF_INET, AF_INET6};
use crate::kernel::task;
use crate::maps::{DESTINATIONS, STATE, open, state};
use crate::programs::record;
use crate::programs::record::Task;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use procmon_probe_ebpf::abi::{Call, DESTINATION_SAID, DESTINATION_SENT, Destinations, Loss};

const ALLOW: i32 = 1;
/// In place of an address in the caller's memory: what the kernel has told of this call.
pub(crate) const SETTLED: u64 = 1;

#[cgroup_sock_addr(sendmsg4)]
fn on_sendmsg4(ctx: SockAddrContext) -> i32 {
    if let Some((task, destinations)) = sending() {
        // SAFETY: the context, and map values of the current task.
        unsafe {
            let to = ctx.sock_addr;
            let port = (*to).user_port;
            let words = [(*to).user_ip4, 0, 0, 0];
            (*destinations).sent = [u32::from(AF_INET) | port << 16, words[0], 0, 0, 0, 0, 0];
            add(task, destinations, port, words, 0);
        }
    }
    ALLOW
}

#[cgroup_sock_addr(sendmsg6)]
fn on_sendmsg6(ctx: SockAddrContext) -> i32 {
    if let Some((task, destinations)) = sending() {
        // SAFETY: as above. Each word is read by itself, as the verifier wants it.
        unsafe {
            let to = ctx.sock_addr;
            let port = (*to).user_port;
            let words = [
                (*to).user_ip6[0],
                (*to).user_ip6[1],
                (*to).user_ip6[2],
                (*to).user_ip6[3],
            ];
            (*destinations).sent = [
                u32::from(AF_INET6) | port << 16,
                0,
                words[0],
                words[1],
                words[2],
                words[3],
                0,
            ];
            add(task, destinations, port, words, 1);
        }
    }
    ALLOW
}

/// The record of the current task and its destinations, if it is in a call that sends.
#[inline(always)]
fn sending() -> Option<(Task, *mut Destinations)> {
    if !open() {
        return None;
    }
    let (task, destinations) = of(record::slot_of(task::current()))?;
    let sends =
        task.in_call() != 0 && matches!(task.call(), Call::SendTo | Call::SendMsg | Call::SendMmsg);
    sends.then_some((task, destinations))
}

/// The record in a slot, and its destinations.
#[inline(always)]
pub(crate) fn of(slot: u64) -> Option<(Task, *mut Destinations)> {
    // One after the other: asked for both at once, the verifier loses sight of the first.
    let task = Task::in_slot(slot)?;
    Some((task, DESTINATIONS.get_ptr_mut(slot as u32)?))
}

/// A number that stands for several destinations, if the flag says that they are of this call; else 0.
#[inline(always)]
fn of_this_call(task: Task, flag: u32, all: u64) -> u64 {
    if task.sockets() & flag == 0 { 0 } else { all }
}

/// One more destination in a number that stands for several; never 0. Whoever chooses the addresses does
/// not know the key.
#[inline(always)]
fn with(all: u64, key: u64, port: u32, words: [u32; 4]) -> u64 {
    let mut number = all ^ key;
    for word in [port & 0xffff, words[0], words[1], words[2], words[3]] {
        number = (number ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        number ^= number >> 29;
    }
    number | 1
}

/// One more address that the caller's memory says, which `said` holds: a `struct sockaddr_in` or, with
/// `AF_INET6`, `sockaddr_in6`.
#[inline(always)]
pub(crate) unsafe fn said_one(task: Task, destinations: *mut Destinations) {
    // An IPv4 address as a socket of IPv6 has it, by its bytes.
    const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    // SAFETY: the caller's: a map value.
    let address = unsafe { &(*destinations).said };
    let words = if address[0] as u16 != AF_INET6 {
        [address[1], 0, 0, 0]
    } else if address[2] == 0 && address[3] == 0 && address[4] == MAPPED {
        [address[5], 0, 0, 0]
    } else {
        [address[2], address[3], address[4], address[5]]
    };
    // SAFETY: the caller's: a map value.
    unsafe {
        let port = address[0] >> 16;
        let before = of_this_call(task, DESTINATION_SAID, (*destinations).said_all);
        (*destinations).said_all = with(before, task.task(), port, words);
        task.set_sockets(task.sockets() | DESTINATION_SAID);
    }
}

/// Where a datagram goes that has an address: 0 when the kernel did not take it, as of a socket with one
/// under way (MSG_MORE).
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn settled(slot: u64, address: u64, result: i64) -> u64 {
    let Some(task) = Task::in_slot(slot) else {
        return address;
    };
    let (told, sk) = (task.sockets(), task.sock());
    if told & DESTINATION_SENT != 0 {
        if sk.family() == AF_INET6
            && let Some((_, destinations)) = of(slot)
        {
            // The link, sin6_scope_id, the kernel does not tell.
            // SAFETY: a map value; the helper checks the address.
            unsafe {
                let link = (&raw mut (*destinations).sent).cast::<u32>().add(6);
                bpf_probe_read_user(link.cast(), 4, (address + 24) as *const _);
            }
        }
        return SETTLED;
    }
    let [four, six] = state!(told);
    // A socket of IPv6 may send by IPv4.
    let tells = four != 0 && (six != 0 || sk.family() == AF_INET);
    if result >= 0 && tells && sk.is_udp() {
        return 0;
    }
    address
}

/// Counts a loss where several datagrams of the current task's call went elsewhere than its memory says.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn compare() -> u32 {
    let Some((task, destinations)) = of(record::current_slot()) else {
        return 0;
    };
    // SAFETY: map values of the current task.
    unsafe {
        let said = of_this_call(task, DESTINATION_SAID, (*destinations).said_all);
        if task.sockets() & DESTINATION_SENT != 0
            && said != (*destinations).sent_all
            && said != (*destinations).sent_before
        {
            lost(Loss::Destinations);
        }
    }
    0
}

#[inline(always)]
unsafe fn add(
    task: Task,
    destinations: *mut Destinations,
    port: u32,
    words: [u32; 4],
    hook: usize,
) {
    let told = state!(told);
    // SAFETY: the caller's: map values; the static is one, too, and written once only.
    unsafe {
        if told[hook] == 0 {
            core::ptr::write_volatile(&raw mut STATE.told[hook], 1);
        }
        let before = of_this_call(task, DESTINATION_SENT, (*destinations).sent_all);
        (*destinations).sent_before = before;
        (*destinations).sent_all = with(before, task.task(), port, words);
        task.set_sockets(task.sockets() | DESTINATION_SENT);
    }
}

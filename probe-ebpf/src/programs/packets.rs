//! Names on the wire: what a tap in a network namespace takes of the packets that pass.
//!
//! A socket filter on packet sockets without link headers, which the probe opens in the target's
//! network namespaces; the same in 5.10 … 7.x. It keeps no packet. Whose a packet is can't be told
//! here, since a tap's copy knows no socket: TCP connections of the target are in a map, and each
//! datagram that a task has sent to a resolver is followed by a record, which the probe joins with it
//! by namespace and port. A program of a few instructions comes before this one on each tap and leaves the
//! number of the tap's network namespace in `cb[0]`.

use crate::atomics::{lost, opaque};
use crate::kernel::sock::{AF_INET, Ends, Sk};
use crate::maps::{FLOWS, RING, open, value};
use crate::programs::record;
use crate::programs::record::Task;
use crate::scratch::{OF_CALLS, emit, scratch};
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{
    bpf_ringbuf_discard, bpf_ringbuf_reserve, bpf_ringbuf_submit, bpf_skb_load_bytes,
};
use aya_ebpf::macros::socket_filter;
use aya_ebpf::programs::SkBuffContext;
use procmon_probe_ebpf::abi::{
    EVENT_WIRE, EVENT_WIRE_OWNER, FlowKey, Loss, PORT_DNS, WIRE_PAYLOAD, WireOwner, WirePacket,
};

/// The current task sends to a resolver by this socket: a datagram counts when the call returns.
#[inline(always)]
pub(crate) fn note_resolver(sk: Sk) {
    if let Some(task) = Task::current() {
        task.set_resolver(sk);
    }
}

/// The current task has sent a datagram to a resolver.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn emit_owner() -> u32 {
    let Some(task) = Task::current() else {
        return 0;
    };
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    // All of it in the buffer: the stack is deep here.
    // SAFETY: a buffer that nothing else uses now and that is
    // larger than both.
    unsafe {
        let sk = task.resolver();
        let owner = buffer.cast::<WireOwner>();
        let ends = buffer.cast::<Ends>().add(1);
        core::ptr::write_bytes(ends, 0, 1);
        sk.ends(&mut *ends);
        (*owner).local = (*ends).local;
        (*owner).port = (*ends).local_port;
        (*owner).version = if (*ends).family == AF_INET { 4 } else { 6 };
        (*owner).kind = EVENT_WIRE_OWNER;
        (*owner).exe = task.exe();
        (*owner).netns = sk.network_namespace();
        (*owner).tgid = record::current_tgid();
    }
    emit(buffer, size_of::<WireOwner>(), Loss::RingWire);
    0
}

/// A TCP connection of the target is there: what it begins with may name the other end.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn remember_flow(exe: u32, sk: u64) -> u32 {
    let sk = Sk::at(sk);
    if FLOWS.insert(flow_key(sk), exe, 0).is_err() {
        lost(Loss::Flows);
    }
    0
}

/// A TCP connection of the target is gone.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn forget_flow(sk: u64) -> u32 {
    let sk = Sk::at(sk);
    let _ = FLOWS.remove(flow_key(sk));
    0
}

/// `ETH_P_IP` and `ETH_P_IPV6`, include/uapi/linux/if_ether.h.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// `PACKET_HOST` and `PACKET_OUTGOING`, include/uapi/linux/if_packet.h.
const PACKET_HOST: u32 = 0;
const PACKET_OUTGOING: u32 = 4;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// Extension headers of IPv6 that are passed over, and how many of them.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const MAX_EXTENSIONS: usize = 4;
/// A TLS record of a handshake, and the message that opens one: RFC 8446, 5.1 and 4.
const TLS_HANDSHAKE: u8 = 22;
const TLS_MAJOR: u8 = 3;
const CLIENT_HELLO: u8 = 1;
/// `BPF_RB_NO_WAKEUP`.
const NO_WAKEUP: u64 = 1;
const _: () = assert!(size_of::<Ends>() >= size_of::<WireOwner>());

#[inline(always)]
fn flow_key(sk: Sk) -> FlowKey {
    let mut ends = Ends::default();
    sk.ends(&mut ends);
    FlowKey {
        netns: sk.network_namespace(),
        port: ends.local_port,
        remote_port: ends.remote_port,
        local: ends.local,
        remote: ends.remote,
    }
}

#[socket_filter]
fn on_packet(ctx: SkBuffContext) -> i64 {
    if open() {
        let _ = look(ctx.skb.skb);
    }
    // Nothing is kept for the tap.
    0
}

/// Where the parts of a packet are, in bytes from its start.
#[derive(Clone, Copy)]
struct Layout {
    version: u8,
    protocol: u8,
    /// Header of TCP or UDP.
    transport: u32,
    /// End of the packet.
    end: u32,
}

/// Some bytes of a packet.
#[inline(always)]
fn load<T: Copy + Default>(skb: *mut __sk_buff, offset: u32) -> Option<T> {
    let mut value = T::default();
    // SAFETY: a local of the right size; the helper checks the place in the packet.
    let failed = unsafe {
        bpf_skb_load_bytes(
            skb.cast(),
            offset,
            (&raw mut value).cast(),
            size_of::<T>() as u32,
        )
    } != 0;
    (!failed).then_some(value)
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn layout(skb: *mut __sk_buff) -> Option<Layout> {
    // SAFETY: fields of the context.
    let (protocol, length) = unsafe { ((*skb).protocol as u16, (*skb).len) };
    if protocol == ETH_P_IP.to_be() {
        let header: [u8; 20] = load(skb, 0)?;
        // Only a first fragment has ports.
        if word(&header, 6) & 0x1fff != 0 {
            return None;
        }
        let total = u32::from(word(&header, 2));
        return Some(Layout {
            version: 4,
            protocol: header[9],
            transport: u32::from(header[0] & 15) * 4,
            // 0: too long for the field. Short frames are padded.
            end: if total == 0 || total > length {
                length
            } else {
                total
            },
        });
    }
    if protocol != ETH_P_IPV6.to_be() {
        return None;
    }
    let header: [u8; 8] = load(skb, 0)?;
    let total = 40 + u32::from(word(&header, 4));
    let mut found = Layout {
        version: 6,
        protocol: header[6],
        transport: 40,
        end: if total == 40 || total > length {
            length
        } else {
            total
        },
    };
    for _ in 0..MAX_EXTENSIONS {
        if !matches!(
            found.protocol,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION
        ) {
            break;
        }
        let extension: [u8; 4] = load(skb, found.transport)?;
        if found.protocol == FRAGMENT {
            if word(&extension, 2) & 0xfff8 != 0 {
                return None;
            }
            found.transport += 8;
        } else {
            found.transport += 8 + 8 * u32::from(extension[1]);
        }
        found.protocol = extension[0];
    }
    Some(found)
}

/// Copies both addresses to places of 16 bytes.
#[inline(always)]
fn addresses(skb: *mut __sk_buff, version: u8, source: *mut u8, destination: *mut u8) -> bool {
    let (at, length) = if version == 4 { (12, 4) } else { (8, 16) };
    // SAFETY: the places hold 16 bytes; the helper checks those in the packet.
    let failed = unsafe {
        bpf_skb_load_bytes(skb.cast(), at, source.cast(), length)
            | bpf_skb_load_bytes(skb.cast(), at + length, destination.cast(), length)
    };
    failed == 0
}

#[inline(always)]
fn look(skb: *mut __sk_buff) -> Option<()> {
    // SAFETY: a field of the context.
    let outgoing = match unsafe { (*skb).pkt_type } {
        PACKET_OUTGOING => true,
        PACKET_HOST => false,
        _ => return None,
    };
    let layout = layout(skb)?;
    let part = match layout.protocol {
        IPPROTO_UDP => datagram(skb, &layout, outgoing)?,
        IPPROTO_TCP => segment(skb, &layout, outgoing)?,
        _ => return None,
    };
    take(skb, &layout, &part);
    None
}

#[inline(always)]
fn datagram(skb: *mut __sk_buff, layout: &Layout, outgoing: bool) -> Option<Part> {
    let header: [u8; 8] = load(skb, layout.transport)?;
    let (from, to) = (word(&header, 0), word(&header, 2));
    // On loopback a packet passes twice: a question counts as it goes, an answer as it comes.
    if (if outgoing { to } else { from }) != PORT_DNS {
        return None;
    }
    Some(Part {
        outgoing,
        from,
        to,
        sequence: 0,
        payload: layout.transport + 8,
        length: u32::from(word(&header, 4)).saturating_sub(8),
        exe: 0,
    })
}

#[inline(always)]
fn segment(skb: *mut __sk_buff, layout: &Layout, outgoing: bool) -> Option<Part> {
    let header: [u8; 16] = load(skb, layout.transport)?;
    let (from, to) = (word(&header, 0), word(&header, 2));
    let is_dns = (if outgoing { to } else { from }) == PORT_DNS;
    if !is_dns && !outgoing {
        return None;
    }
    let payload = layout.transport + u32::from(header[12] >> 4) * 4;
    let length = layout.end.saturating_sub(payload);
    if length < 1 {
        return None;
    }
    if !is_dns {
        let start: [u8; 6] = load(skb, payload)?;
        if start[0] != TLS_HANDSHAKE || start[1] != TLS_MAJOR || start[5] != CLIENT_HELLO {
            return None;
        }
    }
    let mut key = FlowKey {
        // SAFETY: a field of the context.
        netns: unsafe { (*skb).cb[0] },
        port: if outgoing { from } else { to },
        remote_port: if outgoing { to } else { from },
        local: [0; 16],
        remote: [0; 16],
    };
    let (local, remote) = ((&raw mut key.local).cast(), (&raw mut key.remote).cast());
    let (source, destination) = if outgoing {
        (local, remote)
    } else {
        (remote, local)
    };
    if !addresses(skb, layout.version, source, destination) {
        return None;
    }
    Some(Part {
        outgoing,
        from,
        to,
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        payload,
        length,
        exe: value(&FLOWS, key)?,
    })
}

/// The part of a packet that is taken.
#[derive(Clone, Copy)]
struct Part {
    outgoing: bool,
    from: u16,
    to: u16,
    sequence: u32,
    /// Bytes from the start of the packet.
    payload: u32,
    /// Bytes that the payload has, of which the packet may hold less.
    length: u32,
    exe: u32,
}

/// Writes a record.
#[inline(always)]
fn take(skb: *mut __sk_buff, layout: &Layout, part: &Part) {
    // SAFETY: the space is the record's size; the verifier sees that it is given back.
    let packet = unsafe {
        bpf_ringbuf_reserve(
            core::ptr::from_ref(&RING).cast_mut().cast(),
            size_of::<WirePacket>() as u64,
            0,
        )
    }
    .cast::<WirePacket>();
    if packet.is_null() {
        lost(Loss::RingWire);
        return;
    }
    let held = layout.end.saturating_sub(part.payload);
    let wanted = if held < part.length {
        held
    } else {
        part.length
    };
    let wanted = if wanted as usize > WIRE_PAYLOAD {
        WIRE_PAYLOAD as u64
    } else {
        u64::from(wanted)
    };
    // The verifier wants a length from 1 on; of "not 0" older ones learn nothing.
    let last = opaque(wanted.wrapping_sub(1));
    // SAFETY: the record is ours until it is given back, and `last` is below the payload's size.
    unsafe {
        (*packet).kind = EVENT_WIRE;
        (*packet).netns = (*skb).cb[0];
        (*packet).exe = part.exe;
        (*packet).device = (*skb).ifindex;
        (*packet).protocol = layout.protocol;
        (*packet).outgoing = u8::from(part.outgoing);
        (*packet).version = layout.version;
        (*packet).pad = 0;
        (*packet).source_port = part.from;
        (*packet).destination_port = part.to;
        (*packet).sequence = part.sequence;
        (*packet).length = part.length;
        (*packet).kept = wanted as u32;
        (*packet).source = [0; 16];
        (*packet).destination = [0; 16];
        let source = (&raw mut (*packet).source).cast();
        let destination = (&raw mut (*packet).destination).cast();
        if !addresses(skb, layout.version, source, destination)
            || last >= WIRE_PAYLOAD as u64
            || bpf_skb_load_bytes(
                skb.cast(),
                part.payload,
                (&raw mut (*packet).payload).cast(),
                last as u32 + 1,
            ) != 0
        {
            bpf_ringbuf_discard(packet.cast(), NO_WAKEUP);
            return;
        }
        bpf_ringbuf_submit(packet.cast(), NO_WAKEUP);
    }
}

//! Arguments of system calls that decide what a call is for, counted by value at the call's entry.

use crate::atomics::{add, lost};
use crate::kernel::regs;
use crate::maps::{ARGUMENTS, entry};
use crate::programs::record::Task;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use procmon_probe_ebpf::abi::{ArgumentKey, CallKind, Facet, Loss, NO_ROW};

/// Flags of clone that make namespaces, include/uapi/linux/sched.h.
const CLONE_NEW: u64 = 0x7e02_0080;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const MAP_ANONYMOUS: u64 = 0x20;
/// The type of a socket without its flags, include/linux/net.h.
const SOCK_TYPE_MASK: u64 = 0xf;
const S_IFMT: u64 = 0o170_000;
const S_IFBLK: u64 = 0o060_000;
const S_IFCHR: u64 = 0o020_000;
const S_ISUID_AND_S_ISGID: u64 = 0o6_000;
/// `SYS_SOCKET` and `SYS_SETSOCKOPT`, include/uapi/linux/net.h.
const SOCKETCALL_SOCKET: u64 = 1;
const SOCKETCALL_SETSOCKOPT: u64 = 14;
const SOL_IP: u64 = 0;
const SOL_SOCKET: u64 = 1;
const SOL_IPV6: u64 = 41;
/// Levels up to it are those of all days; packet, netlink, ALG, XDP and the like are above.
const LAST_COMMON_LEVEL: u64 = 255;
/// include/uapi/asm-generic/socket.h.
const SO_BINDTODEVICE: u64 = 25;
const SO_ATTACH_FILTER: u64 = 26;
const SO_MARK: u64 = 36;
const SO_ATTACH_BPF: u64 = 50;
/// `IPT_SO_SET_REPLACE`, which ip6tables has too.
const IPT_SO_SET_REPLACE: u64 = 64;
/// include/uapi/asm-generic/ioctls.h, sockios.h, fs.h and if_tun.h; the same on amd64 and arm64.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const SIOCSIFFLAGS: u64 = 0x8914;
const FS_IOC_SETFLAGS: u64 = 0x4008_6602;
const FS_IOC32_SETFLAGS: u64 = 0x4004_6602;
const TUNSETIFF: u64 = 0x4004_54ca;

/// Counts the arguments of the call that begins.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn count_arguments(regs: u64, kind: u64, slot: u64) -> u32 {
    let Some(task) = Task::in_slot(slot) else {
        return 0;
    };
    let abi = task.abi();
    let argument = |position| regs::argument(regs, abi, position);
    let first = argument(0);
    let second = argument(1);
    let third = argument(2);
    let low = |value: u64| value & 0xffff_ffff;
    let facet = CallKind::from_word(kind).facet();
    let (facet, value) = match facet {
        Facet::None => return 0,
        Facet::Socket => (facet, socket(first, second)),
        Facet::Option if is_telling_option(second, third) => (facet, option(second, third)),
        Facet::Option => return 0,
        Facet::First => (facet, low(first)),
        Facet::Second => (facet, low(second)),
        Facet::Namespaces => (facet, first & CLONE_NEW & !0x80),
        Facet::NamespacesThere => {
            let [low, high] = words_at(first);
            let flags = u64::from(high) << 32 | u64::from(low);
            (Facet::Namespaces, flags & CLONE_NEW)
        }
        Facet::Request if is_telling_request(low(second)) => (facet, low(second)),
        Facet::Request => return 0,
        Facet::Protection => (
            facet,
            if third & PROT_EXEC == 0 {
                0
            } else {
                low(third)
            },
        ),
        Facet::Mapping => {
            let flags = argument(3);
            let is_telling =
                third & PROT_EXEC != 0 && (flags & MAP_ANONYMOUS != 0 || third & PROT_WRITE != 0);
            (
                facet,
                if is_telling {
                    low(third) | flags << 32
                } else {
                    0
                },
            )
        }
        Facet::ModeSecond => (facet, telling_mode(second)),
        Facet::ModeThird => (Facet::ModeSecond, telling_mode(third)),
        Facet::SocketCall => {
            let [of_first, of_second] = words_at(second);
            let [of_third, _] = words_at(second + 8);
            let (of_first, of_second, of_third) = (
                u64::from(of_first),
                u64::from(of_second),
                u64::from(of_third),
            );
            match first {
                SOCKETCALL_SOCKET => (Facet::Socket, socket(of_first, of_second)),
                SOCKETCALL_SETSOCKOPT if is_telling_option(of_second, of_third) => {
                    (Facet::Option, option(of_second, of_third))
                }
                _ => return 0,
            }
        }
    };
    let row = task.row();
    let is_nothing = value == 0 && !matches!(facet, Facet::First | Facet::Second);
    if is_nothing || row == NO_ROW {
        return 0;
    }
    let key = ArgumentKey {
        row,
        facet: u32::from(facet.number()),
        value,
    };
    match entry(&ARGUMENTS, &key, 0) {
        Some(count) => add(count, 1),
        None => lost(Loss::Arguments),
    }
    0
}

/// Two words of the caller's memory.
#[inline(always)]
fn words_at(address: u64) -> [u32; 2] {
    let mut words = [0_u32; 2];
    // SAFETY: the helper writes both, zeroes where it can't read.
    unsafe { bpf_probe_read_user((&raw mut words).cast(), 8, address as *const _) };
    words
}

/// Family and type of a socket.
#[inline(always)]
fn socket(family: u64, socket_type: u64) -> u64 {
    family & 0xffff | (socket_type & SOCK_TYPE_MASK) << 32
}

/// Option and level of a socket.
#[inline(always)]
fn option(level: u64, option: u64) -> u64 {
    option & 0xffff_ffff | level << 32
}

/// An option that few programs set.
#[inline(always)]
fn is_telling_option(level: u64, option: u64) -> bool {
    match level & 0xffff_ffff {
        SOL_SOCKET => matches!(
            option,
            SO_BINDTODEVICE | SO_ATTACH_FILTER | SO_MARK | SO_ATTACH_BPF
        ),
        SOL_IP | SOL_IPV6 => option == IPT_SO_SET_REPLACE,
        level => level > LAST_COMMON_LEVEL,
    }
}

/// A request that few programs make.
#[inline(always)]
fn is_telling_request(request: u64) -> bool {
    matches!(
        request,
        TIOCSTI | TIOCLINUX | SIOCSIFFLAGS | FS_IOC_SETFLAGS | FS_IOC32_SETFLAGS | TUNSETIFF
    )
}

/// The bits of a mode that make a program run as its owner or group, and the type of a device.
#[inline(always)]
fn telling_mode(mode: u64) -> u64 {
    match mode & S_IFMT {
        S_IFBLK | S_IFCHR => mode & (S_IFMT | S_ISUID_AND_S_ISGID),
        _ => mode & S_ISUID_AND_S_ISGID,
    }
}

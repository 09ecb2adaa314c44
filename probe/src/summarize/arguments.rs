//! Arguments of system calls, as `facet=value`.

use procmon_probe_ebpf::abi::{ArgumentKey, Facet};
use procmon_profile::model::Counts;
use procmon_profile::text::Text;

/// Different arguments of one row; further values of a facet count as `other`.
const MAX_OF_ROW: usize = 64;

/// Names of the numbers from 0 on, separated by blanks; `-` where a number has no name. One text takes less
/// room than many.
struct Names(&'static str, &'static str);

/// A constant of the kernel's headers with its name.
type Name = (u64, &'static str);

/// A number of 32 bits, and one that is shifted by 32.
const fn pair(high: u64, low: u64) -> u64 {
    high << 32 | low
}

/// include/linux/socket.h.
const FAMILIES: Names = Names(
    "AF_",
    "UNSPEC UNIX INET AX25 IPX APPLETALK NETROM BRIDGE ATMPVC X25 INET6 ROSE DECnet NETBEUI SECURITY KEY NETLINK \
     PACKET ASH ECONET ATMSVC RDS SNA IRDA PPPOX WANPIPE LLC IB MPLS CAN TIPC BLUETOOTH IUCV RXRPC ISDN PHONET \
     IEEE802154 CAIF ALG NFC VSOCK KCM QIPCRTR SMC XDP MCTP",
);
/// include/linux/net.h.
const SOCKET_TYPES: Names = Names(
    "SOCK_",
    "- STREAM DGRAM RAW RDM SEQPACKET DCCP - - - PACKET",
);
/// Options with their level shifted by 32, as [`Facet::Option`] has them: include/uapi/linux/if_packet.h,
/// if_alg.h and netfilter_ipv4/ip_tables.h.
const OPTIONS: &[Name] = &[
    (pair(1, 25), "SO_BINDTODEVICE"),
    (pair(1, 26), "SO_ATTACH_FILTER"),
    (pair(1, 36), "SO_MARK"),
    (pair(1, 50), "SO_ATTACH_BPF"),
    (64, "IPT_SO_SET_REPLACE"),
    (pair(41, 64), "IP6T_SO_SET_REPLACE"),
    (pair(263, 1), "PACKET_ADD_MEMBERSHIP"),
    (pair(279, 1), "ALG_SET_KEY"),
];
/// include/uapi/linux/prctl.h.
const PRCTL: Names = Names(
    "PR_",
    "- SET_PDEATHSIG GET_PDEATHSIG GET_DUMPABLE SET_DUMPABLE GET_UNALIGN SET_UNALIGN GET_KEEPCAPS SET_KEEPCAPS \
     GET_FPEMU SET_FPEMU GET_FPEXC SET_FPEXC GET_TIMING SET_TIMING SET_NAME GET_NAME - - GET_ENDIAN SET_ENDIAN \
     GET_SECCOMP SET_SECCOMP CAPBSET_READ CAPBSET_DROP GET_TSC SET_TSC GET_SECUREBITS SET_SECUREBITS \
     SET_TIMERSLACK GET_TIMERSLACK TASK_PERF_EVENTS_DISABLE TASK_PERF_EVENTS_ENABLE MCE_KILL MCE_KILL_GET SET_MM \
     SET_CHILD_SUBREAPER GET_CHILD_SUBREAPER SET_NO_NEW_PRIVS GET_NO_NEW_PRIVS GET_TID_ADDRESS SET_THP_DISABLE \
     GET_THP_DISABLE - - SET_FP_MODE GET_FP_MODE CAP_AMBIENT - - SVE_SET_VL SVE_GET_VL GET_SPECULATION_CTRL \
     SET_SPECULATION_CTRL",
);
const PR_SET_VMA: u64 = 0x5356_4d41;
const PR_SET_PTRACER: u64 = 0x5961_6d61;
/// include/uapi/linux/ptrace.h.
const PTRACE: Names = Names(
    "PTRACE_",
    "TRACEME PEEKTEXT PEEKDATA PEEKUSER POKETEXT POKEDATA POKEUSER CONT KILL SINGLESTEP - - GETREGS SETREGS \
     GETFPREGS SETFPREGS ATTACH DETACH - - - - - - SYSCALL",
);
/// The same from 0x4200 on.
const PTRACE_LATER: Names = Names(
    "PTRACE_",
    "SETOPTIONS GETEVENTMSG GETSIGINFO SETSIGINFO GETREGSET SETREGSET SEIZE INTERRUPT LISTEN PEEKSIGINFO \
     GETSIGMASK SETSIGMASK SECCOMP_GET_FILTER SECCOMP_GET_METADATA GET_SYSCALL_INFO",
);
const PTRACE_LATER_FROM: u64 = 0x4200;
/// include/uapi/linux/keyctl.h.
const KEYCTL: Names = Names(
    "KEYCTL_",
    "GET_KEYRING_ID JOIN_SESSION_KEYRING UPDATE REVOKE CHOWN SETPERM DESCRIBE CLEAR LINK UNLINK SEARCH READ \
     INSTANTIATE NEGATE SET_REQKEY_KEYRING SET_TIMEOUT",
);
/// include/uapi/linux/bpf.h.
const BPF: Names = Names(
    "BPF_",
    "MAP_CREATE MAP_LOOKUP_ELEM MAP_UPDATE_ELEM MAP_DELETE_ELEM MAP_GET_NEXT_KEY PROG_LOAD OBJ_PIN OBJ_GET \
     PROG_ATTACH PROG_DETACH PROG_TEST_RUN PROG_GET_NEXT_ID MAP_GET_NEXT_ID PROG_GET_FD_BY_ID MAP_GET_FD_BY_ID \
     OBJ_GET_INFO_BY_FD PROG_QUERY RAW_TRACEPOINT_OPEN BTF_LOAD BTF_GET_FD_BY_ID TASK_FD_QUERY \
     MAP_LOOKUP_AND_DELETE_ELEM MAP_FREEZE BTF_GET_NEXT_ID MAP_LOOKUP_BATCH MAP_LOOKUP_AND_DELETE_BATCH \
     MAP_UPDATE_BATCH MAP_DELETE_BATCH LINK_CREATE",
);
/// include/uapi/linux/seccomp.h.
const SECCOMP: Names = Names(
    "SECCOMP_",
    "SET_MODE_STRICT SET_MODE_FILTER GET_ACTION_AVAIL GET_NOTIF_SIZES",
);
/// include/uapi/asm-generic/ioctls.h, sockios.h, fs.h and if_tun.h.
const REQUESTS: &[Name] = &[
    (0x5412, "TIOCSTI"),
    (0x541c, "TIOCLINUX"),
    (0x8914, "SIOCSIFFLAGS"),
    (0x4008_6602, "FS_IOC_SETFLAGS"),
    (0x4004_6602, "FS_IOC_SETFLAGS"),
    (0x4004_54ca, "TUNSETIFF"),
];
/// include/uapi/linux/sched.h.
const NAMESPACES: &[Name] = &[
    (0x80, "CLONE_NEWTIME"),
    (0x0002_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
];
/// include/uapi/linux/personality.h.
const PERSONALITIES: &[Name] = &[
    (0x4_0000, "ADDR_NO_RANDOMIZE"),
    (0x40_0000, "READ_IMPLIES_EXEC"),
];
/// include/uapi/linux/stat.h.
const MODES: &[Name] = &[(0o4000, "S_ISUID"), (0o2000, "S_ISGID")];
const DEVICES: &[Name] = &[(0o060_000, "S_IFBLK"), (0o020_000, "S_IFCHR")];

/// Counts of one row by `facet=value`. `call` is the name of the system call.
pub(super) fn by_text(call: &str, counts: &[(ArgumentKey, u64)]) -> Counts {
    let mut all = Counts::new();
    for (key, count) in counts {
        for (facet, value) in texts(call, key) {
            let mut text = Text::from(format!("{facet}={value}"));
            if all.len() >= MAX_OF_ROW && !all.contains_key(&text) {
                text = format!("{facet}=other").into();
            }
            *all.entry(text).or_insert(0) += count;
        }
    }
    all
}

/// Facets and values of an argument.
fn texts(call: &str, key: &ArgumentKey) -> Vec<(&'static str, String)> {
    let value = key.value;
    let (low, high) = (value & 0xffff_ffff, value >> 32);
    let facet = u8::try_from(key.facet).ok().and_then(Facet::decode);
    match facet.unwrap_or(Facet::None) {
        Facet::Socket => vec![
            ("family", FAMILIES.of(low)),
            ("type", SOCKET_TYPES.of(high)),
        ],
        Facet::Option => {
            let name = OPTIONS.iter().find(|(number, _)| *number == value);
            let unnamed = || format!("{high}:{low}");
            vec![(
                "option",
                name.map_or_else(unnamed, |(_, name)| (*name).to_owned()),
            )]
        }
        Facet::First => vec![match call {
            "prctl" if value == PR_SET_VMA => ("option", "PR_SET_VMA".to_owned()),
            "prctl" if value == PR_SET_PTRACER => ("option", "PR_SET_PTRACER".to_owned()),
            "prctl" => ("option", PRCTL.of(value)),
            "ptrace" if value >= PTRACE_LATER_FROM => {
                ("request", PTRACE_LATER.of(value - PTRACE_LATER_FROM))
            }
            "ptrace" => ("request", PTRACE.of(value)),
            "keyctl" => ("operation", KEYCTL.of(value)),
            "bpf" => ("command", BPF.of(value)),
            "seccomp" => ("operation", SECCOMP.of(value)),
            "personality" if value != QUERY => return personality(value),
            _ => return Vec::new(),
        }],
        Facet::Second | Facet::Namespaces => match value {
            0 => vec![("flags", "0".to_owned())],
            _ => bits("flags", NAMESPACES, value),
        },
        Facet::Request => vec![("request", named(REQUESTS, value))],
        Facet::Protection => vec![protection(low)],
        Facet::Mapping => {
            let is_anonymous = high & MAP_ANONYMOUS != 0;
            let flags = is_anonymous.then(|| ("flags", "MAP_ANONYMOUS".to_owned()));
            [protection(low)].into_iter().chain(flags).collect()
        }
        Facet::ModeSecond | Facet::ModeThird => {
            let device = DEVICES.iter().find(|(number, _)| value & S_IFMT == *number);
            let device = device.map(|(_, name)| ("type", (*name).to_owned()));
            bits("mode", MODES, value)
                .into_iter()
                .chain(device)
                .collect()
        }
        Facet::None | Facet::NamespacesThere | Facet::SocketCall => Vec::new(),
    }
}

/// personality only asks.
const QUERY: u64 = 0xffff_ffff;
const MAP_ANONYMOUS: u64 = libc::MAP_ANONYMOUS as u64;
const PROT_WRITE: u64 = libc::PROT_WRITE as u64;
const S_IFMT: u64 = libc::S_IFMT as u64;

/// The personality as a number, and the flags that weaken a program.
fn personality(value: u64) -> Vec<(&'static str, String)> {
    let mut all = bits("flags", PERSONALITIES, value);
    all.push(("persona", format!("{value:#x}")));
    all
}

/// The protection of memory that can be executed.
fn protection(prot: u64) -> (&'static str, String) {
    let text = if prot & PROT_WRITE == 0 {
        "exec"
    } else {
        "write+exec"
    };
    ("prot", text.to_owned())
}

/// The name of a number, or the number.
fn named(names: &[Name], number: u64) -> String {
    let name = names.iter().find(|(known, _)| *known == number);
    name.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

impl Names {
    /// The name of a number, or the number.
    fn of(&self, number: u64) -> String {
        let mut names = self.1.split(' ');
        let name = usize::try_from(number)
            .ok()
            .and_then(|place| names.nth(place));
        match name {
            Some(name) if name != "-" => format!("{}{name}", self.0),
            _ => number.to_string(),
        }
    }
}

/// Names of the bits that are set.
fn bits(facet: &'static str, names: &[Name], value: u64) -> Vec<(&'static str, String)> {
    let set = names.iter().filter(|(bit, _)| value & bit != 0);
    set.map(|(_, name)| (facet, (*name).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(facet: Facet, value: u64) -> ArgumentKey {
        ArgumentKey {
            row: 1,
            facet: u32::from(facet.number()),
            value,
        }
    }

    #[test]
    fn arguments_have_the_names_of_the_headers() {
        for (call, facet, value, expected) in [
            (
                "socket",
                Facet::Socket,
                pair(3, 17),
                "family=AF_PACKET type=SOCK_RAW",
            ),
            (
                "socket",
                Facet::Socket,
                pair(1, 999),
                "family=999 type=SOCK_STREAM",
            ),
            (
                "setsockopt",
                Facet::Option,
                pair(263, 1),
                "option=PACKET_ADD_MEMBERSHIP",
            ),
            ("setsockopt", Facet::Option, pair(300, 7), "option=300:7"),
            ("prctl", Facet::First, 15, "option=PR_SET_NAME"),
            ("ptrace", Facet::First, 16, "request=PTRACE_ATTACH"),
            ("bpf", Facet::First, 5, "command=BPF_PROG_LOAD"),
            ("bpf", Facet::First, 500, "command=500"),
            ("keyctl", Facet::First, 11, "operation=KEYCTL_READ"),
            (
                "seccomp",
                Facet::First,
                1,
                "operation=SECCOMP_SET_MODE_FILTER",
            ),
            (
                "personality",
                Facet::First,
                0x4_0000,
                "flags=ADDR_NO_RANDOMIZE persona=0x40000",
            ),
            ("personality", Facet::First, 0xffff_ffff, ""),
            (
                "clone",
                Facet::Namespaces,
                0x1002_0000,
                "flags=CLONE_NEWNS flags=CLONE_NEWUSER",
            ),
            ("setns", Facet::Second, 0, "flags=0"),
            ("ioctl", Facet::Request, 0x5412, "request=TIOCSTI"),
            ("mprotect", Facet::Protection, 7, "prot=write+exec"),
            ("mprotect", Facet::Protection, 5, "prot=exec"),
            (
                "mmap",
                Facet::Mapping,
                pair(0x22, 7),
                "flags=MAP_ANONYMOUS prot=write+exec",
            ),
            ("chmod", Facet::ModeSecond, 0o4000, "mode=S_ISUID"),
            ("mknod", Facet::ModeSecond, 0o060_000, "type=S_IFBLK"),
        ] {
            let found = by_text(call, &[(key(facet, value), 2)]);
            let texts: Vec<&str> = found.keys().map(|text| &**text).collect();
            assert_eq!(texts.join(" "), expected, "{call} {value:#x}");
            assert!(found.values().all(|count| *count == 2));
        }
    }

    #[test]
    #[expect(
        clippy::cast_lossless,
        reason = "the C library has constants of several types"
    )]
    fn names_are_those_of_the_c_library() {
        macro_rules! check {
            ($names:expr, $base:expr, $($constant:ident)*) => {
                $(assert_eq!($names.of(libc::$constant as u64 - $base), stringify!($constant));)*
            };
        }
        check!(FAMILIES, 0, AF_UNIX AF_INET AF_X25 AF_INET6 AF_KEY AF_NETLINK AF_PACKET AF_RDS AF_PPPOX AF_LLC AF_CAN
            AF_TIPC AF_BLUETOOTH AF_IUCV AF_RXRPC AF_PHONET AF_IEEE802154 AF_CAIF AF_ALG AF_NFC AF_VSOCK AF_XDP);
        check!(SOCKET_TYPES, 0, SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_DCCP);
        check!(PRCTL, 0, PR_SET_PDEATHSIG PR_SET_DUMPABLE PR_SET_KEEPCAPS PR_SET_NAME PR_SET_SECCOMP PR_CAPBSET_DROP
            PR_SET_SECUREBITS PR_SET_TIMERSLACK PR_SET_MM PR_SET_CHILD_SUBREAPER PR_SET_NO_NEW_PRIVS
            PR_SET_THP_DISABLE PR_CAP_AMBIENT);
        check!(PTRACE, 0, PTRACE_TRACEME PTRACE_PEEKDATA PTRACE_POKETEXT PTRACE_CONT PTRACE_KILL PTRACE_SINGLESTEP
            PTRACE_ATTACH PTRACE_DETACH PTRACE_SYSCALL);
        check!(PTRACE_LATER, PTRACE_LATER_FROM, PTRACE_SETOPTIONS PTRACE_GETEVENTMSG PTRACE_GETREGSET PTRACE_SEIZE
            PTRACE_INTERRUPT PTRACE_LISTEN);
        assert_eq!(PR_SET_VMA, libc::PR_SET_VMA as u64);
        assert_eq!(PR_SET_PTRACER, libc::PR_SET_PTRACER as u64);
    }

    #[test]
    fn a_row_has_few_arguments() {
        let many: Vec<_> = (1000..2000)
            .map(|value| (key(Facet::Request, value), 1))
            .collect();
        let found = by_text("ioctl", &many);
        assert_eq!(found.len(), MAX_OF_ROW + 1);
        assert_eq!(found.values().sum::<u64>(), 1000);
        assert!(found.contains_key("request=other"));
    }
}

//! System calls: rows of counts, and what each call does to descriptors and names.

use super::declare::{kinds, records};

/// The machine's own 64-bit convention.
pub const ABI_NATIVE: u32 = 0;
/// The machine's 32-bit convention.
pub const ABI_COMPAT: u32 = 1;
/// x32: bit 30 of the number.
pub const ABI_X32: u32 = 2;
/// Numbers below this have a place in the dense table.
pub const DENSE_NUMBERS: usize = 512;
/// In place of a row: none was free.
pub const NO_ROW: u32 = 0;
/// Errnos counted within a row; more go to the map `ERRNOS`.
pub const ROW_ERRNOS: usize = 6;

/// Row numbers by system call number, for one executable slot; 0: none yet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DenseRows {
    /// Rows by number.
    pub rows: [u16; DENSE_NUMBERS],
}
records! { DenseRows = 2 * DENSE_NUMBERS }

/// The key of a row.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SyscallKey {
    /// Executable slot.
    pub exe: u32,
    /// One of `ABI_…`.
    pub abi: u32,
    /// Number.
    pub number: u32,
}
records! { SyscallKey = 12 }

/// A count of one errno.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ErrnoCount {
    /// The errno; 0: free.
    pub errno: u64,
    /// How often.
    pub count: u64,
}
records! { ErrnoCount = 16 }

/// Counts of one system call on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct SyscallRow {
    /// Calls that have returned, or will not.
    pub calls: u64,
    /// Returns with an internal restart code.
    pub restarted: u64,
    /// Tasks that ended inside the call.
    pub no_return: u64,
    /// Returns without an entry: refused by a seccomp filter.
    pub denied: u64,
    /// Calls under way when the window closed.
    pub unfinished: u64,
    /// Failures.
    pub errnos: [ErrnoCount; ROW_ERRNOS],
}
records! { SyscallRow = 40 + 16 * ROW_ERRNOS }

/// Buckets of times: four to each power of two, from [`LATENCY_FROM`] on.
pub const LATENCY_BUCKETS: usize = 128;
/// Exponent of the first bucket's end: what takes less than 2 to this power of nanoseconds is in it.
pub const LATENCY_FROM: u32 = 6;

/// How long the calls of a row took, on one CPU.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LatencyRow {
    /// The slowest, in nanoseconds.
    pub max: u64,
    /// Calls by time, see [`latency_bucket`].
    pub buckets: [u64; LATENCY_BUCKETS],
}
records! { LatencyRow = 8 + 8 * LATENCY_BUCKETS }

/// The bucket of a time: the exponent, and the two bits below the highest one.
#[must_use]
#[expect(
    clippy::inline_always,
    reason = "the verifier has to see the bound of the position"
)]
#[inline(always)]
pub fn latency_bucket(ns: u64) -> usize {
    if ns >> LATENCY_FROM == 0 {
        return 0;
    }
    // The position of the highest bit, without an instruction that eBPF lacks.
    let mut exponent = 0;
    let mut rest = ns;
    if rest >> 32 != 0 {
        exponent += 32;
        rest >>= 32;
    }
    if rest >> 16 != 0 {
        exponent += 16;
        rest >>= 16;
    }
    if rest >> 8 != 0 {
        exponent += 8;
        rest >>= 8;
    }
    if rest >> 4 != 0 {
        exponent += 4;
        rest >>= 4;
    }
    if rest >> 2 != 0 {
        exponent += 2;
        rest >>= 2;
    }
    exponent += u32::from(rest >> 1 != 0);
    let quarter = (ns >> (exponent - 2) & 3) as usize;
    let bucket = (exponent - LATENCY_FROM) as usize * 4 + quarter + 1;
    if bucket < LATENCY_BUCKETS {
        bucket
    } else {
        LATENCY_BUCKETS - 1
    }
}

/// The least time of a bucket, in nanoseconds.
#[must_use]
pub fn latency_floor(bucket: usize) -> u64 {
    if bucket == 0 {
        return 0;
    }
    let (exponent, quarter) = ((bucket - 1) / 4 + LATENCY_FROM as usize, (bucket - 1) % 4);
    (4 + quarter as u64) << (exponent - 2)
}

/// Failures of a row: all of files and peers, of system calls those that found no place in the row.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RowErrno {
    /// Row.
    pub row: u32,
    /// One of `ROWS_…`.
    pub rows: u16,
    /// The errno.
    pub errno: u16,
}
records! { RowErrno = 8 }

/// Rows of system calls.
pub const ROWS_SYSCALLS: u16 = 0;
/// Rows of files.
pub const ROWS_FILES: u16 = 1;
/// Rows of network peers.
pub const ROWS_NETWORK: u16 = 2;

/// The effect of a system call, beyond being counted. `a`, `b` and `c` are positions of arguments.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CallKind {
    /// A number of [`Call`].
    pub kind: u8,
    /// First position.
    pub a: u8,
    /// Second position.
    pub b: u8,
    /// Third position.
    pub c: u8,
    /// Operation of [`super::FileOp`], where the call is one.
    pub op: u8,
    /// Acts at the call's entry, flags `AT_ENTRY_…`.
    pub at_entry: u8,
    /// A number of [`Facet`], and [`MAPS_MEMORY`].
    pub facet: u8,
    /// How a name is looked up: of `NAMES_…`.
    pub names: u8,
}
records! { CallKind = 8 }

/// In [`CallKind::at_entry`]: keep which file or socket descriptor `a` is.
pub const AT_ENTRY_KEEP: u8 = 1;
/// In [`CallKind::at_entry`]: something of the kind's own.
pub const AT_ENTRY_ACT: u8 = 2;
/// In [`CallKind::at_entry`]: keep descriptor `b`, too.
pub const AT_ENTRY_KEEP_SECOND: u8 = 4;
/// In [`CallKind::at_entry`] of a record: read the clock.
pub const AT_ENTRY_TIME: u8 = 8;
/// In [`CallKind::at_entry`] of a record: the last return may not have been seen.
pub const AT_ENTRY_CHECK: u8 = 16;

/// In [`CallKind::at_entry`]: count the arguments that [`CallKind::facet`] names.
pub const AT_ENTRY_FACET: u8 = 32;

/// In [`CallKind::facet`]: the call maps memory, which asks for CAP_SYS_ADMIN without need.
pub const MAPS_MEMORY: u8 = 0x80;

/// In [`CallKind::names`]: a symbolic link at the end of the name is followed.
pub const NAMES_FOLLOW: u8 = 0x80;
/// In [`CallKind::names`]: a message queue's name.
pub const NAMES_QUEUE: u8 = 0x20;
/// In [`CallKind::names`]: the argument at the position of the low bits holds `AT_…` flags.
pub const NAMES_FLAGS: u8 = 0x40;

impl CallKind {
    /// The call does this.
    #[must_use]
    #[expect(clippy::inline_always, reason = "as for `call`")]
    #[inline(always)]
    pub const fn is(&self, call: Call) -> bool {
        self.kind == call.number()
    }

    /// The effect of the call.
    #[must_use]
    #[expect(
        clippy::inline_always,
        reason = "functions of eBPF programs that are not inlined are checked apart"
    )]
    #[inline(always)]
    pub const fn call(&self) -> Call {
        match Call::decode(self.kind) {
            Some(call) => call,
            None => Call::Plain,
        }
    }

    /// The arguments that are counted.
    #[must_use]
    #[expect(clippy::inline_always, reason = "as for `call`")]
    #[inline(always)]
    pub const fn facet(&self) -> Facet {
        match Facet::decode(self.facet & !MAPS_MEMORY) {
            Some(facet) => facet,
            None => Facet::None,
        }
    }

    /// As one number: functions that the verifier checks by themselves take numbers only.
    #[must_use]
    pub fn to_word(self) -> u64 {
        u64::from_le_bytes([
            self.kind,
            self.a,
            self.b,
            self.c,
            self.op,
            self.at_entry,
            self.facet,
            self.names,
        ])
    }

    /// From one number.
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        let [kind, a, b, c, op, at_entry, facet, names] = word.to_le_bytes();
        Self {
            kind,
            a,
            b,
            c,
            op,
            at_entry,
            facet,
            names,
        }
    }
}

/// Position of an argument that a call does not have: the working directory stands in for a descriptor.
pub const NO_ARG: u8 = 0xff;

kinds! {
    /// The effect of a system call, beyond being counted.
    Call: u8 {
        /// Nothing.
        Plain = 0,
        /// Reads result bytes from descriptor `a`.
        Read = 1,
        /// Writes result bytes to descriptor `a`.
        Write = 2,
        /// Returns a descriptor; the name is argument `b` below directory descriptor `a`, if it has one.
        Open = 3,
        /// Operation `op` on descriptor `a`.
        Descriptor = 4,
        /// Operation `op` on name `b` below directory descriptor `a`.
        Name = 5,
        /// As `Name`; flag `AT_REMOVEDIR` in argument `c` makes it a rmdir.
        UnlinkAt = 6,
        /// Operation `op` on two names: `b` below `a`, and `c + 1` below `c` (both in arguments).
        Rename = 7,
        /// Result bytes from descriptor `b` to descriptor `a`.
        Copy = 8,
        /// mmap: descriptor `a`, protection `b`, flags `c`.
        Map = 9,
        /// Executes name `b` below directory descriptor `a`.
        Exec = 10,
        /// connect: descriptor `a`, address `b`, its length `c`.
        Connect = 11,
        /// accept: returns a descriptor of a connection to descriptor `a`.
        Accept = 12,
        /// listen on descriptor `a`.
        Listen = 13,
        /// sendto: descriptor `a`, address `b`, its length `c`.
        SendTo = 14,
        /// recvfrom: descriptor `a`, address `b`, flags `c`.
        RecvFrom = 15,
        /// sendmsg: descriptor `a`, struct msghdr `b`.
        SendMsg = 16,
        /// recvmsg: descriptor `a`, struct msghdr `b`, flags `c`.
        RecvMsg = 17,
        /// sendmmsg: descriptor `a`, array of struct mmsghdr `b`.
        SendMmsg = 18,
        /// recvmmsg: descriptor `a`, array of struct mmsghdr `b`, flags `c`.
        RecvMmsg = 19,
        /// Changes credentials.
        Credentials = 20,
        /// Does something rare: argument values go into an event of type `op`.
        Event = 21,
        /// socket: returns a descriptor.
        Socket = 22,
        /// socketcall: a call on sockets that argument `a` names.
        SocketCall = 23,
        /// Sends a signal.
        Signal = 24,
        /// Goes back from a signal's handler: the result is that of the call which the signal has
        /// interrupted.
        SigReturn = 25,
        /// bind on descriptor `a`.
        Bind = 26,
        /// Operation `op` on descriptor `a`, if the mode `b` changes content, or offset `c` and the length
        /// behind it the size.
        Fallocate = 27,
        /// Operation `op` on descriptor `a`, if the request `b` changes content.
        Ioctl = 28,
        /// Makes a message queue or opens one, as `Open`; flags `c`.
        MqOpen = 29,
        /// Writes a message of length `b` to descriptor `a`.
        MqSend = 30,
    }
}

kinds! {
    /// Arguments of a call that are counted by value. Positions count from 0; only the values that decide
    /// something are counted.
    Facet: u8 {
        /// None.
        None = 0,
        /// socket: address family, with the type shifted by 32.
        Socket = 1,
        /// setsockopt: the option, with the level shifted by 32; options of all days are left out.
        Option = 2,
        /// Argument 0, of 32 bits.
        First = 3,
        /// Argument 1, of 32 bits.
        Second = 4,
        /// Argument 0: the flags of clone that make namespaces, where there are any.
        Namespaces = 5,
        /// clone3: the same, where argument 0 points to.
        NamespacesThere = 6,
        /// ioctl: the request, where it is one that few programs have a reason for.
        Request = 7,
        /// mprotect: the protection, if it makes memory executable.
        Protection = 8,
        /// mmap: the protection, with the flags shifted by 32, if the memory is executable and has no file or
        /// can be written.
        Mapping = 9,
        /// Argument 1: a mode that has S_ISUID or S_ISGID, or is a device's.
        ModeSecond = 10,
        /// Argument 2: the same.
        ModeThird = 11,
        /// socketcall: as `Socket` or `Option`, with arguments where argument 1 points to.
        SocketCall = 12,
    }
}

/// An argument of one row of system calls.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ArgumentKey {
    /// Row.
    pub row: u32,
    /// A number of [`Facet`].
    pub facet: u32,
    /// As the facet says.
    pub value: u64,
}
records! { ArgumentKey = 16 }

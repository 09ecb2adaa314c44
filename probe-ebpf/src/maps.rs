//! Every map: key, value, capacity, and what happens when it is full. Capacities are the defaults;
//! the probe sets them from the request before it loads the programs.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, Queue, RingBuf};
use core::borrow::Borrow;
use procmon_probe_ebpf::abi::{
    ArgumentKey, CACHED_CPUS, CLOSED, CapabilityKey, CapabilityRow, CgroupEntry, Config, CpuCache,
    DENSE_NUMBERS, DenseRows, Destinations, ExeKey, FILE_CACHE_ENTRIES, FOLDER_ROWS, FileCache,
    FileKey, FileRow, FlowKey, LatencyRow, ListenKey, MAX_CONTAINERS, MAX_EXES, MAX_TASKS,
    N_LOSSES, NOT_OPEN, NetworkKey, NetworkRow, Numbers, OPEN, Offsets, PREFIX_ROWS, RareKey,
    RingNames, RowErrno, SocketState, State, SyscallKey, SyscallRow, TaskRecord,
};

/// Offsets of kernel members; set before loading.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = ZERO_OFFSETS;
/// SAFETY: Offsets is made of integers only.
const ZERO_OFFSETS: Offsets = unsafe { core::mem::zeroed() };

/// Facts about this kernel and run; set before loading.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config {
    typed_task: 0,
    arch: 0,
    cgroup_subsys: 0,
    cgroup_hierarchy: 0,
    tree: 0,
    preemptible: 0,
    holds_cpu: 0,
    direct: 0,
    latency: 0,
    syscall_rows: 0,
    pid_namespace: 0,
    tick_ns: 0,
};

/// The switch, and counters that make caches stale: the map `.bss`, which is read without a look-up.
#[unsafe(no_mangle)]
pub(crate) static mut STATE: State = State {
    open: NOT_OPEN,
    scan: 0,
    epoch: 0,
    links: 0,
    renames: 0,
    files_full: 0,
    sockets_made: 0,
    told: [0; 2],
};

/// Slot of each task of the target, by `task_struct`. Full: the task is not counted; `Loss::Tasks`.
#[map]
pub(crate) static TASKS: HashMap<u64, u32> = HashMap::with_max_entries(MAX_TASKS, 0);
/// Records by slot less 1: a global, since every system call of the target needs one. Never full, slots come
/// from `FREE_TASKS`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.records")]
pub(crate) static mut RECORDS: [TaskRecord; MAX_TASKS as usize] = [NO_RECORD; MAX_TASKS as usize];
/// SAFETY: TaskRecord is made of integers only.
const NO_RECORD: TaskRecord = unsafe { core::mem::zeroed() };
/// Where a task's datagrams go, by its slot; slots count from 1.
#[map]
pub(crate) static DESTINATIONS: Array<Destinations> = Array::with_max_entries(MAX_TASKS + 1, 0);
/// Slots without a task.
#[map]
pub(crate) static FREE_TASKS: Queue<u32> = Queue::with_max_entries(MAX_TASKS, 0);
/// The task that ran last on each CPU: a global, since a CPU's number is found faster than the CPU's
/// part of a map.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.cpus")]
pub(crate) static mut CPU_CACHE: [CpuCache; CACHED_CPUS] = [NO_CACHE; CACHED_CPUS];
const NO_CACHE: CpuCache = CpuCache {
    task: 0,
    regs: 0,
    epoch: 0,
    slot: 0,
    record: 0,
    pad: [0; 3],
};
/// Typed pointers on their way to become numbers.
#[map]
pub(crate) static NUMBERS: PerCpuArray<Numbers> = PerCpuArray::with_max_entries(1, 0);

/// Cgroups of the target by inode number, filled by the probe and by cgroup_mkdir. Full: `Loss::Containers`.
#[map]
pub(crate) static CGROUPS: HashMap<u64, CgroupEntry> = HashMap::with_max_entries(8_192, 0);
/// Container slots not in use. Empty: a new container is not seen; `Loss::Containers`.
#[map]
pub(crate) static FREE_CONTAINERS: Queue<u32> = Queue::with_max_entries(MAX_CONTAINERS, 0);
/// Processes that the next scan shall label, with their container slot, or shall not; filled by the probe.
#[map]
pub(crate) static ROOTS: HashMap<u32, u32> = HashMap::with_max_entries(16_384, 0);

/// Executable slots. Full: `OTHER_EXE`; `Loss::Exes`.
#[map]
pub(crate) static EXES: HashMap<ExeKey, u32> = HashMap::with_max_entries(MAX_EXES, 0);
/// Executable slots not in use.
#[map]
pub(crate) static FREE_EXES: Queue<u32> = Queue::with_max_entries(MAX_EXES, 0);

/// The effect of each system call, as `CallKind::to_word`: native numbers, then compat numbers.
#[map]
pub(crate) static CALLS: Array<u64> = Array::with_max_entries(2 * DENSE_NUMBERS as u32, 0);
/// Rows of native calls by executable and number.
#[map]
pub(crate) static DENSE: Array<DenseRows> = Array::with_max_entries(MAX_EXES, 0);
/// Rows of other calls. Full: `Loss::SyscallRows`.
#[map]
pub(crate) static SPARSE: HashMap<SyscallKey, u32> = HashMap::with_max_entries(2_048, 0);
/// The key of each row.
#[map]
pub(crate) static SYSCALL_KEYS: Array<SyscallKey> = Array::with_max_entries(8_192, 0);
/// Counts of each row, those of one CPU after those of the other: a CPU's number is found faster than
/// the CPU's part of a map.
#[map]
pub(crate) static SYSCALL_ROWS: Array<SyscallRow> = Array::with_max_entries(8_192, 0);
/// How long the calls of each row took, on each CPU; one entry where that is not measured.
#[map]
pub(crate) static LATENCIES: PerCpuArray<LatencyRow> = PerCpuArray::with_max_entries(1, 0);
/// Rows not in use. Empty: the calls are not counted; `Loss::SyscallRows`.
#[map]
pub(crate) static FREE_SYSCALL_ROWS: Queue<u32> = Queue::with_max_entries(8_192, 0);
/// Failures that have no place in a row. Full: `Loss::Errnos`.
#[map]
pub(crate) static ERRNOS: HashMap<RowErrno, u64> = HashMap::with_max_entries(32_768, 0);

/// Counts of arguments by value. Full: `Loss::Arguments`.
#[map]
pub(crate) static ARGUMENTS: HashMap<ArgumentKey, u64> = HashMap::with_max_entries(8_192, 0);

/// Rows of the files that this CPU met last, by `struct file`.
#[map]
pub(crate) static FILE_CACHE: PerCpuArray<FileCache> =
    PerCpuArray::with_max_entries(FILE_CACHE_ENTRIES, 0);
/// Rows of files. Full: as `FREE_FILE_ROWS`.
#[map]
pub(crate) static FILES: HashMap<FileKey, u32> = HashMap::with_max_entries(65_536, 0);
/// Counts of each file. Row 0 stands for none.
#[map]
pub(crate) static FILE_ROWS: Array<FileRow> = Array::with_max_entries(65_537, 0);
/// Rows not in use. Empty: files share a row of their folder; `Loss::FilesByFolder`.
#[map]
pub(crate) static FREE_FILE_ROWS: Queue<u32> = Queue::with_max_entries(65_536, 0);
/// Rows of folders. Full: the operation is not counted; `Loss::FileRows`.
#[map]
pub(crate) static FOLDERS: HashMap<FileKey, u32> = HashMap::with_max_entries(FOLDER_ROWS, 0);
/// Rows for folders that are not in use.
#[map]
pub(crate) static FREE_FOLDER_ROWS: Queue<u32> = Queue::with_max_entries(FOLDER_ROWS, 0);

/// Rows of peers. Full: peers share a row of their prefix; `Loss::PeersByPrefix`.
#[map]
pub(crate) static PEERS: HashMap<NetworkKey, u32> = HashMap::with_max_entries(16_384, 0);
/// Counts of each peer. Row 0 stands for none.
#[map]
pub(crate) static PEER_ROWS: Array<NetworkRow> = Array::with_max_entries(16_385, 0);
/// Rows not in use.
#[map]
pub(crate) static FREE_PEER_ROWS: Queue<u32> = Queue::with_max_entries(16_384, 0);
/// Rows of prefixes. Full: the operation is not counted; `Loss::NetworkRows`.
#[map]
pub(crate) static PREFIXES: HashMap<NetworkKey, u32> = HashMap::with_max_entries(PREFIX_ROWS, 0);
/// Rows for prefixes that are not in use.
#[map]
pub(crate) static FREE_PREFIX_ROWS: Queue<u32> = Queue::with_max_entries(PREFIX_ROWS, 0);
/// TCP sockets that were connected or accepted, by `struct sock`, until the kernel destroys them: a
/// closed one is still read from. Full: `Loss::Sockets`.
#[map]
pub(crate) static SOCKETS: HashMap<u64, SocketState> = HashMap::with_max_entries(65_536, 0);
/// Row of the last datagram sent by an unconnected socket, by inode number: a hint for datagrams
/// received without an address; `RECEIVES_FIRST` when the first one came in, so that others begin;
/// `YOUNG` when there was none since the target made the socket. Full: the oldest hint goes, such a
/// datagram has no remote end, and a port that the program chose is a server's; `Loss::Hints`.
#[map]
pub(crate) static LAST_SENT: LruHashMap<u64, u32> = LruHashMap::with_max_entries(8_192, 0);
/// Row of the name or port that a socket for datagrams was bound to, by inode number, until it begins itself.
/// Full: the oldest goes, and counts as one that waits for others.
#[map]
pub(crate) static BOUND: LruHashMap<u64, u32> = LruHashMap::with_max_entries(2_048, 0);
/// Ports listened on. Full: connections that were open before the window may be taken for outbound;
/// `Loss::Sockets`.
#[map]
pub(crate) static LISTENERS: HashMap<ListenKey, u32> = HashMap::with_max_entries(8_192, 0);

/// Rows of the names that requests of io_uring under way hold, by `struct io_kiocb`. Full: `Loss::Requests`.
#[map]
pub(crate) static REQUESTS: HashMap<u64, RingNames> = HashMap::with_max_entries(8_192, 0);
/// Executable slot of whoever made a TCP connection, until the kernel destroys its socket. Full: what TLS
/// asks for there is not seen; `Loss::Flows`.
#[map]
pub(crate) static FLOWS: HashMap<FlowKey, u32> = HashMap::with_max_entries(65_536, 0);
/// The program that each tap's own little program calls: one entry, `on_packet`.
#[map]
static TAPS: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Checks of capabilities. Full: `Loss::Capabilities`.
#[map]
pub(crate) static CAPABILITIES: HashMap<CapabilityKey, CapabilityRow> =
    HashMap::with_max_entries(8_192, 0);
/// Rare operations. Full: `Loss::Events`.
#[map]
pub(crate) static EVENTS: HashMap<RareKey, u64> = HashMap::with_max_entries(8_192, 0);

/// First sights, drained by the probe. Full: a `Loss::Ring…`, and the sight is tried again at the next use.
#[map]
pub(crate) static RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);
/// Buffers for records with paths; scratch.rs names them.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(3, 0);
/// Counts of losses, by [`Loss`].
#[map]
pub(crate) static LOST: Array<u64> = Array::with_max_entries(N_LOSSES, 0);

/// Bytes of a record, all of which can be addressed by a masked offset.
pub(crate) const SCRATCH_MASK: usize = 0x3fff;
/// Bytes behind the last masked offset: what one name may take.
pub(crate) const NAME_BYTES: usize = 256;

/// A buffer for one record.
#[repr(C, align(8))]
pub(crate) struct Scratch {
    /// The record; what one masked offset addresses may be longer than a name only for arguments.
    pub(crate) bytes: [u8; SCRATCH_MASK + 1 + 4096],
    /// `struct mount` where a walk goes on.
    pub(crate) mount: u64,
    /// `struct dentry` where a walk goes on.
    pub(crate) dentry: u64,
    /// The task that uses it, where another one may come between.
    pub(crate) owner: u64,
    /// Key of the file that is looked up: too large for the stack of a long chain of calls.
    pub(crate) key: FileKey,
    /// Key of its folder.
    pub(crate) folder: FileKey,
}

/// One offset, as a constant to the verifier.
macro_rules! offset {
    ($member:ident) => {
        $crate::maps::constant(&raw const $crate::maps::OFFSETS.$member)
    };
}
pub(crate) use offset;

/// One fact of the configuration, as a constant to the verifier.
macro_rules! config {
    ($member:ident) => {
        $crate::maps::constant(&raw const $crate::maps::CONFIG.$member)
    };
}
pub(crate) use config;

/// Reads a member of a static; volatile since the compiler does not know who writes it.
#[inline(always)]
pub(crate) fn constant<T: Copy>(member: *const T) -> T {
    // SAFETY: only members of the three statics come here.
    unsafe { core::ptr::read_volatile(member) }
}

/// One member of the state, which user space and other CPUs change at any time.
macro_rules! state {
    ($member:ident) => {
        $crate::maps::constant({
            #[allow(unused_unsafe, reason = "some callers are unsafe themselves")]
            // SAFETY: the static is a map's value.
            unsafe {
                &raw const $crate::maps::STATE.$member
            }
        })
    };
}
pub(crate) use state;

/// The window is open.
#[inline(always)]
pub(crate) fn open() -> bool {
    state!(open) == OPEN
}

/// The window is over: user space reads the records of tasks.
#[inline(always)]
pub(crate) fn closed() -> bool {
    state!(open) == CLOSED
}

/// The value of a key, if the map has it.
#[inline(always)]
pub(crate) fn value<K, V: Copy>(map: &HashMap<K, V>, key: impl Borrow<K>) -> Option<V> {
    // SAFETY: the value is copied out of the map.
    unsafe { map.get(key) }.copied()
}

/// `BPF_NOEXIST`, include/uapi/linux/bpf.h: an entry that is there already stays.
pub(crate) const NOEXIST: u64 = 1;

/// The value of a key, to be added to; made at first sight, by one CPU only. None when the map is full.
#[inline(always)]
pub(crate) fn entry<K, V>(map: &HashMap<K, V>, key: &K, first: V) -> Option<*mut V> {
    if let Some(value) = map.get_ptr_mut(key) {
        return Some(value);
    }
    let _ = map.insert(key, first, NOEXIST);
    map.get_ptr_mut(key)
}

/// [`value`] of a map that forgets the oldest keys.
#[inline(always)]
pub(crate) fn hint<K, V: Copy>(map: &LruHashMap<K, V>, key: impl Borrow<K>) -> Option<V> {
    // SAFETY: as above.
    unsafe { map.get(key) }.copied()
}

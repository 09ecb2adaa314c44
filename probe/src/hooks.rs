//! One table: each hook, what it needs, and what is missing without it. Loading and attaching.

use crate::btf::Btf as Layouts;
use crate::cgroups::Hierarchy;
use crate::unable::Unable;
use crate::{calls, offsets, sys};
use anyhow::{Context as _, Result, anyhow, bail};
use aya::maps::{Array, HashMap as BpfMap, MapData, Queue, RingBuf};
use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSockAddr, FEntry, FExit, Iter, KProbe, Program,
    RawTracePoint,
};
use aya::{Btf, Ebpf, EbpfLoader, RawTracePointRunOptions, TestRun as _, VerifierLogLevel};
use procmon_probe_ebpf::abi::{
    CLOSED, CallKind, Config, DENSE_NUMBERS, FOLDER_ROWS, HeldSocket, IRQ_RESTORE, IRQ_SAVE,
    LatencyRow, ListedTask, MAX_CONTAINERS, MAX_EXES, MAX_TASKS, NO_OFFSET, NOT_OPEN,
    OPEN as WINDOW_OPEN, PREEMPT_DISABLE, PREEMPT_ENABLE, PREFIX_ROWS, RDONLY_CAST, State,
    SyscallRow,
};
use procmon_profile::model::{Abi, Dimension, Hook, HookState, Tier};
use procmon_profile::wire::{FailureCode, Limits, Request};
use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

/// The object of the programs, deflated, built by this crate's build.rs.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/procmon-probe-ebpf.deflate"));

/// A hook that the capture wants: the first alternative that loads and attaches is taken.
pub(crate) struct Wanted {
    /// What each is known by here; the tracepoint's name where there is one.
    pub(crate) id: &'static str,
    /// Needed only where labels follow cgroups.
    pub(crate) cgroup_only: bool,
    /// What can't be told without it, and whether all of it. Empty: it only adds facts.
    pub(crate) without: &'static [(Dimension, bool)],
    /// Best first.
    alternatives: &'static [Alternative],
}

/// One way to a hook.
struct Alternative {
    /// Name of the tracepoint or of the kernel's function.
    name: &'static str,
    /// Number of the function's arguments, return value not counted: with another one it is not the
    /// function that the programs know.
    arguments: u32,
    /// Names of the programs in the object; all are needed.
    programs: &'static [(&'static str, Attach)],
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attach {
    /// Arguments are numbers.
    RawTracepoint,
    /// Arguments have types.
    Tracepoint,
    /// Beside another program at its tracepoint: sees the events for which the kernel skips that one.
    StandIn,
    Entry,
    Exit,
    Kprobe,
    Kretprobe,
    /// At the root of cgroup v2.
    Cgroup,
}

impl Attach {
    fn tier(self) -> Tier {
        match self {
            Self::RawTracepoint | Self::Tracepoint | Self::StandIn | Self::Cgroup => Tier::Base,
            Self::Entry | Self::Exit => Tier::Trampoline,
            Self::Kprobe | Self::Kretprobe => Tier::Kprobe,
        }
    }
}

const ALL_CALLS: &[(Dimension, bool)] = &[
    (Dimension::Syscalls, true),
    (Dimension::Files, true),
    (Dimension::Network, true),
    (Dimension::Dns, true),
    (Dimension::Events, true),
];
const LABELS: &[(Dimension, bool)] = &[
    (Dimension::Processes, false),
    (Dimension::Syscalls, false),
    (Dimension::Files, false),
    (Dimension::Network, false),
    (Dimension::Dns, false),
];
const NETWORK: &[(Dimension, bool)] = &[(Dimension::Network, false)];
const EVENTS: &[(Dimension, bool)] = &[(Dimension::Events, false)];

/// One program at one place.
macro_rules! alternative {
    ($name:expr, $attach:ident, $program:literal) => {
        Alternative {
            name: $name,
            arguments: 0,
            programs: &[($program, Attach::$attach)],
        }
    };
}

/// A hook that there is only one way to.
macro_rules! only {
    ($name:expr, $attach:ident, $program:literal, $without:expr) => {
        only!($name, $attach, $program, $without, false)
    };
    ($name:expr, $attach:ident, $program:literal, $without:expr, $cgroup_only:literal) => {
        Wanted {
            id: $name,
            cgroup_only: $cgroup_only,
            without: $without,
            alternatives: &[alternative!($name, $attach, $program)],
        }
    };
}

/// A hook of the base tier that has types, which needs BTF and nothing else.
macro_rules! base {
    ($name:literal, $program:literal, $($without:tt)+) => {
        only!($name, Tracepoint, $program, $($without)+)
    };
}

/// A function's entry, which adds facts.
macro_rules! entry {
    ($name:literal, $arguments:literal, $fentry:literal, $kprobe:literal) => {
        Wanted {
            id: $name,
            cgroup_only: false,
            without: &[],
            alternatives: &[
                Alternative {
                    name: $name,
                    arguments: $arguments,
                    programs: &[($fentry, Attach::Entry)],
                },
                Alternative {
                    name: $name,
                    arguments: $arguments,
                    programs: &[($kprobe, Attach::Kprobe)],
                },
            ],
        }
    };
}

/// What an opening came to, by the function that this kernel has.
macro_rules! opening {
    ($name:literal, trampoline) => {
        Alternative {
            name: $name,
            arguments: 3,
            programs: &[("f_open", Attach::Exit)],
        }
    };
    ($name:literal, kprobe) => {
        Alternative {
            name: $name,
            arguments: 3,
            programs: &[
                ("k_open", Attach::Kprobe),
                ("k_open_return", Attach::Kretprobe),
            ],
        }
    };
}

/// The hooks that count system calls: without them there is no capture.
const SYS_ENTER: &str = "sys_enter";
const SYS_EXIT: &str = "sys_exit";
/// The hooks that tell where datagrams go.
pub(crate) const SENDMSG4: &str = "sendmsg4";
pub(crate) const SENDMSG6: &str = "sendmsg6";
/// The hook that tells capabilities.
pub(crate) const CAPABLE: &str = "cap_capable";
/// The hook that tells names of openings that failed.
pub(crate) const OPEN: &str = "do_filp_open";
/// The hook that sees requests of io_uring begin.
pub(crate) const RING_SUBMIT: &str = "io_uring_submit_req";
/// The hook that tells what they came to.
pub(crate) const RING_COMPLETE: &str = "io_uring_complete";
/// The hook that tells names of loaded modules.
pub(crate) const MODULE_LOAD: &str = "module_load";

/// Every hook.
pub(crate) const WANTED: &[Wanted] = &[
    only!(SYS_ENTER, RawTracepoint, "on_sys_enter", ALL_CALLS),
    only!(SYS_EXIT, RawTracepoint, "on_sys_exit", ALL_CALLS),
    base!("task_newtask", "on_task_newtask", LABELS),
    base!("sched_process_exec", "on_sched_process_exec", LABELS),
    base!("sched_process_exit", "on_sched_process_exit", LABELS),
    base!("sched_process_free", "on_sched_process_free", &[]),
    base!("cgroup_attach_task", "on_cgroup_attach_task", LABELS, true),
    base!("cgroup_mkdir", "on_cgroup_mkdir", LABELS, true),
    Wanted {
        id: "inet_sock_set_state",
        cgroup_only: false,
        without: NETWORK,
        alternatives: &[Alternative {
            name: "inet_sock_set_state",
            arguments: 0,
            programs: &[
                ("on_inet_sock_set_state", Attach::Tracepoint),
                ("on_inet_sock_set_state_too", Attach::StandIn),
            ],
        }],
    },
    base!("tcp_destroy_sock", "on_tcp_destroy_sock", NETWORK),
    Wanted {
        id: RING_SUBMIT,
        cgroup_only: false,
        without: &[],
        alternatives: &[
            alternative!("io_uring_submit_req", Tracepoint, "on_io_uring_submit"),
            alternative!("io_uring_submit_sqe", Tracepoint, "on_io_uring_submit"),
        ],
    },
    only!(RING_COMPLETE, Tracepoint, "on_io_uring_complete", &[]),
    only!(SENDMSG4, Cgroup, "on_sendmsg4", &[]),
    only!(SENDMSG6, Cgroup, "on_sendmsg6", &[]),
    base!("signal_generate", "on_signal_generate", EVENTS),
    base!("module_load", "on_module_load", &[]),
    Wanted {
        id: CAPABLE,
        cgroup_only: false,
        without: &[(Dimension::Capabilities, true)],
        alternatives: &[
            Alternative {
                name: "security_capable",
                arguments: 4,
                programs: &[("f_capable", Attach::Exit)],
            },
            Alternative {
                name: "security_capable",
                arguments: 4,
                programs: &[
                    ("k_capable", Attach::Kprobe),
                    ("k_capable_return", Attach::Kretprobe),
                ],
            },
            alternative!("cap_capable", Tracepoint, "on_cap_capable"),
        ],
    },
    Wanted {
        id: OPEN,
        cgroup_only: false,
        without: &[],
        alternatives: &[
            opening!("do_filp_open", trampoline),
            opening!("do_file_open", trampoline),
            opening!("do_filp_open", kprobe),
            opening!("do_file_open", kprobe),
        ],
    },
    entry!("security_path_unlink", 2, "f_unlink", "k_unlink"),
    entry!("security_path_rmdir", 2, "f_rmdir", "k_rmdir"),
    entry!("security_path_mkdir", 3, "f_mkdir", "k_mkdir"),
    entry!("security_path_mknod", 4, "f_mknod", "k_mknod"),
    entry!("security_path_symlink", 3, "f_symlink", "k_symlink"),
    entry!("security_path_link", 3, "f_link", "k_link"),
    entry!("security_path_rename", 5, "f_rename", "k_rename"),
    entry!("security_path_truncate", 1, "f_truncate", "k_truncate"),
    entry!("security_path_chmod", 2, "f_chmod", "k_chmod"),
    entry!("security_path_chown", 3, "f_chown", "k_chown"),
    entry!(
        "security_kernel_module_request",
        1,
        "f_module_request",
        "k_module_request"
    ),
];
/// The socket filter, which stands in network namespaces, not at a hook of the kernel.
static WIRE: Wanted = Wanted {
    id: crate::wire::HOOK,
    cgroup_only: false,
    without: &[(Dimension::Dns, true)],
    alternatives: &[],
};
const SCAN: &str = "scan_tasks";
const SCAN_FILES: &str = "scan_files";
const SETTLE: &str = "settle_task";
/// Bytes read of an iterator at once.
const ITERATED_BYTES: usize = 64 << 10;
/// Most bytes of the rows of system calls, on all CPUs together.
const PER_CPU_BYTES: usize = 16 << 20;
/// The kernel function that `RDONLY_CAST` stands for.
const RDONLY_CAST_NAME: &str = "bpf_rdonly_cast";
/// Those by which programs keep their CPU, and what stands for each.
const HOLDING: [(&str, u32); 4] = [
    ("bpf_preempt_disable", PREEMPT_DISABLE),
    ("bpf_preempt_enable", PREEMPT_ENABLE),
    ("bpf_local_irq_save", IRQ_SAVE),
    ("bpf_local_irq_restore", IRQ_RESTORE),
];

/// The loaded programs.
pub(crate) struct Capture {
    pub(crate) ebpf: Ebpf,
    /// First sights; mapped once, since that is dear.
    pub(crate) ring: RingBuf<MapData>,
    /// Every wanted hook.
    pub(crate) hooks: Vec<Placed>,
    /// What keeps kprobes attached.
    _kprobes: Vec<OwnedFd>,
    /// Sizes in use.
    pub(crate) limits: Limits,
    /// How long system calls take is measured.
    pub(crate) latency: bool,
    /// Numbers that CPUs may have.
    pub(crate) cpus: u32,
    /// Programs on tracepoints may be preempted.
    pub(crate) preemptible: bool,
}

/// A wanted hook and what came of it.
pub(crate) struct Placed {
    pub(crate) wanted: &'static Wanted,
    /// Where it is attached, with its state.
    pub(crate) hook: Hook,
    /// The alternative in use.
    used: Option<&'static Alternative>,
}

impl Placed {
    /// A hook as if it had been tried.
    #[cfg(test)]
    pub(crate) fn of(id: &str, tier: Tier, state: HookState, missed: Option<u64>) -> Self {
        let wanted = WANTED.iter().find(|wanted| wanted.id == id);
        let wanted = wanted.expect("a hook of this id is wanted");
        Self {
            wanted,
            hook: Hook {
                name: id.into(),
                tier,
                state,
                missed,
                reason: None,
            },
            used: wanted.alternatives.first(),
        }
    }

    /// It is attached.
    pub(crate) fn is_there(&self) -> bool {
        self.hook.state != HookState::Missing
    }

    /// Runs that nobody made up for, from those that the kernel skipped of each program (none: it does not
    /// say). `preemptible`: other tasks of a CPU may come in the middle of a program.
    pub(crate) fn missed(&self, skipped: &[Option<u64>], preemptible: bool) -> Option<u64> {
        let mut skipped = skipped.iter().copied().flatten().peekable();
        skipped.peek()?;
        let has_stand_in = self
            .used?
            .programs
            .iter()
            .any(|(_, kind)| *kind == Attach::StandIn);
        if !has_stand_in {
            Some(skipped.sum())
        } else if preemptible {
            skipped.min()
        } else {
            // In the middle of a program come packets, in the middle of a packet comes no other one: of two
            // programs one sees each event.
            Some(0)
        }
    }
}

/// One of the hooks.
pub(crate) fn find<'a>(hooks: &'a [Placed], id: &str) -> Option<&'a Placed> {
    hooks.iter().find(|placed| placed.wanted.id == id)
}

/// Loads and attaches. A hook that fails leaves the rest working.
pub(crate) fn load(
    hierarchy: Hierarchy,
    tree: bool,
    arch: &str,
    request: &Request,
) -> Result<Capture, Unable> {
    let mut limits = request.limits.clone();
    let cpus = possible_cpus();
    limits.tasks = limits.tasks.min(MAX_TASKS);
    limits.syscall_rows = rows_of_calls(limits.syscall_rows, request.latency, cpus);
    let pid_namespace = crate::node::pid_namespace()?;
    let (offsets, config, functions) = layouts(
        hierarchy,
        tree,
        request.latency,
        limits.syscall_rows,
        arch,
        pid_namespace,
    )
    .map_err(|error| Unable {
        code: FailureCode::NoBtf,
        error,
    })?;
    let btf = Btf::from_sys_fs()
        .context("cannot parse /sys/kernel/btf/vmlinux")
        .map_err(|error| Unable {
            code: FailureCode::NoBtf,
            error,
        })?;
    let log = if request.verbose {
        VerifierLogLevel::STATS
    } else {
        VerifierLogLevel::DISABLE
    };
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(&btf))
        .verifier_log_level(log)
        .override_global("OFFSETS", &offsets, true)
        .override_global("CONFIG", &config, true)
        .map_max_entries("RING", limits.ring_bytes);
    set_sizes(&mut loader, request, &limits, cpus);
    let mut object = miniz_oxide::inflate::decompress_to_vec(OBJECT)
        .map_err(|error| anyhow!("the probe's eBPF object is damaged: {error}"))?;
    name_functions(&mut object, &config, &functions);
    let mut ebpf = loader.load(&object).map_err(|error| {
        let error = anyhow::Error::from(error);
        let code = if is_forbidden(&error) {
            FailureCode::BpfForbidden
        } else {
            FailureCode::Other
        };
        Unable {
            code,
            error: error.context("cannot create the eBPF maps"),
        }
    })?;
    let mut placing = Placing {
        ebpf: &mut ebpf,
        btf: &btf,
        functions: &functions,
        names_requests: offsets.req_cqe != NO_OFFSET,
        best: limits.tier.unwrap_or(Tier::Trampoline),
        refused: Vec::new(),
        kprobe_pmu: sys::kprobe_pmu(),
        kprobes: Vec::new(),
    };
    let mut hooks = placing.all(tree)?;
    let kprobes = placing.kprobes;
    hooks.push(Placed {
        wanted: &WIRE,
        hook: crate::wire::load(&mut ebpf),
        used: None,
    });
    let ring = ebpf.take_map("RING").context("no map RING")?;
    let mut capture = Capture {
        ebpf,
        ring: RingBuf::try_from(ring).context("cannot map the ring buffer")?,
        hooks,
        _kprobes: kprobes,
        limits,
        latency: request.latency,
        cpus,
        preemptible: config.preemptible != 0,
    };
    capture.fill(arch)?;
    Ok(capture)
}

/// How many entries each map has.
fn set_sizes<'a>(loader: &mut EbpfLoader<'a>, request: &'a Request, limits: &Limits, cpus: u32) {
    for (maps, entries) in [
        (&["TASKS", "FREE_TASKS"][..], limits.tasks),
        (&["DESTINATIONS"], limits.tasks + 1),
        (&["SYSCALL_KEYS", "FREE_SYSCALL_ROWS"], limits.syscall_rows),
        (&["SYSCALL_ROWS"], limits.syscall_rows * cpus),
        (&["FILES", "FILE_ROWS", "FREE_FILE_ROWS"], limits.file_rows),
        (
            &["PEERS", "PEER_ROWS", "FREE_PEER_ROWS"],
            limits.network_rows,
        ),
    ] {
        for map in maps {
            loader.map_max_entries(map, entries);
        }
    }
    if request.latency {
        loader.map_max_entries("LATENCIES", limits.syscall_rows);
    }
    for (map, entries) in &request.limits.entries {
        loader.map_max_entries(map, *entries);
    }
}

/// Names the functions of this kernel that the programs call.
fn name_functions(object: &mut [u8], config: &Config, functions: &Functions) {
    let casts = [(RDONLY_CAST_NAME, RDONLY_CAST)].into_iter();
    let wanted = casts
        .filter(|_| config.direct != 0)
        .chain(HOLDING.into_iter().filter(|_| config.holds_cpu != 0));
    for (name, placeholder) in wanted {
        if let Some((function, _)) = functions.get(name) {
            name_function(object, placeholder, *function);
        }
    }
}

/// Puts the number of a kernel function where the object has a placeholder for it. Where the kernel
/// lacks it, the calls are in branches that the verifier removes.
fn name_function(object: &mut [u8], placeholder: u32, function: u32) {
    // struct bpf_insn: BPF_JMP | BPF_CALL, registers, offset; then the number.
    let mut call = [0x85, 0, 0, 0, 0, 0, 0, 0];
    call[4..].copy_from_slice(&placeholder.to_le_bytes());
    for instruction in object.chunks_exact_mut(8) {
        if instruction == call {
            // BPF_PSEUDO_KFUNC_CALL as the source register.
            instruction[1] = 0x20;
            instruction[4..].copy_from_slice(&function.to_le_bytes());
        }
    }
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.raw_os_error() == Some(libc::EPERM))
    })
}

/// Rows of system calls that fit: there is one of each for every CPU that the machine may ever have.
fn rows_of_calls(wanted: u32, latency: bool, cpus: u32) -> u32 {
    let each = if latency {
        size_of::<SyscallRow>() + size_of::<LatencyRow>()
    } else {
        size_of::<SyscallRow>()
    };
    let fitting = PER_CPU_BYTES / (each * cpus as usize);
    // A dense table holds row numbers plus 1 in 16 bits.
    wanted
        .min(u32::try_from(fitting).unwrap_or(u32::MAX))
        .clamp(256, 65_534)
}

/// Numbers that CPUs may have: one more than the highest.
fn possible_cpus() -> u32 {
    std::fs::read_to_string("/sys/devices/system/cpu/possible")
        .ok()
        .and_then(|text| {
            let last = text.trim().rsplit([',', '-']).next()?;
            last.parse::<u32>().ok()
        })
        .map_or(1, |highest| highest + 1)
}

/// Offsets and facts that the programs need before they are loaded.
fn layouts(
    hierarchy: Hierarchy,
    tree: bool,
    latency: bool,
    syscall_rows: u32,
    arch: &str,
    pid_namespace: u32,
) -> Result<(procmon_probe_ebpf::abi::Offsets, Config, Functions)> {
    let mut bytes = Vec::new();
    std::fs::File::open("/sys/kernel/btf/vmlinux")
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .context("cannot read /sys/kernel/btf/vmlinux")?;
    let layouts = Layouts::parse(bytes).context("cannot parse /sys/kernel/btf/vmlinux")?;
    let (offsets, lacking) = offsets::find(&layouts, arch);
    if !lacking.is_empty() {
        bail!("this kernel's BTF lacks {}", lacking.join(", "));
    }
    let cgroup_subsys = match hierarchy {
        Hierarchy::Unified => NO_OFFSET,
        Hierarchy::Controller { name, .. } => layouts
            .constant(&format!("{name}_cgrp_id"))
            .with_context(|| format!("this kernel's BTF lacks the {name} cgroup controller"))?,
    };
    let names = WANTED
        .iter()
        .flat_map(|wanted| wanted.alternatives)
        .map(|alternative| alternative.name)
        .chain([RDONLY_CAST_NAME])
        .chain(HOLDING.map(|(name, _)| name));
    let functions = layouts.functions(names);
    let is_preemptible = is_preemptible(&sys::uname().0);
    let config = Config {
        typed_task: u32::from(layouts.constant("BPF_FUNC_get_current_task_btf").is_some()),
        arch: if arch == "amd64" { 1 } else { 2 },
        cgroup_subsys,
        cgroup_hierarchy: match hierarchy {
            Hierarchy::Unified => 0,
            Hierarchy::Controller { number, .. } => number,
        },
        tree: u32::from(tree),
        preemptible: u32::from(is_preemptible),
        holds_cpu: u32::from(
            is_preemptible && HOLDING.iter().all(|(name, _)| functions.contains_key(name)),
        ),
        latency: u32::from(latency),
        tick_ns: sys::tick_ns(),
        pid_namespace,
        syscall_rows,
        direct: u32::from(
            functions
                .get(RDONLY_CAST_NAME)
                .is_some_and(|(cast, _)| sys::may_cast_any_address(*cast)),
        ),
    };
    Ok((offsets, config, functions))
}

/// Programs on tracepoints may be preempted: since 6.19, which nothing in the BTF shows.
fn is_preemptible(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0_u32));
    (numbers.next(), numbers.next()) >= (Some(6), Some(19))
}

/// Functions of the kernel that hooks or programs name: their ids, and the numbers of their arguments.
type Functions = HashMap<&'static str, (u32, u32)>;

/// Loads and attaches what is wanted.
struct Placing<'a> {
    ebpf: &'a mut Ebpf,
    btf: &'a Btf,
    functions: &'a Functions,
    /// Requests of io_uring that complete are known by their address: since 5.19.
    names_requests: bool,
    /// No better tier than this is tried.
    best: Tier,
    /// Tiers that this kernel forbids: the rest of their programs would only cost time.
    refused: Vec<Tier>,
    /// Number of the PMU that attaches kprobes.
    kprobe_pmu: Option<u32>,
    kprobes: Vec<OwnedFd>,
}

impl Placing<'_> {
    fn all(&mut self, tree: bool) -> Result<Vec<Placed>, Unable> {
        let mut hooks = Vec::new();
        let mut refused = None;
        for wanted in WANTED.iter().filter(|wanted| !(tree && wanted.cgroup_only)) {
            hooks.push(self.first(wanted, &mut refused));
        }
        if let Some(error) = refused
            && !hooks.iter().any(Placed::is_there)
        {
            return Err(Unable {
                code: FailureCode::BpfForbidden,
                error: error.context("cannot load any eBPF program"),
            });
        }
        let counts_calls = |placed: &&Placed| matches!(placed.wanted.id, SYS_ENTER | SYS_EXIT);
        let mut needed = hooks.iter().filter(counts_calls);
        if let Some(missing) = needed.find(|placed| !placed.is_there()) {
            let reason = missing.hook.reason.clone().unwrap_or_default();
            return Err(Unable {
                code: FailureCode::Other,
                error: anyhow!(reason).context("cannot count system calls on this kernel"),
            });
        }
        for (program, over) in [(SCAN, "task"), (SCAN_FILES, "task_file")] {
            let scan: &mut Iter = self
                .ebpf
                .program_mut(program)
                .with_context(|| format!("the object lacks the iterator `{program}`"))?
                .try_into()?;
            scan.load(over, self.btf)
                .with_context(|| format!("cannot load the iterator of each {over}"))?;
        }
        let settle: &mut RawTracePoint = self
            .ebpf
            .program_mut(SETTLE)
            .context("the object lacks what settles counts")?
            .try_into()?;
        settle.load().context("cannot load what settles counts")?;
        Ok(hooks)
    }

    /// The first alternative that works. What forbids the base tier is kept.
    fn first(&mut self, wanted: &'static Wanted, forbidden: &mut Option<anyhow::Error>) -> Placed {
        let mut reasons: Vec<String> = Vec::new();
        for alternative in wanted.alternatives {
            let reason = match self.try_one(alternative) {
                Ok(()) => {
                    return Placed {
                        wanted,
                        hook: Hook {
                            name: alternative.name.to_owned().into(),
                            tier: alternative.programs[0].1.tier(),
                            state: HookState::Attached,
                            missed: None,
                            reason: None,
                        },
                        used: Some(alternative),
                    };
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    if is_forbidden(&error) {
                        match alternative.programs[0].1.tier() {
                            Tier::Base => *forbidden = Some(error),
                            tier => self.refused.push(tier),
                        }
                    }
                    text
                }
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        Placed {
            wanted,
            hook: Hook {
                name: wanted.alternatives[0].name.to_owned().into(),
                tier: wanted.alternatives[0].programs[0].1.tier(),
                state: HookState::Missing,
                missed: None,
                reason: Some(reasons.join("; ").into()),
            },
            used: None,
        }
    }

    fn try_one(&mut self, alternative: &Alternative) -> Result<()> {
        let name = alternative.name;
        let tier = alternative.programs[0].1.tier();
        if name.starts_with("io_uring_") && !self.names_requests {
            bail!("this kernel does not tell which request it speaks of");
        }
        if rank(tier) < rank(self.best) {
            bail!("the request wants no better tier than {}", self.best);
        }
        if self.refused.contains(&tier) {
            bail!("this kernel does not permit a {tier}");
        }
        if tier == Tier::Kprobe && self.kprobe_pmu.is_none() {
            bail!("this kernel has no kprobes");
        }
        if tier != Tier::Base {
            match self.functions.get(name) {
                None => bail!("this kernel has no function `{name}`"),
                Some((_, arguments)) if *arguments != alternative.arguments => bail!(
                    "`{name}` takes {arguments} arguments on this kernel, not {}",
                    alternative.arguments
                ),
                Some(_) => {}
            }
        }
        let mut kprobes = Vec::new();
        for (program, kind) in alternative.programs {
            if let Some(kprobe) = self.attach(program, name, *kind)? {
                kprobes.push(kprobe);
            }
        }
        self.kprobes.append(&mut kprobes);
        Ok(())
    }

    /// Loads and attaches one program; what holds it, when nothing else does.
    fn attach(&mut self, program: &str, name: &str, kind: Attach) -> Result<Option<OwnedFd>> {
        let loading = || format!("cannot load `{name}` ({})", kind.tier());
        let attaching = || format!("cannot attach `{name}` ({})", kind.tier());
        let program = self
            .ebpf
            .program_mut(program)
            .with_context(|| format!("the object lacks `{program}`"))?;
        match kind {
            Attach::RawTracepoint => {
                let program: &mut RawTracePoint = program.try_into()?;
                program.load().with_context(loading)?;
                program.attach(name).with_context(attaching)?;
            }
            Attach::Tracepoint | Attach::StandIn => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(name, self.btf).with_context(loading)?;
                program.attach().with_context(attaching)?;
            }
            Attach::Cgroup => {
                let program: &mut CgroupSockAddr = program.try_into()?;
                program.load().with_context(loading)?;
                let root = crate::cgroups::root()?;
                // A link stands beside those of others, and goes with us.
                program
                    .attach(root, CgroupAttachMode::Single)
                    .with_context(attaching)?;
            }
            Attach::Entry => {
                let program: &mut FEntry = program.try_into()?;
                program.load(name, self.btf).with_context(loading)?;
                program.attach().with_context(attaching)?;
            }
            Attach::Exit => {
                let program: &mut FExit = program.try_into()?;
                program.load(name, self.btf).with_context(loading)?;
                program.attach().with_context(attaching)?;
            }
            Attach::Kprobe | Attach::Kretprobe => {
                let program: &mut KProbe = program.try_into()?;
                program.load().with_context(loading)?;
                let pmu = self.kprobe_pmu.unwrap_or(0);
                let fd = program.fd()?.as_fd().as_raw_fd();
                return sys::attach_kprobe(pmu, fd, name, kind == Attach::Kretprobe)
                    .map(Some)
                    .with_context(attaching);
            }
        }
        Ok(None)
    }
}

/// Best first.
fn rank(tier: Tier) -> u8 {
    match tier {
        Tier::Trampoline => 0,
        Tier::Kprobe => 1,
        Tier::Base => 2,
    }
}

impl Capture {
    /// Fills the tables that the programs only read, and the pools that they take numbers from.
    fn fill(&mut self, arch: &str) -> Result<()> {
        let (native, compat) = if arch == "amd64" {
            (Abi::X86_64, Abi::I386)
        } else {
            (Abi::Aarch64, Abi::Arm)
        };
        let mut table: Array<_, u64> = self
            .ebpf
            .map_mut("CALLS")
            .context("no map CALLS")?
            .try_into()?;
        for (base, abi) in [(0, native), (DENSE_NUMBERS, compat)] {
            for (number, kind) in calls::table(abi).into_iter().enumerate() {
                if kind != CallKind::default() {
                    table.set(u32::try_from(base + number)?, kind.to_word(), 0)?;
                }
            }
        }
        // Slot 0 is no task's, row 0 no call's; slot 0 of executables is for those that found none, slot 0 of
        // containers is the sentinel's.
        self.fill_pool("FREE_TASKS", 1, self.limits.tasks + 1)?;
        self.fill_pool("FREE_EXES", 1, MAX_EXES)?;
        self.fill_pool("FREE_CONTAINERS", 1, MAX_CONTAINERS)?;
        self.fill_pool("FREE_SYSCALL_ROWS", 1, self.limits.syscall_rows)?;
        let files = self.limits.file_rows - FOLDER_ROWS.min(self.limits.file_rows / 2);
        self.fill_pool("FREE_FILE_ROWS", 0, files)?;
        self.fill_pool("FREE_FOLDER_ROWS", files, self.limits.file_rows)?;
        let peers = self.limits.network_rows - PREFIX_ROWS.min(self.limits.network_rows / 2);
        self.fill_pool("FREE_PEER_ROWS", 0, peers)?;
        self.fill_pool("FREE_PREFIX_ROWS", peers, self.limits.network_rows)
    }

    fn fill_pool(&mut self, name: &str, from: u32, to: u32) -> Result<()> {
        let to = self
            .limits
            .entries
            .get(name)
            .map_or(to, |entries| to.min(from + entries));
        let map = self
            .ebpf
            .map_mut(name)
            .with_context(|| format!("no map {name}"))?;
        let mut pool: Queue<&mut MapData, u32> = map.try_into()?;
        for number in from..to {
            pool.push(number, 0)
                .with_context(|| format!("cannot fill {name}"))?;
        }
        Ok(())
    }

    /// Begins to count.
    pub(crate) fn open(&mut self) -> Result<()> {
        self.set_state(|state| state.open = WINDOW_OPEN)
    }

    /// Ends counting, and waits for the programs that still run. Records and labels of tasks stay as they
    /// are from then on.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.end(CLOSED)
    }

    /// Ends counting; labels go on.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.end(NOT_OPEN)
    }

    fn end(&mut self, state: u32) -> Result<()> {
        self.set_state(|all| all.open = state)?;
        sys::barrier();
        // Whoever saw one half of the change only has kept nothing that is still good.
        self.set_state(|_| {})
    }

    /// What the programs share.
    pub(crate) fn state(&self) -> Result<State> {
        let map: Array<_, State> = self.ebpf.map(".bss").context("no map .bss")?.try_into()?;
        Ok(map.get(&0, 0)?)
    }

    /// Changes the switch.
    pub(crate) fn set_state(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut map: Array<_, State> = self
            .ebpf
            .map_mut(".bss")
            .context("no map .bss")?
            .try_into()?;
        let mut state = map.get(&0, 0)?;
        change(&mut state);
        // A program may have counted up meanwhile: leap ahead, since it must never go back.
        state.epoch += 1 << 32;
        map.set(0, state, 0)?;
        Ok(())
    }

    /// Runs the task iterator once; what it writes.
    pub(crate) fn scan(&mut self, mode: u32) -> Result<Vec<u8>> {
        self.set_state(|state| state.scan = mode)?;
        let mut all = Vec::new();
        self.iterate(SCAN, u64::MAX, size_of::<ListedTask>(), |task| {
            all.extend_from_slice(task);
        })?;
        Ok(all)
    }

    /// Runs the iterator of descriptors once, until a time of the monotonic clock; `each` gets what it writes, of the
    /// size of a `HeldSocket`. False: it did not come to the end.
    pub(crate) fn list_files(&mut self, end_ns: u64, each: impl FnMut(&[u8])) -> Result<bool> {
        self.iterate(SCAN_FILES, end_ns, size_of::<HeldSocket>(), each)
    }

    fn iterate(
        &mut self,
        program: &str,
        end_ns: u64,
        size: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<bool> {
        let reading = || format!("cannot read the iterator `{program}`");
        let iterator: &mut Iter = self
            .ebpf
            .program_mut(program)
            .with_context(|| format!("no iterator `{program}`"))?
            .try_into()?;
        let id = iterator
            .attach()
            .with_context(|| format!("cannot attach the iterator `{program}`"))?;
        let mut file = iterator.take_link(id)?.into_file()?;
        let mut bytes = vec![0; ITERATED_BYTES];
        let mut rest = 0;
        while sys::monotonic_ns() < end_ns {
            match file.read(&mut bytes[rest..]) {
                Ok(0) => return Ok(true),
                Ok(count) => {
                    let records = bytes[..rest + count].chunks_exact(size);
                    let whole = rest + count - records.remainder().len();
                    records.for_each(&mut each);
                    bytes.copy_within(whole..rest + count, 0);
                    rest = rest + count - whole;
                }
                // The kernel comes back now and then from a long way without anything to write.
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error).with_context(reading),
            }
        }
        Ok(false)
    }

    /// Slots of the tasks that have a label now.
    pub(crate) fn task_slots(&self) -> Result<BTreeSet<u32>> {
        let tasks: BpfMap<_, u64, u32> =
            self.ebpf.map("TASKS").context("no map TASKS")?.try_into()?;
        Ok(tasks
            .iter()
            .filter_map(Result::ok)
            .map(|(_, slot)| slot)
            .collect())
    }

    /// Once the window is over: puts into rows what records of tasks hold.
    pub(crate) fn settle(&self) -> Result<()> {
        for slot in self.task_slots()? {
            self.held_by(slot)?;
        }
        Ok(())
    }

    /// Calls that the record of a task holds and no row has counted, their low 32 bits. Counts them when the
    /// window is over.
    pub(crate) fn held_by(&self, slot: u32) -> Result<u32> {
        let Some(Program::RawTracePoint(settle)) = self.ebpf.program(SETTLE) else {
            bail!("the object lacks what settles counts");
        };
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = u64::from(slot);
        let ran = settle
            .test_run(options)
            .context("cannot run the program that settles counts")?;
        Ok(ran.return_value)
    }

    /// Every program in use, with its hook's id.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&'static str, &Program)> {
        self.hooks.iter().flat_map(|placed| {
            placed
                .used
                .iter()
                .flat_map(|used| used.programs)
                .filter_map(|(program, _)| Some((placed.wanted.id, self.ebpf.program(program)?)))
        })
    }

    /// What came of one hook.
    pub(crate) fn placed_mut(&mut self, id: &str) -> Option<&mut Placed> {
        self.hooks.iter_mut().find(|placed| placed.wanted.id == id)
    }

    /// What came of one hook.
    pub(crate) fn placed(&self, id: &str) -> Option<&Placed> {
        find(&self.hooks, id)
    }

    /// The best tier in use.
    pub(crate) fn tier(&self) -> Tier {
        self.hooks
            .iter()
            .filter(|placed| placed.is_there())
            .map(|placed| placed.hook.tier)
            .min_by_key(|tier| rank(*tier))
            .unwrap_or(Tier::Base)
    }

    /// Every hook, for the document.
    pub(crate) fn document_hooks(&self) -> Vec<Hook> {
        self.hooks
            .iter()
            .map(|placed| placed.hook.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Placed, is_preemptible};
    use procmon_profile::model::{HookState, Tier};

    #[test]
    fn a_stand_in_sees_what_the_other_was_skipped_for() {
        let missed = |id: &str, skipped: &[Option<u64>], preemptible| {
            let placed = Placed::of(id, Tier::Base, HookState::Attached, None);
            placed.missed(skipped, preemptible)
        };
        let alone = "tcp_destroy_sock";
        assert_eq!(missed(alone, &[Some(3)], false), Some(3));
        assert_eq!(missed(alone, &[None], false), None);
        let with_stand_in = "inet_sock_set_state";
        assert_eq!(missed(with_stand_in, &[Some(3), Some(1)], false), Some(0));
        assert_eq!(missed(with_stand_in, &[Some(3), Some(1)], true), Some(1));
        assert_eq!(missed(with_stand_in, &[None, None], true), None);
    }

    #[test]
    fn newer_kernels_may_preempt_programs() {
        for (release, expected) in [
            ("5.10.0-33-cloud-amd64", false),
            ("6.18.3", false),
            ("6.19.0-rc1", true),
            ("7.3.2+deb13-amd64", true),
        ] {
            assert_eq!(is_preemptible(release), expected, "{release}");
        }
    }
}

//! The loader: sizes, layouts and tables before the programs are loaded, then each hook by the first
//! alternative that works.

use crate::btf::Btf as Layouts;
use crate::capture::{Capture, SCAN, SCAN_FILES, SETTLE};
use crate::cgroups::Hierarchy;
use crate::hooks::{self, Alternative, Attach, Placed, SYS_ENTER, SYS_EXIT, WANTED, Wanted, rank};
use crate::unable::Unable;
use crate::{offsets, sys};
use anyhow::{Context as _, Result, anyhow, bail};
use aya::maps::RingBuf;
use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSockAddr, FEntry, FExit, Iter, KProbe, RawTracePoint,
};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};
use lzma_rust2::LzmaReader;
use procmon_probe_ebpf::abi::{
    Config, IRQ_RESTORE, IRQ_SAVE, LatencyRow, MAX_TASKS, NO_OFFSET, PREEMPT_DISABLE,
    PREEMPT_ENABLE, RDONLY_CAST, SyscallRow,
};
use procmon_profile::model::{Hook, HookState, Tier};
use procmon_profile::wire::{FailureCode, Limits, Request};
use std::collections::HashMap;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

/// The object of the programs, an .lzma file, built by this crate's build.rs.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/procmon-probe-ebpf.lzma"));
/// Most bytes of the rows of system calls, on all CPUs together.
const PER_CPU_BYTES: usize = 16 << 20;
/// The kernel function that `RDONLY_CAST` stands for.
const RDONLY_CAST_NAME: &str = "bpf_rdonly_cast";
/// The kernel functions by which programs keep their CPU, and the placeholder of each.
const HOLDING: [(&str, u32); 4] = [
    ("bpf_preempt_disable", PREEMPT_DISABLE),
    ("bpf_preempt_enable", PREEMPT_ENABLE),
    ("bpf_local_irq_save", IRQ_SAVE),
    ("bpf_local_irq_restore", IRQ_RESTORE),
];

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
    let mut object = Vec::new();
    LzmaReader::new_mem_limit(OBJECT, u32::MAX, None)
        .and_then(|mut reader| reader.read_to_end(&mut object))
        .context("the probe's eBPF object is damaged")?;
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
        wanted: &hooks::PACKETS,
        hook: crate::packets::load(&mut ebpf),
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
        (&["FILES", "FREE_FILE_ROWS"], limits.file_rows),
        (&["FILE_ROWS"], limits.file_rows + 1),
        (&["PEERS", "FREE_PEER_ROWS"], limits.network_rows),
        (&["PEER_ROWS"], limits.network_rows + 1),
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

#[cfg(test)]
mod tests {
    use super::is_preemptible;

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

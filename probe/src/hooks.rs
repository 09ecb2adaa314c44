//! One table: each hook, what it needs, and what is missing without it. Loading and attaching.

use crate::btf::Btf as Layouts;
use crate::{calls, offsets, sys};
use anyhow::{Context as _, Result, anyhow, bail};
use aya::maps::{Array, MapData, Queue};
use aya::programs::{BtfTracePoint, Iter, Program};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};
use procmon_probe_ebpf::abi::{
    CallKind, Config, DENSE_NUMBERS, MAX_CONTAINERS, MAX_EXES, NO_OFFSET, State,
};
use procmon_profile::model::{Abi, Dimension, Hook, HookState, Tier};
use procmon_profile::wire::Limits;
use std::io::Read as _;

/// The object of the programs, deflated, built by this crate's build.rs.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/procmon-probe-ebpf.deflate"));

/// A hook that the capture wants.
pub(crate) struct Wanted {
    /// Name of the program in the object.
    pub(crate) program: &'static str,
    /// Name of the tracepoint.
    pub(crate) name: &'static str,
    /// Needed only where labels follow cgroups.
    pub(crate) cgroup_only: bool,
    /// What can't be told without it, and whether all of it.
    pub(crate) without: &'static [(Dimension, bool)],
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

/// Every hook. All are of the base tier: typed tracepoints, which need BTF and nothing else.
pub(crate) const WANTED: &[Wanted] = &[
    Wanted {
        program: "on_sys_enter",
        name: "sys_enter",
        cgroup_only: false,
        without: ALL_CALLS,
    },
    Wanted {
        program: "on_sys_exit",
        name: "sys_exit",
        cgroup_only: false,
        without: ALL_CALLS,
    },
    Wanted {
        program: "on_task_newtask",
        name: "task_newtask",
        cgroup_only: false,
        without: LABELS,
    },
    Wanted {
        program: "on_sched_process_exec",
        name: "sched_process_exec",
        cgroup_only: false,
        without: LABELS,
    },
    Wanted {
        program: "on_sched_process_exit",
        name: "sched_process_exit",
        cgroup_only: false,
        without: &[(Dimension::Processes, false)],
    },
    Wanted {
        program: "on_sched_process_free",
        name: "sched_process_free",
        cgroup_only: false,
        without: &[],
    },
    Wanted {
        program: "on_cgroup_attach_task",
        name: "cgroup_attach_task",
        cgroup_only: true,
        without: LABELS,
    },
    Wanted {
        program: "on_cgroup_mkdir",
        name: "cgroup_mkdir",
        cgroup_only: true,
        without: LABELS,
    },
    Wanted {
        program: "on_inet_sock_set_state",
        name: "inet_sock_set_state",
        cgroup_only: false,
        without: &[(Dimension::Network, false), (Dimension::Dns, false)],
    },
    Wanted {
        program: "on_tcp_destroy_sock",
        name: "tcp_destroy_sock",
        cgroup_only: false,
        without: &[(Dimension::Network, false)],
    },
    Wanted {
        program: "on_cap_capable",
        name: "cap_capable",
        cgroup_only: false,
        without: &[(Dimension::Capabilities, true)],
    },
];
const SCAN: &str = "scan_tasks";

/// Which hierarchy of cgroups names the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    /// cgroup v2.
    Unified,
    /// The one of this v1 controller.
    Controller {
        /// `pids`, `memory`, …
        name: &'static str,
        /// The kernel's number of the hierarchy.
        number: u32,
    },
}

/// The loaded programs.
pub(crate) struct Capture {
    pub(crate) ebpf: Ebpf,
    /// State of every wanted hook.
    pub(crate) hooks: Vec<Hook>,
    /// Sizes in use.
    pub(crate) limits: Limits,
}

/// Why nothing can be captured here.
#[derive(Debug)]
pub(crate) struct Unable {
    /// Of `wire::Failure`.
    pub(crate) code: &'static str,
    /// The story.
    pub(crate) error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Unable {
    fn from(error: E) -> Self {
        Self {
            code: "other",
            error: error.into(),
        }
    }
}

/// Loads and attaches. A hook that fails leaves the rest working.
pub(crate) fn load(
    hierarchy: Hierarchy,
    tree: bool,
    arch: &str,
    mut limits: Limits,
    verbose: bool,
) -> Result<Capture, Unable> {
    limits.syscall_rows = limits.syscall_rows.clamp(64, 65_534);
    let (offsets, config) = layouts(hierarchy, tree, arch).map_err(|error| Unable {
        code: "noBtf",
        error,
    })?;
    let btf = Btf::from_sys_fs()
        .context("cannot parse /sys/kernel/btf/vmlinux")
        .map_err(|error| Unable {
            code: "noBtf",
            error,
        })?;
    let log = if verbose {
        VerifierLogLevel::DEBUG
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
    for (maps, entries) in [
        (&["TASKS", "RECORDS", "FREE_TASKS"][..], limits.tasks),
        (
            &["SYSCALL_KEYS", "SYSCALL_ROWS", "FREE_SYSCALL_ROWS"],
            limits.syscall_rows,
        ),
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
    let object = miniz_oxide::inflate::decompress_to_vec(OBJECT)
        .map_err(|error| anyhow!("the probe's eBPF object is damaged: {error}"))?;
    let mut ebpf = loader.load(&object).map_err(|error| {
        let error = anyhow::Error::from(error);
        let code = if is_forbidden(&error) {
            "bpfForbidden"
        } else {
            "other"
        };
        Unable {
            code,
            error: error.context("cannot create the eBPF maps"),
        }
    })?;
    let hooks = attach(&mut ebpf, &btf, tree)?;
    let mut capture = Capture {
        ebpf,
        hooks,
        limits,
    };
    capture.fill(arch)?;
    Ok(capture)
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.raw_os_error() == Some(libc::EPERM))
    })
}

/// Offsets and facts that the programs need before they are loaded.
fn layouts(
    hierarchy: Hierarchy,
    tree: bool,
    arch: &str,
) -> Result<(procmon_probe_ebpf::abi::Offsets, Config)> {
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
    let config = Config {
        typed_task: u32::from(layouts.constant("BPF_FUNC_get_current_task_btf").is_some()),
        arch: if arch == "amd64" { 1 } else { 2 },
        cgroup_subsys,
        cgroup_hierarchy: match hierarchy {
            Hierarchy::Unified => 0,
            Hierarchy::Controller { number, .. } => number,
        },
        tree: u32::from(tree),
        preemptible: u32::from(is_preemptible(&sys::uname().0)),
    };
    Ok((offsets, config))
}

/// Programs on tracepoints may be preempted: since 6.19, which nothing in the BTF shows.
fn is_preemptible(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0_u32));
    (numbers.next(), numbers.next()) >= (Some(6), Some(19))
}

/// Loads and attaches every program that is wanted.
fn attach(ebpf: &mut Ebpf, btf: &Btf, tree: bool) -> Result<Vec<Hook>, Unable> {
    let mut hooks = Vec::new();
    let mut refused = None;
    for wanted in WANTED.iter().filter(|wanted| !(tree && wanted.cgroup_only)) {
        let result = attach_one(ebpf, btf, wanted);
        let (state, reason) = match result {
            Ok(()) => (HookState::Attached, None),
            Err(error) => {
                let text = format!("{error:#}");
                if is_forbidden(&error) {
                    refused = Some(error);
                }
                (HookState::Missing, Some(text))
            }
        };
        hooks.push(Hook {
            name: wanted.name.to_owned(),
            tier: Tier::Base,
            state,
            missed: None,
            reason,
        });
    }
    hooks.push(crate::wire::load(ebpf));
    if let Some(error) = refused
        && hooks.iter().all(|hook| hook.state == HookState::Missing)
    {
        return Err(Unable {
            code: "bpfForbidden",
            error: error.context("cannot load any eBPF program"),
        });
    }
    let essential = |name: &str| {
        hooks
            .iter()
            .find(|hook| hook.name == name && hook.state == HookState::Missing)
            .map(|hook| hook.reason.clone().unwrap_or_default())
    };
    if let Some(reason) = essential("sys_enter").or_else(|| essential("sys_exit")) {
        return Err(Unable {
            code: "other",
            error: anyhow!(reason).context("cannot count system calls on this kernel"),
        });
    }
    let scan: &mut Iter = ebpf
        .program_mut(SCAN)
        .context("the object lacks the task iterator")?
        .try_into()?;
    scan.load("task", btf)
        .context("cannot load the task iterator")?;
    Ok(hooks)
}

fn attach_one(ebpf: &mut Ebpf, btf: &Btf, wanted: &Wanted) -> Result<()> {
    let program: &mut BtfTracePoint = ebpf
        .program_mut(wanted.program)
        .with_context(|| format!("the object lacks `{}`", wanted.program))?
        .try_into()?;
    program
        .load(wanted.name, btf)
        .with_context(|| format!("cannot load `{}`", wanted.name))?;
    program
        .attach()
        .with_context(|| format!("cannot attach `{}`", wanted.name))?;
    Ok(())
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
        // Slot 0 of executables is for those that found none; slot 0 of containers is the sentinel's.
        self.fill_pool("FREE_TASKS", 0, self.limits.tasks)?;
        self.fill_pool("FREE_EXES", 1, MAX_EXES)?;
        self.fill_pool("FREE_CONTAINERS", 1, MAX_CONTAINERS)?;
        self.fill_pool("FREE_SYSCALL_ROWS", 0, self.limits.syscall_rows)?;
        self.fill_pool("FREE_FILE_ROWS", 0, self.limits.file_rows)?;
        self.fill_pool("FREE_PEER_ROWS", 0, self.limits.network_rows)
    }

    fn fill_pool(&mut self, name: &str, from: u32, to: u32) -> Result<()> {
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

    /// Changes the switch.
    pub(crate) fn set_state(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut map: Array<_, State> = self
            .ebpf
            .map_mut("STATE")
            .context("no map STATE")?
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
        let scan: &mut Iter = self
            .ebpf
            .program_mut(SCAN)
            .context("no task iterator")?
            .try_into()?;
        let id = scan.attach().context("cannot attach the task iterator")?;
        let link = scan.take_link(id)?;
        let mut bytes = Vec::new();
        link.into_file()?
            .read_to_end(&mut bytes)
            .context("cannot read the task iterator")?;
        Ok(bytes)
    }

    /// Every program that is loaded, with its hook's name.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&'static str, &Program)> {
        WANTED
            .iter()
            .filter_map(|wanted| Some((wanted.name, self.ebpf.program(wanted.program)?)))
    }

    /// The state of one hook.
    pub(crate) fn hook_mut(&mut self, name: &str) -> Option<&mut Hook> {
        self.hooks.iter_mut().find(|hook| hook.name == name)
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

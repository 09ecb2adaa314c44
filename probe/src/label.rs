//! From a target to labels: which cgroups and processes belong to it, and which container each is.

use crate::capture::Capture;
use crate::cgroups::{self, Place, by_id, by_pod, container_id, name};
use crate::sys;
use crate::unable::Unable;
use anyhow::{Context as _, Result, anyhow};
use aya::maps::{HashMap as BpfMap, Queue};
use procmon_probe_ebpf::abi::{
    CGROUP_CONTAINER, CGROUP_POD, CgroupEntry, ListedCgroup, ListedTask, NO_CONTAINER, SCAN_LABEL,
    SCAN_LIST,
};
use procmon_profile::wire::TargetSpec;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt as _;

/// The container slot of a target that is one thing: a command, a process tree, a cgroup.
pub(crate) const ONLY_CONTAINER: u32 = 1;
/// Passes of the scan: processes may be born while it runs.
const MAX_PASSES: usize = 8;

/// What is known of a container slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// 64 hexadecimal digits, when its cgroup is named so.
    pub(crate) container_id: Option<String>,
    /// UID of its pod.
    pub(crate) pod_uid: Option<String>,
    /// Name for the document, in local mode.
    pub(crate) name: String,
    /// It began inside the window.
    pub(crate) from_start: bool,
    /// When it began, by the monotonic clock, when it began inside the window.
    pub(crate) started_ns: Option<u64>,
}

/// Container slots in use, and the pods whose new containers get one.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// By slot.
    pub(crate) containers: BTreeMap<u32, Slot>,
    /// Pod UID by the inode number of its cgroup.
    pub(crate) pods: BTreeMap<u64, String>,
    known: HashSet<u64>,
    /// Processes of the target that the iterator does not reach: they are in no PID namespace that /proc
    /// shows.
    pub(crate) out_of_reach: u64,
}

/// Labels everything of the target that runs, and prepares for what starts later.
pub(crate) fn label(
    capture: &mut Capture,
    target: &TargetSpec,
    command: Option<u32>,
) -> Result<Slots, Unable> {
    let mut slots = Slots::default();
    match target {
        TargetSpec::Command { argv } => {
            let pid = command.context("the command was not started")?;
            slots.only(argv.join(" "), true);
            root(
                capture,
                pid,
                ONLY_CONTAINER,
                procmon_probe_ebpf::abi::TASK_PENDING,
            )?;
            capture.scan(SCAN_LABEL)?;
        }
        TargetSpec::Process { pid } => {
            slots.only(pid.to_string(), false);
            label_tree(capture, *pid)?;
        }
        TargetSpec::Cgroup { path } => {
            let (_, directory) = cgroups::find(path).map_err(Unable::without_target)?;
            let id = directory
                .metadata()
                .context("cannot read the cgroup")?
                .ino();
            slots.only(path.clone(), false);
            slots.out_of_reach = cgroups::out_of_reach(&directory);
            Slots::take(capture, ONLY_CONTAINER)?;
            slots.insert(capture, id, CGROUP_CONTAINER, ONLY_CONTAINER)?;
            let bytes = capture.scan(SCAN_LIST)?;
            for process in own(&listed(&bytes).collect::<Vec<_>>()) {
                root(capture, process, NO_CONTAINER, 0)?;
            }
            capture.scan(SCAN_LABEL)?;
        }
        TargetSpec::Container { id } => {
            label_containers(capture, &mut slots, &|cgroups| by_id(cgroups, id))?;
            match slots.containers.len() {
                0 => {
                    return Err(Unable::without_target(anyhow!(
                        "no container with an id that begins with `{id}` runs here"
                    )));
                }
                1 => {}
                several => {
                    return Err(Unable::without_target(anyhow!(
                        "`{id}` is the beginning of {several} container ids"
                    )));
                }
            }
        }
        TargetSpec::Pods { uids } => {
            let wanted: BTreeSet<String> =
                uids.iter().map(|uid| uid.to_ascii_lowercase()).collect();
            label_containers(capture, &mut slots, &|cgroups| by_pod(cgroups, &wanted))?;
            if slots.pods.is_empty() {
                return Err(Unable::without_target(anyhow!(
                    "no cgroup of the target's pods is on this node"
                )));
            }
        }
    }
    clear_roots(capture)?;
    Ok(slots)
}

/// Lists and labels until a pass finds no new cgroup.
fn label_containers(
    capture: &mut Capture,
    slots: &mut Slots,
    place: &dyn Fn(&[ListedCgroup]) -> Option<Place<'_>>,
) -> Result<()> {
    for _ in 0..MAX_PASSES {
        let bytes = capture.scan(SCAN_LIST)?;
        let mut found_new = false;
        for task in listed(&bytes) {
            let Some(place) = place(levels(&task)).filter(|_| task.kernel_thread == 0) else {
                continue;
            };
            let uid = place.pod.as_ref().map(|(_, uid)| uid.clone());
            if let Some((pod, uid)) = place.pod
                && slots.insert(capture, pod.id, CGROUP_POD, 0)?
            {
                slots.pods.insert(pod.id, uid);
                found_new = true;
            }
            if let Some(container) = place.container
                && !slots.known.contains(&container.id)
            {
                let slot = Slots::next(capture)?;
                found_new |= slots.insert(capture, container.id, CGROUP_CONTAINER, slot)?;
                let container_name = name(container);
                slots.containers.insert(
                    slot,
                    Slot {
                        container_id: container_id(container_name).map(str::to_owned),
                        pod_uid: uid,
                        name: container_name.to_owned(),
                        ..Slot::default()
                    },
                );
            }
        }
        capture.scan(SCAN_LABEL)?;
        if !found_new {
            break;
        }
    }
    Ok(())
}

/// Labels a process and all that descend from it.
fn label_tree(capture: &mut Capture, pid: u32) -> Result<(), Unable> {
    let mut labelled = HashSet::new();
    for _ in 0..MAX_PASSES {
        let bytes = capture.scan(SCAN_LIST)?;
        let tasks: Vec<ListedTask> = listed(&bytes).collect();
        if !tasks.iter().any(|task| task.tgid == pid) {
            if labelled.is_empty() {
                return Err(Unable::without_target(anyhow!("there is no process {pid}")));
            }
            break;
        }
        let mut family = HashSet::from([pid]);
        // Parents may have higher numbers than their children: until nothing is added.
        let mut grew = true;
        while grew {
            grew = false;
            for task in &tasks {
                if family.contains(&task.parent_tgid) {
                    grew |= family.insert(task.tgid);
                }
            }
        }
        let own = own(&tasks);
        family.retain(|member| *member == pid || !own.contains(member));
        let before = labelled.len();
        for member in family {
            if labelled.insert(member) {
                root(capture, member, ONLY_CONTAINER, 0)?;
            }
        }
        capture.scan(SCAN_LABEL)?;
        if labelled.len() == before {
            break;
        }
    }
    Ok(())
}

/// Who observes: this process, the plugin that started it, and its own children.
fn own(tasks: &[ListedTask]) -> HashSet<u32> {
    let this = std::process::id();
    let children = tasks.iter().filter(|task| task.parent_tgid == this);
    children
        .map(|task| task.tgid)
        .chain([this, std::os::unix::process::parent_id()])
        .collect()
}

pub(crate) fn listed(bytes: &[u8]) -> impl Iterator<Item = ListedTask> {
    bytes
        .chunks_exact(size_of::<ListedTask>())
        .filter_map(sys::record)
}

/// The cgroups of a listed process.
pub(crate) fn levels(task: &ListedTask) -> &[ListedCgroup] {
    &task.cgroups[..(task.n_levels as usize).min(task.cgroups.len())]
}

/// Names a process that the next scan shall label, or, with [`NO_CONTAINER`], shall not.
pub(crate) fn root(capture: &mut Capture, pid: u32, container: u32, flags: u32) -> Result<()> {
    let mut roots: BpfMap<_, u32, u32> = capture
        .ebpf
        .map_mut("ROOTS")
        .context("no map ROOTS")?
        .try_into()?;
    roots
        .insert(pid, container | flags << 16, 0)
        .context("the target has more processes than the tables hold")?;
    Ok(())
}

/// Forgets the processes named for a scan.
pub(crate) fn clear_roots(capture: &mut Capture) -> Result<()> {
    let mut roots: BpfMap<_, u32, u32> = capture
        .ebpf
        .map_mut("ROOTS")
        .context("no map ROOTS")?
        .try_into()?;
    let pids: Vec<u32> = roots.keys().filter_map(Result::ok).collect();
    for pid in pids {
        let _ = roots.remove(&pid);
    }
    Ok(())
}

impl Slots {
    fn only(&mut self, name: String, from_start: bool) {
        self.containers.insert(
            ONLY_CONTAINER,
            Slot {
                name,
                from_start,
                ..Slot::default()
            },
        );
    }

    /// Takes a slot from the pool that the kernel side takes from as well.
    fn next(capture: &mut Capture) -> Result<u32> {
        let mut pool: Queue<_, u32> = capture
            .ebpf
            .map_mut("FREE_CONTAINERS")
            .context("no map FREE_CONTAINERS")?
            .try_into()?;
        pool.pop(0)
            .context("the target has more containers on this node than the tables hold")
    }

    /// Takes the slot that a target of one container has.
    fn take(capture: &mut Capture, slot: u32) -> Result<()> {
        let taken = Self::next(capture)?;
        anyhow::ensure!(taken == slot, "the first free container slot is {taken}");
        Ok(())
    }

    /// Names a cgroup of the target. False when it was named already.
    fn insert(
        &mut self,
        capture: &mut Capture,
        id: u64,
        kind: u32,
        container: u32,
    ) -> Result<bool> {
        if !self.known.insert(id) {
            return Ok(false);
        }
        let mut cgroups: BpfMap<_, u64, CgroupEntry> = capture
            .ebpf
            .map_mut("CGROUPS")
            .context("no map CGROUPS")?
            .try_into()?;
        cgroups
            .insert(id, CgroupEntry { kind, container }, 0)
            .context("the target has more cgroups than the tables hold")?;
        Ok(true)
    }

    /// The slot of a target that is one container whatever happens.
    pub(crate) fn only_container(&self, target: &TargetSpec) -> Option<u32> {
        match target {
            TargetSpec::Pods { .. } => None,
            _ => self.containers.keys().next().copied(),
        }
    }

    /// A container that began inside the window.
    pub(crate) fn began(&mut self, slot: u32, pod_cgroup: u64, cgroup_name: &str, time: u64) {
        self.containers.insert(
            slot,
            Slot {
                container_id: container_id(cgroup_name).map(str::to_owned),
                pod_uid: self.pods.get(&pod_cgroup).cloned(),
                name: cgroup_name.to_owned(),
                from_start: true,
                started_ns: Some(time),
            },
        );
    }
}

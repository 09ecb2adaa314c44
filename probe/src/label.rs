//! From a target to labels: which cgroups and processes belong to it, and which container each is.

use crate::hooks::{Capture, Hierarchy, Unable};
use crate::sys;
use anyhow::{Context as _, Result, anyhow, bail};
use aya::maps::{HashMap as BpfMap, Queue};
use procmon_probe_ebpf::abi::{
    CGROUP_CONTAINER, CGROUP_POD, CgroupEntry, ListedCgroup, ListedTask, NO_CONTAINER, SCAN_LABEL,
    SCAN_LIST,
};
use procmon_profile::model::CgroupVersion;
use procmon_profile::wire::{FailureCode, TargetSpec};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The container slot of a target that is one thing: a command, a process tree, a cgroup.
pub(crate) const ONLY_CONTAINER: u32 = 1;
/// From linux/magic.h.
const CGROUP2_SUPER_MAGIC: u32 = 0x6367_7270;
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
    /// Processes of the target that the iterator does not reach: they are in no PID namespace that /proc shows.
    pub(crate) out_of_reach: u64,
}

/// Numbers of the v1 hierarchies by controller, from /proc/cgroups; controllers of v2 have 0.
fn hierarchies() -> BTreeMap<String, u32> {
    numbers(&std::fs::read_to_string("/proc/cgroups").unwrap_or_default())
}

/// The same, of its text.
pub(crate) fn numbers(cgroups: &str) -> BTreeMap<String, u32> {
    cgroups
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
        })
        .collect()
}

/// Layout of the cgroup file systems, from /proc/self/cgroup.
pub(crate) fn cgroup_version() -> CgroupVersion {
    version(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// The same, of its text.
pub(crate) fn version(text: &str) -> CgroupVersion {
    let unified = text.lines().any(|line| line.starts_with("0::"));
    let v1 = text.lines().any(|line| !line.starts_with("0::"));
    match (unified, v1) {
        (true, true) => CgroupVersion::Hybrid,
        (false, true) => CgroupVersion::V1,
        _ => CgroupVersion::V2,
    }
}

/// The hierarchy in which the target's containers have cgroups of their own.
pub(crate) fn hierarchy(target: &TargetSpec) -> Result<Hierarchy, Unable> {
    if let TargetSpec::Cgroup { path } = target {
        return Ok(find_cgroup(path).map_err(not_found)?.0);
    }
    let numbers = hierarchies();
    for name in ["pids", "memory"] {
        if let Some(number) = numbers.get(name).copied().filter(|number| *number != 0) {
            return Ok(Hierarchy::Controller { name, number });
        }
    }
    Ok(Hierarchy::Unified)
}

/// The root of cgroup v2, of all the node where that can be seen.
pub(crate) fn cgroup_root() -> Result<File> {
    let mut candidates = ["/proc/1/root", ""].into_iter().flat_map(|root| {
        ["", "/unified"].map(|below| PathBuf::from(format!("{root}/sys/fs/cgroup{below}")))
    });
    let root = candidates
        .find(|root| sys::file_system_magic(root).is_ok_and(|magic| magic == CGROUP2_SUPER_MAGIC))
        .context("no cgroup v2 is mounted at /sys/fs/cgroup")?;
    File::open(&root).with_context(|| format!("cannot open {}", root.display()))
}

fn not_found(error: anyhow::Error) -> Unable {
    Unable {
        code: FailureCode::TargetNotFound,
        error,
    }
}

/// Hierarchy and directory of a cgroup that the user named.
fn find_cgroup(path: &str) -> Result<(Hierarchy, PathBuf)> {
    let relative = path.trim_start_matches('/');
    let mut candidates = vec![PathBuf::from(path)];
    for root in ["", "unified", "pids", "memory"] {
        candidates.push(Path::new("/sys/fs/cgroup").join(root).join(relative));
    }
    let directory = candidates
        .into_iter()
        .find(|candidate| candidate.is_absolute() && candidate.join("cgroup.procs").is_file())
        .with_context(|| format!("there is no cgroup `{path}` below /sys/fs/cgroup"))?;
    if sys::file_system_magic(&directory)? == CGROUP2_SUPER_MAGIC {
        return Ok((Hierarchy::Unified, directory));
    }
    let controllers = directory
        .strip_prefix("/sys/fs/cgroup")
        .ok()
        .and_then(|rest| rest.components().next())
        .map(|first| first.as_os_str().to_string_lossy().into_owned())
        .unwrap_or_default();
    let numbers = hierarchies();
    for name in [
        "pids", "memory", "cpu", "cpuacct", "cpuset", "devices", "freezer", "blkio",
    ] {
        if controllers.split(',').any(|controller| controller == name)
            && let Some(number) = numbers.get(name).copied().filter(|number| *number != 0)
        {
            return Ok((Hierarchy::Controller { name, number }, directory));
        }
    }
    bail!(
        "`{}` is in a cgroup v1 hierarchy without a controller: name the same cgroup below another one",
        directory.display()
    )
}

/// Cgroups below each other that are looked through.
const MAX_DEPTH: u32 = 16;

/// Processes of a cgroup and of those below it that have no id here: the kernel shows 0.
fn out_of_reach(directory: &Path, depth: u32) -> u64 {
    let members = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let own = members.lines().filter(|line| *line == "0").count() as u64;
    if depth == 0 {
        return own;
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    own + below
        .map(|entry| out_of_reach(&entry.path(), depth - 1))
        .sum::<u64>()
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
            let (_, directory) = find_cgroup(path).map_err(not_found)?;
            let id = directory
                .metadata()
                .context("cannot read the cgroup")?
                .ino();
            slots.only(path.clone(), false);
            slots.out_of_reach = out_of_reach(&directory, MAX_DEPTH);
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
                    return Err(not_found(anyhow!(
                        "no container with an id that begins with `{id}` runs here"
                    )));
                }
                1 => {}
                several => {
                    return Err(not_found(anyhow!(
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
                return Err(not_found(anyhow!(
                    "no cgroup of the target's pods is on this node"
                )));
            }
        }
    }
    clear_roots(capture)?;
    Ok(slots)
}

/// Where one process belongs: the cgroup of its container, and of its pod.
pub(crate) struct Place<'a> {
    container: Option<&'a ListedCgroup>,
    pod: Option<(&'a ListedCgroup, String)>,
}

fn name(cgroup: &ListedCgroup) -> &str {
    let end = cgroup
        .name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(cgroup.name.len());
    std::str::from_utf8(&cgroup.name[..end]).unwrap_or_default()
}

/// The container id in the name of a cgroup: `ID`, `cri-containerd-ID.scope`, `docker-ID.scope`, …
pub(crate) fn container_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    if name.starts_with("crio-conmon-") || name.starts_with("libpod-conmon-") {
        return None;
    }
    let id = name.rsplit(['-', ':']).next()?;
    (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// The pod's UID in the name of a cgroup: `podUID`, `kubepods-CLASS-podUID_WITH_UNDERSCORES.slice`.
pub(crate) fn pod_uid(name: &str) -> Option<String> {
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let start = if name.starts_with("pod") {
        3
    } else {
        name.rfind("-pod")? + 4
    };
    let uid = name[start..].replace('_', "-").to_ascii_lowercase();
    (uid.len() >= 32
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
    .then_some(uid)
}

pub(crate) fn by_id<'a>(cgroups: &'a [ListedCgroup], wanted: &str) -> Option<Place<'a>> {
    let at = cgroups
        .iter()
        .rposition(|cgroup| container_id(name(cgroup)).is_some_and(|id| id.starts_with(wanted)))?;
    Some(Place {
        container: cgroups.get(at),
        pod: None,
    })
}

pub(crate) fn by_pod<'a>(
    cgroups: &'a [ListedCgroup],
    wanted: &BTreeSet<String>,
) -> Option<Place<'a>> {
    cgroups.iter().enumerate().find_map(|(at, cgroup)| {
        let uid = pod_uid(name(cgroup)).filter(|uid| wanted.contains(uid))?;
        Some(Place {
            container: at.checked_sub(1).and_then(|below| cgroups.get(below)),
            pod: Some((cgroup, uid)),
        })
    })
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
                return Err(not_found(anyhow!("there is no process {pid}")));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_the_names_that_runtimes_give() {
        let id = "0123456789abcdef".repeat(4);
        for name in [
            id.clone(),
            format!("cri-containerd-{id}.scope"),
            format!("docker-{id}.scope"),
            format!("crio-{id}.scope"),
            format!("cri-containerd:{id}"),
        ] {
            assert_eq!(container_id(&name), Some(id.as_str()), "{name}");
        }
        assert_eq!(container_id(&format!("crio-conmon-{id}.scope")), None);
        assert_eq!(container_id("system.slice"), None);
    }

    #[test]
    fn pods_are_found_in_the_names_that_kubelets_give() {
        let uid = "01234567-89ab-cdef-0123-456789abcdef";
        for name in [
            format!("pod{uid}"),
            format!("kubepods-besteffort-pod{}.slice", uid.replace('-', "_")),
            format!("kubepods-pod{}.slice", uid.replace('-', "_")),
        ] {
            assert_eq!(pod_uid(&name).as_deref(), Some(uid), "{name}");
        }
        assert_eq!(pod_uid("kubepods-besteffort.slice"), None);
        assert_eq!(pod_uid("podman.slice"), None);
    }
}

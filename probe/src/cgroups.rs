//! Cgroups: their hierarchies, and what the names of runtimes and kubelets say.

use crate::sys;
use crate::unable::Unable;
use anyhow::{Context as _, Result, bail};
use procmon_probe_ebpf::abi::ListedCgroup;
use procmon_profile::model::CgroupVersion;
use procmon_profile::wire::TargetSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// From linux/magic.h.
const CGROUP2_SUPER_MAGIC: u32 = 0x6367_7270;
/// Cgroups below each other that are looked through.
const MAX_DEPTH: u32 = 16;

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
pub(crate) fn layout() -> CgroupVersion {
    layout_of(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// The same, of its text.
pub(crate) fn layout_of(text: &str) -> CgroupVersion {
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
        return Ok(find(path).map_err(Unable::without_target)?.0);
    }
    Ok(controller(["pids", "memory"].into_iter()).unwrap_or(Hierarchy::Unified))
}

/// The v1 hierarchy of the first of these controllers that has one.
fn controller(mut names: impl Iterator<Item = &'static str>) -> Option<Hierarchy> {
    let numbers = hierarchies();
    names.find_map(|name| {
        let number = numbers.get(name).copied().filter(|number| *number != 0)?;
        Some(Hierarchy::Controller { name, number })
    })
}

/// The root of cgroup v2, of all the node where that can be seen.
pub(crate) fn root() -> Result<File> {
    let mut candidates = ["/proc/1/root", ""].into_iter().flat_map(|root| {
        ["", "/unified"].map(|below| PathBuf::from(format!("{root}/sys/fs/cgroup{below}")))
    });
    let root = candidates
        .find(|root| sys::file_system_magic(root).is_ok_and(|magic| magic == CGROUP2_SUPER_MAGIC))
        .context("no cgroup v2 is mounted at /sys/fs/cgroup")?;
    File::open(&root).with_context(|| format!("cannot open {}", root.display()))
}

/// Hierarchy and directory of a cgroup that the user named.
pub(crate) fn find(path: &str) -> Result<(Hierarchy, PathBuf)> {
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
    let known = [
        "pids", "memory", "cpu", "cpuacct", "cpuset", "devices", "freezer", "blkio",
    ];
    let is_here = |name: &&str| controllers.split(',').any(|controller| controller == *name);
    match controller(known.into_iter().filter(is_here)) {
        Some(hierarchy) => Ok((hierarchy, directory)),
        None => bail!(
            "`{}` is in a cgroup v1 hierarchy without a controller: name the same cgroup below another one",
            directory.display()
        ),
    }
}

/// Processes of a cgroup and of those below it that have no id here: the kernel shows 0.
pub(crate) fn out_of_reach(directory: &Path) -> u64 {
    out_of_reach_below(directory, MAX_DEPTH)
}

fn out_of_reach_below(directory: &Path, depth: u32) -> u64 {
    let members = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let own = members.lines().filter(|line| *line == "0").count() as u64;
    if depth == 0 {
        return own;
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    own + below
        .map(|entry| out_of_reach_below(&entry.path(), depth - 1))
        .sum::<u64>()
}

/// Where one process belongs: the cgroup of its container, and of its pod.
pub(crate) struct Place<'a> {
    pub(crate) container: Option<&'a ListedCgroup>,
    pub(crate) pod: Option<(&'a ListedCgroup, String)>,
}

pub(crate) fn name(cgroup: &ListedCgroup) -> &str {
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

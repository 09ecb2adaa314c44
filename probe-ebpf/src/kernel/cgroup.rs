//! `struct cgroup`: the chain from a task's cgroup to the root.

use crate::kernel::memory::read;
use crate::maps::{config, offset};
use procmon_probe_ebpf::abi::NO_OFFSET;

/// The cgroup of a task in the hierarchy that names containers.
#[inline(always)]
pub(crate) fn of(task: u64) -> u64 {
    let set: u64 = read(task, offset!(task_cgroups));
    let subsystem = config!(cgroup_subsys);
    if subsystem == NO_OFFSET {
        return read(set, offset!(css_set_dfl_cgrp));
    }
    let state: u64 = read(set, offset!(css_set_subsys) + subsystem * 8);
    read(state, offset!(css_cgroup))
}

/// Inode number of its directory.
#[inline(always)]
pub(crate) fn id(cgroup: u64) -> u64 {
    read(read(cgroup, offset!(cgroup_kn)), offset!(kernfs_node_id))
}

/// Address of the name of its directory.
#[inline(always)]
pub(crate) fn name(cgroup: u64) -> u64 {
    read(read(cgroup, offset!(cgroup_kn)), offset!(kernfs_node_name))
}

/// The cgroup above it; 0 at the root.
#[inline(always)]
pub(crate) fn parent(cgroup: u64) -> u64 {
    let state: u64 = read(cgroup, offset!(cgroup_self) + offset!(css_parent));
    if state == 0 {
        0
    } else {
        state - u64::from(offset!(cgroup_self))
    }
}

/// Number of its hierarchy: 0 for cgroup v2.
#[inline(always)]
pub(crate) fn hierarchy(cgroup: u64) -> u32 {
    read(
        read(cgroup, offset!(cgroup_root)),
        offset!(cgroup_root_hierarchy_id),
    )
}

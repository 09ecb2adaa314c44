//! `struct cred` and what else a task is allowed.

use crate::kernel::memory::read;
use crate::maps::offset;
use procmon_probe_ebpf::abi::Privileges;

/// Address of the effective credentials.
#[inline(always)]
pub(crate) fn of(task: u64) -> u64 {
    read(task, offset!(task_cred))
}

/// Effective user id.
#[inline(always)]
pub(crate) fn uid(cred: u64) -> u32 {
    read(cred, offset!(cred_euid))
}

/// Effective group id.
#[inline(always)]
pub(crate) fn gid(cred: u64) -> u32 {
    read(cred, offset!(cred_egid))
}

/// Effective capabilities.
#[inline(always)]
pub(crate) fn effective(cred: u64) -> u64 {
    read(cred, offset!(cred_cap_effective))
}

/// Permitted capabilities.
#[inline(always)]
pub(crate) fn permitted(cred: u64) -> u64 {
    read(cred, offset!(cred_cap_permitted))
}

/// Inode number of its mount namespace.
#[inline(always)]
pub(crate) fn mount_namespace(task: u64) -> u32 {
    mount_namespace_in(read(task, offset!(task_nsproxy)))
}

/// Inode number of the mount namespace in a `struct nsproxy`.
#[inline(always)]
fn mount_namespace_in(proxy: u64) -> u32 {
    read(read(proxy, offset!(nsproxy_mnt)), offset!(mnt_ns_inum))
}

/// Everything that a process is allowed, and where it lives.
#[inline(always)]
pub(crate) fn privileges(task: u64, out: *mut Privileges) {
    let cred = of(task);
    let proxy: u64 = read(task, offset!(task_nsproxy));
    let pid_struct: u64 = read(task, offset!(task_thread_pid));
    let level: u32 = read(pid_struct, offset!(pid_level));
    let upid = pid_struct
        + u64::from(offset!(pid_numbers))
        + u64::from(level & 31) * u64::from(offset!(upid_size));
    // SAFETY: `out` is a map value or a local; every member is written.
    unsafe {
        (*out).uid = uid(cred);
        (*out).gid = gid(cred);
        (*out).effective = effective(cred);
        (*out).permitted = permitted(cred);
        (*out).bounding = read(cred, offset!(cred_cap_bset));
        (*out).seccomp = read(task, offset!(task_seccomp_mode));
        (*out).no_new_privs = (read::<u64>(task, offset!(task_atomic_flags)) & 1) as u32;
        (*out).namespaces[0] = mount_namespace_in(proxy);
        (*out).namespaces[1] = read(read(upid, offset!(upid_ns)), offset!(pid_ns_inum));
        (*out).namespaces[2] = read(read(proxy, offset!(nsproxy_net)), offset!(net_ns_inum));
        (*out).namespaces[3] = read(read(proxy, offset!(nsproxy_ipc)), offset!(ipc_ns_inum));
        (*out).namespaces[4] = read(read(proxy, offset!(nsproxy_uts)), offset!(uts_ns_inum));
        (*out).namespaces[5] = read(read(cred, offset!(cred_user_ns)), offset!(user_ns_inum));
        (*out).namespaces[6] = read(
            read(proxy, offset!(nsproxy_cgroup)),
            offset!(cgroup_ns_inum),
        );
        (*out).ns_pid = read(upid, offset!(upid_nr));
    }
}

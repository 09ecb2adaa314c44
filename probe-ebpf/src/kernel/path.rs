//! From a directory entry to the root: the names of a path, the last one first.
//!
//! The walk crosses mounts and ends at the root of the mount namespace, so that bind mounts,
//! chroot and /proc/PID/root give the name that the container's own root gives. Everything is read
//! by the helper: of values in registers the verifier remembers too much to see that two rounds
//! of a loop are alike.

use crate::kernel::memory::copy;
use crate::maps::{NAME_BYTES, SCRATCH_MASK, offset};
use crate::scratch::scratch;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use procmon_probe_ebpf::abi::{FILE_TRUNCATED, FILE_UNREACHABLE, MAX_PATH};

#[inline(always)]
fn at(base: u64, offset: u32) -> u64 {
    copy(base.wrapping_add(u64::from(offset)))
}

/// A mount without a parent is the root of a mount namespace; not so when it was taken out of its
/// place, or never had one: then it has no namespace, or one without a number.
#[inline(always)]
fn is_attached(mount: u64) -> bool {
    let namespace = at(mount, offset!(mount_namespace));
    // The kernel's own mounts have an error in place of an address.
    namespace != 0 && (namespace as i64) < -4095 && at(namespace, offset!(mnt_ns_sequence)) != 0
}

/// Names taken in one go: the verifier walks through every round.
const NAMES_AT_ONCE: usize = 24;
/// Goes: enough for [`MAX_PATH`] bytes of names of one letter.
const GOES: usize = 180;
/// The walk is not over.
const GOES_ON: u64 = u32::MAX as u64;

/// Appends the names of `dentry` on `vfsmount` to a buffer of this CPU from `start` on, each ended by NUL.
/// Returns the offset behind the last one, and `FILE_…` flags in the upper half.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn names(buffer: u32, start: u64, vfsmount: u64, dentry: u64) -> u64 {
    let Some(place) = scratch(buffer) else {
        return start;
    };
    // SAFETY: a map value of this CPU.
    unsafe {
        (*place).mount = vfsmount - u64::from(offset!(mount_mnt));
        (*place).dentry = dentry;
    }
    let mut end = start;
    for _ in 0..GOES {
        let reached = more_names(buffer, start, end);
        end = reached & 0xffff_ffff;
        if reached >> 32 != GOES_ON {
            return reached;
        }
    }
    end | u64::from(FILE_TRUNCATED) << 32
}

/// Goes on with a walk that the buffer keeps; the same result, or `GOES_ON` in the upper half.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn more_names(buffer: u32, start: u64, end: u64) -> u64 {
    let Some(buffer) = scratch(buffer) else {
        return start;
    };
    // SAFETY: a map value of this CPU.
    let (mut mount, mut dentry) = unsafe { ((*buffer).mount, (*buffer).dentry) };
    let mut end = end;
    let mut flags = GOES_ON;
    for _ in 0..NAMES_AT_ONCE {
        let root = at(mount, offset!(mount_mnt) + offset!(vfsmount_root));
        let parent = at(dentry, offset!(dentry_parent));
        let is_cut_off = dentry == parent && dentry != root;
        if is_cut_off {
            flags = u64::from(FILE_UNREACHABLE);
            // Memory that has a name of its own and no directory.
            if end != start {
                break;
            }
        }
        if dentry == root {
            let above = at(mount, offset!(mount_parent));
            if above == mount || above == 0 {
                flags = if is_attached(mount) {
                    0
                } else {
                    u64::from(FILE_UNREACHABLE)
                };
                break;
            }
            dentry = at(mount, offset!(mount_mountpoint));
            mount = above;
            continue;
        }
        if end - start > (MAX_PATH - NAME_BYTES) as u64 {
            flags = u64::from(FILE_TRUNCATED);
            break;
        }
        let name = at(dentry, offset!(dentry_name) + offset!(qstr_name));
        let position = end as usize & SCRATCH_MASK;
        // SAFETY: a masked offset leaves room for one name behind it.
        let length = unsafe {
            bpf_probe_read_kernel_str(
                (*buffer).bytes.as_mut_ptr().add(position).cast(),
                NAME_BYTES as u32,
                name as *const _,
            )
        };
        if length <= 0 || length > NAME_BYTES as i64 {
            flags = u64::from(FILE_UNREACHABLE);
            break;
        }
        end += length as u64;
        if is_cut_off {
            break;
        }
        dentry = parent;
    }
    // SAFETY: as above.
    unsafe {
        (*buffer).mount = mount;
        (*buffer).dentry = dentry;
    }
    end & 0xffff_ffff | flags << 32
}

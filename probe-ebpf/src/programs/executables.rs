//! Executable slots: one for each executable in each container.

use crate::atomics::{lost, take};
use crate::kernel::file::KernelFile;
use crate::kernel::{file, path};
use crate::maps::{EXES, FREE_EXES, value};
use crate::scratch::{emit, scratch};
use procmon_probe_ebpf::abi::{EVENT_EXE, ExeEvent, ExeKey, Loss, OTHER_EXE};

/// The executable slot of a file in a container; announces it at first sight.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn exe_slot(buffer: u32, container: u32, exe_file: u64, tgid: u32) -> u32 {
    let exe_file = KernelFile::at(exe_file);
    let inode = exe_file.inode();
    if inode.is_none() {
        return OTHER_EXE;
    }
    let dentry = exe_file.dentry();
    let key = ExeKey {
        container,
        device: inode.device(),
        inode: inode.number(),
        parent: dentry.parent().inode().number(),
        name: dentry.name_hash(),
    };
    if let Some(slot) = value(&EXES, key) {
        return slot;
    }
    let Some(slot) = take(&FREE_EXES) else {
        lost(Loss::Exes);
        return OTHER_EXE;
    };
    let start = size_of::<ExeEvent>() as u64;
    let mount = exe_file.mount();
    let end = path::names(buffer, start, mount, dentry.address());
    let Some(buffer) = scratch(buffer) else {
        return OTHER_EXE;
    };
    let event = buffer.cast::<ExeEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        (*event).kind = EVENT_EXE;
        (*event).exe = slot;
        (*event).container = container;
        (*event).tgid = tgid;
        file::meta(inode, dentry, mount, &raw mut (*event).meta);
        (*event).meta.flags |= (end >> 32) as u32;
        (*event).path_len = (end as u32).wrapping_sub(start as u32);
        (*event).pad = 0;
    }
    if !emit(buffer, (end & 0xffff_ffff) as usize, Loss::RingProcess) {
        let _ = FREE_EXES.push(slot, 0);
        lost(Loss::Exes);
        return OTHER_EXE;
    }
    // Two CPUs may come here at once: both slots are announced with the same path.
    if EXES.insert(key, slot, 0).is_err() {
        lost(Loss::Exes);
    }
    slot
}

//! Names as the kernel settled them, on their way to the return of the call. They only give names:
//! what a call did is counted at its return.
//!
//! Hooks (fentry, else kprobe): security_path_unlink, _rmdir, _mkdir, _mknod, _symlink, _link,
//! _rename, _truncate, _chmod, _chown, with the same arguments in 5.10 … 7.x (CONFIG_SECURITY_PATH);
//! called once per call, on overlayfs too, before the operation and after what makes most calls fail.
//! Hook (fexit, else kprobe and kretprobe): do_filp_open(dfd, name, op), do_file_open since 7.x.
//!
//! A task may be preempted here, unlike in most tracepoints: nothing of the CPU is relied on.

use crate::kernel::file::Dentry;
use crate::kernel::hook::{alone, number_copied};
use crate::kernel::memory::read;
use crate::kernel::{file, path, task};
use crate::maps::{FILES, Scratch, offset, open};
use crate::programs::file::names::{self, KERNEL_NAME};
use crate::programs::file::rows;
use crate::programs::record::Task;
use crate::programs::row::Row;
use crate::scratch::{OF_FUNCTIONS, claim, is_mine, scratch};
use aya_ebpf::macros::{fentry, fexit, kprobe, kretprobe};
use aya_ebpf::programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext};
use procmon_probe_ebpf::abi::{
    Call, CallKind, FILE_DELETED, FILE_KEY_ENTRY, FILE_KEY_SETTLED, FileEvent, MAX_ARGV,
    TASK_OPENED, TASK_PENDING,
};

/// The programs of one function, of either kind: what is noted of its arguments, by position.
macro_rules! entry {
    ($fentry:ident, $kprobe:ident: $(($place:literal, $path:literal $(, $dentry:literal)?)),+) => {
        #[fentry]
        fn $fentry(ctx: FEntryContext) -> i32 {
            alone(|| {
                if open() {
                    $(note_name(number_copied(ctx.arg($path)), 0 $(+ number_copied(ctx.arg($dentry)))?, $place);)+
                }
            });
            0
        }

        #[kprobe]
        fn $kprobe(ctx: ProbeContext) -> u32 {
            if open() {
                $(note_name(number(&ctx, $path), 0 $(+ number(&ctx, $dentry))?, $place);)+
            }
            0
        }
    };
}

entry!(f_unlink, k_unlink: (0, 0, 1));

entry!(f_rmdir, k_rmdir: (0, 0, 1));

entry!(f_mkdir, k_mkdir: (0, 0, 1));

entry!(f_mknod, k_mknod: (0, 0, 1));

entry!(f_symlink, k_symlink: (0, 0, 1));

entry!(f_link, k_link: (0, 1, 2));

entry!(f_rename, k_rename: (0, 0, 1), (1, 2, 3));

entry!(f_truncate, k_truncate: (0, 0));

entry!(f_chmod, k_chmod: (0, 0));

entry!(f_chown, k_chown: (0, 0));

/// An argument of a function.
#[inline(always)]
fn number(ctx: &ProbeContext, position: usize) -> u64 {
    ctx.arg(position).unwrap_or(0)
}

/// The record of the current task and what its call does, while one is under way.
#[inline(always)]
fn in_call() -> Option<(Task, CallKind)> {
    let task = Task::of(task::current())?;
    if task.in_call() == 0 || task.flags() & TASK_PENDING != 0 {
        return None;
    }
    Some((task, CallKind::from_word(task.kind())))
}

/// Keeps what `dentry` on the mount of `directory` is, for the first or the second name of the call;
/// of `directory` itself when there is no dentry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_name(directory: u64, dentry: u64, place: u32) -> u32 {
    let Some((task, kind)) = in_call() else {
        return 0;
    };
    // Opening and binding make and cut files too; those have their own way to a name.
    if !matches!(kind.call(), Call::Name | Call::UnlinkAt | Call::Rename) {
        return 0;
    }
    let mount = read(directory, offset!(path_mnt));
    let exe = task.exe();
    if place == 0 {
        task.set_settled_first(Row::of(if dentry == 0 {
            name_row(
                exe,
                FILE_KEY_SETTLED,
                mount,
                read(directory, offset!(path_dentry)),
            )
        } else {
            name_row(exe, FILE_KEY_ENTRY, mount, dentry)
        }));
    } else {
        task.set_settled_second(Row::of(name_row(exe, FILE_KEY_ENTRY, mount, dentry)));
    }
    0
}

/// The row of an entry of a directory, which need not lead to a file yet, or of its file.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn name_row(exe: u32, kind: u32, mount: u64, dentry: u64) -> u32 {
    let dentry = Dentry::at(dentry);
    let parent = dentry.parent();
    let directory = parent.inode();
    let inode = dentry.inode();
    let number = if kind == FILE_KEY_ENTRY {
        0
    } else {
        inode.number()
    };
    let Some(buffer) = mine() else { return 0 };
    // SAFETY: the buffer is this task's as long as it is said to be.
    let row = unsafe {
        let key = &raw mut (*buffer).key;
        (*key).exe = exe;
        (*key).kind = kind;
        (*key).inode = number;
        (*key).parent = directory.number();
        (*key).name = dentry.name_hash();
        (*key).mount = mount;
        (*key).above = rows::above(parent.address());
        (*key).device = directory.device();
        FILES.get(&*key).map_or(0, |row| *row)
    };
    if row != 0 {
        return if is_mine(buffer) { row } else { 0 };
    }
    let start = size_of::<FileEvent>() as u64;
    let end = path::names(OF_FUNCTIONS, start, mount, dentry.address());
    let event = buffer.cast::<FileEvent>();
    // SAFETY: the buffer is larger than the record, and nothing else uses it.
    unsafe {
        file::meta(inode, dentry, mount, &raw mut (*event).meta);
        // An entry that is not there yet, or is about to go, has not lost its name.
        (*event).meta.flags &= !FILE_DELETED;
        (*event).meta.flags |= (end >> 32) as u32;
        (*event).name_len = 0;
        (*event).path_len = (end as u32).wrapping_sub(start as u32);
    }
    if !is_mine(buffer) {
        return 0;
    }
    rows::new_file_row(OF_FUNCTIONS, end)
}

/// Takes the buffer of this CPU.
#[inline(always)]
fn mine() -> Option<*mut Scratch> {
    let buffer = scratch(OF_FUNCTIONS)?;
    claim(buffer);
    Some(buffer)
}

#[fexit]
fn f_open(ctx: FExitContext) -> i32 {
    alone(|| {
        if open() {
            open_returned(
                ctx.arg::<u64>(0) as u32,
                number_copied(ctx.arg(1)),
                number_copied(ctx.arg(3)),
            );
        }
    });
    0
}

#[kprobe]
fn k_open(ctx: ProbeContext) -> u32 {
    if open()
        && let Some((task, _)) = in_call()
    {
        task.set_opening_at(number(&ctx, 0) as u32);
        task.set_opening(number(&ctx, 1));
    }
    0
}

#[kretprobe]
fn k_open_return(ctx: RetProbeContext) -> u32 {
    if open()
        && let Some((task, _)) = in_call()
    {
        let (directory, name) = (task.opening_at(), task.opening());
        if name != 0 {
            task.set_opening(0);
            open_returned(directory, name, ctx.ret());
        }
    }
    0
}

/// Keeps the name of the first file that a call failed to open: a program's interpreter comes later.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn open_returned(directory: u32, filename: u64, result: u64) -> u32 {
    let Some((task, kind)) = in_call() else {
        return 0;
    };
    if !kind.is(Call::Open) && !kind.is(Call::Exec) {
        return 0;
    }
    if task.flags() & TASK_OPENED != 0 {
        return 0;
    }
    task.set_flags(task.flags() | TASK_OPENED);
    if !(-4095..0).contains(&(result as i64)) {
        return 0;
    }
    task.set_settled_first(Row::of(copied_name_row(task.exe(), directory, filename)));
    0
}

/// The row of a name of which the kernel has a copy, as `struct filename`; 0 when it can't be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn copied_name_row(exe: u32, directory: u32, filename: u64) -> u32 {
    let Some(buffer) = mine() else { return 0 };
    let name: u64 = read(filename, offset!(filename_name));
    let length = names::kernel_name(buffer, name);
    if length <= 1 || length > MAX_ARGV as i64 {
        return 0;
    }
    names::finish_named(exe, directory, length as u64 | KERNEL_NAME << 32)
}

//! Rows that count an executed program: its file, and the scripts that named it.

use crate::kernel::memory::read;
use crate::kernel::task;
use crate::maps::offset;
use crate::programs::file::names::{self, AT_FDCWD, FOLLOW, OWN_NOTHING, OWN_SKIP, OWN_SOMETHING};
use crate::programs::file::rows;
use crate::programs::row::Row;
use crate::scratch::{OF_CALLS, scratch};
use procmon_probe_ebpf::abi::{FileEvent, FileOp, MAX_ARGV};

/// A program was executed: its file, and the script that named it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn executed(user: u32, program: u64, bprm_script: u64) -> u32 {
    if let Some(row) = Row::of(rows::looked_up_row(user, program)) {
        rows::count(row, FileOp::Exec as u8);
    }
    if bprm_script == 0 {
        return 0;
    }
    let name: u64 = read(bprm_script, offset!(bprm_filename));
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let length = names::kernel_name(buffer, name);
    if length <= 1 || length > MAX_ARGV as i64 {
        return 0;
    }
    // A program that was executed by its descriptor is named /dev/fd/N.
    let own = names::own_proc();
    let row = if own & OWN_SOMETHING != 0 {
        rows::looked_up_row(user, task::file(task::current(), own as u32).address())
    } else {
        let length = names::kernel_name(buffer, name + (own >> 32 & OWN_SKIP));
        if length <= 1 || length > MAX_ARGV as i64 {
            return 0;
        }
        let directory = if own == OWN_NOTHING {
            AT_FDCWD
        } else {
            own as u32
        };
        names::finish_named(user, directory, length as u64 | FOLLOW << 32)
    };
    names::one_name_done(Row::of(row), FileOp::Exec as u8, 0);
    // The program took the script's own name, or read it from the arguments before: it is whole there.
    let length = names::kernel_name(buffer, name);
    if length > 1 && length <= MAX_ARGV as i64 {
        scripts_between(user, names::hash_name(length as u64, 0));
    }
    0
}

/// Scripts that stand between a program and the script that was executed: the kernel puts the name of each in
/// front of what it was given, `PROGRAM [ARGUMENT] SCRIPT [ARGUMENT] SCRIPT …`. `last` is the hash of the
/// last name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scripts_between(user: u32, last: u64) -> u32 {
    let Some(buffer) = scratch(OF_CALLS) else {
        return 0;
    };
    let mm: u64 = read(task::current(), offset!(task_mm));
    let first: u64 = read(mm, offset!(mm_arg_start));
    let mut place = first;
    let mut found = 0;
    for number in 0..MAX_CHAIN {
        let length = names::user_name(buffer, place);
        if length < 1 || length > MAX_ARGV as i64 {
            return 0;
        }
        if number > 0 && names::hash_name(length as u64, 0) == last {
            found = number;
            break;
        }
        place += length as u64;
    }
    place = first;
    for number in 0..MAX_CHAIN {
        let length = names::user_name(buffer, place);
        if number >= found || length < 1 || length > MAX_ARGV as i64 {
            break;
        }
        // SAFETY: the buffer is larger than the offset.
        let is_path = unsafe { (*buffer).bytes[size_of::<FileEvent>()] } == b'/';
        if number > 0 && is_path {
            let row = names::finish_named(user, AT_FDCWD, length as u64 | FOLLOW << 32);
            names::one_name_done(Row::of(row), FileOp::Exec as u8, 0);
        }
        place += length as u64;
    }
    0
}

/// Names and arguments that the kernel puts in front: it takes no more than five scripts in a row.
const MAX_CHAIN: u32 = 12;

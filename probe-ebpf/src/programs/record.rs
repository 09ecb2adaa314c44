//! The records of the target's tasks: which one is the current task's, and what it says of the call that is
//! under way.
//!
//! Labels are given and taken in label.rs.

use crate::atomics::{bump, opaque, processor};
use crate::kernel::file::KernelFile;
use crate::kernel::sock::Sk;
use crate::kernel::{regs, task};
use crate::maps::{CPU_CACHE, RECORDS, TASKS, config, open, state, value};
use crate::programs::row::{Number, Row};
use procmon_probe_ebpf::abi::{
    CACHED_CPUS, Call, CallKind, CpuCache, MAX_TASKS, NO_CONVENTION, TaskRecord,
};

/// Slot of the current task; 0 for a task outside the target.
///
/// A cache per CPU answers for the task that ran last; a global epoch, changed by every change of
/// a label, makes it stale on all CPUs.
#[inline(always)]
pub(crate) fn current_slot() -> u64 {
    let task = task::current();
    let epoch = state!(epoch);
    match cache() {
        // SAFETY: the cache is this CPU's.
        Some(cache) => unsafe {
            if (*cache).task == task && (*cache).epoch == epoch {
                (*cache).slot
            } else {
                found(cache, task, 0, epoch)
            }
        },
        None => slot_of(task),
    }
}

/// Where the record of the current task is, for [`Task::at`], by the address of its registers. None where the
/// cache does not know it, and [`look_up`] does.
///
/// A stack serves another task once its own has ended: `sched_process_exit` makes the cache stale.
#[inline(always)]
pub(crate) fn calling(cache: Option<*mut CpuCache>, regs: u64) -> Option<u64> {
    let cache = cache?;
    // SAFETY: the cache is this CPU's.
    unsafe { ((*cache).regs == regs && (*cache).epoch == state!(epoch)).then_some((*cache).record) }
}

/// The place of a slot's record; beyond the last for slot 0.
#[inline(always)]
fn place_of(slot: u64) -> u64 {
    slot.wrapping_sub(1)
        .wrapping_mul(size_of::<TaskRecord>() as u64)
}

/// Slot of the current task by the table; 0 for a task outside the target, and while the window is not open.
/// The slot is kept only while the window is open. Opening and closing change the epoch, so that a kept slot
/// needs no further look at the window.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn look_up(regs: u64) -> u64 {
    let task = task::current();
    let epoch = state!(epoch);
    if !open() {
        return 0;
    }
    let slot = match cache() {
        // SAFETY: the cache is this CPU's.
        Some(cache) => unsafe { found(cache, task, regs, epoch) },
        None => slot_of(task),
    };
    if let Some(found) = Task::in_slot(slot) {
        found.set_regs(regs);
        found.set_convention_at(regs::convention_at(task, regs));
    }
    slot
}

/// The cache of this CPU, which the last of many CPUs lack.
#[inline(always)]
pub(crate) fn cache() -> Option<*mut CpuCache> {
    let cpu = opaque(processor());
    if cpu >= CACHED_CPUS as u64 {
        return None;
    }
    // SAFETY: the position is below the length.
    Some(unsafe { (&raw mut CPU_CACHE).cast::<CpuCache>().add(cpu as usize) })
}

/// Slot of the current task by the table, put into the cache; the epoch is that before. Where another
/// task may run in the middle of this, the cache stays empty.
#[inline(always)]
unsafe fn found(cache: *mut CpuCache, task: u64, regs: u64, epoch: u64) -> u64 {
    let slot = slot_of(task);
    if config!(preemptible) == 0 {
        // SAFETY: the caller's: the cache is this CPU's.
        unsafe {
            (*cache).task = task;
            (*cache).regs = regs;
            (*cache).epoch = epoch;
            (*cache).slot = slot;
            (*cache).record = place_of(slot);
        }
    }
    slot
}

/// Slot of any task by the table; 0: it has none.
#[inline(always)]
pub(crate) fn slot_of(task: u64) -> u64 {
    value(&TASKS, task).map_or(0, u64::from)
}

/// Makes cached labels stale.
#[inline(always)]
pub(crate) fn make_stale() {
    bump!(epoch);
}

/// A task of the target, by its record.
#[derive(Clone, Copy)]
pub(crate) struct Task(*mut TaskRecord);

/// Safe access to members of a record.
macro_rules! members {
    ($($member:ident $set:ident: $type:ty,)*) => {
        impl Task {
            $(
                #[inline(always)]
                pub(crate) fn $member(self) -> $type {
                    // SAFETY: `at` has found the record within the table, where it stays.
                    unsafe { (*self.0).$member }
                }

                #[inline(always)]
                #[allow(dead_code, reason = "not every member is written")]
                pub(crate) fn $set(self, value: $type) {
                    // SAFETY: as above.
                    unsafe { (*self.0).$member = value }
                }
            )*
        }
    };
}

members! {
    container set_container: u32,
    exe set_exe: u32,
    flags set_flags: u32,
    in_call set_in_call: u32,
    abi set_abi: u32,
    row set_row: u32,
    chance set_chance: u32,
    sockets set_sockets: u32,
    uid set_uid: u32,
    gid set_gid: u32,
    caps set_caps: u64,
    permitted set_permitted: u64,
    errno set_errno: u32,
    convention set_convention: u32,
    id set_id: u64,
    task set_task: u64,
    regs set_regs: u64,
    convention_at set_convention_at: u64,
    returns set_returns: u64,
    failures set_failures: u64,
    kind set_kind: u64,
    sock_number set_sock_number: u64,
    asked set_asked: u32,
    opening_at set_opening_at: u32,
    opening set_opening: u64,
    entered_ns set_entered_ns: u64,
    moved set_moved: u64,
    moves_in set_moves_in: u64,
    moves_out set_moves_out: u64,
    bytes_in set_bytes_in: u64,
    bytes_out set_bytes_out: u64,
    untimed set_untimed: u32,
    tgid set_tgid: u32,
    bucket set_bucket: u32,
    quick set_quick: u32,
    repeats set_repeats: u32,
    slot set_slot: u32,
}

/// The same of members that hold the address of something.
macro_rules! addresses {
    ($($member:ident $set:ident: $kind:ident,)*) => {
        impl Task {
            $(
                #[inline(always)]
                pub(crate) fn $member(self) -> $kind {
                    // SAFETY: as of other members.
                    $kind::at(unsafe { (*self.0).$member })
                }

                #[inline(always)]
                pub(crate) fn $set(self, value: $kind) {
                    // SAFETY: as of other members.
                    unsafe { (*self.0).$member = value.address() }
                }
            )*
        }
    };
}

addresses! {
    sock set_sock: Sk,
    resolver set_resolver: Sk,
    file set_file: KernelFile,
}

/// The same of members that hold the number of a row.
macro_rules! rows {
    ($($member:ident $set:ident,)*) => {
        impl Task {
            $(
                #[inline(always)]
                pub(crate) fn $member(self) -> Option<Row> {
                    // SAFETY: as of other members.
                    Row::of(unsafe { (*self.0).$member })
                }

                #[inline(always)]
                pub(crate) fn $set(self, row: Option<Row>) {
                    // SAFETY: as of other members.
                    unsafe { (*self.0).$member = row.number() }
                }
            )*
        }
    };
}

rows! {
    first_row set_first_row,
    second_row set_second_row,
    settled_first set_settled_first,
    settled_second set_settled_second,
}

impl Task {
    /// The current task; none outside the target.
    #[inline(always)]
    pub(crate) fn current() -> Option<Self> {
        Self::in_slot(current_slot())
    }

    /// The task in a slot; none in slot 0.
    #[inline(always)]
    pub(crate) fn in_slot(slot: u64) -> Option<Self> {
        Self::at(place_of(slot))
    }

    /// Any task, by its `task_struct`; none outside the target.
    #[inline(always)]
    pub(crate) fn of(task_struct: u64) -> Option<Self> {
        Self::in_slot(slot_of(task_struct))
    }

    /// The task whose record is at a place; none outside the target, and while the window is not open.
    #[inline(always)]
    pub(crate) fn at(place: u64) -> Option<Self> {
        let place = opaque(place);
        if place > size_of::<TaskRecord>() as u64 * u64::from(MAX_TASKS - 1) {
            return None;
        }
        // SAFETY: the place is that of a record.
        Some(Self(unsafe {
            (&raw mut RECORDS)
                .byte_add(place as usize)
                .cast::<TaskRecord>()
        }))
    }

    /// Writes all of the record of a task that begins.
    #[inline(always)]
    pub(crate) fn fill(self, record: TaskRecord) {
        // SAFETY: as for members.
        unsafe { *self.0 = record };
    }

    /// Returns that the record holds, while the task may be counting.
    #[inline(always)]
    pub(crate) fn returns_now(self) -> u64 {
        // SAFETY: as for members.
        unsafe { core::ptr::read_volatile(&raw const (*self.0).returns) }
    }

    /// The effect of the call and its arguments. One byte is read faster than it is taken out of the word.
    #[inline(always)]
    fn call_kind(self) -> *const CallKind {
        // SAFETY: as for members.
        unsafe { (&raw const (*self.0).kind).cast() }
    }

    /// Acts before the call runs, flags `AT_ENTRY_…`.
    #[inline(always)]
    pub(crate) fn acts_at_entry(self) -> u8 {
        // SAFETY: as for members.
        unsafe { (*self.call_kind()).at_entry }
    }

    /// The effect of the call.
    #[inline(always)]
    pub(crate) fn call(self) -> Call {
        // SAFETY: as for members.
        Call::decode(unsafe { (*self.call_kind()).kind }).unwrap_or(Call::Plain)
    }

    /// Message queues that there were when mq_open began, which keeps no descriptor.
    #[inline(always)]
    pub(crate) fn queues_before(self) -> u32 {
        self.second_row().number()
    }

    /// Keeps them.
    #[inline(always)]
    pub(crate) fn set_queues_before(self, queues: u32) {
        self.set_second_row(Row::of(queues));
    }

    /// The call is this one.
    #[inline(always)]
    pub(crate) fn is_in(self, call: Call) -> bool {
        // SAFETY: as for members.
        unsafe { (*self.call_kind()).is(call) }
    }

    /// The next call must be looked at again.
    #[inline(always)]
    pub(crate) fn forget_call(self) {
        self.set_convention(NO_CONVENTION);
        self.set_repeats(NO_CONVENTION);
    }

    /// Forgets what the last call has kept of its descriptors.
    #[inline(always)]
    pub(crate) fn forget_descriptors(self) {
        self.set_first_row(None);
        self.set_second_row(None);
        self.set_sockets(0);
        self.set_sock(Sk::at(0));
    }

    /// A task that begins a call has returned from the last one, also when another task was in the middle
    /// of the program that should have seen it.
    #[inline(always)]
    pub(crate) fn return_missed(self) {
        self.set_returns(self.returns() + u64::from(self.in_call() != 0));
        self.set_in_call(0);
    }

    /// The task ends in the call that its record tells. Where a hook may be skipped, its registers say
    /// whether that is so.
    #[inline(always)]
    pub(crate) fn ends_in_call(self) -> bool {
        self.in_call() != 0
            && (config!(preemptible) == 0 || regs::number(self.regs()) as u32 == self.id() as u32)
    }
}

/// The current process, of the target.
#[inline(always)]
pub(crate) fn current_tgid() -> u32 {
    Task::current().map_or(0, Task::tgid)
}

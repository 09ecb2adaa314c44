//! The loaded capture: its switch, its iterators, its tables, and the outcome of each hook.

use crate::hooks::{self, Placed, rank};
use crate::{calls, sys};
use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, HashMap as BpfMap, MapData, Queue, RingBuf};
use aya::programs::{Iter, Program};
use aya::{Ebpf, RawTracePointRunOptions, TestRun as _};
use procmon_probe_ebpf::abi::{
    CLOSED, CallKind, DENSE_NUMBERS, FOLDER_ROWS, HeldSocket, ListedTask, MAX_CONTAINERS, MAX_EXES,
    NOT_OPEN, OPEN as WINDOW_OPEN, PREFIX_ROWS, State,
};
use procmon_profile::model::{Abi, Hook, Tier};
use procmon_profile::wire::Limits;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::fd::OwnedFd;

/// The iterators of tasks and of descriptors, and the program that settles counts.
pub(crate) const SCAN: &str = "scan_tasks";
pub(crate) const SCAN_FILES: &str = "scan_files";
pub(crate) const SETTLE: &str = "settle_task";
/// Bytes read of an iterator at once.
const ITERATED_BYTES: usize = 64 << 10;

/// The loaded programs.
pub(crate) struct Capture {
    pub(crate) ebpf: Ebpf,
    /// First sights; mapped once, since that is dear.
    pub(crate) ring: RingBuf<MapData>,
    /// Every wanted hook.
    pub(crate) hooks: Vec<Placed>,
    /// The descriptors that keep kprobes attached.
    pub(crate) _kprobes: Vec<OwnedFd>,
    /// Sizes in use.
    pub(crate) limits: Limits,
    /// How long system calls take is measured.
    pub(crate) latency: bool,
    /// Numbers that CPUs may have.
    pub(crate) cpus: u32,
    /// Programs on tracepoints may be preempted.
    pub(crate) preemptible: bool,
}

impl Capture {
    /// Fills the tables that the programs only read, and the pools that they take numbers from.
    pub(crate) fn fill(&mut self, arch: &str) -> Result<()> {
        let (native, compat) = if arch == "amd64" {
            (Abi::X86_64, Abi::I386)
        } else {
            (Abi::Aarch64, Abi::Arm)
        };
        let mut table: Array<_, u64> = self
            .ebpf
            .map_mut("CALLS")
            .context("no map CALLS")?
            .try_into()?;
        for (base, abi) in [(0, native), (DENSE_NUMBERS, compat)] {
            for (number, kind) in calls::table(abi).into_iter().enumerate() {
                if kind != CallKind::default() {
                    table.set(u32::try_from(base + number)?, kind.to_word(), 0)?;
                }
            }
        }
        // Slot 0 is no task's, row 0 stands for none; slot 0 of executables is for those that found none,
        // slot 0 of containers is the sentinel's.
        self.fill_pool("FREE_TASKS", 1, self.limits.tasks + 1)?;
        self.fill_pool("FREE_EXES", 1, MAX_EXES)?;
        self.fill_pool("FREE_CONTAINERS", 1, MAX_CONTAINERS)?;
        self.fill_pool("FREE_SYSCALL_ROWS", 1, self.limits.syscall_rows)?;
        let files = self.limits.file_rows - FOLDER_ROWS.min(self.limits.file_rows / 2);
        self.fill_pool("FREE_FILE_ROWS", 1, files + 1)?;
        self.fill_pool("FREE_FOLDER_ROWS", files + 1, self.limits.file_rows + 1)?;
        let peers = self.limits.network_rows - PREFIX_ROWS.min(self.limits.network_rows / 2);
        self.fill_pool("FREE_PEER_ROWS", 1, peers + 1)?;
        self.fill_pool("FREE_PREFIX_ROWS", peers + 1, self.limits.network_rows + 1)
    }

    fn fill_pool(&mut self, name: &str, from: u32, to: u32) -> Result<()> {
        let to = self
            .limits
            .entries
            .get(name)
            .map_or(to, |entries| to.min(from + entries));
        let map = self
            .ebpf
            .map_mut(name)
            .with_context(|| format!("no map {name}"))?;
        let mut pool: Queue<&mut MapData, u32> = map.try_into()?;
        for number in from..to {
            pool.push(number, 0)
                .with_context(|| format!("cannot fill {name}"))?;
        }
        Ok(())
    }

    /// Begins to count.
    pub(crate) fn open(&mut self) -> Result<()> {
        self.set_state(|state| state.open = WINDOW_OPEN)
    }

    /// Ends counting, and waits for the programs that still run. Records and labels of tasks stay as they
    /// are from then on.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.end(CLOSED)
    }

    /// Ends counting; labels go on.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.end(NOT_OPEN)
    }

    fn end(&mut self, state: u32) -> Result<()> {
        self.set_state(|all| all.open = state)?;
        sys::barrier();
        // Bump the epoch again: a program that ran between the two writes may have cached a stale label.
        self.set_state(|_| {})
    }

    /// Reads the state that the programs share.
    pub(crate) fn state(&self) -> Result<State> {
        let map: Array<_, State> = self.ebpf.map(".bss").context("no map .bss")?.try_into()?;
        Ok(map.get(&0, 0)?)
    }

    /// Changes the switch.
    pub(crate) fn set_state(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut map: Array<_, State> = self
            .ebpf
            .map_mut(".bss")
            .context("no map .bss")?
            .try_into()?;
        let mut state = map.get(&0, 0)?;
        change(&mut state);
        // A program may have counted up meanwhile: leap ahead, since it must never go back.
        state.epoch += 1 << 32;
        map.set(0, state, 0)?;
        Ok(())
    }

    /// Runs the task iterator once; what it writes.
    pub(crate) fn scan(&mut self, mode: u32) -> Result<Vec<u8>> {
        self.set_state(|state| state.scan = mode)?;
        let mut all = Vec::new();
        self.iterate(SCAN, u64::MAX, size_of::<ListedTask>(), |task| {
            all.extend_from_slice(task);
        })?;
        Ok(all)
    }

    /// Runs the iterator of descriptors once, until a time of the monotonic clock; `each` gets what it
    /// writes, of the size of a `HeldSocket`. False: it did not come to the end.
    pub(crate) fn list_files(&mut self, end_ns: u64, each: impl FnMut(&[u8])) -> Result<bool> {
        self.iterate(SCAN_FILES, end_ns, size_of::<HeldSocket>(), each)
    }

    fn iterate(
        &mut self,
        program: &str,
        end_ns: u64,
        size: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<bool> {
        let reading = || format!("cannot read the iterator `{program}`");
        let iterator: &mut Iter = self
            .ebpf
            .program_mut(program)
            .with_context(|| format!("no iterator `{program}`"))?
            .try_into()?;
        let id = iterator
            .attach()
            .with_context(|| format!("cannot attach the iterator `{program}`"))?;
        let mut file = iterator.take_link(id)?.into_file()?;
        let mut bytes = vec![0; ITERATED_BYTES];
        let mut rest = 0;
        while sys::monotonic_ns() < end_ns {
            match file.read(&mut bytes[rest..]) {
                Ok(0) => return Ok(true),
                Ok(count) => {
                    let records = bytes[..rest + count].chunks_exact(size);
                    let whole = rest + count - records.remainder().len();
                    records.for_each(&mut each);
                    bytes.copy_within(whole..rest + count, 0);
                    rest = rest + count - whole;
                }
                // The kernel comes back now and then from a long way without anything to write.
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error).with_context(reading),
            }
        }
        Ok(false)
    }

    /// Slots of the tasks that have a label now.
    pub(crate) fn task_slots(&self) -> Result<BTreeSet<u32>> {
        let tasks: BpfMap<_, u64, u32> =
            self.ebpf.map("TASKS").context("no map TASKS")?.try_into()?;
        Ok(tasks
            .iter()
            .filter_map(Result::ok)
            .map(|(_, slot)| slot)
            .collect())
    }

    /// Once the window is over: puts into rows what records of tasks hold.
    pub(crate) fn settle(&self) -> Result<()> {
        for slot in self.task_slots()? {
            self.held_by(slot)?;
        }
        Ok(())
    }

    /// Calls that the record of a task holds and no row has counted, their low 32 bits. Counts them when the
    /// window is over.
    pub(crate) fn held_by(&self, slot: u32) -> Result<u32> {
        let Some(Program::RawTracePoint(settle)) = self.ebpf.program(SETTLE) else {
            bail!("the object lacks what settles counts");
        };
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = u64::from(slot);
        let ran = settle
            .test_run(options)
            .context("cannot run the program that settles counts")?;
        Ok(ran.return_value)
    }

    /// Every program in use, with its hook's id.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&'static str, &Program)> {
        self.hooks.iter().flat_map(|placed| {
            placed
                .used
                .iter()
                .flat_map(|used| used.programs)
                .filter_map(|(program, _)| Some((placed.wanted.id, self.ebpf.program(program)?)))
        })
    }

    /// The outcome of one hook, to be changed.
    pub(crate) fn placed_mut(&mut self, id: &str) -> Option<&mut Placed> {
        self.hooks.iter_mut().find(|placed| placed.wanted.id == id)
    }

    /// The outcome of one hook.
    pub(crate) fn placed(&self, id: &str) -> Option<&Placed> {
        hooks::find(&self.hooks, id)
    }

    /// The best tier in use.
    pub(crate) fn tier(&self) -> Tier {
        self.hooks
            .iter()
            .filter(|placed| placed.is_there())
            .map(|placed| placed.hook.tier)
            .min_by_key(|tier| rank(*tier))
            .unwrap_or(Tier::Base)
    }

    /// Every hook, for the document.
    pub(crate) fn document_hooks(&self) -> Vec<Hook> {
        self.hooks
            .iter()
            .map(|placed| placed.hook.clone())
            .collect()
    }
}

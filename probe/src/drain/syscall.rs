//! Counts of system calls.

use super::Errnos;
use crate::hooks::Capture;
use anyhow::{Context as _, Result};
use aya::maps::{Array, PerCpuArray, Queue};
use procmon_probe_ebpf::abi::{ROWS_SYSCALLS, SyscallKey, SyscallRow, TaskRecord};
use std::collections::{BTreeMap, HashMap};

/// One row, summed over the CPUs.
pub(crate) struct SyscallSample {
    pub(crate) key: SyscallKey,
    pub(crate) row: SyscallRow,
    /// Calls under way.
    pub(crate) unfinished: u64,
    number: u32,
    inline_errnos: BTreeMap<u16, u64>,
}

impl SyscallSample {
    /// Failures by errno: those within the row, and those that found no place in it.
    pub(crate) fn errors(&self, errnos: &Errnos) -> BTreeMap<u16, u64> {
        let mut all = self.inline_errnos.clone();
        for (errno, count) in errnos
            .get(&(ROWS_SYSCALLS, self.number))
            .into_iter()
            .flatten()
        {
            *all.entry(*errno).or_insert(0) += count;
        }
        all
    }
}

/// Reads every row in use.
pub(crate) fn read(capture: &mut Capture) -> Result<Vec<SyscallSample>> {
    // Rows are taken in the order of their numbers and never given back: the next one says how many.
    let used = {
        let mut pool: Queue<_, u32> = capture
            .ebpf
            .map_mut("FREE_SYSCALL_ROWS")
            .context("no map FREE_SYSCALL_ROWS")?
            .try_into()?;
        match pool.pop(0) {
            Ok(next) => next,
            Err(_) => capture.limits.syscall_rows,
        }
    };
    let in_flight = in_flight(capture)?;
    let keys: Array<_, SyscallKey> = capture
        .ebpf
        .map("SYSCALL_KEYS")
        .context("no map SYSCALL_KEYS")?
        .try_into()?;
    let rows: PerCpuArray<_, SyscallRow> = capture
        .ebpf
        .map("SYSCALL_ROWS")
        .context("no map SYSCALL_ROWS")?
        .try_into()?;
    let mut samples = Vec::with_capacity(used as usize);
    for number in 0..used {
        let mut row = SyscallRow::default();
        let mut inline_errnos = BTreeMap::new();
        for cpu in rows.get(&number, 0)?.iter() {
            row.calls += cpu.calls;
            // What one CPU added another may have taken away again.
            row.restarted = row.restarted.wrapping_add(cpu.restarted);
            row.no_return += cpu.no_return;
            row.denied += cpu.denied;
            for entry in cpu.errnos.iter().filter(|entry| entry.count > 0) {
                *inline_errnos
                    .entry(u16::try_from(entry.errno).unwrap_or(0))
                    .or_insert(0) += entry.count;
            }
        }
        if row.calls == 0 {
            continue;
        }
        samples.push(SyscallSample {
            key: keys.get(&number, 0)?,
            row,
            unfinished: in_flight.get(&number).copied().unwrap_or(0),
            number,
            inline_errnos,
        });
    }
    Ok(samples)
}

/// Sum of all calls so far, for the progress line.
pub(crate) fn total(capture: &Capture) -> Result<u64> {
    let rows: PerCpuArray<_, SyscallRow> = capture
        .ebpf
        .map("SYSCALL_ROWS")
        .context("no map SYSCALL_ROWS")?
        .try_into()?;
    let mut total = 0;
    let mut idle = 0;
    for number in 0..capture.limits.syscall_rows {
        let calls: u64 = rows.get(&number, 0)?.iter().map(|cpu| cpu.calls).sum();
        total += calls;
        // Rows in use come first; a few may not have been counted in yet.
        idle = if calls == 0 { idle + 1 } else { 0 };
        if idle > 16 {
            break;
        }
    }
    Ok(total)
}

/// Calls under way, by row.
fn in_flight(capture: &Capture) -> Result<HashMap<u32, u64>> {
    let tasks: aya::maps::HashMap<_, u64, u32> = capture
        .ebpf
        .map("TASKS")
        .context("no map TASKS")?
        .try_into()?;
    let records: Array<_, TaskRecord> = capture
        .ebpf
        .map("RECORDS")
        .context("no map RECORDS")?
        .try_into()?;
    let mut rows = HashMap::new();
    for (_, slot) in tasks.iter().filter_map(Result::ok) {
        let record = records.get(&slot, 0)?;
        if record.live != 0 && record.in_call != 0 {
            *rows.entry(record.row).or_insert(0) += 1;
        }
    }
    Ok(rows)
}

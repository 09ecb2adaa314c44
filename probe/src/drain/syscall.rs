//! Counts of system calls.

use super::Errnos;
use crate::capture::Capture;
use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, PerCpuArray, Queue};
use procmon_probe_ebpf::abi::{
    ArgumentKey, LATENCY_BUCKETS, LatencyRow, ROWS_SYSCALLS, SyscallKey, SyscallRow, latency_floor,
};
use procmon_profile::model::Latency;
use std::collections::BTreeMap;

/// Tasks that the progress line asks for what they hold.
const ASKED_TASKS: usize = 256;

/// One row, summed over the CPUs.
pub(crate) struct SyscallSample {
    pub(crate) key: SyscallKey,
    pub(crate) row: SyscallRow,
    number: u32,
    inline_errnos: BTreeMap<u16, u64>,
    /// How long they took, where that was measured.
    pub(crate) latency: Option<Latency>,
}

impl SyscallSample {
    /// A row without failures of its own.
    #[cfg(test)]
    pub(crate) fn of(key: SyscallKey, row: SyscallRow, number: u32) -> Self {
        Self {
            key,
            row,
            number,
            inline_errnos: BTreeMap::new(),
            latency: None,
        }
    }

    /// The arguments of the row, of those of all rows in their order.
    pub(crate) fn arguments<'a>(&self, all: &'a [(ArgumentKey, u64)]) -> &'a [(ArgumentKey, u64)] {
        let from = all.partition_point(|(key, _)| key.row < self.number);
        let own = &all[from..];
        &own[..own.partition_point(|(key, _)| key.row == self.number)]
    }

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

/// A row of every CPU.
fn on_all_cpus<'a, T: std::borrow::Borrow<aya::maps::MapData>>(
    capture: &Capture,
    rows: &'a Array<T, SyscallRow>,
    number: u32,
) -> impl Iterator<Item = Result<SyscallRow>> + 'a {
    let each = capture.limits.syscall_rows;
    (0..capture.cpus).map(move |cpu| Ok(rows.get(&(cpu * each + number), 0)?))
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
    let keys: Array<_, SyscallKey> = capture
        .ebpf
        .map("SYSCALL_KEYS")
        .context("no map SYSCALL_KEYS")?
        .try_into()?;
    let rows: Array<_, SyscallRow> = capture
        .ebpf
        .map("SYSCALL_ROWS")
        .context("no map SYSCALL_ROWS")?
        .try_into()?;
    let times: PerCpuArray<_, LatencyRow> = capture
        .ebpf
        .map("LATENCIES")
        .context("no map LATENCIES")?
        .try_into()?;
    let mut samples = Vec::with_capacity(used as usize);
    for number in 1..used {
        let mut row = SyscallRow::default();
        let mut inline_errnos = BTreeMap::new();
        for cpu in on_all_cpus(capture, &rows, number) {
            let cpu = cpu?;
            row.calls += cpu.calls;
            // What one CPU added another may have taken away again.
            row.restarted = row.restarted.wrapping_add(cpu.restarted);
            row.no_return += cpu.no_return;
            row.denied += cpu.denied;
            row.unfinished += cpu.unfinished;
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
            number,
            inline_errnos,
            latency: if capture.latency {
                latency(&times.get(&number, 0)?)
            } else {
                None
            },
        });
    }
    Ok(samples)
}

/// Counts of arguments, in the order of their rows.
pub(super) fn arguments(capture: &Capture) -> Result<Vec<(ArgumentKey, u64)>> {
    let map: HashMap<_, ArgumentKey, u64> = capture
        .ebpf
        .map("ARGUMENTS")
        .context("no map ARGUMENTS")?
        .try_into()?;
    let mut all: Vec<_> = map.iter().filter_map(Result::ok).collect();
    all.sort_unstable();
    Ok(all)
}

/// What the times of all CPUs say; none without a call.
fn latency(cpus: &[LatencyRow]) -> Option<Latency> {
    let mut counts = [0_u64; LATENCY_BUCKETS];
    for (count, cpu) in cpus.iter().flat_map(|cpu| cpu.buckets.iter().enumerate()) {
        counts[count] += *cpu;
    }
    let slowest = counts.iter().rposition(|count| *count > 0)?;
    let max = cpus.iter().map(|cpu| cpu.max).max()?;
    let max = max.max(latency_floor(slowest));
    let all: u64 = counts.iter().sum();
    // The end of the bucket that holds this share of the calls: none of them was slower.
    let share = |hundredths: u64| {
        let wanted = (all * hundredths).div_ceil(100);
        let mut sum = 0;
        for (bucket, count) in counts.iter().enumerate() {
            sum += count;
            if sum >= wanted {
                return (latency_floor(bucket + 1)).min(max);
            }
        }
        max
    };
    Some(Latency {
        p50: share(50),
        p95: share(95),
        p99: share(99),
        max,
    })
}

/// Sum of all calls so far, for the progress line: of very many tasks, not all that they hold.
pub(crate) fn total(capture: &Capture) -> Result<u64> {
    let rows: Array<_, SyscallRow> = capture
        .ebpf
        .map("SYSCALL_ROWS")
        .context("no map SYSCALL_ROWS")?
        .try_into()?;
    let mut total = 0;
    let mut idle = 0;
    for number in 1..capture.limits.syscall_rows {
        let mut calls = 0;
        for cpu in on_all_cpus(capture, &rows, number) {
            calls += cpu?.calls;
        }
        total += calls;
        // Rows in use come first; a few may not have been counted in yet.
        idle = if calls == 0 { idle + 1 } else { 0 };
        if idle > 16 {
            break;
        }
    }
    for slot in capture.task_slots()?.into_iter().take(ASKED_TASKS) {
        total += u64::from(capture.held_by(slot)?);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_probe_ebpf::abi::latency_bucket;

    #[test]
    fn every_time_lies_in_its_bucket() {
        for ns in
            (0..200_000).chain((17..36).flat_map(|bits| [(1 << bits) - 1, 1 << bits, 5 << bits]))
        {
            let bucket = latency_bucket(ns);
            assert!(latency_floor(bucket) <= ns, "{ns}");
            assert!(
                bucket == LATENCY_BUCKETS - 1 || ns < latency_floor(bucket + 1),
                "{ns}"
            );
        }
    }

    #[test]
    fn shares_are_of_all_cpus() {
        let mut cpus = [LatencyRow {
            max: 0,
            buckets: [0; LATENCY_BUCKETS],
        }; 2];
        for ns in 1..=1000_u64 {
            let cpu = &mut cpus[(ns % 2) as usize];
            cpu.buckets[latency_bucket(ns * 1000)] += 1;
            cpu.max = cpu.max.max(ns * 1000);
        }
        let latency = latency(&cpus).expect("there were calls");
        assert_eq!(latency.max, 1_000_000);
        for (found, exact) in [
            (latency.p50, 500_000),
            (latency.p95, 950_000),
            (latency.p99, 990_000),
        ] {
            assert!(
                (exact..=exact * 5 / 4).contains(&found),
                "{found} for {exact}"
            );
        }
    }
}

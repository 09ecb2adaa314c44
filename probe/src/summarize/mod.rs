//! Samples and what the node knows, to parts of a Profile: one file for each family. Pure: nothing here
//! reads a map, a file or a clock, or packs a row.

mod arguments;
mod capability;
mod coverage;
mod dns;
mod event;
mod file;
mod layer;
mod network;
mod process;
mod syscall;
#[cfg(test)]
pub(crate) mod testing;
mod unseen;

pub(crate) use coverage::Seen;
pub(crate) use file::observations;
pub(crate) use unseen::Unseen;
#[cfg(test)]
pub(crate) use unseen::{RING_CALLS, UNSEEN_CALLS};

use crate::clock::Clock;
use crate::drain::{Counted, Drained, FileSample};
use crate::hooks::Placed;
use crate::label::Slots;
use crate::node::Node;
use crate::packets::Taps;
use anyhow::Result;
use process::ProcessRows;
use procmon_probe_ebpf::abi::{ABI_COMPAT, ABI_X32, FileRow};
use procmon_profile::model::{Abi, Container, Counts, Dimension, File, Process};
use procmon_profile::tables::errno_name;
use procmon_profile::text::Text;
use std::collections::BTreeMap;

/// Everything that a summary is made from.
pub(crate) struct Facts<'a> {
    pub(crate) hooks: &'a [Placed],
    pub(crate) slots: &'a Slots,
    pub(crate) drained: &'a Drained,
    pub(crate) counted: &'a Counted,
    /// The counts of one file.
    pub(crate) counts_of_file: &'a dyn Fn(&FileSample) -> Result<FileRow>,
    pub(crate) node: &'a Node,
    pub(crate) clock: &'a Clock,
    /// A process held an io_uring when the window opened.
    pub(crate) has_ring: bool,
    /// Not all descriptors were looked at then.
    pub(crate) unread_descriptors: bool,
    pub(crate) taps: &'a Taps,
    pub(crate) arch: &'a str,
}

/// The parts of a Profile that a window showed.
pub(crate) struct Summary<'a> {
    /// Containers by slot, without the rows of processes and files.
    pub(crate) containers: BTreeMap<u32, Container>,
    /// The rows of processes and files.
    pub(crate) rows: Rows<'a>,
    /// The estimate by dimension, but for processes and files.
    pub(crate) coverage: BTreeMap<Dimension, f64>,
    pub(crate) unseen: Unseen,
}

/// Rows of processes and files, made one by one: they are never all in memory.
pub(crate) struct Rows<'a> {
    facts: &'a Facts<'a>,
    processes: ProcessRows<'a>,
}

/// Makes the rows.
pub(crate) fn summarize<'a>(facts: &'a Facts<'a>) -> Summary<'a> {
    let processes = process::name(facts);
    let mut containers = heads(facts);
    macro_rules! add {
        ($field:ident, $rows:expr) => {
            for (slot, row) in $rows {
                if let Some(container) = containers.get_mut(&slot) {
                    container.$field.push(row);
                }
            }
        };
    }
    add!(syscalls, syscall::rows(facts));
    add!(network, network::rows(facts));
    add!(dns, dns::rows(facts));
    add!(capabilities, capability::rows(facts));
    add!(events, event::rows(facts, &processes));
    Summary {
        coverage: coverage::coverage(&containers),
        unseen: Unseen::find(facts, &containers),
        containers,
        rows: Rows { facts, processes },
    }
}

/// Containers without rows, by slot.
fn heads(facts: &Facts<'_>) -> BTreeMap<u32, Container> {
    let slots = facts.slots.containers.iter();
    slots
        .map(|(slot, known)| {
            (
                *slot,
                Container {
                    container: known.name.clone().into(),
                    container_id: known.container_id.clone().map(Text::from),
                    pod_uid: known.pod_uid.clone().map(Text::from),
                    from_start: known.from_start,
                    started_at: known.started_ns.map(|ns| facts.clock.time(ns).into()),
                    ..Container::default()
                },
            )
        })
        .collect()
}

impl Rows<'_> {
    /// The slot of each process's container.
    pub(crate) fn slots_of_processes(&self) -> impl Iterator<Item = u32> {
        self.processes.slots()
    }

    /// Processes of one container.
    pub(crate) fn processes(&self, slot: u32) -> impl Iterator<Item = Process> {
        self.processes.of(slot)
    }

    /// How many files were seen, also those that have no row.
    pub(crate) fn n_files(&self) -> usize {
        self.facts.drained.files.len()
    }

    /// The slot of each file's container.
    pub(crate) fn slots_of_files(&self) -> impl Iterator<Item = u32> {
        let drained = self.facts.drained;
        let samples = drained.files.iter();
        samples.filter_map(|sample| drained.container_of(sample.exe))
    }

    /// Files of one container. A row is an error when its counts can't be read.
    pub(crate) fn files(&self, slot: u32) -> impl Iterator<Item = Result<File>> {
        let facts = self.facts;
        let samples = facts.drained.files.iter();
        samples
            .filter(move |sample| facts.drained.container_of(sample.exe) == Some(slot))
            .filter_map(move |sample| file::row(facts, slot, sample).transpose())
    }
}

/// The ABI of a call's number.
fn abi(arch: &str, abi: u32) -> Abi {
    match (arch, abi) {
        ("amd64", ABI_COMPAT) => Abi::I386,
        ("amd64", ABI_X32) => Abi::X32,
        ("amd64", _) => Abi::X86_64,
        (_, ABI_COMPAT) => Abi::Arm,
        _ => Abi::Aarch64,
    }
}

/// Counts by the names of their errnos.
fn by_name(errnos: &BTreeMap<u16, u64>) -> Counts {
    errnos
        .iter()
        .map(|(errno, count)| (errno_name(*errno).into(), *count))
        .collect()
}

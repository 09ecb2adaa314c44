//! Memory of the kernel's maps, and how it grows with the number of CPUs.

use crate::contender::Elsewhere;
use crate::curves::{Curve, Line};
use procmon_profile::merge::{NodeCapture, merge};
use procmon_profile::model::Session;
use procmon_profile::wire::{Decoder, Request, TargetSpec};
use serde::Serialize;
use std::path::Path;
use std::process::{Command, Stdio};

/// Map types that hold a value for each possible CPU, from linux/bpf.h: hash, array, LRU hash and
/// cgroup storage.
const PER_CPU: [u64; 4] = [5, 6, 10, 21];

/// Bytes of all maps of a capture with its default limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct MapMemory {
    /// CPUs that this kernel says may ever be there.
    pub(crate) possible_cpus: u64,
    /// All maps on this machine in bytes.
    pub(crate) total: u64,
    /// The part for each possible CPU.
    pub(crate) per_cpu: u64,
}

impl MapMemory {
    /// Reads the maps of the probe that runs a capture of its own.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let capture = Elsewhere::start(folder)?;
        let probe = descendants(capture.id())
            .into_iter()
            .max_by_key(|pid| map_texts(*pid).len())
            .ok_or("there is no probe")?;
        let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible")
            .map_err(|error| format!("possible CPUs: {error}"))?;
        Ok(Self::of(&map_texts(probe), cpus(&possible)))
    }

    /// The sum over descriptors of maps, as /proc/PID/fdinfo describes them.
    fn of(texts: &[String], possible_cpus: u64) -> Self {
        let mut memory = Self {
            possible_cpus,
            ..Self::default()
        };
        for text in texts {
            let field = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                    .and_then(|value| value.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            memory.total += field("memlock");
            if PER_CPU.contains(&field("map_type")) {
                memory.per_cpu += field("value_size").next_multiple_of(8) * field("max_entries");
            }
        }
        memory
    }

    /// Bytes on a machine with so many possible CPUs, with the capacities of this one.
    pub(crate) fn on(&self, cpus: u64) -> u64 {
        self.total.saturating_sub(self.per_cpu * self.possible_cpus) + self.per_cpu * cpus
    }

    /// As a drawing, with what guests measured.
    pub(crate) fn curve(&self, guests: &[(u64, u64)]) -> Curve {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let points = [1, 2, 4, 8, 16, 32, 64, 128, 256]
            .into_iter()
            .map(|cpus| (cpus as f64, mib(self.on(cpus))))
            .collect();
        Curve {
            file: "maps",
            title: "Memory of the kernel's maps against the number of CPUs".to_owned(),
            x: "possible CPUs".to_owned(),
            y: "maps, MiB".to_owned(),
            lines: vec![
                Line {
                    name: "capacities of this machine".to_owned(),
                    points,
                },
                Line {
                    name: "guests with so many CPUs".to_owned(),
                    points: guests
                        .iter()
                        .map(|(cpus, bytes)| (*cpus as f64, mib(*bytes)))
                        .collect(),
                },
            ],
        }
    }
}

/// The kernel of the guests; it takes a number of possible CPUs on its command line.
const GUEST: &str = "6.1";

/// Bytes of the maps as the probe reports them in a guest with so many possible CPUs.
pub(crate) fn in_guest(cpus: u64) -> Result<u64, String> {
    let argv = vec!["/bin/true".to_owned()];
    let request = Request {
        node: Some("guest".to_owned()),
        deadline_seconds: Some(150.0),
        concurrent: true,
        ..Request::new("bench", TargetSpec::Command { argv })
    };
    let request = serde_json::to_string(&request).map_err(|error| error.to_string())?;
    let output = Command::new(procmon_tests::root().join("tests/vm/run-in-vm.sh"))
        .args(["-m", "2048", "-t", "170", "-a"])
        .arg(format!("possible_cpus={cpus}"))
        .args([GUEST, "--"])
        .arg(procmon_tests::probe())
        .arg(request)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut decoder = Decoder::default();
    for line in text.lines().filter(|line| line.starts_with("{\"seq\"")) {
        decoder
            .line(line.as_bytes())
            .map_err(|error| error.to_string())?;
    }
    let capture = NodeCapture::read("guest".into(), decoder, None);
    let profile = merge(Session::default(), vec![capture]);
    profile
        .nodes
        .first()
        .and_then(|node| node.cost.as_ref()?.map_bytes)
        .ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            said.lines().last().unwrap_or("no profile").to_owned()
        })
}

/// Number of CPUs in a list such as `0-3,8`.
fn cpus(list: &str) -> u64 {
    list.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(last.parse::<u64>().ok()? - first.parse::<u64>().ok()? + 1)
        })
        .sum()
}

fn map_texts(pid: u32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo"));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .filter(|text| text.contains("map_type:"))
        .collect()
}

/// A process and all that descend from it.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", found[next]));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            found.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{MapMemory, cpus};

    #[test]
    fn lists_of_cpus_are_counted() {
        assert_eq!(cpus("0-1\n"), 2);
        assert_eq!(cpus("0"), 1);
        assert_eq!(cpus("0-3,8,10-11"), 7);
    }

    #[test]
    fn only_maps_with_a_value_per_cpu_grow() {
        let map = |kind: u64, value: u64, entries: u64, bytes: u64| {
            format!(
                "pos:\t0\nmap_type:\t{kind}\nvalue_size:\t{value}\nmax_entries:\t{entries}\nmemlock:\t{bytes}\n"
            )
        };
        let memory = MapMemory::of(&[map(2, 8, 10, 100), map(6, 12, 10, 320)], 2);
        assert_eq!((memory.total, memory.per_cpu), (420, 160));
        assert_eq!(memory.on(1), 260);
        assert_eq!(memory.on(2), 420);
        assert_eq!(memory.on(256), 100 + 256 * 160);
    }
}

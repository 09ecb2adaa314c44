//! What a capture costs: runs of the programs, CPU time, memory, and the memory limit of the probe.

use crate::capture::Capture;
use crate::packets::Taps;
use crate::sys;
use procmon_profile::model::Cost;
use procmon_profile::text::Text;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The window ends when less memory than this is left in the probe's cgroup: what the report itself needs,
/// that is the chunks (as many bytes as the stream), one chunk in the making, and the tables of counts.
const REPORT_BYTES: u64 = 28 << 20;

/// How often programs ran, and how often the kernel skipped them.
#[derive(Default)]
pub(crate) struct Statistics {
    runs: Option<u64>,
    seconds: Option<f64>,
    /// By hook.
    pub(crate) misses: BTreeMap<Text, u64>,
}

impl Statistics {
    /// Asks the kernel how often each program ran, and how often it was skipped; the hooks are told.
    pub(crate) fn read(capture: &mut Capture, taps: &Taps) -> Self {
        let mut all = Self::default();
        let mut skipped = BTreeMap::<_, Vec<_>>::new();
        let mut add = |statistics: &sys::ProgramStatistics| {
            if statistics.run_count > 0 {
                *all.runs.get_or_insert(0) += statistics.run_count;
                *all.seconds.get_or_insert(0.0) +=
                    Duration::from_nanos(statistics.run_time_ns).as_secs_f64();
            }
        };
        for (hook, program) in capture.programs() {
            let Ok(fd) = program.fd() else { continue };
            let Ok(statistics) = sys::program_statistics(&fd.as_fd().as_raw_fd()) else {
                continue;
            };
            skipped.entry(hook).or_default().push(statistics.missed);
            add(&statistics);
        }
        for program in taps.programs() {
            if let Ok(statistics) = sys::program_statistics(program) {
                add(&statistics);
            }
        }
        let preemptible = capture.preemptible;
        for (hook, skipped) in skipped {
            let Some(placed) = capture.placed_mut(hook) else {
                continue;
            };
            let missed = placed.missed(&skipped, preemptible);
            placed.hook.missed = missed;
            // Nothing is lost without what only adds facts.
            if let Some(count) = missed.filter(|count| *count > 0)
                && !placed.wanted.without.is_empty()
            {
                all.misses.insert(placed.hook.name.clone(), count);
            }
        }
        all
    }

    /// The cost so far; what is sent is not known yet.
    pub(crate) fn cost(&self) -> Cost {
        Cost {
            cpu_seconds: Some(Duration::from_nanos(sys::cpu_ns()).as_secs_f64()),
            bpf_seconds: self.seconds,
            bpf_runs: self.runs,
            rss_bytes: Some(sys::peak_rss()),
            map_bytes: map_bytes(),
            sent_bytes: None,
        }
    }
}

/// Memory of all maps of this process, as /proc/self/fdinfo states it.
fn map_bytes() -> Option<u64> {
    let mut total = None;
    for entry in std::fs::read_dir("/proc/self/fdinfo").ok()?.flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        if text.contains("map_type:")
            && let Some(bytes) = text
                .lines()
                .find_map(|line| line.strip_prefix("memlock:"))
                .and_then(|bytes| bytes.trim().parse::<u64>().ok())
        {
            *total.get_or_insert(0) += bytes;
        }
    }
    total
}

/// The memory limits that hold for the probe: that of its own cgroup, and those above it.
pub(crate) struct Memory {
    limits: Vec<Limit>,
    /// Bytes of the maps, which are kernel memory.
    maps: u64,
}

struct Limit {
    folder: PathBuf,
    version: MemoryFiles,
    bytes: u64,
}

/// Names of a cgroup's files: limit and usage; in memory.stat, what processes hold. The rest of the usage,
/// but for maps, the kernel takes back: files, and what it remembers of names in /proc, which v1 does not
/// tell apart.
#[derive(Clone, Copy)]
struct MemoryFiles {
    root: &'static str,
    limit: &'static str,
    usage: &'static str,
    held: &'static str,
}

const MEMORY_V2: MemoryFiles = MemoryFiles {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    held: "anon ",
};
const MEMORY_V1: MemoryFiles = MemoryFiles {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    held: "total_rss ",
};

impl Memory {
    /// Reads the limits; none without one.
    pub(crate) fn find() -> Option<Self> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let mut limits = Vec::new();
        for line in own.lines() {
            let Some((controllers, path)) = line
                .split_once(':')
                .and_then(|(_, rest)| rest.split_once(':'))
            else {
                continue;
            };
            let version = match controllers {
                "" => MEMORY_V2,
                _ if controllers.split(',').any(|name| name == "memory") => MEMORY_V1,
                _ => continue,
            };
            // A container may see its own cgroup as the root.
            let mut folder = Path::new(version.root).join(path.trim_start_matches('/'));
            while folder.starts_with(version.root) {
                limits.extend(Limit::of(&folder, version));
                folder.pop();
            }
        }
        (!limits.is_empty()).then(|| Self {
            limits,
            maps: map_bytes().unwrap_or(0),
        })
    }

    /// The window has to end, so that the report finds room.
    pub(crate) fn is_near_limit(&self) -> bool {
        self.limits.iter().any(|limit| limit.is_near(self.maps))
    }
}

impl Limit {
    fn of(folder: &Path, version: MemoryFiles) -> Option<Self> {
        let bytes = read_number(&folder.join(version.limit))?;
        // v1 writes a number near 2^63 for "none".
        (bytes < 1 << 60).then(|| Self {
            folder: folder.to_owned(),
            version,
            bytes,
        })
    }

    fn is_near(&self, maps: u64) -> bool {
        let most = self.bytes.saturating_sub(REPORT_BYTES.min(self.bytes / 4));
        let usage = read_number(&self.folder.join(self.version.usage));
        usage.is_some_and(|usage| usage > most) && self.held() + maps > most
    }

    /// Bytes of all processes of the cgroup.
    fn held(&self) -> u64 {
        let text = std::fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(self.version.held)?.trim().parse().ok())
            .unwrap_or(0)
    }
}

fn read_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

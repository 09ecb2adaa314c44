//! The memory of this process.

/// A size in MiB by its name in /proc/self/status: `VmRSS:` is resident now, `VmHWM:` its peak. Linux only.
pub(crate) fn mib(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}

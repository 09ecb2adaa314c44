//! Captures of one kernel know of each other: every program of the node pays for all of them.
//!
//! Each probe holds a lock on the file of its PID namespace, which on a node is one for the whole
//! kernel, whatever a pod mounts. It is a lock for reading: the kernel lets nobody open that file for
//! writing, so no lock of a stranger keeps a probe from its own. /proc/locks tells who holds one, and
//! only a process counts that has the rights to capture and the name of a probe.

use crate::sys;
use crate::unable::Unable;
use anyhow::anyhow;
use procmon_profile::text::Text;
use procmon_profile::wire::FailureCode;
use std::fs::{self, File};
use std::os::linux::fs::MetadataExt as _;

/// A probe's name begins with this; the beginning of its session's id follows.
const NAME: &str = "procmon-";
/// So much is read of /proc/locks: some 20,000 lines. Any process can make it longer.
const MAX_LOCKS_BYTES: u64 = 1 << 20;

/// The lock of one probe, held until it is dropped.
pub(crate) struct Lock {
    _file: Option<File>,
    /// What a reader should know.
    pub(crate) notes: Vec<Text>,
}

/// Takes the lock of a session; an error when another session captures on this kernel and this one
/// shall not run beside it. The probes of one session do not stand in each other's way.
pub(crate) fn take(session: &str, concurrent: bool) -> Result<Lock, Unable> {
    let mut others = Others::default();
    let locked = others.lock(session);
    let notes = match (&locked, others.count) {
        // The lock spares the node a cost; a capture is worth more than that.
        (Err(error), _) => {
            vec![format!("other captures on this kernel were not looked for: {error}").into()]
        }
        (Ok(_), 0) => Vec::new(),
        (Ok(_), _) if !concurrent => {
            return Err(Unable {
                code: FailureCode::Busy,
                error: anyhow!(
                    "process {} captures on this kernel already: session {}",
                    others.pid,
                    &others.name[NAME.len()..]
                ),
            });
        }
        (Ok(_), count) => vec![
            format!("{count} more captures ran on this kernel: programs paid for each of them")
                .into(),
        ],
    };
    Ok(Lock {
        _file: locked.ok(),
        notes,
    })
}

/// Probes of other sessions that began before this one. Of two that begin at once the younger sees
/// the elder, and not the other way round.
#[derive(Default)]
struct Others {
    count: u32,
    /// Process and name of the last.
    pid: u32,
    name: String,
}

impl Others {
    /// Locks for reading, and looks who else did.
    fn lock(&mut self, session: &str) -> std::io::Result<File> {
        // The kernel keeps the first 15 characters.
        fs::write("/proc/self/comm", [NAME, session].concat())?;
        let name = read("self", "comm");
        let file = File::open("/proc/self/ns/pid")?;
        sys::share_lock(&file)?;
        let metadata = file.metadata()?;
        let device = metadata.st_dev();
        let place = format!(
            "{:02x}:{:02x}:{}",
            libc::major(device),
            libc::minor(device),
            metadata.st_ino()
        );
        let own = (began("self"), std::process::id());
        let locks = crate::read_at_most(File::open("/proc/locks")?, MAX_LOCKS_BYTES)?;
        for line in locks.lines() {
            // 1: POSIX  ADVISORY  READ 4711 00:04:4026531836 0 0
            let mut words = line.split_ascii_whitespace().skip(4);
            if let Some(process) = words.next()
                && words.next() == Some(place.as_str())
                && let Ok(pid) = process.parse()
                && (began(process), pid) < own
                && let other = read(process, "comm")
                && other != name
                && is_probe(process, &other)
            {
                self.count += 1;
                self.pid = pid;
                self.name = other;
            }
        }
        Ok(file)
    }
}

fn read(process: &str, file: &str) -> String {
    let mut text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    text.truncate(text.trim_end().len());
    text
}

/// Ticks after boot at which a process began; the greatest number when it is gone.
fn began(process: &str) -> u64 {
    let stat = read(process, "stat");
    // The name, which may hold anything, ends with the last bracket; the state, field 3, follows.
    stat.rsplit(") ")
        .next()
        .and_then(|fields| fields.split(' ').nth(19)?.parse().ok())
        .unwrap_or(u64::MAX)
}

/// A process has the rights of a probe, and this name of it is a probe's.
fn is_probe(process: &str, name: &str) -> bool {
    let user = |process| fs::read_link(format!("/proc/{process}/ns/user")).unwrap_or_default();
    name.starts_with(NAME) && may_capture(process) && user(process) == user("self")
}

/// A process has the capabilities that matter, as root has them.
pub(crate) fn may_capture(process: &str) -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    const CAP_PERFMON: u32 = 38;
    const CAP_BPF: u32 = 39;
    let effective = read(process, "status")
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .unwrap_or(0);
    effective >> CAP_SYS_ADMIN & 1 == 1
        || (effective >> CAP_BPF & 1 == 1 && effective >> CAP_PERFMON & 1 == 1)
}

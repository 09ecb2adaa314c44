//! Maps and ring buffer to samples: what the programs saw, in the terms of this node.
//!
//! First sights come through the ring buffer while the window is open, and are looked up on the
//! node at once, while the process is likely to live. Counts are read once, after it has closed.

pub(crate) mod arguments;
mod capability;
mod event;
mod file;
mod network;
mod process;
mod syscall;

pub(crate) use event::RareSample;
pub(crate) use file::FileSample;
pub(crate) use network::PeerSample;
#[cfg(test)]
pub(crate) use process::Image;
pub(crate) use process::{PipeEnd, Processes, Row as ProcessRow};
pub(crate) use syscall::{SyscallSample, total as total_calls};

use crate::capture::Capture;
use crate::label::Slots;
use crate::losses::Losses;
use crate::node::{Links, Node, Ticket, namespace};
use crate::packets::Names;
use crate::sys;
use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, HashMap as BpfMap, Map};
use procmon_probe_ebpf::abi::{
    ArgumentKey, CapabilityKey, CapabilityRow, ContainerEvent, DIRECTION_OUTBOUND, EVENT_CONTAINER,
    EVENT_EXE, EVENT_EXEC, EVENT_EXIT, EVENT_FILE, EVENT_FORK, EVENT_NETWORK, EVENT_RARE,
    EVENT_WIRE, EVENT_WIRE_OWNER, ExeEvent, FileMeta, HeldSocket, Loss, NetworkEvent, OTHER_EXE,
    PORT_DNS, ProcessEvent, RARE_SETNS, RARE_UNSHARE, RareEvent, RowErrno, SENTINEL_CONTAINER,
    TASK_PENDING,
};
use procmon_profile::text::Text;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

/// Place of the network namespace in [`NAMESPACES`](crate::node::NAMESPACES).
const NETWORK_NAMESPACE: usize = 2;

/// Bytes of the paths of all files together.
const MAX_PATH_BYTES: usize = 12 << 20;
/// How long names are waited for when the window has closed. A child that waits for a file system is given up
/// much sooner; one that has no CPU is slow.
const LAST_NAMES: Duration = Duration::from_secs(2);
/// A drain that takes longer than this goes on after a look at the clock.
const MAX_DRAIN_NS: u64 = 20_000_000;
/// Records between two looks at the clock.
const RECORDS_AT_ONCE: u32 = 64;

/// In place of the path of executables that found no slot.
const OTHERS: &str = "(other executables)";

/// An executable of one container.
#[derive(Clone, Debug)]
pub(crate) struct Exe {
    /// Container slot.
    pub(crate) container: u32,
    /// Path, as text of the document.
    pub(crate) path: Text,
    /// About its file.
    pub(crate) meta: FileMeta,
}

/// Counts of errnos by table and row.
pub(crate) type Errnos = HashMap<(u16, u32), BTreeMap<u16, u64>>;

/// Everything seen so far.
#[derive(Default)]
pub(crate) struct Drained {
    /// By slot.
    pub(crate) exes: HashMap<u32, Exe>,
    pub(crate) files: Vec<FileSample>,
    pub(crate) peers: Vec<PeerSample>,
    /// Sockets that waited for others when the window had closed, looked at if any began to within it.
    pub(crate) held_last: Vec<HeldSocket>,
    pub(crate) links: Links,
    pub(crate) processes: Processes,
    pub(crate) rare: Vec<RareSample>,
    pub(crate) names: Names,
    /// Places of files whose names the reader was asked for.
    asked: VecDeque<(Ticket, usize)>,
    /// Names of files that stand as they were given, since nobody could say in time where they lead.
    pub(crate) as_given: u64,
    /// Bytes of the paths of files.
    file_bytes: usize,
    /// Files whose paths were cut, since all of them together are too long.
    pub(crate) cut_paths: u64,
}

/// Everything counted, once the window has closed.
#[cfg_attr(test, derive(Default))]
pub(crate) struct Counted {
    pub(crate) syscalls: Vec<SyscallSample>,
    pub(crate) errnos: Errnos,
    /// Counts of arguments, in the order of their rows.
    pub(crate) arguments: Vec<(ArgumentKey, u64)>,
    pub(crate) capabilities: Vec<(CapabilityKey, CapabilityRow)>,
    pub(crate) lost: Losses,
}

/// The path that a walk wrote: names, the last one first, each ended by NUL.
pub(crate) fn join(names: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(names.len() + 1);
    for name in names
        .split(|byte| *byte == 0)
        .rev()
        .filter(|name| !name.is_empty())
    {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

impl Drained {
    /// Takes what the ring buffer holds, for a short time. False: there is more.
    pub(crate) fn drain(
        &mut self,
        capture: &mut Capture,
        slots: &mut Slots,
        node: &mut Node,
    ) -> bool {
        let begun_ns = sys::monotonic_ns();
        let mut now_ns = begun_ns;
        let mut is_all = true;
        let mut n_records = 0_u32;
        while let Some(item) = capture.ring.next() {
            self.take(&item, slots, node, now_ns);
            n_records += 1;
            if n_records.is_multiple_of(RECORDS_AT_ONCE) {
                now_ns = sys::monotonic_ns();
                if now_ns - begun_ns > MAX_DRAIN_NS {
                    is_all = false;
                    break;
                }
            }
        }
        self.processes.settle(node);
        self.processes.look_for_titles(node, now_ns);
        self.name_files(node);
        self.names.tidy(now_ns);
        is_all
    }

    /// Takes where names lead, as far as the reader knows by now.
    fn name_files(&mut self, node: &mut Node) {
        node.reader.look();
        while let Some((ticket, place)) = self.asked.front().copied() {
            let Some(answer) = node.reader.answer(ticket) else {
                return;
            };
            self.asked.pop_front();
            match answer.0 {
                Some(path) => {
                    let path = self.bounded(path);
                    self.files[place].leads_to(&path);
                }
                None => self.as_given += 1,
            }
        }
    }

    /// A path, or the beginning of it when all paths together are too long.
    fn bounded(&mut self, path: Vec<u8>) -> Vec<u8> {
        if self.file_bytes + path.len() > MAX_PATH_BYTES {
            self.cut_paths += 1;
            return arguments::shortened(&path);
        }
        self.file_bytes += path.len();
        path
    }

    /// The window has closed: names that lead nowhere by now stand as they were given.
    pub(crate) fn close(&mut self, node: &mut Node) {
        node.reader.close(LAST_NAMES);
        self.name_files(node);
        self.as_given += self.asked.len() as u64;
        self.asked.clear();
        self.processes.close(node);
        self.names.close(sys::monotonic_ns());
    }

    /// Reads the counts of peers and of rare operations, after those that records of tasks held were
    /// settled. Files have too many: see [`FileSample::counts`].
    pub(crate) fn count(&mut self, capture: &Capture) -> Result<()> {
        network::count(capture, &mut self.peers)?;
        event::count(capture, &mut self.rare)
    }

    /// Takes one record of the ring buffer.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        slots: &mut Slots,
        node: &mut Node,
        now_ns: u64,
    ) -> Option<()> {
        let kind: u32 = sys::record(bytes)?;
        self.follow_namespaces(kind, bytes);
        if !matches!(kind, EVENT_FORK | EVENT_EXE | EVENT_CONTAINER) {
            self.processes.settle(node);
        }
        match kind {
            EVENT_FORK => self.processes.forked(&sys::record(bytes)?, node),
            EVENT_EXEC => {
                let event: ProcessEvent = sys::record(bytes)?;
                let before = self.processes.exe_of(event.tgid);
                self.processes.executed(bytes, node)?;
                if event.flags & TASK_PENDING != 0 {
                    self.inherited(before?, event.exe);
                }
            }
            EVENT_EXIT => self.processes.exited(&sys::record(bytes)?),
            EVENT_EXE => {
                let event: ExeEvent = sys::record(bytes)?;
                let names = bytes
                    .get(size_of::<ExeEvent>()..)?
                    .get(..event.path_len as usize)?;
                let path = file::text(&join(names), event.meta.flags);
                self.exes.insert(
                    event.exe,
                    Exe {
                        container: event.container,
                        path,
                        meta: event.meta,
                    },
                );
                node.seen(event.container, event.tgid);
            }
            EVENT_FILE => {
                let (mut sample, path, ticket) =
                    FileSample::new(bytes, &self.exes, &self.processes, node)?;
                if let Some(ticket) = ticket {
                    self.asked.push_back((ticket, self.files.len()));
                }
                let path = self.bounded(path);
                sample.leads_to(&path);
                self.files.push(sample);
            }
            EVENT_NETWORK => {
                let sample = PeerSample::new(bytes)?;
                self.links.look(&sample.event, &self.processes);
                self.peers.push(sample);
            }
            EVENT_RARE => {
                let sample = RareSample::new(bytes, &self.processes)?;
                self.rare.push(sample);
            }
            EVENT_WIRE => self.names.packet(&sys::record(bytes)?, now_ns),
            EVENT_WIRE_OWNER => self.names.claimed(&sys::record(bytes)?, now_ns),
            EVENT_CONTAINER => {
                let event: ContainerEvent = sys::record(bytes)?;
                let end = event.name.iter().position(|byte| *byte == 0).unwrap_or(0);
                let name = String::from_utf8_lossy(&event.name[..end]).into_owned();
                slots.began(event.container, event.pod_cgroup, &name, event.time);
            }
            _ => {}
        }
        Some(())
    }

    /// Takes the sockets that waited for others when the window opened.
    pub(crate) fn hold(&mut self, sockets: Vec<HeldSocket>) {
        for socket in sockets {
            self.links.look(&socket.event, &self.processes);
            self.peers.push(PeerSample::held(&socket));
        }
    }

    /// The command's program holds what was open when it was executed.
    fn inherited(&mut self, before: u32, exe: u32) {
        for peer in &mut self.peers {
            if peer.event.key.exe == before {
                peer.event.key.exe = exe;
            }
        }
    }

    /// A socket began to wait for others within the window.
    pub(crate) fn has_new_listeners(&self) -> bool {
        self.peers.iter().any(PeerSample::is_new_listener)
    }

    /// Notes the network namespaces that a record tells of.
    fn follow_namespaces(&mut self, kind: u32, bytes: &[u8]) -> Option<()> {
        match kind {
            EVENT_FORK | EVENT_EXEC => {
                let event: ProcessEvent = sys::record(bytes)?;
                if event.container != SENTINEL_CONTAINER {
                    let netns = event.privileges.namespaces[NETWORK_NAMESPACE];
                    self.names.namespace(netns, Some(event.tgid));
                }
            }
            EVENT_NETWORK => {
                let event: NetworkEvent = sys::record(bytes)?;
                let (family, remote) = (i32::from(event.key.family), event.key.remote);
                let is_inet = matches!(family, libc::AF_INET | libc::AF_INET6);
                // Nobody greets himself by name: there only a resolver matters.
                let is_loopback = if family == libc::AF_INET {
                    remote[0] == 127
                } else {
                    remote == Ipv6Addr::LOCALHOST.octets()
                };
                if i32::from(event.key.socket_type) == libc::SOCK_STREAM
                    && event.key.direction == DIRECTION_OUTBOUND
                    && is_inet
                    && (!is_loopback || event.key.remote_port == PORT_DNS)
                {
                    self.names.used_namespace(event.netns, None);
                } else {
                    self.names.namespace(event.netns, None);
                }
            }
            EVENT_RARE => {
                let event: RareEvent = sys::record(bytes)?;
                if matches!(event.key.kind, RARE_UNSHARE | RARE_SETNS)
                    && let Some(netns) = namespace(&event.key.tgid.to_string(), "net")
                {
                    self.names.namespace(netns, Some(event.key.tgid));
                }
            }
            _ => {}
        }
        Some(())
    }

    /// The container slot of an executable slot; none for the sentinel's and for unknown ones.
    pub(crate) fn container_of(&self, exe: u32) -> Option<u32> {
        self.exes
            .get(&exe)
            .map(|exe| exe.container)
            .filter(|container| *container != SENTINEL_CONTAINER)
    }

    /// The target is one container: what found no executable slot is of this one.
    pub(crate) fn others_are_of(&mut self, container: u32) {
        let exe = Exe {
            container,
            path: OTHERS.to_owned().into(),
            meta: FileMeta::default(),
        };
        self.exes.insert(OTHER_EXE, exe);
    }

    /// Path of an executable slot.
    pub(crate) fn path_of(&self, exe: u32) -> Text {
        self.exes
            .get(&exe)
            .map_or_else(|| OTHERS.to_owned(), |exe| exe.path.clone().into())
            .into()
    }
}

impl Counted {
    /// Reads every table of counts.
    pub(crate) fn read(capture: &mut Capture) -> Result<Self> {
        capture.settle()?;
        let errnos = errnos(capture)?;
        let syscalls = syscall::read(capture)?;
        let arguments = syscall::arguments(capture)?;
        let capabilities = capability::read(capture)?;
        let losses: Array<_, u64> = capture
            .ebpf
            .map("LOST")
            .context("no map LOST")?
            .try_into()?;
        let mut lost = BTreeMap::new();
        for loss in Loss::ALL {
            let count = losses.get(&(*loss as u32), 0)?;
            if count > 0 {
                lost.insert(*loss, count);
            }
        }
        if !forgets_sockets(capture)? {
            lost.remove(&Loss::Hints);
        }
        Ok(Self {
            syscalls,
            errnos,
            arguments,
            capabilities,
            lost: Losses(lost),
        })
    }
}

/// So many sockets for datagrams were made that `LAST_SENT` may have forgotten some that are still in
/// use; it forgets a little before it is full.
fn forgets_sockets(capture: &Capture) -> Result<bool> {
    let Map::LruHashMap(hints) = capture.ebpf.map("LAST_SENT").context("no map LAST_SENT")? else {
        bail!("LAST_SENT is no LRU map");
    };
    Ok(capture.state()?.sockets_made >= u64::from(hints.info()?.max_entries() / 2))
}

fn errnos(capture: &Capture) -> Result<Errnos> {
    let map: BpfMap<_, RowErrno, u64> = capture
        .ebpf
        .map("ERRNOS")
        .context("no map ERRNOS")?
        .try_into()?;
    let mut all = Errnos::new();
    for (key, count) in map.iter().filter_map(Result::ok) {
        all.entry((key.rows, key.row))
            .or_default()
            .insert(key.errno, count);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn names_are_joined_from_the_last_to_the_first() {
        assert_eq!(join(b"passwd\0etc\0"), b"/etc/passwd");
        assert_eq!(join(b""), b"/");
    }
}

//! What only the node knows: mounts, roots, command lines and sockets of the target's processes.
//!
//! Everything here is read from /proc while the processes live; what is gone by then stays unknown.

pub(crate) mod links;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod reader;

pub(crate) use links::Links;
pub(crate) use mounts::MountFacts;
pub(crate) use reader::{Answer, CommandLine, Given, Question, Reader, Ticket};

use crate::sys;
use anyhow::{Context as _, Result, ensure};
use procmon_probe_ebpf::abi::Privileges;
use procmon_profile::model::NamespaceOwner;
use procmon_profile::text::Text;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::rc::Rc;

/// Names of the namespaces, in the order of [`Privileges::namespaces`].
pub(crate) const NAMESPACES: [&str; 7] = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"];
/// Times that the mounts of one container are read again.
const MAX_MOUNT_READS: u32 = 64;
/// Most bytes read of a status: its longest line has the supplementary groups.
const MAX_STATUS: u64 = 1 << 20;
/// Time that reading mounts may take: so much, and a share of the time since the start.
const MOUNTS_LEAST_NS: u64 = 50_000_000;
const MOUNTS_SHARE: u64 = 20;

/// What is known of one container.
#[derive(Default)]
struct Known {
    processes: Vec<u32>,
    mounts: HashMap<u32, Rc<MountFacts>>,
    mount_reads: u32,
    has_root: bool,
    namespaces: Option<[u32; 7]>,
}

/// What is known of the node.
#[derive(Default)]
pub(crate) struct Node {
    host: [u32; 7],
    containers: BTreeMap<u32, Known>,
    /// Namespaces are shared by the containers of one pod.
    pub(crate) has_pods: bool,
    /// What a target can hold up is asked of children: where names lead, and
    pub(crate) reader: Reader,
    /// command lines, which no flood of names may keep waiting.
    pub(crate) lines: Reader,
    /// Titles, which a process can hold up, too: those of processes that come in from outside must not wait
    /// for them.
    pub(crate) titles: Reader,
    started_ns: u64,
    mounts_ns: u64,
    /// Mounts that were not read, since others took too long.
    pub(crate) unread_mounts: u64,
}

impl Node {
    /// Looks at the node's own namespaces.
    pub(crate) fn new(has_pods: bool, seconds: Option<f64>) -> Self {
        let mut host = [0; 7];
        for (place, name) in NAMESPACES.iter().enumerate() {
            // Process 1 may be out of reach; process 2 is the kernel's.
            host[place] = ["1", "2", "self"]
                .iter()
                .find_map(|process| namespace(process, name))
                .unwrap_or(0);
        }
        Self {
            host,
            has_pods,
            reader: Reader::new(seconds),
            lines: Reader::new(seconds),
            titles: Reader::new(seconds),
            started_ns: sys::monotonic_ns(),
            ..Self::default()
        }
    }

    /// A process of a container was seen: it may be asked later.
    pub(crate) fn seen(&mut self, container: u32, tgid: u32) {
        let processes = &mut self.containers.entry(container).or_default().processes;
        if !processes.contains(&tgid) {
            if processes.len() >= 8 {
                processes.remove(1);
            }
            processes.push(tgid);
        }
    }

    /// The first process of a container says which namespaces are the container's.
    pub(crate) fn first_process(&mut self, container: u32, tgid: u32, privileges: &Privileges) {
        self.seen(container, tgid);
        let known = self.containers.entry(container).or_default();
        if known.namespaces.is_none() || privileges.ns_pid == 1 {
            known.namespaces = Some(privileges.namespaces);
        }
    }

    /// The mount with this id, as a container's processes see it.
    pub(crate) fn mount(&mut self, container: u32, id: u32) -> Option<Rc<MountFacts>> {
        let known = self.containers.get_mut(&container)?;
        if !known.mounts.contains_key(&id) && known.mount_reads < MAX_MOUNT_READS {
            let begun_ns = sys::monotonic_ns();
            if self.mounts_ns > MOUNTS_LEAST_NS + (begun_ns - self.started_ns) / MOUNTS_SHARE {
                self.unread_mounts += 1;
                return None;
            }
            known.mount_reads += 1;
            for process in known.processes.iter().rev() {
                if let Some(mounts) = mounts::read(*process) {
                    known
                        .mounts
                        .extend(mounts.into_iter().map(|(id, facts)| (id, Rc::new(facts))));
                    break;
                }
            }
            self.mounts_ns += sys::monotonic_ns() - begun_ns;
        }
        known.mounts.get(&id).cloned()
    }

    /// A process runs the container's own program: its root is the container's. Kept from now on,
    /// since processes may be gone when names have to be resolved.
    pub(crate) fn entered(&mut self, container: u32, tgid: u32) {
        let known = self.containers.entry(container).or_default();
        if !known.has_root {
            known.has_root = true;
            self.reader.ask(&Question::Root { container, tgid });
        }
    }

    /// What a running process is allowed now.
    pub(crate) fn refresh(tgid: u32, privileges: &mut Privileges) {
        let mut status = Vec::new();
        if let Ok(file) = File::open(format!("/proc/{tgid}/status")) {
            let _ = file.take(MAX_STATUS).read_to_end(&mut status);
        }
        Self::privileges(&status, privileges);
    }

    /// What a status says of them. Its first line has a name of any bytes that the process chose.
    pub(crate) fn privileges(status: &[u8], privileges: &mut Privileges) {
        for line in status.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            // Of four ids the second is the effective one.
            let id = || value.split_ascii_whitespace().nth(1)?.parse().ok();
            let set = || u64::from_str_radix(value.trim(), 16).ok();
            let number = || value.trim().parse().ok();
            match name {
                "Uid" => privileges.uid = id().unwrap_or(privileges.uid),
                "Gid" => privileges.gid = id().unwrap_or(privileges.gid),
                "CapEff" => privileges.effective = set().unwrap_or(privileges.effective),
                "CapPrm" => privileges.permitted = set().unwrap_or(privileges.permitted),
                "CapBnd" => privileges.bounding = set().unwrap_or(privileges.bounding),
                "NoNewPrivs" => {
                    privileges.no_new_privs = number().unwrap_or(privileges.no_new_privs);
                }
                "Seccomp" => privileges.seccomp = number().unwrap_or(privileges.seccomp),
                _ => {}
            }
        }
    }

    /// Whose each namespace of a process of this container is.
    pub(crate) fn namespaces(
        &self,
        container: u32,
        privileges: &Privileges,
    ) -> BTreeMap<Text, NamespaceOwner> {
        let own = self
            .containers
            .get(&container)
            .and_then(|known| known.namespaces);
        NAMESPACES
            .iter()
            .zip(privileges.namespaces)
            .enumerate()
            .filter(|(_, (_, inode))| *inode != 0)
            .map(|(place, (name, inode))| {
                let shared = self.has_pods && matches!(*name, "net" | "ipc" | "uts");
                let owner = if inode == self.host[place] {
                    NamespaceOwner::Host
                } else if own.is_some_and(|own| own[place] == inode) {
                    if shared {
                        NamespaceOwner::Pod
                    } else {
                        NamespaceOwner::Container
                    }
                } else {
                    NamespaceOwner::Other
                };
                ((*name).into(), owner)
            })
            .collect()
    }

    /// The container shares the node's mount namespace: its files are the node's.
    pub(crate) fn is_host(&self, container: u32) -> bool {
        self.containers
            .get(&container)
            .and_then(|known| known.namespaces)
            .is_none_or(|own| own[0] == self.host[0])
    }
}

/// `PROC_PID_INIT_INO`, include/linux/proc_ns.h: the number of a machine's first PID namespace.
const FIRST_PID_NAMESPACE: u32 = 0xefff_fffc;

/// Inode number of the PID namespace of this process, whose process ids /proc has; 0: the machine's first.
pub(crate) fn pid_namespace() -> Result<u32> {
    let own = namespace("self", "pid").context("cannot read /proc/self/ns/pid")?;
    let shown = std::fs::read_link("/proc/self").context("cannot read /proc/self")?;
    ensure!(
        shown.to_str().and_then(|pid| pid.parse().ok()) == Some(std::process::id()),
        "/proc shows another PID namespace than that of this process: mount its own one there \
         (`unshare --mount-proc`, or `mount -t proc proc /proc`)"
    );
    Ok(if own == FIRST_PID_NAMESPACE { 0 } else { own })
}

/// Inode number of a namespace that a process lives in.
pub(crate) fn namespace(process: &str, name: &str) -> Option<u32> {
    let link = std::fs::read_link(Path::new("/proc").join(process).join("ns").join(name)).ok()?;
    namespace_inode(link.to_str()?)
}

/// The inode number in `mnt:[N]`.
pub(crate) fn namespace_inode(link: &str) -> Option<u32> {
    link.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_are_read_whatever_the_process_calls_itself() {
        let status = b"Name:\t\xff\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n\
            CapPrm:\t00000000000000ff\nCapEff:\t0000000000000001\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let mut privileges = Privileges {
            bounding: 7,
            ..Privileges::default()
        };
        Node::privileges(status, &mut privileges);
        assert_eq!((privileges.uid, privileges.gid), (2, 6));
        assert_eq!((privileges.permitted, privileges.effective), (255, 1));
        assert_eq!((privileges.bounding, privileges.no_new_privs), (7, 1));
        assert_eq!(privileges.seccomp, 2);
    }
}

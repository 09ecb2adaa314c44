//! What only the node knows: mounts, roots, command lines and sockets of the target's processes.
//!
//! Everything here is read from /proc while the processes live; what is gone by then stays unknown.

pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod sockets;

pub(crate) use mounts::MountFacts;
pub(crate) use names::Given;
pub(crate) use sockets::{Listener, holds_ring, listeners};

use procmon_probe_ebpf::abi::Privileges;
use procmon_profile::mask::mask_texts;
use procmon_profile::model::NamespaceOwner;
use procmon_profile::text::{self, Text};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

/// Names of the namespaces, in the order of [`Privileges::namespaces`].
pub(crate) const NAMESPACES: [&str; 7] = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"];
/// Times that the mounts of one container are read again.
const MAX_MOUNT_READS: u32 = 64;
/// Most bytes read of a status: its longest line has the supplementary groups.
const MAX_STATUS: u64 = 1 << 20;
/// Most bytes read of a command line.
const MAX_COMMAND_LINE: u64 = 4096;

/// What is known of one container.
#[derive(Default)]
struct Known {
    processes: Vec<u32>,
    mounts: HashMap<u32, Rc<MountFacts>>,
    mount_reads: u32,
    root: Option<File>,
    namespaces: Option<[u32; 7]>,
}

/// What is known of the node.
#[derive(Default)]
pub(crate) struct Node {
    host: [u32; 7],
    containers: BTreeMap<u32, Known>,
    /// Namespaces are shared by the containers of one pod.
    pub(crate) has_pods: bool,
}

impl Node {
    /// Looks at the node's own namespaces.
    pub(crate) fn new(has_pods: bool) -> Self {
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
            known.mount_reads += 1;
            for process in known.processes.iter().rev() {
                if let Some(mounts) = mounts::read(*process) {
                    known
                        .mounts
                        .extend(mounts.into_iter().map(|(id, facts)| (id, Rc::new(facts))));
                    break;
                }
            }
        }
        known.mounts.get(&id).cloned()
    }

    /// A process runs the container's own program: its root is the container's. Kept from now on,
    /// since processes may be gone when names have to be resolved.
    pub(crate) fn entered(&mut self, container: u32, tgid: u32) {
        let known = self.containers.entry(container).or_default();
        if known.root.is_none() {
            known.root = File::open(format!("/proc/{tgid}/root")).ok();
        }
    }

    /// The path that a name leads to, as the mount namespace of the caller has it.
    pub(crate) fn resolve(&self, given: &Given<'_>) -> Vec<u8> {
        let (base, prefix) = self.root_of(given);
        let start = given
            .directory
            .strip_prefix(prefix.as_slice())
            .unwrap_or(given.directory);
        let mut path = prefix;
        path.extend(names::walk(
            start,
            given.name,
            given.follow,
            given.pid,
            |path| {
                let path = [base.as_slice(), path].concat();
                let target = std::fs::read_link(OsStr::from_bytes(&path)).ok()?;
                Some(target.into_os_string().into_encoded_bytes())
            },
        ));
        path
    }

    /// A way to the root of a caller, or of its container when it is gone; and where that root lies
    /// when it is a directory of its mount namespace.
    fn root_of(&self, given: &Given<'_>) -> (Vec<u8>, Vec<u8>) {
        let own = format!("/proc/{}/root", given.tgid).into_bytes();
        let not_root = |path: Vec<u8>| if path == b"/" { Vec::new() } else { path };
        let link = std::fs::read_link(OsStr::from_bytes(&own))
            .ok()
            .map(|link| not_root(link.into_os_string().into_encoded_bytes()));
        // The kernel has told where an absolute name begins.
        let prefix = given
            .name
            .starts_with(b"/")
            .then(|| not_root(given.directory.to_vec()));
        match (link, prefix.as_deref()) {
            (Some(link), Some(prefix)) if link == prefix => return (own, link),
            // A process may hold a directory outside of its root.
            (Some(link), None) if given.directory.starts_with(&link) => return (own, link),
            (Some(link), Some(prefix)) if link.is_empty() => {
                return ([own.as_slice(), prefix].concat(), prefix.to_vec());
            }
            _ => {}
        }
        let prefix = prefix.unwrap_or_default();
        let known = self
            .containers
            .get(&given.container)
            .and_then(|known| known.root.as_ref());
        let base = match known {
            Some(root) => {
                use std::os::fd::AsRawFd as _;
                format!("/proc/self/fd/{}", root.as_raw_fd())
            }
            None if self.is_host(given.container) => "/proc/1/root".to_owned(),
            None => "/nowhere".to_owned(),
        };
        ([base.as_bytes(), prefix.as_slice()].concat(), prefix)
    }

    /// Arguments of a running process, whether they were cut, and its working directory.
    pub(crate) fn command_line(tgid: u32) -> (Vec<Text>, bool, Option<Text>) {
        let mut bytes = Vec::new();
        if let Ok(file) = File::open(format!("/proc/{tgid}/cmdline")) {
            let _ = file.take(MAX_COMMAND_LINE).read_to_end(&mut bytes);
        }
        let truncated = bytes.len() as u64 == MAX_COMMAND_LINE;
        // Programs that write their own title leave a tail of NULs.
        while bytes.ends_with(b"\0\0") {
            bytes.pop();
        }
        let argv = arguments_text(&bytes, truncated);
        let cwd = std::fs::read_link(format!("/proc/{tgid}/cwd"))
            .ok()
            .map(|path| text::from_bytes(path.as_os_str().as_bytes()));
        (argv, truncated, cwd)
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

    /// Processes to ask about a container.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.containers.iter().flat_map(|(container, known)| {
            known.processes.iter().map(|process| (*container, *process))
        })
    }
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

/// Arguments as text, credentials masked.
pub(crate) fn arguments_text(bytes: &[u8], truncated: bool) -> Vec<Text> {
    let bytes = if truncated {
        bytes
    } else {
        bytes.strip_suffix(b"\0").unwrap_or(bytes)
    };
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut argv: Vec<Text> = bytes
        .split(|byte| *byte == 0)
        .map(text::from_bytes)
        .collect();
    mask_texts(&mut argv);
    argv
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

    #[test]
    fn arguments_keep_empty_ones_and_lose_credentials() {
        assert_eq!(
            arguments_text(b"a\0\0--token=x\0", false),
            ["a", "", "--token=***"]
        );
    }
}

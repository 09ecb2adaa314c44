//! What only the node knows: mounts, roots, command lines and sockets of the target's processes.
//!
//! Everything here is read from /proc while the processes live; what is gone by then stays unknown.

mod mounts;
mod names;
mod sockets;

pub(crate) use mounts::MountFacts;
pub(crate) use names::Given;
pub(crate) use sockets::{Listener, holds_ring, listeners};

use crate::drain::Image;
use procfs_core::FromBufRead as _;
use procfs_core::process::Status;
use procmon_probe_ebpf::abi::Privileges;
use procmon_profile::model::NamespaceOwner;
use procmon_profile::text;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Names of the namespaces, in the order of [`Privileges::namespaces`].
pub(crate) const NAMESPACES: [&str; 7] = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"];
/// Times that the mounts of one container are read again.
const MAX_MOUNT_READS: u32 = 64;
/// Most bytes read of a command line.
const MAX_COMMAND_LINE: u64 = 4096;

/// What is known of one container.
#[derive(Default)]
struct Known {
    processes: Vec<u32>,
    mounts: HashMap<u32, MountFacts>,
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
    pub(crate) fn mount(&mut self, container: u32, id: u32) -> Option<MountFacts> {
        let known = self.containers.get_mut(&container)?;
        if !known.mounts.contains_key(&id) && known.mount_reads < MAX_MOUNT_READS {
            known.mount_reads += 1;
            for process in known.processes.iter().rev() {
                if let Some(mounts) = mounts::read(*process) {
                    known.mounts.extend(mounts);
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
                let path = [base.as_bytes(), path].concat();
                let target = std::fs::read_link(OsStr::from_bytes(&path)).ok()?;
                Some(target.into_os_string().into_encoded_bytes())
            },
        ));
        path
    }

    /// A way to the root of a caller, or of its container when it is gone; and where that root lies
    /// when it is a directory of its mount namespace.
    fn root_of(&self, given: &Given<'_>) -> (String, Vec<u8>) {
        let own = format!("/proc/{}/root", given.tgid);
        if let Ok(link) = std::fs::read_link(&own) {
            let link = link.into_os_string().into_encoded_bytes();
            let prefix = if link == b"/" { Vec::new() } else { link };
            // A process may hold a directory outside of its root.
            if given.name.starts_with(b"/") || given.directory.starts_with(&prefix) {
                return (own, prefix);
            }
        }
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
        (base, Vec::new())
    }

    /// Arguments of a running process, whether they were cut, and its working directory.
    pub(crate) fn command_line(tgid: u32) -> (Vec<String>, bool, Option<String>) {
        let mut bytes = Vec::new();
        if let Ok(file) = File::open(format!("/proc/{tgid}/cmdline")) {
            let _ = file.take(MAX_COMMAND_LINE).read_to_end(&mut bytes);
        }
        let truncated = bytes.len() as u64 == MAX_COMMAND_LINE;
        // Programs that write their own title leave a tail of NULs.
        while bytes.ends_with(b"\0\0") {
            bytes.pop();
        }
        let argv = crate::drain::arguments_text(&bytes, truncated);
        let cwd = std::fs::read_link(format!("/proc/{tgid}/cwd"))
            .ok()
            .map(|path| text::from_bytes(path.as_os_str().as_bytes()));
        (argv, truncated, cwd)
    }

    /// What a running process is allowed now.
    pub(crate) fn refresh(tgid: u32, privileges: &mut Privileges) {
        let Some(status) = File::open(format!("/proc/{tgid}/status"))
            .ok()
            .and_then(|file| Status::from_buf_read(BufReader::new(file)).ok())
        else {
            return;
        };
        privileges.uid = status.euid;
        privileges.gid = status.egid;
        privileges.effective = status.capeff;
        privileges.permitted = status.capprm;
        privileges.bounding = status.capbnd.unwrap_or(privileges.bounding);
        privileges.no_new_privs = status
            .nonewprivs
            .map_or(privileges.no_new_privs, |set| u32::from(set != 0));
        privileges.seccomp = status.seccomp.unwrap_or(privileges.seccomp);
    }

    /// Whose each namespace of a process is.
    pub(crate) fn namespaces(
        &self,
        image: &Image,
        privileges: &Privileges,
    ) -> BTreeMap<String, NamespaceOwner> {
        let own = self
            .containers
            .get(&image.container)
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
                ((*name).to_owned(), owner)
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
    let text = link.to_str()?;
    text.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

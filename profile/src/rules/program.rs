//! All that one executable did in one container, added up.

use super::facts::{Facts, did, is_listener};
use crate::knowledge::{base_name, files, peers};
use crate::model::{Direction, FileOperation as Op, Protocol};
use serde_json::{Value as Json, json};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Classes of files that hold credentials, each a kind of its own.
const CREDENTIALS: [&str; 10] = [
    "password-database",
    "service-account-token",
    "cluster-key",
    "kubeconfig",
    "cloud-credentials",
    "workload-identity-token",
    "registry-credentials",
    "database-credentials",
    "ssh-key",
    "private-key",
];
/// Names that conditions see of a kind.
const MAX_NAMES: usize = 64;

/// One executable of a container.
#[derive(Default)]
pub(super) struct Program<'a> {
    /// Rows of its processes.
    pub(super) processes: Vec<usize>,
    pub(super) is: BTreeSet<&'static str>,
    /// It listens at a port.
    pub(super) listens: bool,
    pub(super) files: Files<'a>,
    pub(super) network: Network<'a>,
    dns: Dns<'a>,
    calls: BTreeMap<&'a str, u64>,
    errors: BTreeMap<String, u64>,
    refused: BTreeSet<&'a str>,
    /// The program, as conditions see it: made once.
    value: OnceCell<Json>,
}

#[derive(Default)]
pub(super) struct Files<'a> {
    read: BTreeSet<&'static str>,
    changed: BTreeSet<&'static str>,
    tried: BTreeSet<&'static str>,
    rows_read: u64,
    rows_written: u64,
    removed: u64,
    renamed: u64,
    created: u64,
    folders: HashSet<&'a str>,
    removed_folders: HashSet<&'a str>,
    processes: HashSet<&'a str>,
    environments: HashSet<&'a str>,
    endings: HashMap<&'a str, u64>,
    bytes_written: u64,
}

#[derive(Default)]
pub(super) struct Network<'a> {
    hosts: HashMap<&'a str, HashSet<u32>>,
    ports: HashMap<u32, HashSet<&'a str>>,
    failures: u64,
    failed_rows: u64,
    outbound: u64,
    most_connections: u64,
    most_connections_port: u32,
    bytes_sent: u64,
    bytes_received: u64,
    bytes_sent_public: u64,
    listens: BTreeSet<u32>,
    is: BTreeSet<&'static str>,
}

#[derive(Default)]
struct Dns<'a> {
    is: BTreeSet<&'static str>,
    names: HashSet<&'a str>,
    failed: u64,
    by_domain: HashMap<String, HashSet<&'a str>>,
    longest_label: u64,
    entropy: f64,
    service_names: HashSet<&'a str>,
    failed_service_names: HashSet<&'a str>,
    pointers: u64,
    texts: u64,
    broad: u64,
}

impl<'a> Program<'a> {
    /// All executables of a container, by path.
    pub(super) fn all(facts: &Facts<'a>) -> BTreeMap<&'a str, Self> {
        let mut programs: BTreeMap<&'a str, Self> = BTreeMap::new();
        for (place, process) in facts.processes.iter().enumerate() {
            let program = programs.entry(process.row.exe.as_str()).or_default();
            program.processes.push(place);
            program.is.extend(process.is);
        }
        let container = facts.container;
        for (row, is) in container.files.iter().zip(&facts.file_is) {
            let program = programs.entry(row.exe.as_str()).or_default();
            program.files.add(row, is);
        }
        for (row, is) in container.network.iter().zip(&facts.peer_is) {
            let program = programs.entry(row.exe.as_str()).or_default();
            program.listens |= is_listener(row);
            program.network.add(row, is);
        }
        for row in &container.dns {
            programs.entry(row.exe.as_str()).or_default().dns.add(row);
        }
        for row in &container.syscalls {
            let program = programs.entry(row.exe.as_str()).or_default();
            *program.calls.entry(row.name.as_str()).or_default() += row.calls;
            for (errno, count) in &row.errors {
                *program
                    .errors
                    .entry(format!("{} {errno}", row.name))
                    .or_default() += count;
                if matches!(errno.as_str(), "EPERM" | "EACCES") {
                    program.refused.insert(row.name.as_str());
                }
            }
        }
        programs
    }

    /// The program, as conditions see it.
    pub(super) fn value(&self, exe: &str, facts: &Facts<'_>) -> &Json {
        self.value.get_or_init(|| self.make_value(exe, facts))
    }

    fn make_value(&self, exe: &str, facts: &Facts<'_>) -> Json {
        let first = self.processes.first().map(|place| &facts.processes[*place]);
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut parents: BTreeSet<&str> = BTreeSet::new();
        let mut parents_are: BTreeSet<&str> = BTreeSet::new();
        let mut origins = BTreeSet::new();
        let mut uids = BTreeSet::new();
        for process in self
            .processes
            .iter()
            .take(MAX_NAMES)
            .map(|place| &facts.processes[*place])
        {
            names.insert(&process.name);
            origins.insert(process.row.origin.to_string());
            uids.insert(process.row.uid);
            if let Some(parent) = process.parent.map(|parent| &facts.processes[parent]) {
                parents.insert(&parent.name);
                parents_are.extend(parent.is);
            }
        }
        // A program without a row has only its path: it ended before the window, or is the
        // kernel's.
        if names.is_empty() {
            names.insert(base_name(exe));
        }
        let is: Vec<&str> = if self.processes.is_empty() {
            crate::knowledge::programs::classes(exe).to_vec()
        } else {
            self.is.iter().copied().collect()
        };
        let mut value = json!({
            "exe": exe,
            "name": names.iter().next().copied().unwrap_or_default(),
            "names": names,
            "is": is,
            "exeIs": files::classes(exe),
            "parents": parents,
            "parentsAre": parents_are,
            "origins": origins,
            "uids": uids,
            "listens": self.listens,
            "files": self.files.json(),
            "network": self.network.json(),
            "dns": self.dns.json(),
            "calls": self.calls,
            "errors": self.errors,
            "refusedCalls": self.refused.len(),
            "processes": self.processes.iter().map(|place| facts.processes[*place].row.count).sum::<u64>(),
        });
        super::facts::merge(
            &mut value,
            json!({
                "layer": first.and_then(|process| process.row.layer),
                "deleted": first.map(|process| process.row.deleted),
                "startedBefore": first.map(|process| process.row.started_before),
            }),
        );
        value
    }
}

impl<'a> Files<'a> {
    fn add(&mut self, row: &'a crate::model::File, is: &[&'static str]) {
        let did = |operations: &[Op]| did(row, operations);
        let writes = row.bytes_written > 0 || did(&[Op::Write, Op::Create, Op::Truncate]);
        let reads = row.bytes_read > 0 || did(&[Op::Read]) || did(&[Op::Open]) && !writes;
        let changes = writes
            || did(&[
                Op::Unlink,
                Op::Rename,
                Op::Link,
                Op::Symlink,
                Op::Chmod,
                Op::Chown,
                Op::Setxattr,
                Op::Mknod,
            ]);
        let folder = row.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.rows_read += u64::from(reads);
        self.rows_written += u64::from(writes);
        self.removed += u64::from(did(&[Op::Unlink]));
        self.renamed += u64::from(did(&[Op::Rename]));
        self.created += u64::from(did(&[Op::Create]));
        self.bytes_written += row.bytes_written;
        self.folders.insert(folder);
        if did(&[Op::Unlink]) {
            self.removed_folders.insert(folder);
        }
        if did(&[Op::Create, Op::Rename])
            && let Some((_, ending)) = base_name(&row.path).rsplit_once('.')
        {
            *self.endings.entry(ending).or_default() += 1;
        }
        if is.contains(&"process-facts") {
            self.processes.insert(folder);
        }
        if is.contains(&"environment-of-process") && reads {
            self.environments.insert(folder);
        }
        if reads {
            self.read.extend(is);
        }
        if changes {
            self.changed.extend(is);
        }
        self.tried.extend(is);
    }

    fn json(&self) -> Json {
        let most = self
            .endings
            .iter()
            .max_by_key(|(ending, count)| (**count, **ending));
        let kinds = CREDENTIALS.iter().filter(|kind| self.read.contains(**kind));
        json!({
            "read": self.read,
            "changed": self.changed,
            "tried": self.tried,
            "credentialKinds": kinds.count(),
            "rowsRead": self.rows_read,
            "rowsWritten": self.rows_written,
            "removed": self.removed,
            "removedFolders": self.removed_folders.len(),
            "renamed": self.renamed,
            "created": self.created,
            "folders": self.folders.len(),
            "processesLookedAt": self.processes.len(),
            "environmentsRead": self.environments.len(),
            "commonEnding": most.map_or("", |(ending, _)| ending),
            "commonEndingCount": most.map_or(0, |(_, count)| *count),
            "bytesWritten": self.bytes_written,
        })
    }
}

impl<'a> Network<'a> {
    fn add(&mut self, row: &'a crate::model::Network, is: &[&'static str]) {
        if is_listener(row) {
            self.listens
                .extend(row.local.as_ref().and_then(|local| local.port));
        }
        self.bytes_sent += row.bytes_sent;
        self.bytes_received += row.bytes_received;
        if row.direction != Direction::Outbound {
            return;
        }
        let Some(remote) = &row.remote else { return };
        let failures: u64 = row.failures.values().sum();
        self.failures += failures;
        self.is.extend(is);
        if let (Some(address), Some(port)) = (remote.address.as_deref(), remote.port) {
            self.outbound += 1;
            // Peers without a connection and without an answer.
            let is_answered = row.connections > 0 || row.bytes_received > 0;
            self.failed_rows += u64::from(!is_answered);
            self.hosts.entry(address).or_default().insert(port);
            self.ports.entry(port).or_default().insert(address);
            if row.connections > self.most_connections {
                self.most_connections = row.connections;
                self.most_connections_port = port;
            }
            if is.contains(&"public") {
                self.bytes_sent_public += row.bytes_sent;
            }
        }
    }

    /// It has or tried a connection to a host.
    pub(super) fn reaches_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    fn json(&self) -> Json {
        json!({
            "is": self.is,
            "hosts": self.hosts.len(),
            "portsOnOneHost": self.hosts.values().map(HashSet::len).max().unwrap_or(0),
            "hostsOnOnePort": self.ports.values().map(HashSet::len).max().unwrap_or(0),
            "outbound": self.outbound,
            "unanswered": self.failed_rows,
            "failures": self.failures,
            "mostConnections": self.most_connections,
            "mostConnectionsPort": self.most_connections_port,
            "bytesSent": self.bytes_sent,
            "bytesReceived": self.bytes_received,
            "bytesSentPublic": self.bytes_sent_public,
            "listens": self.listens.iter().take(MAX_NAMES).collect::<Vec<_>>(),
        })
    }
}

/// The classes of a peer: of its address, port, names and path.
pub(super) fn peer_classes(row: &crate::model::Network) -> Vec<&'static str> {
    let mut classes = Vec::new();
    let Some(remote) = &row.remote else {
        return classes;
    };
    if let Some(address) = remote.address.as_deref() {
        classes.extend(peers::address_classes(address));
    }
    if let Some(port) = remote.port {
        classes.extend(peers::port_classes(port));
    }
    let names = remote.names.iter().chain(&remote.claimed);
    classes.extend(names.filter_map(|name| peers::domain_class(name)));
    if let Some(path) = remote.path.as_deref() {
        if peers::is_runtime_socket(path) {
            classes.push("runtime-socket");
        }
        if peers::is_shim_socket(path) {
            classes.push("shim-socket");
        }
    }
    if matches!(
        row.protocol,
        Protocol::UnixStream | Protocol::UnixDgram | Protocol::UnixSeqpacket
    ) {
        classes.push("unix");
    }
    classes.sort_unstable();
    classes.dedup();
    classes
}

impl<'a> Dns<'a> {
    fn add(&mut self, row: &'a crate::model::Dns) {
        let name = row.name.as_str();
        self.names.insert(name);
        self.is.extend(peers::domain_class(name));
        let failed = row.rcode.as_deref().is_some_and(|rcode| rcode != "NOERROR");
        self.failed += u64::from(failed);
        let labels: Vec<&str> = name.split('.').collect();
        let domain = labels[labels.len().saturating_sub(2)..].join(".");
        self.by_domain.entry(domain).or_default().insert(name);
        for label in &labels {
            self.longest_label = self.longest_label.max(label.len() as u64);
            if label.len() >= 20 {
                self.entropy = self.entropy.max(entropy(label));
            }
        }
        if is_service(&labels) {
            self.service_names.insert(name);
            if failed {
                self.failed_service_names.insert(name);
            }
        }
        if name.starts_with("any.any.") {
            self.broad += 1;
        }
        self.pointers += u64::from(row.record_type == "PTR");
        self.texts += u64::from(matches!(row.record_type.as_str(), "TXT" | "NULL"));
    }

    fn json(&self) -> Json {
        json!({
            "is": self.is,
            "names": self.names.len(),
            "failed": self.failed,
            "mostUnderOneDomain": self.by_domain.values().map(HashSet::len).max().unwrap_or(0),
            "longestLabel": self.longest_label,
            "entropy": self.entropy,
            "serviceNames": self.service_names.len(),
            "failedServiceNames": self.failed_service_names.len(),
            "pointers": self.pointers,
            "texts": self.texts,
            "broad": self.broad,
        })
    }
}

/// A name of a service of the cluster: `NAME.NAMESPACE.svc…`.
fn is_service(labels: &[&str]) -> bool {
    labels.get(2) == Some(&"svc")
}

/// Shannon's entropy of a text, in bits for each character.
pub(super) fn entropy(text: &str) -> f64 {
    let mut counts: HashMap<u8, f64> = HashMap::new();
    for byte in text.bytes() {
        *counts.entry(byte).or_default() += 1.0;
    }
    let length = text.len() as f64;
    counts
        .values()
        .map(|count| count / length)
        .map(|share| -share * share.log2())
        .sum()
}

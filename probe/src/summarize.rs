//! Samples and what the node knows, to parts of a Profile.

use crate::clock::Clock;
use crate::drain::{
    Counted, Drained, FileSample, PeerSample, ProcessRow, Processes, RareSample, event,
};
use crate::hooks::{CAPABLE, Capture, MODULE_LOAD, Placed, RING_COMPLETE};
use crate::label::Slots;
use crate::node::{Node, links};
use crate::wire::Taps;
use anyhow::Result;
use procmon_probe_ebpf::abi::{
    ABI_COMPAT, ABI_X32, DIRECTION_INBOUND, DIRECTION_LISTEN, DIRECTION_OUTBOUND, FILE_DELETED,
    FILE_FOLDER, FILE_UPPER, FileMeta, HeldSocket, N_FILE_OPS, NetworkKey, NetworkRow, Privileges,
    RARE_BPF, RARE_CREDENTIALS, RARE_KEYCTL, RARE_MEMFD_EXEC, RARE_MODULE_LOAD, RARE_MOUNT,
    RARE_PERF, RARE_PTRACE, RARE_SETNS, RARE_SIGNAL, RARE_UNSHARE, RARE_USERFAULTFD, ROWS_FILES,
    ROWS_NETWORK, RareKey,
};
use procmon_profile::model::{
    Abi, CapabilityMethod, CapabilitySets, CapabilityUse, Container, Counts, Dimension,
    DimensionCompleteness, DimensionState, Direction, Dns, Endpoint, Event, EventType, File,
    FileOperation, HookState, Layer, NameSource, Network, Owner, Process, Protocol, Remote,
    SeccompMode, Syscall, Tier,
};
use procmon_profile::tables::{
    CAPABILITIES, capability_names, errno_name, signal_name, syscall_name,
};
use procmon_profile::text::{self, Text};
use procmon_profile::wire::Chunks;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

/// `OVERLAYFS_SUPER_MAGIC`, include/uapi/linux/magic.h.
const OVERLAYFS: u32 = 0x794c_7630;
/// `TMPFS_MAGIC`, include/uapi/linux/magic.h.
const TMPFS: u32 = 0x0102_1994;

/// Names given for one address.
const MAX_NAMES: usize = 16;

/// Operations in the order of the kernel side.
const OPERATIONS: [FileOperation; N_FILE_OPS] = [
    FileOperation::Open,
    FileOperation::Read,
    FileOperation::Write,
    FileOperation::Create,
    FileOperation::Unlink,
    FileOperation::Rename,
    FileOperation::Link,
    FileOperation::Symlink,
    FileOperation::Mkdir,
    FileOperation::Rmdir,
    FileOperation::Chmod,
    FileOperation::Chown,
    FileOperation::Setxattr,
    FileOperation::Truncate,
    FileOperation::Mknod,
    FileOperation::MmapExec,
    FileOperation::Exec,
];

/// Everything that a summary is made from.
pub(crate) struct Facts<'a> {
    pub(crate) capture: &'a Capture,
    pub(crate) slots: &'a Slots,
    pub(crate) drained: &'a Drained,
    pub(crate) counted: &'a Counted,
    pub(crate) node: &'a Node,
    pub(crate) clock: &'a Clock,
    /// A process held an io_uring when the window opened.
    pub(crate) has_ring: bool,
    /// Not all descriptors were looked at then.
    pub(crate) unread_descriptors: bool,
    pub(crate) taps: &'a Taps,
    pub(crate) arch: &'a str,
}

/// Bytes of the stream that the files get in any case: so many for each of their rows and a container's first chunk,
/// at most so many in all.
const FILE_ROOM: usize = 96;
const FILES_FIRST_ROOM: usize = 16 << 10;
const FILES_ROOM: usize = 2 << 20;
/// Bytes of the stream for each of the other kinds of rows, but for processes.
const KIND_ROOM: usize = 1 << 20;

/// What a window showed.
pub(crate) struct Summary {
    /// Containers without their rows, in the order of their slots.
    pub(crate) heads: Vec<Container>,
    /// Their rows, ready to be sent.
    pub(crate) chunks: Chunks,
    /// By dimension.
    pub(crate) coverage: BTreeMap<Dimension, f64>,
    /// Those of [`RING_CALLS`] that were answered without an error.
    ring_calls: BTreeSet<&'static str>,
    /// What was used that no row can show.
    not_looked_at: BTreeMap<Dimension, BTreeSet<Text>>,
}

/// Makes rows, and packs them as they are made: they are never all in memory.
pub(crate) fn summarize(facts: &Facts<'_>, mut chunks: Chunks) -> Result<Summary> {
    let mut containers: BTreeMap<u32, Container> = facts
        .slots
        .containers
        .iter()
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
        .collect();
    let rows = process_rows(facts);
    syscalls(facts, &mut containers);
    network(facts, &mut containers)?;
    dns(facts, &mut containers);
    capabilities(facts, &mut containers);
    events(facts, &mut containers, &rows.ids)?;
    let mut coverage = coverage(&containers);
    let not_looked_at = not_looked_at(facts, &containers);
    let is_used = |name: &&str| containers.values().any(|one| is_used(one, name));
    let ring_calls = RING_CALLS.into_iter().filter(is_used).collect();
    let mut by_number: Vec<&mut Container> = containers.values_mut().collect();
    macro_rules! send {
        ($($field:ident),*) => {$(
            let sizes = by_number.iter().map(|container| container.$field.len());
            fairly(&mut chunks, KIND_ROOM, sizes.collect(), |chunks, number, most| {
                let rows = std::mem::take(&mut by_number[number].$field);
                chunks.rows(number, most, rows);
                Ok(())
            })?;
        )*};
    }
    send!(network, capabilities, events, dns, syscalls);
    let slots: Vec<u32> = containers.keys().copied().collect();
    let sizes = |of_rows: &mut dyn Iterator<Item = u32>| {
        let mut sizes = vec![0; slots.len()];
        for slot in of_rows {
            if let Ok(number) = slots.binary_search(&slot) {
                sizes[number] += 1;
            }
        }
        sizes
    };
    let (drained, mut processes, mut files) = (facts.drained, Seen::default(), Seen::default());
    let files_room =
        FILES_ROOM.min(FILES_FIRST_ROOM * slots.len() + FILE_ROOM * drained.files.len());
    let room = chunks.room().saturating_sub(files_room);
    let images = &drained.processes.images;
    let n_rows = sizes(
        &mut rows
            .named
            .iter()
            .map(|(image, ..)| images[*image].container),
    );
    fairly(&mut chunks, room, n_rows, |chunks, number, most| {
        let rows = rows.of(facts, slots[number]);
        chunks.rows(number, most, rows.inspect(|row| processes.add(row.count)));
        Ok(())
    })?;
    let of_files = drained.files.iter();
    let n_rows = sizes(&mut of_files.filter_map(|sample| drained.container_of(sample.exe)));
    let room = chunks.room();
    fairly(&mut chunks, room, n_rows, |chunks, number, most| {
        let slot = slots[number];
        let mut failed = Ok(());
        let samples = drained.files.iter();
        let samples = samples.filter(|sample| drained.container_of(sample.exe) == Some(slot));
        let rows = samples.filter_map(|sample| {
            let row = file(facts, slot, sample).unwrap_or_else(|error| {
                failed = Err(error);
                None
            })?;
            files.add(row.operations.values().sum::<u64>() + row.errors.values().sum::<u64>());
            Some(row)
        });
        chunks.rows(number, most, rows);
        failed
    })?;
    for (dimension, seen) in [(Dimension::Processes, processes), (Dimension::Files, files)] {
        coverage.extend(seen.coverage().map(|value| (dimension, value)));
    }
    Ok(Summary {
        heads: containers.into_values().collect(),
        chunks,
        coverage,
        ring_calls,
        not_looked_at,
    })
}

/// Shares a room of the stream among containers, those with the fewest rows first: what they leave goes to the others,
/// so that no container takes the room of another. `sizes` are numbers of rows.
fn fairly(
    chunks: &mut Chunks,
    room: usize,
    sizes: Vec<usize>,
    mut send: impl FnMut(&mut Chunks, usize, usize) -> Result<()>,
) -> Result<()> {
    let mut order: Vec<(usize, usize)> = sizes.into_iter().enumerate().collect();
    order.retain(|(_, size)| *size > 0);
    order.sort_by_key(|(_, size)| *size);
    let (n_all, end) = (order.len(), chunks.room().saturating_sub(room));
    for (place, (number, _)) in order.into_iter().enumerate() {
        let left = chunks.room().saturating_sub(end);
        send(chunks, number, left / (n_all - place))?;
    }
    Ok(())
}

/// Rows of processes, before they are made.
struct ProcessRows<'a> {
    /// Image, uid, gid, row and id.
    named: Vec<(usize, u32, u32, &'a ProcessRow, Text)>,
    /// The id of the row that stands for each image.
    ids: HashMap<usize, Text>,
}

fn process_rows<'a>(facts: &Facts<'a>) -> ProcessRows<'a> {
    let table = &facts.drained.processes;
    let mut ids: HashMap<usize, (u64, Text)> = HashMap::new();
    let mut numbers: HashMap<u32, u32> = HashMap::new();
    let mut named = Vec::with_capacity(table.rows.len());
    for ((image, uid, gid), row) in &table.rows {
        let container = table.images[*image].container;
        let number = numbers.entry(container).or_insert(0);
        *number += 1;
        let id = Text::from(format!("p{number}"));
        let best = ids.entry(*image).or_insert((0, id.clone()));
        if row.count > best.0 {
            *best = (row.count, id.clone());
        }
        named.push((*image, *uid, *gid, row, id));
    }
    ProcessRows {
        named,
        ids: ids
            .into_iter()
            .map(|(image, (_, id))| (image, id))
            .collect(),
    }
}

impl ProcessRows<'_> {
    /// Rows of one container.
    fn of<'a>(&'a self, facts: &'a Facts<'a>, slot: u32) -> impl Iterator<Item = Process> + 'a {
        let table = &facts.drained.processes;
        let own = self
            .named
            .iter()
            .filter(move |(image, ..)| table.images[*image].container == slot);
        own.map(move |(image, uid, gid, row, id)| {
            let image = &table.images[*image];
            let exe = facts.drained.exes.get(&image.exe);
            Process {
                id: id.clone(),
                parent: row_of(table, &self.ids, image.parent).cloned(),
                exe: facts.drained.path_of(image.exe),
                argv: image.arguments.text(),
                argv_truncated: image.arguments.truncated,
                titles: row.titles.iter().cloned().collect(),
                cwd: row.cwd.clone(),
                uid: *uid,
                gid: *gid,
                pids: row.pids.clone(),
                capabilities: Some(sets(&row.privileges)),
                no_new_privs: Some(row.privileges.no_new_privs != 0),
                seccomp: Some(match row.privileges.seccomp {
                    0 => SeccompMode::Disabled,
                    1 => SeccompMode::Strict,
                    _ => SeccompMode::Filter,
                }),
                namespaces: facts.node.namespaces(image.container, &row.privileges),
                origin: image.origin,
                layer: exe.map(|exe| exe_layer(facts, image.container, &exe.meta, &exe.path)),
                deleted: exe.is_some_and(|exe| exe.meta.flags & FILE_DELETED != 0),
                sha256: None,
                package: None,
                started_before: row.started_before,
                count: row.count,
                first_seen: Some(facts.clock.time(row.first_ns).into()),
                last_seen: Some(facts.clock.time(row.last_ns).into()),
                exits: row.exits.clone(),
            }
        })
    }
}

/// What stands for an image. A forked stage that only executed something else has no row: its
/// parent stands in.
fn row_of<'a, T>(
    table: &Processes,
    rows: &'a HashMap<usize, T>,
    mut image: Option<usize>,
) -> Option<&'a T> {
    while let Some(number) = image {
        if let Some(row) = rows.get(&number) {
            return Some(row);
        }
        image = table.images[number].parent;
    }
    None
}

fn sets(privileges: &Privileges) -> CapabilitySets {
    CapabilitySets {
        effective: capability_names(privileges.effective),
        permitted: capability_names(privileges.permitted),
        bounding: capability_names(privileges.bounding),
    }
}

fn exe_layer(facts: &Facts<'_>, container: u32, meta: &FileMeta, path: &str) -> Layer {
    if path.starts_with("memfd:") && meta.magic == TMPFS {
        return Layer::Memfd;
    }
    if facts.node.is_host(container) {
        return Layer::Host;
    }
    match meta.magic {
        OVERLAYFS if meta.flags & FILE_UPPER != 0 => Layer::Upper,
        OVERLAYFS => Layer::Image,
        _ => Layer::Unknown,
    }
}

/// The name led to a file when it was first seen.
fn has_file(sample: &FileSample) -> bool {
    !sample.named && sample.meta.inode != 0 && sample.meta.flags & FILE_FOLDER == 0
}

fn file_layer(facts: &Facts<'_>, container: u32, sample: &FileSample) -> Option<Layer> {
    if !has_file(sample) {
        return None;
    }
    if sample.path.starts_with("memfd:") && sample.meta.magic == TMPFS {
        return Some(Layer::Memfd);
    }
    if facts.node.is_host(container) {
        return Some(Layer::Host);
    }
    let is_root = sample.mount.as_ref().map(|facts| facts.is_root);
    match (is_root, sample.meta.magic) {
        (Some(false), _) => Some(Layer::Volume),
        (_, OVERLAYFS) if sample.meta.flags & FILE_UPPER != 0 => Some(Layer::Upper),
        (_, OVERLAYFS) => Some(Layer::Image),
        _ => Some(Layer::Unknown),
    }
}

fn abi(arch: &str, abi: u32) -> Abi {
    match (arch, abi) {
        ("amd64", ABI_COMPAT) => Abi::I386,
        ("amd64", ABI_X32) => Abi::X32,
        ("amd64", _) => Abi::X86_64,
        (_, ABI_COMPAT) => Abi::Arm,
        _ => Abi::Aarch64,
    }
}

fn named(errnos: &BTreeMap<u16, u64>) -> Counts {
    errnos
        .iter()
        .map(|(errno, count)| (errno_name(*errno).into(), *count))
        .collect()
}

fn syscalls(facts: &Facts<'_>, containers: &mut BTreeMap<u32, Container>) {
    for sample in &facts.counted.syscalls {
        let Some(container) = facts
            .drained
            .container_of(sample.key.exe)
            .and_then(|slot| containers.get_mut(&slot))
        else {
            continue;
        };
        let abi = abi(facts.arch, sample.key.abi);
        container.syscalls.push(Syscall {
            name: syscall_name(abi, sample.key.number).into(),
            abi,
            exe: facts.drained.path_of(sample.key.exe),
            calls: sample.row.calls,
            errors: named(&sample.errors(&facts.counted.errnos)),
            restarted: sample.row.restarted,
            unfinished: sample.row.unfinished,
            no_return: sample.row.no_return,
            denied_by_seccomp: sample.row.denied,
            latency_ns: sample.latency.clone(),
            arguments: Counts::new(),
        });
    }
}

fn file(facts: &Facts<'_>, slot: u32, sample: &FileSample) -> Result<Option<File>> {
    let none = BTreeMap::new();
    let counts = sample.counts(facts.capture)?;
    let errnos = facts
        .counted
        .errnos
        .get(&(ROWS_FILES, sample.row))
        .unwrap_or(&none);
    let operations: BTreeMap<FileOperation, u64> = OPERATIONS
        .iter()
        .zip(counts.operations)
        .filter(|(_, count)| *count > 0)
        .map(|(operation, count)| (*operation, count))
        .collect();
    if operations.is_empty() && errnos.is_empty() && counts.mmap_write == 0 {
        return Ok(None);
    }
    Ok(Some(File {
        path: sample.path.to_string().into(),
        exe: facts.drained.path_of(sample.exe),
        operations,
        bytes_read: counts.bytes_read,
        bytes_written: counts.bytes_written,
        mmap_write: counts.mmap_write,
        errors: named(errnos),
        name_source: if sample.settled {
            NameSource::Settled
        } else {
            NameSource::Argument
        },
        mode: has_file(sample).then(|| format!("{:04o}", sample.meta.mode & 0o7777).into()),
        owner: has_file(sample).then_some(Owner {
            uid: sample.meta.uid,
            gid: sample.meta.gid,
        }),
        layer: file_layer(facts, slot, sample),
        mount: sample.mount.as_ref().map(|facts| facts.mount.clone()),
        host_resource: None,
        package: None,
    }))
}

fn any_address(family: u16, bytes: &[u8; 16]) -> IpAddr {
    if i32::from(family) == libc::AF_INET {
        Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
    } else {
        links::split(bytes).0.into()
    }
}

fn protocol(family: u16, socket_type: u8, protocol: u16) -> Option<Protocol> {
    let (family, socket_type) = (i32::from(family), i32::from(socket_type));
    Some(match family {
        libc::AF_UNIX => match socket_type {
            libc::SOCK_STREAM => Protocol::UnixStream,
            libc::SOCK_DGRAM => Protocol::UnixDgram,
            _ => Protocol::UnixSeqpacket,
        },
        libc::AF_INET | libc::AF_INET6 if socket_type == libc::SOCK_RAW => Protocol::Raw,
        libc::AF_INET | libc::AF_INET6 => match i32::from(protocol) {
            libc::IPPROTO_TCP => Protocol::Tcp,
            libc::IPPROTO_UDP => Protocol::Udp,
            libc::IPPROTO_UDPLITE => Protocol::UdpLite,
            libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 => Protocol::Icmp,
            libc::IPPROTO_MPTCP => Protocol::Mptcp,
            libc::IPPROTO_SCTP => Protocol::Sctp,
            libc::IPPROTO_DCCP => Protocol::Dccp,
            _ => Protocol::Raw,
        },
        libc::AF_NETLINK => Protocol::Netlink,
        libc::AF_PACKET => Protocol::Packet,
        libc::AF_VSOCK => Protocol::Vsock,
        _ => return None,
    })
}

/// Names that each container used for an address: those that a resolver answered, and claims.
type UsedNames<'a> = HashMap<(u32, IpAddr), [BTreeSet<&'a str>; 2]>;

fn used_names<'a>(facts: &Facts<'a>) -> UsedNames<'a> {
    let mut all = UsedNames::new();
    for used in &facts.drained.names.used {
        if let Some(container) = facts.drained.container_of(used.exe) {
            let [names, claimed] = all.entry((container, used.address)).or_default();
            names.extend(used.names.iter().map(String::as_str));
            claimed.extend(used.claimed.iter().map(String::as_str));
        }
    }
    all
}

/// The first of many names, for the document.
fn first_names(names: &BTreeSet<&str>) -> Vec<Text> {
    let names = names.iter().take(MAX_NAMES);
    names.map(|name| Text::from(*name)).collect()
}

fn dns(facts: &Facts<'_>, containers: &mut BTreeMap<u32, Container>) {
    for row in &facts.drained.names.rows {
        if let Some(container) = facts
            .drained
            .container_of(row.exe)
            .and_then(|slot| containers.get_mut(&slot))
        {
            container.dns.push(Dns {
                exe: facts.drained.path_of(row.exe),
                name: row.name.clone().into(),
                record_type: row.record_type.clone().into(),
                rcode: row.rcode.clone().map(Text::from),
                answers: row.answers.iter().map(Text::from).collect(),
                resolvers: row.resolvers.iter().map(Text::from).collect(),
                count: row.count,
            });
        }
    }
}

fn network(facts: &Facts<'_>, containers: &mut BTreeMap<u32, Container>) -> Result<()> {
    let names = used_names(facts);
    let holders = holders(facts);
    let mut listeners: HashSet<NetworkKey> = HashSet::new();
    for sample in &facts.drained.peers {
        let mut key = sample.event.key;
        let Some(slot) = facts.drained.container_of(key.exe) else {
            continue;
        };
        if key.direction == DIRECTION_LISTEN {
            match listener(facts, sample, slot, &holders)? {
                Some(exe) => key.exe = exe,
                None => continue,
            }
            // Several sockets may wait at one place.
            if !listeners.insert(key) {
                continue;
            }
        }
        if let Some(container) = containers.get_mut(&slot)
            && let Some(row) = peer(facts, sample, &key, slot, &names)?
        {
            container.network.push(row);
        }
    }
    Ok(())
}

/// Executables that hold sockets which wait, when the window has closed: by container, and where they wait.
type Holders = HashMap<(u32, (u32, NetworkKey)), Vec<u32>>;

fn holders(facts: &Facts<'_>) -> Holders {
    let mut all = Holders::new();
    for HeldSocket { event, .. } in &facts.drained.held_last {
        if let Some(container) = facts.drained.container_of(event.key.exe) {
            let holders = all.entry((container, PeerSample::place(event)));
            holders.or_default().push(event.key.exe);
        }
    }
    all
}

/// The executable whose row a waiting socket gets. None: it has no row, since it waits for nobody.
fn listener(
    facts: &Facts<'_>,
    sample: &PeerSample,
    container: u32,
    holders: &Holders,
) -> Result<Option<u32>> {
    let key = &sample.event.key;
    let is_datagram = i32::from(key.socket_type) == libc::SOCK_DGRAM;
    if is_datagram && sample.is_autobound() {
        return Ok(None);
    }
    if !sample.is_new_listener() {
        return Ok(Some(key.exe));
    }
    let holders = holders.get(&(container, PeerSample::place(&sample.event)));
    let Some(holders) = holders else {
        // Gone by now. Those of clients, which chose their port, have each begun themselves.
        let counts = sample.counts(facts.capture)?;
        let is_client = is_datagram && counts.datagrams_sent >= counts.connections;
        return Ok((!is_client).then_some(key.exe));
    };
    // Whoever made the socket may have given it to another program: that one is met by who comes later.
    let is_held = holders.contains(&key.exe);
    Ok(if is_held {
        Some(key.exe)
    } else {
        holders.first().copied()
    })
}

fn peer(
    facts: &Facts<'_>,
    sample: &PeerSample,
    key: &NetworkKey,
    container: u32,
    names: &UsedNames<'_>,
) -> Result<Option<Network>> {
    let Some(protocol) = protocol(key.family, key.socket_type, key.protocol) else {
        return Ok(None);
    };
    let counts = sample.counts(facts.capture)?;
    let none = BTreeMap::new();
    let errnos = facts
        .counted
        .errnos
        .get(&(ROWS_NETWORK, sample.event.row))
        .unwrap_or(&none);
    let direction = match key.direction {
        DIRECTION_INBOUND => Direction::Inbound,
        DIRECTION_LISTEN => Direction::Listen,
        _ => Direction::Outbound,
    };
    let path = sample.unix_path().map(|path| text::from_bytes(&path));
    let (local, remote) = match (i32::from(key.family), direction) {
        (libc::AF_INET | libc::AF_INET6, _) => {
            inet_ends(facts, sample, direction, container, names)
        }
        (libc::AF_VSOCK, Direction::Outbound) => {
            let (address, port) = vsock_end(&key.remote);
            let remote = Remote {
                address,
                port,
                ..Remote::default()
            };
            (None, Some(remote))
        }
        (libc::AF_VSOCK, _) => {
            let (address, port) = vsock_end(&key.local);
            let local = Endpoint {
                address,
                port,
                path: None,
            };
            let (address, _) = vsock_end(&key.remote);
            let remote = (direction == Direction::Inbound).then(|| Remote {
                address,
                ..Remote::default()
            });
            (Some(local), remote)
        }
        (_, Direction::Outbound) => {
            let remote = path.map(|path| Remote {
                path: Some(path),
                ..Remote::default()
            });
            (None, remote)
        }
        _ => {
            let local = path.map(|path| Endpoint {
                path: Some(path),
                ..Endpoint::default()
            });
            (local, None)
        }
    };
    let remote = if key.prefix == 0 {
        remote
    } else {
        remote.map(of_prefix)
    };
    // One of SCTP keeps messages apart, whatever its type.
    let is_stream = i32::from(key.socket_type) == libc::SOCK_STREAM
        && !matches!(protocol, Protocol::Sctp | Protocol::Dccp);
    let counts = if direction == Direction::Listen {
        NetworkRow::default()
    } else {
        counts
    };
    Ok(Some(Network {
        exe: facts.drained.path_of(key.exe),
        protocol,
        direction,
        local,
        remote,
        connections: counts.connections,
        datagrams_sent: if is_stream { 0 } else { counts.datagrams_sent },
        datagrams_received: if is_stream {
            0
        } else {
            counts.datagrams_received
        },
        failures: named(errnos),
        bytes_sent: counts.bytes_sent,
        bytes_received: counts.bytes_received,
        path: Vec::new(),
    }))
}

/// The ends of a row of IPv4 or IPv6.
fn inet_ends(
    facts: &Facts<'_>,
    sample: &PeerSample,
    direction: Direction,
    container: u32,
    names: &UsedNames<'_>,
) -> (Option<Endpoint>, Option<Remote>) {
    let key = &sample.event.key;
    let text = |bytes: &[u8; 16]| -> Text {
        let address = any_address(key.family, bytes);
        match address {
            IpAddr::V4(address) => address.to_string().into(),
            IpAddr::V6(_) => facts.drained.links.text(sample.event.netns, bytes).into(),
        }
    };
    let is_set = |bytes: &[u8; 16]| bytes.iter().any(|byte| *byte != 0);
    match direction {
        Direction::Outbound => {
            let used = names.get(&(container, any_address(key.family, &key.remote)));
            let used = |which: usize| used.map(|used| first_names(&used[which]));
            let remote = Remote {
                address: Some(text(&key.remote)),
                port: Some(key.remote_port.into()),
                names: used(0).unwrap_or_default(),
                claimed: used(1).unwrap_or_default(),
                ..Remote::default()
            };
            (None, Some(remote))
        }
        Direction::Inbound => {
            let local = Endpoint {
                address: is_set(&key.local).then(|| text(&key.local)),
                port: Some(key.local_port.into()),
                path: None,
            };
            let remote = is_set(&key.remote).then(|| Remote {
                address: Some(text(&key.remote)),
                ..Remote::default()
            });
            (Some(local), remote)
        }
        Direction::Listen => {
            let local = Endpoint {
                address: Some(text(&key.local)),
                port: Some(key.local_port.into()),
                path: None,
            };
            (Some(local), None)
        }
    }
}

/// Context id and port of a vsock's end; the id of a socket that waits for anybody is not told.
fn vsock_end(bytes: &[u8; 16]) -> (Option<Text>, Option<u32>) {
    /// `VMADDR_CID_ANY`, and the same of a port, include/uapi/linux/vm_sockets.h.
    const ANY: u32 = u32::MAX;
    let word =
        |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (id, port) = (word(0), word(4));
    let is_set = |number: u32| number != ANY;
    (
        is_set(id).then(|| id.to_string().into()),
        is_set(port).then_some(port),
    )
}

/// The end of all peers of a prefix.
fn of_prefix(remote: Remote) -> Remote {
    let cidr = remote.address.map(|address| {
        let bits = if address.contains(':') { 64 } else { 24 };
        format!("{address}/{bits}").into()
    });
    Remote {
        cidr,
        ..Remote::default()
    }
}

fn capabilities(facts: &Facts<'_>, containers: &mut BTreeMap<u32, Container>) {
    let is_hook = facts
        .capture
        .placed(CAPABLE)
        .is_some_and(|placed| placed.hook.tier != Tier::Base);
    let method = if is_hook {
        CapabilityMethod::Hook
    } else {
        CapabilityMethod::Tracepoint
    };
    for (key, row) in &facts.counted.capabilities {
        let Some(container) = facts
            .drained
            .container_of(key.exe)
            .and_then(|slot| containers.get_mut(&slot))
        else {
            continue;
        };
        let name = CAPABILITIES.get(key.capability as usize).map_or_else(
            || format!("CAP_{}", key.capability),
            |name| (*name).to_owned(),
        );
        container.capabilities.push(CapabilityUse {
            exe: facts.drained.path_of(key.exe),
            name: name.into(),
            used: row.used,
            denied: row.denied,
            probed: is_hook.then_some(row.probed),
            method,
        });
    }
}

fn events(
    facts: &Facts<'_>,
    containers: &mut BTreeMap<u32, Container>,
    ids: &HashMap<usize, Text>,
) -> Result<()> {
    let names_modules = facts
        .capture
        .placed(MODULE_LOAD)
        .is_some_and(Placed::is_there);
    for RareSample { event: seen, image } in &facts.drained.rare {
        let Some(container) = containers.get_mut(&seen.container) else {
            continue;
        };
        // The tracepoint tells the same with the module's name.
        if seen.key.kind == RARE_MODULE_LOAD && seen.key.text[0] == 0 && names_modules {
            continue;
        }
        let Some((event_type, details)) = details(facts.arch, &seen.key) else {
            continue;
        };
        container.events.push(Event {
            time: facts.clock.time(seen.time).into(),
            event_type,
            process: row_of(&facts.drained.processes, ids, *image).cloned(),
            count: event::count(facts.capture, &seen.key)?,
            details,
        });
    }
    Ok(())
}

/// Type and details of a rare operation.
fn details(arch: &str, key: &RareKey) -> Option<(EventType, BTreeMap<Text, Text>)> {
    let values = key.values;
    let low = |value: u64| value & 0xffff_ffff;
    let end = key.text.iter().position(|byte| *byte == 0).unwrap_or(0);
    let name = text::from_bytes(&key.text[..end]);
    let call = || syscall_name(abi(arch, 0), u32::try_from(low(values[3])).unwrap_or(0));
    let mut details = BTreeMap::new();
    let mut put = |name: &str, value: Text| {
        if !value.is_empty() {
            details.insert(name.into(), value);
        }
    };
    let event_type = match key.kind {
        RARE_CREDENTIALS => {
            let (before, after) = (values[0], values[1]);
            if before != after {
                put("fromUid", (before >> 32).to_string().into());
                put("fromGid", low(before).to_string().into());
                put("toUid", (after >> 32).to_string().into());
                put("toGid", low(after).to_string().into());
            }
            put(
                "gained",
                capability_names(values[3] & !values[2]).join(",").into(),
            );
            put(
                "dropped",
                capability_names(values[2] & !values[3]).join(",").into(),
            );
            EventType::Credentials
        }
        RARE_PTRACE => {
            put("request", low(values[0]).to_string().into());
            put("target", low(values[1]).to_string().into());
            put("call", call().into());
            EventType::Ptrace
        }
        RARE_MOUNT => {
            put("fstype", name);
            put("flags", format!("{:#x}", values[1]).into());
            put("call", call().into());
            EventType::Mount
        }
        RARE_SETNS => {
            put("namespaces", clone_flags(values[0]).into());
            EventType::Setns
        }
        RARE_UNSHARE => {
            put("namespaces", clone_flags(values[0]).into());
            EventType::Unshare
        }
        RARE_MEMFD_EXEC => {
            put("name", name);
            EventType::MemfdExec
        }
        RARE_MODULE_LOAD => {
            if values[2] != 0 {
                put("requested", name);
            } else {
                put("name", name);
            }
            if values[3] != 0 {
                put("call", call().into());
            }
            EventType::ModuleLoad
        }
        RARE_SIGNAL => {
            let signal = u32::try_from(low(values[0])).unwrap_or(0);
            put("signal", signal_name(signal).into());
            put("target", low(values[1]).to_string().into());
            put("comm", name);
            EventType::Signal
        }
        RARE_BPF => {
            put("command", values[0].to_string().into());
            EventType::Bpf
        }
        RARE_KEYCTL => {
            put("operation", low(values[0]).to_string().into());
            EventType::Keyctl
        }
        RARE_USERFAULTFD => {
            put("flags", format!("{:#x}", values[0]).into());
            EventType::Userfaultfd
        }
        RARE_PERF => {
            put("target", low(values[0]).to_string().into());
            EventType::Perf
        }
        _ => return None,
    };
    Some((event_type, details))
}

/// Namespaces among clone flags, as their names in /proc/PID/ns.
fn clone_flags(flags: u64) -> String {
    const FLAGS: [(u64, &str); 8] = [
        (0x0000_0080, "time"),
        (0x0002_0000, "mnt"),
        (0x0200_0000, "cgroup"),
        (0x0400_0000, "uts"),
        (0x0800_0000, "ipc"),
        (0x1000_0000, "user"),
        (0x2000_0000, "pid"),
        (0x4000_0000, "net"),
    ];
    FLAGS
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, name)| *name)
        .collect::<Vec<_>>()
        .join(",")
}

#[expect(clippy::too_many_lines, reason = "one step per reason")]
/// What the rows can be relied on for, and how much new would still have come.
pub(crate) fn completeness(
    facts: &Facts<'_>,
    summary: &Summary,
    cut: Option<&str>,
) -> BTreeMap<Dimension, DimensionCompleteness> {
    let mut reasons: BTreeMap<Dimension, (DimensionState, BTreeSet<String>)> = BTreeMap::new();
    let mut add = |dimension, state: DimensionState, reason: String| {
        let entry = reasons
            .entry(dimension)
            .or_insert((DimensionState::Complete, BTreeSet::new()));
        entry.0 = entry.0.max(state);
        entry.1.insert(reason);
    };
    for (state, reason) in facts.taps.reasons(&facts.drained.names) {
        add(Dimension::Dns, state, reason);
    }
    for Placed { wanted, hook, .. } in &facts.capture.hooks {
        if hook.state == HookState::Missing {
            for (dimension, all) in wanted.without {
                let state = if *all {
                    DimensionState::Missing
                } else {
                    DimensionState::Partial
                };
                add(
                    *dimension,
                    state,
                    format!("hook {} is missing on this kernel", hook.name),
                );
            }
        }
    }
    for Placed { wanted, hook, .. } in &facts.capture.hooks {
        let Some(missed) = hook.missed.filter(|missed| *missed > 0) else {
            continue;
        };
        for (dimension, _) in wanted.without {
            add(
                *dimension,
                DimensionState::Partial,
                format!("hook {} was skipped: {missed} times", hook.name),
            );
        }
    }
    for (dimension, reason) in facts.counted.lost.reasons() {
        add(dimension, DimensionState::Partial, reason);
    }
    let drained = facts.drained;
    for (dimension, count, what) in [
        (
            Dimension::Processes,
            drained.processes.lost,
            "more different programs than the probe keeps",
        ),
        (
            Dimension::Processes,
            drained.processes.hidden,
            "processes outside of the PID namespace of the probe, whose /proc does not have them",
        ),
        (
            Dimension::Processes,
            drained.processes.unread,
            "command lines that could not be read in time",
        ),
        (
            Dimension::Files,
            drained.as_given,
            "names that stand as they were given, since finding out where they lead would take too long",
        ),
        (
            Dimension::Files,
            drained.cut_paths,
            "paths that were cut, since all together are too long",
        ),
        (
            Dimension::Files,
            facts.node.unread_mounts,
            "mounts that were not looked at, since others took too long",
        ),
    ] {
        if count > 0 {
            add(
                dimension,
                DimensionState::Partial,
                format!("{what}: {count}"),
            );
        }
    }
    if facts.slots.out_of_reach > 0 {
        let reason = format!(
            "processes of the target that no PID namespace of the probe's /proc has, so that they are not looked at: {}",
            facts.slots.out_of_reach
        );
        for dimension in Dimension::ALL {
            add(dimension, DimensionState::Partial, reason.clone());
        }
    }
    if facts.unread_descriptors {
        let reason = "there were too many open descriptors to look at all when the window opened: \
                      who holds a listener, and who an io_uring, is not known of all";
        for dimension in [Dimension::Files, Dimension::Network] {
            add(dimension, DimensionState::Partial, reason.to_owned());
        }
    }
    for (dimension, (dropped, cut)) in summary.chunks.losses() {
        for (count, what) in [
            (*dropped, "rows found no room in the stream"),
            (*cut, "rows were cut to find room in the stream"),
        ] {
            if count > 0 {
                add(
                    *dimension,
                    DimensionState::Partial,
                    format!("{count} {what}"),
                );
            }
        }
    }
    let sees_rings = facts
        .capture
        .placed(RING_COMPLETE)
        .is_some_and(Placed::is_there);
    // A ring whose kernel thread polls needs no call but its making.
    let has_called = summary.ring_calls.contains("io_uring_enter")
        || summary.ring_calls.contains("io_uring_setup");
    for (used, what) in [
        (!sees_rings && (facts.has_ring || has_called), "io_uring"),
        (
            summary.ring_calls.contains("io_submit"),
            "asynchronous I/O (io_submit)",
        ),
    ] {
        if used {
            for dimension in [Dimension::Files, Dimension::Network, Dimension::Dns] {
                add(
                    dimension,
                    DimensionState::Partial,
                    format!("{what} was used: its requests are not by path or peer"),
                );
            }
        }
    }
    if let Some(cut) = cut {
        for dimension in Dimension::ALL {
            add(dimension, DimensionState::Partial, cut.to_owned());
        }
    }
    Dimension::ALL
        .into_iter()
        .map(|dimension| {
            let (state, reasons) = reasons
                .remove(&dimension)
                .unwrap_or((DimensionState::Complete, BTreeSet::new()));
            (
                dimension,
                DimensionCompleteness {
                    state,
                    reasons: reasons.into_iter().map(Text::from).collect(),
                    not_looked_at: summary
                        .not_looked_at
                        .get(&dimension)
                        .cloned()
                        .unwrap_or_default(),
                },
            )
        })
        .collect()
}

/// Calls that say that something is used which no row can show.
pub(crate) const UNSEEN_CALLS: [(&str, Dimension, &str); 8] = [
    ("shmat", Dimension::Files, "System V shared memory (shmat)"),
    (
        "msgsnd",
        Dimension::Network,
        "System V message queues (msgsnd, msgrcv)",
    ),
    (
        "msgrcv",
        Dimension::Network,
        "System V message queues (msgsnd, msgrcv)",
    ),
    // Of i386: all of System V in one call.
    (
        "ipc",
        Dimension::Files,
        "System V shared memory and message queues (ipc)",
    ),
    (
        "acct",
        Dimension::Files,
        "process accounting that the kernel writes to a file (acct)",
    ),
    (
        "vmsplice",
        Dimension::Files,
        "memory given to pipes (vmsplice)",
    ),
    (
        "swapon",
        Dimension::Files,
        "memory written to a swap file (swapon)",
    ),
    (
        "process_vm_writev",
        Dimension::Files,
        "memory of other processes (process_vm_writev)",
    ),
];
/// Families of sockets that rows have no protocol for, by `AF_…`, include/linux/socket.h.
const FAMILIES: [(u16, &str); 14] = [
    (3, "AF_AX25"),
    (15, "AF_KEY"),
    (21, "AF_RDS"),
    (24, "AF_PPPOX"),
    (26, "AF_LLC"),
    (29, "AF_CAN"),
    (30, "AF_TIPC"),
    (31, "AF_BLUETOOTH"),
    (38, "AF_ALG"),
    (39, "AF_NFC"),
    (41, "AF_KCM"),
    (42, "AF_QIPCRTR"),
    (43, "AF_SMC"),
    (44, "AF_XDP"),
];

/// What was used within the window that no row can show, by dimension.
fn not_looked_at(
    facts: &Facts<'_>,
    containers: &BTreeMap<u32, Container>,
) -> BTreeMap<Dimension, BTreeSet<Text>> {
    let mut all: BTreeMap<Dimension, BTreeSet<Text>> = BTreeMap::new();
    let mut add = |dimension, what: Text| {
        all.entry(dimension).or_default().insert(what);
    };
    for (call, dimension, what) in UNSEEN_CALLS {
        if containers
            .values()
            .any(|container| is_used(container, call))
        {
            add(dimension, what.into());
        }
    }
    for sample in &facts.drained.peers {
        let key = &sample.event.key;
        match protocol(key.family, key.socket_type, key.protocol) {
            None => {
                let known = FAMILIES.iter().find(|(number, _)| *number == key.family);
                let name = known.map_or_else(
                    || format!("address family {}", key.family),
                    |(_, name)| (*name).to_owned(),
                );
                add(Dimension::Network, format!("sockets of {name}").into());
            }
            Some(Protocol::Packet) => add(
                Dimension::Network,
                "packets that packet sockets hand over in shared memory (PACKET_MMAP)".into(),
            ),
            Some(Protocol::Vsock) if key.direction == DIRECTION_OUTBOUND => add(
                Dimension::Network,
                "outcomes of vsock connections that are decided after connect has returned".into(),
            ),
            Some(_) => {}
        }
    }
    all
}

/// Calls by which work is done that no call names.
pub(crate) const RING_CALLS: [&str; 3] = ["io_uring_enter", "io_uring_setup", "io_submit"];

/// A system call of this name was answered without an error.
fn is_used(container: &Container, name: &str) -> bool {
    let mut calls = container.syscalls.iter().filter(|call| call.name == name);
    calls.any(|call| call.calls > call.errors.values().sum::<u64>())
}

/// Observations, and rows that were observed once: what the Good–Turing estimate needs.
#[derive(Default)]
struct Seen {
    once: u64,
    all: u64,
}

impl Seen {
    fn add(&mut self, count: u64) {
        self.once += u64::from(count == 1);
        self.all += count;
    }

    /// 1 minus the estimate. None: nothing was observed.
    fn coverage(&self) -> Option<f64> {
        (self.all > 0).then(|| procmon_profile::completeness::coverage(self.once, self.all))
    }
}

/// By dimension, but for processes and files.
fn coverage(containers: &BTreeMap<u32, Container>) -> BTreeMap<Dimension, f64> {
    let mut seen: BTreeMap<Dimension, Seen> = BTreeMap::new();
    let mut add = |dimension, count| seen.entry(dimension).or_default().add(count);
    for container in containers.values() {
        for row in &container.syscalls {
            add(Dimension::Syscalls, row.calls);
        }
        for row in &container.network {
            if row.direction != Direction::Listen {
                let count = row.connections + row.datagrams_sent + row.datagrams_received;
                add(Dimension::Network, count);
            }
        }
        for row in &container.dns {
            add(Dimension::Dns, row.count);
        }
        for row in &container.capabilities {
            add(Dimension::Capabilities, row.used + row.denied);
        }
    }
    seen.into_iter()
        .filter_map(|(dimension, seen)| Some((dimension, seen.coverage()?)))
        .collect()
}

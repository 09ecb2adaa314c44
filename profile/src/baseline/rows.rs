//! The trait that the rows of all dimensions have in common.

use crate::model::{
    Abi, CapabilityRow, Dimension, Direction, DnsRow, EdgeRow, EventRow, EventType, Explain,
    FileRow, ListenRow, Origin, PeerRow, ProcessRow, Protocol, RowValue, Seen, SyscallRow,
};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Values kept of what a wildcard stands for.
const MAX_VALUES: usize = 10;
/// Names and addresses kept of one peer, and resolvers of one container.
pub(crate) const MAX_NAMES: usize = 256;

/// A row of a Baseline.
pub(crate) trait Row: Clone {
    /// Two rows with equal keys are the same row.
    type Key: Ord + std::fmt::Debug;
    /// Where it belongs.
    const DIMENSION: Dimension;
    fn key(&self) -> Self::Key;
    fn seen(&self) -> &Seen;
    fn seen_mut(&mut self) -> &mut Seen;
    /// Adds what another row with the same key has.
    fn add(&mut self, other: &Self);
    /// The executable that the row is of.
    fn exe(&self) -> &str;
    /// The row in words that stay the same.
    fn text(&self) -> String;
    fn value(self) -> RowValue;
}

macro_rules! row {
    ($row:ident, $dimension:ident, $variant:ident, $exe:ident, $key:ty, |$this:ident| $make:expr) => {
        type Key = $key;
        const DIMENSION: Dimension = Dimension::$dimension;
        fn key(&self) -> $key {
            let $this = self;
            $make
        }
        fn seen(&self) -> &Seen {
            &self.seen
        }
        fn seen_mut(&mut self) -> &mut Seen {
            &mut self.seen
        }
        fn value(self) -> RowValue {
            RowValue::$variant(self)
        }
        fn exe(&self) -> &str {
            &self.$exe
        }
    };
}

impl Row for ProcessRow {
    row!(
        ProcessRow,
        Processes,
        Process,
        exe,
        (Text, Vec<Text>, u32, Origin),
        |row| (row.exe.clone(), row.argv.clone(), row.uid, row.origin)
    );
    fn add(&mut self, other: &Self) {
        self.capabilities.extend(other.capabilities.iter().cloned());
        let titles = other.titles.iter().cloned();
        self.titles.extend(titles.take(MAX_NAMES));
        // The weaker of two restrictions is what was seen.
        self.no_new_privs = weaker(self.no_new_privs, other.no_new_privs);
        self.seccomp = weaker(self.seccomp, other.seccomp);
        self.layer = self
            .layer
            .into_iter()
            .chain(other.layer)
            .max_by_key(|layer| *layer as u8);
    }
    fn text(&self) -> String {
        let origin = match self.origin {
            Origin::Entrypoint => "",
            Origin::Exec => ", by exec",
            Origin::Debug => ", by a debug container",
            Origin::Runtime => ", by the runtime",
        };
        format!(
            "{} run as uid {}{origin}: {}",
            self.exe,
            self.uid,
            self.argv.join(" ")
        )
    }
}

fn weaker(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    one.into_iter()
        .chain(other)
        .reduce(|one, other| one && other)
}

impl Row for EdgeRow {
    row!(EdgeRow, Processes, Edge, parent, (Text, Text), |row| (
        row.parent.clone(),
        row.child.clone()
    ));
    fn add(&mut self, _: &Self) {}
    fn text(&self) -> String {
        format!("{} executes {}", self.parent, self.child)
    }
}

impl Row for SyscallRow {
    row!(
        SyscallRow,
        Syscalls,
        Syscall,
        exe,
        (Text, Abi, Text),
        |row| (row.exe.clone(), row.abi, row.name.clone())
    );
    fn add(&mut self, other: &Self) {
        self.errors.extend(other.errors.iter().cloned());
    }
    fn text(&self) -> String {
        let abi = match self.abi {
            Abi::X86_64 | Abi::Aarch64 => "",
            Abi::I386 => " (i386)",
            Abi::X32 => " (x32)",
            Abi::Arm => " (arm)",
        };
        format!("{} calls {}{abi}", self.exe, self.name)
    }
}

impl Row for FileRow {
    row!(FileRow, Files, File, exe, (Text, Text), |row| (
        row.exe.clone(),
        row.path.clone()
    ));
    fn add(&mut self, other: &Self) {
        self.operations.extend(other.operations.iter().copied());
        self.errors.extend(other.errors.iter().cloned());
    }
    fn text(&self) -> String {
        format!("{} uses {}", self.exe, self.path)
    }
}

impl Row for PeerRow {
    row!(
        PeerRow,
        Network,
        Peer,
        exe,
        (Text, Protocol, Direction, Text, Text),
        |row| (
            row.exe.clone(),
            row.protocol,
            row.direction,
            row.peer.clone(),
            row.port.clone()
        )
    );
    fn add(&mut self, other: &Self) {
        self.reached |= other.reached;
        self.failures.extend(other.failures.iter().cloned());
        extend(&mut self.names, &other.names);
        extend(&mut self.claimed, &other.claimed);
        extend(&mut self.addresses, &other.addresses);
    }
    fn text(&self) -> String {
        let protocol = self.protocol;
        let port = if self.port.is_empty() {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        match self.direction {
            Direction::Inbound if self.port.is_empty() => {
                format!("{} inbound {protocol} at {}", self.exe, self.peer)
            }
            Direction::Inbound => {
                format!("{} inbound {protocol} {port} from {}", self.exe, self.peer)
            }
            _ if self.peer.contains(':') && !port.is_empty() => {
                format!("{} outbound {protocol} [{}]{port}", self.exe, self.peer)
            }
            _ => format!("{} outbound {protocol} {}{port}", self.exe, self.peer),
        }
    }
}

impl Row for ListenRow {
    row!(
        ListenRow,
        Network,
        Listen,
        exe,
        (Text, Protocol, Text, Text),
        |row| (
            row.exe.clone(),
            row.protocol,
            row.address.clone(),
            row.port.clone()
        )
    );
    fn add(&mut self, _: &Self) {}
    fn text(&self) -> String {
        let address = if self.address.contains(':') && !self.port.is_empty() {
            format!("[{}]", self.address)
        } else {
            self.address.clone().into()
        };
        let port = if self.port.is_empty() {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        format!("{} listens {} {address}{port}", self.exe, self.protocol)
    }
}

impl Row for DnsRow {
    row!(DnsRow, Dns, Dns, exe, (Text, Text, Text), |row| (
        row.exe.clone(),
        row.name.clone(),
        row.record_type.clone()
    ));
    fn add(&mut self, other: &Self) {
        extend(&mut self.resolvers, &other.resolvers);
    }
    fn text(&self) -> String {
        format!("{} asks for {} {}", self.exe, self.name, self.record_type)
    }
}

impl Row for CapabilityRow {
    row!(
        CapabilityRow,
        Capabilities,
        Capability,
        exe,
        (Text, Text),
        |row| (row.exe.clone(), row.name.clone())
    );
    fn add(&mut self, other: &Self) {
        self.used |= other.used;
        self.denied |= other.denied;
    }
    fn text(&self) -> String {
        format!("{} is asked for {}", self.exe, self.name)
    }
}

impl Row for EventRow {
    row!(
        EventRow,
        Events,
        Event,
        exe,
        (Text, EventType, BTreeMap<Text, Text>),
        |row| (row.exe.clone(), row.event_type, row.details.clone())
    );
    fn add(&mut self, _: &Self) {}
    fn text(&self) -> String {
        let details: Vec<String> = self
            .details
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{} {} {}", self.exe, self.event_type, details.join(" "))
            .trim_end()
            .to_owned()
    }
}

/// Adds names, and keeps the first of many: the order of additions does not matter.
pub(super) fn extend(to: &mut BTreeSet<Text>, from: &BTreeSet<Text>) {
    to.extend(from.iter().cloned());
    while to.len() > MAX_NAMES {
        to.pop_last();
    }
}

/// Adds what was seen of another row of the same thing. Windows are those of one list for both.
pub(crate) fn add_seen(to: &mut Seen, from: &Seen) {
    let (counts, others) = (&mut to.support.counts.0, &from.support.counts.0);
    if counts.len() < others.len() {
        counts.resize(others.len(), 0);
    }
    for (count, other) in counts.iter_mut().zip(others) {
        *count = count.saturating_add(*other);
    }
    to.accepted |= from.accepted;
    for explain in &from.explain {
        add_explain(&mut to.explain, explain.clone());
    }
}

/// Adds what a wildcard stands for.
pub(crate) fn add_explain(to: &mut Vec<Explain>, from: Explain) {
    let place = to
        .iter_mut()
        .find(|known| (known.part, known.by, &known.rule) == (from.part, from.by, &from.rule));
    if let Some(known) = place {
        known.values.extend(from.values);
    } else {
        to.push(from);
        to.sort();
    }
    for explain in to {
        while explain.values.len() > MAX_VALUES {
            explain.values.pop_last();
        }
    }
}

/// Rows of one key become one; sorted by key.
pub(crate) fn unite<R: Row>(rows: Vec<R>) -> Vec<R> {
    let mut keyed: Vec<(R::Key, R)> = rows.into_iter().map(|row| (row.key(), row)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    let mut united: Vec<(R::Key, R)> = Vec::with_capacity(keyed.len());
    for (key, row) in keyed {
        match united.last_mut() {
            Some((last, kept)) if *last == key => {
                kept.add(&row);
                add_seen(kept.seen_mut(), row.seen());
            }
            _ => united.push((key, row)),
        }
    }
    united.into_iter().map(|(_, row)| row).collect()
}

/// Windows that have a row.
pub(crate) fn windows(seen: &Seen) -> BTreeSet<usize> {
    let counts = seen.support.counts.0.iter().enumerate();
    counts
        .filter(|(_, count)| **count > 0)
        .map(|(place, _)| place)
        .collect()
}

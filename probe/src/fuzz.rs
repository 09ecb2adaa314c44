//! What a fuzz target calls: each parser of bytes that a node or a process on it chose, with nothing
//! but those bytes. None may panic, whatever they are. `fuzz/` has the targets and their corpora.

use crate::btf::Btf;
use crate::cgroups;
use crate::drain::Drained;
use crate::drain::arguments::Interner;
use crate::label::{self, Slots};
use crate::node::names::{self, Found, Tree};
use crate::node::{Node, links, mounts, namespace_inode, reader};
use crate::offsets;
use procmon_probe_ebpf::abi::Privileges;
use std::collections::BTreeSet;
use std::hint::black_box;

/// A file of kernel types.
pub fn btf(bytes: &[u8]) {
    let Ok(btf) = Btf::parse(bytes.to_vec()) else {
        return;
    };
    for arch in ["amd64", "arm64"] {
        black_box(offsets::find(&btf, arch));
    }
    black_box(btf.constant("BPF_FUNC_get_current_task_btf"));
}

/// `/proc/PID/mountinfo`.
pub fn mountinfo(bytes: &[u8]) {
    black_box(mounts::parse(bytes));
}

/// `/proc/PID/net/if_inet6`, and links of `/proc/PID/ns`.
pub fn links(bytes: &[u8]) {
    black_box(links::parse(bytes).count());
    black_box(namespace_inode(&String::from_utf8_lossy(bytes)));
}

/// `/proc/PID/status`, and command lines.
pub fn status(bytes: &[u8]) {
    let mut privileges = Privileges::default();
    Node::privileges(bytes, &mut privileges);
    black_box(privileges);
    let mut arguments = Interner::default();
    black_box(arguments.keep(bytes, false).text());
    black_box(arguments.keep(bytes, true).text());
}

/// Names of cgroups, as text and as the kernel side lists them; `/proc/cgroups` and
/// `/proc/self/cgroup`.
///
/// # Panics
/// When an id has not the length of one.
pub fn cgroups(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for name in text.split('/') {
        if let Some(id) = cgroups::container_id(name) {
            assert_eq!(id.len(), 64, "{id}");
        }
        black_box(cgroups::pod_uid(name));
    }
    black_box(cgroups::numbers(&text));
    black_box(cgroups::layout_of(&text));
    let pods = BTreeSet::from(["01234567-89ab-cdef-0123-456789abcdef".to_owned()]);
    for task in label::listed(bytes) {
        let levels = label::levels(&task);
        black_box(cgroups::by_id(levels, "0123456789ab").is_some());
        black_box(cgroups::by_pod(levels, &pods).is_some());
    }
}

/// A name that a process gave, on a file system of links: name, NUL, then pairs of a last part and
/// where it leads, each ended by NUL.
///
/// # Panics
/// When a path is not absolute or goes up.
pub fn names(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let name = parts.next().unwrap_or_default();
    let links: Vec<&[u8]> = parts.collect();
    let link = |path: &[u8]| {
        let last = path.rsplit(|byte| *byte == b'/').next()?;
        let mut pairs = links.chunks_exact(2);
        pairs
            .find(|pair| pair[0] == last)
            .map(|pair| pair[1].to_vec())
    };
    for follow in [false, true] {
        let mut tree = Links::new(link);
        let Some(path) = names::walk(b"/w/x", name, follow, 7, &mut tree) else {
            continue;
        };
        assert!(path.starts_with(b"/"), "{path:?}");
        assert!(!path.split(|byte| *byte == b'/').any(|part| part == b".."));
    }
}

/// A question behind its length, and answers: the probe and the child that reads for it send each other
/// these.
///
/// # Panics
/// When a question or an answer is not read as it was written.
pub fn reader(bytes: &[u8]) {
    reader::read_as_both_ends(bytes);
}

/// A tree in which every part is there, and a function tells which paths are links.
pub(crate) struct Links<F> {
    link: F,
    path: Vec<Vec<u8>>,
}

impl<F: Fn(&[u8]) -> Option<Vec<u8>>> Links<F> {
    pub(crate) fn new(link: F) -> Self {
        Self {
            link,
            path: Vec::new(),
        }
    }
}

impl<F: Fn(&[u8]) -> Option<Vec<u8>>> Tree for Links<F> {
    fn enter(&mut self, part: &[u8]) -> Found {
        self.path.push(part.to_vec());
        match (self.link)(&names::join(&self.path)) {
            Some(target) => {
                self.path.pop();
                Found::Link(target)
            }
            None => Found::Entered,
        }
    }

    fn leave(&mut self) {
        self.path.pop();
    }

    fn top(&mut self) {
        self.path.clear();
    }
}

/// Records of the ring buffer, each after its length of two bytes.
///
/// # Panics
/// When a row is of an image that is not there.
pub fn records(bytes: &[u8]) {
    let (mut drained, mut slots, mut node) =
        (Drained::default(), Slots::default(), Node::default());
    drained.processes.opened_ns = 1;
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let mut record = after[..length].to_vec();
        // All kinds but peers have a process id here: none that runs, since nobody's /proc is read.
        if let Some(high) = record.get_mut(15) {
            *high |= 0x40;
        }
        let _ = drained.take(&record, &mut slots, &mut node, 1);
        rest = &after[length..];
    }
    drained.processes.settle(&mut node);
    for peer in &drained.peers {
        black_box(peer.unix_path());
    }
    drained.processes.close(&mut node);
    for (image, _, _) in drained.processes.rows.keys() {
        assert!(*image < drained.processes.images.len(), "{image}");
    }
}

#[cfg(test)]
#[path = "../../fuzz/inputs.rs"]
mod inputs;

#[cfg(test)]
mod tests {
    use super::inputs;

    #[test]
    fn types_of_a_kernel_are_read_or_refused() {
        inputs::feed("btf", super::btf);
    }

    #[test]
    fn mounts_are_read_or_refused() {
        inputs::feed("mountinfo", super::mountinfo);
    }

    #[test]
    fn links_are_read_or_refused() {
        inputs::feed("links", super::links);
    }

    #[test]
    fn states_of_processes_are_read_or_refused() {
        inputs::feed("status", super::status);
    }

    #[test]
    fn cgroups_are_read_or_refused() {
        inputs::feed("cgroups", super::cgroups);
    }

    #[test]
    fn names_lead_to_paths() {
        inputs::feed("names", super::names);
    }

    #[test]
    fn questions_and_answers_are_read_or_refused() {
        inputs::feed("reader", super::reader);
    }

    #[test]
    fn records_are_read_or_refused() {
        inputs::feed("records", super::records);
    }
}

//! Files: from names and directories to resolved paths.

use super::{Exe, Processes, join};
use crate::capture::Capture;
use crate::node::{Given, MountFacts, Node, Question, Ticket};
use crate::sys;
use anyhow::{Context as _, Result};
use aya::maps::Array;
use procmon_probe_ebpf::abi::{
    FILE_FOLDER, FILE_FOLLOWED, FILE_KERNEL_NAME, FILE_NAMED, FILE_QUEUE, FILE_TRUNCATED,
    FILE_UNREACHABLE, FileEvent, FileMeta, FileRow,
};
use procmon_profile::text::{self, Text};
use std::collections::HashMap;
use std::rc::Rc;

/// `MQUEUE_MAGIC`, ipc/mqueue.c.
const MQUEUE: u32 = 0x1980_0202;
/// Where the file system of message queues is mounted.
const QUEUES: &[u8] = b"/dev/mqueue/";

/// First sight of a file.
pub(crate) struct FileSample {
    pub(crate) row: u32,
    pub(crate) exe: u32,
    /// Path, as text of the document; as it was given until the reader has said where it leads.
    pub(crate) path: Box<str>,
    pub(crate) meta: FileMeta,
    pub(crate) mount: Option<Rc<MountFacts>>,
    /// By a name, not by the kernel's own file.
    pub(crate) named: bool,
    /// The name is the kernel's own, not one in the caller's memory.
    pub(crate) settled: bool,
}

/// Path of a walk, as text of the document.
pub(crate) fn text(path: &[u8], flags: u32) -> Text {
    // A memfd is a file without a directory on a mount of the kernel's own.
    if path.starts_with(b"/memfd:") {
        return text::from_bytes(&path[1..]);
    }
    let path = text::from_bytes(path);
    if flags & FILE_TRUNCATED != 0 {
        format!("…{path}").into()
    } else if flags & FILE_UNREACHABLE != 0 {
        format!("(unreachable){path}").into()
    } else {
        path
    }
}

/// The path of a message queue: mq_overview(7).
fn queue(name: &[u8]) -> Vec<u8> {
    [QUEUES, name].concat()
}

impl FileSample {
    /// Reads a record of the ring buffer. Also the path, as it was given where the reader was asked where it
    /// leads.
    pub(crate) fn new(
        bytes: &[u8],
        exes: &HashMap<u32, Exe>,
        processes: &Processes,
        node: &mut Node,
    ) -> Option<(Self, Vec<u8>, Option<Ticket>)> {
        let event: FileEvent = sys::record(bytes)?;
        let rest = bytes.get(size_of::<FileEvent>()..)?;
        let (name, rest) = rest.split_at_checked(event.name_len as usize)?;
        let names = rest.get(..event.path_len as usize)?;
        let container = exes.get(&event.exe).map(|exe| exe.container)?;
        node.seen(container, event.tgid);
        let named = event.meta.flags & FILE_NAMED != 0;
        let mut sample = Self {
            row: event.row,
            exe: event.exe,
            path: Box::default(),
            meta: event.meta,
            mount: None,
            named,
            settled: !named || event.meta.flags & FILE_KERNEL_NAME != 0,
        };
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        let name = &name[..end];
        if named && event.meta.flags & FILE_QUEUE != 0 {
            sample.settled = true;
            return Some((sample, queue(name), None));
        }
        if named {
            let given = Given {
                container,
                tgid: event.tgid,
                pid: processes.own_pid(event.tgid),
                namespace: u32::try_from(event.meta.inode).unwrap_or(0),
                directory: &join(names),
                name,
                follow: event.meta.flags & FILE_FOLLOWED != 0,
                is_host: node.is_host(container),
            };
            let ticket = node.reader.ask(&Question::Name(given));
            return Some((sample, given.as_given(), Some(ticket)));
        }
        let path = join(names);
        // mq_open opens on a mount of the kernel's own, which has the queue right below its root.
        if event.meta.magic == MQUEUE && !path[1..].contains(&b'/') {
            sample.meta.flags &= !FILE_UNREACHABLE;
            return Some((sample, queue(&path[1..]), None));
        }
        sample.mount = node.mount(container, event.meta.mount_id);
        Some((sample, path, None))
    }

    /// Its path has become known.
    pub(crate) fn leads_to(&mut self, path: &[u8]) {
        let path = text(path, self.meta.flags);
        self.path = if self.meta.flags & FILE_FOLDER != 0 {
            // The folder of the first of many files.
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/…").into()
        } else {
            String::from(path).into()
        };
    }

    /// Its counts, once the window has closed: read row by row, since a copy of all would take megabytes.
    pub(crate) fn counts(&self, capture: &Capture) -> Result<FileRow> {
        let rows: Array<_, FileRow> = capture
            .ebpf
            .map("FILE_ROWS")
            .context("no map FILE_ROWS")?
            .try_into()?;
        Ok(rows.get(&self.row, 0)?)
    }
}

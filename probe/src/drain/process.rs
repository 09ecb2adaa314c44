//! Processes: from forks, executions and ends to rows of equal programs.
//!
//! An *image* is a program as it runs in some place of the tree: parent image, executable,
//! arguments, origin. Processes of one image share a row when their ids are equal at their end.

use super::arguments::{Arguments, Interner};
use crate::node::{Answer, CommandLine, Node, Question, Ticket};
use crate::sys;
use procmon_probe_ebpf::abi::{
    ExecEvent, HIDDEN_TGID, Privileges, ProcessEvent, SENTINEL_CONTAINER, Stream, Streams,
    TASK_ENTERED, TASK_MAY_BE_IN_CALL, TASK_RUNTIME,
};
use procmon_profile::model::Origin;
use procmon_profile::text::{self, Text};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

/// Images beyond this number share one: a fork bomb must not eat the probe's memory.
const MAX_IMAGES: usize = 32_768;
/// Rows beyond this number are counted as lost: a process may change its ids as often as it likes.
const MAX_ROWS: usize = 49_152;
/// How long the command lines of processes that run when the window opens are waited for.
const READ_FOUND: Duration = Duration::from_secs(1);
/// Process ids kept of a row.
const MAX_PIDS: usize = 16;
/// A process has this time to write a title over its arguments; servers do so as they start.
const TITLE_AFTER_NS: u64 = 300_000_000;
/// Processes that are looked at for a title within the window, and once more at its end.
const MAX_TITLES: usize = 4096;
/// How long titles are waited for when the window has closed.
const LAST_TITLES: Duration = Duration::from_millis(200);
/// Ends of pipes that are kept.
const MAX_PIPE_ENDS: usize = 16_384;
/// Titles kept of a row, and bytes of one.
const MAX_TITLES_OF_ROW: usize = 8;
const MAX_TITLE: usize = 1024;

/// A program in a place of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    pub(crate) container: u32,
    pub(crate) parent: Option<usize>,
    pub(crate) exe: u32,
    pub(crate) arguments: Arguments,
    pub(crate) origin: Origin,
    /// A child that goes on with its parent's program.
    pub(crate) forked: bool,
}

/// Processes of one image with equal ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) count: u64,
    pub(crate) pids: Vec<u32>,
    pub(crate) first_ns: u64,
    pub(crate) last_ns: u64,
    pub(crate) exits: BTreeMap<Text, u64>,
    pub(crate) started_before: bool,
    pub(crate) privileges: Privileges,
    pub(crate) cwd: Option<Text>,
    /// What processes wrote over their arguments.
    pub(crate) titles: BTreeSet<Text>,
    /// Numbers of [`Stream`]: of each standard stream the most telling one.
    pub(crate) streams: [u8; 3],
}

/// An image that has a pipe as a standard stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PipeEnd {
    /// Inode number, and whether the pipe has a name.
    pub(crate) pipe: (u32, bool),
    /// As standard output or error, not as standard input.
    pub(crate) writes: bool,
    pub(crate) image: usize,
}

#[derive(Clone, Debug)]
struct Live {
    image: usize,
    /// Image of the process that forked it: generations that share an image have different ones.
    parent: Option<usize>,
    first_ns: u64,
    last_ns: u64,
    started_before: bool,
    privileges: Privileges,
    cwd: Option<Text>,
    title: Option<Text>,
    streams: [u8; 3],
}

/// All processes of the target.
#[derive(Default)]
pub(crate) struct Processes {
    pub(crate) images: Vec<Image>,
    index: HashMap<Image, usize>,
    arguments: Interner,
    /// By image, uid and gid.
    pub(crate) rows: BTreeMap<(usize, u32, u32), Row>,
    live: HashMap<u32, Live>,
    pub(crate) pipes: BTreeSet<PipeEnd>,
    /// Processes found running, until all of them are: parents come before their children then.
    found: Vec<(ProcessEvent, Ticket)>,
    /// Processes of which the arguments were seen as they began, and when to look whether they wrote a title.
    untitled: VecDeque<(u64, u32, usize)>,
    /// Those that are asked, with the image that they had.
    asked: VecDeque<(Ticket, u32, usize)>,
    n_asked: usize,
    /// Containers whose first process was seen.
    entered: HashMap<u32, u32>,
    /// Containers whose first process is the first of a PID namespace.
    has_init: HashSet<u32>,
    /// Images and rows that found no place.
    pub(crate) lost: u64,
    /// Command lines that could not be read in time.
    pub(crate) unread: u64,
    /// Processes that /proc does not have: they are in no PID namespace that it shows.
    pub(crate) hidden: u64,
    /// Processes seen.
    pub(crate) seen: u64,
    /// When the window opened; 0: it has not. What ended before is no part of it.
    pub(crate) opened_ns: u64,
}

/// `SECCOMP_MODE_…`: strict mode kills by SIGKILL, filters by SIGSYS; who is killed is dead.
const SECCOMP_STRICT: u32 = 1;
const SECCOMP_FILTER: u32 = 2;
const SECCOMP_DEAD: u32 = 3;
const SIGKILL: u32 = 9;

impl Processes {
    /// A process began, or was found running.
    pub(crate) fn forked(&mut self, event: &ProcessEvent, node: &mut Node) {
        if event.container == SENTINEL_CONTAINER {
            return;
        }
        if event.flags & TASK_MAY_BE_IN_CALL != 0 {
            // Now: it may end at any moment.
            let tgid = event.tgid;
            let ticket = node.lines.ask(&Question::CommandLine { tgid });
            self.found.push((*event, ticket));
        } else {
            self.settle(node);
            self.began(event, None, node);
        }
    }

    /// Takes in what was found running, from the roots down: ids say nothing of who came first.
    pub(crate) fn settle(&mut self, node: &mut Node) {
        if self.found.is_empty() {
            return;
        }
        let found = std::mem::take(&mut self.found);
        for (event, _) in &found {
            // A PID namespace of its own has a first process; others came from outside.
            if event.privileges.ns_pid == 1 {
                self.entered.insert(event.container, event.tgid);
                self.has_init.insert(event.container);
            }
        }
        node.lines.settle(READ_FOUND);
        let mut waiting: Vec<Option<(ProcessEvent, Ticket)>> =
            found.into_iter().map(Some).collect();
        for place in from_the_roots(&waiting) {
            if let Some((event, ticket)) = waiting[place].take() {
                let line = node.lines.answer(ticket).unwrap_or(Answer(None));
                self.began(&event, Some(line), node);
            }
        }
    }

    /// `line` is what the reader said of its command line, where it was asked already.
    fn began(&mut self, event: &ProcessEvent, line: Option<Answer>, node: &mut Node) {
        node.seen(event.container, event.tgid);
        if event.flags & TASK_RUNTIME == 0 {
            node.entered(event.container, event.tgid);
        }
        self.seen += 1;
        self.hidden += u64::from(event.tgid & HIDDEN_TGID != 0);
        let found = event.flags & TASK_MAY_BE_IN_CALL != 0;
        let parent = self.live.get(&event.parent_tgid);
        let parent_streams = parent.map_or([0; 3], |live| live.streams);
        let parent = parent
            .map(|live| live.image)
            .filter(|image| self.images[*image].container == event.container);
        let mut cwd = None;
        let image = match parent {
            Some(parent) if !found => self.fork_image(parent, event.exe),
            _ => {
                let tgid = event.tgid;
                let line = line.map_or_else(
                    || node.lines.ask_now(&Question::CommandLine { tgid }),
                    |answer| answer.0,
                );
                self.unread += u64::from(line.is_none());
                let line = line.and_then(|line| CommandLine::decode(&line));
                let line = line.unwrap_or_default();
                cwd = line.cwd.map(|path| text::from_bytes(&path));
                let arguments = self.arguments.keep(&line.argv, line.truncated);
                let origin = self.origin(event, parent);
                self.image(Image {
                    container: event.container,
                    parent,
                    exe: event.exe,
                    arguments,
                    origin,
                    forked: false,
                })
            }
        };
        if event.privileges.ns_pid == 1 || parent.is_none() {
            node.first_process(event.container, event.tgid, &event.privileges);
        }
        self.live.insert(
            event.tgid,
            Live {
                image,
                parent,
                first_ns: event.time,
                last_ns: event.time,
                started_before: found && event.flags & TASK_ENTERED == 0,
                privileges: event.privileges,
                cwd,
                title: None,
                streams: if found {
                    event.streams.kinds
                } else {
                    parent_streams
                },
            },
        );
        self.join_pipes(image, &event.streams);
        if !found {
            self.untitled(event.tgid, image, event.time);
        }
    }

    /// The arguments of a process are known from its start: it may write over them.
    fn untitled(&mut self, tgid: u32, image: usize, time_ns: u64) {
        if self.untitled.len() < MAX_TITLES {
            self.untitled
                .push_back((time_ns.saturating_add(TITLE_AFTER_NS), tgid, image));
        }
    }

    /// Looks for titles of processes that had time to write one.
    pub(crate) fn look_for_titles(&mut self, node: &mut Node, now_ns: u64) {
        while let Some((due_ns, tgid, image)) = self.untitled.front().copied() {
            if due_ns > now_ns {
                break;
            }
            self.untitled.pop_front();
            self.ask_title(node, tgid, image);
        }
        node.titles.look();
        self.take_titles(node);
    }

    fn ask_title(&mut self, node: &mut Node, tgid: u32, image: usize) {
        let lives = self.image_of(tgid) == Some(image) && tgid & HIDDEN_TGID == 0;
        if lives && self.n_asked < MAX_TITLES {
            self.n_asked += 1;
            let ticket = node.titles.ask(&Question::CommandLine { tgid });
            self.asked.push_back((ticket, tgid, image));
        }
    }

    fn take_titles(&mut self, node: &mut Node) {
        while let Some((ticket, tgid, image)) = self.asked.front().copied() {
            let Some(answer) = node.titles.answer(ticket) else {
                return;
            };
            self.asked.pop_front();
            let line = answer.0.and_then(|line| CommandLine::decode(&line));
            let title = line.and_then(|line| title(&line.argv, &self.images[image].arguments));
            if let Some(live) = self.live.get_mut(&tgid).filter(|live| live.image == image) {
                live.title = title.or(live.title.take());
            }
        }
    }

    /// The window has closed: looks for titles once more.
    fn last_titles(&mut self, node: &mut Node) {
        let live: Vec<(u32, usize)> = self
            .live
            .iter()
            .filter(|(_, live)| !live.started_before)
            .map(|(tgid, live)| (*tgid, live.image))
            .collect();
        self.n_asked = 0;
        for (tgid, image) in live {
            self.ask_title(node, tgid, image);
        }
        node.titles.settle(LAST_TITLES);
        self.take_titles(node);
    }

    /// A child that goes on with its parent's program. Generations of such children share a row.
    fn fork_image(&mut self, parent: usize, exe: u32) -> usize {
        let image = &self.images[parent];
        if image.forked && image.exe == exe {
            return parent;
        }
        let child = Image {
            parent: Some(parent),
            forked: true,
            exe,
            ..image.clone()
        };
        self.image(child)
    }

    /// How a process without a parent in the container came in.
    fn origin(&mut self, event: &ProcessEvent, parent: Option<usize>) -> Origin {
        if let Some(parent) = parent {
            return self.images[parent].origin;
        }
        if event.flags & TASK_RUNTIME != 0 {
            return Origin::Runtime;
        }
        self.entering(event)
    }

    fn entering(&mut self, event: &ProcessEvent) -> Origin {
        let found = event.flags & TASK_MAY_BE_IN_CALL != 0 && event.flags & TASK_ENTERED == 0;
        match self.entered.get(&event.container) {
            // Without a PID namespace of its own all that ran before are as good as the first.
            Some(_) if found && !self.has_init.contains(&event.container) => Origin::Entrypoint,
            Some(first) if *first != event.tgid && event.privileges.ns_pid != 1 => Origin::Exec,
            _ => {
                self.entered.insert(event.container, event.tgid);
                Origin::Entrypoint
            }
        }
    }

    /// A process executed a program.
    pub(crate) fn executed(&mut self, bytes: &[u8], node: &mut Node) -> Option<()> {
        let event: ExecEvent = sys::record(bytes)?;
        let process = event.process;
        if process.container == SENTINEL_CONTAINER {
            return Some(());
        }
        node.entered(process.container, process.tgid);
        let rest = bytes.get(size_of::<ExecEvent>()..)?;
        let (arguments, rest) = rest.split_at_checked(event.argv_len as usize)?;
        let cwd = (event.cwd_len != u32::MAX)
            .then(|| rest.get(..event.cwd_len as usize))
            .flatten()
            .map(|names| text::from_bytes(&super::join(names)));
        let truncated = event.argv_full > event.argv_len;
        let arguments = self.arguments.keep(arguments, truncated);
        let before = self.live.remove(&process.tgid);
        let was_runtime = process.flags & TASK_RUNTIME != 0;
        let (parent, origin) = match &before {
            Some(live) => (live.parent, self.images[live.image].origin),
            None => (None, Origin::Entrypoint),
        };
        let came_from_outside = was_runtime && process.flags & TASK_ENTERED != 0;
        let origin = if came_from_outside || before.is_none() {
            self.entering(&process)
        } else {
            origin
        };
        let parent = if came_from_outside { None } else { parent };
        let first_ns = match before {
            // A child that only began to execute something else is no row of its own.
            Some(live) if self.images[live.image].forked => live.first_ns,
            Some(live) => {
                let (first, pending) = (
                    process.time,
                    self.images[live.image].origin == Origin::Entrypoint
                        && process.flags & procmon_probe_ebpf::abi::TASK_PENDING != 0,
                );
                if !pending {
                    // The new program has what the process had, but for ids and capabilities.
                    let privileges = Privileges {
                        uid: event.uid_before,
                        gid: event.gid_before,
                        effective: event.effective_before,
                        permitted: event.permitted_before,
                        ..process.privileges
                    };
                    let live = Live {
                        last_ns: process.time,
                        privileges,
                        ..live
                    };
                    self.finish(process.tgid, live, None);
                }
                first
            }
            None => process.time,
        };
        let image = self.image(Image {
            container: process.container,
            parent,
            exe: process.exe,
            arguments,
            origin,
            forked: false,
        });
        self.live.insert(
            process.tgid,
            Live {
                image,
                parent,
                first_ns,
                last_ns: process.time,
                started_before: false,
                privileges: process.privileges,
                cwd,
                title: None,
                streams: process.streams.kinds,
            },
        );
        self.join_pipes(image, &process.streams);
        self.untitled(process.tgid, image, process.time);
        Some(())
    }

    /// A process ended.
    pub(crate) fn exited(&mut self, event: &ProcessEvent) {
        if let Some(mut live) = self.live.remove(&event.tgid) {
            live.last_ns = event.time;
            live.streams = most_telling(live.streams, event.streams.kinds);
            self.join_pipes(live.image, &event.streams);
            live.privileges = Privileges {
                // Namespaces are given up before the end.
                namespaces: live.privileges.namespaces,
                ns_pid: live.privileges.ns_pid,
                seccomp: match event.privileges.seccomp {
                    SECCOMP_DEAD if event.status & 0x7f == SIGKILL => SECCOMP_STRICT,
                    SECCOMP_DEAD => SECCOMP_FILTER,
                    mode => mode,
                },
                ..event.privileges
            };
            self.finish(event.tgid, live, Some(event.status));
        }
    }

    /// Notes which pipes are standard streams of a program.
    fn join_pipes(&mut self, image: usize, streams: &Streams) {
        for (descriptor, number) in streams.pipes.into_iter().enumerate() {
            let has_name = streams.kinds[descriptor] == Stream::Fifo.number();
            if number != 0 && self.pipes.len() < MAX_PIPE_ENDS {
                self.pipes.insert(PipeEnd {
                    pipe: (number, has_name),
                    writes: descriptor != 0,
                    image,
                });
            }
        }
    }

    /// Adds a process to the row of its image and ids.
    fn finish(&mut self, tgid: u32, live: Live, status: Option<u32>) {
        if self.opened_ns == 0 || live.last_ns < self.opened_ns {
            return;
        }
        let key = (live.image, live.privileges.uid, live.privileges.gid);
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            self.lost += 1;
            return;
        }
        let row = self.rows.entry(key).or_default();
        if row.count == 0 || live.first_ns < row.first_ns {
            row.first_ns = live.first_ns;
        }
        row.count += 1;
        row.last_ns = row.last_ns.max(live.last_ns);
        row.started_before |= live.started_before;
        row.privileges = live.privileges;
        row.streams = most_telling(row.streams, live.streams);
        if row.cwd.is_none() {
            row.cwd = live.cwd;
        }
        if row.titles.len() < MAX_TITLES_OF_ROW {
            row.titles.extend(live.title);
        }
        if row.pids.len() < MAX_PIDS && tgid & HIDDEN_TGID == 0 && !row.pids.contains(&tgid) {
            row.pids.push(tgid);
        }
        if let Some(status) = status {
            *row.exits.entry(exit_key(status).into()).or_insert(0) += 1;
        }
    }

    /// The window has closed: those that still run are counted with what they are now.
    pub(crate) fn close(&mut self, node: &mut Node) {
        self.last_titles(node);
        let live: Vec<(u32, Live)> = self.live.drain().collect();
        for (tgid, mut live) in live {
            live.last_ns = live.last_ns.max(self.opened_ns);
            Node::refresh(tgid, &mut live.privileges);
            self.finish(tgid, live, None);
        }
        for row in self.rows.values_mut() {
            row.pids.sort_unstable();
        }
    }

    /// Number of processes that run.
    pub(crate) fn running(&self) -> usize {
        self.live.len()
    }

    /// Those that run.
    pub(crate) fn tgids(&self) -> impl Iterator<Item = u32> {
        self.live.keys().copied()
    }

    /// The image of a process that runs.
    pub(crate) fn image_of(&self, tgid: u32) -> Option<usize> {
        self.live.get(&tgid).map(|live| live.image)
    }

    /// The executable slot of a process that runs.
    pub(crate) fn exe_of(&self, tgid: u32) -> Option<u32> {
        self.image_of(tgid).map(|image| self.images[image].exe)
    }

    /// A process that runs in a network namespace.
    pub(crate) fn in_network(&self, netns: u32) -> Option<u32> {
        let mut all = self.live.iter();
        all.find(|(_, live)| live.privileges.namespaces[super::NETWORK_NAMESPACE] == netns)
            .map(|(tgid, _)| *tgid)
    }

    /// The id of a process as its own PID namespace knows it.
    pub(crate) fn own_pid(&self, tgid: u32) -> u32 {
        match self.live.get(&tgid) {
            Some(live) if live.privileges.ns_pid != 0 => live.privileges.ns_pid,
            _ => tgid,
        }
    }

    fn image(&mut self, image: Image) -> usize {
        if let Some(number) = self.index.get(&image) {
            return *number;
        }
        if self.images.len() >= MAX_IMAGES {
            self.lost += 1;
            return self.images.len() - 1;
        }
        self.images.push(image.clone());
        self.index.insert(image, self.images.len() - 1);
        self.images.len() - 1
    }
}

/// The places of processes, parents before their children. Parents that go in a circle, as when a process id
/// was used again meanwhile, come last.
fn from_the_roots(found: &[Option<(ProcessEvent, Ticket)>]) -> Vec<usize> {
    let events = || found.iter().flatten().map(|(event, _)| event).enumerate();
    let tgids: HashSet<u32> = events().map(|(_, event)| event.tgid).collect();
    let mut children: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut ready = VecDeque::new();
    for (place, event) in events() {
        if event.parent_tgid != event.tgid && tgids.contains(&event.parent_tgid) {
            children.entry(event.parent_tgid).or_default().push(place);
        } else {
            ready.push_back(place);
        }
    }
    let mut order = Vec::with_capacity(found.len());
    while let Some(place) = ready.pop_front() {
        order.push(place);
        if let Some((event, _)) = &found[place] {
            ready.extend(children.remove(&event.tgid).unwrap_or_default());
        }
    }
    order.extend(children.into_values().flatten());
    order
}

/// What a process wrote over its arguments: one text where those were others.
fn title(now: &[u8], arguments: &Arguments) -> Option<Text> {
    let now = now.strip_suffix(b"\0").unwrap_or(now);
    if now.is_empty() || now.contains(&0) || arguments.is(now) {
        return None;
    }
    Some(text::from_bytes(&now[..now.len().min(MAX_TITLE)]))
}

/// The more telling one of each standard stream.
fn most_telling(one: [u8; 3], other: [u8; 3]) -> [u8; 3] {
    std::array::from_fn(|descriptor| one[descriptor].max(other[descriptor]))
}

/// Key of `exits`: exit code, or the signal's name.
fn exit_key(status: u32) -> String {
    match status & 0x7f {
        0 => (status >> 8 & 0xff).to_string(),
        signal => procmon_profile::tables::signal_name(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_codes_or_signals() {
        assert_eq!(exit_key(0), "0");
        assert_eq!(exit_key(3 << 8), "3");
        assert_eq!(exit_key(9), "SIGKILL");
        assert_eq!(exit_key(0x80 | 0x0b), "SIGSEGV");
    }
}

//! A child that reads what a target's file systems and memory decide: where names lead, command lines.
//!
//! A file system may never answer (FUSE, a gone NFS server), and a process that waits for one may not even
//! be killed. The child waits in the probe's place: the probe asks without waiting, looks for answers now and
//! then, and gives a child up that has not answered for [`PATIENCE`].

mod question;
mod serve;

#[cfg(any(test, fuzzing))]
pub(crate) use question::read_as_both_ends;
pub(crate) use question::{CommandLine, Given, Question};
pub(crate) use serve::{ARGUMENT, serve};

use crate::sys;
use question::{BEGUN, Frame, HEAD};
use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A child that has not answered for so long, and does not run, waits for a file system.
const PATIENCE: Duration = Duration::from_millis(100);
/// A child that has not begun yet waits for no file system of the target.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer is waited for where the drain needs it.
const WAIT: Duration = Duration::from_millis(60);
/// Children that are started at most; when they are given up, nothing more is asked.
const MAX_CHILDREN: u32 = 8;
/// Most bytes of questions that have no answer yet.
const MAX_WAITING: usize = 4 << 20;

/// Number of a question.
pub(crate) type Ticket = u64;

/// What a question came to; none: it was given up.
pub(crate) struct Answer(pub(crate) Option<Vec<u8>>);

struct Waiting {
    ticket: Ticket,
    frame: Vec<u8>,
}

struct Serving {
    child: Child,
    socket: UnixStream,
    /// It has said that it runs.
    has_begun: bool,
}

/// Asks a child. The default is one that has none, and knows nothing.
#[derive(Default)]
pub(crate) struct Reader {
    /// Length of the window, for the child's budget; zero when nobody knows.
    window: Duration,
    serving: Option<Serving>,
    n_left: u32,
    next: Ticket,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Bytes that the socket had no room for.
    unsent: VecDeque<u8>,
    received: Vec<u8>,
    answers: BTreeMap<Ticket, Option<Vec<u8>>>,
    /// A process of each container, whose root the child keeps.
    roots: BTreeMap<u32, u32>,
    /// When the child was last seen to do something.
    moved_ns: u64,
}

impl Reader {
    /// A reader for a window of this length.
    pub(crate) fn new(seconds: Option<f64>) -> Self {
        Self {
            window: Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default(),
            n_left: MAX_CHILDREN,
            ..Self::default()
        }
    }

    /// Asks, and does not wait: see [`Reader::answer`].
    pub(crate) fn ask(&mut self, question: &Question<'_>) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        if let Question::Root { container, tgid } = question {
            self.roots.insert(*container, *tgid);
        }
        let frame = question.encode(ticket);
        if self.waiting_bytes + frame.len() > MAX_WAITING || !self.starts() {
            self.answers.insert(ticket, None);
            return ticket;
        }
        if self.waiting.is_empty() {
            self.moved_ns = sys::monotonic_ns();
        }
        self.unsent.extend(&frame);
        if question.has_answer() {
            self.waiting_bytes += frame.len();
            self.waiting.push_back(Waiting { ticket, frame });
        }
        ticket
    }

    /// Asks, and waits a little.
    pub(crate) fn ask_now(&mut self, question: &Question<'_>) -> Option<Vec<u8>> {
        let ticket = self.ask(question);
        let end = sys::moment_after(WAIT);
        loop {
            self.look();
            if let Some(Answer(answer)) = self.answer(ticket) {
                return answer;
            }
            if !self.wait_until(end) {
                return None;
            }
        }
    }

    /// Waits until all is answered, for so long at most.
    pub(crate) fn settle(&mut self, most: Duration) {
        let end = sys::moment_after(most);
        loop {
            self.look();
            if self.waiting.is_empty() || !self.wait_until(end) {
                return;
            }
        }
    }

    /// The answer to a question, once. None: not yet.
    pub(crate) fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.answers.remove(&ticket).map(Answer)
    }

    /// Nothing more is asked: what is not answered never will be.
    pub(crate) fn close(&mut self, most: Duration) {
        self.settle(most);
        self.give_up_all();
    }

    /// Waits for an answer; false when the time is over.
    fn wait_until(&self, end_ns: u64) -> bool {
        let Some(serving) = &self.serving else {
            return false;
        };
        let now_ns = sys::monotonic_ns();
        if now_ns >= end_ns {
            return false;
        }
        let left = Duration::from_nanos(end_ns - now_ns);
        sys::has_data(&serving.socket, left.min(Duration::from_millis(10)));
        true
    }

    /// A child is there, or can be started.
    fn starts(&mut self) -> bool {
        if self.serving.is_none() && self.n_left > 0 {
            self.n_left -= 1;
            self.serving = start(self.window);
            self.moved_ns = sys::monotonic_ns();
            self.unsent.clear();
            self.received.clear();
            for (container, tgid) in &self.roots {
                let root = Question::Root {
                    container: *container,
                    tgid: *tgid,
                };
                self.unsent.extend(root.encode(0));
            }
            for waiting in &self.waiting {
                self.unsent.extend(&waiting.frame);
            }
        }
        self.serving.is_some()
    }

    /// Sends what there is room for, takes what has come, and gives up a child that waits.
    pub(crate) fn look(&mut self) {
        let has_moved = self.send() | self.receive();
        if has_moved || self.waiting.is_empty() {
            self.moved_ns = sys::monotonic_ns();
            return;
        }
        let silence = Duration::from_nanos(sys::monotonic_ns().saturating_sub(self.moved_ns));
        let Some(serving) = &mut self.serving else {
            return;
        };
        // A child that has no CPU is slow, and waits for nothing.
        let is_over = !matches!(serving.child.try_wait(), Ok(None));
        let patience = if serving.has_begun {
            PATIENCE
        } else {
            START_PATIENCE
        };
        if is_over || (silence > patience && !is_runnable(serving.child.id())) {
            self.give_up();
        }
    }

    /// Gives the child up, and its first question with it.
    fn give_up(&mut self) {
        self.serving = None;
        if let Some(first) = self.waiting.pop_front() {
            self.waiting_bytes -= first.frame.len();
            self.answers.insert(first.ticket, None);
        }
        if !self.waiting.is_empty() && !self.starts() {
            self.give_up_all();
        }
    }

    fn give_up_all(&mut self) {
        for waiting in self.waiting.drain(..) {
            self.answers.insert(waiting.ticket, None);
        }
        self.waiting_bytes = 0;
    }

    fn send(&mut self) -> bool {
        let Some(serving) = &mut self.serving else {
            return false;
        };
        let mut has_moved = false;
        while !self.unsent.is_empty() {
            match serving.socket.write(self.unsent.as_slices().0) {
                Ok(count) if count > 0 => {
                    self.unsent.drain(..count);
                    has_moved = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        has_moved
    }

    fn receive(&mut self) -> bool {
        let Some(serving) = &mut self.serving else {
            return false;
        };
        let mut has_moved = false;
        let mut piece = [0; 16 << 10];
        loop {
            match serving.socket.read(&mut piece) {
                Ok(count) if count > 0 => {
                    self.received.extend_from_slice(&piece[..count]);
                    has_moved = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let mut taken = 0;
        while let Some((ticket, answer)) = Frame::decode(&self.received[taken..]) {
            taken += HEAD + answer.map_or(0, <[u8]>::len);
            if ticket == BEGUN {
                serving.has_begun = true;
                continue;
            }
            // Answers come in the order of their questions.
            while let Some(first) = self.waiting.pop_front() {
                self.waiting_bytes -= first.frame.len();
                let is_it = first.ticket == ticket;
                let answer = answer.filter(|_| is_it).map(<[u8]>::to_vec);
                self.answers.insert(first.ticket, answer);
                if is_it {
                    break;
                }
            }
        }
        self.received.drain(..taken);
        has_moved
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may wait for ever, also for its own end.
        let _ = self.child.kill();
        let _ = self.child.try_wait();
    }
}

/// A process has work and only needs a CPU.
fn is_runnable(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('R'))
}

/// Starts a child: this program, with a socket for its standard input.
fn start(window: Duration) -> Option<Serving> {
    let (socket, theirs) = UnixStream::pair().ok()?;
    socket.set_nonblocking(true).ok()?;
    let child = Command::new("/proc/self/exe")
        .arg(ARGUMENT)
        .arg(window.as_millis().to_string())
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    Some(Serving {
        child,
        socket,
        has_begun: false,
    })
}

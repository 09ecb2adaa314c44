//! The child's side: questions in, answers out, until the probe is gone.

use super::question::{BEGUN, CommandLine, Frame, Given, MAX_QUESTION, Question};
use crate::node::{names, namespace};
use crate::sys;
use rustix::fs::{Mode, OFlags, open, readlink};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The argument that makes this program the reader's child.
pub(crate) const ARGUMENT: &str = "--reader";
/// All names together may take this part of the window as CPU time.
const SHARE: u32 = 10;
/// CPU time that is always there.
const LEAST: Duration = Duration::from_millis(100);
/// Most bytes read of a command line.
const MAX_COMMAND_LINE: u64 = 4096;

/// What the child does; its exit code.
pub(crate) fn serve(milliseconds: &str) -> i32 {
    sys::end_with_parent();
    let window = Duration::from_millis(milliseconds.parse().unwrap_or(0));
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return 2;
    };
    let mut output = UnixStream::from(socket);
    let Ok(input) = output.try_clone() else {
        return 2;
    };
    if output.write_all(&Frame::encode(BEGUN, None)).is_err() {
        return 2;
    }
    let mut input = BufReader::new(input);
    let mut roots = Roots::default();
    let started_ns = sys::monotonic_ns();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut bytes = vec![0; (u32::from_le_bytes(length) as usize).min(MAX_QUESTION)];
        if input.read_exact(&mut bytes).is_err() {
            break;
        }
        let Some((ticket, question)) = Question::decode(&bytes) else {
            return 2;
        };
        let answer = match question {
            Question::Root { container, tgid } => {
                roots.keep(container, tgid);
                continue;
            }
            Question::Name(given) => {
                let elapsed = Duration::from_nanos(sys::monotonic_ns() - started_ns);
                let allowed = (window / SHARE).max(elapsed / SHARE + LEAST);
                if Duration::from_nanos(sys::cpu_ns()) < allowed {
                    roots.resolve(&given)
                } else {
                    None
                }
            }
            Question::CommandLine { tgid } => Some(command_line(tgid).encode()),
        };
        if output
            .write_all(&Frame::encode(ticket, answer.as_deref()))
            .is_err()
        {
            break;
        }
    }
    0
}

fn command_line(tgid: u32) -> CommandLine {
    let mut argv = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{tgid}/cmdline")) {
        let _ = file.take(MAX_COMMAND_LINE).read_to_end(&mut argv);
    }
    let truncated = argv.len() as u64 == MAX_COMMAND_LINE;
    // Programs that write their own title leave a tail of NULs.
    while argv.ends_with(b"\0\0") {
        argv.pop();
    }
    CommandLine {
        argv,
        truncated,
        cwd: read_link(&format!("/proc/{tgid}/cwd")),
    }
}

fn read_link(path: &str) -> Option<Vec<u8>> {
    Some(readlink(path, Vec::new()).ok()?.into_bytes())
}

/// Opens a directory without asking its file system.
fn place(path: &str) -> Option<OwnedFd> {
    open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Roots of containers, kept since their processes may be gone when a name has to be resolved; each with the
/// number of its mount namespace.
#[derive(Default)]
struct Roots(HashMap<u32, (OwnedFd, u32)>);

/// Inode number of the mount namespace of a process.
fn mount_namespace(process: &str) -> Option<u32> {
    namespace(process, "mnt")
}

/// A process lives in the mount namespace in which a name was given. Where that is not known, it is taken
/// for granted.
fn is_there(process: &str, given: &Given<'_>) -> bool {
    given.namespace == 0 || mount_namespace(process) == Some(given.namespace)
}

impl Roots {
    fn keep(&mut self, container: u32, tgid: u32) {
        let namespace = mount_namespace(&tgid.to_string());
        if let Some(root) = place(&format!("/proc/{tgid}/root")).zip(namespace) {
            self.0.entry(container).or_insert(root);
        }
    }

    /// The path that a name leads to, as the mount namespace of the caller has it. None: it took too long.
    fn resolve(&self, given: &Given<'_>) -> Option<Vec<u8>> {
        let (root, prefix) = self.root_of(given);
        let start = given
            .directory
            .strip_prefix(prefix.as_slice())
            .unwrap_or(given.directory);
        let mut path = prefix;
        path.extend(match root {
            Some(root) => names::resolve(root, start, given.name, given.follow, given.pid)?,
            None => names::as_it_stands(start, given.name),
        });
        Some(path)
    }

    /// The root of a caller, or of its container when it is gone and had no mounts of its own; and where
    /// that root lies when it is a directory of its mount namespace.
    fn root_of(&self, given: &Given<'_>) -> (Option<OwnedFd>, Vec<u8>) {
        let own = format!("/proc/{}/root", given.tgid);
        let not_root = |path: Vec<u8>| if path == b"/" { Vec::new() } else { path };
        let link = read_link(&own)
            .filter(|_| is_there(&given.tgid.to_string(), given))
            .map(not_root);
        // The kernel has told where an absolute name begins.
        let prefix = given
            .name
            .starts_with(b"/")
            .then(|| not_root(given.directory.to_vec()));
        match (link, prefix.as_deref()) {
            (Some(link), Some(prefix)) if link == prefix => return (place(&own), link),
            // A process may hold a directory outside of its root.
            (Some(link), None) if given.directory.starts_with(&link) => return (place(&own), link),
            (Some(link), Some(prefix)) if link.is_empty() => {
                return (
                    place(&own).and_then(|root| below(root, prefix)),
                    prefix.to_vec(),
                );
            }
            _ => {}
        }
        let root = match self.0.get(&given.container) {
            Some((root, namespace)) if [0, *namespace].contains(&given.namespace) => {
                root.try_clone().ok()
            }
            None if given.is_host && is_there("1", given) => place("/proc/1/root"),
            _ => None,
        };
        let prefix = prefix.unwrap_or_default();
        (root.and_then(|root| below(root, &prefix)), prefix)
    }
}

/// A directory below a root.
fn below(root: OwnedFd, path: &[u8]) -> Option<OwnedFd> {
    if path.is_empty() {
        return Some(root);
    }
    names::directory(&root, path)
}

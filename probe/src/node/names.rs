//! Names that processes gave, to paths: each part is looked at as the kernel does it, by descriptors, so
//! that a name takes time in proportion to its length.

use crate::sys;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use std::os::fd::{AsFd as _, OwnedFd};

/// Symbolic links followed in one name; the kernel's own limit (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;
/// Parts that are looked at one by one in one name.
const MAX_PARTS: usize = 64;
/// CPU time that one name may take, and parts that it always has: on a slow machine the first ones read the
/// program.
const MAX_NS: u64 = 5_000_000;
const LEAST_PARTS: usize = 16;

/// What a part of a path is.
pub(crate) enum Found {
    /// It was entered, whether or not it is a directory.
    Entered,
    /// A symbolic link, which was not entered.
    Link(Vec<u8>),
    /// It is not there, or can't be looked at.
    Absent,
}

/// A place in a tree of directories, which starts at its root.
pub(crate) trait Tree {
    /// Goes one part down, unless it is a link or absent.
    fn enter(&mut self, part: &[u8]) -> Found;
    /// Goes one part up, where one was entered.
    fn leave(&mut self);
    /// Goes to the root.
    fn top(&mut self);
}

/// The path that a name leads to from a directory, whose own path has no links. What does not exist is taken
/// as it stands. None: the name has too many parts, or took too long.
pub(crate) fn walk(
    start: &[u8],
    name: &[u8],
    follow: bool,
    pid: u32,
    tree: &mut impl Tree,
) -> Option<Vec<u8>> {
    let begun_ns = sys::cpu_ns();
    let follow = follow || name.ends_with(b"/");
    let start = if name.starts_with(b"/") { b"" } else { start };
    let mut done: Vec<Vec<u8>> = Vec::new();
    // The tree is in so many parts of them.
    let mut n_entered = 0;
    // The next part is the last one.
    let mut left: Vec<Vec<u8>> = parts(start)
        .chain(parts(name))
        .map(<[u8]>::to_vec)
        .collect();
    left.reverse();
    let (mut n_links, mut n_parts) = (0, 0);
    while let Some(part) = left.pop() {
        n_parts += 1;
        let is_slow = n_parts > LEAST_PARTS && sys::cpu_ns() - begun_ns > MAX_NS;
        if n_parts > MAX_PARTS || is_slow {
            return None;
        }
        if part == b".." {
            if done.pop().is_some() && n_entered > done.len() {
                n_entered -= 1;
                tree.leave();
            }
            continue;
        }
        let leads_on = follow || !left.is_empty();
        if leads_on && done == [b"proc"] {
            // It leads everybody to himself: not to the probe, who asks.
            let own = pid.to_string().into_bytes();
            match part.as_slice() {
                b"self" => {
                    left.push(own);
                    continue;
                }
                b"thread-self" => {
                    left.extend([own.clone(), b"task".to_vec(), own]);
                    continue;
                }
                _ => {}
            }
        }
        let is_there = n_entered == done.len();
        done.push(part);
        if !leads_on || !is_there || n_links == MAX_LINKS {
            continue;
        }
        let target = match tree.enter(&done[n_entered]) {
            Found::Entered => {
                n_entered += 1;
                continue;
            }
            Found::Absent => continue,
            Found::Link(target) => target,
        };
        let is_absolute = target.starts_with(b"/");
        // Links of /proc may lead to what has no name: `pipe:[1]`.
        if !is_absolute && done[0] == b"proc" && target.contains(&b'[') {
            continue;
        }
        n_links += 1;
        done.pop();
        if is_absolute {
            done.clear();
            n_entered = 0;
            tree.top();
        }
        let more: Vec<Vec<u8>> = parts(&target).map(<[u8]>::to_vec).collect();
        left.extend(more.into_iter().rev());
    }
    Some(join(&done))
}

/// The path of a name when none of its parts is a link.
pub(crate) fn as_it_stands(start: &[u8], name: &[u8]) -> Vec<u8> {
    let start = if name.starts_with(b"/") { b"" } else { start };
    let mut done: Vec<&[u8]> = Vec::new();
    for part in parts(start).chain(parts(name)) {
        if part == b".." {
            done.pop();
        } else {
            done.push(part);
        }
    }
    join(&done)
}

/// The path that a name leads to below a root. None: it took too long.
pub(crate) fn resolve(
    root: OwnedFd,
    start: &[u8],
    name: &[u8],
    follow: bool,
    pid: u32,
) -> Option<Vec<u8>> {
    if has_no_link(&root, start, name, follow) {
        return Some(as_it_stands(start, name));
    }
    walk(
        start,
        name,
        follow,
        pid,
        &mut Descriptors { path: vec![root] },
    )
}

/// No part of a name that leads on is a link: the kernel says so in one look, however many there are.
fn has_no_link(root: &OwnedFd, start: &[u8], name: &[u8], follow: bool) -> bool {
    let start = if name.starts_with(b"/") { b"" } else { start };
    let whole = [start, b"/", name].concat();
    let Some((folder, last)) = parts_apart(&whole) else {
        return false;
    };
    let Some(folder) = directory(root, folder) else {
        return false;
    };
    // What is no link, or is not there, leads to itself.
    !follow || readlinkat(&folder, last, Vec::new()).is_err()
}

/// The folder and the last part of a path; none where the last part is no name of its own.
fn parts_apart(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let place = path.iter().rposition(|byte| *byte == b'/')?;
    let last = &path[place + 1..];
    (!matches!(last, b"" | b"." | b"..")).then_some((&path[..place], last))
}

/// A directory below a root, when no part of its path is a link.
pub(crate) fn directory(root: &OwnedFd, path: &[u8]) -> Option<OwnedFd> {
    let path = if path.is_empty() { b"/" } else { path };
    openat2(
        root,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
    )
    .ok()
}

/// A place as descriptors, the root first.
struct Descriptors {
    path: Vec<OwnedFd>,
}

impl Tree for Descriptors {
    fn enter(&mut self, part: &[u8]) -> Found {
        let Some(here) = self.path.last() else {
            return Found::Absent;
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(there) = openat(here.as_fd(), part, flags, Mode::empty()) else {
            return Found::Absent;
        };
        if let Ok(target) = readlinkat(&there, c"", Vec::new()) {
            return Found::Link(target.into_bytes());
        }
        self.path.push(there);
        Found::Entered
    }

    fn leave(&mut self) {
        if self.path.len() > 1 {
            self.path.pop();
        }
    }

    fn top(&mut self) {
        self.path.truncate(1);
    }
}

/// Parts of a path that are names, or `..`.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

pub(crate) fn join(parts: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut path = Vec::new();
    for part in parts {
        path.push(b'/');
        path.extend_from_slice(part.as_ref());
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Links;

    /// A file system of links only.
    fn link(path: &[u8]) -> Option<Vec<u8>> {
        let target: &[u8] = match path {
            b"/w/x/l" => b"../y/z",
            b"/abs" => b"/w/x",
            b"/loop" => b"loop",
            b"/dev/fd" => b"/proc/self/fd",
            b"/proc/7/fd/1" => b"pipe:[4711]",
            b"/proc/7/fd/2" => b"/w/log",
            _ => return None,
        };
        Some(target.to_vec())
    }

    fn check(start: &str, name: &str, follow: bool, path: &str) {
        let mut tree = Links::new(link);
        let found = walk(start.as_bytes(), name.as_bytes(), follow, 7, &mut tree);
        let found = found.expect("it is short");
        assert_eq!(String::from_utf8_lossy(&found), path, "{start} {name}");
    }

    #[test]
    fn a_name_of_too_many_parts_is_left() {
        let name = "a/".repeat(MAX_PARTS + 1);
        assert_eq!(
            walk(b"/", name.as_bytes(), true, 7, &mut Links::new(link)),
            None
        );
    }

    #[test]
    fn a_real_tree_is_walked_as_the_kernel_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).expect("folders");
        std::fs::write(at("a/b/f"), "").expect("a file");
        std::os::unix::fs::symlink("/a/b", at("abs")).expect("a link");
        std::os::unix::fs::symlink("b", at("a/rel")).expect("a link");
        std::os::unix::fs::symlink("f", at("a/b/l")).expect("a link");
        let root = || OwnedFd::from(std::fs::File::open(folder.path()).expect("the folder"));
        for (start, name, follow, path) in [
            ("/", "a/b/f", false, "/a/b/f"),
            ("/a", "b/../b/f", false, "/a/b/f"),
            ("/a", "rel/f", false, "/a/b/f"),
            ("/a", "/abs/f", false, "/a/b/f"),
            ("/a", "/abs/../rel/l", true, "/a/b/f"),
            ("/a/b", "l", false, "/a/b/l"),
            ("/a/b", "l", true, "/a/b/f"),
            ("/a/b", "l/", false, "/a/b/f"),
            ("/a/b", "../../../../abs", true, "/a/b"),
            ("/", "none/x/../y", true, "/none/y"),
            ("/", "abs/none/../f", true, "/a/b/f"),
            ("/", "a/b/f/x", true, "/a/b/f/x"),
        ] {
            let found = resolve(root(), start.as_bytes(), name.as_bytes(), follow, 7);
            let found = String::from_utf8(found.expect("it is short")).expect("ASCII");
            assert_eq!(found, path, "{start} {name}");
        }
    }

    #[test]
    fn a_long_name_without_links_is_looked_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut path = folder.path().to_owned();
        for _ in 0..300 {
            path.push("a");
        }
        std::fs::create_dir_all(&path).expect("folders");
        let root = OwnedFd::from(std::fs::File::open(folder.path()).expect("the folder"));
        let name = "a/".repeat(300) + "x";
        let found = resolve(root, b"/", name.as_bytes(), true, 7);
        assert_eq!(found, Some(format!("/{name}").into_bytes()));
    }

    #[test]
    fn names_lead_where_the_kernel_would_go() {
        for (name, path) in [
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("//", "/"),
            ("rel", "/w/x/rel"),
            ("../rel", "/w/rel"),
            // The directory above is that of where a link leads, not of where it lies.
            ("/w/x/l/../dd", "/w/y/dd"),
            ("/abs/l/f", "/w/y/z/f"),
            ("l", "/w/x/l"),
            ("/loop/x", "/loop/x"),
            ("/proc/self/status", "/proc/7/status"),
            ("/proc/thread-self/comm", "/proc/7/task/7/comm"),
            ("/proc/self", "/proc/self"),
            ("/dev/fd/2", "/proc/7/fd/2"),
        ] {
            check("/w/x", name, false, path);
        }
        for (name, path) in [
            ("l", "/w/y/z"),
            ("/abs", "/w/x"),
            ("/dev/fd/1", "/proc/7/fd/1"),
            ("/dev/fd/2", "/w/log"),
            ("/proc/self", "/proc/7"),
        ] {
            check("/w/x", name, true, path);
        }
    }
}

//! Names that processes gave, to paths: each part is looked at as the kernel does it.

/// Symbolic links followed in one name; the kernel's own limit (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// A name as a process gave it.
pub(crate) struct Given<'a> {
    /// Container slot.
    pub(crate) container: u32,
    /// The process.
    pub(crate) tgid: u32,
    /// Its id as its own /proc shows it.
    pub(crate) pid: u32,
    /// What the name is relative to; the caller's root when it is absolute.
    pub(crate) directory: &'a [u8],
    /// The name.
    pub(crate) name: &'a [u8],
    /// A symbolic link at its end is followed.
    pub(crate) follow: bool,
}

/// The path that a name leads to from a directory, whose own path has no links. `link` says where a path leads
/// when it is a symbolic link. What does not exist is taken as it stands.
pub(crate) fn walk(
    start: &[u8],
    name: &[u8],
    follow: bool,
    pid: u32,
    link: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let follow = follow || name.ends_with(b"/");
    let start = if name.starts_with(b"/") { b"" } else { start };
    let mut done: Vec<Vec<u8>> = parts(start).map(<[u8]>::to_vec).collect();
    // The next part is the last one.
    let mut left: Vec<Vec<u8>> = parts(name).map(<[u8]>::to_vec).collect();
    left.reverse();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == b".." {
            done.pop();
            continue;
        }
        let is_last = left.is_empty();
        let leads_on = follow || !is_last;
        if leads_on && done == [b"proc"] {
            // It leads everybody to himself: not to the probe, who asks.
            let own = pid.to_string().into_bytes();
            match part.as_slice() {
                b"self" => {
                    done.push(own);
                    continue;
                }
                b"thread-self" => {
                    done.extend([own.clone(), b"task".to_vec(), own]);
                    continue;
                }
                _ => {}
            }
        }
        done.push(part);
        if !leads_on || links == MAX_LINKS {
            continue;
        }
        let Some(target) = link(&join(&done)) else {
            continue;
        };
        let is_absolute = target.starts_with(b"/");
        // Links of /proc may lead to what has no name: `pipe:[1]`.
        if !is_absolute && done[0] == b"proc" && target.contains(&b'[') {
            continue;
        }
        links += 1;
        done.pop();
        if is_absolute {
            done.clear();
        }
        let more: Vec<Vec<u8>> = parts(&target).map(<[u8]>::to_vec).collect();
        left.extend(more.into_iter().rev());
    }
    join(&done)
}

/// Parts of a path that are names, or `..`.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut path = Vec::new();
    for part in parts {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::walk;

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
        let found = walk(start.as_bytes(), name.as_bytes(), follow, 7, link);
        assert_eq!(String::from_utf8_lossy(&found), path, "{start} {name}");
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

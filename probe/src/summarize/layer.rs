//! The layer of a file: the image, what a container wrote over it, a volume, the node, memory.

use super::Facts;
use crate::drain::FileSample;
use procmon_probe_ebpf::abi::{FILE_FOLDER, FILE_UPPER, FileMeta};
use procmon_profile::model::Layer;

/// `OVERLAYFS_SUPER_MAGIC`, include/uapi/linux/magic.h.
const OVERLAYFS: u32 = 0x794c_7630;
/// `TMPFS_MAGIC`, include/uapi/linux/magic.h.
const TMPFS: u32 = 0x0102_1994;

/// The layer of an executable.
pub(super) fn of_exe(facts: &Facts<'_>, container: u32, meta: &FileMeta, path: &str) -> Layer {
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
pub(super) fn has_file(sample: &FileSample) -> bool {
    !sample.named && sample.meta.inode != 0 && sample.meta.flags & FILE_FOLDER == 0
}

/// The layer of a file; none when only its name is known.
pub(super) fn of_file(facts: &Facts<'_>, container: u32, sample: &FileSample) -> Option<Layer> {
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

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given};
    use super::*;
    use crate::node::MountFacts;
    use procmon_profile::model::{Mount, MountKind};
    use std::rc::Rc;

    /// A container whose namespaces are the node's.
    const HOST: u32 = CONTAINER + 1;

    fn meta(magic: u32, flags: u32) -> FileMeta {
        FileMeta {
            inode: 1,
            magic,
            flags,
            ..FileMeta::default()
        }
    }

    #[test]
    fn executables() {
        let given = Given::new();
        for (container, path, meta, expected) in [
            (CONTAINER, "/bin/app", meta(OVERLAYFS, 0), Layer::Image),
            (
                CONTAINER,
                "/bin/app",
                meta(OVERLAYFS, FILE_UPPER),
                Layer::Upper,
            ),
            (CONTAINER, "/bin/app", meta(0xef53, 0), Layer::Unknown),
            (CONTAINER, "memfd:x", meta(TMPFS, 0), Layer::Memfd),
            (CONTAINER, "memfd:x", meta(OVERLAYFS, 0), Layer::Image),
            (HOST, "/bin/app", meta(OVERLAYFS, FILE_UPPER), Layer::Host),
            (HOST, "memfd:x", meta(TMPFS, 0), Layer::Memfd),
        ] {
            let found = given.facts(|facts| of_exe(facts, container, &meta, path));
            assert_eq!(found, expected, "{path} of {container}, {meta:?}");
        }
    }

    #[test]
    fn files() {
        let given = Given::new();
        let mount = |is_root| {
            Some(Rc::new(MountFacts {
                mount: Mount {
                    kind: MountKind::Bind,
                    source: None,
                    host_path: None,
                },
                is_root,
            }))
        };
        for (container, path, meta, mount, expected) in [
            (
                CONTAINER,
                "/a",
                meta(OVERLAYFS, 0),
                mount(true),
                Some(Layer::Image),
            ),
            (
                CONTAINER,
                "/a",
                meta(OVERLAYFS, FILE_UPPER),
                None,
                Some(Layer::Upper),
            ),
            (
                CONTAINER,
                "/a",
                meta(OVERLAYFS, 0),
                mount(false),
                Some(Layer::Volume),
            ),
            (
                CONTAINER,
                "/a",
                meta(0xef53, 0),
                mount(true),
                Some(Layer::Unknown),
            ),
            (
                CONTAINER,
                "memfd:x",
                meta(TMPFS, 0),
                None,
                Some(Layer::Memfd),
            ),
            (CONTAINER, "/a/…", meta(OVERLAYFS, FILE_FOLDER), None, None),
            (CONTAINER, "/a", FileMeta::default(), None, None),
            (
                HOST,
                "/a",
                meta(OVERLAYFS, 0),
                mount(false),
                Some(Layer::Host),
            ),
        ] {
            let mut sample = FileSample {
                row: 0,
                exe: APP,
                path: path.into(),
                meta,
                mount,
                named: false,
                settled: true,
            };
            let found = given.facts(|facts| of_file(facts, container, &sample));
            assert_eq!(found, expected, "{path} of {container}, {meta:?}");
            sample.named = true;
            let found = given.facts(|facts| of_file(facts, container, &sample));
            assert_eq!(found, None, "only a name: {path}");
        }
    }
}

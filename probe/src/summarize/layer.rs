//! The layer of a file: the image, what a container wrote over it, a volume, the node, memory.

use super::Facts;
use crate::drain::{Exe, FileSample, OVERLAYFS};
use crate::node::MountFacts;
use procmon_probe_ebpf::abi::{FILE_FOLDER, FILE_UPPER, FileMeta};
use procmon_profile::model::Layer;

/// `TMPFS_MAGIC`, include/uapi/linux/magic.h.
const TMPFS: u32 = 0x0102_1994;

/// The layer of an executable.
pub(super) fn of_exe(facts: &Facts<'_>, exe: &Exe) -> Layer {
    of(
        facts,
        exe.container,
        &exe.path,
        &exe.meta,
        exe.mount.as_deref(),
    )
}

/// The layer of a file by its path, its file system and its mount.
fn of(
    facts: &Facts<'_>,
    container: u32,
    path: &str,
    meta: &FileMeta,
    mount: Option<&MountFacts>,
) -> Layer {
    if path.starts_with("memfd:") && meta.magic == TMPFS {
        return Layer::Memfd;
    }
    if facts.node.is_host(container) {
        return Layer::Host;
    }
    match (mount.map(|mount| mount.is_root), meta.magic) {
        (Some(false), _) => Layer::Volume,
        (_, OVERLAYFS) if meta.flags & FILE_UPPER != 0 => Layer::Upper,
        (_, OVERLAYFS) => Layer::Image,
        _ => Layer::Unknown,
    }
}

/// The name led to a file when it was first seen.
pub(super) fn has_file(sample: &FileSample) -> bool {
    !sample.named && sample.meta.inode != 0 && sample.meta.flags & FILE_FOLDER == 0
}

/// The layer of a file; none when only its name is known.
pub(super) fn of_file(facts: &Facts<'_>, container: u32, sample: &FileSample) -> Option<Layer> {
    let mount = sample.mount.as_deref();
    has_file(sample).then(|| of(facts, container, &sample.path, &sample.meta, mount))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given};
    use super::*;
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

    fn mount(is_root: bool) -> Rc<MountFacts> {
        let mount = Mount {
            kind: MountKind::Bind,
            source: None,
            host_path: None,
        };
        Rc::new(MountFacts { mount, is_root })
    }

    #[test]
    fn executables() {
        let given = Given::new();
        for (container, path, meta, mount, expected) in [
            (
                CONTAINER,
                "/bin/app",
                meta(OVERLAYFS, 0),
                None,
                Layer::Image,
            ),
            (
                CONTAINER,
                "/bin/app",
                meta(OVERLAYFS, FILE_UPPER),
                None,
                Layer::Upper,
            ),
            (CONTAINER, "/bin/app", meta(0xef53, 0), None, Layer::Unknown),
            (
                CONTAINER,
                "/bin/app",
                meta(0xef53, 0),
                Some(mount(true)),
                Layer::Unknown,
            ),
            (
                CONTAINER,
                "/tmp/app",
                meta(TMPFS, 0),
                Some(mount(false)),
                Layer::Volume,
            ),
            (CONTAINER, "memfd:x", meta(TMPFS, 0), None, Layer::Memfd),
            (CONTAINER, "memfd:x", meta(OVERLAYFS, 0), None, Layer::Image),
            (
                HOST,
                "/bin/app",
                meta(OVERLAYFS, FILE_UPPER),
                None,
                Layer::Host,
            ),
            (HOST, "memfd:x", meta(TMPFS, 0), None, Layer::Memfd),
        ] {
            let exe = Exe {
                container,
                path: path.into(),
                meta,
                mount: mount.clone(),
            };
            let found = given.facts(|facts| of_exe(facts, &exe));
            assert_eq!(found, expected, "{path} of {container}, {meta:?}");
        }
    }

    #[test]
    fn files() {
        let given = Given::new();
        for (container, path, meta, mount, expected) in [
            (
                CONTAINER,
                "/a",
                meta(OVERLAYFS, 0),
                Some(mount(true)),
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
                Some(mount(false)),
                Some(Layer::Volume),
            ),
            (
                CONTAINER,
                "/a",
                meta(0xef53, 0),
                Some(mount(true)),
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
                Some(mount(false)),
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

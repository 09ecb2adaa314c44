//! Mounts, from /proc/PID/mountinfo (proc_pid_mountinfo(5)).

use procmon_profile::model::{Mount, MountKind};
use procmon_profile::text::{self, Text};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;

/// Most bytes read of one mountinfo.
const MAX_BYTES: u64 = 4 << 20;

/// What the document says of a mount, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountFacts {
    pub(crate) mount: Mount,
    /// It is the root of its mount namespace.
    pub(crate) is_root: bool,
}

/// The mounts that a process sees, by id. None when the process is gone.
pub(crate) fn read(process: u32) -> Option<HashMap<u32, MountFacts>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{process}/mountinfo"))
        .ok()?
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(parse(&bytes))
}

/// The mounts of a mountinfo, by id. Whoever mounts chooses paths and sources: they may be any
/// bytes, and a line that can't be read takes no other one with it.
pub(crate) fn parse(mountinfo: &[u8]) -> HashMap<u32, MountFacts> {
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(line)
        .collect()
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD…] - TYPE SOURCE OPTIONS`.
fn line(line: &[u8]) -> Option<(u32, MountFacts)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let (root, point) = (fields.nth(2)?, fields.next()?);
    fields.find(|field| *field == b"-")?;
    let (fs_type, source) = (fields.next()?, fields.next()?);
    let (kind, source) = kind(&plain(fs_type), &plain(root), &plain(source));
    let mount = Mount {
        kind,
        source,
        host_path: None,
    };
    let is_root = point == b"/";
    Some((id, MountFacts { mount, is_root }))
}

/// A field as text of the document. The kernel writes blanks and backslashes as `\NNN`, octal.
fn plain(field: &[u8]) -> Text {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<3>().filter(|_| *first == b'\\');
        let code = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    text::from_bytes(&bytes)
}

/// What a mount is: by its type, else by the volume directory of the kubelet that it shows.
fn kind(fs_type: &str, root: &str, source: &str) -> (MountKind, Option<Text>) {
    let device = || (!matches!(source, "" | "none")).then(|| source.to_owned());
    if let Some((_, volume)) = root.split_once("/volumes/kubernetes.io~") {
        let mut parts = volume.split('/');
        let plugin = parts.next().unwrap_or_default();
        let name = parts.next().map(str::to_owned);
        let kind = match plugin {
            "configmap" => MountKind::ConfigMap,
            "secret" => MountKind::Secret,
            "projected" => MountKind::Projected,
            "empty-dir" => MountKind::EmptyDir,
            _ => MountKind::Pvc,
        };
        return (kind, name.map(Text::from));
    }
    match fs_type {
        "overlay" => (MountKind::Overlay, None),
        "proc" => (MountKind::Proc, None),
        "sysfs" | "cgroup" | "cgroup2" | "securityfs" | "debugfs" | "tracefs" | "bpf" => {
            (MountKind::Sysfs, None)
        }
        "devtmpfs" | "devpts" | "mqueue" => (MountKind::Device, None),
        "tmpfs" | "ramfs" => (MountKind::Tmpfs, None),
        _ if root != "/" => (MountKind::Bind, Some(root.to_owned().into())),
        _ => (MountKind::Other, device().map(Text::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_of_the_kubelet_are_known_by_their_directory() {
        let root = "/var/lib/kubelet/pods/x/volumes/kubernetes.io~projected/kube-api-access-abc";
        assert_eq!(
            kind("tmpfs", root, "tmpfs"),
            (MountKind::Projected, Some("kube-api-access-abc".into()))
        );
        assert_eq!(
            kind("ext4", "/", "/dev/vda"),
            (MountKind::Other, Some("/dev/vda".into()))
        );
        assert_eq!(
            kind("ext4", "/srv", "/dev/vda"),
            (MountKind::Bind, Some("/srv".into()))
        );
    }

    #[test]
    fn a_line_that_is_none_hides_no_other() {
        let text = b"1 0 8:1 / / rw shared:1 - ext4 /dev/vda rw\n\
            x\n\
            2 1 8:1 /a\\040b\xff /mnt rw - ext4 /dev/vda rw\n\
            4 1 0:5 / /proc rw - proc none rw\n\
            3 1 8:1 / /x rw";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 3);
        assert!(mounts[&1].is_root);
        assert_eq!(mounts[&2].mount.source.as_deref(), Some("/a b\\xff"));
        assert_eq!(mounts[&4].mount.kind, MountKind::Proc);
    }
}

//! Mounts, from /proc/PID/mountinfo (proc_pid_mountinfo(5)).

use procfs_core::FromBufRead as _;
use procfs_core::process::MountInfos;
use procmon_profile::model::{Mount, MountKind};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};

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
    let file = File::open(format!("/proc/{process}/mountinfo")).ok()?;
    let infos = MountInfos::from_buf_read(BufReader::new(file.take(MAX_BYTES))).ok()?;
    let mounts = infos
        .0
        .into_iter()
        .filter_map(|info| {
            let (kind, source) = kind(&info.fs_type, &info.root, info.mount_source.as_deref());
            let facts = MountFacts {
                mount: Mount {
                    kind,
                    source,
                    host_path: None,
                },
                is_root: info.mount_point.as_os_str() == "/",
            };
            Some((u32::try_from(info.mnt_id).ok()?, facts))
        })
        .collect();
    Some(mounts)
}

/// What a mount is: by its type, else by the volume directory of the kubelet that it shows.
fn kind(fs_type: &str, root: &str, source: Option<&str>) -> (MountKind, Option<String>) {
    let device = || source.filter(|source| *source != "none").map(str::to_owned);
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
        return (kind, name);
    }
    match fs_type {
        "overlay" => (MountKind::Overlay, None),
        "proc" => (MountKind::Proc, None),
        "sysfs" | "cgroup" | "cgroup2" | "securityfs" | "debugfs" | "tracefs" | "bpf" => {
            (MountKind::Sysfs, None)
        }
        "devtmpfs" | "devpts" | "mqueue" => (MountKind::Device, None),
        "tmpfs" | "ramfs" => (MountKind::Tmpfs, None),
        _ if root != "/" => (MountKind::Bind, Some(root.to_owned())),
        _ => (MountKind::Other, device()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_of_the_kubelet_are_known_by_their_directory() {
        let root = "/var/lib/kubelet/pods/x/volumes/kubernetes.io~projected/kube-api-access-abc";
        assert_eq!(
            kind("tmpfs", root, None),
            (MountKind::Projected, Some("kube-api-access-abc".into()))
        );
        assert_eq!(
            kind("ext4", "/", Some("/dev/vda")),
            (MountKind::Other, Some("/dev/vda".into()))
        );
        assert_eq!(
            kind("ext4", "/srv", None),
            (MountKind::Bind, Some("/srv".into()))
        );
    }
}

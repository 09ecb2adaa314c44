//! A container: who it is, and everything it did.

use super::{CapabilityUse, Dns, Event, File, Network, Process, Syscall, Time};
use crate::text::Text;
use serde::{Deserialize, Serialize};

/// One container of the target. In local mode there is exactly one, without pod and namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Container {
    /// Namespace of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// Name of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Text>,
    /// UID of the pod.
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<Text>,
    /// Name of the container; in local mode the command, pid, cgroup or container id.
    pub container: Text,
    /// Node on which it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Text>,
    /// Image as the pod names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Text>,
    /// `sha256:…` of the image's manifest, where the runtime reports one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Text>,
    /// The runtime's own id of the image.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    pub image_id: Option<Text>,
    /// The runtime's id of the container, 64 hexadecimal digits, without a scheme.
    #[serde(
        default,
        rename = "containerID",
        skip_serializing_if = "Option::is_none"
    )]
    pub container_id: Option<Text>,
    /// The topmost controller of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerReference>,
    /// When the container started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the container ended, where the kubelet says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// True when it started inside the window and was seen from its first instruction.
    pub from_start: bool,
    /// The kubelet's count of restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// The rights that the pod grants it, container over pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Processes, sorted by id.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub processes: Vec<Process>,
    /// System calls, sorted by name, abi and executable.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub syscalls: Vec<Syscall>,
    /// Files, sorted by path and executable.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub files: Vec<File>,
    /// Network peers and listeners, sorted by all that names them.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub network: Vec<Network>,
    /// Names asked of a resolver.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub dns: Vec<Dns>,
    /// Capabilities asked for.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub capabilities: Vec<CapabilityUse>,
    /// Rare and telling operations, in the order of time.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub events: Vec<Event>,
}

impl Container {
    /// Number of its rows, of all dimensions.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.processes.len()
            + self.syscalls.len()
            + self.files.len()
            + self.network.len()
            + self.dns.len()
            + self.capabilities.len()
            + self.events.len()
    }
}

/// A Kubernetes object that owns a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnerReference {
    /// Its kind, `Deployment` for instance.
    pub kind: Text,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// Its name.
    pub name: Text,
}

/// The rights that a pod grants to a container: the effective values, container over pod.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of the Kubernetes API"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecurityContext {
    /// All capabilities, all devices, no confinement.
    pub privileged: bool,
    /// `runAsUser`; absent where the image decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<i64>,
    /// Capabilities added as `+NAME`, dropped as `-NAME`.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub capabilities: Vec<Text>,
    /// `RuntimeDefault`, `Unconfined` or `Localhost/PROFILE`; absent where the kubelet decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Text>,
    /// `RuntimeDefault`, `Unconfined` or `Localhost/PROFILE`; absent where the runtime decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apparmor: Option<Text>,
    /// The root file system can't be written.
    pub read_only_root_filesystem: bool,
    /// Shares the node's network namespace.
    pub host_network: bool,
    /// Shares the node's process id namespace.
    #[serde(rename = "hostPID")]
    pub host_pid: bool,
    /// The volumes that are mounted into it.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub volumes: Vec<Volume>,
}

/// A container that did not run within the window, and what the API says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotRunning {
    /// Namespace of the pod.
    pub namespace: Text,
    /// Name of the pod.
    pub pod: Text,
    /// Name of the container.
    pub container: Text,
    /// `CrashLoopBackOff`, `Completed`, `PodInitializing`, …: as the container's status has it.
    pub reason: Text,
    /// The message of the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
    /// How often it was started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Exit code of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When its last run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// When the kubelet starts it again, at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Time>,
}

/// One volume mount of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Volume {
    /// Name of the volume in the pod.
    pub name: Text,
    /// `configMap`, `secret`, `projected`, `emptyDir`, `persistentVolumeClaim`, `hostPath`, … as
    /// the API names it.
    pub kind: Text,
    /// Where it is mounted.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub mount_path: Text,
    /// Name of the ConfigMap, Secret or claim, or the path on the host.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::path"
    )]
    pub source: Option<Text>,
    /// The part of the volume that is mounted; `$(NAME)` in it stands for what the API does not tell.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::path"
    )]
    pub sub_path: Option<Text>,
    /// Mounted read-only.
    pub read_only: bool,
}

//! A node: its kernel, the hooks that worked there, what was lost and what the capture cost.

use super::Counts;
use crate::text::Text;
use serde::{Deserialize, Serialize};

/// One node that was asked for its part. With `error`, everything the node would have said is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Node {
    /// Kubernetes' name of the node; the host name in local mode.
    pub name: Text,
    /// Kernel release, as `uname -r`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Text>,
    /// Machine architecture in Kubernetes' words: `amd64`, `arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Text>,
    /// Layout of the cgroup file systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupVersion>,
    /// The best tier of hooks in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Every hook wanted, sorted by name.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub hooks: Vec<Hook>,
    /// Records that did not reach the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// The cost of the capture on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// True when nothing was lost, late or cut by the hooks in use.
    pub complete: bool,
    /// Why the node has no part in the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
}

/// Layout of the cgroup file systems of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CgroupVersion {
    /// Controllers in hierarchies of their own.
    V1,
    /// One unified hierarchy.
    V2,
    /// Controllers as in v1, beside a v2 hierarchy that has none.
    Hybrid,
}

/// A class of hooks, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Tier {
    /// fentry and fexit.
    Trampoline,
    /// kprobe and kretprobe.
    Kprobe,
    /// Raw tracepoints, typed tracepoints, iterators, cgroup programs.
    Base,
}

/// One place in the kernel where the probe listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hook {
    /// The tracepoint or kernel function.
    pub name: Text,
    /// How it is attached.
    pub tier: Tier,
    /// Whether it works.
    pub state: HookState,
    /// Runs that the kernel skipped because the program was active already; absent where the kernel does not
    /// count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// Why it is not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// How sure it is that a hook works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HookState {
    /// The probe did the thing itself before the window and saw it.
    Proven,
    /// Attached, but not proven by a sentinel.
    Attached,
    /// Not attached.
    Missing,
}

/// Records that did not reach the document, counted by where they were lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lost {
    /// Records that found the ring buffer full.
    pub ring_buffer: u64,
    /// Entries that found a map full, by map.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub maps: Counts,
    /// Runs of a program that the kernel skipped, by hook.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub recursion: Counts,
    /// Rows dropped to keep the stream below its limit.
    pub frames: u64,
}

/// The cost of the capture on a node. Absent numbers are unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cost {
    /// CPU time of the probe itself, in seconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::numbers"
    )]
    pub cpu_seconds: Option<f64>,
    /// CPU time of the programs in the kernel, in seconds; only where the kernel keeps statistics.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::numbers"
    )]
    pub bpf_seconds: Option<f64>,
    /// Runs of the programs in the kernel; only where the kernel keeps statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf_runs: Option<u64>,
    /// Peak resident memory of the probe, without kernel maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Memory of the kernel maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_bytes: Option<u64>,
    /// Bytes of all frames sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_bytes: Option<u64>,
}

//! The session: who asked for what, and for how long.

use super::Time;
use crate::text::Text;
use serde::{Deserialize, Serialize};

/// One invocation over all its nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// Random, lower-case hexadecimal; also the label of what was created in the cluster.
    pub id: Text,
    /// The program that made the document.
    pub tool: Tool,
    /// The profiled target.
    pub target: Target,
    /// The arguments of the plugin as given, credentials masked.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub command: Vec<Text>,
    /// When the first window opened; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the last window closed; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The window asked for, in seconds; absent when it was to end with the command.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::numbers"
    )]
    pub requested_seconds: Option<f64>,
    /// The shortest window of all nodes that answered, in seconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::numbers"
    )]
    pub window_seconds: Option<f64>,
    /// True when the user ended the window before its time. A window that somebody else cut is
    /// partial instead.
    pub ended_early: bool,
    /// Exit code of `-- CMD`, 128 + N for a signal; absent without a command or while it still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// How tasks were attributed.
    pub label_mode: LabelMode,
}

/// Name and version of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tool {
    /// `kubectl-procmon`.
    pub name: Text,
    /// Its version, without a leading v.
    pub version: Text,
}

/// The target that the user named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Target {
    /// A Kubernetes kind (`Pod`, `Deployment`, …) or, in local mode, `Command`, `Process`, `Cgroup`,
    /// `Container`.
    pub kind: Text,
    /// Its name; the command line, pid, path or id in local mode.
    pub name: Text,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// The label selector that named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Text>,
    /// The only container asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Text>,
}

/// How a task is known to belong to the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LabelMode {
    /// Processes are told by their cgroup, container by container.
    #[default]
    Cgroup,
    /// Processes are told by their descent from one process.
    Tree,
}

//! The frames that a probe writes.

use crate::model::{
    CapabilityUse, Container, Dimension, DimensionCompleteness, Dns, Event, File, Hook, LabelMode,
    Network, Node, Process, Syscall, Time,
};
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Number of the frame, from 0.
    pub seq: u64,
    /// The frame.
    pub frame: Frame,
}

/// The content of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Frame {
    /// First: who speaks. Written once the hooks are attached and the window opens.
    Hello(Hello),
    /// Once a second while the window is open.
    Progress(Progress),
    /// Raw deflate, then base64, of a JSON array of [`Part`]s.
    Chunk(String),
    /// The same, sealed to the key of the session before base64: see [`super::Sealer`].
    Sealed(String),
    /// The probe could not do it. An `end` follows.
    Failed(Failure),
    /// Last.
    End(End),
}

/// Who speaks, and what it can see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// [`super::PROTOCOL`] of the probe.
    pub protocol: Text,
    /// Version of the probe.
    pub probe: Text,
    /// Id of the session, as requested.
    pub session: Text,
    /// Name of the node.
    pub node: Text,
    /// Kernel release.
    pub kernel: Text,
    /// `amd64`, `arm64`.
    pub arch: Text,
    /// The hooks that were attached.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub hooks: Vec<Hook>,
    /// Public key of the probe, base64: chunks are sealed with it to the key of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,
}

/// Totals so far, for a person who waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Seconds since the window opened.
    #[serde(deserialize_with = "crate::bounds::numbers")]
    pub seconds: f64,
    /// System calls.
    pub calls: u64,
    /// Processes seen.
    pub processes: u64,
    /// Rows of files.
    pub files: u64,
    /// Rows of network peers.
    pub peers: u64,
}

/// The reason why a capture is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The kind of failure.
    pub code: FailureCode,
    /// The message: what failed and why, outermost first.
    pub message: Text,
}

/// A kind of failure, for which the plugin may know a remedy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureCode {
    /// The probe does not run as root.
    NotRoot,
    /// The kernel has no type information (BTF).
    NoBtf,
    /// The kernel does not let the probe load eBPF programs.
    BpfForbidden,
    /// The process or container does not exist.
    TargetNotFound,
    /// Another capture runs on the node.
    Busy,
    /// The command's program does not exist.
    CommandNotFound,
    /// The command's program can't be executed.
    CommandNotExecutable,
    /// The request can't be read or fulfilled.
    BadRequest,
    /// Any other, and those of newer probes.
    #[default]
    #[serde(other)]
    Other,
}

/// Why a window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ended {
    /// Its time was over.
    Over,
    /// No process of the target was left, or the command has ended.
    TargetGone,
    /// A signal asked for it.
    Stopped,
    /// The probe's own deadline came.
    Deadline,
    /// The reader of the frames was gone.
    ReaderGone,
    /// The memory limit was near.
    Memory,
    /// A reason of newer probes.
    #[serde(other)]
    Other,
}

/// The end of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// Number of frames before this one.
    pub frames: u64,
    /// SHA-256 of their lines, hexadecimal.
    pub sha256: Text,
}

/// A piece of the capture. `container` is the position of a `Container` part among its kind, from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The node, its hooks, losses and cost.
    Node(Box<Node>),
    /// When the window was, and how it ended.
    Window(WindowReport),
    /// A container with what the probe knows of it, and no rows.
    Container(Box<Container>),
    /// Rows of `processes`.
    Processes {
        /// Number of the container that the rows belong to.
        container: u32,
        /// The rows.
        rows: Vec<Process>,
    },
    /// Rows of `syscalls`.
    Syscalls {
        /// Number of the container that the rows belong to.
        container: u32,
        /// The rows.
        rows: Vec<Syscall>,
    },
    /// Rows of `files`.
    Files {
        /// Number of the container that the rows belong to.
        container: u32,
        /// The rows.
        rows: Vec<File>,
    },
    /// Rows of `network`.
    Network {
        /// Number of the container that the rows belong to.
        container: u32,
        /// The rows.
        rows: Vec<Network>,
    },
    /// Rows of `dns`.
    Dns {
        /// Number of the container that the rows belong to.
        container: u32,
        /// The rows.
        rows: Vec<Dns>,
    },
    /// Rows of `capabilities`.
    Capabilities {
        /// Number of the container that the rows belong to.
        container: u32,
        /// The rows.
        rows: Vec<CapabilityUse>,
    },
    /// Rows of `events`.
    Events {
        /// Number of the container that the rows belong to.
        container: u32,
        /// The rows.
        rows: Vec<Event>,
    },
}

impl Part {
    /// Rows in it, at least one: it is a row itself.
    pub(super) fn rows(&self) -> usize {
        let rows = match self {
            Self::Node(node) => node.hooks.len(),
            Self::Window(window) => {
                let reasons = window.dimensions.values().map(|state| state.reasons.len());
                window.notes.len() + reasons.sum::<usize>()
            }
            // It should have none; rows count wherever they stand.
            Self::Container(container) => container.rows(),
            Self::Processes { rows, .. } => rows.len(),
            Self::Syscalls { rows, .. } => rows.len(),
            Self::Files { rows, .. } => rows.len(),
            Self::Network { rows, .. } => rows.len(),
            Self::Dns { rows, .. } => rows.len(),
            Self::Capabilities { rows, .. } => rows.len(),
            Self::Events { rows, .. } => rows.len(),
        };
        rows + 1
    }
}

/// When the window was, how it ended, and what it can be relied on for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowReport {
    /// When it opened, RFC 3339.
    pub started_at: Time,
    /// When it closed, RFC 3339.
    pub ended_at: Time,
    /// Its length by the monotonic clock.
    pub seconds: f64,
    /// Why it ended; absent in protocol 1.1 and before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// It was ended before its time.
    pub ended_early: bool,
    /// It ended since nothing of the target was left: there was no more to see.
    #[serde(default)]
    pub target_ended: bool,
    /// Exit code of the command, 128 + N for a signal; absent without one or while it still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// How tasks were attributed.
    pub label_mode: LabelMode,
    /// How far this node's rows can be relied on.
    pub dimensions: BTreeMap<Dimension, DimensionCompleteness>,
    /// Coverage by dimension.
    #[serde(default)]
    pub coverage: BTreeMap<Dimension, f64>,
    /// Sentences for the reader.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub notes: Vec<Text>,
}

//! The only thing a probe is told: one line of JSON, as its argument or, where other programs could
//! read that, through a descriptor. A running window takes no order but "stop".

use crate::model::Tier;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The order to a probe: what to capture, for how long, and where its frames go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// [`super::PROTOCOL`] of the plugin.
    pub protocol: String,
    /// Id of the session.
    pub session: String,
    /// Name of the node for the report; the host name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The target of the capture.
    pub target: TargetSpec,
    /// For how long.
    pub window: Window,
    /// Seconds after its start at which the probe ends whatever happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<f64>,
    /// Sizes of the tables; defaults when absent.
    #[serde(default)]
    pub limits: Limits,
    /// An open file descriptor for the frames; standard output when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_fd: Option<i32>,
    /// Public key of the session, base64: chunks are sealed to it. Plain when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_to: Option<String>,
    /// Measure how long system calls take.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub latency: bool,
    /// Show what the verifier said of refused programs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verbose: bool,
    /// Other sessions may capture on this kernel meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concurrent: bool,
    /// Who a command runs as; the probe's own user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// Signals that a command ignores, as its caller does: bit N - 1 is signal N.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ignored_signals: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A user that a command runs as; in JSON the numbers in a row: user, group, supplementary groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct RunAs {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl TryFrom<Vec<u32>> for RunAs {
    type Error = &'static str;

    fn try_from(mut ids: Vec<u32>) -> Result<Self, Self::Error> {
        if ids.len() < 2 {
            return Err("a user needs its number and that of its group");
        }
        let groups = ids.split_off(2);
        Ok(Self {
            uid: ids[0],
            gid: ids[1],
            groups,
        })
    }
}

impl From<RunAs> for Vec<u32> {
    fn from(user: RunAs) -> Self {
        [vec![user.uid, user.gid], user.groups].concat()
    }
}

impl Request {
    /// A request with the defaults: until the command has ended, frames to standard output.
    #[must_use]
    pub fn new(session: &str, target: TargetSpec) -> Self {
        Self {
            protocol: super::PROTOCOL.to_owned(),
            session: session.to_owned(),
            node: None,
            target,
            window: Window::default(),
            deadline_seconds: None,
            limits: Limits::default(),
            frames_fd: None,
            seal_to: None,
            latency: false,
            verbose: false,
            concurrent: false,
            run_as: None,
            ignored_signals: 0,
        }
    }
}

/// The target of the capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetSpec {
    /// Start this command and follow its tree. It inherits the probe's standard streams; when the
    /// frames go to standard output, its standard output goes to standard error.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// Follow the tree of a running process.
    Process {
        /// Its id in the probe's PID namespace.
        pid: u32,
    },
    /// All tasks of one cgroup and of those below it.
    Cgroup {
        /// Path, absolute on the host or relative to the root of the hierarchy.
        path: String,
    },
    /// One container, by its id or a prefix of at least 12 digits.
    Container {
        /// Hexadecimal digits.
        id: String,
    },
    /// All containers of these pods, those that start later included.
    Pods {
        /// UIDs of the pods.
        uids: Vec<String>,
    },
}

/// For how long to capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Length in seconds; absent: until the command has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// Sizes of the tables. A record that finds a table full is counted in `lost`, never silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Tasks of the target at one time.
    pub tasks: u32,
    /// Rows of system calls, each of one executable, abi and number.
    pub syscall_rows: u32,
    /// Rows of files, each of one executable and path.
    pub file_rows: u32,
    /// Rows of network peers.
    pub network_rows: u32,
    /// Bytes of the ring buffer, a power of two.
    pub ring_bytes: u32,
    /// Tests only: no better tier of hooks than this is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Tests only: entries of these maps, whatever their default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tasks: 16_384,
            syscall_rows: 8_192,
            file_rows: 65_536,
            network_rows: 16_384,
            ring_bytes: 8 << 20,
            tier: None,
            entries: BTreeMap::new(),
        }
    }
}

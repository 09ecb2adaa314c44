//! Groups of flags, each about one subject; commands flatten those that they take.

use crate::cluster::connection::Connection;
use crate::cluster::{self, DryRun};
use crate::duration;
use crate::output::Output;
use crate::render::Style;
use anyhow::Result;
use clap::{Arg, ArgAction, Args, Command, ValueEnum};
use procmon_profile::mask::MaskLevel;
use procmon_profile::model::Severity;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A target in a cluster.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// What to profile: `deploy/web`, `pod web-0`, `node/worker-1`, ...
    #[arg(value_name = "TARGET", num_args = 0..=2, help_heading = None::<&str>)]
    pub(crate) target: Vec<String>,
    /// Labels of the pods to profile
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
}

/// A capture without a cluster. It has no use for the flags of [`Named`] and [`ProbePod`].
#[derive(Debug, Args)]
pub(crate) struct ThisMachine {
    /// Capture on this machine: no cluster is needed, but root is
    #[arg(long)]
    pub(crate) local: bool,
    /// Follow this running process and all that descend from it
    #[arg(long, requires = "local", group = "what", value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Capture the tasks of this cgroup and of those below it
    #[arg(long, requires = "local", group = "what", value_name = "PATH")]
    pub(crate) cgroup: Option<String>,
    /// Start this command and follow it; by default the window ends with it
    #[arg(last = true, requires = "local", group = "what", value_name = "CMD", help_heading = None::<&str>)]
    pub(crate) argv: Vec<String>,
    /// Run CMD as root, not as the user that called sudo
    #[arg(long, requires = "local", conflicts_with = "user")]
    pub(crate) as_root: bool,
}

/// Makes `--local` exclude the flags that need a cluster, whole groups at once. A conflict of the groups
/// themselves would do the same, but clap's message would then name flags that nobody gave.
pub(crate) fn exclude_local(flag: Arg) -> Arg {
    let is_in = |group: &Command| {
        group
            .get_arguments()
            .any(|other| other.get_id() == flag.get_id())
    };
    if is_in(&Named::augment_args(Command::default()))
        || is_in(&ProbePod::augment_args(Command::default()))
    {
        return flag.conflicts_with("local");
    }
    flag
}

/// How long is captured, and at which cost.
#[derive(Debug, Args)]
pub(crate) struct Timing {
    /// Length of the window [default: 30s, or until the command ends]
    #[arg(long, value_parser = duration::parse, allow_hyphen_values = true)]
    pub(crate) duration: Option<f64>,
    /// Measure how long system calls take: costs about as much again
    #[arg(long)]
    pub(crate) latency: bool,
    #[command(flatten)]
    pub(crate) capturing: Capturing,
}

/// The pod that carries the probe.
#[derive(Debug, Args)]
pub(crate) struct ProbePod {
    /// Image for the probe's pod [default: one that the node already has]
    #[arg(long)]
    image: Option<String>,
    /// Namespace for the probe's objects [default: the target's]
    #[arg(long, value_name = "NAMESPACE")]
    probe_namespace: Option<String>,
    /// Resources that the probe's pod asks for, as cpu=10m,memory=32Mi
    #[arg(long, value_parser = parse_sizes, value_name = "SIZES")]
    requests: Option<Sizes>,
    /// Limits of the probe's pod, as cpu=1,memory=192Mi
    #[arg(long, value_parser = parse_sizes, value_name = "SIZES")]
    limits: Option<Sizes>,
    /// Run the probe's pod privileged, where the runtime or a policy does not take the capabilities
    /// that it asks for otherwise
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, value_name = "BOOL", hide_possible_values = true)]
    privileged: bool,
    /// Print what would be created instead of creating it
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) dry_run: Option<DryRun>,
}

/// Amounts by resource.
type Sizes = BTreeMap<String, String>;

fn parse_sizes(text: &str) -> Result<Sizes> {
    cluster::parse_sizes(text)
}

impl ProbePod {
    /// The pod as the cluster's part takes it.
    pub(crate) fn settings(&self) -> cluster::Settings {
        cluster::Settings {
            image: self.image.clone(),
            probe_namespace: self.probe_namespace.clone(),
            requests: self.requests.clone().unwrap_or_default(),
            limits: self.limits.clone().unwrap_or_default(),
            privileged: self.privileged,
        }
    }
}

/// How and where the result is written.
#[derive(Debug, Args)]
pub(crate) struct Rendering {
    /// Write the result to this file, which is opened before anything starts
    #[arg(long, value_name = "PATH")]
    pub(crate) output_file: Option<PathBuf>,
    /// On the screen, show each replica of a workload by itself
    #[arg(long)]
    pub(crate) per_pod: bool,
}

impl Rendering {
    /// The style of the place of the result, with what the flags ask for.
    pub(crate) fn style(&self, output: &Output) -> Style {
        Style {
            per_pod: self.per_pod,
            ..Style::of(output)
        }
    }
}

/// How a window stands to others.
#[derive(Clone, Debug, Args)]
pub(crate) struct Capturing {
    /// Capture although another capture runs on the same kernel: programs pay for both
    #[arg(long, env = "PROCMON_CONCURRENT", hide_env = true)]
    pub(crate) concurrent: bool,
}

/// How much of what a target chose is made unreadable in a capture.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Masking {
    /// How much of command lines is made unreadable; a profile is confidential at every level
    #[arg(long, value_enum, default_value_t = Mask::Default, value_name = "LEVEL")]
    mask: Mask,
}

impl Masking {
    /// The level.
    pub(crate) fn level(self) -> MaskLevel {
        match self.mask {
            Mask::Default => MaskLevel::Default,
            Mask::Strict => MaskLevel::Strict,
            Mask::Shape => MaskLevel::Shape,
            Mask::None => MaskLevel::None,
        }
    }
}

/// See [`MaskLevel`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mask {
    /// What names, shapes and randomness say is a credential
    Default,
    /// Also every word that is not clearly a path, a flag, a number, a program or a host
    Strict,
    /// All arguments but programs and flags stand as `<path>`, `<number>`, `<word:12>`
    Shape,
    /// Nothing
    None,
}

/// A severity, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Threshold {
    /// Every row, also those that are only worth knowing
    Info,
    /// Unusual, mostly harmless
    Low,
    /// To be looked at
    Medium,
    /// Likely to be harmful
    High,
    /// Harmful unless somebody knows better
    Critical,
    /// No row
    Never,
}

impl Threshold {
    /// Whether a severity is at or above it.
    pub(crate) fn includes(self, severity: Severity) -> bool {
        let least = match self {
            Self::Info => Severity::Info,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
            Self::Never => return false,
        };
        severity >= least
    }
}

/// Permission to change what is locked
#[derive(Debug, Args)]
pub(crate) struct Force {
    /// Change it although it is locked, or although workloads differ; leaves a note
    #[arg(long)]
    pub(crate) force: bool,
    /// Why, for the note
    #[arg(long, requires = "force", value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// A target that is profiled right now, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Profiling a target")]
pub(crate) struct Live {
    /// Only this container of the target
    #[arg(short = 'c', long, value_name = "CONTAINER")]
    pub(crate) container: Option<String>,
    /// Length of each window
    #[arg(long, value_parser = duration::parse, default_value = "30s", allow_hyphen_values = true)]
    pub(crate) duration: f64,
    /// Image for the probe's pod [default: one that the node already has]
    #[arg(long)]
    pub(crate) image: Option<String>,
    /// Namespace for the probe's objects [default: the target's]
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) probe_namespace: Option<String>,
    /// Run the probe's pod privileged
    #[arg(long)]
    pub(crate) privileged: bool,
    #[command(flatten)]
    pub(crate) masking: Masking,
    /// No progress, and no summary
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) capturing: Capturing,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

impl Live {
    /// A capture of this target.
    pub(crate) fn options(&self, target: Vec<String>) -> cluster::Options {
        cluster::Options {
            connection: self.connection.clone(),
            target: cluster::Wanted {
                words: target,
                selector: None,
                container: self.container.clone(),
            },
            seconds: self.duration,
            pod: cluster::Settings {
                image: self.image.clone(),
                probe_namespace: self.probe_namespace.clone(),
                privileged: self.privileged,
                ..cluster::Settings::default()
            },
            dry_run: None,
            quiet: self.quiet,
            latency: false,
            verbose: false,
            concurrent: self.capturing.concurrent,
            mask: self.masking.level(),
        }
    }
}

//! Groups of flags that commands share.

use crate::output::Output;
use crate::render::Style;
use clap::{Args, ValueEnum};
use procmon_profile::mask::MaskLevel;
use std::path::PathBuf;

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

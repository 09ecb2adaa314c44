//! The options of a capture in a cluster.

use super::carrier::manifest::Settings;
use super::connection::Connection;
use super::target::Wanted;
use procmon_profile::mask::MaskLevel;

/// The options of a capture, as a user gives them.
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) connection: Connection,
    pub(crate) target: Wanted,
    pub(crate) seconds: f64,
    pub(crate) pod: Settings,
    pub(crate) dry_run: Option<DryRun>,
    pub(crate) quiet: bool,
    pub(crate) latency: bool,
    pub(crate) verbose: bool,
    /// Capture beside other sessions.
    pub(crate) concurrent: bool,
    /// How much of what the target chose is made unreadable.
    pub(crate) mask: MaskLevel,
}

/// Print what would be created instead of creating it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DryRun {
    /// Print only
    Client,
    /// Also ask the API server whether it would admit it
    Server,
}

//! All talk with the API server: from a target to a Profile, with nothing left behind.

mod capture;
mod carrier;
mod client;
pub(crate) mod connection;
mod containers;
mod credential;
mod dry_run;
mod enrich;
mod errors;
mod follow;
mod kubeconfig;
mod node;
mod options;
mod peers;
mod plan;
mod profile;
mod session;
pub(crate) mod store;
mod target;

pub(crate) use carrier::manifest::{Settings, parse_sizes};
pub(crate) use options::{DryRun, Options};
pub(crate) use profile::{Outcome, run};
pub(crate) use target::Wanted;

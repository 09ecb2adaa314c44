//! Facts about programs, paths, peers, system calls and capabilities in general, each with its source.
//! Nothing here says how severe something is: that is what `judge` does.

pub(crate) mod calls;
pub(crate) mod capabilities;
pub(crate) mod class;
pub(crate) mod credentials;
pub(crate) mod files;
pub(crate) mod paths;
pub(crate) mod peers;
pub(crate) mod programs;

/// The last name of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

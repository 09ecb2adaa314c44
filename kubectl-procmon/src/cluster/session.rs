//! One session in a cluster.

/// Label of everything that a session makes.
pub(super) const LABEL: &str = "procmon/session";

/// Name of a session's anchor.
pub(super) fn anchor_name(session: &str) -> String {
    format!("procmon-{session}")
}

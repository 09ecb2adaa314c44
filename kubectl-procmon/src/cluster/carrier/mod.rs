//! What carries the probe to a node, and brings back what it writes.

pub(crate) mod manifest;
pub(crate) mod other;

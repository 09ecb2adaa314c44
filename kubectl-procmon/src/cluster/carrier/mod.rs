//! What carries the probe to a node, and brings back what it writes. A carrier can be created, tells its
//! state, gives its log, and can be stopped and removed. Today it is a pod of its own (`pod.rs`).

pub(crate) mod config_map;
pub(crate) mod manifest;
pub(crate) mod other;
pub(crate) mod pod;
pub(crate) mod state;

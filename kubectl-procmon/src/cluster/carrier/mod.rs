//! The carrier takes the probe to a node and brings back what it writes: it is created, tells its state,
//! gives its log, is stopped and removed. Today the only carrier is a pod (`pod.rs`).

pub(crate) mod config_map;
pub(crate) mod manifest;
pub(crate) mod other;
pub(crate) mod pod;
pub(crate) mod state;

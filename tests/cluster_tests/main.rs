//! The built plugin against a real cluster: delivery, following, naming, refusals, and that nothing
//! is left. Tests that need images of their own run only on the cluster of tests/cluster.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

mod baselines;
mod editors;
mod harness;
mod interrupts;
mod invocation;
mod node_files;
mod refusals;
mod rights;
mod targets;

//! The built plugin and probe on this kernel: exact counts against workloads of known behaviour.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

mod attached;
mod command;
mod counts;
mod harness;
mod machine;
mod processes;
mod servers;

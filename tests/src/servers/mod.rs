//! Real servers of the distribution, under load, and what a defender has to notice in them. Each
//! runs below an agent (`workloads/agent.rs`), listens on the loopback device only and keeps all of
//! its files in one folder.

mod change;
mod corpus;
mod judge;
mod kind;
mod load;
mod outside;
mod run;

pub use change::{Change, Props, changes};
pub use corpus::{Group, Plan, documents};
pub use judge::{Verdict, drift, judge};
pub use kind::{Kind, Site};
pub use load::{Load, Traffic};
pub use outside::Outside;
pub use run::Server;

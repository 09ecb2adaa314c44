//! Names in packets: taps in the target's network namespaces, what DNS and TLS say there, and who
//! asked.
//!
//! The taps see packets of everybody in their namespaces; only those of the target's sockets are
//! kept. Payloads other than names stay nowhere.

mod dns;
mod names;
mod taps;
mod tls;

pub(crate) use names::Names;
#[cfg(test)]
pub(crate) use names::{Row, Used};
pub(crate) use taps::{Taps, load};

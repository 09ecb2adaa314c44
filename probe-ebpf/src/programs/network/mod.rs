//! Network: which peer a socket belongs to, and what went through it.

pub(crate) mod connections;
pub(crate) mod datagrams;
pub(crate) mod destination;
pub(crate) mod listeners;
pub(crate) mod peers;
pub(crate) mod sockets;
pub(crate) mod unix;

//! The programs. Each file uses only files above it in this order: row, record, latency, settle, executables,
//! label, packets, event, arguments and capability; network/destination, peers, unix, sockets, listeners,
//! connections; file/rows, names, resolved; transfer; network/datagrams; file/executed, calls; syscall and
//! io_uring; process, scan.

mod arguments;
mod capability;
mod event;
mod executables;
mod file;
mod io_uring;
mod label;
mod latency;
mod network;
mod packets;
mod process;
mod record;
mod row;
mod scan;
mod settle;
mod syscall;
mod transfer;

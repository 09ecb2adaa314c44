//! The programs, one file per event family.

mod capability;
mod destination;
mod event;
mod file;
mod held;
mod label;
mod latency;
mod namei;
mod network;
mod process;
mod ring;
mod syscall;
mod wire;

//! The programs, one file per event family.

mod capability;
mod event;
mod file;
mod label;
mod network;
mod process;
mod syscall;
mod wire;

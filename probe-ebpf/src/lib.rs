//! The records that the eBPF programs write and the probe reads.
//!
//! Plain data only: no allocation, no I/O. Every record is `repr(C)`, of fixed width, padded by
//! hand, and has its size asserted beside it. The programs themselves are the binary of this
//! package.
#![no_std]

pub mod abi;

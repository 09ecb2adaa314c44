//! Texts for the kernel and rows of the truth.

use crate::raw::{bind, do_not_block, loopback, port, socket};
use serde_json::{Value, json};
use std::ffi::CString;
use std::os::fd::OwnedFd;

pub(crate) const V4: &str = "127.0.0.1";

/// Two names of eight letters.
pub(crate) const NAMES: [&[u8; 8]; 2] = [b"/decoy--", b"/marked-"];

pub(crate) fn c(name: &str) -> CString {
    CString::new(name).expect("a name without NUL")
}

pub(crate) fn file(path: &str, operations: &Value, read: u64, written: u64) -> Value {
    json!({"path": path, "operations": operations, "bytesRead": read, "bytesWritten": written})
}

pub(crate) fn path(folder: &str, which: usize) -> String {
    format!(
        "{folder}{}",
        std::str::from_utf8(NAMES[which]).expect("text")
    )
}

pub(crate) fn count(sequence: &str, of: char) -> usize {
    sequence.chars().filter(|letter| *letter == of).count()
}

/// Family and port of an address in memory.
pub(crate) fn head(port: u16) -> u32 {
    let [high, low] = port.to_be_bytes();
    let [a, b] = 2_u16.to_ne_bytes();
    u32::from_ne_bytes([a, b, high, low])
}

/// Two sockets that wait for datagrams, with their ports.
pub(crate) fn datagram_servers() -> Vec<(OwnedFd, u16)> {
    (0..2)
        .map(|_| {
            let server = socket(libc::AF_INET, libc::SOCK_DGRAM);
            assert_eq!(bind(&server, &loopback(0)), Ok(()));
            do_not_block(&server);
            let port = port(&server);
            (server, port)
        })
        .collect()
}

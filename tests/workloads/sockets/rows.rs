//! Rows of the truth, and sockets that several cases share.

use crate::Rows;
use crate::raw::{accept, bind, connect, listen, loopback, port, socket};
use serde_json::{Value, json};
use std::os::fd::{FromRawFd as _, OwnedFd};

pub(crate) const V4: &str = "127.0.0.1";

pub(crate) const STREAM: i32 = libc::SOCK_STREAM;

pub(crate) const DATAGRAM: i32 = libc::SOCK_DGRAM;

/// Connections, bytes sent and received, failures of a stream's row.
pub(crate) fn stream(
    protocol: &str,
    direction: &str,
    end: (&str, &Value),
    n: u64,
    bytes: (u64, u64),
) -> Value {
    json!({"protocol": protocol, "direction": direction, end.0: end.1, "connections": n,
        "bytesSent": bytes.0, "bytesReceived": bytes.1, "failures": {}})
}

/// Datagrams and bytes sent, and received.
pub(crate) fn datagrams(
    protocol: &str,
    direction: &str,
    end: (&str, &Value),
    sent: (u64, u64),
    received: (u64, u64),
) -> Value {
    json!({"protocol": protocol, "direction": direction, end.0: end.1, "connections": 0,
        "datagramsSent": sent.0, "bytesSent": sent.1, "datagramsReceived": received.0,
        "bytesReceived": received.1, "failures": {}})
}

pub(crate) fn listening(protocol: &str, local: &Value) -> Value {
    json!({"protocol": protocol, "direction": "listen", "local": local, "remote": null, "connections": 0})
}

pub(crate) fn at(address: &str, port: u16) -> Value {
    json!({"address": address, "port": port})
}

/// The three rows of connections within the program: what clients sent and received.
pub(crate) fn connections(address: &str, port: u16, n: u64, bytes: (u64, u64)) -> Rows {
    let there = at(address, port);
    let mut inbound = stream("tcp", "inbound", ("local", &there), n, (bytes.1, bytes.0));
    inbound["remote"] = json!({"address": address});
    vec![
        stream("tcp", "outbound", ("remote", &there), n, bytes),
        listening("tcp", &there),
        inbound,
    ]
}

pub(crate) fn failed(protocol: &str, address: &str, port: u16, failures: &Value) -> Value {
    let mut row = stream(
        protocol,
        "outbound",
        ("remote", &at(address, port)),
        0,
        (0, 0),
    );
    row["failures"] = failures.clone();
    row
}

/// Two rows of datagrams between two sockets of the program.
pub(crate) fn exchange(address: &str, port: u16, there: (u64, u64), back: (u64, u64)) -> Rows {
    let end = at(address, port);
    let mut inbound = datagrams("udp", "inbound", ("local", &end), back, there);
    inbound["remote"] = json!({"address": address});
    vec![
        datagrams("udp", "outbound", ("remote", &end), there, back),
        inbound,
    ]
}

/// A listening TCP socket, and its port.
pub(crate) fn listener(backlog: i32) -> (OwnedFd, u16) {
    let socket = socket(libc::AF_INET, STREAM);
    assert_eq!(bind(&socket, &loopback(0)), Ok(()));
    listen(&socket, backlog);
    let port = port(&socket);
    (socket, port)
}

/// A connection: its client, its server.
pub(crate) fn pair(listener: &OwnedFd, port: u16) -> (OwnedFd, OwnedFd) {
    let client = socket(libc::AF_INET, STREAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    (client, accept(listener))
}

/// A datagram socket on a port that the program chose.
pub(crate) fn server() -> (OwnedFd, u16) {
    let free = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(bind(&free, &loopback(0)), Ok(()));
    let port = port(&free);
    drop(free);
    let server = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(bind(&server, &loopback(port)), Ok(()));
    (server, port)
}

pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

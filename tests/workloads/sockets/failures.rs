//! TCP connections that fail, each in another way.

use crate::Rows;
use crate::raw;
use crate::raw::{
    Address, accept, connect, do_not_block, loopback, option, own_network, receive, send, send_to,
    socket, wait, write,
};
use crate::rows::{DATAGRAM, STREAM, V4, at, connections, failed, listener, listening, pair};
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

/// Connections without an answer: waited for, learnt from the socket, and given up before.
pub(crate) fn timed_out(_: &str) -> Rows {
    const HOLE: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
    own_network();
    let _tun = raw::black_hole();
    let there = |port: u16| Address::from(SocketAddr::from((HOLE, port)));
    let impatient = || {
        let socket = socket(libc::AF_INET, STREAM);
        assert_eq!(
            option(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 500),
            Ok(())
        );
        assert_eq!(
            option(&socket, libc::IPPROTO_TCP, libc::TCP_SYNCNT, 1),
            Ok(())
        );
        socket
    };
    let background = impatient();
    do_not_block(&background);
    assert_eq!(connect(&background, &there(81)), Err(libc::EINPROGRESS));
    let abandoned = impatient();
    do_not_block(&abandoned);
    assert_eq!(connect(&abandoned, &there(82)), Err(libc::EINPROGRESS));
    assert_eq!(connect(&abandoned, &there(82)), Err(libc::EALREADY));
    drop(abandoned);
    let waiting = impatient();
    assert_eq!(connect(&waiting, &there(80)), Err(libc::ETIMEDOUT));
    assert_ne!(wait(&background, libc::POLLOUT, 10_000), 0);
    assert_eq!(raw::pending_error(&background), libc::ETIMEDOUT);
    let short = socket(libc::AF_INET, STREAM);
    let limit = libc::timeval {
        tv_sec: 0,
        tv_usec: 50_000,
    };
    // SAFETY: the value outlives the call.
    unsafe {
        libc::setsockopt(
            short.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const limit).cast(),
            16,
        );
    }
    assert_eq!(connect(&short, &there(83)), Err(libc::EINPROGRESS));
    drop(short);
    let hole = HOLE.to_string();
    vec![
        failed("tcp", &hole, 80, &json!({"ETIMEDOUT": 1})),
        failed("tcp", &hole, 81, &json!({"ETIMEDOUT": 1})),
        failed("tcp", &hole, 82, &json!({})),
        failed("tcp", &hole, 83, &json!({})),
    ]
}

/// A connection that dies of silence.
pub(crate) fn silence(_: &str) -> Rows {
    own_network();
    let (listener, port) = listener(5);
    let (client, _server) = pair(&listener, port);
    assert_eq!(
        option(&client, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 300),
        Ok(())
    );
    raw::interface(b"lo", false);
    assert_eq!(send(&client, &[b'z'; 30], 0), Ok(30));
    assert_eq!(receive(&client, 0), Err(libc::ETIMEDOUT));
    let mut rows = connections(V4, port, 1, (30, 0));
    rows[0]["failures"] = json!({"ETIMEDOUT": 1});
    rows[2]["bytesReceived"] = 0.into();
    rows
}

/// Addresses without a route.
pub(crate) fn unreachable(_: &str) -> Rows {
    own_network();
    let far = Address::from(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80)));
    let far6: Ipv6Addr = "2001:db8::1".parse().expect("an address");
    let far6 = Address::from(SocketAddr::from((far6, 80)));
    for address in [&far, &far6] {
        let family = if address.len() == 16 {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let tcp = socket(family, STREAM);
        assert_eq!(connect(&tcp, address), Err(libc::ENETUNREACH));
        do_not_block(&tcp);
        assert_eq!(connect(&tcp, address), Err(libc::ENETUNREACH));
        let udp = socket(family, DATAGRAM);
        assert_eq!(send_to(&udp, b"x", 0, address), Err(libc::ENETUNREACH));
        assert_eq!(connect(&udp, address), Err(libc::ENETUNREACH));
    }
    let failures = json!({"ENETUNREACH": 2});
    ["192.0.2.1", "2001:db8::1"]
        .into_iter()
        .flat_map(|address| ["tcp", "udp"].map(|protocol| failed(protocol, address, 80, &failures)))
        .collect()
}

/// Learnt by asking the socket, after poll.
pub(crate) fn asked_the_socket(_: &str) -> Rows {
    let (listener, port) = listener(5);
    let start = |there: u16| {
        let client = socket(libc::AF_INET, STREAM);
        do_not_block(&client);
        assert_eq!(connect(&client, &loopback(there)), Err(libc::EINPROGRESS));
        wait(&client, libc::POLLOUT, 5_000);
        client
    };
    let client = start(port);
    assert_eq!(raw::pending_error(&client), 0);
    // Told by connect itself.
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    assert_eq!(connect(&client, &loopback(port)), Err(libc::EISCONN));
    let _server = accept(&listener);
    let nobody = self::listener(1).1;
    assert_eq!(raw::pending_error(&start(nobody)), libc::ECONNREFUSED);
    // Told by the first use.
    let client = start(nobody);
    assert_eq!(
        send(&client, b"x", libc::MSG_NOSIGNAL),
        Err(libc::ECONNREFUSED)
    );
    let mut rows = connections(V4, port, 1, (0, 0));
    rows.push(listening("tcp", &at(V4, nobody)));
    rows.push(failed("tcp", V4, nobody, &json!({"ECONNREFUSED": 2})));
    rows
}

/// A server whose queue is full: the connection is made later.
pub(crate) fn full_queue(_: &str) -> Rows {
    own_network();
    let (listener, port) = listener(0);
    let first = socket(libc::AF_INET, STREAM);
    assert_eq!(connect(&first, &loopback(port)), Ok(()));
    let late = socket(libc::AF_INET, STREAM);
    do_not_block(&late);
    assert_eq!(connect(&late, &loopback(port)), Err(libc::EINPROGRESS));
    assert_eq!(wait(&late, libc::POLLOUT, 100), 0);
    let _first = accept(&listener);
    assert_ne!(wait(&late, libc::POLLOUT, 5_000), 0);
    assert_eq!(write(&late, b"late"), Ok(4));
    let second = accept(&listener);
    assert_eq!(receive(&second, 0), Ok(4));
    connections(V4, port, 2, (4, 0))
}

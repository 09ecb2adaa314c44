//! Files and connections by io_uring.

use crate::harness::{V4, c, file};
use crate::raw;
use crate::raw::{Address, bind, connect, do_not_block, listen, loopback, port, receive, socket};
use crate::ring;
use crate::ring::{Request, Ring};
use serde_json::{Value, json};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Opens, writes and reads by a ring: flags of the ring and of each request.
pub(crate) fn ring_files(folder: &str, setup: u32, flags: u8) -> Value {
    let Some(ring) = Ring::new(setup) else {
        std::process::exit(3);
    };
    let marked = format!("{folder}/marked");
    let none = format!("{folder}/none");
    let (name, missing) = (c(&marked), c(&none));
    let with = |mut request: Request| {
        request.flags |= flags;
        request
    };
    let fixed = flags & ring::FIXED_FILE != 0;
    // The descriptor of an opening is none of the registered ones.
    let opening = |mut request: Request| {
        request.flags |= flags & !ring::FIXED_FILE;
        request
    };
    let fd = ring.call(opening(ring::open(&name, libc::O_RDWR | libc::O_CREAT)));
    assert!(fd >= 0, "{fd}");
    assert_eq!(
        ring.call(opening(ring::open(&missing, libc::O_RDONLY))),
        -libc::ENOENT
    );
    let place = if fixed {
        ring.register(&[fd]);
        0
    } else {
        fd
    };
    let mut buffer = [b'r'; 10];
    for _ in 0..3 {
        let request = ring::transfer(ring::WRITE, place, &mut buffer);
        assert_eq!(ring.call(with(request)), 10);
    }
    for _ in 0..2 {
        let mut request = ring::transfer(ring::READ, place, &mut buffer);
        request.offset = 0;
        assert_eq!(ring.call(with(request)), 10);
    }
    let mut row = file(
        &marked,
        &json!({"open": 1, "create": 1, "write": 3, "read": 2}),
        20,
        30,
    );
    row["errors"] = json!({});
    json!({"files": [row, {"path": none, "operations": {}, "errors": {"ENOENT": 1}}]})
}

/// A ring; without one the case says by its status that it cannot be.
fn own_ring() -> Ring {
    Ring::new(0).unwrap_or_else(|| std::process::exit(3))
}

/// Requests that wait for each other: a write, a read, and one that fails and cancels the next.
pub(crate) fn ring_chain(folder: &str) -> Value {
    let ring = own_ring();
    let marked = format!("{folder}/marked");
    let name = c(&marked);
    let fd = ring.call(ring::open(&name, libc::O_RDWR | libc::O_CREAT));
    assert!(fd >= 0);
    let mut buffer = [b'r'; 10];
    let mut other = [0; 10];
    let mut chain = [
        ring::transfer(ring::WRITE, fd, &mut buffer),
        ring::transfer(ring::READ, fd, &mut other),
        ring::transfer(ring::READ, fd, &mut []),
    ];
    chain[1].offset = 0;
    chain[2].offset = 0;
    // Less than was asked for breaks the chain.
    chain[1].length = 20;
    let mut large = [0; 20];
    chain[1].address = large.as_mut_ptr() as u64;
    for (request, data) in chain.iter_mut().zip(1..) {
        request.data = data;
        request.flags = if data < 3 { ring::LINK } else { 0 };
    }
    ring.submit(&chain);
    let mut done = ring.wait(3);
    done.sort_unstable();
    assert_eq!(done, [(1, 10), (2, 10), (3, -libc::ECANCELED)]);
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "write": 1, "read": 1}), 10, 10)]})
}

/// Connects, accepts, sends and receives by a ring.
pub(crate) fn ring_network(setup: u32, flags: u8) -> Value {
    let Some(ring) = Ring::new(setup) else {
        std::process::exit(3);
    };
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 8);
    let there = loopback(port(&server));
    let with = |mut request: Request| {
        request.flags |= flags;
        request
    };
    let connecting = |client: i32, there: &Address| {
        with(Request {
            operation: ring::CONNECT,
            descriptor: client,
            address: there.as_ptr() as u64,
            offset: u64::from(there.len()),
            ..Request::default()
        })
    };
    let mut buffer = [b'q'; 20];
    for _ in 0..3 {
        let client = socket(libc::AF_INET, libc::SOCK_STREAM);
        assert_eq!(ring.call(connecting(client.as_raw_fd(), &there)), 0);
        let taken = ring.call(with(Request {
            operation: ring::ACCEPT,
            descriptor: server.as_raw_fd(),
            ..Request::default()
        }));
        assert!(taken >= 0);
        // SAFETY: the descriptor is new.
        let taken = unsafe { OwnedFd::from_raw_fd(taken) };
        let pairs = [
            (ring::SEND, &client, ring::RECV, &taken),
            (ring::WRITE, &taken, ring::READ, &client),
        ];
        for (out, from, back, to) in pairs {
            assert_eq!(
                ring.call(with(ring::transfer(out, from.as_raw_fd(), &mut buffer))),
                20
            );
            assert_eq!(
                ring.call(with(ring::transfer(back, to.as_raw_fd(), &mut buffer))),
                20
            );
        }
    }
    let nobody = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&nobody, &loopback(0)), Ok(()));
    let client = socket(libc::AF_INET, libc::SOCK_STREAM);
    let refused = connecting(client.as_raw_fd(), &loopback(port(&nobody)));
    assert_eq!(ring.call(refused), -libc::ECONNREFUSED);
    let local = json!({"address": V4, "port": port(&server)});
    json!({"network": [
        {"protocol": "tcp", "direction": "outbound", "remote": local, "connections": 3, "bytesSent": 60, "bytesReceived": 60, "failures": {}},
        {"protocol": "tcp", "direction": "inbound", "local": local, "connections": 3, "bytesSent": 60, "bytesReceived": 60, "failures": {}},
        {"protocol": "tcp", "direction": "outbound", "remote": {"address": V4, "port": port(&nobody)}, "connections": 0, "failures": {"ECONNREFUSED": 1}},
    ]})
}

/// Datagrams by a ring: sendmsg with an address, recvmsg.
pub(crate) fn ring_datagrams(_: &str) -> Value {
    let ring = own_ring();
    let server = socket(libc::AF_INET, libc::SOCK_DGRAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    let own = port(&server);
    drop(server);
    let server = socket(libc::AF_INET, libc::SOCK_DGRAM);
    assert_eq!(bind(&server, &loopback(own)), Ok(()));
    let client = socket(libc::AF_INET, libc::SOCK_DGRAM);
    let mut there = loopback(own);
    let mut from = Address::none();
    let (mut out, mut back) = ([b'd'; 15], [0; 15]);
    for _ in 0..4 {
        let mut one = raw::vector(&mut out);
        let message = raw::message(&mut one, Some(&mut there));
        let request = |operation, fd: &OwnedFd, message: &libc::msghdr| Request {
            operation,
            descriptor: fd.as_raw_fd(),
            address: (&raw const *message) as u64,
            length: 1,
            ..Request::default()
        };
        assert_eq!(ring.call(request(ring::SENDMSG, &client, &message)), 15);
        let mut one = raw::vector(&mut back);
        let message = raw::message(&mut one, Some(&mut from));
        assert_eq!(ring.call(request(ring::RECVMSG, &server, &message)), 15);
    }
    let end = json!({"address": V4, "port": own});
    json!({"network": [
        {"protocol": "udp", "direction": "outbound", "remote": end, "datagramsSent": 4, "bytesSent": 60, "failures": {}},
        {"protocol": "udp", "direction": "inbound", "local": end, "datagramsReceived": 4, "bytesReceived": 60, "failures": {}},
    ]})
}

/// A file that never has a descriptor, and a buffer that the kernel holds.
pub(crate) fn ring_direct(folder: &str) -> Value {
    let ring = own_ring();
    let marked = format!("{folder}/marked");
    let name = c(&marked);
    ring.register(&[-1]);
    let mut open = ring::open(&name, libc::O_RDWR | libc::O_CREAT);
    // Into the first registered place: that is 1.
    open.rest[0] = 1 << 32;
    assert_eq!(ring.call(open), 0);
    let mut buffer = vec![b'd'; 4096];
    ring.register_buffer(&mut buffer);
    for operation in [ring::WRITE_FIXED, ring::READ_FIXED] {
        let mut request = ring::transfer(operation, 0, &mut buffer[..12]);
        request.flags = ring::FIXED_FILE;
        assert_eq!(ring.call(request), 12);
    }
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "write": 1, "read": 1}), 12, 12)]})
}

/// One request with several completions: connections accepted, and a send that tells when the
/// buffer is free.
pub(crate) fn ring_several(_: &str) -> Value {
    let ring = own_ring();
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 8);
    ring.submit(&[Request {
        operation: ring::ACCEPT,
        priority: 1,
        descriptor: server.as_raw_fd(),
        ..Request::default()
    }]);
    let clients: Vec<OwnedFd> = (0..3)
        .map(|_| {
            let client = socket(libc::AF_INET, libc::SOCK_STREAM);
            assert_eq!(connect(&client, &loopback(port(&server))), Ok(()));
            client
        })
        .collect();
    let taken: Vec<OwnedFd> = ring
        .wait(3)
        .into_iter()
        .map(|(_, fd)| {
            assert!(fd >= 0);
            // SAFETY: the descriptor is new.
            unsafe { OwnedFd::from_raw_fd(fd) }
        })
        .collect();
    let mut buffer = [b'z'; 50];
    ring.submit(&[ring::transfer(
        ring::SEND_ZC,
        clients[0].as_raw_fd(),
        &mut buffer,
    )]);
    // The bytes, then the notification.
    assert_eq!(ring.wait(1)[0].1, 50);
    let got: usize = taken
        .iter()
        .map(|fd| {
            do_not_block(fd);
            receive(fd, 0).unwrap_or(0)
        })
        .sum();
    assert_eq!(got, 50);
    ring.wait(1);
    let end = json!({"address": V4, "port": port(&server)});
    json!({"network": [
        {"protocol": "tcp", "direction": "outbound", "remote": end, "connections": 3, "bytesSent": 50, "failures": {}},
        {"protocol": "tcp", "direction": "inbound", "local": end, "connections": 3, "bytesReceived": 50, "failures": {}},
    ]})
}

/// Removes a file by a ring.
pub(crate) fn ring_unlink(folder: &str) -> Value {
    let ring = own_ring();
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"").expect("write");
    let name = c(&marked);
    let result = ring.call(Request {
        operation: ring::UNLINKAT,
        descriptor: libc::AT_FDCWD,
        address: name.as_ptr() as u64,
        ..Request::default()
    });
    assert_eq!(result, 0);
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "unlink": 1}), 0, 0)]})
}

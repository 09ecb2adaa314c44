//! TCP connections.

use crate::Rows;
use crate::raw;
use crate::raw::{
    Address, accept, bind, connect, fork, listen, loopback, loopback6, option, own_network, port,
    read, receive, receive_from, send, send_many, send_to, socket, wait, write,
};
use crate::rows::{
    DATAGRAM, STREAM, V4, at, connections, exchange, listener, listening, pair, pipe, server,
    stream,
};
use serde_json::json;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Every way to send 10 bytes over a stream; how many went.
pub(crate) fn send_in_all_ways(fd: &OwnedFd, folder: &str) -> u64 {
    let mut data = [b's'; 10];
    let mut one = raw::vector(&mut data);
    let message = raw::message(&mut one, None);
    let path = format!("{folder}/ten");
    std::fs::write(&path, [b'f'; 10]).expect("write");
    let file = std::fs::File::open(&path).expect("open");
    let (output, input) = pipe();
    assert_eq!(write(&input, &[b'p'; 10]), Ok(10));
    assert_eq!(write(fd, &[b'w'; 10]), Ok(10));
    assert_eq!(send(fd, &[b'x'; 10], 0), Ok(10));
    // SAFETY: everything outlives the calls.
    unsafe {
        assert_eq!(libc::writev(fd.as_raw_fd(), &raw const one, 1), 10);
        assert_eq!(libc::sendmsg(fd.as_raw_fd(), &raw const message, 0), 10);
        let mut offset = 0;
        assert_eq!(
            libc::sendfile(fd.as_raw_fd(), file.as_raw_fd(), &raw mut offset, 10),
            10
        );
        let null = std::ptr::null_mut();
        assert_eq!(
            libc::splice(output.as_raw_fd(), null, fd.as_raw_fd(), null, 10, 0),
            10
        );
    }
    assert_eq!(send_many(fd, 2, 10, &mut []), Ok(2));
    80
}

/// Every way to receive up to 10 bytes; how many calls.
pub(crate) fn receive_in_all_ways(fd: &OwnedFd) -> u64 {
    let mut data = [0; 10];
    let buffer = data.as_mut_ptr().cast();
    let mut one = raw::vector(&mut data);
    let mut message = raw::message(&mut one, None);
    let (_output, input) = pipe();
    // SAFETY: everything outlives the calls.
    unsafe {
        assert_eq!(libc::read(fd.as_raw_fd(), buffer, 10), 10);
        assert_eq!(libc::recv(fd.as_raw_fd(), buffer, 10, libc::MSG_PEEK), 10);
        assert_eq!(libc::recv(fd.as_raw_fd(), buffer, 10, 0), 10);
        assert_eq!(libc::readv(fd.as_raw_fd(), &raw const one, 1), 10);
        assert_eq!(
            libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_PEEK),
            10
        );
        assert_eq!(libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0), 10);
        let null = std::ptr::null_mut();
        assert_eq!(
            libc::splice(fd.as_raw_fd(), null, input.as_raw_fd(), null, 10, 0),
            10
        );
        let mut many = libc::mmsghdr {
            msg_hdr: message,
            msg_len: 0,
        };
        assert_eq!(
            libc::recvmmsg(fd.as_raw_fd(), &raw mut many, 1, 0, null.cast()),
            1
        );
        assert_eq!(many.msg_len, 10);
    }
    60
}

pub(crate) fn stream_ways(folder: &str) -> Rows {
    let (listener, port) = listener(5);
    let (client, server) = pair(&listener, port);
    let sent = send_in_all_ways(&client, folder);
    let mut received = receive_in_all_ways(&server);
    while received < sent {
        received += receive(&server, 0).expect("bytes") as u64;
    }
    connections(V4, port, 1, (sent, 0))
}

/// A listener, in a network of its own, that takes bytes with the SYN.
fn fast_open_listener() -> OwnedFd {
    own_network();
    std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "1543").expect("a setting");
    let listener = socket(libc::AF_INET, STREAM);
    assert_eq!(bind(&listener, &loopback(0)), Ok(()));
    assert_eq!(
        option(&listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, 5),
        Ok(())
    );
    listen(&listener, 5);
    listener
}

/// The first bytes go with the SYN, without connect.
pub(crate) fn fast_open(_: &str) -> Rows {
    let listener = fast_open_listener();
    let there = port(&listener);
    for _ in 0..3 {
        let client = socket(libc::AF_INET, STREAM);
        let sent = send_to(&client, &[b'f'; 40], libc::MSG_FASTOPEN, &loopback(there));
        assert_eq!(sent, Ok(40));
        assert_eq!(send(&client, &[b'g'; 2], 0), Ok(2));
        let server = accept(&listener);
        let mut got = 0;
        while got < 42 {
            got += receive(&server, 0).expect("bytes");
        }
    }
    connections(V4, there, 3, (126, 0))
}

/// The same by an option: connect returns at once, the first write connects.
pub(crate) fn fast_open_by_option(_: &str) -> Rows {
    let listener = fast_open_listener();
    let there = port(&listener);
    for _ in 0..3 {
        let client = socket(libc::AF_INET, STREAM);
        assert_eq!(
            option(&client, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1),
            Ok(())
        );
        assert_eq!(connect(&client, &loopback(there)), Ok(()));
        assert_eq!(write(&client, &[b'f'; 40]), Ok(40));
        let server = accept(&listener);
        let mut got = 0;
        while got < 40 {
            got += receive(&server, 0).expect("bytes");
        }
    }
    connections(V4, there, 3, (120, 0))
}

/// A socket that connects to itself.
pub(crate) fn to_itself(_: &str) -> Rows {
    own_network();
    let own = socket(libc::AF_INET, STREAM);
    assert_eq!(bind(&own, &loopback(4000)), Ok(()));
    assert_eq!(connect(&own, &loopback(4000)), Ok(()));
    assert_eq!(write(&own, &[b'i'; 12]), Ok(12));
    assert_eq!(read(&own), Ok(12));
    vec![stream(
        "tcp",
        "outbound",
        ("remote", &at(V4, 4000)),
        1,
        (12, 12),
    )]
}

/// Three processes listen on one port.
pub(crate) fn shared_port(_: &str) -> Rows {
    const EACH: u64 = 20;
    let share = || {
        let socket = socket(libc::AF_INET, STREAM);
        assert_eq!(
            option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1),
            Ok(())
        );
        socket
    };
    let first = share();
    assert_eq!(bind(&first, &loopback(0)), Ok(()));
    let port = port(&first);
    let (output, input) = pipe();
    let children: Vec<_> = (0..3)
        .map(|_| {
            let own = share();
            assert_eq!(bind(&own, &loopback(port)), Ok(()));
            let input = input.as_raw_fd();
            fork(|| {
                listen(&own, 64);
                // SAFETY: one byte that outlives the call.
                unsafe { libc::write(input, c"r".as_ptr().cast(), 1) };
                loop {
                    let server = accept(&own);
                    match receive(&server, 0) {
                        Ok(1) => break,
                        Ok(bytes) => assert_eq!(write(&server, &vec![b'a'; bytes]), Ok(bytes)),
                        Err(errno) => panic!("{errno}"),
                    }
                }
            })
        })
        .collect();
    drop(first);
    let mut ready = 0;
    while ready < 3 {
        ready += read(&output).expect("a byte");
    }
    let client = || {
        let client = socket(libc::AF_INET, STREAM);
        assert_eq!(connect(&client, &loopback(port)), Ok(()));
        client
    };
    for _ in 0..EACH {
        let client = client();
        assert_eq!(write(&client, &[b'q'; 30]), Ok(30));
        assert_eq!(receive(&client, 0), Ok(30));
    }
    // One byte ends whoever gets it.
    let mut last = 0;
    let mut left = children;
    while !left.is_empty() {
        assert_eq!(write(&client(), b"!"), Ok(1));
        last += 1;
        let pid = left.iter().position(|pid| {
            std::thread::sleep(std::time::Duration::from_millis(30));
            // SAFETY: a child of ours.
            unsafe { libc::waitpid(*pid, std::ptr::null_mut(), libc::WNOHANG) == *pid }
        });
        if let Some(at) = pid {
            left.remove(at);
        } else {
            // Its listener is closed when it ends: wait for that.
            // SAFETY: a child of ours.
            let ended = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
            left.retain(|pid| *pid != ended);
        }
    }
    assert_eq!(last, 3);
    connections(V4, port, EACH + 3, (EACH * 30 + 3, EACH * 30))
}

/// Eight threads with 150 connections each.
pub(crate) fn many_connections(_: &str) -> Rows {
    const THREADS: u64 = 8;
    const EACH: u64 = 150;
    let (listener, port) = listener(256);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..THREADS * EACH / 4 {
                    let server = accept(&listener);
                    assert_eq!(receive(&server, libc::MSG_WAITALL), Ok(7));
                    assert_eq!(write(&server, b"ok"), Ok(2));
                }
            });
        }
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let client = socket(libc::AF_INET, STREAM);
                    assert_eq!(connect(&client, &loopback(port)), Ok(()));
                    assert_eq!(write(&client, &[b'm'; 7]), Ok(7));
                    // SAFETY: numbers only.
                    unsafe { libc::shutdown(client.as_raw_fd(), libc::SHUT_WR) };
                    assert_eq!(receive(&client, 0), Ok(2));
                }
            });
        }
    });
    let n = THREADS * EACH;
    connections(V4, port, n, (7 * n, 2 * n))
}

/// A server of both families is reached by IPv4.
pub(crate) fn both_families(_: &str) -> Rows {
    let any = |port: u16| Address::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    let listener = socket(libc::AF_INET6, STREAM);
    assert_eq!(bind(&listener, &any(0)), Ok(()));
    listen(&listener, 5);
    let tcp = port(&listener);
    for address in [loopback(tcp), loopback6(tcp)] {
        let family = if address.len() == 16 {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let client = socket(family, STREAM);
        assert_eq!(connect(&client, &address), Ok(()));
        let server = accept(&listener);
        assert_eq!(write(&client, &[b'b'; 6]), Ok(6));
        assert_eq!(read(&server), Ok(6));
    }
    let mut rows = Vec::new();
    for address in [V4, "::1"] {
        let mut both = connections(address, tcp, 1, (6, 0));
        both.remove(1);
        rows.extend(both);
    }
    rows.push(listening("tcp", &at("::", tcp)));
    let udp = server().1;
    let server = socket(libc::AF_INET6, DATAGRAM);
    assert_eq!(bind(&server, &any(udp)), Ok(()));
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(send_to(&client, &[b'u'; 4], 0, &loopback(udp)), Ok(4));
    let (_, from) = receive_from(&server).expect("a datagram");
    assert_eq!(send_to(&server, &[b'v'; 2], 0, &from), Ok(2));
    assert_eq!(receive(&client, 0), Ok(2));
    let mut both = exchange(V4, udp, (1, 4), (1, 2));
    both[1]["local"] = json!({"port": udp});
    rows.extend(both);
    rows
}

/// Only one direction is closed; the other goes on. Bytes out of band.
pub(crate) fn half_closed(_: &str) -> Rows {
    let (listener, port) = listener(5);
    let (client, server) = pair(&listener, port);
    assert_eq!(send(&client, b"!", libc::MSG_OOB), Ok(1));
    assert_eq!(write(&client, &[b'1'; 40]), Ok(40));
    // SAFETY: numbers only.
    unsafe { libc::shutdown(client.as_raw_fd(), libc::SHUT_WR) };
    assert_eq!(send(&client, b"no", libc::MSG_NOSIGNAL), Err(libc::EPIPE));
    wait(&server, libc::POLLPRI, 1_000);
    assert_eq!(receive(&server, libc::MSG_OOB), Ok(1));
    assert_eq!(receive(&server, 0), Ok(40));
    assert_eq!(receive(&server, 0), Ok(0));
    for _ in 0..3 {
        assert_eq!(write(&server, &[b'2'; 50]), Ok(50));
    }
    drop(server);
    let mut got = 0;
    while let Ok(bytes @ 1..) = receive(&client, 0) {
        got += bytes;
    }
    assert_eq!(got, 150);
    let mut rows = connections(V4, port, 1, (41, 150));
    rows[0]["failures"] = json!({"EPIPE": 1});
    rows
}

/// The descriptor becomes another connection while connect waits; that one was made before.
pub(crate) fn swapped_connect(folder: &str) -> Rows {
    own_network();
    let (listener, port) = listener(0);
    let path = format!("{folder}/decoy");
    let address = Address::unix(path.as_bytes());
    let unix = socket(libc::AF_UNIX, STREAM);
    assert_eq!(bind(&unix, &address), Ok(()));
    listen(&unix, 5);
    let decoy = socket(libc::AF_UNIX, STREAM);
    assert_eq!(connect(&decoy, &address), Ok(()));
    let first = socket(libc::AF_INET, STREAM);
    assert_eq!(connect(&first, &loopback(port)), Ok(()));
    // The queue is full: connect waits for its second try.
    let waiting = socket(libc::AF_INET, STREAM);
    let number = waiting.as_raw_fd();
    // SAFETY: numbers only; the descriptor is new.
    let kept = unsafe { OwnedFd::from_raw_fd(libc::dup(number)) };
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(connect(&waiting, &loopback(port)), Ok(())));
        std::thread::sleep(std::time::Duration::from_millis(200));
        // SAFETY: numbers only.
        unsafe { libc::dup2(decoy.as_raw_fd(), number) };
        drop(accept(&listener));
    });
    assert_eq!(write(&kept, b"hidden"), Ok(6));
    let server = accept(&listener);
    assert_eq!(receive(&server, 0), Ok(6));
    let mut rows = connections(V4, port, 2, (6, 0));
    let end = json!({"path": path});
    rows.extend([
        stream("unix-stream", "outbound", ("remote", &end), 1, (0, 0)),
        listening("unix-stream", &end),
    ]);
    rows
}

//! One sort of traffic at a time: a folder and the name of a case are the arguments. Each case knows
//! all rows that it makes.
#![expect(unsafe_code, reason = "calls on sockets that std does not offer")]

mod raw;

use raw::{
    Address, accept, bind, connect, do_not_block, fork, give, listen, loopback, loopback6, option,
    own_network, port, read, reap, receive, receive_from, receive_many, send, send_many, send_to,
    socket, take, try_socket, wait, write,
};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

type Rows = Vec<Value>;

const V4: &str = "127.0.0.1";
const STREAM: i32 = libc::SOCK_STREAM;
const DATAGRAM: i32 = libc::SOCK_DGRAM;

/// Connections, bytes sent and received, failures of a stream's row.
fn stream(
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
fn datagrams(
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

fn listening(protocol: &str, local: &Value) -> Value {
    json!({"protocol": protocol, "direction": "listen", "local": local, "remote": null, "connections": 0})
}

fn at(address: &str, port: u16) -> Value {
    json!({"address": address, "port": port})
}

/// The three rows of connections within the program: what clients sent and received.
fn connections(address: &str, port: u16, n: u64, bytes: (u64, u64)) -> Rows {
    let there = at(address, port);
    let mut inbound = stream("tcp", "inbound", ("local", &there), n, (bytes.1, bytes.0));
    inbound["remote"] = json!({"address": address});
    vec![
        stream("tcp", "outbound", ("remote", &there), n, bytes),
        listening("tcp", &there),
        inbound,
    ]
}

fn failed(protocol: &str, address: &str, port: u16, failures: &Value) -> Value {
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
fn exchange(address: &str, port: u16, there: (u64, u64), back: (u64, u64)) -> Rows {
    let end = at(address, port);
    let mut inbound = datagrams("udp", "inbound", ("local", &end), back, there);
    inbound["remote"] = json!({"address": address});
    vec![
        datagrams("udp", "outbound", ("remote", &end), there, back),
        inbound,
    ]
}

/// A listening TCP socket, and its port.
fn listener(backlog: i32) -> (OwnedFd, u16) {
    let socket = socket(libc::AF_INET, STREAM);
    assert_eq!(bind(&socket, &loopback(0)), Ok(()));
    listen(&socket, backlog);
    let port = port(&socket);
    (socket, port)
}

/// A connection: its client, its server.
fn pair(listener: &OwnedFd, port: u16) -> (OwnedFd, OwnedFd) {
    let client = socket(libc::AF_INET, STREAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    (client, accept(listener))
}

/// A datagram socket on a port that the program chose.
fn server() -> (OwnedFd, u16) {
    let free = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(bind(&free, &loopback(0)), Ok(()));
    let port = port(&free);
    drop(free);
    let server = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(bind(&server, &loopback(port)), Ok(()));
    (server, port)
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// Every way to send 10 bytes over a stream; how many went.
fn send_in_all_ways(fd: &OwnedFd, folder: &str) -> u64 {
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
fn receive_in_all_ways(fd: &OwnedFd) -> u64 {
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

fn stream_ways(folder: &str) -> Rows {
    let (listener, port) = listener(5);
    let (client, server) = pair(&listener, port);
    let sent = send_in_all_ways(&client, folder);
    let mut received = receive_in_all_ways(&server);
    while received < sent {
        received += receive(&server, 0).expect("bytes") as u64;
    }
    connections(V4, port, 1, (sent, 0))
}

fn unix_stream_ways(folder: &str) -> Rows {
    let path = format!("{folder}/s");
    let listener = socket(libc::AF_UNIX, STREAM);
    let address = Address::unix(path.as_bytes());
    assert_eq!(bind(&listener, &address), Ok(()));
    listen(&listener, 5);
    let client = socket(libc::AF_UNIX, STREAM);
    assert_eq!(connect(&client, &address), Ok(()));
    let server = accept(&listener);
    let sent = send_in_all_ways(&client, folder);
    let mut received = receive_in_all_ways(&server);
    while received < sent {
        received += receive(&server, 0).expect("bytes") as u64;
    }
    let end = json!({"path": path});
    vec![
        stream("unix-stream", "outbound", ("remote", &end), 1, (sent, 0)),
        stream("unix-stream", "inbound", ("local", &end), 1, (0, sent)),
        listening("unix-stream", &end),
    ]
}

/// read, readv and splice take datagrams from a socket without a peer as well.
fn read_datagrams(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    for _ in 0..6 {
        assert_eq!(write(&client, &[b'd'; 10]), Ok(10));
    }
    let mut data = [0; 10];
    let one = raw::vector(&mut data);
    for _ in 0..2 {
        assert_eq!(read(&server), Ok(10));
        // SAFETY: the vector outlives the call.
        let got = unsafe { libc::readv(server.as_raw_fd(), &raw const one, 1) };
        assert_eq!(got, 10);
        assert_eq!(receive(&server, 0), Ok(10));
    }
    let mut rows = exchange(V4, port, (6, 60), (0, 0));
    rows[1]["remote"] = Value::Null;
    rows
}

fn read_unix_datagrams(folder: &str) -> Rows {
    let path = format!("{folder}/d");
    let server = socket(libc::AF_UNIX, DATAGRAM);
    let address = Address::unix(path.as_bytes());
    assert_eq!(bind(&server, &address), Ok(()));
    let client = socket(libc::AF_UNIX, DATAGRAM);
    assert_eq!(connect(&client, &address), Ok(()));
    for _ in 0..4 {
        assert_eq!(write(&client, &[b'd'; 10]), Ok(10));
    }
    assert_eq!(send_many(&client, 3, 10, &mut []), Ok(3));
    assert_eq!(read(&server), Ok(10));
    assert_eq!(read(&server), Ok(10));
    assert_eq!(receive(&server, 0), Ok(10));
    assert_eq!(receive_from(&server).map(|(bytes, _)| bytes), Ok(10));
    assert_eq!(receive_many(&server, 3, true), Ok(3));
    let end = json!({"path": path});
    vec![
        datagrams("unix-dgram", "outbound", ("remote", &end), (7, 70), (0, 0)),
        datagrams("unix-dgram", "inbound", ("local", &end), (0, 0), (7, 70)),
    ]
}

/// Datagrams without contents are datagrams.
fn empty_datagrams(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    for _ in 0..3 {
        assert_eq!(send_to(&client, b"", 0, &loopback(port)), Ok(0));
        assert_eq!(receive_from(&server).map(|(bytes, _)| bytes), Ok(0));
    }
    exchange(V4, port, (3, 0), (0, 0))
}

/// What a buffer has no room for was not received.
fn short_buffers(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    let mut data = [0; 4];
    for _ in 0..2 {
        assert_eq!(send_to(&client, &[b'l'; 100], 0, &loopback(port)), Ok(100));
        let mut one = raw::vector(&mut data);
        let mut message = raw::message(&mut one, None);
        // SAFETY: everything outlives the call.
        let got = unsafe { libc::recvmsg(server.as_raw_fd(), &raw mut message, 0) };
        assert_eq!(got, 4);
    }
    let mut rows = exchange(V4, port, (2, 200), (0, 0));
    rows[1]["bytesReceived"] = 8.into();
    rows[1]["remote"] = Value::Null;
    rows
}

/// More messages in one call than a small loop looks at.
fn many_messages(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    assert_eq!(send_many(&client, 100, 9, &mut []), Ok(100));
    assert_eq!(receive_many(&server, 100, true), Ok(100));
    exchange(V4, port, (100, 900), (0, 0))
}

/// One sendmmsg to three servers; 30 messages.
fn several_places(_: &str) -> Rows {
    let servers = [server(), server(), server()];
    let mut places: Vec<Address> = servers.iter().map(|(_, port)| loopback(*port)).collect();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(send_many(&client, 30, 5, &mut places), Ok(30));
    let mut rows = Vec::new();
    for (server, port) in &servers {
        assert_eq!(receive_many(server, 10, true), Ok(10));
        rows.extend(exchange(V4, *port, (10, 50), (0, 0)));
    }
    rows
}

/// A connected socket that sends elsewhere in between; then connects elsewhere.
fn elsewhere(_: &str) -> Rows {
    let ((one, first), (other, second)) = (server(), server());
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(first)), Ok(()));
    assert_eq!(send(&client, &[b'a'; 3], 0), Ok(3));
    assert_eq!(send_to(&client, &[b'b'; 5], 0, &loopback(second)), Ok(5));
    assert_eq!(connect(&client, &loopback(second)), Ok(()));
    assert_eq!(write(&client, &[b'c'; 7]), Ok(7));
    assert_eq!(receive_from(&one).map(|(bytes, _)| bytes), Ok(3));
    for bytes in [5, 7] {
        assert_eq!(receive_from(&other).map(|(bytes, _)| bytes), Ok(bytes));
    }
    let mut rows = exchange(V4, first, (1, 3), (0, 0));
    rows.extend(exchange(V4, second, (2, 12), (0, 0)));
    rows
}

/// Addresses that the kernel does not take, of sockets that are connected elsewhere; and a call that
/// fails before others that do not.
fn ignored_addresses(_: &str) -> Rows {
    let ((one, first), (other, second)) = (server(), server());
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(first)), Ok(()));
    let mut without_length = [loopback(second).without_length()];
    assert_eq!(send_many(&client, 1, 11, &mut without_length), Ok(1));
    assert_eq!(receive_from(&one).map(|(bytes, _)| bytes), Ok(11));
    let server6 = socket(libc::AF_INET6, DATAGRAM);
    assert_eq!(bind(&server6, &loopback6(0)), Ok(()));
    let third = port(&server6);
    let client6 = socket(libc::AF_INET6, DATAGRAM);
    assert_eq!(connect(&client6, &loopback6(third)), Ok(()));
    let no_family = loopback6(second).of_no_family();
    assert_eq!(send_to(&client6, &[b'u'; 9], 0, &no_family), Ok(9));
    assert_eq!(receive_from(&server6).map(|(bytes, _)| bytes), Ok(9));
    let free = socket(libc::AF_INET, DATAGRAM);
    let all = SocketAddr::from((Ipv4Addr::new(127, 255, 255, 255), 9));
    let refused = send_many(&free, 1, 8, &mut [Address::from(all)]);
    assert_eq!(refused, Err(libc::EACCES));
    let mut places = [loopback(first), loopback(second)];
    assert_eq!(send_many(&free, 2, 5, &mut places), Ok(2));
    assert_eq!(receive_from(&one).map(|(bytes, _)| bytes), Ok(5));
    assert_eq!(receive_from(&other).map(|(bytes, _)| bytes), Ok(5));
    let mut rows = exchange(V4, first, (2, 16), (0, 0));
    rows.extend(exchange(V4, second, (1, 5), (0, 0)));
    rows.extend(exchange("::1", third, (1, 9), (0, 0)));
    rows.push(failed("udp", "127.255.255.255", 9, &json!({"EACCES": 1})));
    rows
}

/// A server that connects to whoever sent to it first, as TFTP servers do.
fn connected_server(_: &str) -> Rows {
    let (server, there) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(send_to(&client, &[b'q'; 8], 0, &loopback(there)), Ok(8));
    let (_, from) = receive_from(&server).expect("a datagram");
    assert_eq!(connect(&server, &from), Ok(()));
    for _ in 0..2 {
        assert_eq!(send(&server, &[b'r'; 20], 0), Ok(20));
        assert_eq!(receive(&client, 0), Ok(20));
    }
    assert_eq!(send_to(&client, &[b'q'; 8], 0, &loopback(there)), Ok(8));
    assert_eq!(receive(&server, 0), Ok(8));
    exchange(V4, there, (2, 16), (2, 40))
}

/// A datagram is refused, which the next call says; one is too long.
fn refused_datagrams(_: &str) -> Rows {
    let (gone, port) = server();
    drop(gone);
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    assert_eq!(send(&client, b"one", 0), Ok(3));
    assert_eq!(receive(&client, 0), Err(libc::ECONNREFUSED));
    assert_eq!(write(&client, b"two"), Ok(3));
    assert_eq!(read(&client), Err(libc::ECONNREFUSED));
    assert_eq!(send(&client, &vec![0; 70_000], 0), Err(libc::EMSGSIZE));
    let mut row = datagrams("udp", "outbound", ("remote", &at(V4, port)), (2, 6), (0, 0));
    row["failures"] = json!({"ECONNREFUSED": 2, "EMSGSIZE": 1});
    vec![row]
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
fn fast_open(_: &str) -> Rows {
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
fn fast_open_by_option(_: &str) -> Rows {
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

/// Nobody answers: waited for, learnt from the socket, and given up before.
fn timed_out(_: &str) -> Rows {
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
fn silence(_: &str) -> Rows {
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

/// Places that there is no way to.
fn unreachable(_: &str) -> Rows {
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
fn asked_the_socket(_: &str) -> Rows {
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
fn full_queue(_: &str) -> Rows {
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

/// A socket that connects to itself.
fn to_itself(_: &str) -> Rows {
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

/// Connections that go to another process: over a Unix socket, by pidfd_getfd, by execution.
fn passed(folder: &str) -> Rows {
    let (listener, port) = listener(5);
    let (here, there) = {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors, which are new.
        unsafe {
            let kind = STREAM | libc::SOCK_CLOEXEC;
            assert_eq!(
                libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()),
                0
            );
            (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
        }
    };
    let (client, server) = pair(&listener, port);
    let child = fork(|| {
        let (mine, gone) = (take(&there), take(&there));
        assert_eq!(write(&mine, &[b'c'; 21]), Ok(21));
        assert_eq!(receive(&gone, 0), Ok(21));
        assert_eq!(write(&gone, &[b'd'; 4]), Ok(4));
    });
    give(&here, &client);
    give(&here, &server);
    drop(server);
    reap(child);
    assert_eq!(receive(&client, 0), Ok(4));

    // The child takes it from its parent.
    let (client, server) = pair(&listener, port);
    let parent = std::process::id();
    let child = fork(|| {
        // SAFETY: numbers only; the descriptor is new.
        let taken = unsafe {
            let process = libc::syscall(libc::SYS_pidfd_open, parent, 0);
            let fd = libc::syscall(libc::SYS_pidfd_getfd, process, client.as_raw_fd(), 0);
            OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor"))
        };
        assert_eq!(write(&taken, &[b'e'; 9]), Ok(9));
    });
    reap(child);
    assert_eq!(receive(&server, 0), Ok(9));

    // Another program has it as its standard input and output.
    let (client, server) = pair(&listener, port);
    let other = format!("{folder}/inetd");
    let own = std::env::current_exe().expect("this program");
    std::fs::copy(own, &other).expect("a copy");
    let child = fork(|| {
        let path = std::ffi::CString::new(other.as_str()).expect("a path");
        let argv = [path.as_ptr(), c"echo".as_ptr(), std::ptr::null()];
        // SAFETY: a list that ends with a null pointer and outlives the call.
        unsafe {
            libc::dup2(server.as_raw_fd(), 0);
            libc::dup2(server.as_raw_fd(), 1);
            libc::execv(path.as_ptr(), argv.as_ptr());
            libc::_exit(1);
        }
    });
    drop(server);
    assert_eq!(write(&client, &[b'h'; 50]), Ok(50));
    // SAFETY: numbers only.
    unsafe { libc::shutdown(client.as_raw_fd(), libc::SHUT_WR) };
    let mut echoed = 0;
    while let Ok(bytes @ 1..) = receive(&client, 0) {
        echoed += bytes;
    }
    assert_eq!(echoed, 50);
    reap(child);
    let mut rows = connections(V4, port, 3, (80, 54));
    rows[2]["bytesSent"] = 4.into();
    rows[2]["bytesReceived"] = 30.into();
    let mut inbound = stream("tcp", "inbound", ("local", &at(V4, port)), 0, (50, 50));
    inbound["exe"] = other.into();
    rows.push(inbound);
    rows
}

/// Three processes listen on one port.
fn shared_port(_: &str) -> Rows {
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
fn many_connections(_: &str) -> Rows {
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
fn both_families(_: &str) -> Rows {
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

/// Unix sockets that are not there, that nobody listens to, that are of another kind.
fn unix_failures(folder: &str) -> Rows {
    let (none, kept, other) = (
        format!("{folder}/none"),
        format!("{folder}/kept"),
        format!("{folder}/other"),
    );
    let deaf = socket(libc::AF_UNIX, STREAM);
    assert_eq!(bind(&deaf, &Address::unix(kept.as_bytes())), Ok(()));
    drop(deaf);
    let datagram = socket(libc::AF_UNIX, DATAGRAM);
    assert_eq!(bind(&datagram, &Address::unix(other.as_bytes())), Ok(()));
    let client = socket(libc::AF_UNIX, STREAM);
    let sender = socket(libc::AF_UNIX, DATAGRAM);
    for _ in 0..2 {
        assert_eq!(
            connect(&client, &Address::unix(none.as_bytes())),
            Err(libc::ENOENT)
        );
    }
    assert_eq!(
        connect(&client, &Address::unix(kept.as_bytes())),
        Err(libc::ECONNREFUSED)
    );
    assert_eq!(
        connect(&client, &Address::unix(other.as_bytes())),
        Err(libc::EPROTOTYPE)
    );
    assert_eq!(
        connect(&client, &Address::unix(b"\0nobody")),
        Err(libc::ECONNREFUSED)
    );
    assert_eq!(
        send_to(&sender, b"x", 0, &Address::unix(none.as_bytes())),
        Err(libc::ENOENT)
    );
    let row = |protocol: &str, path: &str, failures: Value| {
        let mut row = stream(
            protocol,
            "outbound",
            ("remote", &json!({"path": path})),
            0,
            (0, 0),
        );
        row["failures"] = failures;
        row
    };
    vec![
        row("unix-stream", &none, json!({"ENOENT": 2})),
        row("unix-stream", &kept, json!({"ECONNREFUSED": 1})),
        row("unix-stream", &other, json!({"EPROTOTYPE": 1})),
        row("unix-stream", "@nobody", json!({"ECONNREFUSED": 1})),
        row("unix-dgram", &none, json!({"ENOENT": 1})),
    ]
}

/// Messages that keep their limits, over a connection.
fn sequenced(folder: &str) -> Rows {
    let path = format!("{folder}/seq");
    let listener = socket(libc::AF_UNIX, libc::SOCK_SEQPACKET);
    let address = Address::unix(path.as_bytes());
    assert_eq!(bind(&listener, &address), Ok(()));
    listen(&listener, 5);
    let client = socket(libc::AF_UNIX, libc::SOCK_SEQPACKET);
    assert_eq!(connect(&client, &address), Ok(()));
    let server = accept(&listener);
    for _ in 0..4 {
        assert_eq!(send(&client, &[b'q'; 25], 0), Ok(25));
        assert_eq!(read(&server), Ok(25));
    }
    assert_eq!(write(&server, &[b'r'; 3]), Ok(3));
    assert_eq!(receive(&client, 0), Ok(3));
    let end = json!({"path": path});
    let with = |mut row: Value| {
        row["connections"] = 1.into();
        row
    };
    vec![
        with(datagrams(
            "unix-seqpacket",
            "outbound",
            ("remote", &end),
            (4, 100),
            (1, 3),
        )),
        with(datagrams(
            "unix-seqpacket",
            "inbound",
            ("local", &end),
            (1, 3),
            (4, 100),
        )),
        listening("unix-seqpacket", &end),
    ]
}

/// Names of the greatest length, without an end, and of bytes that are no text.
fn unix_names(folder: &str) -> Rows {
    let long = format!("{folder}/{}", "l".repeat(107 - folder.len()));
    assert_eq!(long.len(), 108);
    let names: [(&[u8], String); 4] = [
        (long.as_bytes(), long.clone()),
        (b"\0a\0b", "@a\0b".to_owned()),
        (b"\0a\0b\0", "@a\0b\0".to_owned()),
        (b"\0n\nl\x1b[31m\xff\\", "@n\nl\x1b[31m\\xff\\\\".to_owned()),
    ];
    let mut rows = Vec::new();
    for (name, shown) in names {
        let address = Address::unix(name);
        let listener = socket(libc::AF_UNIX, STREAM);
        assert_eq!(bind(&listener, &address), Ok(()), "{shown}");
        listen(&listener, 5);
        let client = socket(libc::AF_UNIX, STREAM);
        assert_eq!(connect(&client, &address), Ok(()));
        let server = accept(&listener);
        assert_eq!(write(&client, b"name"), Ok(4));
        assert_eq!(read(&server), Ok(4));
        let end = json!({"path": shown});
        rows.extend([
            stream("unix-stream", "outbound", ("remote", &end), 1, (4, 0)),
            stream("unix-stream", "inbound", ("local", &end), 1, (0, 4)),
            listening("unix-stream", &end),
        ]);
    }
    rows
}

/// Names relative to where a program is: equal names of several sockets, one of which looks abstract.
fn unix_relative(folder: &str) -> Rows {
    let mut rows = Vec::new();
    for (place, name) in [("a", b"@s".as_slice()), ("b", b"@s"), ("b", b"\0s")] {
        let place = format!("{folder}/{place}");
        std::fs::create_dir_all(&place).expect("mkdir");
        std::env::set_current_dir(&place).expect("chdir");
        let address = Address::unix(name);
        let listener = socket(libc::AF_UNIX, STREAM);
        assert_eq!(bind(&listener, &address), Ok(()));
        listen(&listener, 5);
        let client = socket(libc::AF_UNIX, STREAM);
        assert_eq!(connect(&client, &address), Ok(()));
        drop(accept(&listener));
        let shown = if name[0] == 0 {
            "@s".to_owned()
        } else {
            format!("{place}/@s")
        };
        let end = json!({"path": shown});
        rows.extend([
            stream("unix-stream", "outbound", ("remote", &end), 1, (0, 0)),
            stream("unix-stream", "inbound", ("local", &end), 1, (0, 0)),
            listening("unix-stream", &end),
        ]);
    }
    rows
}

/// Pings by datagram and by raw sockets; a raw socket that is connected has no connection.
fn pings(_: &str) -> Rows {
    own_network();
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").expect("a setting");
    let echo = |id: u8| [8, 0, 0xf7 - id, 0xff, 0, id, 0, 0];
    let mut rows = Vec::new();
    let ping = try_socket(libc::AF_INET, DATAGRAM, libc::IPPROTO_ICMP).expect("a socket");
    for _ in 0..2 {
        assert_eq!(send_to(&ping, &echo(0), 0, &loopback(0)), Ok(8));
        assert_eq!(receive_from(&ping).map(|(bytes, _)| bytes), Ok(8));
    }
    rows.push(datagrams(
        "icmp",
        "outbound",
        ("remote", &json!({"address": V4})),
        (2, 16),
        (2, 16),
    ));
    let raw = try_socket(libc::AF_INET, libc::SOCK_RAW, 253).expect("a socket");
    assert_eq!(connect(&raw, &loopback(0)), Ok(()));
    assert_eq!(send(&raw, &[b'r'; 12], 0), Ok(12));
    // With the header of IPv4.
    assert_eq!(receive(&raw, 0), Ok(32));
    rows.push(datagrams(
        "raw",
        "outbound",
        ("remote", &json!({"address": V4})),
        (1, 12),
        (1, 32),
    ));
    rows
}

/// A group of receivers.
fn multicast(_: &str) -> Rows {
    own_network();
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let server = socket(libc::AF_INET, DATAGRAM);
    let any = Address::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5353)));
    assert_eq!(bind(&server, &any), Ok(()));
    let client = socket(libc::AF_INET, DATAGRAM);
    let own = u32::from(Ipv4Addr::LOCALHOST).to_be();
    let join = libc::ip_mreq {
        imr_multiaddr: libc::in_addr {
            s_addr: u32::from(group).to_be(),
        },
        imr_interface: libc::in_addr { s_addr: own },
    };
    // SAFETY: values that outlive the calls.
    unsafe {
        let level = libc::IPPROTO_IP;
        let result = libc::setsockopt(
            server.as_raw_fd(),
            level,
            libc::IP_ADD_MEMBERSHIP,
            (&raw const join).cast(),
            8,
        );
        assert_eq!(result, 0);
        let result = libc::setsockopt(
            client.as_raw_fd(),
            level,
            libc::IP_MULTICAST_IF,
            (&raw const own).cast(),
            4,
        );
        assert_eq!(result, 0);
    }
    let there = Address::from(SocketAddr::from((group, 5353)));
    for _ in 0..3 {
        assert_eq!(send_to(&client, &[b'g'; 11], 0, &there), Ok(11));
        assert_eq!(receive_from(&server).map(|(bytes, _)| bytes), Ok(11));
    }
    let mut inbound = datagrams(
        "udp",
        "inbound",
        ("local", &json!({"port": 5353})),
        (0, 0),
        (3, 33),
    );
    inbound["remote"] = json!({"address": V4});
    vec![
        datagrams(
            "udp",
            "outbound",
            ("remote", &at("239.1.2.3", 5353)),
            (3, 33),
            (0, 0),
        ),
        inbound,
    ]
}

/// One call, several datagrams: the kernel cuts them.
fn segments(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(
        option(&client, libc::SOL_UDP, libc::UDP_SEGMENT, 100),
        Ok(())
    );
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    assert_eq!(send(&client, &[b's'; 450], 0), Ok(450));
    let mut sizes = Vec::new();
    for _ in 0..5 {
        sizes.push(receive_from(&server).expect("a datagram").0);
    }
    assert_eq!(sizes, [100, 100, 100, 100, 50]);
    exchange(V4, port, (5, 450), (0, 0))
}

/// Several calls, one datagram.
fn corked(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    for flags in [libc::MSG_MORE, libc::MSG_MORE, 0] {
        assert_eq!(send(&client, &[b'c'; 10], flags), Ok(10));
    }
    assert_eq!(receive_from(&server).map(|(bytes, _)| bytes), Ok(30));
    exchange(V4, port, (1, 30), (0, 0))
}

/// Only one direction is closed; the other goes on. Bytes out of band.
fn half_closed(_: &str) -> Rows {
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
fn swapped_connect(folder: &str) -> Rows {
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

/// What a case does below a folder.
type Case = fn(&str) -> Rows;

/// Cases by name.
const CASES: &[(&str, Case)] = &[
    ("asked-the-socket", asked_the_socket),
    ("both-families", both_families),
    ("connected-server", connected_server),
    ("corked", corked),
    ("elsewhere", elsewhere),
    ("empty-datagrams", empty_datagrams),
    ("fast-open", fast_open),
    ("fast-open-by-option", fast_open_by_option),
    ("full-queue", full_queue),
    ("half-closed", half_closed),
    ("ignored-addresses", ignored_addresses),
    ("many-connections", many_connections),
    ("many-messages", many_messages),
    ("multicast", multicast),
    ("passed", passed),
    ("pings", pings),
    ("read-datagrams", read_datagrams),
    ("read-unix-datagrams", read_unix_datagrams),
    ("refused-datagrams", refused_datagrams),
    ("segments", segments),
    ("sequenced", sequenced),
    ("several-places", several_places),
    ("shared-port", shared_port),
    ("short-buffers", short_buffers),
    ("silence", silence),
    ("stream-ways", stream_ways),
    ("swapped-connect", swapped_connect),
    ("timed-out", timed_out),
    ("to-itself", to_itself),
    ("unix-failures", unix_failures),
    ("unix-names", unix_names),
    ("unix-relative", unix_relative),
    ("unix-stream-ways", unix_stream_ways),
    ("unreachable", unreachable),
];

/// Sends back what comes, until nothing comes.
fn echo() {
    let mut buffer = [0_u8; 256];
    // SAFETY: the buffer outlives the calls.
    unsafe {
        loop {
            let got = libc::read(0, buffer.as_mut_ptr().cast(), 256);
            let Ok(got @ 1..) = usize::try_from(got) else {
                break;
            };
            libc::write(1, buffer.as_ptr().cast(), got);
        }
    }
}

fn main() {
    let argument = |number| std::env::args().nth(number).expect("a folder and a case");
    let folder = argument(1);
    if folder == "echo" {
        return echo();
    }
    let wanted = argument(2);
    let (_, case) = CASES
        .iter()
        .find(|(name, _)| *name == wanted)
        .unwrap_or_else(|| panic!("no case {wanted}"));
    let rows = case(&folder);
    procmon_tests::tell(&json!({"network": rows, "bound": raw::bound()}));
}

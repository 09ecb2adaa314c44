//! Connections and datagrams over loopback, client and server in one program: all of its traffic.
#![expect(
    unsafe_code,
    reason = "fork, sendmmsg and recvmmsg, which std does not offer"
)]

use serde_json::{Value, json};
use std::io::{IoSlice, Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket,
};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;

const CONNECTIONS: u64 = 5;

/// What one client did to one server.
struct Client {
    connections: u64,
    sent: u64,
    received: u64,
    failures: Value,
}

/// The rows of both ends of TCP connections, and of the listening socket.
fn tcp_rows(address: &str, port: u16, client: &Client) -> [Value; 3] {
    [
        json!({"protocol": "tcp", "direction": "outbound", "local": null, "remote": {"address": address, "port": port},
            "connections": client.connections, "bytesSent": client.sent, "bytesReceived": client.received,
            "failures": client.failures}),
        json!({"protocol": "tcp", "direction": "listen", "local": {"address": address, "port": port}, "remote": null,
            "connections": 0, "bytesSent": 0, "bytesReceived": 0, "failures": {}}),
        json!({"protocol": "tcp", "direction": "inbound", "local": {"address": address, "port": port},
            "remote": {"address": address}, "connections": client.connections, "bytesSent": client.received,
            "bytesReceived": client.sent, "failures": {}}),
    ]
}

/// A conversation that blocks, connections that are refused, and one that does not block.
fn tcp(address: IpAddr, rows: &mut Vec<Value>) {
    let listener = TcpListener::bind((address, 0)).expect("bind");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        for _ in 0..CONNECTIONS {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = Vec::new();
            stream.read_to_end(&mut request).expect("read");
            stream.write_all(&[b'r'; 1000]).expect("write");
        }
    });
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect((address, port)).expect("connect");
        stream.write_all(&[b'q'; 60]).expect("write");
        let more = stream.write_vectored(&[IoSlice::new(&[b'v'; 30]), IoSlice::new(&[b'w'; 10])]);
        assert_eq!(more.expect("writev"), 40);
        stream.shutdown(Shutdown::Write).expect("shutdown");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read");
        assert_eq!(answer.len(), 1000);
    }
    server.join().expect("the server ends");
    // Nobody listens there any more.
    for _ in 0..3 {
        assert!(TcpStream::connect((address, port)).is_err());
    }
    let failures = json!({"ECONNREFUSED": 3});
    let client = Client {
        connections: CONNECTIONS,
        sent: CONNECTIONS * 100,
        received: CONNECTIONS * 1000,
        failures,
    };
    rows.extend(tcp_rows(&address.to_string(), port, &client));

    let listener = TcpListener::bind((address, 0)).expect("bind");
    let there = listener.local_addr().expect("an address");
    // connect_timeout connects without blocking.
    let stream = TcpStream::connect_timeout(&there, Duration::from_secs(5)).expect("connect");
    drop(listener.accept().expect("accept"));
    drop(stream);
    let client = Client {
        connections: 1,
        sent: 0,
        received: 0,
        failures: json!({}),
    };
    rows.extend(tcp_rows(&address.to_string(), there.port(), &client));
}

/// The server is a child, and the client connects by an IPv4 address mapped into IPv6.
fn across_processes(rows: &mut Vec<Value>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let port = listener.local_addr().expect("an address").port();
    // SAFETY: no other thread runs; the child uses what it inherited and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut request = [0; 300];
        stream.read_exact(&mut request).expect("read");
        stream.write_all(&request[..200]).expect("write");
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    drop(listener);
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let mut stream = TcpStream::connect((mapped, port)).expect("connect");
    stream.write_all(&[b'm'; 300]).expect("write");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("read");
    // SAFETY: a child of ours.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let client = Client {
        connections: 1,
        sent: 300,
        received: 200,
        failures: json!({}),
    };
    rows.extend(tcp_rows("127.0.0.1", port, &client));
}

/// Both rows of datagrams between two sockets: how many there and back, and their bytes.
fn datagram_rows(address: &str, port: u16, sent: (u64, u64), answered: (u64, u64)) -> [Value; 2] {
    [
        json!({"protocol": "udp", "direction": "outbound", "remote": {"address": address, "port": port}, "connections": 0,
            "datagramsSent": sent.0, "bytesSent": sent.1, "datagramsReceived": answered.0, "bytesReceived": answered.1,
            "failures": {}}),
        json!({"protocol": "udp", "direction": "inbound", "local": {"port": port}, "remote": {"address": address},
            "datagramsSent": answered.0, "bytesSent": answered.1, "datagramsReceived": sent.0, "bytesReceived": sent.1,
            "failures": {}}),
    ]
}

/// A sender, a receiver on a port that it asked for, as servers do, and where that is.
fn udp_pair(address: IpAddr) -> (UdpSocket, UdpSocket, SocketAddr) {
    let receiver = std::iter::repeat_with(|| {
        let free = UdpSocket::bind((address, 0))
            .and_then(|socket| socket.local_addr())
            .expect("a port");
        UdpSocket::bind(free)
    })
    .take(100)
    .find_map(Result::ok)
    .expect("bind");
    let there = receiver.local_addr().expect("an address");
    (
        UdpSocket::bind((address, 0)).expect("bind"),
        receiver,
        there,
    )
}

/// Connected and answered; unconnected, by sendto.
fn udp(address: IpAddr, rows: &mut Vec<Value>) {
    let mut buffer = [0; 100];
    let (sender, receiver, there) = udp_pair(address);
    sender.connect(there).expect("connect");
    for _ in 0..4 {
        sender.send(&[b'd'; 50]).expect("send");
        let (_, from) = receiver.recv_from(&mut buffer).expect("recv");
        receiver.send_to(&[b'e'; 20], from).expect("send");
        sender.recv(&mut buffer).expect("recv");
    }
    rows.extend(datagram_rows(
        &address.to_string(),
        there.port(),
        (4, 200),
        (4, 80),
    ));

    let (sender, receiver, there) = udp_pair(address);
    for _ in 0..3 {
        sender.send_to(&[b's'; 7], there).expect("send");
        receiver.recv_from(&mut buffer).expect("recv");
    }
    rows.extend(datagram_rows(
        &address.to_string(),
        there.port(),
        (3, 21),
        (0, 0),
    ));
}

/// Five datagrams by one sendmmsg, received by one recvmmsg.
fn many_datagrams(rows: &mut Vec<Value>) {
    const N: usize = 5;
    let (sender, receiver, there) = udp_pair(IpAddr::V4(Ipv4Addr::LOCALHOST));
    sender.connect(there).expect("connect");
    let mut data = [[b'n'; 9]; N];
    // SAFETY: all structures are zeroed or filled, and live until the calls return.
    unsafe {
        let mut vectors = data.each_mut().map(|bytes| libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        });
        let mut messages: [libc::mmsghdr; N] = std::mem::zeroed();
        for (message, vector) in messages.iter_mut().zip(&mut vectors) {
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        assert_eq!(
            libc::sendmmsg(sender.as_raw_fd(), messages.as_mut_ptr(), 5, 0),
            5
        );
        let mut from: [libc::sockaddr_in; N] = std::mem::zeroed();
        for (message, from) in messages.iter_mut().zip(&mut from) {
            message.msg_hdr.msg_name = (&raw mut *from).cast();
            message.msg_hdr.msg_namelen = 16;
        }
        assert_eq!(
            libc::recvmmsg(
                receiver.as_raw_fd(),
                messages.as_mut_ptr(),
                5,
                0,
                std::ptr::null_mut()
            ),
            5
        );
    }
    rows.extend(datagram_rows("127.0.0.1", there.port(), (5, 45), (0, 0)));
}

/// Unix sockets by path, by abstract name, and a pair, which has no row.
fn unix(folder: &str, rows: &mut Vec<Value>) {
    let path = format!("{folder}/stream");
    let name = format!("procmon-{}", std::process::id());
    let named = UnixAddr::from_abstract_name(&name).expect("a name");
    for (address, shown) in [
        (UnixAddr::from_pathname(&path).expect("a path"), path),
        (named, format!("@{name}")),
    ] {
        let listener = UnixListener::bind_addr(&address).expect("bind");
        for _ in 0..2 {
            let mut client = UnixStream::connect_addr(&address).expect("connect");
            let (mut server, _) = listener.accept().expect("accept");
            client.write_all(&[b'u'; 30]).expect("write");
            server.read_exact(&mut [0; 30]).expect("read");
        }
        rows.extend([
            json!({"protocol": "unix-stream", "direction": "outbound", "remote": {"path": shown}, "connections": 2, "bytesSent": 60, "bytesReceived": 0}),
            json!({"protocol": "unix-stream", "direction": "inbound", "local": {"path": shown}, "connections": 2, "bytesSent": 0, "bytesReceived": 60}),
            json!({"protocol": "unix-stream", "direction": "listen", "local": {"path": shown}, "connections": 0}),
        ]);
    }
    let path = format!("{folder}/dgram");
    let receiver = UnixDatagram::bind(&path).expect("bind");
    let sender = UnixDatagram::unbound().expect("socket");
    for _ in 0..3 {
        sender.send_to(&[b'g'; 10], &path).expect("send");
        receiver.recv(&mut [0; 10]).expect("recv");
    }
    rows.extend([
        json!({"protocol": "unix-dgram", "direction": "outbound", "remote": {"path": path}, "datagramsSent": 3, "bytesSent": 30}),
        json!({"protocol": "unix-dgram", "direction": "inbound", "local": {"path": path}, "datagramsReceived": 3, "bytesReceived": 30}),
    ]);
    let (mut one, mut other) = UnixStream::pair().expect("a pair");
    one.write_all(b"pair").expect("write");
    other.read_exact(&mut [0; 4]).expect("read");
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let mut rows = Vec::new();
    across_processes(&mut rows);
    for address in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ] {
        tcp(address, &mut rows);
        udp(address, &mut rows);
    }
    many_datagrams(&mut rows);
    unix(&folder, &mut rows);
    procmon_tests::tell(&json!({"network": rows}));
}

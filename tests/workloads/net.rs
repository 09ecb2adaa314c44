//! Connections and datagrams over loopback, client and server in one program: all of its traffic.
#![expect(
    unsafe_code,
    reason = "fork and calls on sockets that std does not offer"
)]

use serde_json::{Value, json};
use std::io::{IoSlice, Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket,
};
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};
use std::sync::Mutex;
use std::time::Duration;

const CONNECTIONS: u64 = 5;

/// The work of one client with one server.
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
    // The port has no listener any more.
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

/// Closes with a reset.
fn reset(stream: TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: a descriptor that is open, and a structure that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            8,
        )
    };
    assert_eq!(result, 0);
    drop(stream);
}

/// Connections that the kernel has closed stay what they were: read and written after a reset, read
/// after both sides were shut down, accepted after a reset.
fn closed_connections(rows: &mut Vec<Value>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let there = listener.local_addr().expect("an address");
    let pair = || {
        let client = TcpStream::connect(there).expect("connect");
        (client, listener.accept().expect("accept").0)
    };
    let (client, mut server) = pair();
    server.write_all(&[b'x'; 50]).expect("write");
    // Unread bytes make it a reset.
    drop(client);
    assert!(server.read(&mut [0; 10]).is_err());
    assert!(server.write(b"into nothing").is_err());

    let (mut client, mut server) = pair();
    client.write_all(&[b'y'; 70]).expect("write");
    client.shutdown(Shutdown::Write).expect("shutdown");
    server.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(client.read(&mut [0; 10]).expect("read"), 0);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).expect("read");
    assert_eq!(rest.len(), 70);

    reset(TcpStream::connect(there).expect("connect"));
    let (mut server, _) = listener.accept().expect("accept");
    assert!(server.read(&mut [0; 10]).is_err());

    let [mut outbound, listen, mut inbound] = tcp_rows(
        "127.0.0.1",
        there.port(),
        &Client {
            connections: 3,
            sent: 70,
            received: 0,
            failures: json!({}),
        },
    );
    outbound["bytesReceived"] = 0.into();
    inbound["bytesSent"] = 50.into();
    inbound["failures"] = json!({"ECONNRESET": 2, "EPIPE": 1});
    rows.extend([outbound, listen, inbound]);
}

/// A socket that may share its port.
fn raw_tcp() -> OwnedFd {
    let one = 1;
    // SAFETY: numbers, and a local that outlives the call; the descriptor is new.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0);
        let result = libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR,
            (&raw const one).cast::<libc::c_void>(),
            4,
        );
        assert_eq!(result, 0);
        OwnedFd::from_raw_fd(fd)
    }
}

/// An address of this machine for the kernel.
fn loopback(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).expect("a small number"),
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn connect(fd: &impl AsRawFd, address: &libc::sockaddr_in) -> Result<(), libc::c_int> {
    // SAFETY: the address outlives the call.
    match unsafe { libc::connect(fd.as_raw_fd(), (&raw const *address).cast(), 16) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

/// Connections that fail in other ways than by a refusal while the program waits: each counts once.
fn failing_connections(rows: &mut Vec<Value>) {
    // The pair of ports is in use.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let port = listener.local_addr().expect("an address").port();
    let own = loopback(0);
    let (first, second) = (raw_tcp(), raw_tcp());
    // SAFETY: addresses that outlive the calls.
    unsafe {
        assert_eq!(
            libc::bind(first.as_raw_fd(), (&raw const own).cast(), 16),
            0
        );
        let mut bound = own;
        let mut length = 16;
        libc::getsockname(first.as_raw_fd(), (&raw mut bound).cast(), &raw mut length);
        assert_eq!(
            libc::bind(second.as_raw_fd(), (&raw const bound).cast(), 16),
            0
        );
    }
    assert_eq!(connect(&first, &loopback(port)), Ok(()));
    assert_eq!(connect(&second, &loopback(port)), Err(libc::EADDRNOTAVAIL));
    drop(listener.accept().expect("accept"));
    let client = Client {
        connections: 1,
        sent: 0,
        received: 0,
        failures: json!({"EADDRNOTAVAIL": 1}),
    };
    rows.extend(tcp_rows("127.0.0.1", port, &client));

    // Refused in the background, and asked for the outcome by another connect.
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let socket = raw_tcp();
    // SAFETY: numbers only.
    unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(connect(&socket, &loopback(unused)), Err(libc::EINPROGRESS));
    assert_eq!(connect(&socket, &loopback(unused)), Err(libc::ECONNREFUSED));
    rows.extend([
        json!({"protocol": "tcp", "direction": "outbound", "local": null, "remote": {"address": "127.0.0.1", "port": unused},
            "connections": 0, "bytesSent": 0, "bytesReceived": 0, "failures": {"ECONNREFUSED": 1}}),
        json!({"protocol": "tcp", "direction": "listen", "local": {"address": "127.0.0.1", "port": unused}, "remote": null,
            "connections": 0}),
    ]);
}

/// One connection over MPTCP, where the kernel has it, and one that is refused.
fn mptcp(rows: &mut Vec<Value>) {
    const IPPROTO_MPTCP: libc::c_int = 262;
    let socket = || {
        // SAFETY: numbers only; the descriptor is new.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, IPPROTO_MPTCP) };
        // SAFETY: as above.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let Some(listener) = socket() else { return };
    let mut address = loopback(0);
    // SAFETY: addresses that outlive the calls.
    unsafe {
        let mut length = 16;
        let fd = listener.as_raw_fd();
        assert_eq!(libc::bind(fd, (&raw const address).cast(), 16), 0);
        assert_eq!(libc::listen(fd, 5), 0);
        libc::getsockname(fd, (&raw mut address).cast(), &raw mut length);
    }
    let listener = TcpListener::from(listener);
    let client = socket().expect("a socket");
    assert_eq!(connect(&client, &address), Ok(()));
    let mut client = TcpStream::from(client);
    let (mut server, _) = listener.accept().expect("accept");
    client.write_all(&[b'1'; 120]).expect("write");
    server.read_exact(&mut [0; 120]).expect("read");
    server.write_all(&[b'2'; 30]).expect("write");
    client.read_exact(&mut [0; 30]).expect("read");
    drop((client, server, listener));
    let refused = socket().expect("a socket");
    assert_eq!(connect(&refused, &address), Err(libc::ECONNREFUSED));
    let port = u16::from_be(address.sin_port);
    let ends = Client {
        connections: 1,
        sent: 120,
        received: 30,
        failures: json!({"ECONNREFUSED": 1}),
    };
    rows.extend(tcp_rows("127.0.0.1", port, &ends).map(|mut row| {
        row["protocol"] = "mptcp".into();
        row
    }));
}

/// Datagrams over UDP-Lite, where the kernel has it.
fn udp_lite(rows: &mut Vec<Value>) {
    let socket = || {
        // SAFETY: numbers only; the descriptor is new.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE) };
        // SAFETY: as above.
        (fd >= 0).then(|| UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) }))
    };
    let bound = |port| {
        let (socket, address) = (socket()?, loopback(port));
        // SAFETY: an address that outlives the call.
        let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), 16) };
        assert_eq!(result, 0);
        Some((socket.local_addr().expect("an address"), socket))
    };
    let (Some(sender), Some((free, _))) = (socket(), bound(0)) else {
        return;
    };
    // A port that it asked for, as servers do.
    let (there, receiver) = bound(free.port()).expect("a socket");
    waits("udp-lite", &place(there));
    for _ in 0..5 {
        sender.send_to(&[b'l'; 100], there).expect("send");
        receiver.recv_from(&mut [0; 200]).expect("receive");
    }
    let sent = datagram_rows("127.0.0.1", there.port(), (5, 500), (0, 0));
    rows.extend(sent.map(|mut row| {
        row["protocol"] = "udp-lite".into();
        row
    }));
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

/// Sockets for datagrams that have waited for others.
static WAITED: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// A socket for datagrams waits here.
fn waits(protocol: &str, local: &Value) {
    let mut all = WAITED.lock().expect("nobody panics");
    all.push(json!({"protocol": protocol, "direction": "listen", "local": local, "connections": 0,
        "datagramsSent": 0, "datagramsReceived": 0, "bytesSent": 0, "bytesReceived": 0, "failures": {}}));
}

/// Where, of a row.
fn place(address: SocketAddr) -> Value {
    json!({"address": address.ip().to_string(), "port": address.port()})
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
    waits("udp", &place(there));
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
        // Bytes that were only looked at have not been received.
        receiver.peek_from(&mut buffer).expect("peek");
        // SAFETY: a zeroed structure without buffers, which outlives the call.
        let peeked = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            let flags = libc::MSG_PEEK | libc::MSG_TRUNC;
            libc::recvmsg(receiver.as_raw_fd(), &raw mut message, flags)
        };
        assert_eq!(peeked, 7);
        receiver.recv_from(&mut buffer).expect("recv");
    }
    rows.extend(datagram_rows(
        &address.to_string(),
        there.port(),
        (3, 21),
        (0, 0),
    ));
}

/// Sockets that are connected, disconnected, and used again.
fn disconnected(rows: &mut Vec<Value>) {
    let nobody = libc::sockaddr_in {
        sin_family: 0,
        ..loopback(0)
    };
    for address in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ] {
        let (sender, receiver, there) = udp_pair(address);
        sender.connect(there).expect("connect");
        assert_eq!(connect(&sender, &nobody), Ok(()));
        sender.send_to(&[b'a'; 9], there).expect("send");
        receiver.recv(&mut [0; 9]).expect("recv");
        rows.extend(datagram_rows(
            &address.to_string(),
            there.port(),
            (1, 9),
            (0, 0),
        ));
        // A server that does not ask who sends.
        let last = rows.len() - 1;
        rows[last]["remote"] = Value::Null;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let port = listener.local_addr().expect("an address").port();
    let socket = raw_tcp();
    for _ in 0..2 {
        assert_eq!(connect(&socket, &loopback(port)), Ok(()));
        drop(listener.accept().expect("accept"));
        assert_eq!(connect(&socket, &nobody), Ok(()));
    }
    let client = Client {
        connections: 2,
        sent: 0,
        received: 0,
        failures: json!({}),
    };
    rows.extend(tcp_rows("127.0.0.1", port, &client));
}

/// A client that asked for its port, as DHCP and NTP clients do, sends first and is answered.
fn fixed_client(rows: &mut Vec<Value>) {
    let (_, server, there) = udp_pair(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (_, client, _) = udp_pair(IpAddr::V4(Ipv4Addr::LOCALHOST));
    // It begins itself: it waits for nobody.
    WAITED.lock().expect("nobody panics").pop();
    let mut buffer = [0; 100];
    for _ in 0..3 {
        client.send_to(&[b'f'; 11], there).expect("send");
        let (_, from) = server.recv_from(&mut buffer).expect("recv");
        server.send_to(&[b'g'; 22], from).expect("send");
        client.recv_from(&mut buffer).expect("recv");
        server.send_to(&[b'h'; 3], from).expect("send");
        client.recv(&mut buffer).expect("recv");
    }
    rows.extend(datagram_rows("127.0.0.1", there.port(), (3, 33), (6, 75)));
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

/// A client with a name of its own, as X clients and D-Bus have it.
fn named_client(path: &str, rows: &mut Vec<Value>) {
    let listener = UnixListener::bind(path).expect("bind");
    // SAFETY: addresses that outlive the calls; the descriptor is new.
    let mut client = unsafe {
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).expect("a small number");
        // The kernel gives it an abstract name.
        assert_eq!(libc::bind(fd, (&raw const address).cast(), 2), 0);
        for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
            *to = from.cast_signed();
        }
        let length = u32::try_from(size_of_val(&address)).expect("a small number");
        assert_eq!(libc::connect(fd, (&raw const address).cast(), length), 0);
        UnixStream::from_raw_fd(fd)
    };
    let (mut server, _) = listener.accept().expect("accept");
    client.write_all(&[b'c'; 40]).expect("write");
    server.read_exact(&mut [0; 40]).expect("read");
    server.write_all(&[b's'; 50]).expect("write");
    client.read_exact(&mut [0; 50]).expect("read");
    rows.extend([
        json!({"protocol": "unix-stream", "direction": "outbound", "remote": {"path": path}, "connections": 1, "bytesSent": 40, "bytesReceived": 50}),
        json!({"protocol": "unix-stream", "direction": "inbound", "local": {"path": path}, "connections": 1, "bytesSent": 50, "bytesReceived": 40}),
        json!({"protocol": "unix-stream", "direction": "listen", "local": {"path": path}, "connections": 0}),
    ]);
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
    named_client(&format!("{folder}/server"), rows);
    let path = format!("{folder}/dgram");
    let receiver = UnixDatagram::bind(&path).expect("bind");
    waits("unix-dgram", &json!({"path": path}));
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
    closed_connections(&mut rows);
    failing_connections(&mut rows);
    mptcp(&mut rows);
    udp_lite(&mut rows);
    disconnected(&mut rows);
    fixed_client(&mut rows);
    many_datagrams(&mut rows);
    unix(&folder, &mut rows);
    rows.append(&mut WAITED.lock().expect("nobody panics"));
    procmon_tests::tell(&json!({"network": rows}));
}

//! Connections and datagrams over loopback, client and server in one process.

use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket,
};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

const CONNECTIONS: u64 = 5;

fn tcp(address: IpAddr) -> (u16, u16) {
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
        stream.write_all(&[b'q'; 100]).expect("write");
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
    let connected = TcpListener::bind((address, 0)).expect("bind");
    let timed = connected.local_addr().expect("an address");
    // connect_timeout connects without blocking.
    drop(TcpStream::connect_timeout(&timed, std::time::Duration::from_secs(1)).expect("connect"));
    (port, timed.port())
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let (port4, timed4) = tcp(v4);
    let (port6, _) = tcp(v6);

    let receiver = UdpSocket::bind((v4, 0)).expect("bind");
    let udp = receiver.local_addr().expect("an address");
    let sender = UdpSocket::bind((v4, 0)).expect("bind");
    sender.connect(udp).expect("connect");
    for _ in 0..4 {
        sender.send(&[b'd'; 50]).expect("send");
        let mut buffer = [0; 100];
        let (_, from): (usize, SocketAddr) = receiver.recv_from(&mut buffer).expect("recv");
        receiver.send_to(&[b'e'; 20], from).expect("send");
        sender.recv(&mut buffer).expect("recv");
    }

    let path = format!("{folder}/stream");
    let listener = UnixListener::bind(&path).expect("bind");
    for _ in 0..2 {
        let mut client = UnixStream::connect(&path).expect("connect");
        let (mut server, _) = listener.accept().expect("accept");
        client.write_all(&[b'u'; 30]).expect("write");
        server.read_exact(&mut [0; 30]).expect("read");
    }
    let datagrams = format!("{folder}/dgram");
    let receiver = UnixDatagram::bind(&datagrams).expect("bind");
    let sender = UnixDatagram::unbound().expect("socket");
    for _ in 0..3 {
        sender.send_to(&[b'g'; 10], &datagrams).expect("send");
        receiver.recv(&mut [0; 10]).expect("recv");
    }

    let tcp_rows = |address: &str, port: u16| {
        json!([
            {"protocol": "tcp", "direction": "outbound", "remote": {"address": address, "port": port},
             "connections": CONNECTIONS, "bytesSent": CONNECTIONS * 100, "bytesReceived": CONNECTIONS * 1000, "failures": {"ECONNREFUSED": 3}},
            {"protocol": "tcp", "direction": "inbound", "local": {"address": address, "port": port}, "remote": {"address": address},
             "connections": CONNECTIONS, "bytesSent": CONNECTIONS * 1000, "bytesReceived": CONNECTIONS * 100, "failures": {}},
            {"protocol": "tcp", "direction": "listen", "local": {"address": address, "port": port}, "connections": 0, "bytesSent": 0, "bytesReceived": 0, "failures": {}},
        ])
    };
    let mut rows = Vec::new();
    for list in [tcp_rows("127.0.0.1", port4), tcp_rows("::1", port6)] {
        rows.extend(list.as_array().cloned().unwrap_or_default());
    }
    rows.extend([
        json!({"protocol": "tcp", "direction": "outbound", "remote": {"address": "127.0.0.1", "port": timed4}, "connections": 1, "bytesSent": 0, "bytesReceived": 0, "failures": {}}),
        json!({"protocol": "udp", "direction": "outbound", "remote": {"address": "127.0.0.1", "port": udp.port()}, "datagramsSent": 4, "datagramsReceived": 4, "bytesSent": 200, "bytesReceived": 80}),
        json!({"protocol": "unix-stream", "direction": "outbound", "remote": {"path": path}, "connections": 2, "bytesSent": 60, "bytesReceived": 0}),
        json!({"protocol": "unix-stream", "direction": "inbound", "local": {"path": path}, "connections": 2, "bytesSent": 0, "bytesReceived": 60}),
        json!({"protocol": "unix-dgram", "direction": "outbound", "remote": {"path": datagrams}, "datagramsSent": 3, "bytesSent": 30}),
        json!({"protocol": "unix-dgram", "direction": "inbound", "local": {"path": datagrams}, "datagramsReceived": 3, "bytesReceived": 30}),
    ]);
    procmon_tests::tell(&json!({"network": rows}));
}

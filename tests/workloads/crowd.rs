//! Processes that do the same at the same time, each to a file, a port for datagrams and a server of its own:
//! what one does must not be said of another. Its argument is a folder.

use serde_json::json;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::Command;

const MEMBERS: u16 = 4;
const ROUNDS: u64 = 500;
/// The first port of datagrams. They are not received, and the connections are not accepted.
const FIRST_DATAGRAM_PORT: u16 = 20_000;
const FIRST_SERVER_PORT: u16 = 30_000;
/// The argument that makes a program a member.
const MEMBER: &str = "--member";

fn path(folder: &str, member: u16) -> String {
    format!("{folder}/member-{member}")
}

/// Bytes that a member writes and sends in each round.
fn bytes(member: u16) -> usize {
    usize::from(member) + 1
}

fn act(folder: &str, member: u16) {
    let text = vec![b'x'; bytes(member)];
    for _ in 0..ROUNDS {
        let mut file = File::create(path(folder, member)).expect("create");
        file.write_all(&text).expect("write");
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
        let to = (Ipv4Addr::LOCALHOST, FIRST_DATAGRAM_PORT + member);
        socket.send_to(&text, to).expect("send");
        let server = (Ipv4Addr::LOCALHOST, FIRST_SERVER_PORT + member);
        assert!(TcpStream::connect(server).is_err());
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder, member] = arguments.as_slice()
        && flag == MEMBER
    {
        return act(folder, member.parse().expect("a number"));
    }
    let folder = &arguments[0];
    let members: Vec<_> = (0..MEMBERS)
        .map(|member| {
            Command::new(std::env::current_exe().expect("a path"))
                .args([MEMBER, folder, &member.to_string()])
                .spawn()
                .expect("a member")
        })
        .collect();
    for mut member in members {
        assert!(member.wait().expect("its end").success());
    }
    let (mut files, mut network) = (Vec::new(), Vec::new());
    for member in 0..MEMBERS {
        let total = ROUNDS * bytes(member) as u64;
        files.push(json!({"path": path(folder, member), "bytesWritten": total,
            "operations": {"open": ROUNDS, "write": ROUNDS, "create": 1}}));
        network.extend([
            json!({"protocol": "udp", "direction": "outbound", "datagramsSent": ROUNDS, "bytesSent": total,
                "remote": {"address": "127.0.0.1", "port": FIRST_DATAGRAM_PORT + member}}),
            json!({"protocol": "tcp", "direction": "outbound", "connections": 0, "bytesSent": 0,
                "remote": {"address": "127.0.0.1", "port": FIRST_SERVER_PORT + member},
                "failures": {"ECONNREFUSED": ROUNDS}}),
        ]);
    }
    procmon_tests::tell(&json!({"files": files, "network": network}));
}

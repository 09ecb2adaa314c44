//! Questions to a resolver and greetings of TLS, all inside a network namespace of the program's own,
//! with the resolver in it. Modes: none (everything), `malformed`, `getaddrinfo`, `hold`, `ask`, `stranger`.
#![expect(unsafe_code, reason = "namespaces, and calls that std does not offer")]

use serde_json::{Value, json};
use std::ffi::CString;
use std::io::{Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket,
};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const SOON: Duration = Duration::from_mins(1);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The address that `alias.test` leads to, on loopback too.
const ALIASED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// Waits for a condition.
fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until somebody has a packet socket here that runs, as its sixth word says.
fn wait_for_tap() {
    wait("a tap", || {
        std::fs::read_to_string("/proc/net/packet").is_ok_and(|text| {
            text.lines()
                .any(|line| line.split_ascii_whitespace().nth(5) == Some("1"))
        })
    });
}

/// A network namespace of this process, its loopback device up.
fn own_network() {
    // SAFETY: takes no pointers.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
    // SAFETY: the request names the device and holds flags only; the descriptor is owned.
    unsafe {
        let socket = OwnedFd::from_raw_fd(libc::socket(
            libc::AF_INET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            0,
        ));
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed();
        request.ifr_name[1] = b'o'.cast_signed();
        request.ifr_ifru.ifru_flags = 1;
        assert_eq!(
            libc::ioctl(
                socket.as_raw_fd(),
                libc::SIOCSIFFLAGS as _,
                &raw const request
            ),
            0
        );
    }
}

fn name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).expect("a label"));
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

fn question(id: u16, asked: &str, record_type: u16) -> Vec<u8> {
    let mut out: Vec<u8> = [id, 0x0100, 1, 0, 0, 0]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect();
    out.extend(name(asked));
    out.extend([record_type, 1].iter().flat_map(|word| word.to_be_bytes()));
    out
}

/// The resolver's answer; none when it stays silent.
fn answer(question: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0)? + 1;
    let record_type = u16::from_be_bytes([*question.get(end)?, *question.get(end + 1)?]);
    let asked = String::from_utf8_lossy(&question[13..end - 1]).to_ascii_lowercase();
    let mut out = question.get(..end + 4)?.to_vec();
    let mut records = 0_u8;
    let mut add = |out: &mut Vec<u8>, owner: &[u8], record_type: u16, data: &[u8]| {
        records += 1;
        out.extend(owner);
        out.extend(record_type.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        out.extend(data);
    };
    let same = [0xc0, 12];
    let (mut flags, mut code) = (0x81_u8, 0x80_u8);
    match (asked.split(|c: char| c.is_control()).next()?, record_type) {
        ("silent", _) => return None,
        ("missing", _) => code |= 3,
        ("big", _) if !over_tcp => flags |= 2,
        ("big", _) => {
            for last in 1..=80 {
                add(&mut out, &same, A, &[192, 0, 2, last]);
            }
        }
        ("alias", A) => {
            // real.test, its second label shared with the question.
            let place = out.len() + 12;
            let mut real = b"\x04real\xc0".to_vec();
            real.push(u8::try_from(end - 6).expect("a short question"));
            add(&mut out, &same, 5, &real);
            let owner = [0xc0, u8::try_from(place).expect("a short answer")];
            add(&mut out, &owner, A, &ALIASED.octets());
        }
        (_, A) => add(&mut out, &same, A, &[192, 0, 2, 1]),
        (_, AAAA) => {
            let address: Ipv6Addr = "2001:db8::1".parse().expect("an address");
            add(&mut out, &same, AAAA, &address.octets());
        }
        (_, PTR) => add(&mut out, &same, PTR, &name("host.test")),
        _ => {}
    }
    (out[2], out[3], out[7]) = (flags, code, records);
    Some(out)
}

fn with_length(message: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(message.len())
        .expect("short")
        .to_be_bytes()
        .to_vec();
    out.extend(message);
    out
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// The resolver, on both loopback addresses and by both protocols.
fn serve() {
    for address in [LOOPBACK, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let udp = UdpSocket::bind((address, 53)).expect("bind");
        std::thread::spawn(move || {
            let mut buffer = [0; 2000];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                if let Some(message) = answer(&buffer[..length], false) {
                    udp.send_to(&message, from).expect("answer");
                }
            }
        });
    }
    let tcp = TcpListener::bind((LOOPBACK, 53)).expect("bind");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            while let Some(question) = read_message(&mut stream) {
                if let Some(message) = answer(&question, true) {
                    stream.write_all(&with_length(&message)).expect("answer");
                }
            }
        }
    });
}

fn socket(address: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).expect("bind");
    socket.set_read_timeout(Some(SOON)).expect("timeout");
    socket
}

fn receive(socket: &UdpSocket, messages: usize) {
    for _ in 0..messages {
        socket.recv(&mut [0; 2000]).expect("an answer");
    }
}

/// One question of a socket without a peer.
fn ask(address: IpAddr, asked: &str, record_type: u16) {
    let socket = socket(address);
    let resolver: SocketAddr = (address, 53).into();
    let sent = socket.send_to(&question(7, asked, record_type), resolver);
    sent.expect("send");
    receive(&socket, 1);
}

fn connected() -> UdpSocket {
    let socket = socket(LOOPBACK);
    socket.connect((LOOPBACK, 53)).expect("connect");
    socket
}

/// Addresses of both kinds by one sendmmsg, as C libraries ask.
fn ask_both(asked: &str) {
    let socket = connected();
    let mut data = [question(1, asked, A), question(2, asked, AAAA)];
    // SAFETY: all structures are zeroed or filled, and live until the call returns.
    unsafe {
        let mut vectors = data.each_mut().map(|bytes| libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        });
        let mut messages: [libc::mmsghdr; 2] = std::mem::zeroed();
        for (message, vector) in messages.iter_mut().zip(&mut vectors) {
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        let sent = libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), 2, 0);
        assert_eq!(sent, 2);
    }
    receive(&socket, 2);
}

/// Sends by write, as Go does.
fn ask_by_write(asked: &str) {
    let socket = connected();
    let message = question(3, asked, A);
    // SAFETY: a buffer that outlives the call.
    let sent = unsafe { libc::write(socket.as_raw_fd(), message.as_ptr().cast(), message.len()) };
    assert_eq!(usize::try_from(sent), Ok(message.len()));
    receive(&socket, 1);
}

/// Two questions over one connection, the second one in pieces.
fn ask_over_tcp(asked: &str) {
    let mut stream = TcpStream::connect((LOOPBACK, 53)).expect("connect");
    stream.set_nodelay(true).expect("no delay");
    let message = with_length(&question(4, asked, A));
    stream.write_all(&message).expect("send");
    read_message(&mut stream).expect("an answer");
    for part in message.chunks(9) {
        stream.write_all(part).expect("send");
    }
    read_message(&mut stream).expect("an answer");
}

/// A greeting that asks for a server.
fn hello(server: &str) -> Vec<u8> {
    let vector = |bytes: usize, body: &[u8]| {
        let mut out = body.len().to_be_bytes()[8 - bytes..].to_vec();
        out.extend(body);
        out
    };
    let mut entry = vec![0];
    entry.extend(vector(2, server.as_bytes()));
    let mut extensions = vec![0, 21, 0, 4, 0, 0, 0, 0, 0, 0];
    extensions.extend(vector(2, &vector(2, &entry)));
    let mut body = vec![3, 3];
    body.extend([5; 32]);
    body.extend(vector(1, &[]));
    body.extend(vector(2, &[0x13, 1]));
    body.extend(vector(1, &[0]));
    body.extend(vector(2, &extensions));
    let mut message = vec![1];
    message.extend(vector(3, &body));
    let mut record = vec![22, 3, 1];
    record.extend(vector(2, &message));
    record
}

/// Connects, and says something.
fn say(address: IpAddr, words: &[u8]) -> u16 {
    let listener = TcpListener::bind((address, 0)).expect("bind");
    let there = listener.local_addr().expect("an address");
    let mut stream = TcpStream::connect(there).expect("connect");
    stream.write_all(words).expect("write");
    let (mut server, _) = listener.accept().expect("accept");
    server.read_exact(&mut vec![0; words.len()]).expect("read");
    there.port()
}

fn row(name: &str, record_type: &str, rcode: &str, answers: &[&str], count: u64) -> Value {
    json!({"name": name, "type": record_type, "rcode": rcode, "answers": answers, "resolvers": ["127.0.0.1"], "count": count})
}

/// Everything that a resolver and TLS are asked.
fn everything() -> Value {
    ask(LOOPBACK, "Plain.TEST", A);
    ask(LOOPBACK, "plain.test", A);
    ask(IpAddr::V6(Ipv6Addr::LOCALHOST), "six.test", AAAA);
    ask(LOOPBACK, "1.2.0.192.in-addr.arpa", PTR);
    ask(LOOPBACK, "missing.test", A);
    ask(LOOPBACK, "alias.test", A);
    ask_both("both.test");
    ask_by_write("written.test");
    // A truncated answer, and the same over TCP.
    ask(LOOPBACK, "big.test", A);
    ask_over_tcp("big.test");
    // Without an answer, the same message is sent again.
    let socket = connected();
    for _ in 0..3 {
        socket.send(&question(9, "silent.test", A)).expect("send");
    }
    let aliased = say(IpAddr::V4(ALIASED), b"plain words");
    let greeted = say(LOOPBACK, &hello("Shop.Example"));
    let silent =
        json!({"name": "silent.test", "type": "A", "rcode": null, "answers": [], "count": 3});
    let many: Vec<String> = (1..=80).map(|last| format!("192.0.2.{last}")).collect();
    let mut first: Vec<&str> = many.iter().map(String::as_str).collect();
    first.sort_unstable();
    first.truncate(16);
    let mut six = row("six.test", "AAAA", "NOERROR", &["2001:db8::1"], 1);
    six["resolvers"] = json!(["::1"]);
    let peer = |address: &str, port: u16, source: &str, names: &[&str]| {
        json!({"protocol": "tcp", "direction": "outbound", "connections": 1,
            "remote": {"address": address, "port": port, source: names}})
    };
    json!({
        "dns": [
            row("plain.test", "A", "NOERROR", &["192.0.2.1"], 2),
            six,
            row("1.2.0.192.in-addr.arpa", "PTR", "NOERROR", &["host.test"], 1),
            row("missing.test", "A", "NXDOMAIN", &[], 1),
            row("alias.test", "A", "NOERROR", &["127.0.0.9", "real.test"], 1),
            row("both.test", "A", "NOERROR", &["192.0.2.1"], 1),
            row("both.test", "AAAA", "NOERROR", &["2001:db8::1"], 1),
            row("written.test", "A", "NOERROR", &["192.0.2.1"], 1),
            row("big.test", "A", "NOERROR", &first, 3),
            silent,
        ],
        "network": [
            peer("127.0.0.9", aliased, "names", &["alias.test"]),
            peer("127.0.0.1", greeted, "claimed", &["shop.example"]),
        ],
    })
}

/// The C library's own resolver, told to ask ours.
fn by_the_c_library(folder: &Path) -> Value {
    let file = folder.join("resolv.conf");
    std::fs::write(
        &file,
        "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n",
    )
    .expect("write");
    let text = |path: &Path| CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    let target = std::fs::canonicalize("/etc/resolv.conf").expect("/etc/resolv.conf is there");
    // SAFETY: texts that outlive the calls.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let none = std::ptr::null();
        assert_eq!(
            libc::mount(none, c"/".as_ptr(), none, private, none.cast()),
            0
        );
        let (from, to) = (text(&file), text(&target));
        assert_eq!(
            libc::mount(from.as_ptr(), to.as_ptr(), none, libc::MS_BIND, none.cast()),
            0
        );
    }
    let found: Vec<SocketAddr> = ("library.test.", 80)
        .to_socket_addrs()
        .expect("found")
        .collect();
    assert!(!found.is_empty());
    json!({"dns": [
        row("library.test", "A", "NOERROR", &["192.0.2.1"], 1),
        row("library.test", "AAAA", "NOERROR", &["2001:db8::1"], 1),
    ]})
}

/// Asks from a port that a stranger has too, on another address.
fn ask_from_shared_port(own: Ipv4Addr, asked: &str) {
    let socket = UdpSocket::bind((own, 5300)).expect("bind");
    socket.set_read_timeout(Some(SOON)).expect("timeout");
    for _ in 0..50 {
        let resolver: SocketAddr = (LOOPBACK, 53).into();
        socket
            .send_to(&question(5, asked, A), resolver)
            .expect("send");
        receive(&socket, 1);
    }
}

/// Two executables of the target, while a stranger asks in the same namespace.
fn hold(folder: &Path) -> Value {
    wait_for_tap();
    let own = std::process::id().to_string();
    std::fs::write(folder.join("holder"), own).expect("write");
    for _ in 0..3 {
        ask(LOOPBACK, "first.test", A);
    }
    let other = folder.join("other");
    std::fs::copy("/proc/self/exe", &other).expect("copy");
    let status = std::process::Command::new(&other)
        .arg(folder)
        .arg("ask")
        .status();
    assert!(status.expect("it runs").success());
    ask_from_shared_port(Ipv4Addr::LOCALHOST, "shared.test");
    wait("the stranger", || folder.join("stranger").exists());
    let other = other.display().to_string();
    json!({"dns": [
        row("first.test", "A", "NOERROR", &["192.0.2.1"], 3),
        {"exe": other, "name": "second.test", "type": "A", "rcode": "NOERROR", "answers": ["192.0.2.1"], "count": 2},
        row("shared.test", "A", "NOERROR", &["192.0.2.1"], 50),
    ]})
}

/// Asks in the network namespace of another process that is not a relative.
fn stranger(folder: &Path, pid: &str) {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net")).expect("a process");
    assert_eq!(
        // SAFETY: a descriptor that is open.
        unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) },
        0
    );
    wait_for_tap();
    ask_from_shared_port(Ipv4Addr::new(127, 0, 0, 2), "stranger.test");
    ask_both("stranger.test");
    ask_over_tcp("stranger.test");
    say(LOOPBACK, &hello("stranger.example"));
    std::fs::write(folder.join("stranger"), "").expect("write");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = Path::new(arguments.get(1).expect("a folder"));
    let mode = arguments.get(2).map(String::as_str);
    match mode {
        Some("ask") => {
            ask(LOOPBACK, "second.test", A);
            ask(LOOPBACK, "second.test", A);
            return;
        }
        Some("stranger") => {
            stranger(folder, arguments.get(3).expect("a process"));
            return;
        }
        _ => {}
    }
    own_network();
    serve();
    let truth = match mode {
        Some("hold") => hold(folder),
        Some("getaddrinfo") => {
            wait_for_tap();
            by_the_c_library(folder)
        }
        Some("malformed") => {
            wait_for_tap();
            // A name that leads to itself.
            let mut circle = question(1, "x", A)[..12].to_vec();
            circle.extend([0xc0, 12, 0, 1, 0, 1]);
            connected().send(&circle).expect("send");
            ask(LOOPBACK, "plain.test", A);
            json!({"dns": [row("plain.test", "A", "NOERROR", &["192.0.2.1"], 1)]})
        }
        _ => {
            wait_for_tap();
            everything()
        }
    };
    procmon_tests::tell(&truth);
}

//! Shapes of work that are met in practice, one by one: `workload-shapes SHAPE ARGUMENTS…`.
#![expect(unsafe_code, reason = "system calls that std does not offer")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a workload that can't work ends"
)]

#[path = "raw.rs"]
mod raw;

use std::ffi::CString;
use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["services", folder, count] => services(Path::new(folder), number(count)),
        ["bound", seconds] => bound(number(seconds)),
        ["clients"] => clients(),
        ["sends-first", seconds] => sends_first(number(seconds)),
        ["allocates", file, modes @ ..] => allocates(Path::new(file), modes),
        ["clones", from, to] => clones(Path::new(from), Path::new(to)),
        ["queue", name] => queue(name),
        ["vsock"] => vsock(),
        ["links", pairs @ ..] => links(pairs),
        ["family", number] => family(number),
        ["shares-memory"] => shares_memory(),
        ["accepts"] => accepts(),
        ["titled", seconds, title] => titled(number(seconds), title),
        ["serves", seconds, protocol] => serves(number(seconds), number(protocol)),
        other => panic!("there is no shape {other:?}"),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is no number"))
}

fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Says that all is there, and waits.
fn ready(seconds: u64) {
    println!("ready");
    std::io::stdout().flush().expect("standard output is open");
    sleep(seconds);
}

fn checked(result: libc::c_long, what: &str) -> libc::c_long {
    assert!(result >= 0, "{what}: {}", std::io::Error::last_os_error());
    result
}

/// As a supervisor: each process has a TCP port and a Unix socket that it alone holds.
fn services(folder: &Path, count: u32) {
    for number in 0..count {
        // SAFETY: this process has one thread.
        if unsafe { libc::fork() } == 0 {
            let _tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
            let _unix = UnixListener::bind(folder.join(format!("s{number}"))).expect("a socket");
            std::fs::write(folder.join(format!("ready{number}")), "").expect("a file");
            sleep(60);
            return;
        }
    }
    sleep(60);
}

/// Sockets for datagrams that wait, and one that a client has.
fn bound(seconds: u64) {
    let _four = UdpSocket::bind("0.0.0.0:28500").expect("a port");
    let _six = UdpSocket::bind("[::]:28501").expect("a port");
    let name = UnixAddress::from_abstract_name("bound-datagram").expect("a name");
    let _unix = UnixDatagram::bind_addr(&name).expect("a socket");
    let _ephemeral = UdpSocket::bind("0.0.0.0:0").expect("a port");
    ready(seconds);
}

/// Clients that choose their own ports and names, one after the other, as resolvers do.
fn clients() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = server.local_addr().expect("an address");
    for port in 28_510..28_515 {
        let client = UdpSocket::bind(("127.0.0.1", port)).expect("a port");
        client.send_to(b"question", to).expect("sent");
        let client = UdpSocket::bind(("127.0.0.1", port + 10)).expect("a port");
        client.connect(to).expect("connected");
    }
}

/// A server that speaks before anybody spoke to it, and stays.
fn sends_first(seconds: u64) {
    let other = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let server = UdpSocket::bind("127.0.0.1:28530").expect("a port");
    server
        .send_to(b"here I am", other.local_addr().expect("an address"))
        .expect("sent");
    ready(seconds);
}

/// Changes a file by fallocate, with each of the modes.
fn allocates(path: &Path, modes: &[&str]) {
    let file = std::fs::File::options().read(true).write(true).open(path);
    let file = file.expect("a file");
    file.read_at(&mut [0; 4096], 0).expect("read");
    for mode in modes {
        let (mode, offset) = mode.split_once('@').expect("MODE@OFFSET");
        // SAFETY: numbers only.
        let result =
            unsafe { libc::fallocate(file.as_raw_fd(), number(mode), number(offset), 4096) };
        // Not every file system has every mode.
        println!("{}", i32::from(result == 0));
    }
}

/// Makes a file share the content of another one.
fn clones(from: &Path, to: &Path) {
    const FICLONE: libc::Ioctl = 0x4004_9409;
    let from = std::fs::File::open(from).expect("a file");
    let to = std::fs::File::options()
        .write(true)
        .open(to)
        .expect("a file");
    // SAFETY: numbers only.
    let result = unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) };
    println!("{}", i32::from(result == 0));
}

/// A message queue: 7 messages of 5 bytes either way.
fn queue(name: &str) {
    let name = CString::new(name).expect("a name");
    // SAFETY: pointers are to locals that live long enough.
    unsafe {
        let mut attributes: libc::mq_attr = std::mem::zeroed();
        attributes.mq_maxmsg = 8;
        attributes.mq_msgsize = 64;
        let flags = libc::O_CREAT | libc::O_RDWR;
        let queue = libc::mq_open(name.as_ptr(), flags, 0o600, &raw mut attributes);
        checked(queue.into(), "mq_open");
        for _ in 0..7 {
            let text = b"hello";
            checked(
                libc::mq_send(queue, text.as_ptr().cast(), text.len(), 0).into(),
                "mq_send",
            );
        }
        let mut text = [0_u8; 64];
        for _ in 0..7 {
            let got = libc::mq_receive(queue, text.as_mut_ptr().cast(), 64, std::ptr::null_mut());
            assert_eq!(got, 5);
        }
        // It is there already.
        let again = libc::mq_open(name.as_ptr(), flags, 0o600, &raw mut attributes);
        checked(again.into(), "mq_open");
        checked(libc::mq_unlink(name.as_ptr()).into(), "mq_unlink");
    }
}

/// Listeners at two ports, and a connection that nobody takes; exit code 3 where the kernel has no
/// such sockets.
fn vsock() {
    let address = |cid: u32, port: u32| libc::sockaddr_vm {
        svm_family: libc::AF_VSOCK.try_into().expect("a small number"),
        svm_reserved1: 0,
        svm_port: port,
        svm_cid: cid,
        svm_zero: [0; 4],
    };
    let length = u32::try_from(size_of::<libc::sockaddr_vm>()).expect("a small number");
    let socket = || {
        // SAFETY: numbers only; the descriptor is new.
        unsafe {
            let socket = libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0);
            if socket < 0 {
                std::process::exit(3);
            }
            OwnedFd::from_raw_fd(socket)
        }
    };
    let mut listeners = Vec::new();
    for port in [1234, 1_000_000] {
        let listener = socket();
        let at = address(libc::VMADDR_CID_ANY, port);
        // SAFETY: the address lives until the calls return.
        unsafe {
            checked(
                libc::bind(listener.as_raw_fd(), (&raw const at).cast(), length).into(),
                "bind",
            );
            checked(libc::listen(listener.as_raw_fd(), 8).into(), "listen");
        }
        listeners.push(listener);
    }
    let client = socket();
    let to = address(libc::VMADDR_CID_HOST, 999);
    // SAFETY: as above.
    let result = unsafe { libc::connect(client.as_raw_fd(), (&raw const to).cast(), length) };
    assert!(result < 0, "somebody took the connection");
    println!("{}", raw::errno());
}

/// Connections to one link-local address on several links: `LINK COUNT LINK COUNT …`.
fn links(pairs: &[&str]) {
    for pair in pairs.chunks_exact(2) {
        let name = CString::new(pair[0]).expect("a name");
        // SAFETY: the name lives until the call returns.
        let link = unsafe { libc::if_nametoindex(name.as_ptr()) };
        assert!(link != 0, "there is no link {}", pair[0]);
        let address: Ipv6Addr = "fe80::1".parse().expect("an address");
        let at = SocketAddrV6::new(address, 28_701, 0, link);
        let listener = TcpListener::bind(at).expect("a port");
        for _ in 0..number(pair[1]) {
            let mut client = TcpStream::connect(at).expect("connected");
            let (mut server, _) = listener.accept().expect("accepted");
            client.write_all(&[0; 100]).expect("sent");
            server.read_exact(&mut [0; 100]).expect("received");
        }
        let datagrams = UdpSocket::bind("[::]:0").expect("a port");
        datagrams.send_to(b"hello", at).expect("sent");
    }
}

/// A socket of another family; exit code 3 where the kernel has none.
fn family(family: &str) {
    // SAFETY: numbers only.
    let socket = unsafe { libc::socket(number(family), libc::SOCK_SEQPACKET, 0) };
    std::process::exit(if socket < 0 { 3 } else { 0 });
}

/// A segment of System V shared memory.
fn shares_memory() {
    // SAFETY: numbers only; the memory is not used.
    unsafe {
        let id = libc::shmget(libc::IPC_PRIVATE, 4096, 0o600 | libc::IPC_CREAT);
        checked(id.into(), "shmget");
        let memory = libc::shmat(id, std::ptr::null(), 0);
        assert!(memory.addr() != usize::MAX, "shmat");
        checked(
            libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()).into(),
            "shmctl",
        );
    }
}

/// Takes one connection from the socket that descriptor 3 is, as systemd hands it over.
fn accepts() {
    // SAFETY: whoever starts this leaves the descriptor open.
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    let to = listener.local_addr().expect("an address");
    let _client = TcpStream::connect(to).expect("connected");
    listener.accept().expect("accepted");
}

/// Writes a title over its arguments, as servers do.
fn titled(seconds: u64, title: &str) {
    let status = std::fs::read_to_string("/proc/self/stat").expect("a status");
    // Fields 48 and 49: arg_start and arg_end.
    let rest = status.rsplit_once(") ").expect("a name").1;
    let fields: Vec<&str> = rest.split(' ').collect();
    let (start, end): (usize, usize) = (number(fields[45]), number(fields[46]));
    let title = title.as_bytes().to_vec();
    // SAFETY: the arguments' own memory, which nobody reads any more.
    unsafe {
        let memory = std::ptr::with_exposed_provenance_mut::<u8>(start);
        std::ptr::write_bytes(memory, 0, end - start);
        let length = title.len().min(end - start - 1);
        std::ptr::copy_nonoverlapping(title.as_ptr(), memory, length);
    }
    ready(seconds);
}

/// Listens by a protocol of TCP's kind at port 28540; exit code 3 where the kernel has none.
fn serves(seconds: u64, protocol: i32) {
    // SAFETY: numbers only; the descriptor is new.
    let listener = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, protocol);
        if socket < 0 {
            std::process::exit(3);
        }
        OwnedFd::from_raw_fd(socket)
    };
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET.try_into().expect("a small number"),
        sin_port: 28_540_u16.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes([127, 0, 0, 1]),
        },
        sin_zero: [0; 8],
    };
    let length = u32::try_from(size_of::<libc::sockaddr_in>()).expect("a small number");
    // SAFETY: the address lives until the call returns.
    unsafe {
        let one = 1_i32;
        let (level, option) = (libc::SOL_SOCKET, libc::SO_REUSEADDR);
        libc::setsockopt(
            listener.as_raw_fd(),
            level,
            option,
            (&raw const one).cast(),
            4,
        );
        checked(
            libc::bind(listener.as_raw_fd(), (&raw const address).cast(), length).into(),
            "bind",
        );
        checked(libc::listen(listener.as_raw_fd(), 8).into(), "listen");
    }
    ready(seconds);
}

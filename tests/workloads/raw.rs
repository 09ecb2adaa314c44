//! Sockets as the kernel has them, and what else a workload asks of it directly.
#![allow(dead_code, reason = "each workload uses a part")]

use serde_json::{Value, json};
use std::io::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::sync::Mutex;

pub(crate) type Errno = libc::c_int;

/// The errno of the last call.
pub(crate) fn errno() -> Errno {
    Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// A result of a call, as number or errno.
pub(crate) fn outcome(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| errno())
}

/// Nothing, or the errno.
fn done(result: libc::c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(errno()) }
}

/// An address for the kernel.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl Address {
    pub(crate) fn none() -> Self {
        Self {
            // SAFETY: plain data.
            storage: unsafe { std::mem::zeroed() },
            length: u32::try_from(size_of::<libc::sockaddr_storage>()).expect("a small number"),
        }
    }

    fn bytes(parts: &[&[u8]]) -> Self {
        let all = parts.concat();
        let mut address = Self::none();
        assert!(all.len() <= size_of::<libc::sockaddr_storage>());
        // SAFETY: it fits.
        unsafe {
            std::ptr::copy_nonoverlapping(
                all.as_ptr(),
                (&raw mut address.storage).cast::<u8>(),
                all.len(),
            );
        }
        address.length = u32::try_from(all.len()).expect("a small number");
        address
    }

    /// A Unix socket's: abstract names begin with NUL.
    pub(crate) fn unix(name: &[u8]) -> Self {
        Self::bytes(&[&1_u16.to_ne_bytes(), name])
    }

    /// The same bytes, of which none count.
    pub(crate) fn without_length(mut self) -> Self {
        self.length = 0;
        self
    }

    /// The same of no family.
    pub(crate) fn of_no_family(mut self) -> Self {
        self.storage.ss_family = 0;
        self
    }

    /// The port of an address that the kernel wrote.
    pub(crate) fn port(&self) -> u16 {
        // SAFETY: both families have it there.
        let inet = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() };
        u16::from_be(inet.sin_port)
    }

    /// As a document has it; none without a port.
    fn place(&self) -> Option<Value> {
        // SAFETY: plain data of the storage's own size.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                (&raw const self.storage).cast::<u8>(),
                usize::try_from(self.length).expect("a small number"),
            )
        };
        let port = self.port();
        match i32::from(self.storage.ss_family) {
            libc::AF_UNIX => {
                let name = bytes.get(2..).filter(|name| !name.is_empty())?;
                let text = match name.strip_prefix(b"\0") {
                    Some(rest) => [b"@", rest].concat(),
                    None => name.split(|byte| *byte == 0).next()?.to_vec(),
                };
                Some(json!({"path": String::from_utf8_lossy(&text)}))
            }
            _ if port == 0 => None,
            libc::AF_INET => {
                let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
                Some(json!({"address": Ipv4Addr::from(ip).to_string(), "port": port}))
            }
            _ => {
                let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
                Some(json!({"address": Ipv6Addr::from(ip).to_string(), "port": port}))
            }
        }
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        self.length
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => Self::bytes(&[&2_u16.to_ne_bytes(), &port, &ip.octets(), &[0; 8]]),
            IpAddr::V6(ip) => {
                Self::bytes(&[&10_u16.to_ne_bytes(), &port, &[0; 4], &ip.octets(), &[0; 4]])
            }
        }
    }
}

pub(crate) fn loopback(port: u16) -> Address {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()
}

pub(crate) fn loopback6(port: u16) -> Address {
    SocketAddr::from((Ipv6Addr::LOCALHOST, port)).into()
}

/// A socket; none where the kernel does not have the protocol.
pub(crate) fn try_socket(family: i32, kind: i32, protocol: i32) -> Option<OwnedFd> {
    // SAFETY: numbers only.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    // SAFETY: the descriptor is new.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn socket(family: i32, kind: i32) -> OwnedFd {
    try_socket(family, kind, 0).expect("a socket")
}

pub(crate) fn bind(fd: &impl AsRawFd, address: &Address) -> Result<(), Errno> {
    // SAFETY: the address outlives the call.
    done(unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr(), address.length) })?;
    if let Some(place) = address.place().filter(|_| kind(fd) == libc::SOCK_DGRAM) {
        BOUND.lock().expect("nobody panics").push(place);
    }
    Ok(())
}

/// Where sockets for datagrams were bound by choice, as documents say it: those that began themselves too.
static BOUND: Mutex<Vec<Value>> = Mutex::new(Vec::new());

pub(crate) fn bound() -> Vec<Value> {
    BOUND.lock().expect("nobody panics").clone()
}

/// `SOCK_…`.
fn kind(fd: &impl AsRawFd) -> libc::c_int {
    read_option(fd, libc::SO_TYPE)
}

/// An option of the socket's own level.
fn read_option(fd: &impl AsRawFd, option: libc::c_int) -> libc::c_int {
    let (mut value, mut length) = (0, 4);
    // SAFETY: both outlive the call.
    unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        );
    }
    value
}

pub(crate) fn connect(fd: &impl AsRawFd, address: &Address) -> Result<(), Errno> {
    // SAFETY: as above.
    done(unsafe { libc::connect(fd.as_raw_fd(), address.as_ptr(), address.length) })
}

pub(crate) fn listen(fd: &impl AsRawFd, backlog: i32) {
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::listen(fd.as_raw_fd(), backlog) }, 0);
}

pub(crate) fn accept(fd: &impl AsRawFd) -> OwnedFd {
    // SAFETY: no address is asked for; the descriptor is new.
    unsafe {
        let new = libc::accept4(
            fd.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_CLOEXEC,
        );
        assert!(new >= 0, "accept: {}", errno());
        OwnedFd::from_raw_fd(new)
    }
}

/// Its own address.
pub(crate) fn name(fd: &impl AsRawFd) -> Address {
    let mut address = Address::none();
    let length = &raw mut address.length;
    // SAFETY: both outlive the call.
    let result =
        unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address.storage).cast(), length) };
    assert_eq!(result, 0);
    address
}

pub(crate) fn port(fd: &impl AsRawFd) -> u16 {
    name(fd).port()
}

pub(crate) fn send(fd: &impl AsRawFd, bytes: &[u8], flags: i32) -> Result<usize, Errno> {
    // SAFETY: the bytes outlive the call.
    outcome(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

pub(crate) fn send_to(
    fd: &impl AsRawFd,
    bytes: &[u8],
    flags: i32,
    to: &Address,
) -> Result<usize, Errno> {
    // SAFETY: bytes and address outlive the call.
    outcome(unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
            to.as_ptr(),
            to.length,
        )
    })
}

/// Receives up to 4096 bytes without asking who sent them.
pub(crate) fn receive(fd: &impl AsRawFd, flags: i32) -> Result<usize, Errno> {
    let mut buffer = [0_u8; 4096];
    // SAFETY: the buffer outlives the call.
    outcome(unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), 4096, flags) })
}

/// The same, and asks.
pub(crate) fn receive_from(fd: &impl AsRawFd) -> Result<(usize, Address), Errno> {
    let mut buffer = [0_u8; 4096];
    let mut address = Address::none();
    let length = &raw mut address.length;
    // SAFETY: everything outlives the call.
    let result = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            4096,
            0,
            (&raw mut address.storage).cast(),
            length,
        )
    };
    Ok((outcome(result)?, address))
}

/// read(2), up to 4096 bytes.
pub(crate) fn read(fd: &impl AsRawFd) -> Result<usize, Errno> {
    let mut buffer = [0_u8; 4096];
    // SAFETY: the buffer outlives the call.
    outcome(unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), 4096) })
}

pub(crate) fn write(fd: &impl AsRawFd, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the bytes outlive the call.
    outcome(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

/// One buffer as a vector.
pub(crate) fn vector(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

/// A message of one buffer, to somebody or to the peer.
pub(crate) fn message(vector: &mut libc::iovec, to: Option<&mut Address>) -> libc::msghdr {
    // SAFETY: plain data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    if let Some(to) = to {
        message.msg_name = (&raw mut to.storage).cast();
        message.msg_namelen = to.length;
    }
    message
}

/// sendmmsg of equal messages, each to one of the addresses in turn, or to the peer.
pub(crate) fn send_many(
    fd: &impl AsRawFd,
    count: usize,
    size: usize,
    to: &mut [Address],
) -> Result<usize, Errno> {
    let mut data = vec![b'n'; size];
    let mut one = vector(&mut data);
    let places = to.len();
    let mut messages: Vec<libc::mmsghdr> = (0..count)
        .map(|number| libc::mmsghdr {
            msg_hdr: message(
                &mut one,
                (places > 0).then(|| &mut to[number % places.max(1)]),
            ),
            msg_len: 0,
        })
        .collect();
    let n = u32::try_from(count).expect("a small number");
    // SAFETY: everything that the messages point to outlives the call.
    outcome(unsafe { libc::sendmmsg(fd.as_raw_fd(), messages.as_mut_ptr(), n, 0) } as isize)
}

/// recvmmsg; the messages name their senders where `named` asks for it.
pub(crate) fn receive_many(fd: &impl AsRawFd, count: usize, named: bool) -> Result<usize, Errno> {
    let mut data = vec![[0_u8; 2048]; count];
    let mut names = vec![Address::none(); count];
    let mut vectors: Vec<libc::iovec> = data.iter_mut().map(|bytes| vector(bytes)).collect();
    let mut messages: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .zip(&mut names)
        .map(|(vector, name)| libc::mmsghdr {
            msg_hdr: message(vector, named.then_some(name)),
            msg_len: 0,
        })
        .collect();
    let n = u32::try_from(count).expect("a small number");
    // SAFETY: everything that the messages point to outlives the call.
    outcome(unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            messages.as_mut_ptr(),
            n,
            0,
            std::ptr::null_mut(),
        )
    } as isize)
}

pub(crate) fn option(fd: &impl AsRawFd, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: the value outlives the call.
    done(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), 4) })
}

pub(crate) fn do_not_block(fd: &impl AsRawFd) {
    // SAFETY: numbers only.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
}

/// Waits for an event; gives what came.
pub(crate) fn wait(fd: &impl AsRawFd, events: i16, milliseconds: i32) -> i16 {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one structure, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    poll.revents
}

/// The socket's error, which asking takes away.
pub(crate) fn pending_error(fd: &impl AsRawFd) -> Errno {
    read_option(fd, libc::SO_ERROR)
}

/// Changes an interface: up or down.
pub(crate) fn interface(name: &[u8], up: bool) {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM);
    let mut request = interface_request(name);
    // SAFETY: the structure outlives the calls.
    unsafe {
        request.ifr_ifru.ifru_flags = if up { short(libc::IFF_UP) } else { 0 };
        assert_eq!(
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request),
            0
        );
    }
}

fn short(flags: libc::c_int) -> libc::c_short {
    libc::c_short::try_from(flags).expect("flags of interfaces are short")
}

fn interface_request(name: &[u8]) -> libc::ifreq {
    // SAFETY: plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    request
}

/// Moves this process into a network of its own, where only loopback is.
pub(crate) fn own_network() {
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
    interface(b"lo", true);
}

/// An interface 10.0.0.1/8 whose packets nobody reads.
pub(crate) fn black_hole() -> OwnedFd {
    // SAFETY: a constant path; the descriptor is new; the structures outlive the calls.
    unsafe {
        let fd = libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        assert!(fd >= 0, "/dev/net/tun");
        let tun = OwnedFd::from_raw_fd(fd);
        let mut request = interface_request(b"hole");
        request.ifr_ifru.ifru_flags = short(libc::IFF_TUN | libc::IFF_NO_PI);
        assert_eq!(
            libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw const request),
            0
        );
        let mut request = interface_request(b"hole");
        let own = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 0));
        let address = Address::from(own);
        std::ptr::copy_nonoverlapping(address.as_ptr(), &raw mut request.ifr_ifru.ifru_addr, 1);
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM);
        assert_eq!(
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw const request),
            0
        );
        // The interface is made for one peer only, unless it is told otherwise.
        let mask = Address::from(SocketAddr::from((Ipv4Addr::new(255, 0, 0, 0), 0)));
        std::ptr::copy_nonoverlapping(mask.as_ptr(), &raw mut request.ifr_ifru.ifru_netmask, 1);
        assert_eq!(
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFNETMASK, &raw const request),
            0
        );
        interface(b"hole", true);
        tun
    }
}

/// Runs in a child; gives its process id.
pub(crate) fn fork(what: impl FnOnce()) -> libc::pid_t {
    // SAFETY: no other thread runs; the child ends by itself.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            what();
            libc::_exit(0);
        }
        child
    }
}

/// Waits for a child that must end well.
pub(crate) fn reap(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: a child of ours.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0, "a child failed");
}

/// Sends a descriptor over a Unix socket.
pub(crate) fn give(over: &impl AsRawFd, what: &impl AsRawFd) {
    let mut byte = [b'!'];
    let mut one = vector(&mut byte);
    let mut message = message(&mut one, None);
    let mut control = [0_u64; 4];
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the control buffer has room for one descriptor.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header)
            .cast::<i32>()
            .write_unaligned(what.as_raw_fd());
        assert_eq!(
            libc::sendmsg(over.as_raw_fd(), &raw const message, 0),
            1,
            "sendmsg"
        );
    }
}

/// Receives a descriptor.
pub(crate) fn take(over: &impl AsRawFd) -> OwnedFd {
    let mut byte = [0];
    let mut one = vector(&mut byte);
    let mut message = message(&mut one, None);
    let mut control = [0_u64; 4];
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the control buffer has room for one descriptor, which is new.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let flags = libc::MSG_CMSG_CLOEXEC;
        assert_eq!(
            libc::recvmsg(over.as_raw_fd(), &raw mut message, flags),
            1,
            "recvmsg"
        );
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<i32>().read_unaligned())
    }
}

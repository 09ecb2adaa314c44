//! Network namespaces and packet sockets.

use super::files::made;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Moves this process into a network namespace.
pub(crate) fn enter_network(namespace: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: a descriptor that is open.
    if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A packet socket of this network namespace that hands every packet, without its link header, to a
/// filter. The filter is there before the first packet.
#[expect(
    clippy::cast_possible_truncation,
    reason = "small constants and descriptors, in the widths of the kernel's structures"
)]
pub(crate) fn tap_socket(filter: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let socket = made(libc::c_long::from(unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        )
    }))?;
    let program = filter.as_raw_fd();
    // SAFETY: all-zero is a valid address, and values and lengths belong to locals.
    let failed = unsafe {
        let mut all: libc::sockaddr_ll = std::mem::zeroed();
        all.sll_family = libc::AF_PACKET as u16;
        all.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const program).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        ) != 0
            || libc::bind(
                socket.as_raw_fd(),
                (&raw const all).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            ) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

//! UDP, raw sockets and pings.

use crate::Rows;
use crate::raw;
use crate::raw::{
    Address, bind, connect, loopback, loopback6, option, own_network, port, read, receive,
    receive_from, receive_many, send, send_many, send_to, socket, try_socket, write,
};
use crate::rows::{DATAGRAM, V4, at, datagrams, exchange, failed, server};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

/// read, readv and splice take datagrams from a socket without a peer as well.
pub(crate) fn read_datagrams(_: &str) -> Rows {
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

/// Datagrams without contents are datagrams.
pub(crate) fn empty_datagrams(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    for _ in 0..3 {
        assert_eq!(send_to(&client, b"", 0, &loopback(port)), Ok(0));
        assert_eq!(receive_from(&server).map(|(bytes, _)| bytes), Ok(0));
    }
    exchange(V4, port, (3, 0), (0, 0))
}

/// Bytes for which a buffer has no room are not received.
pub(crate) fn short_buffers(_: &str) -> Rows {
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
pub(crate) fn many_messages(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    assert_eq!(send_many(&client, 100, 9, &mut []), Ok(100));
    assert_eq!(receive_many(&server, 100, true), Ok(100));
    exchange(V4, port, (100, 900), (0, 0))
}

/// One sendmmsg to three servers; 30 messages.
pub(crate) fn several_places(_: &str) -> Rows {
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
pub(crate) fn elsewhere(_: &str) -> Rows {
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
pub(crate) fn ignored_addresses(_: &str) -> Rows {
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
pub(crate) fn connected_server(_: &str) -> Rows {
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
pub(crate) fn refused_datagrams(_: &str) -> Rows {
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

/// Pings by datagram and by raw sockets; a raw socket that is connected has no connection.
pub(crate) fn pings(_: &str) -> Rows {
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
pub(crate) fn multicast(_: &str) -> Rows {
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
pub(crate) fn segments(_: &str) -> Rows {
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
pub(crate) fn corked(_: &str) -> Rows {
    let (server, port) = server();
    let client = socket(libc::AF_INET, DATAGRAM);
    assert_eq!(connect(&client, &loopback(port)), Ok(()));
    for flags in [libc::MSG_MORE, libc::MSG_MORE, 0] {
        assert_eq!(send(&client, &[b'c'; 10], flags), Ok(10));
    }
    assert_eq!(receive_from(&server).map(|(bytes, _)| bytes), Ok(30));
    exchange(V4, port, (1, 30), (0, 0))
}

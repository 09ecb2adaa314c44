//! Unix sockets.

use crate::Rows;
use crate::raw::{
    Address, accept, bind, connect, fork, give, listen, read, reap, receive, receive_from,
    receive_many, send, send_many, send_to, socket, take, write,
};
use crate::rows::{
    DATAGRAM, STREAM, V4, at, connections, datagrams, listener, listening, pair, stream,
};
use crate::streams::{receive_in_all_ways, send_in_all_ways};
use serde_json::{Value, json};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

pub(crate) fn unix_stream_ways(folder: &str) -> Rows {
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

pub(crate) fn read_unix_datagrams(folder: &str) -> Rows {
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

/// Connections that go to another process: over a Unix socket, by pidfd_getfd, by execution.
pub(crate) fn passed(folder: &str) -> Rows {
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

/// Unix sockets that are not there, that nobody listens to, that are of another kind.
pub(crate) fn unix_failures(folder: &str) -> Rows {
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
pub(crate) fn sequenced(folder: &str) -> Rows {
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

/// Names of the greatest length, without an end, and of bytes that are not text.
pub(crate) fn unix_names(folder: &str) -> Rows {
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
pub(crate) fn unix_relative(folder: &str) -> Rows {
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

/// Sends back what comes, until nothing comes.
pub(crate) fn echo() {
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

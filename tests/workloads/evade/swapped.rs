//! Arguments that another thread changes while the kernel reads them.

use crate::harness::{NAMES, V4, c, count, datagram_servers, head, path};
use crate::raw::{bind, do_not_block, listen, loopback, port, receive, socket};
use serde_json::{Value, json};
use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// How often an argument has to change between calls, so that it will have changed within some.
const CHANGES: usize = 300;

/// A path in memory, whose last eight bytes another thread changes all the time.
#[repr(C, align(8))]
struct Swapped {
    head: [u8; 248],
    last: AtomicU64,
    end: u64,
}

impl Swapped {
    fn new(folder: &str) -> Self {
        let mut head = [b'/'; 248];
        head[248 - folder.len()..].copy_from_slice(folder.as_bytes());
        Self {
            head,
            last: AtomicU64::new(u64::from_ne_bytes(*NAMES[0])),
            end: 0,
        }
    }

    /// Writes one of the two names into the path.
    fn write_name(&self, other: bool) {
        let name = NAMES[usize::from(other)];
        self.last
            .store(u64::from_ne_bytes(*name), Ordering::Relaxed);
    }

    fn name(&self) -> &CStr {
        // SAFETY: `end` is zero.
        unsafe { CStr::from_ptr((&raw const *self).cast()) }
    }
}

/// Runs something while another thread changes memory.
fn while_it_changes<T>(change: impl Fn(bool) + Sync, what: impl FnOnce() -> T) -> T {
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = false;
            begun.store(true, Ordering::Relaxed);
            while !done.load(Ordering::Relaxed) {
                other = !other;
                change(other);
                for _ in 0..20 {
                    std::hint::spin_loop();
                }
            }
        });
        while !begun.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        let result = what();
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// Does something until both outcomes came in turn often enough, or for a while: the outcomes.
fn again_and_again(mut what: impl FnMut() -> char) -> String {
    let begin = std::time::Instant::now();
    let mut sequence = String::new();
    let (mut last, mut changes) = (' ', 0);
    while changes < CHANGES && begin.elapsed().as_secs() < 3 {
        let letter = what();
        changes += usize::from(letter != last);
        last = letter;
        sequence.push(letter);
    }
    sequence
}

/// The name of what is opened changes while the kernel looks at it.
pub(crate) fn swapped_path(folder: &str) -> Value {
    let inodes = [0, 1].map(|which| {
        std::fs::write(path(folder, which), b"x").expect("write");
        std::fs::metadata(path(folder, which)).expect("stat").ino()
    });
    let swapped = Swapped::new(folder);
    let change = |other| swapped.write_name(other);
    let name: *const CStr = swapped.name();
    let sequence: String = while_it_changes(change, || {
        again_and_again(|| {
            // SAFETY: the name lives until the call returns, and always ends.
            let opened = unsafe {
                let fd = libc::open((*name).as_ptr(), libc::O_RDONLY);
                assert!(fd >= 0);
                std::fs::File::from(OwnedFd::from_raw_fd(fd))
            };
            let inode = opened.metadata().expect("fstat").ino();
            if inode == inodes[1] { 'm' } else { 'd' }
        })
    });
    let row = |which, letter| {
        let opens = count(&sequence, letter);
        json!({"path": path(folder, which), "operations": {"open": opens + 1, "create": 1, "write": 1}, "nameSource": "settled"})
    };
    json!({"sequence": sequence, "files": [row(0, 'd'), row(1, 'm')]})
}

/// The same with a call that has nothing but the name.
pub(crate) fn swapped_name(folder: &str) -> Value {
    let swapped = Swapped::new(folder);
    let change = |other| swapped.write_name(other);
    let name: *const CStr = swapped.name();
    let names = [c(&path(folder, 0)), c(&path(folder, 1))];
    let sequence: String = while_it_changes(change, || {
        again_and_again(|| {
            // SAFETY: names that live until the calls return, and always end.
            unsafe {
                assert_eq!(libc::mkdir((*name).as_ptr(), 0o755), 0);
                if libc::rmdir(names[1].as_ptr()) == 0 {
                    return 'm';
                }
                assert_eq!(libc::rmdir(names[0].as_ptr()), 0);
                'd'
            }
        })
    });
    let row = |which, letter| {
        let made = count(&sequence, letter);
        json!({"path": path(folder, which), "operations": {"mkdir": made, "rmdir": made}})
    };
    json!({"sequence": sequence, "files": [row(0, 'd'), row(1, 'm')]})
}

/// The port changes while the kernel connects.
pub(crate) fn swapped_address(_: &str) -> Value {
    let servers: Vec<(OwnedFd, u16)> = (0..2)
        .map(|_| {
            let server = socket(libc::AF_INET, libc::SOCK_STREAM);
            assert_eq!(bind(&server, &loopback(0)), Ok(()));
            listen(&server, 64);
            do_not_block(&server);
            let port = port(&server);
            (server, port)
        })
        .collect();
    let address = loopback(servers[0].1);
    // SAFETY: an aligned structure, whose first word is family and port.
    let word = unsafe { AtomicU32::from_ptr(address.as_ptr().cast_mut().cast()) };
    let change = |other| word.store(head(servers[usize::from(other)].1), Ordering::Relaxed);
    let there = address.as_ptr() as usize;
    let sequence: String = while_it_changes(change, || {
        again_and_again(|| {
            let client = socket(libc::AF_INET, libc::SOCK_STREAM);
            // SAFETY: the address outlives the call.
            let result =
                unsafe { libc::connect(client.as_raw_fd(), there as *const libc::sockaddr, 16) };
            assert_eq!(result, 0);
            // SAFETY: no address is asked for.
            let taken = servers.iter().position(|(server, _)| unsafe {
                let null = std::ptr::null_mut();
                let fd = libc::accept(server.as_raw_fd(), null, null.cast());
                fd >= 0 && libc::close(fd) == 0
            });
            if taken == Some(1) { 'm' } else { 'd' }
        })
    });
    let row = |which: usize, letter| {
        json!({"protocol": "tcp", "direction": "outbound", "connections": count(&sequence, letter),
            "remote": {"address": V4, "port": servers[which].1}})
    };
    let rows: Vec<Value> = [row(0, 'd'), row(1, 'm')]
        .into_iter()
        .filter(|row| row["connections"] != 0 && row["datagramsSent"] != 0)
        .collect();
    json!({"sequence": sequence, "ports": [servers[0].1, servers[1].1], "network": rows})
}

/// The same with datagrams, which have no connection.
pub(crate) fn swapped_destination(_: &str) -> Value {
    let servers = datagram_servers();
    let client = socket(libc::AF_INET, libc::SOCK_DGRAM);
    let address = loopback(servers[0].1);
    // SAFETY: as above.
    let word = unsafe { AtomicU32::from_ptr(address.as_ptr().cast_mut().cast()) };
    let change = |other| word.store(head(servers[usize::from(other)].1), Ordering::Relaxed);
    let there = address.as_ptr() as usize;
    let sequence: String = while_it_changes(change, || {
        again_and_again(|| {
            // SAFETY: the address outlives the call.
            let result = unsafe {
                let to = there as *const libc::sockaddr;
                libc::sendto(client.as_raw_fd(), c"m".as_ptr().cast(), 1, 0, to, 16)
            };
            assert_eq!(result, 1);
            let one = receive(&servers[1].0, 0) == Ok(1);
            let other = receive(&servers[0].0, 0) == Ok(1);
            assert!(one != other);
            if one { 'm' } else { 'd' }
        })
    });
    let row = |which: usize, letter| {
        let sent = count(&sequence, letter);
        json!({"protocol": "udp", "direction": "outbound", "datagramsSent": sent, "bytesSent": sent,
            "remote": {"address": V4, "port": servers[which].1}})
    };
    let rows: Vec<Value> = [row(0, 'd'), row(1, 'm')]
        .into_iter()
        .filter(|row| row["connections"] != 0 && row["datagramsSent"] != 0)
        .collect();
    json!({"sequence": sequence, "ports": [servers[0].1, servers[1].1], "network": rows})
}

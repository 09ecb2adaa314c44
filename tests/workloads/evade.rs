//! Ways around those who watch, one at a time: a folder and the name of a case are the arguments.
//! Each says what it did.
#![expect(unsafe_code, reason = "calls that std does not offer")]

mod raw;
mod ring;

use raw::{
    Address, accept, bind, connect, do_not_block, fork, listen, loopback, port, read, reap,
    receive, send, send_to, socket, write,
};
use ring::{Request, Ring};
use serde_json::{Value, json};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// How often an argument has to change between calls, so that it will have changed within some.
const CHANGES: usize = 300;
const V4: &str = "127.0.0.1";

fn c(name: &str) -> CString {
    CString::new(name).expect("a name without NUL")
}

fn file(path: &str, operations: &Value, read: u64, written: u64) -> Value {
    json!({"path": path, "operations": operations, "bytesRead": read, "bytesWritten": written})
}

/// A path in memory, whose last eight bytes another thread changes all the time.
#[repr(C, align(8))]
struct Swapped {
    head: [u8; 248],
    last: AtomicU64,
    end: u64,
}

/// Two names of eight letters.
const NAMES: [&[u8; 8]; 2] = [b"/decoy--", b"/marked-"];

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

fn path(folder: &str, which: usize) -> String {
    format!(
        "{folder}{}",
        std::str::from_utf8(NAMES[which]).expect("text")
    )
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

fn count(sequence: &str, of: char) -> usize {
    sequence.chars().filter(|letter| *letter == of).count()
}

/// The name of what is opened changes while the kernel looks at it.
fn swapped_path(folder: &str) -> Value {
    let inodes = [0, 1].map(|which| {
        std::fs::write(path(folder, which), b"x").expect("write");
        std::fs::metadata(path(folder, which)).expect("stat").ino()
    });
    let swapped = Swapped::new(folder);
    let change = |other| {
        let name = NAMES[usize::from(other)];
        swapped
            .last
            .store(u64::from_ne_bytes(*name), Ordering::Relaxed);
    };
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
fn swapped_name(folder: &str) -> Value {
    let swapped = Swapped::new(folder);
    let change = |other| {
        let name = NAMES[usize::from(other)];
        swapped
            .last
            .store(u64::from_ne_bytes(*name), Ordering::Relaxed);
    };
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

/// Family and port of an address in memory.
fn head(port: u16) -> u32 {
    let [high, low] = port.to_be_bytes();
    let [a, b] = 2_u16.to_ne_bytes();
    u32::from_ne_bytes([a, b, high, low])
}

/// The port changes while the kernel connects.
fn swapped_address(_: &str) -> Value {
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
fn swapped_destination(_: &str) -> Value {
    let servers: Vec<(OwnedFd, u16)> = (0..2)
        .map(|_| {
            let server = socket(libc::AF_INET, libc::SOCK_DGRAM);
            assert_eq!(bind(&server, &loopback(0)), Ok(()));
            do_not_block(&server);
            let port = port(&server);
            (server, port)
        })
        .collect();
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

/// Two pages, the second of which is missing until somebody reads it. What stands at the end of the
/// first one is changed then: whoever has read it has the old bytes, whoever reads later the new ones.
struct Trap {
    pages: *mut u8,
    changed: std::thread::JoinHandle<()>,
}

const PAGE: usize = 4096;

impl Trap {
    /// `before` and `after` are of one length and end where the first page ends; `rest` begins the
    /// second one. None where the kernel has no userfaultfd.
    fn new(before: &[u8], after: &[u8], rest: &[u8]) -> Option<Self> {
        #[repr(C)]
        struct Api([u64; 3]);
        #[repr(C)]
        struct Register([u64; 4]);
        #[repr(C)]
        struct Copy([u64; 5]);
        const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
        const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
        const UFFDIO_COPY: libc::c_ulong = 0xc028_aa03;
        // SAFETY: a new mapping; structures that outlive the calls.
        let (pages, fault) = unsafe {
            let fault = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
            if fault < 0 {
                return None;
            }
            let fault = OwnedFd::from_raw_fd(i32::try_from(fault).ok()?);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let pages = libc::mmap(std::ptr::null_mut(), 2 * PAGE, access, flags, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            let pages = pages.cast::<u8>();
            let place = pages.add(PAGE - before.len());
            std::ptr::copy_nonoverlapping(before.as_ptr(), place, before.len());
            let mut api = Api([0xaa, 0, 0]);
            assert_eq!(libc::ioctl(fault.as_raw_fd(), UFFDIO_API, &raw mut api), 0);
            let mut register = Register([pages as u64 + PAGE as u64, PAGE as u64, 1, 0]);
            let result = libc::ioctl(fault.as_raw_fd(), UFFDIO_REGISTER, &raw mut register);
            assert_eq!(result, 0);
            (pages, fault)
        };
        let mut filled = vec![0_u8; PAGE];
        filled[..rest.len()].copy_from_slice(rest);
        let (after, base) = (after.to_vec(), pages as usize);
        let changed = std::thread::spawn(move || {
            let mut event = [0_u64; 4];
            // SAFETY: buffers that outlive the calls; the mapping is never taken away.
            unsafe {
                libc::read(fault.as_raw_fd(), event.as_mut_ptr().cast(), 32);
                let place = (base + PAGE - after.len()) as *mut u8;
                std::ptr::copy_nonoverlapping(after.as_ptr(), place, after.len());
                let mut copy = Copy([
                    (base + PAGE) as u64,
                    filled.as_ptr() as u64,
                    PAGE as u64,
                    0,
                    0,
                ]);
                assert_eq!(
                    libc::ioctl(fault.as_raw_fd(), UFFDIO_COPY, &raw mut copy),
                    0
                );
            }
        });
        Some(Self { pages, changed })
    }

    /// Where the bytes begin.
    fn at(&self, length: usize) -> *const u8 {
        // SAFETY: within the first page.
        unsafe { self.pages.add(PAGE - length) }
    }

    /// What stands there now, as somebody finds it who reads it after the call: `m` when it changed.
    fn end(self, after: &[u8]) -> char {
        let place = self.at(after.len());
        self.changed.join().expect("the thread ends");
        // SAFETY: within the first page, which nobody changes any more.
        let now = unsafe { std::slice::from_raw_parts(place, after.len()) };
        if now == after { 'm' } else { 'd' }
    }
}

const TRAPS: usize = 20;

/// A trap for a path: it leads to `/decoy--/x`, and becomes `/marked-/x` while it is read.
fn trapped_path(folder: &str) -> (Trap, *const libc::c_char, String) {
    // What changes must not be read together with what is missing.
    let [before, after] = [0, 1].map(|which| path(folder, which) + "/////////");
    let Some(trap) = Trap::new(before.as_bytes(), after.as_bytes(), b"x\0") else {
        std::process::exit(3);
    };
    let name = trap.at(before.len()).cast();
    (trap, name, after)
}

fn trapped_folders(folder: &str) -> [String; 2] {
    [0, 1].map(|which| {
        std::fs::create_dir(path(folder, which)).expect("mkdir");
        format!("{}/x", path(folder, which))
    })
}

/// Opened by a path that changes just after the kernel has read half of it.
fn trapped_opening(folder: &str) -> Value {
    let names = trapped_folders(folder);
    let inodes = names.clone().map(|name| {
        std::fs::write(&name, b"x").expect("write");
        std::fs::metadata(&name).expect("stat").ino()
    });
    let mut told = String::new();
    let sequence: String = (0..TRAPS)
        .map(|_| {
            let (trap, name, after) = trapped_path(folder);
            // SAFETY: the name lives until the call returns.
            let opened = unsafe {
                let fd = libc::open(name, libc::O_RDONLY);
                assert!(fd >= 0);
                std::fs::File::from(OwnedFd::from_raw_fd(fd))
            };
            told.push(trap.end(after.as_bytes()));
            let inode = opened.metadata().expect("fstat").ino();
            if inode == inodes[1] { 'm' } else { 'd' }
        })
        .collect();
    let row = |which: usize, letter| {
        let opens = 1 + count(&sequence, letter);
        json!({"path": names[which], "operations": {"open": opens, "create": 1, "write": 1}, "nameSource": "settled"})
    };
    json!({"sequence": sequence, "told": told, "files": [row(0, 'd'), row(1, 'm')]})
}

/// Made by such a path.
fn trapped_making(folder: &str) -> Value {
    let names = trapped_folders(folder);
    let mut told = String::new();
    let sequence: String = (0..TRAPS)
        .map(|_| {
            let (trap, name, after) = trapped_path(folder);
            // SAFETY: the name lives until the call returns.
            assert_eq!(unsafe { libc::mkdir(name, 0o755) }, 0);
            told.push(trap.end(after.as_bytes()));
            if std::fs::remove_dir(&names[1]).is_ok() {
                return 'm';
            }
            std::fs::remove_dir(&names[0]).expect("rmdir");
            'd'
        })
        .collect();
    let rows: Vec<Value> = [(0, 'd'), (1, 'm')]
        .into_iter()
        .filter(|(_, letter)| count(&sequence, *letter) > 0)
        .map(|(which, letter): (usize, char)| {
            let made = count(&sequence, letter);
            json!({"path": names[which], "operations": {"mkdir": made, "rmdir": made}})
        })
        .collect();
    json!({"sequence": sequence, "told": told, "files": rows})
}

/// Datagrams to an address that changes in the same way.
fn trapped_destination(_: &str) -> Value {
    trapped_datagrams(|client, to| {
        // SAFETY: the address lives until the call returns.
        let result = unsafe { libc::sendto(client, c"m".as_ptr().cast(), 1, 0, to.cast(), 16) };
        assert_eq!(result, 1);
    })
}

/// The same by a call that sends several.
fn trapped_destinations(_: &str) -> Value {
    trapped_datagrams(|client, to| {
        let mut byte = *b"m";
        let mut part = libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: 1,
        };
        // SAFETY: all zero is a valid message; what it leads to lives until the call returns.
        let result = unsafe {
            let mut message: libc::mmsghdr = std::mem::zeroed();
            message.msg_hdr.msg_name = to.cast_mut().cast();
            message.msg_hdr.msg_namelen = 16;
            message.msg_hdr.msg_iov = &raw mut part;
            message.msg_hdr.msg_iovlen = 1;
            libc::sendmmsg(client, &raw mut message, 1, 0)
        };
        assert_eq!(result, 1);
    })
}

fn trapped_datagrams(send: impl Fn(i32, *const u8)) -> Value {
    let servers: Vec<(OwnedFd, u16)> = (0..2)
        .map(|_| {
            let server = socket(libc::AF_INET, libc::SOCK_DGRAM);
            assert_eq!(bind(&server, &loopback(0)), Ok(()));
            do_not_block(&server);
            let port = port(&server);
            (server, port)
        })
        .collect();
    let client = socket(libc::AF_INET, libc::SOCK_DGRAM);
    let heads = [0, 1].map(|which: usize| head(servers[which].1).to_ne_bytes());
    let mut rest = [0; 12];
    rest[..4].copy_from_slice(&[127, 0, 0, 1]);
    let mut told = String::new();
    let sequence: String = (0..TRAPS)
        .map(|_| {
            let Some(trap) = Trap::new(&heads[0], &heads[1], &rest) else {
                std::process::exit(3);
            };
            send(client.as_raw_fd(), trap.at(4).cast());
            told.push(trap.end(&heads[1]));
            let one = receive(&servers[1].0, 0) == Ok(1);
            let other = receive(&servers[0].0, 0) == Ok(1);
            assert!(one != other);
            if one { 'm' } else { 'd' }
        })
        .collect();
    let rows: Vec<Value> = [(0, 'd'), (1, 'm')]
        .into_iter()
        .filter(|(_, letter)| count(&sequence, *letter) > 0)
        .map(|(which, letter): (usize, char)| {
            let sent = count(&sequence, letter);
            json!({"protocol": "udp", "direction": "outbound", "datagramsSent": sent, "bytesSent": sent,
                "remote": {"address": V4, "port": servers[which].1}})
        })
        .collect();
    json!({"sequence": sequence, "told": told, "ports": [servers[0].1, servers[1].1], "network": rows})
}

/// Names that lead elsewhere than they look: /proc/self/root, links, folders, a root of its own.
fn names(folder: &str) -> Value {
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"marked").expect("write");
    std::fs::create_dir(format!("{folder}/sub")).expect("mkdir");
    std::os::unix::fs::symlink("sub/../marked", format!("{folder}/link")).expect("symlink");
    let reads = std::cell::Cell::new(0);
    let open = |name: &str| {
        std::fs::read(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        reads.set(reads.get() + 1);
    };
    open(&format!("/proc/self/root{folder}/marked"));
    open(&format!("/proc/thread-self/root{folder}/link"));
    open(&format!("{folder}/link"));
    open(&format!("/proc/../{folder}/./sub//../link"));
    std::env::set_current_dir(folder).expect("chdir");
    open("/proc/self/cwd/marked");
    open("marked");
    let held = std::fs::File::open(folder).expect("open");
    open(&format!("/proc/self/fd/{}/marked", held.as_raw_fd()));
    let held = std::fs::File::open(&marked).expect("open");
    open(&format!("/dev/fd/{}", held.as_raw_fd()));
    // SAFETY: constants that outlive the calls.
    reap(fork(|| unsafe {
        assert_eq!(libc::chroot(c".".as_ptr()), 0);
        assert_eq!(libc::chdir(c"/".as_ptr()), 0);
        assert!(libc::open(c"/../marked".as_ptr(), libc::O_RDONLY) >= 0);
    }));
    // The file was made, held open, and opened below another root.
    let reads = reads.get();
    json!({"files": [{"path": marked, "operations": {"open": reads + 3, "create": 1, "write": 1, "read": 2 * reads}, "nameSource": "settled"}]})
}

/// Calls that have nothing but a name, by processes that end at once.
fn names_of_the_gone(folder: &str) -> Value {
    for name in ["by-root", "by-cwd", "by-chroot", "by-folder"] {
        std::fs::write(format!("{folder}/{name}"), b"").expect("write");
    }
    let by_root = c(&format!("/proc/self/root{folder}/by-root"));
    let base = c(folder);
    // SAFETY: names that outlive the calls.
    unsafe {
        reap(fork(|| assert_eq!(libc::unlink(by_root.as_ptr()), 0)));
        reap(fork(|| {
            assert_eq!(libc::chdir(base.as_ptr()), 0);
            assert_eq!(libc::unlink(c"/proc/self/cwd/by-cwd".as_ptr()), 0);
        }));
        reap(fork(|| {
            assert_eq!(libc::chroot(base.as_ptr()), 0);
            assert_eq!(libc::unlink(c"/by-chroot".as_ptr()), 0);
        }));
        reap(fork(|| {
            let held = libc::open(base.as_ptr(), libc::O_PATH);
            assert_eq!(libc::unlinkat(held, c"by-folder".as_ptr(), 0), 0);
        }));
    }
    let row = |name: &str| {
        file(
            &format!("{folder}/{name}"),
            &json!({"open": 1, "create": 1, "unlink": 1}),
            0,
            0,
        )
    };
    let rows = ["by-root", "by-cwd", "by-chroot", "by-folder"].map(row);
    json!({"files": rows})
}

/// Mounts of its own: none of them changes those of others.
fn own_mounts() {
    let null = std::ptr::null();
    // SAFETY: constants that outlive the calls.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        assert_eq!(
            libc::mount(null, c"/".as_ptr(), null, flags, null.cast()),
            0
        );
    }
}

fn mount(source: &str, target: &str, kind: &CStr, flags: libc::c_ulong) {
    let (source, target) = (c(source), c(target));
    // SAFETY: names that outlive the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    assert_eq!(result, 0, "{}", raw::errno());
}

/// A file behind a mount that gives it another name; a mount with a name that is hard to read.
fn bound(folder: &str) -> Value {
    let (hidden, seen) = (format!("{folder}/hidden"), format!("{folder}/harmless"));
    let odd = format!("{folder}/o - tmpfs x\n1 2 0:3 \\040\t");
    for name in [&hidden, &seen, &odd] {
        std::fs::create_dir(name).expect("mkdir");
    }
    std::fs::write(format!("{hidden}/marked"), b"marked").expect("write");
    own_mounts();
    mount(&hidden, &seen, c"", libc::MS_BIND);
    mount("s - e\n", &odd, c"tmpfs", 0);
    std::fs::read(format!("{seen}/marked")).expect("read");
    std::fs::write(format!("{odd}/marked"), b"odd").expect("write");
    // The probe reads mounts when it gets to it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut rows = vec![
        file(
            &format!("{seen}/marked"),
            &json!({"open": 1, "read": 2}),
            6,
            0,
        ),
        file(
            &format!("{}/marked", odd.replace('\\', "\\\\")),
            &json!({"open": 1, "create": 1, "write": 1}),
            0,
            3,
        ),
    ];
    rows[0]["mount"] = json!({"kind": "bind", "source": hidden});
    rows[1]["mount"] = json!({"kind": "tmpfs"});
    json!({"files": rows})
}

/// The same at once, by a process that is gone when anybody looks.
fn bound_and_gone(folder: &str) -> Value {
    let (hidden, seen) = (format!("{folder}/hidden"), format!("{folder}/harmless"));
    for name in [&hidden, &seen] {
        std::fs::create_dir(name).expect("mkdir");
    }
    std::fs::write(format!("{hidden}/marked"), b"marked").expect("write");
    reap(fork(|| {
        own_mounts();
        mount(&hidden, &seen, c"", libc::MS_BIND);
        std::fs::read(format!("{seen}/marked")).expect("read");
    }));
    let mut row = file(
        &format!("{seen}/marked"),
        &json!({"open": 1, "read": 2}),
        6,
        0,
    );
    row["mount"] = json!({"kind": "bind", "source": hidden});
    json!({"files": [row]})
}

/// A tree that is mounted nowhere: its names begin at its own root, and must not look like others.
fn detached(folder: &str) -> Value {
    let deep = format!("{folder}/deep");
    std::fs::create_dir_all(format!("{deep}/etc")).expect("mkdir");
    std::fs::write(format!("{deep}/etc/passwd"), b"marked").expect("write");
    let deep = c(&deep);
    // SAFETY: names that outlive the calls; descriptors that are new.
    unsafe {
        let tree = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, deep.as_ptr(), 1);
        let tree = i32::try_from(tree).expect("a descriptor");
        assert!(tree >= 0);
        let fd = libc::openat(tree, c"etc/passwd".as_ptr(), libc::O_RDONLY);
        assert_eq!(read(&OwnedFd::from_raw_fd(fd)), Ok(6));
    }
    json!({"absent": ["/etc/passwd"]})
}

/// The file of another mount namespace has the name of one of ours.
fn through_another_namespace(folder: &str) -> Value {
    let ours = format!("{folder}/d/marked");
    std::fs::create_dir(format!("{folder}/d")).expect("mkdir");
    std::fs::write(&ours, b"ours").expect("write");
    let (mut ready, mut done) = ([0; 2], [0; 2]);
    // SAFETY: room for two descriptors each.
    unsafe {
        libc::pipe(ready.as_mut_ptr());
        libc::pipe(done.as_mut_ptr());
    }
    let child = fork(|| {
        own_mounts();
        mount("t", &format!("{folder}/d"), c"tmpfs", 0);
        std::fs::write(&ours, b"theirs, longer").expect("write");
        // SAFETY: a byte that outlives the calls.
        unsafe {
            let mut byte = 0_u8;
            libc::write(ready[1], c"r".as_ptr().cast(), 1);
            libc::close(done[1]);
            libc::read(done[0], (&raw mut byte).cast(), 1);
        }
    });
    // SAFETY: as above.
    unsafe {
        let mut byte = 0_u8;
        libc::read(ready[0], (&raw mut byte).cast(), 1);
    }
    let theirs = std::fs::read(format!("/proc/{child}/root{ours}")).expect("read");
    assert_eq!(theirs.len(), 14);
    std::thread::sleep(std::time::Duration::from_millis(300));
    // SAFETY: numbers only.
    unsafe { libc::close(done[1]) };
    reap(child);
    json!({"files": [
        file(&ours, &json!({"open": 1, "create": 1, "write": 1}), 0, 4),
        file(&ours, &json!({"open": 2, "create": 1, "write": 1, "read": 2}), 14, 14),
    ]})
}

/// Root in a user namespace of its own, where it is nobody.
fn root_of_nothing(_: &str) -> Value {
    let own = c(&std::env::current_exe()
        .expect("this program")
        .display()
        .to_string());
    reap(fork(|| {
        // SAFETY: numbers and names that outlive the calls.
        unsafe {
            assert_eq!(libc::setresgid(4321, 4321, 4321), 0);
            assert_eq!(libc::setresuid(1234, 1234, 1234), 0);
            assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
            assert_eq!(libc::unshare(libc::CLONE_NEWUSER), 0);
            std::fs::write("/proc/self/setgroups", "deny").expect("a setting");
            std::fs::write("/proc/self/uid_map", "0 1234 1").expect("a map");
            std::fs::write("/proc/self/gid_map", "0 4321 1").expect("a map");
            assert_eq!(libc::geteuid(), 0);
            let argv = [own.as_ptr(), c"whoami".as_ptr(), std::ptr::null()];
            // The checkout may lie where only root may go.
            libc::execv(c"/proc/self/exe".as_ptr(), argv.as_ptr());
            libc::_exit(1);
        }
    }));
    json!({"processes": [{"argv": [own.to_str().expect("text"), "whoami"], "uid": 1234, "gid": 4321, "count": 1}]})
}

/// What a child does in its parent's memory before it becomes another program.
fn vfork(folder: &str) -> Value {
    extern "C" fn child(marked: *mut libc::c_void) -> libc::c_int {
        let argv = [c"/bin/true".as_ptr(), c"after".as_ptr(), std::ptr::null()];
        // SAFETY: names that outlive the calls; the parent waits.
        unsafe {
            let fd = libc::open(marked.cast(), libc::O_RDONLY);
            let mut byte = 0_u8;
            libc::read(fd, (&raw mut byte).cast(), 1);
            libc::close(fd);
            libc::execv(c"/bin/none".as_ptr(), argv.as_ptr());
            libc::execv(argv[0], argv.as_ptr());
            libc::_exit(127)
        }
    }
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"marked").expect("write");
    let name = c(&marked);
    let none = std::fs::canonicalize("/bin")
        .expect("a folder")
        .join("none");
    let mut stack = vec![0_u128; 4096];
    for _ in 0..5 {
        // SAFETY: a stack of the child's own; the parent waits until it is another program.
        unsafe {
            let top = stack.as_mut_ptr().add(stack.len()).cast();
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            let pid = libc::clone(child, top, flags, name.as_ptr().cast_mut().cast());
            reap(pid);
        }
    }
    json!({
        "files": [
            file(&marked, &json!({"open": 6, "create": 1, "write": 1, "read": 5}), 5, 6),
            {"path": none, "operations": {}, "errors": {"ENOENT": 5}},
        ],
        "processes": [{"argv": ["/bin/true", "after"], "count": 5, "exits": {"0": 5}}],
    })
}

/// Children that nobody is the parent of, with names that are hard to read, and other programs
/// than they look like.
fn disguised(folder: &str) -> Value {
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"marked").expect("write");
    let other = format!("{folder}/\u{1b}[2J\nroot:x \u{202e}txt.exe (deleted)");
    std::fs::copy(std::env::current_exe().expect("this program"), &other).expect("a copy");
    let program = c(&other);
    let argument = c(&marked);
    // SAFETY: names that outlive the calls.
    reap(fork(|| unsafe {
        // Its parent ends before it begins.
        if libc::fork() == 0 {
            let name = c"x) R 1 (\x1b[1m\n";
            libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0);
            libc::setsid();
            if libc::fork() == 0 {
                let argv = [
                    c"/usr/sbin/sshd -D".as_ptr(),
                    c"reads".as_ptr(),
                    argument.as_ptr(),
                    std::ptr::null(),
                ];
                libc::execv(program.as_ptr(), argv.as_ptr());
                libc::_exit(1);
            }
            libc::_exit(0);
        }
    }));
    // The grandchild says that it is done.
    while std::fs::metadata(format!("{marked}.done")).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    json!({
        "files": [{"path": marked, "exe": other, "operations": {"open": 1, "read": 2}, "bytesRead": 6}],
        "processes": [{"argv": ["/usr/sbin/sshd -D", "reads", marked], "exe": other, "count": 1}],
    })
}

/// Names that would speak to a terminal, of everything that has one.
fn loud(folder: &str) -> Value {
    let name = "\u{1b}]0;owned\u{7}\u{1b}[31m\r\n\u{9b}1m\u{202e}gpj|<b>`x`";
    let path = format!("{folder}/{name}");
    std::fs::write(&path, b"loud").expect("write");
    drop(std::fs::read(format!("{path}-none")));
    let address = format!("{folder}/s\u{1b}[7m\r\n|");
    let server = socket(libc::AF_UNIX, libc::SOCK_STREAM);
    let there = Address::unix(address.as_bytes());
    assert_eq!(bind(&server, &there), Ok(()));
    listen(&server, 1);
    let client = socket(libc::AF_UNIX, libc::SOCK_STREAM);
    assert_eq!(connect(&client, &there), Ok(()));
    reap(fork(|| {
        let argument = c(name);
        let argv = [c"/bin/true".as_ptr(), argument.as_ptr(), std::ptr::null()];
        // SAFETY: a list that ends with a null pointer and outlives the call.
        unsafe { libc::execv(argv[0], argv.as_ptr()) };
    }));
    json!({
        "files": [file(&path, &json!({"open": 1, "create": 1, "write": 1}), 0, 4)],
        "network": [{"protocol": "unix-stream", "direction": "outbound", "remote": {"path": address}, "connections": 1}],
        "processes": [{"argv": ["/bin/true", name], "count": 1}],
    })
}

/// One opening and one connection within a flood of calls.
fn flood(folder: &str) -> Value {
    const CALLS: u64 = 1_000_000;
    const THREADS: u64 = 4;
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"marked").expect("write");
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 1);
    let port = port(&server);
    let begin = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..CALLS / THREADS {
                    // SAFETY: takes no arguments.
                    unsafe { libc::syscall(libc::SYS_getppid) };
                }
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        let fd = std::fs::File::open(&marked).expect("open");
        drop(fd);
        let client = socket(libc::AF_INET, libc::SOCK_STREAM);
        assert_eq!(connect(&client, &loopback(port)), Ok(()));
    });
    let seconds = begin.elapsed().as_secs_f64();
    json!({
        "perSecond": CALLS as f64 / seconds,
        "syscalls": [{"name": "getppid", "calls": CALLS, "errors": {}}],
        "files": [file(&marked, &json!({"open": 2, "create": 1, "write": 1}), 0, 6)],
        "network": [{"protocol": "tcp", "direction": "outbound", "remote": {"address": V4, "port": port}, "connections": 1}],
    })
}

/// More names than any table holds, around one opening.
fn flood_of_names(folder: &str) -> Value {
    const NAMES: u32 = 150_000;
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"").expect("write");
    for number in 0..NAMES {
        if number == NAMES - 10 {
            drop(std::fs::read(&marked));
        }
        let name = c(&format!("/none-{number}"));
        // SAFETY: the name outlives the call.
        assert_eq!(unsafe { libc::open(name.as_ptr(), libc::O_RDONLY) }, -1);
    }
    json!({"marked": marked})
}

/// More programs than any table holds, and another one at the end.
fn flood_of_programs(folder: &str) -> Value {
    let own = std::env::current_exe().expect("this program");
    let run = |name: &str| {
        let program = c(name);
        reap(fork(|| {
            let argv = [program.as_ptr(), c"whoami".as_ptr(), std::ptr::null()];
            // SAFETY: a list that ends with a null pointer and outlives the call.
            unsafe { libc::execv(argv[0], argv.as_ptr()) };
        }));
    };
    let first = format!("{folder}/first");
    std::fs::copy(own, &first).expect("a copy");
    for number in 0..400 {
        let name = format!("{folder}/p{number}");
        std::fs::hard_link(&first, &name).expect("link");
        run(&name);
    }
    let marked = format!("{folder}/marked");
    std::fs::hard_link(&first, &marked).expect("link");
    run(&marked);
    json!({"marked": marked})
}

/// The same with datagrams to many places, around one connection.
fn flood_of_peers(_: &str) -> Value {
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 1);
    let client = socket(libc::AF_INET, libc::SOCK_DGRAM);
    for number in 0..30_000_u32 {
        let ip = std::net::Ipv4Addr::from(0x7f01_0000 + number);
        let there = Address::from(std::net::SocketAddr::from((ip, 9)));
        let _ = send_to(&client, b"", 0, &there);
    }
    let late = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(connect(&late, &loopback(port(&server))), Ok(()));
    json!({"port": port(&server)})
}

/// A call of the 32-bit kind, by a 64-bit program.
#[cfg(target_arch = "x86_64")]
fn int80(number: u32, a: u32, b: u32, c: u32) -> i32 {
    let result: u32;
    // SAFETY: rbx is kept by hand; the kernel changes r8 to r11 only.
    unsafe {
        std::arch::asm!(
            "mov {kept}, rbx", "mov ebx, {a:e}", "int 0x80", "mov rbx, {kept}",
            kept = out(reg) _, a = in(reg) a,
            inlateout("eax") number => result, in("ecx") b, in("edx") c,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result.cast_signed()
}

/// Opens, reads and connects by calls of the 32-bit kind.
#[cfg(target_arch = "x86_64")]
fn narrow(folder: &str) -> Value {
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"marked").expect("write");
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 1);
    let there = loopback(port(&server));
    // SAFETY: memory below 4 GiB, in which everything fits.
    let low = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let low = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        );
        assert_ne!(low, libc::MAP_FAILED);
        let name = c(&marked);
        std::ptr::copy_nonoverlapping(name.as_ptr(), low.cast(), name.count_bytes() + 1);
        std::ptr::copy_nonoverlapping(there.as_ptr().cast::<u8>(), low.cast::<u8>().add(1024), 16);
        u32::try_from(low as usize).expect("below 4 GiB")
    };
    // open, read, close, socket, connect: arch/x86/entry/syscalls/syscall_32.tbl.
    let fd = int80(5, low, 0, 0);
    if fd < 0 {
        std::process::exit(3);
    }
    assert_eq!(int80(3, fd.cast_unsigned(), low + 2048, 100), 6);
    assert_eq!(int80(6, fd.cast_unsigned(), 0, 0), 0);
    let client = int80(359, 2, 1, 0);
    assert_eq!(int80(362, client.cast_unsigned(), low + 1024, 16), 0);
    assert_eq!(int80(4, client.cast_unsigned(), low, 5), 5);
    let taken = accept(&server);
    assert_eq!(receive(&taken, 0), Ok(5));
    json!({
        "files": [file(&marked, &json!({"open": 2, "create": 1, "write": 1, "read": 1}), 6, 6)],
        "network": [{"protocol": "tcp", "direction": "outbound", "remote": {"address": V4, "port": port(&server)},
            "connections": 1, "bytesSent": 5, "failures": {}}],
        "syscalls": [{"name": "connect", "abi": "i386", "calls": 1, "errors": {}}],
    })
}

/// A program in memory with the name of another one.
fn from_memory(_: &str) -> Value {
    reap(fork(|| {
        // SAFETY: names that outlive the calls; the descriptor is new.
        unsafe {
            let memory = libc::memfd_create(c"../../usr/bin/true".as_ptr(), libc::MFD_CLOEXEC);
            let mut memory = std::fs::File::from(OwnedFd::from_raw_fd(memory));
            let mut own = std::fs::File::open("/proc/self/exe").expect("open");
            std::io::copy(&mut own, &mut memory).expect("copy");
            let argv = [
                c"/usr/bin/true".as_ptr(),
                c"whoami".as_ptr(),
                std::ptr::null(),
            ];
            let environment = [std::ptr::null()];
            libc::fexecve(memory.as_raw_fd(), argv.as_ptr(), environment.as_ptr());
        }
    }));
    json!({"processes": [{"argv": ["/usr/bin/true", "whoami"], "layer": "memfd", "count": 1, "exits": {"0": 1}}]})
}

/// Opens, writes and reads by a ring: flags of the ring and of each request.
fn ring_files(folder: &str, setup: u32, flags: u8) -> Value {
    let Some(ring) = Ring::new(setup) else {
        std::process::exit(3);
    };
    let marked = format!("{folder}/marked");
    let none = format!("{folder}/none");
    let (name, missing) = (c(&marked), c(&none));
    let with = |mut request: Request| {
        request.flags |= flags;
        request
    };
    let fixed = flags & ring::FIXED_FILE != 0;
    // The descriptor of an opening is none of the registered ones.
    let opening = |mut request: Request| {
        request.flags |= flags & !ring::FIXED_FILE;
        request
    };
    let fd = ring.call(opening(ring::open(&name, libc::O_RDWR | libc::O_CREAT)));
    assert!(fd >= 0, "{fd}");
    assert_eq!(
        ring.call(opening(ring::open(&missing, libc::O_RDONLY))),
        -libc::ENOENT
    );
    let place = if fixed {
        ring.register(&[fd]);
        0
    } else {
        fd
    };
    let mut buffer = [b'r'; 10];
    for _ in 0..3 {
        let request = ring::transfer(ring::WRITE, place, &mut buffer);
        assert_eq!(ring.call(with(request)), 10);
    }
    for _ in 0..2 {
        let mut request = ring::transfer(ring::READ, place, &mut buffer);
        request.offset = 0;
        assert_eq!(ring.call(with(request)), 10);
    }
    let mut row = file(
        &marked,
        &json!({"open": 1, "create": 1, "write": 3, "read": 2}),
        20,
        30,
    );
    row["errors"] = json!({});
    json!({"files": [row, {"path": none, "operations": {}, "errors": {"ENOENT": 1}}]})
}

/// A ring; without one the case says by its status that it cannot be.
fn own_ring() -> Ring {
    Ring::new(0).unwrap_or_else(|| std::process::exit(3))
}

/// Requests that wait for each other: a write, a read, and one that fails and cancels the next.
fn ring_chain(folder: &str) -> Value {
    let ring = own_ring();
    let marked = format!("{folder}/marked");
    let name = c(&marked);
    let fd = ring.call(ring::open(&name, libc::O_RDWR | libc::O_CREAT));
    assert!(fd >= 0);
    let mut buffer = [b'r'; 10];
    let mut other = [0; 10];
    let mut chain = [
        ring::transfer(ring::WRITE, fd, &mut buffer),
        ring::transfer(ring::READ, fd, &mut other),
        ring::transfer(ring::READ, fd, &mut []),
    ];
    chain[1].offset = 0;
    chain[2].offset = 0;
    // Less than was asked for breaks the chain.
    chain[1].length = 20;
    let mut large = [0; 20];
    chain[1].address = large.as_mut_ptr() as u64;
    for (request, data) in chain.iter_mut().zip(1..) {
        request.data = data;
        request.flags = if data < 3 { ring::LINK } else { 0 };
    }
    ring.submit(&chain);
    let mut done = ring.wait(3);
    done.sort_unstable();
    assert_eq!(done, [(1, 10), (2, 10), (3, -libc::ECANCELED)]);
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "write": 1, "read": 1}), 10, 10)]})
}

/// Connects, accepts, sends and receives by a ring.
fn ring_network(setup: u32, flags: u8) -> Value {
    let Some(ring) = Ring::new(setup) else {
        std::process::exit(3);
    };
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 8);
    let there = loopback(port(&server));
    let with = |mut request: Request| {
        request.flags |= flags;
        request
    };
    let connecting = |client: i32, there: &Address| {
        with(Request {
            operation: ring::CONNECT,
            descriptor: client,
            address: there.as_ptr() as u64,
            offset: u64::from(there.len()),
            ..Request::default()
        })
    };
    let mut buffer = [b'q'; 20];
    for _ in 0..3 {
        let client = socket(libc::AF_INET, libc::SOCK_STREAM);
        assert_eq!(ring.call(connecting(client.as_raw_fd(), &there)), 0);
        let taken = ring.call(with(Request {
            operation: ring::ACCEPT,
            descriptor: server.as_raw_fd(),
            ..Request::default()
        }));
        assert!(taken >= 0);
        // SAFETY: the descriptor is new.
        let taken = unsafe { OwnedFd::from_raw_fd(taken) };
        let pairs = [
            (ring::SEND, &client, ring::RECV, &taken),
            (ring::WRITE, &taken, ring::READ, &client),
        ];
        for (out, from, back, to) in pairs {
            assert_eq!(
                ring.call(with(ring::transfer(out, from.as_raw_fd(), &mut buffer))),
                20
            );
            assert_eq!(
                ring.call(with(ring::transfer(back, to.as_raw_fd(), &mut buffer))),
                20
            );
        }
    }
    let nobody = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&nobody, &loopback(0)), Ok(()));
    let client = socket(libc::AF_INET, libc::SOCK_STREAM);
    let refused = connecting(client.as_raw_fd(), &loopback(port(&nobody)));
    assert_eq!(ring.call(refused), -libc::ECONNREFUSED);
    let local = json!({"address": V4, "port": port(&server)});
    json!({"network": [
        {"protocol": "tcp", "direction": "outbound", "remote": local, "connections": 3, "bytesSent": 60, "bytesReceived": 60, "failures": {}},
        {"protocol": "tcp", "direction": "inbound", "local": local, "connections": 3, "bytesSent": 60, "bytesReceived": 60, "failures": {}},
        {"protocol": "tcp", "direction": "outbound", "remote": {"address": V4, "port": port(&nobody)}, "connections": 0, "failures": {"ECONNREFUSED": 1}},
    ]})
}

/// Datagrams by a ring: sendmsg with an address, recvmsg.
fn ring_datagrams(_: &str) -> Value {
    let ring = own_ring();
    let server = socket(libc::AF_INET, libc::SOCK_DGRAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    let own = port(&server);
    drop(server);
    let server = socket(libc::AF_INET, libc::SOCK_DGRAM);
    assert_eq!(bind(&server, &loopback(own)), Ok(()));
    let client = socket(libc::AF_INET, libc::SOCK_DGRAM);
    let mut there = loopback(own);
    let mut from = Address::none();
    let (mut out, mut back) = ([b'd'; 15], [0; 15]);
    for _ in 0..4 {
        let mut one = raw::vector(&mut out);
        let message = raw::message(&mut one, Some(&mut there));
        let request = |operation, fd: &OwnedFd, message: &libc::msghdr| Request {
            operation,
            descriptor: fd.as_raw_fd(),
            address: (&raw const *message) as u64,
            length: 1,
            ..Request::default()
        };
        assert_eq!(ring.call(request(ring::SENDMSG, &client, &message)), 15);
        let mut one = raw::vector(&mut back);
        let message = raw::message(&mut one, Some(&mut from));
        assert_eq!(ring.call(request(ring::RECVMSG, &server, &message)), 15);
    }
    let end = json!({"address": V4, "port": own});
    json!({"network": [
        {"protocol": "udp", "direction": "outbound", "remote": end, "datagramsSent": 4, "bytesSent": 60, "failures": {}},
        {"protocol": "udp", "direction": "inbound", "local": end, "datagramsReceived": 4, "bytesReceived": 60, "failures": {}},
    ]})
}

/// A file that never has a descriptor, and a buffer that the kernel holds.
fn ring_direct(folder: &str) -> Value {
    let ring = own_ring();
    let marked = format!("{folder}/marked");
    let name = c(&marked);
    ring.register(&[-1]);
    let mut open = ring::open(&name, libc::O_RDWR | libc::O_CREAT);
    // Into the first registered place: that is 1.
    open.rest[0] = 1 << 32;
    assert_eq!(ring.call(open), 0);
    let mut buffer = vec![b'd'; 4096];
    ring.register_buffer(&mut buffer);
    for operation in [ring::WRITE_FIXED, ring::READ_FIXED] {
        let mut request = ring::transfer(operation, 0, &mut buffer[..12]);
        request.flags = ring::FIXED_FILE;
        assert_eq!(ring.call(request), 12);
    }
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "write": 1, "read": 1}), 12, 12)]})
}

/// One request with several completions: connections accepted, and a send that tells when the
/// buffer is free.
fn ring_several(_: &str) -> Value {
    let ring = own_ring();
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 8);
    ring.submit(&[Request {
        operation: ring::ACCEPT,
        priority: 1,
        descriptor: server.as_raw_fd(),
        ..Request::default()
    }]);
    let clients: Vec<OwnedFd> = (0..3)
        .map(|_| {
            let client = socket(libc::AF_INET, libc::SOCK_STREAM);
            assert_eq!(connect(&client, &loopback(port(&server))), Ok(()));
            client
        })
        .collect();
    let taken: Vec<OwnedFd> = ring
        .wait(3)
        .into_iter()
        .map(|(_, fd)| {
            assert!(fd >= 0);
            // SAFETY: the descriptor is new.
            unsafe { OwnedFd::from_raw_fd(fd) }
        })
        .collect();
    let mut buffer = [b'z'; 50];
    ring.submit(&[ring::transfer(
        ring::SEND_ZC,
        clients[0].as_raw_fd(),
        &mut buffer,
    )]);
    // The bytes, then the notification.
    assert_eq!(ring.wait(1)[0].1, 50);
    let got: usize = taken
        .iter()
        .map(|fd| {
            do_not_block(fd);
            receive(fd, 0).unwrap_or(0)
        })
        .sum();
    assert_eq!(got, 50);
    ring.wait(1);
    let end = json!({"address": V4, "port": port(&server)});
    json!({"network": [
        {"protocol": "tcp", "direction": "outbound", "remote": end, "connections": 3, "bytesSent": 50, "failures": {}},
        {"protocol": "tcp", "direction": "inbound", "local": end, "connections": 3, "bytesReceived": 50, "failures": {}},
    ]})
}

/// Removes a file by a ring.
fn ring_unlink(folder: &str) -> Value {
    let ring = own_ring();
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"").expect("write");
    let name = c(&marked);
    let result = ring.call(Request {
        operation: ring::UNLINKAT,
        descriptor: libc::AT_FDCWD,
        address: name.as_ptr() as u64,
        ..Request::default()
    });
    assert_eq!(result, 0);
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "unlink": 1}), 0, 0)]})
}

/// Waits for a file.
fn wait_for(path: &str) {
    while std::fs::metadata(path).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Has everything open before anybody looks; uses it when the file `go` is there.
fn before(folder: &str) -> Value {
    let marked = format!("{folder}/marked");
    std::fs::write(&marked, b"marked").expect("write");
    let held = std::fs::File::open(&marked).expect("open");
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    assert_eq!(bind(&server, &loopback(0)), Ok(()));
    listen(&server, 8);
    let there = port(&server);
    let client = || {
        let client = socket(libc::AF_INET, libc::SOCK_STREAM);
        assert_eq!(connect(&client, &loopback(there)), Ok(()));
        client
    };
    let (one, waiting) = (client(), client());
    let taken = accept(&server);
    let receiver = socket(libc::AF_INET, libc::SOCK_DGRAM);
    assert_eq!(bind(&receiver, &loopback(0)), Ok(()));
    let place = port(&receiver);
    let connected = socket(libc::AF_INET, libc::SOCK_DGRAM);
    assert_eq!(connect(&connected, &loopback(place)), Ok(()));
    // Names of listeners, some of which would break a list that is read by lines, or add to it.
    let other = socket(libc::AF_UNIX, libc::SOCK_STREAM);
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", other.as_raw_fd()))
        .expect("stat")
        .ino();
    let path = format!("{folder}/s");
    let broken = "\0broken\njunk".to_owned();
    let odd = format!("\0odd\n0: 00000002 0 00010000 0001 01 {inode} /fake");
    let listeners: Vec<OwnedFd> = [&odd, &path, &broken]
        .into_iter()
        .map(|path| {
            let server = socket(libc::AF_UNIX, libc::SOCK_STREAM);
            assert_eq!(bind(&server, &Address::unix(path.as_bytes())), Ok(()));
            listen(&server, 8);
            server
        })
        .collect();
    let unix = socket(libc::AF_UNIX, libc::SOCK_STREAM);
    assert_eq!(connect(&unix, &Address::unix(path.as_bytes())), Ok(()));
    let stalled = std::thread::spawn(move || {
        // Waits in accept since before the window.
        let first = accept(&listeners[1]);
        let second = accept(&listeners[1]);
        assert_eq!(receive(&second, 0), Ok(3));
        (first, listeners)
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    std::fs::write(format!("{folder}/ready"), b"").expect("write");
    wait_for(&format!("{folder}/go"));
    assert_eq!(read(&held), Ok(6));
    assert_eq!(send(&one, &[b'o'; 33], 0), Ok(33));
    assert_eq!(receive(&taken, 0), Ok(33));
    assert_eq!(write(&taken, &[b't'; 7]), Ok(7));
    assert_eq!(read(&one), Ok(7));
    let second = accept(&server);
    assert_eq!(write(&waiting, &[b'w'; 5]), Ok(5));
    assert_eq!(receive(&second, 0), Ok(5));
    for _ in 0..2 {
        assert_eq!(write(&connected, &[b'u'; 9]), Ok(9));
        assert_eq!(receive(&receiver, 0), Ok(9));
    }
    let late = socket(libc::AF_UNIX, libc::SOCK_STREAM);
    assert_eq!(connect(&late, &Address::unix(path.as_bytes())), Ok(()));
    assert_eq!(send(&late, b"now", 0), Ok(3));
    drop(stalled.join().expect("the thread ends"));
    let end = json!({"address": V4, "port": there});
    let datagrams = json!({"address": V4, "port": place});
    let at = |path: &String| json!({"path": path});
    json!({
        "files": [file(&marked, &json!({"read": 1}), 6, 0)],
        "network": [
            {"protocol": "tcp", "direction": "outbound", "remote": end, "connections": 0, "bytesSent": 38, "bytesReceived": 7, "failures": {}},
            {"protocol": "tcp", "direction": "inbound", "local": end, "connections": 1, "bytesSent": 7, "bytesReceived": 38, "failures": {}},
            {"protocol": "tcp", "direction": "listen", "local": end},
            {"protocol": "udp", "direction": "outbound", "remote": datagrams, "datagramsSent": 2, "bytesSent": 18},
            {"protocol": "unix-stream", "direction": "outbound", "remote": at(&path), "connections": 1, "bytesSent": 3},
            {"protocol": "unix-stream", "direction": "inbound", "local": at(&path), "connections": 1, "bytesReceived": 3},
            {"protocol": "unix-stream", "direction": "listen", "local": at(&path)},
        ],
        "fake": "/fake",
    })
}

/// Leaves the cgroup that is watched, then opens the file.
fn leave(folder: &str) -> Value {
    let marked = format!("{folder}/marked");
    let cgroup = std::fs::read_to_string(format!("{folder}/leave-to")).expect("a cgroup");
    std::fs::write(format!("{folder}/ready"), b"").expect("write");
    wait_for(&format!("{folder}/go"));
    std::fs::write(cgroup.trim(), std::process::id().to_string()).expect("a move");
    std::fs::write(&marked, b"marked").expect("write");
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "write": 1}), 0, 6)]})
}

/// Makes a child outside the cgroup that is watched, which writes the file.
fn leave_by_birth(folder: &str) -> Value {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    let marked = format!("{folder}/marked");
    let procs = std::fs::read_to_string(format!("{folder}/leave-to")).expect("a cgroup");
    let outside =
        std::fs::File::open(Path::new(procs.trim()).parent().expect("a folder")).expect("a cgroup");
    std::fs::write(format!("{folder}/ready"), b"").expect("write");
    wait_for(&format!("{folder}/go"));
    // `struct clone_args`: flags, …, exit_signal, …, cgroup.
    let mut arguments = [0_u64; 11];
    arguments[0] = CLONE_INTO_CGROUP;
    arguments[4] = libc::SIGCHLD.cast_unsigned().into();
    arguments[10] = u64::try_from(outside.as_raw_fd()).expect("a descriptor");
    // SAFETY: as fork in a process of one thread; the child ends here.
    unsafe {
        let child = libc::syscall(
            libc::SYS_clone3,
            arguments.as_ptr(),
            size_of_val(&arguments),
        );
        assert!(child >= 0, "clone3");
        if child == 0 {
            std::fs::write(&marked, b"marked").expect("write");
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(i32::try_from(child).expect("an id"), &raw mut status, 0);
    }
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "write": 1}), 0, 6)]})
}

/// What a case does below a folder.
type Case = fn(&str) -> Value;

/// Cases by name.
const CASES: &[(&str, Case)] = &[
    ("before", before),
    ("bound", bound),
    ("bound-and-gone", bound_and_gone),
    ("detached", detached),
    ("disguised", disguised),
    ("flood", flood),
    ("flood-of-names", flood_of_names),
    ("flood-of-peers", flood_of_peers),
    ("flood-of-programs", flood_of_programs),
    ("from-memory", from_memory),
    ("leave", leave),
    ("leave-by-birth", leave_by_birth),
    ("loud", loud),
    ("names", names),
    ("names-of-the-gone", names_of_the_gone),
    #[cfg(target_arch = "x86_64")]
    ("narrow", narrow),
    ("ring-files", |folder| ring_files(folder, 0, 0)),
    ("ring-files-fixed", |folder| {
        ring_files(folder, 0, ring::FIXED_FILE)
    }),
    ("ring-files-by-workers", |folder| {
        ring_files(folder, 0, ring::ASYNC)
    }),
    ("ring-files-polled", |folder| {
        ring_files(folder, ring::SQPOLL, 0)
    }),
    ("ring-chain", ring_chain),
    ("ring-network", |_| ring_network(0, 0)),
    ("ring-network-by-workers", |_| ring_network(0, ring::ASYNC)),
    ("ring-network-polled", |_| ring_network(ring::SQPOLL, 0)),
    ("ring-datagrams", ring_datagrams),
    ("ring-direct", ring_direct),
    ("ring-several", ring_several),
    ("ring-unlink", ring_unlink),
    ("root-of-nothing", root_of_nothing),
    ("swapped-address", swapped_address),
    ("swapped-destination", swapped_destination),
    ("swapped-name", swapped_name),
    ("swapped-path", swapped_path),
    ("through-another-namespace", through_another_namespace),
    ("trapped-destination", trapped_destination),
    ("trapped-destinations", trapped_destinations),
    ("trapped-making", trapped_making),
    ("trapped-opening", trapped_opening),
    ("vfork", vfork),
];

fn main() {
    let argument = |number| std::env::args().nth(number);
    match argument(1).expect("a folder").as_str() {
        "whoami" => return,
        "reads" => {
            let marked = argument(2).expect("a file");
            std::fs::read(&marked).expect("read");
            std::fs::write(format!("{marked}.done"), b"").expect("write");
            return;
        }
        _ => {}
    }
    let wanted = argument(2).expect("a case");
    let (_, case) = CASES
        .iter()
        .find(|(name, _)| *name == wanted)
        .unwrap_or_else(|| panic!("no case {wanted}"));
    let truth = case(&argument(1).expect("a folder"));
    procmon_tests::tell(&truth);
}

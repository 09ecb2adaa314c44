//! Arguments on a page that is missing: the kernel waits for it in the middle of a call, and the
//! workload changes them.

use crate::harness::{V4, count, datagram_servers, head, path};
use crate::raw::{receive, socket};
use serde_json::{Value, json};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

/// Two pages, the second of which is missing until somebody reads it. The end of the first one is
/// changed then: whoever has read it has the old bytes, whoever reads later the new ones.
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

    /// The letter that a reader finds there after the call: `m` when it changed.
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
    // The changed part must not be read together with the missing page.
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
pub(crate) fn trapped_opening(folder: &str) -> Value {
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
pub(crate) fn trapped_making(folder: &str) -> Value {
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
pub(crate) fn trapped_destination(_: &str) -> Value {
    trapped_datagrams(|client, to| {
        // SAFETY: the address lives until the call returns.
        let result = unsafe { libc::sendto(client, c"m".as_ptr().cast(), 1, 0, to.cast(), 16) };
        assert_eq!(result, 1);
    })
}

/// The same by a call that sends several.
pub(crate) fn trapped_destinations(_: &str) -> Value {
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
    let servers = datagram_servers();
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

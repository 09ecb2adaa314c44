//! More of one kind than a small table holds, between exactly 1000 calls of getppid.
//!
//! `workload-faults FOLDER KIND COUNT`
#![expect(
    unsafe_code,
    reason = "system calls, made directly so that no library adds its own"
)]

#[path = "ring.rs"]
mod ring;

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// `IORING_OP_MKDIRAT`, include/uapi/linux/io_uring.h.
const MKDIRAT: u8 = 37;

fn getppid(times: u64) {
    for _ in 0..times {
        // SAFETY: takes no arguments.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
}

/// Waits until the folder has a file of this name.
fn wait_for(folder: &Path, name: &str) {
    while !folder.join(name).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// So many threads at one time.
fn threads(count: u64) {
    let all = Arc::new(Barrier::new(usize::try_from(count).expect("a few") + 1));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let all = Arc::clone(&all);
            std::thread::spawn(move || {
                all.wait();
            })
        })
        .collect();
    all.wait();
    for thread in threads {
        thread.join().expect("a thread");
    }
}

/// So many executables.
fn executables(folder: &Path, count: u64) {
    let own = std::env::current_exe().expect("a program");
    for number in 0..count {
        let copy = folder.join(format!("copy{number}"));
        std::fs::copy(&own, &copy).expect("a copy");
        let status = Command::new(&copy)
            .arg(folder)
            .args(["nothing", "0"])
            .status();
        assert!(status.expect("a program").success());
    }
}

/// So many numbers of system calls that no kernel has.
fn numbers(count: u64) {
    for number in 0..count {
        // SAFETY: there is no such call.
        unsafe { libc::syscall(600 + i64::try_from(number).expect("a few")) };
    }
}

/// So many files that are not there.
fn missing(folder: &Path, count: u64) {
    for number in 0..count {
        assert!(std::fs::File::open(folder.join(format!("missing{number}"))).is_err());
    }
}

/// So many files, 50 in each folder.
fn files(folder: &Path, count: u64) {
    for number in 0..count {
        let within = folder.join(format!("d{}", number / 50));
        let _ = std::fs::create_dir(&within);
        std::fs::write(within.join(format!("f{number}")), "x").expect("a file");
    }
}

/// So many peers, each of a prefix of its own.
fn peers(count: u64) {
    for number in 0..count {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let [.., high, low] = u32::try_from(number).expect("a few").to_be_bytes();
        let _ = socket.send_to(b"x", (Ipv4Addr::new(127, 1 + high, low, 1), 9));
    }
}

/// A datagram that is answered after so many other sockets were made.
fn young(count: u64) {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let address = server.local_addr().expect("an address");
    client.send_to(b"x", address).expect("a datagram");
    for _ in 0..count {
        drop(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    }
    let (_, from) = server.recv_from(&mut [0; 8]).expect("a datagram");
    server.send_to(b"y", from).expect("a datagram");
    // SAFETY: the buffer outlives the call; the sender's address is not asked for.
    let result = unsafe {
        let mut buffer = [0_u8; 8];
        libc::recv(
            std::os::fd::AsRawFd::as_raw_fd(&client),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
        )
    };
    assert_eq!(result, 1);
}

/// So many connections at one time.
fn connections(count: u64) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let all: Vec<_> = (0..count)
        .map(|_| {
            let client = TcpStream::connect(address).expect("a connection");
            (client, listener.accept().expect("a connection"))
        })
        .collect();
    assert_eq!(all.len() as u64, count);
}

/// So many listeners at one time.
fn listeners(count: u64) {
    let bound = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let all: Vec<_> = bound.collect::<Result<_, _>>().expect("listeners");
    assert_eq!(all.len() as u64, count);
}

/// Checks of several capabilities, by calls that fail or change nothing.
fn capabilities() {
    let name = c"procmon";
    // SAFETY: the name ends with a NUL; nothing of the system is changed.
    unsafe {
        libc::unshare(libc::CLONE_NEWUTS);
        libc::sethostname(name.as_ptr(), 7);
        libc::chroot(c"/".as_ptr());
        libc::nice(-1);
        libc::syscall(libc::SYS_settimeofday, 0, 0);
        libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        libc::mknod(c"/proc/none".as_ptr(), libc::S_IFCHR, 0);
        libc::setuid(0);
        libc::setgid(0);
        libc::mlockall(0);
        libc::syscall(libc::SYS_reboot, 0, 0, 0, 0);
        libc::syscall(libc::SYS_syslog, 3, 0, 0);
        libc::syscall(libc::SYS_acct, c"/proc/none".as_ptr());
    }
}

/// Namespaces in so many combinations.
fn namespaces(count: u64) {
    const FLAGS: [i32; 3] = [
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWCGROUP,
    ];
    for number in 1..=count.min(7) {
        let flags = FLAGS.iter().enumerate();
        let flags = flags
            .filter(|(bit, _)| number >> bit & 1 == 1)
            .fold(0, |sum, (_, flag)| sum | flag);
        // SAFETY: only this process changes.
        let result = unsafe { libc::unshare(flags) };
        assert_eq!(result, 0, "unshare {flags:#x}");
    }
}

/// A chain of so many requests of io_uring, all with a name. False where the kernel makes no ring.
fn requests(folder: &Path, count: u64) -> bool {
    let Some(ring) = ring::Ring::new(0) else {
        return false;
    };
    let names: Vec<_> = (0..count)
        .map(|number| {
            let path = folder.join(format!("ring{number}"));
            std::ffi::CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL")
        })
        .collect();
    let chain: Vec<_> = names
        .iter()
        .map(|name| ring::Request {
            operation: MKDIRAT,
            flags: ring::LINK,
            descriptor: libc::AT_FDCWD,
            address: name.as_ptr() as u64,
            length: 0o755,
            ..ring::Request::default()
        })
        .collect();
    ring.submit(&chain);
    ring.wait(u32::try_from(count).expect("a few"));
    true
}

/// So many children, one after the other.
fn children(count: u64) {
    for _ in 0..count {
        // SAFETY: the child only ends.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(0);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
}

/// Children at one time, until the folder has a file `stop`.
fn family(folder: &Path, count: u64) {
    let children: Vec<_> = (0..count)
        .map(|_| {
            let sleep = Command::new("sleep").arg("60").spawn();
            sleep.expect("sleep")
        })
        .collect();
    std::fs::write(folder.join("ready"), "").expect("a file");
    wait_for(folder, "stop");
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Threads come and go from before the window; once the folder has a file `go`, 100 of them make 10
/// of the calls each.
fn churn(folder: &Path) {
    let (done, made) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let thread = std::thread::spawn(|| {
                        // SAFETY: takes no arguments.
                        unsafe { libc::syscall(libc::SYS_gettid) };
                    });
                    thread.join().expect("a thread");
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::fs::write(folder.join("ready"), "").expect("a file");
        wait_for(folder, "go");
        let threads: Vec<_> = (0..100)
            .map(|_| std::thread::spawn(|| getppid(10)))
            .collect();
        for thread in threads {
            thread.join().expect("a thread");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(made.load(Ordering::Relaxed) > 0);
}

/// Two threads on each of two CPUs make the calls within so many seconds.
fn spread(seconds: u64) {
    let each = Duration::from_secs(seconds) / 25;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                procmon_tests::run_on(thread % 2);
                for _ in 0..25 {
                    let begun = Instant::now();
                    getppid(10);
                    while begun.elapsed() < each {
                        std::hint::spin_loop();
                    }
                }
            });
        }
    });
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    let folder = Path::new(&folder);
    let kind = arguments.next().expect("a kind");
    let count: u64 = arguments
        .next()
        .expect("a count")
        .parse()
        .expect("a number");
    match kind.as_str() {
        "nothing" => return,
        "churn" => return churn(folder),
        "spread" => return spread(count),
        "family" => return family(folder, count),
        "wait" => {
            std::fs::write(folder.join("ready"), "").expect("a file");
            return wait_for(folder, "stop");
        }
        _ => {}
    }
    getppid(1);
    match kind.as_str() {
        "threads" => threads(count),
        "executables" => executables(folder, count),
        "numbers" => numbers(count),
        "missing" => missing(folder, count),
        "files" => files(folder, count),
        "peers" => peers(count),
        "connections" => connections(count),
        "listeners" => listeners(count),
        "young" => young(count),
        "capabilities" => capabilities(),
        "namespaces" => namespaces(count),
        "children" => children(count),
        "flood" => {
            std::fs::write(folder.join("ready"), "").expect("a file");
            wait_for(folder, "go");
            files(folder, count);
        }
        "requests" => {
            if !requests(folder, count) {
                std::process::exit(3);
            }
        }
        _ => panic!("no kind {kind}"),
    }
    getppid(999);
    if kind == "flood" {
        std::fs::write(folder.join("done"), "").expect("a file");
    }
    // The ring buffer is emptied before the end is announced.
    std::thread::sleep(Duration::from_millis(200));
}

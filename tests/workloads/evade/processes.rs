//! Processes that hide what they are or whose child they are.

use crate::harness::{V4, c, file};
use crate::raw::{
    Address, accept, bind, connect, fork, listen, loopback, port, read, reap, receive, send,
    socket, write,
};
use serde_json::{Value, json};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Root in a user namespace of its own, where it is nobody.
pub(crate) fn root_of_nothing(_: &str) -> Value {
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

/// The acts of a child in its parent's memory before it becomes another program.
pub(crate) fn vfork(folder: &str) -> Value {
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
pub(crate) fn disguised(folder: &str) -> Value {
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
pub(crate) fn loud(folder: &str) -> Value {
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
pub(crate) fn narrow(folder: &str) -> Value {
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
pub(crate) fn from_memory(_: &str) -> Value {
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

/// Waits for a file.
fn wait_for(path: &str) {
    while std::fs::metadata(path).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Has everything open before anybody looks; uses it when the file `go` is there.
pub(crate) fn before(folder: &str) -> Value {
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
pub(crate) fn leave(folder: &str) -> Value {
    let marked = format!("{folder}/marked");
    let cgroup = std::fs::read_to_string(format!("{folder}/leave-to")).expect("a cgroup");
    std::fs::write(format!("{folder}/ready"), b"").expect("write");
    wait_for(&format!("{folder}/go"));
    std::fs::write(cgroup.trim(), std::process::id().to_string()).expect("a move");
    std::fs::write(&marked, b"marked").expect("write");
    json!({"files": [file(&marked, &json!({"open": 1, "create": 1, "write": 1}), 0, 6)]})
}

/// Makes a child outside the cgroup that is watched, which writes the file.
pub(crate) fn leave_by_birth(folder: &str) -> Value {
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

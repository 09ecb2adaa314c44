//! A quiet supervisor of a real server: starts a command, again whenever that ends, and does on
//! request what a defender has to notice, inside the command's process tree.
//!
//! `agent SOCKET CMD...`; `agent noop` only ends. A request is one connection to the socket: a JSON
//! list of words, answered by `ok PID`, the command's process, or by what went wrong. Between
//! requests one thread waits for the command, the other for a connection.
#![expect(unsafe_code, reason = "system calls that std does not offer")]

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Error, Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

const NOBODY: u32 = 65534;
const A_WHILE: Duration = Duration::from_millis(300);

/// The command's process.
static SERVER: AtomicI32 = AtomicI32::new(0);
/// The command is not to be started again.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// The result of a system call, as std has it.
fn check(result: impl Into<i64>) -> Result<i64> {
    match result.into() {
        -1 => Err(Error::last_os_error()),
        result => Ok(result),
    }
}

/// Runs in a child of its own, which changes nothing of the agent; waits for its end.
fn child(what: impl FnOnce() -> Result<()>) -> Result<()> {
    // SAFETY: the child runs one thread and ends by itself, without the agent's own clean-up.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(match what() {
                Ok(()) => 0,
                Err(error) => error.raw_os_error().unwrap_or(1),
            });
        }
        check(child)?;
        let mut status = 0;
        check(libc::waitpid(child, &raw mut status, 0))?;
        match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
            (true, 0) => Ok(()),
            (true, code) => Err(Error::from_raw_os_error(code)),
            _ => Err(Error::other("a child was killed")),
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::other(status.to_string()))
    }
}

/// This program, from memory only.
fn execute_from_memory() -> Result<()> {
    // SAFETY: a constant name; the descriptor is new.
    let mut memory = unsafe {
        let made = check(libc::memfd_create(c"payload".as_ptr(), libc::MFD_CLOEXEC))?;
        File::from_raw_fd(i32::try_from(made).expect("a descriptor"))
    };
    std::io::copy(&mut File::open("/proc/self/exe")?, &mut memory)?;
    child(|| {
        let argv = [c"payload".as_ptr(), c"noop".as_ptr(), std::ptr::null()];
        let environment = [std::ptr::null()];
        // SAFETY: lists that end with a null pointer and outlive the call.
        unsafe { libc::fexecve(memory.as_raw_fd(), argv.as_ptr(), environment.as_ptr()) };
        Err(Error::last_os_error())
    })
}

/// Gives up root and takes it back.
fn regain_root() -> Result<()> {
    // SAFETY: numbers only.
    child(|| unsafe {
        check(libc::setresuid(NOBODY, NOBODY, 0))?;
        check(libc::setresuid(0, 0, 0))?;
        Ok(())
    })
}

/// Tries to read a file as the user nobody.
fn read_as_nobody(path: &str) -> Result<()> {
    child(|| {
        // SAFETY: numbers only.
        unsafe {
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
            check(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
        }
        match File::open(path) {
            Ok(_) => Err(Error::other("it was readable")),
            Err(_) => Ok(()),
        }
    })
}

/// Traces a child of its own.
fn trace() -> Result<()> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the traced process is a child that does nothing but wait, and is killed here.
    unsafe {
        let traced = libc::fork();
        if traced == 0 {
            libc::sleep(10);
            libc::_exit(0);
        }
        check(traced)?;
        let result = check(libc::ptrace(libc::PTRACE_ATTACH, traced, none, none));
        libc::kill(traced, libc::SIGKILL);
        libc::waitpid(traced, std::ptr::null_mut(), 0);
        result.map(|_| ())
    }
}

/// A file system of its own in a mount namespace of its own.
fn mount(folder: &str) -> Result<()> {
    let folder = CString::new(folder)?;
    let none = std::ptr::null::<libc::c_char>();
    child(|| {
        // SAFETY: constants and a name that outlive the calls.
        unsafe {
            check(libc::unshare(libc::CLONE_NEWNS))?;
            let private = libc::MS_REC | libc::MS_PRIVATE;
            check(libc::mount(none, c"/".as_ptr(), none, private, none.cast()))?;
            let (source, kind) = (c"procmon".as_ptr(), c"tmpfs".as_ptr());
            check(libc::mount(source, folder.as_ptr(), kind, 0, none.cast()))?;
            check(libc::umount(folder.as_ptr())).map(|_| ())
        }
    })
}

/// A small map, gone at once.
fn bpf() -> Result<()> {
    // type array, 4 byte keys, 4 byte values, 1 entry: `union bpf_attr` of linux/bpf.h.
    let attributes = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let size = std::mem::size_of_val(&attributes);
    // SAFETY: attributes that outlive the call; the descriptor is new.
    unsafe {
        let map = check(libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), size))?;
        check(libc::close(i32::try_from(map).expect("a descriptor"))).map(|_| ())
    }
}

/// A counter of this process's page faults.
fn perf() -> Result<()> {
    // `struct perf_event_attr` of linux/perf_event.h: type software, size of version 0, page faults.
    let mut attributes = [0_u64; 16];
    attributes[0] = 1 | (64 << 32);
    attributes[1] = 2;
    // SAFETY: attributes that outlive the call; the descriptor is new.
    unsafe {
        let counter = check(libc::syscall(
            libc::SYS_perf_event_open,
            attributes.as_ptr(),
            0,
            -1,
            -1,
            0,
        ))?;
        check(libc::close(i32::try_from(counter).expect("a descriptor"))).map(|_| ())
    }
}

/// System calls that the kernel may refuse: being called is what counts.
fn call(name: &str) -> Result<()> {
    let parameters = [0_u64; 16];
    // SAFETY: numbers and zeroed parameters that outlive the calls; a new descriptor is closed.
    unsafe {
        match name {
            "io_uring_setup" => {
                let ring = libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_ptr());
                if let Ok(ring) = i32::try_from(ring) {
                    libc::close(ring);
                }
            }
            "finit_module" => {
                libc::syscall(libc::SYS_finit_module, -1, c"".as_ptr(), 0);
            }
            // KEYCTL_GET_KEYRING_ID of the session keyring, which is not made.
            "keyctl" => {
                libc::syscall(libc::SYS_keyctl, 0, -3, 0);
            }
            "userfaultfd" => {
                let made = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
                if let Ok(made) = i32::try_from(made) {
                    libc::close(made);
                }
            }
            "chroot" => {
                return child(|| check(libc::chroot(c"/".as_ptr())).map(|_| ()));
            }
            "unshare" => {
                return child(|| check(libc::unshare(libc::CLONE_NEWUTS)).map(|_| ()));
            }
            "setns" => {
                let own = File::open("/proc/self/ns/uts")?;
                return child(|| check(libc::setns(own.as_raw_fd(), 0)).map(|_| ()));
            }
            "raw-socket" => {
                let made = check(libc::socket(
                    libc::AF_INET,
                    libc::SOCK_RAW,
                    libc::IPPROTO_ICMP,
                ))?;
                libc::close(i32::try_from(made).expect("a descriptor"));
            }
            _ => return Err(Error::other(format!("no call {name}"))),
        }
    }
    Ok(())
}

/// Speaks to a peer and hears it out.
fn connect(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(A_WHILE))?;
    stream.write_all(b"GET /payload HTTP/1.0\r\n\r\n")?;
    // A peer that says nothing is one all the same.
    let _ = stream.read_to_end(&mut Vec::new());
    Ok(())
}

/// Receives a datagram, which it sends itself.
fn listen_for_datagrams(address: &str) -> Result<()> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(A_WHILE))?;
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"hello", address)?;
    socket.recv_from(&mut [0; 64]).map(drop)
}

fn ask(address: &str) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..3 {
        socket.send_to(b"a question", address)?;
    }
    Ok(())
}

fn answer(words: &[&str]) -> Result<()> {
    let server = SERVER.load(Ordering::SeqCst);
    match words {
        ["ping"] => Ok(()),
        ["stop", signal] => {
            STOPPING.store(true, Ordering::SeqCst);
            let signal = signal.parse().map_err(Error::other)?;
            // SAFETY: numbers only; the command is a child that was not waited for.
            check(unsafe { libc::kill(server, signal) }).map(|_| ())
        }
        ["run", program, arguments @ ..] => run(Command::new(program).args(arguments)),
        ["preload", library, program, arguments @ ..] => run(Command::new(program)
            .args(arguments)
            .env("LD_PRELOAD", library)),
        ["copy", from, to] => {
            fs::copy(from, to)?;
            fs::set_permissions(to, Permissions::from_mode(0o755))
        }
        ["read", path] => fs::read(path).map(drop),
        ["read-environment"] => fs::read(format!("/proc/{server}/environ")).map(drop),
        ["read-as-nobody", path] => read_as_nobody(path),
        ["write", path, text] => fs::write(path, text),
        ["append", path, text] => OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(text.as_bytes()),
        ["truncate", path] => OpenOptions::new().write(true).open(path)?.set_len(0),
        ["remove", path] => fs::remove_file(path),
        ["rename", from, to] => fs::rename(from, to),
        ["link", from, to] => fs::hard_link(from, to),
        ["symlink", from, to] => symlink(from, to),
        ["set-user-id", path] => fs::set_permissions(path, Permissions::from_mode(0o4755)),
        ["give-away", path] => chown(path, Some(NOBODY), Some(NOBODY)),
        ["connect", address] => connect(address),
        ["try-connect", address] => {
            let _ = connect(address);
            Ok(())
        }
        ["connect-unix", path] => UnixStream::connect(path)?.write_all(b"hello"),
        ["listen", address] => {
            let _listener = TcpListener::bind(address)?;
            std::thread::sleep(A_WHILE);
            Ok(())
        }
        ["listen-udp", address] => listen_for_datagrams(address),
        ["ask", address] => ask(address),
        ["memory"] => execute_from_memory(),
        ["regain"] => regain_root(),
        ["trace"] => trace(),
        ["mount", folder] => mount(folder),
        ["bpf"] => bpf(),
        ["perf"] => perf(),
        ["call", name] => call(name),
        _ => Err(Error::other("an unknown request")),
    }
}

fn serve(listener: &UnixListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = String::new();
        let result = stream.read_to_string(&mut request).and_then(|_| {
            let words: Vec<String> = serde_json::from_str(&request)?;
            answer(&words.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let text = match result {
            Ok(()) => format!("ok {}", SERVER.load(Ordering::SeqCst)),
            Err(error) => error.to_string(),
        };
        // Who asked may be gone.
        let _ = stream.write_all(text.as_bytes());
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, program, rest @ ..] = arguments.as_slice() else {
        return;
    };
    // A process that is left of an earlier agent does not answer any more.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || serve(&listener));
    while !STOPPING.load(Ordering::SeqCst) {
        let mut server = Command::new(program)
            .args(rest)
            .spawn()
            .expect("the command starts");
        SERVER.store(
            i32::try_from(server.id()).expect("a process id"),
            Ordering::SeqCst,
        );
        let _ = server.wait();
        std::thread::sleep(A_WHILE);
    }
}

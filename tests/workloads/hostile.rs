//! Attacks of an unprivileged process on a report: `workload-hostile FOLDER KIND [NUMBER…]`. It begins when
//! FOLDER/go is there, so that a window is open.
#![expect(
    unsafe_code,
    clippy::unwrap_used,
    reason = "system calls with any bytes; a panic shows the line"
)]

use std::ffi::{CString, c_char};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from(&arguments[0]);
    let number = |place: usize| arguments[place].parse::<usize>().unwrap();
    match arguments[1].as_str() {
        "hung" => return hang(&folder),
        "descriptors" => return hold_descriptors(&folder, number(2), number(3)),
        _ => wait_for_go(&folder),
    }
    match arguments[1].as_str() {
        "nothing" => {}
        "commands" => run_commands(arguments[2].as_bytes()[0], number(3), number(4)),
        "paths" => make_paths(&folder, arguments[2].as_bytes()[0], number(3), number(4)),
        "deep" => use_deep_names(&folder, number(2), number(3)),
        "links" => use_links(&folder, number(2)),
        "race" => replace_descriptors(),
        "sockets" => listen_on_names(),
        other => panic!("no kind `{other}`"),
    }
}

fn wait_for_go(folder: &Path) {
    while !folder.join("go").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes for a name or an argument; the number makes them different.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[3]
    }

    fn name(&mut self, kind: u8, number: usize, length: usize) -> CString {
        let mut bytes: Vec<u8> = format!("{number:08}").into_bytes();
        while bytes.len() < length {
            let byte = match kind {
                b'c' => 1,
                b'x' => 0xff,
                b'a' => b'a' + self.next() % 26,
                _ => self.next(),
            };
            bytes.push(if matches!(byte, 0 | b'/') { 0x80 } else { byte });
        }
        CString::new(bytes).unwrap()
    }
}

/// Executes a program so many times, each time with another argument of so many bytes.
fn run_commands(kind: u8, count: usize, length: usize) {
    let program = c"/bin/true";
    let mut bytes = Bytes(1);
    let none: [*const c_char; 1] = [std::ptr::null()];
    for number in 0..count {
        let argument = bytes.name(kind, number, length);
        let argv = [program.as_ptr(), argument.as_ptr(), std::ptr::null()];
        // SAFETY: the child only executes; pointers are to locals that outlive it.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::execve(program.as_ptr(), argv.as_ptr(), none.as_ptr());
                libc::_exit(127);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
}

/// Makes and removes so many files, below so many folders, each with a name of 240 bytes.
fn make_paths(folder: &Path, kind: u8, count: usize, depth: usize) {
    std::env::set_current_dir(folder).unwrap();
    let mut bytes = Bytes(2);
    // SAFETY: names are valid, results are checked.
    unsafe {
        for _ in 0..depth {
            let name = bytes.name(kind, 0, 240);
            assert_eq!(libc::mkdir(name.as_ptr(), 0o755), 0);
            assert_eq!(libc::chdir(name.as_ptr()), 0);
        }
        for number in 0..count {
            let name = bytes.name(kind, number, 240);
            let file = libc::open(name.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600);
            assert!(file >= 0);
            libc::close(file);
            libc::unlink(name.as_ptr());
        }
    }
}

/// Makes so many folders, each in the one before, and uses names that go through all of them.
fn use_deep_names(folder: &Path, depth: usize, count: usize) {
    // The longest name that the kernel takes.
    let depth_of_names = depth.min(2030);
    std::env::set_current_dir(folder).unwrap();
    for _ in 0..depth {
        std::fs::create_dir("a").unwrap();
        std::env::set_current_dir("a").unwrap();
    }
    std::env::set_current_dir(folder).unwrap();
    let begun = Instant::now();
    for number in 0..count {
        let name = format!("{}x{number}", "a/".repeat(depth_of_names));
        std::fs::create_dir(&name).unwrap();
        std::fs::remove_dir(&name).unwrap();
    }
    std::fs::write(folder.join("took"), begun.elapsed().as_millis().to_string()).unwrap();
}

/// Uses so many names that lead through forty links each.
fn use_links(folder: &Path, count: usize) {
    std::env::set_current_dir(folder).unwrap();
    std::fs::create_dir("end").unwrap();
    std::os::unix::fs::symlink("end", "l0").unwrap();
    for number in 1..39 {
        let before = format!("l{}", number - 1);
        std::os::unix::fs::symlink(before, format!("l{number}")).unwrap();
    }
    for number in 0..count {
        let _ = std::fs::remove_file(format!("l38/x{number}"));
    }
}

/// Descriptors that other threads replace while calls use them; and what that is to hide.
fn replace_descriptors() {
    let _ = std::fs::read("/etc/shadow");
    // SAFETY: numbers and constants; the byte lives until the call returns.
    unsafe {
        let one = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        let two = libc::open(c"/dev/zero".as_ptr(), libc::O_RDWR);
        let used = libc::dup(one);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    libc::dup2(one, used);
                    libc::dup2(two, used);
                }
            });
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end {
                libc::write(used, c"x".as_ptr().cast(), 1);
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

/// Listens on abstract names, of which one holds NUL, and connects.
fn listen_on_names() {
    for name in [
        &b"\0procmon\0/run/evil\0.sock"[..],
        b"\0procmon/run/evil.sock",
    ] {
        // SAFETY: all-zero is a valid address, and pointers are to locals.
        unsafe {
            let mut address: libc::sockaddr_un = std::mem::zeroed();
            address.sun_family = u16::try_from(libc::AF_UNIX).unwrap();
            for (to, from) in address.sun_path.iter_mut().zip(name) {
                *to = c_char::from_ne_bytes([*from]);
            }
            let length = u32::try_from(2 + name.len()).unwrap();
            let server = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
            let to = (&raw const address).cast();
            assert_eq!(libc::bind(server, to, length), 0);
            libc::listen(server, 5);
            let client = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
            assert_eq!(libc::connect(client, to, length), 0);
            libc::write(client, c"hello".as_ptr().cast(), 5);
        }
    }
}

/// So many processes with so many descriptors each, until FOLDER/stop is there.
fn hold_descriptors(folder: &Path, descriptors: usize, processes: usize) {
    // SAFETY: takes numbers only.
    unsafe {
        let limit = libc::rlimit {
            rlim_cur: (descriptors + 32) as u64,
            rlim_max: (descriptors + 32) as u64,
        };
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
        for _ in 0..descriptors {
            assert!(libc::dup(null) >= 0);
        }
        for _ in 1..processes {
            if libc::fork() == 0 {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::pause();
                }
            }
        }
    }
    std::fs::write(folder.join("ready"), "").unwrap();
    while !folder.join("stop").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Mounts a file system at FOLDER/hung that answers its own child, whose id it writes to
/// FOLDER/child, and nobody else. The child uses a name there a few times a second. Ends with
/// FOLDER/stop.
fn hang(folder: &Path) {
    const GETATTR: u32 = 3;
    const INIT: u32 = 26;
    /// Forget, interrupt and forget many: they want no answer.
    const SILENT: [u32; 3] = [2, 36, 42];
    let mut device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let place = folder.join("hung");
    std::fs::create_dir(&place).unwrap();
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other\0",
        device.as_raw_fd()
    );
    let target = CString::new(place.to_str().unwrap()).unwrap();
    // SAFETY: names and options are valid; the child only makes calls of its own. The mount is in a
    // namespace of its own, and goes with it.
    let child = unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let none = std::ptr::null();
        libc::mount(none, c"/".as_ptr(), none, private, none.cast());
        let mounted = libc::mount(
            c"hung".as_ptr(),
            target.as_ptr(),
            c"fuse".as_ptr(),
            0,
            options.as_ptr().cast(),
        );
        assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
        libc::fork()
    };
    if child == 0 {
        wait_for_go(folder);
        for number in 0.. {
            let _ = std::fs::create_dir(place.join(format!("a{number}/b")));
            std::thread::sleep(Duration::from_millis(250));
        }
    }
    std::fs::write(folder.join("child.new"), child.to_string()).unwrap();
    std::fs::rename(folder.join("child.new"), folder.join("child")).unwrap();
    let stop = folder.join("stop");
    // SAFETY: the descriptor is a copy that the thread owns.
    let answers = unsafe { std::fs::File::from_raw_fd(libc::dup(device.as_raw_fd())) };
    std::thread::spawn(move || {
        let mut answers = answers;
        let mut buffer = vec![0; 1 << 18];
        // struct fuse_in_header: len, opcode, unique, nodeid, uid, gid, pid; include/uapi/linux/fuse.h.
        while let Ok(length) = device.read(&mut buffer) {
            let word = |at: usize| u32::from_le_bytes(buffer[at..at + 4].try_into().unwrap());
            if length < 40 || SILENT.contains(&word(4)) {
                continue;
            }
            let (operation, is_own) = (word(4), word(32) == child.cast_unsigned());
            let mut body = Vec::new();
            let mut error = 0_i32;
            match operation {
                INIT => {
                    // major, minor, max_readahead, flags, background, max_write
                    for value in [7_u32, 31, 0, 0, 12 << 16 | 16, 4096] {
                        body.extend(value.to_le_bytes());
                    }
                    body.resize(64, 0);
                }
                GETATTR => {
                    // attr_valid, then struct fuse_attr: ino at 16, mode at 76, nlink at 80
                    body.resize(104, 0);
                    body[0..8].copy_from_slice(&3600_u64.to_le_bytes());
                    body[16] = 1;
                    body[76..80].copy_from_slice(&0o040_755_u32.to_le_bytes());
                    body[80] = 2;
                }
                _ if is_own => error = -libc::ENOENT,
                _ => continue,
            }
            let mut answer = Vec::new();
            answer.extend(u32::try_from(16 + body.len()).unwrap().to_le_bytes());
            answer.extend(error.to_le_bytes());
            answer.extend(&buffer[8..16]);
            answer.extend(body);
            let _ = answers.write_all(&answer);
        }
    });
    while !stop.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: takes the child's id and valid names. A process that waits for the file system gets an error.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::umount2(target.as_ptr(), libc::MNT_FORCE | libc::MNT_DETACH);
    }
}

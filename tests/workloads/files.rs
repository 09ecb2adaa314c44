//! Every operation on files, a known number of times, below the folder of its first argument.
#![expect(unsafe_code, reason = "system calls that std does not offer")]

use serde_json::{Value, json};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, IoSliceMut, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};

const MANY: usize = 40;
const THREADS: u64 = 4;
const EACH: u64 = 250;

fn row(path: &str, operations: &Value, read: u64, written: u64, errors: &Value) -> Value {
    json!({"path": path, "operations": operations, "bytesRead": read, "bytesWritten": written, "errors": errors})
}

fn c(name: &str) -> CString {
    CString::new(name).expect("a name without NUL")
}

/// Reads, writes, copies and changes through descriptors; links and names.
fn descriptors(at: &impl Fn(&str) -> String, rows: &mut Vec<Value>) {
    fs::create_dir(at("dir")).expect("mkdir");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(at("dir/a"))
        .expect("open");
    for _ in 0..5 {
        file.write_all(&[b'x'; 100]).expect("write");
    }
    file.write_all_at(&[b'y'; 11], 50).expect("pwrite");
    file.seek(SeekFrom::Start(0)).expect("seek");
    let mut buffer = [0; 64];
    for _ in 0..3 {
        file.read_exact(&mut buffer).expect("read");
    }
    file.read_exact_at(&mut buffer[..10], 0).expect("pread");
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .expect("fchmod");
    file.set_len(300).expect("ftruncate");
    // A descriptor that is a copy of another is the same file.
    let copy = file.try_clone().expect("dup");
    (&copy).write_all(b"copy").expect("write");

    let mut target = File::create(at("dir/b")).expect("create");
    let mut offset: libc::off_t = 0;
    // SAFETY: both descriptors are open, the offset is a local.
    let sent =
        unsafe { libc::sendfile(target.as_raw_fd(), file.as_raw_fd(), &raw mut offset, 200) };
    assert_eq!(sent, 200);
    target.write_all(b"end").expect("write");
    fs::rename(at("dir/b"), at("dir/c")).expect("rename");
    // An open file that was renamed has its new name.
    target.write_all(b"!").expect("write");
    fs::hard_link(at("dir/a"), at("dir/l")).expect("link");
    std::os::unix::fs::symlink("a", at("dir/s")).expect("symlink");
    // The kernel resolves the link: the file behind it is opened.
    drop(File::open(at("dir/s")).expect("open"));
    // SAFETY: the name lives until the call returns.
    assert_eq!(unsafe { libc::truncate(c(&at("dir/c")).as_ptr(), 1) }, 0);
    for (protection, flags) in [
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED),
        (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE),
    ] {
        // SAFETY: a new mapping of a file that is long enough.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                100,
                protection,
                flags,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(map, libc::MAP_FAILED);
    }
    fs::remove_file(at("dir/l")).expect("unlink");
    fs::remove_file(at("dir/s")).expect("unlink");

    let mut a = row(
        &at("dir/a"),
        &json!({"open": 2, "create": 1, "read": 5, "write": 7, "chmod": 1, "truncate": 1, "mmapExec": 1}),
        192 + 10 + 200,
        500 + 11 + 4,
        &json!({}),
    );
    a["mmapWrite"] = 1.into();
    a["nameSource"] = "settled".into();
    rows.extend([
        row(&at("dir"), &json!({"mkdir": 1}), 0, 0, &json!({})),
        a,
        row(
            &at("dir/b"),
            &json!({"open": 1, "create": 1, "write": 2, "rename": 1}),
            0,
            203,
            &json!({}),
        ),
        row(
            &at("dir/c"),
            &json!({"rename": 1, "truncate": 1, "write": 1}),
            0,
            1,
            &json!({}),
        ),
        row(
            &at("dir/l"),
            &json!({"link": 1, "unlink": 1}),
            0,
            0,
            &json!({}),
        ),
        row(
            &at("dir/s"),
            &json!({"symlink": 1, "unlink": 1}),
            0,
            0,
            &json!({}),
        ),
    ]);
}

/// Reads and writes of several buffers, copies within the kernel, a descriptor that cannot read.
fn vectors(at: &impl Fn(&str) -> String, rows: &mut Vec<Value>) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(at("v"))
        .expect("open");
    let written = file
        .write_vectored(&[IoSlice::new(&[b'1'; 10]), IoSlice::new(&[b'2'; 5])])
        .expect("writev");
    assert_eq!(written, 15);
    let more = [b'3'; 7];
    let vector = libc::iovec {
        iov_base: more.as_ptr().cast_mut().cast(),
        iov_len: 7,
    };
    // SAFETY: one vector, which lives until the call returns.
    let written = unsafe { libc::pwritev(file.as_raw_fd(), &raw const vector, 1, 15) };
    assert_eq!(written, 7);
    file.seek(SeekFrom::Start(0)).expect("seek");
    let (mut first, mut second) = ([0; 12], [0; 100]);
    let read = file
        .read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])
        .expect("readv");
    assert_eq!(read, 22);
    // At its end a file is read with success: nothing comes.
    assert_eq!(file.read(&mut first).expect("read"), 0);
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(at("w"))
        .expect("create");
    let mut offset: libc::off64_t = 2;
    // SAFETY: both descriptors are open, the offset is a local.
    let copied = unsafe {
        libc::copy_file_range(
            file.as_raw_fd(),
            &raw mut offset,
            target.as_raw_fd(),
            std::ptr::null_mut(),
            9,
            0,
        )
    };
    assert_eq!(copied, 9);
    assert!(target.read(&mut first).is_err());
    let mut v = row(
        &at("v"),
        &json!({"open": 1, "create": 1, "write": 2, "read": 3}),
        22 + 9,
        15 + 7,
        &json!({}),
    );
    v["mode"] = "0600".into();
    rows.extend([
        v,
        row(
            &at("w"),
            &json!({"open": 1, "create": 1, "write": 1}),
            0,
            9,
            &json!({"EBADF": 1}),
        ),
    ]);
}

/// Folders, attributes, special files, names relative to descriptors and to the working folder,
/// and what fails.
fn names(at: &impl Fn(&str) -> String, rows: &mut Vec<Value>) {
    fs::create_dir(at("n")).expect("mkdir");
    fs::create_dir(at("n/sub")).expect("mkdir");
    fs::remove_dir(at("n/sub")).expect("rmdir");
    let folder = File::open(at("n")).expect("open");
    let path = c(&at("n/rel"));
    let fifo = c(&at("n/fifo"));
    // SAFETY: names that live until the calls return, descriptors that are open.
    let attribute = unsafe {
        let made = libc::openat(
            folder.as_raw_fd(),
            c"rel".as_ptr(),
            libc::O_CREAT | libc::O_WRONLY,
            0o600,
        );
        assert!(made >= 0);
        libc::close(made);
        assert_eq!(libc::chown(path.as_ptr(), 0, 0), 0);
        assert_eq!(
            libc::fchownat(folder.as_raw_fd(), c"rel".as_ptr(), 0, 0, 0),
            0
        );
        assert_eq!(
            libc::fchmodat(folder.as_raw_fd(), c"rel".as_ptr(), 0o644, 0),
            0
        );
        assert_eq!(libc::mkfifo(fifo.as_ptr(), 0o600), 0);
        let handle = libc::open(fifo.as_ptr(), libc::O_PATH);
        assert!(handle >= 0);
        libc::close(handle);
        libc::setxattr(
            path.as_ptr(),
            c"user.procmon".as_ptr(),
            b"1".as_ptr().cast(),
            1,
            0,
        )
    };
    let before = std::env::current_dir().expect("a working folder");
    std::env::set_current_dir(at("n")).expect("chdir");
    drop(File::open("rel").expect("open"));
    fs::rename("./rel", "other").expect("rename");
    std::env::set_current_dir(before).expect("chdir");
    // SAFETY: as above.
    let result = unsafe { libc::unlinkat(folder.as_raw_fd(), c"other".as_ptr(), 0) };
    assert_eq!(result, 0);
    assert_eq!(fs::read_dir(at("n")).expect("a folder").count(), 1);

    assert!(File::open(at("none")).is_err());
    assert!(File::open(at("none")).is_err());
    assert!(fs::remove_file(at("none")).is_err());
    assert!(fs::create_dir(at("n")).is_err());
    assert!(fs::remove_dir(at("n")).is_err());
    assert!(File::open(at("n/fifo/x")).is_err());
    assert!(OpenOptions::new().write(true).open(at("n")).is_err());
    let mut operations = json!({"open": 2, "create": 1, "chown": 2, "chmod": 1, "rename": 1});
    let mut errors = json!({});
    match attribute {
        0 => operations["setxattr"] = 1.into(),
        _ => errors["EOPNOTSUPP"] = 1.into(),
    }
    rows.extend([
        row(
            &at("n"),
            &json!({"mkdir": 1, "open": 2}),
            0,
            0,
            &json!({"EEXIST": 1, "ENOTEMPTY": 1, "EISDIR": 1}),
        ),
        row(
            &at("n/sub"),
            &json!({"mkdir": 1, "rmdir": 1}),
            0,
            0,
            &json!({}),
        ),
        row(&at("n/rel"), &operations, 0, 0, &errors),
        row(
            &at("n/other"),
            &json!({"rename": 1, "unlink": 1}),
            0,
            0,
            &json!({}),
        ),
        row(
            &at("n/fifo"),
            &json!({"mknod": 1, "open": 1}),
            0,
            0,
            &json!({}),
        ),
        row(&at("n/fifo/x"), &json!({}), 0, 0, &json!({"ENOTDIR": 1})),
        row(&at("none"), &json!({}), 0, 0, &json!({"ENOENT": 3})),
    ]);
}

/// Names that lead through symbolic links. The links stay: what they lead to is looked up when the
/// probe gets to it.
fn links(at: &impl Fn(&str) -> String, rows: &mut Vec<Value>) {
    for folder in ["k", "k/x", "k/y", "k/y/z", "k/one", "k/two"] {
        fs::create_dir(at(folder)).expect("mkdir");
    }
    for file in ["k/f", "k/y/dd", "k/y/z/g", "k/one/a", "k/two/a"] {
        fs::write(at(file), b"12").expect("write");
    }
    for (target, link) in [("../y/z", "k/x/l"), ("f", "k/s"), ("one", "k/switched")] {
        std::os::unix::fs::symlink(target, at(link)).expect("symlink");
    }
    let link = c(&at("k/s"));
    let file = File::open(at("k/f")).expect("open");
    // SAFETY: names that live until the calls return, descriptors that are open.
    let attribute = unsafe {
        // These change what the link leads to.
        assert_eq!(libc::chmod(link.as_ptr(), 0o600), 0);
        assert_eq!(libc::chown(link.as_ptr(), 0, 0), 0);
        assert_eq!(libc::truncate(link.as_ptr(), 1), 0);
        assert_eq!(libc::fchmodat(libc::AT_FDCWD, link.as_ptr(), 0o600, 0), 0);
        assert_eq!(libc::fchownat(libc::AT_FDCWD, link.as_ptr(), 0, 0, 0), 0);
        // This one is the descriptor's own file.
        let empty = libc::fchownat(file.as_raw_fd(), c"".as_ptr(), 0, 0, libc::AT_EMPTY_PATH);
        assert_eq!(empty, 0);
        // These change the link.
        assert_eq!(libc::lchown(link.as_ptr(), 0, 0), 0);
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        assert_eq!(
            libc::fchownat(libc::AT_FDCWD, link.as_ptr(), 0, 0, flags),
            0
        );
        libc::setxattr(
            link.as_ptr(),
            c"user.procmon".as_ptr(),
            b"1".as_ptr().cast(),
            1,
            0,
        )
    };
    let mut operations =
        json!({"open": 2, "create": 1, "write": 1, "chmod": 2, "chown": 3, "truncate": 1});
    let mut errors = json!({});
    match attribute {
        0 => operations["setxattr"] = 1.into(),
        _ => errors["EOPNOTSUPP"] = 1.into(),
    }
    if open_by_handle(&file) {
        operations["open"] = 3.into();
    }
    fs::remove_file(at("k/x/l/../dd")).expect("unlink");
    fs::remove_file(at("k/x/l/g")).expect("unlink");
    fs::remove_file(at("k/switched/a")).expect("unlink");
    // The earlier names are looked up by now.
    std::thread::sleep(std::time::Duration::from_millis(300));
    std::os::unix::fs::symlink("two", at("k/new")).expect("symlink");
    fs::rename(at("k/new"), at("k/switched")).expect("rename");
    fs::remove_file(at("k/switched/a")).expect("unlink");
    assert!(File::open("/proc/self/none").is_err());
    let none = json!({});
    rows.extend([
        row(&at("k/f"), &operations, 0, 2, &errors),
        row(&at("k/s"), &json!({"symlink": 1, "chown": 2}), 0, 0, &none),
        row(
            &format!("/proc/{}/none", std::process::id()),
            &none,
            0,
            0,
            &json!({"ENOENT": 1}),
        ),
    ]);
    rows.extend(["k/y/dd", "k/y/z/g", "k/one/a", "k/two/a"].map(|path| {
        let operations = json!({"open": 1, "create": 1, "write": 1, "unlink": 1});
        row(&at(path), &operations, 0, 2, &none)
    }));
}

/// Opens a file by its handle. False where the file system has none.
fn open_by_handle(file: &File) -> bool {
    #[repr(C)]
    struct Handle {
        bytes: libc::c_uint,
        kind: libc::c_int,
        handle: [u8; 128],
    }
    let mut handle = Handle {
        bytes: 128,
        kind: 0,
        handle: [0; 128],
    };
    let mut mount = 0;
    // SAFETY: the handle has the room that it says, and lives until the calls return.
    unsafe {
        let found = libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        );
        found == 0
            && libc::syscall(
                libc::SYS_open_by_handle_at,
                file.as_raw_fd(),
                &raw mut handle,
                libc::O_RDONLY,
            ) >= 0
    }
}

/// Many files, one file by many threads, a device, and a name that is not text.
fn others(at: &impl Fn(&str) -> String, rows: &mut Vec<Value>) {
    for number in 0..MANY {
        let path = at(&format!("many-{number}"));
        fs::write(&path, [b'm'; 8]).expect("write");
        fs::remove_file(&path).expect("unlink");
        rows.push(row(
            &path,
            &json!({"open": 1, "create": 1, "write": 1, "unlink": 1}),
            0,
            8,
            &json!({}),
        ));
    }
    let shared = File::create(at("threads")).expect("create");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    shared.write_all_at(b"four", 0).expect("pwrite");
                }
            });
        }
    });
    let writes = THREADS * EACH;
    rows.push(row(
        &at("threads"),
        &json!({"open": 1, "create": 1, "write": writes}),
        0,
        4 * writes,
        &json!({}),
    ));
    let mut zero = File::open("/dev/zero").expect("open");
    for _ in 0..3 {
        zero.read_exact(&mut [0; 10]).expect("read");
    }
    rows.push(row(
        "/dev/zero",
        &json!({"open": 1, "read": 3}),
        30,
        0,
        &json!({}),
    ));
    // Bytes that are not UTF-8 stand as \xNN in the document, a backslash as two.
    let mut odd = at("odd ").into_bytes();
    odd.extend(b"\xff\\\n");
    fs::write(std::ffi::OsStr::from_bytes(&odd), b"o").expect("write");
    rows.push(row(
        &at("odd \\xff\\\\\n"),
        &json!({"open": 1, "create": 1, "write": 1}),
        0,
        1,
        &json!({}),
    ));
}

/// Makes an io_uring, which a kernel thread may serve without a further call. False where there
/// is none.
fn ring() -> bool {
    let mut parameters = [0_u8; 120];
    // SAFETY: the structure has the size that the kernel gives it, and outlives the call.
    unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) >= 0 }
}

/// Reads asynchronously. False where the kernel can't.
fn asynchronous() -> bool {
    #[repr(C)]
    #[derive(Default)]
    struct Request {
        data: u64,
        key: u32,
        flags: u32,
        operation: u16,
        priority: i16,
        descriptor: u32,
        buffer: u64,
        bytes: u64,
        offset: u64,
        rest: [u64; 2],
    }
    let zero = File::open("/dev/zero").expect("open");
    let mut buffer = [0_u8; 8];
    let mut request = Request {
        descriptor: u32::try_from(zero.as_raw_fd()).expect("a small number"),
        buffer: buffer.as_mut_ptr() as u64,
        bytes: 8,
        ..Request::default()
    };
    let requests = [&raw mut request];
    let mut context = 0_u64;
    // SAFETY: everything outlives the calls; destroying the context waits for the request.
    unsafe {
        if libc::syscall(libc::SYS_io_setup, 1, &raw mut context) != 0 {
            return false;
        }
        let submitted = libc::syscall(libc::SYS_io_submit, context, 1, requests.as_ptr());
        libc::syscall(libc::SYS_io_destroy, context);
        submitted == 1
    }
}

fn main() {
    let base = std::env::args().nth(1).expect("a folder");
    match base.as_str() {
        "ring" => std::process::exit(if ring() { 0 } else { 3 }),
        "asynchronous" => std::process::exit(if asynchronous() { 0 } else { 3 }),
        _ => {}
    }
    let at = |name: &str| format!("{base}/{name}");
    let mut rows = Vec::new();
    descriptors(&at, &mut rows);
    vectors(&at, &mut rows);
    names(&at, &mut rows);
    others(&at, &mut rows);
    links(&at, &mut rows);
    procmon_tests::tell(&json!({"files": rows}));
}

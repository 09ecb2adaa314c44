//! Small cases of known behaviour: each does one thing a known number of times and says so.
//!
//! `workload-exact CASE FOLDER`; `list` names the cases, `nothing` does nothing. Where
//! `PROCMON_GO` names a file, the case begins once that file is there.
//!
//! Truth beside the document's own keys: `whole` lists dimensions of which nothing else may be there (of
//! files: below the folder); `programs` names executables that may have rows.
#![expect(
    unsafe_code,
    reason = "system calls, made directly so that no library adds its own"
)]

mod calls;
mod credentials;
mod files;
mod names;
mod processes;

use serde_json::{Value, json};
use std::ffi::CString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Does one thing below a folder, and says what it did.
type Case = (&'static str, fn(&Folder) -> Value);

/// Where a case may work.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Path of a name below it.
    pub(crate) fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.0.display())
    }

    /// The same for the kernel.
    pub(crate) fn c(&self, name: &str) -> CString {
        text(&self.at(name))
    }
}

/// A text for the kernel.
pub(crate) fn text(name: &str) -> CString {
    CString::new(name).expect("a name without NUL")
}

/// One system call: its result, or the errno as a negative number.
macro_rules! sys {
    ($number:ident $(, $argument:expr)* $(,)?) => {{
        #[allow(clippy::cast_possible_truncation, clippy::undocumented_unsafe_blocks, clippy::allow_attributes, reason = "the caller's arguments")]
        // SAFETY: the caller's pointers outlive the call.
        let result = unsafe { libc::syscall(libc::$number $(, $argument)*) };
        if result == -1 {
            -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
        } else {
            result
        }
    }};
}
pub(crate) use sys;

/// The result of a call that must succeed, as a descriptor or process id.
pub(crate) fn good(result: i64) -> i32 {
    assert!(result >= 0, "errno {}", -result);
    i32::try_from(result).expect("a small number")
}

/// Opens a file of the folder by its name.
pub(crate) fn open(folder: &Folder, name: &str, flags: i32) -> i32 {
    good(sys!(
        SYS_openat,
        libc::AT_FDCWD,
        folder.c(name).as_ptr(),
        flags,
        0o600
    ))
}

/// The address of new memory to read and write, without a file.
pub(crate) fn memory(bytes: i64, flags: i32) -> i64 {
    let address = sys!(
        SYS_mmap,
        0_i64,
        bytes,
        libc::PROT_READ | libc::PROT_WRITE,
        flags | libc::MAP_ANONYMOUS,
        -1,
        0_i64
    );
    assert!(address > 0, "mmap: errno {}", -address);
    address
}

/// Asserts that a call failed with this errno.
pub(crate) fn fails(result: i64, errno: i32) {
    assert_eq!(result, -i64::from(errno));
}

/// Starts a child by fork; it ends with 0 unless it ends by itself. The case runs in one thread.
pub(crate) fn fork(what: impl FnOnce()) -> i32 {
    // SAFETY: no other thread holds a lock; the child ends here.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork");
        if child == 0 {
            what();
            libc::_exit(0);
        }
        child
    }
}

/// Waits for a child's end: its status, as wait gives it.
pub(crate) fn wait(child: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

/// Runs in a child, which must end with 0.
pub(crate) fn child(what: impl FnOnce()) {
    assert_eq!(wait(fork(what)), 0, "a child failed");
}

/// Waits until a condition holds.
pub(crate) fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "a condition never holds");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The task with this folder below /proc sleeps in a system call.
pub(crate) fn sleeps_in(task: &str, call: libc::c_long) -> bool {
    std::fs::read_to_string(format!("/proc/{task}/syscall"))
        .is_ok_and(|text| text.starts_with(&format!("{call} ")))
}

/// Executes a program; only fails to return.
pub(crate) fn become_program(argv: &[&str]) -> i64 {
    let texts: Vec<CString> = argv.iter().map(|argument| text(argument)).collect();
    let mut list: Vec<*const libc::c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    list.push(std::ptr::null());
    let environment = [std::ptr::null::<libc::c_char>()];
    sys!(SYS_execve, list[0], list.as_ptr(), environment.as_ptr())
}

/// Executes a program; ends this process when it can't.
pub(crate) fn execute(argv: &[&str]) {
    become_program(argv);
    // SAFETY: ends the process.
    unsafe { libc::_exit(99) };
}

/// A copy of this program, by one open, one write and one chmod.
pub(crate) fn copy_self(path: &str) {
    let all = std::fs::read("/proc/self/exe").expect("this program");
    std::fs::write(path, all).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// A row of files.
pub(crate) fn row(
    path: &str,
    operations: &Value,
    read: u64,
    written: u64,
    errors: &Value,
) -> Value {
    json!({"path": path, "operations": operations, "bytesRead": read, "bytesWritten": written, "errors": errors})
}

/// The arguments of this process.
pub(crate) fn own() -> Vec<String> {
    std::env::args().collect()
}

/// This executable, as the kernel names it.
pub(crate) fn own_exe() -> String {
    std::fs::read_link("/proc/self/exe")
        .expect("this program")
        .display()
        .to_string()
}

/// The row of this process itself.
pub(crate) fn own_row() -> Value {
    json!({"argv": own(), "count": 1, "exits": {"0": 1}})
}

/// Waits until the window is open, where somebody says so.
pub(crate) fn wait_for_go() {
    if let Some(go) = std::env::var_os("PROCMON_GO") {
        until(|| Path::new(&go).exists());
    }
}

/// Makes calls of all sorts for ever: what is not of the target.
fn hammer(folder: &Folder) -> ! {
    let name = folder.at(&format!("hammer-{}", std::process::id()));
    loop {
        for _ in 0..50 {
            sys!(SYS_getppid);
            sys!(SYS_dup, -1);
        }
        std::fs::write(&name, b"foreign").expect("write");
        let _ = std::fs::read(&name);
        let _ = std::fs::remove_file(&name);
        wait(fork(|| ()));
    }
}

fn nothing(_: &Folder) -> Value {
    json!({})
}

fn main() {
    let argument = |number| std::env::args().nth(number);
    let name = argument(1).expect("a case");
    let families = [
        calls::CASES,
        processes::CASES,
        files::CASES,
        names::CASES,
        credentials::CASES,
    ];
    let own: [Case; 1] = [("nothing", nothing)];
    let mut cases = families.into_iter().flatten().chain(&own);
    match name.as_str() {
        "list" => {
            let names: Vec<&str> = cases.map(|case| case.0).collect();
            std::io::Write::write_all(&mut std::io::stdout(), names.join("\n").as_bytes())
                .expect("stdout");
            return;
        }
        // Programs that cases execute.
        "idle" => return,
        _ => {}
    }
    let folder = Folder(argument(2).expect("a folder").into());
    if name == "hammer" {
        hammer(&folder);
    }
    let (_, case) = cases.find(|case| case.0 == name).expect("a known case");
    if ![
        "crowd-found",
        "filter-found",
        "opened-before",
        "threads-found",
    ]
    .contains(&name.as_str())
    {
        wait_for_go();
    }
    procmon_tests::tell(&case(&folder));
}

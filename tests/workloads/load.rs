//! Loads for measurements: each does a known number of things, at a known rate where it is given
//! one, and writes what it did and what CPU time its threads took as JSON.
//!
//! `workload-load KIND OUT [NAME=VALUE...]`; the kinds stand in `main`.
#![expect(
    unsafe_code,
    reason = "system calls, made directly so that no library adds its own"
)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Loops of which each gives one measurement.
const CHUNKS: u64 = 20;

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the timespec, which lives until the call returns.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "clock_gettime");
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// CPU time of the calling thread since it was `began`.
fn cpu_since(began: Duration) -> Duration {
    thread_cpu().saturating_sub(began)
}

fn getppid() {
    // SAFETY: takes no arguments.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

fn failing_close() {
    // SAFETY: no descriptor has this number.
    unsafe { libc::syscall(libc::SYS_close, -1) };
}

/// Open, read, write and close: four calls.
fn file_mix(path: &std::ffi::CStr) {
    let mut bytes = [0_u8; 64];
    // SAFETY: the path ends with a NUL, the buffer is as long as said; the descriptor is ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_open, path.as_ptr(), libc::O_RDWR);
        assert!(fd >= 0, "open {path:?}");
        libc::syscall(libc::SYS_read, fd, bytes.as_mut_ptr(), bytes.len());
        libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len());
        libc::syscall(libc::SYS_close, fd);
    }
}

/// Nanoseconds for each of `calls` calls made by `times` rounds of a loop, chunk by chunk.
fn measured(times: u64, calls_each: u64, mut once: impl FnMut()) -> Value {
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    let each = (times / CHUNKS).max(1);
    for _ in 0..CHUNKS {
        let (began, began_cpu) = (Instant::now(), thread_cpu());
        for _ in 0..each {
            once();
        }
        let calls = (each * calls_each) as f64;
        cpu.push(cpu_since(began_cpu).as_nanos() as f64 / calls);
        wall.push(began.elapsed().as_nanos() as f64 / calls);
    }
    json!({"cpuNs": cpu, "wallNs": wall, "calls": each * CHUNKS * calls_each})
}

/// Named numbers and paths of the command line.
struct Options(BTreeMap<String, String>);

impl Options {
    fn number(&self, name: &str) -> u64 {
        let text = self.0.get(name).unwrap_or_else(|| panic!("{name}=N"));
        text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
    }

    fn number_or(&self, name: &str, usual: u64) -> u64 {
        if self.0.contains_key(name) {
            self.number(name)
        } else {
            usual
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.0.get(name).unwrap_or_else(|| panic!("{name}=PATH")))
    }
}

fn c_path(path: &Path) -> std::ffi::CString {
    std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("no NUL in a path")
}

/// The cost of one call: succeeding, failing, and on a file.
fn cost(options: &Options) -> Value {
    let calls = options.number("calls");
    let file = options.path("dir").join("one");
    std::fs::write(&file, [b'x'; 128]).expect("a file");
    let file = c_path(&file);
    for _ in 0..100 {
        getppid();
        failing_close();
        file_mix(&file);
    }
    json!({
        "getppid": measured(calls, 1, getppid),
        "failing": measured(calls, 1, failing_close),
        "files": measured(calls / 4, 4, || file_mix(&file)),
    })
}

/// Stays until a file `stop` appears; says by `held` that it runs.
fn hold(options: &Options) -> Value {
    let folder = options.path("dir");
    std::fs::write(folder.join("held"), "").expect("a file");
    while !folder.join("stop").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    Value::Null
}

/// The work of one thread.
#[derive(Default)]
struct Done {
    /// Times that it went round.
    times: u64,
    /// CPU time of all of it.
    cpu: Duration,
    /// The times of its first pass over its things, and their CPU time.
    first: (u64, Duration),
}

/// How long and how fast a thread goes round.
#[derive(Clone, Copy)]
struct Pace {
    /// Times per second, as fast as it can when 0.
    rate: u64,
    /// How long.
    lasts: Duration,
    /// Times that make a pass.
    pass: u64,
    /// At least so many passes, however long they take, up to a minute.
    passes: u64,
}

impl Pace {
    /// The share of one thread out of `threads`.
    fn of(options: &Options, threads: u64, calls_each: u64) -> Self {
        Self {
            rate: options.number_or("rate", 0) / threads / calls_each,
            lasts: Duration::from_millis(options.number_or("milliseconds", 1000)),
            pass: 1,
            passes: 1,
        }
    }

    /// Goes round: in slices of five milliseconds or longer, sleeping between them.
    fn run(self, mut once: impl FnMut(u64)) -> Done {
        let mut done = Done::default();
        let (began, began_cpu) = (Instant::now(), thread_cpu());
        let slice = if self.rate == 0 {
            16
        } else {
            (self.rate / 200).max(1)
        };
        while began.elapsed() < self.lasts
            || (done.times < self.pass * self.passes && began.elapsed() < Duration::from_mins(1))
        {
            for _ in 0..slice {
                once(done.times);
                done.times += 1;
                if done.times == self.pass {
                    done.first = (done.times, cpu_since(began_cpu));
                }
            }
            if self.rate > 0 {
                let due = Duration::from_secs_f64(done.times as f64 / self.rate as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        done.cpu = cpu_since(began_cpu);
        done
    }
}

/// Keeps the calling thread on one of the first `cpus` CPUs; anywhere when that is 0.
fn stay_on(thread: u64, cpus: u64) {
    if cpus == 0 {
        return;
    }
    procmon_tests::run_on(usize::try_from(thread % cpus).unwrap_or(0));
}

/// Runs `work` in threads that start together; sums of what they did, in calls of which each time
/// makes `calls_each`.
fn in_threads(options: &Options, calls_each: u64, work: impl Fn(u64) -> Done + Sync) -> Value {
    let threads = options.number_or("threads", 1);
    let cpus = options.number_or("cpus", 0);
    let began = Instant::now();
    let done: Vec<Done> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let work = &work;
                scope.spawn(move || {
                    stay_on(thread, cpus);
                    work(thread)
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().expect("the thread ends"))
            .collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let times: u64 = done.iter().map(|done| done.times).sum();
    let cpu: Duration = done.iter().map(|done| done.cpu).sum();
    let first_times: u64 = done.iter().map(|done| done.first.0).sum();
    let first: Duration = done.iter().map(|done| done.first.1).sum();
    let each = |cpu: Duration, times: u64| {
        (times > 0).then(|| cpu.as_nanos() as f64 / (times * calls_each) as f64)
    };
    json!({
        "times": times,
        "seconds": seconds,
        "perSecond": (times * calls_each) as f64 / seconds,
        "cpuNs": each(cpu, times),
        "firstCpuNs": each(first, first_times),
        "laterCpuNs": each(cpu.saturating_sub(first), times.saturating_sub(first_times)),
    })
}

/// getppid, by threads.
fn calls(options: &Options) -> Value {
    let pace = Pace::of(options, options.number_or("threads", 1), 1);
    in_threads(options, 1, |_| pace.run(|_| getppid()))
}

/// Open, read, write and close of `files` files of a folder, one after the other, each at least
/// once.
fn files(options: &Options) -> Value {
    let threads = options.number_or("threads", 1);
    let each = (options.number("files") / threads).max(1);
    let folder = options.path("dir");
    let pace = Pace {
        pass: each,
        passes: options.number_or("passes", 1),
        ..Pace::of(options, threads, 4)
    };
    in_threads(options, 4, |thread| {
        let paths: Vec<_> = (thread * each..(thread + 1) * each)
            .map(|file| c_path(&folder.join(file.to_string())))
            .collect();
        pace.run(|time| file_mix(&paths[usize::try_from(time % each).unwrap_or(0)]))
    })
}

/// A network namespace of its own, with a loopback device that is up.
fn own_network() {
    // SAFETY: a zeroed request with a name shorter than it holds; the descriptor is ours.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNET), 0, "unshare");
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = 'l' as libc::c_char;
        request.ifr_name[1] = 'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        let result = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        assert_eq!(result, 0, "SIOCSIFFLAGS");
        libc::close(socket);
    }
}

/// Connections over loopback, made and accepted by the same thread. They end by a reset, so that
/// none keeps its port.
fn connections(options: &Options) -> Value {
    own_network();
    let pace = Pace::of(options, options.number_or("threads", 1), 1);
    in_threads(options, 1, |_| {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        pace.run(|_| {
            let client = std::net::TcpStream::connect(address).expect("a connection");
            let linger = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            // SAFETY: a descriptor of ours, and an option that is as long as said.
            unsafe {
                libc::setsockopt(
                    std::os::fd::AsRawFd::as_raw_fd(&client),
                    libc::SOL_SOCKET,
                    libc::SO_LINGER,
                    (&raw const linger).cast(),
                    libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap_or(8),
                );
            }
            let (server, _) = listener.accept().expect("it is there");
            drop(client);
            drop(server);
        })
    })
}

/// Executions of the program `exe`, each waited for.
fn executions(options: &Options) -> Value {
    let pace = Pace::of(options, options.number_or("threads", 1), 1);
    let exe = c_path(&options.path("exe"));
    in_threads(options, 1, |_| {
        let argv = [exe.as_ptr().cast_mut(), std::ptr::null_mut()];
        let environment = [std::ptr::null_mut()];
        pace.run(|_| {
            let mut child = 0;
            // SAFETY: lists that end with a null pointer and outlive the calls.
            unsafe {
                let result = libc::posix_spawn(
                    &raw mut child,
                    exe.as_ptr(),
                    std::ptr::null(),
                    std::ptr::null(),
                    argv.as_ptr(),
                    environment.as_ptr(),
                );
                assert_eq!(result, 0, "posix_spawn");
                assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
            }
        })
    })
}

/// getppid, `calls` times in all, by `processes` processes that take turns.
fn processes(options: &Options) -> Value {
    let processes = options.number("processes");
    let each = (options.number("calls") / processes).max(1);
    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0, "pipe");
    for _ in 0..processes {
        // SAFETY: no other thread runs; the child makes system calls only, and ends.
        unsafe {
            let child = libc::fork();
            assert!(child >= 0, "fork");
            if child == 0 {
                let began = thread_cpu();
                for call in 0..each {
                    getppid();
                    if call % 1000 == 999 {
                        libc::sched_yield();
                    }
                }
                let nanoseconds = u64::try_from(cpu_since(began).as_nanos()).unwrap_or(u64::MAX);
                libc::write(pipe[1], (&raw const nanoseconds).cast(), 8);
                libc::_exit(0);
            }
        }
    }
    let mut total = 0;
    for _ in 0..processes {
        let mut nanoseconds = 0_u64;
        // SAFETY: eight bytes, which each child writes at once.
        unsafe {
            assert_eq!(
                libc::read(pipe[0], (&raw mut nanoseconds).cast(), 8),
                8,
                "a child reports"
            );
            libc::wait(std::ptr::null_mut());
        }
        total += nanoseconds;
    }
    json!({"times": each * processes, "cpuNs": total as f64 / (each * processes) as f64})
}

#[expect(clippy::print_stderr, reason = "usage")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(kind), Some(out)) = (arguments.next(), arguments.next()) else {
        eprintln!("workload-load KIND OUT [NAME=VALUE...]");
        std::process::exit(2);
    };
    let options = Options(
        arguments
            .filter_map(|argument| {
                argument
                    .split_once('=')
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
            })
            .collect(),
    );
    let truth = match kind.as_str() {
        "cost" => cost(&options),
        "hold" => hold(&options),
        "calls" => calls(&options),
        "files" => files(&options),
        "connections" => connections(&options),
        "executions" => executions(&options),
        "processes" => processes(&options),
        "idle" => {
            std::thread::sleep(Duration::from_millis(options.number("milliseconds")));
            Value::Null
        }
        _ => panic!("unknown load {kind}"),
    };
    std::fs::write(&out, truth.to_string()).expect("the result can be written");
}

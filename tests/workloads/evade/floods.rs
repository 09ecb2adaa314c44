//! One rare act within a flood of others.

use crate::harness::{V4, c, file};
use crate::raw::{Address, bind, connect, fork, listen, loopback, port, reap, send_to, socket};
use serde_json::{Value, json};

/// One opening and one connection within a flood of calls.
pub(crate) fn flood(folder: &str) -> Value {
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
pub(crate) fn flood_of_names(folder: &str) -> Value {
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
pub(crate) fn flood_of_programs(folder: &str) -> Value {
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
pub(crate) fn flood_of_peers(_: &str) -> Value {
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

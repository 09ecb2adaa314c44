//! Real servers, whose own statistics are the truth.

use crate::harness::{SOON, check_document, has_program};
use procmon_tests::document::{read, rows};
use procmon_tests::profiled::{folder, local};
use procmon_tests::{Running, has_bpf, wait_for};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

/// A port that nobody listens on now.
fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The only row of the server's own traffic on this port.
fn inbound(document: &Value, port: u16) -> &Value {
    let found: Vec<&Value> = rows(document, "network")
        .filter(|row| row["direction"] == "inbound" && row["local"]["port"] == port)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

#[test]
fn nginx_opens_its_file_and_writes_its_log_once_for_every_request() {
    const REQUESTS: u64 = 400;
    const REQUEST: &str = "GET /page.html HTTP/1.0\r\n\r\n";
    if !has_bpf() || !has_program("nginx") {
        return;
    }
    let (_folder, base) = folder();
    let (document, port) = (base.join("p.json"), free_port());
    let page = vec![b'p'; 3000];
    std::fs::write(base.join("page.html"), &page).unwrap();
    // The workers give up their rights, and still have to reach the page.
    Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(&base)
        .status()
        .unwrap();
    let here = base.display();
    let settings = format!(
        "daemon off; worker_processes 2; pid {here}/pid; error_log {here}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log {here}/access.log; sendfile off; server {{ listen 127.0.0.1:{port}; root {here}; }} }}\n"
    );
    std::fs::write(base.join("nginx.conf"), settings).unwrap();
    let running = Running::start(
        local(&document, &["--duration", "60s", "--", "nginx", "-c"])
            .arg(base.join("nginx.conf"))
            .env("PATH", "/usr/sbin:/usr/bin:/bin"),
    );
    let nginx = wait_for("nginx", SOON, || {
        std::fs::read_to_string(base.join("pid"))
            .ok()?
            .trim()
            .parse::<i32>()
            .ok()
    });
    for _ in 0..REQUESTS {
        let mut stream = wait_for("a connection", SOON, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        stream.write_all(REQUEST.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(&page));
    }
    assert!(
        Command::new("kill")
            .args(["-QUIT", &nginx.to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(running.wait(SOON).success());
    let document = read(&document);
    check_document(&document);
    let served = inbound(&document, port);
    assert_eq!(served["connections"], REQUESTS, "{served}");
    assert_eq!(
        served["bytesReceived"],
        REQUESTS * REQUEST.len() as u64,
        "{served}"
    );
    let file = |name: &str| {
        let path = base.join(name).display().to_string();
        rows(&document, "files")
            .find(|row| row["path"] == path.as_str())
            .unwrap_or_else(|| panic!("{path} has no row"))
    };
    let (page, log) = (file("page.html"), file("access.log"));
    assert_eq!(page["operations"]["open"], REQUESTS, "{page}");
    assert_eq!(page["bytesRead"], REQUESTS * 3000, "{page}");
    assert_eq!(log["operations"]["write"], REQUESTS, "{log}");
    assert_eq!(
        log["bytesWritten"],
        std::fs::metadata(base.join("access.log")).unwrap().len(),
        "{log}"
    );
}

#[test]
fn redis_counts_its_connections_and_bytes_as_we_do() {
    if !has_bpf() || !has_program("redis-server") || !has_program("redis-benchmark") {
        return;
    }
    let (_folder, base) = folder();
    let (document, port) = (base.join("p.json"), free_port());
    let text = port.to_string();
    let server = [
        "--duration",
        "60s",
        "--",
        "redis-server",
        "--port",
        &text,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
    ];
    let running = Running::start(local(&document, &server).arg(&base).stdout(Stdio::null()));
    // A connection that does not succeed is none of the server's.
    wait_for("redis", SOON, || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
    let load = Command::new("redis-benchmark")
        .args([
            "-p", &text, "-n", "20000", "-c", "10", "-t", "set,get", "-q",
        ])
        .output()
        .unwrap();
    assert!(load.status.success(), "{load:?}");
    let info = Command::new("redis-cli")
        .args(["-p", &text, "info", "stats"])
        .output()
        .unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    let number = |name: &str| -> u64 {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let _ = Command::new("redis-cli")
        .args(["-p", &text, "shutdown", "nosave"])
        .output()
        .unwrap();
    assert!(running.wait(SOON).success());
    let document = read(&document);
    check_document(&document);
    let served = inbound(&document, port);
    // One connection more tells the server to end.
    assert_eq!(
        served["connections"],
        number("total_connections_received") + 1,
        "{served}"
    );
    let last = served["bytesReceived"].as_u64().unwrap() - number("total_net_input_bytes");
    assert!(
        (20..200).contains(&last),
        "{last} bytes to tell it: {served}"
    );
    let version = rows(&document, "processes")
        .find(|row| row["argv"][0] == "redis-server")
        .expect("the server has a row");
    assert_eq!(version["exits"]["0"], 1, "{version}");
}

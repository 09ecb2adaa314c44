//! Load on a server from outside of its process tree, at a bounded rate.

use super::kind::{PAGES, postgres_program, program, succeed};
use super::{Kind, Site};
use crate::Running;
use std::io::{BufRead as _, BufReader, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The kind of requests that clients make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// The same requests in the same order, by the same number of clients.
    Same,
    /// Other names, keys and sizes, more clients, more new connections; with some seeds the log is
    /// rotated.
    Varied(u64),
}

/// Clients at work until this is dropped.
#[derive(Debug)]
pub struct Traffic {
    progress: Arc<Progress>,
    clients: Vec<JoinHandle<()>>,
    _programs: Vec<Running>,
}

/// The state that clients and the test share.
#[derive(Debug, Default)]
struct Progress {
    stop: AtomicBool,
    answers: AtomicU64,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn answered(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// Numbers that only depend on the seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

impl Load {
    fn clients(self) -> u64 {
        match self {
            Self::Same => 2,
            Self::Varied(seed) => 3 + seed % 4,
        }
    }

    fn dice(self, client: u64) -> Dice {
        let seed = match self {
            Self::Same => 1,
            Self::Varied(seed) => seed + 2,
        };
        let mut dice = Dice(((seed << 8) | (client + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(2);
        dice
    }

    /// The log is moved away within the window.
    fn rotates(self) -> bool {
        matches!(self, Self::Varied(seed) if seed % 3 == 1)
    }
}

impl Traffic {
    /// Starts the clients. `server` is the server's process, which is told when its log was moved.
    #[must_use]
    pub fn start(site: &Site, load: Load, server: i32) -> Self {
        let progress = Arc::new(Progress::default());
        let mut clients = Vec::new();
        let mut programs = Vec::new();
        match site.kind {
            Kind::Postgres => programs = benchmarks(site, load),
            Kind::Cron => {}
            _ => {
                for client in 0..load.clients() {
                    let (site, progress) = (site.clone(), Arc::clone(&progress));
                    clients.push(std::thread::spawn(move || {
                        client_loop(&site, load, client, &progress);
                    }));
                }
            }
        }
        let (site, house) = (site.clone(), Arc::clone(&progress));
        clients.push(std::thread::spawn(move || {
            keep_house(&site, load, server, &house);
        }));
        Self {
            progress,
            clients,
            _programs: programs,
        }
    }

    /// Requests that were answered; the job gets none.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.progress.answers.load(Ordering::SeqCst)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

/// A connection to the server, for as long as that keeps it.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// One request over HTTP; the answer's body is thrown away. Whether the connection stays.
    fn request(&mut self, request: &Request, keep: bool) -> Result<bool> {
        let connection = if keep { "keep-alive" } else { "close" };
        let (method, path) = (request.method, &request.path);
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nHost: site\r\nConnection: {connection}\r\n");
        if method == "POST" {
            text.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&request.body);
        self.0.get_mut().write_all(text.as_bytes())?;
        let mut length = None;
        let mut stays = keep;
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line)? <= 2 {
                break;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse::<u64>().ok();
            }
            stays &= line != "connection: close";
        }
        if let Some(length) = length {
            std::io::copy(&mut (&mut self.0).take(length), &mut std::io::sink())?;
        } else {
            self.0.read_to_end(&mut Vec::new())?;
            stays = false;
        }
        Ok(stays)
    }

    /// One command of redis; answers are read up to the end of the first.
    fn command(&mut self, words: &[String]) -> Result<()> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(text.as_bytes())?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> Result<()> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let number = line[1..].trim().parse::<i64>().unwrap_or(0);
        match line.as_bytes()[0] {
            b'$' if number >= 0 => {
                let length = u64::try_from(number).expect("not negative") + 2;
                std::io::copy(&mut (&mut self.0).take(length), &mut std::io::sink())?;
            }
            b'*' => {
                for _ in 0..number {
                    self.read_answer()?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A request to a server that speaks HTTP.
struct Request {
    method: &'static str,
    path: String,
    body: String,
}

/// The request of one step. All kinds of them come within 12 steps.
fn request(load: Load, step: u64, dice: &mut Dice) -> Request {
    let varied = load != Load::Same;
    let get = |path: String| Request {
        method: "GET",
        path,
        body: String::new(),
    };
    let size = if varied {
        100 + dice.below(20_000)
    } else {
        4000
    };
    let body = "a line of text\n".repeat(usize::try_from(size / 15).expect("a small number"));
    match step % 12 {
        0 | 1 | 4 | 5 | 8 => {
            let page = if varied {
                dice.below(PAGES)
            } else {
                step % (PAGES / 3)
            };
            get(format!("/files/{page}.txt"))
        }
        2 => Request {
            method: "POST",
            path: "/notes".into(),
            body: body.chars().take(80).collect(),
        },
        3 => get(if varied {
            format!("/hello?name={}", dice.below(1000))
        } else {
            "/hello".into()
        }),
        6 | 7 => get("/backend".into()),
        9 => Request {
            method: "POST",
            path: "/upload".into(),
            body,
        },
        10 => get(if varied {
            format!("/files/none-{}.txt", dice.below(4))
        } else {
            "/files/none-0.txt".into()
        }),
        // A helper program is dear: once in a while.
        _ if step % 36 == 11 => get("/run".into()),
        _ => get("/".into()),
    }
}

/// A command of redis.
fn redis_command(load: Load, step: u64, dice: &mut Dice) -> Vec<String> {
    let varied = load != Load::Same;
    let number = if varied { dice.below(5000) } else { step % 50 };
    let size = if varied { 1 + dice.below(8000) } else { 500 };
    let value = "v".repeat(usize::try_from(size).expect("a small number"));
    match step % 8 {
        0 | 1 => vec!["SET".into(), format!("key:{number}"), value],
        2 | 3 => vec!["GET".into(), format!("key:{number}")],
        4 => vec!["INCR".into(), "counter".into()],
        5 => vec!["LPUSH".into(), format!("list:{}", number % 10), value],
        6 => vec![
            "LTRIM".into(),
            format!("list:{}", number % 10),
            "0".into(),
            "20".into(),
        ],
        _ if varied => vec!["DEL".into(), format!("key:{number}")],
        _ => vec!["PING".into()],
    }
}

/// One client: asks, pauses, connects again as often as its load wants.
fn client_loop(site: &Site, load: Load, client: u64, progress: &Progress) {
    let mut dice = load.dice(client);
    let mut connection: Option<Connection> = None;
    let mut step = 0;
    while !progress.is_over() {
        let keep = match load {
            // The first client stays, the second connects again with every request.
            Load::Same => client == 0,
            Load::Varied(seed) => dice.below(8) >= seed % 8,
        };
        let mut ask = || -> Result<bool> {
            let open = match &mut connection {
                Some(open) => open,
                none => none.insert(Connection::open(site.port)?),
            };
            if site.kind == Kind::Redis {
                open.command(&redis_command(load, step, &mut dice))
                    .map(|()| keep)
            } else {
                open.request(&request(load, step, &mut dice), keep)
            }
        };
        // A server that is being restarted is asked again.
        let result = ask();
        if result.is_ok() {
            progress.answered();
        }
        if !result.unwrap_or(false) {
            connection = None;
        }
        step += 1;
        std::thread::sleep(Duration::from_millis(12));
    }
}

/// Starts PostgreSQL's own clients with the statements of the load.
fn benchmarks(site: &Site, load: Load) -> Vec<Running> {
    let start = |arguments: &[&str]| {
        Running::start(
            Command::new(postgres_program("pgbench").expect("PostgreSQL is installed"))
                .args(["-h", "127.0.0.1", "-U", "postgres", "-n", "-T", "600", "-p"])
                .arg(site.port.to_string())
                .args(arguments)
                .arg("postgres")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    };
    match load {
        Load::Same => vec![
            start(&["-c", "2", "-R", "60", "--random-seed=1"]),
            start(&["-C", "-S", "-c", "1", "-R", "8", "--random-seed=1"]),
        ],
        Load::Varied(seed) => {
            let clients = (2 + seed % 4).to_string();
            let random = format!("--random-seed={seed}");
            let mode = if seed.is_multiple_of(2) { "-S" } else { "-N" };
            vec![
                start(&["-c", &clients, "-R", "60", &random]),
                start(&["-C", mode, "-c", "2", "-R", "16", &random]),
            ]
        }
    }
}

/// Statements for PostgreSQL, by its shell. A server that is being restarted takes none.
fn sql(site: &Site, statements: &str, progress: &Progress) {
    let status = Command::new(program("psql").expect("PostgreSQL's client is installed"))
        .args(["-h", "127.0.0.1", "-U", "postgres", "-q", "-X", "-p"])
        .arg(site.port.to_string())
        .args(["-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", statements])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if status.is_ok_and(|status| status.success()) {
        progress.answered();
    }
}

/// PostgreSQL takes statements.
pub(super) fn is_ready(site: &Site) -> bool {
    Command::new(postgres_program("pg_isready").expect("PostgreSQL is installed"))
        .args(["-q", "-h", "127.0.0.1", "-p"])
        .arg(site.port.to_string())
        .status()
        .is_ok_and(|status| status.success())
}

/// Fills PostgreSQL's data before its first window.
pub(super) fn fill(site: &Site) {
    succeed(
        Command::new(postgres_program("pgbench").expect("PostgreSQL is installed"))
            .args(["-h", "127.0.0.1", "-U", "postgres", "-i", "-q", "-p"])
            .arg(site.port.to_string())
            .arg("postgres"),
    );
}

/// The work of operators and of the time of day: logs are moved away, data is packed, jobs get other input.
fn keep_house(site: &Site, load: Load, server: i32, progress: &Progress) {
    let mut rotated = false;
    for round in 0_u64.. {
        for _ in 0..10 {
            if progress.is_over() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        match (site.kind, load) {
            (Kind::Postgres, _) => maintain_postgres(site, load, round, progress),
            (Kind::Cron, Load::Varied(seed)) => {
                let page = format!("data/{}.txt", 4 + (seed + round) % 4);
                let _ = std::fs::write(site.at(&page), "another page\n".repeat(50));
            }
            _ => {}
        }
        if load.rotates() && !rotated && round > 0 {
            rotated = true;
            rotate(site, server, progress);
        }
    }
}

/// Checkpoints and sorts that need the disk are part of every window; new tables are not.
fn maintain_postgres(site: &Site, load: Load, round: u64, progress: &Progress) {
    sql(
        site,
        "CHECKPOINT; SELECT count(*) FROM (SELECT * FROM pgbench_accounts ORDER BY filler, aid OFFSET 90000) AS sorted",
        progress,
    );
    if let Load::Varied(seed) = load {
        let table = format!("extra_{seed}_{round}");
        let statements = format!(
            "CREATE TABLE {table} AS SELECT generate_series(1, 500) AS number; DROP TABLE {table}; SELECT pg_switch_wal()"
        );
        sql(site, &statements, progress);
    }
}

/// Moves the log away and tells the server, as logrotate does.
fn rotate(site: &Site, server: i32, progress: &Progress) {
    let signal = match site.kind {
        Kind::Nginx => Some(libc::SIGUSR1),
        Kind::Node => Some(libc::SIGUSR2),
        // These servers open their log again with every line.
        Kind::Redis | Kind::Cron | Kind::Postgres => None,
        // These rotate by themselves.
        Kind::Java | Kind::Python => return,
    };
    let log = site.log();
    let _ = std::fs::rename(&log, format!("{log}.1"));
    if let Some(signal) = signal {
        // SAFETY: numbers only; the process is a server that this run started and that still runs.
        #[expect(unsafe_code, reason = "kill")]
        let sent = unsafe { libc::kill(server, signal) };
        assert_eq!(sent, 0, "the server is there to be told");
    }
    if site.kind == Kind::Postgres {
        sql(site, "SELECT pg_rotate_logfile()", progress);
    }
}

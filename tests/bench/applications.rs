//! Whole applications: nginx under wrk, redis under redis-benchmark.

use crate::contender::{Contender, read};
use crate::cost::wait_for_quiet;
use crate::statistics::Samples;
use crate::throughput::lost;
use procmon_tests::Running;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The contenders that applications run under.
const CONTENDERS: [Contender; 5] = [
    Contender::Nothing,
    Contender::Procmon,
    Contender::BpftraceCount,
    Contender::Strace,
    Contender::PerfTrace,
];
const SOON: Duration = Duration::from_secs(30);
/// How long a tool may take to say what it saw.
const AT_MOST: Duration = Duration::from_mins(2);

/// A server and what loads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    Nginx,
    Redis,
}

/// The rate and latencies of one load.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Reached {
    pub(crate) per_second: Samples,
    pub(crate) p99_ms: Samples,
}

/// All applications.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Applications {
    /// The results by load (`nginx`, `redis GET` …) and contender.
    pub(crate) reached: BTreeMap<String, BTreeMap<Contender, Reached>>,
    /// Loads that could not be measured, and why.
    pub(crate) absent: Vec<String>,
    /// Losses of their profiles.
    pub(crate) lost: Vec<String>,
}

/// One sample: name of the load, requests per second, p99 in milliseconds.
type Sample = (String, f64, f64);

/// Runs all, round by round in turn.
pub(crate) fn measure(
    rounds: usize,
    seconds: u64,
    folder: &Path,
    progress: &dyn Fn(&str),
) -> Applications {
    let mut all = Applications::default();
    for application in [Application::Nginx, Application::Redis] {
        let mut here: Vec<Contender> = CONTENDERS.to_vec();
        for round in 1..=rounds {
            progress(&format!(
                "{}: round {round} of {rounds}",
                application.server()
            ));
            here.retain(|contender| {
                let _ = wait_for_quiet();
                match application.run(*contender, seconds, folder) {
                    Ok((samples, lost)) => {
                        for (name, per_second, p99) in samples {
                            let reached = all.reached.entry(name).or_default();
                            let reached = reached.entry(*contender).or_default();
                            reached.per_second.0.push(per_second);
                            reached.p99_ms.0.push(p99);
                        }
                        all.lost.extend(lost);
                        true
                    }
                    Err(why) => {
                        let what =
                            format!("{} under {}: {why}", application.server(), contender.name());
                        progress(&what);
                        all.absent.push(what);
                        false
                    }
                }
            });
        }
    }
    all
}

impl Application {
    fn server(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Redis => "redis-server",
        }
    }

    /// Path of the server: bpftrace looks for none by itself.
    fn program(self) -> Result<String, String> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders)
            .map(|folder| folder.join(self.server()))
            .find(|path| path.is_file())
            .map(|path| path.display().to_string())
            .ok_or_else(|| format!("`{}` is not installed", self.server()))
    }

    /// Starts the server under a contender, loads it, stops it. Gives samples, and what a profile
    /// lost.
    fn run(
        self,
        contender: Contender,
        seconds: u64,
        folder: &Path,
    ) -> Result<(Vec<Sample>, Option<String>), String> {
        let folder = folder.join(self.server());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let mut command = contender.command(&self.command(port, &folder)?, &folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Running::start(&mut command);
        let deadline = Instant::now() + SOON;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                let _ = self.stop(port, &folder);
                return Err(format!("it does not answer within {} s", SOON.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let samples = self.load(port, seconds, contender.is_slow());
        self.stop(port, &folder)?;
        let _ = server.wait(AT_MOST);
        let lost = if contender.profiles() {
            let profile = read(&folder.join("profile.json"))?;
            let lost = lost(&profile);
            let partial = profile["completeness"]["complete"] != true;
            (partial || !lost.is_empty()).then(|| format!("{}: {lost}", self.server()))
        } else {
            None
        };
        Ok((samples?, lost))
    }

    /// One process that serves a small page, or keys in memory.
    fn command(self, port: u16, folder: &Path) -> Result<Vec<String>, String> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let place = folder.display().to_string();
        match self {
            Self::Nginx => {
                let settings = format!(
                    "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;\n\
                     events {{}}\nhttp {{ access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;\n\
                     fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
                     server {{ listen 127.0.0.1:{port}; root {place}; }} }}\n"
                );
                std::fs::write(folder.join("index.html"), "x".repeat(612))
                    .and_then(|()| std::fs::write(folder.join("nginx.conf"), settings))
                    .map_err(|error| error.to_string())?;
                Ok(words(&[&self.program()?, "-p", &place, "-c", "nginx.conf"]))
            }
            Self::Redis => {
                let settings = format!("bind 127.0.0.1\nport {port}\nsave \"\"\ndir {place}\n");
                let path = folder.join("redis.conf");
                std::fs::write(&path, settings).map_err(|error| error.to_string())?;
                Ok(words(&[&self.program()?, &path.display().to_string()]))
            }
        }
    }

    fn load(self, port: u16, seconds: u64, is_slow: bool) -> Result<Vec<Sample>, String> {
        let mut command = match self {
            Self::Nginx => {
                let mut wrk = Command::new("wrk");
                wrk.args(["-t1", "-c32", "--latency"])
                    .arg(format!("-d{seconds}s"))
                    .arg(format!("http://127.0.0.1:{port}/"));
                wrk
            }
            Self::Redis => {
                // About as many as it answers in that time.
                let requests = seconds * if is_slow { 4_000 } else { 40_000 };
                let mut benchmark = Command::new("redis-benchmark");
                benchmark
                    .args(["-t", "set,get", "-c", "32", "--csv", "-p"])
                    .arg(port.to_string())
                    .args(["-n", &requests.to_string()]);
                benchmark
            }
        };
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let samples = match self {
            Self::Nginx => wrk(&text).into_iter().collect(),
            Self::Redis => redis_benchmark(&text),
        };
        if samples.is_empty() {
            return Err(format!("unexpected output: {text}"));
        }
        Ok(samples)
    }

    fn stop(self, port: u16, folder: &Path) -> Result<(), String> {
        match self {
            Self::Nginx => {
                let pid = std::fs::read_to_string(folder.join("pid"))
                    .map_err(|error| format!("nginx's pid: {error}"))?;
                let status = Command::new("kill").arg(pid.trim()).status();
                status.map(|_| ()).map_err(|error| error.to_string())
            }
            Self::Redis => TcpStream::connect(("127.0.0.1", port))
                .and_then(|mut stream| stream.write_all(b"SHUTDOWN NOSAVE\r\n"))
                .map_err(|error| error.to_string()),
        }
    }
}

/// Reads the output of wrk with `--latency`.
fn wrk(text: &str) -> Option<Sample> {
    let after = |name: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(name))
            .map(str::trim)
    };
    let per_second = after("Requests/sec:")?.parse().ok()?;
    let p99 = after("99%")?;
    let digits = p99.trim_end_matches(char::is_alphabetic);
    let unit = match &p99[digits.len()..] {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => return None,
    };
    Some((
        "nginx".to_owned(),
        per_second,
        digits.parse::<f64>().ok()? * unit,
    ))
}

/// Reads the output of redis-benchmark with `--csv`: a line for each test.
fn redis_benchmark(text: &str) -> Vec<Sample> {
    let mut lines = text
        .lines()
        .map(|line| line.split(',').map(|cell| cell.trim_matches('"')).collect());
    let Some(names): Option<Vec<&str>> = lines.next() else {
        return Vec::new();
    };
    let column = |name: &str| names.iter().position(|found| *found == name);
    let (Some(rate), Some(p99)) = (column("rps"), column("p99_latency_ms")) else {
        return Vec::new();
    };
    lines
        .filter_map(|cells: Vec<&str>| {
            Some((
                format!("redis {}", cells.first()?),
                cells.get(rate)?.parse().ok()?,
                cells.get(p99)?.parse().ok()?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{redis_benchmark, wrk};

    #[test]
    fn what_wrk_prints_is_understood() {
        let text = "Running 3s test\n  Latency Distribution\n     50%  512.00us\n     99%    1.25ms\n  9 requests in 3.00s\nRequests/sec:  51234.50\nTransfer/sec:  1.2MB\n";
        assert_eq!(wrk(text), Some(("nginx".to_owned(), 51234.5, 1.25)));
        assert_eq!(wrk("unable to connect"), None);
    }

    #[test]
    fn what_redis_benchmark_prints_is_understood() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"p99_latency_ms\"\n\"GET\",\"90000.5\",\"0.1\",\"0.703\"\n";
        assert_eq!(
            redis_benchmark(text),
            [("redis GET".to_owned(), 90000.5, 0.703)]
        );
        assert!(redis_benchmark("Could not connect").is_empty());
    }
}

//! The servers: what each needs, its settings and data, its command.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files that the servers hand out; load of the same kind asks for the first third of them.
pub(super) const PAGES: u64 = 60;

/// A real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// nginx, with a backend behind it.
    Nginx,
    /// redis, which saves snapshots and appends to a log.
    Redis,
    /// PostgreSQL, as an unprivileged user.
    Postgres,
    /// A small HTTP server in Java.
    Java,
    /// A small HTTP server in Python, with a database and a log that rotates.
    Python,
    /// A small HTTP server in node.
    Node,
    /// A shell script again and again.
    Cron,
}

/// Where a server lives: the same for all of its windows.
#[derive(Clone, Debug)]
pub struct Site {
    /// The kind of the server.
    pub kind: Kind,
    /// All of its files.
    pub folder: PathBuf,
    /// Where it listens; the job does not.
    pub port: u16,
    /// Where its backend listens.
    pub backend: u16,
}

/// The full path of a program: the distribution's before any other.
#[must_use]
pub(super) fn program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .map(|path| path.display().to_string())
}

/// A program of PostgreSQL, of the newest version.
#[must_use]
pub(super) fn postgres_program(name: &str) -> Option<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max()?;
    let path = format!("/usr/lib/postgresql/{newest}/bin/{name}");
    Path::new(&path).is_file().then_some(path)
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Nginx,
        Self::Redis,
        Self::Postgres,
        Self::Java,
        Self::Python,
        Self::Node,
        Self::Cron,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Java => "java",
            Self::Python => "python",
            Self::Node => "node",
            Self::Cron => "cron",
        }
    }

    /// All that it needs is installed; says what is not.
    #[must_use]
    pub fn is_here(self) -> bool {
        let needed: &[&str] = match self {
            Self::Nginx => &["nginx"],
            Self::Redis => &["redis-server"],
            Self::Postgres => &["setpriv"],
            Self::Java => &["java", "javac"],
            Self::Python => &["python3"],
            Self::Node => &["node"],
            Self::Cron => &["gzip"],
        };
        let mut missing: Vec<&str> = needed
            .iter()
            .copied()
            .filter(|name| program(name).is_none())
            .collect();
        if self == Self::Postgres && postgres_program("pgbench").is_none() {
            missing.push("postgresql");
        }
        crate::has(
            "servers",
            missing.is_empty(),
            &format!(
                "{} needs {}: tests/setup/packages.sh",
                self.name(),
                missing.join(", ")
            ),
        )
    }

    /// The signal that ends it in good order.
    #[must_use]
    pub const fn stop_signal(self) -> i32 {
        match self {
            Self::Nginx => libc::SIGQUIT,
            // SIGTERM waits for clients to leave, which may never happen.
            Self::Postgres => libc::SIGINT,
            _ => libc::SIGTERM,
        }
    }
}

impl Site {
    /// A path in the server's folder.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The settings that it reads.
    #[must_use]
    pub fn settings(&self) -> String {
        self.at(match self.kind {
            Kind::Nginx => "nginx.conf",
            Kind::Redis => "redis.conf",
            Kind::Postgres => "data/postgresql.conf",
            Kind::Java => "app.properties",
            Kind::Python | Kind::Node => "app.json",
            Kind::Cron => "job.conf",
        })
    }

    /// The log that it writes.
    #[must_use]
    pub fn log(&self) -> String {
        self.at(match self.kind {
            Kind::Nginx => "access.log",
            Kind::Redis => "redis.log",
            Kind::Postgres => "log/postgresql.log",
            Kind::Java => "app.0.log",
            Kind::Python | Kind::Node => "app.log",
            Kind::Cron => "job.log",
        })
    }

    /// A program that is the server's own, and that only tells its version.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    pub fn version_command(&self) -> Vec<String> {
        let found = |name: &str| program(name).unwrap_or_else(|| panic!("{name} is not installed"));
        match self.kind {
            Kind::Nginx => vec![found("nginx"), "-v".into()],
            Kind::Redis => vec![found("redis-server"), "--version".into()],
            Kind::Postgres => vec![
                postgres_program("postgres").expect("PostgreSQL is installed"),
                "--version".into(),
            ],
            Kind::Java => vec![found("java"), "-version".into()],
            Kind::Python => vec![found("python3"), "--version".into()],
            Kind::Node => vec![found("node"), "--version".into()],
            Kind::Cron => vec![found("gzip"), "--version".into()],
        }
    }

    /// The command that the agent starts.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let words: Vec<&str> = match self.kind {
            Kind::Nginx => vec!["nginx", "-p", "%", "-c", "%/nginx.conf"],
            Kind::Redis => vec!["redis-server", "%/redis.conf"],
            Kind::Postgres => vec![
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                "--pdeathsig=INT",
                "postgres",
                "-D",
                "%/data",
            ],
            Kind::Java => vec![
                "java",
                "-Xmx128m",
                "-cp",
                "%/classes",
                "App",
                "%/app.properties",
            ],
            Kind::Python => vec!["python3", "%/app.py", "%/app.json"],
            Kind::Node => vec!["node", "%/app.js", "%/app.json"],
            Kind::Cron => vec!["sh", "%/loop.sh", "%"],
        };
        let folder = self.folder.display().to_string();
        words
            .into_iter()
            .enumerate()
            .map(|(position, word)| match (position, word) {
                (5, "postgres") => postgres_program(word).expect("PostgreSQL is installed"),
                (0, _) => program(word).unwrap_or_else(|| panic!("{word} is not installed")),
                _ => word.replace('%', &folder),
            })
            .collect()
    }

    /// Writes settings and data into the empty folder.
    ///
    /// # Panics
    /// When that fails.
    pub fn prepare(&self) {
        for folder in ["data", "tmp", "log"] {
            std::fs::create_dir_all(self.at(folder)).expect("a folder");
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&self.folder, mode).expect("chmod");
        if self.kind == Kind::Postgres {
            self.prepare_postgres();
        } else {
            for page in 0..PAGES {
                let line = format!("page {page} of the site\n");
                let lines = 10 + usize::try_from(page * 7 % 200).expect("a small number");
                self.write(&format!("data/{page}.txt"), &line.repeat(lines));
            }
        }
        let folder = self.folder.display();
        let (port, backend) = (self.port, self.backend);
        match self.kind {
            Kind::Nginx => self.write(
                "nginx.conf",
                &format!(
                    "daemon off; user nobody nogroup; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
                     events {{ worker_connections 128; }}\n\
                     http {{\n\
                     access_log {folder}/access.log; sendfile on; client_body_buffer_size 1k;\n\
                     client_body_temp_path {folder}/tmp/body; proxy_temp_path {folder}/tmp/proxy;\n\
                     fastcgi_temp_path {folder}/tmp/fastcgi; uwsgi_temp_path {folder}/tmp/uwsgi; scgi_temp_path {folder}/tmp/scgi;\n\
                     server {{ listen 127.0.0.1:{port}; root {folder}; rewrite ^/files/(.*)$ /data/$1;\n\
                     location /data/ {{ }}\n\
                     location / {{ proxy_pass http://127.0.0.1:{backend}; }} }}\n\
                     }}\n"
                ),
            ),
            Kind::Redis => self.write(
                "redis.conf",
                &format!(
                    "bind 127.0.0.1\nport {port}\ndir {folder}/data\nlogfile {folder}/redis.log\ndaemonize no\n\
                     save 1 10\nappendonly yes\nunixsocket {folder}/redis.sock\n"
                ),
            ),
            Kind::Postgres | Kind::Cron => {}
            Kind::Java => {
                self.write(
                    "app.properties",
                    &format!(
                        "folder={folder}\nport={port}\nbackend=http://127.0.0.1:{backend}/java\n"
                    ),
                );
                self.write("App.java", include_str!("../../workloads/apps/App.java"));
                let classes = self.at("classes");
                succeed(Command::new("javac").args(["-d", &classes, &self.at("App.java")]));
            }
            Kind::Python | Kind::Node => {
                let url = format!("http://127.0.0.1:{backend}/{}", self.kind.name());
                let settings =
                    serde_json::json!({"folder": self.folder, "port": port, "backend": url});
                self.write("app.json", &settings.to_string());
            }
        }
        match self.kind {
            Kind::Python => self.write("app.py", include_str!("../../workloads/apps/app.py")),
            Kind::Node => self.write("app.js", include_str!("../../workloads/apps/app.js")),
            Kind::Cron => {
                self.write("job.conf", "word=page\n");
                self.write("loop.sh", include_str!("../../workloads/apps/loop.sh"));
                self.write("job.sh", include_str!("../../workloads/apps/job.sh"));
                // A job has few pages: each is a process.
                for page in 4..PAGES {
                    std::fs::remove_file(self.at(&format!("data/{page}.txt"))).expect("unlink");
                }
            }
            _ => {}
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("a file in the server's folder");
    }

    /// A cluster of its own, which belongs to the user that the package made.
    fn prepare_postgres(&self) {
        let folder = self.folder.display();
        std::fs::remove_dir(self.at("data")).expect("rmdir");
        succeed(Command::new("chown").args([
            "postgres:postgres",
            &format!("{folder}"),
            &self.at("log"),
        ]));
        let initdb = postgres_program("initdb").expect("PostgreSQL is installed");
        succeed(
            Command::new("setpriv")
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .args([
                    &initdb,
                    "-D",
                    &self.at("data"),
                    "--auth=trust",
                    "--no-sync",
                    "--locale=C.UTF-8",
                ])
                .current_dir(&self.folder),
        );
        let settings = self.at("data/postgresql.conf");
        let mut text = std::fs::read_to_string(&settings).expect("initdb wrote it");
        text.push_str(&format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{folder}'\nmax_connections = 40\n\
             shared_buffers = 16MB\nfsync = off\nwork_mem = '64kB'\nautovacuum_naptime = 1s\nmin_wal_size = 32MB\nmax_wal_size = 64MB\n\
             logging_collector = on\nlog_directory = '{folder}/log'\nlog_filename = 'postgresql.log'\nlog_min_duration_statement = 20ms\n",
            self.port
        ));
        std::fs::write(&settings, text).expect("settings");
    }
}

/// Runs a command of the set-up.
pub(super) fn succeed(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

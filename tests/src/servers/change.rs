//! Changes that a defender has to notice, and what is expected of the notice.

use super::kind::{program, succeed};
use super::{Kind, Outside, Site};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder that stands for a package's settings.
const SETTINGS: &str = "/etc/procmon-test";
/// A job of the machine; holds a comment only.
const CRON: &str = "/etc/cron.d/procmon-test";
/// A program on everybody's path.
const LOCAL_PROGRAM: &str = "/usr/local/bin/procmon-test";
/// A link that leads elsewhere.
const LINK: &str = "/tmp/procmon-test-link";
/// A program that was dropped.
const DROPPED: &str = "/tmp/procmon-test-dropped";
/// The top folder of what looks like a pod's credentials, when it was not there before.
const SECRETS: &str = "/var/run/secrets";

/// What one window has more than the others.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name.
    pub name: &'static str,
    /// What happens, in a few words.
    pub what: &'static str,
    /// Requests to the agent.
    pub steps: Vec<Vec<String>>,
    /// Dimension of the row that must tell.
    pub dimension: &'static str,
    /// What the row's key must contain.
    pub words: Vec<String>,
    /// What the row must say somewhere.
    pub also: Vec<String>,
    /// The least severity that a defender expects.
    pub severity: &'static str,
    /// The server has to be restarted afterwards.
    pub restarts: bool,
}

impl Change {
    /// What an evaluation needs to know.
    #[must_use]
    pub fn expectation(&self) -> Value {
        json!({"what": self.what, "dimension": self.dimension, "words": self.words, "also": self.also, "severity": self.severity})
    }
}

/// Makes what the changes need, and takes it away when dropped.
#[derive(Debug)]
pub struct Props {
    created: Vec<PathBuf>,
    settings: Vec<(PathBuf, Vec<u8>)>,
    /// A library to be loaded before others, where a C compiler is installed.
    pub library: Option<String>,
    /// Where the token is read.
    pub token: String,
    // Names outside of the server's folder are there once: one server at a time.
    _lock: File,
}

impl Props {
    /// Makes them for one server.
    ///
    /// # Panics
    /// When something can't be made, or was there before.
    #[must_use]
    pub fn make(site: &Site) -> Self {
        let lock = File::create(std::env::temp_dir().join("procmon-servers.lock")).expect("a lock");
        lock.lock().expect("a lock");
        let mut props = Self {
            _lock: lock,
            created: Vec::new(),
            settings: Vec::new(),
            library: None,
            token: format!("{SECRETS}/kubernetes.io/serviceaccount/token"),
        };
        for path in [CRON, LOCAL_PROGRAM, LINK, DROPPED] {
            // Of an earlier run, killed: nobody else uses these names.
            let _ = std::fs::remove_file(path);
        }
        props.make_folder(Path::new(SETTINGS));
        let token = PathBuf::from(&props.token);
        props.make_folder(token.parent().expect("it has one"));
        if !token.exists() {
            std::fs::write(&token, "not.a.token\n").expect("a file");
            props.created.push(token);
        }
        let settings = format!("{SETTINGS}/x.conf");
        std::fs::write(&settings, "x = 1\n").expect("a file");
        props.created.push(settings.into());
        for name in ["secret", "given", "tool", "tool-new", "guarded"] {
            std::fs::write(site.at(name), "of no use\n").expect("a file");
        }
        std::fs::create_dir_all(site.at("mounted")).expect("a folder");
        if let Some(compiler) = program("cc") {
            let (source, library) = (site.at("preload.c"), site.at("preload.so"));
            std::fs::write(&source, "int procmon_preloaded = 1;\n").expect("a file");
            succeed(Command::new(compiler).args(["-shared", "-fPIC", "-o", &library, &source]));
            props.library = Some(library);
        }
        let own = PathBuf::from(site.settings());
        props
            .settings
            .push((own.clone(), std::fs::read(own).expect("settings")));
        props
    }

    /// Makes a folder with those above it, and remembers which were made.
    fn make_folder(&mut self, folder: &Path) {
        if folder.exists() {
            return;
        }
        if let Some(above) = folder.parent() {
            self.make_folder(above);
        }
        std::fs::create_dir(folder).expect("a folder");
        self.created.push(folder.to_owned());
    }

    /// Undoes what a change left.
    pub fn undo(&self) {
        for path in [CRON, LOCAL_PROGRAM, LINK, DROPPED] {
            let _ = std::fs::remove_file(path);
        }
        for (path, text) in &self.settings {
            // Written in place: owner and mode stay.
            let _ = std::fs::write(path, text);
        }
    }
}

impl Drop for Props {
    fn drop(&mut self) {
        self.undo();
        for path in self.created.iter().rev() {
            // Only what is empty goes.
            let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
        }
    }
}

/// Builds the table.
struct Table(Vec<Change>);

impl Table {
    /// Adds a change: dimension and severity, words of the key, words of the row, then the steps.
    fn add(
        &mut self,
        (name, what): (&'static str, &'static str),
        (dimension, severity): (&'static str, &'static str),
        words: &[&str],
        also: &[&str],
        steps: &[&[&str]],
    ) {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        self.0.push(Change {
            name,
            what,
            steps: steps.iter().map(|step| owned(step)).collect(),
            dimension,
            words: owned(words),
            also: owned(also),
            severity,
            restarts: false,
        });
    }
}

/// All changes for one server. `agent` is the agent's program.
#[must_use]
pub fn changes(site: &Site, outside: &Outside, props: &Props, agent: &str) -> Vec<Change> {
    let mut table = Table(Vec::new());
    processes(&mut table, site, outside, props, agent);
    files(&mut table, site, props);
    network(&mut table, site, outside);
    privileges(&mut table, site);
    table.0
}

fn processes(table: &mut Table, site: &Site, outside: &Outside, props: &Props, agent: &str) {
    let new = "processes";
    let add = Table::add;
    add(
        table,
        ("new-binary", "a program written to /tmp is executed"),
        (new, "high"),
        &[DROPPED],
        &[],
        &[&["copy", agent, DROPPED], &["run", DROPPED, "noop"]],
    );
    add(
        table,
        ("shell", "a shell is started"),
        (new, "high"),
        &["bash"],
        &[],
        &[&["run", "/bin/bash", "-c", ":"]],
    );
    let renamed = site.at("kworker");
    add(
        table,
        (
            "renamed-program",
            "a copy of a program of the system runs under another name",
        ),
        (new, "high"),
        &[&renamed],
        &[],
        &[&["copy", "/usr/bin/id", &renamed], &["run", &renamed]],
    );
    add(
        table,
        ("memory-program", "a program that has no file is executed"),
        (new, "high"),
        &["memfd:payload"],
        &["memfd"],
        &[&["memory"]],
    );
    if site.kind != Kind::Python && program("python3").is_some() {
        add(
            table,
            (
                "one-liner",
                "an interpreter is given its program on the command line",
            ),
            (new, "high"),
            &["python3"],
            &["-c"],
            &[&["run", &program("python3").unwrap_or_default(), "-c", "pass"]],
        );
    } else if program("perl").is_some() {
        add(
            table,
            (
                "one-liner",
                "an interpreter is given its program on the command line",
            ),
            (new, "high"),
            &["perl"],
            &["-e"],
            &[&["run", "/usr/bin/perl", "-e", "1"]],
        );
    }
    let payload = site.at("payload");
    let url = format!("http://127.0.0.1:{}/payload", outside.backend);
    if let Some(curl) = program("curl") {
        add(
            table,
            ("download", "a program fetches a file"),
            (new, "high"),
            &["curl"],
            &[&payload],
            &[&["run", &curl, "-s", "-o", &payload, &url]],
        );
    }
    let id = program("whoami").unwrap_or_default();
    add(
        table,
        ("discovery", "a tool that tells who one is"),
        (new, "medium"),
        &["whoami"],
        &[],
        &[&["run", &id]],
    );
    if let Some(library) = &props.library {
        let mut step = vec!["preload".to_owned(), library.clone()];
        step.extend(site.version_command());
        let step: Vec<&str> = step.iter().map(String::as_str).collect();
        add(
            table,
            ("preload", "a library is loaded before all others"),
            ("files", "high"),
            &[library],
            &["mmapExec"],
            &[&step],
        );
    }
}

fn files(table: &mut Table, site: &Site, props: &Props) {
    let mut add = |names, severity, words: &[&str], also: &[&str], steps: &[&[&str]]| {
        table.add(names, ("files", severity), words, also, steps);
    };
    let (settings, log) = (site.settings(), site.log());
    let other = format!("{SETTINGS}/x.conf");
    add(
        ("settings", "the server's settings are changed"),
        "medium",
        &[&settings],
        &["write"],
        &[&["append", &settings, "\n"]],
    );
    add(
        ("etc", "a file in /etc is changed"),
        "high",
        &[&other],
        &["write"],
        &[&["append", &other, "y = 2\n"]],
    );
    add(
        ("token", "the service account's token is read"),
        "high",
        &["secrets/kubernetes.io/serviceaccount/token"],
        &["read"],
        &[&["read", &props.token]],
    );
    add(
        ("shadow", "the password file is read"),
        "high",
        &["/etc/shadow"],
        &["read"],
        &[&["read", "/etc/shadow"]],
    );
    add(
        (
            "shadow-denied",
            "an unprivileged process tries to read the password file",
        ),
        "medium",
        &["/etc/shadow"],
        &["EACCES"],
        &[&["read-as-nobody", "/etc/shadow"]],
    );
    add(
        ("environment", "another process's environment is read"),
        "high",
        &["/environ"],
        &["read"],
        &[&["read-environment"]],
    );
    add(
        ("log-truncated", "the log is emptied"),
        "medium",
        &[&log],
        &["truncate"],
        &[&["truncate", &log]],
    );
    add(
        ("cron", "a job of the machine is made"),
        "high",
        &[CRON],
        &["create"],
        &[&["write", CRON, "# made by a test of kubectl-procmon\n"]],
    );
    add(
        ("local-program", "a program is put on everybody's path"),
        "high",
        &[LOCAL_PROGRAM],
        &["create"],
        &[&["write", LOCAL_PROGRAM, "#!/bin/false\n"]],
    );
    let guarded = site.at("guarded");
    add(
        ("set-user-id", "a file gets the set-user-id bit"),
        "medium",
        &[&guarded],
        &["chmod"],
        &[&["set-user-id", &guarded]],
    );
    let (tool, fresh) = (site.at("tool"), site.at("tool-new"));
    add(
        ("replaced-program", "a file is renamed over a program"),
        "medium",
        &[&tool],
        &["rename"],
        &[&["rename", &fresh, &tool]],
    );
    add(
        ("symlink", "a link in /tmp leads elsewhere"),
        "medium",
        &[LINK],
        &["symlink"],
        &[&["symlink", "/etc/shadow", LINK]],
    );
    let (secret, linked) = (site.at("secret"), site.at("linked"));
    add(
        ("hard-link", "a second name for a file"),
        "medium",
        &[&linked],
        &["link"],
        &[&["link", &secret, &linked]],
    );
    let locked = site.at("secret.locked");
    add(
        (
            "ransom",
            "a file is read, written under another name and removed",
        ),
        "medium",
        &[&locked],
        &["create"],
        &[&["copy", &secret, &locked], &["remove", &secret]],
    );
    add(
        ("log-deleted", "the log is removed"),
        "medium",
        &[&log],
        &["unlink"],
        &[&["remove", &log]],
    );
    table.0.last_mut().expect("just added").restarts = true;
}

fn network(table: &mut Table, site: &Site, outside: &Outside) {
    let mut add = |names, severity, words: &[&str], also: &[&str], steps: &[&[&str]]| {
        table.add(names, ("network", severity), words, also, steps);
    };
    fn split(address: &str) -> Vec<&str> {
        address.split(':').collect()
    }
    add(
        ("new-host", "a host that it never spoke to"),
        "medium",
        &split(&outside.stranger),
        &["outbound"],
        &[&["connect", &outside.stranger]],
    );
    add(
        ("new-port", "another service on a host that it speaks to"),
        "medium",
        &split(&outside.other_port),
        &["outbound"],
        &[&["connect", &outside.other_port]],
    );
    let (unused, too) = (outside.unused.to_string(), outside.unused_too.to_string());
    add(
        ("refused", "a port where nobody listens"),
        "medium",
        &["127.0.0.1", &too],
        &["ECONNREFUSED"],
        &[&["try-connect", &format!("127.0.0.1:{too}")]],
    );
    add(
        ("listener", "a new listening port"),
        "high",
        &[&unused],
        &["listen"],
        &[&["listen", &format!("127.0.0.1:{unused}")]],
    );
    add(
        ("udp-listener", "a new port for datagrams"),
        "medium",
        &[&unused],
        &["udp"],
        &[&["listen-udp", &format!("127.0.0.1:{unused}")]],
    );
    add(
        ("resolver", "questions to another resolver"),
        "medium",
        &split(&outside.resolver),
        &["udp"],
        &[&["ask", &outside.resolver]],
    );
    let socket = site.at("other.sock");
    add(
        ("unix-socket", "another service's socket"),
        "medium",
        &[&socket],
        &["unix-stream"],
        &[&["connect-unix", &socket]],
    );
}

fn privileges(table: &mut Table, site: &Site) {
    let mut add = |names, places, words: &[&str], also: &[&str], steps: &[&[&str]]| {
        table.add(names, places, words, also, steps);
    };
    let event = |severity| ("events", severity);
    add(
        ("regain", "root is given up and taken back"),
        event("high"),
        &["credentials"],
        &["toUid=0"],
        &[&["regain"]],
    );
    add(
        ("ptrace", "a process is traced"),
        event("high"),
        &["ptrace"],
        &[],
        &[&["trace"]],
    );
    add(
        ("unshare", "a namespace is made"),
        event("medium"),
        &["unshare"],
        &["uts"],
        &[&["call", "unshare"]],
    );
    add(
        ("setns", "a namespace is entered"),
        event("high"),
        &["setns"],
        &["uts"],
        &[&["call", "setns"]],
    );
    add(
        ("mount", "a file system is mounted"),
        event("high"),
        &["mount"],
        &["tmpfs"],
        &[&["mount", &site.at("mounted")]],
    );
    add(
        ("bpf", "the kernel is programmed"),
        event("high"),
        &["bpf"],
        &[],
        &[&["bpf"]],
    );
    add(
        ("keyctl", "the kernel's key rings are used"),
        event("medium"),
        &["keyctl"],
        &[],
        &[&["call", "keyctl"]],
    );
    add(
        ("perf", "the kernel's counters are used"),
        event("medium"),
        &["perf"],
        &[],
        &[&["perf"]],
    );
    add(
        ("userfaultfd", "page faults are handled by the process"),
        event("medium"),
        &["userfaultfd"],
        &[],
        &[&["call", "userfaultfd"]],
    );
    let call = ("syscalls", "medium");
    add(
        ("io-uring", "calls by a ring"),
        call,
        &["io_uring_setup"],
        &[],
        &[&["call", "io_uring_setup"]],
    );
    add(
        ("module", "a kernel module, which fails"),
        ("syscalls", "high"),
        &["finit_module"],
        &[],
        &[&["call", "finit_module"]],
    );
    add(
        ("chroot", "another root folder"),
        call,
        &["chroot"],
        &[],
        &[&["call", "chroot"]],
    );
    let capability = ("capabilities", "medium");
    add(
        (
            "chown",
            "a file is given to somebody else, for the first time",
        ),
        capability,
        &["CAP_CHOWN"],
        &[],
        &[&["give-away", &site.at("given")]],
    );
    add(
        ("raw-socket", "a socket for packets of any kind"),
        capability,
        &["CAP_NET_RAW"],
        &[],
        &[&["call", "raw-socket"]],
    );
}

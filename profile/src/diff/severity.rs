//! What a difference means. Each judgement comes with the words that go into the reason.

use super::Judgement;
use super::calls::{danger, family};
use crate::baseline::{is_credential, is_temporary};
use crate::model::{
    CapabilityRow, Direction, EventRow, EventType, FileOperation, FileRow, Layer, ListenRow,
    Origin, PeerRow, ProcessRow, Protocol, Severity, SyscallRow,
};
use crate::text::Text;
use std::collections::BTreeSet;

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The name without its version: `python3.11` is `python`.
fn program(path: &str) -> &str {
    base_name(path).trim_end_matches(|character: char| {
        character.is_ascii_digit() || character == '.' || character == '-'
    })
}

/// A shell.
pub(super) fn is_shell(path: &str) -> bool {
    matches!(
        program(path),
        "sh" | "bash"
            | "dash"
            | "ash"
            | "zsh"
            | "ksh"
            | "mksh"
            | "csh"
            | "tcsh"
            | "fish"
            | "busybox"
    )
}

/// A program that runs what it is given.
pub(super) fn is_interpreter(path: &str) -> bool {
    is_shell(path)
        || matches!(
            program(path),
            "python"
                | "pypy"
                | "perl"
                | "ruby"
                | "node"
                | "nodejs"
                | "php"
                | "lua"
                | "luajit"
                | "tclsh"
                | "awk"
                | "gawk"
                | "mawk"
        )
}

/// A tool by which intruders look around, fetch and go on.
fn is_tool(path: &str) -> bool {
    matches!(
        program(path),
        "curl"
            | "wget"
            | "nc"
            | "ncat"
            | "netcat"
            | "socat"
            | "nmap"
            | "ssh"
            | "scp"
            | "sftp"
            | "telnet"
            | "ftp"
            | "tftp"
            | "rsync"
            | "dig"
            | "nslookup"
            | "tcpdump"
            | "gdb"
            | "strace"
            | "apt"
            | "apt-get"
            | "dpkg"
            | "apk"
            | "yum"
            | "dnf"
            | "rpm"
            | "pip"
            | "npm"
            | "gcc"
            | "cc"
            | "make"
            | "kubectl"
            | "crictl"
            | "ctr"
            | "docker"
            | "nsenter"
            | "unshare"
            | "chroot"
            | "mount"
            | "su"
            | "sudo"
            | "passwd"
            | "useradd"
            | "crontab"
            | "at"
            | "base64"
            | "xxd"
            | "openssl"
            | "insmod"
            | "modprobe"
            | "xmrig"
    )
}

/// A program that the baseline does not know.
pub(super) fn new_program(row: &ProcessRow) -> Judgement {
    if row.exe.starts_with('(') {
        return (Severity::Low, "a program that the capture could not name");
    }
    if row.layer == Some(Layer::Memfd) || row.exe.starts_with("memfd:") {
        return (Severity::Critical, "a program that is in memory only");
    }
    if row.layer == Some(Layer::Upper) {
        return (
            Severity::Critical,
            "a program that was written since the image",
        );
    }
    if is_temporary(&row.exe) || row.exe.starts_with("/home/") || row.exe.starts_with("/proc/") {
        return (
            Severity::Critical,
            "a program from a folder that anybody writes to",
        );
    }
    if row.origin == Origin::Exec || row.origin == Origin::Debug {
        return (Severity::High, "somebody entered the container");
    }
    if is_shell(&row.exe) {
        return (Severity::High, "a shell");
    }
    if is_interpreter(&row.exe) || is_tool(&row.exe) {
        return (Severity::High, "a tool that intruders use");
    }
    if row.layer == Some(Layer::Volume) || !from_system(&row.exe) {
        return (Severity::High, "a program outside the system's folders");
    }
    (Severity::Medium, "a program that it never ran")
}

fn from_system(path: &str) -> bool {
    [
        "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/app/",
    ]
    .iter()
    .any(|folder| path.starts_with(folder))
        && !path.starts_with("/usr/local/tmp/")
}

/// A known program with arguments of another shape.
pub(super) fn new_arguments(row: &ProcessRow) -> Judgement {
    let runs_text = row.argv.iter().skip(1).take(2).any(|argument| {
        argument.starts_with('-') && !argument.starts_with("--") && argument.contains(['c', 'e'])
    });
    if is_interpreter(&row.exe) && runs_text {
        return (
            Severity::Medium,
            "an interpreter with other code on its command line",
        );
    }
    if row.origin == Origin::Exec || row.origin == Origin::Debug {
        return (Severity::Medium, "somebody entered the container");
    }
    (Severity::Low, "a known program with other arguments")
}

/// A known program that a program executes which never did.
pub(super) fn new_edge(child: &str) -> Judgement {
    if is_shell(child) {
        return (Severity::High, "it starts a shell, which it never did");
    }
    if is_interpreter(child) || is_tool(child) {
        return (
            Severity::High,
            "it starts a tool that intruders use, which it never did",
        );
    }
    (
        Severity::Medium,
        "it starts a known program, which it never did itself",
    )
}

/// A system call that the executable never made. `known` are those that it made.
pub(super) fn new_call(
    row: &SyscallRow,
    known: &BTreeSet<&str>,
    all_known: &BTreeSet<&str>,
) -> Judgement {
    if let Some(judgement) = danger(&row.name) {
        return judgement;
    }
    if row.name.starts_with("unknown(") {
        return (
            Severity::Medium,
            "a number that is no system call that this program knows",
        );
    }
    if row.abi == crate::model::Abi::I386 || row.abi == crate::model::Abi::X32 {
        return (
            Severity::Medium,
            "another calling convention, which filters are often blind to",
        );
    }
    let own = family(&row.name);
    if own.is_empty() {
        return (
            Severity::Info,
            "an ordinary call of memory, time, signals or reading",
        );
    }
    let has_family = |names: &BTreeSet<&str>| names.iter().any(|name| family(name) == own);
    if has_family(known) {
        return (Severity::Info, "a call of a kind that it makes anyway");
    }
    if has_family(all_known) {
        return (
            Severity::Low,
            "a call of a kind that only other programs of the container make",
        );
    }
    match own {
        "credentials" | "network" | "process" | "io_uring" => (
            Severity::Medium,
            "a kind of call that is new to the container",
        ),
        _ => (Severity::Low, "a kind of call that is new to the container"),
    }
}

/// A failure of a known call.
pub(super) fn new_errors(errors: &BTreeSet<Text>) -> Judgement {
    if errors
        .iter()
        .any(|name| name == "EPERM" || name == "ENOSYS")
    {
        return (
            Severity::Low,
            "the kernel refuses what it did not ask for before",
        );
    }
    (Severity::Info, "it fails in a way that was not seen")
}

/// What is done to a file, in the words that differences are told in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Access {
    Attempt,
    Read,
    Write,
    Truncate,
    Delete,
    Rename,
    Link,
    Attributes,
    Map,
    Execute,
}

impl Access {
    pub(super) fn of(operation: FileOperation) -> Self {
        match operation {
            FileOperation::Open | FileOperation::Read => Self::Read,
            FileOperation::Write
            | FileOperation::Create
            | FileOperation::Mkdir
            | FileOperation::Mknod => Self::Write,
            FileOperation::Truncate => Self::Truncate,
            FileOperation::Unlink | FileOperation::Rmdir => Self::Delete,
            FileOperation::Rename => Self::Rename,
            FileOperation::Link | FileOperation::Symlink => Self::Link,
            FileOperation::Chmod | FileOperation::Chown | FileOperation::Setxattr => {
                Self::Attributes
            }
            FileOperation::MmapExec => Self::Map,
            FileOperation::Exec => Self::Execute,
        }
    }

    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Attempt => "fails to reach",
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Truncate => "empties or cuts",
            Self::Delete => "deletes",
            Self::Rename => "renames",
            Self::Link => "links",
            Self::Attributes => "changes the attributes of",
            Self::Map => "runs code of",
            Self::Execute => "executes",
        }
    }
}

/// The kinds of access of a row. One that only failed is an attempt.
pub(super) fn accesses(row: &FileRow) -> BTreeSet<Access> {
    let mut all: BTreeSet<Access> = row
        .operations
        .iter()
        .map(|operation| Access::of(*operation))
        .collect();
    if all.is_empty() && !row.errors.is_empty() {
        all.insert(Access::Attempt);
    }
    all
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
/// What the difference in one file depends on besides its path.
#[derive(Clone, Copy, Default)]
pub(super) struct FileContext {
    pub(super) layer: Option<Layer>,
    /// A path of the node, by a hostPath volume.
    pub(super) is_host: bool,
    /// The executable does the same to other files of that folder.
    pub(super) is_usual_folder: bool,
    /// The executable writes files of that folder in this profile.
    pub(super) places_own: bool,
    /// A file that is written and may be executed.
    pub(super) is_program: bool,
    /// The baseline has other executables reading it, and none that changes it.
    pub(super) others_read_it: bool,
    /// The baseline has the executable writing it.
    pub(super) writes_it: bool,
    /// Permission bits; 0 when unknown.
    pub(super) mode: u32,
    /// A known program that was seen running only.
    pub(super) starts_anew: bool,
    /// The executable is new as well: what it needs to begin is told with it.
    pub(super) new_exe: bool,
}

fn is_persistence(path: &str) -> bool {
    const PLACES: [&str; 14] = [
        "/etc/cron",
        "/var/spool/cron",
        "/etc/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
        "/etc/init.d",
        "/etc/rc.local",
        "/etc/profile",
        "/etc/bash.bashrc",
        "/etc/sudoers",
        "/etc/pam.d",
        "/etc/security/",
        "/etc/ssh/",
        "/etc/ld.so.",
    ];
    let last = base_name(path);
    PLACES.iter().any(|place| path.starts_with(place))
        || matches!(
            path,
            "/etc/passwd" | "/etc/shadow" | "/etc/group" | "/etc/gshadow"
        )
        || matches!(
            last,
            "authorized_keys" | ".bashrc" | ".profile" | ".bash_profile" | ".zshrc" | "crontab"
        )
}

fn is_program_folder(path: &str) -> bool {
    [
        "/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/boot/", "/opt/",
    ]
    .iter()
    .any(|folder| path.starts_with(folder))
}

fn has_extension(name: &str, wanted: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case(wanted))
}

fn is_log(path: &str) -> bool {
    let name = base_name(path);
    path.starts_with("/var/log/")
        || has_extension(name, "log")
        || name == "wtmp"
        || name == "btmp"
        || name == "lastlog"
        || name.ends_with("_history")
}

/// `app.log.3`, `app.2.log`, `app.log.2.gz`, `app-*.log`: what rotation leaves and takes away.
fn is_rotated(path: &str) -> bool {
    let name = base_name(path);
    let number = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'*')
    };
    name.split('.').skip(1).any(number) || name.contains("-*") || has_extension(name, "old")
}

/// One new kind of access to a file.
#[expect(
    clippy::too_many_lines,
    reason = "one table, in the order of what matters most"
)]
pub(super) fn file(access: Access, path: &str, context: FileContext) -> Judgement {
    let changes = matches!(
        access,
        Access::Write
            | Access::Truncate
            | Access::Delete
            | Access::Rename
            | Access::Link
            | Access::Attributes
    );
    if changes {
        if is_plain_device(path) {
            return (Severity::Info, "a device that anybody uses");
        }
        if is_persistence(path) {
            return (
                Severity::Critical,
                "by such files others are let in, or come again",
            );
        }
        if path.starts_with("/proc/sys/")
            || path.starts_with("/sys/") && !path.starts_with("/sys/fs/cgroup/")
        {
            return (
                Severity::Critical,
                "it changes settings of the node's kernel",
            );
        }
        if path.starts_with("/proc/") && !path.contains("/task/") && is_proc_write(path) {
            return (Severity::Low, "it changes settings of a process");
        }
        if context.is_host {
            return (Severity::High, "it changes a file of the node");
        }
        if is_credential(path) {
            return (Severity::High, "it changes credentials");
        }
        if is_program_folder(path) {
            return (Severity::High, "it changes programs or libraries");
        }
        if path.starts_with("/etc/") {
            return (Severity::High, "it changes configuration");
        }
        if path.starts_with("/root/") {
            return (Severity::Medium, "it changes the files of a user");
        }
        // Rotation is the business of who writes the logs.
        let rotates = is_rotated(path) && (context.is_usual_folder || context.places_own);
        if is_log(path) && access == Access::Delete && !rotates {
            return (Severity::High, "it removes a log");
        }
        if is_log(path) && access == Access::Truncate {
            return (Severity::Medium, "it empties a log");
        }
        if access == Access::Attributes && context.mode & 0o6000 != 0 {
            return (
                Severity::High,
                "whoever runs the file gets the rights of its owner",
            );
        }
        if is_configuration(path) && access != Access::Delete && !base_name(path).contains('*') {
            return (Severity::Medium, "it changes what looks like configuration");
        }
        if context.others_read_it && access != Access::Delete {
            return (
                Severity::Medium,
                "it changes a file that the container only read",
            );
        }
        if access == Access::Rename
            && !context.is_usual_folder
            && !context.places_own
            && !is_rotated(path)
            && !is_log(path)
        {
            return (Severity::Medium, "it puts one file in the place of another");
        }
        if access == Access::Delete
            && !context.is_usual_folder
            && !is_rotated(path)
            && !base_name(path).contains('*')
        {
            return (
                Severity::Medium,
                "it removes a file of a folder that it does not write to",
            );
        }
        if access == Access::Write && context.is_program {
            return (Severity::Medium, "it writes a file that can be executed");
        }
        if access == Access::Link && !context.is_usual_folder {
            return (Severity::Medium, "it makes another name for a file");
        }
        if access == Access::Attributes && context.writes_it {
            return (
                Severity::Low,
                "it changes who may use a file that it writes anyway",
            );
        }
        if access == Access::Attributes && !context.is_usual_folder {
            return (Severity::Medium, "it changes who may use a file");
        }
        if context.is_usual_folder {
            return (Severity::Info, "it does the same to other files there");
        }
        return (Severity::Low, "a place that it did not write to");
    }
    match access {
        Access::Execute if context.starts_anew => (Severity::Low, "a known program starts anew"),
        Access::Execute if context.new_exe => (Severity::Info, "a new program executes it"),
        Access::Execute => (Severity::Medium, "a file that it never executed"),
        Access::Map => {
            if context.layer == Some(Layer::Upper) || context.layer == Some(Layer::Memfd) {
                return (Severity::High, "code that was written since the image");
            }
            if !is_program_folder(path) && !path.starts_with("/app/") && !context.is_usual_folder {
                return (Severity::High, "code from outside the folders of libraries");
            }
            if context.new_exe || context.is_usual_folder {
                return (Severity::Info, "a library");
            }
            (Severity::Low, "a library that it never loaded")
        }
        Access::Read => {
            if is_credential(path) {
                return (Severity::High, "it reads credentials");
            }
            if context.is_host {
                return (Severity::Medium, "it reads a file of the node");
            }
            if context.new_exe {
                return (Severity::Info, "a new program reads it");
            }
            if is_plain_device(path) {
                return (Severity::Info, "a device that anybody uses");
            }
            if path == "/etc/passwd" || path == "/etc/group" {
                return (Severity::Low, "it reads who the users are");
            }
            if context.is_usual_folder
                || context.layer == Some(Layer::Image)
                || is_program_folder(path)
            {
                return (Severity::Info, "it reads other files there anyway");
            }
            if path.starts_with("/proc/") || path.starts_with("/sys/") {
                return (Severity::Info, "what the kernel tells");
            }
            (Severity::Low, "a file that it never read")
        }
        // An attempt that failed.
        _ => {
            if is_credential(path) {
                return (Severity::Medium, "it looks for credentials");
            }
            (Severity::Info, "it looks for a file that it did not get")
        }
    }
}

fn is_plain_device(path: &str) -> bool {
    matches!(
        path,
        "/dev/null" | "/dev/zero" | "/dev/full" | "/dev/random" | "/dev/urandom" | "/dev/tty"
    )
}

fn is_proc_write(path: &str) -> bool {
    [
        "/oom_score_adj",
        "/comm",
        "/attr/current",
        "/coredump_filter",
        "/timerslack_ns",
    ]
    .iter()
    .any(|last| path.ends_with(last))
}

fn is_configuration(path: &str) -> bool {
    const EXTENSIONS: [&str; 10] = [
        "conf",
        "cfg",
        "cnf",
        "ini",
        "yaml",
        "yml",
        "toml",
        "properties",
        "env",
        "service",
    ];
    let Some((stem, extension)) = base_name(path).rsplit_once('.') else {
        return false;
    };
    // JSON is mostly data.
    let named = ["config", "settings"]
        .iter()
        .any(|word| stem.contains(word))
        || matches!(stem, "app" | "package" | "daemon");
    EXTENSIONS.contains(&extension) || (extension == "json" && named)
}

/// Addresses by which clouds hand out credentials.
fn is_metadata(peer: &str) -> bool {
    matches!(
        peer,
        "169.254.169.254" | "fd00:ec2::254" | "100.100.100.200" | "169.254.170.2" | "168.63.129.16"
    )
}

/// A peer that is new. `known_port`: the executable has another peer at that port; `known_peer`: the
/// peer at another port.
pub(super) fn peer(row: &PeerRow, known_peer: bool) -> Judgement {
    let unix = matches!(
        row.protocol,
        Protocol::UnixStream | Protocol::UnixDgram | Protocol::UnixSeqpacket
    );
    if row.direction == Direction::Inbound {
        return match row.protocol {
            _ if unix => (Severity::Info, "others come to its socket"),
            _ if known_peer => (Severity::Info, "they come from elsewhere too"),
            _ => (Severity::Medium, "others come to a port where nobody came"),
        };
    }
    if unix {
        if [
            "docker.sock",
            "containerd.sock",
            "crio.sock",
            "kubelet.sock",
            "podman.sock",
            "cri-dockerd.sock",
        ]
        .iter()
        .any(|name| row.peer.ends_with(name))
        {
            return (Severity::Critical, "the socket of the container runtime");
        }
        return if row.reached {
            (
                Severity::Medium,
                "a service on this machine that it never used",
            )
        } else {
            (
                Severity::Info,
                "a service on this machine that is not there",
            )
        };
    }
    if is_metadata(&row.peer) || row.addresses.iter().any(|address| is_metadata(address)) {
        return (
            Severity::Critical,
            "the cloud's metadata service hands out credentials",
        );
    }
    match row.protocol {
        Protocol::Netlink => (Severity::Info, "it asks the kernel about the network"),
        Protocol::Raw | Protocol::Packet => (Severity::High, "raw packets"),
        _ if !row.reached => (
            Severity::Medium,
            "it tries to reach a peer that it never had",
        ),
        _ if known_peer => (Severity::Medium, "a known peer at another port"),
        _ => (Severity::High, "a peer that it never had"),
    }
}

/// A listener that is new.
pub(super) fn listener(row: &ListenRow) -> Judgement {
    if row.port.is_empty() {
        return (Severity::Low, "a new socket on this machine");
    }
    (Severity::High, "a new service that others can reach")
}

/// A capability that is new.
pub(super) fn capability(row: &CapabilityRow) -> Judgement {
    if !row.used {
        return (
            Severity::Info,
            "it is refused a right that it never asked for",
        );
    }
    match row.name.as_str() {
        "CAP_SYS_ADMIN"
        | "CAP_SYS_MODULE"
        | "CAP_SYS_PTRACE"
        | "CAP_SYS_RAWIO"
        | "CAP_BPF"
        | "CAP_PERFMON"
        | "CAP_NET_ADMIN"
        | "CAP_NET_RAW"
        | "CAP_DAC_READ_SEARCH"
        | "CAP_MAC_ADMIN"
        | "CAP_MAC_OVERRIDE"
        | "CAP_SYS_BOOT"
        | "CAP_SYSLOG"
        | "CAP_SYS_TIME"
        | "CAP_MKNOD"
        | "CAP_SETFCAP" => (Severity::High, "a right that leads out of a container"),
        "CAP_SETUID" | "CAP_SETGID" | "CAP_SYS_CHROOT" | "CAP_SETPCAP" | "CAP_LINUX_IMMUTABLE" => (
            Severity::Medium,
            "a right of the superuser that it never used",
        ),
        _ => (Severity::Low, "a right that it never used"),
    }
}

/// An event that is new.
pub(super) fn event(row: &EventRow) -> Judgement {
    match row.event_type {
        EventType::ModuleLoad if row.details.contains_key("requested") => {
            (Severity::Medium, "it makes the kernel look for a module")
        }
        EventType::ModuleLoad => (Severity::Critical, "it changes the kernel"),
        EventType::MemfdExec => (
            Severity::Critical,
            "it runs a program that is in memory only",
        ),
        EventType::Bpf | EventType::Perf | EventType::Userfaultfd | EventType::Keyctl => {
            (Severity::High, "a rare call that attacks on the kernel use")
        }
        EventType::Ptrace => (Severity::High, "it reaches into another process"),
        EventType::Mount | EventType::Setns | EventType::Unshare => {
            (Severity::High, "it changes namespaces or mounts")
        }
        EventType::Signal => (Severity::Medium, "it signals a process outside"),
        EventType::Credentials => {
            let gained = row
                .details
                .get("gained")
                .is_some_and(|gained| !gained.is_empty());
            let is_root = row.details.get("toUid").is_some_and(|uid| uid == "0");
            if gained || is_root {
                (Severity::High, "it gains rights")
            } else {
                (Severity::Low, "it gives up rights in another way")
            }
        }
    }
}

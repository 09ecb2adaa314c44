//! The kind of a program, by its name.

use super::base_name;

/// Programs of one kind, by name without a version (`python` stands for `python3.11`), with the source.
type Kind = (&'static [&'static str], &'static str);

const SHELLS: Kind = (
    &[
        "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish", "busybox",
    ],
    "shells(5); MITRE ATT&CK T1059.004",
);

const INTERPRETERS: Kind = (
    &[
        "python", "pypy", "perl", "ruby", "node", "nodejs", "php", "lua", "luajit", "tclsh", "awk",
        "gawk", "mawk",
    ],
    "MITRE ATT&CK T1059.006 and T1059.007; GTFOBins, function `shell`",
);

/// Tools by which intruders look around, fetch and go on.
const TOOLS: &[Kind] = &[
    (
        &[
            "curl", "wget", "nc", "ncat", "netcat", "socat", "ssh", "scp", "sftp", "telnet", "ftp",
            "tftp", "rsync",
        ],
        "MITRE ATT&CK T1105, T1095 and T1021.004",
    ),
    (
        &["nmap", "dig", "nslookup", "tcpdump"],
        "MITRE ATT&CK T1046, T1018 and T1040; Falco, list `network_tool_binaries`",
    ),
    (&["gdb", "strace"], "MITRE ATT&CK T1055.008"),
    (
        &[
            "apt", "apt-get", "dpkg", "apk", "yum", "dnf", "rpm", "pip", "npm",
        ],
        "Falco, list `package_mgmt_binaries`",
    ),
    (&["gcc", "cc", "make"], "MITRE ATT&CK T1027.004"),
    (
        &[
            "kubectl", "crictl", "ctr", "docker", "nsenter", "unshare", "chroot", "mount",
        ],
        "MITRE ATT&CK T1609, T1610 and T1611",
    ),
    (
        &["su", "sudo", "passwd", "useradd", "crontab", "at"],
        "MITRE ATT&CK T1548.003, T1136.001, T1053.002 and T1053.003",
    ),
    (&["base64", "xxd", "openssl"], "MITRE ATT&CK T1140"),
    (&["insmod", "modprobe"], "MITRE ATT&CK T1547.006"),
    (&["xmrig"], "MITRE ATT&CK T1496"),
];

/// The name of a program without its version: `/usr/bin/python3.11` is `python`.
fn name(path: &str) -> &str {
    base_name(path).trim_end_matches(|character: char| {
        character.is_ascii_digit() || character == '.' || character == '-'
    })
}

fn is_of((names, _): &Kind, path: &str) -> bool {
    names.contains(&name(path))
}

/// A shell.
pub(crate) fn is_shell(path: &str) -> bool {
    is_of(&SHELLS, path)
}

/// A program that runs what it is given; a shell is one.
pub(crate) fn is_interpreter(path: &str) -> bool {
    is_shell(path) || is_of(&INTERPRETERS, path)
}

/// A tool by which intruders look around, fetch and go on.
pub(crate) fn is_tool(path: &str) -> bool {
    TOOLS.iter().any(|kind| is_of(kind, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_does_not_hide_a_program() {
        for (path, is_one) in [
            ("/usr/bin/python3.11", true),
            ("/usr/local/bin/node", true),
            ("/bin/bash", true),
            ("/opt/pythonic", false),
            ("/usr/sbin/nginx", false),
        ] {
            assert_eq!(is_interpreter(path), is_one, "{path}");
        }
        assert!(is_tool("/usr/bin/apt-get") && is_tool("nc") && !is_tool("/usr/bin/ls"));
    }
}

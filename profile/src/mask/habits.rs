//! Facts that names can't tell: the letters and places by which well-known programs take credentials.
//! A table of data; a program that is not in it is judged by names and shapes alone.

/// How a program takes what a letter announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A credential: the next argument, or the rest of this one.
    Value,
    /// A credential, only as the rest of this argument: alone it asks.
    Rest,
    /// A credential, only as the next argument.
    Next,
    /// `user:password`, as the next argument or as the rest of this one.
    Pair,
    /// `user%password`, the same.
    Percent,
    /// `user,password`, the same.
    Comma,
    /// Cookies.
    Cookies,
    /// Something else: its own value can be no credential.
    Other,
}

/// Facts about the arguments of a program, by its name.
#[derive(Debug)]
pub(super) struct Habit {
    /// Names of programs; one that ends with `*` stands for all that begin so.
    pub(super) programs: &'static [&'static str],
    pub(super) options: &'static [(&'static str, Takes)],
    /// Letters without values that may stand before one of these in one argument.
    pub(super) flags: &'static str,
    /// After this word, the argument at this place among those that are not options is a credential; an
    /// empty word is the program itself.
    pub(super) places: &'static [(&'static str, usize)],
}

const fn options(
    programs: &'static [&'static str],
    options: &'static [(&'static str, Takes)],
) -> Habit {
    Habit {
        programs,
        options,
        flags: "",
        places: &[],
    }
}

const fn places(
    programs: &'static [&'static str],
    places: &'static [(&'static str, usize)],
) -> Habit {
    Habit {
        programs,
        options: &[],
        flags: "",
        places,
    }
}

use Takes::{Comma, Cookies, Next, Other, Pair, Percent, Rest, Value};

/// The table; the first that fits counts.
const HABITS: &[Habit] = &[
    Habit {
        programs: &["curl"],
        options: &[
            ("-u", Pair),
            ("--user", Pair),
            ("-U", Pair),
            ("--proxy-user", Pair),
            ("-b", Cookies),
            ("--cookie", Cookies),
            ("-E", Pair),
            ("--cert", Pair),
            ("--proxy-cert", Pair),
            ("--oauth2-bearer", Next),
        ],
        flags: "sSfkLvigINjlnqaBGJMRZ#012346",
        places: &[],
    },
    options(
        &[
            "mysql*",
            "mariadb*",
            "mytop",
            "innotop",
            "xtrabackup",
            "mariabackup",
        ],
        &[("-p", Rest)],
    ),
    options(&["7z", "7za", "7zr", "7zz"], &[("-p", Rest)]),
    options(&["rar", "unrar"], &[("-hp", Rest), ("-p", Rest)]),
    options(
        &["redis-*", "valkey-*", "keydb-*"],
        &[("-a", Value), ("-p", Other), ("-n", Other)],
    ),
    options(
        &[
            "mongo*",
            "sshpass",
            "cqlsh",
            "rabbitmqadmin",
            "cypher-shell",
            "rdesktop",
            "ncftp*",
        ],
        &[("-p", Value)],
    ),
    Habit {
        programs: &["zip", "unzip", "zipcloak"],
        options: &[("-P", Value)],
        flags: "erqjmyvo9",
        places: &[],
    },
    options(
        &[
            "sqlcmd",
            "bcp",
            "mosquitto_*",
            "ipmitool",
            "zip",
            "unzip",
            "zipcloak",
            "isql",
            "tsql",
        ],
        &[("-P", Value)],
    ),
    options(
        &["ldappasswd"],
        &[("-w", Value), ("-s", Value), ("-a", Value)],
    ),
    options(&["ldap*"], &[("-w", Value), ("-s", Other), ("-a", Other)]),
    options(
        &["smb*", "rpcclient", "net", "winexe", "wmic"],
        &[("-U", Percent), ("--user", Percent)],
    ),
    options(
        &["http", "https", "xh", "xhs"],
        &[("-a", Pair), ("--auth", Pair)],
    ),
    options(&["ab", "hey"], &[("-A", Pair), ("-a", Pair), ("-P", Pair)]),
    options(&["wrk*", "siege", "vegeta"], &[]),
    options(
        &["useradd", "usermod", "adduser"],
        &[("-p", Next), ("-u", Other)],
    ),
    Habit {
        programs: &["openssl"],
        options: &[
            ("-passin", Next),
            ("-passout", Next),
            ("-pass", Next),
            ("-k", Next),
            ("-K", Next),
            ("-hmac", Next),
            ("-key", Other),
            ("-keyform", Other),
        ],
        flags: "",
        places: &[("passwd", 0)],
    },
    options(
        &["snmp*", "net-snmp-*"],
        &[
            ("-c", Value),
            ("-A", Value),
            ("-X", Value),
            ("-a", Other),
            ("-x", Other),
        ],
    ),
    options(&["ssh-keygen"], &[("-N", Next), ("-P", Next)]),
    options(&["lftp", "open"], &[("-u", Comma)]),
    options(&["sendemail"], &[("-xp", Next)]),
    options(&["swaks"], &[("-ap", Next)]),
    options(&["gsql", "vsql"], &[("-W", Next), ("-w", Next)]),
    options(&["slappasswd"], &[("-s", Next)]),
    options(&["kadmin*"], &[("-w", Next)]),
    options(&["wbinfo"], &[("-a", Percent)]),
    options(&["ss-*", "sslocal", "ssserver"], &[("-k", Next)]),
    options(&["frpc", "hub"], &[("-t", Next)]),
    options(&["security"], &[("-p", Next), ("-P", Next)]),
    options(&["choco"], &[("-k", Value)]),
    options(&["knife"], &[("-P", Next)]),
    options(&["fs_cli", "freeswitch*", "fab"], &[("-p", Next)]),
    options(&["check_ldap*"], &[("-P", Next)]),
    options(&["check_*"], &[("-a", Pair)]),
    options(
        &["hydra", "medusa", "crackmapexec", "nxc", "netexec"],
        &[("-p", Value)],
    ),
    options(&["doctl", "codecov"], &[("-t", Next)]),
    options(&["skopeo", "buildah", "podman", "crictl"], &[]),
    places(&["vault", "bao"], &[("login", 0), ("unseal", 0)]),
    places(
        &["rabbitmqctl"],
        &[
            ("add_user", 1),
            ("change_password", 1),
            ("authenticate_user", 1),
        ],
    ),
    places(&["mc"], &[("set", 3), ("add", 3)]),
    places(&["wpa_passphrase"], &[("", 1)]),
    places(&["ngrok"], &[("authtoken", 0), ("add-authtoken", 0)]),
    places(&["cargo"], &[("login", 0)]),
    places(&["snyk"], &[("auth", 0)]),
    places(&["consul"], &[("set-agent-token", 1)]),
    places(&["poetry"], &[("config", 2)]),
    places(&["drush"], &[("user:password", 1)]),
    places(&["smbpasswd"], &[("", 1)]),
    places(&["virsh"], &[("secret-set-value", 1)]),
    places(&["ejabberdctl", "prosodyctl"], &[("register", 2)]),
    places(&["samba-tool"], &[("create", 1), ("add", 1)]),
    places(&["composer"], &[("config", 2)]),
];

/// The facts that are known about a program.
pub(super) fn of(word: &str) -> Option<&'static Habit> {
    let name = word.rsplit('/').next().unwrap_or_default();
    // A login shell has a dash before its name.
    let name = name.trim_start_matches('-');
    if name.is_empty() || name.len() > 32 {
        return None;
    }
    let first = name.as_bytes()[0];
    HABITS.iter().find(|habit| {
        habit.programs.iter().any(|known| {
            known.as_bytes()[0] == first
                && match known.strip_suffix('*') {
                    Some(begin) => name.starts_with(begin),
                    None => *known == name,
                }
        })
    })
}

/// How a program reads its arguments.
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    /// They are names of things; another program can only stand behind `-exec` or `--`.
    pub(super) names: bool,
    /// A word is a pattern or a message.
    pub(super) patterns: bool,
    /// `-u a:b` is a user and a group.
    pub(super) groups: bool,
    /// It runs command lines that its arguments hold.
    pub(super) texts: bool,
    /// It runs source in its arguments, which is not a command line of a shell.
    pub(super) code: bool,
    /// It takes `user/password@place` or `domain/user:password@host`.
    pub(super) logins: bool,
}

/// How a program reads its arguments.
pub(super) fn traits(program: &str) -> Traits {
    if program.len() < 2 && program != "[" || program.len() > 32 {
        return Traits::default();
    }
    Traits {
        names: takes_names(program),
        patterns: takes_patterns(program),
        groups: takes_groups(program),
        texts: runs_texts(program),
        code: runs_code(program),
        logins: takes_logins(program),
    }
}

fn takes_names(program: &str) -> bool {
    matches!(
        program,
        "find"
            | "ls"
            | "cd"
            | "mkdir"
            | "rm"
            | "cp"
            | "mv"
            | "cat"
            | "apt"
            | "apt-get"
            | "apk"
            | "yum"
            | "dnf"
            | "systemctl"
            | "service"
            | "which"
            | "man"
            | "pip"
            | "pip3"
            | "npm"
            | "chown"
            | "chmod"
            | "test"
            | "["
    )
}

fn takes_patterns(program: &str) -> bool {
    matches!(
        program,
        "grep"
            | "egrep"
            | "fgrep"
            | "zgrep"
            | "rg"
            | "ag"
            | "ack"
            | "find"
            | "locate"
            | "fd"
            | "ls"
            | "cat"
            | "man"
            | "echo"
            | "printf"
            | "test"
            | "["
            | "apropos"
            | "tail"
            | "head"
            | "less"
            | "more"
            | "id"
            | "getent"
            | "groups"
            | "which"
            | "type"
            | "cd"
            | "mkdir"
            | "rm"
            | "cp"
            | "mv"
            | "jq"
            | "yq"
            | "sed"
            | "awk"
            | "logger"
            | "apt"
            | "apt-get"
            | "git"
    )
}

fn takes_groups(program: &str) -> bool {
    matches!(
        program,
        "docker"
            | "podman"
            | "nerdctl"
            | "chown"
            | "setpriv"
            | "gosu"
            | "su-exec"
            | "install"
            | "rsync"
            | "tar"
            | "sudo"
            | "systemd-run"
            | "runc"
            | "crun"
    )
}

fn runs_texts(program: &str) -> bool {
    matches!(
        program,
        "sh" | "bash"
            | "dash"
            | "ash"
            | "zsh"
            | "ksh"
            | "fish"
            | "busybox"
            | "su"
            | "runuser"
            | "ssh"
            | "eval"
            | "watch"
            | "script"
            | "parallel"
            | "flock"
            | "xargs"
            | "timeout"
            | "sudo"
            | "doas"
            | "env"
            | "expect"
    )
}

fn runs_code(program: &str) -> bool {
    let name = program.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.');
    matches!(
        name,
        "python"
            | "pypy"
            | "perl"
            | "ruby"
            | "irb"
            | "php"
            | "node"
            | "nodejs"
            | "deno"
            | "bun"
            | "lua"
            | "luajit"
            | "Rscript"
            | "groovy"
            | "jshell"
            | "ghc"
            | "elixir"
            | "mongosh"
            | "mongo"
            | "jq"
            | "yq"
            | "awk"
            | "gawk"
    )
}

fn takes_logins(program: &str) -> bool {
    matches!(
        program,
        "sqlplus"
            | "sql"
            | "sqlcl"
            | "rman"
            | "expdp"
            | "impdp"
            | "exp"
            | "imp"
            | "sqlldr"
            | "tnsping"
            | "psexec.py"
            | "wmiexec.py"
            | "smbexec.py"
            | "secretsdump.py"
            | "GetUserSPNs.py"
            | "GetNPUsers.py"
            | "smbclient.py"
    ) || program.starts_with("impacket-")
}

//! The kind of a file, by its path.

use super::base_name;
use super::credentials::is_credential;

/// Folders for files that do not last: hier(7).
const TEMPORARY: [&str; 6] = [
    "/tmp/",
    "/var/tmp/",
    "/dev/shm/",
    "/run/",
    "/var/run/",
    "/var/cache/",
];

/// Folders of programs and libraries: hier(7).
const PROGRAMS: [&str; 9] = [
    "/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/boot/", "/opt/",
];

/// Folders that images bring their programs in: hier(7), and `/app/` by custom of images.
const IMAGE_PROGRAMS: [&str; 7] = [
    "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/app/",
];

/// Beginnings of paths by which a program is started again or others are let in, with techniques of MITRE
/// ATT&CK.
const PERSISTENCE: [(&str, &str); 14] = [
    ("/etc/cron", "T1053.003"),
    ("/var/spool/cron", "T1053.003"),
    ("/etc/systemd/system", "T1543.002"),
    ("/usr/lib/systemd/system", "T1543.002"),
    ("/lib/systemd/system", "T1543.002"),
    ("/etc/init.d", "T1037.004"),
    ("/etc/rc.local", "T1037.004"),
    ("/etc/profile", "T1546.004"),
    ("/etc/bash.bashrc", "T1546.004"),
    ("/etc/sudoers", "T1548.003"),
    ("/etc/pam.d", "T1556.003"),
    ("/etc/security/", "T1556.003"),
    ("/etc/ssh/", "T1098.004"),
    ("/etc/ld.so.", "T1574.006"),
];

/// The same by a whole path.
const PERSISTENCE_FILES: [(&str, &str); 4] = [
    ("/etc/passwd", "T1136.001"),
    ("/etc/shadow", "T1136.001"),
    ("/etc/group", "T1136.001"),
    ("/etc/gshadow", "T1136.001"),
];

/// The same by a file's name in any folder.
const PERSISTENCE_NAMES: [(&str, &str); 6] = [
    ("authorized_keys", "T1098.004"),
    (".bashrc", "T1546.004"),
    (".profile", "T1546.004"),
    (".bash_profile", "T1546.004"),
    (".zshrc", "T1546.004"),
    ("crontab", "T1053.003"),
];

/// Devices that have no content to protect: null(4), full(4), random(4), tty(4).
const PLAIN_DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// Files of /proc/PID that a process may set for itself: proc(5).
const PROCESS_SETTINGS: [&str; 5] = [
    "/oom_score_adj",
    "/comm",
    "/attr/current",
    "/coredump_filter",
    "/timerslack_ns",
];

/// Folders of programs, configuration, kernel settings and secrets: no learned wildcard stands for their
/// files.
const PROTECTED: [&str; 16] = [
    "/etc",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/boot",
    "/root",
    "/proc/sys",
    "/run/secrets",
    "/var/run/secrets",
    "/var/spool/cron",
    "/var/lib/kubelet",
    "/sys/kernel",
];

/// Extensions of files of configuration.
const CONFIGURATION: [&str; 10] = [
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

fn is_under(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

fn has_extension(name: &str, wanted: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case(wanted))
}

/// The path lies where files do not last.
pub(crate) fn is_temporary(path: &str) -> bool {
    is_under(path, &TEMPORARY)
}

/// The path lies in a folder of programs or libraries.
pub(crate) fn is_program_folder(path: &str) -> bool {
    is_under(path, &PROGRAMS)
}

/// The path lies in a folder that images bring their programs in.
pub(crate) fn is_image_program_folder(path: &str) -> bool {
    is_under(path, &IMAGE_PROGRAMS) && !path.starts_with("/usr/local/tmp/")
}

/// Such a file starts a program again, or lets others in.
pub(crate) fn is_persistence(path: &str) -> bool {
    let name = base_name(path);
    PERSISTENCE.iter().any(|(begin, _)| path.starts_with(begin))
        || PERSISTENCE_FILES.iter().any(|(file, _)| path == *file)
        || PERSISTENCE_NAMES.iter().any(|(known, _)| name == *known)
}

/// A device that has no content to protect.
pub(crate) fn is_plain_device(path: &str) -> bool {
    PLAIN_DEVICES.contains(&path)
}

/// A setting of the node's kernel.
pub(crate) fn is_kernel_setting(path: &str) -> bool {
    path.starts_with("/proc/sys/")
        || path.starts_with("/sys/") && !path.starts_with("/sys/fs/cgroup/")
}

/// A setting of one process.
pub(crate) fn is_process_setting(path: &str) -> bool {
    path.starts_with("/proc/")
        && !path.contains("/task/")
        && PROCESS_SETTINGS.iter().any(|last| path.ends_with(last))
}

/// A log: syslog's folder, `*.log`, the records of logins (utmp(5)), the history of a shell.
pub(crate) fn is_log(path: &str) -> bool {
    let name = base_name(path);
    path.starts_with("/var/log/")
        || has_extension(name, "log")
        || matches!(name, "wtmp" | "btmp" | "lastlog")
        || name.ends_with("_history")
}

/// `app.log.3`, `app.2.log`, `app.log.2.gz`, `app-*.log`: what rotation leaves and takes away (logrotate(8)).
pub(crate) fn is_rotated(path: &str) -> bool {
    let name = base_name(path);
    let is_number = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'*')
    };
    name.split('.').skip(1).any(is_number) || name.contains("-*") || has_extension(name, "old")
}

/// A file of configuration, by its name.
pub(crate) fn is_configuration(path: &str) -> bool {
    let Some((stem, extension)) = base_name(path).rsplit_once('.') else {
        return false;
    };
    // JSON is mostly data.
    let is_named = ["config", "settings"]
        .iter()
        .any(|word| stem.contains(word))
        || matches!(stem, "app" | "package" | "daemon");
    CONFIGURATION.contains(&extension) || (extension == "json" && is_named)
}

/// Paths that no learned wildcard stands for: programs, configuration, kernel settings, credentials.
///
/// ```
/// use procmon_profile::baseline::is_protected;
/// assert!(is_protected("/etc/passwd") && is_protected("/home/a/.ssh/id_rsa"));
/// assert!(!is_protected("/var/log/app.log"));
/// ```
#[must_use]
pub fn is_protected(path: &str) -> bool {
    let is_in = |folder: &&str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    PROTECTED.iter().any(is_in) || is_credential(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_they_are_called() {
        type Predicate = fn(&str) -> bool;
        let cases: [(Predicate, &[&str], &[&str]); 8] = [
            (
                is_temporary,
                &["/tmp/a", "/dev/shm/x"],
                &["/tmpfiles", "/var/lib/a"],
            ),
            (
                is_persistence,
                &[
                    "/etc/cron.d/job",
                    "/etc/passwd",
                    "/home/a/.ssh/authorized_keys",
                    "/etc/ld.so.preload",
                ],
                &["/etc/hosts", "/etc/passwd.txt", "/srv/crontabs"],
            ),
            (is_plain_device, &["/dev/null"], &["/dev/sda"]),
            (
                is_kernel_setting,
                &["/proc/sys/kernel/core_pattern", "/sys/kernel/debug/x"],
                &["/sys/fs/cgroup/a", "/proc/1/comm"],
            ),
            (
                is_process_setting,
                &["/proc/*/oom_score_adj"],
                &["/proc/*/task/*/comm", "/proc/1/mem"],
            ),
            (
                is_log,
                &["/var/log/syslog", "/app/a.LOG", "/root/.bash_history"],
                &["/app/catalogue"],
            ),
            (
                is_rotated,
                &["/l/app.log.3", "/l/app-*.log", "/l/a.old"],
                &["/l/app.log"],
            ),
            (
                is_configuration,
                &[
                    "/app/nginx.conf",
                    "/app/appsettings.json",
                    "/srv/package.json",
                ],
                &["/srv/data.json", "/srv/README"],
            ),
        ];
        for (is_one, yes, no) in cases {
            for path in yes {
                assert!(is_one(path), "{path}");
            }
            for path in no {
                assert!(!is_one(path), "{path}");
            }
        }
    }
}

//! Classes of files, by their path. A pattern that begins with `**` holds below any mount: the node's files
//! have other paths in a container.

use super::class::{Class, table};
use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use std::sync::LazyLock;

/// All classes of files.
pub(crate) static CLASSES: LazyLock<Vec<Class>> =
    LazyLock::new(|| table(include_str!("files.tsv")));

/// The patterns of all classes, and for each pattern the index of its class.
static PATTERNS: LazyLock<(GlobSet, Vec<usize>)> = LazyLock::new(|| {
    let mut set = GlobSetBuilder::new();
    let mut owners = Vec::new();
    for (index, class) in CLASSES.iter().enumerate() {
        for pattern in class.patterns() {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            set.add(glob.expect("a test builds every pattern"));
            owners.push(index);
        }
    }
    let set = set.build().expect("a test builds every pattern");
    (set, owners)
});

/// The classes of a path, in the order of the table.
pub(crate) fn classes(path: &str) -> Vec<&'static str> {
    let (patterns, owners) = &*PATTERNS;
    let mut found: Vec<usize> = patterns
        .matches_candidate(&Candidate::new(path))
        .into_iter()
        .map(|pattern| owners[pattern])
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|index| CLASSES[index].name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_classes() {
        for (path, class, is_one) in [
            ("/etc/shadow", "password-database", true),
            ("/host/etc/shadow", "password-database", true),
            ("/etc/shadow.txt", "password-database", false),
            ("/etc/passwd", "account-database", true),
            ("/etc/cron.d/job", "cron", true),
            ("/var/spool/cron/crontabs/root", "cron", true),
            ("/root/.ssh/authorized_keys", "login-key", true),
            ("/root/.ssh/id_rsa", "ssh-key", true),
            ("/root/.ssh/id_rsa.pub", "ssh-key", false),
            ("/srv/.git/hooks/pre-commit", "git-hook", true),
            ("/srv/.git/hooks/pre-commit.sample", "git-hook", false),
            ("/proc/sys/kernel/core_pattern", "core-pattern", true),
            ("/proc/17/environ", "environment-of-process", true),
            ("/sys/fs/cgroup/memory/release_agent", "release-agent", true),
            ("/dev/sda1", "block-device", true),
            ("/dev/shm/x", "block-device", false),
            ("/dev/null", "plain-device", true),
            ("/var/www/html/a.php", "web-script", true),
            ("/var/www/html/deep/a.php", "web-script", true),
            ("/var/www/html/a.css", "web-script", false),
            (
                "/run/secrets/kubernetes.io/serviceaccount/..2026_11/token",
                "service-account-token",
                true,
            ),
            (
                "/var/run/secrets/kubernetes.io/serviceaccount/token",
                "service-account-token",
                true,
            ),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", "loader", true),
            ("/tmp/.x/run", "hidden", true),
            (
                "/usr/lib/python3/dist-packages/evil.pth",
                "interpreter-startup",
                true,
            ),
            ("/var/run/docker.sock", "runtime-socket", true),
            ("/proc/1/root/etc/passwd", "root-of-process", true),
        ] {
            assert_eq!(
                classes(path).contains(&class),
                is_one,
                "{path} {class}: {:?}",
                classes(path)
            );
        }
    }
}

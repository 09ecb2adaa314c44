//! Classes of programs, by their name.

use super::base_name;
use super::class::{Class, table};
use std::collections::HashMap;
use std::sync::LazyLock;

/// All classes of programs. A name stands without its version: `python` is `python3.11` too.
pub(crate) static CLASSES: LazyLock<Vec<Class>> =
    LazyLock::new(|| table(include_str!("programs.tsv")));

/// The classes of each name.
static BY_NAME: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
    for class in CLASSES.iter() {
        for name in class.patterns() {
            names.entry(name).or_default().push(class.name);
        }
    }
    names
});

/// Classes of the tools by which intruders look around, fetch and go on.
const OF_INTRUDERS: [&str; 23] = [
    "download-tool",
    "netcat",
    "scan-tool",
    "sniff-tool",
    "name-tool",
    "tunnel-tool",
    "copy-tool",
    "ssh-client",
    "kubernetes-client",
    "runtime-client",
    "attack-tool",
    "system-package-manager",
    "language-package-manager",
    "compiler",
    "debugger",
    "namespace-tool",
    "mount-tool",
    "user-tool",
    "login-tool",
    "schedule-tool",
    "module-tool",
    "miner",
    "encode-tool",
];

/// The classes of a program, by its path or name.
pub(crate) fn classes(path: &str) -> &'static [&'static str] {
    let name = base_name(path);
    let plain = without_version(name);
    // A name as it is comes first: `base64` and `dnscat2` end in what looks like a version.
    BY_NAME
        .get(name)
        .or_else(|| BY_NAME.get(plain))
        .or_else(|| BY_NAME.get(plain.to_ascii_lowercase().as_str()))
        .map_or(&[], Vec::as_slice)
}

/// The name of a program without its version: `python3.11` is `python`.
fn without_version(name: &str) -> &str {
    name.trim_end_matches(|character: char| {
        character.is_ascii_digit() || character == '.' || character == '-'
    })
}

/// A shell.
pub(crate) fn is_shell(path: &str) -> bool {
    classes(path).contains(&"shell")
}

/// A program that runs what it is given; a shell is one.
pub(crate) fn is_interpreter(path: &str) -> bool {
    is_shell(path) || classes(path).contains(&"interpreter")
}

/// A tool by which intruders look around, fetch and go on.
pub(crate) fn is_tool(path: &str) -> bool {
    let mut classes = classes(path).iter();
    classes.any(|class| OF_INTRUDERS.contains(class))
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
        assert!(classes("/usr/bin/gcc-12").contains(&"compiler"));
        assert!(classes("/usr/bin/base64").contains(&"encode-tool"));
        assert!(classes("/lib64/ld-linux-x86-64.so.2").contains(&"loader"));
    }

    #[test]
    fn the_tools_of_intruders_are_classes() {
        for name in OF_INTRUDERS {
            assert!(CLASSES.iter().any(|class| class.name == name), "{name}");
        }
    }
}

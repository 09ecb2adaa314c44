//! Facts that all arguments of a program say together.

use crate::mask::names::{self, Secrecy};
use crate::mask::{commands, habits};

/// The kind of text that a program reads from its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mask) enum Fed {
    /// Nothing that is known to be a credential.
    No,
    /// A credential.
    Secret,
    /// `user:password`.
    Pair,
}

/// Facts that all arguments together say.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Facts {
    /// A credential is written: each `name=value` holds one.
    pub(super) writes: bool,
    /// It is about objects that are called secrets.
    pub(super) secrets: bool,
    /// Words are patterns or messages.
    pub(super) patterns: bool,
    /// A shell, or what runs the command lines of others.
    pub(super) runs: bool,
}

/// Objects that hold credentials.
const NOUNS: [&str; 6] = [
    "secret",
    "secrets",
    "credential",
    "credentials",
    "secret-value",
    "securestring",
];

/// Verbs of programs that write one.
const VERBS: [&str; 8] = [
    "create", "put", "set", "add", "write", "update", "patch", "new",
];

impl Facts {
    pub(super) fn of(words: &[&str]) -> Self {
        let program = program(words);
        let traits = habits::traits(program);
        let ends_with = |word: &str, end: &str| {
            word.len() >= end.len() && word.is_char_boundary(word.len() - end.len()) && {
                let (begin, last) = word.split_at(word.len() - end.len());
                last.eq_ignore_ascii_case(end) && (begin.is_empty() || begin.ends_with('-'))
            }
        };
        let is_noun = |word: &str| {
            word.len() < 40
                && !word.starts_with('-')
                && !word.contains(['=', '/', '.', ':'])
                && NOUNS.iter().any(|noun| ends_with(word, noun))
        };
        let is_verb = |word: &&str| {
            word.len() < 40
                && VERBS.iter().any(|verb| {
                    word.get(..verb.len())
                        .is_some_and(|begin| begin.eq_ignore_ascii_case(verb))
                        && matches!(word.as_bytes().get(verb.len()), None | Some(b'-' | b':'))
                })
        };
        let head = &words[..words.len().min(64)];
        let writes = head.iter().any(is_verb)
            && (head.iter().any(|word| is_noun(word))
                || matches!(program, "vault" | "bao")
                    && head.iter().any(|word| matches!(*word, "kv" | "put")));
        Self {
            writes,
            secrets: head.iter().skip(1).any(|word| is_noun(word)),
            patterns: traits.patterns,
            runs: traits.texts,
        }
    }
}

/// The name of the program, behind what is set for it.
pub(super) fn program<'a>(words: &[&'a str]) -> &'a str {
    words
        .iter()
        .find(|word| !is_assignment(word))
        .map_or("", |word| base(word))
}

/// `NAME=value` before a program.
pub(super) fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.as_bytes()[0].is_ascii_digit()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The last part of a program's path.
pub(super) fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// The kind of text that a program with these arguments reads from its input.
pub(in crate::mask) fn reads(words: &[&str]) -> Fed {
    let Some(first) = words.first() else {
        return Fed::No;
    };
    let names_program = |name: &str| words.iter().take(8).any(|word| base(word) == name);
    if names_program("chpasswd") {
        return Fed::Pair;
    }
    let asks = words.iter().any(|word| {
        let option = word.trim_start_matches('-');
        word.starts_with('-')
            && (matches!(
                option,
                "stdin"
                    | "with-token"
                    | "passphrase-fd"
                    | "password-fd"
                    | "passwd-fd"
                    | "pass-stdin"
            ) || option.ends_with("stdin")
                && names::meaning(option.trim_end_matches("-stdin").trim_end_matches("_stdin"))
                    .secrecy
                    >= Secrecy::Likely)
    });
    let sudo = base(first) == "sudo"
        && words
            .iter()
            .skip(1)
            .take_while(|word| word.starts_with('-'))
            .any(|word| *word == "--stdin" || !word.starts_with("--") && word.contains('S'));
    let programs = [
        "passwd",
        "smbpasswd",
        "su",
        "kinit",
        "cryptsetup",
        "saslpasswd2",
        "sshpass",
        "ssh-add",
    ];
    let openssl = base(first) == "openssl" && words.contains(&"stdin");
    // `docker secret create name -`, `kubectl create secret … --from-file=x=/dev/stdin`.
    let writes = words
        .iter()
        .any(|word| matches!(*word, "secret" | "secrets"))
        && words
            .iter()
            .any(|word| matches!(*word, "create" | "set" | "put"))
        && words
            .iter()
            .any(|word| *word == "-" || word.ends_with("=-") || word.ends_with("/dev/stdin"));
    let vault = matches!(base(first), "vault" | "bao")
        && words.iter().any(|word| matches!(*word, "login" | "unseal"));
    if asks
        || sudo
        || openssl
        || vault
        || writes
        || programs.iter().any(|name| base(first) == *name)
    {
        Fed::Secret
    } else {
        Fed::No
    }
}

/// For each argument: a user is named beside it, by the same program.
pub(super) fn has_user(words: &[&str]) -> Vec<bool> {
    let mut has = vec![false; words.len()];
    let mut start = 0;
    for end in 1..=words.len() {
        let begins = end == words.len()
            || !words[end].starts_with('-')
                && (commands::is_known(words[end]) || habits::of(words[end]).is_some())
                && !words[end - 1].starts_with('-');
        if begins {
            let named = words[start..end].iter().any(|word| {
                matches!(
                    *word,
                    "-u" | "-U"
                        | "--user"
                        | "--username"
                        | "-username"
                        | "-user"
                        | "--login"
                        | "-l"
                        | "login"
                ) || ["--user=", "--username=", "/u:", "/user:"]
                    .iter()
                    .any(|name| word.starts_with(name))
                    || word
                        .strip_prefix("-u")
                        .is_some_and(|rest| rest.len() > 2 && !rest.starts_with('n'))
            });
            has[start..end].fill(named);
            start = end;
        }
    }
    has
}

/// `-path`, `-print0`: long names that begin as a letter does.
pub(super) fn is_long_name(word: &str) -> bool {
    const NAMES: [&str; 34] = [
        "-path",
        "-print",
        "-print0",
        "-printf",
        "-perm",
        "-prune",
        "-port",
        "-passin",
        "-passout",
        "-pass",
        "-prefix",
        "-progress",
        "-profile",
        "-parallel",
        "-pedantic",
        "-pipe",
        "-pthread",
        "-plugin",
        "-project",
        "-pid",
        "-proto",
        "-params",
        "-public",
        "-private",
        "-pkg",
        "-user",
        "-username",
        "-uid",
        "-apr1",
        "-auth",
        "-all",
        "-add",
        "-path=",
        "-password",
    ];
    NAMES.contains(&word)
}

/// `-c`, `-lc`, `--command`.
pub(super) fn is_script_option(word: &str) -> bool {
    word == "--command"
        || word.strip_prefix('-').is_some_and(|letters| {
            letters.len() < 5 && !letters.starts_with('-') && letters.contains('c')
        })
}

/// Subcommands behind which a credential may stand.
pub(super) fn is_verb(word: &str) -> bool {
    matches!(
        word,
        "login" | "auth" | "unseal" | "authenticate" | "add_user" | "change_password" | "passwd"
    )
}

/// `create secret`, `set secret`: their names are not credentials.
pub(super) fn is_verb_of_secrets(words: &[&str]) -> bool {
    words
        .iter()
        .take(8)
        .any(|word| matches!(*word, "secret" | "secrets"))
}

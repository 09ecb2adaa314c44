//! Credentials on command lines, made unreadable. In doubt a value is masked: one star too many
//! costs less than a password in a document.

use crate::text::Text;

/// What stands in for a credential.
pub const MASK: &str = "***";

/// Times that arguments are read again, since something in them was masked. From the third on what
/// still changes is masked as a whole.
const MAX_ROUNDS: u32 = 16;

/// Words that make an option, variable, parameter or header a credential.
const SECRET_WORDS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "accesskey",
    "access-key",
    "access_key",
    "credential",
    "bearer",
];

/// Last parts of names that are credentials, as in `DB_PASS`, `db.pwd` and `REDISCLI_AUTH`.
const SECRET_ENDS: [&str; 4] = ["pass", "pwd", "pw", "auth"];

/// How a program takes a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// As the next argument, or as the rest of this one.
    Value,
    /// Only as the rest of this argument: alone it asks.
    Rest,
    /// `user:password`, as the next argument or as the rest of this one.
    Pair,
    /// `user%password`, the same.
    Percent,
}

/// What a program's name says of its arguments.
#[derive(Clone, Copy)]
enum Program {
    /// Runs another program that its arguments name.
    Wrapper,
    /// Takes a script after `-c`, or the name of a program as busybox does.
    Shell,
    /// Takes credentials by short or peculiar options.
    Options {
        options: &'static [(&'static str, Takes)],
        /// Letters that may stand before one of these in one argument.
        flags: &'static str,
    },
}

const fn options(options: &'static [(&'static str, Takes)]) -> Program {
    Program::Options { options, flags: "" }
}

const CURL: &[(&str, Takes)] = &[
    ("-u", Takes::Pair),
    ("--user", Takes::Pair),
    ("-U", Takes::Pair),
    ("--proxy-user", Takes::Pair),
    ("-b", Takes::Value),
    ("-E", Takes::Pair),
    ("--cert", Takes::Pair),
];
const SMALL_P: &[(&str, Takes)] = &[("-p", Takes::Value)];
const LARGE_P: &[(&str, Takes)] = &[("-P", Takes::Value)];

/// Programs by the beginning of their names; the first that fits counts.
const PROGRAMS: [(&[&str], Program); 12] = [
    (
        &["curl"],
        Program::Options {
            options: CURL,
            flags: "sSfkLvigINjlnqaBGJMRZ#012346",
        },
    ),
    (
        &["mysql", "mariadb", "7z", "7za"],
        options(&[("-p", Takes::Rest)]),
    ),
    (
        &["redis-cli", "valkey-cli", "keydb-cli"],
        options(&[("-a", Takes::Value)]),
    ),
    (
        &["mongo", "sshpass", "cqlsh", "rabbitmqadmin"],
        options(SMALL_P),
    ),
    (
        &["sqlcmd", "bcp", "mosquitto_", "ipmitool", "zip", "unzip"],
        options(LARGE_P),
    ),
    (
        &["ldap"],
        options(&[("-w", Takes::Value), ("-s", Takes::Value)]),
    ),
    (
        &["smbclient", "rpcclient", "net"],
        options(&[("-U", Takes::Percent)]),
    ),
    (
        &["http", "https"],
        options(&[("-a", Takes::Pair), ("--auth", Takes::Pair)]),
    ),
    (&["useradd", "usermod"], options(SMALL_P)),
    (
        &["openssl"],
        options(&[
            ("-passin", Takes::Value),
            ("-passout", Takes::Value),
            ("-pass", Takes::Value),
            ("-k", Takes::Value),
            ("-K", Takes::Value),
        ]),
    ),
    (
        &[
            "sudo",
            "env",
            "nice",
            "nohup",
            "timeout",
            "time",
            "stdbuf",
            "strace",
            "xargs",
            "exec",
            "chroot",
            "setpriv",
            "setsid",
            "doas",
            "ionice",
            "taskset",
            "tini",
            "dumb-init",
        ],
        Program::Wrapper,
    ),
    (
        &[
            "sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "su", "runuser",
        ],
        Program::Shell,
    ),
];

/// Families whose members share the beginning of their names.
const FAMILIES: [&str; 5] = ["mysql", "mariadb", "mongo", "mosquitto_", "ldap"];

/// Programs of which only `login` takes a password by `-p`.
const LOGINS: [&str; 7] = ["docker", "podman", "nerdctl", "helm", "buildah", "oc", "az"];

fn program(argument: &str) -> Option<Program> {
    let name = argument.rsplit('/').next().unwrap_or_default();
    // A login shell has a dash before its name.
    let name = name.trim_start_matches('-');
    PROGRAMS.iter().find_map(|(names, program)| {
        names
            .iter()
            .any(|known| *known == name || FAMILIES.contains(known) && name.starts_with(known))
            .then_some(*program)
    })
}

/// Masks the values of options, variables, parameters and headers whose name says that they are
/// credentials, passwords in URLs, and what well-known programs take by short options. Options that
/// take a file are left alone. Masking twice is masking once.
///
/// ```
/// let mut argv = ["app", "--password=x", "--token", "y", "https://u:p@host/"].map(String::from).to_vec();
/// procmon_profile::mask::mask_argv(&mut argv);
/// assert_eq!(argv, ["app", "--password=***", "--token", "***", "https://u:***@host/"]);
/// ```
pub fn mask_argv(argv: &mut [String]) {
    // A masked word of a script may have lost quotes, so that its neighbours read otherwise.
    for round in 0..MAX_ROUNDS {
        let before = argv.to_vec();
        mask_words(argv, false);
        let mut changed = false;
        for (argument, before) in argv.iter_mut().zip(before) {
            if *argument != before {
                changed = true;
                if round > 1 {
                    MASK.clone_into(argument);
                }
            }
        }
        if !changed {
            return;
        }
    }
}

/// What the next argument is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Plain,
    Takes(Takes),
    /// A value, unless it is an option itself.
    Value,
    Script,
}

/// As [`mask_argv`], for arguments of a document: the line ends and tabs of a script, which stand
/// escaped there, part its words.
///
/// ```
/// use procmon_profile::{mask::mask_texts, text::Text};
/// let mut argv = [&b"sh"[..], b"-c", b"export TOKEN=x\nrun"].map(Text::from_bytes);
/// mask_texts(&mut argv);
/// assert_eq!(argv[2], r"export TOKEN=***\x0arun");
/// ```
pub fn mask_texts(argv: &mut [Text]) {
    let mut plain: Vec<String> = argv.iter().map(Text::with_white_space).collect();
    mask_argv(&mut plain);
    for (argument, masked) in argv.iter_mut().zip(plain) {
        *argument = masked.into();
    }
}

/// `any`: the name of a program may stand anywhere, as it does in a script.
fn mask_words(argv: &mut [String], any: bool) {
    let mut current = None;
    let mut next = Next::Plain;
    let mut begins = true;
    let is_login = argv.iter().any(|argument| argument == "login")
        && argv
            .first()
            .is_some_and(|name| LOGINS.contains(&name.rsplit('/').next().unwrap_or_default()));
    if is_login {
        current = Some(options(SMALL_P));
    }
    for argument in argv {
        match std::mem::replace(&mut next, Next::Plain) {
            Next::Takes(takes) => {
                *argument = masked(takes, argument);
                continue;
            }
            Next::Value if !argument.starts_with('-') => {
                MASK.clone_into(argument);
                continue;
            }
            Next::Script => {
                *argument = mask_script(argument);
                continue;
            }
            Next::Value | Next::Plain => {}
        }
        let may_name = begins
            || (any || matches!(current, Some(Program::Wrapper | Program::Shell)))
                && !argument.starts_with('-')
                && !argument.contains('=');
        begins = argument == "--";
        if may_name && let Some(found) = program(argument) {
            current = Some(found);
            continue;
        }
        match current {
            Some(Program::Shell) if is_script_option(argument) => {
                next = Next::Script;
                continue;
            }
            Some(Program::Options { options, flags }) => {
                if let Some(found) = by_option(options, flags, argument, &mut next) {
                    *argument = found;
                    continue;
                }
            }
            _ => {}
        }
        if argument.starts_with('-') && !argument.contains('=') && is_secret(argument) {
            next = Next::Value;
            continue;
        }
        *argument = mask_text(argument);
    }
}

fn is_script_option(argument: &str) -> bool {
    argument
        .strip_prefix('-')
        .is_some_and(|letters| !letters.starts_with('-') && letters.contains('c'))
        || argument == "--command"
}

/// An option of a known program: what is left of it, and what its next argument is.
fn by_option(
    options: &[(&str, Takes)],
    flags: &str,
    argument: &str,
    next: &mut Next,
) -> Option<String> {
    // Letters without values may stand before: `-su me:secret`.
    let letters = argument.strip_prefix('-').unwrap_or_default();
    let before = letters.len()
        - letters
            .trim_start_matches(|letter| flags.contains(letter))
            .len();
    let short = format!("-{}", &letters[before..]);
    for (name, takes) in options {
        if argument == *name || short == *name {
            if *takes != Takes::Rest {
                *next = Next::Takes(*takes);
            }
            return Some(argument.to_owned());
        }
        let rest = if name.starts_with("--") {
            argument
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('='))
        } else if name.len() == 2 && !argument.starts_with("--") {
            short.strip_prefix(name)
        } else {
            None
        };
        if let Some(rest) = rest {
            let head = &argument[..argument.len() - rest.len()];
            return Some(format!("{head}{}", masked(*takes, rest)));
        }
    }
    None
}

fn masked(takes: Takes, value: &str) -> String {
    let sign = match takes {
        Takes::Value | Takes::Rest => return MASK.to_owned(),
        Takes::Pair => ':',
        Takes::Percent => '%',
    };
    match value.split_once(sign) {
        // A token in the place of the user.
        Some((_, "")) => format!("{MASK}{sign}"),
        Some((user, _)) => format!("{user}{sign}{MASK}"),
        None => value.to_owned(),
    }
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let names_a_file = ["file", "path", "dir"]
        .iter()
        .any(|end| lower.ends_with(end));
    // The working directory.
    if names_a_file || name == "PWD" || name == "OLDPWD" {
        return false;
    }
    let last = lower.rsplit(['_', '-', '.']).next().unwrap_or_default();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
        || SECRET_ENDS.contains(&last) && (last != "auth" || lower.len() > 4 && lower.contains('_'))
        || name.ends_with("Pass")
        || name.ends_with("Pwd")
}

fn is_secret_header(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_secret(name) || lower.ends_with("authorization") || lower.ends_with("cookie")
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Masks what a single text says by itself.
fn mask_text(text: &str) -> String {
    if let Some((name, value)) = text.split_once('=')
        && name.bytes().all(is_name)
        && is_secret(name)
        && !value.is_empty()
    {
        return format!("{name}={MASK}");
    }
    mask_pairs(&mask_urls(text))
}

/// `scheme://user:password@host`, as often as it occurs.
fn mask_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out += before;
        out += "://";
        rest = after;
        let end = after
            .find(|sign: char| "/?#\"'".contains(sign) || sign.is_whitespace())
            .unwrap_or(after.len());
        let Some((userinfo, _)) = after[..end].rsplit_once('@') else {
            continue;
        };
        let is_web = before.ends_with("http") || before.ends_with("https");
        out += &match userinfo.split_once(':') {
            Some((_, "")) if is_web => format!("{MASK}:"),
            Some((_, "")) => userinfo.to_owned(),
            Some((user, _)) => format!("{user}:{MASK}"),
            // The web knows no user without a password: it is a token.
            None if is_web => MASK.to_owned(),
            None => userinfo.to_owned(),
        };
        rest = &after[userinfo.len()..];
    }
    out + rest
}

/// `name=value` in queries and connection strings, `"name": "value"` in JSON, `Name: value` in
/// headers, wherever in the text they stand.
fn mask_pairs(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        if !is_name(*byte) {
            let length = text[place..].chars().next().map_or(1, char::len_utf8);
            out += &text[place..place + length];
            place += length;
            continue;
        }
        let end = place
            + bytes[place..]
                .iter()
                .take_while(|byte| is_name(**byte))
                .count();
        let value = value_of(bytes, place, end, &text[place..end]);
        match value {
            Some((from, to)) if from < to => {
                out += &text[place..from];
                out += MASK;
                place = to;
            }
            _ => {
                out += &text[place..end];
                place = end;
            }
        }
    }
    out
}

/// Where the value of the credential that is named at `start..end` stands.
fn value_of(bytes: &[u8], start: usize, end: usize, name: &str) -> Option<(usize, usize)> {
    let is_quote = |place: usize| matches!(bytes.get(place), Some(b'"' | b'\''));
    let skip = |mut place: usize, signs: &[u8]| {
        while bytes.get(place).is_some_and(|byte| signs.contains(byte)) {
            place += 1;
        }
        place
    };
    if !is_secret_header(name) {
        return None;
    }
    let mut place = skip(end, b"\\");
    let quoted = is_quote(place);
    if quoted {
        place = skip(place + 1, b" ");
    }
    let is_header = match bytes.get(place)? {
        b'=' if is_secret(name) => false,
        b':' if quoted => false,
        // In the middle of a text only with the blank that headers have.
        b':' if start == 0 || bytes[start - 1] != b'/' && bytes.get(place + 1) == Some(&b' ') => {
            true
        }
        _ => return None,
    };
    let mut from = skip(place + 1, if is_header || quoted { b" \\" } else { b"\\" });
    let quote = is_quote(from).then(|| bytes[from]);
    from += usize::from(quote.is_some());
    let length = bytes[from..]
        .iter()
        .take_while(|byte| match quote {
            Some(quote) => **byte != quote,
            None if is_header => !matches!(byte, b'"' | b'\'' | b'\n'),
            None => !b"&;,}\"'".contains(byte) && !byte.is_ascii_whitespace(),
        })
        .count();
    Some((from, from + length))
}

/// Masks the words of a shell's script, of which quotes make one word out of several.
fn mask_script(script: &str) -> String {
    const ENDS: [char; 6] = [';', '|', '&', '(', ')', '\n'];
    let mut raw: Vec<(usize, usize)> = Vec::new();
    let mut quote = None;
    let mut start = None;
    for (place, sign) in script.char_indices() {
        let ends = quote.is_none() && (sign.is_whitespace() || ENDS.contains(&sign));
        match quote {
            Some(open) if open == sign => quote = None,
            None if sign == '"' || sign == '\'' => quote = Some(sign),
            _ => {}
        }
        if ends {
            raw.extend(start.take().map(|start| (start, place)));
        } else if start.is_none() {
            start = Some(place);
        }
    }
    raw.extend(start.map(|start| (start, script.len())));
    let plain: Vec<String> = raw
        .iter()
        .map(|(from, to)| unquoted(&script[*from..*to]))
        .collect();
    let mut words = plain.clone();
    mask_words(&mut words, true);
    let mut out = String::with_capacity(script.len());
    let mut done = 0;
    for (((from, to), plain), word) in raw.into_iter().zip(plain).zip(words) {
        out += &script[done..from];
        let before = &script[from..to];
        if plain == word {
            out += before;
        } else if let Some(quote) = before.chars().next().filter(|sign| "\"'".contains(*sign)) {
            out += &format!("{quote}{word}{quote}");
        } else {
            out += &word;
        }
        done = to;
    }
    out + &script[done..]
}

/// A word without the quotes around its parts; those inside of other quotes stay.
fn unquoted(word: &str) -> String {
    let mut quote = None;
    word.chars()
        .filter(|sign| match quote {
            Some(open) if open == *sign => {
                quote = None;
                false
            }
            None if "\"'".contains(*sign) => {
                quote = Some(*sign);
                false
            }
            _ => true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argv: &[&str], expected: &[&str]) {
        let mut masked: Vec<String> = argv.iter().map(ToString::to_string).collect();
        mask_argv(&mut masked);
        assert_eq!(masked, expected);
        let once = masked.clone();
        mask_argv(&mut masked);
        assert_eq!(masked, once, "masking twice is masking once");
    }

    #[test]
    fn every_way_of_giving_curl_a_credential_is_masked() {
        check(
            &[
                "/usr/bin/curl",
                "-s",
                "-u",
                "me:hunter2",
                "--data",
                "password=hunter2",
                "-H",
                "X-Api-Key: hunter2",
                "http://u:hunter2@127.0.0.1:9/?token=hunter2",
            ],
            &[
                "/usr/bin/curl",
                "-s",
                "-u",
                "me:***",
                "--data",
                "password=***",
                "-H",
                "X-Api-Key: ***",
                "http://u:***@127.0.0.1:9/?token=***",
            ],
        );
        check(
            &[
                "curl",
                "-sSu",
                "me:x",
                "-ume:x",
                "--user=me:x",
                "-U",
                "key:",
                "-b",
                "sid=x",
            ],
            &[
                "curl",
                "-sSu",
                "me:***",
                "-ume:***",
                "--user=me:***",
                "-U",
                "***:",
                "-b",
                "***",
            ],
        );
        check(
            &[
                "curl",
                "-d",
                "user=me&password=x&a=1",
                "-d",
                r#"{"user":"me", "password": "x y"}"#,
            ],
            &[
                "curl",
                "-d",
                "user=me&password=***&a=1",
                "-d",
                r#"{"user":"me", "password": "***"}"#,
            ],
        );
        check(
            &[
                "curl",
                "--header=Authorization: Bearer x",
                "https://ghp_x@host/",
                "ssh://git@host",
            ],
            &[
                "curl",
                "--header=Authorization: ***",
                "https://***@host/",
                "ssh://git@host",
            ],
        );
    }

    #[test]
    fn short_options_are_known_by_their_program() {
        check(
            &["mysql", "-psecret", "-p", "db"],
            &["mysql", "-p***", "-p", "db"],
        );
        check(
            &["mysqldump", "-umE", "-ps", "db"],
            &["mysqldump", "-umE", "-p***", "db"],
        );
        check(
            &["redis-cli", "-a", "x", "-p", "6379"],
            &["redis-cli", "-a", "***", "-p", "6379"],
        );
        check(
            &["mongosh", "-u", "me", "-p", "x"],
            &["mongosh", "-u", "me", "-p", "***"],
        );
        check(
            &["sudo", "-n", "mysql", "-px"],
            &["sudo", "-n", "mysql", "-p***"],
        );
        check(
            &["kubectl", "exec", "a", "--", "mysql", "-px"],
            &["kubectl", "exec", "a", "--", "mysql", "-p***"],
        );
        check(
            &["docker", "login", "-p", "x"],
            &["docker", "login", "-p", "***"],
        );
        check(
            &["docker", "run", "-p", "80:80"],
            &["docker", "run", "-p", "80:80"],
        );
        check(
            &["find", "mysql", "-path", "x"],
            &["find", "mysql", "-path", "x"],
        );
    }

    #[test]
    fn names_say_what_is_a_credential() {
        check(
            &[
                "env",
                "DB_PWD=x",
                "DB_PASS=x",
                "PWD=/x",
                "PASSENGER=1",
                "dbPass=x",
                "PGPASSWORD=x",
            ],
            &[
                "env",
                "DB_PWD=***",
                "DB_PASS=***",
                "PWD=/x",
                "PASSENGER=1",
                "dbPass=***",
                "PGPASSWORD=***",
            ],
        );
        check(
            &[
                "psql",
                "host=h password=x dbname=d",
                "Server=s;Pwd=x;Uid=u",
                "postgres://u:p@h/d?sslmode=off",
            ],
            &[
                "psql",
                "host=h password=*** dbname=d",
                "Server=s;Pwd=***;Uid=u",
                "postgres://u:***@h/d?sslmode=off",
            ],
        );
        check(
            &[
                "app",
                "--token-file",
                "/run/secrets/x",
                "-v",
                "/secret:/x",
                "--pass",
                "x",
            ],
            &[
                "app",
                "--token-file",
                "/run/secrets/x",
                "-v",
                "/secret:/x",
                "--pass",
                "***",
            ],
        );
    }

    #[test]
    fn scripts_are_masked_word_by_word() {
        check(
            &[
                "/bin/sh",
                "-ec",
                "cd /x && curl -H 'Authorization: Bearer x' -su me:x \"http://u:x@h/\"; mysql -px | DB_PASS='a b' app",
            ],
            &[
                "/bin/sh",
                "-ec",
                "cd /x && curl -H 'Authorization: ***' -su me:*** \"http://u:***@h/\"; mysql -p*** | DB_PASS=*** app",
            ],
        );
        check(&["sh", "-c", "echo 'ünï"], &["sh", "-c", "echo 'ünï"]);
        check(
            &[
                "sh",
                "-c",
                "x'\"http://u:x@h/\"; mysql -px | DB_PASS='a b' app",
            ],
            &[
                "sh",
                "-c",
                "x\"http://u:***@h/\"; mysql -p*** | DB_PASS=*** b' app",
            ],
        );
    }
}

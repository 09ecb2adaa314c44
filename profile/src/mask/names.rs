//! Facts that a name tells about its value: an option, a variable, a parameter, a header, a key of JSON.

use super::words::{
    ABOUT, ABOUT_FIRST, HARD, HARD_ENDS, NOT_ENDS, OTHER_KEYS, SECRET_KEYS, SOFT, SOFT_ENDS,
    VALUES, WEAK,
};

/// How likely the value of a name is a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Secrecy {
    /// The name says nothing.
    #[default]
    None,
    /// It may be one: only a value that looks like one is.
    Weak,
    /// Mostly one: all but plain words and the names of methods.
    Likely,
    /// One: all but what surely is none.
    Strong,
}

/// The meaning of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) secrecy: Secrecy,
    /// The value may be a plain number: a PIN, a password of digits.
    pub(super) digits: bool,
    /// The value is a list of cookies.
    pub(super) cookies: bool,
    /// The value is `user:password`, or may be.
    pub(super) pair: bool,
}

impl Meaning {
    pub(super) const STRONG: Self = Self {
        secrecy: Secrecy::Strong,
        digits: false,
        cookies: false,
        pair: false,
    };
    pub(super) const LIKELY: Self = Self {
        secrecy: Secrecy::Likely,
        ..Self::STRONG
    };
    pub(super) const WEAK: Self = Self {
        secrecy: Secrecy::Weak,
        ..Self::STRONG
    };
}

/// Whether a sorted list has a part.
fn has(list: &[&str], part: &str) -> bool {
    list.binary_search(&part).is_ok()
}

/// The longest end of a name that is read.
const MAX_NAME: usize = 80;

/// The most parts of it.
const MAX_PARTS: usize = 16;

/// Parts of a name in small letters.
struct Parts {
    text: [u8; MAX_NAME],
    ends: [(u8, u8); MAX_PARTS],
    count: usize,
}

impl Parts {
    fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let bytes = &bytes[bytes.len().saturating_sub(MAX_NAME)..];
        let mut parts = Self {
            text: [0; MAX_NAME],
            ends: [(0, 0); MAX_PARTS],
            count: 0,
        };
        let mut start = 0;
        for (place, byte) in bytes.iter().enumerate() {
            parts.text[place] = byte.to_ascii_lowercase();
            let before = place.checked_sub(1).map(|before| bytes[before]);
            let is_letter = byte.is_ascii_alphabetic();
            let begins = byte.is_ascii_uppercase()
                && (before.is_some_and(|before| before.is_ascii_lowercase())
                    || before.is_some_and(|before| before.is_ascii_uppercase())
                        && bytes.get(place + 1).is_some_and(u8::is_ascii_lowercase)
                        // `APIs`, `JWTs`.
                        && !(bytes.get(place + 1) == Some(&b's') && bytes.len() == place + 2));
            if begins || !is_letter {
                parts.push(start, place);
                start = if is_letter { place } else { place + 1 };
            }
        }
        parts.push(start, bytes.len());
        parts
    }

    fn push(&mut self, from: usize, to: usize) {
        let (Ok(first), Ok(end)) = (u8::try_from(from), u8::try_from(to)) else {
            return;
        };
        if from >= to {
            return;
        }
        if self.count == MAX_PARTS {
            self.ends.rotate_left(1);
            self.count -= 1;
        }
        self.ends[self.count] = (first, end);
        self.count += 1;
    }

    fn get(&self, place: usize) -> &str {
        let (from, to) = self.ends[place];
        std::str::from_utf8(&self.text[usize::from(from)..usize::from(to)]).unwrap_or_default()
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator {
        (0..self.count).map(|place| self.get(place))
    }
}

/// The fact that a name tells about its value.
pub(super) fn meaning(name: &str) -> Meaning {
    // `-Jpassword`, `-Dtoken`: a letter before the name.
    let bytes = name.as_bytes();
    if bytes.len() < 2 {
        return Meaning::default();
    }
    let has_letter = bytes.len() > 4
        && bytes[0] == b'-'
        && bytes[1].is_ascii_uppercase()
        && bytes[2].is_ascii_lowercase();
    let found = of_parts(name);
    if has_letter && found.secrecy < Secrecy::Strong {
        return of_parts(&name[2..]);
    }
    found
}

fn of_parts(name: &str) -> Meaning {
    let parts = Parts::of(name);
    let Some(last) = parts.count.checked_sub(1) else {
        return Meaning::default();
    };
    let mut found = Meaning::default();
    let last_part = parts.get(last);
    if has(ABOUT_FIRST, parts.get(0)) && last > 0 {
        return found;
    }
    // `--set-secrets NAME=PLACE`, `--image-pull-secrets NAME`.
    if last > 0
        && last_part == "secrets"
        && matches!(parts.get(0), "set" | "update" | "remove" | "image" | "pull")
    {
        return found;
    }
    // `secret_id` of Vault is the secret.
    if last > 0 && last_part == "id" && parts.get(last - 1) == "secret" && last == 1 {
        return Meaning::LIKELY;
    }
    if has(ABOUT, last_part) && last > 0 {
        return found;
    }
    for (place, part) in parts.iter().enumerate().rev() {
        let is_last = place == last || place + 1 == last && has(VALUES, last_part);
        let before = place.checked_sub(1).map_or("", |before| parts.get(before));
        let secrecy = secrecy_of(part, before, is_last);
        found.secrecy = found.secrecy.max(secrecy);
        if secrecy == Secrecy::Strong || secrecy == Secrecy::Likely {
            found.digits |= matches!(
                part,
                "password" | "passwd" | "passphrase" | "passcode" | "pin" | "otp" | "totp" | "pwd"
            ) || part.ends_with("password");
            found.cookies |= part.ends_with("cookie") || part == "cookies";
            found.pair |= part.ends_with("auth")
                || part.starts_with("cred")
                || matches!(part, "userpass" | "authorization");
        }
    }
    // `--token-header NAME`, but `AUTH_HEADER=Basic …`.
    if matches!(last_part, "header" | "hdr") {
        found.secrecy = found.secrecy.min(Secrecy::Likely);
    }
    // The code of a second factor.
    if parts
        .iter()
        .any(|part| matches!(part, "mfa" | "2fa" | "otp" | "totp"))
        && matches!(last_part, "code" | "seed" | "otp" | "totp")
    {
        found.secrecy = Secrecy::Strong;
        found.digits = true;
    }
    let before = last.checked_sub(1).map_or("", |before| parts.get(before));
    if last_part == "code"
        && matches!(
            before,
            "token" | "recovery" | "verification" | "auth" | "security" | "activation" | "backup"
        )
    {
        found.secrecy = Secrecy::Strong;
        found.digits = true;
    }
    found
}

fn secrecy_of(part: &str, before: &str, is_last: bool) -> Secrecy {
    if has(HARD, part) || part != "authtoken" && is_glued(part, HARD_ENDS) {
        return Secrecy::Strong;
    }
    if !is_last {
        return Secrecy::None;
    }
    if part == "auth" && before.is_empty() {
        return Secrecy::Likely;
    }
    if has(SOFT, part) || is_glued(part, SOFT_ENDS) {
        return Secrecy::Strong;
    }
    if matches!(part, "key" | "keys") {
        return if has(SECRET_KEYS, before) {
            Secrecy::Strong
        } else if has(OTHER_KEYS, before) {
            Secrecy::None
        } else if before.is_empty() || part == "keys" {
            Secrecy::Weak
        } else {
            Secrecy::Likely
        };
    }
    if let Some(before) = part.strip_suffix("key").filter(|before| !before.is_empty()) {
        return if has(SECRET_KEYS, before) {
            Secrecy::Strong
        } else {
            Secrecy::None
        };
    }
    if has(WEAK, part) {
        return Secrecy::Weak;
    }
    Secrecy::None
}

/// A part that ends with one of these and is longer.
fn is_glued(part: &str, ends: &[&str]) -> bool {
    !has(NOT_ENDS, part)
        && ends.iter().any(|end| {
            end.as_bytes().last() == part.as_bytes().last()
                && part
                    .strip_suffix(end)
                    // `dbpw`, but neither `tpw` nor `apass`.
                    .is_some_and(|before| before.len() > 1)
        })
}

/// Names that say of what, where or how: their values are not credentials.
pub(super) fn is_about(name: &str) -> bool {
    let parts = Parts::of(name);
    parts.count > 0 && has(ABOUT, parts.get(parts.count - 1))
}

/// Names of commands that print a credential: `--password-command`, `passwordeval`.
pub(super) fn is_of_command(name: &str) -> bool {
    ["command", "cmd", "eval", "program", "script"]
        .iter()
        .any(|end| {
            name.strip_suffix(end)
                .is_some_and(|rest| meaning(rest).secrecy == Secrecy::Strong)
        })
}

/// Names that make the next word a credential although no dash says that they are one.
pub(super) fn is_bare_name(word: &str) -> bool {
    let meaning = meaning(word);
    if meaning.secrecy != Secrecy::Strong {
        return false;
    }
    let parts = Parts::of(word);
    let last = parts
        .count
        .checked_sub(1)
        .map_or("", |last| parts.get(last));
    // Nouns of subcommands: `create secret`, `token lookup`, `cookie`.
    let is_noun = parts.count == 1
        && matches!(
            last,
            "secret"
                | "secrets"
                | "token"
                | "tokens"
                | "credential"
                | "credentials"
                | "creds"
                | "cred"
                | "cookie"
                | "cookies"
                | "pass"
                | "pin"
                | "pat"
                | "sig"
                | "signature"
                | "jwt"
                | "bearer"
                | "stringdata"
                | "sshpass"
                | "htpasswd"
                | "chpasswd"
                | "passwd"
        );
    !is_noun && !word.bytes().any(|byte| matches!(byte, b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrecy: Secrecy, names: &[&str]) {
        for name in names {
            assert_eq!(meaning(name).secrecy, secrecy, "{name}");
        }
    }

    #[test]
    fn names_say_what_is_a_credential() {
        check(
            Secrecy::Strong,
            &[
                "password",
                "--password",
                "DB_PASS",
                "dbPass",
                "db.pwd",
                "PGPASSWORD",
                "requirepass",
                "storepass",
                "masterauth",
                "rootpw",
                "apiKey",
                "APIKey",
                "X-Auth-Key",
                "AccountKey",
                "--encryption-key",
                "adminKey",
                "sig",
                "X-Amz-Signature",
                "jwt",
                "pin",
                "cookie",
                "creds",
                "Ocp-Apim-Subscription-Key",
                "//registry.example/:_authToken",
                "_password",
                "token1",
                "REDISCLI_AUTH",
                "-Jpassword",
                "Authorization",
                "access_token",
                "clientSecret",
                "JWTSecret",
            ],
        );
        check(Secrecy::Likely, &["auth", "secret_id", "fooKey"]);
        check(Secrecy::Weak, &["key", "login", "session"]);
        check(
            Secrecy::None,
            &[
                "",
                "-",
                "max-tokens",
                "tokenizer",
                "secret-name",
                "token-file",
                "token_ttl",
                "auth-mode",
                "authentication-token-webhook",
                "bypass",
                "compass",
                "design",
                "author",
                "keyboard",
                "monkey",
                "public-key",
                "sort-key",
                "passive",
                "pass-through",
                "cookie-domain",
                "ping",
                "keyout",
                "keyFile",
                "password-stdin",
                "no-password",
                "spring",
                "plugin",
                "oauth-client",
            ],
        );
    }
}

//! `user:password@host` and `user/password@host` without a scheme before them.

use super::statement::identified;
use crate::mask::MASK;
use crate::mask::names::Meaning;
use crate::mask::spans::Spans;
use crate::mask::value::{self, Verdict};

/// `IDENTIFIED BY 'secret'`, and `user:password@host` and `user/password@host` without a scheme.
pub(super) fn logins(text: &str, spans: &mut Spans) {
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if bytes[place].is_ascii_whitespace() || b"\"'(),=`<>|;&".contains(&bytes[place]) {
            place += 1;
            continue;
        }
        let mut end = place;
        while end < bytes.len()
            && !bytes[end].is_ascii_whitespace()
            && !b"\"'`<>|;&".contains(&bytes[end])
        {
            end += 1;
        }
        let word = &text[place..end];
        if word.eq_ignore_ascii_case("identified") {
            identified(text, end, spans);
        } else if word.contains('@') && word.len() < 4096 {
            login(text, place, end, spans);
        }
        place = end;
    }
}

/// `user:password@host`, `user/password@host:port`, `user:password@tcp(host)`.
fn login(text: &str, start: usize, end: usize, spans: &mut Spans) {
    let word = &text[start..end];
    if value::is_url(word) || word.contains("://") {
        return;
    }
    // Behind the last sign that no user has: `--dsn=user:password@…`, `jdbc:oracle:thin:user/…`.
    let head = match word.find('@') {
        Some(at) => &word[..at],
        None => return,
    };
    let head_start = head.rfind(['=', ',']).map_or(0, |sign| sign + 1);
    let rest = &word[head_start..];
    let is_oracle = rest.starts_with("jdbc:oracle:");
    let rest_start = if is_oracle {
        head_start
            + rest
                .find(['/', '@'])
                .and_then(|slash| rest[..slash].rfind(':'))
                .map_or(0, |colon| colon + 1)
    } else {
        head_start + rest.len() - rest.trim_start_matches('-').len()
    };
    let rest = &word[rest_start..];
    let Some(sign) = rest.find([':', '/']) else {
        return;
    };
    if sign == 0 || rest.starts_with('/') || rest.starts_with('.') {
        return;
    }
    let by_slash = rest.as_bytes()[sign] == b'/';
    // The last `@` before which no host began.
    let Some(at) = rest[sign..].rfind('@').map(|at| sign + at) else {
        return;
    };
    let (password, host) = (&rest[sign + 1..at], &rest[at + 1..]);
    if password.is_empty() || password == MASK {
        return;
    }
    // Images, packages and their versions.
    let is_version = [
        "sha256:", "sha512:", "sha1:", "latest", "next", "main", "master", "HEAD",
    ]
    .iter()
    .any(|start| host.starts_with(start))
        || host
            .trim_start_matches(['v', '^', '~', '=', '>', '<'])
            .starts_with(|sign: char| sign.is_ascii_digit())
            && !host.starts_with(|sign: char| sign.is_ascii_digit())
        || host.starts_with(|sign: char| sign.is_ascii_digit())
            && host.matches('.').count() < 3
            && !host.contains(':');
    if is_version || host.is_empty() {
        return;
    }
    if by_slash {
        // `org/repository@branch` has no port, and a user of Oracle no dots.
        let is_place =
            host.starts_with("//") || host.starts_with('(') || is_oracle || has_port(host);
        let is_user = rest[..sign]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_$#".contains(&byte));
        if !is_user || !is_place && !value::is_mixed(password) {
            return;
        }
    } else {
        let user = &rest[..sign];
        if user.contains(['{', '[', '('])
            || password.starts_with('/')
            || user.eq_ignore_ascii_case("mailto")
        {
            return;
        }
        // `host:path@version` of git and others.
        if password.contains('/') && !value::is_mixed(password) {
            return;
        }
    }
    let from = start + rest_start + sign + 1;
    let quoted = usize::from(password.starts_with('"'));
    if value::judge(
        password,
        Meaning {
            digits: true,
            ..Meaning::STRONG
        },
    ) == Verdict::Goes
    {
        spans.hide(
            from + quoted,
            from + password.len()
                - quoted * usize::from(password.ends_with('"') && password.len() > 1),
        );
    }
}

fn has_port(host: &str) -> bool {
    host.split_once(':').is_some_and(|(name, port)| {
        !name.is_empty() && port.starts_with(|sign: char| sign.is_ascii_digit())
    })
}

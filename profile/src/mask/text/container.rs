//! Lists, objects and the arguments of calls behind a secret's name: their leaves.

use super::{closing, is_name, quote_at, skip};
use crate::mask::names::{self, Meaning, Secrecy};
use crate::mask::spans::Spans;
use crate::mask::value::{self, Verdict};

/// Hides all leaves of a list or object that begins the text.
pub(in crate::mask) fn leaves(text: &str, meaning: Meaning, spans: &mut Spans) {
    container(text, 0, meaning, spans);
}

/// Hides the leaves of a list or object behind a secret's name; the place behind it.
pub(super) fn container(text: &str, from: usize, meaning: Meaning, spans: &mut Spans) -> usize {
    let bytes = text.as_bytes();
    let is_call = bytes[from] == b'(';
    let strong = Meaning {
        secrecy: Secrecy::Strong,
        digits: meaning.digits,
        ..Meaning::default()
    };
    let mut depth = 0_usize;
    let mut place = from;
    // The key whose value stands here, if it names no credential by itself.
    let mut harmless = false;
    let mut leaves = Vec::new();
    while place < bytes.len() {
        match bytes[place] {
            b'[' | b'{' | b'(' => {
                depth += 1;
                harmless &= bytes[place] == b'[';
            }
            b']' | b'}' | b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    place += 1;
                    break;
                }
            }
            b',' => harmless = false,
            quote @ (b'"' | b'\'') => {
                let inner = place + 1;
                let end = closing(bytes, inner, quote);
                let value = text[inner..end].trim_end_matches('\\');
                let next = skip(bytes, end + 1, b" \t\n\\");
                if bytes.get(next) == Some(&b':') {
                    harmless = is_harmless_key(value);
                    place = next;
                } else {
                    if !harmless {
                        leaves.push((inner, inner + value.len()));
                    }
                    place = end;
                }
            }
            byte if byte.is_ascii_alphanumeric() => {
                let end = place
                    + bytes[place..]
                        .iter()
                        .take_while(|byte| is_name(**byte) || b"/+=$".contains(byte))
                        .count();
                let next = skip(bytes, end, b" \t");
                if matches!(bytes.get(next), Some(b':' | b'=')) {
                    harmless = is_harmless_key(&text[place..end]);
                } else if !harmless && !is_call {
                    leaves.push((place, end));
                }
                place = end;
                continue;
            }
            _ => {}
        }
        place += 1;
    }
    // The first argument of a call is whom it is about.
    let skipped = usize::from(is_call && leaves.len() > 1);
    for (from, to) in leaves.into_iter().skip(skipped) {
        if value::judge(&text[from..to], strong) == Verdict::Goes {
            spans.hide(from, to);
        }
    }
    place.min(bytes.len())
}

/// Keys of objects whose values are whom, where and how.
fn is_harmless_key(name: &str) -> bool {
    const KEYS: [&str; 22] = [
        "user",
        "username",
        "name",
        "id",
        "type",
        "kind",
        "email",
        "url",
        "uri",
        "host",
        "hostname",
        "port",
        "version",
        "method",
        "mode",
        "provider",
        "namespace",
        "db",
        "database",
        "roles",
        "role",
        "mechanism",
    ];
    KEYS.iter().any(|key| key.eq_ignore_ascii_case(name)) || names::is_about(name)
}

/// `auth('me', 'secret')`; where to read on.
pub(super) fn call(
    text: &str,
    start: usize,
    end: usize,
    open: usize,
    spans: &mut Spans,
) -> Option<usize> {
    let name = &text[start..end];
    let last = name.rsplit('.').next().unwrap_or_default();
    let lower = last.to_ascii_lowercase();
    let is_about =
        matches!(
            lower.as_str(),
            "auth"
                | "login"
                | "logon"
                | "signin"
                | "authenticate"
                | "basic_auth"
                | "httpbasicauth"
                | "password"
                | "identify"
                | "unlock"
                | "setpassword"
                | "old_password"
        ) || lower.ends_with("password") && !lower.starts_with("get") && !lower.starts_with("read");
    // `connect(place, user, password)`.
    let is_third = matches!(
        lower.as_str(),
        "connect"
            | "pdo"
            | "getconnection"
            | "create_superuser"
            | "create_user"
            | "createuser"
            | "mysqli"
    );
    // A literal has to stand right behind the bracket.
    let next = skip(text.as_bytes(), open + 1, b" ");
    let is_literal = matches!(text.as_bytes().get(next), Some(b'"' | b'\'' | b'{' | b'\\'));
    if is_third && is_literal {
        return third(text, open, spans);
    }
    (is_about && is_literal).then(|| {
        if text.as_bytes()[next] == b'{' {
            open + 1
        } else {
            container(text, open, Meaning::STRONG, spans)
        }
    })
}

/// The third of the literals that are the arguments of a call; where to read on.
fn third(text: &str, open: usize, spans: &mut Spans) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut place = open + 1;
    for count in 1..=3 {
        place = skip(bytes, place, b" \\");
        let quote = quote_at(bytes, place)?;
        let end = closing(bytes, place + 1, quote);
        let value = text[place + 1..end].trim_end_matches('\\');
        if count == 3 {
            if value::judge(value, Meaning::LIKELY) == Verdict::Goes {
                spans.hide(place + 1, place + 1 + value.len());
            }
            return Some(end);
        }
        place = skip(bytes, end + 1, b" ");
        if bytes.get(place) != Some(&b',') {
            return None;
        }
        place += 1;
    }
    None
}

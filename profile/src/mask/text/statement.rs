//! Statements of several words: SQL, XML, netrc, `Bearer x`, and what answers a prompt.

use super::{closing, hide, is_name, quote_at, skip};
use crate::mask::names::{self, Meaning, Secrecy};
use crate::mask::spans::Spans;
use crate::mask::value;

/// A word that the word before it announces as a credential: `Bearer x`, `Basic eDp5`.
pub(super) fn announced(
    text: &str,
    name: &str,
    start: usize,
    from: usize,
    spans: &mut Spans,
) -> Option<usize> {
    let before = start.checked_sub(1).map(|before| text.as_bytes()[before]);
    if before.is_some_and(|byte| is_name(byte) || byte == b'$') {
        return None;
    }
    let end = || {
        text[from..]
            .find(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | ';' | ','))
            .map_or(text.len(), |length| from + length)
    };
    match name {
        "Bearer" | "bearer" => {
            let end = end();
            if end - from <= 6 {
                return None;
            }
            hide(text, from, end, Meaning::LIKELY, spans)
        }
        "Basic" => {
            let end = end();
            if end - from <= 7 || !value::is_login(&text[from..end]) {
                return None;
            }
            hide(text, from, end, Meaning::STRONG, spans)
        }
        "ConvertTo-SecureString" => literal(text, from, spans),
        _ => None,
    }
}

/// `"me:password"`: the password goes; where to read on.
pub(super) fn user(text: &str, from: usize, spans: &mut Spans) -> Option<usize> {
    let bytes = text.as_bytes();
    let from = skip(bytes, from, b"\\");
    let quote = quote_at(bytes, from)?;
    let end = closing(bytes, from + 1, quote);
    let sign = from + 1 + text[from + 1..end].find(':')?;
    let value = text[sign + 1..end].trim_end_matches('\\');
    let is_group = value == &text[from + 1..sign];
    if is_group || value.is_empty() {
        return None;
    }
    hide(
        text,
        sign + 1,
        sign + 1 + value.len(),
        Meaning::STRONG,
        spans,
    )
}

/// `<password>secret</password>`; where to read on.
pub(super) fn element(text: &str, start: usize, end: usize, spans: &mut Spans) -> Option<usize> {
    let meaning = names::meaning(&text[start..end]);
    if meaning.secrecy < Secrecy::Likely {
        return None;
    }
    let limit = text.floor_char_boundary((end + 512).min(text.len()));
    let from = end + text[end..limit].find('>')? + 1;
    let length = text[from..].find('<')?;
    let value = text[from..from + length].trim();
    let from = from + text[from..].find(value)?;
    hide(text, from, from + value.len(), meaning, spans)
}

/// `key="password" value="secret"`; where to read on.
pub(super) fn attribute(text: &str, after: usize, spans: &mut Spans) -> Option<usize> {
    let rest = text.get(after..)?.trim_start();
    let value = rest
        .strip_prefix("value")
        .or_else(|| rest.strip_prefix("content"))?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value
        .bytes()
        .next()
        .filter(|byte| matches!(byte, b'"' | b'\''))?;
    let from = text.len() - value.len() + 1;
    let end = closing(text.as_bytes(), from, quote);
    hide(text, from, end, Meaning::STRONG, spans)
}

/// SQL: `PASSWORD 'secret'`, `IDENTIFIED WITH plugin BY 'secret'`, and `password secret` of a netrc.
pub(super) fn statement(text: &str, start: usize, end: usize, spans: &mut Spans) -> Option<usize> {
    let bytes = text.as_bytes();
    let name = &text[start..end];
    let next = skip(bytes, end, b" \t\n");
    if next == end {
        return None;
    }
    // `machine h login me password secret`.
    let before = text[..start].trim_end();
    let is_netrc = name == "password"
        && before
            .rsplit(char::is_whitespace)
            .nth(1)
            .is_some_and(|word| word.trim_start_matches(['"', '\'']) == "login");
    if is_netrc {
        let length = text[next..]
            .find(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\''))
            .unwrap_or(text.len() - next);
        return hide(text, next, next + length, Meaning::STRONG, spans);
    }
    literal(text, skip_words(text, next), spans)
}

/// Ruby's and Clojure's `:password "secret"`.
pub(super) fn symbol(text: &str, start: usize, end: usize, spans: &mut Spans) -> Option<usize> {
    let is_symbol = start > 0 && text.as_bytes()[start - 1] == b':';
    is_symbol
        .then(|| literal(text, skip(text.as_bytes(), end, b" \t"), spans))
        .flatten()
}

/// `FOR 'a'@'b' =` and `AS`, `IS`, `TO` between PASSWORD and its literal.
fn skip_words(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut place = from;
    for word in ["FOR", "AS", "IS", "TO", "="] {
        let Some(head) = text.get(place..place + word.len()) else {
            continue;
        };
        if !head.eq_ignore_ascii_case(word) {
            continue;
        }
        place = skip(bytes, place + word.len(), b" \t");
        if word == "FOR" {
            place += bytes[place..]
                .iter()
                .take(200)
                .take_while(|byte| **byte != b'=' && **byte != b';')
                .count();
        }
    }
    place
}

/// A literal in quotes goes; where to read on.
fn literal(text: &str, from: usize, spans: &mut Spans) -> Option<usize> {
    let bytes = text.as_bytes();
    let from = skip(bytes, from, b"\\");
    let quote = quote_at(bytes, from)?;
    let end = closing(bytes, from + 1, quote);
    let value = text[from + 1..end].trim_end_matches('\\');
    hide(
        text,
        from + 1,
        from + 1 + value.len(),
        Meaning::STRONG,
        spans,
    )
}

pub(super) fn identified(text: &str, from: usize, spans: &mut Spans) {
    let limit = text.floor_char_boundary((from + 120).min(text.len()));
    let lower = text[from..limit].to_ascii_lowercase();
    for word in [" by ", " as ", " using "] {
        if let Some(found) = lower.find(word) {
            let mut place = from + found + word.len();
            for skipped in ["password ", "values "] {
                if lower[found + word.len()..].starts_with(skipped) {
                    place += skipped.len();
                }
            }
            if literal(text, skip(text.as_bytes(), place, b" \t"), spans).is_none()
                && word == " by "
            {
                let length = text[place..]
                    .find(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | ';'))
                    .unwrap_or(text.len() - place);
                hide(text, place, place + length, Meaning::STRONG, spans);
            }
            return;
        }
    }
}

/// `expect "assword:"; send "secret"`: what answers a prompt.
pub(super) fn prompts(text: &str, spans: &mut Spans) {
    let mut done = 0;
    while let Some(found) = text[done..].find("assword") {
        done += found + 7;
        let limit = text.floor_char_boundary((done + 120).min(text.len()));
        if let Some(send) = text[done..limit].find("send") {
            let rest = &text[done + send..];
            let word = rest.find([' ', '(']).unwrap_or(rest.len());
            let from = skip(text.as_bytes(), done + send + word, b" -(");
            literal(text, from, spans);
        }
    }
}

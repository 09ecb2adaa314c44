//! Headers: `Authorization` with its scheme, and cookies.

use super::{hide, is_name, skip};
use crate::mask::names::{Meaning, Secrecy};
use crate::mask::spans::Spans;
use crate::mask::value::{self, Verdict};

/// Longer lines are read up to here.
const MAX_LINE: usize = 2048;

/// The end of a header's value without quotes around it.
pub(super) fn line_end(text: &str, from: usize) -> usize {
    let limit = text.floor_char_boundary((from + MAX_LINE).min(text.len()));
    text[from..limit]
        .find(['"', '\'', '\n'])
        .map_or(limit, |end| from + end)
}

/// The length of `Bearer ` and its relatives at the beginning of a header's value.
pub(in crate::mask) fn scheme(value: &str) -> Option<usize> {
    let length = value
        .bytes()
        .take(20)
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        .count();
    let is_scheme = length > 1
        && value.as_bytes().get(length) == Some(&b' ')
        && value.as_bytes()[0].is_ascii_alphabetic();
    is_scheme.then(|| skip(value.as_bytes(), length, b" "))
}

/// The value of `Authorization`, behind its scheme.
pub(super) fn credentials(
    text: &str,
    from: usize,
    end: usize,
    meaning: Meaning,
    spans: &mut Spans,
) -> Option<usize> {
    const SCHEMES: [&str; 22] = [
        "bearer",
        "basic",
        "token",
        "digest",
        "negotiate",
        "ntlm",
        "apikey",
        "api-key",
        "key",
        "jwt",
        "ssws",
        "geniekey",
        "oauth",
        "aws4-hmac-sha256",
        "aws",
        "hawk",
        "mac",
        "splunk",
        "discogs",
        "bot",
        "sharedkey",
        "hmac",
    ];
    let value = &text[from..end];
    let length = scheme(value)?;
    let name = value[..length].trim().to_ascii_lowercase();
    if !SCHEMES.contains(&name.as_str()) && !meaning.pair {
        // `password: several words`: the first goes.
        let word = value.find(char::is_whitespace).unwrap_or(value.len());
        if value::is_command(value) {
            return None;
        }
        return hide(text, from, from + word, meaning, spans);
    }
    let word = value[length..]
        .find(|sign: char| sign.is_whitespace() || sign == ';')
        .map_or(value.len(), |word| length + word);
    let credential = &value[length..word];
    // `Credential=…, Signature=…`, `username="…", response="…"`: pairs of their own.
    let is_list = credential.split_once('=').is_some_and(|(name, rest)| {
        !rest.is_empty() && !rest.starts_with('=') && name.bytes().all(is_name) && name.len() < 20
    });
    if is_list {
        return None;
    }
    let bare = Meaning {
        secrecy: Secrecy::Strong,
        ..meaning
    };
    if value::shape(credential) == value::Shape::Reference {
        return None;
    }
    hide(text, from + length, from + word, bare, spans)
}

/// `name=value; name=value`: the values go.
pub(in crate::mask) fn cookies(
    text: &str,
    from: usize,
    end: usize,
    spans: &mut Spans,
) -> Option<usize> {
    let mut place = from;
    let mut reached = None;
    while place < end {
        let part = &text[place..end];
        let length = part.find(';').unwrap_or(part.len());
        let item = &part[..length];
        let begins = item.len() - item.trim_start().len();
        let name = item[begins..]
            .bytes()
            .take_while(|byte| is_name(*byte))
            .count();
        let item = item.trim_end();
        let is_pair = name > 0 && item.as_bytes().get(begins + name) == Some(&b'=');
        if is_pair {
            let value = &item[begins + name + 1..];
            if !value.contains(char::is_whitespace)
                && value::judge(value.trim_matches('"'), Meaning::STRONG) == Verdict::Goes
            {
                spans.hide(place + begins + name + 1, place + item.len());
            }
        } else if place == from && !item.contains(char::is_whitespace) {
            hide(
                text,
                from + begins,
                from + item.len(),
                Meaning::STRONG,
                spans,
            );
        } else {
            break;
        }
        place += length + 1;
        reached = Some(place.min(end));
    }
    reached
}

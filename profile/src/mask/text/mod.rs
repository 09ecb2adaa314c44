//! Credentials that a text itself shows, whatever program gets it: `name=value`, headers, JSON, XML, SQL,
//! calls, and `user:password@host`.

mod container;
mod header;
mod login;
mod statement;

pub(super) use container::leaves;
pub(super) use header::{cookies, scheme};

use super::names::{self, Meaning, Secrecy};
use super::spans::Spans;
use super::value::{self, Verdict};
use super::{How, random, script, tokens, url};
use container::{call, container};
use header::{credentials, line_end};
use login::logins;
use statement::{announced, attribute, element, prompts, statement, symbol, user};

/// Hides all that a text says by itself.
pub(super) fn scan(text: &str, spans: &mut Spans) {
    // Most words are of letters only, and too short for anything else.
    if text.len() < 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return;
    }
    tokens::find(text, false, spans);
    url::scan(text, spans);
    pairs(text, spans);
    logins(text, spans);
    prompts(text, spans);
    unknown(text, spans);
}

/// Hides what a program's source holds: what it says by itself, and command lines in its literals.
pub(super) fn code(text: &str, how: How, spans: &mut Spans) {
    scan(text, spans);
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if matches!(bytes[place], b'"' | b'\'' | b'`') {
            let end = closing(bytes, place + 1, bytes[place]);
            let inner = &text[place + 1..end];
            if script::is_one(inner) {
                let mut found = Spans::default();
                script::scan(inner, how.unsure(), &mut found);
                spans.add(&found, place + 1);
            }
            place = end;
        }
        place += 1;
    }
}

/// A byte of a name.
pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Skips these signs from a place on, at most 64.
fn skip(bytes: &[u8], place: usize, signs: &[u8]) -> usize {
    place
        + bytes[place.min(bytes.len())..]
            .iter()
            .take(64)
            .take_while(|byte| signs.contains(byte))
            .count()
}

/// Names with their values, wherever they stand.
fn pairs(text: &str, spans: &mut Spans) {
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if !is_name(bytes[place]) {
            place += 1;
            continue;
        }
        // In source `\\n` is not a letter of the name behind it.
        let is_escape =
            place > 0 && bytes[place - 1] == b'\\' && matches!(bytes[place], b'n' | b't' | b'r');
        let start = place + usize::from(is_escape && place + 1 < bytes.len());
        let end = start
            + bytes[start..]
                .iter()
                .take_while(|byte| is_name(**byte))
                .count();
        place = pair(text, start, end, spans).unwrap_or(end).max(end);
    }
}

/// The value of the name at `start..end`; where to read on.
fn pair(text: &str, start: usize, end: usize, spans: &mut Spans) -> Option<usize> {
    let bytes = text.as_bytes();
    let name = &text[start..end];
    let mut place = skip(bytes, end, b"\\");
    let quote = quote_at(bytes, place);
    if quote.is_some() {
        place += 1;
    }
    let after_quote = place;
    // Ruby's `[:password]`, PHP's `['password']`.
    place = skip(bytes, place, b"]");
    place = skip(bytes, place, b" ");
    let sign = *bytes.get(place)?;
    let opens_tag = start > 0 && (bytes[start - 1] == b'<' || bytes[start - 1] == b':');
    if place > end
        && quote.is_none()
        && let Some(done) = announced(text, name, start, place, spans)
    {
        return Some(done);
    }
    // `user = "me:password"` of curl's configuration.
    if matches!(name, "user" | "proxy-user") && matches!(sign, b'=' | b':') && quote.is_none() {
        return user(text, skip(bytes, place + 1, b" "), spans);
    }
    if opens_tag
        && quote.is_none()
        && matches!(bytes[end], b'>' | b' ')
        && let Some(done) = element(text, start, end, spans)
    {
        return Some(done);
    }
    match sign {
        b'=' | b':' => {}
        b'(' if quote.is_none() => return call(text, start, end, place, spans),
        _ => {
            let meaning = names::meaning(name);
            if meaning.secrecy < Secrecy::Strong {
                return None;
            }
            return attribute(text, after_quote, spans)
                .filter(|_| quote.is_some())
                .or_else(|| statement(text, start, end, spans))
                .or_else(|| symbol(text, start, end, spans));
        }
    }
    if bytes[place..].starts_with(b"://")
        || bytes[place..].starts_with(b"::")
        || bytes[place..].starts_with(b"==")
    {
        return None;
    }
    let is_inner = start > 0 && matches!(bytes[start - 1], b':' | b'/');
    let meaning = names::meaning(name);
    let is_pragma = name == "key"
        && text[..start]
            .trim_end()
            .get(start.saturating_sub(7)..)
            .is_some_and(|word| word.eq_ignore_ascii_case("pragma"));
    let meaning = if is_pragma { Meaning::STRONG } else { meaning };
    let is_weak_place = sign == b':' && quote.is_none() && bytes.get(place + 1) != Some(&b' ');
    // `arn:aws:…:secret:name` is a path of another kind.
    if meaning.secrecy == Secrecy::None || is_weak_place && is_inner && text[..start].contains(':')
    {
        return None;
    }
    let mut from = place + 1;
    // `=>`, `:=`.
    if matches!(
        (sign, bytes.get(from)),
        (b'=', Some(b'>')) | (b':', Some(b'='))
    ) {
        from += 1;
    }
    let spaced = place > after_quote;
    if sign == b':'
        || quote.is_some()
        || spaced
        || bytes.get(from) == Some(&b' ') && from > place + 1
    {
        from = skip(bytes, from, b" \t");
    }
    from = skip(bytes, from, b"\\");
    value_at(text, start, from, sign, meaning, is_weak_place, spans)
}

/// The value that begins at a place; where to read on.
fn value_at(
    text: &str,
    start: usize,
    from: usize,
    sign: u8,
    meaning: Meaning,
    is_weak_place: bool,
    spans: &mut Spans,
) -> Option<usize> {
    let bytes = text.as_bytes();
    let first = *bytes.get(from)?;
    match first {
        b'"' | b'\'' => {
            let inner = from + 1;
            let end = closing(bytes, inner, first);
            let value = text[inner..end].trim_end_matches('\\');
            if meaning.cookies {
                return cookies(text, inner, inner + value.len(), spans);
            }
            if sign == b':' && scheme(value).is_some() {
                return credentials(text, inner, inner + value.len(), meaning, spans);
            }
            hide(text, inner, inner + value.len(), meaning, spans)
        }
        b'[' | b'{' | b'(' if meaning.secrecy >= Secrecy::Likely => {
            Some(container(text, from, meaning, spans))
        }
        _ if meaning.cookies => {
            let end = line_end(text, from);
            cookies(text, from, end, spans)
        }
        _ => {
            let is_in = |byte: &&u8| !byte.is_ascii_whitespace() && !b"&;,}\"'<|`".contains(byte);
            // `x=$(curl … | sh)` is read on from its beginning.
            if bytes[from..].starts_with(b"$(") || first == b'`' {
                return None;
            }
            let limit = from + (text.len() - from).min(MAX_WORD);
            let length = bytes[from..limit].iter().take_while(is_in).count();
            let is_cut = from + length == limit && limit < text.len();
            let end = text.floor_char_boundary(from + length);
            if sign == b':' && scheme(&text[from..]).is_some() {
                return credentials(text, from, line_end(text, from), meaning, spans);
            }
            let value = text[from..end].trim_end_matches(['\\', ')', ']']);
            let end = from + value.len();
            // The whole argument: `TOKEN=curl … | sh`.
            let is_whole = start < 3 && bytes[..start].iter().all(|byte| *byte == b'-');
            if is_whole && end < text.len() && value::is_command(&text[from..]) {
                return None;
            }
            if is_weak_place && is_tag(value) || is_expression(text, from, end) {
                return None;
            }
            if value.contains("$(") {
                return None;
            }
            let done = hide(text, from, end, meaning, spans)?;
            if !is_cut {
                return Some(done);
            }
            let rest = done + bytes[done..].iter().take_while(is_in).count();
            spans.hide(from, rest);
            Some(rest)
        }
    }
}

/// Longer values are judged by their beginning.
const MAX_WORD: usize = 512;

/// Hides a value if it is one to hide; None lets the caller read on within it.
fn hide(text: &str, from: usize, end: usize, meaning: Meaning, spans: &mut Spans) -> Option<usize> {
    let value = &text[from..end];
    // OpenSSL's `pass:`.
    let kept = usize::from(value.starts_with("pass:")) * 5;
    match value::judge(&value[kept..], meaning) {
        Verdict::Stays => None,
        Verdict::Goes => {
            spans.hide(from + kept, end);
            Some(end)
        }
    }
}

/// The quote at a place, where one stands there.
fn quote_at(bytes: &[u8], place: usize) -> Option<u8> {
    let sign = bytes.get(place).copied();
    sign.filter(|sign| matches!(sign, b'"' | b'\''))
}

/// Place of the next such quote that no backslash precedes, or the end.
fn closing(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut place = from;
    while place < bytes.len() {
        match bytes[place] {
            b'\\'
                if bytes.get(place + 1) == Some(&quote)
                    && bytes.get(from.wrapping_sub(2)) != Some(&b'\\') =>
            {
                place += 2;
            }
            byte if byte == quote => return place,
            _ => place += 1,
        }
    }
    bytes.len()
}

/// `latest`, `v1.2`: what stands behind the colon of an image or a secret's version.
fn is_tag(value: &str) -> bool {
    matches!(
        value,
        "latest" | "stable" | "edge" | "alpine" | "main" | "master" | "dev"
    ) || value
        .strip_prefix('v')
        .unwrap_or(value)
        .split_once('.')
        .is_some_and(|(major, _)| {
            !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// Code that makes the value: `open('/x').read()`, `process.env.X`, `[a, b]`.
fn is_expression(text: &str, from: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let path = from
        + bytes[from..]
            .iter()
            .take(128)
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_.$".contains(byte))
            .count();
    let name = &text[from..path];
    let is_path = name.split('.').all(|part| {
        part.as_bytes()
            .first()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$'))
    });
    if !is_path || random::is_random(name, 16) {
        return false;
    }
    let calls = matches!(bytes.get(path), Some(b'(' | b'['))
        && text[path..]
            .bytes()
            .take(512)
            .any(|byte| matches!(byte, b')' | b']'));
    let ends_statement = matches!(bytes.get(end), Some(b';' | b',' | b'}' | b')'))
        || end < text.len() && text[end..].starts_with(')');
    calls || ends_statement && path >= end && name.contains('.') && !value::is_mixed(name)
}

/// Random-looking words of 20 and more keep their first four characters.
fn unknown(text: &str, spans: &mut Spans) {
    let bytes = text.as_bytes();
    let is_end = |byte: u8| {
        byte.is_ascii_whitespace() || b"\"'`()[]{}<>|;&,".contains(&byte) || !byte.is_ascii()
    };
    let mut place = 0;
    while place < bytes.len() {
        if is_end(bytes[place]) {
            place += 1;
            continue;
        }
        let end = place
            + bytes[place..]
                .iter()
                .take_while(|byte| !is_end(**byte))
                .count();
        if end - place >= random::LEAST {
            unknown_word(text, place, end, spans);
        }
        place = end;
    }
}

fn unknown_word(text: &str, start: usize, end: usize, spans: &mut Spans) {
    // The parts of a URL are looked at elsewhere.
    let end = text[start..end]
        .find("://")
        .map_or(end, |scheme| start + scheme);
    let word = &text[start..end];
    let mut from = start;
    for part in word.split_inclusive(['=', ':', '@', '#', '?']) {
        let bare = part.trim_end_matches([':', '@', '#', '?', '=']);
        // The sign of an option is none of a word.
        let dashes = bare.len() - bare.trim_start_matches('-').len();
        if bare.len() >= random::LEAST
            && !value::is_path(bare)
            && !value::has_extension(bare)
            && !bare.contains("/.")
            && !matches!(
                value::shape(bare),
                value::Shape::Host | value::Shape::Digest | value::Shape::Uuid
            )
            && random::is_random(&bare[dashes..], random::LEAST)
            && !value::is_hidden_command(part)
        {
            let padding = part.len() - part.trim_end_matches('=').len();
            let is_padded = padding > 0 && from + part.len() == end;
            let to = from + bare.len() + if is_padded { padding } else { 0 };
            spans.hide_but(from, to, dashes + 4);
        }
        from += part.len();
    }
}

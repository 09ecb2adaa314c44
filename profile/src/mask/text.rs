//! What a text says by itself, whatever program gets it: `name=value`, headers, JSON, XML, SQL,
//! calls, and `user:password@host`.

use super::names::{self, Meaning, Secrecy};
use super::spans::Spans;
use super::value::{self, Verdict};
use super::{How, MASK, random, script, tokens, url};

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

/// `expect "assword:"; send "secret"`: what answers a prompt.
fn prompts(text: &str, spans: &mut Spans) {
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
        let start = place;
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
    let quote = bytes
        .get(place)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\''));
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
    match sign {
        b'=' | b':' => {}
        b'>' | b' ' if opens_tag && quote.is_none() => return element(text, start, end, spans),
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

/// What a word before it says is a credential: `Bearer x`, `Basic eDp5`.
fn announced(
    text: &str,
    name: &str,
    start: usize,
    from: usize,
    spans: &mut Spans,
) -> Option<usize> {
    let length = text[from..]
        .find(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | ';' | ','))
        .unwrap_or(text.len() - from);
    let value = &text[from..from + length];
    let before = start.checked_sub(1).map(|before| text.as_bytes()[before]);
    if before.is_some_and(|byte| is_name(byte) || byte == b'$') {
        return None;
    }
    match name {
        "Bearer" | "bearer" if length > 6 => {
            hide(text, from, from + length, Meaning::LIKELY, spans)
        }
        "Basic" if length > 7 && value::is_login(value) => {
            hide(text, from, from + length, Meaning::STRONG, spans)
        }
        "ConvertTo-SecureString" => literal(text, from, spans),
        _ => None,
    }
}

/// `"me:password"`: the password goes; where to read on.
fn user(text: &str, from: usize, spans: &mut Spans) -> Option<usize> {
    let bytes = text.as_bytes();
    let from = skip(bytes, from, b"\\");
    let quote = bytes
        .get(from)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\''))?;
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

/// Longer lines are read up to here.
const MAX_LINE: usize = 2048;
/// Longer values are judged by their beginning.
const MAX_WORD: usize = 512;

/// The end of a header's value without quotes around it.
fn line_end(text: &str, from: usize) -> usize {
    let limit = text.floor_char_boundary((from + MAX_LINE).min(text.len()));
    text[from..limit]
        .find(['"', '\'', '\n'])
        .map_or(limit, |end| from + end)
}

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

/// The length of `Bearer ` and its relatives at the beginning of a header's value.
pub(super) fn scheme(value: &str) -> Option<usize> {
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
fn credentials(
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
pub(super) fn cookies(text: &str, from: usize, end: usize, spans: &mut Spans) -> Option<usize> {
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

/// Hides all leaves of a list or object that begins the text.
pub(super) fn leaves(text: &str, meaning: Meaning, spans: &mut Spans) {
    container(text, 0, meaning, spans);
}

/// Hides the leaves of a list or object behind a secret's name; the place behind it.
fn container(text: &str, from: usize, meaning: Meaning, spans: &mut Spans) -> usize {
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
    // Of the arguments of a call the first is whom it is about.
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
fn call(text: &str, start: usize, end: usize, open: usize, spans: &mut Spans) -> Option<usize> {
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
    // A literal has to stand right behind the bracket.
    let next = skip(text.as_bytes(), open + 1, b" ");
    let is_literal = matches!(text.as_bytes().get(next), Some(b'"' | b'\'' | b'{' | b'\\'));
    (is_about && is_literal).then(|| {
        if text.as_bytes()[next] == b'{' {
            open + 1
        } else {
            container(text, open, Meaning::STRONG, spans)
        }
    })
}

/// `<password>secret</password>`; where to read on.
fn element(text: &str, start: usize, end: usize, spans: &mut Spans) -> Option<usize> {
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
fn attribute(text: &str, after: usize, spans: &mut Spans) -> Option<usize> {
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
fn statement(text: &str, start: usize, end: usize, spans: &mut Spans) -> Option<usize> {
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
fn symbol(text: &str, start: usize, end: usize, spans: &mut Spans) -> Option<usize> {
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
    let quote = bytes
        .get(from)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\''))?;
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

/// `IDENTIFIED BY 'secret'`, and `user:password@host` and `user/password@host` without a scheme.
fn logins(text: &str, spans: &mut Spans) {
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

fn identified(text: &str, from: usize, spans: &mut Spans) {
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
        if !(is_user && (is_place || value::is_mixed(password))) {
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
    let word = &text[start..end];
    if value::is_url(word) || word.contains("://") {
        // Its parts are looked at as those of a URL.
        return;
    }
    let mut from = start;
    for part in word.split_inclusive(['=', ':', '@', '#', '?']) {
        let bare = part.trim_end_matches([':', '@', '#', '?', '=']);
        // The sign of an option is none of a word.
        let dashes = bare.len() - bare.trim_start_matches('-').len();
        if bare.len() >= random::LEAST
            && !value::is_path(bare)
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

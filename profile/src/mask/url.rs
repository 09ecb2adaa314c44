//! URLs: credentials before the host, and in the path. Hosts stay; queries are pairs as any others.

use super::names::Meaning;
use super::spans::Spans;
use super::value::{self, Verdict};
use super::{MASK, random, tokens};

/// Hides what the URLs of a text hold.
pub(super) fn scan(text: &str, spans: &mut Spans) {
    let mut done = 0;
    while let Some(found) = text[done..].find("://") {
        let from = done + found + 3;
        // Another URL within this one, as a parameter, is read by itself.
        let next = text[from..]
            .find("://")
            .map_or(text.len(), |inner| from + inner);
        let end = text[from..next]
            .find(|sign: char| {
                sign.is_whitespace() || matches!(sign, '"' | '\'' | '`' | '<' | '>' | '|' | '\\')
            })
            .map_or(next, |end| from + end);
        let scheme = text[..from - 3]
            .bytes()
            .rev()
            .take(16)
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(byte))
            .count();
        let scheme = &text[from - 3 - scheme..from - 3];
        let host = userinfo(text, from, end, scheme, spans);
        path(text, host, end, matches!(scheme, "rtmp" | "rtmps"), spans);
        done = end.max(from);
    }
}

/// `user:password@`; where the host begins.
fn userinfo(text: &str, from: usize, end: usize, scheme: &str, spans: &mut Spans) -> usize {
    let url = &text[from..end];
    let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
    let at = url[..authority].rfind('@').or_else(|| {
        // A password may hold the signs that end a host: then no port stands behind the colon.
        let (_, port) = url[..authority].split_once(':')?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty()
            || port.starts_with('[');
        let is_list = url[..authority].contains(',');
        if is_port || is_list || url.starts_with('[') {
            return None;
        }
        url.find('@').filter(|at| {
            url[at + 1..].starts_with(|sign: char| sign.is_ascii_alphanumeric() || sign == '[')
        })
    });
    let Some(at) = at else {
        return from;
    };
    let is_web = matches!(scheme, "http" | "https" | "ws" | "wss");
    let strong = Meaning {
        digits: true,
        ..Meaning::STRONG
    };
    let info = &url[..at];
    match info.split_once(':') {
        Some((user, password)) => {
            let is_template =
                value::shape(password) == value::Shape::Reference && password.len() > 1;
            if !password.is_empty() && password != MASK && !is_template {
                spans.hide(from + user.len() + 1, from + at);
            }
            // The token stands in the place of the user.
            let is_token = is_web && password.is_empty()
                || matches!(password, "x-oauth-basic" | "x" | "X" | "")
                || value::is_suspicious(user);
            let is_alone = matches!(password, "x-oauth-basic" | "");
            if is_token
                && is_web
                && user != MASK
                && (is_alone || !value::is_plain(user))
                && value::judge(user, strong) == Verdict::Goes
            {
                spans.hide(from, from + user.len());
            }
        }
        // The web knows no user without a password: it is a token.
        None if is_web && info != MASK && value::judge(info, strong) == Verdict::Goes => {
            spans.hide(from, from + at);
        }
        None if value::is_suspicious(info) => spans.hide(from, from + at),
        None => {}
    }
    from + at + 1
}

/// Parts of the path that are keys: behind the words that such URLs have, and those that look random.
fn path(text: &str, from: usize, end: usize, streams: bool, spans: &mut Spans) {
    let url = &text[from..end];
    let Some(begin) = url.find('/') else {
        return;
    };
    let stop = url.find(['?', '#']).unwrap_or(url.len());
    if begin >= stop {
        return;
    }
    let host = url[..begin].to_ascii_lowercase();
    // The last part of a stream that is sent is its key.
    if streams
        && let Some(last) = url[begin + 1..stop]
            .rfind('/')
            .map(|slash| begin + slash + 2)
        && stop - last > 11
        && value::judge(&url[last..stop], Meaning::STRONG) == Verdict::Goes
    {
        spans.hide(from + last, from + stop);
    }
    let mut is_hook = host.starts_with("hooks.") || host.contains("webhook");
    let mut place = begin + 1;
    for part in url[begin + 1..stop].split('/') {
        let at = from + place;
        place += part.len() + 1;
        let lower = part.to_ascii_lowercase();
        if let Some(bot) = part.strip_prefix("bot")
            && tokens::is_token(bot)
        {
            spans.hide(at + 3, at + part.len());
            continue;
        }
        if is_hook
            && (value::is_suspicious(part)
                || part.len() > 15
                    && !value::is_plain(part)
                    && value::shape(part) == value::Shape::Word)
            || is_hook && value::shape(part) == value::Shape::Uuid
        {
            spans.hide(at, at + part.len());
            continue;
        }
        is_hook |= matches!(
            lower.as_str(),
            "hooks"
                | "hook"
                | "webhook"
                | "webhooks"
                | "services"
                | "incomingwebhook"
                | "webhookb2"
                | "token"
                | "tokens"
        ) || lower == "key";
        let is_file = value::is_path(part)
            || matches!(
                value::shape(part),
                value::Shape::Host | value::Shape::Digest | value::Shape::Uuid
            );
        if !is_file && random::is_random(part, random::LEAST) {
            spans.hide_but(at, at + part.len(), 4);
        }
    }
    // A parameter that looks random, whatever its name.
    let mut place = stop + 1;
    for part in url
        .get(stop + 1..)
        .unwrap_or_default()
        .split(['&', '#', ';'])
    {
        let name = part.find('=').map_or(0, |sign| sign + 1);
        let parameter = &part[name..];
        if value::shape(parameter) == value::Shape::Word
            && !value::is_path(parameter)
            && random::is_random(parameter, random::LEAST)
            && !value::is_hidden_command(parameter)
        {
            let at = from + place + name;
            spans.hide_but(at, at + parameter.len(), 4);
        }
        place += part.len() + 1;
    }
}

//! Built-in rules: parts of names that differ from run to run by what they are. Each rule has a
//! name, which `explain` gives, and looks at one name only.

use crate::knowledge::paths::is_temporary;
use crate::model::{Explain, ExplainedBy};
use crate::text::Text;
use std::collections::BTreeSet;

/// Facts about a container that are not rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Names that are its own: of the pod, its uid, the container's id. Long ones only.
    pub(crate) own_names: Vec<Text>,
}

/// A name with wildcards.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    pub(crate) pattern: String,
    pub(crate) explain: Vec<Explain>,
}

/// A path with wildcards where a rule says that a part varies.
pub(crate) fn path(text: &str, context: &Context) -> Shape {
    let text = text.replace('*', "\\*");
    let temporary = is_temporary(&text);
    let mut shape = Shape::default();
    for (part, name) in text.split('/').enumerate() {
        let made = component(&shape.pattern, name, temporary, context);
        if part > 0 {
            shape.pattern.push('/');
        }
        match made {
            Some((pattern, rule)) => {
                shape.explain.push(Explain {
                    part: u32::try_from(part).unwrap_or(u32::MAX),
                    by: ExplainedBy::Rule,
                    rule: Some(rule.into()),
                    values: BTreeSet::from([name.into()]),
                });
                shape.pattern += &pattern;
            }
            None => shape.pattern += name,
        }
    }
    shape
}

/// One argument with wildcards.
pub(crate) fn argument(text: &str, context: &Context) -> (String, Option<&'static str>) {
    if text.starts_with('/') {
        let shape = path(text, context);
        let rule = shape.explain.first().map(|_| "path");
        return (shape.pattern, rule);
    }
    if let Some(pattern) = named_paths(text, context) {
        return (pattern, Some("path"));
    }
    let escaped = text.replace('*', "\\*");
    match component("", &escaped, false, context) {
        Some((pattern, rule)) => (pattern, Some(rule)),
        None => (escaped, None),
    }
}

/// Paths behind a name, a sign or an option's letter: `--tmpdir=/tmp/x`, `a:/tmp/x:/tmp/y`, `-o/tmp/x`,
/// `file:///tmp/x`. None: nothing of them varies.
fn named_paths(text: &str, context: &Context) -> Option<String> {
    const SIGNS: [char; 6] = ['=', ':', ',', ';', '@', ' '];
    let mut pattern = String::new();
    let mut has_rule = false;
    for (number, piece) in text.split_inclusive(SIGNS).enumerate() {
        let body = piece.trim_end_matches(SIGNS);
        // `-o/tmp/x`; `///tmp/x` of an URL.
        let begin = match body.find('/') {
            Some(2) if number == 0 && body.starts_with('-') => 2,
            Some(0) => body.len() - body.trim_start_matches('/').len() - 1,
            _ => {
                pattern += &piece.replace('*', "\\*");
                continue;
            }
        };
        let shape = path(&body[begin..], context);
        has_rule |= !shape.explain.is_empty();
        pattern += &body[..begin];
        pattern += &shape.pattern;
        pattern += &piece[body.len()..];
    }
    has_rule.then_some(pattern)
}

/// The pattern of one part of a path, and the rule that made it.
fn component(
    folder: &str,
    name: &str,
    temporary: bool,
    context: &Context,
) -> Option<(String, &'static str)> {
    if name.is_empty() {
        return None;
    }
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        if folder == "/proc" || (folder.starts_with("/proc/") && folder.ends_with("/task")) {
            return Some(("*".to_owned(), "process"));
        }
        if folder.starts_with("/proc/")
            && ["/fd", "/fdinfo"].iter().any(|last| folder.ends_with(last))
        {
            return Some(("*".to_owned(), "descriptor"));
        }
        if folder == "/dev/pts" {
            return Some(("*".to_owned(), "terminal"));
        }
        if folder
            .rsplit('/')
            .next()
            .is_some_and(|last| last.starts_with("hsperfdata_"))
        {
            return Some(("*".to_owned(), "process"));
        }
    }
    if folder.starts_with("/proc/") && folder.ends_with("/map_files") {
        return Some(("*".to_owned(), "mapping"));
    }
    for own in &context.own_names {
        if name.contains(own.as_str()) {
            return Some((name.replace(own.as_str(), "*"), "pod"));
        }
    }
    // kubelet's atomic writer: `..2026_11_24_10_00_00.123456789`.
    if let Some(rest) = name.strip_prefix("..")
        && rest.len() > 20
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_' || byte == b'.')
    {
        return Some(("..*".to_owned(), "projected-volume"));
    }
    if let Some(pattern) = pid_file(name) {
        return Some((pattern, "process"));
    }
    if temporary && let Some(pattern) = temporary_name(name) {
        return Some((pattern, "temporary-name"));
    }
    runs(name)
}

/// `.java_pid123`, `.attach_pid123`, `pgsql_tmp123.0`.
fn pid_file(name: &str) -> Option<String> {
    for marker in ["_pid", "pgsql_tmp"] {
        if let Some((before, after)) = name.split_once(marker) {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                return Some(format!(
                    "{before}{marker}*{}",
                    star_digits(&after[digits..])
                ));
            }
        }
    }
    None
}

fn star_digits(text: &str) -> String {
    let mut pattern = String::new();
    let mut in_digits = false;
    for character in text.chars() {
        if character.is_ascii_digit() {
            if !in_digits {
                pattern.push('*');
            }
            in_digits = true;
        } else {
            in_digits = false;
            pattern.push(character);
        }
    }
    pattern
}

/// A name as mkstemp and its kin make it: a stem, and six or more random letters and digits.
fn temporary_name(name: &str) -> Option<String> {
    // Python: tmp and eight of [a-z0-9_].
    if let Some(rest) = name.strip_prefix("tmp")
        && rest.len() >= 8
        && rest
            .bytes()
            .take(8)
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && rest
            .as_bytes()
            .get(8)
            .is_none_or(|byte| !byte.is_ascii_alphanumeric())
    {
        return Some(format!("tmp*{}", &rest[8..]));
    }
    // GCC: cc and six of mkstemp(3), whatever they are.
    if let Some((random, rest)) = name
        .strip_prefix("cc")
        .and_then(|rest| rest.split_at_checked(6))
        && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && rest.starts_with('.')
    {
        return Some(format!("cc*{rest}"));
    }
    let (body, extension) = match name.rsplit_once('.') {
        Some((body, extension)) if !body.is_empty() && is_extension(extension) => {
            (body, &name[body.len()..])
        }
        _ => (name, ""),
    };
    let tail_length = body
        .bytes()
        .rev()
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let (stem, tail) = body.split_at(body.len() - tail_length);
    if tail_length >= 6 && !stem.is_empty() && is_random(tail) {
        return Some(format!("{stem}*{extension}"));
    }
    // A stem right before six of them.
    if tail_length > 6 {
        let (word, last) = tail.split_at(tail_length - 6);
        if word.bytes().all(|byte| byte.is_ascii_lowercase()) && is_random(last) {
            return Some(format!("{stem}{word}*{extension}"));
        }
    }
    None
}

/// Letters of both cases within, or letters and digits mixed: no word.
fn is_random(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let upper = text.bytes().skip(1).filter(u8::is_ascii_uppercase).count();
    let lower = text.bytes().filter(u8::is_ascii_lowercase).count();
    (digits > 0 && digits < text.len()) || (upper > 0 && lower > 0)
}

/// A file name's extension: short, and beginning with a letter.
pub(crate) fn is_extension(text: &str) -> bool {
    (1..=5).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.as_bytes()[0].is_ascii_alphabetic()
}

/// UUIDs, digests and dates within a name.
fn runs(name: &str) -> Option<(String, &'static str)> {
    let bytes = name.as_bytes();
    let mut pattern = String::new();
    let mut rule = None;
    let mut at = 0;
    while at < bytes.len() {
        let begins = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let after_word = begins || !bytes[at - 1].is_ascii_digit();
        let found = uuid(&bytes[at..])
            .map(|length| (length, "uuid"))
            .or_else(|| {
                date(&bytes[at..])
                    .filter(|_| after_word)
                    .map(|length| (length, "date"))
            })
            .or_else(|| {
                digest(&bytes[at..])
                    .filter(|_| begins)
                    .map(|length| (length, "digest"))
            });
        if let Some((length, name)) = found {
            pattern.push('*');
            rule = rule.or(Some(name));
            at += length;
        } else {
            let length = name[at..].chars().next().map_or(1, char::len_utf8);
            pattern += &name[at..at + length];
            at += length;
        }
    }
    rule.map(|rule| (pattern, rule))
}

/// Length of a UUID at the beginning, its groups apart by `-` or `_`.
fn uuid(bytes: &[u8]) -> Option<usize> {
    const LENGTH: usize = 36;
    let text = bytes.get(..LENGTH)?;
    let fits = text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-' || *byte == b'_',
        _ => byte.is_ascii_hexdigit(),
    });
    (fits
        && bytes
            .get(LENGTH)
            .is_none_or(|next| !next.is_ascii_hexdigit()))
    .then_some(LENGTH)
}

/// Length of a digest at the beginning: 16 or more hexadecimal digits, or 12 that are mixed.
fn digest(bytes: &[u8]) -> Option<usize> {
    let length = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if bytes.get(length).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let text = &bytes[..length];
    let mixed = text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic);
    (length >= 16 || (length >= 12 && mixed)).then_some(length)
}

/// Length of a date at the beginning, with what follows of a time: 2026-11-24, 20261124, or seconds
/// since 1970.
fn date(bytes: &[u8]) -> Option<usize> {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = |from: usize, to: usize| -> Option<u32> {
        std::str::from_utf8(bytes.get(from..to)?).ok()?.parse().ok()
    };
    let plausible = |year: Option<u32>, month: Option<u32>, day: Option<u32>| {
        year.is_some_and(|year| (1990..2100).contains(&year))
            && month.is_some_and(|month| (1..=12).contains(&month))
            && day.is_some_and(|day| (1..=31).contains(&day))
    };
    let mut length = match digits {
        4 if matches!(bytes.get(4), Some(b'-' | b'_' | b'.'))
            && bytes.get(7) == bytes.get(4)
            && plausible(number(0, 4), number(5, 7), number(8, 10)) =>
        {
            10
        }
        8 | 12 | 14 if plausible(number(0, 4), number(4, 6), number(6, 8)) => digits,
        10 | 13 if bytes[0] == b'1' => digits,
        _ => return None,
    };
    // A time of the day.
    while let Some(separator) = bytes.get(length) {
        let more = bytes[length + 1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if matches!(separator, b'T' | b'-' | b'_' | b':' | b'.') && more >= 2 {
            length += 1 + more;
        } else {
            break;
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_know_what_varies() {
        let context = Context {
            own_names: vec!["web-6d4cf56db6-abcde".into()],
        };
        for (text, expected, rule) in [
            ("/proc/123/task/45/stat", "/proc/*/task/*/stat", "process"),
            ("/proc/self/fd/7", "/proc/self/fd/*", "descriptor"),
            (
                "/tmp/hsperfdata_root/812",
                "/tmp/hsperfdata_root/*",
                "process",
            ),
            ("/tmp/.java_pid81", "/tmp/.java_pid*", "process"),
            ("/tmp/tmp.PkfUas13on/x", "/tmp/tmp.*/x", "temporary-name"),
            ("/tmp/tmpab12_x9q", "/tmp/tmp*", "temporary-name"),
            ("/tmp/tmpab12_x9q.json", "/tmp/tmp*.json", "temporary-name"),
            ("/tmp/sortAb3dEf", "/tmp/sort*", "temporary-name"),
            (
                "/data/2b1f0c3a-11aa-4f00-9f2e-0123456789ab/x",
                "/data/*/x",
                "uuid",
            ),
            (
                "/data/pg_wal/000000010000000000000003",
                "/data/pg_wal/*",
                "digest",
            ),
            ("/var/log/app-2026-11-24.log", "/var/log/app-*.log", "date"),
            (
                "/var/log/app.20261124-101500.log",
                "/var/log/app.*.log",
                "date",
            ),
            (
                "/run/secrets/kubernetes.io/serviceaccount/..2026_11_24_10_00_00.123456789/token",
                "/run/secrets/kubernetes.io/serviceaccount/..*/token",
                "projected-volume",
            ),
            ("/var/log/web-6d4cf56db6-abcde.log", "/var/log/*.log", "pod"),
            (
                "/sys/fs/cgroup/kubepods/pod2b1f0c3a_11aa_4f00_9f2e_0123456789ab/cpu.max",
                "/sys/fs/cgroup/kubepods/pod*/cpu.max",
                "uuid",
            ),
        ] {
            let shape = path(text, &context);
            assert_eq!(shape.pattern, expected, "{text}");
            assert_eq!(shape.explain[0].rule.as_deref(), Some(rule), "{text}");
            // A rule made it, so it stays what it is.
            assert_eq!(path(text, &context), shape);
        }
    }

    #[test]
    fn names_with_sense_stay() {
        for text in [
            "/etc/passwd",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/tmp/backup",
            "/tmp/payload.sh",
            "/data/base/16384/1259",
            "/var/lib/redis/temp-123.rdb",
            "/app/v2/module.py",
            "/tmp/README",
            "/var/log/app.1.gz",
            "/data/deadbeef",
            "/tmp/evil",
        ] {
            assert_eq!(path(text, &Context::default()).pattern, text);
        }
    }

    #[test]
    fn a_path_varies_wherever_it_stands_in_an_argument() {
        for (text, expected) in [
            (
                "-plugin-opt=-fresolution=/tmp/ccAbCdEf.res",
                "-plugin-opt=-fresolution=/tmp/cc*.res",
            ),
            ("--tmpdir=/tmp/tmp.PkfUas13on", "--tmpdir=/tmp/tmp.*"),
            ("-o/tmp/ccabcdef.o", "-o/tmp/cc*.o"),
            ("file:///tmp/tmp.PkfUas13on/x", "file:///tmp/tmp.*/x"),
            (
                "A=/srv/x*:/tmp/tmp.PkfUas13on,/b",
                "A=/srv/x\\*:/tmp/tmp.*,/b",
            ),
            ("/tmp/ccabcdef.cdtor.c", "/tmp/cc*.cdtor.c"),
        ] {
            assert_eq!(
                argument(text, &Context::default()),
                (expected.into(), Some("path"))
            );
        }
        for text in [
            "-I/usr/include",
            "--file=/tmp/backup",
            "s3://bucket/key",
            "src/tmp/tmp.PkfUas13on",
            "a:b/c=d",
        ] {
            assert_eq!(argument(text, &Context::default()), (text.into(), None));
        }
    }

    #[test]
    fn a_star_in_a_name_is_no_wildcard() {
        assert_eq!(path("/tmp/a*b", &Context::default()).pattern, "/tmp/a\\*b");
    }
}

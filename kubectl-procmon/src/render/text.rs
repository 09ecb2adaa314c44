//! Names and numbers as a person reads them.

use procmon_profile::model::{Severity, Target};
use procmon_profile::text::{acts, escape};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// As [`escape`], for sentences of several lines that are this program's own.
pub(crate) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// A word as a shell takes it, to stand behind a command. None for one that would be an option, or
/// that stands escaped here: the shell's word would be another.
pub(crate) fn shell_word(word: &str) -> Option<String> {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    if word.is_empty() || word.starts_with('-') || word.contains('\\') || word.contains(acts) {
        return None;
    }
    Some(if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    })
}

/// `KIND/NAME` of a target.
pub(super) fn kind_and_name(target: &Target) -> String {
    format!("{}/{}", target.kind.to_lowercase(), target.name)
}

/// Numbers by severity, without those that are 0: `1 critical, 2 low`.
pub(super) fn severities(counts: &BTreeMap<Severity, u64>) -> String {
    let counts: Vec<String> = Severity::ALL
        .iter()
        .filter_map(|severity| {
            let count = counts.get(severity).copied().unwrap_or(0);
            (count > 0).then(|| format!("{count} {severity}"))
        })
        .collect();
    counts.join(", ")
}

/// A share, rounded down: 100 % is said of nothing less.
pub(crate) fn percent(share: f64) -> String {
    let thousandths = (share * 1000.0 + 1e-9).floor() / 10.0;
    format!("{thousandths}%")
}

/// A count with at most four digits: `1234`, `12.3k`, `4.5M`.
pub(crate) fn count(number: u64) -> String {
    scaled(number, 10_000, 1000.0, &["", "k", "M", "G", "T"])
}

/// Nanoseconds: `812 ns`, `15.0 µs`, `2.3 s`.
pub(crate) fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// Bytes: `832 B`, `1.2 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    scaled(
        number,
        1024,
        1024.0,
        &[" B", " KiB", " MiB", " GiB", " TiB"],
    )
}

fn scaled(number: u64, plain_below: u64, step: f64, units: &[&str]) -> String {
    if number < plain_below {
        return format!("{number}{}", units[0]);
    }
    let mut value = number as f64;
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if value >= 100.0 {
        format!("{value:.0}{}", units[unit])
    } else {
        format!("{value:.1}{}", units[unit])
    }
}

/// A text of at most `width` characters: the middle of a longer one is left out, since beginning
/// and end of a path say most.
pub(crate) fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= width || width < 5 {
        return Cow::Borrowed(text);
    }
    let head = (width - 1) / 3;
    let tail = width - 1 - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_leaves_its_place_in_a_command() {
        for (word, expected) in [
            ("web.yaml", Some("web.yaml")),
            ("cm/web", Some("cm/web")),
            ("my file", Some("'my file'")),
            ("a;b$(c)`d`", Some("'a;b$(c)`d`'")),
            ("it's", Some(r"'it'\''s'")),
            ("~root", Some("'~root'")),
            ("!!", Some("'!!'")),
            ("--output-file=/etc/passwd", None),
            ("-", None),
            ("", None),
            (r"a\x0ab", None),
            ("a\nb", None),
        ] {
            assert_eq!(shell_word(word).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (count(9_999).as_str(), count(12_345).as_str()),
            ("9999", "12.3k")
        );
        assert_eq!(
            (bytes(832).as_str(), bytes(1_258_291).as_str()),
            ("832 B", "1.2 MiB")
        );
    }

    #[test]
    fn long_paths_lose_their_middle() {
        assert_eq!(
            shorten("/usr/lib/x86_64-linux-gnu/libc.so.6", 16),
            "/usr/…/libc.so.6"
        );
        assert_eq!(shorten("/etc", 16), "/etc");
    }
}

//! Names and numbers as a person reads them.

use std::borrow::Cow;

/// A name that a watched process chose, safe for a terminal: control characters and those that are
/// invisible or turn the direction of writing stand as escapes.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|character| {
            if is_hostile(character) {
                character.escape_default().to_string()
            } else {
                character.to_string()
            }
        })
        .collect::<String>()
        .into()
}

/// JSON in which no name can act on a terminal: what [`escape`] escapes stands as `\uNNNN`, and means the same.
pub(crate) fn escape_json(text: String) -> String {
    let is_loud = |character: char| character != '\n' && is_hostile(character);
    if !text.chars().any(is_loud) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        if is_loud(character) {
            // Outside of strings there is none, and within them line ends are escaped already.
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped += &format!("\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// As [`escape`], for text of several lines.
pub(crate) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// A share, rounded down: 100 % is said of nothing less.
pub(crate) fn percent(share: f64) -> String {
    let thousandths = (share * 1000.0 + 1e-9).floor() / 10.0;
    format!("{thousandths}%")
}

/// A character that acts on a terminal instead of standing there.
pub(crate) fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
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
    fn hostile_names_cannot_reach_a_terminal() {
        assert_eq!(escape("/tmp/a\x1b[2Jb"), "/tmp/a\\u{1b}[2Jb");
        assert_eq!(escape("a\nb\u{202e}c"), "a\\nb\\u{202e}c");
        assert_eq!(escape("/tmp/ünï"), "/tmp/ünï");
    }

    #[test]
    fn json_means_the_same_without_hostile_characters() {
        let value = serde_json::json!({"a\u{9b}": ["\u{202e}\n\u{e0041}", "ü"]});
        let text = escape_json(format!("{value:#}"));
        assert!(!text.contains(|c| c != '\n' && is_hostile(c)), "{text}");
        assert!(text.contains("\\u202e") && text.contains('ü'), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|read| read == value));
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

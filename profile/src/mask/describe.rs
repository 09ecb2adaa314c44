//! Arguments as shapes: that a path or a word of some length stood there, not which.

use super::MASK;
use super::value::{self, Shape};

/// This stands for what a program wrote behind its name.
const TITLE: &str = " <title>";

/// Replaces all arguments but the program and the names of flags by what they look like; whether one
/// changed.
pub(super) fn argv(argv: &mut [String]) -> bool {
    let mut changed = false;
    let mut words = argv.iter_mut();
    if let Some(title) = words.next() {
        // Some programs write what they do over their name.
        let end = title
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(byte))
            .count();
        if end < title.len() && title[end..] != *TITLE && title != MASK {
            title.truncate(end);
            title.push_str(TITLE);
            changed = true;
        }
    }
    for word in words {
        let shape = described(word);
        if *word != shape {
            *word = shape;
            changed = true;
        }
    }
    changed
}

fn described(word: &str) -> String {
    if is_described(word) || is_flag(word) {
        return word.to_owned();
    }
    if let Some((name, text)) = word.split_once('=')
        && is_flag(name)
    {
        return format!("{name}={}", described(text));
    }
    // `-pvalue`.
    if let Some(rest) = word.strip_prefix('-')
        && let Some(letter) = rest.chars().next().filter(char::is_ascii_alphabetic)
    {
        return format!("-{letter}{}", described(&rest[1..]));
    }
    let name = match value::shape(word) {
        Shape::Empty => return String::new(),
        Shape::Number => "number",
        Shape::Boolean => "boolean",
        Shape::Path => "path",
        Shape::Url => "url",
        Shape::Uuid => "uuid",
        Shape::Digest => "digest",
        Shape::Address => "address",
        Shape::Host => "host",
        Shape::Reference => "reference",
        Shape::Words => return format!("<words:{}>", word.split_whitespace().count()),
        Shape::Option | Shape::Word => return format!("<word:{}>", word.chars().count()),
    };
    format!("<{name}>")
}

/// `-x`, `-xzf`, `--long-name`: no more letters than flags have.
fn is_flag(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(name) => {
            name.len() < 48
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && !value::is_suspicious(name)
        }
        None => word.strip_prefix('-').is_some_and(|letters| {
            letters.len() < 4 && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        }),
    }
}

fn is_described(word: &str) -> bool {
    if word == MASK {
        return true;
    }
    word.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|inner| {
            let (name, number) = inner.split_once(':').unwrap_or((inner, "0"));
            number.bytes().all(|byte| byte.is_ascii_digit())
                && matches!(
                    name,
                    "number"
                        | "boolean"
                        | "path"
                        | "url"
                        | "uuid"
                        | "digest"
                        | "address"
                        | "host"
                        | "reference"
                        | "words"
                        | "word"
                )
        })
}

#[cfg(test)]
mod tests {
    use crate::mask::{MaskLevel, mask_argv_at};

    #[test]
    fn shapes_say_nothing_of_the_text() {
        let mut argv: Vec<String> = [
            "/bin/app",
            "-v",
            "--mode=fast",
            "-pfoo",
            "/etc/x",
            "8080",
            "https://h/p",
            "two words",
            "--token",
            "x9",
            "-",
            "name",
        ]
        .map(String::from)
        .to_vec();
        mask_argv_at(&mut argv, MaskLevel::Shape);
        assert_eq!(
            argv,
            [
                "/bin/app",
                "-v",
                "--mode=<word:4>",
                "-p<word:3>",
                "<path>",
                "<number>",
                "<url>",
                "<words:2>",
                "--token",
                "***",
                "-",
                "<word:4>"
            ]
        );
        let once = argv.clone();
        mask_argv_at(&mut argv, MaskLevel::Shape);
        assert_eq!(argv, once);
    }
}

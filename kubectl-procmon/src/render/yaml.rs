//! Documents in YAML in which no name acts on a terminal.

use super::is_hostile;
use serde::Serialize;

/// A document. Names with characters that act on a terminal stand quoted and escaped, and mean the same.
///
/// # Errors
/// When the value can't be written.
pub(crate) fn text(document: &impl Serialize) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(document)?;
    if !text.chars().any(is_loud) {
        return Ok(text);
    }
    // Each text on a line of its own.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let plain = serde_saphyr::to_string_with_options(document, options)?;
    let quiet: Vec<String> = plain.lines().map(line).collect();
    Ok(quiet.join("\n") + "\n")
}

fn is_loud(character: char) -> bool {
    character != '\n' && is_hostile(character)
}

/// A line: blanks and dashes, a key or none, and one scalar.
fn line(line: &str) -> String {
    if !line.contains(is_loud) {
        return line.to_owned();
    }
    let mut rest = line.trim_start_matches(' ');
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start_matches(' ');
    }
    let is_key = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some((_, value)) = rest.split_once(": ").filter(|(key, _)| is_key(key)) {
        rest = value;
    }
    let mut quiet = line[..line.len() - rest.len()].to_owned();
    let is_quoted = rest.starts_with('"');
    if !is_quoted {
        quiet.push('"');
    }
    for character in rest.chars() {
        if is_loud(character) {
            quiet += &format!("\\U{:08x}", u32::from(character));
        } else {
            if !is_quoted && matches!(character, '"' | '\\') {
                quiet.push('\\');
            }
            quiet.push(character);
        }
    }
    if !is_quoted {
        quiet.push('"');
    }
    quiet
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn names_are_quiet_and_mean_the_same() {
        let value = json!({
            "argv": ["\u{202e}x \"y\" \\z", "a: \u{200b}", "\u{1b}[2J\u{9b}", "two\nlines \u{2066}\n", "- \u{ad}",
                "plain", "d:\u{feff}", "\u{202e} # no comment", "'\u{202e}'", "of\nlines"],
            "details": {"name": "\u{202e}gpj.exe", "long": "w \u{200e}".repeat(60)},
        });
        let text = super::text(&value).unwrap_or_default();
        assert!(!text.contains(super::is_loud), "{text}");
        assert_eq!(crate::yaml::value(&text), Ok(value), "{text}");
    }
}

//! Data for the script of the page: JSON that can stand between the tags of a `<script>`.

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};
use std::io::{self, Write};

/// JSON in which no character ends the element, begins a comment or ends a line of a script.
pub(super) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, InScript))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Compact JSON whose strings hold no `<`, `>`, `&`, U+2028 and U+2029.
struct InScript;

impl Formatter for InScript {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(place) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(place);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn no_name_leaves_its_string() {
        for name in [
            "</script><script>alert(1)</script>",
            "<!--",
            "-->",
            "]]>",
            "&lt;",
            "a\u{2028}b\u{2029}c",
            "\"\\\n\u{1}",
            "ü\u{202e}",
        ] {
            let text = json(&[name]).unwrap_or_default();
            for wrong in ["<", ">", "&", "\u{2028}", "\u{2029}", "\n"] {
                assert!(!text.contains(wrong), "{text}");
            }
            let back: Vec<String> = serde_json::from_str(&text).unwrap_or_default();
            assert_eq!(back, [name]);
        }
    }
}

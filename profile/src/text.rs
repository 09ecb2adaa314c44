//! Text that somebody else chose: a watched process, a node, whoever wrote a document.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::{Borrow, Cow};
use std::fmt;

/// Most bytes of any other text, as it is written: a chunk of a stream may hold no more.
pub const MAX_TEXT_BYTES: usize = 8 << 20;

/// A string without any character that acts on a terminal, forges a line or can't be seen.
///
/// A path, name or argument of a process is made by [`from_bytes`]: a backslash stands as `\\`, a
/// byte that is not UTF-8 as `\xNN`, and so does an [acting](acts) character below 0x80; the others
/// of those stand as `\u{NNNN}`. Two different names never become one text. Text of a document has
/// this form already: `From` and `Deserialize` leave a backslash as it is, and escape only acting
/// characters.
///
/// ```
/// use procmon_profile::text::{Text, from_bytes};
/// assert_eq!(from_bytes(b"/tmp/a\\b\x1b\xff"), r"/tmp/a\\b\x1b\xff");
/// assert_eq!(Text::from("a\u{202e}\\\\b"), r"a\u{202e}\\b");
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

/// Ranges of characters that act on a terminal, end a line, turn the direction of writing, or can't
/// be seen or told from another: controls, separators, all blanks but the ordinary one,
/// bidirectional marks, what Unicode calls default-ignorable, and what XML does not take.
const ACTING: [(u32, u32); 23] = [
    (0, 0x1f),
    (0x7f, 0xa0),
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x61c, 0x61c),
    (0x115f, 0x1160),
    (0x1680, 0x1680),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x206f),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffc),
    (0xfffe, 0xffff),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// Whether a character acts instead of standing there. Such a one is never part of a [`Text`].
///
/// ```
/// use procmon_profile::text::acts;
/// assert!(acts('\n') && acts('\u{9b}') && acts('\u{202e}') && acts('\u{200b}'));
/// assert!(!acts(' ') && !acts('ü'));
/// ```
#[must_use]
pub fn acts(character: char) -> bool {
    let code = u32::from(character);
    // Nearly all text is of these.
    if (0x20..0x7f).contains(&code) {
        return false;
    }
    ACTING
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&code))
}

/// Text of bytes that a process chose.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Text {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            push(&mut text, character);
        }
        for byte in chunk.invalid() {
            push_byte(&mut text, *byte);
        }
    }
    Text(text)
}

/// Text of a document or of this program's own words, in which only what acts is escaped.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push(&mut escaped, character);
    }
    Cow::Owned(escaped)
}

fn push(text: &mut String, character: char) {
    let code = u32::from(character);
    if !acts(character) {
        text.push(character);
    } else if let (Ok(byte), true) = (u8::try_from(code), code < 0x80) {
        push_byte(text, byte);
    } else {
        text.push_str("\\u{");
        let digits = (32 - code.leading_zeros()).div_ceil(4);
        for place in (0..digits).rev() {
            push_digit(text, (code >> (4 * place)) & 0xf);
        }
        text.push('}');
    }
}

fn push_byte(text: &mut String, byte: u8) {
    text.push_str("\\x");
    push_digit(text, u32::from(byte >> 4));
    push_digit(text, u32::from(byte & 0xf));
}

fn push_digit(text: &mut String, digit: u32) {
    text.extend(char::from_digit(digit, 16));
}

impl Text {
    /// Text of bytes that a process chose: as [`from_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        from_bytes(bytes)
    }

    /// The text with its tabs and line ends as they were: for a reader of scripts, not for a screen.
    #[must_use]
    pub fn with_white_space(&self) -> String {
        let mut plain = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some(place) = rest.find('\\') {
            let (before, escape) = rest.split_at(place);
            plain.push_str(before);
            let (space, width) = match escape.get(1..4) {
                Some("x09") => ("\t", 4),
                Some("x0a") => ("\n", 4),
                Some("x0d") => ("\r", 4),
                _ if escape[1..].starts_with('\\') => ("\\\\", 2),
                _ => ("\\", 1),
            };
            plain.push_str(space);
            rest = &escape[width..];
        }
        plain + rest
    }

    /// The longest beginning with at most so many bytes that does not end within an escape.
    ///
    /// ```
    /// use procmon_profile::text::Text;
    /// let text = Text::from_bytes(b"ab\\\xffc");
    /// assert_eq!((text.start(3), text.start(4), text.start(7)), ("ab", r"ab\\", r"ab\\"));
    /// ```
    #[must_use]
    pub fn start(&self, bytes: usize) -> &str {
        let mut end = 0;
        while end < self.0.len() {
            let next = end + unit(&self.0[end..]).0;
            if next > bytes {
                break;
            }
            end = next;
        }
        &self.0[..end]
    }

    /// Bytes of what it stands for: each escape is as many as its byte or character has.
    #[must_use]
    pub fn plain_len(&self) -> usize {
        let mut rest = self.0.as_str();
        let mut length = 0;
        while !rest.is_empty() {
            let (width, plain) = unit(rest);
            length += plain;
            rest = &rest[width..];
        }
        length
    }

    /// The escaped form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes of the first escape or character of a text, and of what it stands for.
fn unit(text: &str) -> (usize, usize) {
    let first = text.chars().next().map_or(1, char::len_utf8);
    if !text.starts_with('\\') {
        return (first, first);
    }
    let after = text[1..].chars().next();
    let code = || {
        let end = text.bytes().take(12).position(|byte| byte == b'}')?;
        let code = text.get(3..end)?;
        let character = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
        Some((end + 1, character.len_utf8()))
    };
    match after {
        Some('x') if text.is_char_boundary(4) => (4, 1),
        Some('u') => code().unwrap_or((1, 1)),
        Some(after) => (1 + after.len_utf8(), after.len_utf8()),
        None => (1, 1),
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        let escaped = match escape(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(escaped) => Some(escaped),
        };
        Self(escaped.unwrap_or(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(escape(text).into_owned())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from(text.into_owned())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl PartialEq<Text> for str {
    fn eq(&self, other: &Text) -> bool {
        *self == other.0
    }
}

impl PartialEq<Text> for &str {
    fn eq(&self, other: &Text) -> bool {
        *self == other.0
    }
}

impl PartialEq<Text> for String {
    fn eq(&self, other: &Text) -> bool {
        *self == other.0
    }
}

fn bounded<E: de::Error>(bytes: usize) -> Result<(), E> {
    if bytes > MAX_TEXT_BYTES {
        return Err(E::custom(format_args!(
            "a text of {bytes} bytes, of which {MAX_TEXT_BYTES} are taken"
        )));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                bounded(text.len())?;
                Ok(Text::from(text))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                bounded(text.len())?;
                Ok(Text::from(text))
            }
        }
        deserializer.deserialize_string(Visitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn inline_schema() -> bool {
        String::inline_schema()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

//! Bytes that a watched process chose, as text of the document.

/// Text of a path, name or argument: bytes that are not UTF-8 stand as `\xNN`, a backslash as `\\`.
///
/// ```
/// use procmon_profile::text::from_bytes;
/// assert_eq!(from_bytes(b"/etc/passwd"), "/etc/passwd");
/// assert_eq!(from_bytes(b"a\\b\xff"), "a\\\\b\\xff");
/// ```
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

//! Markdown in which names that others chose break nothing.

/// A text in which nothing acts: no markup, link, mention, HTML or end of a cell. Sentences stand as
/// they are; everything else is code, in which Markdown reads nothing but its end.
pub(super) fn cell(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " ,.;()%'/-".contains(c);
    let is_sentence = text.starts_with(char::is_alphanumeric)
        && !text.contains("www.")
        && text.replace(": ", " ").chars().all(plain);
    if is_sentence || text.is_empty() {
        return text.to_owned();
    }
    let mut code = String::with_capacity(text.len() + 2);
    let mut longest = 0;
    let mut run = 0;
    let mut before = ' ';
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
        match character {
            // A table takes the backslash away, where there is not another before it.
            '|' if before == '\\' => code.push_str("\\x7c"),
            '|' => code.push_str("\\|"),
            _ => code.push(character),
        }
        before = character;
    }
    let fence = "`".repeat(longest + 1);
    let blank = if code.starts_with('`') || code.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{blank}{code}{blank}{fence}")
}

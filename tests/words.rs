//! Words and structure that a machine can hold, over all tracked files: the width of comments, the
//! first word of sentences in comments and in Markdown, banned words, and `mod.rs` files that only
//! list modules.
//!
//! [`LEFT`] and [`WITH_ITEMS`] name what older files still break. They only shrink: the test also fails
//! where less is left than they say, until the number is lowered.

use procmon_tests::project_files;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The largest number of characters in a line that holds a comment and nothing else.
const WIDTH: usize = 110;

/// Words that open no sentence: they hide the subject.
const OPENING: [&str; 7] = ["Of", "By", "What", "Whose", "Whoever", "Those", "Nobody"];

/// Words that readers with another first language stumble over.
const BANNED: [&str; 3] = ["shall", "anew", "besides"];

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Width,
    Opening,
    Banned,
}

/// Faults that are left, by the first folder of their path.
const LEFT: &[(&str, Rule, usize)] = &[
    ("kubectl-procmon", Rule::Opening, 41),
    ("kubectl-procmon", Rule::Banned, 7),
    ("probe", Rule::Opening, 74),
    ("probe", Rule::Banned, 12),
    ("probe-ebpf", Rule::Opening, 10),
    ("probe-ebpf", Rule::Banned, 14),
];

/// Files `mod.rs` that hold items of their own.
const WITH_ITEMS: &[&str] = &[
    "kubectl-procmon/src/commands/baseline/mod.rs",
    "kubectl-procmon/src/commands/mod.rs",
    "kubectl-procmon/src/render/drift/mod.rs",
    "kubectl-procmon/src/render/mod.rs",
    "kubectl-procmon/src/render/table/mod.rs",
    "probe/src/drain/mod.rs",
    "probe/src/emit/mod.rs",
    "probe/src/node/mod.rs",
    "probe/src/node/reader/mod.rs",
    "probe/src/sentinel/mod.rs",
    "probe/src/summarize/mod.rs",
    "profile/src/baseline/mod.rs",
    "profile/src/diff/mod.rs",
    "profile/src/judge/mod.rs",
    "profile/src/knowledge/mod.rs",
    "profile/src/mask/command/mod.rs",
    "profile/src/mask/mod.rs",
    "profile/src/mask/text/mod.rs",
    "profile/src/model/mod.rs",
    "profile/src/wire/mod.rs",
];

/// One fault.
struct Fault {
    folder: String,
    rule: Rule,
    place: String,
}

/// The beginnings of comments in files of this name; in Markdown every line is one.
fn marks(path: &str) -> &'static [&'static str] {
    // Documents of users and of released versions are not ours to word.
    if path.starts_with("tests/golden/") || path.starts_with("tests/documents/") {
        return &[];
    }
    let extension = path
        .rsplit_once('.')
        .map_or(path, |(_, extension)| extension);
    match extension {
        "rs" => &["//!", "///", "//"],
        "sh" | "py" | "toml" | "yaml" | "yml" | "Makefile" => &["#"],
        "md" => &[""],
        _ => &[],
    }
}

/// The text of a comment that a line holds: alone, or behind code.
fn comment<'a>(line: &'a str, marks: &[&str]) -> Option<&'a str> {
    if marks.is_empty() {
        return None;
    }
    let alone = line.trim_start();
    if let Some(text) = marks.iter().find_map(|mark| alone.strip_prefix(mark)) {
        return Some(text.trim());
    }
    let behind = marks.last().map(|mark| format!(" {mark} "))?;
    let (code, text) = line.split_once(&behind)?;
    // The mark can also stand within a text.
    let is_code =
        code.ends_with([';', ',', '{', '}', ')', ']']) && code.matches('"').count() % 2 == 0;
    is_code.then_some(text.trim())
}

/// Whether a comment that stood before this text has ended its sentence.
fn ends_sentence(before: &str) -> bool {
    let before = before.trim_end();
    before.is_empty() || before.ends_with(['.', '!', '?']) || before.ends_with("\n-")
}

/// Whether the sentence that this text begins with is a question.
fn is_question(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['.', '!', '?']) {
        let after = &rest[at + 1..];
        if after.is_empty() || after.starts_with(char::is_whitespace) {
            return rest[at..].starts_with('?');
        }
        rest = after;
    }
    false
}

/// The words of a block of comment lines, each with the text before it.
fn words(block: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '\'' | '_' | '`');
    let mut begin = None;
    block
        .char_indices()
        .chain([(block.len(), ' ')])
        .filter_map(move |(at, letter)| {
            if is_part(letter) {
                begin.get_or_insert(at);
                return None;
            }
            let begin = begin.take()?;
            Some((&block[begin..at], &block[..begin]))
        })
}

/// The faults in the words of one comment, and where they are.
fn faults_of(comment: &str) -> Vec<(Rule, usize)> {
    let mut faults = Vec::new();
    for (word, before) in words(comment) {
        let rest = &comment[before.len()..];
        if OPENING.contains(&word) && ends_sentence(before) && !is_question(rest) {
            faults.push((Rule::Opening, before.len()));
        } else if BANNED.contains(&word.to_lowercase().as_str())
            || (word == "no" && says_is_no(before, &rest[word.len()..]))
        {
            faults.push((Rule::Banned, before.len()));
        }
    }
    faults
}

/// "no" in place of "not a" behind "is" or "are". "There is no text" and "is no longer" are plain.
fn says_is_no(before: &str, after: &str) -> bool {
    let last: Vec<&str> = before.split_whitespace().rev().take(2).collect();
    let after = after.split_whitespace().next().unwrap_or_default();
    matches!(last[..], ["is" | "are", subject] if !subject.to_lowercase().ends_with("there"))
        && !["longer", "more", "less"].contains(&after)
}

/// The comments of a text: the number of the first line, and the lines without their marks.
fn comments(text: &str, marks: &[&str]) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.lines().enumerate() {
        let Some(found) = comment(line, marks) else {
            goes_on = false;
            continue;
        };
        // A paragraph ends as a sentence does.
        let found = if found.is_empty() { "." } else { found };
        let is_alone = marks.iter().any(|mark| line.trim_start().starts_with(mark));
        match all.last_mut() {
            Some((_, last)) if goes_on && is_alone => {
                last.push('\n');
                last.push_str(found);
            }
            _ => all.push((number + 1, found.to_owned())),
        }
        goes_on = is_alone;
    }
    all
}

/// All faults of one file.
fn faults(path: &str, text: &str) -> Vec<Fault> {
    let marks = marks(path);
    let folder = path.split_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (first, comment) in comments(text, marks) {
        for (rule, at) in faults_of(&comment) {
            let line = first + comment[..at].matches('\n').count();
            let shown: String = comment[at..].chars().take(60).collect();
            found.push((rule, line, shown.replace('\n', " ")));
        }
    }
    // Tables of Markdown can't be broken.
    if *marks != [""] {
        for (number, line) in text.lines().enumerate() {
            let is_alone = marks.iter().any(|mark| line.trim_start().starts_with(mark));
            let width = line.chars().count();
            if is_alone && width > WIDTH {
                found.push((Rule::Width, number + 1, format!("{width} characters")));
            }
        }
    }
    let fault = |(rule, line, shown)| Fault {
        folder: folder.to_owned(),
        rule,
        place: format!("{path}:{line}: {rule:?}: {shown}"),
    };
    found.into_iter().map(fault).collect()
}

#[test]
fn comments_are_plain_and_narrow() {
    let all: Vec<Fault> = project_files()
        .iter()
        .flat_map(|(path, text)| faults(path, text))
        .collect();
    let mut found: BTreeMap<(&str, Rule), Vec<&str>> = BTreeMap::new();
    for fault in &all {
        let key = (fault.folder.as_str(), fault.rule);
        found.entry(key).or_default().push(&fault.place);
    }
    let mut wrong = String::new();
    for (folder, rule, count) in LEFT {
        let now = found.remove(&(*folder, *rule)).unwrap_or_default();
        if now.len() < *count {
            let _ = writeln!(
                wrong,
                "{folder} {rule:?}: {} are left: lower LEFT from {count}",
                now.len()
            );
        } else if now.len() > *count {
            let _ = writeln!(
                wrong,
                "{folder} {rule:?}: {} where LEFT allows {count}:\n{}",
                now.len(),
                now.join("\n")
            );
        }
    }
    for ((folder, rule), places) in found {
        let _ = writeln!(
            wrong,
            "{folder} {rule:?}: {}:\n{}",
            places.len(),
            places.join("\n")
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A line that begins an item which is neither a module nor a use.
fn begins_item(line: &str) -> bool {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let within = line
        .strip_prefix("pub(")
        .and_then(|line| line.split_once(") "));
    let line = within.map_or(line, |(_, line)| line);
    let word = line.split([' ', '<', '!']).next().unwrap_or_default();
    [
        "fn",
        "async",
        "unsafe",
        "extern",
        "const",
        "static",
        "struct",
        "enum",
        "union",
        "type",
        "trait",
        "impl",
        "macro_rules",
    ]
    .contains(&word)
}

#[test]
fn a_mod_rs_only_lists() {
    let with_items: Vec<String> = project_files()
        .into_iter()
        .filter(|(path, text)| path.ends_with("/mod.rs") && text.lines().any(begins_item))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        with_items, WITH_ITEMS,
        "move the items of a new one; take one that only lists from WITH_ITEMS"
    );
}

#[test]
fn the_rules_find_what_they_are_about() {
    let check = |path: &str, text: &str, expected: &[Rule]| {
        let found: Vec<Rule> = faults(path, text).iter().map(|fault| fault.rule).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("a.rs", "/// What it is.\n", &[Rule::Opening]);
    check("a.rs", "// A row.\n// Of a file.\n", &[Rule::Opening]);
    check("a.rs", "// A row\n// Of a file.\n", &[]);
    check("a.rs", "/// A row.\n///\n/// - Those\n", &[Rule::Opening]);
    check("a.rs", "let a = 1; // Nobody.\n", &[Rule::Opening]);
    check("a.rs", "let a = \"// What\";\n", &[]);
    check(
        "a.rs",
        "// It is no text, and shall not be.\n",
        &[Rule::Banned, Rule::Banned],
    );
    check(
        "a.rs",
        "// There is no text, which is no longer read.\n",
        &[],
    );
    check("a.rs", &format!("// {}\n", "a".repeat(108)), &[Rule::Width]);
    check("a.md", "Text.\n\n- What it is.\n", &[Rule::Opening]);
    check("a.md", "What is it? This.\n", &[]);
    check("a.sh", "# By name.\necho By\n", &[Rule::Opening]);
    check("tests/golden/a.yaml", "# By name.\n", &[]);
    for line in [
        "pub(crate) fn a() {",
        "impl A {",
        "macro_rules! a {",
        "pub const A: u8 = 1;",
    ] {
        assert!(begins_item(line), "{line}");
    }
    for line in [
        "mod a;",
        "pub(crate) mod a;",
        "pub use a::B;",
        "    fn a() {",
        "// fn",
        "}",
    ] {
        assert!(!begins_item(line), "{line}");
    }
}

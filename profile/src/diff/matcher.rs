//! Which row of a Baseline covers a path.
//!
//! A trie of components for each executable. All rows that a path may lead to are followed at once,
//! component by component, so that no pattern costs more than its length times the path's.

use crate::baseline::is_protected;
use crate::model::{ExplainedBy, FileRow};
use std::collections::HashMap;

/// Nodes refer to each other by their place in one list: a pattern may have thousands of parts, too
/// many to be built, followed or dropped one within another.
#[derive(Default)]
struct Node<'a> {
    names: HashMap<&'a str, usize>,
    patterns: HashMap<&'a str, usize>,
    /// `**`: any components, also none.
    any: Option<usize>,
    /// Behind a `**`: takes any part and stays.
    repeats: bool,
    rows: Vec<&'a FileRow>,
}

/// File rows of one container, by executable.
#[derive(Default)]
pub(super) struct Paths<'a> {
    nodes: Vec<Node<'a>>,
    by_exe: HashMap<&'a str, usize>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(rows: &'a [FileRow]) -> Self {
        let mut paths = Self::default();
        for row in rows {
            let known = paths.by_exe.get(row.exe.as_str()).copied();
            let mut node = known.unwrap_or_else(|| {
                let node = paths.add(Node::default());
                paths.by_exe.insert(&row.exe, node);
                node
            });
            for part in row.path.split('/') {
                node = paths.step(node, part);
            }
            paths.nodes[node].rows.push(row);
        }
        paths
    }

    fn add(&mut self, node: Node<'a>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The node behind a part of a pattern.
    fn step(&mut self, from: usize, part: &'a str) -> usize {
        let known = &self.nodes[from];
        let there = if part != "**" {
            known.names.get(part).or(known.patterns.get(part)).copied()
        } else if known.repeats {
            // Two in a row stand for what one stands for.
            Some(from)
        } else {
            known.any
        };
        if let Some(there) = there {
            return there;
        }
        let repeats = part == "**";
        let made = self.add(Node {
            repeats,
            ..Node::default()
        });
        let node = &mut self.nodes[from];
        if repeats {
            node.any = Some(made);
        } else if has_wildcard(part) {
            node.patterns.insert(part, made);
        } else {
            node.names.insert(part, made);
        }
        made
    }

    /// A node, and the one behind a `**` that stands for nothing.
    fn enter(&self, node: usize, nodes: &mut Vec<usize>) {
        nodes.push(node);
        nodes.extend(self.nodes[node].any);
    }

    /// The rows that cover a path of an executable. A protected path is covered only by a row of
    /// its own, or by one whose wildcards were not learned.
    pub(super) fn covering(&self, exe: &str, path: &str) -> Vec<&'a FileRow> {
        let Some(root) = self.by_exe.get(exe) else {
            return Vec::new();
        };
        let mut nodes = Vec::new();
        self.enter(*root, &mut nodes);
        for part in path.split('/') {
            let mut next = Vec::new();
            for place in nodes {
                let node = &self.nodes[place];
                if let Some(named) = node.names.get(part) {
                    self.enter(*named, &mut next);
                }
                for (pattern, behind) in &node.patterns {
                    if matches(pattern, part) {
                        self.enter(*behind, &mut next);
                    }
                }
                if node.repeats {
                    self.enter(place, &mut next);
                }
            }
            next.sort_unstable();
            next.dedup();
            nodes = next;
            if nodes.is_empty() {
                break;
            }
        }
        let protected = is_protected(path);
        let mut rows: Vec<&FileRow> = nodes
            .into_iter()
            .flat_map(|node| &self.nodes[node].rows)
            .copied()
            .filter(|row| !protected || row.path == path || !was_learned(row))
            .collect();
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        rows
    }

    /// An executable of which something is known.
    pub(super) fn knows(&self, exe: &str) -> bool {
        self.by_exe.contains_key(exe)
    }
}

fn was_learned(row: &FileRow) -> bool {
    row.seen
        .explain
        .iter()
        .any(|explain| explain.by == ExplainedBy::Learned)
}

fn has_wildcard(part: &str) -> bool {
    let mut escaped = false;
    for character in part.chars() {
        match character {
            '\\' => escaped = !escaped,
            '*' if !escaped => return true,
            _ => escaped = false,
        }
    }
    false
}

/// One part of a path fits one part of a pattern. A star of the pattern stands for any text that is
/// not empty; a backslash before one in either is part of the name. Takes time in proportion to both:
/// what stands between two stars is looked for once, from the left.
pub(super) fn matches(pattern: &str, part: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == part;
    }
    let (pattern, part) = (marked(pattern), marked(part));
    let mut texts = pattern.split(STAR);
    let first = texts.next().unwrap_or_default();
    let Some(mut rest) = part.strip_prefix(first) else {
        return false;
    };
    let Some(last) = texts.next_back() else {
        return rest.is_empty();
    };
    // A star takes one character at least.
    let behind_one = |text: &'_ str| text.chars().next().map(char::len_utf8);
    for text in texts {
        let Some(one) = behind_one(rest) else {
            return false;
        };
        let Some(place) = rest[one..].find(text) else {
            return false;
        };
        rest = &rest[one + place + text.len()..];
    }
    behind_one(rest).is_some_and(|one| rest[one..].ends_with(last))
}

/// Stands for a star that is a wildcard. No text has it.
const STAR: char = '\0';

/// A text whose wildcards are told from the stars of names. In a part of a path a star is a wildcard
/// that a rule put there: it fits a star only.
fn marked(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut escaped = false;
    for character in text.chars() {
        marked.push(if character == '*' && !escaped {
            STAR
        } else {
            character
        });
        escaped = character == '\\' && !escaped;
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Explain, Seen};
    use proptest::prelude::*;

    fn row(path: &str) -> FileRow {
        FileRow {
            exe: "/x".into(),
            path: path.into(),
            ..FileRow::default()
        }
    }

    #[test]
    fn stars_stand_for_text_within_one_part() {
        for (pattern, part, expected) in [
            ("*", "a", true),
            ("*", "", false),
            ("a*c", "abc", true),
            ("a*c", "ac", false),
            ("a*c", "abcbc", true),
            ("a*", "a", false),
            ("*.log", "x.log", true),
            ("*.log", ".log", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("\\*", "\\*", true),
            ("\\*", "a", false),
            ("*", "*", true),
            ("tmp*", "tmp*", true),
        ] {
            assert_eq!(matches(pattern, part), expected, "{pattern} {part}");
        }
    }

    /// The same, as it is defined: a star takes one character, then itself again or nothing.
    fn matches_slowly(pattern: &str, part: &str) -> bool {
        let mut pattern_rest = pattern.chars();
        let mut part_rest = part.chars();
        match (pattern_rest.next(), part_rest.next()) {
            (None, None) => true,
            (Some(STAR), Some(_)) => {
                matches_slowly(pattern_rest.as_str(), part_rest.as_str())
                    || matches_slowly(pattern, part_rest.as_str())
            }
            (Some(one), Some(other)) if one == other => {
                matches_slowly(pattern_rest.as_str(), part_rest.as_str())
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn quick_matching_is_matching(pattern in r"[ab*\\]{0,8}", part in r"[ab*\\]{0,10}") {
            prop_assert_eq!(matches(&pattern, &part), matches_slowly(&marked(&pattern), &marked(&part)));
        }
    }

    #[test]
    fn two_stars_stand_for_any_parts() {
        let rows = [row("/data/**/x"), row("/all/**")];
        let paths = Paths::new(&rows);
        for (path, expected) in [
            ("/data/x", 1),
            ("/data/a/x", 1),
            ("/data/a/b/c/x", 1),
            ("/data/a/b/c/y", 0),
            ("/all/a/b", 1),
        ] {
            assert_eq!(paths.covering("/x", path).len(), expected, "{path}");
        }
    }

    #[test]
    fn patterns_made_to_be_slow_are_not() {
        let pattern = "*a".repeat(20_000);
        let text = "a".repeat(400_000) + "b";
        assert!(!matches(&pattern, &text));
        let path = "/**/a".repeat(50);
        let rows = [row(&path)];
        assert!(
            Paths::new(&rows)
                .covering("/x", &("/a".repeat(500) + "/b"))
                .is_empty()
        );
        let deep = ["/a".repeat(400_000), "/**".repeat(100_000)];
        let rows: Vec<FileRow> = deep.iter().map(|path| row(path)).collect();
        let paths = Paths::new(&rows);
        assert_eq!(paths.covering("/x", &deep[0]).len(), 2);
        assert_eq!(paths.covering("/x", "/b").len(), 1);
    }

    #[test]
    fn a_learned_wildcard_hides_no_protected_path() {
        let learned = Explain {
            part: 2,
            by: ExplainedBy::Learned,
            rule: None,
            values: ["a".into()].into(),
        };
        let mut wide = row("/home/*/*/*");
        wide.seen = Seen {
            explain: vec![learned],
            ..Seen::default()
        };
        let rows = [wide, row("/etc/**")];
        let paths = Paths::new(&rows);
        assert_eq!(paths.covering("/x", "/home/a/b/c").len(), 1);
        assert!(paths.covering("/x", "/home/a/.ssh/id_rsa").is_empty());
        // Somebody wrote that one.
        assert_eq!(paths.covering("/x", "/etc/passwd").len(), 1);
    }
}

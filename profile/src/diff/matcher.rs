//! Which row of a Baseline covers a path.
//!
//! A trie of components for each executable. All rows that a path may lead to are followed at once,
//! component by component, so that no pattern costs more than its length times the path's.

use crate::baseline::is_protected;
use crate::model::{ExplainedBy, FileRow};
use std::collections::HashMap;

#[derive(Default)]
struct Node<'a> {
    names: HashMap<&'a str, Node<'a>>,
    patterns: Vec<(&'a str, Node<'a>)>,
    /// `**`: any components, also none.
    any: Option<Box<Node<'a>>>,
    /// Behind a `**`: takes any part and stays.
    repeats: bool,
    rows: Vec<&'a FileRow>,
}

/// File rows of one container, by executable.
#[derive(Default)]
pub(super) struct Paths<'a> {
    by_exe: HashMap<&'a str, Node<'a>>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(rows: &'a [FileRow]) -> Self {
        let mut paths = Self::default();
        for row in rows {
            let mut node = paths.by_exe.entry(row.exe.as_str()).or_default();
            for part in row.path.split('/') {
                node = node.step(part);
            }
            node.rows.push(row);
        }
        paths
    }

    /// The rows that cover a path of an executable. A protected path is covered only by a row of
    /// its own, or by one whose wildcards were not learned.
    pub(super) fn covering(&self, exe: &str, path: &str) -> Vec<&'a FileRow> {
        let Some(root) = self.by_exe.get(exe) else {
            return Vec::new();
        };
        let mut nodes: Vec<&Node<'a>> = Vec::new();
        root.enter(&mut nodes);
        for part in path.split('/') {
            let mut next: Vec<&Node<'a>> = Vec::new();
            for node in nodes {
                node.follow(part, &mut next);
            }
            next.sort_by_key(|node| std::ptr::from_ref(*node));
            next.dedup_by_key(|node| std::ptr::from_ref(*node));
            nodes = next;
        }
        let protected = is_protected(path);
        let mut rows: Vec<&FileRow> = nodes
            .into_iter()
            .flat_map(|node| &node.rows)
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

impl<'a> Node<'a> {
    fn step(&mut self, part: &'a str) -> &mut Self {
        if part == "**" {
            let any = self.any.get_or_insert_default();
            any.repeats = true;
            return any;
        }
        if !has_wildcard(part) {
            return self.names.entry(part).or_default();
        }
        let place = self
            .patterns
            .iter()
            .position(|(pattern, _)| *pattern == part);
        let place = place.unwrap_or_else(|| {
            self.patterns.push((part, Self::default()));
            self.patterns.len() - 1
        });
        &mut self.patterns[place].1
    }

    /// This node, and those behind a `**` that stands for nothing.
    fn enter<'b>(&'b self, nodes: &mut Vec<&'b Self>) {
        nodes.push(self);
        if let Some(any) = &self.any {
            any.enter(nodes);
        }
    }

    fn follow<'b>(&'b self, part: &str, next: &mut Vec<&'b Self>) {
        if let Some(node) = self.names.get(part) {
            node.enter(next);
        }
        for (pattern, node) in &self.patterns {
            if matches(pattern, part) {
                node.enter(next);
            }
        }
        if self.repeats {
            self.enter(next);
        }
    }
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
/// not empty; a backslash before one in either is part of the name. Takes at most length × length steps.
pub(super) fn matches(pattern: &str, part: &str) -> bool {
    let (pattern, part) = (tokens(pattern), tokens(part));
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < part.len() {
        match pattern.get(p) {
            Some(Token::Star) => {
                p += 1;
                // One at least.
                t += 1;
                retry = Some((p, t));
            }
            Some(token) if *token == part[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) if from < part.len() => {
                    p = after;
                    t = from + 1;
                    retry = Some((after, t));
                }
                _ => return false,
            },
        }
    }
    // A name that ends inside a star's text: the star had its one character.
    p == pattern.len()
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Star,
    Char(char),
}

/// In a part of a path a star is a wildcard that a rule put there: it fits a star only.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => tokens.push(Token::Star),
            '\\' => {
                tokens.push(Token::Char('\\'));
                tokens.extend(characters.next().map(Token::Char));
            }
            _ => tokens.push(Token::Char(character)),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Explain, Seen};

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
        let pattern = "*a".repeat(200);
        let text = "a".repeat(4000) + "b";
        assert!(!matches(&pattern, &text));
        let path = "/**/a".repeat(50);
        let rows = [row(&path)];
        assert!(
            Paths::new(&rows)
                .covering("/x", &("/a".repeat(500) + "/b"))
                .is_empty()
        );
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

//! Classes: the words by which rules speak of programs, files and peers. Each table is a text beside this
//! file: one line a class, its cells separated by tabs.

/// One class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// The word that rules use.
    pub name: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
    /// Patterns, separated by spaces.
    patterns: &'static str,
    /// Where the knowledge comes from.
    pub source: &'static str,
}

impl Class {
    /// Its members: names of programs, patterns of paths, domains or ports.
    pub fn patterns(&self) -> impl Iterator<Item = &'static str> {
        self.patterns.split(' ')
    }
}

/// The classes of a table. Its first line names the columns.
pub(crate) fn table(text: &'static str) -> Vec<Class> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.split('\t');
            Some(Class {
                name: cells.next()?,
                meaning: cells.next()?,
                patterns: cells.next()?,
                source: cells.next()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_table_is_whole() {
        for text in [
            include_str!("programs.tsv"),
            include_str!("files.tsv"),
            include_str!("domains.tsv"),
            include_str!("ports.tsv"),
        ] {
            let classes = table(text);
            assert_eq!(classes.len() + 1, text.lines().count());
            let mut names = BTreeSet::new();
            for class in classes {
                assert!(names.insert(class.name), "{} stands twice", class.name);
                let patterns: Vec<&str> = class.patterns().collect();
                let once: BTreeSet<&str> = patterns.iter().copied().collect();
                assert_eq!(
                    once.len(),
                    patterns.len(),
                    "{}: a pattern stands twice",
                    class.name
                );
                assert!(
                    !once.contains("") && !class.source.is_empty(),
                    "{}",
                    class.name
                );
            }
        }
    }
}

//! Rows of the report: all of them as data for the script, the first of them as plain HTML.

use super::cells::Kind;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::borrow::Cow;
use std::collections::HashMap;

/// Rows that stand in the page without a script, and in print.
const PLAIN_ROWS: usize = 100;
/// Characters of a cell there.
const PLAIN_CELL: usize = 300;

/// The values of a column, one for each row.
pub(super) enum Values<'a> {
    Texts(Vec<Cow<'a, str>>),
    Numbers(Vec<Option<i64>>),
}

/// One column.
pub(super) struct Column<'a> {
    title: &'static str,
    kind: Kind,
    /// Only the details of a row show it.
    is_detail: bool,
    values: Values<'a>,
}

impl<'a> Column<'a> {
    /// Texts of this kind.
    pub(super) fn texts<T: Into<Cow<'a, str>>>(
        title: &'static str,
        kind: Kind,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            title,
            kind,
            is_detail: false,
            values: Values::Texts(values.into_iter().map(Into::into).collect()),
        }
    }

    /// Numbers of this kind; none where nothing is known.
    pub(super) fn numbers(
        title: &'static str,
        kind: Kind,
        values: impl IntoIterator<Item = Option<i64>>,
    ) -> Self {
        Self {
            title,
            kind,
            is_detail: false,
            values: Values::Numbers(values.into_iter().collect()),
        }
    }

    /// The same, shown with the details of a row only.
    pub(super) fn in_detail(self) -> Self {
        Self {
            is_detail: true,
            ..self
        }
    }

    /// Every row has the same nothing.
    fn is_empty(&self) -> bool {
        match &self.values {
            Values::Texts(texts) => texts.iter().all(|text| text.is_empty()),
            Values::Numbers(numbers) => numbers.iter().all(Option::is_none),
        }
    }

    fn plain(&self, row: usize) -> String {
        match &self.values {
            Values::Texts(texts) => texts.get(row).map_or_else(String::new, |text| {
                let mut plain: String = text.chars().take(PLAIN_CELL).collect();
                if plain.len() < text.len() {
                    plain.push('…');
                }
                plain
            }),
            Values::Numbers(numbers) => numbers
                .get(row)
                .copied()
                .flatten()
                .map_or_else(String::new, |number| self.kind.number(number)),
        }
    }
}

/// A count of a document as a cell.
pub(super) fn number(count: u64) -> Option<i64> {
    i64::try_from(count).ok()
}

/// The same, with nothing in the place of 0.
pub(super) fn some(count: u64) -> Option<i64> {
    number(count).filter(|count| *count != 0)
}

/// Rows with a title for each column. In a tree the rows below a row follow it.
pub(super) struct Table<'a> {
    pub(super) id: String,
    /// The rows in words: `rows of processes`.
    pub(super) unit: &'static str,
    columns: Vec<Column<'a>>,
    rows: usize,
    /// How deep each row of a tree is; nothing for a list.
    depth: Vec<u32>,
    /// The names of a row and of those above it are one path.
    is_path: bool,
}

impl<'a> Table<'a> {
    /// A list. Columns in which nothing stands are left out.
    pub(super) fn new(id: &str, unit: &'static str, columns: Vec<Column<'a>>) -> Self {
        let rows = columns.first().map_or(0, |column| match &column.values {
            Values::Texts(texts) => texts.len(),
            Values::Numbers(numbers) => numbers.len(),
        });
        let columns = columns.into_iter().filter(|column| !column.is_empty());
        Self {
            id: id.to_owned(),
            unit,
            columns: columns.collect(),
            rows,
            depth: Vec::new(),
            is_path: false,
        }
    }

    /// A tree of these depths.
    pub(super) fn with_depth(self, depth: Vec<u32>) -> Self {
        Self { depth, ..self }
    }

    /// A tree whose names are parts of paths.
    pub(super) fn of_paths(self) -> Self {
        Self {
            is_path: true,
            ..self
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The rows that stand in the page: of a tree the upper levels, as many as there is room for.
    fn plain_rows(&self) -> Vec<usize> {
        let at_most = |level: u32| {
            let rows = self.depth.iter().enumerate();
            rows.filter(move |(_, depth)| **depth <= level)
                .map(|(row, _)| row)
        };
        let deepest = self.depth.iter().copied().max().unwrap_or(0);
        // Each level has more rows than the one above it.
        let fits = (0..=deepest)
            .take(PLAIN_ROWS)
            .take_while(|level| at_most(*level).count() <= PLAIN_ROWS)
            .last();
        match fits {
            Some(level) if !self.depth.is_empty() => at_most(level).collect(),
            _ => (0..self.rows.min(PLAIN_ROWS)).collect(),
        }
    }

    /// The part that stands in the page.
    pub(super) fn plain(&self) -> PlainTable {
        let shown: Vec<&Column<'_>> = self.columns.iter().filter(|c| !c.is_detail).collect();
        let rows: Vec<PlainRow> = self
            .plain_rows()
            .into_iter()
            .map(|row| PlainRow {
                depth: self.depth.get(row).copied().unwrap_or(0).min(12),
                cells: shown.iter().map(|column| column.plain(row)).collect(),
            })
            .collect();
        PlainTable {
            id: self.id.clone(),
            unit: self.unit,
            heads: shown
                .iter()
                .map(|column| PlainHead {
                    title: column.title,
                    kind: column.kind,
                })
                .collect(),
            is_tree: !self.depth.is_empty(),
            total: self.rows,
            is_whole: rows.len() == self.rows,
            shown: rows.len(),
            rows,
        }
    }
}

/// The part of a table that stands in the page.
#[derive(serde::Serialize)]
pub(super) struct PlainTable {
    id: String,
    unit: &'static str,
    heads: Vec<PlainHead>,
    rows: Vec<PlainRow>,
    is_tree: bool,
    is_whole: bool,
    shown: usize,
    total: usize,
}

#[derive(serde::Serialize)]
struct PlainHead {
    title: &'static str,
    kind: Kind,
}

#[derive(serde::Serialize)]
struct PlainRow {
    depth: u32,
    cells: Vec<String>,
}

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("unit", self.unit)?;
        map.serialize_entry("rows", &self.rows)?;
        map.serialize_entry("columns", &self.columns)?;
        if !self.depth.is_empty() {
            map.serialize_entry("depth", &self.depth)?;
        }
        if self.is_path {
            map.serialize_entry("isPath", &true)?;
        }
        map.end()
    }
}

impl Serialize for Column<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("title", self.title)?;
        map.serialize_entry("kind", &self.kind)?;
        if self.is_detail {
            map.serialize_entry("isDetail", &true)?;
        }
        match &self.values {
            Values::Numbers(numbers) => map.serialize_entry("values", numbers)?,
            Values::Texts(texts) => {
                // Each word once, in the order of its first row, where that is shorter.
                let mut places: HashMap<&str, usize> = HashMap::new();
                let mut words = Vec::new();
                let values: Vec<usize> = texts
                    .iter()
                    .map(|text| {
                        *places.entry(text).or_insert_with(|| {
                            words.push(text);
                            words.len() - 1
                        })
                    })
                    .collect();
                if words.len() * 2 < texts.len() {
                    map.serialize_entry("words", &words)?;
                    map.serialize_entry("values", &values)?;
                } else {
                    map.serialize_entry("values", texts)?;
                }
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, PLAIN_ROWS, Table};
    use crate::render::html::cells::Kind;

    #[test]
    fn the_plain_part_is_bounded_and_of_a_tree_the_upper_levels() {
        let names = |rows: usize| {
            let names = (0..rows).map(|row| row.to_string());
            vec![Column::texts("Name", Kind::Name, names)]
        };
        let list = Table::new("list", "rows", names(5_000)).plain();
        assert_eq!((list.rows.len(), list.is_whole), (PLAIN_ROWS, false));
        let depth = (0..5_000).map(|row| u32::from(row % 1_000 != 0)).collect();
        let tree = Table::new("tree", "rows", names(5_000)).with_depth(depth);
        assert_eq!(tree.plain().rows.len(), 5);
    }
}

//! The screen and its sections: what fits, what is cut, what is said to be more.

use crate::render::text::{count, shorten};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use procmon_profile::model::Counts;
use procmon_profile::text::escape;
use std::io::{self, Write};

/// Rows of a section, before "and more".
pub(super) const ROWS: usize = 15;

/// The narrowest screen that is laid out for.
pub(super) const MIN_WIDTH: u16 = 40;

/// What the last column of a section should have.
const LAST_WIDTH: usize = 24;

/// Texts of other columns are not made shorter than this.
const SHORT_WIDTH: usize = 8;

/// Stands before and after what is left out of a cell first, such as the address behind a name.
pub(super) const DROPPABLE: char = '\0';

pub(super) struct Screen<'a> {
    pub(super) out: &'a mut dyn Write,
    /// Columns of the terminal; none where nothing needs to be cut.
    pub(super) width: Option<usize>,
    pub(super) rows: usize,
    pub(super) wide: bool,
    pub(super) colour: bool,
}

/// Rows of a section.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Vec<String>>,
    /// What is said instead of rows that would drown the others.
    pub(super) folded: Vec<String>,
}

impl Rows {
    /// Rows that come last, or only as their number.
    pub(super) fn fold(&mut self, screen: &Screen<'_>, rows: Vec<Vec<String>>, what: &str) {
        if screen.wide {
            self.rows.extend(rows);
        } else if !rows.is_empty() {
            self.folded
                .push(format!("… and {} {what} (-o wide)", plural(rows.len())));
        }
    }
}

fn plural(rows: usize) -> String {
    if rows == 1 {
        "1 row".to_owned()
    } else {
        format!("{rows} rows")
    }
}

/// Text of at most so many columns, cut at its end.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Lines of at most so many columns, broken at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| cut(line, width)).collect()
}

impl Screen<'_> {
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = escape(text);
        let text = match self.width {
            Some(width) => shorten(&text, width),
            None => text,
        };
        if self.colour {
            writeln!(self.out, "\n\x1b[1m{text}\x1b[0m")
        } else {
            writeln!(self.out, "\n{text}")
        }
    }

    /// A line of the head: its name, and a text that goes on below itself.
    pub(super) fn line(&mut self, name: &str, text: &str) -> io::Result<()> {
        let text = escape(text);
        let lines = match self.width {
            Some(width) => wrap(&text, width - 12),
            None => vec![text.into_owned()],
        };
        for (number, line) in lines.iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            writeln!(self.out, "  {name:<9} {line}")?;
        }
        Ok(())
    }

    /// A section of rows. Where the width is limited, the last column takes what the others leave.
    pub(super) fn section(&mut self, title: &str, header: &[&str], rows: Rows) -> io::Result<()> {
        if rows.rows.is_empty() && rows.folded.is_empty() {
            return Ok(());
        }
        self.heading(title)?;
        let total = rows.rows.len();
        let shown: Vec<Vec<String>> = rows
            .rows
            .into_iter()
            .take(self.rows)
            .map(|row| {
                let escaped = |cell: &String| {
                    let parts: Vec<_> = cell.split(DROPPABLE).map(escape).collect();
                    parts.join(&DROPPABLE.to_string())
                };
                row.iter().map(escaped).collect()
            })
            .collect();
        if !shown.is_empty() {
            self.table(header, shown)?;
        }
        let mut last = rows.folded;
        if total > self.rows {
            last.insert(0, format!("… and {} more (-o wide)", total - self.rows));
        }
        for line in last {
            writeln!(self.out, "  {line}")?;
        }
        Ok(())
    }

    pub(super) fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let fitted = match self.width {
            Some(width) => fit(header, rows, width),
            None => Fitted {
                header: header.to_vec(),
                below: vec![None; rows.len()],
                rows: rows
                    .into_iter()
                    .map(|row| row.iter().map(|cell| whole(cell)).collect())
                    .collect(),
            },
        };
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(fitted.header.clone());
        for row in fitted.rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for (place, name) in fitted.header.iter().enumerate() {
            if let Some(column) = table.column_mut(place)
                && NUMBERS.contains(name)
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let below = std::iter::once(None).chain(fitted.below);
        for (line, below) in table.lines().zip(below) {
            let limited = |text: String| match self.width {
                Some(width) => cut(&text, width),
                None => text,
            };
            writeln!(self.out, "{}", limited(format!("  {}", line.trim_end())))?;
            if let Some(below) = below {
                writeln!(self.out, "{}", limited(format!("      {below}")))?;
            }
        }
        Ok(())
    }
}

/// A table that fits on a screen.
struct Fitted<'a> {
    header: Vec<&'a str>,
    rows: Vec<Vec<String>>,
    /// What of a row stands on a line of its own, below it.
    below: Vec<Option<String>>,
}

/// A cell with all of its parts.
pub(crate) fn whole(cell: &str) -> String {
    cell.replace(DROPPABLE, "")
}

/// A cell without what is left out first.
pub(crate) fn essential(cell: &str) -> String {
    cell.split(DROPPABLE).step_by(2).collect()
}

/// Makes a table fit: columns that say nothing go first, then what is droppable, then long texts
/// lose their middle. A peer's name is never cut: it has a line of its own where there is no room.
fn fit<'a>(header: &[&'a str], mut rows: Vec<Vec<String>>, width: usize) -> Fitted<'a> {
    let mut header = header.to_vec();
    let length = |cell: &str| cell.chars().count();
    let widest = |header: &[&str], rows: &[Vec<String>], column: usize| {
        rows.iter()
            .map(|row| length(&row[column]))
            .chain([header[column].len()])
            .max()
            .unwrap_or(0)
    };
    let room = |header: &[&str], rows: &[Vec<String>]| {
        let others: usize = (0..header.len() - 1)
            .map(|column| widest(header, rows, column) + 2)
            .sum();
        width.saturating_sub(others + 2)
    };
    let last_fits = |header: &[&str], rows: &[Vec<String>]| {
        let room = room(header, rows);
        rows.iter()
            .all(|row| row.last().is_none_or(|cell| length(&whole(cell)) <= room))
    };
    for column in (0..header.len() - 1).rev() {
        if !last_fits(&header, &rows) && rows.iter().all(|row| row[column] == "-") {
            header.remove(column);
            for row in &mut rows {
                row.remove(column);
            }
        }
    }
    let keeps_names = header.last() == Some(&"PEER");
    // What has a line of its own needs no room beside the others.
    let least_room = if keeps_names { 1 } else { LAST_WIDTH };
    while !last_fits(&header, &rows) && room(&header, &rows) < least_room {
        let texts = (0..header.len() - 1).filter(|column| !NUMBERS.contains(&header[*column]));
        let longest = texts.max_by_key(|column| widest(&header, &rows, *column));
        let Some((column, now)) = longest.map(|column| (column, widest(&header, &rows, column)))
        else {
            break;
        };
        let least = SHORT_WIDTH.max(header[column].len());
        if now <= least {
            break;
        }
        let missing = least_room - room(&header, &rows);
        let wanted = now.saturating_sub(missing).max(least);
        for row in &mut rows {
            row[column] = shorten(&row[column], wanted).into_owned();
        }
    }
    let room = room(&header, &rows);
    let mut below = Vec::new();
    for row in &mut rows {
        let mut apart = None;
        if let Some(cell) = row.last_mut() {
            let all = whole(cell);
            *cell = if length(&all) <= room {
                all
            } else {
                essential(cell)
            };
            if length(cell) > room && keeps_names {
                apart = Some(std::mem::take(cell));
            } else {
                *cell = shorten(cell, room.max(5)).into_owned();
            }
        }
        below.push(apart);
    }
    Fitted {
        header,
        rows,
        below,
    }
}

/// Columns of numbers.
const NUMBERS: [&str; 13] = [
    "COUNT", "UID", "READ", "WRITTEN", "CALLS", "ERRORS", "CONNS", "SENT", "RECEIVED", "P50",
    "P95", "P99", "MAX",
];

pub(crate) fn join(counts: &Counts) -> String {
    counts
        .iter()
        .map(|(name, times)| {
            if *times == 1 {
                name.clone()
            } else {
                format!("{name}×{}", count(*times)).into()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

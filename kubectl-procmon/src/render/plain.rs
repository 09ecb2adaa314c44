//! A table without lines, in which no cell is cut.

use comfy_table::{ContentArrangement, Table, presets};
use std::io::{self, Write};

/// Writes a table. Cells are broken where it would be wider than `width` columns.
pub(super) fn table(
    header: &[&str],
    rows: Vec<Vec<String>>,
    width: Option<u16>,
    indent: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    match width {
        Some(width) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        writeln!(out, "{indent}{}", line.trim_end())?;
    }
    Ok(())
}

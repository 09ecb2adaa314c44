//! The page: the template with its parts, the style, the script and the data, and the policy that allows
//! these only.

use super::chart::Chart;
use super::head::Head;
use super::table::{PlainTable, Table};
use super::{drift, embed, findings};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io::Write;

const TEMPLATE: &str = include_str!("report.html");
const PARTS: &str = include_str!("parts.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = concat!(
    include_str!("values.js"),
    include_str!("table.js"),
    include_str!("report.js")
);

/// A section of the page: a drawing, rows, or both.
pub(super) struct Section<'a> {
    id: String,
    title: String,
    chart: Option<Chart>,
    table: Option<Table<'a>>,
}

impl<'a> Section<'a> {
    /// Rows.
    pub(super) fn new(title: &str, table: Table<'a>) -> Self {
        Self {
            id: table.id.clone(),
            title: title.to_owned(),
            chart: None,
            table: Some(table).filter(|table| table.len() > 0),
        }
    }

    /// A drawing without rows of its own.
    pub(super) fn drawing(id: &str, title: &str, chart: Chart) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            chart: Some(chart),
            table: None,
        }
    }

    /// The same with a drawing above the rows.
    pub(super) fn with(self, chart: Option<Chart>) -> Self {
        Self { chart, ..self }
    }
}

/// The part of the page before its sections.
#[derive(Serialize)]
pub(super) struct Page {
    kind: &'static str,
    title: String,
    pub(super) head: Option<Head>,
    pub(super) findings: Option<findings::View>,
    pub(super) baseline: Option<String>,
    pub(super) drifts: Vec<drift::View>,
    /// There are several comparisons: each has a title.
    are_several: bool,
}

/// A section as the template shows it.
#[derive(Serialize)]
struct Shown {
    id: String,
    title: String,
    chart: Option<Chart>,
    table: Option<PlainTable>,
}

impl Page {
    /// A page about a document of this kind.
    pub(super) fn new(kind: &'static str, title: &str) -> Self {
        Self {
            kind,
            title: title.to_owned(),
            head: None,
            findings: None,
            baseline: None,
            drifts: Vec::new(),
            are_several: false,
        }
    }

    /// Writes the page.
    pub(super) fn write(mut self, sections: Vec<Section<'_>>, out: &mut dyn Write) -> Result<()> {
        self.are_several = self.drifts.len() > 1;
        let mut tables = Vec::new();
        let mut shown = Vec::new();
        for section in sections {
            if section.chart.is_none() && section.table.is_none() {
                continue;
            }
            shown.push(Shown {
                id: section.id,
                title: section.title,
                chart: section.chart,
                table: section.table.as_ref().map(Table::plain),
            });
            tables.extend(section.table);
        }
        let data = embed::json(&tables).context("cannot write the rows")?;
        drop(tables);
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.add_template("parts.html", PARTS)?;
        templates.add_template("report.html", TEMPLATE)?;
        let safe = |text: &str| Value::from_safe_string(text.to_owned());
        let values = context! {
            page => Value::from(Serde(&self)),
            sections => Value::from(Serde(&shown)),
            version => env!("CARGO_PKG_VERSION"),
            style => safe(STYLE),
            script => safe(SCRIPT),
            style_hash => hash(STYLE),
            script_hash => hash(SCRIPT),
            data => Value::from_safe_string(data),
        };
        let text = templates.get_template("report.html")?.render(values)?;
        Ok(out.write_all(text.as_bytes())?)
    }
}

/// The hash by which the page's policy allows a text.
fn hash(text: &str) -> Value {
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    Value::from_safe_string(format!("sha256-{digest}"))
}

#[cfg(test)]
mod tests {
    use super::{SCRIPT, STYLE};

    #[test]
    fn style_and_script_stay_within_their_elements() {
        assert!(!STYLE.contains("</") && !STYLE.contains("<!--"));
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        for banned in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(banned), "{banned}");
        }
    }
}

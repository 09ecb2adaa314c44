//! Texts with values in them: `reads {file.path}`.

use crate::expression::{Expression, ExpressionError};
use cel::{Context, Value};

/// A text with values in it.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Value(Expression),
}

impl Template {
    /// Reads a text in which `{EXPRESSION}` stands for a value.
    pub(super) fn parse(
        text: &str,
        names: &'static [&'static str],
    ) -> Result<Self, ExpressionError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (expression, after) = after
                .split_once('}')
                .ok_or_else(|| ExpressionError::Syntax("a `{` has no `}`".to_owned()))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(Expression::parse(expression, names)?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The expressions in it.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(expression) => Some(expression),
            Part::Text(_) => None,
        })
    }

    /// The text within a scope. An error where a value is not known.
    pub(super) fn fill(&self, scope: &Context<'_, '_>) -> Result<String, ExpressionError> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text += part,
                Part::Value(expression) => text += &show(&expression.value(scope)?),
            }
        }
        Ok(text)
    }
}

/// The longest text of a value, in characters: a command line can have thousands.
const MAX_SHOWN: usize = 200;

/// A value, as a reader sees it.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_string(),
        },
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => format!("{number:.1}"),
        Value::Bool(truth) => truth.to_string(),
        Value::List(values) => {
            let shown: Vec<String> = values.iter().take(8).map(show).collect();
            shown.join(", ")
        }
        _ => String::new(),
    }
}

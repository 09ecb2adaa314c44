//! Conditions that a user writes, in CEL, Kubernetes' own expression language.
//!
//! An expression is bounded before it runs: it is short, its brackets are not deep, and a loop over
//! a list (`exists`, `all`, …) holds no other loop. It looks at one row, so that time and
//! memory stay below the product of the two; regular expressions run in linear time, and are
//! compiled when the expression is parsed: they have to be written out in it.

use cel::common::ast::{Expr, LiteralValue};
use cel::extractors::This;
use cel::{Context, ExecutionError, IdedExpr, Program, Value};
use regex::Regex;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The longest expression.
const MAX_LENGTH: usize = 2_000;
/// Brackets within brackets.
const MAX_DEPTH: usize = 24;
/// Loops in one expression.
const MAX_LOOPS: usize = 8;

/// Something that a condition can be about.
pub trait Fields {
    /// Names that an expression may use.
    const NAMES: &'static [&'static str];

    /// Values by name. A name without one is an empty text to the expression.
    fn fields(&self) -> Map<String, Json>;
}

/// Why an expression can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionError {
    /// Too long, too deep, or loops within loops.
    TooLarge(String),
    /// Not CEL.
    Syntax(String),
    /// A name that what the condition is about does not have, and the names that it has.
    Unknown(String, &'static [&'static str]),
    /// It gave no truth value for a row.
    NoTruth(String),
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(what) => write!(f, "the expression {what}"),
            Self::Syntax(what) => write!(f, "the expression is no CEL: {what}"),
            Self::Unknown(name, known) => {
                write!(f, "rows have no `{name}`; they have {}", known.join(", "))
            }
            Self::NoTruth(what) => write!(f, "the expression is neither true nor false: {what}"),
        }
    }
}

impl std::error::Error for ExpressionError {}

/// A condition on values of one type.
pub struct Condition<T> {
    about: PhantomData<fn(&T)>,
    program: Program,
    /// Shared by the evaluations of all rows: the functions, with the regular expressions.
    functions: Context<'static, 'static>,
}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition")
    }
}

impl<T: Fields> Condition<T> {
    /// Parses a condition and checks its bounds.
    ///
    /// ```
    /// use procmon_profile::{expression::Condition, model::DriftRow};
    /// assert!(Condition::<DriftRow>::parse("dimension == 'files' && path.startsWith('/tmp/')").is_ok());
    /// assert!(Condition::<DriftRow>::parse("pth == 'x'").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > MAX_LENGTH {
            return Err(ExpressionError::TooLarge(format!(
                "has {} bytes, more than {MAX_LENGTH}",
                text.len()
            )));
        }
        let (mut depth, mut signs) = (0_usize, 0_usize);
        for character in text.chars() {
            match character {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                // Each is a level of its own to the parser.
                '!' | '-' | '?' => signs += 1,
                _ => {}
            }
            if depth > MAX_DEPTH || signs > 4 * MAX_DEPTH {
                return Err(ExpressionError::TooLarge(format!(
                    "is nested deeper than {MAX_DEPTH} levels"
                )));
            }
        }
        let program = Program::compile(text).map_err(|error| {
            ExpressionError::Syntax(
                error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            )
        })?;
        let mut loops = 0;
        check(program.expression(), false, &mut loops)?;
        if loops > MAX_LOOPS {
            return Err(ExpressionError::TooLarge(format!(
                "has more than {MAX_LOOPS} loops"
            )));
        }
        // Names that a loop binds are not the row's.
        let bound = bound_names(program.expression());
        let references = program.references();
        let mut names: Vec<&str> = references
            .variables()
            .into_iter()
            .filter(|name| {
                !T::NAMES.contains(name)
                    && !bound.iter().any(|bound| bound == name)
                    && !name.starts_with('@')
            })
            .collect();
        names.sort_unstable();
        match names.first() {
            Some(name) => Err(ExpressionError::Unknown((*name).to_owned(), T::NAMES)),
            None => Ok(Self {
                about: PhantomData,
                functions: functions(program.expression())?,
                program,
            }),
        }
    }

    /// Whether a value fits.
    pub fn holds(&self, about: &T) -> Result<bool, ExpressionError> {
        let wrong = |what: String| ExpressionError::NoTruth(what);
        let mut fields = about.fields();
        let mut context = self.functions.new_inner_scope();
        for name in T::NAMES {
            let value = fields.remove(*name).filter(|value| !value.is_null());
            let value = value.unwrap_or_else(|| "".into());
            context
                .add_variable(*name, value)
                .map_err(|error| wrong(error.to_string()))?;
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(other) => Err(wrong(format!("it gives {other:?}"))),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

/// CEL's own functions, and `matches` with the regular expressions of an expression.
fn functions(expression: &IdedExpr) -> Result<Context<'static, 'static>, ExpressionError> {
    let mut compiled = HashMap::new();
    compile(expression, &mut compiled)?;
    let mut context = Context::default();
    context
        .add_function(
            "matches",
            move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                compiled
                    .get(pattern.as_str())
                    .map(|regex| regex.is_match(&text))
                    .ok_or_else(|| ExecutionError::FunctionError {
                        function: "matches".to_owned(),
                        message: "the regular expression is not written out".to_owned(),
                    })
            },
        )
        .map_err(|error| ExpressionError::Syntax(error.to_string()))?;
    Ok(context)
}

/// Compiles the regular expressions of an expression, each once.
fn compile(
    expression: &IdedExpr,
    compiled: &mut HashMap<String, Regex>,
) -> Result<(), ExpressionError> {
    if let Expr::Call(call) = &expression.expr
        && call.func_name == "matches"
    {
        let Some(Expr::Literal(LiteralValue::String(pattern))) =
            call.args.last().map(|argument| &argument.expr)
        else {
            return Err(ExpressionError::Syntax(
                "the regular expression of `matches` has to be written out".to_owned(),
            ));
        };
        let pattern = pattern.inner();
        if !compiled.contains_key(pattern) {
            let regex = Regex::new(pattern).map_err(|error| {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                ExpressionError::Syntax(format!(
                    "`{pattern}` is not a regular expression: {reason}"
                ))
            })?;
            compiled.insert(pattern.to_owned(), regex);
        }
    }
    for child in children(expression) {
        compile(child, compiled)?;
    }
    Ok(())
}

/// Refuses loops within loops.
fn check(expression: &IdedExpr, in_loop: bool, loops: &mut usize) -> Result<(), ExpressionError> {
    if let Expr::Comprehension(comprehension) = &expression.expr {
        *loops += 1;
        if in_loop {
            return Err(ExpressionError::TooLarge(
                "has a loop within a loop".to_owned(),
            ));
        }
        check(&comprehension.iter_range, true, loops)?;
        for part in [
            &comprehension.accu_init,
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ] {
            check(part, true, loops)?;
        }
        return Ok(());
    }
    for child in children(expression) {
        check(child, in_loop, loops)?;
    }
    Ok(())
}

fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
    use cel::common::ast::EntryExpr;
    match &expression.expr {
        Expr::Call(call) => call
            .target
            .iter()
            .map(AsRef::as_ref)
            .chain(&call.args)
            .collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map
            .entries
            .iter()
            .flat_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
                EntryExpr::StructField(field) => vec![&field.value],
            })
            .collect(),
        Expr::Comprehension(comprehension) => vec![
            &comprehension.iter_range,
            &comprehension.accu_init,
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ],
        _ => Vec::new(),
    }
}

fn bound_names(expression: &IdedExpr) -> Vec<String> {
    let mut names = Vec::new();
    if let Expr::Comprehension(comprehension) = &expression.expr {
        names.push(comprehension.iter_var.clone());
        names.extend(comprehension.iter_var2.clone());
        names.push(comprehension.accu_var.clone());
    }
    for child in children(expression) {
        names.extend(bound_names(child));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, Dimension, DriftRow, FileRow, RowValue, Severity};

    type Condition = super::Condition<DriftRow>;

    fn row() -> DriftRow {
        DriftRow {
            id: "0".into(),
            change: Change::New,
            dimension: Dimension::Files,
            container: "web".into(),
            severity: Severity::Low,
            key: "/x reads /tmp/a".into(),
            value: RowValue::File(FileRow {
                exe: "/x".into(),
                path: "/tmp/a".into(),
                operations: [crate::model::FileOperation::Open].into(),
                ..FileRow::default()
            }),
            reason: crate::text::Text::default(),
            nearest: None,
            evidence: Vec::new(),
            accept: crate::text::Text::default(),
        }
    }

    #[test]
    fn conditions_look_at_a_row() {
        for (text, expected) in [
            ("dimension == 'files' && path.startsWith('/tmp/')", true),
            ("severity in ['high', 'critical']", false),
            ("path.matches('^/tmp/[a-z]$')", true),
            ("value.operations.exists(o, o == 'open')", true),
            ("value.operations.all(o, o == 'read')", false),
            ("peer != ''", false),
            ("exe == '/x' && container == 'web' && change == 'new'", true),
        ] {
            let condition =
                Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(condition.holds(&row()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_regular_expression_is_compiled_once_for_all_rows() {
        // Compiling takes milliseconds: compiled for each row, these took minutes.
        let condition = Condition::parse("path.matches('^/tmp/([a-z]{1,90}x[0-9]{1,90}){1,20}$')")
            .unwrap_or_else(|error| panic!("{error}"));
        let started = std::time::Instant::now();
        for _ in 0..5_000 {
            assert_eq!(condition.holds(&row()), Ok(false));
        }
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn hostile_conditions_are_refused() {
        let deep = format!("{}true{}", "(".repeat(5000), ")".repeat(5000));
        let signs = "!".repeat(1900) + "true";
        let long = format!("'{}' == ''", "a".repeat(5000));
        for text in [
            deep.as_str(),
            signs.as_str(),
            long.as_str(),
            "value.operations.all(a, value.operations.all(b, a == b))",
            "nosuch == 'x'",
            "dimension ==",
            "",
        ] {
            assert!(
                Condition::parse(text).is_err(),
                "{}",
                &text[..text.len().min(40)]
            );
        }
        assert!(
            Condition::parse("key")
                .unwrap_or_else(|e| panic!("{e}"))
                .holds(&row())
                .is_err()
        );
        for text in [
            "path.matches('(')",
            "path.matches(key)",
            "matches(path, key)",
        ] {
            assert!(
                matches!(Condition::parse(text), Err(ExpressionError::Syntax(_))),
                "{text}"
            );
        }
        // A regular expression that others take exponential time for.
        let slow = Condition::parse("key.matches('(a|aa)+$')").unwrap_or_else(|e| panic!("{e}"));
        let mut long = row();
        long.key = format!("{}b", "a".repeat(50_000)).into();
        assert_eq!(slow.holds(&long), Ok(false));
    }
}

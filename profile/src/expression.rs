//! Conditions that a user writes, in CEL, Kubernetes' own expression language.
//!
//! An expression is bounded before it runs: it is short, its brackets are not deep, and a loop over
//! a list (`exists`, `all`, …) holds no other loop. It looks at one row, so that time and
//! memory stay below the product of the two; regular expressions run in linear time, and are
//! compiled when the expression is parsed: they have to be written out in it.

use cel::common::ast::{Expr, LiteralValue};
use cel::extractors::This;
use cel::{Context, ExecutionError, IdedExpr, Program, Value};
use globset::{GlobBuilder, GlobMatcher};
use ipnet::IpNet;
use regex::{Regex, RegexSet};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
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
    /// It asks for a field that a row does not have: the fact is not known.
    Absent(String),
    /// It gave no truth value for a row.
    NoTruth(String),
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(what) => write!(f, "the expression {what}"),
            Self::Syntax(what) => write!(f, "the expression is not CEL: {what}"),
            Self::Unknown(name, known) => {
                write!(f, "rows have no `{name}`; they have {}", known.join(", "))
            }
            Self::Absent(name) => write!(f, "`{name}` is not known"),
            Self::NoTruth(what) => write!(f, "the expression is neither true nor false: {what}"),
        }
    }
}

impl std::error::Error for ExpressionError {}

/// A parsed and bounded expression.
#[derive(Debug)]
pub(crate) struct Expression {
    program: Program,
}

impl Expression {
    /// Parses an expression, checks its bounds, and that it uses no names but these.
    pub(crate) fn parse(
        text: &str,
        names: &'static [&'static str],
    ) -> Result<Self, ExpressionError> {
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
        let mut unknown: Vec<&str> = references
            .variables()
            .into_iter()
            .filter(|name| {
                !names.contains(name)
                    && !bound.iter().any(|bound| bound == name)
                    && !name.starts_with('@')
            })
            .collect();
        unknown.sort_unstable();
        match unknown.first() {
            Some(name) => Err(ExpressionError::Unknown((*name).to_owned(), names)),
            None => Ok(Self { program }),
        }
    }

    /// The syntax tree.
    pub(crate) fn tree(&self) -> &IdedExpr {
        self.program.expression()
    }

    /// The value within a scope.
    pub(crate) fn value(&self, scope: &Context<'_, '_>) -> Result<Value, ExpressionError> {
        self.program.execute(scope).map_err(|error| match error {
            ExecutionError::NoSuchKey(name) => ExpressionError::Absent(name.to_string()),
            other => ExpressionError::NoTruth(other.to_string()),
        })
    }

    /// Whether it is true within a scope.
    pub(crate) fn holds(&self, scope: &Context<'_, '_>) -> Result<bool, ExpressionError> {
        match self.value(scope)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(ExpressionError::NoTruth(format!("it gives {other:?}"))),
        }
    }
}

/// The functions that expressions call, with their regular expressions, patterns and networks compiled once.
pub(crate) struct Functions(Context<'static, 'static>);

impl Functions {
    /// The functions of the expressions that these patterns are of.
    pub(crate) fn new(patterns: Patterns) -> Result<Self, ExpressionError> {
        let mut context = Context::default();
        let Patterns {
            regexes,
            globs,
            networks,
        } = patterns;
        let declared = context
            .add_function(
                "matches",
                move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                    regexes
                        .get(pattern.as_str())
                        .map(|regex| regex.is_match(&text))
                        .ok_or_else(|| not_written_out("matches"))
                },
            )
            .and_then(|()| {
                context.add_function("glob", move |text: Arc<String>, pattern: Arc<String>| {
                    globs
                        .get(pattern.as_str())
                        .map(|glob| glob.is_match(text.as_str()))
                        .ok_or_else(|| not_written_out("glob"))
                })
            })
            .and_then(|()| {
                context.add_function("cidr", move |address: Arc<String>, network: Arc<String>| {
                    let network = networks
                        .get(network.as_str())
                        .ok_or_else(|| not_written_out("cidr"))?;
                    Ok::<bool, ExecutionError>(
                        address
                            .parse::<IpAddr>()
                            .is_ok_and(|address| network.contains(&address)),
                    )
                })
            });
        declared.map_err(|error| ExpressionError::Syntax(error.to_string()))?;
        Ok(Self(context))
    }

    /// A scope for variables.
    pub(crate) fn scope(&self) -> Context<'_, 'static> {
        self.0.new_inner_scope()
    }
}

fn not_written_out(function: &str) -> ExecutionError {
    ExecutionError::FunctionError {
        function: function.to_owned(),
        message: "its pattern is not written out".to_owned(),
    }
}

/// The patterns of expressions, each compiled once.
#[derive(Default)]
pub(crate) struct Patterns {
    regexes: HashMap<String, Regex>,
    globs: HashMap<String, GlobMatcher>,
    networks: HashMap<String, IpNet>,
}

impl Patterns {
    /// Adds those of an expression.
    pub(crate) fn add(&mut self, expression: &Expression) -> Result<(), ExpressionError> {
        self.add_tree(expression.tree())
    }

    fn add_tree(&mut self, expression: &IdedExpr) -> Result<(), ExpressionError> {
        if let Expr::Call(call) = &expression.expr
            && let function @ ("matches" | "glob" | "cidr") = call.func_name.as_str()
        {
            let Some(Expr::Literal(LiteralValue::String(pattern))) =
                call.args.last().map(|argument| &argument.expr)
            else {
                return Err(ExpressionError::Syntax(format!(
                    "the pattern of `{function}` has to be written out"
                )));
            };
            self.compile(function, pattern.inner())?;
        }
        for child in children(expression) {
            self.add_tree(child)?;
        }
        Ok(())
    }

    fn compile(&mut self, function: &str, pattern: &str) -> Result<(), ExpressionError> {
        let wrong = |what: &str, error: &dyn fmt::Display| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            ExpressionError::Syntax(format!("`{pattern}` is not a {what}: {reason}"))
        };
        let key = pattern.to_owned();
        match function {
            "matches" if !self.regexes.contains_key(pattern) => {
                let regex =
                    Regex::new(pattern).map_err(|error| wrong("regular expression", &error))?;
                self.regexes.insert(key, regex);
            }
            "glob" if !self.globs.contains_key(pattern) => {
                let glob = GlobBuilder::new(pattern)
                    .literal_separator(true)
                    .build()
                    .map_err(|error| wrong("pattern of paths", &error))?;
                self.globs.insert(key, glob.compile_matcher());
            }
            "cidr" if !self.networks.contains_key(pattern) => {
                let network = pattern.parse().map_err(|error| wrong("network", &error))?;
                self.networks.insert(key, network);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Patterns that a text is compared with all at once.
pub(crate) fn pattern_set(patterns: &[String]) -> Result<RegexSet, ExpressionError> {
    RegexSet::new(patterns).map_err(|error| ExpressionError::Syntax(error.to_string()))
}

/// A condition on values of one type.
pub struct Condition<T> {
    about: PhantomData<fn(&T)>,
    expression: Expression,
    /// Shared by the evaluations of all rows.
    functions: Functions,
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
        let expression = Expression::parse(text, T::NAMES)?;
        let mut patterns = Patterns::default();
        patterns.add(&expression)?;
        Ok(Self {
            about: PhantomData,
            functions: Functions::new(patterns)?,
            expression,
        })
    }

    /// Whether a value fits.
    pub fn holds(&self, about: &T) -> Result<bool, ExpressionError> {
        let mut fields = about.fields();
        let mut scope = self.functions.scope();
        for name in T::NAMES {
            let value = fields.remove(*name).filter(|value| !value.is_null());
            bind(&mut scope, name, &value.unwrap_or_else(|| "".into()))?;
        }
        self.expression.holds(&scope)
    }
}

/// Gives a name a value within a scope.
pub(crate) fn bind(
    scope: &mut Context<'_, '_>,
    name: &str,
    value: &Json,
) -> Result<(), ExpressionError> {
    scope
        .add_variable(name, value)
        .map_err(|error| ExpressionError::NoTruth(error.to_string()))
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

pub(crate) fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
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

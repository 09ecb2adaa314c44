//! The rules to ask of a row: a condition that needs a word, such as `'shell' in process.is`, is asked only
//! of rows that have it.

use super::rule::About;
use crate::expression::{ExpressionError, children, pattern_set};
use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};
use regex::RegexSet;
use std::collections::HashMap;

/// The pattern of texts that are not empty.
const ANYTHING: &str = "(?s).";
/// Facts that most rows have in common.
const COMMON: [&str; 3] = ["direction", "protocol", "baseline.has"];

/// The answer of a row to the question for one fact.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'t> {
    /// A class, a name, a text; a number or a truth value as it is written.
    Is(&'t str),
    /// The record does not have the fact: every rule that takes it as given is asked, so that it is listed as
    /// not judged.
    Unknown,
}

/// A fact that a row must have for a condition to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    /// The fact, as the condition writes it behind the row's own name; with that name for other values.
    fact: String,
    /// The word, or the pattern.
    value: String,
    is_pattern: bool,
}

/// The rules of one kind of row.
#[derive(Default)]
pub(super) struct Index {
    /// Rules that are asked of every row.
    always: Vec<usize>,
    facts: HashMap<String, Fact>,
}

/// The rules that need one fact.
#[derive(Default)]
struct Fact {
    by_word: HashMap<String, Vec<usize>>,
    patterns: Vec<String>,
    /// The rule of each pattern.
    by_pattern: Vec<usize>,
    /// The patterns, compiled together.
    set: Option<RegexSet>,
    /// Rules that do not ask whether the fact is known.
    all: Vec<usize>,
}

impl Index {
    /// Adds the rule at a place, by its condition.
    pub(super) fn add(&mut self, condition: &IdedExpr, about: About, place: usize) {
        let Some(needs) = needs(condition, about) else {
            self.always.push(place);
            return;
        };
        let mut guarded = Vec::new();
        guards(condition, &mut guarded);
        let row = about.names()[0];
        for need in needs {
            // `has(…)` says what to do where the fact is not known.
            let path = format!("{row}.{}", need.fact);
            let is_guarded = guarded.iter().any(|guard| path.starts_with(guard.as_str()));
            let fact = self.facts.entry(need.fact).or_default();
            if !is_guarded {
                fact.all.push(place);
            }
            if need.is_pattern {
                fact.patterns.push(need.value);
                fact.by_pattern.push(place);
            } else {
                fact.by_word.entry(need.value).or_default().push(place);
            }
        }
    }

    /// Compiles the patterns, once all rules are there.
    pub(super) fn compile(&mut self) -> Result<(), ExpressionError> {
        for fact in self.facts.values_mut() {
            if !fact.patterns.is_empty() {
                fact.set = Some(pattern_set(&fact.patterns)?);
            }
        }
        Ok(())
    }

    /// Places of rules that are asked of every row.
    pub(super) fn always(&self) -> &[usize] {
        &self.always
    }

    /// Adds the places of the rules that need what a row says of a fact.
    pub(super) fn find(&self, fact: &str, told: Told<'_>, places: &mut Vec<usize>) {
        let Some(fact) = self.facts.get(fact) else {
            return;
        };
        match told {
            Told::Is(text) => {
                places.extend(fact.by_word.get(text).into_iter().flatten());
                let fitting = fact.set.iter().flat_map(|set| set.matches(text));
                places.extend(fitting.map(|pattern| fact.by_pattern[pattern]));
            }
            Told::Unknown => places.extend(&fact.all),
        }
    }
}

/// The facts of which a row must have one for a condition to hold; none where any row can fit.
fn needs(expression: &IdedExpr, about: About) -> Option<Vec<Need>> {
    let need = |fact: &IdedExpr, value: String, is_pattern| {
        let fact = fact_of(fact, about)?;
        Some(vec![Need {
            fact,
            value,
            is_pattern,
        }])
    };
    let Expr::Call(call) = &expression.expr else {
        // A truth value.
        return need(expression, "true".to_owned(), false);
    };
    let left = call.target.as_deref().or_else(|| call.args.first())?;
    let right = call.args.last()?;
    match call.func_name.as_str() {
        operators::LOGICAL_AND => match (needs(left, about), needs(right, about)) {
            (Some(one), Some(other)) => Some(if weight(&one) <= weight(&other) {
                one
            } else {
                other
            }),
            (one, other) => one.or(other),
        },
        operators::LOGICAL_OR => {
            let mut all = needs(left, about)?;
            all.extend(needs(right, about)?);
            Some(all)
        }
        // `!baseline.has`
        operators::LOGICAL_NOT => need(left, "false".to_owned(), false),
        operators::IN => {
            if let Some(word) = literal(left) {
                return need(right, word, false);
            }
            let Expr::List(list) = &right.expr else {
                return None;
            };
            let mut all = Vec::with_capacity(list.elements.len());
            for element in &list.elements {
                all.extend(need(left, literal(element)?, false)?);
            }
            Some(all)
        }
        operators::EQUALS => need(left, literal(right)?, false),
        // `process.script.path != ''`
        operators::NOT_EQUALS if literal(right).is_some_and(|text| text.is_empty()) => {
            need(left, ANYTHING.to_owned(), true)
        }
        "matches" => need(left, literal(right)?, true),
        _ => None,
    }
}

/// How many rows have one of these facts, roughly: the facts that few rows have are asked for.
fn weight(needs: &[Need]) -> usize {
    let one = |need: &Need| {
        if COMMON.contains(&need.fact.as_str()) {
            100
        } else {
            1
        }
    };
    needs.iter().map(one).sum()
}

/// A fact that rows of a kind tell, as a condition writes it.
fn fact_of(expression: &IdedExpr, about: About) -> Option<String> {
    let path = path_of(expression)?;
    let row = about.names()[0];
    let own = path
        .strip_prefix(row)
        .and_then(|rest| rest.strip_prefix('.'));
    let fact = own.unwrap_or(&path);
    about.told().contains(&fact).then(|| fact.to_owned())
}

/// Paths that an expression asks for by `has(…)`.
fn guards(expression: &IdedExpr, found: &mut Vec<String>) {
    if let Expr::Select(select) = &expression.expr
        && select.test
    {
        let above = path_of(&select.operand);
        found.extend(above.map(|above| format!("{above}.{}", select.field)));
    }
    for child in children(expression) {
        guards(child, found);
    }
}

/// `a.b[0]` of an expression that only selects.
fn path_of(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", path_of(&select.operand)?, select.field))
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [list, place] => Some(format!("{}[{}]", path_of(list)?, literal(place)?)),
            _ => None,
        },
        _ => None,
    }
}

/// A text, a whole number or a truth value that is written out.
fn literal(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        Expr::Literal(LiteralValue::Int(number)) => Some(number.inner().to_string()),
        Expr::Literal(LiteralValue::UInt(number)) => Some(number.inner().to_string()),
        Expr::Literal(LiteralValue::Boolean(truth)) => Some(truth.inner().to_string()),
        _ => None,
    }
}

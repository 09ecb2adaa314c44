//! All rules of one run, compiled: the built-in ones and those of the user.

use super::index::Index;
use super::rule::{About, MAX_RULES, Rule, RuleError, parse};
use super::template::Template;
use crate::expression::{Expression, ExpressionError, Functions, Patterns, children};
use crate::model::Severity;
use cel::IdedExpr;
use cel::common::ast::Expr;
use std::collections::{BTreeMap, BTreeSet, HashSet};

include!(concat!(env!("OUT_DIR"), "/built_in_rules.rs"));

/// All rules of one run, compiled.
pub struct Catalogue {
    rules: Vec<Compiled>,
    pub(super) functions: Functions,
    indexes: BTreeMap<About, Index>,
}

/// One rule, with its expressions.
pub(super) struct Compiled {
    pub(super) rule: Rule,
    pub(super) when: Expression,
    pub(super) raise: Vec<(Expression, Severity)>,
    pub(super) message: Template,
    pub(super) next: Vec<Template>,
    /// Fields that its condition asks for.
    pub(super) asks: Fields,
}

/// Fields of values by the name of the value; none: the whole value.
pub(super) type Fields = BTreeMap<&'static str, Option<BTreeSet<String>>>;

impl Catalogue {
    /// Compiles rules.
    pub fn of(rules: Vec<Rule>) -> Result<Self, RuleError> {
        if rules.len() > MAX_RULES {
            return Err(RuleError::TooMany(rules.len()));
        }
        let mut compiled = Vec::with_capacity(rules.len());
        let mut indexes: BTreeMap<About, Index> = BTreeMap::new();
        let mut ids: HashSet<String> = HashSet::new();
        let mut patterns = Patterns::default();
        for rule in rules {
            let place = compiled.len();
            if !ids.insert(rule.id.clone()) {
                return Err(RuleError::Twice(rule.id));
            }
            let one = Compiled::of(rule, &mut patterns)?;
            let index = indexes.entry(one.rule.about).or_default();
            index.add(one.when.tree(), one.rule.about, place);
            compiled.push(one);
        }
        for index in indexes.values_mut() {
            index.compile().map_err(RuleError::Functions)?;
        }
        Ok(Self {
            rules: compiled,
            functions: Functions::new(patterns).map_err(RuleError::Functions)?,
            indexes,
        })
    }

    /// The built-in rules, with those of the user in their places or added.
    pub fn with(own: Vec<Rule>) -> Result<Self, RuleError> {
        let mut rules = Vec::with_capacity(BUILT_IN.len() + own.len());
        for (_, text) in BUILT_IN {
            for rule in parse(text)? {
                if !own.iter().any(|one| one.id == rule.id) {
                    rules.push(rule);
                }
            }
        }
        rules.extend(own);
        Self::of(rules)
    }

    /// The rules, by id.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    pub(super) fn compiled(&self) -> &[Compiled] {
        &self.rules
    }

    /// The rules about a kind of row, by what they need.
    pub(super) fn index(&self, about: About) -> Option<&Index> {
        self.indexes.get(&about)
    }
}

impl Compiled {
    /// Compiles a rule; its patterns join those of all rules.
    fn of(rule: Rule, patterns: &mut Patterns) -> Result<Self, RuleError> {
        check_fields(&rule)?;
        let names = rule.about.names();
        let id = rule.id.clone();
        let wrong = |field: &'static str| {
            let rule = id.clone();
            move |error: ExpressionError| RuleError::Expression { rule, field, error }
        };
        let when = Expression::parse(&rule.when, names).map_err(wrong("when"))?;
        let mut raise = Vec::with_capacity(rule.raise.len());
        for one in &rule.raise {
            raise.push((
                Expression::parse(&one.when, names).map_err(wrong("raise"))?,
                one.severity,
            ));
        }
        let message = Template::parse(&rule.message, names).map_err(wrong("message"))?;
        let mut next = Vec::with_capacity(rule.next.len());
        for line in &rule.next {
            next.push(Template::parse(line, names).map_err(wrong("next"))?);
        }
        let mut compiled = Self {
            when,
            raise,
            message,
            next,
            asks: Fields::new(),
            rule,
        };
        for expression in compiled.expressions() {
            patterns.add(expression).map_err(wrong("when"))?;
        }
        note_fields(compiled.when.tree(), names, &mut compiled.asks);
        Ok(compiled)
    }

    /// Whether its condition asks for a baseline.
    pub(super) fn needs_baseline(&self) -> bool {
        let asked = self.asks.get("baseline");
        asked.is_some()
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        std::iter::once(&self.when)
            .chain(self.raise.iter().map(|(expression, _)| expression))
            .chain(self.message.expressions())
            .chain(self.next.iter().flat_map(Template::expressions))
    }
}

/// Checks the fields of a rule that YAML cannot check.
fn check_fields(rule: &Rule) -> Result<(), RuleError> {
    let wrong = |field: &'static str, reason: &str| {
        Err(RuleError::Field {
            rule: rule.id.clone(),
            field,
            reason: reason.to_owned(),
        })
    };
    let is_id = |id: &str| {
        !id.is_empty()
            && id.len() <= 63
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !is_id(&rule.id) {
        return wrong(
            "id",
            "is not lower-case words joined by `-`, of at most 63 characters",
        );
    }
    for (field, text) in [
        ("title", &rule.title),
        ("message", &rule.message),
        ("description", &rule.description),
        ("benign", &rule.benign),
    ] {
        if text.trim().is_empty() {
            return wrong(field, "is empty");
        }
        if text.len() > 4_000 {
            return wrong(field, "is longer than 4000 bytes");
        }
    }
    for technique in &rule.mitre {
        let is_technique = technique.strip_prefix('T').is_some_and(|rest| {
            let (number, part) = rest.split_once('.').unwrap_or((rest, "000"));
            let digits = |text: &str, length| {
                text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
            };
            digits(number, 4) && digits(part, 3)
        });
        if !is_technique {
            return wrong(
                "mitre",
                &format!("holds `{technique}`, which is not like `T1059.004`"),
            );
        }
    }
    if rule.raise.len() > 16 || rule.next.len() > 16 {
        return wrong("raise", "and `next` take 16 entries each");
    }
    Ok(())
}

/// Notes the fields of values that an expression asks for.
fn note_fields(expression: &IdedExpr, names: &[&'static str], fields: &mut Fields) {
    let name_of = |expression: &IdedExpr| match &expression.expr {
        Expr::Ident(ident) => names.iter().find(|name| *name == ident).copied(),
        _ => None,
    };
    if let Expr::Select(select) = &expression.expr
        && let Some(name) = name_of(&select.operand)
    {
        if let Some(known) = fields.entry(name).or_insert_with(|| Some(BTreeSet::new())) {
            known.insert(select.field.clone());
        }
        return;
    }
    if let Some(name) = name_of(expression) {
        fields.insert(name, None);
    }
    for child in children(expression) {
        note_fields(child, names, fields);
    }
}

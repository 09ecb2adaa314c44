//! A rule, as its file has it.

use crate::expression::ExpressionError;
use crate::model::{Confidence, Dimension, Severity};
use serde::Deserialize;
use std::fmt;

/// Rules of one run.
pub(super) const MAX_RULES: usize = 2_000;
/// The longest file of rules, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// One rule, as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Lower-case words joined by `-`.
    pub id: String,
    /// Its subject, in a few words.
    pub title: String,
    /// The kind of row that its condition is about.
    pub about: About,
    /// How bad a finding is.
    pub severity: Severity,
    /// How sure a finding is.
    #[serde(default)]
    pub confidence: Confidence,
    /// Techniques of MITRE ATT&CK, as `T1059.004`.
    #[serde(default)]
    pub mitre: Vec<String>,
    /// The condition, in CEL. A row without a field that it asks for does not fit.
    pub when: String,
    /// Conditions that change the severity: the first that holds decides.
    #[serde(default)]
    pub raise: Vec<Raise>,
    /// The action: the end of a sentence that begins with the program's name. `{EXPRESSION}` stands for a
    /// value.
    pub message: String,
    /// Its meaning, and why it matters.
    pub description: String,
    /// Benign work that looks the same.
    pub benign: String,
    /// The next steps: commands and decisions. `{EXPRESSION}` stands for a value; a line with a value that
    /// is not known is left out.
    #[serde(default)]
    pub next: Vec<String>,
    /// A finding whose evidence is all in the baseline is `info`: this is what the workload always does.
    #[serde(default = "yes")]
    pub baseline_aware: bool,
    /// Lists of the document that are evidence for a rule about a program or a container.
    #[serde(default)]
    pub evidence: Vec<List>,
    /// Rules of other tools that look for the same, as `TOOL:RULE`.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Rows that the rule finds, and rows that it does not.
    #[serde(default)]
    pub cases: Cases,
}

fn yes() -> bool {
    true
}

/// A condition that changes the severity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// The condition.
    pub when: String,
    /// The severity where it holds.
    pub severity: Severity,
}

/// The kind of row that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// A row of `processes`.
    Process,
    /// A row of `files`.
    File,
    /// A row of `network`.
    Network,
    /// A row of `dns`.
    Dns,
    /// A row of `syscalls`.
    Syscall,
    /// A row of `capabilities`.
    Capability,
    /// A row of `events`.
    Event,
    /// All rows of one executable.
    Program,
    /// All rows of one container.
    Container,
}

impl About {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Process,
        Self::File,
        Self::Network,
        Self::Dns,
        Self::Syscall,
        Self::Capability,
        Self::Event,
        Self::Program,
        Self::Container,
    ];

    /// The names that its conditions can use. `baseline.given` and `baseline.has` say whether there is a
    /// baseline, and whether it has the row.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Process => &["process", "container", "baseline"],
            Self::File => &["file", "program", "container", "baseline"],
            Self::Network => &["peer", "program", "container", "baseline"],
            Self::Dns => &["question", "program", "container", "baseline"],
            Self::Syscall => &["call", "program", "container", "baseline"],
            Self::Capability => &["capability", "program", "container", "baseline"],
            Self::Event => &["event", "process", "container", "baseline"],
            Self::Program => &["program", "container", "baseline"],
            Self::Container => &["container", "baseline"],
        }
    }

    /// Facts by which rules are found, as conditions write them behind the name of the row: a rule that needs
    /// one is asked only of rows that have it. `Subject::tell` tells each of them.
    pub(super) fn told(self) -> &'static [&'static str] {
        match self {
            Self::Process => &[
                "is",
                "exeIs",
                "childrenAre",
                "parent.is",
                "script.is",
                "script.path",
                "name",
                "exe",
                "text",
                "cwd",
                "argv[0]",
                "layer",
                "origin",
                "deleted",
                "stdio[0]",
                "exits",
                "file.created",
                "file.written",
                "file.removed",
                "package.modified",
                "baseline.has",
            ],
            Self::File => &["is", "name", "hostResource", "program.is", "baseline.has"],
            Self::Network => &[
                "is",
                "protocol",
                "direction",
                "port",
                "service",
                "toNode",
                "program.is",
                "baseline.has",
            ],
            Self::Dns => &["is", "name", "program.is", "baseline.has"],
            Self::Syscall | Self::Capability => &["name", "program.is", "baseline.has"],
            Self::Event => &["type", "baseline.has"],
            Self::Program => &["is"],
            Self::Container => &[],
        }
    }

    /// The dimension without which such a rule cannot be judged.
    #[must_use]
    pub fn dimension(self) -> Dimension {
        match self {
            Self::Process | Self::Program | Self::Container => Dimension::Processes,
            Self::File => Dimension::Files,
            Self::Network => Dimension::Network,
            Self::Dns => Dimension::Dns,
            Self::Syscall => Dimension::Syscalls,
            Self::Capability => Dimension::Capabilities,
            Self::Event => Dimension::Events,
        }
    }
}

/// A list of rows of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// `processes`.
    Processes,
    /// `files`.
    Files,
    /// `network`.
    Network,
    /// `dns`.
    Dns,
    /// `syscalls`.
    Syscalls,
}

impl List {
    /// The dimension that it belongs to.
    #[must_use]
    pub fn dimension(self) -> Dimension {
        match self {
            Self::Processes => Dimension::Processes,
            Self::Files => Dimension::Files,
            Self::Network => Dimension::Network,
            Self::Dns => Dimension::Dns,
            Self::Syscalls => Dimension::Syscalls,
        }
    }
}

/// Cases of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// Containers in which the rule finds something.
    #[serde(default)]
    pub hit: Vec<Case>,
    /// Containers in which it finds nothing.
    #[serde(default)]
    pub miss: Vec<Case>,
}

/// One case: a container with the fields that matter, as in the document. Fields that are left out have
/// their defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The event, in a few words.
    pub name: String,
    /// The container.
    pub container: serde_json::Value,
    /// A baseline is given that has all rows, or none of them; no baseline is given where it is left out.
    #[serde(default)]
    pub baseline: Option<Knows>,
}

/// Rows that the baseline of a case has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Knows {
    /// Every row.
    All,
    /// No row.
    Nothing,
}

/// Why a rule can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// The file is longer than is read, in bytes.
    TooLong(usize),
    /// Not YAML, or not a rule.
    Malformed(String),
    /// A cell that is not what it has to be.
    Field {
        /// The rule.
        rule: String,
        /// The field.
        field: &'static str,
        /// The fault.
        reason: String,
    },
    /// An expression of the rule can't be used.
    Expression {
        /// The rule.
        rule: String,
        /// The field that holds the expression.
        field: &'static str,
        /// The fault.
        error: ExpressionError,
    },
    /// The functions that expressions call can't be declared.
    Functions(ExpressionError),
    /// Two rules have one id.
    Twice(String),
    /// More rules than are taken.
    TooMany(usize),
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => {
                write!(
                    f,
                    "it has {bytes} bytes, more than the {MAX_FILE_BYTES} that are read"
                )
            }
            Self::Malformed(what) => write!(f, "it is not a rule: {what}"),
            Self::Field {
                rule,
                field,
                reason,
            } => write!(f, "rule `{rule}`: `{field}` {reason}"),
            Self::Expression { rule, field, error } => {
                write!(f, "rule `{rule}`: `{field}`: {error}")
            }
            Self::Functions(error) => error.fmt(f),
            Self::Twice(id) => write!(f, "two rules have the id `{id}`"),
            Self::TooMany(count) => write!(
                f,
                "there are {count} rules, more than the {MAX_RULES} that are taken"
            ),
        }
    }
}

impl std::error::Error for RuleError {}

/// Reads the rules of a file: one YAML document each.
///
/// ```
/// use procmon_profile::rules::parse;
/// let rules = parse(procmon_profile::rules::BUILT_IN[0].1)?;
/// assert_eq!(rules.len(), 1);
/// assert!(parse("id: x").is_err());
/// # Ok::<(), procmon_profile::rules::RuleError>(())
/// ```
pub fn parse(text: &str) -> Result<Vec<Rule>, RuleError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(RuleError::TooLong(text.len()));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 100_000,
            max_aliases: 0,
            max_anchors: 0,
            max_depth: 32,
            max_total_scalar_bytes: MAX_FILE_BYTES,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        // The lines below the first show the place.
        let said = error.to_string();
        let first = said.lines().next().unwrap_or_default();
        RuleError::Malformed(first.trim_start_matches("error: ").to_owned())
    })
}

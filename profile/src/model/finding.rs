//! The Findings document: what the rules say of a Profile.

use super::{Severity, Target, Time};
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The findings of rules about one Profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Findings {
    /// Always `procmon/v1`.
    pub api_version: Text,
    /// Version of the fields.
    pub schema_version: Text,
    /// Always `Findings`.
    pub kind: FindingsKind,
    /// The profile that was judged.
    pub profile: JudgedProfile,
    /// The most severe first.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub findings: Vec<Finding>,
    /// Findings of one process tree, told as one.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub incidents: Vec<Incident>,
    /// Rules that could not be judged in this window: no finding of theirs means nothing.
    #[serde(default, deserialize_with = "crate::bounds::rows")]
    pub not_judged: Vec<NotJudged>,
    /// Numbers of findings by severity. A finding that the baseline knows is counted as `info`.
    pub summary: BTreeMap<Severity, u64>,
}

/// The `kind` of Findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FindingsKind {
    /// The only one.
    #[default]
    Findings,
}

/// The profile that was judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JudgedProfile {
    /// Id of the session.
    pub session: Text,
    /// The target of the session.
    pub target: Target,
    /// When the window began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Length of the window; absent when none opened.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::numbers"
    )]
    pub window_seconds: Option<f64>,
    /// Name of the baseline that the findings were judged against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Text>,
}

/// How sure a rule is that a finding is what its title says.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Confidence {
    /// Benign work often looks the same.
    Low,
    /// Benign work sometimes looks the same.
    #[default]
    Medium,
    /// Benign work hardly ever looks the same.
    High,
}

/// A statement of one rule about one program or process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// 16 hexadecimal digits that name the finding: equal for equal findings of another window.
    pub id: Text,
    /// Id of the rule.
    pub rule: Text,
    /// Title of the rule.
    pub title: Text,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the rule is.
    pub confidence: Confidence,
    /// Techniques of MITRE ATT&CK.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub mitre: Vec<Text>,
    /// One sentence: who did what.
    pub message: Text,
    /// Namespace of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// Name of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Text>,
    /// Name of the container.
    pub container: Text,
    /// Id of the process row; absent where the finding is about the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Text>,
    /// Path of the executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<Text>,
    /// When it was first seen; absent where the profile does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// JSON pointers into the profile, at most 16.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub evidence: Vec<Text>,
    /// Number of rows that are evidence.
    pub rows: u64,
    /// The baseline has all of the evidence: this is what the workload always does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baselined: bool,
    /// Benign work that looks the same.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub benign: Text,
    /// The next steps: commands and decisions.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub next: Vec<Text>,
}

/// Findings of one process tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Incident {
    /// `i1`, `i2`, …: unique within the document.
    pub id: Text,
    /// One sentence.
    pub title: Text,
    /// The highest severity of its findings.
    pub severity: Severity,
    /// Ids of the findings.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub findings: Vec<Text>,
    /// The findings in time, the earliest first.
    #[serde(deserialize_with = "crate::bounds::rows")]
    pub timeline: Vec<Moment>,
}

/// One moment of an incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Moment {
    /// When it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Id of the finding.
    pub finding: Text,
    /// The tactic of MITRE ATT&CK that it serves.
    pub tactic: Text,
    /// The message of the finding.
    pub message: Text,
}

/// A rule that could not be judged, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotJudged {
    /// Id of the rule.
    pub rule: Text,
    /// Why.
    pub reason: Text,
}

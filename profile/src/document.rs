//! Reading documents that somebody saved: nothing about them is trusted.

use crate::bounds::{MAX_COUNTS, MAX_DEEP_WILDCARDS, MAX_WINDOWS};
use crate::merge;
use crate::model::{
    API_VERSION, Baseline, Drift, DriftSummary, Findings, Profile, SCHEMA_VERSION, Severity,
};
use crate::text::{Text, escape};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;

/// The largest document that is read.
pub const MAX_DOCUMENT_BYTES: u64 = 512 << 20;

/// Most characters of a document that an error repeats.
const MAX_SAID: usize = 300;
/// The minor version of the first documents whose windows say which dimensions are missing.
const MINOR_WITH_MISSING: u32 = 2;

/// Why a document can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentError {
    /// No bytes but white space.
    Empty,
    /// Ends in the middle.
    Truncated(String),
    /// Not a document of this kind at all.
    Malformed(String),
    /// Another kind of document.
    OtherKind(String),
    /// Made by a newer version whose fields mean something else.
    Newer(String),
    /// A Baseline with two containers of this name.
    Twice(String),
}

impl DocumentError {
    /// Not a document, for a reason that may repeat some of it.
    #[must_use]
    pub fn malformed(reason: &impl fmt::Display) -> Self {
        Self::Malformed(brief(&reason.to_string()))
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the document is empty"),
            Self::Truncated(reason) => write!(f, "the document is truncated: {reason}"),
            Self::Malformed(reason) => write!(f, "it is no document of kubectl-procmon: {reason}"),
            Self::OtherKind(kind) => write!(f, "it is a {kind}, which is not what is wanted here"),
            Self::Twice(name) => write!(f, "it has two containers named `{name}`"),
            Self::Newer(version) => {
                write!(
                    f,
                    "it has version {version}, this program reads {API_VERSION} with schema {SCHEMA_VERSION}"
                )
            }
        }
    }
}

impl std::error::Error for DocumentError {}

/// A document of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The facts of one session.
    Profile(Box<Profile>),
    /// The behaviour that several sessions allow.
    Baseline(Box<Baseline>),
    /// How one differs from the other.
    Drift(Box<Drift>),
    /// The findings of rules about a profile.
    Findings(Box<Findings>),
}

impl Content {
    /// Its `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Profile(_) => "Profile",
            Self::Baseline(_) => "Baseline",
            Self::Drift(_) => "Drift",
            Self::Findings(_) => "Findings",
        }
    }
}

/// A document, and whether it may hold more than this version knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its content.
    pub content: Content,
    /// Version of its fields.
    pub schema_version: String,
    /// Its schema has a newer minor version: writing it again would lose what is new.
    pub newer_minor: bool,
}

/// The form in which a document is written. Each call reads it from its beginning, straight into the type:
/// content that does not fit is never held.
pub trait Source {
    /// Reads a value; fields that its type does not have are passed over.
    fn read<T: DeserializeOwned>(&self) -> Result<T, DocumentError>;
}

struct Json<'a>(&'a [u8]);

impl Source for Json<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        serde_json::from_slice(self.0).map_err(|error| {
            if error.is_eof() {
                DocumentError::Truncated(error.to_string())
            } else {
                DocumentError::malformed(&error)
            }
        })
    }
}

/// The fields that say which type the rest has.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    api_version: Text,
    schema_version: Text,
    kind: Text,
}

/// Reads a document from JSON.
///
/// ```
/// use procmon_profile::document::{DocumentError, parse};
/// assert_eq!(parse(b" "), Err(DocumentError::Empty));
/// assert_eq!(
///     parse(br#"{"apiVersion":"procmon/v1","kind":"Response"}"#),
///     Err(DocumentError::OtherKind("Response".into()))
/// );
/// ```
pub fn parse(bytes: &[u8]) -> Result<Document, DocumentError> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(DocumentError::Empty),
        Some(b'{') => read(&Json(bytes)),
        Some(_) => Err(DocumentError::Malformed("it is no JSON object".to_owned())),
    }
}

/// Reads a document, whatever it is written in, and brings it into its one order: behind this door
/// it is as this program would have written it.
pub fn read(source: &impl Source) -> Result<Document, DocumentError> {
    let head: Head = source.read()?;
    let brief = |text: &Text| brief(text);
    if head.api_version != API_VERSION {
        return Err(if head.api_version.starts_with("procmon/") {
            DocumentError::Newer(brief(&head.api_version))
        } else if head.api_version.is_empty() {
            DocumentError::Malformed("it has no apiVersion".to_owned())
        } else {
            let (kind, version) = (brief(&head.kind), brief(&head.api_version));
            DocumentError::OtherKind(format!("{kind} of {version}"))
        });
    }
    let kind = head.kind.as_str();
    if !matches!(kind, "Profile" | "Baseline" | "Drift" | "Findings") {
        return Err(DocumentError::OtherKind(brief(&head.kind)));
    }
    let schema_version = brief(&head.schema_version);
    let (major, minor) = version(&schema_version).ok_or_else(|| {
        DocumentError::Malformed(format!("its schemaVersion is `{schema_version}`"))
    })?;
    let (own_major, own_minor) = version(SCHEMA_VERSION).unwrap_or((1, 0));
    if major != own_major {
        return Err(DocumentError::Newer(schema_version));
    }
    let content = match kind {
        "Profile" => {
            let mut profile: Profile = source.read()?;
            merge::normalize(&mut profile);
            Content::Profile(Box::new(profile))
        }
        "Baseline" => {
            let mut baseline: Baseline = source.read()?;
            if minor < MINOR_WITH_MISSING {
                tell_missing(&mut baseline);
            }
            Content::Baseline(Box::new(sound(baseline)?))
        }
        "Findings" => {
            let mut findings: Findings = source.read()?;
            // The numbers are those of the rows, whatever the document says itself.
            findings.summary =
                Severity::count(findings.findings.iter().map(|finding| finding.severity));
            Content::Findings(Box::new(findings))
        }
        _ => {
            let mut drift: Drift = source.read()?;
            recount(&mut drift);
            Content::Drift(Box::new(drift))
        }
    };
    Ok(Document {
        content,
        schema_version,
        newer_minor: minor > own_minor,
    })
}

/// Before schema 1.2 only the reason says which dimensions are missing.
fn tell_missing(baseline: &mut Baseline) {
    for window in &mut baseline.windows {
        window.missing = window
            .incomplete
            .iter()
            .filter(|(_, reason)| reason.starts_with("missing"))
            .map(|(dimension, _)| *dimension)
            .collect();
    }
}

/// A Baseline in its order, with what it learned. Each of its rows may come to have a count for
/// each window, and each of its patterns is compared with each path.
fn sound(baseline: Baseline) -> Result<Baseline, DocumentError> {
    let mut windows: BTreeMap<&str, usize> = BTreeMap::new();
    for window in &baseline.windows {
        *windows.entry(&window.container).or_default() += 1;
    }
    for container in &baseline.containers {
        let (name, rows) = (brief(&container.name), container.rows());
        let windows = windows.get(container.name.as_str()).copied().unwrap_or(0);
        if windows > MAX_WINDOWS || rows.saturating_mul(windows) > MAX_COUNTS {
            return Err(DocumentError::Malformed(format!(
                "container `{name}` has {rows} rows and {windows} windows: rows times windows may be {MAX_COUNTS}"
            )));
        }
        let deep = |row: &&crate::model::FileRow| {
            row.path.split('/').filter(|part| *part == "**").count() > MAX_DEEP_WILDCARDS
        };
        if let Some(row) = container.files.iter().find(deep) {
            return Err(DocumentError::Malformed(format!(
                "a path has more than {MAX_DEEP_WILDCARDS} `**`: {}",
                brief(&row.path)
            )));
        }
    }
    #[cfg(feature = "compare")]
    let baseline =
        crate::baseline::normalize(baseline).map_err(|name| DocumentError::Twice(brief(&name)))?;
    Ok(baseline)
}

/// The numbers of a Drift are those of its rows, whatever it says itself.
fn recount(drift: &mut Drift) {
    drift.summary = DriftSummary::of(&drift.rows);
    drift.comparable &= drift.not_comparable.is_empty() && drift.incomplete_nodes.is_empty();
}

/// A text for an error of one line.
fn brief(text: &str) -> String {
    let escaped = escape(text);
    match escaped.char_indices().nth(MAX_SAID) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped.into_owned(),
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_documents_are_told_apart() {
        assert!(matches!(
            parse(br#"{"apiVersion":"procmon/v1","#),
            Err(DocumentError::Truncated(_))
        ));
        assert!(matches!(
            parse(br#"{"apiVersion":"procmon/v2","kind":"Profile"}"#),
            Err(DocumentError::Newer(_))
        ));
        assert!(matches!(
            parse(br#"{"apiVersion":"procmon/v1","kind":"Profile","schemaVersion":"2.0"}"#),
            Err(DocumentError::Newer(_))
        ));
        assert!(matches!(
            parse(br#"{"apiVersion":"v1","kind":"Pod"}"#),
            Err(DocumentError::OtherKind(_))
        ));
        assert!(matches!(
            parse(b"\x00\x01"),
            Err(DocumentError::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }
    }
}

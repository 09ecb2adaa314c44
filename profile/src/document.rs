//! Reading documents that somebody saved: nothing about them is trusted.

use crate::model::{API_VERSION, Baseline, Drift, Profile, SCHEMA_VERSION};
use serde_json::Value;
use std::fmt;

/// The largest document that is read.
pub const MAX_DOCUMENT_BYTES: u64 = 512 << 20;

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
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the document is empty"),
            Self::Truncated(reason) => write!(f, "the document is truncated: {reason}"),
            Self::Malformed(reason) => write!(f, "it is no document of kubectl-procmon: {reason}"),
            Self::OtherKind(kind) => write!(f, "it is a {kind}, which is not what is wanted here"),
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
    /// What one session showed.
    Profile(Box<Profile>),
    /// What several allow.
    Baseline(Box<Baseline>),
    /// How one differs from the other.
    Drift(Box<Drift>),
}

impl Content {
    /// Its `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Profile(_) => "Profile",
            Self::Baseline(_) => "Baseline",
            Self::Drift(_) => "Drift",
        }
    }
}

/// A document, and whether it may hold more than this version knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it says.
    pub content: Content,
    /// Version of its fields.
    pub schema_version: String,
    /// Its schema has a newer minor version: writing it again would lose what is new.
    pub newer_minor: bool,
}

/// Reads a document from JSON.
///
/// ```
/// use procmon_profile::document::{DocumentError, parse};
/// assert_eq!(parse(b" "), Err(DocumentError::Empty));
/// assert_eq!(
///     parse(br#"{"apiVersion":"procmon/v1","kind":"Findings"}"#),
///     Err(DocumentError::OtherKind("Findings".into()))
/// );
/// ```
pub fn parse(bytes: &[u8]) -> Result<Document, DocumentError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DocumentError::Empty);
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_eof() {
            DocumentError::Truncated(error.to_string())
        } else {
            DocumentError::Malformed(error.to_string())
        }
    })?;
    from_value(value)
}

/// Reads a document from a value, whatever it was written in.
pub fn from_value(value: Value) -> Result<Document, DocumentError> {
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let api_version = text("apiVersion");
    if api_version != API_VERSION {
        return Err(if api_version.starts_with("procmon/") {
            DocumentError::Newer(api_version)
        } else if api_version.is_empty() {
            DocumentError::Malformed("it has no apiVersion".to_owned())
        } else {
            DocumentError::OtherKind(format!("{} of {api_version}", text("kind")))
        });
    }
    let kind = text("kind");
    if !matches!(kind.as_str(), "Profile" | "Baseline" | "Drift") {
        return Err(DocumentError::OtherKind(kind));
    }
    let schema_version = text("schemaVersion");
    let (major, minor) = version(&schema_version).ok_or_else(|| {
        DocumentError::Malformed(format!("its schemaVersion is `{schema_version}`"))
    })?;
    let (own_major, own_minor) = version(SCHEMA_VERSION).unwrap_or((1, 0));
    if major != own_major {
        return Err(DocumentError::Newer(schema_version));
    }
    let malformed = |error: serde_json::Error| DocumentError::Malformed(error.to_string());
    let content = match kind.as_str() {
        "Profile" => Content::Profile(serde_json::from_value(value).map_err(malformed)?),
        "Baseline" => Content::Baseline(serde_json::from_value(value).map_err(malformed)?),
        _ => Content::Drift(serde_json::from_value(value).map_err(malformed)?),
    };
    Ok(Document {
        content,
        schema_version,
        newer_minor: minor > own_minor,
    })
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

//! The JSON Schema of the documents, made from the types.

/// The schema of a Baseline.
#[must_use]
pub fn baseline() -> serde_json::Value {
    schemars::schema_for!(crate::model::Baseline).to_value()
}

/// The schema of a Drift.
#[must_use]
pub fn drift() -> serde_json::Value {
    schemars::schema_for!(crate::model::Drift).to_value()
}

/// The schema of Findings.
#[must_use]
pub fn findings() -> serde_json::Value {
    schemars::schema_for!(crate::model::Findings).to_value()
}

/// The schema of a Profile.
///
/// ```
/// let schema = procmon_profile::schema::profile();
/// assert_eq!(schema["title"], "Profile");
/// ```
#[must_use]
pub fn profile() -> serde_json::Value {
    schemars::schema_for!(crate::model::Profile).to_value()
}

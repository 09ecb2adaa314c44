//! The JSON Schema of the documents, made from the types.

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

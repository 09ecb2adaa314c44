//! The fields of a row that a user's condition can look at.

use crate::expression::Fields;
use crate::model::{DriftRow, RowValue};
use serde_json::{Map, Value as Json};

impl Fields for DriftRow {
    /// All of them texts but `value`.
    const NAMES: &'static [&'static str] = &[
        "change",
        "dimension",
        "container",
        "severity",
        "key",
        "reason",
        "exe",
        "path",
        "name",
        "peer",
        "port",
        "value",
    ];

    fn fields(&self) -> Map<String, Json> {
        let row = serde_json::to_value(&self.value).unwrap_or_default();
        let inner = row.as_object().and_then(|row| row.values().next());
        let inner = inner.cloned().unwrap_or_default();
        let exe = match self.value {
            RowValue::Edge(_) => &inner["parent"],
            _ => &inner["exe"],
        };
        let mut fields = Map::new();
        for (name, value) in [
            ("change", self.change.to_string().into()),
            ("dimension", self.dimension.to_string().into()),
            ("container", self.container.as_str().into()),
            ("severity", self.severity.to_string().into()),
            ("key", self.key.as_str().into()),
            ("reason", self.reason.as_str().into()),
            ("exe", exe.clone()),
            ("path", inner["path"].clone()),
            ("name", inner["name"].clone()),
            ("peer", inner["peer"].clone()),
            ("port", inner["port"].clone()),
            ("value", inner),
        ] {
            fields.insert(name.to_owned(), value);
        }
        fields
    }
}

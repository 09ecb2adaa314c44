//! Functions that the fuzz targets share. The parsers are those of the crates themselves.

pub mod entries;
#[path = "../kubectl-procmon/src/yaml.rs"]
mod yaml;

/// A saved document in YAML, and what is made of it.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(document) = yaml::parse(text) {
        entries::made_of(document);
    }
}

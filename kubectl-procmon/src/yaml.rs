//! Documents in YAML that somebody wrote: nothing is trusted about them. A file of its own, without anything
//! of this crate, since the fuzz targets take it as it is.

use procmon_profile::document::{self, Document, DocumentError, Source};
use serde::de::DeserializeOwned;

struct Yaml<'a>(&'a str);

impl Source for Yaml<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        serde_saphyr::from_str_with_options(self.0, limits()).map_err(|error| {
            // The lines below the first show the place.
            let said = error.to_string();
            let first = said.lines().next().unwrap_or_default();
            DocumentError::malformed(&first.trim_start_matches("error: "))
        })
    }
}

/// The document in a text; an error is one line.
pub(crate) fn parse(text: &str) -> Result<Document, DocumentError> {
    document::read(&Yaml(text))
}

/// Documents are large and flat; aliases, which can make them explode, do not occur in them.
fn limits() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000_000,
            max_nodes: 50_000_000,
            max_aliases: 0,
            max_anchors: 0,
            max_depth: 64,
            max_total_scalar_bytes: 512 << 20,
        },
    }
}

#[cfg(test)]
#[path = "../../fuzz/inputs.rs"]
mod inputs;

#[cfg(test)]
mod tests {
    use super::inputs;

    #[test]
    fn no_bytes_make_it_panic() {
        inputs::feed("yaml", |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = super::parse(text);
            }
        });
    }
}

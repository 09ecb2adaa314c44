//! The probes that this plugin carries, one per node architecture.

use k8s_openapi::ByteString;
use sha2::{Digest as _, Sha256};

/// Architecture, in Kubernetes' words, and executable.
static PROBES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/probes.rs"));

/// The probe for nodes of this architecture.
pub(crate) fn probe(arch: &str) -> Option<&'static [u8]> {
    PROBES
        .iter()
        .find(|(name, _)| *name == arch)
        .map(|(_, bytes)| *bytes)
}

/// All of them.
pub(crate) fn all() -> &'static [(&'static str, &'static [u8])] {
    PROBES
}

/// The key below `binaryData` of the ConfigMap that carries a probe.
pub(crate) const KEY: &str = "probe";

/// The probe as the ConfigMap holds it.
pub(crate) fn delivered(bytes: &[u8]) -> ByteString {
    ByteString(bytes.to_vec())
}

/// SHA-256, hexadecimal, of the text that stands below [`KEY`] in the object which an admission
/// policy is shown: base64 in one line.
pub(crate) fn delivered_digest(bytes: &[u8]) -> serde_json::Result<String> {
    let text = serde_json::to_value(delivered(bytes))?;
    Ok(digest(text.as_str().unwrap_or_default().as_bytes()))
}

/// SHA-256, hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A probe in words.
pub(crate) fn describe(arch: &str) -> String {
    let bytes = probe(arch).unwrap_or_default();
    format!("<{} bytes, sha256 {}>", bytes.len(), digest(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_delivered_digest_is_that_of_base64() {
        // printf '\0\1\377probe' | base64 -w0 | sha256sum
        assert_eq!(
            super::delivered_digest(b"\0\x01\xffprobe").ok(),
            Some("02d7173f71dde30c15a5f08324c5f29f37fa2c114f40812c1644050d81f81db5".to_owned())
        );
    }
}

//! The probes that this plugin carries, one per node architecture.

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

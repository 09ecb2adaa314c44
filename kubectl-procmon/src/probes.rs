//! The probes that this plugin carries, one per node architecture.

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

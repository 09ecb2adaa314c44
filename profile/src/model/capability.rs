//! Capabilities asked for.

use crate::text::Text;
use serde::{Deserialize, Serialize};

/// One capability that one executable was asked about by the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapabilityUse {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// `CAP_…`.
    pub name: Text,
    /// Checks that were granted.
    pub used: u64,
    /// Checks that were refused.
    pub denied: u64,
    /// Checks that only asked, without need; absent where the kernel does not tell them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<u64>,
    /// Where the facts come from.
    pub method: CapabilityMethod,
}

/// Where facts about capabilities come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CapabilityMethod {
    /// The kernel function `security_capable`: probes are told apart.
    Hook,
    /// The tracepoint `cap_capable`: the checks that mapping memory causes are left out.
    Tracepoint,
}

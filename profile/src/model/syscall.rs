//! System calls, counted.

use super::Counts;
use crate::text::Text;
use serde::{Deserialize, Serialize};

/// One system call of one executable.
/// `calls` = succeeded + the sum of `errors` + `restarted` + `unfinished` + `noReturn`;
/// `deniedBySeccomp` is part of `calls` and of `errors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Syscall {
    /// Its name on that abi, or `unknown(NUMBER)`.
    pub name: Text,
    /// The calling convention.
    pub abi: Abi,
    /// Path of the executable that called.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Kernel entries within the window.
    pub calls: u64,
    /// Failures by errno name.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub errors: Counts,
    /// Entries that a signal interrupted and that the kernel began again.
    pub restarted: u64,
    /// Entries still running when the window closed.
    pub unfinished: u64,
    /// Entries that never return: exit, exit_group, and calls in which the task was killed.
    pub no_return: u64,
    /// Entries that a seccomp filter refused.
    pub denied_by_seccomp: u64,
    /// Times between entry and return, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<Latency>,
    /// Entries by the arguments that decide something, as `facet=value`; of calls whose arguments are looked
    /// at. Since schema 1.3.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::entries"
    )]
    pub arguments: Option<Counts>,
}

/// A calling convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Abi {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86, by `int 0x80` or `sysenter`.
    #[serde(rename = "i386")]
    I386,
    /// 64-bit x86 with 32-bit pointers.
    #[serde(rename = "x32")]
    X32,
    /// 64-bit ARM.
    #[serde(rename = "aarch64")]
    Aarch64,
    /// 32-bit ARM.
    #[serde(rename = "arm")]
    Arm,
}

/// Times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// Half of the calls were not slower.
    pub p50: u64,
    /// 95 of 100 calls were not slower.
    pub p95: u64,
    /// 99 of 100 calls were not slower.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

//! From a typed cause to what to do next: a command or a decision, never "try again".

use procmon_profile::merge::NodeCapture;
use procmon_profile::wire::{Failure, FailureCode};
use std::fmt;

/// The probe gave up.
#[derive(Debug)]
pub(crate) struct ProbeFailed(pub(crate) Failure);

impl fmt::Display for ProbeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ProbeFailed {}

/// Why a node has nothing to show: an error says more than an empty document.
pub(crate) fn nothing_captured(capture: &NodeCapture) -> Option<anyhow::Error> {
    if !capture.parts.is_empty() {
        return None;
    }
    Some(match (&capture.failure, &capture.fault) {
        (Some(failure), _) => ProbeFailed(failure.clone()).into(),
        (None, Some(fault)) => anyhow::anyhow!(fault.clone()),
        (None, None) => {
            let refused = capture.refused.sentence();
            anyhow::anyhow!(refused.unwrap_or_else(|| "the probe sent nothing".to_owned()))
        }
    })
}

/// A cause that carries its own advice.
#[derive(Clone, Debug)]
pub(crate) struct Advised {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Advised {}

/// An error with advice.
pub(crate) fn advised(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Advised {
        message: message.into(),
        hint: hint.into(),
    }
    .into()
}

/// What to do next, where something is known to help.
pub(crate) fn of(error: &anyhow::Error) -> Option<String> {
    // Advice that was added as context is no link of the chain by its own type.
    if let Some(advised) = error.downcast_ref::<Advised>() {
        return Some(advised.hint.clone());
    }
    error.chain().find_map(|cause| {
        if let Some(advised) = cause.downcast_ref::<Advised>() {
            return Some(advised.hint.clone());
        }
        let failed = cause.downcast_ref::<ProbeFailed>()?;
        of_code(failed.0.code).map(str::to_owned)
    })
}

/// What to do about a probe's failure.
pub(crate) fn of_code(code: FailureCode) -> Option<&'static str> {
    Some(match code {
        FailureCode::NotRoot => {
            "run it as root (`sudo`), or profile a pod of a cluster, where the probe brings its own rights"
        }
        FailureCode::NoBtf => {
            "the kernel must be built with CONFIG_DEBUG_INFO_BTF=y: see /sys/kernel/btf/vmlinux; distribution kernels from 5.10 on are"
        }
        FailureCode::BpfForbidden => {
            "this place forbids bpf(): in a cluster try `--privileged`; elsewhere in a container it needs CAP_BPF and CAP_PERFMON in the initial user namespace; on a host look at kernel lockdown=confidentiality"
        }
        FailureCode::TargetNotFound => {
            "name a target that runs here: `ps`, `systemd-cgls` and `crictl ps` list what does"
        }
        FailureCode::Busy => {
            "wait until that capture has ended, or add `--concurrent`: what captures cost each program of the node then adds up"
        }
        FailureCode::CommandNotFound => {
            "check the spelling and PATH, or give the path of the program"
        }
        FailureCode::CommandNotExecutable => {
            "make it executable with `chmod +x`, or name its interpreter"
        }
        FailureCode::BadRequest | FailureCode::Other => return None,
    })
}

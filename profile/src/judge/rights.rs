//! Capabilities and rare operations.

use super::Judgement;
use crate::knowledge::capabilities::{Gives, gives};
use crate::model::{CapabilityRow, EventRow, EventType, Severity};

/// A capability that is new.
pub(crate) fn capability(row: &CapabilityRow) -> Judgement {
    if !row.used {
        return (
            Severity::Info,
            "it is refused a right that it never asked for",
        );
    }
    match gives(&row.name) {
        Gives::WayOut => (Severity::High, "a right that leads out of a container"),
        Gives::Superuser => (
            Severity::Medium,
            "a right of the superuser that it never used",
        ),
        Gives::Little => (Severity::Low, "a right that it never used"),
    }
}

/// An event that is new.
pub(crate) fn event(row: &EventRow) -> Judgement {
    match row.event_type {
        EventType::ModuleLoad if row.details.contains_key("requested") => {
            (Severity::Medium, "it makes the kernel look for a module")
        }
        EventType::ModuleLoad => (Severity::Critical, "it changes the kernel"),
        EventType::MemfdExec => (
            Severity::Critical,
            "it runs a program that is in memory only",
        ),
        EventType::Bpf | EventType::Perf | EventType::Userfaultfd | EventType::Keyctl => {
            (Severity::High, "a rare call that attacks on the kernel use")
        }
        EventType::Ptrace => (Severity::High, "it reaches into another process"),
        EventType::Mount | EventType::Setns | EventType::Unshare => {
            (Severity::High, "it changes namespaces or mounts")
        }
        EventType::Signal => (Severity::Medium, "it signals a process outside"),
        EventType::Credentials => {
            let gained = row
                .details
                .get("gained")
                .is_some_and(|gained| !gained.is_empty());
            let is_root = row.details.get("toUid").is_some_and(|uid| uid == "0");
            if gained || is_root {
                (Severity::High, "it gains rights")
            } else {
                (Severity::Low, "it gives up rights in another way")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Seen;

    #[test]
    fn new_capabilities() {
        for (name, used, severity) in [
            ("CAP_SYS_ADMIN", true, Severity::High),
            ("CAP_SYS_ADMIN", false, Severity::Info),
            ("CAP_SETUID", true, Severity::Medium),
            ("CAP_CHOWN", true, Severity::Low),
        ] {
            let row = CapabilityRow {
                exe: "/a".into(),
                name: name.into(),
                used,
                denied: !used,
                seen: Seen::default(),
            };
            assert_eq!(capability(&row).0, severity, "{name} {used}");
        }
    }

    #[test]
    fn new_events() {
        for (event_type, details, severity) in [
            (
                EventType::ModuleLoad,
                &[("module", "x")][..],
                Severity::Critical,
            ),
            (
                EventType::ModuleLoad,
                &[("requested", "net-pf-3")],
                Severity::Medium,
            ),
            (EventType::MemfdExec, &[], Severity::Critical),
            (EventType::Bpf, &[], Severity::High),
            (EventType::Ptrace, &[], Severity::High),
            (EventType::Mount, &[], Severity::High),
            (EventType::Signal, &[], Severity::Medium),
            (EventType::Credentials, &[("toUid", "0")], Severity::High),
            (
                EventType::Credentials,
                &[("gained", "CAP_CHOWN")],
                Severity::High,
            ),
            (EventType::Credentials, &[("toUid", "33")], Severity::Low),
        ] {
            let row = EventRow {
                exe: "/a".into(),
                event_type,
                details: details
                    .iter()
                    .map(|(name, value)| ((*name).into(), (*value).into()))
                    .collect(),
                seen: Seen::default(),
            };
            assert_eq!(event(&row).0, severity, "{event_type} {details:?}");
        }
    }
}

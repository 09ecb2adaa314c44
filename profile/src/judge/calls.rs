//! System calls and their failures.

use super::Judgement;
use crate::knowledge::calls::{Danger, Family, danger, family};
use crate::model::{Abi, Severity, SyscallRow};
use crate::text::Text;
use std::collections::BTreeSet;

/// A system call that the executable never made. `known` are those that it made.
pub(crate) fn new_call(
    row: &SyscallRow,
    known: &BTreeSet<&str>,
    all_known: &BTreeSet<&str>,
) -> Judgement {
    if let Some(danger) = danger(&row.name) {
        return dangerous(danger);
    }
    if row.name.starts_with("unknown(") {
        return (
            Severity::Medium,
            "a number that is no system call that this program knows",
        );
    }
    if matches!(row.abi, Abi::I386 | Abi::X32) {
        return (
            Severity::Medium,
            "another calling convention, which filters are often blind to",
        );
    }
    let Some(own) = family(&row.name) else {
        return (
            Severity::Info,
            "an ordinary call of memory, time, signals or reading",
        );
    };
    let has_family = |names: &BTreeSet<&str>| names.iter().any(|name| family(name) == Some(own));
    if has_family(known) {
        return (Severity::Info, "a call of a kind that it makes anyway");
    }
    if has_family(all_known) {
        return (
            Severity::Low,
            "a call of a kind that only other programs of the container make",
        );
    }
    match own {
        Family::Credentials | Family::Network | Family::Process | Family::Asynchronous => (
            Severity::Medium,
            "a kind of call that is new to the container",
        ),
        Family::Write | Family::Attributes | Family::Ipc | Family::Watch | Family::Limits => {
            (Severity::Low, "a kind of call that is new to the container")
        }
    }
}

/// A failure of a known call.
pub(crate) fn new_errors(errors: &BTreeSet<Text>) -> Judgement {
    if errors
        .iter()
        .any(|name| name == "EPERM" || name == "ENOSYS")
    {
        return (
            Severity::Low,
            "the kernel refuses what it did not ask for before",
        );
    }
    (Severity::Info, "it fails in a way that was not seen")
}

fn dangerous(danger: Danger) -> Judgement {
    match danger {
        Danger::ChangesKernel => (Severity::Critical, "it changes the kernel"),
        Danger::ReachesKernel => (Severity::High, "it reaches into the kernel"),
        Danger::ReachesProcesses => (Severity::High, "it reaches into other processes"),
        Danger::ChangesMounts => (Severity::High, "it changes what is mounted"),
        Danger::ChangesNamespaces => (Severity::High, "it changes namespaces"),
        Danger::OpensByHandle => (Severity::High, "it opens files past their paths"),
        Danger::ReachesRareCode => (Severity::High, "a rare call that attacks on the kernel use"),
        Danger::RunsWithoutFile => (Severity::Medium, "a way to run programs without a file"),
        Danger::ConcernsSystem => (Severity::High, "it changes or reads the system as a whole"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Seen;

    #[test]
    fn new_calls() {
        let own = BTreeSet::from(["connect"]);
        let all = BTreeSet::from(["connect", "setuid"]);
        for (name, abi, severity) in [
            ("finit_module", Abi::X86_64, Severity::Critical),
            ("ptrace", Abi::X86_64, Severity::High),
            ("memfd_create", Abi::X86_64, Severity::Medium),
            ("unknown(900)", Abi::X86_64, Severity::Medium),
            ("brk", Abi::I386, Severity::Medium),
            ("brk", Abi::X86_64, Severity::Info),
            ("accept4", Abi::X86_64, Severity::Info),
            ("setgid", Abi::X86_64, Severity::Low),
            ("clone3", Abi::X86_64, Severity::Medium),
            ("chmod", Abi::Aarch64, Severity::Low),
        ] {
            let row = SyscallRow {
                name: name.into(),
                abi,
                exe: "/a".into(),
                errors: BTreeSet::new(),
                seen: Seen::default(),
            };
            assert_eq!(new_call(&row, &own, &all).0, severity, "{name} {abi}");
        }
    }

    #[test]
    fn failures() {
        assert_eq!(
            new_errors(&BTreeSet::from(["EPERM".into()])).0,
            Severity::Low
        );
        assert_eq!(
            new_errors(&BTreeSet::from(["ENOENT".into()])).0,
            Severity::Info
        );
    }
}

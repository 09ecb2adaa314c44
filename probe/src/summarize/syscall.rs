//! Rows of system calls.

use super::{Facts, abi, arguments, by_name};
use crate::calls;
use procmon_profile::model::Syscall;
use procmon_profile::tables::syscall_name;

/// Each with the slot of its container.
pub(super) fn rows<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (u32, Syscall)> + 'a {
    facts.counted.syscalls.iter().filter_map(|sample| {
        let slot = facts.drained.container_of(sample.key.exe)?;
        let abi = abi(facts.arch, sample.key.abi);
        let name = syscall_name(abi, sample.key.number);
        let row = Syscall {
            arguments: calls::counts_arguments(&name)
                .then(|| arguments::by_text(&name, sample.arguments(&facts.counted.arguments))),
            name: name.into(),
            abi,
            exe: facts.drained.path_of(sample.key.exe),
            calls: sample.row.calls,
            errors: by_name(&sample.errors(&facts.counted.errnos)),
            restarted: sample.row.restarted,
            unfinished: sample.row.unfinished,
            no_return: sample.row.no_return,
            denied_by_seccomp: sample.row.denied,
            latency_ns: sample.latency.clone(),
        };
        Some((slot, row))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given};
    use super::*;
    use crate::drain::SyscallSample;
    use procmon_probe_ebpf::abi::{ABI_COMPAT, ROWS_SYSCALLS, SyscallKey, SyscallRow};
    use procmon_profile::model::Abi;
    use procmon_profile::model::Counts;
    use std::collections::BTreeMap;

    fn sample(exe: u32, abi: u32, number: u32) -> SyscallSample {
        let key = SyscallKey { exe, abi, number };
        let row = SyscallRow {
            calls: 9,
            restarted: 1,
            unfinished: 2,
            no_return: 3,
            denied: 4,
            ..SyscallRow::default()
        };
        SyscallSample::of(key, row, 7)
    }

    #[test]
    fn numbers_are_named_by_their_abi() {
        for (arch, abi, number, name, expected) in [
            ("amd64", 0, 1, "write", Abi::X86_64),
            ("amd64", ABI_COMPAT, 4, "write", Abi::I386),
            ("arm64", 0, 64, "write", Abi::Aarch64),
            ("arm64", ABI_COMPAT, 4, "write", Abi::Arm),
        ] {
            let mut given = Given::new();
            given.arch = arch;
            given.counted.syscalls = vec![sample(APP, abi, number)];
            let found: Vec<_> = given.facts(|facts| rows(facts).collect());
            let [(slot, row)] = found.as_slice() else {
                panic!("{arch}: {found:?}");
            };
            assert_eq!(*slot, CONTAINER);
            assert_eq!((&*row.name, row.abi), (name, expected));
            assert_eq!((row.calls, row.restarted, row.unfinished), (9, 1, 2));
            assert_eq!((row.no_return, row.denied_by_seccomp), (3, 4));
            assert_eq!(row.exe, "/bin/app");
        }
    }

    #[test]
    fn failures_are_named_and_strangers_have_no_row() {
        let mut given = Given::new();
        given.counted.syscalls = vec![sample(APP, 0, 1), sample(99, 0, 1)];
        let errnos = BTreeMap::from([(2, 5), (13, 1)]);
        given.counted.errnos.insert((ROWS_SYSCALLS, 7), errnos);
        let found: Vec<_> = given.facts(|facts| rows(facts).collect());
        assert_eq!(found.len(), 1);
        let errors = [("EACCES".into(), 1), ("ENOENT".into(), 5)];
        assert_eq!(found[0].1.errors, Counts::from(errors));
    }
}

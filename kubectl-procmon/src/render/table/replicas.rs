//! Replicas of a workload as one: what all of them did is added, what only some did is marked.

use procmon_profile::merge;
use procmon_profile::model::{Container, Network, Process};
use procmon_profile::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// A container of a workload: that of one pod, or all pods' as one.
pub(super) struct Shown {
    pub(super) container: Container,
    /// Names of the pods, of several.
    pub(super) pods: BTreeSet<Text>,
}

/// Containers of one name that pods of one owner have, as one each; others as they are.
pub(super) fn together(containers: &[Container]) -> Vec<Shown> {
    let mut groups: BTreeMap<_, Vec<&Container>> = BTreeMap::new();
    for (place, container) in containers.iter().enumerate() {
        let owner = container.owner.as_ref();
        let key = (
            container.namespace.clone(),
            owner.map(|owner| (owner.kind.clone(), owner.name.clone())),
            owner.map_or_else(
                || Text::from(place.to_string()),
                |_| container.container.clone(),
            ),
        );
        groups.entry(key).or_default().push(container);
    }
    let mut shown = Vec::new();
    for group in groups.into_values() {
        let pods: BTreeSet<Text> = group.iter().filter_map(|one| one.pod.clone()).collect();
        if pods.len() < 2 {
            shown.extend(group.into_iter().map(|container| Shown {
                container: container.clone(),
                pods: BTreeSet::new(),
            }));
            continue;
        }
        let group: Vec<Container> = group.into_iter().map(without_own_address).collect();
        let mut container = merge::as_one(&group);
        mark(&mut container, &group, pods.len());
        shown.push(Shown { container, pods });
    }
    shown
}

/// A pod's own address is another one in each replica.
fn without_own_address(container: &Container) -> Container {
    let mut container = container.clone();
    for row in &mut container.network {
        if let Some(local) = &mut row.local
            && let Some(address) = &local.address
            && address.parse().is_ok_and(|address: std::net::IpAddr| {
                !address.is_loopback() && !address.is_unspecified()
            })
        {
            local.address = None;
        }
    }
    container
}

/// Says of each row how many pods did it, if not all.
fn mark(container: &mut Container, group: &[Container], n_pods: usize) {
    macro_rules! mark {
        ($field:ident, |$row:ident| $key:expr, |$target:ident, $text:ident| $change:expr) => {
            let mut of: BTreeMap<_, BTreeSet<&Text>> = BTreeMap::new();
            for one in group {
                for $row in &one.$field {
                    of.entry($key).or_default().extend(one.pod.as_ref());
                }
            }
            for $row in &mut container.$field {
                let count = of.get(&$key).map_or(n_pods, BTreeSet::len);
                if count < n_pods {
                    let $text = format!("({count} of {n_pods} pods)");
                    let $target = $row;
                    $change;
                }
            }
        };
    }
    let with = |text: &Text, mark: &str| Text::from(format!("{text} {mark}"));
    mark!(processes, |row| process_key(row), |row, mark| {
        row.argv.push(mark.into());
    });
    mark!(
        syscalls,
        |row| (row.name.clone(), row.abi, row.exe.clone()),
        |row, mark| row.exe = with(&row.exe, &mark)
    );
    mark!(
        files,
        |row| (row.path.clone(), row.exe.clone()),
        |row, mark| row.path = with(&row.path, &mark)
    );
    mark!(network, |row| network_key(row), |row, mark| {
        row.exe = with(&row.exe, &mark);
    });
    mark!(
        dns,
        |row| (row.name.clone(), row.record_type.clone(), row.exe.clone()),
        |row, mark| row.exe = with(&row.exe, &mark)
    );
    mark!(
        capabilities,
        |row| (row.name.clone(), row.exe.clone()),
        |row, mark| row.exe = with(&row.exe, &mark)
    );
}

fn process_key(row: &Process) -> impl Ord + Debug + use<> {
    (row.exe.clone(), row.argv.clone(), row.uid, row.origin)
}

fn network_key(row: &Network) -> impl Ord + Debug + use<> {
    let local = row.local.clone();
    let remote = row
        .remote
        .as_ref()
        .map(|remote| (remote.address.clone(), remote.port, remote.path.clone()));
    (row.exe.clone(), row.protocol, row.direction, local, remote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_profile::model::{Abi, Counts, OwnerReference, Syscall};

    fn replica(pod: &str, calls: &[(&str, u64)]) -> Container {
        Container {
            container: "main".into(),
            pod: Some(pod.into()),
            namespace: Some("shop".into()),
            owner: Some(OwnerReference {
                kind: "Deployment".into(),
                namespace: Some("shop".into()),
                name: "web".into(),
            }),
            syscalls: calls
                .iter()
                .map(|(name, calls)| Syscall {
                    name: (*name).into(),
                    abi: Abi::X86_64,
                    exe: "/web".into(),
                    calls: *calls,
                    errors: Counts::new(),
                    restarted: 0,
                    unfinished: 0,
                    no_return: 0,
                    denied_by_seccomp: 0,
                    latency_ns: None,
                    arguments: None,
                })
                .collect(),
            processes: vec![Process {
                id: "p1".into(),
                exe: "/web".into(),
                argv: vec!["web".into()],
                count: 1,
                ..Process::default()
            }],
            ..Container::default()
        }
    }

    #[test]
    fn what_only_some_replicas_did_is_marked() {
        let all = [
            replica("web-1", &[("read", 3), ("ptrace", 1)]),
            replica("web-2", &[("read", 4)]),
            replica("web-3", &[("read", 5)]),
            Container {
                owner: None,
                ..replica("other", &[("read", 1)])
            },
        ];
        let shown = together(&all);
        assert_eq!(shown.len(), 2);
        let web = shown
            .iter()
            .find(|one| one.pods.len() == 3)
            .unwrap_or(&shown[0]);
        let calls: Vec<(&str, u64, &str)> = web
            .container
            .syscalls
            .iter()
            .map(|row| (row.name.as_str(), row.calls, row.exe.as_str()))
            .collect();
        assert_eq!(
            calls,
            [("ptrace", 1, "/web (1 of 3 pods)"), ("read", 12, "/web")]
        );
        assert_eq!(web.container.processes.len(), 1);
        assert_eq!(web.container.processes[0].count, 3);
    }
}

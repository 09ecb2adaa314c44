//! How much new would still have come: the Good–Turing estimate, by dimension.

use procmon_profile::model::{Container, Dimension, Direction};
use std::collections::BTreeMap;

/// Observations, and rows that were observed once: what the Good–Turing estimate needs.
#[derive(Default)]
pub(crate) struct Seen {
    once: u64,
    all: u64,
}

impl Seen {
    /// A row that was observed so often.
    pub(crate) fn add(&mut self, count: u64) {
        self.once += u64::from(count == 1);
        self.all += count;
    }

    /// 1 minus the estimate. None: nothing was observed.
    pub(crate) fn coverage(&self) -> Option<f64> {
        (self.all > 0).then(|| procmon_profile::completeness::coverage(self.once, self.all))
    }
}

/// The estimate by dimension, but for processes and files.
pub(super) fn coverage(containers: &BTreeMap<u32, Container>) -> BTreeMap<Dimension, f64> {
    let mut seen: BTreeMap<Dimension, Seen> = BTreeMap::new();
    let mut add = |dimension, count| seen.entry(dimension).or_default().add(count);
    for container in containers.values() {
        for row in &container.syscalls {
            add(Dimension::Syscalls, row.calls);
        }
        for row in &container.network {
            if row.direction != Direction::Listen {
                let count = row.connections + row.datagrams_sent + row.datagrams_received;
                add(Dimension::Network, count);
            }
        }
        for row in &container.dns {
            add(Dimension::Dns, row.count);
        }
        for row in &container.capabilities {
            add(Dimension::Capabilities, row.used + row.denied);
        }
    }
    seen.into_iter()
        .filter_map(|(dimension, seen)| Some((dimension, seen.coverage()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_profile::model::{CapabilityMethod, CapabilityUse, Dns, Network, Protocol};

    #[test]
    fn rows_that_were_seen_once_lower_the_estimate() {
        for (counts, expected) in [
            (&[][..], None),
            (&[0], None),
            (&[1], Some(0.0)),
            (&[1, 1, 2], Some(0.5)),
            (&[2, 8], Some(1.0)),
        ] {
            let mut seen = Seen::default();
            for count in counts {
                seen.add(*count);
            }
            assert_eq!(seen.coverage(), expected, "{counts:?}");
        }
    }

    #[test]
    fn each_dimension_is_counted_by_its_own_rows() {
        let network = |direction, connections| Network {
            exe: "/bin/app".into(),
            protocol: Protocol::Tcp,
            direction,
            local: None,
            remote: None,
            connections,
            datagrams_sent: 0,
            datagrams_received: 0,
            failures: BTreeMap::new(),
            bytes_sent: 0,
            bytes_received: 0,
            path: Vec::new(),
        };
        let container = Container {
            // A listener is nothing that was observed.
            network: vec![
                network(Direction::Outbound, 4),
                network(Direction::Listen, 1),
            ],
            dns: vec![Dns {
                count: 1,
                ..Dns::default()
            }],
            capabilities: vec![CapabilityUse {
                exe: "/bin/app".into(),
                name: "CAP_CHOWN".into(),
                used: 1,
                denied: 1,
                probed: None,
                method: CapabilityMethod::Hook,
            }],
            ..Container::default()
        };
        assert_eq!(
            coverage(&BTreeMap::from([(1, container)])),
            BTreeMap::from([
                (Dimension::Network, 1.0),
                (Dimension::Dns, 0.0),
                (Dimension::Capabilities, 1.0),
            ])
        );
    }
}

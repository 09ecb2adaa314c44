//! Which names of a peer are proven, and which are only claims.
//!
//! The name in a TLS greeting is text of the client's own choice, and anybody can run a resolver
//! that answers anything. A name stands for a peer only when a resolver that the baseline knows
//! answered it for this address; every other name is evidence.

use super::learn::parse_network;
use crate::model::{BaselineContainer, Container, Direction, Dns, PeerRow, Remote};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Answers that a probe keeps of one question: with so many, there may have been more.
const MAX_ANSWERS: usize = 16;
/// Names that an alias is followed through.
const MAX_ALIASES: usize = 16;
const DNS: &str = "53";

/// The questions of one container, and which resolvers answered them.
pub(crate) struct Proofs<'a> {
    /// Rows by the name in lower case, and whether every resolver of the row is known.
    rows: HashMap<String, Vec<(&'a Dns, bool)>>,
    /// Resolvers that answered, and whether they are known.
    resolvers: BTreeMap<&'a str, bool>,
}

impl<'a> Proofs<'a> {
    /// Reads a container's questions. Without a baseline, every resolver is known from now on.
    pub(crate) fn new(container: &'a Container, known: Option<&BaselineContainer>) -> Self {
        let mut resolvers: BTreeMap<&str, bool> = BTreeMap::new();
        let mut is_known = |address: &'a str| {
            *resolvers.entry(address).or_insert_with(|| {
                known.is_none_or(|known| is_known_resolver(known, container, address))
            })
        };
        // Where the document does not say who answered, it may have been anyone who was asked.
        let asked: Vec<&str> = container
            .network
            .iter()
            .filter(|row| row.direction == Direction::Outbound)
            .filter_map(|row| row.remote.as_ref())
            .filter(|remote| remote.port == Some(53))
            .filter_map(|remote| remote.address.as_deref())
            .collect();
        let all_known = asked.iter().map(|address| is_known(address)).min();
        let mut rows: HashMap<String, Vec<(&Dns, bool)>> = HashMap::new();
        for row in &container.dns {
            let trusted = if row.resolvers.is_empty() {
                all_known.unwrap_or(true)
            } else {
                let each: Vec<bool> = row.resolvers.iter().map(|one| is_known(one)).collect();
                each.into_iter().all(|known| known)
            };
            rows.entry(row.name.to_ascii_lowercase())
                .or_default()
                .push((row, trusted));
        }
        Self { rows, resolvers }
    }

    /// A known resolver answered the name, maybe through aliases, for the address.
    pub(crate) fn is_proven(&self, name: &str, address: &str) -> bool {
        let mut names = vec![name.to_ascii_lowercase()];
        let mut next = 0;
        while let Some(name) = names.get(next).cloned() {
            next += 1;
            let rows = self.rows.get(&name).map(Vec::as_slice).unwrap_or_default();
            for (row, _) in rows.iter().filter(|(_, trusted)| *trusted) {
                let is_cut = row.answers.len() >= MAX_ANSWERS && !row.resolvers.is_empty();
                if is_cut || row.answers.iter().any(|answer| is_same(answer, address)) {
                    return true;
                }
                for answer in &row.answers {
                    let alias = answer.to_ascii_lowercase();
                    if names.len() < MAX_ALIASES
                        && self.rows.contains_key(&alias)
                        && !names.contains(&alias)
                    {
                        names.push(alias);
                    }
                }
            }
        }
        false
    }

    /// Resolvers that answered and that the baseline does not know.
    pub(crate) fn unknown_resolvers(&self, rows: &[Dns]) -> BTreeSet<Text> {
        rows.iter()
            .flat_map(|row| &row.resolvers)
            .filter(|address| self.resolvers.get(address.as_str()) == Some(&false))
            .cloned()
            .collect()
    }
}

/// The baseline saw the resolver answer, or saw what has this address be asked at port 53.
fn is_known_resolver(known: &BaselineContainer, container: &Container, address: &str) -> bool {
    if known
        .resolvers
        .iter()
        .any(|resolver| is_same(resolver, address))
    {
        return true;
    }
    let object: Option<Text> = container
        .network
        .iter()
        .filter_map(|row| row.remote.as_ref())
        .filter(|remote| remote.address.as_deref() == Some(address))
        .find_map(object_name);
    known
        .network
        .iter()
        .filter(|row| row.direction == Direction::Outbound && row.port == DNS)
        .any(|row| {
            has_address(row, address) || object.as_ref().is_some_and(|object| *object == row.peer)
        })
}

/// The name that the cluster has for a peer.
pub(crate) fn object_name(remote: &Remote) -> Option<Text> {
    if let Some(workload) = &remote.workload {
        return Some(format!("{}/{}/{}", workload.kind, workload.namespace, workload.name).into());
    }
    if let Some(service) = &remote.service {
        return Some(format!("service/{}/{}", service.namespace, service.name).into());
    }
    if let Some(pod) = &remote.pod {
        return Some(format!("Pod/{}/{}", pod.namespace, pod.name).into());
    }
    remote.node.is_some().then(|| "node".into())
}

/// The baseline's peer was seen at the address, or in a network that takes it in.
pub(crate) fn has_address(known: &PeerRow, address: &str) -> bool {
    covers_address(&known.peer, address) || known.addresses.contains(address)
}

/// An address is covered by itself and by its network.
pub(crate) fn covers_address(known: &str, address: &str) -> bool {
    known == address
        || parse_network(known)
            .zip(parse_network(address))
            .is_some_and(|(known, address)| known.contains(&address))
}

fn is_same(one: &str, other: &str) -> bool {
    one == other
        || one
            .parse::<IpAddr>()
            .is_ok_and(|one| other.parse() == Ok(one))
}

/// The kind of an address: loopback, private, public and others.
pub(crate) fn class(address: &str) -> &'static str {
    match address.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => "loopback",
        Ok(IpAddr::V4(address)) if address.is_private() || address.is_link_local() => "private",
        Ok(IpAddr::V6(address)) if address.is_unique_local() || address.is_unicast_link_local() => {
            "private"
        }
        Ok(_) => "public",
        Err(_) => "any",
    }
}

/// An address that others outside of the cluster may have: neither private nor shared by providers
/// (100.64.0.0/10, RFC 6598, which clusters use for pods).
pub(crate) fn is_public(address: &str) -> bool {
    let is_shared = |address: IpAddr| matches!(address, IpAddr::V4(address) if address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64);
    class(address) == "public" && !address.parse().is_ok_and(is_shared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Network, Protocol};

    fn answer(name: &str, answers: &[&str], resolvers: &[&str]) -> Dns {
        let list = |all: &[&str]| all.iter().map(|one| Text::from(*one)).collect();
        Dns {
            exe: "/x".into(),
            name: name.into(),
            record_type: "A".into(),
            rcode: Some("NOERROR".into()),
            answers: list(answers),
            resolvers: list(resolvers),
            count: 1,
        }
    }

    fn knows(resolver: &str) -> BaselineContainer {
        BaselineContainer {
            resolvers: [resolver.into()].into(),
            ..BaselineContainer::default()
        }
    }

    #[test]
    fn a_name_is_proven_by_a_known_resolver_for_the_address_only() {
        let container = Container {
            dns: vec![
                answer("api.example", &["192.0.2.1"], &["10.96.0.10"]),
                answer("Alias.Example", &["real.example"], &["10.96.0.10"]),
                answer("real.example", &["192.0.2.2"], &["10.96.0.10"]),
                answer("loop.example", &["loop.example"], &["10.96.0.10"]),
                answer("evil.example", &["192.0.2.3"], &["203.0.113.53"]),
                answer(
                    "mixed.example",
                    &["192.0.2.4"],
                    &["10.96.0.10", "203.0.113.53"],
                ),
                answer("six.example", &["2001:db8::1"], &["10.96.0.10"]),
            ],
            ..Container::default()
        };
        let known = knows("10.96.0.10");
        let proofs = Proofs::new(&container, Some(&known));
        for (name, address, expected) in [
            ("api.example", "192.0.2.1", true),
            ("API.example", "192.0.2.1", true),
            ("api.example", "192.0.2.2", false),
            ("alias.example", "192.0.2.2", true),
            ("loop.example", "192.0.2.2", false),
            ("evil.example", "192.0.2.3", false),
            ("mixed.example", "192.0.2.4", false),
            ("six.example", "2001:0db8:0::1", true),
            ("never.example", "192.0.2.1", false),
        ] {
            assert_eq!(
                proofs.is_proven(name, address),
                expected,
                "{name} {address}"
            );
        }
        let unknown = proofs.unknown_resolvers(&container.dns);
        assert_eq!(unknown, [Text::from("203.0.113.53")].into());
        // Who makes a baseline takes its resolvers for known.
        assert!(Proofs::new(&container, None).is_proven("evil.example", "192.0.2.3"));
    }

    #[test]
    fn where_the_document_does_not_say_who_answered_everybody_asked_has_to_be_known() {
        let asks = |address: &str| Network {
            exe: "/x".into(),
            protocol: Protocol::Udp,
            direction: Direction::Outbound,
            local: None,
            remote: Some(Remote {
                address: Some(address.into()),
                port: Some(53),
                ..Remote::default()
            }),
            connections: 0,
            datagrams_sent: 1,
            datagrams_received: 1,
            failures: crate::model::Counts::new(),
            bytes_sent: 1,
            bytes_received: 1,
            path: Vec::new(),
        };
        let mut container = Container {
            dns: vec![answer("api.example", &["192.0.2.1"], &[])],
            network: vec![asks("10.96.0.10")],
            ..Container::default()
        };
        let known = knows("10.96.0.10");
        let is_proven = |container: &Container| {
            Proofs::new(container, Some(&known)).is_proven("api.example", "192.0.2.1")
        };
        assert!(is_proven(&container));
        container.network.push(asks("203.0.113.53"));
        assert!(!is_proven(&container));
    }

    #[test]
    fn a_network_covers_what_lies_in_it() {
        for (known, address, expected) in [
            ("192.0.2.0/24", "192.0.2.9", true),
            ("192.0.2.0/24", "192.0.2.128/25", true),
            ("192.0.2.0/24", "192.0.0.0/16", false),
            ("192.0.2.0/24", "198.51.100.1", false),
            ("0.0.0.0/0", "192.0.2.9", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.9", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            // No prefix of such an address.
            ("192.0.2.0/40", "192.0.2.9", false),
            ("192.0.2.0/255", "192.0.2.9", false),
            ("/run/x", "192.0.2.9", false),
        ] {
            assert_eq!(
                covers_address(known, address),
                expected,
                "{known} {address}"
            );
        }
    }

    #[test]
    fn addresses_of_pods_are_not_public() {
        for (address, expected) in [
            ("10.244.1.2", false),
            ("100.64.3.4", false),
            ("127.0.0.1", false),
            ("fd00::1", false),
            ("203.0.113.66", true),
            ("100.1.2.3", true),
            ("2001:db8::1", true),
            ("", false),
        ] {
            assert_eq!(is_public(address), expected, "{address}");
        }
    }
}

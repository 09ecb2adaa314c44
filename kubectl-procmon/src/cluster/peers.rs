//! Names of addresses. A name decides what a baseline takes for the same peer, so it has to come from
//! what no single node can claim: a kubelet writes the status of its own pods and of its own node.

use ipnet::{IpAdd as _, IpNet};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::Resource;
use procmon_profile::model::ObjectName;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// Names by address.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Places of pods in the list that was given.
    pods: HashMap<IpAddr, Vec<usize>>,
    /// Addresses that the API server gave to Services.
    services: HashMap<IpAddr, ObjectName>,
    /// Addresses that whoever wrote a Service claims for it.
    external: HashMap<IpAddr, ObjectName>,
    nodes: HashMap<IpAddr, String>,
    /// Notes for the document.
    pub(super) notes: Vec<String>,
}

/// The owners of one address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// Place of the one pod that has it.
    pub(super) pod: Option<usize>,
    pub(super) service: Option<ObjectName>,
    pub(super) external: Option<ObjectName>,
    pub(super) node: Option<String>,
}

/// Name and namespace of an object.
pub(super) fn name_of<K: Resource>(object: &K) -> ObjectName {
    ObjectName {
        namespace: object.meta().namespace.clone().unwrap_or_default().into(),
        name: object.meta().name.clone().unwrap_or_default().into(),
    }
}

impl Peers {
    /// Names of these objects; `nodes` is none where nodes can't be listed.
    pub(super) fn new(pods: &[Pod], services: &[Service], nodes: Option<&[Node]>) -> Self {
        let mut peers = Self::default();
        for service in services {
            let spec = service.spec.clone().unwrap_or_default();
            let parsed = |texts: Option<Vec<String>>| {
                let texts = texts.unwrap_or_default();
                texts
                    .into_iter()
                    .filter_map(|text| text.parse::<IpAddr>().ok())
                    .collect::<Vec<_>>()
            };
            for address in parsed(spec.cluster_ips) {
                peers.services.insert(address, name_of(service));
            }
            for address in parsed(spec.external_ips) {
                peers.external.insert(address, name_of(service));
            }
        }
        let ranges = nodes.map(|nodes| nodes.iter().map(Ranges::of).collect::<Vec<_>>());
        peers.add_pods(pods, ranges.as_deref());
        if let Some(nodes) = nodes {
            peers.add_nodes(nodes);
        } else {
            let note = "no right to list nodes: their addresses have no names, and those of pods are as their nodes report them";
            peers.notes.push(note.to_owned());
        }
        peers
    }

    fn add_pods(&mut self, pods: &[Pod], ranges: Option<&[Ranges]>) {
        let mut claims: Vec<(usize, IpAddr, bool)> = Vec::new();
        for (place, pod) in pods.iter().enumerate() {
            let spec = pod.spec.as_ref();
            // Host-network pods share the node's address: the node is named instead.
            if spec.and_then(|spec| spec.host_network) == Some(true) {
                continue;
            }
            let node = spec.and_then(|spec| spec.node_name.as_deref());
            let own = ranges.and_then(|all| all.iter().find(|range| Some(&*range.node) == node));
            let status = pod.status.iter();
            let texts = status.flat_map(|status| status.pod_ips.iter().flatten());
            for address in texts.filter_map(|ip| ip.ip.parse::<IpAddr>().ok()) {
                // No pod's, whatever the network.
                if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
                    continue;
                }
                // An address of the API server's own making is never a pod's.
                if self.services.contains_key(&address) {
                    continue;
                }
                let is_inside = own.is_none_or(|own| own.hold(address));
                claims.push((place, address, is_inside));
            }
        }
        let is_by_range = ranges.is_some_and(|ranges| uses_ranges(pods, &claims, ranges));
        let outside = claims.iter().filter(|(_, _, is_inside)| !is_inside).count();
        if is_by_range && outside > 0 {
            self.notes.push(format!(
                "addresses of pods outside of their node's range were not used as names: {outside}"
            ));
        }
        if ranges.is_some() && !is_by_range && !claims.is_empty() {
            let note = "the network does not give pods addresses of their node's range: addresses of pods are as their nodes report them";
            self.notes.push(note.to_owned());
        }
        for (place, address, is_inside) in claims {
            if is_inside || !is_by_range {
                self.pods.entry(address).or_default().push(place);
            }
        }
    }

    fn add_nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            let name = node.metadata.name.clone().unwrap_or_default();
            let status = node.status.iter();
            let reported = status
                .flat_map(|status| status.addresses.iter().flatten())
                .filter_map(|address| address.address.parse().ok());
            // Some networks give the first address to a pod.
            for address in gateways(node).chain(reported) {
                let is_taken =
                    self.pods.contains_key(&address) || self.services.contains_key(&address);
                if !is_taken {
                    self.nodes.insert(address, name.clone());
                }
            }
        }
    }

    /// Who has an address. One that went from one pod to another names neither.
    pub(super) fn find(&self, address: &str) -> Peer {
        let Ok(address) = address.parse::<IpAddr>() else {
            return Peer::default();
        };
        Peer {
            pod: match self.pods.get(&address).map(Vec::as_slice) {
                Some([place]) => Some(*place),
                _ => None,
            },
            service: self.services.get(&address).cloned(),
            external: self.external.get(&address).cloned(),
            node: self.nodes.get(&address).cloned(),
        }
    }
}

/// Ranges of addresses that the control plane gave to a node for its pods.
struct Ranges {
    node: String,
    ranges: Vec<IpNet>,
}

impl Ranges {
    fn of(node: &Node) -> Self {
        Self {
            node: node.metadata.name.clone().unwrap_or_default(),
            ranges: cidrs(node).collect(),
        }
    }

    /// An address is in one of them, or there are none.
    fn hold(&self, address: IpAddr) -> bool {
        self.ranges.is_empty() || self.ranges.iter().any(|range| range.contains(&address))
    }
}

fn cidrs(node: &Node) -> impl Iterator<Item = IpNet> {
    let spec = node.spec.clone().unwrap_or_default();
    let ranges = spec.pod_cidrs.unwrap_or_default().into_iter();
    ranges
        .chain(spec.pod_cidr)
        .filter_map(|range| range.parse().ok())
}

/// The cluster's network takes pods' addresses from their nodes' ranges. Some do not although the ranges
/// are there. A node that lies is one of many: half of those that have pods decide.
fn uses_ranges(pods: &[Pod], claims: &[(usize, IpAddr, bool)], ranges: &[Ranges]) -> bool {
    let has_range: HashSet<&str> = ranges
        .iter()
        .filter(|range| !range.ranges.is_empty())
        .map(|range| range.node.as_str())
        .collect();
    let mut keeps: HashMap<&str, bool> = HashMap::new();
    for (place, _, is_inside) in claims {
        let spec = pods.get(*place).and_then(|pod| pod.spec.as_ref());
        let node = spec.and_then(|spec| spec.node_name.as_deref());
        if let Some(node) = node.filter(|node| has_range.contains(node)) {
            *keeps.entry(node).or_insert(true) &= is_inside;
        }
    }
    let kept = keeps.values().filter(|keeps| **keeps).count();
    !keeps.is_empty() && kept * 2 >= keeps.len()
}

/// Addresses that a node has in its pods' network: the first two of the range, which usual networks
/// give to the tunnel and to the bridge.
fn gateways(node: &Node) -> impl Iterator<Item = IpAddr> {
    cidrs(node).flat_map(|range| {
        let first = range.network();
        let next = match first {
            IpAddr::V4(address) => IpAddr::V4(address.saturating_add(1)),
            IpAddr::V6(address) => IpAddr::V6(address.saturating_add(1)),
        };
        [first, next]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, range: &[&str], address: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"podCIDRs": range},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        }))
        .unwrap_or_default()
    }

    fn pod(node: &str, address: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"namespace": "x", "name": format!("of-{node}")},
            "spec": {"nodeName": node, "containers": []},
            "status": {"podIPs": [{"ip": address}]},
        }))
        .unwrap_or_default()
    }

    fn service(cluster: &str, external: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": "x", "name": "svc"},
            "spec": {"clusterIPs": [cluster], "externalIPs": [external]},
        }))
        .unwrap_or_default()
    }

    #[test]
    fn a_node_claims_no_address_outside_of_its_range() {
        let nodes = [
            node("a", &["10.1.0.0/24", "fd00:1::/64"], "192.0.2.1"),
            node("b", &["10.1.1.0/24"], "192.0.2.2"),
        ];
        let pods = [
            pod("a", "10.1.0.5"),
            pod("a", "fd00:1::5"),
            // The address of a database outside, and that of a pod of the other node.
            pod("b", "198.51.100.7"),
            pod("b", "10.1.0.9"),
        ];
        let peers = Peers::new(&pods, &[], Some(&nodes));
        assert_eq!(peers.find("10.1.0.5").pod, Some(0));
        assert_eq!(peers.find("fd00:1::5").pod, Some(1));
        assert_eq!(peers.find("198.51.100.7"), Peer::default());
        assert_eq!(peers.find("10.1.0.9"), Peer::default());
        assert!(peers.notes[0].ends_with("as names: 2"), "{:?}", peers.notes);
    }

    #[test]
    fn a_network_without_ranges_of_nodes_is_taken_as_it_is_and_said() {
        let pods = [pod("a", "10.9.3.5"), pod("b", "10.9.200.1")];
        for ranges in [[&["10.1.0.0/24"][..], &["10.1.1.0/24"][..]], [&[], &[]]] {
            let nodes = [
                node("a", ranges[0], "192.0.2.1"),
                node("b", ranges[1], "192.0.2.2"),
            ];
            let peers = Peers::new(&pods, &[], Some(&nodes));
            assert_eq!(peers.find("10.9.3.5").pod, Some(0));
            assert_eq!(peers.find("10.9.200.1").pod, Some(1));
            assert!(peers.notes[0].contains("as their nodes report them"));
        }
        let peers = Peers::new(&pods, &[], None);
        assert_eq!(peers.find("10.9.3.5").pod, Some(0));
        assert!(peers.notes[0].contains("no right to list nodes"));
    }

    #[test]
    fn addresses_of_services_and_loopback_are_no_pods() {
        let services = [service("10.96.0.10", "203.0.113.9")];
        let pods = [pod("a", "10.96.0.10"), pod("a", "127.0.0.1")];
        let peers = Peers::new(&pods, &services, None);
        let peer = peers.find("10.96.0.10");
        assert_eq!((peer.pod, peer.service.is_some()), (None, true));
        assert_eq!(peers.find("127.0.0.1"), Peer::default());
    }

    #[test]
    fn an_external_address_is_named_as_such() {
        let peers = Peers::new(&[], &[service("None", "203.0.113.9")], None);
        let peer = peers.find("203.0.113.9");
        assert_eq!(peer.service, None);
        assert_eq!(peer.external.map(|name| name.name), Some("svc".into()));
    }

    #[test]
    fn a_node_does_not_take_the_address_of_a_service_or_pod() {
        let nodes = [
            node("a", &["10.1.0.0/24"], "192.0.2.1"),
            node("b", &["10.1.1.0/24"], "10.1.0.5"),
        ];
        let pods = [pod("a", "10.1.0.5"), pod("b", "10.1.1.7")];
        let peers = Peers::new(&pods, &[], Some(&nodes));
        assert_eq!(peers.find("10.1.0.5").pod, Some(0));
        assert_eq!(peers.find("10.1.0.5").node, None);
        assert_eq!(peers.find("192.0.2.1").node.as_deref(), Some("a"));
    }

    #[test]
    fn the_first_addresses_of_a_nodes_range_are_its_own() {
        let node = node("n", &["10.244.2.0/24", "fd00:2::/64"], "192.0.2.1");
        let addresses: Vec<String> = gateways(&node).map(|address| address.to_string()).collect();
        assert_eq!(
            addresses,
            ["10.244.2.0", "10.244.2.1", "fd00:2::", "fd00:2::1"]
        );
    }
}

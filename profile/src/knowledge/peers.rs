//! The classes of a peer, by its address, port, name or path.

use super::class::{Class, table};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::LazyLock;

/// Addresses by which clouds hand out credentials: MITRE ATT&CK T1552.005.
const METADATA: [(&str, &str); 6] = [
    ("169.254.169.254", "AWS, Azure, Google Cloud and others"),
    ("fd00:ec2::254", "AWS over IPv6"),
    ("169.254.170.2", "AWS, tasks of ECS"),
    ("169.254.170.23", "AWS, EKS Pod Identity"),
    ("100.100.100.200", "Alibaba Cloud"),
    ("168.63.129.16", "Azure, the platform's own address"),
];

/// Sockets of container runtimes and the kubelet: who may write to one is root on the node (MITRE ATT&CK
/// T1610, T1611).
const RUNTIMES: [&str; 10] = [
    "docker.sock",
    "dockershim.sock",
    "buildkitd.sock",
    "containerd.sock.ttrpc",
    "nri.sock",
    "containerd.sock",
    "crio.sock",
    "kubelet.sock",
    "podman.sock",
    "cri-dockerd.sock",
];

/// Beginnings of names by which a shim of containerd listens, in the abstract namespace: CVE-2020-15257.
const SHIMS: &str = "@/containerd-shim";

/// Classes of domains.
pub(crate) static DOMAINS: LazyLock<Vec<Class>> =
    LazyLock::new(|| table(include_str!("domains.tsv")));

/// Classes of ports.
pub(crate) static PORTS: LazyLock<Vec<Class>> = LazyLock::new(|| table(include_str!("ports.tsv")));

/// The classes of each domain.
static BY_DOMAIN: LazyLock<HashMap<&str, &'static str>> = LazyLock::new(|| {
    let each = DOMAINS
        .iter()
        .flat_map(|class| class.patterns().map(|domain| (domain, class.name)));
    each.collect()
});

/// The classes of each port.
static BY_PORT: LazyLock<HashMap<u32, Vec<&'static str>>> = LazyLock::new(|| {
    let mut ports: HashMap<u32, Vec<&'static str>> = HashMap::new();
    for class in PORTS.iter() {
        for port in class.patterns().filter_map(|port| port.parse().ok()) {
            ports.entry(port).or_default().push(class.name);
        }
    }
    ports
});

/// The class of a name: of the longest domain that it lies in.
pub(crate) fn domain_class(name: &str) -> Option<&'static str> {
    let mut rest = name.trim_end_matches('.');
    loop {
        if let Some(class) = BY_DOMAIN.get(rest) {
            return Some(class);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// The classes of a port.
pub(crate) fn port_classes(port: u32) -> &'static [&'static str] {
    BY_PORT.get(&port).map_or(&[], Vec::as_slice)
}

/// The classes of an address: `metadata`, and one of `loopback`, `link-local`, `multicast`, `private` (RFC
/// 1918, 4193 and 6598) and `public`.
pub(crate) fn address_classes(address: &str) -> Vec<&'static str> {
    let mut classes = Vec::new();
    if is_metadata(address) {
        classes.push("metadata");
    }
    // A link-local address stands with its link.
    let address = address.split('%').next().unwrap_or_default();
    classes.extend(match address.parse() {
        Ok(IpAddr::V4(v4)) if v4.is_loopback() => Some("loopback"),
        Ok(IpAddr::V4(v4)) if v4.is_link_local() => Some("link-local"),
        Ok(IpAddr::V4(v4)) if v4.is_multicast() || v4.is_broadcast() => Some("multicast"),
        Ok(IpAddr::V4(v4)) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_private = v4.is_private() || is_shared || v4.is_unspecified();
            Some(if is_private { "private" } else { "public" })
        }
        Ok(IpAddr::V6(v6)) if v6.is_loopback() => Some("loopback"),
        Ok(IpAddr::V6(v6)) if v6.is_unicast_link_local() => Some("link-local"),
        Ok(IpAddr::V6(v6)) if v6.is_multicast() => Some("multicast"),
        Ok(IpAddr::V6(v6)) if v6.is_unique_local() || v6.is_unspecified() => Some("private"),
        Ok(IpAddr::V6(_)) => Some("public"),
        Err(_) => None,
    });
    classes
}

/// An address of a cloud's metadata service.
pub(crate) fn is_metadata(address: &str) -> bool {
    METADATA.iter().any(|(known, _)| *known == address)
}

/// The socket of a container runtime.
pub(crate) fn is_runtime_socket(path: &str) -> bool {
    RUNTIMES.iter().any(|name| path.ends_with(name))
}

/// The socket of a container's shim.
pub(crate) fn is_shim_socket(path: &str) -> bool {
    path.starts_with(SHIMS) || path.contains("/containerd-shim")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_and_runtimes_are_known() {
        assert!(is_metadata("169.254.169.254") && !is_metadata("169.254.169.253"));
        assert!(
            is_runtime_socket("/run/containerd/containerd.sock")
                && !is_runtime_socket("/run/app.sock")
        );
        assert_eq!(domain_class("xmr.pool.supportxmr.com"), Some("mining-pool"));
        assert_eq!(domain_class("com"), None);
        for (address, classes) in [
            ("169.254.169.254", &["metadata", "link-local"][..]),
            ("127.0.0.1", &["loopback"]),
            ("100.64.3.1", &["private"]),
            ("8.8.8.8", &["public"]),
            ("fe80::1%eth0", &["link-local"]),
            ("fd00::1", &["private"]),
            ("/run/a.sock", &[]),
        ] {
            assert_eq!(address_classes(address), classes, "{address}");
        }
    }
}

//! The kind of a peer, by its address or path.

/// Addresses by which clouds hand out credentials: MITRE ATT&CK T1552.005.
const METADATA: [(&str, &str); 5] = [
    ("169.254.169.254", "AWS, Azure, Google Cloud and others"),
    ("fd00:ec2::254", "AWS over IPv6"),
    ("169.254.170.2", "AWS, tasks of ECS"),
    ("100.100.100.200", "Alibaba Cloud"),
    ("168.63.129.16", "Azure, the platform's own address"),
];

/// Sockets of container runtimes and the kubelet: who may write to one is root on the node (MITRE ATT&CK
/// T1610, T1611).
const RUNTIMES: [&str; 6] = [
    "docker.sock",
    "containerd.sock",
    "crio.sock",
    "kubelet.sock",
    "podman.sock",
    "cri-dockerd.sock",
];

/// An address of a cloud's metadata service.
pub(crate) fn is_metadata(address: &str) -> bool {
    METADATA.iter().any(|(known, _)| *known == address)
}

/// The socket of a container runtime.
pub(crate) fn is_runtime_socket(path: &str) -> bool {
    RUNTIMES.iter().any(|name| path.ends_with(name))
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
    }
}

//! The rights that each capability gives: capabilities(7).

/// The rights that a capability gives to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// A way out of a container: it reaches the kernel, other processes or the network as a whole
    /// (MITRE ATT&CK T1611).
    WayOut,
    /// Rights of the superuser over users and groups within the container.
    Superuser,
    /// Less than that.
    Little,
}

/// Every capability that gives more than a little.
const KNOWN: [(&str, Gives); 21] = [
    ("CAP_SYS_ADMIN", Gives::WayOut),
    ("CAP_SYS_MODULE", Gives::WayOut),
    ("CAP_SYS_PTRACE", Gives::WayOut),
    ("CAP_SYS_RAWIO", Gives::WayOut),
    ("CAP_BPF", Gives::WayOut),
    ("CAP_PERFMON", Gives::WayOut),
    ("CAP_NET_ADMIN", Gives::WayOut),
    ("CAP_NET_RAW", Gives::WayOut),
    ("CAP_DAC_READ_SEARCH", Gives::WayOut),
    ("CAP_MAC_ADMIN", Gives::WayOut),
    ("CAP_MAC_OVERRIDE", Gives::WayOut),
    ("CAP_SYS_BOOT", Gives::WayOut),
    ("CAP_SYSLOG", Gives::WayOut),
    ("CAP_SYS_TIME", Gives::WayOut),
    ("CAP_MKNOD", Gives::WayOut),
    ("CAP_SETFCAP", Gives::WayOut),
    ("CAP_SETUID", Gives::Superuser),
    ("CAP_SETGID", Gives::Superuser),
    ("CAP_SYS_CHROOT", Gives::Superuser),
    ("CAP_SETPCAP", Gives::Superuser),
    ("CAP_LINUX_IMMUTABLE", Gives::Superuser),
];

/// The rights that a capability gives, by its name.
pub(crate) fn gives(name: &str) -> Gives {
    KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(Gives::Little, |(_, gives)| *gives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::CAPABILITIES;

    #[test]
    fn every_name_is_one_of_the_kernels() {
        for (name, _) in KNOWN {
            assert!(CAPABILITIES.contains(&name), "{name}");
        }
        assert_eq!(gives("CAP_CHOWN"), Gives::Little);
    }
}

//! Where credentials lie.

use super::base_name;

/// Parts of paths: folders in which tools keep credentials (MITRE ATT&CK T1552.001 and T1552.004, the tools'
/// manuals).
const FOLDERS: [&str; 8] = [
    "/.ssh/",
    "/.aws/",
    "/.kube/",
    "/.docker/",
    "/.gnupg/",
    "/.azure/",
    "/.config/gcloud/",
    "/secrets/kubernetes.io/",
];

/// Beginnings of paths: folders of private keys (kubeadm's manual, Debian's ssl-cert).
const BEGINNINGS: [&str; 3] = [
    "/etc/kubernetes/pki/",
    "/var/lib/kubelet/pki/",
    "/etc/ssl/private/",
];

/// Whole paths: shadow(5), sudoers(5), krb5.conf(5), pam_pwhistory(8), kubeadm's manual; MITRE ATT&CK
/// T1003.008.
const FILES: [&str; 10] = [
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/krb5.keytab",
    "/etc/kubernetes/admin.conf",
    "/etc/security/opasswd",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/var/lib/kubelet/kubeconfig",
    "/etc/kubernetes/kubelet.conf",
];

/// Names of files in any folder: ssh-keygen(1), the manuals of curl, PostgreSQL, git and MySQL.
const NAMES: [&str; 8] = [
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "id_dsa",
    ".netrc",
    ".pgpass",
    ".git-credentials",
    ".my.cnf",
];

/// Files of /proc/PID that hold another process's secrets: proc(5); MITRE ATT&CK T1003.007.
const PROCESS_FILES: [&str; 2] = ["environ", "mem"];

/// A file by which others are let in.
pub(crate) fn is_credential(path: &str) -> bool {
    let name = base_name(path);
    FOLDERS.iter().any(|folder| path.contains(folder))
        || FILES.contains(&path)
        || BEGINNINGS.iter().any(|begin| path.starts_with(begin))
        || (path.starts_with("/proc/") && PROCESS_FILES.contains(&name))
        || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::is_credential;

    #[test]
    fn credentials_are_known_by_their_place() {
        for path in [
            "/root/.ssh/config",
            "/etc/shadow",
            "/etc/kubernetes/pki/ca.key",
            "/proc/*/environ",
            "/srv/.pgpass",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
        ] {
            assert!(is_credential(path), "{path}");
        }
        for path in ["/etc/passwd", "/srv/environ", "/srv/ssh/config"] {
            assert!(!is_credential(path), "{path}");
        }
    }
}

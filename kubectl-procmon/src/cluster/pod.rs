//! The probe's pod, field by field.

use super::target::NodeTarget;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How the probe's pod shall be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) image: Option<String>,
    pub(crate) probe_namespace: Option<String>,
    pub(crate) requests: BTreeMap<String, String>,
    pub(crate) limits: BTreeMap<String, String>,
    pub(crate) privileged: bool,
}

/// Sizes as `cpu=10m,memory=32Mi`.
pub(crate) fn parse_sizes(text: &str) -> Result<BTreeMap<String, String>> {
    text.split(',')
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("`{pair}` is no size: write cpu=10m,memory=32Mi"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// What identifies one pod.
pub(super) struct Identity<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) labels: Value,
    pub(super) owner: Value,
    pub(super) config_map: &'a str,
    pub(super) deadline: u64,
    pub(super) expires: &'a str,
}

/// The pod for one node.
pub(super) fn pod(
    identity: &Identity<'_>,
    node: &NodeTarget,
    image: &str,
    request: &str,
    settings: &Settings,
) -> Result<Pod> {
    let mut requests = BTreeMap::from([
        ("cpu".to_owned(), "10m".to_owned()),
        ("memory".to_owned(), "32Mi".to_owned()),
    ]);
    let mut limits = BTreeMap::from([
        // To load the programs takes most of a second of computing, at the beginning and once.
        ("cpu".to_owned(), "1".to_owned()),
        ("memory".to_owned(), "192Mi".to_owned()),
    ]);
    requests.extend(settings.requests.clone());
    limits.extend(settings.limits.clone());
    let pull_policy = if settings.image.is_some() {
        "IfNotPresent"
    } else {
        "Never"
    };
    let pull_secrets: Vec<Value> = node
        .pull_secrets
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    let mut labels = identity.labels.clone();
    labels["sidecar.istio.io/inject"] = "false".into();
    let value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": identity.name,
            "namespace": identity.namespace,
            "labels": labels,
            "annotations": {
                "procmon/expires": identity.expires,
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
                "sidecar.istio.io/inject": "false",
                "linkerd.io/inject": "disabled",
                "kuma.io/sidecar-injection": "disabled",
            },
            "ownerReferences": [identity.owner],
        },
        "spec": {
            "nodeName": node.name,
            "hostPID": true,
            "hostNetwork": settings.privileged,
            "dnsPolicy": "Default",
            "restartPolicy": "Never",
            "activeDeadlineSeconds": identity.deadline,
            "terminationGracePeriodSeconds": 10,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{"operator": "Exists"}],
            "imagePullSecrets": pull_secrets,
            "securityContext": {"runAsNonRoot": false, "runAsUser": 0},
            "containers": [{
                "name": "procmon",
                "image": image,
                "imagePullPolicy": pull_policy,
                "command": ["/procmon/probe", request],
                "workingDir": "/",
                "resources": {"requests": requests, "limits": limits},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": security_context(settings.privileged),
                "volumeMounts": [{"name": "probe", "mountPath": "/procmon", "readOnly": true}],
            }],
            "volumes": [{"name": "probe", "configMap": {"name": identity.config_map, "defaultMode": 0o555}}],
        },
    });
    serde_json::from_value(value).context("cannot describe the probe's pod")
}

/// Privileged, or the four capabilities that a capture needs.
fn security_context(privileged: bool) -> Value {
    if privileged {
        return json!({"privileged": true, "runAsUser": 0, "runAsNonRoot": false, "readOnlyRootFilesystem": true});
    }
    json!({
        "privileged": false,
        "runAsUser": 0,
        "runAsNonRoot": false,
        "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false,
        "seccompProfile": {"type": "Unconfined"},
        "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"]},
    })
}

#[cfg(test)]
mod tests {
    use super::parse_sizes;

    #[test]
    fn sizes_are_pairs() {
        let sizes = parse_sizes("cpu=10m,memory=32Mi").unwrap_or_default();
        assert_eq!(sizes.get("memory").map(String::as_str), Some("32Mi"));
        assert!(parse_sizes("10m").is_err());
    }
}

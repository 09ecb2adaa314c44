//! The probe's pod, field by field.

use crate::cluster::node::NodeTarget;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Name of the container that runs the probe.
pub(crate) const CONTAINER: &str = "procmon";

/// The user's decisions about the probe's pod.
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

/// The identity of one pod, and of what it belongs to.
pub(crate) struct Identity<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) labels: Value,
    pub(crate) owner: Value,
    pub(crate) config_map: &'a str,
    pub(crate) deadline: u64,
    pub(crate) expires: &'a str,
}

/// The pod for one node.
pub(crate) fn pod(
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
        // Loading the programs takes most of a second of computing, once, at the beginning.
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
    for (name, value) in KEEP_AWAY_LABELS {
        labels[name] = value.into();
    }
    let mut annotations = json!({
        "procmon/expires": identity.expires,
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
    });
    for (name, value) in KEEP_AWAY {
        annotations[name] = value.into();
    }
    let value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": identity.name,
            "namespace": identity.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [identity.owner],
        },
        "spec": {
            "nodeName": node.name,
            "hostPID": true,
            "dnsPolicy": "Default",
            "restartPolicy": "Never",
            "activeDeadlineSeconds": identity.deadline,
            "terminationGracePeriodSeconds": 10,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{"operator": "Exists"}],
            "imagePullSecrets": pull_secrets,
            "securityContext": {"runAsNonRoot": false, "runAsUser": 0, "runAsGroup": 0},
            "containers": [{
                "name": CONTAINER,
                "image": image,
                "imagePullPolicy": pull_policy,
                "command": ["/procmon/probe", request],
                "workingDir": "/",
                "resources": {"requests": requests, "limits": limits},
                // The other policy copies the end of the log, which are frames, into the pod's
                // status. The probe never writes the file that this one reads.
                "terminationMessagePolicy": "File",
                "securityContext": security_context(settings.privileged, node),
                "volumeMounts": [{"name": "probe", "mountPath": "/procmon", "readOnly": true}],
            }],
            "volumes": [{"name": "probe", "configMap": {"name": identity.config_map, "defaultMode": 0o555}}],
        },
    });
    serde_json::from_value(value).context("cannot describe the probe's pod")
}

/// Annotations that keep others out of the pod: sidecars of meshes, and collectors of logs, which
/// would store the frames. Each is documented by the one that reads it.
const KEEP_AWAY: [(&str, &str); 11] = [
    ("sidecar.istio.io/inject", "false"),
    ("linkerd.io/inject", "disabled"),
    ("kuma.io/sidecar-injection", "disabled"),
    // Fluent Bit's filter `kubernetes` with K8S-Logging.Exclude, and what is built on it.
    ("fluentbit.io/exclude", "true"),
    // Filebeat and the Elastic Agent, autodiscovery by hints.
    ("co.elastic.logs/enabled", "false"),
    // The Datadog agent, container discovery management.
    ("ad.datadoghq.com/logs_exclude", "true"),
    // Splunk's OpenTelemetry collector chart and Splunk Connect for Kubernetes.
    ("splunk.com/exclude", "true"),
    // Sumo Logic's collection for Kubernetes.
    ("sumologic.com/exclude", "true"),
    // Grafana's chart k8s-monitoring (Alloy, Loki).
    ("k8s.grafana.com/logs.autogather", "false"),
    // The OpenTelemetry collector's receiver_creator, discovery by annotations.
    ("io.opentelemetry.discovery.logs/enabled", "false"),
    // Vector's source `kubernetes_logs`, by container.
    ("vector.dev/exclude-containers", CONTAINER),
];

/// Labels of the same purpose, for those that read labels.
const KEEP_AWAY_LABELS: [(&str, &str); 2] = [
    ("sidecar.istio.io/inject", "false"),
    // Vector's source `kubernetes_logs`, by pod.
    ("vector.dev/exclude", "true"),
];

/// Capabilities without which a capture is not whole:
/// - `BPF`: maps and programs; `PERFMON`: tracing programs, kprobes, perf events;
/// - `SYS_PTRACE`: `/proc/PID/{exe,root,ns}` of the target's processes;
/// - `DAC_READ_SEARCH`: names below folders that only their owner may search;
/// - for names that are asked of resolvers: `SYS_ADMIN` to enter the target's network namespaces,
///   `NET_RAW` for the packet sockets there.
pub(crate) const CAPABILITIES: [&str; 6] = [
    "BPF",
    "PERFMON",
    "SYS_PTRACE",
    "DAC_READ_SEARCH",
    "SYS_ADMIN",
    "NET_RAW",
];

/// Privileged on request, else the capabilities that a capture needs. The profiles of AppArmor and types
/// of SELinux that runtimes give by default refuse reads of other containers, so that none applies.
fn security_context(privileged: bool, node: &NodeTarget) -> Value {
    // The type `spc_t` does not exist on Bottlerocket, which gives `control_t` to privileged pods.
    let selinux_type = if node.os_image.starts_with("Bottlerocket") {
        "control_t"
    } else {
        "spc_t"
    };
    if privileged {
        return json!({"privileged": true, "runAsUser": 0, "runAsNonRoot": false, "readOnlyRootFilesystem": true});
    }
    json!({
        "privileged": false,
        "runAsUser": 0,
        "runAsNonRoot": false,
        "readOnlyRootFilesystem": true,
        // It adds `no_new_privs`; the probe starts with all that it needs.
        "allowPrivilegeEscalation": false,
        // The default of containerd 2.4 is enough (measured). Older defaults know neither `CAP_BPF` nor
        // newer system calls, and no profile holds a process that may trace all of the host.
        "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"},
        "seLinuxOptions": {"type": selinux_type},
        "capabilities": {"drop": ["ALL"], "add": CAPABILITIES},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(privileged: bool) -> Value {
        let identity = Identity {
            name: "procmon-s-n",
            namespace: "x",
            labels: json!({"procmon/session": "s"}),
            owner: json!({"apiVersion": "batch/v1", "kind": "Job", "name": "procmon-s", "uid": "u"}),
            config_map: "procmon-s-amd64",
            deadline: 90,
            expires: "2026-01-01T00:00:00Z",
        };
        let settings = Settings {
            privileged,
            ..Settings::default()
        };
        let pod = pod(&identity, &NodeTarget::default(), "i", "{}", &settings).unwrap_or_default();
        serde_json::to_value(pod).unwrap_or_default()
    }

    #[test]
    fn the_pod_has_what_a_capture_needs_and_no_more() {
        let pod = spec(false);
        assert_eq!(pod["spec"]["hostNetwork"], Value::Null);
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["terminationMessagePolicy"], "File");
        let context = &container["securityContext"];
        assert_eq!(context["privileged"], false);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(context["capabilities"]["add"], json!(CAPABILITIES));
    }

    #[test]
    fn a_privileged_pod_is_one_on_request_only_and_never_in_the_hosts_network() {
        let pod = spec(true);
        assert_eq!(pod["spec"]["hostNetwork"], Value::Null);
        assert_eq!(
            pod["spec"]["containers"][0]["securityContext"]["privileged"],
            true
        );
    }

    #[test]
    fn collectors_of_logs_are_told_to_keep_away() {
        let pod = spec(false);
        for (name, value) in KEEP_AWAY {
            assert_eq!(pod["metadata"]["annotations"][name], value, "{name}");
        }
        assert_eq!(pod["metadata"]["labels"]["vector.dev/exclude"], "true");
    }

    #[test]
    fn sizes_are_pairs() {
        let sizes = parse_sizes("cpu=10m,memory=32Mi").unwrap_or_default();
        assert_eq!(sizes.get("memory").map(String::as_str), Some("32Mi"));
        assert!(parse_sizes("10m").is_err());
    }
}

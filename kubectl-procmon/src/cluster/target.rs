//! From TARGET, as the user names it, to its pods.

use super::carrier::other;
use super::containers::{self, Role};
use super::errors::explain;
use crate::hint::advised;
use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::{Api, Client};
use procmon_profile::model::Target;
use procmon_profile::text::Text;
use std::collections::BTreeSet;

/// A target as a user names it.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// `kind/name`, or `kind` and `name`.
    pub(crate) words: Vec<String>,
    pub(crate) selector: Option<String>,
    pub(crate) container: Option<String>,
}

/// A target as the cluster has it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) target: Target,
    /// Running pods, without those that other sessions made.
    pub(super) pods: Vec<Pod>,
    /// Notes for the document about how they were found.
    pub(super) notes: Vec<String>,
}

/// Kinds and their other names.
const KINDS: [(&str, &[&str]); 7] = [
    ("Pod", &["pod", "pods", "po"]),
    ("Deployment", &["deployment", "deployments", "deploy"]),
    ("StatefulSet", &["statefulset", "statefulsets", "sts"]),
    ("DaemonSet", &["daemonset", "daemonsets", "ds"]),
    ("ReplicaSet", &["replicaset", "replicasets", "rs"]),
    ("Job", &["job", "jobs"]),
    ("Node", &["node", "nodes", "no"]),
];

/// Kind and name of `kind/name` or `kind name`; a single word is a pod's name.
fn parse(target: &[String]) -> Result<(&'static str, String)> {
    let (kind, name) = match target {
        [one] => one.split_once('/').unwrap_or(("pod", one)),
        [kind, name] => (kind.as_str(), name.as_str()),
        _ => {
            return Err(advised(
                "the target is not clear",
                "name it as `deploy/web` or `deploy web`",
            ));
        }
    };
    let wanted = kind.to_ascii_lowercase();
    let wanted = wanted.split('.').next().unwrap_or_default();
    let known = KINDS
        .iter()
        .find(|(_, names)| names.contains(&wanted))
        .map(|(kind, _)| *kind);
    let Some(kind) = known else {
        return Err(advised(
            format!("`{kind}` is no kind that can be profiled"),
            "name a pod, deployment, statefulset, daemonset, replicaset, job or node, as in `deploy/web`",
        ));
    };
    if name.is_empty() {
        return Err(advised(
            "the target has no name",
            "name it as `deploy/web`, or give labels with `-l`",
        ));
    }
    Ok((kind, name.to_owned()))
}

/// The target as the document names it, and all pods that it has.
async fn resolve(client: &Client, namespace: &str, wanted: &Wanted) -> Result<(Target, Vec<Pod>)> {
    Ok(match (&wanted.selector, wanted.words.as_slice()) {
        (Some(selector), []) => {
            let target = Target {
                kind: "Pod".into(),
                name: selector.clone().into(),
                namespace: Some(namespace.into()),
                selector: Some(selector.clone().into()),
                container: wanted.container.clone().map(Text::from),
            };
            (
                target,
                list(
                    client,
                    Some(namespace),
                    ListParams::default().labels(selector),
                )
                .await?,
            )
        }
        (Some(_), _) => {
            return Err(advised(
                "both a name and a selector are given",
                "use one of them",
            ));
        }
        (None, []) => {
            return Err(advised(
                "nothing to profile is named",
                "name a target as `deploy/web`, labels with `-l`, or something on this machine with `--local`",
            ));
        }
        (None, words) => {
            let (kind, name) = parse(words)?;
            let found = pods_of(client, namespace, kind, &name).await?;
            let target = Target {
                kind: kind.into(),
                name: name.into(),
                namespace: (kind != "Node").then(|| namespace.into()),
                selector: None,
                container: wanted.container.clone().map(Text::from),
            };
            (target, found)
        }
    })
}

/// Finds the running pods that the user names.
pub(super) async fn find(client: &Client, namespace: &str, wanted: &Wanted) -> Result<Found> {
    let (target, mut pods) = resolve(client, namespace, wanted).await?;
    pods.retain(is_running);
    let notes = other::leave_out(client, &mut pods).await;
    if pods.is_empty() {
        return Err(advised(
            match &target.selector {
                Some(labels) => format!("no running pod has the labels `{labels}`"),
                None => format!(
                    "no running pod belongs to {} `{}`",
                    target.kind.to_lowercase(),
                    target.name
                ),
            },
            "look at `kubectl get pods`: a pod must be Running to be profiled",
        ));
    }
    check_container(&pods, wanted.container.as_deref())?;
    Ok(Found {
        target,
        pods,
        notes,
    })
}

fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.and_then(|status| status.phase.as_deref()) == Some("Running")
        && pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some())
}

async fn list(client: &Client, namespace: Option<&str>, params: ListParams) -> Result<Vec<Pod>> {
    let api: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let list = api
        .list(&params)
        .await
        .map_err(explain)
        .context("cannot list pods")?;
    Ok(list.items)
}

/// The pods of a named object.
async fn pods_of(client: &Client, namespace: &str, kind: &str, name: &str) -> Result<Vec<Pod>> {
    let absent = || match kind {
        "Node" => format!("cannot find node `{name}`"),
        _ => format!(
            "cannot find {} `{name}` in namespace `{namespace}`",
            kind.to_lowercase()
        ),
    };
    macro_rules! selector {
        ($kind:ty, $spec:ident => $selector:expr) => {{
            let object = Api::<$kind>::namespaced(client.clone(), namespace)
                .get(name)
                .await
                .map_err(explain)
                .with_context(absent)?;
            let $spec = object.spec;
            $selector
        }};
    }
    let selector = match kind {
        "Pod" => {
            let pod = Api::<Pod>::namespaced(client.clone(), namespace)
                .get(name)
                .await
                .map_err(explain)
                .with_context(absent)?;
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default();
            if !is_running(&pod) {
                return Err(advised(
                    format!(
                        "pod `{name}` is {}, not Running",
                        if phase.is_empty() { "unknown" } else { &phase }
                    ),
                    "wait until it runs, or profile the workload that owns it",
                ));
            }
            return Ok(vec![pod]);
        }
        "Node" => {
            Api::<Node>::all(client.clone())
                .get(name)
                .await
                .map_err(explain)
                .with_context(absent)?;
            return list(
                client,
                None,
                ListParams::default().fields(&format!("spec.nodeName={name}")),
            )
            .await;
        }
        "Deployment" => selector!(Deployment, spec => Some(spec.selector)),
        "StatefulSet" => selector!(StatefulSet, spec => Some(spec.selector)),
        "DaemonSet" => selector!(DaemonSet, spec => Some(spec.selector)),
        "ReplicaSet" => selector!(ReplicaSet, spec => Some(spec.selector)),
        _ => selector!(Job, spec => spec.and_then(|spec| spec.selector)),
    };
    let selector = selector
        .context("it has no selector")
        .with_context(absent)?;
    list(
        client,
        Some(namespace),
        ListParams::default().labels(&labels(&selector)),
    )
    .await
}

/// A selector as the API takes it in a query.
fn labels(selector: &LabelSelector) -> String {
    let mut terms: Vec<String> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.clone().unwrap_or_default().join(",");
        terms.push(match expression.operator.as_str() {
            "In" => format!("{} in ({values})", expression.key),
            "NotIn" => format!("{} notin ({values})", expression.key),
            "Exists" => expression.key.clone(),
            _ => format!("!{}", expression.key),
        });
    }
    terms.join(",")
}

/// `-c` names a container that runs in at least one pod, or is going to.
fn check_container(pods: &[Pod], container: Option<&str>) -> Result<()> {
    let Some(wanted) = container else {
        return Ok(());
    };
    let mut names: Vec<&str> = pods.iter().flat_map(containers::names).collect();
    names.sort_unstable();
    names.dedup();
    if !names.contains(&wanted) {
        return Err(advised(
            format!("there is no container `{wanted}`"),
            format!("the target has: {}", names.join(", ")),
        ));
    }
    check_runs(pods, wanted)
}

/// Refuses a container that has ended for good: its profile would be empty.
fn check_runs(pods: &[Pod], wanted: &str) -> Result<()> {
    let mut reason = None;
    let mut running = BTreeSet::new();
    for pod in pods {
        let mut known = false;
        for (_, container) in containers::statuses(pod) {
            let state = container.state.clone().unwrap_or_default();
            if state.running.is_some() {
                running.insert(container.name.clone());
            }
            if container.name != wanted {
                continue;
            }
            known = true;
            let ended = state.terminated.as_ref();
            if state.running.is_some() || may_start(pod, wanted, ended.map(|ended| ended.exit_code))
            {
                return Ok(());
            }
            let waiting = state.waiting.and_then(|waiting| waiting.reason);
            reason = match ended {
                Some(ended) => Some(format!(
                    "terminated: {}",
                    ended.reason.as_deref().unwrap_or("Unknown")
                )),
                None => waiting.map(|waiting| format!("waiting: {waiting}")),
            };
        }
        let has_it = matches!(containers::named(pod, wanted), Some((Role::Main, _)));
        // The kubelet has not said anything yet.
        if has_it && !known {
            return Ok(());
        }
    }
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    let running: Vec<String> = running.into_iter().collect();
    Err(advised(
        format!("container `{wanted}` is not running{reason}"),
        if running.is_empty() {
            "none of the target's containers runs".to_owned()
        } else {
            format!("these run: {}", running.join(", "))
        },
    ))
}

/// A container that the kubelet starts, or starts again. `ended`: with this exit code.
fn may_start(pod: &Pod, name: &str, ended: Option<i32>) -> bool {
    match containers::named(pod, name) {
        Some((Role::Init, container)) => container.restart_policy.as_deref() == Some("Always"),
        Some(_) => {
            let policy = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.restart_policy.as_deref());
            match (ended, policy) {
                (Some(_), Some("Never")) => false,
                (Some(code), Some("OnFailure")) => code != 0,
                _ => true,
            }
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_kubectl_names_them() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, kind, name) in [
            ("web", "Pod", "web"),
            ("po/web", "Pod", "web"),
            ("deploy/web", "Deployment", "web"),
            ("deployment.apps/web", "Deployment", "web"),
            ("sts db", "StatefulSet", "db"),
            ("no/worker", "Node", "worker"),
        ] {
            assert_eq!(
                parse(&words(text)).ok(),
                Some((kind, name.to_owned())),
                "{text}"
            );
        }
        for text in ["secret/x", "deploy/", "a b c"] {
            assert!(parse(&words(text)).is_err(), "{text}");
        }
    }
}

//! Names from the API server for what a probe saw: containers, volumes and peers.

use super::containers::{self, Role};
use super::node::node_uid;
use super::peers::{Peers, name_of};
use super::plan::Plan;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Container as PodContainer, ContainerState, ContainerStatus, Node, Pod, Service,
    Volume as PodVolume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference as ApiOwner, Time};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use procmon_profile::model::{
    Container, File, Mount, MountKind, NotRunning, Origin, OwnerReference, Profile, Remote,
    SecurityContext, Volume, Workload,
};
use procmon_profile::text::Text;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

/// The cost of a kind that can't be listed.
const UNNAMED: &str = "peers have addresses only";
const OF_REPLICA_SETS: &str = "pods are named by their ReplicaSet, not by its Deployment";
const OF_JOBS: &str = "pods are named by their Job, not by its CronJob";

/// Names everything that the cluster has a name for. A missing right costs names, not the profile.
pub(super) fn enrich(cluster: &Cluster, container: Option<&str>, profile: &mut Profile) {
    profile
        .completeness
        .notes
        .extend(cluster.notes.iter().map(Text::from));
    let mut kept = Vec::new();
    for mut row in std::mem::take(&mut profile.containers) {
        let Some(known) = row
            .pod_uid
            .as_ref()
            .and_then(|uid| cluster.pods.get(uid.as_str()))
        else {
            profile.completeness.notes.push(
                format!(
                    "container `{}` belongs to a pod that is gone",
                    row.container
                )
                .into(),
            );
            kept.push(row);
            continue;
        };
        // A node tells of its own pods; the API server says which these are.
        let node = known
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_deref());
        if node != row.node.as_deref() {
            let teller = row.node.clone().unwrap_or_default();
            profile.completeness.notes.push(
                format!("node {teller}: left out, as it was not its to say: a container of a pod of another node")
                    .into(),
            );
            continue;
        }
        // The sandbox is not a container of the pod.
        let before = row
            .pod_uid
            .as_ref()
            .and_then(|uid| cluster.before.get(uid.as_str()));
        if !name_container(&mut row, known, before, cluster) {
            continue;
        }
        if container.is_none_or(|wanted| row.container == wanted) {
            kept.push(row);
        }
    }
    if let Some(wanted) = container.filter(|_| kept.is_empty()) {
        profile.completeness.notes.push(
            format!("container `{wanted}` did nothing within the window, or did not run").into(),
        );
    }
    for row in &mut kept {
        for peer in &mut row.network {
            if let Some(remote) = &mut peer.remote
                && let Some(address) = remote.address.clone()
            {
                cluster.name_peer(&address, remote);
            }
        }
    }
    profile.containers = kept;
    profile.not_running = cluster.not_running(container, &profile.containers);
}

/// Objects of the cluster, by what a probe can see of them.
pub(super) struct Cluster {
    /// Notes for the document about what could not be read.
    notes: Vec<String>,
    /// The pods of the cluster, by the UID that their node knows.
    pods: HashMap<String, Pod>,
    /// The target's pods as they were before the window.
    before: HashMap<String, Pod>,
    /// All pods that have been since the window opened, for `peers`.
    all: Vec<Pod>,
    peers: Peers,
    replica_sets: HashMap<(String, String), ApiOwner>,
    jobs: HashMap<(String, String), ApiOwner>,
}

/// Objects, and what is to be said of those that could not be read.
struct Listed<K>(Vec<K>, Option<String>);

impl<K> Listed<K> {
    fn noted(self, notes: &mut Vec<String>) -> Vec<K> {
        notes.extend(self.1);
        self.0
    }
}

/// All of a kind, or those of one namespace.
async fn list<K>(client: &Client, namespace: &str, (what, cost): (&str, &str)) -> Listed<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    K::DynamicType: Default,
{
    if let Ok(all) = Api::<K>::all(client.clone())
        .list(&ListParams::default())
        .await
    {
        return Listed(all.items, None);
    }
    if let Ok(list) = Api::<K>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await
    {
        let note = format!("no right to list {what} of all namespaces: in others {cost}");
        return Listed(list.items, Some(note));
    }
    Listed(Vec::new(), Some(format!("no right to list {what}: {cost}")))
}

fn key<K: Resource>(object: &K) -> (String, String) {
    (
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default(),
    )
}

fn controller(owners: Option<&Vec<ApiOwner>>) -> Option<ApiOwner> {
    owners?
        .iter()
        .find(|owner| owner.controller == Some(true))
        .cloned()
}

impl Cluster {
    /// Reads what there is, all kinds at once.
    pub(super) async fn read(client: &Client, plan: &Plan) -> Self {
        let namespace = plan
            .target
            .namespace
            .clone()
            .unwrap_or_else(|| plan.probe_namespace.clone().into());
        let every = ListParams::default();
        let all_nodes = Api::<Node>::all(client.clone());
        let (now, services, sets, jobs, nodes) = tokio::join!(
            list::<Pod>(client, &namespace, ("pods", UNNAMED)),
            list::<Service>(client, &namespace, ("services", UNNAMED)),
            list::<ReplicaSet>(client, &namespace, ("replicasets", OF_REPLICA_SETS)),
            list::<Job>(client, &namespace, ("jobs", OF_JOBS)),
            all_nodes.list(&every),
        );
        let mut notes = Vec::new();
        let (now, services) = (now.noted(&mut notes), services.noted(&mut notes));
        let (sets, jobs) = (sets.noted(&mut notes), jobs.noted(&mut notes));
        // Pods may have been replaced within the window: those of before are known too.
        let mut pods: HashMap<String, Pod> = HashMap::new();
        for pod in plan.pods.iter().chain(&now) {
            if let Some(uid) = node_uid(pod) {
                pods.insert(uid, pod.clone());
            }
        }
        let all: Vec<Pod> = pods.values().cloned().collect();
        let nodes = nodes.ok().map(|list| list.items);
        let mut peers = Peers::new(&all, &services, nodes.as_deref());
        notes.append(&mut peers.notes);
        let owned = |meta: (String, String), owners: Option<&Vec<ApiOwner>>| {
            controller(owners).map(|owner| (meta, owner))
        };
        Self {
            notes,
            pods,
            before: plan
                .pods
                .iter()
                .filter_map(|pod| Some((node_uid(pod)?, pod.clone())))
                .collect(),
            all,
            peers,
            replica_sets: sets
                .iter()
                .filter_map(|set| owned(key(set), set.metadata.owner_references.as_ref()))
                .collect(),
            jobs: jobs
                .iter()
                .filter_map(|job| owned(key(job), job.metadata.owner_references.as_ref()))
                .collect(),
        }
    }

    /// The topmost controller of a pod.
    fn owner(&self, pod: &Pod) -> Option<OwnerReference> {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let mut owner = controller(pod.metadata.owner_references.as_ref())?;
        let place = (namespace.clone(), owner.name.clone());
        let above = match owner.kind.as_str() {
            "ReplicaSet" => self.replica_sets.get(&place),
            "Job" => self.jobs.get(&place),
            _ => None,
        };
        if let Some(above) = above {
            owner = above.clone();
        }
        Some(OwnerReference {
            kind: owner.kind.into(),
            namespace: Some(namespace.into()),
            name: owner.name.into(),
        })
    }

    /// Containers of the target's pods that have no row.
    fn not_running(&self, wanted: Option<&str>, ran: &[Container]) -> Vec<NotRunning> {
        let ran: HashSet<(Option<&Text>, &Text)> = ran
            .iter()
            .map(|row| (row.pod_uid.as_ref(), &row.container))
            .collect();
        let mut all = Vec::new();
        for (uid, pod) in &self.before {
            // As it is after the window: it may have been started since.
            let pod = self.pods.get(uid).unwrap_or(pod);
            let pod_uid = pod.metadata.uid.as_ref().map(Text::from);
            for (role, status) in containers::statuses(pod) {
                let name = Text::from(&status.name);
                let is_asked = wanted.is_none_or(|wanted| name == wanted);
                let has_row = ran.contains(&(pod_uid.as_ref(), &name));
                if is_asked && !has_row && role != Role::Debug {
                    all.extend(not_running(pod, status, role == Role::Init));
                }
            }
        }
        all.sort_by(|a, b| {
            let key = |row: &NotRunning| {
                (
                    row.namespace.clone(),
                    row.pod.clone(),
                    row.container.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        all
    }

    fn name_peer(&self, address: &str, remote: &mut Remote) {
        let peer = self.peers.find(address);
        remote.service = peer.service;
        remote.external_ip_of = peer.external;
        remote.node = peer.node.map(Text::from);
        if let Some(pod) = peer.pod.and_then(|place| self.all.get(place)) {
            let name = name_of(pod);
            remote.workload = self.owner(pod).map(|owner| Workload {
                kind: owner.kind,
                namespace: name.namespace.clone(),
                name: owner.name,
            });
            remote.pod = Some(name);
        }
    }
}

/// Tells why a container has no row, from its status. None when it has done its work, or when it runs by now.
fn not_running(pod: &Pod, status: &ContainerStatus, is_init: bool) -> Option<NotRunning> {
    let state = status.state.clone().unwrap_or_default();
    if state.running.is_some() {
        return None;
    }
    let ended = state.terminated.clone();
    if is_init && ended.as_ref().is_some_and(|ended| ended.exit_code == 0) {
        return None;
    }
    let last = status
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.clone());
    let last = ended.clone().or(last);
    let waiting = state.waiting.unwrap_or_default();
    let reason = waiting
        .reason
        .clone()
        .or_else(|| ended.and_then(|ended| ended.reason))
        .unwrap_or_else(|| "Waiting".to_owned());
    let ended_at = last.as_ref().and_then(|last| last.finished_at.clone());
    let back_off = waiting.message.as_deref().and_then(back_off);
    let starts_at = ended_at
        .as_ref()
        .zip(back_off)
        .and_then(|(ended, wait)| ended.0.checked_add(wait).ok());
    Some(NotRunning {
        namespace: pod.metadata.namespace.clone().unwrap_or_default().into(),
        pod: pod.metadata.name.clone().unwrap_or_default().into(),
        container: status.name.clone().into(),
        reason: reason.into(),
        message: waiting.message.map(Text::from),
        restarts: u64::try_from(status.restart_count).ok(),
        exit_code: last.map(|last| last.exit_code),
        ended_at: ended_at.map(|time| time.0.to_string().into()),
        starts_at: starts_at.map(|time| time.to_string().into()),
    })
}

/// How long the kubelet waits after the end of the last run, from its text
/// `back-off 2m40s restarting failed container=…`.
fn back_off(message: &str) -> Option<Duration> {
    let wait = message.strip_prefix("back-off ")?.split(' ').next()?;
    let seconds = crate::duration::parse(wait).ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// One run of a container that may have been started again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Instance {
    started_at: Option<String>,
    ended_at: Option<String>,
    restarts: Option<u64>,
}

/// The run with this id, as a container's status has it.
fn instance(status: &ContainerStatus, id: &str) -> Option<Instance> {
    let is_it =
        |other: Option<&String>| other.is_some_and(|other| other.split("://").nth(1) == Some(id));
    let text = |time: Option<&Time>| time.map(|time| time.0.to_string());
    let restarts = u64::try_from(status.restart_count).ok();
    let state = |state: Option<&ContainerState>| {
        let state = state.cloned().unwrap_or_default();
        let ended = state.terminated.unwrap_or_default();
        Instance {
            started_at: text(
                state
                    .running
                    .and_then(|running| running.started_at)
                    .or(ended.started_at)
                    .as_ref(),
            ),
            ended_at: text(ended.finished_at.as_ref()),
            restarts,
        }
    };
    if is_it(status.container_id.as_ref()) {
        return Some(state(status.state.as_ref()));
    }
    let last = status.last_state.as_ref();
    let ended = last.and_then(|last| last.terminated.as_ref())?;
    is_it(ended.container_id.as_ref()).then(|| Instance {
        restarts: restarts.map(|restarts| restarts.saturating_sub(1)),
        ..state(last)
    })
}

/// The container of a pod that has or had this id.
fn find_container<'a>(pod: &'a Pod, id: &str) -> Option<(Role, &'a ContainerStatus, Instance)> {
    containers::statuses(pod).find_map(|(role, status)| Some((role, status, instance(status, id)?)))
}

/// Fills in who a container is. False for the pod's sandbox.
fn name_container(row: &mut Container, pod: &Pod, before: Option<&Pod>, cluster: &Cluster) -> bool {
    let id = row.container_id.clone().unwrap_or_default();
    // A run that was followed by several others is known only from before.
    let found = find_container(pod, &id).or_else(|| find_container(before?, &id));
    let Some((role, found, instance)) = found else {
        return false;
    };
    row.container = found.name.clone().into();
    row.namespace = pod.metadata.namespace.clone().map(Text::from);
    row.pod = pod.metadata.name.clone().map(Text::from);
    row.pod_uid = pod.metadata.uid.clone().map(Text::from);
    row.restarts = instance.restarts;
    row.ended_at = instance.ended_at.map(Into::into);
    row.image_id = Some(Text::from(&found.image_id)).filter(|id| !id.is_empty());
    row.image_digest = found
        .image_id
        .rsplit('@')
        .next()
        .filter(|digest| digest.starts_with("sha256:"))
        .map(Text::from);
    row.owner = cluster.owner(pod);
    row.started_at = row
        .started_at
        .take()
        .or(instance.started_at.map(Into::into));
    let named = containers::named(pod, &found.name).map(|(_, container)| container);
    row.image = named
        .and_then(|container| container.image.clone())
        .or_else(|| Some(found.image.clone()))
        .map(Text::from);
    if let Some(container) = named {
        let context = security_context(pod, container);
        for file in &mut row.files {
            name_mount(file, &context.volumes);
        }
        row.security_context = Some(context);
    }
    if role == Role::Debug {
        for process in &mut row.processes {
            process.origin = Origin::Debug;
        }
    }
    true
}

/// The rights that the pod grants; the container's settings win over the pod's.
fn security_context(pod: &Pod, container: &PodContainer) -> SecurityContext {
    let spec = pod.spec.clone().unwrap_or_default();
    let of_pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let list = |sign: &str, names: Option<Vec<String>>| {
        names
            .into_iter()
            .flatten()
            .map(|name| Text::from(format!("{sign}{name}")))
            .collect::<Vec<_>>()
    };
    let profile = |kind: String, file: Option<String>| {
        Text::from(file.map_or_else(|| kind.clone(), |file| format!("{kind}/{file}")))
    };
    SecurityContext {
        privileged: own.privileged.unwrap_or(false),
        user: own.run_as_user.or(of_pod.run_as_user),
        capabilities: [list("+", capabilities.add), list("-", capabilities.drop)].concat(),
        seccomp: own
            .seccomp_profile
            .or(of_pod.seccomp_profile)
            .map(|seccomp| profile(seccomp.type_, seccomp.localhost_profile)),
        apparmor: own
            .app_armor_profile
            .or(of_pod.app_armor_profile)
            .map(|apparmor| profile(apparmor.type_, apparmor.localhost_profile)),
        read_only_root_filesystem: own.read_only_root_filesystem.unwrap_or(false),
        host_network: spec.host_network.unwrap_or(false),
        host_pid: spec.host_pid.unwrap_or(false),
        volumes: container
            .volume_mounts
            .iter()
            .flatten()
            .map(|mount| {
                let volume = spec
                    .volumes
                    .iter()
                    .flatten()
                    .find(|volume| volume.name == mount.name);
                let (kind, source) = volume.map_or(("unknown", None), kind_of);
                let sub_path = match &mount.sub_path_expr {
                    Some(expression) => Some(expanded(expression, pod, container)),
                    None => mount.sub_path.clone(),
                };
                Volume {
                    name: mount.name.clone().into(),
                    kind: kind.to_owned().into(),
                    mount_path: mount.mount_path.clone().into(),
                    source: source.map(Text::from),
                    sub_path: sub_path.map(Text::from),
                    read_only: mount.read_only.unwrap_or(false),
                }
            })
            .collect(),
    }
}

/// Replaces `$(NAME)` by the value of a container's variable where the API tells it. `$$` is one `$`, as
/// the kubelet has it.
fn expanded(text: &str, pod: &Pod, container: &PodContainer) -> String {
    let mut known: HashMap<&str, String> = HashMap::new();
    for variable in container.env.iter().flatten() {
        let of_pod = variable
            .value_from
            .as_ref()
            .and_then(|source| field(pod, &source.field_ref.as_ref()?.field_path));
        let value = variable.value.as_ref().map(|value| replaced(value, &known));
        if let Some(value) = value.or(of_pod) {
            known.insert(&variable.name, value);
        }
    }
    replaced(text, &known)
}

fn replaced(text: &str, known: &HashMap<&str, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let variable = rest
            .strip_prefix("$(")
            .and_then(|name| name.split_once(')'));
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = variable {
            match known.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&rest[..rest.len() - after.len()]),
            }
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// The value of a field of the pod that a variable of the environment may refer to. None for other fields.
fn field(pod: &Pod, path: &str) -> Option<String> {
    let quoted = |name: &str| -> Option<String> {
        let rest = path.strip_prefix(name)?.strip_prefix("['")?;
        Some(rest.strip_suffix("']")?.to_owned())
    };
    let meta = &pod.metadata;
    if let Some(name) = quoted("metadata.labels") {
        return meta.labels.as_ref()?.get(&name).cloned();
    }
    if let Some(name) = quoted("metadata.annotations") {
        return meta.annotations.as_ref()?.get(&name).cloned();
    }
    let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
    match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => node_uid(pod),
        "spec.nodeName" => spec?.node_name.clone(),
        "spec.serviceAccountName" => spec?.service_account_name.clone(),
        "status.hostIP" => status?.host_ip.clone(),
        "status.podIP" => status?.pod_ip.clone(),
        _ => None,
    }
}

/// Kind of a volume, as the API names it, and what it shows.
fn kind_of(volume: &PodVolume) -> (&'static str, Option<String>) {
    if let Some(source) = &volume.config_map {
        ("configMap", Some(source.name.clone()))
    } else if let Some(source) = &volume.secret {
        ("secret", source.secret_name.clone())
    } else if volume.projected.is_some() {
        ("projected", None)
    } else if volume.empty_dir.is_some() {
        ("emptyDir", None)
    } else if let Some(source) = &volume.persistent_volume_claim {
        ("persistentVolumeClaim", Some(source.claim_name.clone()))
    } else if let Some(source) = &volume.host_path {
        ("hostPath", Some(source.path.clone()))
    } else if volume.downward_api.is_some() {
        ("downwardAPI", None)
    } else {
        ("other", None)
    }
}

/// Names the volume that a file lies on, by the longest mount path that leads to it.
fn name_mount(file: &mut File, volumes: &[Volume]) {
    let leads = |volume: &&Volume| {
        let path = volume.mount_path.trim_end_matches('/');
        file.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(volume) = volumes
        .iter()
        .filter(leads)
        .max_by_key(|volume| volume.mount_path.len())
    else {
        return;
    };
    let kind = match volume.kind.as_str() {
        "configMap" => MountKind::ConfigMap,
        "secret" => MountKind::Secret,
        "projected" | "downwardAPI" => MountKind::Projected,
        "emptyDir" => MountKind::EmptyDir,
        "persistentVolumeClaim" => MountKind::Pvc,
        "hostPath" => MountKind::HostPath,
        _ => return,
    };
    let is_host = kind == MountKind::HostPath;
    file.mount = Some(Mount {
        kind,
        source: volume.source.clone().or_else(|| Some(volume.name.clone())),
        host_path: is_host
            .then(|| {
                let rest = file
                    .path
                    .strip_prefix(volume.mount_path.trim_end_matches('/'))
                    .unwrap_or_default();
                let source = volume.source.as_ref()?.trim_end_matches('/');
                let part = match volume.sub_path.as_deref() {
                    // The value of the variable is not known, so the file is not known.
                    Some(part) if part.contains("$(") => return None,
                    Some(part) => format!("/{}", part.trim_matches('/')),
                    None => String::new(),
                };
                Some(format!("{source}{part}{rest}").into())
            })
            .flatten(),
    });
    file.host_resource = Some(is_host);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_between_two_starts_says_when_the_next_one_is() {
        let pod = Pod::default();
        let status: ContainerStatus = serde_json::from_value(json!({
            "name": "main", "image": "i", "imageID": "", "ready": false, "restartCount": 4,
            "state": {"waiting": {
                "reason": "CrashLoopBackOff",
                "message": "back-off 1m20s restarting failed container=main pod=web_shop(u)",
            }},
            "lastState": {"terminated": {
                "exitCode": 3, "startedAt": "2026-01-01T10:00:00Z", "finishedAt": "2026-01-01T10:00:01Z",
            }},
        }))
        .unwrap_or_default();
        let row = not_running(&pod, &status, false).unwrap_or_default();
        assert_eq!(
            (row.reason.as_str(), row.restarts, row.exit_code),
            ("CrashLoopBackOff", Some(4), Some(3))
        );
        assert_eq!(row.ended_at.as_deref(), Some("2026-01-01T10:00:01Z"));
        assert_eq!(row.starts_at.as_deref(), Some("2026-01-01T10:01:21Z"));
    }

    #[test]
    fn a_volumes_part_is_named_as_the_kubelet_expands_it() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": []},
        }))
        .unwrap_or_default();
        let container: PodContainer = serde_json::from_value(json!({
            "name": "main",
            "env": [
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "BOTH", "value": "$(APP)-$(POD)"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
        }))
        .unwrap_or_default();
        for (expression, expected) in [
            ("$(POD)/logs", "web-0/logs"),
            ("$(BOTH)", "web-web-0"),
            ("$$(POD)", "$(POD)"),
            ("$(SECRET)/x", "$(SECRET)/x"),
            ("a$b", "a$b"),
            ("$(", "$("),
        ] {
            assert_eq!(
                expanded(expression, &pod, &container),
                expected,
                "{expression}"
            );
        }
    }

    #[test]
    fn each_run_of_a_container_has_times_of_its_own() {
        let status: ContainerStatus = serde_json::from_value(json!({
            "name": "main", "image": "i", "imageID": "", "ready": true, "restartCount": 3,
            "containerID": "containerd://new",
            "state": {"running": {"startedAt": "2026-01-01T10:00:09Z"}},
            "lastState": {"terminated": {
                "containerID": "containerd://old", "exitCode": 1,
                "startedAt": "2026-01-01T10:00:01Z", "finishedAt": "2026-01-01T10:00:08Z",
            }},
        }))
        .unwrap_or_default();
        let check = |id: &str, expected: Option<(&str, Option<&str>, u64)>| {
            let expected = expected.map(|(started, ended, restarts)| Instance {
                started_at: Some(format!("2026-01-01T{started}Z")),
                ended_at: ended.map(|ended| format!("2026-01-01T{ended}Z")),
                restarts: Some(restarts),
            });
            assert_eq!(instance(&status, id), expected, "{id}");
        };
        check("new", Some(("10:00:09", None, 3)));
        check("old", Some(("10:00:01", Some("10:00:08"), 2)));
        check("sandbox", None);
    }
}

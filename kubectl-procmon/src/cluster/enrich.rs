//! What the API server knows of what a probe saw: names of containers, volumes and peers.

use super::peers::{Peers, name_of};
use super::target::Plan;
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
    Container, File, Mount, MountKind, Origin, OwnerReference, Profile, Remote, SecurityContext,
    Volume, Workload,
};
use procmon_profile::text::Text;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;

/// What it costs when something can't be listed.
const UNNAMED: &str = "peers have addresses only";
const OF_REPLICA_SETS: &str = "pods are named by their ReplicaSet, not by its Deployment";
const OF_JOBS: &str = "pods are named by their Job, not by its CronJob";

/// Names everything that the cluster has a name for. A right that lacks costs names, not the profile.
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
        // The sandbox is no container of the pod.
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
}

/// What the cluster has, by what a probe can see.
pub(super) struct Cluster {
    /// What could not be read, for the document.
    notes: Vec<String>,
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
            if let Some(uid) = &pod.metadata.uid {
                pods.insert(uid.clone(), pod.clone());
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
                .filter_map(|pod| Some((pod.metadata.uid.clone()?, pod.clone())))
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

/// The container of a pod that has or had this id, and whether it is one for debugging.
fn find_container(pod: &Pod, id: &str) -> Option<(ContainerStatus, Instance, bool)> {
    let status = pod.status.as_ref()?;
    let find = |all: Option<&Vec<ContainerStatus>>, debug| {
        all.into_iter()
            .flatten()
            .find_map(|container| Some((container.clone(), instance(container, id)?, debug)))
    };
    find(status.container_statuses.as_ref(), false)
        .or_else(|| find(status.init_container_statuses.as_ref(), false))
        .or_else(|| find(status.ephemeral_container_statuses.as_ref(), true))
}

/// Fills in who a container is. False for the pod's sandbox.
fn name_container(row: &mut Container, pod: &Pod, before: Option<&Pod>, cluster: &Cluster) -> bool {
    let spec = pod.spec.clone().unwrap_or_default();
    let id = row.container_id.clone().unwrap_or_default();
    // What was started again several times is known only from before.
    let found = find_container(pod, &id).or_else(|| find_container(before?, &id));
    let Some((found, instance, debug)) = found else {
        return false;
    };
    row.container = found.name.clone().into();
    row.namespace = pod.metadata.namespace.clone().map(Text::from);
    row.pod = pod.metadata.name.clone().map(Text::from);
    row.restarts = instance.restarts;
    row.ended_at = instance.ended_at.map(Text::from);
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
        .or(instance.started_at.map(Text::from));
    let named = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .find(|container| container.name == found.name);
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
    if debug {
        for process in &mut row.processes {
            process.origin = Origin::Debug;
        }
    }
    true
}

/// What the pod grants, container over pod.
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
                Volume {
                    name: mount.name.clone().into(),
                    kind: kind.to_owned().into(),
                    mount_path: mount.mount_path.clone().into(),
                    source: source.map(Text::from),
                    read_only: mount.read_only.unwrap_or(false),
                }
            })
            .collect(),
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
                volume
                    .source
                    .as_ref()
                    .map(|source| format!("{}{rest}", source.trim_end_matches('/')).into())
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

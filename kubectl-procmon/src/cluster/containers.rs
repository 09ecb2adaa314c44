//! The containers of a pod: three lists in its spec and three in its status, read as one.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

/// The purpose of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It does the pod's work.
    Main,
    /// It prepares the others, or runs beside them as a sidecar.
    Init,
    /// It was put into the running pod, to debug it.
    Debug,
}

/// The status of each container, as the kubelet tells it.
pub(super) fn statuses(pod: &Pod) -> impl Iterator<Item = (Role, &ContainerStatus)> {
    pod.status.iter().flat_map(|status| {
        [
            (Role::Main, &status.container_statuses),
            (Role::Init, &status.init_container_statuses),
            (Role::Debug, &status.ephemeral_container_statuses),
        ]
        .into_iter()
        .flat_map(|(role, list)| list.iter().flatten().map(move |status| (role, status)))
    })
}

/// The containers that the pod was made with: those of a debugger are not among them.
pub(super) fn specified(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    pod.spec.iter().flat_map(|spec| {
        let main = spec.containers.iter().map(|each| (Role::Main, each));
        let init = spec.init_containers.iter().flatten();
        main.chain(init.map(|each| (Role::Init, each)))
    })
}

/// The container of this name that the pod was made with.
pub(super) fn named<'a>(pod: &'a Pod, name: &str) -> Option<(Role, &'a Container)> {
    specified(pod).find(|(_, container)| container.name == name)
}

/// Names of all containers that the pod has.
pub(super) fn names(pod: &Pod) -> impl Iterator<Item = &str> {
    let added = pod.spec.iter().flat_map(|spec| {
        let all = spec.ephemeral_containers.iter().flatten();
        all.map(|container| container.name.as_str())
    });
    specified(pod)
        .map(|(_, container)| container.name.as_str())
        .chain(added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_is_found_in_each_of_the_lists() {
        let status = |name: &str| json!({"name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0});
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {},
            "spec": {
                "containers": [{"name": "web"}],
                "initContainers": [{"name": "prepare"}],
                "ephemeralContainers": [{"name": "shell"}],
            },
            "status": {
                "containerStatuses": [status("web")],
                "initContainerStatuses": [status("prepare")],
                "ephemeralContainerStatuses": [status("shell")],
            },
        }))
        .unwrap_or_default();
        let seen: Vec<_> = statuses(&pod)
            .map(|(role, status)| (role, status.name.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (Role::Main, "web"),
                (Role::Init, "prepare"),
                (Role::Debug, "shell")
            ]
        );
        assert_eq!(names(&pod).collect::<Vec<_>>(), ["web", "prepare", "shell"]);
        for (name, expected) in [
            ("web", Some(Role::Main)),
            ("prepare", Some(Role::Init)),
            ("shell", None),
        ] {
            assert_eq!(named(&pod, name).map(|(role, _)| role), expected, "{name}");
        }
    }
}

//! The state of the container that runs the probe, and what it means for the capture. Pure: the cases
//! need no cluster.

use super::manifest::CONTAINER;
use crate::cluster::containers;
use crate::hint::advised;
use k8s_openapi::api::core::v1::Pod;

/// The state of a probe's container and of its pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    phase: String,
    running: bool,
    /// Reason and message of a container that waits.
    waiting: Option<CannotStart>,
    /// Exit code, reason and message of a container that ended.
    ended: Option<(i32, CannotStart)>,
    /// Reason and message of the pod.
    pod: CannotStart,
    gone: bool,
}

/// The meaning of a state for the reader of the probe's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is decided yet.
    Waiting,
    /// The container started: its log can be read.
    Started,
    /// No container can be made of the image; another image may do.
    Unusable(CannotStart),
    /// The pod cannot start on its node.
    Failed(CannotStart),
    /// The pod was deleted, and not by this session.
    Deleted,
}

/// Why a pod can't start, in Kubernetes' words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CannotStart {
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl State {
    /// The state that a pod's status tells; `gone`: the pod was deleted.
    pub(crate) fn of(pod: &Pod, gone: bool) -> Self {
        let why = |reason: Option<String>, message: Option<String>| CannotStart {
            reason: reason.unwrap_or_default(),
            message: message.unwrap_or_default(),
        };
        let container = containers::statuses(pod)
            .find(|(_, status)| status.name == CONTAINER)
            .and_then(|(_, status)| status.state.clone())
            .unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        Self {
            phase: status.phase.unwrap_or_default(),
            running: container.running.is_some(),
            waiting: container
                .waiting
                .map(|waiting| why(waiting.reason, waiting.message)),
            ended: container
                .terminated
                .map(|ended| (ended.exit_code, why(ended.reason, ended.message))),
            pod: why(status.reason, status.message),
            gone,
        }
    }

    /// Says what the state means for one that waits for the probe's start.
    pub(crate) fn verdict(&self) -> Verdict {
        let ended = self.ended.as_ref().map(|(_, why)| why);
        if self.running || ended.is_some_and(|why| !why.is_failed_start()) {
            return Verdict::Started;
        }
        let failed = self.waiting.as_ref().filter(|why| why.is_failed_creation());
        if let Some(why) = ended.or(failed) {
            return Verdict::Unusable(why.clone());
        }
        if self.phase == "Failed" {
            return Verdict::Failed(self.pod.clone());
        }
        if self.gone {
            return Verdict::Deleted;
        }
        Verdict::Waiting
    }

    /// The container writes nothing any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.is_some() || self.gone || self.phase == "Failed"
    }

    /// Exit code and reason of a container that ended; 0 and nothing where they are not known.
    pub(crate) fn exit(&self) -> (i32, &str) {
        self.ended
            .as_ref()
            .map_or((0, ""), |(code, why)| (*code, &why.reason))
    }
}

impl CannotStart {
    /// A container that ended never ran its program.
    fn is_failed_start(&self) -> bool {
        matches!(self.reason.as_str(), "StartError" | "ContainerCannotRun")
    }

    /// A container that waits can't be made. The other reasons, `ContainerCreating` and
    /// `PodInitializing`, pass.
    fn is_failed_creation(&self) -> bool {
        self.reason.starts_with("ErrImage")
            || self.reason.ends_with("Error")
            || self.reason.ends_with("BackOff")
            || matches!(
                self.reason.as_str(),
                "InvalidImageName" | "ImageInspectError" | "RegistryUnavailable"
            )
    }

    /// The error that ends the wait.
    pub(crate) fn error(&self) -> anyhow::Error {
        let Self { reason, message } = self;
        advised(
            format!("the probe's pod can't start: {reason}: {message}"),
            self.hint(),
        )
    }

    /// Advice to the user.
    pub(crate) fn hint(&self) -> &'static str {
        match self.reason.as_str() {
            "OutOfcpu" | "OutOfmemory" => {
                "the node is full: ask for less with `--requests cpu=1m,memory=16Mi`"
            }
            "OutOfpods" => "the node has its full number of pods: free one",
            "NodeAffinity" => {
                "the namespace or a policy adds a node selector: use another with `--probe-namespace`"
            }
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => {
                "name an image that the node can pull with `--image`"
            }
            "CreateContainerConfigError" => {
                "a policy of the cluster changed the pod: see `--dry-run=server`"
            }
            "StartError" | "ContainerCannotRun" if self.message.contains("exec format error") => {
                "the node has another architecture than it reports: report this"
            }
            "StartError" | "ContainerCannotRun" | "CreateContainerError" | "RunContainerError" => {
                "where the runtime does not know the capabilities or the profiles that the pod names, `--privileged` does without them; `kubectl describe pod` says more"
            }
            _ => {
                "`kubectl describe pod` and `kubectl get events` in the probe's namespace say more"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The state of a pod whose probe's container has this state.
    fn state(phase: &str, container: &Value, gone: bool) -> State {
        let container = json!({
            "name": CONTAINER, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": container,
        });
        let status = json!({
            "phase": phase, "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu",
            "containerStatuses": [container],
        });
        let pod = serde_json::from_value(json!({"metadata": {}, "status": status}));
        State::of(&pod.unwrap_or_default(), gone)
    }

    #[test]
    fn each_state_has_its_verdict() {
        let why = |reason: &str, message: &str| CannotStart {
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let waits = |reason: &str| json!({"waiting": {"reason": reason, "message": "m"}});
        let ended =
            |reason: &str| json!({"terminated": {"exitCode": 1, "reason": reason, "message": "m"}});
        let full = why("OutOfcpu", "Node didn't have enough resource: cpu");
        for (phase, container, gone, expected) in [
            ("", json!({}), false, Verdict::Waiting),
            ("Pending", json!({}), false, Verdict::Waiting),
            (
                "Pending",
                waits("ContainerCreating"),
                false,
                Verdict::Waiting,
            ),
            ("Running", json!({"running": {}}), false, Verdict::Started),
            // A short probe may have ended before the first look.
            ("Succeeded", ended("Completed"), false, Verdict::Started),
            ("Failed", ended("Error"), false, Verdict::Started),
            ("Running", json!({"running": {}}), true, Verdict::Started),
            (
                "Failed",
                ended("StartError"),
                false,
                Verdict::Unusable(why("StartError", "m")),
            ),
            (
                "Failed",
                ended("ContainerCannotRun"),
                false,
                Verdict::Unusable(why("ContainerCannotRun", "m")),
            ),
            (
                "Pending",
                waits("ErrImageNeverPull"),
                false,
                Verdict::Unusable(why("ErrImageNeverPull", "m")),
            ),
            ("Failed", json!({}), false, Verdict::Failed(full.clone())),
            ("Failed", json!({}), true, Verdict::Failed(full)),
            ("Pending", json!({}), true, Verdict::Deleted),
            ("Pending", waits("PodInitializing"), true, Verdict::Deleted),
        ] {
            let state = state(phase, &container, gone);
            assert_eq!(state.verdict(), expected, "{phase} {container} {gone}");
        }
    }

    #[test]
    fn a_log_is_whole_once_its_container_has_ended() {
        for (phase, container, gone, expected) in [
            ("Pending", json!({}), false, None),
            ("Running", json!({"running": {}}), false, None),
            ("Running", json!({"running": {}}), true, Some((0, ""))),
            ("Failed", json!({}), false, Some((0, ""))),
            (
                "Running",
                json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
                false,
                Some((137, "OOMKilled")),
            ),
        ] {
            let state = state(phase, &container, gone);
            let exit = state.is_ended().then(|| state.exit());
            assert_eq!(exit, expected, "{phase} {container} {gone}");
        }
    }

    #[test]
    fn what_waits_for_its_container_is_told_from_what_cannot_have_one() {
        let is_failure = |reason: &str| {
            let reason = reason.to_owned();
            let message = String::new();
            CannotStart { reason, message }.is_failed_creation()
        };
        for reason in [
            "ErrImageNeverPull",
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "CreateContainerConfigError",
            "CreateContainerError",
            "RunContainerError",
            "PreCreateHookError",
            "PostStartHookError",
            "CrashLoopBackOff",
        ] {
            assert!(is_failure(reason), "{reason}");
        }
        for reason in ["ContainerCreating", "PodInitializing", ""] {
            assert!(!is_failure(reason), "{reason}");
        }
    }
}

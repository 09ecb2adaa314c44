//! Programs that run as containers do, all in one window: each has a cgroup as the kubelet makes them, a
//! root of its own, namespaces of its own, and a network that ends at itself.

use crate::capture;
use crate::process;
use procmon_profile::wire::TargetSpec;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Windows of this process so far: each has cgroups of its own.
static WINDOWS: AtomicUsize = AtomicUsize::new(0);
/// Cases of one window end within this time.
const MAX_WINDOW: Duration = Duration::from_mins(2);

/// One program to run.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The text of a shell script.
    pub script: String,
    /// Options of the sandbox, see tests/rules/sandbox.sh.
    pub options: Vec<String>,
    /// A script that enters from outside once the container runs, as kubectl exec does.
    pub enters: Option<String>,
}

/// One program that waits for its start.
struct Sandbox {
    child: Child,
    uid: String,
    cgroup: PathBuf,
    enters: Option<String>,
}

/// Runs all cases in one window. Gives the document, and for each case the place of its container there.
///
/// # Panics
/// When a sandbox or the probe can't be started, or a case does not end.
#[must_use]
pub fn run(script: &Path, cases: &[Case]) -> (Value, Vec<usize>) {
    let folder = tempfile::Builder::new()
        .prefix("procmon-sandbox-")
        .tempdir_in(disk())
        .expect("a folder");
    let window = WINDOWS.fetch_add(1, Ordering::Relaxed);
    let top = hierarchy().join(format!("procmon-test-{}-{window}", std::process::id()));
    let mut sandboxes: Vec<Sandbox> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| {
            Sandbox::start(
                script,
                &folder.path().join(number.to_string()),
                &top,
                (window << 16) + number,
                case,
            )
        })
        .collect();
    for sandbox in &mut sandboxes {
        sandbox.wait_until_ready();
    }
    let uids: Vec<String> = sandboxes
        .iter()
        .map(|sandbox| sandbox.uid.clone())
        .collect();
    let target = TargetSpec::Pods { uids: uids.clone() };
    let request = capture::request(target, Some(MAX_WINDOW.as_secs_f64()));
    let mut probe = capture::command(&procmon_profile::wire::Request {
        deadline_seconds: Some(2.0 * MAX_WINDOW.as_secs_f64()),
        ..request
    })
    .spawn()
    .expect("the probe starts");
    let id = probe.id();
    let mut waiting = Some(sandboxes);
    let mut ends = None;
    let document = capture::document(capture::stdout(&mut probe), |line| {
        if line.contains("\"progress\"")
            && let Some(mut sandboxes) = waiting.take()
        {
            for sandbox in &mut sandboxes {
                sandbox.release();
            }
            let mut entered: Vec<Child> = sandboxes.iter().filter_map(Sandbox::enter).collect();
            // The window ends when every case has ended.
            ends = Some(std::thread::spawn(move || {
                for child in &mut entered {
                    child.wait().expect("a child of ours");
                }
                for sandbox in &mut sandboxes {
                    sandbox.wait();
                }
                process::signal(id, "TERM");
                sandboxes
            }));
        }
    });
    assert!(probe.wait().expect("a child of ours").success());
    let sandboxes = ends.expect("the window opened").join().expect("cases end");
    for sandbox in &sandboxes {
        remove(&sandbox.cgroup);
        remove(sandbox.cgroup.parent().expect("the pod's"));
    }
    remove(&top.join("kubepods"));
    remove(&top);
    let containers = document["containers"].as_array().expect("a list");
    let places = uids
        .iter()
        .map(|uid| {
            let is_own = |container: &Value| container["podUID"] == uid.as_str();
            containers
                .iter()
                .position(is_own)
                .expect("each has a container")
        })
        .collect();
    (document, places)
}

impl Sandbox {
    fn start(script: &Path, folder: &Path, top: &Path, number: usize, case: &Case) -> Self {
        let uid = format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id());
        let id = format!("{:032x}{number:032x}", std::process::id());
        let cgroup = top.join("kubepods").join(format!("pod{uid}")).join(id);
        std::fs::create_dir_all(&cgroup).expect("a cgroup");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(folder.join("case"), &case.script).expect("the case");
        for option in &case.options {
            std::fs::write(folder.join(option), "").expect("a file");
        }
        let child = Command::new("sh")
            .arg(script)
            .arg(folder)
            .arg(&cgroup)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self {
            child,
            uid,
            cgroup,
            enters: case.enters.clone(),
        }
    }

    fn wait_until_ready(&mut self) {
        let mut line = String::new();
        let output = self.child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "the sandbox is not set up");
    }

    fn release(&mut self) {
        let mut input = self.child.stdin.take().expect("a pipe");
        input.write_all(b"go\n").expect("it waits");
    }

    /// Starts the script that enters the container from outside.
    fn enter(&self) -> Option<Child> {
        const ENTER: &str =
            r#"echo 0 > "$1/cgroup.procs"; exec nsenter -t "$2" -m -p -n -i -u -C sh -c "$3""#;
        let script = self.enters.as_ref()?;
        let inside = process::wait_for("a process of the container", MAX_WINDOW / 2, || {
            let tasks = std::fs::read_to_string(self.cgroup.join("cgroup.procs")).ok()?;
            tasks.lines().next().map(str::to_owned)
        });
        let child = Command::new("sh")
            .args(["-c", ENTER, "sh"])
            .arg(&self.cgroup)
            .arg(inside)
            .arg(script)
            .stdin(Stdio::null())
            .spawn();
        Some(child.expect("a shell"))
    }

    fn wait(&mut self) {
        let child = &mut self.child;
        process::wait_for("the end of a case", MAX_WINDOW / 2, || {
            child.try_wait().expect("a child of ours")
        });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It has ended already, unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder on a disk: an overlay takes no other overlay's upper layer, and memory is scarce.
fn disk() -> PathBuf {
    crate::root().join("target")
}

/// The hierarchy in which containers have cgroups: that of the probe's own choice.
fn hierarchy() -> PathBuf {
    ["/pids", "/memory", "/unified", ""]
        .map(|name| format!("/sys/fs/cgroup{name}"))
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.join("cgroup.procs").is_file())
        .expect("cgroups are mounted")
}

/// Removes a cgroup once its last task is gone.
fn remove(cgroup: &Path) {
    process::wait_for("a cgroup without tasks", Duration::from_secs(10), || {
        std::fs::remove_dir(cgroup).ok()
    });
}

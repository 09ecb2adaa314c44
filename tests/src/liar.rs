//! An API server that says what a test wants: the one thing that a real cluster can't be made to do.
//! It knows as much of Kubernetes as one session of the plugin asks for.

use procmon_profile::wire::{Frame, Hello, Packer, Part, Progress, Request, Sealer, StreamWriter};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Its answers.
#[derive(Debug)]
pub struct Lies {
    /// The objects of the cluster, by the path of their list: `/api/v1/namespaces/default/pods`, …
    pub objects: Vec<(&'static str, Vec<Value>)>,
    /// The state of a container of the probe that runs this image.
    pub state: fn(image: &str) -> Value,
    /// The log of a probe.
    pub log: Log,
    /// The fate of the ConfigMap once a probe runs.
    pub config_map: ConfigMap,
    /// Another pod has the name of the probe's as soon as its log was read.
    pub replaced_pod: bool,
    /// Objects with the session's label that the session did not make are in every list.
    pub forged: bool,
}

impl Default for Lies {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            state: |_| json!({"running": {}}),
            log: Log::Whole(|_| Vec::new()),
            config_map: ConfigMap::Kept,
            replaced_pod: false,
            forged: false,
        }
    }
}

/// The content of a probe's log.
#[derive(Debug)]
pub enum Log {
    /// A whole stream of these parts.
    Whole(fn(&Request) -> Vec<Part>),
    /// The first frame again and again.
    Repeated,
    /// Progress without an end.
    Endless,
    /// Bytes without a line feed.
    OneLine,
}

/// The fate of the probe's ConfigMap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigMap {
    /// It stays.
    Kept,
    /// Another one has its name as soon as a probe runs.
    Replaced,
    /// It is gone as soon as a probe runs.
    Gone,
    /// It can't be looked at.
    Forbidden,
}

/// One object that was made.
#[derive(Clone, Debug)]
struct Made {
    path: String,
    object: Value,
}

impl Made {
    fn is_at(&self, path: &str) -> bool {
        let name = self.object["metadata"]["name"].as_str().unwrap_or_default();
        format!("{}/{name}", self.path) == path
    }
}

#[derive(Debug, Default)]
struct State {
    made: Vec<Made>,
    calls: Vec<String>,
}

/// The server; it goes on until the test's process ends.
#[derive(Debug)]
pub struct Liar {
    port: u16,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Liar {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn new(lies: Lies) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::default());
        let (lies, shared) = (Arc::new(lies), Arc::clone(&state));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lies, state) = (Arc::clone(&lies), Arc::clone(&shared));
                std::thread::spawn(move || serve(stream, &lies, &state));
            }
        });
        Self { port, state }
    }

    /// Flags that name it.
    #[must_use]
    pub fn flags(&self) -> [String; 4] {
        let server = format!("http://127.0.0.1:{}", self.port);
        ["--server".into(), server, "-n".into(), "default".into()]
    }

    /// All calls so far, as `METHOD PATH?QUERY`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        lock(&self.state).calls.clone()
    }

    /// Objects of a kind (`pods`, …) that were made.
    #[must_use]
    pub fn made(&self, kind: &str) -> Vec<Value> {
        let state = lock(&self.state);
        let of_kind = state.made.iter().filter(|made| made.path.ends_with(kind));
        of_kind.map(|made| made.object.clone()).collect()
    }
}

/// A running pod of the namespace `default` on node `n1`.
#[must_use]
pub fn pod(name: &str, uid: &str, more: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": uid, "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running", "containerStatuses": [status("web", &json!({"running": {}}))]},
    });
    merge(&mut pod, more);
    pod
}

/// A node that is ready, with a sandbox image.
#[must_use]
pub fn node(name: &str, more: &Value) -> Value {
    let info = json!({
        "operatingSystem": "linux", "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "",
        "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "osImage": "", "systemUUID": "",
    });
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"nodeInfo": info, "images": [{"names": ["registry.k8s.io/pause:3.10"]}],
            "conditions": [{"type": "Ready", "status": "True"}]},
    });
    merge(&mut node, more);
    node
}

/// The status of a container.
#[must_use]
pub fn status(name: &str, state: &Value) -> Value {
    json!({"name": name, "image": "web:1", "imageID": "", "ready": true, "restartCount": 0,
        "containerID": format!("containerd://{}", "a".repeat(64)), "state": state})
}

fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (&mut *into, from) {
        for (key, value) in from {
            merge(into.entry(key.clone()).or_insert(Value::Null), value);
        }
    } else if !from.is_null() {
        *into = from.clone();
    }
}

/// One request of each connection.
fn serve(stream: TcpStream, lies: &Lies, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let mut words = line.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default().to_owned(),
        words.next().unwrap_or_default().to_owned(),
    );
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    lock(state).calls.push(format!("{method} {target}"));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut answer = Answer(stream);
    // A client that goes away in the middle is not a failure.
    let _ = match method.as_str() {
        "GET" if path.ends_with("/log") => log(&mut answer, path, lies, state),
        "GET" if query.contains("watch=true") => watch(&mut answer, lies, state),
        "GET" => get(&mut answer, path, query, lies, state),
        "POST" => post(&mut answer, path, query, body, state),
        "DELETE" => {
            // With all that it owns, as the cluster's collector does.
            let mut state = lock(state);
            let is_named = |made: &Made| made.is_at(path);
            let uid = state.made.iter().find(|made| is_named(made));
            let uid = uid.map(|made| made.object["metadata"]["uid"].clone());
            state.made.retain(|made| {
                let owner = &made.object["metadata"]["ownerReferences"][0]["uid"];
                !is_named(made) && Some(owner) != uid.as_ref()
            });
            drop(state);
            answer.say(
                200,
                &json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
            )
        }
        _ => answer.refuse(403),
    };
}

struct Answer(TcpStream);

impl Answer {
    fn say(&mut self, code: u16, value: &Value) -> std::io::Result<()> {
        let body = value.to_string();
        write!(
            self.0,
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn refuse(&mut self, code: u16) -> std::io::Result<()> {
        let reason = if code == 404 { "NotFound" } else { "Forbidden" };
        self.say(
            code,
            &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}),
        )
    }

    /// The head of an answer that ends with the connection.
    fn begin(&mut self) -> std::io::Result<()> {
        write!(
            self.0,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        )
    }
}

fn post(
    answer: &mut Answer,
    path: &str,
    query: &str,
    mut object: Value,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let mut state = lock(state);
    let number = state.calls.len();
    object["metadata"]["uid"] = format!("uid-{number}").into();
    object["metadata"]["creationTimestamp"] = now().into();
    if !query.contains("dryRun") {
        state.made.push(Made {
            path: path.to_owned(),
            object: object.clone(),
        });
    }
    drop(state);
    answer.say(201, &object)
}

fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn get(
    answer: &mut Answer,
    path: &str,
    query: &str,
    lies: &Lies,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let (made, forged) = {
        let state = lock(state);
        (state.made.clone(), lies.forged)
    };
    let named = |list: &str, object: &Value| {
        format!(
            "{list}/{}",
            object["metadata"]["name"].as_str().unwrap_or_default()
        ) == path
    };
    if path.contains("/configmaps/") {
        let has_pod = made.iter().any(|made| made.path.ends_with("/pods"));
        let map = made.iter().find(|made| made.is_at(path));
        return match (lies.config_map, map) {
            (ConfigMap::Forbidden, _) => answer.refuse(403),
            (ConfigMap::Gone, _) if has_pod => answer.refuse(404),
            (ConfigMap::Replaced, Some(map)) if has_pod => {
                let mut other = map.object.clone();
                other["metadata"]["uid"] = "uid-of-another".into();
                answer.say(200, &other)
            }
            (_, Some(map)) => answer.say(200, &map.object),
            (_, None) => answer.refuse(404),
        };
    }
    if let Some((_, items)) = lies.objects.iter().find(|(list, _)| *list == path)
        && !query.contains("session")
    {
        return answer.say(200, &list(items));
    }
    let all = lies
        .objects
        .iter()
        .flat_map(|(list, items)| items.iter().map(move |item| (*list, item)));
    let found = all.chain(made.iter().map(|made| (made.path.as_str(), &made.object)));
    let is_pod = path.contains("/pods/procmon-");
    if is_pod && lies.replaced_pod {
        let object =
            json!({"metadata": {"name": path.rsplit('/').next(), "uid": "uid-of-another"}});
        return answer.say(200, &object);
    }
    if let Some((_, object)) = found.into_iter().find(|(list, object)| named(list, object)) {
        return answer.say(200, object);
    }
    let session = query
        .split("session%3D")
        .nth(1)
        .map(|rest| rest.split('&').next().unwrap_or_default());
    if let Some(session) = session {
        let mut items: Vec<Value> = made
            .iter()
            .filter(|made| made.path == path)
            .map(|made| made.object.clone())
            .collect();
        if forged {
            items.push(json!({"metadata": {"name": "forged", "uid": "uid-of-others", "labels": {"procmon/session": session}}}));
        }
        return answer.say(200, &list(&items));
    }
    answer.refuse(403)
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
}

/// Tells of each pod of the session once.
fn watch(answer: &mut Answer, lies: &Lies, state: &Mutex<State>) -> std::io::Result<()> {
    answer.begin()?;
    let mut told = Vec::new();
    loop {
        let pods: Vec<Value> = lock(state)
            .made
            .iter()
            .filter(|made| made.path.ends_with("/pods"))
            .map(|made| made.object.clone())
            .collect();
        for mut pod in pods {
            let uid = pod["metadata"]["uid"].clone();
            if told.contains(&uid) {
                continue;
            }
            told.push(uid);
            let image = pod["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            pod["status"] = json!({"phase": "Running", "containerStatuses": [status("procmon", &(lies.state)(&image))]});
            writeln!(answer.0, "{}", json!({"type": "ADDED", "object": pod}))?;
        }
        // Shows that the client went away.
        writeln!(
            answer.0,
            "{}",
            json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"resourceVersion": "1", "annotations": {}}}})
        )?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The request to the probe in a pod.
///
/// # Panics
/// When the pod has no request.
#[must_use]
pub fn request(pod: &Value) -> Request {
    let command = pod["spec"]["containers"][0]["command"].as_array();
    let text = command
        .and_then(|words| words.last()?.as_str())
        .expect("a request");
    serde_json::from_str(text).expect("a request")
}

fn log(answer: &mut Answer, path: &str, lies: &Lies, state: &Mutex<State>) -> std::io::Result<()> {
    let name = path
        .trim_end_matches("/log")
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let made = lock(state).made.clone();
    let Some(pod) = made
        .iter()
        .find(|made| made.object["metadata"]["name"] == name.as_str())
    else {
        return answer.refuse(404);
    };
    let request = request(&pod.object);
    let mut writer = StreamWriter::default();
    let key = request.seal_to.as_deref().unwrap_or_default();
    let mut packer = Packer {
        sealer: Sealer::new(key, [7; 32]),
    };
    let hello = writer.line(Frame::Hello(Hello {
        protocol: procmon_profile::wire::PROTOCOL.into(),
        probe: "0".into(),
        session: request.session.clone().into(),
        node: request.node.clone().unwrap_or_default().into(),
        kernel: "k".into(),
        arch: "amd64".into(),
        hooks: Vec::new(),
        key: packer.sealer.as_ref().map(Sealer::public),
    }));
    answer.begin()?;
    answer.0.write_all(hello.as_bytes())?;
    match &lies.log {
        Log::Whole(parts) => {
            let parts = parts(&request);
            let chunk = writer.line(packer.pack(&parts));
            answer.0.write_all(chunk.as_bytes())?;
            answer.0.write_all(writer.end().as_bytes())
        }
        Log::Repeated => loop {
            answer.0.write_all(hello.as_bytes())?;
            std::thread::sleep(Duration::from_millis(20));
        },
        Log::Endless => loop {
            let line = writer.line(Frame::Progress(Progress::default()));
            answer.0.write_all(line.as_bytes())?;
            std::thread::sleep(Duration::from_millis(20));
        },
        Log::OneLine => loop {
            answer.0.write_all(&vec![b'x'; 64 << 10])?;
        },
    }
}

//! A real browser without a screen. It takes orders and tells what happens as JSON over two pipes: the
//! DevTools protocol, <https://chromedevtools.github.io/devtools-protocol/>.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Names of the programs that serve, the smallest first.
const PROGRAMS: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "google-chrome",
    "chrome",
];

/// The longest that an answer of the browser can take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A browser with one page.
pub struct Browser {
    child: Child,
    orders: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    number: u64,
    events: Vec<Value>,
    _folder: TempDir,
}

/// The path of a browser.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    PROGRAMS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

impl Browser {
    /// Starts a browser; none where there is none.
    ///
    /// # Panics
    /// When it does not start, or when `PROCMON_TEST_REQUIRE` demands one that is not there.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = program();
        let why = "needs a browser: tests/setup/packages.sh";
        if !crate::has("browser", program.is_some(), why) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut child = Command::new("sh")
            // It reads orders from descriptor 3 and writes messages to 4.
            .args([
                "-c",
                r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#,
                "sh",
            ])
            .arg(program?)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let orders = child.stdin.take().expect("it has a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("it has a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while output
                .read_until(0, &mut message)
                .is_ok_and(|read| read > 0)
            {
                message.pop();
                let sent = serde_json::from_slice(&message).map(|value| sender.send(value));
                if !matches!(sent, Ok(Ok(()))) {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            child,
            orders,
            messages,
            session: None,
            number: 0,
            events: Vec::new(),
            _folder: folder,
        };
        browser.attach();
        Some(browser)
    }

    /// Takes the page over.
    fn attach(&mut self) {
        let targets = self.order("Target.getTargets", &json!({}));
        let page = targets["targetInfos"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["type"] == "page"))
            .expect("it has a page");
        let order = json!({"targetId": page["targetId"], "flatten": true});
        let attached = self.order("Target.attachToTarget", &order);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.order(&format!("{domain}.enable"), &json!({}));
        }
        self.size(1400, 1000);
    }

    /// Gives an order and waits for its result.
    ///
    /// # Panics
    /// When the browser refuses, ends or does not answer.
    pub fn order(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut order = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            order["sessionId"] = session.as_str().into();
        }
        let mut bytes = serde_json::to_vec(&order).expect("an order is JSON");
        bytes.push(0);
        self.orders
            .write_all(&bytes)
            .expect("the browser reads orders");
        loop {
            let message = self.message(method);
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn message(&mut self, of: &str) -> Value {
        self.messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{of}: the browser says nothing: {error}"))
    }

    /// Opens a file; returns how long that took until the page and its script were done.
    ///
    /// # Panics
    /// When the browser does not answer.
    pub fn open(&mut self, file: &Path) -> Duration {
        self.events.clear();
        let begun = Instant::now();
        let order = json!({"url": format!("file://{}", file.display())});
        self.order("Page.navigate", &order);
        while !self.told("Page.loadEventFired") {
            let message = self.message("Page.navigate");
            self.events.push(message);
        }
        // Two frames later it has been painted.
        self.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
        );
        begun.elapsed()
    }

    fn told(&self, method: &str) -> bool {
        self.events.iter().any(|event| event["method"] == method)
    }

    /// The value of an expression in the page.
    ///
    /// # Panics
    /// When it throws.
    pub fn value(&mut self, expression: &str) -> Value {
        let order = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
        });
        let mut result = self.order("Runtime.evaluate", &order);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {}",
            result["exceptionDetails"]
        );
        result["result"]["value"].take()
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn wait(&mut self, expression: &str) {
        crate::process::wait_for(expression, PATIENCE, || {
            (self.value(expression) == json!(true)).then_some(())
        });
    }

    /// The size of the window.
    pub fn size(&mut self, width: u32, height: u32) {
        let order =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.order("Emulation.setDeviceMetricsOverride", &order);
    }

    /// Everything that went wrong in the page since it was opened: errors, what the page's policy refused,
    /// what it wrote to the console, dialogs, and every request but the one for the page.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let is_wrong = |event: &&Value| {
            let method = event["method"].as_str().unwrap_or_default();
            let is_page = event["params"]["type"] == "Document"
                && event["params"]["request"]["url"] == event["params"]["documentURL"];
            match method {
                "Network.requestWillBeSent" => !is_page,
                "Runtime.exceptionThrown"
                | "Runtime.consoleAPICalled"
                | "Log.entryAdded"
                | "Page.javascriptDialogOpening" => true,
                _ => false,
            }
        };
        let wrong = self.events.iter().filter(is_wrong);
        wrong.map(ToString::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! One server from its first start to its end, and windows over it.

use super::change::Props;
use super::load::fill;
use super::outside::free_port;
use super::{Change, Kind, Load, Outside, Site, Traffic};
use crate::workload::{self, Linked};
use crate::{Running, document, plugin, wait_for};
use jiff::Timestamp;
use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);
/// From the window's opening to its midst.
const INTO_THE_WINDOW: Duration = Duration::from_millis(700);

/// A server below its agent. Ends, with all of its processes, when dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it lives.
    pub site: Site,
    /// The surroundings of the server.
    pub outside: Outside,
    agent: Option<Running>,
}

/// The agent's program.
pub(super) fn agent_program() -> PathBuf {
    workload::path("agent", Linked::Static)
}

impl Server {
    /// Starts a server with fresh data in a folder of its own, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(kind: Kind, folder: &Path) -> Self {
        let outside = Outside::start(folder);
        let site = Site {
            kind,
            folder: folder.to_owned(),
            port: free_port(),
            backend: outside.backend,
        };
        site.prepare();
        let mut server = Self {
            site,
            outside,
            agent: None,
        };
        server.start_agent();
        if kind == Kind::Postgres {
            fill(&server.site);
        }
        server
    }

    fn socket(&self) -> String {
        self.site.at("agent.sock")
    }

    /// The environment that containers have, not the one of whoever runs the tests.
    fn clean<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let console = File::options()
            .append(true)
            .create(true)
            .open(self.site.at("console.log"))
            .expect("a file in the server's folder");
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(&self.site.folder)
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("dup"))
            .stderr(console)
            .process_group(0)
    }

    fn start_agent(&mut self) {
        let mut command = Command::new(agent_program());
        command.arg(self.socket()).args(self.site.command());
        self.agent = Some(Running::start(self.clean(&mut command)));
        self.wait_until_it_serves();
    }

    fn wait_until_it_serves(&self) {
        wait_for("the agent", SOON, || {
            UnixStream::connect(self.socket()).ok()
        });
        wait_for(self.site.kind.name(), SOON, || {
            let serves = match self.site.kind {
                Kind::Postgres => super::load::is_ready(&self.site),
                Kind::Cron => Path::new(&self.site.log()).exists(),
                _ => TcpStream::connect((Ipv4Addr::LOCALHOST, self.site.port)).is_ok(),
            };
            serves.then_some(())
        });
    }

    /// The agent does something; gives the server's process id.
    ///
    /// # Panics
    /// When the agent can't.
    pub fn request<T: AsRef<str>>(&self, words: &[T]) -> i32 {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let mut stream = UnixStream::connect(self.socket()).expect("the agent listens");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let text = serde_json::to_string(&words).expect("words");
        stream.write_all(text.as_bytes()).expect("the agent reads");
        stream.shutdown(Shutdown::Write).expect("the agent reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("the agent answers");
        answer
            .strip_prefix("ok ")
            .and_then(|pid| pid.parse().ok())
            .unwrap_or_else(|| panic!("{words:?}: {answer}"))
    }

    /// The server's process id; the agent answers.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.request(&["ping"])
    }

    /// Ends the server's process only; the agent starts it again.
    ///
    /// # Panics
    /// When it does not run.
    pub fn end_server(&self) {
        // SAFETY: numbers only; the process is the agent's child and was just said to run.
        #[expect(unsafe_code, reason = "kill")]
        let sent = unsafe { libc::kill(self.pid(), self.site.kind.stop_signal()) };
        assert_eq!(sent, 0, "the server is there to be ended");
    }

    /// Ends the server in good order.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) {
        let signal = self.site.kind.stop_signal().to_string();
        self.request(&["stop", &signal]);
        if let Some(agent) = self.agent.take() {
            assert!(agent.wait(SOON).success(), "the agent");
        }
    }

    /// Ends it and starts it again, agent included.
    pub fn restart(&mut self) {
        self.stop();
        self.start_agent();
    }

    /// One window over the running server under load. In its midst the agent is asked whether it
    /// is there, in every window, and then `inject` happens.
    ///
    /// # Panics
    /// When the plugin fails, or when the window ended before `inject` did.
    pub fn profile(
        &self,
        document: &Path,
        seconds: u32,
        load: Load,
        inject: impl Fn(&Self),
    ) -> Value {
        let agent = self.agent.as_ref().expect("it runs").id().to_string();
        for attempt in 0..3 {
            let traffic = Traffic::start(&self.site, load, self.pid());
            std::thread::sleep(Duration::from_millis(300));
            let seconds = seconds << attempt;
            let window = Running::start_window(profile(document, seconds).args(["--pid", &agent]));
            std::thread::sleep(INTO_THE_WINDOW);
            let _ = self.pid();
            inject(self);
            let done = Timestamp::now();
            assert!(window.wait(SOON).success(), "the plugin");
            assert!(
                traffic.answers() > 0 || self.site.kind == Kind::Cron,
                "nobody was served"
            );
            drop(traffic);
            let profile = document::read(document);
            if done < document::ended_at(&profile) {
                return profile;
            }
        }
        panic!("{}: the window was too short", document.display())
    }

    /// One window that begins with the server's start; it is stopped afterwards.
    ///
    /// # Panics
    /// When the server does not start, or the plugin fails.
    pub fn profile_from_start(&mut self, document: &Path, seconds: u32, load: Load) -> Value {
        self.stop();
        let mut command = profile(document, seconds);
        command
            .arg("--")
            .arg(agent_program())
            .arg(self.socket())
            .args(self.site.command());
        let window = Running::start(self.clean(&mut command));
        self.wait_until_it_serves();
        let traffic = Traffic::start(&self.site, load, self.pid());
        wait_for("the document", SOON, || {
            std::fs::metadata(document)
                .is_ok_and(|file| file.len() > 0)
                .then_some(())
        });
        drop(traffic);
        self.agent = Some(window);
        self.stop();
        self.start_agent();
        document::read(document)
    }

    /// One window with a change in it, which is undone afterwards.
    ///
    /// # Panics
    /// When the change can't be made.
    pub fn profile_change(
        &mut self,
        document: &Path,
        seconds: u32,
        change: &Change,
        props: &Props,
    ) -> Value {
        let profile = self.profile(document, seconds, Load::Same, |server| {
            props.undo();
            for step in &change.steps {
                server.request(step);
            }
        });
        props.undo();
        if change.restarts {
            self.restart();
        }
        profile
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(agent) = self.agent.take() else {
            return;
        };
        let group = i32::try_from(agent.id()).expect("a process id");
        if !std::thread::panicking() {
            self.agent = Some(agent);
            self.stop();
        }
        // SAFETY: numbers only; the group is the agent's own, and whoever is left in it is the server's.
        #[expect(unsafe_code, reason = "killpg")]
        unsafe {
            libc::kill(-group, libc::SIGKILL);
        }
    }
}

/// The plugin, about to capture into a document.
fn profile(document: &Path, seconds: u32) -> Command {
    let mut command = Command::new(plugin());
    let _ = std::fs::remove_file(document);
    command
        .args([
            "profile",
            "--local",
            "--concurrent",
            "-o",
            "json",
            "--output-file",
        ])
        .arg(document)
        .args(["--duration", &format!("{seconds}s")])
        .stdin(Stdio::null());
    command
}

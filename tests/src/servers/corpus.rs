//! Documents of one server: what a baseline is made of, what must not differ from it, what must.

use super::change::Props;
use super::run::agent_program;
use super::{Kind, Load, Server, Traffic, changes};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many windows of which length.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Length of a window.
    pub seconds: u32,
    /// Windows of the baseline.
    pub baseline: u32,
    /// Windows under the same load, and as many under varied load.
    pub repeats: u32,
    /// Windows of each of the restarted kinds.
    pub restarts: u32,
    /// Only these changes; all where none is named.
    pub only: Vec<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seconds: 3,
            baseline: 3,
            repeats: 6,
            restarts: 2,
            only: Vec::new(),
        }
    }
}

/// The use of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Part of the baseline: same load, the server runs for some time.
    Baseline,
    /// The window begins with the server's start; same load.
    Start,
    /// As the baseline.
    Same,
    /// Under other load, with log rotation in every third.
    Varied,
    /// As the baseline, after a restart.
    Restart,
    /// The server ends and is started again within the window.
    Within,
    /// One injected change.
    Change,
}

impl Group {
    /// How its documents' names begin.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Start => "start",
            Self::Same => "same",
            Self::Varied => "varied",
            Self::Restart => "restart",
            Self::Within => "within",
            Self::Change => "change",
        }
    }
}

/// Writes all documents of one server into a folder, `changes.json` first; each is handed on when
/// it is there, with its group and its change's expectation.
///
/// # Panics
/// When the server or the plugin fails.
pub fn documents(
    kind: Kind,
    folder: &Path,
    plan: &Plan,
    mut each: impl FnMut(Group, &Path, Option<&Value>),
) {
    let place = tempfile::Builder::new()
        .prefix(&format!("procmon-{}-", kind.name()))
        .tempdir()
        .expect("a folder");
    std::fs::create_dir_all(folder).expect("a folder");
    let base = place.path().canonicalize().expect("a folder");
    let mut server = Server::start(kind, &base);
    let props = Props::make(&server.site);
    let agent = agent_program().display().to_string();
    let changes: Vec<_> = changes(&server.site, &server.outside, &agent)
        .into_iter()
        .filter(|change| plan.only.is_empty() || plan.only.contains(&change.name))
        .collect();
    let table: Map<String, Value> = changes
        .iter()
        .map(|change| (change.name.clone(), change.expectation()))
        .collect();
    write(&folder.join("changes.json"), &table.into());
    let facts = json!({
        "kind": kind.name(), "folder": server.site.folder, "port": server.site.port, "backend": server.site.backend,
        "agent": agent, "command": server.site.command(), "settings": server.site.settings(), "log": server.site.log(),
    });
    write(&folder.join("server.json"), &facts);

    let seconds = plan.seconds;
    let at = |group: Group, name: &str| -> PathBuf {
        folder.join(format!("{}-{name}.json", group.name()))
    };
    let nothing = |_: &Server| ();
    // Caches are filled and compilers have compiled before anything is called usual.
    let traffic = Traffic::start(&server.site, Load::Same, server.pid());
    std::thread::sleep(Duration::from_secs(3));
    drop(traffic);
    for number in 1..=plan.baseline {
        let path = at(Group::Baseline, &number.to_string());
        server.profile(&path, seconds, Load::Same, nothing);
        each(Group::Baseline, &path, None);
    }
    for number in 1..=plan.restarts {
        let path = at(Group::Start, &format!("{number:02}"));
        server.profile_from_start(&path, seconds + 2, Load::Same);
        each(Group::Start, &path, None);
    }
    for number in 1..=plan.repeats {
        let path = at(Group::Same, &format!("{number:02}"));
        server.profile(&path, seconds, Load::Same, nothing);
        each(Group::Same, &path, None);
    }
    for number in 1..=plan.repeats {
        let path = at(Group::Varied, &format!("{number:02}"));
        server.profile(&path, seconds, Load::Varied(number.into()), nothing);
        each(Group::Varied, &path, None);
    }
    for number in 1..=plan.restarts {
        let path = at(Group::Restart, &format!("{number:02}"));
        server.restart();
        server.profile(&path, seconds, Load::Same, nothing);
        each(Group::Restart, &path, None);
    }
    for number in 1..=plan.restarts {
        let path = at(Group::Within, &format!("{number:02}"));
        server.profile(&path, seconds, Load::Same, Server::end_server);
        each(Group::Within, &path, None);
    }
    for change in &changes {
        // A rotation may not have come to its end.
        let log = server.site.log();
        if !Path::new(&log).exists() {
            write(Path::new(&log), &Value::Null);
        }
        let path = at(Group::Change, &change.name);
        server.profile_change(&path, seconds, change, &props);
        each(Group::Change, &path, Some(&change.expectation()));
    }
}

fn write(path: &Path, value: &Value) {
    let text = serde_json::to_string_pretty(value).expect("JSON");
    std::fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

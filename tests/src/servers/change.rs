//! Changes that a defender has to notice, and what is expected of the notice.

use super::kind::{program, succeed};
use super::{Outside, Site};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder that stands for a package's settings.
const SETTINGS: &str = "/etc/procmon-test";
/// A job of the machine; holds a comment only.
const CRON: &str = "/etc/cron.d/procmon-test";
/// A program on everybody's path.
const LOCAL_PROGRAM: &str = "/usr/local/bin/procmon-test";
/// A link that leads elsewhere.
const LINK: &str = "/tmp/procmon-test-link";
/// A program that was dropped.
const DROPPED: &str = "/tmp/procmon-test-dropped";
/// A path of a pod's credentials; made only where it is not there.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A change that one window has and the others do not.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The change in a few words.
    pub what: String,
    /// Requests to the agent.
    pub steps: Vec<Vec<String>>,
    /// Dimension of the row that must tell.
    pub dimension: String,
    /// Words that the row's key must contain.
    pub words: Vec<String>,
    /// Words that the row must contain somewhere.
    pub also: Vec<String>,
    /// The least severity that a defender expects.
    pub severity: String,
    /// The server has to be restarted afterwards.
    pub restarts: bool,
}

impl Change {
    /// The facts that an evaluation needs.
    #[must_use]
    pub fn expectation(&self) -> Value {
        json!({"what": self.what, "dimension": self.dimension, "words": self.words, "also": self.also, "severity": self.severity})
    }
}

/// Makes what the changes need, and takes it away when dropped.
#[derive(Debug)]
pub struct Props {
    folder: PathBuf,
    created: Vec<PathBuf>,
    settings: Vec<u8>,
    settings_path: PathBuf,
    // Names outside of the server's folder are there once: one server at a time.
    _lock: File,
}

impl Props {
    /// Makes them for one server.
    ///
    /// # Panics
    /// When something can't be made, or was there before.
    #[must_use]
    pub fn make(site: &Site) -> Self {
        let lock = File::create(std::env::temp_dir().join("procmon-servers.lock")).expect("a lock");
        lock.lock().expect("a lock");
        let mut props = Self {
            _lock: lock,
            folder: site.folder.clone(),
            created: Vec::new(),
            settings: std::fs::read(site.settings()).expect("settings"),
            settings_path: site.settings().into(),
        };
        props.make_folder(Path::new(SETTINGS));
        let token = PathBuf::from(TOKEN);
        props.make_folder(token.parent().expect("it has one"));
        if !token.exists() {
            std::fs::write(&token, "not.a.token\n").expect("a file");
            props.created.push(token);
        }
        let settings = format!("{SETTINGS}/x.conf");
        std::fs::write(&settings, "x = 1\n").expect("a file");
        props.created.push(settings.into());
        std::fs::create_dir_all(site.at("mounted")).expect("a folder");
        if let Some(compiler) = program("cc") {
            let (source, library) = (site.at("preload.c"), site.at("preload.so"));
            std::fs::write(&source, "int procmon_preloaded = 1;\n").expect("a file");
            succeed(Command::new(compiler).args(["-shared", "-fPIC", "-o", &library, &source]));
        }
        // Remains of an earlier run that was killed: no other program uses these names.
        props.undo();
        props
    }

    /// Makes a folder with those above it, and remembers which were made.
    fn make_folder(&mut self, folder: &Path) {
        if folder.exists() {
            return;
        }
        if let Some(above) = folder.parent() {
            self.make_folder(above);
        }
        std::fs::create_dir(folder).expect("a folder");
        self.created.push(folder.to_owned());
    }

    /// Undoes what a change left.
    pub fn undo(&self) {
        for path in [CRON, LOCAL_PROGRAM, LINK, DROPPED] {
            let _ = std::fs::remove_file(path);
        }
        // Written in place: owner and mode stay.
        let _ = std::fs::write(&self.settings_path, &self.settings);
        for name in ["linked", "precious.locked", "payload", "kworker"] {
            let _ = std::fs::remove_file(self.folder.join(name));
        }
        for name in ["secret", "precious", "given", "tool", "tool-new", "guarded"] {
            let _ = std::fs::write(self.folder.join(name), "of no use\n");
        }
    }
}

impl Drop for Props {
    fn drop(&mut self) {
        self.undo();
        for path in self.created.iter().rev() {
            // Only what is empty goes.
            let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
        }
    }
}

/// All changes for one server. `agent` is the agent's program.
///
/// # Panics
/// When the table can't be read.
#[must_use]
pub fn changes(site: &Site, outside: &Outside, agent: &str) -> Vec<Change> {
    let table: Value = serde_json::from_str(include_str!("changes.json")).expect("a table");
    let names = [
        ("folder", site.folder.display().to_string()),
        ("settings", site.settings()),
        ("log", site.log()),
        ("agent", agent.to_owned()),
        ("dropped", DROPPED.to_owned()),
        ("link", LINK.to_owned()),
        ("backend", outside.backend.to_string()),
        ("stranger-port", outside.stranger.to_string()),
        ("other-port", outside.other.to_string()),
        ("unused", outside.unused.to_string()),
        ("unused-too", outside.unused_too.to_string()),
    ];
    let version = site.version_command();
    let fill = |words: &Value| -> Vec<String> {
        let mut filled = Vec::new();
        for word in words.as_array().into_iter().flatten() {
            let word = word.as_str().expect("a word");
            if word == "${version}" {
                filled.extend_from_slice(&version);
            } else {
                filled.push(names.iter().fold(word.to_owned(), |word, (name, value)| {
                    word.replace(&format!("${{{name}}}"), value)
                }));
            }
        }
        filled
    };
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = table.as_array().expect("a list").iter();
    rows.filter(|row| {
        text(row, "except") != site.kind.name()
            && row["needs"]
                .as_str()
                .is_none_or(|name| program(name).is_some())
    })
    .map(|row| Change {
        name: text(row, "name"),
        what: text(row, "what"),
        steps: row["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .map(&fill)
            .collect(),
        dimension: text(row, "dimension"),
        words: fill(&row["words"]),
        also: fill(&row["also"]),
        severity: text(row, "severity"),
        restarts: row["restarts"] == true,
    })
    .collect()
}

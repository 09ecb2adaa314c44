//! Facts that conditions can ask of a container beyond its rows: names, classes, descent, and what was done
//! to a path.

use super::index::Told;
use super::program::{Program, peer_classes};
use crate::knowledge::{base_name, files, programs};
use crate::model::{Container, Direction, File, FileOperation as Op, Process};
use serde_json::{Map, Value as Json, json};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Executables that hold many programs; the first argument names the one that runs.
const MULTI_CALL: [&str; 4] = ["busybox", "toybox", "coreutils", "sbase-box"];
/// The longest text of a command line that conditions see, in bytes.
const MAX_TEXT: usize = 8 << 10;
/// Names of programs of a container that conditions see.
const MAX_NAMES: usize = 256;
/// Ancestors and children of a process that conditions see.
const MAX_RELATIVES: usize = 32;

/// One container, with what can be derived from its rows.
pub(super) struct Facts<'a> {
    pub(super) container: &'a Container,
    /// Its place in the profile.
    pub(super) index: usize,
    /// In the order of the rows.
    pub(super) processes: Vec<ProcessFacts<'a>>,
    /// The classes of each row of files, and of each row of network.
    pub(super) file_is: Vec<Vec<&'static str>>,
    pub(super) peer_is: Vec<Vec<&'static str>>,
    /// Places of the processes, by id.
    by_id: HashMap<&'a str, usize>,
    /// All programs, by path of the executable.
    pub(super) programs: BTreeMap<&'a str, Program<'a>>,
    paths: HashMap<&'a str, PathFacts>,
    /// The container, as conditions see it: made once.
    container_value: OnceCell<Json>,
}

/// One row of processes.
pub(super) struct ProcessFacts<'a> {
    pub(super) row: &'a Process,
    /// The name of the program: of an executable that holds many, the one that runs.
    pub(super) name: String,
    pub(super) is: &'static [&'static str],
    pub(super) exe_is: Rc<[&'static str]>,
    pub(super) parent: Option<usize>,
    children: Vec<usize>,
    /// Processes that write into its standard input, and processes whose standard input it writes into.
    reads_from: Vec<usize>,
    writes_to: Vec<usize>,
}

/// The operations on a path, by any program of the container.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct PathFacts {
    created: bool,
    written: bool,
    made_executable: bool,
    removed: bool,
    renamed: bool,
    executed: bool,
}

impl<'a> Facts<'a> {
    pub(super) fn of(container: &'a Container, index: usize) -> Self {
        let by_id: HashMap<&str, usize> = container
            .processes
            .iter()
            .enumerate()
            .map(|(place, row)| (row.id.as_str(), place))
            .collect();
        // Many rows share an executable.
        let mut exe_classes: HashMap<&str, Rc<[&'static str]>> = HashMap::new();
        let mut processes: Vec<ProcessFacts<'a>> = container
            .processes
            .iter()
            .enumerate()
            .map(|(place, row)| {
                let name = program_name(row);
                let parent = row.parent.as_deref().and_then(|id| by_id.get(id).copied());
                ProcessFacts {
                    is: programs::classes(&name),
                    exe_is: exe_classes
                        .entry(row.exe.as_str())
                        .or_insert_with(|| files::classes(&row.exe).into())
                        .clone(),
                    // A profile that somebody wrote can have a circle.
                    parent: parent.filter(|parent| *parent != place),
                    children: Vec::new(),
                    reads_from: row
                        .stdin_from
                        .iter()
                        .filter_map(|id| by_id.get(id.as_str()).copied())
                        .collect(),
                    writes_to: Vec::new(),
                    name,
                    row,
                }
            })
            .collect();
        for place in 0..processes.len() {
            if let Some(parent) = processes[place].parent {
                processes[parent].children.push(place);
            }
            for writer in processes[place].reads_from.clone() {
                processes[writer].writes_to.push(place);
            }
        }
        let mut paths: HashMap<&str, PathFacts> = HashMap::with_capacity(container.files.len());
        for file in &container.files {
            paths.entry(file.path.as_str()).or_default().add(file);
        }
        let mut facts = Self {
            container,
            index,
            processes,
            file_is: container
                .files
                .iter()
                .map(|row| files::classes(&row.path))
                .collect(),
            peer_is: container.network.iter().map(peer_classes).collect(),
            by_id,
            programs: BTreeMap::new(),
            paths,
            container_value: OnceCell::new(),
        };
        facts.programs = Program::all(&facts);
        facts
    }

    /// The ancestors of a process, the nearest first.
    fn ancestors(&self, place: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut next = self.processes[place].parent;
        while let Some(ancestor) = next
            && found.len() < MAX_RELATIVES
        {
            found.push(ancestor);
            next = self.processes[ancestor].parent;
        }
        found
    }

    /// The topmost ancestor below the container's first process, or the process itself.
    pub(super) fn tree(&self, place: usize) -> usize {
        let mut top = place;
        let mut steps = 0;
        while let Some(parent) = self.processes[top].parent
            && self.processes[parent].parent.is_some()
            && steps < self.processes.len()
        {
            top = parent;
            steps += 1;
        }
        top
    }

    /// Whether a path was made or written in the window.
    pub(super) fn is_written(&self, path: &str) -> bool {
        let facts = self.paths.get(path);
        facts.is_some_and(|facts| facts.created || facts.written)
    }

    /// The operations on a path, as conditions see them.
    fn path(&self, path: &str) -> Json {
        let facts = self.paths.get(path).copied().unwrap_or_default();
        json!({
            "created": facts.created,
            "written": facts.written,
            "madeExecutable": facts.made_executable,
            "removed": facts.removed,
            "renamed": facts.renamed,
            "executed": facts.executed || self.programs.contains_key(path),
        })
    }

    /// Whether an executable listens at a port.
    fn listens(&self, exe: &str) -> bool {
        let program = self.programs.get(exe);
        program.is_some_and(|program| program.listens)
    }

    /// Whether an executable has a connection to a host.
    fn connects(&self, exe: &str) -> bool {
        let program = self.programs.get(exe);
        // A connection of one applet is not one of all.
        !MULTI_CALL.contains(&base_name(exe))
            && program.is_some_and(|program| program.network.reaches_hosts())
    }

    /// A relative of a process, as conditions see it.
    fn relative(&self, place: usize) -> Json {
        let process = &self.processes[place];
        json!({
            "name": process.name,
            "exe": process.row.exe.as_str(),
            "is": process.is,
            "uid": process.row.uid,
            "origin": process.row.origin,
            "listens": self.listens(&process.row.exe),
            "connects": self.connects(&process.row.exe),
        })
    }

    /// A process, as conditions see it, or some fields of it only.
    pub(super) fn process(&self, place: usize, wanted: Option<&BTreeSet<String>>) -> Json {
        let process = &self.processes[place];
        let row = process.row;
        let mut fields = match serde_json::to_value(row) {
            Ok(Json::Object(fields)) => fields,
            _ => Map::new(),
        };
        if let Some(wanted) = wanted {
            fields.retain(|name, _| wanted.contains(name));
        }
        // Most conditions ask for few of these, and some take time.
        let mut add = |name: &str, make: &dyn Fn() -> Json| {
            if wanted.is_none_or(|wanted| wanted.contains(name)) {
                fields.insert(name.to_owned(), make());
            }
        };
        let relatives = |places: &mut dyn Iterator<Item = usize>| -> Json {
            places.map(|place| self.relative(place)).collect()
        };
        add("name", &|| json!(process.name));
        add("is", &|| json!(process.is));
        add("exeIs", &|| json!(*process.exe_is));
        add("text", &|| json!(text(row.argv.iter().map(AsRef::as_ref))));
        add("code", &|| {
            json!(self.interpreted(place).0.unwrap_or_default())
        });
        add("script", &|| {
            let path = self.interpreted(place).1.unwrap_or_default();
            json!({"path": path, "is": files::classes(path), "did": self.path(path)})
        });
        add("file", &|| self.path(&row.exe));
        add("parent", &|| match process.parent {
            Some(parent) => self.relative(parent),
            None => {
                json!({"name": "", "exe": "", "is": [], "uid": -1, "origin": "", "listens": false,
                       "connects": false})
            }
        });
        add("ancestors", &|| {
            relatives(&mut self.ancestors(place).into_iter())
        });
        add("children", &|| {
            relatives(&mut process.children.iter().copied().take(MAX_RELATIVES))
        });
        add("childrenAre", &|| {
            let children = process.children.iter();
            let classes: BTreeSet<&str> = children
                .flat_map(|child| self.processes[*child].is)
                .copied()
                .collect();
            json!(classes)
        });
        add("readsFrom", &|| {
            relatives(&mut process.reads_from.iter().copied().take(MAX_RELATIVES))
        });
        add("writesTo", &|| {
            relatives(&mut process.writes_to.iter().copied().take(MAX_RELATIVES))
        });
        add("listens", &|| json!(self.listens(&row.exe)));
        Json::Object(fields)
    }

    /// Tells the facts of a process by which rules are found.
    pub(super) fn tell_process(&self, place: usize, tell: &mut dyn FnMut(&'static str, Told<'_>)) {
        let process = &self.processes[place];
        let row = process.row;
        for class in &*process.exe_is {
            tell("exeIs", Told::Is(class));
        }
        for child in &process.children {
            for class in self.processes[*child].is {
                tell("childrenAre", Told::Is(class));
            }
        }
        for class in process
            .parent
            .iter()
            .flat_map(|parent| self.processes[*parent].is)
        {
            tell("parent.is", Told::Is(class));
        }
        if let Some(script) = self.interpreted(place).1 {
            tell("script.path", Told::Is(script));
            for class in files::classes(script) {
                tell("script.is", Told::Is(class));
            }
        }
        tell("exe", Told::Is(&row.exe));
        tell("text", Told::Is(&text(row.argv.iter().map(AsRef::as_ref))));
        tell(
            "cwd",
            row.cwd.as_ref().map_or(Told::Unknown, |cwd| Told::Is(cwd)),
        );
        tell(
            "argv[0]",
            Told::Is(row.argv.first().map_or("", AsRef::as_ref)),
        );
        let layer = row.layer.as_ref().map(ToString::to_string);
        tell(
            "layer",
            layer
                .as_ref()
                .map_or(Told::Unknown, |layer| Told::Is(layer)),
        );
        tell("origin", Told::Is(&row.origin.to_string()));
        tell("deleted", Told::Is(truth(row.deleted)));
        let stdin = row.stdio.first().map(ToString::to_string);
        tell(
            "stdio[0]",
            stdin.as_ref().map_or(Told::Unknown, |kind| Told::Is(kind)),
        );
        for exit in row.exits.keys() {
            tell("exits", Told::Is(exit));
        }
        let path = self
            .paths
            .get(row.exe.as_str())
            .copied()
            .unwrap_or_default();
        tell("file.created", Told::Is(truth(path.created)));
        tell("file.written", Told::Is(truth(path.written)));
        tell("file.removed", Told::Is(truth(path.removed)));
        let package = row.package.as_ref();
        tell(
            "package.modified",
            told_truth(package.and_then(|package| package.modified)),
        );
    }

    /// The code that `-c` or `-e` gives to an interpreter, and the script that it reads.
    fn interpreted(&self, place: usize) -> (Option<&'a str>, Option<&'a str>) {
        let process = &self.processes[place];
        let is_shell = process.is.contains(&"shell");
        if is_shell || process.is.contains(&"interpreter") {
            // `busybox sh -c CODE` names the applet first.
            let argv = &process.row.argv;
            let names_itself = argv
                .first()
                .is_some_and(|name| MULTI_CALL.contains(&base_name(name)));
            interpreted(&argv[usize::from(names_itself)..], is_shell)
        } else {
            (None, None)
        }
    }

    /// A file, as conditions see it.
    pub(super) fn file(&self, place: usize) -> Json {
        let row = &self.container.files[place];
        let mut value = serde_json::to_value(row).unwrap_or_default();
        let did = |operations: &[Op]| did(row, operations);
        let writes = row.bytes_written > 0
            || row.mmap_write > 0
            || did(&[
                Op::Write,
                Op::Create,
                Op::Truncate,
                Op::Rename,
                Op::Link,
                Op::Symlink,
                Op::Mknod,
            ]);
        let opens_only = did(&[Op::Open]) && !writes;
        let extra = json!({
            "name": base_name(&row.path),
            "is": self.file_is[place],
            "reads": row.bytes_read > 0 || did(&[Op::Read]) || opens_only,
            "writes": writes,
            "creates": did(&[Op::Create, Op::Mkdir, Op::Mknod, Op::Symlink, Op::Link]),
            "removes": did(&[Op::Unlink, Op::Rmdir]),
            "renames": did(&[Op::Rename]),
            "changesAttributes": did(&[Op::Chmod, Op::Chown, Op::Setxattr]),
            "changes": writes || did(&[Op::Unlink, Op::Rmdir, Op::Mkdir, Op::Chmod, Op::Chown, Op::Setxattr]),
            "runs": did(&[Op::Exec, Op::MmapExec]),
            "did": operations(row),
            "isProgram": row.path == row.exe,
            "elsewhere": self.path(&row.path),
        });
        merge(&mut value, extra);
        value
    }

    /// The container, as conditions see it.
    pub(super) fn container(&self) -> &Json {
        self.container_value.get_or_init(|| self.make_container())
    }

    fn make_container(&self) -> Json {
        let container = self.container;
        let is: BTreeSet<&str> = self
            .processes
            .iter()
            .flat_map(|process| process.is)
            .copied()
            .collect();
        let names: BTreeSet<&str> = self
            .processes
            .iter()
            .map(|process| process.name.as_str())
            .collect();
        let first = self.processes.iter().position(|process| {
            process.parent.is_none() && process.row.origin == crate::model::Origin::Entrypoint
        });
        let mut value = json!({
            "container": container.container.as_str(),
            "fromStart": container.from_start,
            "names": names.into_iter().take(MAX_NAMES).collect::<Vec<_>>(),
            "is": is,
            "listens": self.programs.values().any(|program| program.listens),
            "processes": container.processes.iter().map(|row| row.count).sum::<u64>(),
        });
        let optional = json!({
            "namespace": container.namespace, "pod": container.pod, "image": container.image,
            "node": container.node, "owner": container.owner, "restarts": container.restarts,
            "securityContext": container.security_context,
            "first": first.map(|first| self.process(first, None)),
        });
        merge(&mut value, optional);
        value
    }

    /// The process of an id.
    pub(super) fn by_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The first row of an executable.
    pub(super) fn process_of(&self, exe: &str) -> Option<usize> {
        self.programs.get(exe)?.processes.first().copied()
    }
}

impl PathFacts {
    fn add(&mut self, file: &File) {
        self.created |= did(file, &[Op::Create]);
        self.written |= did(file, &[Op::Write]) || file.bytes_written > 0 || file.mmap_write > 0;
        self.made_executable |= did(file, &[Op::Chmod]);
        self.removed |= did(file, &[Op::Unlink]);
        self.renamed |= did(file, &[Op::Rename]);
        self.executed |= did(file, &[Op::Exec]);
    }
}

/// A truth value as a word.
pub(super) fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A truth value that a record may lack.
pub(super) fn told_truth(value: Option<bool>) -> Told<'static> {
    value.map_or(Told::Unknown, |value| Told::Is(truth(value)))
}

/// Whether one of these was done to a file.
pub(super) fn did(row: &File, operations: &[Op]) -> bool {
    let mut counts = operations
        .iter()
        .filter_map(|operation| row.operations.get(operation));
    counts.any(|count| *count > 0)
}

/// Names of the operations of a file that happened.
fn operations(row: &File) -> Vec<String> {
    row.operations
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(operation, _)| operation.to_string())
        .collect()
}

/// Adds fields to an object; what is null stays unknown.
pub(super) fn merge(value: &mut Json, extra: Json) {
    if let (Json::Object(into), Json::Object(extra)) = (value, extra) {
        into.extend(extra.into_iter().filter(|(_, value)| !value.is_null()));
    }
}

/// The name of the program that runs.
fn program_name(row: &Process) -> String {
    let exe = base_name(&row.exe);
    if !MULTI_CALL.contains(&exe) {
        return exe.to_owned();
    }
    let mut names = row
        .argv
        .iter()
        .map(|argument| base_name(argument.trim_start_matches('-')));
    names
        .find(|name| *name != exe && !name.is_empty())
        .unwrap_or(exe)
        .to_owned()
}

/// A command line in one text.
fn text<'t>(arguments: impl Iterator<Item = &'t str>) -> String {
    let mut text = String::new();
    for argument in arguments {
        if !text.is_empty() {
            text.push(' ');
        }
        let left = MAX_TEXT.saturating_sub(text.len());
        let mut end = argument.len().min(left);
        while !argument.is_char_boundary(end) {
            end -= 1;
        }
        text += &argument[..end];
    }
    text
}

/// The text that an interpreter runs: code on its command line, or the path of a script.
fn interpreted<T: AsRef<str>>(argv: &[T], is_shell: bool) -> (Option<&str>, Option<&str>) {
    let mut arguments = argv.iter().map(AsRef::as_ref).skip(1).peekable();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            return (None, arguments.next());
        }
        let Some(options) = argument.strip_prefix('-') else {
            return (None, Some(argument));
        };
        if options.starts_with('-') {
            if matches!(options, "-eval" | "-print" | "-run" | "-command") {
                return (arguments.next(), None);
            }
            continue;
        }
        // A module of Python's is not a path.
        if options == "m" {
            return (None, None);
        }
        // A shell's `-e` ends it at the first error.
        let gives_code = if is_shell {
            options.ends_with('c')
        } else {
            options.ends_with(['c', 'e', 'r', 'E'])
        };
        if gives_code && options.len() <= 4 {
            return (arguments.next(), None);
        }
    }
    (None, None)
}

/// Whether a row listens where others can come.
pub(super) fn is_listener(row: &crate::model::Network) -> bool {
    row.direction == Direction::Listen
        && row.local.as_ref().is_some_and(|local| local.port.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interpreter_runs() {
        for (argv, code, script) in [
            (&["sh", "-c", "id"][..], Some("id"), None),
            (&["bash", "-lc", "id"], Some("id"), None),
            (&["sh", "-e", "/tmp/x.sh"], None, Some("/tmp/x.sh")),
            (&["python3", "/tmp/x.py", "-c"], None, Some("/tmp/x.py")),
            (&["python3", "-m", "http.server"], None, None),
            (&["node", "--inspect", "app.js"], None, Some("app.js")),
            (&["sh"], None, None),
            (&["perl", "-e", "print"], Some("print"), None),
            (&["sh", "--", "x"], None, Some("x")),
        ] {
            let is_shell = argv[0].ends_with("sh");
            assert_eq!(interpreted(argv, is_shell), (code, script), "{argv:?}");
        }
    }
}

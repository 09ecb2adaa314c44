//! No circle of imports within a crate: whoever reads a file can read what it uses first, and ends somewhere.
//!
//! An import is a path that begins with `crate`, `self`, `super` or a module below, in a `use` or elsewhere.
//! A re-export of a `mod.rs` or a `lib.rs` counts as an import of the file that it comes from. Unit tests at
//! the end of a file do not count.

use procmon_tests::project_files;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Files that lie in a circle today, by the `src` folder of their crate. A number here can only become
/// smaller.
const KNOTTED: &[(&str, usize)] = &[
    ("kubectl-procmon/src", 10),
    ("probe/src", 19),
    ("profile/src", 22),
];

/// One file of a crate.
struct Module {
    /// Path of the module within its crate, as `programs::file::rows`; empty for the root.
    path: Vec<String>,
    /// The file's text without comments, strings and unit tests.
    code: String,
}

/// The tracked Rust files below a `src` folder, by that folder.
fn crates() -> BTreeMap<String, Vec<Module>> {
    let mut crates = BTreeMap::<_, Vec<_>>::new();
    for (file, text) in project_files() {
        if Path::new(&file).extension().is_none_or(|kind| kind != "rs") {
            continue;
        }
        let Some((folder, rest)) = file.split_once("src/") else {
            continue;
        };
        let mut path: Vec<String> = rest
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if path.last().is_some_and(|name| name == "mod")
            || (path.len() == 1 && matches!(path[0].as_str(), "lib" | "main"))
        {
            path.pop();
        }
        crates
            .entry(format!("{folder}src"))
            .or_default()
            .push(Module {
                path,
                code: code_of(&text),
            });
    }
    crates
}

/// The text without line comments, string literals and unit tests.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let mut code = String::new();
    for line in text.lines() {
        let mut is_string = false;
        let mut last = ' ';
        for (at, character) in line.char_indices() {
            if character == '"' && last != '\\' && !line[..at].ends_with('\'') {
                is_string = !is_string;
            }
            if !is_string && line[at..].starts_with("//") {
                break;
            }
            if !is_string {
                code.push(character);
            }
            last = character;
        }
        code.push('\n');
    }
    code
}

/// Every path that begins with `crate`, `self`, `super` or a module below, trees of a `use` unfolded; and
/// whether it is re-exported.
fn paths(code: &str) -> Vec<(Vec<String>, bool)> {
    let mut found = Vec::new();
    let bytes = code.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let below = below(code);
    let starts: Vec<String> = ["crate", "self", "super"]
        .into_iter()
        .chain(below.iter().copied())
        .map(|name| format!("{name}::"))
        .collect();
    let mut at = 0;
    while at < bytes.len() {
        let begins = starts
            .iter()
            .any(|start| code.get(at..).is_some_and(|rest| rest.starts_with(start)));
        if !begins || (at > 0 && (is_name(bytes[at - 1]) || bytes[at - 1] == b':')) {
            at += 1;
            continue;
        }
        let statement = code[..at].rsplit([';', '}']).next().unwrap_or_default();
        let is_reexport = statement.trim_start().starts_with("pub") && statement.contains("use");
        let mut unfolded = Vec::new();
        at = unfold(code, at, &[], &mut unfolded);
        for mut path in unfolded {
            if !matches!(path[0].as_str(), "crate" | "self" | "super") {
                path.insert(0, "self".to_owned());
            }
            found.push((path, is_reexport));
        }
    }
    found
}

/// Names of the modules that a file declares.
fn below(code: &str) -> Vec<&str> {
    code.lines()
        .filter_map(|line| {
            let line = line.trim();
            let line = line.strip_suffix(';')?;
            let at = line.find("mod ")?;
            (at == 0 || line.starts_with("pub")).then(|| &line[at + 4..])
        })
        .collect()
}

/// Reads one path or tree of paths that begins at a position; returns the position behind it.
fn unfold(code: &str, start: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let bytes = code.as_bytes();
    let mut path = before.to_vec();
    let mut at = start;
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if bytes.get(at) == Some(&b'{') {
            at += 1;
            loop {
                while bytes
                    .get(at)
                    .is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b',')
                {
                    at += 1;
                }
                match bytes.get(at) {
                    None => return at,
                    Some(b'}') => return at + 1,
                    Some(_) => {
                        let next = unfold(code, at, &path, found);
                        at = next.max(at + 1);
                    }
                }
            }
        }
        let end = code[at..]
            .find(|character: char| {
                !character.is_ascii_alphanumeric() && character != '_' && character != '*'
            })
            .map_or(code.len(), |length| at + length);
        if end > at {
            path.push(code[at..end].to_owned());
        }
        at = end;
        if code[at..].starts_with("::") {
            at += 2;
        } else {
            // The rest of `NAME as OTHER`.
            if code[at..].starts_with(" as ") {
                at += code[at + 4..]
                    .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
                    .map_or(0, |length| length + 4);
            }
            found.push(path);
            return at;
        }
    }
}

/// The position of the file that a path of a module leads to, and what is left of the path there.
fn lead<'a>(
    modules: &[Module],
    from: &Module,
    path: &'a [String],
) -> Option<(usize, &'a [String])> {
    let mut at: Vec<&str> = match path.first()?.as_str() {
        "crate" => Vec::new(),
        _ => from.path.iter().map(String::as_str).collect(),
    };
    let mut rest = &path[1..];
    if path[0] == "super" {
        at.pop()?;
    }
    while rest.first().is_some_and(|name| name == "super") {
        at.pop()?;
        rest = &rest[1..];
    }
    let find = |at: &[&str]| {
        modules.iter().position(|module| {
            module
                .path
                .iter()
                .map(String::as_str)
                .eq(at.iter().copied())
        })
    };
    let mut found = find(&at)?;
    while let Some(name) = rest.first() {
        at.push(name);
        let Some(inner) = find(&at) else { break };
        found = inner;
        rest = &rest[1..];
    }
    Some((found, rest))
}

/// The file that defines a name, when a file re-exports it from another one.
fn origin(modules: &[Module], file: usize, rest: &[String], depth: usize) -> usize {
    let Some(name) = rest.first() else {
        return file;
    };
    if depth == 0 || defines(&modules[file].code, name) {
        return file;
    }
    for (path, is_reexport) in reexports(&modules[file].code) {
        let (Some(last), true) = (path.last(), is_reexport) else {
            continue;
        };
        if last != name && last != "*" {
            continue;
        }
        let Some((target, left)) = lead(modules, &modules[file], &path) else {
            continue;
        };
        if target == file {
            continue;
        }
        if last == name {
            return origin(modules, target, left, depth - 1);
        }
        let inner = origin(modules, target, rest, depth - 1);
        if defines(&modules[inner].code, name) {
            return inner;
        }
    }
    file
}

/// Paths of `pub use`: relative ones, too, which begin with the name of a module below.
fn reexports(code: &str) -> Vec<(Vec<String>, bool)> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let statement = statement.trim_start();
        let Some(at) = statement.find("use ") else {
            continue;
        };
        if !statement[..at].trim_end().ends_with("pub")
            && !statement[..at].trim_end().ends_with("pub(crate)")
            && !statement[..at].trim_end().ends_with("pub(super)")
        {
            continue;
        }
        let mut unfolded = Vec::new();
        unfold(statement, at + 4, &[], &mut unfolded);
        for mut path in unfolded {
            if !matches!(path[0].as_str(), "crate" | "self" | "super") {
                path.insert(0, "self".to_owned());
            }
            found.push((path, true));
        }
    }
    found
}

/// The text defines an item of this name.
fn defines(code: &str, name: &str) -> bool {
    [
        "fn ",
        "struct ",
        "enum ",
        "const ",
        "static ",
        "static mut ",
        "type ",
        "trait ",
        "union ",
        "macro_rules! ",
        "mod ",
    ]
    .iter()
    .any(|kind| {
        code.match_indices(&format!("{kind}{name}"))
            .any(|(at, text)| {
                !code[at + text.len()..]
                    .starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
            })
    })
}

/// Which files each file of a crate uses.
fn arrows(modules: &[Module]) -> Vec<BTreeSet<usize>> {
    modules
        .iter()
        .enumerate()
        .map(|(from, module)| {
            paths(&module.code)
                .into_iter()
                .filter(|(_, is_reexport)| !is_reexport)
                .filter_map(|(path, _)| {
                    let (file, rest) = lead(modules, module, &path)?;
                    Some(origin(modules, file, rest, 4))
                })
                .filter(|file| *file != from)
                .collect()
        })
        .collect()
}

/// The files from which one comes back to them.
fn knotted(arrows: &[BTreeSet<usize>]) -> Vec<usize> {
    (0..arrows.len())
        .filter(|start| {
            let mut reached = BTreeSet::new();
            let mut next: Vec<usize> = arrows[*start].iter().copied().collect();
            while let Some(file) = next.pop() {
                if reached.insert(file) {
                    next.extend(&arrows[file]);
                }
            }
            reached.contains(start)
        })
        .collect()
}

#[test]
fn no_file_uses_what_uses_it() {
    let known: BTreeMap<&str, usize> = KNOTTED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (folder, modules) in crates() {
        let arrows = arrows(&modules);
        let files = knotted(&arrows);
        let allowed = known.get(folder.as_str()).copied().unwrap_or(0);
        if files.len() == allowed {
            continue;
        }
        let name = |file: usize| match modules[file].path.as_slice() {
            [] => "the root".to_owned(),
            path => path.join("::"),
        };
        let lines: Vec<String> = files
            .iter()
            .map(|file| {
                let uses: Vec<String> = arrows[*file]
                    .iter()
                    .filter(|used| files.contains(used))
                    .map(|used| name(*used))
                    .collect();
                format!("  {} uses {}", name(*file), uses.join(", "))
            })
            .collect();
        wrong.push(format!(
            "{folder}: {} files lie in a circle, KNOTTED says {allowed}\n{}",
            files.len(),
            lines.join("\n")
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let module = |path: &[&str], code: &str| Module {
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        code: code_of(code),
    };
    let modules = [
        module(&[], "mod rows;\nmod calls;\nmod kept;\n"),
        module(&["rows"], "use crate::calls::{self, Call as C};\n"),
        module(&["calls"], "fn f() { super::kept::Kept::new(); }\n"),
        module(&["kept"], "pub(crate) use inner::Kept;\nmod inner;\n"),
        module(
            &["kept", "inner"],
            "use crate::{rows::{Row, count}};\nstruct Kept;\n",
        ),
        module(&["apart"], "// crate::apart::below\nuse self::below::x;\n"),
        module(
            &["apart", "below"],
            "#[cfg(test)]\nmod tests { use super::super::x; }\n",
        ),
    ];
    let files = knotted(&arrows(&modules));
    assert_eq!(files, [1, 2, 4]);
}

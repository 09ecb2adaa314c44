//! `kubectl procmon rules`: what `check` looks for, and rules of one's own.

use crate::exit::Code;
use crate::hint::advised;
use crate::output::Output;
use crate::render::Style;
use crate::render::rules as render;
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use procmon_profile::rules::{Catalogue, MAX_FILE_BYTES, Rule, parse, test};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The most files of one folder.
const MAX_FILES: usize = 2_000;

/// List, explain and test the rules of `check`
///
/// A rule is a YAML file: a condition in CEL about one row of a profile, what it means, and what to do. The
/// words that conditions use (`'shell' in process.is`) are listed by `rules explain words`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kubectl procmon rules list
  kubectl procmon rules explain exec-memfd
  kubectl procmon rules explain words
  kubectl procmon rules test own.yaml
  kubectl procmon check p.json --rules own.yaml")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List all rules
    List(Which),
    /// Tell what a rule looks for, what it means and what to do
    Explain {
        /// Id of a rule; `words` tells what conditions can use
        id: String,
        #[command(flatten)]
        which: Which,
    },
    /// Run the cases of rules: each has to find what it should, and nothing else
    Test {
        /// Files or folders of rules [default: the built-in ones]
        #[arg(value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
    /// Look for faults in rules: what can't be used, and what is missing
    Lint {
        /// Files or folders of rules
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
}

/// Which rules are used.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Which {
    /// Add the rules of a file or folder, in the place of those with the same id; may be given several times
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
}

impl Which {
    /// The rules, compiled.
    pub(crate) fn catalogue(&self) -> Result<Catalogue> {
        let own = read(&self.rules)?;
        Catalogue::with(own).context("cannot use the rules")
    }
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let output = Output::open(None)?;
    let style = Style::of(&output);
    let mut text = Vec::new();
    let mut code = Code::Done;
    match &args.verb {
        Verb::List(which) => render::list(which.catalogue()?.rules(), style, &mut text)?,
        Verb::Explain { id, .. } if id == "words" => render::words(style, &mut text)?,
        Verb::Explain { id, which } => {
            let catalogue = which.catalogue()?;
            let rule = catalogue
                .rules()
                .find(|rule| rule.id == *id)
                .ok_or_else(|| {
                    advised(
                        format!("there is no rule `{id}`"),
                        "`kubectl procmon rules list` lists them",
                    )
                })?;
            render::explain(rule, &mut text)?;
        }
        Verb::Test { files } => {
            let catalogue;
            let own = read(files)?;
            let rules: Vec<&Rule> = if files.is_empty() {
                catalogue = Catalogue::with(Vec::new()).context("cannot use the rules")?;
                catalogue.rules().collect()
            } else {
                own.iter().collect()
            };
            let mut wrong = 0;
            let mut all = 0;
            for rule in &rules {
                let outcomes = test(rule).context("cannot test the rule")?;
                all += outcomes.len();
                for outcome in outcomes.iter().filter(|outcome| !outcome.is_right()) {
                    wrong += 1;
                    render::outcome(rule, outcome, &mut text)?;
                }
            }
            render::tested(rules.len(), all, wrong, &mut text)?;
            if wrong > 0 {
                code = Code::Drift;
            }
        }
        Verb::Lint { files } => {
            let rules = read(files)?;
            Catalogue::of(rules.clone()).context("cannot use the rules")?;
            let mut found = 0;
            for rule in &rules {
                for what in lint(rule) {
                    found += 1;
                    render::fault(rule, what, &mut text)?;
                }
            }
            render::linted(rules.len(), found, &mut text)?;
            if found > 0 {
                code = Code::Drift;
            }
        }
    }
    output.write(&text)?;
    Ok(code)
}

/// Parts that a rule does not have and that a reader of its findings would miss.
fn lint(rule: &Rule) -> Vec<&'static str> {
    let mut found = Vec::new();
    let (hits, misses) = (rule.cases.hit.len(), rule.cases.miss.len());
    for (is_missing, what) in [
        (hits < 2, "fewer than two cases that it finds (`cases.hit`)"),
        (
            misses < 2,
            "fewer than two cases that it does not find (`cases.miss`)",
        ),
        (
            rule.mitre.is_empty(),
            "no technique of MITRE ATT&CK (`mitre`)",
        ),
        (rule.next.is_empty(), "nothing to do next (`next`)"),
    ] {
        if is_missing {
            found.push(what);
        }
    }
    found
}

/// Reads the rules of files and folders. Each id is in one place.
fn read(paths: &[PathBuf]) -> Result<Vec<Rule>> {
    let mut rules: BTreeMap<String, (Rule, PathBuf)> = BTreeMap::new();
    for path in paths {
        for file in files(path)? {
            let said = || format!("cannot read the rules of `{}`", file.display());
            let text = read_text(&file).with_context(said)?;
            for rule in parse(&text).with_context(said)? {
                let id = rule.id.clone();
                if let Some((_, other)) = rules.insert(id.clone(), (rule, file.clone())) {
                    bail!(
                        "two rules have the id `{id}`: in `{}` and in `{}`",
                        other.display(),
                        file.display()
                    );
                }
            }
        }
    }
    Ok(rules.into_values().map(|(rule, _)| rule).collect())
}

/// The file itself, or the YAML files of a folder, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let said = || format!("cannot read `{}`", path.display());
    if !fs::metadata(path).with_context(said)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(said)? {
        let file = entry.with_context(said)?.path();
        let ending = file.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("yaml" | "yml")) {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(advised(
            format!("`{}` holds no rules", path.display()),
            "rules are files that end in .yaml",
        ));
    }
    if files.len() > MAX_FILES {
        bail!(
            "`{}` holds more than {MAX_FILES} files of rules",
            path.display()
        );
    }
    files.sort();
    Ok(files)
}

/// The text of a file; of one that is too long, so much that its length refuses it.
fn read_text(file: &Path) -> Result<String> {
    let mut text = String::new();
    fs::File::open(file)?
        .take(MAX_FILE_BYTES as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

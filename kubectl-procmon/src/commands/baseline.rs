//! `kubectl procmon baseline`: what a workload is known to do, kept in files or in the cluster.

use crate::cluster::store;
use crate::documents::{Live, Place, mismatch};
use crate::exit::Code;
use crate::hint::advised;
use crate::output::Output;
use crate::render::format::OF_BASELINE;
use crate::render::{self, Format, Style, View};
use anyhow::{Context as _, Result};
use procmon_profile::baseline::{self, from_profiles, workload_name};
use procmon_profile::document::Content;
use procmon_profile::model::{Baseline, Profile, RowValue};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Keep what a workload is known to do
///
/// A baseline is made from one or more profiles of a workload; what varies between them becomes a
/// wildcard. `kubectl procmon diff` compares with it. BASELINE is a file (.yaml, .json), or
/// `cm/NAME` for a ConfigMap of the namespace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kubectl procmon baseline save web.yaml --from p1.json --from p2.json --from p3.json
  kubectl procmon baseline save cm/web deploy/web -n shop --windows 3 --duration 30s
  kubectl procmon baseline show web.yaml --explain
  kubectl procmon baseline merge web.yaml --from p4.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Save(Save),
    Show(Show),
    Merge(Merge),
    Accept(Accept),
    Lock(Lock),
    List(List),
    Delete(Delete),
    Export(Export),
}

/// Permission to change what is locked
#[derive(Debug, clap::Args)]
pub(crate) struct Force {
    /// Change it although it is locked, or although workloads differ; leaves a note
    #[arg(long)]
    pub(crate) force: bool,
    /// Why, for the note
    #[arg(long, requires = "force", value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Make a baseline from profiles, or from windows recorded now
#[derive(Debug, clap::Args)]
struct Save {
    /// File or cm/NAME; what is there is replaced
    baseline: String,
    /// What to profile, without --from
    #[arg(value_name = "TARGET", num_args = 0..=2)]
    target: Vec<String>,
    /// A profile, or another baseline; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    from: Vec<String>,
    /// Windows to record one after the other
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    windows: u32,
    /// Name in the document [default: that of the file or ConfigMap]
    #[arg(long)]
    name: Option<String>,
    /// Workload, of profiles that hold several
    #[arg(long)]
    workload: Option<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

/// Show a baseline
#[derive(Debug, clap::Args)]
struct Show {
    /// File, cm/NAME, or `-`
    baseline: String,
    /// Also say what each wildcard stands for, and why
    #[arg(long)]
    explain: bool,
    /// Form of the result
    #[arg(short = 'o', long, value_parser = Format::one_of(OF_BASELINE), default_value = "table", value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    live: Live,
}

/// Add windows to a baseline
#[derive(Debug, clap::Args)]
struct Merge {
    /// File or cm/NAME
    baseline: String,
    /// A profile, or another baseline; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    from: Vec<String>,
    /// Workload, of profiles that hold several
    #[arg(long)]
    workload: Option<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

/// Take reviewed rows of a drift into a baseline
#[derive(Debug, clap::Args)]
struct Accept {
    /// File or cm/NAME
    baseline: String,
    /// The drift, as `kubectl procmon diff -o json` writes it
    #[arg(long, value_name = "FILE")]
    drift: String,
    /// Id of a row; may be given several times [default: all]
    #[arg(long, value_name = "ID")]
    row: Vec<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

/// Lock a baseline: it then changes by --force only
#[derive(Debug, clap::Args)]
struct Lock {
    /// File or cm/NAME
    baseline: String,
    /// Take the lock away; needs --force
    #[arg(long, requires = "force")]
    unlock: bool,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

/// List the baselines of a namespace, or of a folder
#[derive(Debug, clap::Args)]
struct List {
    /// A folder with files
    folder: Option<PathBuf>,
    #[command(flatten)]
    live: Live,
}

/// Delete a baseline
#[derive(Debug, clap::Args)]
struct Delete {
    /// File or cm/NAME
    baseline: String,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    live: Live,
}

/// Write a baseline to a file or to standard output
#[derive(Debug, clap::Args)]
struct Export {
    /// cm/NAME or a file
    baseline: String,
    /// File, JSON or YAML by its name [default: standard output, as YAML]
    #[arg(long, value_name = "PATH")]
    output_file: Option<PathBuf>,
    #[command(flatten)]
    live: Live,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    match &args.action {
        Action::Save(args) => save(args),
        Action::Show(args) => show(args),
        Action::Merge(args) => {
            let more = sources(&args.from, args.workload.as_deref(), &args.live)?;
            change(&args.baseline, &args.live, &args.force, "merged", |known| {
                more.iter().try_fold(known, |known, more| {
                    merge(known, more.clone(), args.force.force)
                })
            })
        }
        Action::Accept(args) => accept(args),
        Action::Lock(args) => change(
            &args.baseline,
            &args.live,
            &args.force,
            if args.unlock { "unlocked" } else { "locked" },
            |mut known| {
                known.metadata.locked = !args.unlock;
                Ok(known)
            },
        ),
        Action::List(args) => list(args),
        Action::Delete(args) => delete(args),
        Action::Export(args) => {
            let known =
                Place::of(std::slice::from_ref(&args.baseline))?.read_baseline(&args.live, None)?;
            let json = args.output_file.as_deref().is_some_and(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            });
            Output::open(args.output_file.as_deref())?.write(&text(&known, json)?)?;
            Ok(Code::Done)
        }
    }
}

/// Profiles and baselines, each as a baseline.
fn sources(from: &[String], workload: Option<&str>, live: &Live) -> Result<Vec<Baseline>> {
    let mut profiles: Vec<Profile> = Vec::new();
    let mut all = Vec::new();
    for word in from {
        let place = Place::of(std::slice::from_ref(word))?;
        match place.read(live)?.content {
            Content::Profile(profile) => profiles.push(*profile),
            Content::Baseline(_) => all.push(place.read_baseline(live, workload)?),
            Content::Findings(_) => {
                return Err(advised(
                    format!("`{word}` is of kind Findings"),
                    "give the profile that was judged",
                ));
            }
            Content::Drift(_) => {
                return Err(advised(
                    format!("`{word}` is a Drift"),
                    "`kubectl procmon baseline accept` takes rows of one",
                ));
            }
        }
    }
    if !profiles.is_empty() {
        all.push(
            from_profiles("", &profiles, workload)
                .map_err(|error| mismatch(&error))
                .context("cannot make a baseline")?,
        );
    }
    Ok(all)
}

fn merge(one: Baseline, other: Baseline, force: bool) -> Result<Baseline> {
    let name = one.metadata.name.clone();
    let mut merged = if force {
        let workload = one.metadata.workload.clone();
        let mut merged = baseline::merge_by_force(one, other);
        merged.metadata.workload = workload;
        merged
    } else {
        baseline::merge(one, other)
            .map_err(|error| mismatch(&error))
            .context("cannot merge")?
    };
    merged.metadata.name = name;
    Ok(merged)
}

fn save(args: &Save) -> Result<Code> {
    let place = writable(&args.baseline)?;
    let name = args.name.clone().unwrap_or_else(|| default_name(&place));
    let old = read_old(&place, &args.live)?;
    if let Some((old, _)) = &old {
        check_lock(old, &place, &args.force)?;
    }
    let all = if args.from.is_empty() {
        if args.target.is_empty() {
            return Err(advised(
                "nothing to make a baseline from is named",
                "name profiles with `--from p.json`, or a target as `deploy/web`",
            ));
        }
        let profiles = (0..args.windows)
            .map(|_| crate::documents::profile(args.target.clone(), &args.live))
            .collect::<Result<Vec<Profile>>>()?;
        vec![
            from_profiles(&name, &profiles, args.workload.as_deref())
                .map_err(|error| mismatch(&error))
                .context("cannot make a baseline")?,
        ]
    } else {
        sources(&args.from, args.workload.as_deref(), &args.live)?
    };
    let mut all = all.into_iter();
    let first = all.next().context("nothing was read")?;
    let mut made = all.try_fold(first, |one, other| merge(one, other, args.force.force))?;
    made.metadata.name = name.into();
    if let Some((old, _)) = old.as_ref().filter(|(old, _)| old.metadata.locked) {
        made.metadata.locked = true;
        made.metadata
            .notes
            .extend(old.metadata.notes.iter().cloned());
        made.metadata
            .notes
            .insert(note("replaced", &args.force).into());
    }
    write(
        &place,
        &made,
        old.and_then(|(_, version)| version).as_deref(),
        &args.live,
    )?;
    if !args.live.quiet {
        say(&render::baseline::summary(&made, &place.name()));
    }
    Ok(Code::Done)
}

fn show(args: &Show) -> Result<Code> {
    let known = Place::of(std::slice::from_ref(&args.baseline))?.read_baseline(&args.live, None)?;
    let format = match args.output {
        Format::Table if args.explain => Format::Wide,
        other => other,
    };
    let mut text = Vec::new();
    let view = View::Baseline(&known);
    render::render(view, format, Style::of_stdout(), &mut text)?;
    Output::Stdout.write(&text)?;
    Ok(Code::Done)
}

fn accept(args: &Accept) -> Result<Code> {
    let place = Place::of(std::slice::from_ref(&args.drift))?;
    let Content::Drift(drift) = place.read(&args.live)?.content else {
        return Err(advised(
            format!("`{}` is no Drift", place.name()),
            "`kubectl procmon diff BASELINE PROFILE -o json` writes one",
        ));
    };
    take_rows(&args.baseline, &drift, &args.row, &args.live, &args.force)
}

/// The least that names a row: what tables show.
const SHORT_ID: usize = 16;

/// The id of the only row that a whole id or its beginning names.
fn row_id<'a>(drift: &'a procmon_profile::model::Drift, wanted: &str) -> Result<&'a str> {
    let fits = |id: &str| id == wanted || (wanted.len() >= SHORT_ID && id.starts_with(wanted));
    let rows: Vec<_> = drift.rows.iter().filter(|row| fits(&row.id)).collect();
    match rows.as_slice() {
        [row] if matches!(row.value, RowValue::Incomplete(_)) => Err(advised(
            format!("row `{wanted}` can't be accepted: {}", row.key),
            "capture it as a whole, or add windows that are not complete to the baseline",
        )),
        [row] => Ok(&row.id),
        [] => Err(advised(
            format!("the drift has no row `{wanted}`"),
            "ids stand in the drift: `-o json`, or the table's first column",
        )),
        several => Err(advised(
            format!(
                "{} rows have an id that begins with `{wanted}`",
                several.len()
            ),
            "give all 32 digits, as `-o json` has them",
        )),
    }
}

/// Takes rows of a drift into a baseline: those with these ids, or all.
pub(crate) fn take_rows(
    baseline: &str,
    drift: &procmon_profile::model::Drift,
    ids: &[String],
    live: &Live,
    force: &Force,
) -> Result<Code> {
    let wanted = ids
        .iter()
        .map(|id| row_id(drift, id))
        .collect::<Result<BTreeSet<&str>>>()?;
    let mut taken = 0;
    let code = change(baseline, live, force, "accepted rows", |mut known| {
        if known.metadata.workload != drift.baseline.workload && !force.force {
            return Err(advised(
                format!(
                    "the drift is of {}, the baseline of {}",
                    workload_name(&drift.baseline.workload),
                    workload_name(&known.metadata.workload)
                ),
                "name the baseline that the drift was made with, or say `--force`",
            ));
        }
        taken = baseline::accept(&mut known, drift, |id| {
            wanted.is_empty() || wanted.contains(id)
        });
        Ok(known)
    })?;
    if !live.quiet {
        say(&format!("{taken} rows were taken into {baseline}"));
    }
    Ok(code)
}

fn list(args: &List) -> Result<Code> {
    let mut rows = Vec::new();
    match &args.folder {
        Some(folder) => {
            let entries = std::fs::read_dir(folder)
                .with_context(|| format!("cannot read `{}`", folder.display()))?;
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                let known = path.extension().is_some_and(|extension| {
                    extension == "json" || extension == "yaml" || extension == "yml"
                });
                if known
                    && let Ok(Content::Baseline(baseline)) =
                        crate::documents::read_file(&path).map(|document| document.content)
                {
                    rows.push(vec![
                        path.display().to_string(),
                        workload_name(&baseline.metadata.workload),
                        baseline.windows.len().to_string(),
                        if baseline.metadata.locked {
                            "locked"
                        } else {
                            ""
                        }
                        .to_owned(),
                    ]);
                }
            }
        }
        None => {
            for map in store::list(&args.live.connection)? {
                let (windows, state) = match map.head {
                    Ok((windows, locked)) => (
                        windows.to_string(),
                        if locked { "locked" } else { "" }.to_owned(),
                    ),
                    Err(reason) => ("?".to_owned(), format!("can't be read: {reason}")),
                };
                rows.push(vec![
                    format!("cm/{}", map.name),
                    map.workload,
                    windows,
                    state,
                ]);
            }
        }
    }
    let mut out = Vec::new();
    render::baseline::list(&rows, &mut out)?;
    Output::Stdout.write(&out)?;
    Ok(Code::Done)
}

fn delete(args: &Delete) -> Result<Code> {
    let place = writable(&args.baseline)?;
    let old = read_old(&place, &args.live)?;
    if let Some((old, _)) = &old {
        check_lock(old, &place, &args.force)?;
    }
    let was_there = match &place {
        // Parts of a baseline that was never written whole may be there.
        Place::ConfigMap(name) => store::delete(&args.live.connection, name)?,
        Place::File(path) if old.is_some() => {
            std::fs::remove_file(path)
                .with_context(|| format!("cannot delete `{}`", path.display()))?;
            true
        }
        _ => false,
    };
    if !was_there {
        return Err(advised(
            format!("there is no `{}`", place.name()),
            "`kubectl procmon baseline list` names those that are",
        ));
    }
    if !args.live.quiet {
        say(&format!("deleted {}", place.name()));
    }
    Ok(Code::Done)
}

/// A place that can be written to.
fn writable(word: &str) -> Result<Place> {
    match Place::of(&[word.to_owned()])? {
        place @ (Place::File(_) | Place::ConfigMap(_)) => Ok(place),
        place => Err(advised(
            format!("a baseline can't be kept in `{}`", place.name()),
            "name a file that ends with .yaml or .json, or `cm/NAME`",
        )),
    }
}

fn default_name(place: &Place) -> String {
    match place {
        Place::File(path) => path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default(),
        Place::ConfigMap(name) => name.clone(),
        _ => String::new(),
    }
}

/// What is there already.
fn read_old(place: &Place, live: &Live) -> Result<Option<(Baseline, Option<String>)>> {
    let stored = match place {
        Place::File(path) => match crate::documents::read_file(path) {
            Ok(document) => Some((document, None)),
            // Nothing, an empty file, or something else that may be replaced if it is no document.
            Err(error) if is_absent_or_empty(path) => {
                drop(error);
                None
            }
            Err(error) => {
                return Err(
                    error.context(format!("`{}` is there and is no baseline", path.display()))
                );
            }
        },
        Place::ConfigMap(name) => match store::read_if_there(&live.connection, name)? {
            Some(stored) => Some((crate::documents::parse(&stored.bytes)?, stored.version)),
            None => None,
        },
        _ => None,
    };
    match stored {
        None => Ok(None),
        Some((document, version)) => match document.content {
            Content::Baseline(_) if document.newer_minor => Err(advised(
                format!(
                    "`{}` has schema {}: writing it would lose what is new in it",
                    place.name(),
                    document.schema_version
                ),
                "use a newer kubectl-procmon",
            )),
            Content::Baseline(baseline) => Ok(Some((*baseline, version))),
            other => Err(advised(
                format!("`{}` is there and is a {}", place.name(), other.kind()),
                "name another file",
            )),
        },
    }
}

fn is_absent_or_empty(path: &std::path::Path) -> bool {
    std::fs::metadata(path).map_or(true, |metadata| metadata.is_file() && metadata.len() == 0)
}

fn check_lock(known: &Baseline, place: &Place, force: &Force) -> Result<()> {
    if known.metadata.locked && !force.force {
        return Err(advised(
            format!("`{}` is locked", place.name()),
            "change it with `--force --reason TEXT`, which leaves a note of who and why",
        ));
    }
    Ok(())
}

/// Tries of a change that somebody else was faster with.
const TRIES: u32 = 8;

/// Reads a baseline, changes it and writes it back; begins anew when somebody else was faster.
fn change(
    word: &str,
    live: &Live,
    force: &Force,
    done: &str,
    mut work: impl FnMut(Baseline) -> Result<Baseline>,
) -> Result<Code> {
    let place = writable(word)?;
    for attempt in 1.. {
        let Some((known, version)) = read_old(&place, live)? else {
            return Err(advised(
                format!("there is no `{}`", place.name()),
                "`kubectl procmon baseline save` makes one",
            ));
        };
        check_lock(&known, &place, force)?;
        let was_locked = known.metadata.locked;
        let mut changed = work(known)?;
        if was_locked || force.force {
            changed.metadata.notes.insert(note(done, force).into());
        }
        match write(&place, &changed, version.as_deref(), live) {
            Err(error) if error.downcast_ref::<store::Conflict>().is_some() && attempt < TRIES => {}
            other => {
                other?;
                break;
            }
        }
    }
    Ok(Code::Done)
}

/// Who did it by force, and why.
fn note(done: &str, force: &Force) -> String {
    let who = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "somebody".to_owned());
    let why = force.reason.as_deref().unwrap_or("no reason given");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("{now} {who} {done} by force: {why}")
}

/// A baseline for a file: JSON or YAML.
fn text(known: &Baseline, json: bool) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    if json {
        render::json(known, &mut text)?;
    } else {
        render::yaml(known, &mut text)?;
    }
    Ok(text)
}

fn write(place: &Place, known: &Baseline, version: Option<&str>, live: &Live) -> Result<()> {
    match place {
        Place::File(path) => {
            let json = path
                .extension()
                .is_some_and(|extension| extension == "json");
            Output::open(Some(path))?.write(&text(known, json)?)
        }
        Place::ConfigMap(name) => {
            let bytes = serde_json::to_vec(known)?;
            store::write(
                &live.connection,
                name,
                &bytes,
                &known.metadata.workload,
                version,
            )
            .with_context(|| format!("cannot write ConfigMap `{name}`"))
            .map_err(|error| {
                // The caller begins anew.
                if error.downcast_ref::<store::Conflict>().is_some() {
                    store::Conflict.into()
                } else {
                    error
                }
            })
        }
        _ => Ok(()),
    }
}

/// For people, on standard error.
#[expect(clippy::print_stderr, reason = "a sentence that is no result")]
fn say(text: &str) {
    eprintln!("{}", render::escape_lines(text));
}

//! A baseline where it is kept: read, locked, changed, written.

use crate::cluster::store;
use crate::documents::Place;
use crate::exit::Code;
use crate::flags::{Force, Live};
use crate::hint::advised;
use crate::output::Output;
use crate::render;
use anyhow::{Context as _, Result};
use procmon_profile::document::Content;
use procmon_profile::model::Baseline;
use std::path::Path;

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

pub(super) fn default_name(place: &Place) -> String {
    match place {
        Place::File(path) => path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default(),
        Place::ConfigMap(name) => name.clone(),
        _ => String::new(),
    }
}

/// A baseline, and its version in the cluster.
pub(super) type Stored = (Baseline, Option<String>);

/// The baseline that is there already.
fn read_old(place: &Place, live: &Live) -> Result<Option<Stored>> {
    let stored = match place {
        Place::File(path) => match crate::documents::read_file(path) {
            Ok(document) => Some((document, None)),
            // An absent or empty file is replaced.
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

fn is_absent_or_empty(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |metadata| metadata.is_file() && metadata.len() == 0)
}

/// A place that can be written to, and the baseline that is there already: it is not locked.
pub(super) fn unlocked(word: &str, live: &Live, force: &Force) -> Result<(Place, Option<Stored>)> {
    let place = writable(word)?;
    let old = read_old(&place, live)?;
    if let Some((old, _)) = &old {
        check_lock(old, &place, force)?;
    }
    Ok((place, old))
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

/// Attempts to write a change while others write too.
const TRIES: u32 = 8;

/// Reads a baseline, changes it and writes it back; starts over when another writer was faster.
pub(super) fn change(
    word: &str,
    live: &Live,
    force: &Force,
    done: &str,
    mut work: impl FnMut(Baseline) -> Result<Baseline>,
) -> Result<Code> {
    for attempt in 1.. {
        let (place, old) = unlocked(word, live, force)?;
        let Some((known, version)) = old else {
            return Err(advised(
                format!("there is no `{}`", place.name()),
                "`kubectl procmon baseline save` makes one",
            ));
        };
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
pub(super) fn note(done: &str, force: &Force) -> String {
    let who = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "somebody".to_owned());
    let why = force.reason.as_deref().unwrap_or("no reason given");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("{now} {who} {done} by force: {why}")
}

/// A file's name says that it holds JSON.
pub(super) fn is_json(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "json")
}

/// A baseline for a file: JSON or YAML.
pub(super) fn text(known: &Baseline, json: bool) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    if json {
        render::json(known, &mut text)?;
    } else {
        render::yaml(known, &mut text)?;
    }
    Ok(text)
}

pub(super) fn write(
    place: &Place,
    known: &Baseline,
    version: Option<&str>,
    live: &Live,
) -> Result<()> {
    match place {
        Place::File(path) => Output::open(Some(path))?.write(&text(known, is_json(path))?),
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
                // The caller starts over.
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

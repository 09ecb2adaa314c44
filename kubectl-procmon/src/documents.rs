//! Documents that a user names: files, standard input, ConfigMaps, and what is profiled right now.

use crate::cluster::{self, Outcome, store};
use crate::flags::Live;
use crate::yaml;
use anyhow::{Context as _, Result, bail};
use procmon_profile::baseline;
use procmon_profile::document::{self, Content, Document, DocumentError, MAX_DOCUMENT_BYTES};
use procmon_profile::model::{Baseline, Profile};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why a document can't be read, with the remedy where it has one.
fn explain(error: DocumentError) -> anyhow::Error {
    if matches!(error, DocumentError::Twice(_)) {
        return crate::hint::advised(error.to_string(), "give each container one entry");
    }
    error.into()
}

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// A ConfigMap of the namespace.
    ConfigMap(String),
    /// A target in the cluster, to be profiled.
    Target(Vec<String>),
}

impl Place {
    /// The place that words name: `-`, `cm/NAME`, a file that exists or looks like one, else a target.
    pub(crate) fn of(words: &[String]) -> Result<Self> {
        let [word] = words else {
            return Ok(Self::Target(words.to_vec()));
        };
        if word == "-" {
            return Ok(Self::Stdin);
        }
        for prefix in ["cm/", "configmap/", "configmaps/"] {
            if let Some(name) = word.strip_prefix(prefix) {
                if name.is_empty() {
                    bail!("`{word}` does not name a ConfigMap");
                }
                return Ok(Self::ConfigMap(name.to_owned()));
            }
        }
        let path = PathBuf::from(word);
        let looks_like_a_file = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| matches!(extension, "json" | "yaml" | "yml"));
        if looks_like_a_file || path.exists() || word.starts_with(['.', '/']) || !word.contains('/')
        {
            return Ok(Self::File(path));
        }
        Ok(Self::Target(vec![word.clone()]))
    }

    /// How a user would name it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::ConfigMap(name) => format!("cm/{name}"),
            Self::Target(words) => words.join(" "),
        }
    }

    /// The document there; a target is profiled.
    pub(crate) fn read(&self, live: &Live) -> Result<Document> {
        match self {
            Self::Stdin => parse(&read_limited(std::io::stdin().lock())?),
            Self::File(path) => read_file(path),
            Self::ConfigMap(name) => parse(&store::read(&live.connection, name)?.bytes),
            Self::Target(words) => Ok(Document {
                content: Content::Profile(Box::new(profile(words.clone(), live)?)),
                schema_version: procmon_profile::model::SCHEMA_VERSION.to_owned(),
                newer_minor: false,
            }),
        }
        .with_context(|| format!("cannot read `{}`", self.name()))
    }

    /// The Profile there.
    pub(crate) fn read_profile(&self, live: &Live) -> Result<Profile> {
        match self.read(live)?.content {
            Content::Profile(profile) => Ok(*profile),
            other => Err(other_kind(self, other.kind(), "Profile")),
        }
    }

    /// The Baseline there; a Profile is taken for one.
    pub(crate) fn read_baseline(&self, live: &Live, workload: Option<&str>) -> Result<Baseline> {
        let document = self.read(live)?;
        match document.content {
            Content::Baseline(baseline) => Ok(*baseline),
            Content::Profile(profile) => {
                baseline::from_profiles(&self.name(), &[*profile], workload)
                    .map_err(|error| mismatch(&error))
                    .with_context(|| format!("cannot take `{}` for a baseline", self.name()))
            }
            other => Err(other_kind(self, other.kind(), "Baseline")),
        }
    }
}

fn other_kind(place: &Place, found: &str, wanted: &str) -> anyhow::Error {
    crate::hint::advised(
        format!("`{}` is of kind {found}, not {wanted}", place.name()),
        match wanted {
            "Profile" => "`kubectl procmon profile -o json --output-file p.json` writes one",
            _ => "`kubectl procmon baseline save b.yaml --from p.json` writes one",
        },
    )
}

/// Why two documents do not go together, and what to do.
pub(crate) fn mismatch(error: &baseline::BaselineError) -> anyhow::Error {
    use baseline::BaselineError;
    let hint = match error {
        BaselineError::Nothing => "profile a target that runs",
        BaselineError::SeveralWorkloads(_) | BaselineError::NoSuchWorkload(_) => {
            "name one of them with `--workload`"
        }
        BaselineError::OtherWorkload(..) | BaselineError::OtherArchitecture(..) => {
            "compare documents of one workload and architecture, or say `--force`"
        }
    };
    crate::hint::advised(error.to_string(), hint)
}

/// Profiles a target in the cluster.
pub(crate) fn profile(target: Vec<String>, live: &Live) -> Result<Profile> {
    match cluster::run(live.options(target))? {
        Outcome::Profile(profile) => Ok(*profile),
        Outcome::Interrupted => Err(crate::exit::Interrupted.into()),
        Outcome::Manifests(_) => bail!("nothing was profiled"),
    }
}

/// Reads a document from a file.
pub(crate) fn read_file(path: &Path) -> Result<Document> {
    if path == Path::new("-") {
        return parse(&read_limited(std::io::stdin().lock())?);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        bail!("it is a folder");
    }
    if metadata.len() > MAX_DOCUMENT_BYTES {
        bail!(
            "it has {} bytes, more than the {MAX_DOCUMENT_BYTES} that are read",
            metadata.len()
        );
    }
    parse(&read_limited(file)?)
}

fn read_limited(from: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        bail!("it has more than the {MAX_DOCUMENT_BYTES} bytes that are read");
    }
    Ok(bytes)
}

/// JSON, or YAML.
pub(crate) fn parse(bytes: &[u8]) -> Result<Document> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_none_or(|byte| *byte == b'{') {
        return document::parse(bytes).map_err(explain);
    }
    // YAML has no controls but white space.
    match std::str::from_utf8(bytes) {
        Ok(text)
            if !bytes
                .iter()
                .any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) =>
        {
            yaml::parse(text).map_err(explain)
        }
        _ => bail!("it is neither JSON nor YAML"),
    }
}

//! Documents in ConfigMaps beside the workload: compressed, split where one is too small, with a
//! checksum, and written only over the version that was read.

use super::client;
use super::connection::Connection;
use super::errors::explain;
use crate::hint::advised;
use crate::probes;
use anyhow::{Context as _, Result, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use procmon_profile::model::BaselineWorkload;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// Bytes in one ConfigMap: below the 1 MiB that the API server takes.
const PART_BYTES: usize = 900_000;
/// ConfigMaps of one document.
const MAX_PARTS: usize = 32;
/// Most bytes that a document in ConfigMaps may inflate to: 900,000 bytes may become a thousand times as
/// many.
const MAX_INFLATED_BYTES: usize = 64 << 20;
/// Most bytes that the documents of one list may inflate to, all together.
const MAX_LIST_BYTES: usize = 512 << 20;
/// ConfigMaps that are asked for at a time.
const PAGE: u32 = 50;
const KIND: &str = "procmon/document";
const DIGEST: &str = "procmon/sha256";
const PARTS: &str = "procmon/parts";
const WORKLOAD: &str = "procmon/workload";
/// Label of a part: the document that it belongs to, also when that was never written.
const PART_OF: &str = "procmon/part-of";
/// Seconds after which a part without its document belongs to a writer that died.
const WRITER_SECONDS: i64 = 3600;
// Not `managed-by`, which marks what a session leaves when it is killed.
const MANAGER: &str = "app.kubernetes.io/part-of";
const MANAGED_BY: &str = "kubectl-procmon";
/// The key of the bytes.
const DATA: &str = "document";

/// A document as it was read.
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    /// The ConfigMap must still have this version when it is written again.
    pub(crate) version: Option<String>,
}

/// Somebody else has written in the meantime.
#[derive(Debug)]
pub(crate) struct Conflict;

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("somebody else has changed it in the meantime")
    }
}

impl std::error::Error for Conflict {}

/// One row of a list.
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) workload: String,
    /// Number of windows and whether it is locked, or why it can't be read.
    pub(crate) head: Result<(usize, bool), String>,
}

/// The part of a Baseline that a list shows.
#[derive(Deserialize)]
struct BaselineHead {
    metadata: MetadataHead,
    windows: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct MetadataHead {
    #[serde(default)]
    locked: bool,
}

fn run<T>(
    connection: &Connection,
    work: impl AsyncFnOnce(Api<ConfigMap>) -> Result<T>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(async {
        let (client, namespace): (Client, String) = client::connect(connection).await?;
        work(Api::namespaced(client, &namespace)).await
    })
}

/// Reads a document.
pub(crate) fn read(connection: &Connection, name: &str) -> Result<Stored> {
    run(connection, async |api| get(&api, name).await)
}

/// Reads a document that need not be there.
pub(crate) fn read_if_there(connection: &Connection, name: &str) -> Result<Option<Stored>> {
    run(connection, async |api| {
        let there = api.get_opt(name).await.map_err(explain)?.is_some();
        if there {
            get(&api, name).await.map(Some)
        } else {
            Ok(None)
        }
    })
}

async fn get(api: &Api<ConfigMap>, name: &str) -> Result<Stored> {
    let head = api.get(name).await.map_err(explain)?;
    let bytes = inflate(&packed(api, name, &head).await?, MAX_INFLATED_BYTES)
        .map_err(|reason| unsound(name, &reason))?;
    Ok(Stored {
        bytes,
        version: head.metadata.resource_version.clone(),
    })
}

fn annotation<'a>(map: &'a ConfigMap, key: &str) -> Option<&'a str> {
    let all = map.metadata.annotations.as_ref()?;
    all.get(key).map(String::as_str)
}

/// The digest of a document as its first ConfigMap states it, and the number of its ConfigMaps.
fn stated(head: &ConfigMap) -> Option<(&str, usize)> {
    let digest = annotation(head, DIGEST)
        .filter(|digest| digest.len() == 64 && digest.bytes().all(|c| c.is_ascii_hexdigit()))?;
    let parts = annotation(head, PARTS)?.parse().ok()?;
    (1..=MAX_PARTS).contains(&parts).then_some((digest, parts))
}

fn unsound(name: &str, reason: &str) -> anyhow::Error {
    advised(
        format!("ConfigMap `{name}` {reason}"),
        "restore it, or save the baseline anew; `baseline export` and `baseline save` change one in between",
    )
}

const EDITED: &str = "does not fit its checksum: it was edited by hand";

/// The compressed bytes of a document, which fit their digest.
async fn packed(api: &Api<ConfigMap>, name: &str, head: &ConfigMap) -> Result<Vec<u8>> {
    let edited = || unsound(name, EDITED);
    if annotation(head, DIGEST).is_none() || annotation(head, PARTS).is_none() {
        return Err(advised(
            format!("ConfigMap `{name}` holds no baseline"),
            "`kubectl procmon baseline list` names those that do",
        ));
    }
    let (digest, parts) = stated(head).ok_or_else(edited)?;
    let mut packed = bytes_of(head).ok_or_else(edited)?.to_vec();
    for part in 1..parts {
        let more = api
            .get_opt(&part_name(name, digest, part))
            .await
            .map_err(explain)?
            .ok_or_else(edited)?;
        packed.extend_from_slice(bytes_of(&more).ok_or_else(edited)?);
    }
    if probes::digest(&packed) != digest {
        return Err(edited());
    }
    Ok(packed)
}

fn inflate(packed: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    use miniz_oxide::inflate::TINFLStatus;
    miniz_oxide::inflate::decompress_to_vec_with_limit(packed, limit).map_err(|error| {
        if error.status == TINFLStatus::HasMoreOutput {
            format!("inflates to more than {limit} bytes")
        } else {
            EDITED.to_owned()
        }
    })
}

fn bytes_of(map: &ConfigMap) -> Option<&[u8]> {
    map.binary_data
        .as_ref()?
        .get(DATA)
        .map(|bytes| bytes.0.as_slice())
}

/// Parts are named by what is in them: a new version never touches those of the old one.
fn part_name(name: &str, digest: &str, part: usize) -> String {
    format!("{name}-{}-{part}", digest.get(..8).unwrap_or(digest))
}

/// A value that labels may have.
fn label(text: &str) -> String {
    let mut label: String = text
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || "-_.".contains(character) {
                character
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    label = label
        .trim_matches(|character: char| !character.is_ascii_alphanumeric())
        .to_owned();
    label
}

/// Writes a document over the version that was read; `version` is none for one that is not there.
pub(crate) fn write(
    connection: &Connection,
    name: &str,
    bytes: &[u8],
    workload: &BaselineWorkload,
    version: Option<&str>,
) -> Result<()> {
    let packed = miniz_oxide::deflate::compress_to_vec(bytes, 9);
    let parts: Vec<&[u8]> = packed.chunks(PART_BYTES).collect();
    if parts.len() > MAX_PARTS {
        bail!(
            "the baseline has {} bytes when compressed: ConfigMaps take {}",
            packed.len(),
            MAX_PARTS * PART_BYTES
        );
    }
    let version = version.map(str::to_owned);
    let new = New {
        name,
        digest: probes::digest(&packed),
        workload,
        version,
    };
    run(connection, async |api| {
        let old = match new.version {
            Some(_) => api.get_opt(name).await.map_err(explain)?,
            None => None,
        };
        if let Err(error) = new.create(&api, &parts).await {
            new.take_back(&api, parts.len()).await;
            return Err(error);
        }
        if let Some(old) = old {
            delete_parts(&api, name, &old, Some(&new.digest)).await;
        }
        delete_orphans(&api, name, WRITER_SECONDS).await;
        Ok(())
    })
}

/// A document that is written.
struct New<'a> {
    name: &'a str,
    digest: String,
    workload: &'a BaselineWorkload,
    version: Option<String>,
}

impl New<'_> {
    /// One of its ConfigMaps. The first, the head, is the one with annotations.
    fn map(&self, name: String, bytes: &[u8], annotations: &[(&str, String)]) -> ConfigMap {
        let is_head = !annotations.is_empty();
        let kind = if is_head { "baseline" } else { "baseline-part" };
        let labels = [
            (MANAGER, MANAGED_BY.to_owned()),
            (KIND, kind.to_owned()),
            (PART_OF, part_of(self.name)),
            ("procmon/workload-kind", label(&self.workload.kind)),
            ("procmon/workload-name", label(&self.workload.name)),
        ];
        let owned = |pairs: &[(&str, String)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name),
                resource_version: self.version.clone().filter(|_| is_head),
                labels: Some(owned(&labels)),
                annotations: Some(owned(annotations)),
                ..ObjectMeta::default()
            },
            binary_data: Some(BTreeMap::from([(
                DATA.to_owned(),
                ByteString(bytes.to_vec()),
            )])),
            ..ConfigMap::default()
        }
    }

    /// Writes all parts, the head last: until then the old version is whole.
    async fn create(&self, api: &Api<ConfigMap>, parts: &[&[u8]]) -> Result<()> {
        let params = PostParams::default();
        for (number, part) in parts.iter().enumerate().skip(1) {
            let part = self.map(part_name(self.name, &self.digest, number), part, &[]);
            match api.create(&params, &part).await {
                // The same bytes are there already.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                other => {
                    other.map_err(explain)?;
                }
            }
        }
        let annotations = [
            (DIGEST, self.digest.clone()),
            (PARTS, parts.len().to_string()),
            (
                WORKLOAD,
                procmon_profile::baseline::workload_name(self.workload),
            ),
        ];
        let first = parts.first().copied().unwrap_or_default();
        let head = self.map(self.name.to_owned(), first, &annotations);
        let written = match self.version {
            Some(_) => api.replace(self.name, &params, &head).await,
            None => api.create(&params, &head).await,
        };
        match written {
            Err(kube::Error::Api(status)) if status.code == 409 => Err(Conflict.into()),
            other => other.map(|_| ()).map_err(explain),
        }
    }

    /// Takes away parts whose head was not written, unless somebody else wrote the same bytes.
    async fn take_back(&self, api: &Api<ConfigMap>, parts: usize) {
        if parts < 2 {
            return;
        }
        let Ok(head) = api.get_metadata_opt(self.name).await else {
            return;
        };
        let annotations = head.and_then(|head| head.metadata.annotations);
        if annotations.is_some_and(|all| all.get(DIGEST) == Some(&self.digest)) {
            return;
        }
        for part in 1..parts {
            let name = part_name(self.name, &self.digest, part);
            let _ = api.delete(&name, &DeleteParams::default()).await;
        }
    }
}

/// The label of a document's parts: names are longer than labels may be.
fn part_of(name: &str) -> String {
    probes::digest(name.as_bytes())[..32].to_owned()
}

/// Takes away parts of a document that its head, if there is one, does not name, and that are so old
/// that nobody is about to write their head; their number. A writer that dies in the middle leaves
/// such parts.
async fn delete_orphans(api: &Api<ConfigMap>, name: &str, seconds: i64) -> usize {
    let selector = format!(
        "{MANAGER}={MANAGED_BY},{KIND}=baseline-part,{PART_OF}={}",
        part_of(name)
    );
    let selector = ListParams::default().labels(&selector);
    let (Ok(head), Ok(found)) = (
        api.get_metadata_opt(name).await,
        api.list_metadata(&selector).await,
    ) else {
        return 0;
    };
    let annotations = head.and_then(|head| head.metadata.annotations);
    let digest = annotations.and_then(|all| all.get(DIGEST).cloned());
    let kept: Vec<String> = digest
        .iter()
        .flat_map(|digest| (1..MAX_PARTS).map(|part| part_name(name, digest, part)))
        .collect();
    let now = jiff::Timestamp::now().as_second();
    let mut deleted = 0;
    for part in found.items {
        let Some(part_name) = part.metadata.name else {
            continue;
        };
        let created = part.metadata.creation_timestamp;
        let is_old = created.is_none_or(|time| now - time.0.as_second() >= seconds);
        if !kept.contains(&part_name) && is_old {
            let is_deleted = api.delete(&part_name, &DeleteParams::default()).await;
            deleted += usize::from(is_deleted.is_ok());
        }
    }
    deleted
}

/// Takes away the parts of an old version. One that stays does no harm.
async fn delete_parts(api: &Api<ConfigMap>, name: &str, head: &ConfigMap, kept: Option<&str>) {
    let Some((digest, parts)) = stated(head) else {
        return;
    };
    if kept == Some(digest) {
        return;
    }
    for part in 1..parts {
        let _ = api
            .delete(&part_name(name, digest, part), &DeleteParams::default())
            .await;
    }
}

/// Baselines of the namespace, a page at a time. One that can't be read is a row that says so.
pub(crate) fn list(connection: &Connection) -> Result<Vec<Listed>> {
    run(connection, async |api| {
        let selector = ListParams::default()
            .labels(&format!("{MANAGER}={MANAGED_BY},{KIND}=baseline"))
            .limit(PAGE);
        let mut rows = Vec::new();
        let mut room = MAX_LIST_BYTES;
        let mut page = selector.clone();
        loop {
            let maps = api
                .list(&page)
                .await
                .map_err(explain)
                .context("cannot list ConfigMaps")?;
            for map in &maps.items {
                rows.push(listed(&api, map, &mut room).await);
            }
            match maps.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = selector.clone().continue_token(&next),
                None => return Ok(rows),
            }
        }
    })
}

async fn listed(api: &Api<ConfigMap>, map: &ConfigMap, room: &mut usize) -> Listed {
    let name = map.metadata.name.clone().unwrap_or_default();
    let head = match packed(api, &name, map).await {
        Ok(packed) => inflate(&packed, MAX_INFLATED_BYTES.min(*room)).and_then(|bytes| {
            *room -= bytes.len();
            serde_json::from_slice::<BaselineHead>(&bytes).map_err(|error| error.to_string())
        }),
        Err(error) => Err(error.to_string()),
    };
    Listed {
        workload: annotation(map, WORKLOAD).unwrap_or_default().to_owned(),
        head: head.map(|head| (head.windows.len(), head.metadata.locked)),
        name,
    }
}

/// Deletes a document, and parts of one whose head was never written; false when nothing of it was there.
pub(crate) fn delete(connection: &Connection, name: &str) -> Result<bool> {
    run(connection, async |api| {
        let Some(head) = api.get_opt(name).await.map_err(explain)? else {
            return Ok(delete_orphans(&api, name, 0).await > 0);
        };
        let labels = head.metadata.labels.clone().unwrap_or_default();
        if labels.get(KIND).map(String::as_str) != Some("baseline") {
            return Err(advised(
                format!("ConfigMap `{name}` holds no baseline"),
                "`kubectl delete configmap` deletes any",
            ));
        }
        api.delete(name, &DeleteParams::default())
            .await
            .map_err(explain)?;
        delete_parts(&api, name, &head, None).await;
        delete_orphans(&api, name, 0).await;
        Ok(true)
    })
}

//! The rows of a profile that are evidence, as names and values.

use procmon_profile::model::{Container, Profile};
use serde::Serialize;
use serde_json::Value;

/// Fields that say most of a row, and those that are long and say least; the others stand between them.
const FIRST: [&str; 10] = [
    "exe",
    "argv",
    "path",
    "operations",
    "name",
    "direction",
    "protocol",
    "remote",
    "type",
    "details",
];
const LAST: [&str; 2] = ["namespaces", "capabilities"];

/// Characters of one value.
const MAX_VALUE: usize = 2_000;

/// One pointer, and the row that it leads to where the profile is at hand.
#[derive(Serialize)]
pub(super) struct Evidence {
    pointer: String,
    fields: Vec<(String, String)>,
}

/// Looks up pointers.
pub(super) fn evidence<'a>(
    pointers: impl IntoIterator<Item = &'a str>,
    profile: Option<&Profile>,
) -> Vec<Evidence> {
    let look_up = |pointer: &str| Evidence {
        pointer: pointer.to_owned(),
        fields: profile
            .and_then(|profile| row(profile, pointer))
            .map_or_else(Vec::new, |row| fields(&row)),
    };
    pointers.into_iter().map(look_up).collect()
}

/// The row that a pointer leads to, or into. Only this row is copied: a profile can be large.
fn row(profile: &Profile, pointer: &str) -> Option<Value> {
    let mut parts = pointer.strip_prefix("/containers/")?.split('/');
    let container = profile
        .containers
        .get(parts.next()?.parse::<usize>().ok()?)?;
    let Some(list) = parts.next() else {
        return serde_json::to_value(identity(container)).ok();
    };
    if list == "securityContext" {
        return serde_json::to_value(container.security_context.as_ref()?).ok();
    }
    let place: usize = parts.next()?.parse().ok()?;
    match list {
        "processes" => value(container.processes.get(place)),
        "syscalls" => value(container.syscalls.get(place)),
        "files" => value(container.files.get(place)),
        "network" => value(container.network.get(place)),
        "dns" => value(container.dns.get(place)),
        "capabilities" => value(container.capabilities.get(place)),
        "events" => value(container.events.get(place)),
        _ => None,
    }
}

fn value(row: Option<&impl Serialize>) -> Option<Value> {
    serde_json::to_value(row?).ok()
}

/// A container without its rows.
fn identity(container: &Container) -> Container {
    Container {
        namespace: container.namespace.clone(),
        pod: container.pod.clone(),
        pod_uid: container.pod_uid.clone(),
        container: container.container.clone(),
        node: container.node.clone(),
        image: container.image.clone(),
        image_digest: container.image_digest.clone(),
        image_id: container.image_id.clone(),
        container_id: container.container_id.clone(),
        owner: container.owner.clone(),
        started_at: container.started_at.clone(),
        ended_at: container.ended_at.clone(),
        from_start: container.from_start,
        restarts: container.restarts,
        security_context: container.security_context.clone(),
        processes: Vec::new(),
        syscalls: Vec::new(),
        files: Vec::new(),
        network: Vec::new(),
        dns: Vec::new(),
        capabilities: Vec::new(),
        events: Vec::new(),
    }
}

/// The fields of a row in which something stands.
fn fields(row: &Value) -> Vec<(String, String)> {
    let Value::Object(fields) = row else {
        return Vec::new();
    };
    let rank = |name: &str| {
        let first = FIRST.iter().position(|one| *one == name);
        first.unwrap_or(FIRST.len() + usize::from(LAST.contains(&name)))
    };
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(name, _)| rank(name));
    sorted
        .into_iter()
        .map(|(name, value)| (name.clone(), shown(value)))
        .filter(|(_, text)| !text.is_empty() && text != "false")
        .map(|(name, text)| match text.char_indices().nth(MAX_VALUE) {
            Some((end, _)) => (name, format!("{}…", &text[..end])),
            None => (name, text),
        })
        .collect()
}

/// A value as a person reads it: lists and counts in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let all: Vec<String> = all.iter().map(shown).collect();
            all.join(" ")
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name, shown(value)));
            let fields: Vec<String> = fields
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| format!("{name}: {text}"))
                .collect();
            fields.join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::evidence;
    use procmon_profile::model::{Container, File, FileOperation, Profile};

    #[test]
    fn a_pointer_leads_to_its_row_or_to_nothing() {
        let profile = Profile {
            containers: vec![Container {
                container: "main".into(),
                files: vec![File {
                    path: "/a".into(),
                    operations: [(FileOperation::Open, 2)].into(),
                    ..File::default()
                }],
                ..Container::default()
            }],
            ..Profile::default()
        };
        let look_up = |pointer: &str| {
            let mut all = evidence([pointer], Some(&profile));
            all.pop().map(|one| one.fields).unwrap_or_default()
        };
        let field = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert!(look_up("/containers/0/files/0").contains(&field("operations", "open: 2")));
        assert!(look_up("/containers/0").contains(&field("container", "main")));
        for nowhere in [
            "",
            "/",
            "/containers/1",
            "/containers/0/files/1",
            "/containers/x/files/0",
        ] {
            assert!(look_up(nowhere).is_empty(), "{nowhere}");
        }
    }
}

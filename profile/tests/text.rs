//! Text that somebody else chose: no form of any document has a character of it that acts.
#![cfg(all(feature = "compare", feature = "schema"))]
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::model::{
    Baseline, Dimension, DimensionCompleteness, DimensionState, Drift, Hook, Profile,
};
use procmon_profile::schema;
use procmon_profile::text::{Text, acts, from_bytes};
use procmon_profile::wire::{Failure, Hello, WindowReport};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// One character of each kind that acts.
const HOSTILE: &str = "a\0\u{7}\n\r\t\u{1b}[31m\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200f}\
    \u{2028}\u{2029}\u{202e}\u{2066}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{e0041}b";

/// Objects and values that fit a schema; all properties are there, all strings are hostile, and
/// every alternative is in one of them.
fn fill(schema: &Value, root: &Value) -> Vec<Value> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let mut all = fill(&root["$defs"][name], root);
        // A flattened struct stands beside its reference.
        if schema["properties"].is_object() {
            let own = object(schema, root);
            for (value, own) in all.iter_mut().zip(own.iter().cycle()) {
                merge(value, own);
            }
        }
        return all;
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(alternatives) = schema[word].as_array() {
            return alternatives
                .iter()
                .filter(|schema| schema["type"] != "null")
                .flat_map(|schema| fill(schema, root))
                .collect();
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().flat_map(|schema| fill(schema, root)).collect();
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.clone();
    }
    if !schema["const"].is_null() {
        return vec![schema["const"].clone()];
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap(),
        kind => kind.as_str().unwrap_or("object"),
    };
    match kind {
        "string" => vec![json!(HOSTILE)],
        "boolean" => vec![json!(true)],
        "integer" => vec![json!(1)],
        "number" => vec![json!(1.0)],
        "array" => vec![Value::Array(fill(&schema["items"], root))],
        _ => object(schema, root),
    }
}

fn object(schema: &Value, root: &Value) -> Vec<Value> {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let mut filled: Vec<(String, Vec<Value>)> = properties
        .iter()
        .map(|(name, schema)| match name.as_str() {
            "counts" => (name.clone(), vec![json!("1")]),
            // Maps whose keys are words of an enum, of which the schema says nothing.
            "dimensions" | "coverage" | "incomplete" | "notLookedAt"
                if schema.get("additionalProperties").is_some() =>
            {
                (name.clone(), keyed("files", schema, root))
            }
            "operations" if schema["type"] == "object" => {
                (name.clone(), keyed("open", schema, root))
            }
            "bySeverity" => (name.clone(), keyed("high", schema, root)),
            _ => (name.clone(), fill(schema, root)),
        })
        .collect();
    let rest = &schema["additionalProperties"];
    if rest.is_object() {
        filled.push((HOSTILE.to_owned(), fill(rest, root)));
    }
    let most = filled.iter().map(|(_, values)| values.len()).max();
    (0..most.unwrap_or(1))
        .map(|number| {
            filled
                .iter()
                .map(|(name, values)| (name.clone(), values[number % values.len()].clone()))
                .collect()
        })
        .collect()
}

fn keyed(key: &str, schema: &Value, root: &Value) -> Vec<Value> {
    let values = fill(&schema["additionalProperties"], root);
    values.iter().map(|value| json!({ key: value })).collect()
}

fn merge(value: &mut Value, other: &Value) {
    let (Some(value), Some(other)) = (value.as_object_mut(), other.as_object()) else {
        return;
    };
    value.extend(other.clone());
}

/// All strings and keys of a value.
fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                found.push(name);
                strings(value, found);
            }
        }
        _ => {}
    }
}

fn check<T: DeserializeOwned + Serialize>(kind: &str, schema: &Value) {
    let mut seen = 0;
    for mut document in fill(schema, schema) {
        document["kind"] = json!(kind);
        let mut given = Vec::new();
        strings(&document, &mut given);
        let given = given.iter().filter(|text| text.contains(acts)).count();
        let read: T = serde_json::from_value(document.clone()).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        let mut found = Vec::new();
        strings(&written, &mut found);
        for text in &found {
            assert!(!text.contains(acts), "{kind}: {text:?}");
        }
        // Nothing got lost on the way: as many strings are escaped as were hostile.
        let escaped = found.iter().filter(|text| text.contains("\\u{202e}"));
        assert_eq!(escaped.count(), given, "{kind}: {document:#}");
        // Reading what was written changes nothing.
        let again: T = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), written);
        seen += given;
    }
    assert!(seen > 20, "{kind} has {seen} free strings only");
}

#[test]
fn no_field_of_a_document_holds_a_character_that_acts() {
    check::<Profile>("Profile", &schema::profile());
    check::<Baseline>("Baseline", &schema::baseline());
    check::<Drift>("Drift", &schema::drift());
}

#[test]
fn no_field_of_a_frame_holds_a_character_that_acts() {
    let hook = json!({"name": HOSTILE, "tier": "base", "state": "missing", "reason": HOSTILE});
    let hook: Hook = serde_json::from_value(hook).unwrap();
    let hostile = || Text::from(HOSTILE);
    let hello = Hello {
        protocol: hostile(),
        probe: hostile(),
        session: hostile(),
        node: hostile(),
        kernel: hostile(),
        arch: hostile(),
        hooks: vec![hook],
        key: Some(hostile()),
    };
    let failure = Failure {
        code: procmon_profile::wire::FailureCode::Other,
        message: hostile(),
    };
    let reasons = DimensionCompleteness {
        state: DimensionState::Partial,
        reasons: [hostile()].into(),
        ..DimensionCompleteness::default()
    };
    let window = WindowReport {
        started_at: hostile().into(),
        ended_at: hostile().into(),
        dimensions: [(Dimension::Files, reasons)].into(),
        notes: vec![hostile()],
        ..WindowReport::default()
    };
    let frames = [
        serde_json::to_value(hello),
        serde_json::to_value(failure),
        serde_json::to_value(window),
    ];
    for frame in frames {
        let frame = frame.unwrap();
        let mut found = Vec::new();
        strings(&frame, &mut found);
        assert!(found.iter().all(|text| !text.contains(acts)), "{frame}");
    }
}

#[test]
fn an_abstract_name_keeps_its_nul_as_an_escape() {
    assert_eq!(
        from_bytes(b"@procmon\0/run/evil\0.sock"),
        r"@procmon\x00/run/evil\x00.sock"
    );
}

#[test]
fn a_script_has_its_line_ends_back() {
    let script = from_bytes(b"a\\x0a\n\tb\r\\\n\x1b");
    assert_eq!(script, r"a\\x0a\x0a\x09b\x0d\\\x0a\x1b");
    assert_eq!(script.with_white_space(), "a\\\\x0a\n\tb\r\\\\\n\\x1b");
    assert_eq!(Text::from(script.with_white_space()), script);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_in_a_text_acts_and_escaping_twice_is_escaping_once(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        for text in [Text::from(text), from_bytes(&bytes)] {
            prop_assert!(!text.contains(acts));
            prop_assert_eq!(Text::from(text.as_str()), text.clone());
            prop_assert_eq!(Text::from(text.with_white_space()), text);
        }
    }

    #[test]
    fn two_names_never_become_one(one in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        prop_assert_eq!(from_bytes(&one) == from_bytes(&other), one == other);
    }
}

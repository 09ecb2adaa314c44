//! Functions that the fuzz targets of the documents call, with bytes that somebody else chose. None may
//! panic, and what they say of the result has to hold.

use procmon_profile::baseline;
use procmon_profile::diff::{Options, diff};
use procmon_profile::document::{Content, Document, parse};
use procmon_profile::expression::Condition;
use procmon_profile::mask::{MaskLevel, mask_name, mask_texts};
use procmon_profile::merge::{NodeCapture, merge, normalize};
use procmon_profile::model::{
    Change, Dimension, DriftRow, FileOperation, FileRow, Profile, RowValue, Session, Severity,
};
use procmon_profile::rules::{Catalogue, check};
use procmon_profile::text::{self, Text};
use procmon_profile::wire::{Decoder, MAX_STREAM_BYTES, Part, SessionKey};
use std::sync::LazyLock;

/// The stream of a probe, up to the Profile that is made of it.
pub fn frames(bytes: &[u8]) {
    stream(Decoder::default(), bytes);
}

/// The same, where chunks are sealed to the key of a session: that of 32 bytes 7.
pub fn sealed(bytes: &[u8]) {
    stream(Decoder::sealed(SessionKey::new([7; 32])), bytes);
}

fn stream(mut decoder: Decoder, bytes: &[u8]) {
    let mut fault = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match decoder.line(line) {
            Ok(_) => {}
            Err(error) => {
                fault = Some(error.to_string());
                break;
            }
        }
    }
    let ended = decoder.ended();
    let capture = NodeCapture::read("n".into(), decoder, fault);
    assert!(
        ended || capture.fault.is_some(),
        "a stream without its end is cut"
    );
    assert!(bytes.len() < MAX_STREAM_BYTES || capture.fault.is_some());
    merged(capture);
}

/// Reads the parts of a capture, which chunks inflate to.
pub fn parts(bytes: &[u8]) {
    if let Ok(parts) = serde_json::from_slice::<Vec<Part>>(bytes) {
        merged(NodeCapture {
            node: "n".into(),
            parts,
            ..NodeCapture::default()
        });
    }
}

fn merged(capture: NodeCapture) {
    let is_whole =
        capture.fault.is_none() && capture.failure.is_none() && capture.refused.frames == 0;
    let profile = merge(Session::default(), vec![capture]);
    assert!(is_whole || !profile.completeness.complete);
    round_trip(&profile);
}

/// A Profile is in its order, and is read as it was written.
fn round_trip(profile: &Profile) {
    let mut again = profile.clone();
    normalize(&mut again);
    assert_eq!(*profile, again, "its order is its only one");
    let text = serde_json::to_vec(profile).expect("a profile is plain data");
    match parse(&text).expect("it was written just now").content {
        Content::Profile(read) => assert_eq!(*read, *profile),
        other => panic!("a Profile became a {}", other.kind()),
    }
}

/// A saved document, and what is made of it.
pub fn document(bytes: &[u8]) {
    if let Ok(document) = parse(bytes) {
        made_of(document);
    }
}

/// Processes a document that could be read.
pub fn made_of(document: Document) {
    match document.content {
        Content::Profile(profile) => {
            round_trip(&profile);
            let Ok(baseline) =
                baseline::from_profiles("fuzz", std::slice::from_ref(&profile), None)
            else {
                return;
            };
            let _ = check(&profile, rules(), None);
            let drift = diff(&baseline, &profile, &Options::default());
            let _ = serde_json::to_vec(&drift.ok()).expect("a drift is plain data");
        }
        Content::Baseline(baseline) => {
            let text = serde_json::to_vec(&baseline).expect("a baseline is plain data");
            assert!(parse(&text).is_ok(), "it was written just now");
        }
        Content::Findings(findings) => {
            let _ = serde_json::to_vec(&findings).expect("findings are plain data");
        }
        Content::Drift(drift) => {
            let _ = serde_json::to_vec(&drift).expect("a drift is plain data");
        }
    }
}

/// The built-in rules.
fn rules() -> &'static Catalogue {
    static RULES: LazyLock<Catalogue> =
        LazyLock::new(|| Catalogue::with(Vec::new()).expect("a test compiles them"));
    &RULES
}

/// A rule that somebody wrote.
pub fn rule(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(rules) = procmon_profile::rules::parse(&text)
        && let Some(rule) = rules.first()
    {
        let _ = procmon_profile::rules::test(rule);
    }
}

/// A condition that somebody wrote.
pub fn expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(condition) = Condition::<DriftRow>::parse(&text) {
        let _ = condition.holds(&row());
    }
}

fn row() -> DriftRow {
    DriftRow {
        id: "0".into(),
        change: Change::New,
        dimension: Dimension::Files,
        container: "web".into(),
        severity: Severity::Low,
        key: "/x reads /tmp/a".into(),
        value: RowValue::File(FileRow {
            exe: "/x".into(),
            path: "/tmp/a".into(),
            operations: [FileOperation::Open, FileOperation::Read].into(),
            ..FileRow::default()
        }),
        reason: Text::default(),
        nearest: None,
        evidence: Vec::new(),
        accept: Text::default(),
    }
}

/// A command line: arguments apart by NUL.
pub fn mask(bytes: &[u8]) {
    let argv: Vec<Text> = bytes
        .split(|byte| *byte == 0)
        .map(text::from_bytes)
        .collect();
    for level in [MaskLevel::Default, MaskLevel::Strict, MaskLevel::Shape] {
        let mut once = argv.clone();
        mask_texts(&mut once, level);
        assert_eq!(argv.len(), once.len());
        let mut twice = once.clone();
        mask_texts(&mut twice, level);
        assert_eq!(once, twice, "masking twice is masking once");
        for argument in &argv {
            let Some(once) = mask_name(argument, false, level) else {
                continue;
            };
            assert_eq!(mask_name(&once, false, level), None, "{argument} as {once}");
        }
    }
}

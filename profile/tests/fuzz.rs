//! The fuzz targets of this crate, on their corpora and some more inputs.
#![cfg(feature = "compare")]

#[path = "../../fuzz/entries.rs"]
#[expect(unreachable_pub, reason = "fuzz targets take them from a library")]
mod entries;
#[path = "../../fuzz/inputs.rs"]
mod inputs;

#[test]
fn streams_are_read_or_refused() {
    inputs::feed("frames", entries::frames);
}

#[test]
fn sealed_streams_are_read_or_refused() {
    inputs::feed("sealed", entries::sealed);
}

#[test]
fn captures_are_read_or_refused() {
    inputs::feed("parts", entries::parts);
}

#[test]
fn documents_are_read_or_refused() {
    inputs::feed("document", entries::document);
}

#[test]
fn expressions_are_read_or_refused() {
    inputs::feed("expression", entries::expression);
}

#[test]
fn command_lines_are_masked() {
    inputs::feed("mask", entries::mask);
}

#[test]
fn rules_are_read_or_refused() {
    inputs::feed("rule", entries::rule);
}

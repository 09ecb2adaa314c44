//! The documents of `kubectl procmon` and all reasoning over them.
//!
//! Read [`model`] first: a [`model::Profile`] says what one session showed. [`wire`] says how a
//! probe hands its part of one to the plugin, [`merge`] makes a Profile from those parts.
//!
//! This crate is pure: it reads no file, no clock, no environment and no network, and it never
//! panics on untrusted input. Equal facts give equal bytes.

#[cfg(feature = "read")]
pub mod asked;
#[cfg(feature = "compare")]
pub mod baseline;
pub mod bounds;
pub mod completeness;
#[cfg(feature = "compare")]
pub mod diff;
#[cfg(feature = "compare")]
mod digest;
#[cfg(feature = "read")]
pub mod document;
#[cfg(feature = "compare")]
pub mod expression;
#[cfg(feature = "compare")]
mod judge;
#[cfg(feature = "compare")]
mod knowledge;
#[cfg(feature = "read")]
pub mod mask;
#[cfg(feature = "read")]
pub mod merge;
pub mod model;
#[cfg(feature = "compare")]
pub mod rules;
#[cfg(feature = "schema")]
pub mod schema;
pub mod tables;
pub mod text;
pub mod wire;

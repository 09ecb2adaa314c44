//! How severe a difference is, and why: one file a dimension, on the facts of `knowledge`.

pub(crate) mod calls;
pub(crate) mod files;
pub(crate) mod network;
pub(crate) mod processes;
pub(crate) mod rights;

use crate::model::Severity;

/// A severity, and the words that go into the reason.
pub(crate) type Judgement = (Severity, &'static str);

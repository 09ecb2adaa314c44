//! Rules: what of a Profile is suspicious. A rule is data (`profile/rules/ID.yaml`): a condition in CEL over
//! one row of the document, what it means, and what to do. The words that conditions use for programs, files
//! and peers come from `knowledge`.

mod cases;
mod catalogue;
mod check;
mod classes;
mod facts;
mod incident;
mod index;
mod program;
mod rule;
mod subject;
mod template;

pub use cases::{Outcome, test};
pub use catalogue::{BUILT_IN, Catalogue};
pub use check::{Against, check};
pub use classes::{Kind, classes};
pub use rule::{About, Case, Cases, MAX_FILE_BYTES, Rule, RuleError, parse};

//! Findings to text: for a person, for a pull request, for code scanning, for CI.

mod junit;
mod markdown;
mod reasons;
mod sarif;
mod table;
mod view;

pub(crate) use reasons::not_judged;
pub(crate) use view::{render, summary};

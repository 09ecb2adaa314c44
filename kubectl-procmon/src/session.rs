//! The session: its id, and what the document says of who asked.

use procmon_profile::mask::{MaskLevel, mask_argv_at};
use procmon_profile::model::{LabelMode, Session, Target, Tool};
use procmon_profile::text::Text;
use std::hash::{BuildHasher as _, Hasher as _};

/// A new session for a target.
pub(crate) fn new(
    target: Target,
    label_mode: LabelMode,
    requested: Option<f64>,
    mask: MaskLevel,
) -> Session {
    let mut command: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    if let Some(program) = command.first_mut() {
        "kubectl-procmon".clone_into(program);
    }
    mask_argv_at(&mut command, mask);
    Session {
        id: id().into(),
        tool: Tool {
            name: "kubectl-procmon".into(),
            version: env!("CARGO_PKG_VERSION").to_owned().into(),
        },
        target,
        command: command.into_iter().map(Text::from).collect(),
        requested_seconds: requested,
        label_mode,
        ..Session::default()
    }
}

/// Ten random hexadecimal digits, from the keys that std takes from the system.
fn id() -> String {
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    format!("{random:016x}")[..10].to_owned()
}

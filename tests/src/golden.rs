//! Documents and streams of earlier versions, which stay readable: `tests/golden/vMAJOR.MINOR/`.

use std::path::PathBuf;

/// The folders of all versions, oldest first.
///
/// # Panics
/// When the folder of the golden documents can't be read.
#[must_use]
pub fn versions() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(crate::root().join("tests/golden"))
        .expect("the golden documents are tracked")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// The folder of one version.
#[must_use]
pub fn version(name: &str) -> PathBuf {
    crate::root().join("tests/golden").join(name)
}

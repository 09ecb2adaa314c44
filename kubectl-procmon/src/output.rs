//! Where the result goes: standard output, or a file that is opened before anything starts.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A place for the result.
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// Open for writing since before the window.
        file: File,
        /// Its path.
        path: PathBuf,
    },
}

impl Output {
    /// Opens the place, so that a bad path costs nobody a window.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout);
        };
        // Not truncated yet: an old result stays until there is a new one.
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot write to `{}`", path.display()))?;
        Ok(Self::File {
            file,
            path: path.to_owned(),
        })
    }

    /// The result goes to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes the result. What can't be written to its file is kept in the temporary folder.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                    // The reader has had enough: it wants no result.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                        Err(error).context("cannot write to standard output")
                    }
                    Err(error) => rescue(bytes, error, None),
                    Ok(()) => Ok(()),
                }
            }
            Self::File { mut file, path } => {
                let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let written = if is_regular { file.set_len(0) } else { Ok(()) }
                    .and_then(|()| file.write_all(bytes))
                    .and_then(|()| file.flush())
                    .and_then(|()| if is_regular { file.sync_all() } else { Ok(()) });
                written.or_else(|error| rescue(bytes, error, Some(&path)))
            }
        }
    }
}

/// Keeps a result that its file, or standard output, did not take.
fn rescue(bytes: &[u8], error: std::io::Error, path: Option<&Path>) -> Result<()> {
    let name = format!("procmon-{}.out", std::process::id());
    let kept = [std::env::temp_dir(), PathBuf::from("/dev/shm")]
        .into_iter()
        .map(|folder| folder.join(&name))
        .find(|place| {
            let mut options = File::options();
            options.write(true).create_new(true);
            // Others can look into the temporary folder.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options
                .open(place)
                .is_ok_and(|mut file| file.write_all(bytes).is_ok())
        });
    let place = path.map_or_else(
        || "standard output".to_owned(),
        |path| format!("`{}`", path.display()),
    );
    let failed = anyhow::Error::from(error).context(format!("cannot write to {place}"));
    Err(match kept {
        Some(kept) => failed.context(crate::hint::Advised {
            message: format!("the result is in `{}`", kept.display()),
            hint: match path {
                Some(path) => format!("make room, then `mv {} {}`", kept.display(), path.display()),
                None => format!("make room, then `mv {} .`", kept.display()),
            },
        }),
        None => failed,
    })
}

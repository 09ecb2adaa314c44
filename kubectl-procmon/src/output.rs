//! Where the result goes: standard output, or a file that is known to take it before anything starts.
//!
//! A profile is confidential: what is made here is for its owner only. A file that was there keeps
//! its mode, and its content until there is a new result; a failure leaves no new file.

use anyhow::{Context as _, Result};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// A place for the result.
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// A file that was there.
    File {
        /// Open for writing since before the window.
        file: File,
        /// Its path.
        path: PathBuf,
    },
    /// A file that is made when there is something to write into it.
    New {
        /// Its path. The folder takes files.
        path: PathBuf,
    },
}

/// Opens for writing what a path names, and makes it when it is not there. Links are followed where
/// the kernel lets them be: not those of other users in folders that all can write to.
fn writable() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Output {
    /// Looks at the place, so that a bad path costs nobody a window.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout);
        };
        Self::open_path(path).with_context(|| format!("cannot write to `{}`", path.display()))
    }

    fn open_path(path: &Path) -> Result<Self> {
        let file = match path.metadata() {
            Ok(found) if is_fifo(&found) => open_fifo(path)?,
            Ok(_) => writable().open(path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                takes_files(path)?;
                let path = path.to_owned();
                return Ok(Self::New { path });
            }
            Err(error) => return Err(error.into()),
        };
        let path = path.to_owned();
        Ok(Self::File { file, path })
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
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                        Err(error).context("cannot write to standard output")
                    }
                    Err(error) => rescue(bytes, error, None),
                    Ok(()) => Ok(()),
                }
            }
            Self::File { file, path } => {
                fill(file, bytes).or_else(|error| rescue(bytes, error, Some(&path)))
            }
            Self::New { path } => writable()
                .open(&path)
                .and_then(|file| {
                    let filled = fill(file, bytes);
                    // A link stays: the user made it.
                    if filled.is_err() && path.symlink_metadata().is_ok_and(|made| made.is_file()) {
                        let _ = std::fs::remove_file(&path);
                    }
                    filled
                })
                .or_else(|error| rescue(bytes, error, Some(&path))),
        }
    }
}

/// Puts the result in the place of what a file held.
fn fill(mut file: File, bytes: &[u8]) -> std::io::Result<()> {
    let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_regular {
        file.set_len(0)?;
    }
    file.write_all(bytes)?;
    file.flush()?;
    if is_regular { file.sync_all() } else { Ok(()) }
}

/// The folder of a path that names nothing yet takes files: one without a name is made in it.
fn takes_files(path: &Path) -> Result<()> {
    if path
        .as_os_str()
        .to_string_lossy()
        .ends_with(std::path::is_separator)
    {
        anyhow::bail!("it is not there, and its name is that of a folder");
    }
    let beside = |path: &Path| match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    // A link that leads to nothing yet.
    let led = path.read_link().map(|to| beside(path).join(to));
    tempfile::tempfile_in(beside(led.as_deref().unwrap_or(path)))?;
    Ok(())
}

#[cfg(not(unix))]
fn is_fifo(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_fifo(found: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type())
}

#[cfg(not(unix))]
fn open_fifo(path: &Path) -> Result<File> {
    Ok(writable().open(path)?)
}

/// The writing end of a FIFO, once somebody reads from it; an error when nobody does in time.
#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "says why it waits")]
fn open_fifo(path: &Path) -> Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::time::{Duration, Instant};
    /// Scripts start the reader beside this program: it may come a little later.
    const PATIENCE: Duration = Duration::from_secs(5);
    let deadline = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        match rustix::fs::open(
            path,
            // CREATE: the kernel then guards against FIFOs of others in folders for all.
            OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        ) {
            Ok(file) => {
                fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
                return Ok(file.into());
            }
            // Nobody reads.
            Err(rustix::io::Errno::NXIO) if Instant::now() < deadline => {
                if !told {
                    eprintln!("waiting for a reader of `{}`", path.display());
                    told = true;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::NXIO) => {
                return Err(crate::hint::advised(
                    format!("it is a FIFO, and nobody began to read it within {PATIENCE:?}"),
                    "start its reader first, or name a file",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Keeps a result that its file, or standard output, did not take.
fn rescue(bytes: &[u8], error: std::io::Error, path: Option<&Path>) -> Result<()> {
    // Others can look, and make links, in these folders: the file is new, and for its owner only.
    let kept = [std::env::temp_dir(), PathBuf::from("/dev/shm")]
        .into_iter()
        .find_map(|folder| {
            let mut file = tempfile::Builder::new()
                .prefix("procmon-")
                .suffix(".out")
                .tempfile_in(folder)
                .ok()?;
            file.write_all(bytes).ok()?;
            Some(file.keep().ok()?.1)
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

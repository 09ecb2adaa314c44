//! The command that the probe starts: found, held until the window opens, waited for, never killed.

use crate::sys;
use crate::unable::Unable;
use anyhow::{Context as _, Result, anyhow};
use procmon_profile::wire::{FailureCode, Request};
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// A command that the probe started.
pub(crate) struct Command {
    held: Option<sys::Held>,
    pub(crate) pid: u32,
    status: Option<sys::WaitStatus>,
}

impl Command {
    /// Starts a command, and holds it; `programs` are the files that it may name.
    pub(crate) fn start(
        programs: &[CString],
        argv: &[String],
        stdout: Option<i32>,
        request: &Request,
    ) -> Result<Self> {
        let arguments: std::io::Result<Vec<CString>> = argv
            .iter()
            .map(|argument| sys::c_text(argument.as_ref()))
            .collect();
        let held = arguments
            .and_then(|argv| {
                let user = request.run_as.as_ref();
                sys::spawn_held(programs, &argv, stdout, user, request.ignored_signals)
            })
            .context("cannot start the command")?;
        Ok(Self {
            pid: held.pid,
            held: Some(held),
            status: None,
        })
    }

    /// Lets it execute, once.
    pub(crate) fn release(&mut self) -> Result<(), Unable> {
        let Some(Err(error)) = self.held.take().map(sys::Held::release) else {
            return Ok(());
        };
        Err(Unable {
            code: FailureCode::CommandNotExecutable,
            error: anyhow::Error::from(error).context("cannot execute the command"),
        })
    }

    /// It has ended by now.
    pub(crate) fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = sys::wait(self.pid, false);
        }
        self.status.is_some()
    }

    /// Its exit code, if it was seen to end.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.map(sys::WaitStatus::code)
    }

    /// Waits for it; its exit code.
    pub(crate) fn wait(&self) -> i32 {
        self.code()
            .or_else(|| sys::wait(self.pid, true).map(sys::WaitStatus::code))
            .unwrap_or(0)
    }
}

/// The files that a command may name, by PATH as execvp(3) does.
pub(crate) fn find_programs(argv: &[String]) -> Result<Vec<CString>, Unable> {
    use std::os::unix::fs::PermissionsExt as _;
    let name = argv.first().ok_or_else(|| Unable {
        code: FailureCode::BadRequest,
        error: anyhow!("the command is empty"),
    })?;
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
    } else {
        let path =
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .collect()
    };
    let is_executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    let programs: Vec<CString> = candidates
        .iter()
        .filter(|path| is_executable(path))
        .filter_map(|path| sys::c_text(path.as_os_str()).ok())
        .collect();
    if !programs.is_empty() {
        return Ok(programs);
    }
    Err(match candidates.iter().find(|path| path.exists()) {
        Some(path) => Unable {
            code: FailureCode::CommandNotExecutable,
            error: anyhow!("`{}` is not an executable file", path.display()),
        },
        None => Unable {
            code: FailureCode::CommandNotFound,
            error: anyhow!("there is no command `{name}`"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        for (argv, expected) in [
            (&[][..], Err(FailureCode::BadRequest)),
            (&["/bin/sh"], Ok("/bin/sh")),
            (&["/no/such/file"], Err(FailureCode::CommandNotFound)),
            (&["/etc/passwd"], Err(FailureCode::CommandNotExecutable)),
            (&["/etc"], Err(FailureCode::CommandNotExecutable)),
            (
                &["no-such-command-anywhere"],
                Err(FailureCode::CommandNotFound),
            ),
        ] {
            let argv: Vec<String> = argv.iter().map(|&argument| argument.to_owned()).collect();
            let found = find_programs(&argv)
                .map(|programs| programs[0].to_string_lossy().into_owned())
                .map_err(|unable| unable.code);
            assert_eq!(found, expected.map(str::to_owned), "{argv:?}");
        }
    }
}

//! Accesses to files.

use super::Judgement;
use crate::knowledge::base_name;
use crate::knowledge::credentials::is_credential;
use crate::knowledge::paths::{
    is_configuration, is_kernel_setting, is_log, is_persistence, is_plain_device,
    is_process_setting, is_program_folder, is_rotated,
};
use crate::model::{FileOperation, FileRow, Layer, Severity};
use std::collections::BTreeSet;

/// An act on a file, in the words that differences are told in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Access {
    Attempt,
    Read,
    Write,
    Truncate,
    Delete,
    Rename,
    Link,
    Attributes,
    Map,
    Execute,
}

impl Access {
    pub(crate) fn of(operation: FileOperation) -> Self {
        match operation {
            FileOperation::Open | FileOperation::Read => Self::Read,
            FileOperation::Write
            | FileOperation::Create
            | FileOperation::Mkdir
            | FileOperation::Mknod => Self::Write,
            FileOperation::Truncate => Self::Truncate,
            FileOperation::Unlink | FileOperation::Rmdir => Self::Delete,
            FileOperation::Rename => Self::Rename,
            FileOperation::Link | FileOperation::Symlink => Self::Link,
            FileOperation::Chmod | FileOperation::Chown | FileOperation::Setxattr => {
                Self::Attributes
            }
            FileOperation::MmapExec => Self::Map,
            FileOperation::Exec => Self::Execute,
        }
    }

    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Attempt => "fails to reach",
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Truncate => "empties or cuts",
            Self::Delete => "deletes",
            Self::Rename => "renames",
            Self::Link => "links",
            Self::Attributes => "changes the attributes of",
            Self::Map => "runs code of",
            Self::Execute => "executes",
        }
    }
}

/// The kinds of access of a row. One that only failed is an attempt.
pub(crate) fn accesses(row: &FileRow) -> BTreeSet<Access> {
    let mut all: BTreeSet<Access> = row
        .operations
        .iter()
        .map(|operation| Access::of(*operation))
        .collect();
    if all.is_empty() && !row.errors.is_empty() {
        all.insert(Access::Attempt);
    }
    all
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
/// Facts that the difference in one file depends on, other than its path.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct FileContext {
    pub(crate) layer: Option<Layer>,
    /// A path of the node, by a hostPath volume.
    pub(crate) is_host: bool,
    /// The executable does the same to other files of that folder.
    pub(crate) is_usual_folder: bool,
    /// The executable writes files of that folder in this profile.
    pub(crate) places_own: bool,
    /// A file that is written and may be executed.
    pub(crate) is_program: bool,
    /// The baseline has other executables reading it, and none that changes it.
    pub(crate) others_read_it: bool,
    /// The baseline has the executable writing it.
    pub(crate) writes_it: bool,
    /// Permission bits; 0 when unknown.
    pub(crate) mode: u32,
    /// A known program that was seen running only.
    pub(crate) starts_anew: bool,
    /// The executable is new as well: what it needs to begin is told with it.
    pub(crate) new_exe: bool,
}

/// One new kind of access to a file.
#[expect(
    clippy::too_many_lines,
    reason = "one table, in the order of what matters most"
)]
pub(crate) fn file(access: Access, path: &str, context: FileContext) -> Judgement {
    let changes = matches!(
        access,
        Access::Write
            | Access::Truncate
            | Access::Delete
            | Access::Rename
            | Access::Link
            | Access::Attributes
    );
    if changes {
        if is_plain_device(path) {
            return (Severity::Info, "a device that anybody uses");
        }
        if is_persistence(path) {
            return (
                Severity::Critical,
                "by such files others are let in, or come again",
            );
        }
        if is_kernel_setting(path) {
            return (
                Severity::Critical,
                "it changes settings of the node's kernel",
            );
        }
        if is_process_setting(path) {
            return (Severity::Low, "it changes settings of a process");
        }
        if context.is_host {
            return (Severity::High, "it changes a file of the node");
        }
        if is_credential(path) {
            return (Severity::High, "it changes credentials");
        }
        if is_program_folder(path) {
            return (Severity::High, "it changes programs or libraries");
        }
        if path.starts_with("/etc/") {
            return (Severity::High, "it changes configuration");
        }
        if path.starts_with("/root/") {
            return (Severity::Medium, "it changes the files of a user");
        }
        // Rotation is the business of who writes the logs.
        let rotates = is_rotated(path) && (context.is_usual_folder || context.places_own);
        if is_log(path) && access == Access::Delete && !rotates {
            return (Severity::High, "it removes a log");
        }
        if is_log(path) && access == Access::Truncate {
            return (Severity::Medium, "it empties a log");
        }
        if access == Access::Attributes && context.mode & 0o6000 != 0 {
            return (
                Severity::High,
                "whoever runs the file gets the rights of its owner",
            );
        }
        if is_configuration(path) && access != Access::Delete && !base_name(path).contains('*') {
            return (Severity::Medium, "it changes what looks like configuration");
        }
        if context.others_read_it && access != Access::Delete {
            return (
                Severity::Medium,
                "it changes a file that the container only read",
            );
        }
        if access == Access::Rename
            && !context.is_usual_folder
            && !context.places_own
            && !is_rotated(path)
            && !is_log(path)
        {
            return (Severity::Medium, "it puts one file in the place of another");
        }
        if access == Access::Delete
            && !context.is_usual_folder
            && !is_rotated(path)
            && !base_name(path).contains('*')
        {
            return (
                Severity::Medium,
                "it removes a file of a folder that it does not write to",
            );
        }
        if access == Access::Write && context.is_program {
            return (Severity::Medium, "it writes a file that can be executed");
        }
        if access == Access::Link && !context.is_usual_folder {
            return (Severity::Medium, "it makes another name for a file");
        }
        if access == Access::Attributes && context.writes_it {
            return (
                Severity::Low,
                "it changes who may use a file that it writes anyway",
            );
        }
        if access == Access::Attributes && !context.is_usual_folder {
            return (Severity::Medium, "it changes who may use a file");
        }
        if context.is_usual_folder {
            return (Severity::Info, "it does the same to other files there");
        }
        return (Severity::Low, "a place that it did not write to");
    }
    match access {
        Access::Execute if context.starts_anew => (Severity::Low, "a known program starts anew"),
        Access::Execute if context.new_exe => (Severity::Info, "a new program executes it"),
        Access::Execute => (Severity::Medium, "a file that it never executed"),
        Access::Map => {
            if context.layer == Some(Layer::Upper) || context.layer == Some(Layer::Memfd) {
                return (Severity::High, "code that was written since the image");
            }
            if !is_program_folder(path) && !path.starts_with("/app/") && !context.is_usual_folder {
                return (Severity::High, "code from outside the folders of libraries");
            }
            if context.new_exe || context.is_usual_folder {
                return (Severity::Info, "a library");
            }
            (Severity::Low, "a library that it never loaded")
        }
        Access::Read => {
            if is_credential(path) {
                return (Severity::High, "it reads credentials");
            }
            if context.is_host {
                return (Severity::Medium, "it reads a file of the node");
            }
            if context.new_exe {
                return (Severity::Info, "a new program reads it");
            }
            if is_plain_device(path) {
                return (Severity::Info, "a device that anybody uses");
            }
            if path == "/etc/passwd" || path == "/etc/group" {
                return (Severity::Low, "it reads who the users are");
            }
            if context.is_usual_folder
                || context.layer == Some(Layer::Image)
                || is_program_folder(path)
            {
                return (Severity::Info, "it reads other files there anyway");
            }
            if path.starts_with("/proc/") || path.starts_with("/sys/") {
                return (Severity::Info, "what the kernel tells");
            }
            (Severity::Low, "a file that it never read")
        }
        // An attempt that failed.
        _ => {
            if is_credential(path) {
                return (Severity::Medium, "it looks for credentials");
            }
            (Severity::Info, "it looks for a file that it did not get")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The severity of an access, in a context that says no more than `context`.
    fn judged(access: Access, path: &str, context: FileContext) -> Severity {
        file(access, path, context).0
    }

    #[test]
    fn changes() {
        use Access::{Attributes, Delete, Link, Rename, Truncate, Write};
        for (access, path, severity) in [
            (Write, "/dev/null", Severity::Info),
            (Write, "/etc/cron.d/job", Severity::Critical),
            (Write, "/proc/sys/kernel/core_pattern", Severity::Critical),
            (Write, "/proc/*/oom_score_adj", Severity::Low),
            (Write, "/root/.aws/credentials", Severity::High),
            (Write, "/usr/bin/ls", Severity::High),
            (Write, "/etc/hosts", Severity::High),
            (Write, "/root/notes", Severity::Medium),
            (Delete, "/var/log/app.log", Severity::High),
            (Truncate, "/var/log/app.log", Severity::Medium),
            (Write, "/srv/nginx.conf", Severity::Medium),
            (Rename, "/srv/data", Severity::Medium),
            (Delete, "/srv/data", Severity::Medium),
            (Link, "/srv/data", Severity::Medium),
            (Attributes, "/srv/data", Severity::Medium),
            (Write, "/srv/data", Severity::Low),
        ] {
            assert_eq!(
                judged(access, path, FileContext::default()),
                severity,
                "{access:?} {path}"
            );
        }
    }

    #[test]
    fn what_the_program_does_anyway_weighs_less() {
        let plain = FileContext::default();
        let usual = FileContext {
            is_usual_folder: true,
            ..plain
        };
        for (access, path, context, severity) in [
            (Access::Write, "/srv/data", usual, Severity::Info),
            (Access::Delete, "/var/log/app.log.3", usual, Severity::Info),
            (Access::Read, "/srv/data", usual, Severity::Info),
            (Access::Map, "/srv/lib.so", usual, Severity::Info),
            (
                Access::Write,
                "/srv/data",
                FileContext {
                    is_host: true,
                    ..plain
                },
                Severity::High,
            ),
            (
                Access::Write,
                "/srv/data",
                FileContext {
                    is_program: true,
                    ..plain
                },
                Severity::Medium,
            ),
            (
                Access::Write,
                "/srv/data",
                FileContext {
                    others_read_it: true,
                    ..plain
                },
                Severity::Medium,
            ),
            (
                Access::Attributes,
                "/srv/data",
                FileContext {
                    mode: 0o4755,
                    ..plain
                },
                Severity::High,
            ),
            (
                Access::Attributes,
                "/srv/data",
                FileContext {
                    writes_it: true,
                    ..plain
                },
                Severity::Low,
            ),
        ] {
            assert_eq!(
                judged(access, path, context),
                severity,
                "{access:?} {path} {context:?}"
            );
        }
    }

    #[test]
    fn reads_maps_and_attempts() {
        let plain = FileContext::default();
        let new_exe = FileContext {
            new_exe: true,
            ..plain
        };
        for (access, path, context, severity) in [
            (Access::Read, "/etc/shadow", plain, Severity::High),
            (
                Access::Read,
                "/srv/data",
                FileContext {
                    is_host: true,
                    ..plain
                },
                Severity::Medium,
            ),
            (Access::Read, "/etc/passwd", plain, Severity::Low),
            (Access::Read, "/usr/share/zoneinfo", plain, Severity::Info),
            (Access::Read, "/proc/cpuinfo", plain, Severity::Info),
            (Access::Read, "/srv/data", plain, Severity::Low),
            (Access::Read, "/srv/data", new_exe, Severity::Info),
            (Access::Map, "/usr/lib/libz.so", plain, Severity::Low),
            (Access::Map, "/srv/lib.so", plain, Severity::High),
            (
                Access::Map,
                "/usr/lib/libz.so",
                FileContext {
                    layer: Some(Layer::Upper),
                    ..plain
                },
                Severity::High,
            ),
            (Access::Execute, "/srv/x", plain, Severity::Medium),
            (Access::Execute, "/srv/x", new_exe, Severity::Info),
            (Access::Attempt, "/etc/shadow", plain, Severity::Medium),
            (Access::Attempt, "/srv/x", plain, Severity::Info),
        ] {
            assert_eq!(
                judged(access, path, context),
                severity,
                "{access:?} {path} {context:?}"
            );
        }
    }

    #[test]
    fn an_access_that_only_failed_is_an_attempt() {
        let mut row = FileRow {
            errors: BTreeSet::from(["ENOENT".into()]),
            ..FileRow::default()
        };
        assert_eq!(accesses(&row), BTreeSet::from([Access::Attempt]));
        row.operations.insert(FileOperation::Open);
        assert_eq!(accesses(&row), BTreeSet::from([Access::Read]));
    }
}

//! Programs, their arguments, and who executes whom.

use super::Judgement;
use crate::knowledge::paths::{is_image_program_folder, is_temporary};
use crate::knowledge::programs::{is_interpreter, is_shell, is_tool};
use crate::model::{Layer, Origin, ProcessRow, Severity};

/// A program that the baseline does not know.
pub(crate) fn new_program(row: &ProcessRow) -> Judgement {
    if row.exe.starts_with('(') {
        return (Severity::Low, "a program that the capture could not name");
    }
    if row.layer == Some(Layer::Memfd) || row.exe.starts_with("memfd:") {
        return (Severity::Critical, "a program that is in memory only");
    }
    if row.layer == Some(Layer::Upper) {
        return (
            Severity::Critical,
            "a program that was written since the image",
        );
    }
    if is_temporary(&row.exe) || row.exe.starts_with("/home/") || row.exe.starts_with("/proc/") {
        return (
            Severity::Critical,
            "a program from a folder that anybody writes to",
        );
    }
    if row.origin == Origin::Exec || row.origin == Origin::Debug {
        return (Severity::High, "somebody entered the container");
    }
    if is_shell(&row.exe) {
        return (Severity::High, "a shell");
    }
    if is_interpreter(&row.exe) || is_tool(&row.exe) {
        return (Severity::High, "a tool that intruders use");
    }
    if row.layer == Some(Layer::Volume) || !is_image_program_folder(&row.exe) {
        return (Severity::High, "a program outside the system's folders");
    }
    (Severity::Medium, "a program that it never ran")
}

/// A known program with arguments of another shape.
pub(crate) fn new_arguments(row: &ProcessRow) -> Judgement {
    let runs_text = row.argv.iter().skip(1).take(2).any(|argument| {
        argument.starts_with('-') && !argument.starts_with("--") && argument.contains(['c', 'e'])
    });
    if is_interpreter(&row.exe) && runs_text {
        return (
            Severity::Medium,
            "an interpreter with other code on its command line",
        );
    }
    if row.origin == Origin::Exec || row.origin == Origin::Debug {
        return (Severity::Medium, "somebody entered the container");
    }
    (Severity::Low, "a known program with other arguments")
}

/// A known program that a program executes which never did.
pub(crate) fn new_edge(child: &str) -> Judgement {
    if is_shell(child) {
        return (Severity::High, "it starts a shell, which it never did");
    }
    if is_interpreter(child) || is_tool(child) {
        return (
            Severity::High,
            "it starts a tool that intruders use, which it never did",
        );
    }
    (
        Severity::Medium,
        "it starts a known program, which it never did itself",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(exe: &str) -> ProcessRow {
        ProcessRow {
            exe: exe.into(),
            ..ProcessRow::default()
        }
    }

    #[test]
    fn new_programs() {
        for (exe, severity) in [
            ("(other executables)", Severity::Low),
            ("memfd:x", Severity::Critical),
            ("/tmp/x", Severity::Critical),
            ("/home/a/x", Severity::Critical),
            ("/proc/self/fd/3", Severity::Critical),
            ("/bin/dash", Severity::High),
            ("/usr/bin/python3.11", Severity::High),
            ("/usr/bin/curl", Severity::High),
            ("/srv/x", Severity::High),
            ("/usr/bin/id", Severity::Medium),
        ] {
            assert_eq!(new_program(&row(exe)).0, severity, "{exe}");
        }
        for (layer, severity) in [
            (Layer::Upper, Severity::Critical),
            (Layer::Memfd, Severity::Critical),
            (Layer::Volume, Severity::High),
            (Layer::Image, Severity::Medium),
        ] {
            let layer = Some(layer);
            let row = ProcessRow {
                layer,
                ..row("/usr/bin/id")
            };
            assert_eq!(new_program(&row).0, severity, "{layer:?}");
        }
        let entered = ProcessRow {
            origin: Origin::Exec,
            ..row("/usr/bin/id")
        };
        assert_eq!(new_program(&entered).0, Severity::High);
    }

    #[test]
    fn new_arguments_of_known_programs() {
        for (argv, severity) in [
            (&["python3", "-c", "print(1)"][..], Severity::Medium),
            (&["python3", "app.py"], Severity::Low),
            (&["python3", "--check"], Severity::Low),
        ] {
            let argv: Vec<_> = argv.iter().map(|argument| (*argument).into()).collect();
            let row = ProcessRow {
                argv,
                ..row("/usr/bin/python3")
            };
            assert_eq!(new_arguments(&row).0, severity, "{:?}", row.argv);
        }
    }

    #[test]
    fn new_edges() {
        assert_eq!(new_edge("/bin/sh").0, Severity::High);
        assert_eq!(new_edge("/usr/bin/wget").0, Severity::High);
        assert_eq!(new_edge("/usr/bin/id").0, Severity::Medium);
    }
}

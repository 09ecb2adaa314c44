//! The probe: reads one Request, captures one window, writes frames, ends.
//!
//! It needs no API rights, writes no file and keeps nothing. Its standard error is for people.
//! A library only for its fuzz targets' sake.

mod btf;
mod calls;
mod clock;
mod drain;
mod emit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hooks;
mod label;
mod node;
mod offsets;
mod sentinel;
mod summarize;
mod sys;
mod window;
mod wire;

use procmon_profile::wire::{PROTOCOL, Request, Sealer, major};
use std::os::fd::AsFd as _;

/// Does what the command line says; the exit code.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the program's own output"
)]
#[must_use]
pub fn run() -> i32 {
    let argument = std::env::args().nth(1);
    match argument.as_deref() {
        Some(sentinel::ARGUMENT) => {
            return sentinel::act();
        }
        Some(node::reader::ARGUMENT) => {
            return node::reader::serve(&std::env::args().nth(2).unwrap_or_default());
        }
        Some("--version") => {
            println!(
                "procmon-probe {} protocol {PROTOCOL}",
                env!("CARGO_PKG_VERSION")
            );
            return 0;
        }
        _ => {}
    }
    let request: Request = match argument.as_deref().map(serde_json::from_str) {
        Some(Ok(request)) => request,
        Some(Err(error)) => {
            eprintln!("error: the request can't be read\n  cause: {error}");
            return 2;
        }
        None => {
            eprintln!(
                "error: this program is started by `kubectl procmon`, with a request as its argument"
            );
            return 2;
        }
    };
    // Where the frames have a descriptor of their own, the signals are those of somebody's terminal.
    sys::catch_signals(request.frames_fd.is_none());
    let sealer = match sealer(&request) {
        Ok(sealer) => sealer,
        Err(error) => {
            eprintln!("error: the frames can't be sealed\n  cause: {error}");
            return 2;
        }
    };
    let output = match frames(&request) {
        Ok(file) => emit::Output::new(file, request.deadline_seconds, sealer),
        Err(error) => {
            eprintln!("error: there is nowhere to write the frames\n  cause: {error}");
            return 2;
        }
    };
    if major(&request.protocol) != major(PROTOCOL) {
        let message = format!(
            "the plugin speaks protocol {}, this probe {PROTOCOL}",
            request.protocol
        );
        output.fail("badRequest", message);
        return 2;
    }
    window::run(&request, output)
}

/// Seals to the key that the request names.
fn sealer(request: &Request) -> std::io::Result<Option<Sealer>> {
    let Some(key) = &request.seal_to else {
        return Ok(None);
    };
    let sealer = Sealer::new(key, sys::random()?);
    sealer
        .map(Some)
        .ok_or_else(|| std::io::Error::other("the request's key is no key"))
}

/// Where the frames go: the descriptor that the request names, else standard output.
fn frames(request: &Request) -> std::io::Result<std::fs::File> {
    match request.frames_fd {
        Some(fd) => sys::adopt_fd(fd).map(Into::into),
        None => std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(Into::into),
    }
}

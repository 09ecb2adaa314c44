//! The probe: reads one Request, captures one window, writes frames, ends.
//!
//! It needs no API rights, writes no file and keeps nothing. Its standard error is for people.
//! A library only for its fuzz targets' sake.

mod btf;
mod calls;
mod capture;
mod cgroups;
mod clock;
mod command;
mod completeness;
mod cost;
mod drain;
mod emit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hooks;
mod label;
mod listeners;
mod load;
mod lock;
mod losses;
mod node;
mod offsets;
mod packets;
mod sentinel;
mod summarize;
mod sys;
mod unable;
mod window;

use procmon_profile::wire::{FailureCode, PROTOCOL, Request, Sealer, major};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;

/// Above what the kernel takes as the arguments of a command.
const MAX_REQUEST_BYTES: u64 = 16 << 20;

/// Does what the command line says; the exit code.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the program's own output"
)]
#[must_use]
pub fn run() -> i32 {
    let mut arguments = std::env::args().skip(1);
    let argument = arguments.next();
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
    let request = match argument.map(|argument| request(argument, arguments.next().as_deref())) {
        Some(Ok(request)) => request,
        Some(Err(error)) => {
            eprintln!("error: the request can't be read\n  cause: {error}");
            return 2;
        }
        None => {
            eprintln!("error: this program is started by `kubectl procmon`, with a request");
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
        output.fail(FailureCode::BadRequest, message);
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

/// What the plugin asks: the argument, or what can be read from the descriptor that follows
/// `--request-fd`. A command has its secrets in its arguments, and other programs read those of this one.
fn request(argument: String, fd: Option<&str>) -> anyhow::Result<Request> {
    let mut text = argument;
    if text == "--request-fd" {
        let fd = sys::adopt_fd(fd.unwrap_or_default().parse()?)?;
        text = read_at_most(fd.into(), MAX_REQUEST_BYTES)?;
    }
    Ok(serde_json::from_str(&text)?)
}

/// The text of a file, up to so many bytes.
fn read_at_most(file: File, bytes: u64) -> std::io::Result<String> {
    let mut text = String::new();
    file.take(bytes).read_to_string(&mut text)?;
    Ok(text)
}

/// Where the frames go: the descriptor that the request names, else standard output.
fn frames(request: &Request) -> std::io::Result<File> {
    match request.frames_fd {
        Some(fd) => sys::adopt_fd(fd).map(Into::into),
        None => std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(Into::into),
    }
}

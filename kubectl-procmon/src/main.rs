//! `kubectl procmon`: parse, run, print the error, exit; nothing else.
#![deny(unsafe_code)]

mod cluster;
mod commands;
mod documents;
mod duration;
mod exit;
mod flags;
mod hint;
mod interrupt;
#[cfg(target_os = "linux")]
mod local;
mod notice;
mod output;
mod probes;
mod progress;
mod render;
mod session;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
mod user;
mod yaml;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::quiet_panics();
    let cli = match commands::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    match commands::run(cli.command) {
        Ok(code) => code.into(),
        Err(error) => exit::failed(&error),
    }
}

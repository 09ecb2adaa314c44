// The compiler that builds the probe, and the flags that keep this machine out of what it writes.
// Part of two build scripts, this package's and the plugin's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The nightly of rustup that builds the probe where there is one, by its date: equal sources then
/// give equal bytes. Its LLVM must not be newer than that of bpf-linker (tests/setup/toolchain.sh,
/// which reads the date here).
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";

/// The toolchain that `PROCMON_BPF_TOOLCHAIN` names; when it is unset, [`NIGHTLY`], or `nightly`
/// where rustup has no other.
pub(crate) fn name() -> String {
    env::var("PROCMON_BPF_TOOLCHAIN").unwrap_or_else(|_| {
        let has_pinned = rustup().is_some()
            && command(NIGHTLY, "rustc")
                .env("RUSTUP_AUTO_INSTALL", "0")
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success());
        if has_pinned { NIGHTLY } else { "nightly" }.to_owned()
    })
}

/// A program of this toolchain. Without rustup there is only one, the distribution's.
pub(crate) fn command(toolchain: &str, program: &str) -> Command {
    if rustup().is_some() {
        let mut command = Command::new("rustup");
        command.args(["run", toolchain, program]);
        command
    } else {
        Command::new(program)
    }
}

/// Flags of rustc: neither the workspace's folder nor cargo's nor the toolchain's stands in what is
/// compiled, so that its bytes do not depend on them and tell nothing of the machine.
pub(crate) fn remap(toolchain: &str, root: &Path) -> Vec<String> {
    let mut flags = Vec::new();
    let mut add = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    if let Ok(root) = fs::canonicalize(root) {
        add(&root, "/procmon");
    }
    let cargo = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let registries = cargo.map(|cargo| fs::read_dir(cargo.join("registry/src")));
    if let Some(Ok(registries)) = registries {
        for registry in registries.flatten() {
            add(&registry.path(), "/registry");
        }
    }
    let sysroot = command(toolchain, "rustc")
        .args(["--print", "sysroot"])
        .output();
    if let Ok(output) = sysroot {
        let sysroot = String::from_utf8_lossy(&output.stdout);
        add(
            &Path::new(sysroot.trim()).join("lib/rustlib/src/rust"),
            "/rust",
        );
    }
    flags
}

/// Several flags as `CARGO_ENCODED_RUSTFLAGS` holds them.
pub(crate) fn encode(flags: &[String]) -> String {
    flags.join("\x1f")
}

/// Where rustup is.
fn rustup() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join("rustup"))
        .find(|program| program.is_file())
}

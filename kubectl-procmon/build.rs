//! Builds the probes that the plugin carries, one per node architecture.
//!
//! One nested cargo, with a target folder of its own, builds `procmon-probe` static on musl with
//! the toolchain that `PROCMON_BPF_TOOLCHAIN` names (when unset a nightly, see
//! probe/toolchain.rs), and the eBPF object with it. Where no probe can be built, `PROCMON_PROBE_DIR` names
//! a folder with ready ones:
//! `procmon-probe-amd64`, `procmon-probe-arm64`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[path = "../probe/toolchain.rs"]
mod toolchain;

/// A ConfigMap holds 1 MiB of data (1,048,576 bytes): what is larger than this can't be delivered.
const MAX_PROBE_BYTES: u64 = 1_000_000;
/// Node architectures, in Kubernetes' words, that a probe can be built for here.
const ARCHITECTURES: [(&str, &str); 1] = [("amd64", "x86_64-unknown-linux-musl")];

fn main() {
    for variable in ["PROCMON_PROBE_DIR", "PROCMON_BPF_TOOLCHAIN", "CARGO_HOME"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["probe", "probe-ebpf", "profile", "Cargo.lock", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", root.join(folder).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let probes = match env::var_os("PROCMON_PROBE_DIR") {
        Some(folder) => ready_probes(Path::new(&folder)),
        None => build_probes(&root, &out),
    };
    let mut list = String::from("&[");
    for (arch, path) in probes {
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if size > MAX_PROBE_BYTES {
            fail(&format!(
                "the probe for {arch} has {size} bytes: a ConfigMap takes {MAX_PROBE_BYTES}"
            ));
        }
        list += &format!(
            "({arch:?}, include_bytes!({:?})),",
            path.display().to_string()
        );
    }
    list.push(']');
    if let Err(error) = fs::write(out.join("probes.rs"), list) {
        fail(&format!("cannot write into {}: {error}", out.display()));
    }
}

/// Probes that somebody built elsewhere.
fn ready_probes(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    println!("cargo:rerun-if-changed={}", folder.display());
    let probes: Vec<_> = ["amd64", "arm64"]
        .into_iter()
        .map(|arch| (arch, folder.join(format!("procmon-probe-{arch}"))))
        .filter(|(_, path)| path.is_file())
        .collect();
    if probes.is_empty() {
        fail(&format!(
            "PROCMON_PROBE_DIR: there is no procmon-probe-ARCH in {}",
            folder.display()
        ));
    }
    probes
}

fn build_probes(root: &Path, out: &Path) -> Vec<(&'static str, PathBuf)> {
    let toolchain = toolchain::name();
    if toolchain == "nightly" {
        println!(
            "cargo:warning=the probe is built by whatever nightly rustup has, not by {}: equal sources may give other bytes",
            toolchain::NIGHTLY
        );
    }
    for (tool, install) in [
        ("bpf-linker", "cargo install bpf-linker"),
        ("musl-gcc", "apt-get install musl-tools"),
    ] {
        if !on_path(tool) {
            fail(&format!(
                "`{tool}` is missing. Install it with `{install}`, or let `make build` install all that is missing"
            ));
        }
    }
    let unwinder = unwinder(out);
    ARCHITECTURES
        .into_iter()
        .map(|(arch, target)| {
            (
                arch,
                build_probe(root, out, &toolchain, arch, target, &unwinder),
            )
        })
        .collect()
}

fn build_probe(
    root: &Path,
    out: &Path,
    toolchain: &str,
    arch: &str,
    target: &str,
    unwinder: &Path,
) -> PathBuf {
    // The workspace's own target folder is locked by the cargo that runs this. One folder serves
    // all profiles of the plugin.
    let target_dir = root.join("target/probe-build");
    let variable = target.to_uppercase().replace('-', "_");
    let mut flags: Vec<String> = [
        "-Ctarget-feature=+crt-static",
        "-Clink-self-contained=no",
        "-Crelocation-model=static",
        "-Zunstable-options",
        "-Cpanic=immediate-abort",
        "-Cforce-unwind-tables=no",
        // One way to compute, not one for each generation of processors: size before speed.
        "--cfg=curve25519_dalek_backend=\"serial\"",
        "--cfg=chacha20_force_soft",
        "--cfg=poly1305_force_soft",
        "--cfg=sha2_backend=\"soft\"",
        "--cfg=sha2_backend_soft=\"compact\"",
        // An instruction that reaches a frame by the frame's own pointer is one byte shorter than one that
        // uses the stack pointer. The outliner makes a function of what many functions repeat.
        "-Cforce-frame-pointers=non-leaf",
        "-Cllvm-args=-enable-machine-outliner=always",
    ]
    .map(str::to_owned)
    .to_vec();
    flags.push(format!("-L{}", unwinder.display()));
    flags.extend(toolchain::remap(toolchain, root));
    let mut command = toolchain::command(toolchain, "cargo");
    command
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--package",
            "procmon-probe",
            "--profile",
            "probe",
        ])
        .args(["--target", target])
        .args([
            "-Zbuild-std=std,panic_abort",
            "-Zbuild-std-features=optimize_for_size",
        ])
        .arg("--target-dir")
        .arg(&target_dir)
        .env(format!("CARGO_TARGET_{variable}_LINKER"), "musl-gcc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PROCMON_BPF_TOOLCHAIN", toolchain);
    for variable in [
        "RUSTC",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "CARGO",
    ] {
        command.env_remove(variable);
    }
    // With a target named, these are flags of the target alone.
    command.env("CARGO_ENCODED_RUSTFLAGS", toolchain::encode(&flags));
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => fail(&format!("cannot run cargo for the probe: {error}")),
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = text.lines().rev().take(40).collect();
        for line in tail.into_iter().rev() {
            println!("cargo:warning={line}");
        }
        fail(&format!(
            "cannot build the probe with toolchain `{toolchain}`. It needs `rustup toolchain install {} --component rust-src`; where rustup can't download, `make build` installs the distribution's compiler instead",
            toolchain::NIGHTLY
        ));
    }
    let built = target_dir.join(target).join("probe").join("procmon-probe");
    let copy = out.join(format!("procmon-probe-{arch}"));
    // The second copy is for tests that run a probe by itself.
    let beside = root.join("target/probe");
    let copied = fs::create_dir_all(&beside)
        .and_then(|()| fs::copy(&built, beside.join(format!("procmon-probe-{arch}"))))
        .and_then(|_| fs::copy(&built, &copy));
    if let Err(error) = copied {
        fail(&format!("cannot copy {}: {error}", built.display()));
    }
    copy
}

/// std wants a libunwind, which musl has not: gcc's own unwinder stands in, with the one function
/// that it wants of glibc answering "not found".
fn unwinder(out: &Path) -> PathBuf {
    let folder = out.join("unwinder");
    let source = folder.join("stub.c");
    let object = folder.join("stub.o");
    let written = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&source, "int _dl_find_object(void *pc, void *result) { (void)pc; (void)result; return -1; }\n"))
        .and_then(|()| {
            fs::write(folder.join("libunwind.a"), format!("INPUT(-lgcc_eh -lgcc {})\n", object.display()))
        });
    if let Err(error) = written {
        fail(&format!("cannot write into {}: {error}", folder.display()));
    }
    let status = Command::new("musl-gcc")
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .status();
    if !status.is_ok_and(|status| status.success()) {
        fail("musl-gcc cannot compile");
    }
    folder
}

fn on_path(tool: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}

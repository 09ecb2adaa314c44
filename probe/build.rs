//! Compiles the eBPF programs and leaves their object in `OUT_DIR`.
//!
//! The toolchain is the rustup toolchain that `PROCMON_BPF_TOOLCHAIN` names, `nightly` (with
//! rust-src) when it is unset.

use std::path::Path;

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=PROCMON_BPF_TOOLCHAIN");
    println!("cargo:rerun-if-changed=../probe-ebpf");
    let toolchain = std::env::var("PROCMON_BPF_TOOLCHAIN").unwrap_or_else(|_| "nightly".to_owned());
    if toolchain != "nightly" {
        bootstrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../probe-ebpf");
    let root = root.to_str().ok_or_else(|| anyhow::anyhow!("the path of the workspace is not UTF-8"))?;
    let package = aya_build::Package {
        name: "procmon-probe-ebpf",
        root_dir: root,
        ..Default::default()
    };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain)).map_err(|error| {
        error.context(
            "cannot build the eBPF programs: they need `bpf-linker` (cargo install bpf-linker) and \
             `rustup toolchain install nightly --component rust-src`; where rustup cannot download, \
             run `make build`, which installs the distribution's compiler instead",
        )
    })
}

/// Lets the two crates that need them use unstable features on a stable compiler. Naming them keeps
/// aya-build from building core, and other build scripts from taking the compiler for a nightly one.
#[expect(unsafe_code, reason = "set_var needs it, and a build script has one thread")]
fn bootstrap() {
    // SAFETY: no other thread runs in this build script.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf,procmon_probe_ebpf") };
}

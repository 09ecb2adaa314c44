//! Compiles the eBPF programs and leaves their object in `OUT_DIR`.
//!
//! toolchain.rs says by which compiler. One nested cargo builds them, with a target folder of its own.

use anyhow::{Context as _, ensure};
use std::env;
use std::path::{Path, PathBuf};

mod toolchain;

fn main() -> anyhow::Result<()> {
    for variable in ["PROCMON_BPF_TOOLCHAIN", "CARGO_HOME"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    for path in ["build.rs", "toolchain.rs", "../probe-ebpf"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let deflated = out.join("procmon-probe-ebpf.deflate");
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        // Fuzz targets read bytes; they load nothing.
        return Ok(std::fs::write(deflated, [])?);
    }
    let object = build_ebpf(&out)?;
    let bytes = shrink(std::fs::read(object)?)?;
    Ok(std::fs::write(
        deflated,
        miniz_oxide::deflate::compress_to_vec(&bytes, 9),
    )?)
}

/// Builds the object and says where it is.
fn build_ebpf(out: &Path) -> anyhow::Result<PathBuf> {
    const TARGET: &str = "bpfel-unknown-none";
    let toolchain = toolchain::name();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // The target is little-endian, as are all node architectures; aya-ebpf asks which one it is.
    let mut flags = vec![
        format!(
            "--cfg=bpf_target_arch=\"{}\"",
            env::var("CARGO_CFG_TARGET_ARCH")?
        ),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    // BTF names the sources.
    flags.extend(toolchain::remap(&toolchain, &root));
    let target_dir = out.join("ebpf");
    let mut command = toolchain::command(&toolchain, "cargo");
    command
        .current_dir(&root)
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "procmon-probe-ebpf",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain::encode(&flags));
    if toolchain.starts_with("nightly") {
        command.arg("-Zbuild-std=core");
    } else {
        // The two crates that need them use unstable features of a stable compiler, which brings a
        // ready core. No other crate takes it for a nightly one.
        command.env("RUSTC_BOOTSTRAP", "aya_ebpf,procmon_probe_ebpf");
    }
    for variable in ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(variable);
    }
    let output = command
        .output()
        .context("cannot run cargo for the eBPF programs")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{said}\ncannot build the eBPF programs with toolchain `{toolchain}`: they need `bpf-linker` \
         (cargo install bpf-linker) and `rustup toolchain install {} --component rust-src`; where \
         rustup cannot download, run `make build`, which installs the distribution's compiler instead",
        toolchain::NIGHTLY
    );
    // What the compiler warns of is the developer's business.
    let mut is_warning = false;
    for line in said.lines() {
        is_warning = line.starts_with("warning") || is_warning && !line.is_empty();
        if is_warning {
            println!("cargo:warning={line}");
        }
    }
    Ok(target_dir.join(TARGET).join("release/procmon-probe-ebpf"))
}

/// Wipes the debugging information and the lines of the source, which nobody reads on a node and
/// every kernel would check: the probe has to be small. (The sections stay: the linker keeps all
/// names of the file in one table, which tools that rewrite objects do not expect.)
fn shrink(mut bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    use object::{Object as _, ObjectSection as _};
    let object = object::File::parse(bytes.as_slice())?;
    let debug: Vec<(usize, Option<(u64, u64)>)> = object
        .sections()
        .filter(|section| {
            let name = section.name_bytes().unwrap_or_default();
            name.starts_with(b".debug")
                || name.starts_with(b".rel.debug")
                || name == b".rel.BTF.ext"
        })
        .map(|section| (section.index().0, section.file_range()))
        .collect();
    let extension = object
        .section_by_name(".BTF.ext")
        .and_then(|section| section.file_range());
    drop(object);
    if let Some((start, _)) = extension {
        wipe_lines(&mut bytes, usize::try_from(start)?)?;
    }
    // e_shoff of an ELF64 header, then sh_type and sh_size of each section's header of 64 bytes.
    let headers = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into()?))?;
    for (index, range) in debug {
        let header = headers + 64 * index;
        bytes[header + 4..header + 8].fill(0);
        bytes[header + 32..header + 40].fill(0);
        if let Some((start, length)) = range {
            let (start, length) = (usize::try_from(start)?, usize::try_from(length)?);
            bytes[start..start + length].fill(0);
        }
    }
    Ok(bytes)
}

/// Takes the line information out of the section that begins at `start`: struct btf_ext_header has
/// the header's length at 4, place and length of the lines at 16 and 20.
fn wipe_lines(bytes: &mut [u8], start: usize) -> anyhow::Result<()> {
    let number = |bytes: &[u8], at: usize| -> anyhow::Result<usize> {
        let word = bytes[start + at..start + at + 4].try_into()?;
        Ok(usize::try_from(u32::from_le_bytes(word))?)
    };
    let lines = start + number(bytes, 4)? + number(bytes, 16)?;
    let length = number(bytes, 20)?;
    bytes[lines..lines + length].fill(0);
    bytes[start + 20..start + 24].fill(0);
    Ok(())
}

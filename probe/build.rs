//! Compiles the eBPF programs and leaves their object in `OUT_DIR`.
//!
//! toolchain.rs says by which compiler. One nested cargo builds them, with a target folder of its own.

use anyhow::{Context as _, ensure};
use lzma_rust2::{LzmaOptions, LzmaWriter};
use std::env;
use std::io::Write as _;
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
    let packed = out.join("procmon-probe-ebpf.lzma");
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        // Fuzz targets read bytes; they load nothing.
        return Ok(std::fs::write(packed, [])?);
    }
    let object = build_ebpf(&out)?;
    let bytes = shrink(&std::fs::read(object)?)?;
    Ok(std::fs::write(packed, pack(&bytes)?)?)
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

/// Leaves out the debugging information and the lines of the source, which nobody reads on a node and
/// every kernel would check: the probe has to be small. (The headers of these sections stay, empty: the
/// linker keeps all names of the file in one table, and symbols count sections.)
fn shrink(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    use object::{Object as _, ObjectSection as _};
    const HEADER: usize = 64;
    let object = object::File::parse(bytes)?;
    // e_shoff and e_shnum of the ELF64 header.
    let start = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into()?))?;
    let count = usize::from(u16::from_le_bytes(bytes[60..62].try_into()?));
    let mut headers = bytes[start..start + HEADER * count].to_vec();
    let mut small = bytes[..HEADER].to_vec();
    for section in object.sections() {
        let name = section.name_bytes()?;
        let left_out = name.starts_with(b".debug")
            || name.starts_with(b".rel.debug")
            || name == b".rel.BTF.ext";
        let content = match name {
            _ if left_out => Vec::new(),
            b".BTF.ext" => without_lines(section.data()?)?,
            _ => section.data()?.to_vec(),
        };
        // The probe looks for instructions at multiples of 8.
        small.resize(small.len().next_multiple_of(8), 0);
        // sh_type, sh_offset and sh_size.
        let header = &mut headers[HEADER * section.index().0..][..HEADER];
        if left_out {
            header[4..8].fill(0);
        }
        header[24..32].copy_from_slice(&small.len().to_le_bytes());
        if left_out || !content.is_empty() {
            header[32..40].copy_from_slice(&content.len().to_le_bytes());
        }
        small.extend(content);
    }
    small.resize(small.len().next_multiple_of(8), 0);
    let start = small.len().to_le_bytes();
    small[40..48].copy_from_slice(&start);
    small.extend(headers);
    Ok(small)
}

/// A section .BTF.ext without its lines: struct btf_ext_header has the header's length at 4, place and
/// length of the lines at 16 and 20, and the place of the relocations, which follow, at 24.
fn without_lines(section: &[u8]) -> anyhow::Result<Vec<u8>> {
    let number = |at: usize| -> anyhow::Result<usize> {
        let word = section[at..at + 4].try_into()?;
        Ok(usize::try_from(u32::from_le_bytes(word))?)
    };
    let (start, length) = (number(4)? + number(16)?, number(20)?);
    let mut small = section.to_vec();
    small.drain(start..start + length);
    small[20..24].fill(0);
    if number(4)? >= 32 && number(24)? >= number(16)? + length {
        let moved = u32::try_from(number(24)? - length)?;
        small[24..28].copy_from_slice(&moved.to_le_bytes());
    }
    Ok(small)
}

/// Packs the object as an .lzma file: a third less than deflated, since programs repeat each other at
/// distances that deflate does not see.
fn pack(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut options = LzmaOptions::with_preset(9);
    // Instructions have 8 bytes, most other records words of 4.
    (options.lc, options.lp, options.pb) = (0, 2, 2);
    options.dict_size = u32::try_from(bytes.len())?.next_power_of_two();
    options.nice_len = LzmaOptions::NICE_LEN_MAX;
    let length = u64::try_from(bytes.len())?;
    let mut writer = LzmaWriter::new_use_header(Vec::new(), &options, Some(length))?;
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

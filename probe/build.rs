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
    if std::env::var_os("CARGO_CFG_FUZZING").is_some() {
        // Fuzz targets read bytes; they load nothing.
        let object = Path::new(&std::env::var("OUT_DIR")?).join("procmon-probe-ebpf.deflate");
        return Ok(std::fs::write(object, [])?);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../probe-ebpf");
    let root = root
        .to_str()
        .ok_or_else(|| anyhow::anyhow!("the path of the workspace is not UTF-8"))?;
    let package = aya_build::Package {
        name: "procmon-probe-ebpf",
        root_dir: root,
        ..Default::default()
    };
    println!("cargo:rerun-if-changed=build.rs");
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain)).map_err(|error| {
        error.context(
            "cannot build the eBPF programs: they need `bpf-linker` (cargo install bpf-linker) and \
             `rustup toolchain install nightly --component rust-src`; where rustup cannot download, \
             run `make build`, which installs the distribution's compiler instead",
        )
    })?;
    shrink(&Path::new(&std::env::var("OUT_DIR")?).join("procmon-probe-ebpf"))
}

/// Wipes the debugging information and the lines of the source, which nobody reads on a node and
/// every kernel would check, and deflates the object: the probe has to be small. (The sections stay: the linker keeps all names of the file in one table,
/// which tools that rewrite objects do not expect.)
fn shrink(path: &Path) -> anyhow::Result<()> {
    use object::{Object as _, ObjectSection as _};
    let mut bytes = std::fs::read(path)?;
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
    std::fs::write(
        path.with_extension("deflate"),
        miniz_oxide::deflate::compress_to_vec(&bytes, 9),
    )?;
    Ok(())
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

/// Lets the two crates that need them use unstable features on a stable compiler. Naming them keeps
/// aya-build from building core, and other build scripts from taking the compiler for a nightly one.
#[expect(
    unsafe_code,
    reason = "set_var needs it, and a build script has one thread"
)]
fn bootstrap() {
    // SAFETY: no other thread runs in this build script.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf,procmon_probe_ebpf") };
}

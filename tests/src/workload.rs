//! Programs of known behaviour, built as ordinary programs and static.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// How a workload is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// With the C library of this machine.
    Dynamic,
    /// With nothing: runs in guests and in images that hold nothing else.
    Static,
}

/// Path of the workload `workload-NAME`, resolved.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn path(name: &str, linked: Linked) -> PathBuf {
    let folder = match linked {
        // Cargo leaves the programs of a package above its test binaries.
        Linked::Dynamic => std::env::current_exe()
            .expect("a test binary")
            .ancestors()
            .nth(2)
            .expect("target/PROFILE/deps")
            .to_owned(),
        Linked::Static => static_folder().clone(),
    };
    let path = folder.join(format!("workload-{name}"));
    path.canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Builds all workloads static, once.
fn static_folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let folder = crate::root().join("target/static");
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(crate::root())
            .args([
                "build",
                "--locked",
                "--quiet",
                "--package",
                "procmon-tests",
                "--bins",
                "--target",
                &target,
                "--target-dir",
            ])
            .arg(&folder)
            .env(
                "RUSTFLAGS",
                "-C target-feature=+crt-static -C strip=symbols",
            )
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .expect("cargo runs");
        assert!(
            output.status.success(),
            "static workloads: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        folder.join(target).join("debug")
    })
}

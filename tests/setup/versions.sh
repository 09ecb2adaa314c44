# The exact tools that build, check and pack; sourced, not run. (The nightly of rustup that builds the
# probe, where there is one, stands in probe/toolchain.rs.)
linker_version=0.13.0
deny_version=0.20.2
fuzz_version=0.13.2
cyclonedx_version=0.5.9
# The compiler of released plugins that are not for Linux on amd64.
rust_version=1.95.0
# Released probes, and the plugin for Linux on amd64, are built in the Debian of this moment
# (krew/rebuild.sh): compiler, linker and C libraries are those of its archive.
debian_release=bookworm
debian_moment=20261128T120000Z

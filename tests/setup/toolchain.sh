#!/usr/bin/env bash
# Installs what is missing to build kubectl-procmon and its probe, and says so. Idempotent.
#
#   toolchain.sh            what a build needs
#   toolchain.sh --lint     also cargo-deny, and where there is rustup the standard library of arm64
#   toolchain.sh --fuzz     also cargo-fuzz
#
# Where rustup has a nightly with rust-src, that builds the probe, and only bpf-linker and musl are
# wanted. Elsewhere the distribution's compiler does (Debian's rustc-web, with a BPF core library);
# rustup, where there is one, knows it as toolchain `bpf`. Everything comes from package registries;
# what is built here is kept in the cache.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
linker_version=0.13.0
deny_version=0.20.2
fuzz_version=0.13.2
lint='' fuzz=''
for arg in "$@"; do
  case $arg in
    --lint) lint=1 ;;
    --fuzz) fuzz=1 ;;
    *) echo "toolchain.sh: unknown option $arg" >&2; exit 2 ;;
  esac
done
export RUSTUP_AUTO_INSTALL=0
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_TARGET RUSTFLAGS

has_nightly() {
  local sysroot
  command -v rustup >/dev/null || return 1
  sysroot=$(rustup run nightly rustc --print sysroot 2>/dev/null) && [ -n "$sysroot" ] || return 1
  [ -e "$sysroot/lib/rustlib/src/rust/library/Cargo.toml" ]
}

once toolchain
if [ "$(uname -m)" != x86_64 ]; then say "only amd64 machines are prepared here"; fi
apt_install gcc libc6-dev make git musl-tools musl-dev
if has_nightly; then
  rm -f "$cache/distribution-toolchain"
else
  command -v dpkg-query >/dev/null || { say "please run: rustup toolchain install nightly --component rust-src"; exit 1; }
  apt_install rustc-web cargo-web rust-web-src libstd-rust-web-dev-bpf rustfmt-web rust-web-clippy llvm-22-dev libpolly-22-dev
  llvm=$(/usr/bin/rustc -vV | awk '/^LLVM/{print $3}')
  case $llvm in
    22.*) ;;
    *) say "the distribution's compiler has LLVM $llvm; bpf-linker must be built with one at least as new: edit $0"; exit 1 ;;
  esac
  if command -v rustup >/dev/null; then
    rustup toolchain list 2>/dev/null | grep -q '^bpf\b' ||
      { rustup toolchain link bpf /usr; say "rustup: toolchain \`bpf\` is the distribution's compiler in /usr"; }
    rustup default >/dev/null 2>&1 ||
      { rustup default bpf >/dev/null 2>&1; say "rustup had no default toolchain: it is \`bpf\` now"; }
  fi
  : >"$cache/distribution-toolchain"
fi
# From here on the same toolchain as everywhere.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# cargo_install NAME VERSION ARGS...: into the cache
cargo_install() {
  local name=$1 version=$2; shift 2
  if [ -x "$cache/bin/$name" ] && [[ $("$cache/bin/$name" --version 2>/dev/null) == *"$version"* ]]; then return 0; fi
  say "building $name $version, to be kept in $cache/bin"
  (cd / && cargo install "$name" --version "=$version" --locked --quiet --root "$cache" "$@") >"$cache/log/$name" 2>&1 ||
    { tail -20 "$cache/log/$name" >&2; exit 1; }
}
if [ ! -e "$cache/distribution-toolchain" ]; then
  command -v bpf-linker >/dev/null || cargo_install bpf-linker "$linker_version"
else
  LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 LLVM_PREFIX=/usr/lib/llvm-22 RUSTC_BOOTSTRAP='' \
    RUSTFLAGS="-L /usr/lib/llvm-22/lib -C strip=symbols" \
    cargo_install bpf-linker "$linker_version" --no-default-features --features llvm-22
fi
if [ -n "$lint" ]; then
  cargo_install cargo-deny "$deny_version" --no-default-features
  arm=aarch64-unknown-linux-musl
  if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$arm"; then
    say "installing $arm with rustup"
    rustup target add "$arm" >"$cache/log/rustup-$arm" 2>&1 || say "rustup has no $arm"
  fi
fi
if [ -n "$fuzz" ]; then
  apt_install g++ # for libFuzzer, which libfuzzer-sys carries as source
  cargo_install cargo-fuzz "$fuzz_version"
fi
say "the toolchain is there: $(rustc --version)"

#!/usr/bin/env bash
# Installs what is missing to build kubectl-procmon and its probe, and says so. Idempotent.
#
#   toolchain.sh            what a build needs
#   toolchain.sh --lint     also cargo-deny, and where there is rustup the standard library of arm64
#   toolchain.sh --fuzz     also cargo-fuzz
#   toolchain.sh --package  also cargo-cyclonedx
#
# Where rustup has a nightly with rust-src (best the one whose date probe/toolchain.rs pins), that
# builds the probe, and only bpf-linker, its LLVM and musl are wanted. Elsewhere the distribution's
# compiler does (Debian's rustc-web, with a BPF core library); rustup, where there is one, knows it as
# toolchain `bpf`. Everything comes from package registries; what is built here is kept in the cache.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
pinned=$(sed -n 's/^pub(crate) const NIGHTLY: &str = "\(.*\)";$/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../../probe/toolchain.rs")
lint='' fuzz='' package=''
for arg in "$@"; do
  case $arg in
    --lint) lint=1 ;;
    --fuzz) fuzz=1 ;;
    --package) package=1 ;;
    *) echo "toolchain.sh: unknown option $arg" >&2; exit 2 ;;
  esac
done
export RUSTUP_AUTO_INSTALL=0
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_TARGET RUSTFLAGS

# is_able TOOLCHAIN: rustup has it, with rust-src, and its LLVM is one that bpf-linker can read
is_able() {
  local sysroot llvm
  command -v rustup >/dev/null || return 1
  sysroot=$(rustup run "$1" rustc --print sysroot 2>/dev/null) && [ -n "$sysroot" ] || return 1
  llvm=$(rustup run "$1" rustc -vV | awk '/^LLVM/{print $3}')
  [ -e "$sysroot/lib/rustlib/src/rust/library/Cargo.toml" ] && [ "${llvm%%.*}" -le 22 ]
}

once toolchain
if [ "$(uname -m)" != x86_64 ]; then say "only amd64 machines are prepared here"; fi
apt_install gcc libc6-dev make git musl-tools musl-dev
if is_able "$pinned"; then
  rm -f "$cache/distribution-toolchain"
  apt_install llvm-22-dev libpolly-22-dev
elif is_able nightly; then
  rm -f "$cache/distribution-toolchain"
  say "rustup's nightly is not $pinned: what it builds works, but its bytes are its own (rustup toolchain install $pinned --component rust-src)"
  apt_install llvm-22-dev libpolly-22-dev
else
  command -v dpkg-query >/dev/null || { say "please run: rustup toolchain install $pinned --component rust-src"; exit 1; }
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
LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 LLVM_PREFIX=/usr/lib/llvm-22 RUSTC_BOOTSTRAP='' \
  RUSTFLAGS="-L /usr/lib/llvm-22/lib -C strip=symbols" \
  cargo_install bpf-linker "$linker_version" --no-default-features --features llvm-22
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
if [ -n "$package" ]; then cargo_install cargo-cyclonedx "$cyclonedx_version"; fi
say "the toolchain is there: $(rustc --version)"

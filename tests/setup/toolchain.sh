#!/usr/bin/env bash
# Installs what is missing to build kubectl-procmon and its probe, and says so. Idempotent.
#
#   toolchain.sh            what a build needs
#   toolchain.sh --lint     also cargo-deny
#   toolchain.sh --vm       also QEMU, for the guests of tests/vm
#
# Where rustup has a nightly with rust-src, that builds the probe and only bpf-linker and musl are
# wanted. Elsewhere the distribution's compiler does (Debian: rustc-web with a BPF core library).
# Everything comes from package registries; what is built here is kept in the user's cache.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-procmon
mkdir -p "$cache/bin"
export PATH="$cache/bin:$PATH"
linker_version=0.13.0
deny_version=0.20.2
lint='' vm=''
for arg in "$@"; do
  case $arg in
    --lint) lint=1 ;;
    --vm) vm=1 ;;
    *) echo "toolchain.sh: unknown option $arg" >&2; exit 2 ;;
  esac
done
started=$SECONDS
say() { printf 'setup: [%3ds] %s\n' $((SECONDS - started)) "$*" >&2; }

packages() { # those of the arguments that are not installed
  local p
  for p in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || echo "$p"
  done
}
apt_install() {
  local missing
  command -v dpkg-query >/dev/null || { say "no Debian packages here: please install $*"; return 1; }
  mapfile -t missing < <(packages "$@")
  ((${#missing[@]})) || return 0
  [ "$(id -u)" = 0 ] || { say "please install as root: apt-get install ${missing[*]}"; return 1; }
  say "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 || { tail -20 "$cache/apt.log" >&2; return 1; }
}
has_nightly() {
  local sysroot
  command -v rustup >/dev/null || return 1
  sysroot=$(rustup run nightly rustc --print sysroot 2>/dev/null) && [ -n "$sysroot" ] &&
    [ -e "$sysroot/lib/rustlib/src/rust/library/Cargo.lock" ]
}

apt_install gcc libc6-dev make musl-tools musl-dev
if has_nightly; then
  rm -f "$cache/distribution-toolchain"
else
  apt_install rustc-web cargo-web rust-web-src libstd-rust-web-dev-bpf rustfmt-web rust-web-clippy llvm-22-dev libpolly-22-dev
  if command -v rustup >/dev/null; then
    rustup toolchain list 2>/dev/null | grep -q '^bpf\b' || { rustup toolchain link bpf /usr; say "rustup: toolchain bpf is /usr"; }
    rustup default >/dev/null 2>&1 || rustup default bpf >/dev/null 2>&1
  fi
  : >"$cache/distribution-toolchain"
fi

cargo_install() { # NAME VERSION ARGS...: into the cache
  local name=$1 version=$2; shift 2
  if [ -x "$cache/bin/$name" ] && [[ $("$cache/bin/$name" --version 2>/dev/null) == *"$version"* ]]; then return 0; fi
  say "building $name $version (kept in $cache/bin)"
  cargo install "$name" --version "=$version" --locked --quiet --root "$cache" "$@"
}
if has_nightly; then
  command -v bpf-linker >/dev/null || cargo_install bpf-linker "$linker_version"
else
  LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 LLVM_PREFIX=/usr/lib/llvm-22 RUSTC_BOOTSTRAP='' \
    RUSTFLAGS="-L /usr/lib/llvm-22/lib -C strip=symbols" \
    cargo_install bpf-linker "$linker_version" --no-default-features --features llvm-22
fi
if [ -n "$lint" ]; then cargo_install cargo-deny "$deny_version" --no-default-features; fi
if [ -n "$vm" ]; then apt_install qemu-system-x86 busybox-static cpio xz-utils zstd kmod; fi
say "the tools are there"
